//! What makes a command take the long way: conditions so rare that all of them together are
//! one question before each command.

use std::sync::atomic::{AtomicU32, Ordering};

use bitflags::bitflags;

bitflags! {
    /// Rare conditions of the whole node, and of one session.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Rare: u32 {
        /// Node: somebody watches by MONITOR.
        const MONITORED = 1;
        /// Node: CLIENT PAUSE holds what writes.
        const HOLDS_WRITES = 1 << 1;
        /// Node: CLIENT PAUSE holds everything.
        const HOLDS_ALL = 1 << 2;
        /// Node: fewer replicas follow than `min-replicas-to-write` asks for.
        const FEW_REPLICAS = 1 << 3;
        /// Session: it watches by MONITOR.
        const MONITORS = 1 << 8;
        /// Session: CLIENT NO-TOUCH.
        const NO_TOUCH = 1 << 9;
        /// Session: CLIENT REPLY OFF.
        const REPLY_OFF = 1 << 10;
        /// Session: CLIENT REPLY SKIP has been said, the next reply is left out.
        const REPLY_SKIP_NEXT = 1 << 11;
        /// Session: the present reply is left out.
        const REPLY_SKIP = 1 << 12;
        /// Session: something of it is elsewhere, and what comes behind waits.
        const ELSEWHERE = 1 << 13;
        /// Session: it has seen what this replica may not have applied yet.
        const BEHIND = 1 << 14;
        /// Session: it has waited for that in vain, so its reads are for the leader.
        const TO_LEADER = 1 << 15;
        /// Session: how far that is, only the leader knows.
        const MARK_UNKNOWN = 1 << 16;
    }
}

impl Rare {
    /// What leaves replies out.
    pub const SILENT: Rare = Rare::REPLY_OFF.union(Rare::REPLY_SKIP_NEXT).union(Rare::REPLY_SKIP);
    /// What makes a session other than one that only talks to this node.
    pub const APART: Rare = Rare::ELSEWHERE.union(Rare::BEHIND);
}

/// The conditions of the node, which every worker looks at.
#[derive(Debug, Default)]
pub struct RareCell(AtomicU32);

impl RareCell {
    /// Those that hold.
    #[inline]
    pub fn get(&self) -> Rare {
        Rare::from_bits_retain(self.0.load(Ordering::Relaxed))
    }

    /// Says that a condition holds.
    pub fn set(&self, rare: Rare) {
        self.0.fetch_or(rare.bits(), Ordering::SeqCst);
    }

    /// Says that a condition holds no more.
    pub fn clear(&self, rare: Rare) {
        self.0.fetch_and(!rare.bits(), Ordering::SeqCst);
    }
}
