//! Scripts that take long: who runs, for how long, and whether it may still be ended.
//!
//! Most scripts end before anybody hears of them. One that is still running after `NOTICE` gets
//! an entry here, by which SCRIPT KILL finds it, and hands the other tasks of its worker to
//! another thread, so that a node with one worker answers too. Once it has run for
//! `busy-reply-threshold`, whoever wants what it holds is told BUSY.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::clock;
use crate::fault::Fault;
use crate::keyspace::locks::Contended;
use crate::limits::LOCK_SPINS;
use crate::node::Node;

/// How long a script runs before it is noticed.
const NOTICE: Duration = Duration::from_millis(5);

/// Looks after which the worker's tasks are handed on again, should nobody have taken them.
const ASIDE_EVERY: u32 = 64;

/// How long a worker waits for another thread to take its tasks.
const HANDED_ON: Duration = Duration::from_millis(20);

/// What is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// EVAL and its kin.
    Script,
    /// FCALL.
    Function,
}

impl Kind {
    /// What errors call its text.
    pub const fn source(self) -> &'static str {
        match self {
            Kind::Script => "@user_script",
            Kind::Function => "@user_function",
        }
    }

    /// What clients are told that want what it holds.
    pub const fn busy(self) -> Fault {
        match self {
            Kind::Script => Fault::new(
                "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN \
                 NOSAVE.",
            ),
            Kind::Function => Fault::new(
                "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN \
                 NOSAVE.",
            ),
        }
    }
}

/// A script that has been noticed.
#[derive(Debug)]
pub struct Running {
    /// What it is.
    pub kind: Kind,
    /// The function's name; empty for a script.
    pub name: String,
    /// How it was called.
    pub command: Vec<Box<[u8]>>,
    /// When it was first looked at.
    pub since: Instant,
    slow: AtomicBool,
    fate: Mutex<Fate>,
}

#[derive(Debug, Default)]
struct Fate {
    wrote: bool,
    killed: bool,
}

/// The scripts of a node that take long.
#[derive(Debug, Default)]
pub struct Busy {
    /// Held by the one script that may take further locks while it holds some.
    turn: Mutex<()>,
    running: Mutex<Vec<Arc<Running>>>,
    /// How many of these are beyond the threshold.
    slow: AtomicUsize,
}

impl Busy {
    /// The turn of a script that may want keys which it has not declared.
    ///
    /// # Errors
    /// When it is another's for longer than a moment.
    pub fn turn(&self) -> Result<MutexGuard<'_, ()>, Contended> {
        for _ in 0..LOCK_SPINS {
            if let Some(turn) = self.turn.try_lock() {
                return Ok(turn);
            }
            std::hint::spin_loop();
        }
        Err(Contended)
    }

    /// What to tell a client that wants what is locked, if a script is the likely reason.
    #[inline]
    pub fn reason(&self) -> Option<Fault> {
        if self.slow.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let running = self.running.lock();
        let slow = running.iter().find(|running| running.slow.load(Ordering::Relaxed));
        slow.map(|running| running.kind.busy())
    }

    /// The script or function that has been running for longest.
    pub fn longest(&self) -> Option<Arc<Running>> {
        self.running.lock().first().cloned()
    }

    /// Ends every running script of a kind that has written nothing.
    ///
    /// # Errors
    /// Why none was ended.
    pub fn kill(&self, kind: Kind) -> Result<(), Fault> {
        let running = self.running.lock();
        if running.is_empty() {
            return Err(Fault::new("NOTBUSY No scripts in execution right now."));
        }
        let mut refusal = None;
        let mut killed = false;
        for running in running.iter() {
            if running.kind != kind {
                refusal = Some(running.kind.busy());
                continue;
            }
            let mut fate = running.fate.lock();
            if fate.wrote {
                refusal = Some(Fault::new(
                    "UNKILLABLE Sorry the script already executed write commands against the \
                     dataset. You can either wait the script termination or kill the server in a \
                     hard way using the SHUTDOWN NOSAVE command.",
                ));
                continue;
            }
            fate.killed = true;
            killed = true;
        }
        match refusal {
            Some(refusal) if !killed => Err(refusal),
            _ => Ok(()),
        }
    }
}

/// How a script that is running gets on.
#[derive(Debug)]
pub struct Pace<'n> {
    node: &'n Node,
    kind: Kind,
    wrote: bool,
    first: Option<Instant>,
    looks: u32,
    running: Option<Arc<Running>>,
}

/// What a look at the time has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The script goes on.
    Goes,
    /// It has been ended.
    Killed,
}

impl<'n> Pace<'n> {
    /// Of a script that is about to start.
    pub fn new(node: &'n Node, kind: Kind) -> Pace<'n> {
        Pace { node, kind, wrote: false, first: None, looks: 0, running: None }
    }

    /// Looks at the time; `command` and `name` are what to call the script.
    pub fn look(&mut self, command: &[&[u8]], name: &str) -> Verdict {
        let now = clock::instant();
        let first = *self.first.get_or_insert(now);
        let lasted = now.saturating_duration_since(first);
        if lasted < NOTICE {
            return Verdict::Goes;
        }
        if self.looks.is_multiple_of(ASIDE_EVERY) {
            step_aside();
        }
        self.looks = self.looks.wrapping_add(1);
        let wrote = self.wrote;
        let running = self.running.get_or_insert_with(|| {
            let running = Arc::new(Running {
                kind: self.kind,
                name: name.to_owned(),
                command: command.iter().map(|argument| Box::from(*argument)).collect(),
                since: first,
                slow: AtomicBool::new(false),
                fate: Mutex::new(Fate { wrote, killed: false }),
            });
            self.node.scripts.busy.running.lock().push(Arc::clone(&running));
            running
        });
        let threshold = self.node.config.load().busy_reply_threshold;
        if threshold > 0
            && lasted >= Duration::from_millis(threshold)
            && !running.slow.swap(true, Ordering::Relaxed)
        {
            self.node.scripts.busy.slow.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("a script has been running for {} ms", lasted.as_millis());
        }
        self.verdict()
    }

    /// Whether the script has been ended, or the node.
    pub fn verdict(&self) -> Verdict {
        match &self.running {
            Some(running) if running.fate.lock().killed || self.node.shutdown.is_cancelled() => {
                Verdict::Killed
            }
            _ => Verdict::Goes,
        }
    }

    /// Notes that the script is about to write, from when on it cannot be ended.
    pub fn writes(&mut self) -> Verdict {
        if !self.wrote {
            if let Some(running) = &self.running {
                let mut fate = running.fate.lock();
                if fate.killed {
                    return Verdict::Killed;
                }
                fate.wrote = true;
            }
            self.wrote = true;
        }
        Verdict::Goes
    }

    /// Whether the script has written.
    pub fn has_written(&self) -> bool {
        self.wrote
    }
}

impl Drop for Pace<'_> {
    fn drop(&mut self) {
        let Some(mine) = self.running.take() else { return };
        let busy = &self.node.scripts.busy;
        busy.running.lock().retain(|running| !Arc::ptr_eq(running, &mine));
        if mine.slow.load(Ordering::Relaxed) {
            busy.slow.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Hands the other tasks of this worker to another thread, if the runtime can: it takes this
/// worker's place for good, and this thread ends with the task that it is running.
///
/// tokio takes a worker's place back when nobody has taken it by the end of the closure. A task
/// of our own says when somebody has.
fn step_aside() {
    let Ok(runtime) = Handle::try_current() else { return };
    if runtime.runtime_flavor() != RuntimeFlavor::MultiThread {
        return;
    }
    let taken = Arc::new(AtomicBool::new(false));
    tokio::task::block_in_place(|| {
        let (told, waiting) = (Arc::clone(&taken), std::thread::current());
        runtime.spawn(async move {
            told.store(true, Ordering::Release);
            waiting.unpark();
        });
        let start = clock::instant();
        while !taken.load(Ordering::Acquire) && start.elapsed() < HANDED_ON {
            std::thread::park_timeout(Duration::from_millis(1));
        }
    });
}
