//! The world of one run: four nodes, links, faults, operators, and what must always be true.

use std::collections::BTreeSet;

use eave_replication::failover::{Look, State, Target, Wish};
use eave_replication::leader::FollowerId;
use eave_replication::replica::{Action, Event, LinkError};
use eave_replication::status::LinkState;
use eave_replication::{BacklogConfig, Position, ReplicationId, epoch};

use crate::Tally;
use crate::history::{EMPTY, Histories, fold};
use crate::network::Link;
use crate::node::{Around, Node, command_length};
use crate::rng::Rng;

/// A leader, two replicas, and one that follows a replica.
pub(crate) const NODES: usize = 4;
/// Steps with faults; each moves the clock by up to 60 ms.
const FAULTY_STEPS: u64 = 220;
/// Steps within which all must agree once the faults have stopped.
const QUIET_STEPS: u64 = 1500;

pub(crate) struct World<'a> {
    rng: Rng,
    now: u64,
    haste: u64,
    backlog: BacklogConfig,
    nodes: Vec<Node>,
    links: Vec<Link>,
    next_link: u64,
    /// Pairs that do not reach each other, and until when.
    partitions: Vec<(usize, usize, u64)>,
    /// Who is to be told to follow whom, and when.
    orders: Vec<(u64, usize, usize)>,
    /// Whom the operators take for the leader.
    current: usize,
    histories: Histories,
    /// Each node's place after the last step.
    seen: Vec<Position>,
    tally: &'a mut Tally,
}

fn port(node: usize) -> u16 {
    node as u16 + 100
}

impl<'a> World<'a> {
    pub(crate) fn new(seed: u64, tally: &'a mut Tally) -> Self {
        let mut rng = Rng::new(seed);
        let size = 256 << rng.below(5);
        let backlog = BacklogConfig { size, limit: size + 2000 };
        let nodes: Vec<Node> = (0..NODES).map(|_| Node::new(backlog, &mut rng)).collect();
        let mut histories = Histories::default();
        nodes.iter().for_each(|node| histories.begin(node.position(), None, EMPTY));
        let mut world = Self {
            haste: 1 << rng.below(4),
            seen: nodes.iter().map(Node::position).collect(),
            rng,
            now: 0,
            backlog,
            nodes,
            links: Vec::new(),
            next_link: 0,
            partitions: Vec::new(),
            orders: Vec::new(),
            current: 0,
            histories,
            tally,
        };
        for (node, leader) in [(1, 0), (2, 0), (3, 1)] {
            world.follow(node, leader);
        }
        world
    }

    pub(crate) fn run(mut self) {
        for _ in 0..FAULTY_STEPS {
            self.disturb();
            self.write();
            self.step();
        }
        self.settle();
        for step in 0..QUIET_STEPS {
            if step < 20 {
                self.write();
            }
            self.step();
            if step >= 20 && self.has_converged() {
                return;
            }
        }
        let states = self.nodes.iter().map(|node| {
            let link = node.upstream.as_ref().map(|up| (up.leader, up.replica.status(0)));
            (node.position(), node.reign.clone(), link)
        });
        panic!("not converged: {:#?}", states.collect::<Vec<_>>());
    }

    fn saw(&mut self, name: &'static str) {
        *self.tally.entry(name).or_default() += 1;
    }

    /// A node, and what it sees around it.
    fn node(&mut self, index: usize) -> (&mut Node, Around<'_>) {
        let Self { now, rng, tally, histories, nodes, .. } = self;
        (&mut nodes[index], Around { now: *now, rng, tally, histories })
    }

    fn frozen(&self, node: usize) -> bool {
        self.nodes[node].frozen > self.now
    }

    fn parted(&self, a: usize, b: usize) -> bool {
        let between = |(x, y, _): &(usize, usize, u64)| (*x, *y) == (a, b) || (*x, *y) == (b, a);
        self.partitions.iter().any(between)
    }

    fn write(&mut self) {
        for index in 0..NODES {
            if !self.frozen(index)
                && self.nodes[index].takes_writes()
                && self.rng.once_in(self.haste)
            {
                let burst = if self.rng.once_in(40) { 60 } else { 3 };
                for _ in 0..self.rng.below(burst) {
                    let (node, mut around) = self.node(index);
                    node.write(&mut around);
                }
            }
        }
    }

    fn step(&mut self) {
        self.now += self.rng.below(60);
        let now = self.now;
        self.partitions.retain(|(_, _, until)| *until > now);
        for index in 0..NODES {
            if !self.frozen(index) {
                let (node, mut around) = self.node(index);
                node.tick_leader(&mut around);
                self.look(index);
                self.work(index);
                self.tell(index, Event::Tick);
                self.owe(index);
            }
        }
        self.notice_ends();
        self.move_bytes();
        self.check();
    }

    /// Lets bytes arrive.
    fn move_bytes(&mut self) {
        for at in 0..self.links.len() {
            let (id, replica, leader) = {
                let link = &self.links[at];
                (link.id, link.replica, link.leader)
            };
            let now = self.now;
            if !self.links[at].replica_left
                && !self.frozen(replica)
                && let Some(up) = &mut self.nodes[replica].upstream
            {
                let sent = self.links[at].send_up(&up.out, now, &mut self.rng);
                up.out.drain(..sent);
            }
            if !self.links[at].leader_left && !self.frozen(leader) {
                while let Some(bytes) = self.links[at].receive_up(now, &mut self.rng) {
                    let (node, mut around) = self.node(leader);
                    node.hear(id, &bytes, &mut around);
                    self.after_hearing(leader);
                }
                self.pump(at, id, leader);
            }
            if !self.links[at].replica_left && !self.frozen(replica) {
                while let Some(bytes) = self.links[at].receive_down(now, &mut self.rng) {
                    if let Some(up) = &mut self.nodes[replica].upstream {
                        up.waiting.extend(bytes);
                    }
                    self.receive(replica);
                    if self.links[at].replica_left {
                        break;
                    }
                }
            }
        }
    }

    fn pump(&mut self, at: usize, id: FollowerId, leader: usize) {
        for _ in 0..8 {
            let (node, mut around) = self.node(leader);
            if node.closing.contains(&id) {
                node.closed(id, &mut around);
                let (now, rng) = (self.now, &mut self.rng);
                return self.links[at].leave_leader(now, rng);
            }
            if !node.fill(id, &mut around) {
                continue;
            }
            let Some(connection) = self.nodes[leader].connections.get_mut(&id) else { return };
            let sent = self.links[at].send_down(&connection.out, self.now, &mut self.rng);
            connection.out.drain(..sent);
            if !connection.out.is_empty() {
                return;
            }
        }
    }

    /// What a request may have led to: this node leads now.
    fn after_hearing(&mut self, index: usize) {
        let Some(from) = self.nodes[index].taken_over.take() else { return };
        self.leave_links(index);
        let end = self.histories.end(from.id);
        let here = self.histories.from(self.nodes[index].position().id);
        if here.map(|here| here.offset) == end {
            self.saw("handed over without loss");
        } else {
            self.saw("handed over by force");
        }
        self.current = index;
    }

    fn receive(&mut self, index: usize) {
        let clock = self.nodes[index].clock(self.now);
        let Some(up) = &mut self.nodes[index].upstream else { return };
        if up.installed.is_some() {
            return;
        }
        let input = std::mem::take(&mut up.waiting);
        let mut rest = input.as_slice();
        while !rest.is_empty() {
            let Some(up) = &mut self.nodes[index].upstream else { return };
            let mut actions = Vec::new();
            let taken = up.replica.receive(rest, clock, &mut actions);
            rest = &rest[taken..];
            let installs = actions.iter().any(|action| matches!(action, Action::Install));
            let closes = actions.iter().any(|action| matches!(action, Action::Close(_)));
            self.act(index, actions);
            if closes {
                return;
            }
            if installs {
                if let Some(up) = &mut self.nodes[index].upstream {
                    up.waiting = rest.to_vec();
                }
                return;
            }
        }
    }

    fn tell(&mut self, index: usize, event: Event) {
        let clock = self.nodes[index].clock(self.now);
        if let Some(up) = &mut self.nodes[index].upstream {
            let actions = up.replica.step(event, clock);
            self.act(index, actions);
        }
    }

    /// Does what a replica's machine says.
    fn act(&mut self, index: usize, actions: Vec<Action<'_>>) {
        for action in actions {
            let Some(up) = &mut self.nodes[index].upstream else { return };
            match action {
                Action::Connect => self.connect(index),
                Action::Send(bytes) => up.out.extend(bytes),
                Action::BeginLoad { position, .. } => {
                    up.loading.clear();
                    up.target = Some(position);
                    self.handed_over(index);
                    self.count_alone(index);
                }
                Action::Load(bytes) => up.loading.extend_from_slice(&bytes),
                Action::Install => up.installed = Some(self.now + self.rng.below(300)),
                Action::DiscardLoad => {
                    up.loading.clear();
                    up.installed = None;
                    self.saw("broke inside a snapshot");
                }
                Action::Unpack(_) => unreachable!("nobody asks for it here"),
                Action::Resumed(at) => {
                    let greeting = up.replica.greeting().cloned();
                    self.saw("partial resync");
                    let (node, mut around) = self.node(index);
                    assert_eq!(node.log.offset(), at.offset, "resumed elsewhere");
                    node.followed(greeting.as_ref());
                    if node.log.id() != at.id {
                        node.log.change_id(at.id);
                        node.log.inherit_second(greeting.and_then(|greeting| greeting.from));
                        node.step(eave_replication::leader::Event::HistoryReplaced, &mut around);
                        around.saw("resumed under a new id");
                    }
                    self.handed_over(index);
                }
                Action::Apply(bytes) => up.stream.extend_from_slice(bytes),
                Action::Close(error) => {
                    up.forget();
                    self.leave_links(index);
                    if error == LinkError::Timeout {
                        self.saw("replica noticed silence");
                    }
                    let refused = matches!(error, LinkError::Refused(_));
                    if refused && self.nodes[index].failover.state() == State::InProgress {
                        self.abort(index);
                    }
                    return;
                }
            }
        }
    }

    fn connect(&mut self, index: usize) {
        let config = self.nodes[index].replica_config(port(index));
        let Some(up) = &mut self.nodes[index].upstream else { return };
        up.replica.configure(config);
        let leader = up.leader;
        let fails = self.parted(index, leader) || self.frozen(leader) || self.rng.once_in(15);
        if !fails {
            self.next_link += 1;
            let old = self.links.iter().filter(|l| l.replica == index && !l.leader_left).count();
            if old > 0 {
                self.saw("connected twice");
            }
            self.links.push(Link::new(FollowerId(self.next_link), index, leader));
        }
        self.tell(index, if fails { Event::ConnectFailed } else { Event::Connected });
    }

    fn leave_links(&mut self, index: usize) {
        let (now, rng) = (self.now, &mut self.rng);
        let own = self.links.iter_mut().filter(|link| link.replica == index && !link.replica_left);
        own.for_each(|link| link.leave_replica(now, rng));
    }

    /// Applies some of what has come, and installs.
    fn work(&mut self, index: usize) {
        let Some(up) = &mut self.nodes[index].upstream else { return };
        if up.installed.is_some_and(|at| at <= self.now) {
            up.installed = None;
            let (target, data) = (up.target, std::mem::take(&mut up.loading));
            let Some(target) = target else { panic!("nothing began") };
            if self.rng.once_in(40) {
                self.saw("installation failed");
                return self.tell(index, Event::InstallFailed);
            }
            let (node, mut around) = self.node(index);
            node.install(target, &data, &mut around);
            let greeting = node.upstream.as_ref().and_then(|up| up.replica.greeting().cloned());
            node.log.inherit_second(greeting.as_ref().and_then(|greeting| greeting.from));
            node.followed(greeting.as_ref());
            self.seen[index] = target;
            self.saw("full resync");
            self.tell(index, Event::Installed);
            self.receive(index);
        }
        for _ in 0..self.rng.below(30) {
            let node = &mut self.nodes[index];
            let Some(up) = &mut node.upstream else { return };
            let Some(length) = command_length(&up.stream) else { return };
            let bytes: Vec<u8> = up.stream.drain(..length).collect();
            node.hash = fold(node.hash, &bytes);
            node.log.append(&bytes);
            self.tell(index, Event::Applied(length as u64));
        }
    }

    /// What a leader did alone is what its successor says: no more and no less.
    fn count_alone(&mut self, index: usize) {
        let node = &self.nodes[index];
        let Some(greeting) = node.upstream.as_ref().and_then(|up| up.replica.greeting()) else {
            panic!("no greeting")
        };
        let (at, id) = (node.position(), greeting.at.unwrap().id);
        let parent = self.histories.from(id).filter(|from| from.id == at.id);
        if let Some(range) = epoch::alone(at, greeting) {
            let from = parent.map(|from| from.offset);
            assert_eq!((Some(range.start), range.end), (from, at.offset), "where they part");
            self.saw("what was done alone counted");
        } else if let Some(from) = parent {
            assert!(at.offset <= from.offset || greeting.from.is_none(), "not counted");
        }
    }

    /// Tells the old leader that it is one.
    fn owe(&mut self, index: usize) {
        let (Some(notice), Some(old)) = (self.nodes[index].reign.notice(), self.nodes[index].owes)
        else {
            return;
        };
        if self.parted(index, old) || self.frozen(old) || !self.rng.once_in(4) {
            return;
        }
        let (node, mut around) = self.node(old);
        let at = node.position();
        if node.leads() && node.reign.heard(&notice.greeting(), at) {
            around.saw("old leader fenced");
        }
        self.nodes[index].reign.told(notice);
    }

    /// Looks whether a failover can go on.
    fn look(&mut self, index: usize) {
        let clock = self.nodes[index].clock(self.now);
        let node = &mut self.nodes[index];
        if node.failover.state() != State::WaitingForSync {
            return;
        }
        let followers = node.leader.status(&node.log, clock).followers;
        match node.failover.look(&followers, node.log.offset(), clock) {
            Look::Wait => {}
            Look::GiveUp => {
                self.saw("failover given up");
                self.abort(index);
            }
            Look::HandOver { to, forced } => {
                self.saw(if forced { "failover forced" } else { "failover synced" });
                self.follow(index, usize::from(to.port - 100));
            }
        }
    }

    fn handed_over(&mut self, index: usize) {
        if self.nodes[index].failover.end() != State::None {
            self.saw("old leader follows the new one");
        }
    }

    fn abort(&mut self, index: usize) {
        match self.nodes[index].failover.end() {
            State::None => {}
            State::WaitingForSync => self.nodes[index].leader.be_quiet(false),
            State::InProgress => {
                self.saw("failover refused");
                self.lead(index);
            }
        }
    }

    fn lead(&mut self, index: usize) {
        let id = ReplicationId::from_random(self.rng.twenty());
        let (node, mut around) = self.node(index);
        node.lead(id, &mut around);
        self.leave_links(index);
    }

    fn follow(&mut self, index: usize, leader: usize) {
        let (node, mut around) = self.node(index);
        node.follow(leader, port(index), &mut around);
        self.leave_links(index);
    }

    /// Tells each side of a link that the other is gone, when its time has come.
    fn notice_ends(&mut self) {
        for at in 0..self.links.len() {
            let (now, id) = (self.now, self.links[at].id);
            let (replica, leader) = (self.links[at].replica, self.links[at].leader);
            let link = &self.links[at];
            if !link.leader_left && link.leader_notices <= now && !self.frozen(leader) {
                let (node, mut around) = self.node(leader);
                node.closed(id, &mut around);
                self.links[at].leave_leader(now, &mut self.rng);
            }
            let link = &self.links[at];
            if !link.replica_left && link.replica_notices <= now && !self.frozen(replica) {
                self.links[at].leave_replica(now, &mut self.rng);
                self.tell(replica, Event::Closed);
            }
        }
        self.links.retain(|link| !(link.leader_left && link.replica_left));
    }

    fn disturb(&mut self) {
        let index = self.rng.size(NODES - 1);
        let other = (index + 1 + self.rng.size(NODES - 2)) % NODES;
        if !self.links.is_empty() && self.rng.once_in(30) {
            let (at, now) = (self.rng.size(self.links.len() - 1), self.now);
            if !self.links[at].broken {
                self.links[at].cut(now, &mut self.rng);
                self.saw("link broke");
            }
        }
        if self.rng.once_in(60) {
            let until = self.now + self.rng.below(5000);
            self.partitions.push((index, other, until));
            let (now, rng) = (self.now, &mut self.rng);
            let between = |link: &&mut Link| {
                [(index, other), (other, index)].contains(&(link.replica, link.leader))
            };
            self.links.iter_mut().filter(between).for_each(|link| link.cut(now, rng));
            self.saw("partition");
        }
        if self.rng.once_in(50) {
            self.nodes[index].frozen = self.now + self.rng.below(4500);
        }
        if self.rng.once_in(110) {
            self.crash(index);
        }
        if self.rng.once_in(90) && !self.frozen(index) && !self.nodes[index].leads() {
            self.promote(index);
        }
        if self.rng.once_in(50) {
            self.begin_failover(index);
        }
        if self.rng.once_in(150) && self.nodes[index].failover.state() != State::None {
            self.saw("failover aborted");
            self.abort(index);
        }
        if self.rng.once_in(100) {
            self.order(self.now, index, other);
        }
        self.obey();
    }

    fn order(&mut self, at: u64, node: usize, leader: usize) {
        self.orders.push((at, node, leader));
    }

    /// Nodes are told whom to follow, unless that would be a circle.
    fn obey(&mut self) {
        let now = self.now;
        let due: Vec<_> = self.orders.extract_if(.., |(at, _, _)| *at <= now).collect();
        for (_, index, leader) in due {
            if index != leader
                && !self.frozen(index)
                && self.nodes[index].failover.state() == State::None
                && !self.is_above(index, leader)
            {
                if self.nodes[index].leads() {
                    self.saw("leader told to follow");
                }
                self.follow(index, leader);
            }
        }
    }

    /// Whether `node` is reached by going up from `from`.
    fn is_above(&self, node: usize, from: usize) -> bool {
        let mut seen = BTreeSet::from([from]);
        let mut at = from;
        while let Some(up) = &self.nodes[at].upstream {
            at = up.leader;
            if at == node {
                return true;
            }
            if !seen.insert(at) {
                return false;
            }
        }
        at == node
    }

    /// An operator, or a supervisor, has a replica lead; others are told sooner or later.
    fn promote(&mut self, index: usize) {
        self.saw("replica promoted");
        self.lead(index);
        self.current = index;
        for other in (0..NODES).filter(|other| *other != index) {
            let at = self.now + self.rng.below(5000);
            let leader = if self.rng.once_in(4) { (index + 1) % NODES } else { index };
            self.order(at, other, leader);
        }
    }

    fn begin_failover(&mut self, index: usize) {
        let clock = self.nodes[index].clock(self.now);
        let to = (!self.rng.once_in(2))
            .then(|| Target { host: "127.0.0.1".to_owned(), port: port(self.rng.size(NODES - 1)) });
        let timeout_ms = (!self.rng.once_in(4)).then(|| 1 + self.rng.below(2500));
        let wish = Wish { force: self.rng.once_in(2) && to.is_some(), to, timeout_ms };
        let node = &mut self.nodes[index];
        if !node.leads() {
            return;
        }
        let followers = node.leader.status(&node.log, clock).followers;
        if node.failover.begin(wish, &followers, clock).is_ok() {
            node.leader.be_quiet(true);
            self.saw("failover began");
        }
    }

    /// A node that lost everything, or the end of its data; either way it begins a new history.
    fn crash(&mut self, index: usize) {
        for link in &mut self.links {
            let (now, rng) = (self.now, &mut self.rng);
            if link.replica == index {
                link.leave_replica(now, rng);
            }
            if link.leader == index {
                link.leave_leader(now, rng);
            }
        }
        let old = self.nodes[index].position();
        let upstream = self.nodes[index].upstream.as_ref().map(|up| up.leader);
        let kept = Position { offset: old.offset.saturating_sub(self.rng.below(200)), ..old };
        let kept = self.histories.hash_at(kept).filter(|_| !self.rng.once_in(3));
        let mut node = Node::new(self.backlog, &mut self.rng);
        node.hash = kept.unwrap_or(EMPTY);
        self.saw(if kept.is_some() { "crash with a lost tail" } else { "crash" });
        self.histories.begin(node.position(), None, node.hash);
        self.seen[index] = node.position();
        self.nodes[index] = node;
        if let Some(leader) = upstream {
            self.follow(index, leader);
        }
    }

    /// The faults stop, and one leads all.
    fn settle(&mut self) {
        self.partitions.clear();
        self.orders.clear();
        // A request to take over that was given up may still be under way.
        let (now, rng) = (self.now, &mut self.rng);
        self.links.iter_mut().for_each(|link| link.cut(now, rng));
        for index in 0..NODES {
            self.nodes[index].frozen = 0;
            self.abort(index);
        }
        let leads = |node: &&Node| node.leads() && node.reign.fence().is_none();
        let chosen = self.nodes.iter().filter(leads).map(|node| node.reign.epoch()).max();
        let found =
            self.nodes.iter().position(|node| leads(&node) && Some(node.reign.epoch()) == chosen);
        self.current = found.unwrap_or(self.current);
        if !self.nodes[self.current].takes_writes() {
            self.saw("a fenced leader told to lead");
            self.lead(self.current);
        }
        let others: Vec<usize> = (0..NODES).filter(|index| *index != self.current).collect();
        for (rank, index) in others.iter().enumerate() {
            let leader = if rank == 2 { others[0] } else { self.current };
            self.follow(*index, leader);
        }
    }

    fn check(&mut self) {
        for index in 0..NODES {
            let node = &self.nodes[index];
            let at = node.position();
            // What it holds is what its place stands for, whatever it is about to become.
            assert_eq!(self.histories.hash_at(at), Some(node.hash), "node {index} diverged");
            let before = self.seen[index];
            assert!(before.id != at.id || before.offset <= at.offset, "node {index} went back");
            self.seen[index] = at;
            if let Some(position) = node.upstream.as_ref().and_then(|up| up.replica.position()) {
                assert_eq!(position, at, "node {index}: log and replica");
            }
            self.check_followers(index);
        }
    }

    fn check_followers(&mut self, index: usize) {
        let node = &self.nodes[index];
        assert!(node.snapshots() <= 1);
        let status = node.leader.status(&node.log, node.clock(self.now));
        assert!(status.backlog_memory <= node.log.config().limit + 1024, "too much is kept");
        let mut wrapped = false;
        for follower in &status.followers {
            assert!(follower.acked <= follower.sent && follower.sent <= status.position.offset);
            wrapped |= status.backlog_start.is_some_and(|start| start > self.backlog.size);
            let Some(link) = self.links.iter().find(|link| link.id == follower.id) else {
                continue;
            };
            let up = self.nodes[link.replica].upstream.as_ref();
            let position = up.and_then(|up| up.replica.position());
            if let (false, Some(at)) = (link.replica_left, position) {
                assert!(follower.acked <= at.offset, "acknowledged what is not applied");
            }
        }
        if wrapped {
            self.saw("backlog wrapped");
        }
    }

    fn has_converged(&self) -> bool {
        let leader = &self.nodes[self.current];
        self.nodes.iter().enumerate().all(|(index, node)| {
            let linked = node.upstream.as_ref().is_some_and(|up| {
                up.replica.status(0).state == LinkState::Connected
                    && up.replica.position() == Some(leader.position())
            });
            (index == self.current || linked)
                && node.hash == leader.hash
                && node.reign.fence().is_none()
                && (index == self.current || node.reign.epoch() == leader.reign.epoch())
        })
    }
}
