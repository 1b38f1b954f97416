//! Full copies of a large keyspace under writes, with redis-server on either side: at the end both
//! have the same digest.
//!
//! The long run, a million keys of every type under at least 20,000 writes a second, in both
//! directions and between Eave nodes, wants a release build and some 4 GiB of memory:
//!
//! ```sh
//! EAVE_KEYS=1000000 EAVE_WRITES=20000 cargo test --release --test replication -- big:: --test-threads 1 --nocapture
//! ```
//!
//! It prints how many writes a second there were. Without `EAVE_WRITES` two writers send as many as
//! they can, one after the other's answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::pair::Node;
use crate::support::resp::{Connection, encode};
use crate::support::server::{Program, pause};
use crate::writer::{Random, Stream, command};

/// Keys that are there before the copy, unless `EAVE_KEYS` says another number.
const KEYS: u64 = 20_000;

fn keys() -> u64 {
    number("EAVE_KEYS").unwrap_or(KEYS)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Commands of one write to the socket.
const BATCH: u64 = 500;

/// A command that makes a key, of every type in turn, some of them large.
fn key(n: u64, random: &mut Random) -> Vec<String> {
    let m = random.below(1000);
    let many = if n.is_multiple_of(997) { 600 } else { 1 + m % 6 };
    let mut argv: Vec<String> = Vec::new();
    let mut head = |words: &[&str]| argv.extend(words.iter().map(|word| (*word).to_owned()));
    match n % 7 {
        0 => head(&["SET", &format!("string:{n}"), &"v".repeat(1 + m as usize / 4)]),
        1 => head(&["SET", &format!("due:{n}"), &m.to_string(), "PX", "100000000"]),
        2 => head(&["RPUSH", &format!("list:{n}")]),
        3 => head(&["SADD", &format!("set:{n}")]),
        4 => head(&["HSET", &format!("hash:{n}")]),
        5 => head(&["ZADD", &format!("sorted:{n}")]),
        _ => head(&["XADD", &format!("stream:{n}"), &format!("{}-1", n + 1)]),
    }
    for i in 0..many {
        match n % 7 {
            2 | 3 => argv.push(format!("element{}", i * m)),
            4 | 6 => argv.extend([format!("field{i}"), format!("value{}", i * m)]),
            5 => argv.extend([format!("{}.5", i * m % 77), format!("member{i}")]),
            _ => {}
        }
    }
    argv
}

/// Makes so many keys, in whole batches.
pub(crate) fn fill(to: &mut Connection, keys: u64) -> Result<(), String> {
    let mut random = Random(99);
    for batch in 0..keys / BATCH {
        let mut bytes = Vec::new();
        for n in batch * BATCH..(batch + 1) * BATCH {
            bytes.extend(encode(&key(n, &mut random)));
        }
        to.send_raw(&bytes).map_err(|error| format!("send: {error}"))?;
        for _ in 0..BATCH {
            let reply = to.receive()?.to_string();
            if reply.starts_with('!') {
                return Err(reply);
            }
        }
    }
    Ok(())
}

/// What a node holds, in forty digits. It takes its time.
pub(crate) fn digest(node: &Node) -> Result<String, String> {
    let mut connection = node.connect()?;
    connection.send_raw(&encode(&["DEBUG", "DIGEST"])).map_err(|error| error.to_string())?;
    let mut last = String::new();
    for _ in 0..10 {
        match connection.receive() {
            Ok(reply) => return Ok(reply.to_string()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Batches a second of the paced writer.
const BATCHES: u64 = 50;

/// Writes while a copy goes on.
enum Writers {
    Unpaced(Vec<Stream>),
    /// So many a second, pipelined.
    Paced(Arc<AtomicBool>, JoinHandle<Result<u64, String>>),
}

impl Writers {
    fn start(node: &Node) -> Result<Writers, String> {
        let Some(rate) = number("EAVE_WRITES") else {
            let streams = [1_000, 2_000].map(|seed| Stream::start(node, seed));
            return Ok(Writers::Unpaced(streams.into_iter().collect::<Result<_, _>>()?));
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, connection) = (Arc::clone(&stop), node.connect()?);
        let thread = std::thread::spawn(move || paced(connection, rate, &stopped));
        Ok(Writers::Paced(stop, thread))
    }

    /// Ends them; answers how many writes there were.
    fn stop(self) -> Result<u64, String> {
        match self {
            Writers::Unpaced(streams) => streams.into_iter().map(Stream::stop).sum(),
            Writers::Paced(stop, thread) => {
                stop.store(true, Ordering::Relaxed);
                thread.join().map_err(|_| "the writer has panicked")?
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a rate is kept by a clock")]
fn paced(mut to: Connection, rate: u64, stopped: &AtomicBool) -> Result<u64, String> {
    let mut random = Random(77);
    let (begun, mut batches, batch) = (Instant::now(), 0, rate / BATCHES);
    while !stopped.load(Ordering::Relaxed) {
        let bytes: Vec<u8> = (0..batch).flat_map(|_| encode(&command(&mut random))).collect();
        to.send_raw(&bytes).map_err(|error| format!("send: {error}"))?;
        for _ in 0..batch {
            to.receive()?;
        }
        batches += 1;
        let due = Duration::from_secs(1) * batches / BATCHES as u32;
        pause(due.saturating_sub(begun.elapsed()));
    }
    let written = u64::from(batches) * batch;
    println!("{:.0} writes a second", written as f64 / begun.elapsed().as_secs_f64());
    Ok(written)
}

fn a_large_copy_is_the_same(leading: Program, following: Program) -> Outcome {
    let debug = "--enable-debug-command yes --repl-diskless-sync-delay 0";
    let mut leader = Node::start(leading, debug)?;
    fill(&mut leader.connect()?, keys())?;
    let writers = Writers::start(&leader)?;
    let address = leader.address();
    let to = format!("{debug} --replicaof {} {}", address.ip(), address.port());
    let mut replica = Node::start(following, &to)?;
    replica.wait_for("master_link_status", "up")?;
    let written = writers.stop()?;
    replica.catch_up(&mut leader)?;
    assert!(written > 100, "{written}");
    let count: u64 = leader.ask("DBSIZE")?.to_string().parse().unwrap_or(0);
    assert!(count >= keys() - 1000, "{count}");
    replica.expect("DBSIZE", &count.to_string())?;
    assert_eq!(digest(&leader)?, digest(&replica)?);
    assert_eq!(leader.info("sync_full")?, "1");
    Ok(())
}

#[test]
fn eave_to_redis() -> Outcome {
    a_large_copy_is_the_same(Program::Eave, Program::Redis)
}

#[test]
fn redis_to_eave() -> Outcome {
    a_large_copy_is_the_same(Program::Redis, Program::Eave)
}

#[test]
fn eave_to_eave() -> Outcome {
    a_large_copy_is_the_same(Program::Eave, Program::Eave)
}
