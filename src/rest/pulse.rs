//! What an HTTP/1.1 connection is doing, and how long it may.
//!
//! hyper's own timer for heads also counts the time between two requests, sets up a timer for
//! each request, and knows nothing of clients that do not read. The watch here looks at the
//! connection after each step of hyper's: what is it waiting for, since when, and is that too
//! long. A connection that waits for nothing but its own command is left alone.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock;
use crate::node::Node;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For the head of a request, and for the first sign of the first one.
    pub(super) head: Duration,
    /// Between two requests, and for taking any of an answer.
    pub(super) idle: Duration,
}

impl Patience {
    pub(super) fn of(node: &Node) -> Patience {
        let config = node.config.load();
        Patience {
            head: Duration::from_millis(config.rest_header_timeout_ms),
            idle: Duration::from_secs(u64::from(config.rest_idle_timeout)),
        }
    }
}

/// What a connection is doing. The stream and the requests write it down, the watch reads it;
/// all of them are one task.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// See `IDLE`, `HEAD` and `BUSY`.
    pub(super) phase: AtomicU8,
    /// Requests answered.
    answered: AtomicU64,
    /// Bytes written.
    pub(super) written: AtomicU64,
    /// Whether the client has left so much unread that nothing more can be written.
    pub(super) blocked: AtomicBool,
}

/// Waiting for a request.
pub(super) const IDLE: u8 = 0;
/// A part of its head has come.
pub(super) const HEAD: u8 = 1;
/// It is being answered.
const BUSY: u8 = 2;

/// What the watch compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Beat {
    phase: u8,
    answered: u64,
    written: u64,
    blocked: bool,
}

impl Pulse {
    pub(super) fn begin(&self) -> Busy<'_> {
        self.phase.store(BUSY, Ordering::Relaxed);
        Busy(self)
    }

    fn beat(&self) -> Beat {
        let blocked = self.blocked.load(Ordering::Relaxed);
        Beat {
            phase: self.phase.load(Ordering::Relaxed),
            answered: self.answered.load(Ordering::Relaxed),
            // As long as the client takes its answers, how much it takes is no news.
            written: if blocked { self.written.load(Ordering::Relaxed) } else { 0 },
            blocked,
        }
    }

    /// Counts requests that were answered without being marked as such.
    pub(super) fn add_answered(&self, requests: u64) {
        self.answered.fetch_add(requests, Ordering::Relaxed);
    }

    pub(super) fn is_idle(&self) -> bool {
        let beat = self.beat();
        beat.phase != BUSY && !beat.blocked
    }
}

/// Marks a request as being answered, until it is dropped.
pub(super) struct Busy<'a>(&'a Pulse);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.phase.store(IDLE, Ordering::Relaxed);
        self.0.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Marks an answer that goes on as one, until it is dropped.
#[derive(Debug)]
pub(super) struct Streaming(Arc<Pulse>);

impl Streaming {
    pub(super) fn new(pulse: Arc<Pulse>) -> Streaming {
        pulse.phase.store(BUSY, Ordering::Relaxed);
        Streaming(pulse)
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.0.phase.store(IDLE, Ordering::Relaxed);
        self.0.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// How long a connection is silent before what reads requests is put away: longer than the gaps
/// of a client that is at work.
const PARKED_AFTER: Duration = Duration::from_secs(1);

/// What a connection comes to that goes on as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its client has taken too long.
    Cut,
    /// It has been silent for a while, and may be for long.
    Park,
}

/// Ends a connection whose client takes too long.
#[derive(Debug)]
pub(super) struct Watch {
    patience: Patience,
    seen: Option<Beat>,
    since: Instant,
    /// When the timer fires. It is moved forward only when it has fired, not with every request.
    armed: Instant,
    timer: Pin<Box<Sleep>>,
    /// Plain requests that were answered when the timer was set for a silence to end them.
    quiet: u64,
    /// Whether that timer knows whom to wake.
    known: bool,
}

impl Watch {
    pub(super) fn new(patience: Patience) -> Watch {
        let now = Instant::from_std(clock::instant());
        let armed = now + patience.head;
        let timer = Box::pin(sleep_until(armed));
        Watch { patience, seen: None, since: now, armed, timer, quiet: 0, known: false }
    }

    /// Begins to listen for a silence among plain requests, of which so many are `answered`.
    pub(super) fn begin_quiet(&mut self, answered: u64) {
        (self.quiet, self.known) = (answered, false);
        self.arm(Instant::from_std(clock::instant()) + PARKED_AFTER);
    }

    /// Ready when no more than those `answered` have been for a second, or up to two: the clock is
    /// read only when the timer has fired, and not with every request.
    #[inline]
    pub(super) fn poll_quiet(&mut self, answered: u64, context: &mut Context<'_>) -> Poll<()> {
        if self.known && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        self.look_for_quiet(answered, context)
    }

    #[cold]
    fn look_for_quiet(&mut self, answered: u64, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.timer.as_mut().poll(context).is_pending() {
                self.known = true;
                return Poll::Pending;
            }
            if self.quiet == answered {
                return Poll::Ready(());
            }
            self.begin_quiet(answered);
        }
    }

    /// Takes a connection that has fallen silent for one that was so since its last request, as
    /// far as that is known.
    pub(super) fn end_quiet(&mut self, pulse: &Pulse) {
        self.seen = Some(pulse.beat());
        self.since = self.armed - PARKED_AFTER;
    }

    /// Ready when there is something to be done about the client. One that is parked is not
    /// parked again.
    pub(super) fn poll(
        &mut self,
        pulse: &Pulse,
        parked: bool,
        context: &mut Context<'_>,
    ) -> Poll<Verdict> {
        let beat = pulse.beat();
        if self.seen != Some(beat) {
            self.seen = Some(beat);
            self.since = Instant::from_std(clock::instant());
        }
        let (patience, verdict) = match beat {
            Beat { blocked: true, .. } => (self.patience.idle, Verdict::Cut),
            Beat { phase: BUSY, .. } => return Poll::Pending,
            Beat { phase: HEAD, .. } | Beat { answered: 0, .. } => {
                (self.patience.head, Verdict::Cut)
            }
            _ if parked || self.patience.idle <= PARKED_AFTER => (self.patience.idle, Verdict::Cut),
            _ => (PARKED_AFTER, Verdict::Park),
        };
        let deadline = self.since + patience;
        loop {
            if deadline < self.armed {
                self.arm(deadline);
            }
            ready!(self.timer.as_mut().poll(context));
            if deadline <= self.armed {
                return Poll::Ready(verdict);
            }
            self.arm(deadline);
        }
    }

    fn arm(&mut self, at: Instant) {
        self.armed = at;
        self.timer.as_mut().reset(at);
    }
}
