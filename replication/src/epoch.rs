//! Epochs: which of two leaders of one history leads, and what the other did alone.
//!
//! Every promotion begins an epoch, one above that of the leader which the node followed. A node
//! that takes over while its leader is away owes it a notice: as soon as it can be reached, it is
//! told in which place of its history another one went on. An old leader that hears of a later
//! epoch of its own history is *fenced*: it takes no writes until it has followed, or is told to
//! lead again. When it follows, what it did after that place is known to be its own alone.
//!
//! A promotion while the leader is there splits a copy off, as Redis has it: nobody is fenced.
//!
//! Left out: sending the notice, and keeping what was done alone.

use std::ops::Range;

use crate::greeting::Greeting;
use crate::id::{Position, ReplicationId};

/// Why a leader takes no writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The later epoch.
    pub epoch: u64,
    /// The place in this node's history from which another went on.
    pub from: Position,
}

/// What a node that took over has to tell the old leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The epoch that began.
    pub epoch: u64,
    /// The new history, and where it began.
    pub at: Position,
    /// The same place in the old leader's history.
    pub fence: Position,
}

impl Notice {
    /// The notice as it is said.
    pub fn greeting(&self) -> Greeting {
        Greeting {
            epoch: Some(self.epoch),
            at: Some(self.at),
            fence: Some(self.fence),
            ..Greeting::default()
        }
    }
}

/// The epoch of a node, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reign {
    epoch: u64,
    fence: Option<Fence>,
    notice: Option<Notice>,
}

impl Default for Reign {
    fn default() -> Self {
        Self { epoch: 1, fence: None, notice: None }
    }
}

impl Reign {
    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Why this node takes no writes, if it leads and takes none.
    pub fn fence(&self) -> Option<Fence> {
        self.fence
    }

    /// What the old leader has yet to be told.
    pub fn notice(&self) -> Option<Notice> {
        self.notice
    }

    /// What a node tells others of itself: it is at a place, and continues another history.
    pub fn greeting(&self, at: Position, from: Option<Position>) -> Greeting {
        Greeting { epoch: Some(self.epoch), at: Some(at), from, ..Greeting::default() }
    }

    /// This node, a replica that held `old`, leads from now on under a new id; `orphaned` if its
    /// leader was away.
    pub fn promoted(&mut self, old: Position, id: ReplicationId, orphaned: bool) {
        self.lead();
        let at = Position { id, offset: old.offset };
        self.notice = orphaned.then_some(Notice { epoch: self.epoch, at, fence: old });
    }

    /// This node is told to lead, whatever it has heard.
    pub fn lead(&mut self) {
        let heard = self.fence.take().map_or(0, |fence| fence.epoch);
        self.epoch = self.epoch.max(heard).saturating_add(1);
        self.notice = None;
    }

    /// This node is told to follow. What it owed to an old leader is owed no longer.
    pub fn follows(&mut self) {
        self.notice = None;
    }

    /// This node holds what its leader had when it said this: it is of its epoch, and fenced no
    /// longer.
    pub fn followed(&mut self, leader: Option<&Greeting>) {
        self.fence = None;
        if let Some(epoch) = leader.and_then(|leader| leader.epoch) {
            self.epoch = epoch;
        }
    }

    /// Takes a notice that somebody has taken over; answers whether this node, which leads and is
    /// at `at`, is fenced by it. One of another history, or of an epoch that is not later, is none
    /// of its business.
    pub fn heard(&mut self, notice: &Greeting, at: Position) -> bool {
        let (Some(epoch), Some(from)) = (notice.epoch, notice.fence) else { return false };
        if from.id != at.id || epoch <= self.epoch {
            return false;
        }
        // Of several who took over, the latest counts.
        if self.fence.is_none_or(|fence| fence.epoch < epoch) {
            self.fence = Some(Fence { epoch, from });
        }
        true
    }

    /// The old leader's answer: it knows, or it is none.
    pub fn told(&mut self, notice: Notice) {
        self.notice = self.notice.filter(|owed| *owed != notice);
    }
}

/// What a node did alone that is at `at` and now follows a leader that said this: bytes of its own
/// history which the leader's does not continue. Nothing, if the leader's history is none that went
/// on from this node's.
pub fn alone(at: Position, leader: &Greeting) -> Option<Range<u64>> {
    let common = leader.from.filter(|from| from.id == at.id)?.offset;
    (common < at.offset).then_some(common..at.offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(byte: u8, offset: u64) -> Position {
        Position { id: ReplicationId::from_random([byte; 20]), offset }
    }

    #[test]
    fn an_old_leader_is_fenced_by_the_epoch_that_followed_its_own() {
        let mut old = Reign::default();
        let mut new = Reign::default();
        new.followed(Some(&old.greeting(at(1, 100), None)));
        new.promoted(at(1, 90), at(2, 0).id, true);
        let notice = new.notice().unwrap();
        assert_eq!((new.epoch(), notice.at, notice.fence), (2, at(2, 90), at(1, 90)));
        assert!(!old.heard(&notice.greeting(), at(3, 100)), "another history");
        assert!(old.heard(&notice.greeting(), at(1, 100)));
        assert!(old.heard(&notice.greeting(), at(1, 120)), "again");
        assert_eq!(old.fence(), Some(Fence { epoch: 2, from: at(1, 90) }));
        new.told(notice);
        assert_eq!(new.notice(), None);
        let told = new.greeting(at(2, 500), Some(at(1, 90)));
        assert_eq!(alone(at(1, 120), &told), Some(90..120));
        assert_eq!((alone(at(1, 90), &told), alone(at(3, 120), &told)), (None, None));
        old.followed(Some(&told));
        assert_eq!((old.epoch(), old.fence()), (2, None));
    }

    #[test]
    fn whoever_is_told_to_lead_does() {
        let mut old = Reign::default();
        let notice = Notice { epoch: 5, at: at(2, 9), fence: at(1, 9) };
        assert!(old.heard(&notice.greeting(), at(1, 9)));
        old.lead();
        assert_eq!((old.epoch(), old.fence()), (6, None));
        assert!(!old.heard(&notice.greeting(), at(1, 9)), "no longer later");
    }

    #[test]
    fn a_copy_that_splits_off_fences_nobody() {
        let mut copy = Reign::default();
        copy.promoted(at(1, 9), at(2, 0).id, false);
        assert_eq!((copy.epoch(), copy.notice()), (2, None));
        copy.promoted(at(2, 9), at(3, 0).id, true);
        copy.follows();
        assert_eq!(copy.notice(), None);
        // A redis-server says nothing of epochs.
        copy.followed(None);
        assert_eq!(copy.epoch(), 3);
    }

    #[test]
    fn a_greeting_without_a_fence_is_no_notice() {
        let mut reign = Reign::default();
        let greeting = Greeting { epoch: Some(9), at: Some(at(1, 9)), ..Greeting::default() };
        assert!(!reign.heard(&greeting, at(1, 9)) && reign.fence().is_none());
    }
}
