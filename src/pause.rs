//! CLIENT PAUSE: for a while, commands wait that write, or all of them.
//!
//! A command that waits has not happened: its session is `held`, and its connection sleeps until
//! it is woken and then asks again. While the pause lasts, nothing that this node would do to
//! keys by itself is done either: no expiry, no eviction, no command of the leader's stream.
//!
//! A failover holds writes for reasons of its own, which CLIENT UNPAUSE does not end.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock;
use crate::node::Node;
use crate::rare::Rare;

/// The pause of a node, if there is one.
#[derive(Debug, Default)]
pub struct Pause {
    held: Mutex<Held>,
    /// Told when that changes.
    changed: Notify,
}

/// Who holds what.
#[derive(Debug, Default)]
struct Held {
    /// Until when clients asked for it, in unix milliseconds; 0 if none has.
    end: u64,
    /// Whether a failover is under way.
    failover: bool,
}

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// What writes, or may make replicas do so.
    Writes,
    /// Everything.
    All,
}

impl Pause {
    /// Whether a pause lasts. It may be over and not have been ended yet.
    #[inline]
    pub fn lasts(node: &Node) -> bool {
        node.rare.get().intersects(Rare::HOLDS_WRITES | Rare::HOLDS_ALL)
    }

    /// Begins a pause, or makes one longer and stricter, as Redis does.
    pub fn begin(node: &Node, holds: Holds, until: u64) {
        let mut held = node.pause.held.lock();
        held.end = until.max(held.end);
        node.rare.set(match holds {
            Holds::Writes => Rare::HOLDS_WRITES,
            Holds::All => Rare::HOLDS_WRITES | Rare::HOLDS_ALL,
        });
        node.pause.changed.notify_one();
    }

    /// Ends the pause and wakes those who wait, unless a failover still holds them.
    pub fn end(node: &Node) {
        Pause::change(node, |held| held.end = 0);
    }

    /// Holds writes until the failover is over.
    pub fn hold_for_failover(node: &Node) {
        let mut held = node.pause.held.lock();
        held.failover = true;
        node.rare.set(Rare::HOLDS_WRITES);
    }

    /// Ends what a failover holds, unless clients have asked for a pause that is not over.
    pub fn release_failover(node: &Node) {
        Pause::change(node, |held| held.failover = false);
    }

    fn change(node: &Node, change: impl FnOnce(&mut Held)) {
        let mut held = node.pause.held.lock();
        change(&mut held);
        if held.end == 0 {
            node.rare.clear(Rare::HOLDS_ALL);
            if !held.failover {
                node.rare.clear(Rare::HOLDS_WRITES);
            }
        }
        drop(held);
        node.clients.list().iter().for_each(|client| client.wake());
    }

    /// Ends the pause if its time is over.
    pub fn end_if_over(node: &Node) {
        let end = node.pause.held.lock().end;
        if end > 0 && clock::unix_ms() >= end {
            Pause::end(node);
        }
    }
}

/// Ends pauses when their time is over, until the node stops.
pub async fn run(node: Arc<Node>) {
    loop {
        let left = match node.pause.held.lock().end {
            0 => Duration::from_hours(1),
            end => Duration::from_millis(end.saturating_sub(clock::unix_ms())),
        };
        tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return Pause::end(&node),
            () = node.pause.changed.notified() => {}
            () = tokio::time::sleep(left) => Pause::end_if_over(&node),
        }
    }
}
