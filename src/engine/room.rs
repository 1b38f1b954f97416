//! Makes room where memory is full: before a command that may make data grow, and ten times a
//! second for all that grows otherwise.
//!
//! One worker at a time evicts, for `TURN` at most; the commands of the others go on
//! meanwhile, and so does its own when that did not suffice: the next one does the next part.

use std::time::Duration;

use crate::clock;
use crate::config::{Config, EvictionPolicy};
use crate::keyspace::evict::{Evicted, Wish};
use crate::keyspace::usage::Tick;
use crate::keyspace::{Entry, Kind};
use crate::limits::BULKY_BYTES;
use crate::node::Node;
use crate::observe::latency::Happening;
use crate::observe::stats;
use crate::pause::Pause;

/// The longest that one command evicts (Redis: `maxmemory-eviction-tenacity` 10).
const TURN: Duration = Duration::from_micros(500);

/// Keys that are evicted before the clock is asked again.
const UNASKED: u64 = 8;

/// What has come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is room.
    Enough,
    /// There will be: more can go.
    Soon,
    /// There is none, and nothing can go.
    Full,
}

/// Evicts until less than `maxmemory` is used, or for a moment.
pub fn make(node: &Node, config: &Config) -> Room {
    if config.maxmemory == 0 || node.memory.counted() <= config.maxmemory {
        return Room::Enough;
    }
    if Pause::lasts(node) {
        return Room::Enough;
    }
    // What a replica holds is its leader's to decide.
    if node.replication.is_replica() {
        return Room::Enough;
    }
    if config.maxmemory_policy == EvictionPolicy::NoEviction {
        return Room::Full;
    }
    let start = clock::instant();
    let (room, evicted) = evict(node, config);
    node.observer.happened(Happening::EvictionCycle, clock::elapsed(start));
    stats::add(&node.stats.evicted, evicted);
    room
}

fn evict(node: &Node, config: &Config) -> (Room, u64) {
    let Some(mut evictor) = node.evictor.try_lock() else { return (Room::Soon, 0) };
    let start = clock::instant();
    let wish = Wish {
        policy: config.maxmemory_policy,
        samples: config.maxmemory_samples as usize,
        tick: Tick::new(clock::unix_ms(), config.usage_noted()),
        scale: config.usage_scale(),
        notify: config.notify_keyspace_events,
    };
    let mut evicted = 0;
    for step in 1.. {
        let effects = || node.effects();
        match evictor.step(&node.keyspace, &wish, effects, |mut effects| node.record(&mut effects))
        {
            Evicted::Entry(entry) => {
                evicted += 1;
                free(node, entry);
            }
            Evicted::NotYet => {}
            Evicted::Nothing => return (Room::Full, evicted),
        }
        if node.memory.counted() <= config.maxmemory {
            break;
        }
        if step % UNASKED == 0 && clock::elapsed(start) >= TURN {
            return (Room::Soon, evicted);
        }
    }
    (Room::Enough, evicted)
}

/// Frees an entry: here, or elsewhere if that takes long.
fn free(node: &Node, entry: Entry) {
    let bytes = entry.heap_bytes();
    if entry.kind() != Kind::String && bytes > BULKY_BYTES {
        node.memory.free_apart(bytes as u64, entry);
    }
}
