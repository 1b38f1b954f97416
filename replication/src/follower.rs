//! What the leader knows of one follower.
//!
//! Left out: the connection, which the server holds under the same id.

use crate::greeting::Greeting;
use crate::leader::{SnapshotId, Transfer};
use crate::wire::{Capabilities, Replconf};

/// Names a follower's connection; the server's client id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FollowerId(pub u64);

/// How far a follower has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowerState {
    /// It has introduced itself, but asked for nothing yet. Not shown in INFO.
    Handshaking,
    /// It waits for a snapshot to begin.
    WaitingSnapshot,
    /// It receives this snapshot.
    ReceivingSnapshot(SnapshotId, Transfer),
    /// It has the whole snapshot. The stream begins once it says so: a reader that looks for
    /// the mark only at the end of what it read, as Redis does, must not find stream after it.
    Loading,
    /// It follows the stream.
    Streaming,
}

impl FollowerState {
    /// The state as INFO prints it; empty before PSYNC.
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshaking => "",
            Self::WaitingSnapshot => "wait_bgsave",
            Self::ReceivingSnapshot(..) => "send_bulk",
            Self::Loading | Self::Streaming => "online",
        }
    }
}

/// Which protocol a follower asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Psync,
    /// No answering line, no ACKs, hence no timeout while it streams.
    Sync,
}

/// What a follower came for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Follow,
    /// A snapshot, after which the connection ends.
    SnapshotOnly,
}

#[derive(Clone, Debug)]
pub(crate) struct Follower {
    pub(crate) peer: String,
    pub(crate) announced: Option<String>,
    pub(crate) port: u16,
    pub(crate) capabilities: Capabilities,
    pub(crate) greeting: Option<Greeting>,
    pub(crate) protocol: Protocol,
    pub(crate) purpose: Purpose,
    pub(crate) state: FollowerState,
    /// Offset after the last byte given to its connection.
    pub(crate) sent: u64,
    /// Offset that it said it has applied.
    pub(crate) acked: u64,
    /// When it last gave a sign of life, or took part of a snapshot.
    pub(crate) seen_ms: u64,
    /// Since when it has been in its state.
    pub(crate) since_ms: u64,
}

impl Follower {
    pub(crate) fn new(peer: String, now_ms: u64) -> Self {
        Self {
            peer,
            announced: None,
            port: 0,
            capabilities: Capabilities::default(),
            greeting: None,
            protocol: Protocol::Psync,
            purpose: Purpose::Follow,
            state: FollowerState::Handshaking,
            sent: 0,
            acked: 0,
            seen_ms: now_ms,
            since_ms: now_ms,
        }
    }

    pub(crate) fn introduce(&mut self, replconf: Replconf) {
        self.port = replconf.listening_port.unwrap_or(self.port);
        self.announced = replconf.ip_address.or_else(|| self.announced.take());
        self.capabilities.merge(replconf.capabilities);
        self.greeting = replconf.greeting.or_else(|| self.greeting.take());
        match replconf.rdb_only {
            Some(true) => self.purpose = Purpose::SnapshotOnly,
            Some(false) => self.purpose = Purpose::Follow,
            None => {}
        }
    }

    pub(crate) fn enter(&mut self, state: FollowerState, now_ms: u64) {
        self.state = state;
        self.since_ms = now_ms;
        self.seen_ms = now_ms;
    }

    /// Offset from which the log must be kept for it.
    pub(crate) fn needs(&self) -> Option<u64> {
        match (self.state, self.purpose) {
            (FollowerState::Handshaking | FollowerState::WaitingSnapshot, _)
            | (_, Purpose::SnapshotOnly) => None,
            _ => Some(self.sent),
        }
    }

    pub(crate) fn is_receiving(&self, snapshot: SnapshotId) -> bool {
        matches!(self.state, FollowerState::ReceivingSnapshot(receiving, _) if receiving == snapshot)
    }

    /// Whether its silence means that it is gone.
    pub(crate) fn is_silent(&self, now_ms: u64, timeout_ms: u64) -> bool {
        let answers = match self.state {
            FollowerState::Handshaking | FollowerState::WaitingSnapshot => false,
            FollowerState::ReceivingSnapshot(..) => true,
            FollowerState::Loading | FollowerState::Streaming => self.protocol == Protocol::Psync,
        };
        answers && now_ms.saturating_sub(self.seen_ms) > timeout_ms
    }
}
