//! What a command has changed, in the words of the log: deterministic Redis commands.
//!
//! Absolute times instead of relative ones, results instead of random choices. A command that
//! is deterministic as it was sent says nothing here and is logged as it was sent.

use std::collections::{HashSet, VecDeque};

use super::{Entry, Event, Kind};
use crate::config::Classes;
use crate::limits::BULKY_BYTES;
use crate::resp::reply::encode_command;
use crate::table::Table;

/// Whether anybody will read the effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Logging {
    /// They are written down for replicas.
    On,
    /// Only that there were some is noted.
    #[default]
    Off,
    /// Nothing is noted: the log is another node's, which this one follows.
    Foreign,
}

/// What those who track have to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    /// A key has changed.
    Key(Box<[u8]>),
    /// A database was emptied, or the whole data set replaced.
    Everything,
}

/// Bytes of the buffer that are kept for the next command.
const KEPT_BYTES: usize = 4096;

/// Collects the effects of one command, or of one transaction.
#[derive(Debug, Default)]
pub struct Effects {
    logging: Logging,
    log: Vec<u8>,
    /// Commands in `log`, or that would be there.
    commands: usize,
    /// The databases of the first and of the last command in the log.
    databases: Option<(usize, usize)>,
    /// Changes of keys since the last `settle`.
    dirty: u64,
    /// Whether the present command has put its own words into the log.
    reworded: bool,
    /// Which events the sweep is to note; commands ask the directives.
    pub wanted: Classes,
    /// What has happened to keys, to be published.
    pub events: Vec<Event>,
    /// Whether somebody tracks: what is touched is then noted.
    pub tracked: bool,
    /// The client whose commands these are; 0 is none.
    pub author: u64,
    /// What was touched, in its order.
    touched: Vec<Touched>,
    /// Keys removed because they were due.
    pub expired: u64,
    /// Rate-limit decisions that admitted.
    pub allowed: u64,
    /// Rate-limit decisions that refused.
    pub refused: u64,
    /// What FLUSHALL and the like have taken out, to be freed after the locks.
    pub garbage: Vec<Table<Entry>>,
    /// Values whose parts are so many that they are freed after the locks, in another thread.
    pub bulky: Vec<Entry>,
    /// Keys that have changed and for which somebody waits.
    ready: Option<Box<Ready>>,
}

/// Keys with their databases, each once, in the order in which they became ready.
#[derive(Debug, Default)]
struct Ready {
    order: VecDeque<(usize, Box<[u8]>)>,
    known: HashSet<(usize, Box<[u8]>)>,
}

impl Effects {
    /// No effects yet.
    pub fn new(logging: Logging) -> Effects {
        Effects { logging, ..Effects::default() }
    }

    /// Starts a command, or a transaction; the buffer of the last one is used again.
    #[inline]
    pub fn begin(&mut self, logging: Logging) {
        self.logging = logging;
        self.log.clear();
        self.commands = 0;
        self.databases = None;
        self.dirty = 0;
        self.reworded = false;
    }

    /// Starts to collect what a further command changes under the same locks.
    #[inline]
    pub fn begin_next(&mut self) {
        self.begin(self.logging);
    }

    /// Notes a key that somebody may track.
    #[cold]
    pub fn touch(&mut self, key: &[u8]) {
        if self.tracked {
            self.touched.push(Touched::Key(key.into()));
        }
    }

    /// Notes that a database was emptied.
    pub fn touch_everything(&mut self) {
        if self.tracked && self.touched.last() != Some(&Touched::Everything) {
            self.touched.push(Touched::Everything);
        }
    }

    /// Takes out what was touched.
    pub fn take_touched(&mut self) -> Vec<Touched> {
        std::mem::take(&mut self.touched)
    }

    /// Whether others have to hear of something.
    #[inline]
    pub fn has_news(&self) -> bool {
        !self.events.is_empty() | !self.touched.is_empty()
    }

    /// Whether the words of effects are written down, so that it is worth finding them.
    #[inline]
    pub fn is_written(&self) -> bool {
        self.logging == Logging::On
    }

    /// Whether the log is another node's.
    #[inline]
    pub fn is_foreign(&self) -> bool {
        self.logging == Logging::Foreign
    }

    /// Notes that a key was changed.
    #[inline]
    pub fn changed(&mut self) {
        self.dirty += 1;
    }

    /// Notes that a key has changed for which somebody waits.
    #[cold]
    pub fn is_ready(&mut self, db: usize, key: &[u8]) {
        let ready = self.ready.get_or_insert_default();
        if ready.known.insert((db, key.into())) {
            ready.order.push_back((db, key.into()));
        }
    }

    /// Whether there are such keys.
    #[inline]
    pub fn has_ready(&self) -> bool {
        self.ready.is_some()
    }

    /// All of them, in their order.
    pub fn ready(&self) -> Vec<(usize, Box<[u8]>)> {
        self.ready.iter().flat_map(|ready| ready.order.iter().cloned()).collect()
    }

    /// Forgets them: somebody else will look at them.
    pub fn forget_ready(&mut self) {
        self.ready = None;
    }

    /// Takes the first of them.
    pub fn next_ready(&mut self) -> Option<(usize, Box<[u8]>)> {
        let next = self.ready.as_mut().and_then(|ready| ready.order.pop_front());
        match (&next, &mut self.ready) {
            (Some(next), Some(ready)) => _ = ready.known.remove(next),
            _ => self.ready = None,
        }
        next
    }

    /// Frees an entry that was taken out, now or after the locks are let go.
    pub fn discard(&mut self, entry: Entry) {
        // A string is one allocation, however long, and a document too; a structure is many.
        if !matches!(entry.kind(), Kind::String | Kind::Json) && entry.heap_bytes() > BULKY_BYTES {
            self.bulky.push(entry);
        }
    }

    /// Puts a command into the log in place of the one that was sent.
    pub fn reword(&mut self, db: usize, argv: &[&[u8]]) {
        self.reworded = true;
        self.append(db, argv);
    }

    /// Puts a command into the log that comes before the one that was sent.
    pub fn append(&mut self, db: usize, argv: &[&[u8]]) {
        if self.logging == Logging::Foreign {
            return;
        }
        self.commands += 1;
        if self.logging == Logging::Off {
            return;
        }
        let (first, last) = self.databases.unwrap_or((db, db));
        if last != db {
            encode_command(&mut self.log, &[b"SELECT", db.to_string().as_bytes()]);
        }
        self.databases = Some((first, db));
        encode_command(&mut self.log, argv);
    }

    /// Ends one command, which was sent as `argv`; answers how many keys it changed.
    #[inline]
    pub fn settle(&mut self, db: usize, argv: &[&[u8]]) -> u64 {
        let dirty = std::mem::take(&mut self.dirty);
        if !std::mem::take(&mut self.reworded) && dirty > 0 {
            self.append(db, argv);
        }
        dirty
    }

    /// How many commands are in the log.
    pub fn commands(&self) -> usize {
        self.commands
    }

    /// The log, as RESP.
    pub fn log(&self) -> &[u8] {
        &self.log
    }

    /// The databases that the log expects to be selected before, and leaves selected.
    pub fn databases(&self) -> Option<(usize, usize)> {
        self.databases
    }

    /// Gives a buffer back that one large command has needed, and that an idle connection
    /// would keep.
    #[inline]
    pub fn shrink(&mut self) {
        if self.log.capacity() > KEPT_BYTES {
            self.log = Vec::new();
        }
    }
}
