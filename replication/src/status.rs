//! What INFO and ROLE tell about replication, as plain data.
//!
//! Left out: the texts themselves, which are the server's.

use crate::follower::{Follower, FollowerId, FollowerState};
use crate::greeting::Greeting;
use crate::id::Position;
use crate::leader::SyncCounters;
use crate::replica::LinkError;

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
    /// What it told of itself; nothing if it is no Eave node.
    pub greeting: Option<Greeting>,
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
            greeting: follower.greeting.clone(),
        }
    }
}

/// A replica's link, as ROLE names its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It will connect when the time for the next try has come.
    Connect,
    /// It is connecting.
    Connecting,
    /// It introduces itself.
    Handshake,
    /// It awaits the leader's decision, receives a snapshot, or installs it.
    Sync,
    /// It follows the stream.
    Connected,
}

impl LinkState {
    /// The word that ROLE prints.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Connecting => "connecting",
            Self::Handshake => "handshake",
            Self::Sync => "sync",
            Self::Connected => "connected",
        }
    }
}

/// How much of a snapshot has arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PayloadProgress {
    /// Bytes received (`master_sync_read_bytes`).
    pub received: u64,
    /// Bytes announced, if the leader told (`master_sync_total_bytes`).
    pub total: Option<u64>,
}

/// A replica as INFO and ROLE show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// The link; `master_link_status` is up if it is [`LinkState::Connected`].
    pub state: LinkState,
    /// The applied prefix of the leader's history (`slave_repl_offset`), if there is one.
    pub position: Option<Position>,
    /// Offset after the last byte received (`slave_read_repl_offset`).
    pub received: u64,
    /// Milliseconds since the leader was last heard (`master_last_io_seconds_ago`).
    pub heard_ago_ms: u64,
    /// Milliseconds since the link broke (`master_link_down_since_seconds`); `None` while it
    /// is up.
    pub down_for_ms: Option<u64>,
    /// The snapshot being received (`master_sync_in_progress`).
    pub payload: Option<PayloadProgress>,
    /// Milliseconds until the next try to connect, if one is due.
    pub retry_in_ms: Option<u64>,
    /// Why the link broke last; `None` while it is up.
    pub last_error: Option<LinkError>,
    /// What the leader told of itself; nothing if it is no Eave node.
    pub greeting: Option<Greeting>,
}
