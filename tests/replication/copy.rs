//! Full copies: everything arrives, while writes go on.

use std::io::Read;

use eave::rdb::{Item, Limits, Reader};

use crate::Outcome;
use crate::pair::{Node, assert_same};
use crate::support::resp::{Connection, encode};
use crate::support::server::Program;
use crate::writer::{Stream, write};

/// A few thousand keys of every kind.
fn fill(node: &Node, seed: u64) -> Result<(), String> {
    let mut connection = node.connect()?;
    write(&mut connection, seed, 4000)?;
    let field = |n: usize| [format!("field{n}"), format!("{}", n * 7919)];
    for (db, fields) in [(0, 3), (2, 1000), (3, 128), (3, 129)] {
        connection.call(&["SELECT".to_owned(), db.to_string()])?;
        let mut argv = vec!["HSET".to_owned(), format!("hash of {fields}")];
        argv.extend((0..fields).flat_map(field));
        connection.call(&argv)?;
    }
    let binary: Vec<u8> = (0..=255).collect();
    connection.call(&[b"SET".as_slice(), &binary, &binary])?;
    connection.call(&["SET", "", ""])?;
    connection.call(&["SET", "least", "-9223372036854775808"])?;
    Ok(())
}

#[test]
fn everything_arrives_while_writes_go_on() -> Outcome {
    let mut leader = Node::leader()?;
    fill(&leader, 1)?;
    let writers = [Stream::start(&leader, 1000)?, Stream::start(&leader, 2000)?];
    let mut first = Node::following(leader.address())?;
    let mut second = Node::following(leader.address())?;
    first.wait_for("master_link_status", "up")?;
    second.wait_for("master_link_status", "up")?;
    for writer in writers {
        writer.stop()?;
    }
    let contents = assert_same(&mut leader, &mut first)?;
    assert!(contents.len() > 500, "only {} keys", contents.len());
    assert!(contents.keys().any(|(db, _)| *db == 3));
    assert_same(&mut leader, &mut second)?;
    leader.expect("INFO nothing", "\"\"")?;
    leader.wait_for("connected_slaves", "2")?;
    Ok(())
}

#[test]
fn an_empty_leader_replaces_what_a_replica_held() -> Outcome {
    let mut leader = Node::leader()?;
    let mut replica = Node::leader()?;
    fill(&replica, 2)?;
    let (host, port) = (leader.address().ip(), leader.address().port());
    replica.expect(&format!("REPLICAOF {host} {port}"), "OK")?;
    assert!(assert_same(&mut leader, &mut replica)?.is_empty());
    replica.expect("DBSIZE", "0")?;
    Ok(())
}

#[test]
fn a_follower_without_marks_gets_the_length_first() -> Outcome {
    let leader = Node::leader()?;
    fill(&leader, 3)?;
    let keys: usize = {
        let mut leader = leader.connect()?;
        let mut keys = 0;
        for db in 0..4 {
            leader.call(&["SELECT".to_owned(), db.to_string()])?;
            keys += leader.call(&["DBSIZE"])?.text().and_then(|n| n.parse().ok()).unwrap_or(0);
        }
        keys
    };
    let mut follower = leader.connect()?;
    follower.send_raw(b"SYNC\r\n").map_err(|error| error.to_string())?;
    let payload = payload(&mut follower)?;
    let mut reader = Reader::new(Limits::default());
    reader.feed(&payload);
    let mut found = 0;
    while let Some(item) = reader.next_item().map_err(|error| error.to_string())? {
        found += usize::from(matches!(item, Item::Key(_)));
    }
    reader.finish().map_err(|error| error.to_string())?;
    assert_eq!(found, keys);
    Ok(())
}

/// Reads `$<length>` and that many bytes, heartbeats before it left out.
fn payload(follower: &mut Connection) -> Result<Vec<u8>, String> {
    let say = |error: std::io::Error| error.to_string();
    let mut socket = follower.socket();
    let mut header = String::new();
    loop {
        let mut byte = [0];
        socket.read_exact(&mut byte).map_err(say)?;
        match byte[0] {
            b'\n' if header.trim().is_empty() => header.clear(),
            b'\n' => break,
            other => header.push(char::from(other)),
        }
    }
    let length = header.trim().strip_prefix('$').and_then(|length| length.parse().ok());
    let mut payload = vec![0; length.ok_or_else(|| format!("a header '{header}'"))?];
    socket.read_exact(&mut payload).map_err(say)?;
    Ok(payload)
}

#[test]
fn a_follower_that_leaves_in_the_middle_holds_nothing_up() -> Outcome {
    let mut leader = Node::leader()?;
    fill(&leader, 4)?;
    leader.expect("SETRANGE big 30000000 x", "30000001")?;
    for _ in 0..3 {
        let mut follower = leader.connect()?;
        let hello = [encode(&["REPLCONF", "capa", "eof"]), encode(&["PSYNC", "?", "-1"])].concat();
        follower.send_raw(&hello).map_err(|error| error.to_string())?;
        let mut some = [0; 1000];
        follower.socket().read_exact(&mut some).map_err(|error| error.to_string())?;
    }
    leader.expect("SET after them", "OK")?;
    let mut replica = Node::following(leader.address())?;
    assert_same(&mut leader, &mut replica)?;
    leader.wait_for("connected_slaves", "1")?;
    Ok(())
}

#[test]
fn a_follower_that_reads_nothing_is_cut_and_costs_no_more_than_its_limit() -> Outcome {
    let options = "--client-output-buffer-limit replica 2mb 0 0 --repl-backlog-size 100kb";
    let mut leader = Node::start(Program::Eave, options)?;
    let mut follower = leader.connect()?;
    follower.send_raw(&encode(&["PSYNC", "?", "-1"])).map_err(|error| error.to_string())?;
    leader.wait_for("connected_slaves", "1")?;
    let value = "v".repeat(100_000);
    for n in 0..300 {
        leader.expect(&format!("SET key{} {value}", n % 3), "OK")?;
    }
    leader.wait_for("connected_slaves", "0")?;
    let held: u64 = leader.info("repl_backlog_histlen")?.parse().unwrap_or(u64::MAX);
    assert!(held < 3_000_000, "{held} bytes are kept for nobody");
    Ok(())
}

#[test]
fn passwords_are_asked_for_and_given() -> Outcome {
    let mut leader = Node::start(Program::Eave, "--requirepass secret")?;
    leader.expect("SET a 1", "OK")?;
    let (host, port) = (leader.address().ip(), leader.address().port());
    let mut replica =
        Node::start(Program::Eave, &format!("--masterauth wrong --replicaof {host} {port}"))?;
    replica.expect("SET a 2", "!READONLY You can't write against a read only replica.")?;
    replica.expect("CONFIG SET masterauth secret", "OK")?;
    assert_eq!(assert_same(&mut leader, &mut replica)?.len(), 1);
    Ok(())
}

/// A follower that asks for a copy and does not take it has writers wait for a second, not longer,
/// and memory stays within its bound.
#[test]
fn a_copy_that_nobody_takes_holds_up_nobody_for_long() -> Outcome {
    let mut leader = Node::start(Program::Eave, "--repl-snapshot-memory 1mb")?;
    let value = "v".repeat(50_000);
    for n in 0..600 {
        leader.expect(&format!("SET key{n} {value}"), "OK")?;
    }
    let mut follower = leader.connect()?;
    let hello = [encode(&["REPLCONF", "capa", "eof"]), encode(&["PSYNC", "?", "-1"])].concat();
    follower.send_raw(&hello).map_err(|error| error.to_string())?;
    leader.wait_for("repl_snapshot_in_progress", "1")?;
    for n in 0..600 {
        leader.expect(&format!("APPEND key{n} x"), "50001")?;
    }
    leader.wait_for("connected_slaves", "0")?;
    assert_eq!(leader.info("repl_snapshot_too_slow_replicas")?, "1");
    let peak: u64 = leader.info("repl_snapshot_peak_held_bytes")?.parse().unwrap_or(u64::MAX);
    assert!((1..4_000_000).contains(&peak), "{peak} bytes were held back");
    // One that takes it gets it, within the same bound.
    let writer = Stream::start(&leader, 5000)?;
    let mut replica = Node::following(leader.address())?;
    replica.wait_for("master_link_status", "up")?;
    writer.stop()?;
    assert!(assert_same(&mut leader, &mut replica)?.len() > 600);
    leader.wait_for("repl_snapshot_in_progress", "0")?;
    Ok(())
}
