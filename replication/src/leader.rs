//! The leader's side: who follows, from where, and what each has to be sent.
//!
//! [`Leader::step`] takes an event and the time and returns what the server has to do, in
//! order. A follower's way: its connection is [`Event::Accepted`], its REPLCONF and PSYNC are
//! [`Event::Requested`]. If the backlog still holds what it lacks, it gets `+CONTINUE` and
//! [`Action::Stream`]: from then on [`Leader::poll`] has its next bytes. Otherwise it waits
//! for a snapshot, together with all others that ask before the cut; [`Event::SnapshotCut`]
//! tells the place that the snapshot stands for, [`Action::SendSnapshot`] sends it, and after
//! [`Event::SnapshotSent`] the stream goes on from that place.
//!
//! The backlog comes in as an argument because writers append to it under its own lock. Take
//! the leader's lock first, then the backlog's.
//!
//! A node that follows another may be followed itself: its log is its leader's, byte for byte, so it
//! puts no pings of its own into it ([`Leader::be_quiet`]).
//!
//! Left out on purpose: who waits for acknowledgements, and who leads when.

use std::collections::BTreeMap;

use crate::backlog::Backlog;
use crate::follower::{Follower, Protocol, Purpose};
pub use crate::follower::{FollowerId, FollowerState};
use crate::greeting::{Greeting, Packing};
use crate::id::Position;
use crate::payload::EofMark;
use crate::status::{FollowerStatus, LeaderStatus};
use crate::wire::{self, Capabilities, Replconf, Request};

/// Milliseconds between the newlines that a follower gets while it waits for a snapshot.
const HEARTBEAT_MS: u64 = 1000;

/// The leader's directives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderConfig {
    /// Milliseconds between two pings in the stream (`repl-ping-replica-period`).
    pub ping_period_ms: u64,
    /// Milliseconds of silence after which a follower is gone (`repl-timeout`).
    pub timeout_ms: u64,
    /// Milliseconds a snapshot is put off so that more followers can share it
    /// (`repl-diskless-sync-delay`).
    pub snapshot_delay_ms: u64,
}

impl Default for LeaderConfig {
    fn default() -> Self {
        Self { ping_period_ms: 10_000, timeout_ms: 60_000, snapshot_delay_ms: 0 }
    }
}

/// Names one snapshot, from its start to its release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId(pub u64);

/// How a follower is told the end of its snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// It needs the length first, so the server has to know it before it sends.
    Length,
    /// By this mark, so the server sends while it serializes.
    EofMark(EofMark),
}

/// What happened to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection turned to replication: before its first request is passed on.
    Accepted {
        /// The connection.
        follower: FollowerId,
        /// Its address, without the port.
        peer: String,
    },
    /// A follower's request arrived.
    Requested {
        /// The connection.
        follower: FollowerId,
        /// The request.
        request: Request,
    },
    /// A follower sent a newline: it is busy loading.
    Heartbeat(FollowerId),
    /// A connection ended, whoever ended it.
    Closed(FollowerId),
    /// The data set was cut: the snapshot stands for the log up to this place.
    SnapshotCut {
        /// As started.
        snapshot: SnapshotId,
        /// The log's place at the cut. On a node that leads, the first effect logged after it
        /// has to name its database again, for the snapshot's readers do not know it.
        position: Position,
        /// 20 random bytes' worth of mark, for followers that understand it.
        mark: EofMark,
    },
    /// A follower's connection took a part of the snapshot.
    SnapshotProgress(FollowerId),
    /// A follower's connection took all of the snapshot, mark included.
    SnapshotSent(FollowerId),
    /// The snapshot could not be made. Its followers are cut off and will ask again.
    SnapshotFailed(SnapshotId),
    /// This node's data was replaced by another history: every follower has to ask again.
    HistoryReplaced,
    /// Time passed; several times a second.
    Tick,
}

/// What the server has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write bytes to a follower's connection.
    Send {
        /// The connection.
        follower: FollowerId,
        /// At most a line.
        bytes: Vec<u8>,
    },
    /// Cut the data set, then report [`Event::SnapshotCut`] or [`Event::SnapshotFailed`].
    StartSnapshot(SnapshotId),
    /// Write header, snapshot and mark to a follower's connection; until
    /// [`Event::SnapshotSent`] nothing else is sent there. With [`Transfer::Length`] the
    /// server may write [`wire::HEARTBEAT`] while it has not written the header.
    SendSnapshot {
        /// The connection.
        follower: FollowerId,
        /// Which snapshot.
        snapshot: SnapshotId,
        /// How its end is told.
        transfer: Transfer,
        /// What the follower can take: who is no Eave node refuses what Redis does not know.
        capabilities: Capabilities,
    },
    /// Nobody receives this snapshot any longer: stop making it and free it.
    ReleaseSnapshot(SnapshotId),
    /// What is written to a follower's connection behind this is packed.
    Pack {
        /// The connection.
        follower: FollowerId,
        /// How.
        packing: Packing,
    },
    /// From now on feed the connection by [`Leader::poll`].
    Stream(FollowerId),
    /// Close a connection, which the leader has already forgotten.
    Close {
        /// The connection.
        follower: FollowerId,
        /// Why, for the log.
        reason: CloseReason,
    },
}

/// Why the leader closes a follower's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// It fell behind by more than the backlog's limit.
    #[error("replica too slow: the backlog's limit is passed")]
    TooSlow,
    /// It gave no sign of life.
    #[error("replica timed out")]
    Timeout,
    /// Its snapshot could not be made.
    #[error("snapshot failed")]
    SnapshotFailed,
    /// It has the snapshot it came for.
    #[error("snapshot delivered")]
    Delivered,
    /// This node now holds another history.
    #[error("this node follows another history now")]
    HistoryReplaced,
}

/// What [`Leader::poll`] has for a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// This many bytes were added to the buffer; more than zero.
    Ready(usize),
    /// It has everything: wait until the log grows.
    CaughtUp,
    /// It is unknown or not streaming.
    NotStreaming,
    /// It was cut off: close the connection.
    Cut(CloseReason),
}

/// A snapshot between its start and its release.
#[derive(Clone, Copy, Debug)]
struct Snapshot {
    id: SnapshotId,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not cut yet; the cut will not lie before this offset.
    Started {
        at: u64,
    },
    Sending,
}

/// Counters for INFO, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncCounters {
    /// Snapshots that followers asked for (`sync_full`).
    pub full: u64,
    /// Followers that went on from the backlog (`sync_partial_ok`).
    pub partial_ok: u64,
    /// Followers that wanted to, and could not (`sync_partial_err`).
    pub partial_err: u64,
}

/// The table of followers, and what is under way for them.
#[derive(Debug)]
pub struct Leader {
    config: LeaderConfig,
    followers: BTreeMap<FollowerId, Follower>,
    snapshot: Option<Snapshot>,
    snapshots: u64,
    ping_ms: u64,
    epoch: u64,
    quiet: bool,
    heartbeat_ms: u64,
    counters: SyncCounters,
}

impl Leader {
    /// A leader without followers.
    pub fn new(config: LeaderConfig) -> Self {
        Self {
            config,
            followers: BTreeMap::new(),
            snapshot: None,
            snapshots: 0,
            ping_ms: 0,
            epoch: 1,
            quiet: false,
            heartbeat_ms: 0,
            counters: SyncCounters::default(),
        }
    }

    /// Changes the directives (CONFIG SET).
    pub fn configure(&mut self, config: LeaderConfig) {
        self.config = config;
    }

    /// The epoch that followers are told which are Eave nodes, with the answer to their PSYNC.
    pub fn tell_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// Whether nothing of its own goes into the log: on a node that follows another, whose log is
    /// that one's, and while this node hands over to one of its followers.
    pub fn be_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// Takes an event at `now_ms`, milliseconds on any clock that never goes back, and
    /// returns what to do about it. Events of connections it does not know are ignored.
    pub fn step(&mut self, event: Event, log: &mut Backlog, now_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Accepted { follower, peer } => {
                self.followers.entry(follower).or_insert_with(|| Follower::new(peer, now_ms));
            }
            Event::Requested { follower, request } => {
                self.request(follower, request, log, now_ms, &mut actions);
            }
            Event::Heartbeat(follower) | Event::SnapshotProgress(follower) => {
                if let Some(follower) = self.followers.get_mut(&follower) {
                    follower.seen_ms = now_ms;
                }
            }
            Event::Closed(follower) => _ = self.followers.remove(&follower),
            // Who waits now asked this history for it, and not the one that was cut.
            Event::SnapshotCut { snapshot, position, .. } if position.id != log.id() => {
                self.snapshot_failed(snapshot, &mut actions);
            }
            Event::SnapshotCut { snapshot, position, mark } => {
                self.snapshot_cut(snapshot, position, mark, log, now_ms, &mut actions);
            }
            Event::SnapshotSent(follower) => self.snapshot_sent(follower, now_ms, &mut actions),
            Event::SnapshotFailed(snapshot) => self.snapshot_failed(snapshot, &mut actions),
            Event::HistoryReplaced => {
                // Who has only introduced itself has asked for no history yet.
                self.close_where(CloseReason::HistoryReplaced, &mut actions, |follower| {
                    follower.state != FollowerState::Handshaking
                });
            }
            Event::Tick => self.tick(log, now_ms, &mut actions),
        }
        self.settle(log, now_ms, &mut actions);
        actions
    }

    /// Copies the next bytes for a streaming follower to the end of `buffer`, at most `max`,
    /// and counts them as sent. Call again once they are written.
    pub fn poll(
        &mut self,
        id: FollowerId,
        log: &mut Backlog,
        max: usize,
        buffer: &mut Vec<u8>,
    ) -> Poll {
        let Some(follower) = self.followers.get_mut(&id) else { return Poll::NotStreaming };
        if follower.state != FollowerState::Streaming {
            return Poll::NotStreaming;
        }
        let poll = match log.read(follower.sent, max, buffer) {
            Some(0) => return Poll::CaughtUp,
            Some(len) => {
                follower.sent += len as u64;
                Poll::Ready(len)
            }
            None => {
                self.followers.remove(&id);
                Poll::Cut(CloseReason::TooSlow)
            }
        };
        log.pin(self.needed());
        poll
    }

    /// Notes what a follower told of itself, where the server has answered that already.
    pub fn greeted(&mut self, id: FollowerId, greeting: Option<Greeting>) {
        if let Some(follower) = self.followers.get_mut(&id) {
            follower.greeting = greeting.or_else(|| follower.greeting.take());
        }
    }

    /// The leader's part of INFO and ROLE.
    pub fn status(&self, log: &Backlog, now_ms: u64) -> LeaderStatus {
        let followers = self.followers.iter();
        let shown = followers.filter(|(_, follower)| follower.state != FollowerState::Handshaking);
        LeaderStatus {
            position: log.position(),
            second: log.second(),
            backlog_size: log.config().size,
            backlog_start: log.start(),
            backlog_memory: log.memory(),
            followers: shown.map(|(id, f)| FollowerStatus::of(*id, f, now_ms)).collect(),
            counters: self.counters,
        }
    }

    /// Whether anybody follows, so that `min-replicas-to-write` and pings make sense.
    pub fn has_followers(&self) -> bool {
        self.followers.values().any(|follower| follower.state != FollowerState::Handshaking)
    }

    /// How many followers have said that they applied the log up to `offset` (WAIT).
    pub fn acknowledged(&self, offset: u64) -> usize {
        let has = |follower: &&Follower| {
            follower.state == FollowerState::Streaming && follower.acked >= offset
        };
        self.followers.values().filter(has).count()
    }

    fn request(
        &mut self,
        id: FollowerId,
        request: Request,
        log: &mut Backlog,
        now_ms: u64,
        actions: &mut Vec<Action>,
    ) {
        let Some(follower) = self.followers.get_mut(&id) else { return };
        match request {
            Request::Replconf(Replconf { ack: Some(offset), .. }) => {
                acknowledge(follower, id, offset, now_ms, actions);
            }
            // Only a leader asks for that; Redis does not answer it either.
            Request::Replconf(Replconf { getack: true, .. }) => {}
            Request::Replconf(replconf) => {
                follower.introduce(replconf);
                send(id, wire::OK.to_vec(), actions);
            }
            // As in Redis, a connection that follows already is not restarted.
            _ if follower.state != FollowerState::Handshaking => {}
            Request::Psync { from, .. } => self.psync(id, from, log, now_ms, actions),
            Request::Sync => {
                follower.protocol = Protocol::Sync;
                self.full_sync(id, log, now_ms);
            }
        }
    }

    fn psync(
        &mut self,
        id: FollowerId,
        from: Option<Position>,
        log: &mut Backlog,
        now_ms: u64,
        actions: &mut Vec<Action>,
    ) {
        let (Some(at), Some(follower)) = (from, self.followers.get_mut(&id)) else {
            return self.full_sync(id, log, now_ms);
        };
        if !log.can_resume(at) {
            self.counters.partial_err += 1;
            return self.full_sync(id, log, now_ms);
        }
        self.counters.partial_ok += 1;
        follower.sent = at.offset;
        follower.acked = at.offset;
        follower.enter(FollowerState::Streaming, now_ms);
        let told = follower.capabilities.psync2.then(|| log.id());
        let answer = wire::continue_as(told);
        greet(id, follower, self.epoch, log, answer, actions);
        actions.push(Action::Stream(id));
    }

    fn full_sync(&mut self, id: FollowerId, log: &mut Backlog, now_ms: u64) {
        log.activate();
        self.counters.full += 1;
        if let Some(follower) = self.followers.get_mut(&id) {
            follower.enter(FollowerState::WaitingSnapshot, now_ms);
        }
    }

    fn snapshot_cut(
        &mut self,
        id: SnapshotId,
        at: Position,
        mark: EofMark,
        log: &Backlog,
        now_ms: u64,
        actions: &mut Vec<Action>,
    ) {
        match &mut self.snapshot {
            Some(Snapshot { id: started, stage }) if *started == id => *stage = Stage::Sending,
            _ => return actions.push(Action::ReleaseSnapshot(id)),
        }
        let waiting = |(_, f): &(_, &mut Follower)| f.state == FollowerState::WaitingSnapshot;
        for (&follower_id, follower) in self.followers.iter_mut().filter(waiting) {
            let transfer = match follower.capabilities.eof {
                true => Transfer::EofMark(mark),
                false => Transfer::Length,
            };
            follower.enter(FollowerState::ReceivingSnapshot(id, transfer), now_ms);
            follower.sent = at.offset;
            if follower.protocol == Protocol::Psync {
                let answer = wire::full_resync(at);
                greet(follower_id, follower, self.epoch, log, answer, actions);
            }
            actions.push(Action::SendSnapshot {
                follower: follower_id,
                snapshot: id,
                transfer,
                capabilities: follower.capabilities,
            });
        }
    }

    fn snapshot_sent(&mut self, id: FollowerId, now_ms: u64, actions: &mut Vec<Action>) {
        let Some(follower) = self.followers.get_mut(&id) else { return };
        let FollowerState::ReceivingSnapshot(_, transfer) = follower.state else { return };
        match (follower.purpose, transfer) {
            (Purpose::SnapshotOnly, _) => {
                self.followers.remove(&id);
                actions.push(Action::Close { follower: id, reason: CloseReason::Delivered });
            }
            (Purpose::Follow, Transfer::EofMark(_)) => {
                follower.enter(FollowerState::Loading, now_ms);
            }
            (Purpose::Follow, Transfer::Length) => {
                follower.enter(FollowerState::Streaming, now_ms);
                actions.push(Action::Stream(id));
            }
        }
    }

    fn snapshot_failed(&mut self, id: SnapshotId, actions: &mut Vec<Action>) {
        let Some(snapshot) = self.snapshot.take_if(|snapshot| snapshot.id == id) else { return };
        actions.push(Action::ReleaseSnapshot(id));
        let waited = matches!(snapshot.stage, Stage::Started { .. });
        self.close_where(CloseReason::SnapshotFailed, actions, |follower| {
            follower.is_receiving(id)
                || (waited && follower.state == FollowerState::WaitingSnapshot)
        });
    }

    fn tick(&mut self, log: &mut Backlog, now_ms: u64, actions: &mut Vec<Action>) {
        let timeout_ms = self.config.timeout_ms;
        self.close_where(CloseReason::Timeout, actions, |f| f.is_silent(now_ms, timeout_ms));
        let start = log.start();
        self.close_where(CloseReason::TooSlow, actions, |f| {
            f.needs().zip(start).is_some_and(|(needed, start)| needed < start)
        });
        let due = now_ms.saturating_sub(self.ping_ms) >= self.config.ping_period_ms;
        if due && !self.quiet && self.has_followers() {
            self.ping_ms = now_ms;
            log.append(wire::PING);
        }
        if now_ms.saturating_sub(self.heartbeat_ms) >= HEARTBEAT_MS {
            self.heartbeat_ms = now_ms;
            for (id, follower) in &self.followers {
                if follower.state == FollowerState::WaitingSnapshot {
                    send(*id, wire::HEARTBEAT.to_vec(), actions);
                }
            }
        }
    }

    /// What follows from any change: ends a snapshot that nobody receives, starts one that is
    /// wanted, and lets the backlog go as far as everybody got.
    fn settle(&mut self, log: &mut Backlog, now_ms: u64, actions: &mut Vec<Action>) {
        let unwanted = |snapshot: &mut Snapshot| {
            snapshot.stage == Stage::Sending
                && !self.followers.values().any(|follower| follower.is_receiving(snapshot.id))
        };
        if let Some(done) = self.snapshot.take_if(unwanted) {
            actions.push(Action::ReleaseSnapshot(done.id));
        }
        if self.snapshot.is_none() && self.snapshot_is_due(now_ms) {
            self.snapshots += 1;
            let id = SnapshotId(self.snapshots);
            self.snapshot = Some(Snapshot { id, stage: Stage::Started { at: log.offset() } });
            actions.push(Action::StartSnapshot(id));
        }
        log.pin(self.needed());
    }

    fn snapshot_is_due(&self, now_ms: u64) -> bool {
        let mut waiting =
            self.followers.values().filter(|f| f.state == FollowerState::WaitingSnapshot);
        waiting.any(|f| now_ms.saturating_sub(f.since_ms) >= self.config.snapshot_delay_ms)
    }

    /// The oldest offset that somebody still needs.
    fn needed(&self) -> Option<u64> {
        let cut = self.snapshot.and_then(|snapshot| match snapshot.stage {
            Stage::Started { at } => Some(at),
            Stage::Sending => None,
        });
        self.followers.values().filter_map(Follower::needs).chain(cut).min()
    }

    fn close_where(
        &mut self,
        reason: CloseReason,
        actions: &mut Vec<Action>,
        closes: impl Fn(&Follower) -> bool,
    ) {
        self.followers.retain(|id, follower| {
            let close = closes(follower);
            if close {
                actions.push(Action::Close { follower: *id, reason });
            }
            !close
        });
    }
}

fn acknowledge(
    follower: &mut Follower,
    id: FollowerId,
    offset: u64,
    now_ms: u64,
    actions: &mut Vec<Action>,
) {
    // Nobody has applied what was not sent; and redis-cli acknowledges with 0.
    follower.acked = follower.acked.max(offset.min(follower.sent));
    follower.seen_ms = now_ms;
    if follower.state == FollowerState::Loading {
        follower.enter(FollowerState::Streaming, now_ms);
        actions.push(Action::Stream(id));
    }
}

/// Answers PSYNC; in front of that what this node is by now, for a follower that greeted it.
fn greet(
    id: FollowerId,
    follower: &Follower,
    epoch: u64,
    log: &Backlog,
    answer: Vec<u8>,
    actions: &mut Vec<Action>,
) {
    let Some(heard) = &follower.greeting else { return send(id, answer, actions) };
    let greeting = Greeting {
        epoch: Some(epoch),
        at: Some(log.position()),
        from: log.second(),
        packing: heard.packing,
        ..Greeting::default()
    };
    let mut bytes = format!("+{}\r\n", greeting.answer()).into_bytes();
    bytes.extend(answer);
    send(id, bytes, actions);
    if let Some(packing) = heard.packing {
        actions.push(Action::Pack { follower: id, packing });
    }
}

fn send(follower: FollowerId, bytes: Vec<u8>, actions: &mut Vec<Action>) {
    actions.push(Action::Send { follower, bytes });
}
