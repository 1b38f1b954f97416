//! Four nodes that lead, follow and take over from each other, in a simulated network of one seed:
//! a leader, two replicas, and one that follows a replica.
//!
//! Links delay, deliver in pieces, break at any byte; pairs are parted; nodes freeze, crash and
//! come back with nothing or without the end of their data; clocks run apart; backlogs are too
//! small. Replicas are promoted at any step, leaders hand over, in time or by force, are told to
//! follow, or are left alone and take writes that nobody else has. Checked at every step: what a
//! node holds is a prefix of the history that it names; nobody goes back; who has acknowledged has
//! applied; a fenced leader takes no writes; what was done alone is what the successor says. Once the
//! faults stop all have the same data and the same epoch.
//!
//! `EAVE_SEED=n cargo test -p eave-replication --test cluster` replays one run, `EAVE_SEEDS=n` makes
//! n of them, from `EAVE_FIRST` on if that is given.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken run has to end loudly")]

mod history;
mod network;
mod node;
#[path = "../simulation/rng.rs"]
mod rng;
mod world;

use std::collections::BTreeMap;

use world::World;

/// Runs of the ordinary test.
const SEEDS: u64 = 1500;

/// What must have happened at least once over all seeds, or the runs prove nothing.
const SOMETIMES: [&str; 31] = [
    "a fenced leader told to lead",
    "backlog wrapped",
    "broke inside a snapshot",
    "connected twice",
    "crash",
    "crash with a lost tail",
    "failover aborted",
    "failover began",
    "failover forced",
    "failover given up",
    "failover refused",
    "failover synced",
    "followers told of another history",
    "full resync",
    "handed over by force",
    "handed over without loss",
    "installation failed",
    "lead handed over",
    "leader noticed silence",
    "leader told to follow",
    "link broke",
    "no link, so not followed",
    "old leader fenced",
    "old leader follows the new one",
    "partial resync",
    "partition",
    "ping in the stream",
    "promoted while the leader was away",
    "replica noticed silence",
    "resumed under a new id",
    "what was done alone counted",
];

/// How often each of these things happened.
pub(crate) type Tally = BTreeMap<&'static str, u64>;

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

#[test]
fn nodes_hold_prefixes_whoever_leads_and_converge() {
    let first = number("EAVE_FIRST").unwrap_or(0);
    let seeds = match number("EAVE_SEED") {
        Some(seed) => seed..seed + 1,
        None => first..first + number("EAVE_SEEDS").unwrap_or(SEEDS),
    };
    let runs = seeds.end - seeds.start;
    let mut tally = Tally::new();
    for seed in seeds {
        let _running = Running(seed);
        World::new(seed, &mut tally).run();
    }
    println!("{runs} runs: {tally:#?}");
    if runs >= 1000 {
        let never: Vec<_> = SOMETIMES.iter().filter(|name| !tally.contains_key(*name)).collect();
        assert!(never.is_empty(), "never happened: {never:?}");
    }
}

#[test]
fn one_seed_is_one_run() {
    let run = |seed| {
        let mut tally = Tally::new();
        World::new(seed, &mut tally).run();
        tally
    };
    for seed in 0..5 {
        assert_eq!(run(seed), run(seed));
    }
}
