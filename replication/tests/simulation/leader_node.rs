//! The leader as a server would drive it: connections, snapshots, and the data itself.

use std::collections::BTreeMap;

use eave_replication::leader::{
    Action, Event, FollowerId, Leader, LeaderConfig, Poll, SnapshotId, Transfer,
};
use eave_replication::payload::{EofMark, Framing};
use eave_replication::wire::{self, Request};
use eave_replication::{Backlog, BacklogConfig, Position};

use crate::Tally;
use crate::network::Link;
use crate::packing;
use crate::rng::Rng;

const LEADER: LeaderConfig =
    LeaderConfig { ping_period_ms: 700, timeout_ms: 3000, snapshot_delay_ms: 0 };

/// One connection.
#[derive(Default)]
struct Connection {
    /// What the pipe has not taken yet.
    out: Vec<u8>,
    /// Requests not complete yet.
    input: Vec<u8>,
    /// The payload under way, header and mark included, and how much of it went out.
    payload: Option<(Vec<u8>, usize)>,
    streaming: bool,
    /// Whether what is written from now on is packed.
    packs: bool,
}

/// A snapshot before and after its cut.
enum Snapshot {
    Due { at_ms: u64 },
    Cut { data: Vec<u8> },
}

pub(crate) struct LeaderNode {
    pub(crate) log: Backlog,
    pub(crate) leader: Leader,
    /// Every effect ever, from which a snapshot is made.
    pub(crate) data: Vec<u8>,
    /// Where the backlog began when it was activated.
    pub(crate) log_from: Option<u64>,
    connections: BTreeMap<FollowerId, Connection>,
    snapshots: BTreeMap<SnapshotId, Snapshot>,
    closing: Vec<FollowerId>,
}

impl LeaderNode {
    pub(crate) fn new(config: BacklogConfig, position: Position, data: Vec<u8>) -> Self {
        Self {
            log: Backlog::new(config, position),
            leader: Leader::new(LeaderConfig {
                snapshot_delay_ms: position.offset % 200,
                ..LEADER
            }),
            data,
            log_from: None,
            connections: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            closing: Vec::new(),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
        if self.log.is_active() {
            self.log.append(bytes);
        } else {
            self.log.advance(bytes.len() as u64);
        }
    }

    pub(crate) fn tick(&mut self, now_ms: u64, rng: &mut Rng, tally: &mut Tally) {
        let before = self.log.offset();
        self.step(Event::Tick, now_ms, rng, tally);
        let pinged = self.log.read(before, usize::MAX, &mut self.data);
        if pinged.is_some_and(|len| len > 0) {
            *tally.entry("ping in the stream").or_default() += 1;
        }
        let due: Vec<SnapshotId> = self
            .snapshots
            .iter()
            .filter_map(|(id, snapshot)| {
                matches!(snapshot, Snapshot::Due { at_ms } if *at_ms <= now_ms).then_some(*id)
            })
            .collect();
        for snapshot in due {
            let event = if rng.once_in(30) {
                self.snapshots.remove(&snapshot);
                Event::SnapshotFailed(snapshot)
            } else {
                let cut = Snapshot::Cut { data: self.data.clone() };
                self.snapshots.insert(snapshot, cut);
                let mark = EofMark::from_random(rng.twenty());
                Event::SnapshotCut { snapshot, position: self.log.position(), mark }
            };
            self.step(event, now_ms, rng, tally);
        }
    }

    /// Takes what arrived on a link.
    pub(crate) fn receive(
        &mut self,
        link: &mut Link,
        capable: bool,
        busy: bool,
        now_ms: u64,
        rng: &mut Rng,
        tally: &mut Tally,
    ) {
        let bytes = link.to_leader.receive(now_ms, rng);
        let id = link.id;
        let connection = self.connections.entry(id).or_default();
        connection.input.extend_from_slice(&bytes);
        while let Some(argv) =
            self.connections.get_mut(&id).and_then(|c| next_command(&mut c.input))
        {
            let argv: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
            match Request::parse(&argv) {
                None if argv.is_empty() => self.step(Event::Heartbeat(id), now_ms, rng, tally),
                None => self.reply(id, b"+PONG\r\n"),
                Some(Ok(Request::Psync { .. })) if busy => {
                    *tally.entry("leader busy").or_default() += 1;
                    self.reply(id, b"-LOADING Eave is loading the dataset in memory\r\n");
                }
                Some(Ok(mut request)) => {
                    if let Request::Replconf(replconf) = &mut request {
                        replconf.capabilities.eof &= capable;
                    }
                    let peer = "127.0.0.1".to_owned();
                    self.step(Event::Accepted { follower: id, peer }, now_ms, rng, tally);
                    self.step(Event::Requested { follower: id, request }, now_ms, rng, tally);
                }
                Some(Err(error)) => panic!("{error}"),
            }
        }
    }

    /// Moves bytes into a link as far as it takes them. False if the leader closed it.
    pub(crate) fn pump(
        &mut self,
        link: &mut Link,
        now_ms: u64,
        rng: &mut Rng,
        tally: &mut Tally,
    ) -> bool {
        let id = link.id;
        for _ in 0..8 {
            if self.closing.contains(&id) {
                self.connections.remove(&id);
                return false;
            }
            let connection = self.connections.entry(id).or_default();
            assert!(connection.out.len() < 4096, "queued without bound");
            let sent = link.to_replica.send(&connection.out, now_ms, rng);
            connection.out.drain(..sent);
            if !connection.out.is_empty() {
                return true;
            }
            if let Some((payload, from)) = &mut connection.payload {
                let to = payload.len().min(*from + 1 + rng.size(1500));
                connection.out.extend_from_slice(&payload[*from..to]);
                packing::pack(connection.packs, &mut connection.out);
                *from = to;
                let event = if to == payload.len() {
                    connection.payload = None;
                    Event::SnapshotSent(id)
                } else {
                    Event::SnapshotProgress(id)
                };
                self.step(event, now_ms, rng, tally);
            } else if connection.streaming {
                match self.leader.poll(id, &mut self.log, 1 + rng.size(400), &mut connection.out) {
                    Poll::Ready(len) => {
                        assert_eq!(len, connection.out.len());
                        packing::pack(connection.packs, &mut connection.out);
                    }
                    Poll::CaughtUp => return true,
                    Poll::NotStreaming => panic!("streaming was asked for"),
                    Poll::Cut(_) => {
                        *tally.entry("slow follower cut").or_default() += 1;
                        self.closing.push(id);
                    }
                }
            }
        }
        true
    }

    pub(crate) fn closed(&mut self, id: FollowerId, now_ms: u64, rng: &mut Rng, tally: &mut Tally) {
        self.connections.remove(&id);
        self.closing.retain(|closing| *closing != id);
        self.step(Event::Closed(id), now_ms, rng, tally);
    }

    pub(crate) fn replaced(&mut self, now_ms: u64, rng: &mut Rng, tally: &mut Tally) {
        self.step(Event::HistoryReplaced, now_ms, rng, tally);
    }

    pub(crate) fn snapshots(&self) -> usize {
        self.snapshots.len()
    }

    fn reply(&mut self, id: FollowerId, bytes: &[u8]) {
        let connection = self.connections.entry(id).or_default();
        let mut bytes = bytes.to_vec();
        packing::pack(connection.packs, &mut bytes);
        connection.out.extend(bytes);
    }

    fn step(&mut self, event: Event, now_ms: u64, rng: &mut Rng, tally: &mut Tally) {
        let actions = self.leader.step(event, &mut self.log, now_ms);
        let sent = actions.iter().filter(|a| matches!(a, Action::SendSnapshot { .. })).count();
        if sent > 1 {
            *tally.entry("snapshot shared").or_default() += 1;
        }
        for action in actions {
            match action {
                Action::Send { follower, bytes } => {
                    assert!(self.connections[&follower].payload.is_none());
                    self.reply(follower, &bytes);
                }
                Action::StartSnapshot(id) => {
                    let at_ms = now_ms + rng.below(300);
                    assert!(self.snapshots.insert(id, Snapshot::Due { at_ms }).is_none());
                }
                Action::SendSnapshot { follower, snapshot, transfer, .. } => {
                    self.send_snapshot(follower, snapshot, transfer);
                }
                Action::ReleaseSnapshot(id) => _ = self.snapshots.remove(&id),
                Action::Pack { follower, .. } => {
                    self.connections.entry(follower).or_default().packs = true;
                }
                Action::Stream(follower) => {
                    self.connections.entry(follower).or_default().streaming = true;
                }
                Action::Close { follower, reason } => {
                    use eave_replication::leader::CloseReason::{Timeout, TooSlow};
                    match reason {
                        TooSlow => *tally.entry("slow follower cut").or_default() += 1,
                        Timeout => *tally.entry("leader noticed silence").or_default() += 1,
                        _ => {}
                    }
                    self.closing.push(follower);
                }
            }
        }
    }

    fn send_snapshot(&mut self, follower: FollowerId, id: SnapshotId, transfer: Transfer) {
        let Some(Snapshot::Cut { data }) = self.snapshots.get(&id) else { panic!("not cut") };
        let (framing, mark) = match &transfer {
            Transfer::Length => (Framing::Length(data.len() as u64), [].as_slice()),
            Transfer::EofMark(mark) => (Framing::EofMark(*mark), mark.as_bytes().as_slice()),
        };
        let newlines = wire::HEARTBEAT.repeat(data.len() % 3);
        let payload = [&newlines, framing.header().as_slice(), data, mark].concat();
        self.connections.entry(follower).or_default().payload = Some((payload, 0));
    }
}

/// Takes the next request out of `input`; an empty one for a newline.
fn next_command(input: &mut Vec<u8>) -> Option<Vec<Vec<u8>>> {
    if input.first() == Some(&b'\n') {
        input.remove(0);
        return Some(Vec::new());
    }
    let mut at = 0;
    let count = number(input, &mut at)?;
    let mut argv = Vec::new();
    for _ in 0..count {
        let len = number(input, &mut at)?;
        argv.push(input.get(at..at + len)?.to_vec());
        at += len + 2;
    }
    if input.len() < at {
        return None;
    }
    input.drain(..at);
    Some(argv)
}

fn number(input: &[u8], at: &mut usize) -> Option<usize> {
    let line = input.get(*at + 1..)?;
    let len = line.windows(2).position(|pair| pair == b"\r\n")?;
    *at += 1 + len + 2;
    Some(std::str::from_utf8(&line[..len]).unwrap().parse().unwrap())
}
