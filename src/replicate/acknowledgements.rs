//! WAIT: clients that wait until followers have what was written.
//!
//! The leader asks through the log (REPLCONF GETACK), so that a follower answers once it has
//! applied everything before. Each acknowledgement that comes in is held against those who wait.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::node::{Node, Replication};
use crate::session::Session;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::waiter::{Ending, Goal, Waiter, Waiting};

/// Who waits for followers.
#[derive(Debug, Default)]
pub struct Acknowledgements {
    waiting: Mutex<Vec<Arc<Waiter>>>,
    /// How many they are, so that nobody takes the lock when there is none.
    count: AtomicUsize,
}

impl Replication {
    /// How many followers have acknowledged the log up to `offset`.
    pub fn acknowledged(&self, offset: u64) -> usize {
        self.leader.lock().acknowledged(offset)
    }

    /// Forgets one who does not wait any longer.
    pub(crate) fn forget_wait(&self, waiter: &Waiter) {
        let mut waiting = self.acknowledgements.waiting.lock();
        waiting.retain(|other| !std::ptr::eq(&raw const **other, waiter));
        self.acknowledgements.count.store(waiting.len(), Ordering::Release);
    }
}

/// Answers how many followers have what has been written so far, or has the session wait for
/// `count` of them; `until` as in [`Waiter::until`].
pub fn wait(node: &Node, session: &mut Session, count: usize, until: u64) -> Option<usize> {
    let offset = node.log.offset();
    let mut waiting = node.replication.acknowledgements.waiting.lock();
    let acknowledged = node.replication.acknowledged(offset);
    if acknowledged >= count {
        return Some(acknowledged);
    }
    let goal = Goal::Followers { offset, count };
    let waiter = node.waits.waiter(&session.client, session.protocol, until, goal);
    waiting.push(Arc::clone(&waiter));
    node.replication.acknowledgements.count.store(waiting.len(), Ordering::Release);
    session.waiting = Some(Waiting(waiter));
    drop(waiting);
    node.log.ask_how_far();
    None
}

/// Serves those who wait, after a follower has acknowledged something.
pub(super) fn acknowledged(node: &Node) {
    let all = &node.replication.acknowledgements;
    if all.count.load(Ordering::Acquire) == 0 {
        return;
    }
    for waiter in all.waiting.lock().iter() {
        if let Goal::Followers { offset, count } = waiter.goal
            && node.replication.acknowledged(offset) >= count
        {
            waiter.end(Ending::TimedOut);
        }
    }
}
