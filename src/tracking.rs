//! Client-side caching: who has to hear when a key changes.
//!
//! A client that tracks keeps copies of what it reads. A read of such a client notes the key
//! under the reader's id, while the key's lock is still held; the write that changes the key
//! takes the note and sends an invalidation. In broadcast mode nothing is noted: a client hears
//! of every key that begins with one of its prefixes. Writers look at one flag of theirs, which
//! is off as long as nobody has ever tracked. As in Redis, keys are known by their names alone,
//! whatever their database.
//!
//! Left out on purpose: what the client sees of its own mode, see `command::tracking`.

mod post;
mod prefixes;
mod table;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use bitflags::bitflags;
use parking_lot::Mutex;

use crate::clients::Client;
use crate::command::{Argv, Command};
use crate::keyspace::effects::Touched;
use crate::node::Node;
use crate::session::Session;
use post::Post;
use prefixes::Prefixes;
use table::Notes;

/// The channel on which clients that speak RESP2 hear of changes.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// Notes that are given up at once when there are too many.
const AT_ONCE: usize = 100;

bitflags! {
    /// How a client tracks.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Mode: u8 {
        /// It does.
        const ON = 1;
        /// It hears of every key with one of its prefixes, and not of what it has read.
        const BROADCAST = 1 << 1;
        /// It does not hear of its own writes.
        const NO_LOOP = 1 << 2;
        /// The client that was to hear in its place has gone.
        const BROKEN = 1 << 3;
        /// Only what is read after CLIENT CACHING YES is noted.
        const OPT_IN = 1 << 4;
        /// What is read after CLIENT CACHING NO is not noted.
        const OPT_OUT = 1 << 5;
    }
}

/// What others have to know of a client that tracks; a part of [`Client`].
#[derive(Debug, Default)]
pub struct Standing {
    mode: AtomicU8,
    redirect: AtomicU64,
}

impl Standing {
    /// How it tracks.
    pub fn mode(&self) -> Mode {
        Mode::from_bits_truncate(self.mode.load(Ordering::Acquire))
    }

    /// The client that hears in its place; 0 is nobody.
    pub fn redirect(&self) -> u64 {
        self.redirect.load(Ordering::Acquire)
    }

    fn set(&self, mode: Mode, redirect: u64) {
        self.redirect.store(redirect, Ordering::Release);
        self.mode.store(mode.bits(), Ordering::Release);
    }

    fn set_broken(&self) {
        self.mode.fetch_or(Mode::BROKEN.bits(), Ordering::AcqRel);
    }
}

/// What a session that tracks keeps of it.
#[derive(Debug, Default)]
pub struct Interest {
    /// Whether CLIENT CACHING was said of the next command, or transaction.
    pub caching: bool,
    /// The prefixes of broadcast mode.
    pub prefixes: BTreeSet<Box<[u8]>>,
}

/// Who tracks what; see the module's description.
#[derive(Debug, Default)]
pub struct Tracking {
    /// Whether a write may concern anybody.
    on: AtomicBool,
    /// Clients that track; held while `on` changes.
    clients: Mutex<usize>,
    notes: Notes,
    prefixes: Prefixes,
}

impl Tracking {
    /// Whether a write may concern anybody.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Clients that track.
    pub fn clients(&self) -> usize {
        *self.clients.lock()
    }

    /// Keys that are noted.
    pub fn keys(&self) -> usize {
        self.notes.keys()
    }

    /// Readers that are noted, of all keys.
    pub fn items(&self) -> usize {
        self.notes.items()
    }

    /// Prefixes that somebody wants to hear of.
    pub fn prefixes(&self) -> usize {
        self.prefixes.len()
    }

    /// Lets `session` track from now on, or otherwise than before.
    pub fn enable(&self, session: &mut Session, mode: Mode, redirect: u64, prefixes: Argv<'_>) {
        if session.tracking.is_none() {
            let mut clients = self.clients.lock();
            *clients += 1;
            self.on.store(true, Ordering::Release);
        }
        let id = session.client.id;
        let interest = session.tracking.get_or_insert_default();
        for prefix in prefixes {
            if interest.prefixes.insert((*prefix).into()) {
                self.prefixes.add(prefix, id);
            }
        }
        session.client.tracking.set(mode | Mode::ON, redirect);
    }

    /// Lets `session` track no more. What it has read stays noted until it changes.
    pub fn disable(&self, session: &mut Session) {
        let Some(interest) = session.tracking.take() else { return };
        for prefix in &interest.prefixes {
            self.prefixes.remove(prefix, session.client.id);
        }
        session.client.tracking.set(Mode::empty(), 0);
        let mut clients = self.clients.lock();
        *clients = clients.saturating_sub(1);
        self.rest(*clients);
    }

    /// Concerns nobody any more once nobody tracks and nothing is noted.
    fn rest(&self, clients: usize) {
        if clients == 0 && self.notes.keys() == 0 {
            self.on.store(false, Ordering::Release);
        }
    }

    /// Notes what a command of a client that tracks has read. The locks of its keys are still
    /// held, so nothing has changed since.
    #[cold]
    pub fn remember(&self, node: &Node, session: &Session, command: &Command, argv: Argv<'_>) {
        let Some(interest) = &session.tracking else { return };
        let mode = session.client.tracking.mode();
        let unwanted = (mode.contains(Mode::OPT_IN) && !interest.caching)
            || (mode.contains(Mode::OPT_OUT) && interest.caching);
        if unwanted || mode.contains(Mode::BROADCAST) || !command.reads() {
            return;
        }
        let id = session.client.id;
        for at in command.keys.positions(argv) {
            self.notes.add(argv[at], id, |id| node.clients.get(id).is_some());
        }
        let most = node.config.load().tracking_table_max_keys;
        self.keep_to(node, usize::try_from(most).unwrap_or(usize::MAX));
    }

    /// Gives up notes while there are more than `most`; 0 is no bound. Those who have read the
    /// keys hear that they are not told of a change any more.
    fn keep_to(&self, node: &Node, most: usize) {
        if most == 0 || self.notes.keys() <= most {
            return;
        }
        let post = Post::new(node, 0);
        for _ in 0..AT_ONCE {
            let Some((key, readers)) = self.notes.take_any() else { return };
            readers.iter().for_each(|id| post.invalidate(*id, &key));
            if self.notes.keys() <= most {
                return;
            }
        }
    }

    /// Tells of what the client `author` has changed, or nobody's own hand when it is 0.
    #[cold]
    pub fn invalidate(&self, node: &Node, author: u64, touched: &[Touched]) {
        let post = Post::new(node, author);
        for touched in touched {
            match touched {
                Touched::Key(key) => {
                    for id in self.notes.take(key) {
                        post.invalidate(id, key);
                    }
                }
                Touched::Everything => {
                    self.notes.clear();
                    post.flushed();
                }
            }
        }
        self.prefixes.broadcast(&post, touched);
        if self.notes.keys() == 0 {
            self.rest(*self.clients.lock());
        }
    }

    /// Tells that the whole data set is another one.
    pub fn flush(&self, node: &Node) {
        if self.is_on() {
            self.invalidate(node, 0, &[Touched::Everything]);
        }
    }
}

/// The letters of CLIENT LIST for how a client tracks.
pub fn letters(client: &Client) -> &'static str {
    let mode = client.tracking.mode();
    match (mode.contains(Mode::BROKEN), mode.contains(Mode::BROADCAST)) {
        _ if !mode.contains(Mode::ON) => "",
        (false, false) => "t",
        (true, false) => "tR",
        (false, true) => "tB",
        (true, true) => "tRB",
    }
}

/// The client that hears in its place, as CLIENT GETREDIR tells it.
pub fn shown_redirect(client: &Client) -> i64 {
    if client.tracking.mode().contains(Mode::ON) {
        i64::try_from(client.tracking.redirect()).unwrap_or(i64::MAX)
    } else {
        -1
    }
}
