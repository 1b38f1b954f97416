//! What goes wrong, and what operators do.

use std::time::Duration;

use crate::client::PORT;
use crate::reply::{Reply, field};
use crate::world::{NODES, World};

/// Something that ends later.
#[derive(Debug)]
pub(crate) struct Pending {
    at: Duration,
    end: End,
}

#[derive(Debug)]
enum End {
    /// Messages pass again between two hosts, and those that were held arrive.
    Link(usize, usize),
    /// No more messages are lost.
    Losses,
    /// A node starts again; by itself if it is not to follow anybody.
    Start { node: usize, alone: bool },
    /// Somebody notices that nobody leads.
    Replace,
    /// Nobody waits any longer for a node to hand over: who has lost all of its replicas meanwhile
    /// lets none back in, as in Redis.
    GiveUp(usize),
}

impl World<'_> {
    fn later(&mut self, milliseconds: std::ops::Range<u64>, end: End) {
        let at = self.some_time(milliseconds);
        self.pending.push(Pending { at, end });
    }

    /// Ends what has gone on for as long as it was to.
    pub(crate) fn end_what_is_over(&mut self) {
        let now = self.sim.elapsed();
        while let Some(at) = self.pending.iter().position(|pending| pending.at <= now) {
            let Pending { end, .. } = self.pending.remove(at);
            self.end(&end);
        }
    }

    /// Ends all of it now.
    pub(crate) fn end_all(&mut self) {
        for Pending { end, .. } in std::mem::take(&mut self.pending) {
            self.end(&end);
        }
    }

    fn end(&mut self, end: &End) {
        self.say(&format!("over: {end:?}"));
        match *end {
            End::Link(a, b) => self.sim.release(self.names[a].as_str(), self.names[b].as_str()),
            End::Losses => self.sim.set_fail_rate(0.0),
            End::Start { node, alone } => self.start(node, alone),
            End::Replace => self.replace(),
            End::GiveUp(node) => self.give_up(node),
        }
    }

    /// Does something to somebody.
    pub(crate) fn act(&mut self) {
        match self.random.below(if self.shared.may_lose { 17 } else { 13 }) {
            0 | 1 => self.part(),
            2 | 3 => self.hold(),
            4 => self.isolate(),
            5 => self.lose_messages(),
            6 => self.crash_replica(),
            7 => self.stop_replica(),
            8 | 9 => self.fail_over(),
            10 => self.follow_another(),
            11 => self.write_much(),
            12 => self.cut_connections(),
            13 | 14 => self.promote(),
            15 => self.crash_leader(),
            _ => self.follow_anybody(),
        }
    }

    /// Two hosts of which one is a node.
    fn pair(&mut self) -> (usize, usize) {
        let a = self.random.below(NODES as u64) as usize;
        let among: Vec<usize> = (0..self.names.len()).filter(|b| *b != a).collect();
        (a, self.random.pick(&among).unwrap())
    }

    fn part(&mut self) {
        let (a, b) = self.pair();
        let (name, other) = (self.names[a].clone(), self.names[b].clone());
        if self.random.once_in(3) {
            self.sim.partition_oneway(name.as_str(), other.as_str());
        } else {
            self.sim.partition(name.as_str(), other.as_str());
        }
        self.say(&format!("{name} and {other} are parted"));
        self.shared.count("link parted");
        self.later(100..20_000, End::Link(a, b));
    }

    fn hold(&mut self) {
        let (a, b) = self.pair();
        let (name, other) = (self.names[a].clone(), self.names[b].clone());
        self.sim.hold(name.as_str(), other.as_str());
        self.say(&format!("what {name} and {other} say is held"));
        self.shared.count("link held");
        self.later(100..20_000, End::Link(a, b));
    }

    fn isolate(&mut self) {
        let a = self.random.below(NODES as u64) as usize;
        self.say(&format!("{} is alone", self.names[a]));
        self.shared.count("host isolated");
        self.part_from_all(a);
        let at = self.some_time(500..15_000);
        let others: Vec<usize> = (0..self.names.len()).filter(|b| *b != a).collect();
        self.pending.extend(others.iter().map(|b| Pending { at, end: End::Link(a, *b) }));
    }

    fn part_from_all(&mut self, a: usize) {
        for b in (0..self.names.len()).filter(|b| *b != a) {
            self.sim.partition(self.names[a].as_str(), self.names[b].as_str());
        }
    }

    fn lose_messages(&mut self) {
        let rate = self.random.of(1..20) as f64 / 1000.0;
        self.sim.set_fail_rate(rate);
        self.say(&format!("messages are lost, {rate}"));
        self.shared.count("messages lost");
        self.later(500..8000, End::Losses);
    }

    /// The node that leads, if there is one and it is not handing over.
    fn leader(&self) -> Option<usize> {
        let leaders = self.leaders();
        let [leader] = leaders[..] else { return None };
        let info = self.shared.hosts[leader].borrow().info();
        (field(&info, "master_failover_state") == "no-failover").then_some(leader)
    }

    /// All that lead.
    pub(crate) fn leaders(&self) -> Vec<usize> {
        (0..NODES).filter(|node| self.shared.hosts[*node].borrow().leads()).collect()
    }

    /// Nodes that run and follow another.
    fn replicas(&self) -> Vec<usize> {
        let up = (0..NODES).filter(|node| self.shared.hosts[*node].borrow().is_up());
        up.filter(|node| !self.shared.hosts[*node].borrow().leads()).collect()
    }

    fn crash_replica(&mut self) {
        // While the lead is being handed over, any replica may be the only one that has it.
        if self.leader().is_none() {
            return;
        }
        let Some(node) = self.random.pick(&self.replicas()) else { return };
        self.shared.count("crash of a replica");
        self.crash(node);
        self.later(100..15_000, End::Start { node, alone: false });
    }

    fn crash(&mut self, node: usize) {
        self.harvest(node);
        self.shared.hosts[node].borrow_mut().node = None;
        // Half of them by loss of power: nobody is told.
        let silent = self.random.once_in(2);
        if silent {
            self.part_from_all(node);
        }
        self.say(&format!("{} crashes, silent: {silent}", self.names[node]));
        self.sim.crash(self.names[node].as_str());
        if silent {
            for other in (0..self.names.len()).filter(|other| *other != node) {
                self.sim.release(self.names[node].as_str(), self.names[other].as_str());
            }
        }
    }

    fn stop_replica(&mut self) {
        if self.leader().is_none() {
            return;
        }
        let Some(node) = self.random.pick(&self.replicas()) else { return };
        self.harvest(node);
        self.say(&format!("{} stops", self.names[node]));
        self.shared.count("orderly stop");
        if let Some(node) = self.shared.hosts[node].borrow_mut().node.take() {
            node.shutdown.cancel();
        }
        self.later(10_000..20_000, End::Start { node, alone: false });
    }

    fn start(&mut self, node: usize, alone: bool) {
        let leaders = self.leaders();
        let leader = self.random.pick(&leaders).map(|leader| self.shared.address(leader));
        {
            let mut host = self.shared.hosts[node].borrow_mut();
            // If nobody leads at the moment, whom it followed last has to be good enough.
            host.follows = if alone { None } else { leader.or(host.follows) };
        }
        self.forgive_all();
        self.sim.bounce(self.names[node].as_str());
        self.step();
    }

    /// From here on nodes may show less than they did.
    fn forgive_all(&mut self) {
        self.shared.turns.iter().for_each(|turns| turns.set(turns.get() + 1));
    }

    fn fail_over(&mut self) {
        let all_up = self.shared.hosts.iter().all(|host| host.borrow().is_up());
        let Some(leader) = self.leader().filter(|_| all_up) else { return };
        let mut words = vec!["FAILOVER".to_owned()];
        let to = self.random.pick(&self.replicas());
        let forced = self.shared.may_lose && self.random.once_in(3);
        if let Some(to) = to.filter(|_| forced || self.random.once_in(2)) {
            words.extend(["TO".into(), self.shared.address(to).to_string(), PORT.to_string()]);
            if forced {
                words.push("FORCE".into());
            }
        }
        if forced || self.random.once_in(2) {
            words.extend(["TIMEOUT".into(), self.random.of(100..5000).to_string()]);
        }
        let answer = self.order(leader, &words);
        if !answer.is_error() {
            self.shared.count("failover asked for");
            self.later(2000..12_000, End::GiveUp(leader));
        }
    }

    fn give_up(&mut self, node: usize) {
        let info = self.shared.hosts[node].borrow().info();
        if field(&info, "master_failover_state") == "waiting-for-sync" {
            self.order(node, &["FAILOVER", "ABORT"].map(str::to_owned));
        }
    }

    /// Tells a node something, as an operator does.
    pub(crate) fn order(&mut self, node: usize, words: &[String]) -> Reply {
        let line: Vec<&str> = words.iter().map(String::as_str).collect();
        let answer = self.shared.hosts[node].borrow().ask(&line).unwrap();
        self.say(&format!("{}: {} {}", self.names[node], words.join(" "), answer.text()));
        answer
    }

    /// Tells a node whom to follow.
    pub(crate) fn follow(&mut self, node: usize, whom: usize) {
        let words = ["REPLICAOF".into(), self.shared.address(whom).to_string(), PORT.to_string()];
        self.order(node, &words);
    }

    fn follow_another(&mut self) {
        let Some(leader) = self.leader() else { return };
        let Some(node) = self.random.pick(&self.replicas()) else { return };
        let others = (0..NODES).filter(|other| *other != node);
        let others: Vec<usize> =
            others.filter(|other| self.reaches(*other, leader, node)).collect();
        let Some(whom) = self.random.pick(&others) else { return };
        if whom != leader {
            self.forgive_all();
        }
        self.shared.count("replica told to follow another");
        self.follow(node, whom);
    }

    /// Whether `node` follows `leader`, directly or not, and not by way of `without`.
    pub(crate) fn reaches(&self, node: usize, leader: usize, without: usize) -> bool {
        let mut at = node;
        for _ in 0..NODES {
            if at == leader {
                return true;
            }
            let info = self.shared.hosts[at].borrow().info();
            let host = field(&info, "master_host").to_owned();
            let next = (0..NODES).find(|n| self.shared.address(*n).to_string() == host);
            match next {
                Some(next) if at != without && next != without => at = next,
                _ => return false,
            }
        }
        false
    }

    /// Writes more than some backlogs hold.
    fn write_much(&mut self) {
        let Some(leader) = self.leader() else { return };
        let words = ["SET".into(), "much".into(), "x".repeat(self.random.of(1..60_000) as usize)];
        self.say("much is written");
        let line: Vec<&str> = words.iter().map(String::as_str).collect();
        self.shared.hosts[leader].borrow().ask(&line);
    }

    fn cut_connections(&mut self) {
        let node = self.random.below(NODES as u64) as usize;
        if self.shared.hosts[node].borrow().is_up() {
            let kind = ["normal", "replica"][self.random.below(2) as usize];
            self.order(node, &["CLIENT", "KILL", "TYPE", kind].map(str::to_owned));
        }
    }

    fn promote(&mut self) {
        let Some(node) = self.random.pick(&self.replicas()) else { return };
        let words = ["REPLICAOF", "NO", "ONE"].map(str::to_owned);
        if !self.order(node, &words).is_error() {
            self.shared.count("promoted beside its leader");
        }
    }

    fn crash_leader(&mut self) {
        let Some(leader) = self.random.pick(&self.leaders()) else { return };
        self.shared.count("crash of the leader");
        self.crash(leader);
        let alone = self.random.once_in(3);
        self.later(100..15_000, End::Start { node: leader, alone });
        self.later(100..10_000, End::Replace);
    }

    fn replace(&mut self) {
        if self.leaders().is_empty() {
            self.promote();
        }
    }

    fn follow_anybody(&mut self) {
        let node = self.random.below(NODES as u64) as usize;
        let whom = self.random.below(NODES as u64) as usize;
        if node != whom && self.shared.hosts[node].borrow().is_up() {
            self.forgive_all();
            self.follow(node, whom);
        }
    }
}
