//! The leader's decisions, one at a time.

#![expect(clippy::panic, reason = "a broken expectation has to end loudly")]

use eave_replication::leader::{
    Action, CloseReason, Event, FollowerId, FollowerState, Leader, LeaderConfig, Poll, SnapshotId,
    Transfer,
};
use eave_replication::payload::EofMark;
use eave_replication::wire::{self, Capabilities, Request};
use eave_replication::{Backlog, BacklogConfig, Position, ReplicationId};

const ID: ReplicationId = ReplicationId::from_random([7; 20]);
const A: FollowerId = FollowerId(1);
const B: FollowerId = FollowerId(2);
const ONE: SnapshotId = SnapshotId(1);

fn mark() -> EofMark {
    EofMark::from_random([9; 20])
}

/// A leader, its log, and the time.
struct Node {
    leader: Leader,
    log: Backlog,
    now_ms: u64,
}

impl Node {
    fn new() -> Self {
        let config = BacklogConfig { size: 1024, limit: 4096 };
        let mut node = Self {
            leader: Leader::new(LeaderConfig::default()),
            log: Backlog::new(config, Position { id: ID, offset: 100 }),
            now_ms: 1000,
        };
        // So that the first tick neither pings nor sends newlines.
        node.step(Event::Tick);
        node
    }

    fn step(&mut self, event: Event) -> Vec<Action> {
        self.leader.step(event, &mut self.log, self.now_ms)
    }

    fn request(&mut self, follower: FollowerId, text: &str) -> Vec<Action> {
        let argv: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
        let Some(Ok(request)) = Request::parse(&argv) else { panic!("{text}") };
        let mut actions = self.step(Event::Accepted { follower, peer: "192.0.2.1".into() });
        actions.extend(self.step(Event::Requested { follower, request }));
        actions
    }

    fn cut(&mut self, snapshot: SnapshotId) -> Vec<Action> {
        let offset = self.log.offset();
        self.step(Event::SnapshotCut {
            snapshot,
            position: Position { id: self.log.id(), offset },
            mark: mark(),
        })
    }

    fn states(&self) -> Vec<&'static str> {
        let status = self.leader.status(&self.log, self.now_ms);
        status.followers.iter().map(|follower| follower.state.name()).collect()
    }

    fn poll(&mut self, follower: FollowerId) -> (Poll, Vec<u8>) {
        let mut bytes = Vec::new();
        (self.leader.poll(follower, &mut self.log, 1000, &mut bytes), bytes)
    }
}

fn send(follower: FollowerId, bytes: &[u8]) -> Action {
    Action::Send { follower, bytes: bytes.to_vec() }
}

fn close(follower: FollowerId, reason: CloseReason) -> Action {
    Action::Close { follower, reason }
}

fn full_resync(offset: u64) -> Vec<u8> {
    wire::full_resync(Position { id: ID, offset })
}

#[test]
fn a_full_sync_from_introduction_to_stream() {
    let mut node = Node::new();
    let introduced = node.request(A, "REPLCONF listening-port 6380 capa eof capa psync2");
    assert_eq!(introduced, [send(A, wire::OK)]);
    assert!(node.states().is_empty() && !node.log.is_active());
    assert_eq!(node.request(A, "PSYNC ? -1"), [Action::StartSnapshot(ONE)]);
    assert_eq!(node.states(), ["wait_bgsave"]);
    node.log.append(b"before");
    let snapshot = Action::SendSnapshot {
        follower: A,
        snapshot: ONE,
        transfer: Transfer::EofMark(mark()),
        capabilities: Capabilities { eof: true, psync2: true, eave: false },
    };
    assert_eq!(node.cut(ONE), [send(A, &full_resync(106)), snapshot]);
    assert_eq!(node.states(), ["send_bulk"]);
    node.log.append(b"after");
    assert_eq!(node.poll(A).0, Poll::NotStreaming);
    // No byte of the stream before the follower has found the mark.
    assert_eq!(node.step(Event::SnapshotSent(A)), [Action::ReleaseSnapshot(ONE)]);
    assert_eq!((node.poll(A).0, node.states()), (Poll::NotStreaming, vec!["online"]));
    assert_eq!(node.request(A, "REPLCONF ACK 106"), [Action::Stream(A)]);
    assert_eq!(node.poll(A), (Poll::Ready(5), b"after".to_vec()));
    assert_eq!(node.poll(A).0, Poll::CaughtUp);
    assert_eq!(node.request(A, "REPLCONF ACK 111"), []);
    let status = node.leader.status(&node.log, node.now_ms);
    let follower = &status.followers[0];
    assert_eq!((follower.acked, follower.sent, follower.port), (111, 111, 6380));
    assert_eq!((follower.address.as_str(), status.counters.full), ("192.0.2.1", 1));
}

#[test]
fn those_who_ask_before_the_cut_share_a_snapshot() {
    let mut node = Node::new();
    node.request(A, "REPLCONF capa eof");
    node.request(A, "PSYNC ? -1");
    assert_eq!(node.request(B, "PSYNC ? -1"), []);
    let sent = node.cut(ONE);
    let snapshot = ONE;
    assert!(sent.contains(&Action::SendSnapshot {
        follower: B,
        snapshot,
        transfer: Transfer::Length,
        capabilities: Capabilities::default(),
    }));
    assert_eq!(sent.len(), 4);
    // Too late for this one; the next begins when this one is done.
    assert_eq!(node.request(FollowerId(3), "PSYNC ? -1"), []);
    assert_eq!(node.step(Event::SnapshotSent(A)), []);
    let counted = node.step(Event::SnapshotSent(B));
    let next = Action::StartSnapshot(SnapshotId(2));
    assert_eq!(counted, [Action::Stream(B), Action::ReleaseSnapshot(ONE), next]);
}

#[test]
fn a_snapshot_waits_for_company_if_told_to() {
    let mut node = Node::new();
    node.leader.configure(LeaderConfig { snapshot_delay_ms: 5000, ..LeaderConfig::default() });
    assert_eq!(node.request(A, "PSYNC ? -1"), []);
    node.now_ms += 5000;
    assert!(node.step(Event::Tick).contains(&Action::StartSnapshot(ONE)));
}

#[test]
fn whoever_lacks_little_goes_on() {
    let mut node = Node::new();
    node.log.activate();
    node.log.append(b"0123456789");
    node.request(A, "REPLCONF capa psync2");
    let resumed = node.request(A, &format!("PSYNC {ID} 106"));
    assert_eq!(resumed, [send(A, &wire::continue_as(Some(ID))), Action::Stream(A)]);
    assert_eq!(node.poll(A).1, b"56789");
    let plain = node.request(B, &format!("PSYNC {ID} 111"));
    assert_eq!(plain, [send(B, b"+CONTINUE\r\n"), Action::Stream(B)]);
    assert_eq!(node.poll(B).0, Poll::CaughtUp);
    for (follower, text) in [(3, format!("PSYNC {ID} 112")), (4, format!("PSYNC {ID} 100"))] {
        node.request(FollowerId(follower), &text);
        assert_eq!(node.states().last(), Some(&"wait_bgsave"), "{text}");
    }
    let counters = node.leader.status(&node.log, 0).counters;
    assert_eq!((counters.partial_ok, counters.partial_err, counters.full), (2, 2, 2));
}

#[test]
fn the_second_id_resumes_up_to_its_end() {
    let mut node = Node::new();
    node.log.activate();
    node.log.append(b"old");
    let new = ReplicationId::from_random([8; 20]);
    node.log.change_id(new);
    node.log.append(b"new");
    node.request(A, "REPLCONF capa psync2");
    let resumed = node.request(A, &format!("PSYNC {ID} 104"));
    assert_eq!(resumed, [send(A, &wire::continue_as(Some(new))), Action::Stream(A)]);
    assert_eq!(node.poll(A).1, b"new");
    node.request(B, &format!("PSYNC {ID} 105"));
    assert_eq!(node.states(), ["online", "wait_bgsave"]);
}

#[test]
fn quiet_followers_hear_pings_and_waiting_ones_newlines() {
    let mut node = Node::new();
    node.now_ms += 20_000;
    assert_eq!((node.step(Event::Tick), node.log.offset()), (vec![], 100), "nobody listens");
    node.request(A, "PSYNC ? -1");
    node.now_ms += 1000;
    assert_eq!(node.step(Event::Tick), [send(A, b"\n")]);
    assert_eq!(node.log.offset(), 100 + wire::PING.len() as u64);
    node.cut(ONE);
    node.now_ms += 1000;
    assert_eq!(node.step(Event::Tick), [], "a newline would spoil the payload");
    node.step(Event::SnapshotSent(A));
    node.now_ms += 9000;
    node.step(Event::Tick);
    assert_eq!(node.poll(A), (Poll::Ready(wire::PING.len()), wire::PING.to_vec()));
}

#[test]
fn silence_and_slowness_end_a_link() {
    let mut node = Node::new();
    node.log.activate();
    for follower in [A, B] {
        node.request(follower, &format!("PSYNC {ID} 101"));
    }
    node.now_ms += 60_000;
    node.step(Event::Heartbeat(B));
    assert_eq!(node.step(Event::Tick), []);
    node.now_ms += 1;
    assert_eq!(node.step(Event::Tick), [close(A, CloseReason::Timeout)]);
    node.log.append(&[b'x'; 5000]);
    assert_eq!(node.poll(B).0, Poll::Cut(CloseReason::TooSlow));
    assert_eq!(node.poll(B).0, Poll::NotStreaming);
    node.request(A, &format!("PSYNC {ID} {}", node.log.offset() + 1));
    node.log.append(&[b'x'; 5000]);
    assert_eq!(node.step(Event::Tick), [close(A, CloseReason::TooSlow)]);
}

#[test]
fn the_log_is_held_from_the_start_of_a_snapshot() {
    let mut node = Node::new();
    node.request(A, "PSYNC ? -1");
    let cut_at = node.log.offset();
    node.log.append(&[b'x'; 3000]);
    let cut = Event::SnapshotCut {
        snapshot: ONE,
        position: Position { id: ID, offset: cut_at },
        mark: mark(),
    };
    assert_eq!(node.step(cut)[0], send(A, &full_resync(cut_at)));
    assert_eq!(node.step(Event::SnapshotSent(A))[0], Action::Stream(A));
    assert_eq!(node.poll(A).0, Poll::Ready(1000));
}

#[test]
fn a_snapshot_that_nobody_awaits_is_released() {
    let mut node = Node::new();
    node.request(A, "PSYNC ? -1");
    assert_eq!(node.step(Event::Closed(A)), []);
    assert_eq!(node.cut(ONE), [Action::ReleaseSnapshot(ONE)]);
    assert_eq!(node.cut(ONE), [Action::ReleaseSnapshot(ONE)], "not under way");
    node.request(A, "PSYNC ? -1");
    node.cut(SnapshotId(2));
    assert_eq!(node.step(Event::Closed(A)), [Action::ReleaseSnapshot(SnapshotId(2))]);
}

#[test]
fn a_failed_snapshot_sends_its_followers_away() {
    let mut node = Node::new();
    node.request(A, "PSYNC ? -1");
    let failed = node.step(Event::SnapshotFailed(ONE));
    assert_eq!(failed, [Action::ReleaseSnapshot(ONE), close(A, CloseReason::SnapshotFailed)]);
    assert_eq!(node.step(Event::SnapshotFailed(ONE)), []);
}

#[test]
fn redis_cli_takes_a_snapshot_and_leaves_or_listens() {
    let mut node = Node::new();
    node.request(A, "REPLCONF rdb-only 1 capa eof");
    node.request(A, "PSYNC ? -1");
    node.request(B, "SYNC");
    let sent = node.cut(ONE);
    assert!(!sent.contains(&send(B, &full_resync(100))), "SYNC gets no line");
    assert_eq!(node.step(Event::SnapshotSent(A)), [close(A, CloseReason::Delivered)]);
    assert_eq!(node.step(Event::SnapshotSent(B))[0], Action::Stream(B));
    // SYNC knows no ACK.
    node.now_ms += 100_000;
    assert_eq!(node.step(Event::Tick), []);
}

#[test]
fn followers_cannot_claim_too_much() {
    let mut node = Node::new();
    node.log.activate();
    node.request(A, &format!("PSYNC {ID} 101"));
    node.request(A, "REPLCONF ACK 9223372036854775807");
    let status = node.leader.status(&node.log, node.now_ms);
    assert_eq!(status.followers[0].acked, 100);
    assert_eq!(node.request(A, "PSYNC ? -1"), [], "follows already");
    assert_eq!(status.followers[0].state, FollowerState::Streaming);
    let unknown = Event::Requested { follower: B, request: Request::Sync };
    assert_eq!(node.step(unknown), []);
}

#[test]
fn another_history_sends_everybody_away() {
    let mut node = Node::new();
    node.log.activate();
    node.request(A, &format!("PSYNC {ID} 101"));
    node.log.reset(Position { id: ReplicationId::from_random([1; 20]), offset: 5 });
    let closed = node.step(Event::HistoryReplaced);
    assert_eq!(closed, [close(A, CloseReason::HistoryReplaced)]);
}
