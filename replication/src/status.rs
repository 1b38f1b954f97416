//! What INFO and ROLE tell about replication, as plain data.
//!
//! Left out: the texts themselves, which are the server's.

use crate::follower::{Follower, FollowerId, FollowerState};
use crate::id::Position;
use crate::leader::SyncCounters;

/// A node as seen by those who follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderStatus {
    /// `master_replid` and `master_repl_offset`.
    pub position: Position,
    /// `master_replid2` and, one less than Redis prints, `second_repl_offset`.
    pub second: Option<Position>,
    /// `repl_backlog_size`, in bytes.
    pub backlog_size: u64,
    /// Offset of the oldest byte held, one less than `repl_backlog_first_byte_offset`; `None`
    /// while the backlog is inactive.
    pub backlog_start: Option<u64>,
    /// Bytes of memory taken by the backlog.
    pub backlog_memory: u64,
    /// Everyone who has asked to follow, by id.
    pub followers: Vec<FollowerStatus>,
    /// Counters since the start.
    pub counters: SyncCounters,
}

impl LeaderStatus {
    /// `repl_backlog_histlen`: bytes of history held.
    pub fn backlog_len(&self) -> u64 {
        self.backlog_start.map_or(0, |start| self.position.offset.saturating_sub(start))
    }
}

/// One `slaveN` line of INFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowerStatus {
    /// The connection.
    pub id: FollowerId,
    /// The announced address, or the connection's.
    pub address: String,
    /// The announced port; 0 if none was.
    pub port: u16,
    /// Its state; INFO prints [`FollowerState::name`].
    pub state: FollowerState,
    /// Offset that it has acknowledged.
    pub acked: u64,
    /// Offset after the last byte given to its connection.
    pub sent: u64,
    /// Milliseconds since its last sign of life; INFO prints whole seconds.
    pub lag_ms: u64,
}

impl FollowerStatus {
    pub(crate) fn of(id: FollowerId, follower: &Follower, now_ms: u64) -> Self {
        Self {
            id,
            address: follower.announced.clone().unwrap_or_else(|| follower.peer.clone()),
            port: follower.port,
            state: follower.state,
            acked: follower.acked,
            sent: follower.sent,
            lag_ms: now_ms.saturating_sub(follower.seen_ms),
        }
    }
}
