//! Clients that wait for something: for keys to have what they ask, or for followers.
//!
//! A waiter is shared by the queues in which it waits, by its client and by the connection that
//! will answer. Whoever ends the wait first decides how it ends: a writer that serves it, the
//! timer, CLIENT UNBLOCK, the end of the connection. Nothing here polls; one that waits costs
//! its memory and nothing else.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::clients::Client;
use crate::command::Command;
use crate::command::waiting::Form;
use crate::resp::reply::Protocol;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// One client that waits.
#[derive(Debug)]
pub struct Waiter {
    /// Who waits.
    pub client: Arc<Client>,
    /// How it is answered.
    pub protocol: Protocol,
    /// Until when, in unix milliseconds; `NEVER` for ever.
    pub until: u64,
    /// What it waits for.
    pub goal: Goal,
    /// Its place in every queue: who came before has a lower one.
    pub ticket: u64,
    all: Arc<AtomicUsize>,
    state: Mutex<State>,
}

/// What is waited for.
#[derive(Debug)]
pub enum Goal {
    /// That a key has something.
    Keys(Request),
    /// That so many followers have the log up to an offset.
    Followers {
        /// The offset.
        offset: u64,
        /// How many.
        count: usize,
    },
}

/// The request of one who waits for keys.
#[derive(Debug)]
pub struct Request {
    /// The database in which it was asked.
    pub db: usize,
    /// Its row.
    pub command: &'static Command,
    /// Its form.
    pub form: Form,
    /// Its arguments.
    pub argv: Box<[Box<[u8]>]>,
}

#[derive(Debug)]
enum State {
    Waiting,
    Ended(Ending),
    /// Nobody is there to be answered any more.
    Gone,
}

/// How a wait ends.
#[derive(Debug)]
pub enum Ending {
    /// With this answer, as the client's protocol has it.
    Answered(Vec<u8>),
    /// With nothing, since its time is over.
    TimedOut,
    /// By CLIENT UNBLOCK with an error.
    Unblocked,
    /// This node follows another now.
    Demoted,
    /// The stream whose group it wants to read is no longer there.
    StreamGone,
}

/// What has come of an attempt to serve a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// It has its answer.
    Done,
    /// There was nothing for it.
    NotYet,
    /// It waits no longer.
    Gone,
}

/// What the waiters of a node share.
#[derive(Debug, Default)]
pub struct Waits {
    tickets: AtomicU64,
    all: Arc<AtomicUsize>,
    /// Keys with their databases whose waiters could not be served by who changed them.
    postponed: Mutex<Vec<Placed>>,
    /// Those who have left, and stand in queues that were busy then.
    gone: Mutex<Vec<Arc<Waiter>>>,
}

/// A key with its database.
pub type Placed = (usize, Box<[u8]>);

impl Waits {
    /// A new waiter, behind all others.
    pub fn waiter(
        &self,
        client: &Arc<Client>,
        protocol: Protocol,
        until: u64,
        goal: Goal,
    ) -> Arc<Waiter> {
        self.all.fetch_add(1, Ordering::Relaxed);
        let waiter = Arc::new(Waiter {
            client: Arc::clone(client),
            protocol,
            until,
            goal,
            ticket: self.tickets.fetch_add(1, Ordering::Relaxed),
            all: Arc::clone(&self.all),
            state: Mutex::new(State::Waiting),
        });
        client.waits(&waiter);
        waiter
    }

    /// Leaves keys that have changed to a later look at who waits for them.
    pub fn postpone(&self, keys: Vec<Placed>) {
        self.postponed.lock().extend(keys);
    }

    /// Takes those keys.
    pub fn take_postponed(&self) -> Vec<Placed> {
        std::mem::take(&mut *self.postponed.lock())
    }

    /// Notes a waiter that still stands in a queue, though it waits no longer.
    pub fn left(&self, waiter: &Arc<Waiter>) {
        self.gone.lock().push(Arc::clone(waiter));
    }

    /// Takes those waiters.
    pub fn take_gone(&self) -> Vec<Arc<Waiter>> {
        std::mem::take(&mut *self.gone.lock())
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }
}

impl Waiter {
    /// Whether it still waits.
    pub fn is_waiting(&self) -> bool {
        matches!(*self.state.lock(), State::Waiting)
    }

    /// Ends the wait, if nobody has yet, and wakes the client's task; answers whether it did.
    pub fn end(&self, ending: Ending) -> bool {
        self.leave(State::Ended(ending))
    }

    /// Ends the wait because there is nobody left to answer; answers whether it had not ended
    /// before.
    pub fn abandon(&self) -> bool {
        self.leave(State::Gone)
    }

    fn leave(&self, next: State) -> bool {
        {
            let mut state = self.state.lock();
            if !matches!(*state, State::Waiting) {
                return false;
            }
            *state = next;
        }
        self.all.fetch_sub(1, Ordering::Relaxed);
        self.client.wake();
        true
    }

    /// Ends the wait with what `attempt` answers. Nobody else can end it meanwhile, so what the
    /// attempt takes out of a key is not lost.
    pub fn serve(&self, attempt: impl FnOnce() -> Option<Vec<u8>>) -> Served {
        {
            let mut state = self.state.lock();
            if !matches!(*state, State::Waiting) {
                return Served::Gone;
            }
            let Some(answer) = attempt() else { return Served::NotYet };
            *state = State::Ended(Ending::Answered(answer));
        }
        self.all.fetch_sub(1, Ordering::Relaxed);
        self.client.wake();
        Served::Done
    }

    /// How it has ended, for the connection that answers.
    pub fn ending(&self) -> Option<Ending> {
        let mut state = self.state.lock();
        match &mut *state {
            State::Ended(_) => match std::mem::replace(&mut *state, State::Gone) {
                State::Ended(ending) => Some(ending),
                State::Waiting | State::Gone => None,
            },
            State::Waiting | State::Gone => None,
        }
    }

    /// The request, of one who waits for keys.
    pub fn request(&self) -> Option<&Request> {
        match &self.goal {
            Goal::Keys(request) => Some(request),
            Goal::Followers { .. } => None,
        }
    }

    /// The key that it will write to when it is served, besides the one that it waits for.
    pub fn destination(&self) -> Option<&[u8]> {
        let request = self.request().filter(|request| request.form == Form::Move)?;
        request.argv.get(2).map(|key| &**key)
    }
}

/// A session's own wait, which ends with the session, however that ends.
#[derive(Debug)]
pub struct Waiting(pub Arc<Waiter>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
