//! The simulation: hosts, clients, the network between them, and its end.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use eave::clock::simulated as clock;
use turmoil::{Builder, Sim};

use crate::faults::Pending;
use crate::history::Histories;
use crate::host::{self, Host};
use crate::random::Random;
use crate::reply::field;
use crate::{Tally, reader, writer};

/// Nodes, the first of which leads at the beginning.
pub(crate) const NODES: usize = 4;

const WRITERS: usize = 3;
const READERS: usize = 2;

/// Keys of whatever kind that are there before anybody comes.
const KEYS_BEFORE: usize = 150;

/// When a simulation begins, in seconds since the Unix epoch.
const BEGINNING: u64 = 1_800_000_000;

/// What clients and the simulation have in common.
pub(crate) struct Shared {
    pub(crate) hosts: Vec<Rc<RefCell<Host>>>,
    pub(crate) histories: RefCell<Histories>,
    pub(crate) tally: RefCell<Tally>,
    /// Whether clients are to stop.
    pub(crate) stop: Cell<bool>,
    /// How often each node may have gone back, since it was told to follow one that is behind.
    pub(crate) turns: Vec<Cell<u64>>,
    /// Whether answered writes may be lost in this run.
    pub(crate) may_lose: bool,
}

impl Shared {
    pub(crate) fn address(&self, node: usize) -> IpAddr {
        self.hosts[node].borrow().address
    }

    /// Counts something that has happened.
    pub(crate) fn count(&self, what: &'static str) {
        self.count_many(what, 1);
    }

    pub(crate) fn count_many(&self, what: &'static str, times: u64) {
        if times > 0 {
            *self.tally.borrow_mut().entry(what).or_default() += times;
        }
    }
}

/// One run.
pub(crate) struct World<'a> {
    pub(crate) random: Random,
    pub(crate) sim: Sim<'static>,
    pub(crate) shared: Rc<Shared>,
    /// All hosts by name, nodes first.
    pub(crate) names: Vec<String>,
    pub(crate) pending: Vec<Pending>,
    /// Who led when that was looked at last.
    led: usize,
    total: &'a mut Tally,
    aloud: bool,
    /// What was done, folded into a number.
    trace: u64,
    folder: PathBuf,
}

impl<'a> World<'a> {
    pub(crate) fn new(seed: u64, total: &'a mut Tally, aloud: bool) -> World<'a> {
        clock::begin(seed);
        let mut random = Random::new(seed, 0);
        let sim = network(seed, &mut random);
        let folder = std::env::temp_dir().join(format!("eave-simulated-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut options = options(&mut random);
        options.extend(["--dir".to_owned(), folder.display().to_string()]);
        let names: Vec<String> = (1..=NODES).map(|node| format!("node{node}")).collect();
        let hosts = names.iter().map(|name| {
            let address = sim.lookup(name.as_str());
            let (name, options) = (name.clone(), options.clone());
            Rc::new(RefCell::new(Host { name, address, follows: None, options, node: None }))
        });
        let shared = Rc::new(Shared {
            hosts: hosts.collect(),
            histories: RefCell::default(),
            tally: RefCell::default(),
            stop: Cell::new(false),
            turns: (0..NODES).map(|_| Cell::new(0)).collect(),
            may_lose: seed % 3 == 2,
        });
        let pending = Vec::new();
        let mut world = World {
            random,
            sim,
            shared,
            names,
            pending,
            led: 0,
            total,
            aloud,
            trace: seed,
            folder,
        };
        world.begin(seed);
        world
    }

    /// Starts the nodes, then the clients.
    fn begin(&mut self, seed: u64) {
        for node in 0..NODES {
            // The last follows a replica.
            let leader = [None, Some(0), Some(0), Some(1)][node];
            let host = Rc::clone(&self.shared.hosts[node]);
            host.borrow_mut().follows = leader.map(|leader| self.shared.address(leader));
            let name = host.borrow().name.clone();
            self.sim.host(name, move || host::serve(Rc::clone(&host)));
        }
        self.step();
        for key in 0..KEYS_BEFORE {
            let (key, value) = (format!("before{key}"), "x".repeat(key * 3));
            self.shared.hosts[0].borrow().ask(&["SET", &key, &value]);
        }
        for client in 0..WRITERS + READERS {
            let (shared, random) = (Rc::clone(&self.shared), Random::new(seed, client as u64 + 1));
            let name = format!("client{client}");
            self.names.push(name.clone());
            if client < WRITERS {
                self.sim.client(name, writer::run(shared, random));
            } else {
                self.sim.client(name, reader::run(shared, random));
            }
        }
    }

    /// Runs; answers how many seconds were simulated, and a digest of what has happened.
    pub(crate) fn run(mut self) -> (u64, u64) {
        let end = Duration::from_secs(self.random.of(20..70));
        let mut next = self.some_time(2000..5000);
        while self.sim.elapsed() < end {
            self.step();
            self.end_what_is_over();
            if self.sim.elapsed() >= next {
                self.act();
                self.look_around();
                next = self.some_time(300..5000);
            }
        }
        self.settle();
        self.finish()
    }

    fn finish(mut self) -> (u64, u64) {
        for node in 0..NODES {
            self.harvest(node);
        }
        let seconds = self.sim.elapsed().as_secs();
        let tally = self.shared.tally.take();
        self.note(&format!("{tally:?}"));
        self.note(&format!("{:?}", self.shared.histories.borrow()));
        for (what, times) in tally {
            *self.total.entry(what).or_default() += times;
        }
        let _ = std::fs::remove_dir_all(&self.folder);
        (seconds, self.trace)
    }

    /// Lets a moment go by.
    pub(crate) fn step(&mut self) {
        if let Err(error) = self.sim.step() {
            panic!("{error}");
        }
        clock::at(self.sim.since_epoch());
    }

    /// A time in so many milliseconds.
    pub(crate) fn some_time(&mut self, milliseconds: std::ops::Range<u64>) -> Duration {
        self.sim.elapsed() + Duration::from_millis(self.random.of(milliseconds))
    }

    /// Remembers that something was done, and says so if this run is looked at.
    pub(crate) fn say(&mut self, what: &str) {
        let now = self.sim.elapsed().as_millis();
        if self.aloud {
            println!("{now:>7} {what}");
        }
        self.note(&format!("{now} {what}"));
    }

    fn note(&mut self, what: &str) {
        for byte in what.bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Takes over what a node has counted, before it is gone.
    pub(crate) fn harvest(&mut self, node: usize) {
        let info = self.shared.hosts[node].borrow().info();
        for (what, name) in [
            ("full sync", "sync_full"),
            ("partial sync", "sync_partial_ok"),
            ("backlog too short", "sync_partial_err"),
            ("write forwarded", "replica_forwarded_commands"),
            ("what was done alone counted", "eave_diverged_commands"),
        ] {
            self.shared.count_many(what, field(&info, name).parse().unwrap_or(0));
        }
        assert_eq!(field(&info, "eave_panics").parse().unwrap_or(0u64), 0);
    }

    /// Notes what some nodes have come to.
    fn look_around(&mut self) {
        if let [leader] = self.leaders()[..]
            && leader != self.led
        {
            self.led = leader;
            if !self.shared.may_lose {
                self.shared.count("failover done");
            }
        }
        for node in 0..NODES {
            let info = self.shared.hosts[node].borrow().info();
            if !matches!(field(&info, "eave_fenced_by_epoch"), "" | "0") {
                self.shared.count("old leader fenced");
            }
        }
    }
}

/// A network as bad as the seed says.
fn network(seed: u64, random: &mut Random) -> Sim<'static> {
    let mut builder = Builder::new();
    builder
        .rng_seed(seed)
        .epoch(UNIX_EPOCH + Duration::from_secs(BEGINNING))
        .simulation_duration(Duration::from_hours(24))
        .tick_duration(Duration::from_millis(random.of(2..12)))
        .min_message_latency(Duration::from_millis(random.of(0..3)))
        .max_message_latency(Duration::from_millis(random.of(3..150)))
        .repair_rate(0.3)
        .ephemeral_ports(10_000..=65_535)
        .tcp_capacity(random.of(128..512) as usize);
    if random.once_in(2) {
        builder.enable_random_order();
    }
    builder.build()
}

/// Settings that all nodes have in a run.
fn options(random: &mut Random) -> Vec<String> {
    let mut options = vec![
        format!("--repl-timeout {}", random.of(3..9)),
        format!("--repl-backlog-size {}", ["16kb", "64kb", "1mb"][random.below(3) as usize]),
        format!("--repl-diskless-sync {}", ["yes", "no"][random.below(2) as usize]),
        format!("--repl-compression {}", ["lz4", "no"][random.below(2) as usize]),
    ];
    if random.once_in(6) {
        options.push("--replica-writes reject".to_owned());
    }
    if random.once_in(4) {
        options.push("--replica-serve-stale-data no".to_owned());
    }
    if random.once_in(6) {
        options.push("--min-replicas-to-write 1 --min-replicas-max-lag 3".to_owned());
    }
    options.iter().flat_map(|option| option.split(' ').map(str::to_owned)).collect()
}
