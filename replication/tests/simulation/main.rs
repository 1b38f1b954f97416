//! Leader and replicas in a simulated network: one seed, one run, always the same.
//!
//! Links delay, deliver in pieces, break at any byte and lose what was under way; either side
//! may notice late or only by its timeout. The leader restarts with a new history, takes a
//! new id, or yields to a replica that was behind; replicas crash, pause and apply in fits. After every step each replica must hold a
//! prefix of the history that it names; once the faults stop all must converge.
//!
//! `EAVE_SEED=n cargo test -p eave-replication --test simulation` replays one run,
//! `EAVE_SEEDS=n` makes n of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken run has to end loudly")]

mod leader_node;
mod network;
mod packing;
mod replica_node;
mod rng;
mod world;

use std::collections::BTreeMap;

use world::World;

/// Runs of the ordinary test.
const SEEDS: u64 = 1500;

/// What must have happened at least once over all seeds, or the runs prove nothing.
const SOMETIMES: [&str; 23] = [
    "applied after a pause",
    "backlog wrapped",
    "broke inside a snapshot",
    "counted payload",
    "full resync",
    "history went on under a new id",
    "installation failed",
    "leader busy",
    "leader noticed silence",
    "leader restarted",
    "link broke",
    "marked payload",
    "packed",
    "partial resync",
    "partial resync refused",
    "ping in the stream",
    "received bytes came again",
    "replica noticed silence",
    "replica promoted",
    "replica restarted with its data",
    "resumed under a new id",
    "slow follower cut",
    "snapshot shared",
];

/// How often each of these things happened.
pub(crate) type Tally = BTreeMap<&'static str, u64>;

fn seeds() -> Box<dyn Iterator<Item = u64>> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    match number("EAVE_SEED") {
        Some(seed) => Box::new(std::iter::once(seed)),
        None => Box::new(0..number("EAVE_SEEDS").unwrap_or(SEEDS)),
    }
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
fn replicas_hold_prefixes_and_converge() {
    let (mut tally, mut runs) = (Tally::new(), 0);
    for seed in seeds() {
        let _running = Running(seed);
        World::new(seed, &mut tally).run();
        runs += 1;
    }
    println!("{runs} runs: {tally:#?}");
    if runs >= 500 {
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
