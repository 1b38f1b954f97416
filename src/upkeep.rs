//! What has to be done whether or not a client asks: freeing due keys, reading the memory's
//! figures, evicting what is too much, closing idle connections.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock;
use crate::command::client_others::too_large;
use crate::engine;
use crate::engine::room::{self, Room};
use crate::keyspace::Entry;
use crate::keyspace::sweep::{Sweep, Swept};
use crate::net::output;
use crate::node::Node;
use crate::observe::latency::Happening;
use crate::observe::stats;
use crate::pause::Pause;

/// Time between two rounds.
const PERIOD: Duration = Duration::from_millis(100);

/// Rounds of a second.
const ROUNDS_A_SECOND: u32 = 10;

/// The longest that the sweep works before it lets others work.
const SLICE: Duration = Duration::from_micros(500);

/// Slices of one round: a quarter of one worker's time at most.
const SLICES: u32 = 50;

/// Time between two looks at a shard that is full of what is due, for those who wait for it: the
/// sweep takes it so quickly again that they would not get it in between.
const PAUSE: Duration = Duration::from_millis(1);

/// Runs until the node stops.
pub async fn run(node: Arc<Node>) {
    let mut sweep = Sweep::default();
    let mut round = 0u32;
    loop {
        tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
        if node.cronless.load(Ordering::Relaxed) {
            continue;
        }
        measure(&node);
        look_around(&node);
        close_idle(&node);
        round = round.wrapping_add(1);
        if round.is_multiple_of(ROUNDS_A_SECOND) {
            output::close_slow(&node);
        }
        engine::forget_orphans(&node);
        engine::serve_late(&node);
        evict_clients(&node);
        // A pause holds what the node does by itself, too.
        if Pause::lasts(&node) {
            continue;
        }
        make_room(&node).await;
        count_excess(&node);
        // A replica leaves expiry to its leader, whose DEL follows in the stream.
        if !node.replication.is_replica() && node.sweeps() {
            for slice in 1..=SLICES {
                match sweep_slice(&node, &mut sweep) {
                    Swept::Round => break,
                    _ if slice == SLICES => stats::add(&node.stats.sweeps_cut, 1),
                    Swept::More => tokio::task::yield_now().await,
                    Swept::Again => tokio::time::sleep(PAUSE).await,
                }
            }
        }
    }
}

/// Reads the counts of which INFO shows rates.
fn look_around(node: &Node) {
    let stats = &node.stats;
    let counts = [&stats.commands, &stats.input_bytes, &stats.output_bytes];
    node.observer.rates.look(counts, clock::monotonic_ms());
}

/// Reads the memory's figures.
fn measure(node: &Node) {
    node.memory.refresh();
    let backlog = node.log.lock().backlog().memory();
    // What replicas have not taken yet is no reason to evict: that would make it more.
    let size = node.config.load().repl_backlog_size;
    node.memory.set_apart(backlog.saturating_sub(size));
}

/// Counts for how long more than `maxmemory` is in use.
fn count_excess(node: &Node) {
    let most = node.config.load().maxmemory;
    if most > 0 && node.memory.counted() > most {
        stats::add(&node.stats.full_ms, PERIOD.as_millis() as u64);
    }
}

/// Evicts what is too much, for a quarter of one worker's time at most.
async fn make_room(node: &Node) {
    for _ in 0..SLICES {
        let room = room::make(node, &node.config.load());
        if room != Room::Soon {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Sweeps for a moment.
fn sweep_slice(node: &Node, sweep: &mut Sweep) -> Swept {
    let mut bulky = Vec::new();
    let start = clock::instant();
    let swept = sweep_until_late(node, sweep, &mut bulky);
    let took = clock::elapsed(start);
    stats::add(&node.stats.sweep_us, u64::try_from(took.as_micros()).unwrap_or(0));
    node.observer.happened(Happening::ExpireCycle, took);
    engine::free(Vec::new(), bulky);
    swept
}

/// Sweeps until a slice is over, or the round; `bulky` gets what takes long to free.
fn sweep_until_late(node: &Node, sweep: &mut Sweep, bulky: &mut Vec<Entry>) -> Swept {
    let start = clock::instant();
    let now = clock::unix_ms();
    while clock::elapsed(start) < SLICE {
        let step = sweep.step(
            &node.keyspace,
            now,
            || {
                let mut effects = node.effects();
                effects.wanted = node.config.load().notify_keyspace_events;
                effects
            },
            |effects| {
                node.record(effects);
                bulky.append(&mut effects.bulky);
            },
        );
        match step {
            Ok((Swept::Round, _)) => return Swept::Round,
            Ok((swept, expired)) => {
                stats::add(&node.stats.expired, expired);
                if swept == Swept::Again {
                    return swept;
                }
            }
            // Somebody works in that shard: let them.
            Err(_) => return Swept::More,
        }
    }
    Swept::More
}

/// Closes the clients that take the most memory, while all together take too much.
fn evict_clients(node: &Node) {
    let config = node.config.load();
    let most = config.maxmemory_clients.bytes(config.maxmemory);
    if most == 0 {
        return;
    }
    let chosen = too_large(&node.clients.list(), most);
    for client in &chosen {
        tracing::warn!("client {} is cut: clients take more than maxmemory-clients", client.id);
        client.close();
    }
    stats::add(&node.stats.evicted_clients, chosen.len() as u64);
}

/// Closes connections that have asked for nothing for `timeout` seconds.
fn close_idle(node: &Node) {
    let timeout = u64::from(node.config.load().timeout) * 1000;
    if timeout == 0 {
        return;
    }
    let now = clock::unix_ms();
    for client in node.clients.list() {
        let idle = now.saturating_sub(client.active.load(Ordering::Relaxed));
        let is_excused = || client.follower.load(Ordering::Relaxed) || client.waiter().is_some();
        if idle > timeout && !is_excused() {
            client.close();
        }
    }
}
