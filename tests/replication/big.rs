//! Full copies of a large keyspace under writes, with redis-server on either side: at the end both
//! have the same digest.

use crate::Outcome;
use crate::pair::Node;
use crate::support::resp::{Connection, encode};
use crate::support::server::Program;
use crate::writer::{Random, Stream};

/// Keys that are there before the copy, unless `EAVE_KEYS` says another number.
const KEYS: u64 = 20_000;

fn keys() -> u64 {
    std::env::var("EAVE_KEYS").ok().and_then(|keys| keys.parse().ok()).unwrap_or(KEYS)
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

fn a_large_copy_is_the_same(leading: Program, following: Program) -> Outcome {
    let debug = "--enable-debug-command yes --repl-diskless-sync-delay 0";
    let mut leader = Node::start(leading, debug)?;
    fill(&mut leader.connect()?, keys())?;
    let writers = [Stream::start(&leader, 1_000)?, Stream::start(&leader, 2_000)?];
    let address = leader.address();
    let to = format!("{debug} --replicaof {} {}", address.ip(), address.port());
    let mut replica = Node::start(following, &to)?;
    replica.wait_for("master_link_status", "up")?;
    let mut written = 0;
    for writer in writers {
        written += writer.stop()?;
    }
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
