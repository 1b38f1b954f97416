//! The end of a run: nothing goes wrong any more, and all come to the same.

use std::fmt::Write as _;
use std::time::Duration;

use crate::reader::{look_of, questions};
use crate::reply::field;
use crate::world::{NODES, World};

/// How long it may take until all nodes are in step, in simulated time.
const PATIENCE: Duration = Duration::from_secs(120);

impl World<'_> {
    /// Ends all that is wrong, and looks at what has become of the data.
    pub(crate) fn settle(&mut self) {
        self.end_all();
        // Some of what that has started is to end, too.
        self.end_all();
        self.sim.set_fail_rate(0.0);
        for a in 0..self.names.len() {
            for b in 0..a {
                self.sim.release(self.names[a].as_str(), self.names[b].as_str());
            }
        }
        self.say("nothing goes wrong any more");
        self.wait(Duration::from_secs(15));
        self.until("nobody hands over", |world| world.nobody_hands_over());
        let leader = self.choose();
        self.wait(Duration::from_secs(5));
        self.shared.stop.set(true);
        self.wait(Duration::from_secs(10));
        self.until("all agree", |world| world.all_agree(leader));
        let host = self.shared.hosts[leader].clone();
        let ask = |words: Vec<String>| {
            let line: Vec<&str> = words.iter().map(String::as_str).collect();
            host.borrow().ask(&line).unwrap()
        };
        let answers: Vec<_> = questions(1_000_000).into_iter().map(ask).collect();
        let look = look_of(&answers);
        let mut histories = self.shared.histories.borrow_mut();
        histories.see(&look).unwrap();
        let lost = histories.check(&look.id, self.shared.may_lose);
        let answered = histories.answered_writes();
        drop(histories);
        self.say(&format!("{} writes, {answered} answered, {lost} lost", look.len));
        self.shared.count_many("acknowledged write lost, where that is allowed", lost);
    }

    /// Lets some time go by.
    fn wait(&mut self, time: Duration) {
        let until = self.sim.elapsed() + time;
        while self.sim.elapsed() < until {
            self.step();
        }
    }

    /// Waits for what has to come.
    fn until(&mut self, what: &str, holds: impl Fn(&World<'_>) -> bool) {
        let until = self.sim.elapsed() + PATIENCE;
        while !holds(self) {
            assert!(
                self.sim.elapsed() < until,
                "not after {PATIENCE:?}: {what}\n{}",
                self.picture()
            );
            self.wait(Duration::from_millis(500));
        }
        self.say(what);
    }

    fn nobody_hands_over(&self) -> bool {
        let idle = |info: &str| field(info, "master_failover_state") == "no-failover";
        // Where leaders may be lost somebody may wait for one that does not come back.
        self.shared.may_lose || self.shared.hosts.iter().all(|host| idle(&host.borrow().info()))
    }

    /// Who leads from here on.
    fn choose(&mut self) -> usize {
        let leaders = self.leaders();
        if !self.shared.may_lose {
            assert_eq!(leaders.len(), 1, "one has to lead\n{}", self.picture());
        }
        let all: Vec<usize> = (0..NODES).collect();
        let leader = self.random.pick(&leaders).or_else(|| self.random.pick(&all)).unwrap();
        let words = ["REPLICAOF", "NO", "ONE"].map(str::to_owned);
        for node in 0..NODES {
            // Those who wait for one to take over do so no longer.
            let info = self.shared.hosts[node].borrow().info();
            if field(&info, "master_failover_state") != "no-failover" {
                self.order(node, &["FAILOVER", "ABORT"].map(str::to_owned));
            }
        }
        if self.shared.may_lose {
            // One that is fenced is told to lead all the same.
            self.order(leader, &words);
        }
        let keep = self.random.once_in(2);
        for node in (0..NODES).filter(|node| *node != leader) {
            if !keep || !self.reaches(node, leader, NODES) {
                self.follow(node, leader);
            }
        }
        leader
    }

    /// Whether all have what the leader has.
    fn all_agree(&self, leader: usize) -> bool {
        let infos: Vec<String> = self.shared.hosts.iter().map(|h| h.borrow().info()).collect();
        let place = |info: &str| {
            let of = |name| field(info, name).to_owned();
            (of("master_replid"), of("master_repl_offset"))
        };
        let linked =
            |node: usize| node == leader || field(&infos[node], "master_link_status") == "up";
        (0..NODES).all(|node| linked(node) && place(&infos[node]) == place(&infos[leader]))
            && (0..NODES).all(|node| self.digest(node) == self.digest(leader))
    }

    fn digest(&self, node: usize) -> String {
        let digest = self.shared.hosts[node].borrow().ask(&["DEBUG", "DIGEST"]);
        digest.map(|digest| digest.text()).unwrap_or_default()
    }

    /// What the nodes say of themselves, for who has to find out why.
    fn picture(&self) -> String {
        let mut picture = String::new();
        for host in &self.shared.hosts {
            let info = host.borrow().info();
            let _ = write!(picture, "{} {}:", host.borrow().name, host.borrow().address);
            for name in [
                "role",
                "master_host",
                "master_link_status",
                "master_failover_state",
                "master_replid",
                "master_repl_offset",
                "master_replid2",
                "second_repl_offset",
                "eave_epoch",
                "eave_fenced_by_epoch",
                "connected_slaves",
                "slave0",
                "slave1",
            ] {
                let _ = write!(picture, " {name}={}", field(&info, name));
            }
            picture.push('\n');
        }
        picture
    }
}
