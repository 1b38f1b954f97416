//! One node as a server would drive it: both sides of the protocol, the data, and the role.

use std::collections::BTreeMap;

use eave_replication::epoch::Reign;
use eave_replication::failover::{Failover, State};
use eave_replication::greeting::Greeting;
use eave_replication::leader::{
    Action, CloseReason, Event, FollowerId, Leader, LeaderConfig, Poll, SnapshotId, Transfer,
};
use eave_replication::payload::{EofMark, Framing};
use eave_replication::replica::{Introduction, ReplicaConfig};
use eave_replication::wire::{self, Request};
use eave_replication::{Backlog, BacklogConfig, Position, Replica, ReplicationId};

use crate::Tally;
use crate::history::{EMPTY, Histories, fold};
use crate::rng::Rng;

/// Bytes of a snapshot that tell the data; the rest of it is padding.
const DIGITS: usize = 16;

/// A follower's connection.
#[derive(Default)]
pub(crate) struct Connection {
    /// What the pipe has not taken yet.
    pub(crate) out: Vec<u8>,
    /// Requests that are not complete yet.
    input: Vec<u8>,
    /// The payload under way, and how much of it went out.
    payload: Option<(Vec<u8>, usize)>,
    streaming: bool,
}

enum Snapshot {
    Due { at: u64 },
    Cut { data: Vec<u8> },
}

/// The link to the node that this one follows.
pub(crate) struct Upstream {
    pub(crate) leader: usize,
    pub(crate) replica: Replica,
    /// What was received of a snapshot.
    pub(crate) loading: Vec<u8>,
    /// What was received of the stream and not applied.
    pub(crate) stream: Vec<u8>,
    /// Handed to the machine later: it takes nothing while it installs.
    pub(crate) waiting: Vec<u8>,
    /// When the snapshot is in the place of the data.
    pub(crate) installed: Option<u64>,
    /// What goes to the leader.
    pub(crate) out: Vec<u8>,
    /// What the snapshot stands for that is coming.
    pub(crate) target: Option<Position>,
}

impl Upstream {
    /// Forgets what a link that is over has brought and was not applied.
    pub(crate) fn forget(&mut self) {
        for buffer in [&mut self.loading, &mut self.stream, &mut self.waiting, &mut self.out] {
            buffer.clear();
        }
        self.installed = None;
    }
}

pub(crate) struct Node {
    pub(crate) log: Backlog,
    pub(crate) leader: Leader,
    pub(crate) upstream: Option<Upstream>,
    pub(crate) reign: Reign,
    pub(crate) failover: Failover,
    /// The data.
    pub(crate) hash: u64,
    pub(crate) connections: BTreeMap<FollowerId, Connection>,
    snapshots: BTreeMap<SnapshotId, Snapshot>,
    pub(crate) closing: Vec<FollowerId>,
    /// Until when it does nothing.
    pub(crate) frozen: u64,
    /// Its clock runs ahead by so much, and faster by so many thousandths.
    pub(crate) ahead: u64,
    pub(crate) faster: u64,
    /// Whom it has to tell that it leads.
    pub(crate) owes: Option<usize>,
    /// Its leader asked it to lead.
    pub(crate) taken_over: Option<Position>,
}

/// What a node's own sees around it.
pub(crate) struct Around<'a> {
    pub(crate) now: u64,
    pub(crate) rng: &'a mut Rng,
    pub(crate) tally: &'a mut Tally,
    pub(crate) histories: &'a mut Histories,
}

impl Around<'_> {
    pub(crate) fn saw(&mut self, name: &'static str) {
        *self.tally.entry(name).or_default() += 1;
    }
}

impl Node {
    pub(crate) fn new(backlog: BacklogConfig, rng: &mut Rng) -> Self {
        let id = ReplicationId::from_random(rng.twenty());
        let position = Position { id, offset: rng.below(1000) };
        let delay = if rng.once_in(3) { rng.below(300) } else { 0 };
        let config =
            LeaderConfig { ping_period_ms: 900, timeout_ms: 3000, snapshot_delay_ms: delay };
        Self {
            log: Backlog::new(backlog, position),
            leader: Leader::new(config),
            upstream: None,
            reign: Reign::default(),
            failover: Failover::default(),
            hash: EMPTY,
            connections: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            closing: Vec::new(),
            frozen: 0,
            ahead: rng.below(100_000),
            faster: rng.below(60),
            owes: None,
            taken_over: None,
        }
    }

    /// The time by its clock.
    pub(crate) fn clock(&self, now: u64) -> u64 {
        self.ahead + now + now * self.faster / 1000
    }

    pub(crate) fn leads(&self) -> bool {
        self.upstream.is_none()
    }

    /// Whether a client's write is taken now.
    pub(crate) fn takes_writes(&self) -> bool {
        self.leads() && self.reign.fence().is_none() && self.failover.state() == State::None
    }

    pub(crate) fn position(&self) -> Position {
        self.log.position()
    }

    pub(crate) fn greeting(&self) -> Greeting {
        self.reign.greeting(self.log.position(), self.log.second())
    }

    /// A write of a client.
    pub(crate) fn write(&mut self, around: &mut Around<'_>) {
        let len = 1 + around.rng.below(38);
        let mut bytes = vec![len as u8];
        bytes.extend(around.rng.text(len as usize));
        if self.log.is_active() {
            self.log.append(&bytes);
        } else {
            self.log.advance(bytes.len() as u64);
        }
        self.hash = fold(self.hash, &bytes);
        around.histories.grow(self.log.position(), self.hash);
    }

    /// Notes what the leader's machine put into the log.
    fn note_pings(&mut self, before: u64, around: &mut Around<'_>) {
        if self.log.offset() > before {
            assert!(self.leads(), "a replica wrote into its log");
            let mut bytes = Vec::new();
            assert!(self.log.read(before, usize::MAX, &mut bytes).is_some());
            self.hash = fold(self.hash, &bytes);
            around.histories.grow(self.log.position(), self.hash);
            around.saw("ping in the stream");
        }
    }

    pub(crate) fn tick_leader(&mut self, around: &mut Around<'_>) {
        self.step(Event::Tick, around);
        let now = around.now;
        let due = |(id, snapshot): (&SnapshotId, &Snapshot)| match snapshot {
            Snapshot::Due { at } if *at <= now => Some(*id),
            _ => None,
        };
        let due: Vec<SnapshotId> = self.snapshots.iter().filter_map(due).collect();
        for snapshot in due {
            let event = if around.rng.once_in(40) {
                self.snapshots.remove(&snapshot);
                Event::SnapshotFailed(snapshot)
            } else {
                let mut data = format!("{:016x}", self.hash).into_bytes();
                let padding = around.rng.size(900);
                data.extend(around.rng.text(padding));
                self.snapshots.insert(snapshot, Snapshot::Cut { data });
                let mark = EofMark::from_random(around.rng.twenty());
                Event::SnapshotCut { snapshot, position: self.log.position(), mark }
            };
            self.step(event, around);
        }
    }

    /// Takes what a follower said.
    pub(crate) fn hear(&mut self, id: FollowerId, bytes: &[u8], around: &mut Around<'_>) {
        self.connections.entry(id).or_default().input.extend_from_slice(bytes);
        while let Some(argv) =
            self.connections.get_mut(&id).and_then(|c| next_command(&mut c.input))
        {
            let argv: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
            match Request::parse(&argv) {
                None if argv.is_empty() => self.step(Event::Heartbeat(id), around),
                None => self.reply(id, b"+PONG\r\n"),
                Some(Err(error)) => panic!("{error}"),
                Some(Ok(Request::Replconf(options))) if options.greeting.is_some() => {
                    let peer = "127.0.0.1".to_owned();
                    self.step(Event::Accepted { follower: id, peer }, around);
                    self.leader.greeted(id, options.greeting);
                    let answer = format!("+{}\r\n", self.greeting().answer());
                    self.reply(id, answer.as_bytes());
                }
                Some(Ok(request)) => self.request(id, request, around),
            }
        }
    }

    fn request(&mut self, id: FollowerId, request: Request, around: &mut Around<'_>) {
        if let Request::Psync { from, failover } = &request {
            if *failover && self.leads() {
                return self.reply(id, b"-ERR PSYNC FAILOVER can't be sent to a master.\r\n");
            }
            if *failover && from.is_none_or(|from| from.id != self.log.id()) {
                return self.reply(id, b"-ERR PSYNC FAILOVER replid must match my replid.\r\n");
            }
            if *failover {
                self.taken_over = *from;
                let new = ReplicationId::from_random(around.rng.twenty());
                self.lead(new, around);
                around.saw("lead handed over");
            }
            let linked = self.upstream.as_ref().is_none_or(|up| {
                up.replica.status(0).state == eave_replication::status::LinkState::Connected
            });
            if self.failover.state() != State::None || !linked {
                around.saw("no link, so not followed");
                return self.reply(id, b"-NOMASTERLINK Can't SYNC\r\n");
            }
        }
        let peer = "127.0.0.1".to_owned();
        self.step(Event::Accepted { follower: id, peer }, around);
        self.step(Event::Requested { follower: id, request }, around);
    }

    fn reply(&mut self, id: FollowerId, bytes: &[u8]) {
        self.connections.entry(id).or_default().out.extend_from_slice(bytes);
    }

    pub(crate) fn closed(&mut self, id: FollowerId, around: &mut Around<'_>) {
        self.connections.remove(&id);
        self.closing.retain(|closing| *closing != id);
        self.step(Event::Closed(id), around);
    }

    /// Fills what goes to a follower; whether there is something.
    pub(crate) fn fill(&mut self, id: FollowerId, around: &mut Around<'_>) -> bool {
        let connection = self.connections.entry(id).or_default();
        if !connection.out.is_empty() {
            return true;
        }
        if let Some((payload, from)) = &mut connection.payload {
            let to = payload.len().min(*from + 1 + around.rng.size(800));
            connection.out.extend_from_slice(&payload[*from..to]);
            *from = to;
            let event = if to == payload.len() {
                connection.payload = None;
                Event::SnapshotSent(id)
            } else {
                Event::SnapshotProgress(id)
            };
            self.step(event, around);
            return true;
        }
        if !connection.streaming {
            return false;
        }
        match self.leader.poll(id, &mut self.log, 1 + around.rng.size(400), &mut connection.out) {
            Poll::Ready(_) => true,
            Poll::CaughtUp => false,
            Poll::NotStreaming => panic!("streaming was asked for"),
            Poll::Cut(_) => {
                around.saw("slow follower cut");
                self.closing.push(id);
                false
            }
        }
    }

    pub(crate) fn step(&mut self, event: Event, around: &mut Around<'_>) {
        let before = self.log.offset();
        let clock = self.clock(around.now);
        let actions = self.leader.step(event, &mut self.log, clock);
        self.note_pings(before, around);
        let shared = actions.iter().filter(|a| matches!(a, Action::SendSnapshot { .. })).count();
        if shared > 1 {
            around.saw("snapshot shared");
        }
        for action in actions {
            match action {
                Action::Send { follower, bytes } => self.reply(follower, &bytes),
                Action::StartSnapshot(id) => {
                    let at = around.now + around.rng.below(200);
                    assert!(self.snapshots.insert(id, Snapshot::Due { at }).is_none());
                }
                Action::SendSnapshot { follower, snapshot, transfer, .. } => {
                    self.send_snapshot(follower, snapshot, &transfer);
                }
                Action::ReleaseSnapshot(id) => _ = self.snapshots.remove(&id),
                Action::Pack { .. } => unreachable!("nobody asks for it here"),
                Action::Stream(follower) => {
                    self.connections.entry(follower).or_default().streaming = true;
                }
                Action::Close { follower, reason } => {
                    around.saw(match reason {
                        CloseReason::TooSlow => "slow follower cut",
                        CloseReason::Timeout => "leader noticed silence",
                        CloseReason::HistoryReplaced => "followers told of another history",
                        _ => "follower closed",
                    });
                    self.closing.push(follower);
                }
            }
        }
    }

    fn send_snapshot(&mut self, follower: FollowerId, id: SnapshotId, transfer: &Transfer) {
        let Some(Snapshot::Cut { data }) = self.snapshots.get(&id) else { panic!("not cut") };
        let (framing, mark) = match transfer {
            Transfer::Length => (Framing::Length(data.len() as u64), [].as_slice()),
            Transfer::EofMark(mark) => (Framing::EofMark(*mark), mark.as_bytes().as_slice()),
        };
        let payload = [framing.header().as_slice(), data, mark].concat();
        self.connections.entry(follower).or_default().payload = Some((payload, 0));
    }

    /// Leads from now on, under a new id.
    pub(crate) fn lead(&mut self, id: ReplicationId, around: &mut Around<'_>) {
        let Some(upstream) = self.upstream.take() else {
            self.reign.lead();
            return self.leader.tell_epoch(self.reign.epoch());
        };
        let orphaned =
            upstream.replica.status(0).state != eave_replication::status::LinkState::Connected;
        let old = self.log.position();
        let held = upstream.replica.position().is_some_and(|at| at == old);
        self.reign.promoted(old, id, orphaned && held);
        self.owes = Some(upstream.leader);
        self.leader.tell_epoch(self.reign.epoch());
        self.log.change_id(id);
        let from = around.histories.hash_at(old).map(|_| old);
        around.histories.begin(self.log.position(), from, self.hash);
        self.leader.be_quiet(false);
        self.step(Event::HistoryReplaced, around);
        if orphaned {
            around.saw("promoted while the leader was away");
        }
    }

    /// Follows another node from now on.
    pub(crate) fn follow(&mut self, leader: usize, port: u16, around: &mut Around<'_>) {
        let position = match self.upstream.take() {
            None => Some(self.log.position()),
            Some(upstream) => upstream.replica.position(),
        };
        let config = self.replica_config(port);
        self.reign.follows();
        self.leader.be_quiet(true);
        self.upstream = Some(Upstream {
            leader,
            replica: Replica::new(config, position, self.clock(around.now)),
            loading: Vec::new(),
            stream: Vec::new(),
            waiting: Vec::new(),
            installed: None,
            out: Vec::new(),
            target: None,
        });
    }

    pub(crate) fn replica_config(&self, port: u16) -> ReplicaConfig {
        let introduction = Introduction {
            listening_port: port,
            greeting: Some(self.greeting()),
            failover: self.failover.state() == State::InProgress,
            ..Introduction::default()
        };
        ReplicaConfig {
            introduction,
            timeout_ms: 3000,
            ack_period_ms: 300,
            retry_max_ms: 800,
            ..ReplicaConfig::default()
        }
    }

    /// It holds what its leader has.
    pub(crate) fn followed(&mut self, leader: Option<&Greeting>) {
        self.reign.followed(leader);
        self.leader.tell_epoch(self.reign.epoch());
    }

    /// Puts a snapshot in the place of the data.
    pub(crate) fn install(&mut self, at: Position, data: &[u8], around: &mut Around<'_>) {
        let digits = std::str::from_utf8(&data[..DIGITS]).unwrap_or_default();
        self.hash = u64::from_str_radix(digits, 16).unwrap();
        self.log.reset(at);
        self.log.activate();
        self.step(Event::HistoryReplaced, around);
    }

    pub(crate) fn snapshots(&self) -> usize {
        self.snapshots.len()
    }
}

/// How many bytes the first command of the stream has; nothing if it has not come whole.
pub(crate) fn command_length(stream: &[u8]) -> Option<usize> {
    let length = match stream.first()? {
        b'*' if stream.len() < wire::PING.len() => return None,
        b'*' if stream.starts_with(wire::PING) => wire::PING.len(),
        b'*' => wire::GETACK.len(),
        length => usize::from(*length) + 1,
    };
    (stream.len() >= length).then_some(length)
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
    std::str::from_utf8(&line[..len]).ok()?.parse().ok()
}
