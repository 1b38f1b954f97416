//! The world of one run: nodes, links, faults, and what must always be true.

use std::collections::BTreeMap;

use eave_replication::leader::FollowerId;
use eave_replication::replica::Event;
use eave_replication::status::LinkState;
use eave_replication::{BacklogConfig, Position, ReplicationId};

use crate::Tally;
use crate::leader_node::LeaderNode;
use crate::network::Link;
use crate::replica_node::{ReplicaNode, Wish};
use crate::rng::Rng;

/// Steps with faults; each moves the clock by up to 40 ms.
const FAULTY_STEPS: u64 = 600;
/// Steps within which all must agree once the faults have stopped.
const QUIET_STEPS: u64 = 3000;

/// Everything that was ever true under one replication id.
struct History {
    /// The data at `start`, and all effects after it.
    data: Vec<u8>,
    start: u64,
    start_len: usize,
}

impl History {
    fn at(&self, offset: u64) -> &[u8] {
        let len = usize::try_from(offset - self.start).unwrap();
        &self.data[..self.start_len + len]
    }
}

pub(crate) struct World<'a> {
    rng: Rng,
    /// Writes come once in so many steps.
    haste: u64,
    backlog: BacklogConfig,
    refused: u64,
    now_ms: u64,
    leader: LeaderNode,
    replicas: Vec<ReplicaNode>,
    /// Each replica's last position, and how much of its data was checked.
    checked: Vec<(Option<Position>, usize)>,
    links: Vec<Link>,
    next_link: u64,
    histories: BTreeMap<ReplicationId, History>,
    tally: &'a mut Tally,
}

impl<'a> World<'a> {
    pub(crate) fn new(seed: u64, tally: &'a mut Tally) -> Self {
        let mut rng = Rng::new(seed);
        let data = rng.text(500);
        let id = ReplicationId::from_random(rng.twenty());
        let position = Position { id, offset: rng.below(1000) };
        let backlog = BacklogConfig { size: 1024 << rng.below(4), limit: 6000 };
        let replicas: Vec<_> = (0..2 + rng.below(2))
            .map(|_| ReplicaNode::new(Vec::new(), None, (!rng.once_in(4), rng.once_in(2)), 0))
            .collect();
        let mut world = Self {
            checked: vec![(None, 0); replicas.len()],
            leader: LeaderNode::new(backlog, position, data),
            backlog,
            haste: 1 << rng.below(5),
            refused: 0,
            replicas,
            rng,
            now_ms: 0,
            links: Vec::new(),
            next_link: 0,
            histories: BTreeMap::new(),
            tally,
        };
        world.record_history();
        world
    }

    pub(crate) fn run(mut self) {
        for _ in 0..FAULTY_STEPS {
            self.disturb();
            self.write();
            self.step();
        }
        for _ in 0..QUIET_STEPS {
            self.step();
            if self.has_converged() {
                return;
            }
        }
        let replicas = self.replicas.iter().map(|node| node.replica.status(self.now_ms));
        panic!(
            "not converged: {:?}\n{:?}",
            self.leader.leader.status(&self.leader.log, self.now_ms),
            replicas.collect::<Vec<_>>()
        );
    }

    fn saw(&mut self, name: &'static str) {
        *self.tally.entry(name).or_default() += 1;
    }

    fn write(&mut self) {
        let writes = match self.rng.below(120) {
            0 => self.rng.below(90),
            _ if self.rng.once_in(self.haste) => self.rng.below(3),
            _ => 0,
        };
        for _ in 0..writes {
            let len = 1 + self.rng.size(150);
            let bytes = self.rng.text(len);
            self.leader.write(&bytes);
        }
    }

    fn step(&mut self) {
        self.now_ms += self.rng.below(40);
        self.leader.tick(self.now_ms, &mut self.rng, self.tally);
        self.notice_ends();
        self.move_bytes();
        for index in 0..self.replicas.len() {
            let replica = &mut self.replicas[index];
            replica.work(self.now_ms, &mut self.rng, self.tally);
            replica.step(Event::Tick, self.now_ms, self.tally);
            self.grant(index);
        }
        self.check();
    }

    /// Lets bytes arrive, links in any order.
    fn move_bytes(&mut self) {
        let (now_ms, rng) = (self.now_ms, &mut self.rng);
        if !self.links.is_empty() {
            let first = rng.size(self.links.len() - 1);
            self.links.rotate_left(first);
        }
        for link in &mut self.links {
            let replica = &mut self.replicas[link.replica];
            if !link.replica_left {
                replica.flush(link, now_ms, rng);
            }
            if !link.leader_left {
                let busy = rng.once_in(200);
                self.leader.receive(link, replica.capable, busy, now_ms, rng, self.tally);
                if !self.leader.pump(link, now_ms, rng, self.tally) {
                    self.leader.closed(link.id, now_ms, rng, self.tally);
                    link.leave_leader(now_ms, rng);
                }
            }
            if !link.replica_left {
                replica.receive(link, now_ms, rng, self.tally);
            }
        }
        for index in 0..self.replicas.len() {
            self.grant(index);
        }
    }

    /// Tells each side of a link that the other is gone, when its time has come.
    fn notice_ends(&mut self) {
        let (now_ms, rng) = (self.now_ms, &mut self.rng);
        let due = |at_ms: Option<u64>| at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        for link in &mut self.links {
            if !link.leader_left && due(link.leader_notices_ms) {
                self.leader.closed(link.id, now_ms, rng, self.tally);
                link.leave_leader(now_ms, rng);
            }
            let drained = link.to_replica.is_empty() || rng.once_in(20);
            if !link.replica_left && due(link.replica_notices_ms) && drained {
                link.leave_replica(now_ms, rng);
                self.replicas[link.replica].step(Event::Closed, now_ms, self.tally);
            }
        }
        self.links.retain(|link| !(link.leader_left && link.replica_left));
        for index in 0..self.replicas.len() {
            self.grant(index);
        }
    }

    /// Opens and closes links as a replica wishes.
    fn grant(&mut self, index: usize) {
        for wish in self.replicas[index].take_wishes() {
            let mut own = self.links.iter_mut().filter(|l| l.replica == index && !l.replica_left);
            match wish {
                Wish::Close => own.for_each(|l| l.leave_replica(self.now_ms, &mut self.rng)),
                Wish::Connect => {
                    assert!(own.next().is_none(), "two links at once");
                    let fails = self.rng.once_in(10);
                    let event = if fails { Event::ConnectFailed } else { Event::Connected };
                    if !fails {
                        self.next_link += 1;
                        self.links.push(Link::new(FollowerId(self.next_link), index));
                    }
                    self.replicas[index].step(event, self.now_ms, self.tally);
                }
            }
        }
    }

    fn disturb(&mut self) {
        if !self.links.is_empty() && self.rng.once_in(60) {
            let index = self.rng.size(self.links.len() - 1);
            if !self.links[index].broken {
                self.links[index].cut(self.now_ms, &mut self.rng);
                self.saw("link broke");
            }
        }
        let index = self.rng.size(self.replicas.len() - 1);
        if self.rng.once_in(120) {
            self.replicas[index].paused_until_ms = self.now_ms + self.rng.below(4000);
        }
        if self.rng.once_in(400) {
            self.restart_replica(index);
        }
        if self.rng.once_in(500) {
            self.restart_leader();
        }
        if self.rng.once_in(400) {
            self.change_id();
        }
        if self.rng.once_in(500) {
            self.promote();
        }
    }

    /// A replica that forgot everything, or one that kept its data.
    fn restart_replica(&mut self, index: usize) {
        for link in self.links.iter_mut().filter(|link| link.replica == index) {
            link.leave_replica(self.now_ms, &mut self.rng);
        }
        let old = &mut self.replicas[index];
        let (data, position) = match old.replica.position() {
            Some(at) if !self.rng.once_in(3) => (std::mem::take(&mut old.data), Some(at)),
            _ => (Vec::new(), None),
        };
        let able = (old.capable, old.packs);
        self.replicas[index] = ReplicaNode::new(data, position, able, self.now_ms);
        if position.is_some() {
            self.saw("replica restarted with its data");
        } else {
            self.checked[index] = (None, 0);
        }
    }

    /// A leader that lost the end of its data, or not, and begins a new history.
    fn restart_leader(&mut self) {
        self.sync_history();
        let data = self.leader.data.clone();
        let kept = self.rng.size(data.len());
        let id = ReplicationId::from_random(self.rng.twenty());
        let offset = self.leader.log.offset() / (1 + self.rng.below(2));
        self.leader = LeaderNode::new(self.backlog, Position { id, offset }, data[..kept].to_vec());
        self.refused = 0;
        for link in self.links.iter_mut().filter(|link| !link.leader_left) {
            link.leave_leader(self.now_ms, &mut self.rng);
        }
        self.record_history();
        self.saw("leader restarted");
    }

    /// A replica that had not received everything takes the leader's place.
    fn promote(&mut self) {
        self.sync_history();
        let end = self.leader.log.position();
        let history = &self.histories[&end.id];
        let lost = self.rng.below((end.offset - history.start).min(300) + 1);
        let at = Position { offset: end.offset - lost, ..end };
        self.leader = LeaderNode::new(self.backlog, at, history.at(at.offset).to_vec());
        self.leader.log.activate();
        self.leader.log.change_id(ReplicationId::from_random(self.rng.twenty()));
        self.refused = 0;
        for link in self.links.iter_mut().filter(|link| !link.leader_left) {
            link.leave_leader(self.now_ms, &mut self.rng);
        }
        self.record_history();
        self.saw("replica promoted");
    }

    /// The same data under another id, as after a promotion: all have to ask again.
    fn change_id(&mut self) {
        self.sync_history();
        self.leader.log.change_id(ReplicationId::from_random(self.rng.twenty()));
        self.leader.replaced(self.now_ms, &mut self.rng, self.tally);
        self.record_history();
        self.saw("history went on under a new id");
    }

    fn record_history(&mut self) {
        let data = self.leader.data.clone();
        let start = self.leader.log.offset();
        let history = History { start_len: data.len(), data, start };
        assert!(self.histories.insert(self.leader.log.id(), history).is_none());
    }

    /// Notes what the leader has written since.
    fn sync_history(&mut self) {
        let history = self.histories.get_mut(&self.leader.log.id()).unwrap();
        let new = &self.leader.data[history.data.len()..];
        history.data.extend_from_slice(new);
        assert_eq!(history.at(self.leader.log.offset()).len(), history.data.len());
    }

    fn check(&mut self) {
        self.sync_history();
        for index in 0..self.replicas.len() {
            self.check_replica(index);
        }
        self.check_leader();
    }

    /// It holds exactly the bytes that its position stands for, and never goes back.
    fn check_replica(&mut self, index: usize) {
        let replica = &self.replicas[index];
        let now = replica.replica.position();
        let (before, len) = self.checked[index];
        if let Some(at) = now {
            let history = &self.histories[&at.id];
            // Whoever resumed under a new id may stand before that history's start.
            let expected = if at.offset < history.start {
                &history.data[..history.start_len - (history.start - at.offset) as usize]
            } else {
                history.at(at.offset)
            };
            assert_eq!(replica.data.len(), expected.len(), "replica {index}");
            let from = if before.is_some_and(|before| before.id == at.id) { len } else { 0 };
            assert!(replica.data[from..] == expected[from..], "replica {index} diverged");
            assert!(before.is_none_or(|before| before.offset <= at.offset), "went back");
        }
        self.checked[index] = (now, replica.data.len());
    }

    fn check_leader(&mut self) {
        let status = self.leader.leader.status(&self.leader.log, self.now_ms);
        assert!(
            status.backlog_memory <= self.leader.log.config().limit + 1024,
            "{}",
            status.backlog_memory
        );
        assert!(status.followers.len() <= self.links.len());
        assert!(self.leader.snapshots() <= 1);
        self.leader.log_from = self.leader.log_from.or(status.backlog_start);
        let wrapped = status.backlog_start > self.leader.log_from;
        assert!(status.backlog_len() >= self.backlog.size || !wrapped, "kept too little");
        for follower in &status.followers {
            assert!(follower.acked <= follower.sent && follower.sent <= status.position.offset);
            let link = self.links.iter().find(|link| link.id == follower.id).unwrap();
            if let (false, Some(at)) = (link.replica_left, self.checked[link.replica].0) {
                assert!(follower.acked <= at.offset, "acknowledged what is not applied");
            }
        }
        if wrapped {
            self.saw("backlog wrapped");
        }
        if status.counters.partial_err > self.refused {
            self.refused = status.counters.partial_err;
            self.saw("partial resync refused");
        }
    }

    fn has_converged(&self) -> bool {
        let end = self.leader.log.position();
        self.replicas.iter().all(|node| {
            node.replica.status(self.now_ms).state == LinkState::Connected
                && node.replica.position() == Some(end)
                && node.is_idle()
                && node.data == self.leader.data
        })
    }
}
