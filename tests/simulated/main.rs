//! Whole nodes in a simulated network, with everything that they do over sockets: doors, links to
//! leaders, full copies, streams, forwarded writes, handovers, the telling of epochs.
//!
//! Four nodes and some clients are hosts of turmoil, in one thread and on one clock, which only
//! goes on while all of them wait. Between them messages are late, overtake each other, are held
//! back, lost; hosts are parted, crash, stop in order and come back empty. Leaders hand over,
//! replicas are told to follow others. In one run of three a replica is promoted besides its
//! leader, or a leader dies, so that something may be lost.
//!
//! Each write puts a number of its own at the end of a list, together with another key. So every
//! look at a node is a whole history, and these have to hold of all looks at all nodes:
//! of one history id there is one history, which only grows; what a node has at an offset of it, all
//! have there; a history that another began with goes on from where it split off; keys are what
//! the list says; a write that was refused is nowhere; who was answered before another asked comes
//! first. Unless a run may lose something, all ids have one history, nobody sees it shrink, and
//! every write that was answered stays. Once the faults stop all nodes come to the same digest.
//!
//! `EAVE_SEED=n` replays one run and tells what happens; `EAVE_SEEDS=n` makes n of them, from
//! `EAVE_FIRST` on; `EAVE_HOURS=n` goes on until so many hours have been simulated. `EAVE_LOG=debug`
//! has the nodes log.
//!
//! Left out on purpose: TLS and REST, which are other tests' affair; clocks that run apart, which
//! eave-replication's own simulations have; scripts that take long, since a worker is needed to
//! take their place.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken run has to end loudly")]

mod client;
mod faults;
mod history;
mod host;
mod random;
mod reader;
mod reply;
mod settle;
mod world;
mod writer;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use world::World;

/// Runs of the ordinary test.
const SEEDS: u64 = 8;

/// The run that comes before all others, which is not looked at.
const REHEARSAL: u64 = 0;

/// What must have happened in every test, or its runs prove nothing.
const ALWAYS: [&str; 5] =
    ["full sync", "link parted", "partial sync", "write acknowledged", "write forwarded"];

/// Likewise, over forty runs.
const SOMETIMES: [&str; 11] = [
    "acknowledged write lost, where that is allowed",
    "backlog too short",
    "crash of a replica",
    "failover asked for",
    "host isolated",
    "link held",
    "messages lost",
    "orderly stop",
    "own write read on a replica",
    "script",
    "write uncertain",
];

/// Likewise, over two hundred.
const SELDOM: [&str; 7] = [
    "crash of the leader",
    "failover done",
    "old leader fenced",
    "promoted beside its leader",
    "replica told to follow another",
    "what was done alone counted",
    "write refused",
];

/// How often each of these things happened.
pub(crate) type Tally = BTreeMap<&'static str, u64>;

/// Panics of any task: the runtime keeps them to itself.
static PANICS: AtomicU64 = AtomicU64::new(0);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Names the seed when a run panics.
struct Running(u64);

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with EAVE_SEED={}", self.0);
        }
    }
}

/// One run; answers its simulated seconds, and a digest of what happened.
fn run(seed: u64, tally: &mut Tally, aloud: bool) -> (u64, u64) {
    let _running = Running(seed);
    let before = PANICS.load(Ordering::Relaxed);
    let outcome = World::new(seed, tally, aloud).run();
    assert_eq!(PANICS.load(Ordering::Relaxed), before, "a task of a node has panicked");
    outcome
}

fn watch_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        usual(panic);
    }));
}

fn log_to_stderr() {
    if let Ok(level) = std::env::var("EAVE_LOG") {
        let level: tracing_subscriber::filter::LevelFilter = level.parse().unwrap();
        let _ = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(std::io::stderr)
            .without_time()
            .try_init();
    }
}

/// One test, since what it asks of a thread is asked of all of the process: it is to be quick, and
/// its panics are counted.
#[test]
fn whole_nodes_hold_prefixes_and_converge() {
    log_to_stderr();
    watch_panics();
    // What a process finds out once draws from the luck of its first run.
    run(REHEARSAL, &mut Tally::new(), false);
    let mut tally = Tally::new();
    if let Some(seed) = number("EAVE_SEED") {
        let (seconds, digest) = run(seed, &mut tally, true);
        println!("seed {seed}: {seconds} simulated s, {digest:016x}, {tally:#?}");
        return;
    }
    let first = number("EAVE_FIRST").unwrap_or(0);
    let hours = number("EAVE_HOURS");
    let seeds = number("EAVE_SEEDS").unwrap_or(if hours.is_some() { u64::MAX } else { SEEDS });
    let (mut runs, mut seconds) = (0, 0);
    while runs < seeds && hours.is_none_or(|hours| seconds < hours * 3600) {
        let (took, digest) = run(first + runs, &mut tally, false);
        // A seed is one run, whenever and wherever it is made.
        if runs == 0 {
            let again = run(first, &mut Tally::new(), false);
            assert_eq!((took, digest), again, "seed {first} was two different runs");
        }
        (runs, seconds) = (runs + 1, seconds + took);
    }
    println!("{runs} runs, {:.2} simulated hours: {tally:#?}", seconds as f64 / 3600.0);
    if runs >= SEEDS {
        let sometimes = SOMETIMES.iter().filter(|_| runs >= 40);
        let seldom = SELDOM.iter().filter(|_| runs >= 200);
        let wanted = ALWAYS.iter().chain(sometimes).chain(seldom);
        let never: Vec<_> = wanted.filter(|name| !tally.contains_key(*name)).collect();
        assert!(never.is_empty(), "never happened: {never:?}");
    }
}
