//! CLIENT PAUSE: for a while, commands wait that write, or all of them.
//!
//! A command that waits has not happened: its session is `held`, and its connection sleeps until
//! it is woken and then asks again. While the pause lasts, nothing that this node would do to
//! keys by itself is done either: no expiry, no eviction, no command of the leader's stream.

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
    /// Until when, in unix milliseconds; 0 while there is none.
    end: Mutex<u64>,
    /// Told when that changes.
    changed: Notify,
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
        let mut end = node.pause.end.lock();
        *end = until.max(*end);
        node.rare.set(match holds {
            Holds::Writes => Rare::HOLDS_WRITES,
            Holds::All => Rare::HOLDS_WRITES | Rare::HOLDS_ALL,
        });
        node.pause.changed.notify_one();
    }

    /// Ends the pause and wakes those who wait.
    pub fn end(node: &Node) {
        let mut end = node.pause.end.lock();
        *end = 0;
        node.rare.clear(Rare::HOLDS_WRITES | Rare::HOLDS_ALL);
        drop(end);
        node.clients.list().iter().for_each(|client| client.wake());
    }

    /// Ends the pause if its time is over.
    pub fn end_if_over(node: &Node) {
        let end = *node.pause.end.lock();
        if end > 0 && clock::unix_ms() >= end {
            Pause::end(node);
        }
    }
}

/// Ends pauses when their time is over, until the node stops.
pub async fn run(node: Arc<Node>) {
    loop {
        let left = match *node.pause.end.lock() {
            0 => Duration::from_hours(1),
            end => Duration::from_millis(end.saturating_sub(clock::unix_ms())),
        };
        tokio::select! {
            () = node.shutdown.cancelled() => return Pause::end(&node),
            () = node.pause.changed.notified() => {}
            () = tokio::time::sleep(left) => Pause::end_if_over(&node),
        }
    }
}
