//! Links that are compressed: what they carry, where they break off, and who sees nothing of it.

use crate::Outcome;
use crate::pair::{Node, assert_same};
use crate::proxy::Proxy;
use crate::support::server::Program;
use crate::writer::{Stream, write};

const PACKED: &str = "--repl-compression lz4";

/// A counter of INFO.
fn count(node: &mut Node, field: &str) -> Result<u64, String> {
    let text = node.info(field)?;
    text.parse().map_err(|_| format!("{field} is '{text}'"))
}

fn synced(leader: &mut Node) -> Result<(String, String), String> {
    Ok((leader.info("sync_full")?, leader.info("sync_partial_ok")?))
}

#[test]
fn copy_stream_and_what_was_missed_are_packed() -> Outcome {
    let mut leader = Node::leader()?;
    write(&mut leader.connect()?, 41, 3000)?;
    let writer = Stream::start(&leader, 6000)?;
    let proxy = Proxy::start(leader.address())?;
    let mut replica = Node::forwarding(proxy.address, PACKED)?;
    assert_eq!(replica.info("master_link_compression")?, "lz4");
    writer.stop()?;
    assert!(assert_same(&mut leader, &mut replica)?.len() > 300);
    // What comes last is whole at once: nothing waits for more.
    for n in 1..50 {
        replica.expect("INCR counter", &n.to_string())?;
        replica.expect("GET counter", &format!("\"{n}\""))?;
    }
    proxy.cut();
    replica.wait_for("master_link_status", "down")?;
    write(&mut leader.connect()?, 42, 300)?;
    proxy.restore(leader.address());
    assert_same(&mut leader, &mut replica)?;
    assert_eq!(synced(&mut leader)?, ("1".into(), "1".into()));
    // Both sides count the same. The stream may have carried a sign of life since.
    let sent = count(&mut leader, "repl_compressed_sent_plain_bytes")?;
    let received = count(&mut replica, "repl_compressed_received_plain_bytes")?;
    let packed = count(&mut replica, "repl_compressed_received_bytes")?;
    assert!(received <= sent + 1024 && received > 20_000, "{sent} {received}");
    assert!(packed * 4 < received * 3, "{packed} of {received}");
    // Offsets are those of what it was.
    assert!(count(&mut replica, "slave_repl_offset")? < received);
    Ok(())
}

/// The link breaks at any byte of the copy and of the stream.
#[test]
fn a_link_may_break_anywhere() -> Outcome {
    let mut leader = Node::start(Program::Eave, "--repl-backlog-size 64mb")?;
    write(&mut leader.connect()?, 43, 1500)?;
    let proxy = Proxy::start(leader.address())?;
    for budget in [300, 20_000] {
        proxy.cut();
        let copies = count(&mut leader, "sync_full")?;
        proxy.restore_for(leader.address(), budget);
        let options =
            format!("{PACKED} --replicaof {} {}", proxy.address.ip(), proxy.address.port());
        let mut replica = Node::start(Program::Eave, &options)?;
        leader.wait_for_count("sync_full", copies + 1)?;
        proxy.cut();
        proxy.restore(leader.address());
        assert_same(&mut leader, &mut replica)?;
        let before = synced(&mut leader)?;
        for round in 0..2 {
            let writer = Stream::start(&leader, 6000)?;
            write(&mut leader.connect()?, 50 + round, 100)?;
            proxy.cut();
            replica.wait_for("master_link_status", "down")?;
            proxy.restore(leader.address());
            replica.wait_for("master_link_status", "up")?;
            writer.stop()?;
        }
        assert_same(&mut leader, &mut replica)?;
        // Every time it went on where it was.
        assert_eq!(synced(&mut leader)?.0, before.0);
    }
    Ok(())
}

#[test]
fn each_link_of_a_chain_is_asked_for_by_itself() -> Outcome {
    let mut leader = Node::leader()?;
    write(&mut leader.connect()?, 44, 500)?;
    let mut middle = Node::forwarding(leader.address(), "")?;
    let mut last = Node::forwarding(middle.address(), PACKED)?;
    write(&mut leader.connect()?, 45, 500)?;
    assert_same(&mut leader, &mut middle)?;
    assert_same(&mut leader, &mut last)?;
    assert_eq!(middle.info("master_link_compression")?, "no");
    assert_eq!(last.info("master_link_compression")?, "lz4");
    assert_eq!(count(&mut leader, "repl_compressed_sent_bytes")?, 0);
    assert!(count(&mut middle, "repl_compressed_sent_bytes")? > 0);
    // From the next connection on the link is as the directive says by then.
    last.expect("CONFIG SET repl-compression no", "OK")?;
    assert_eq!(last.info("master_link_compression")?, "lz4");
    last.expect("REPLICAOF NO ONE", "OK")?;
    let (host, port) = (middle.address().ip(), middle.address().port());
    last.expect(&format!("REPLICAOF {host} {port}"), "OK")?;
    leader.expect("SET again v", "OK")?;
    assert_same(&mut leader, &mut last)?;
    assert_eq!(last.info("master_link_compression")?, "no");
    let refused = last.ask("CONFIG SET repl-compression zip")?.to_string();
    assert!(refused.contains("must be one of the following: no, lz4"), "{refused}");
    Ok(())
}

#[test]
fn a_redis_on_either_side_sees_none_of_it() -> Outcome {
    let mut leader = Node::start(Program::Redis, "--repl-diskless-sync-delay 0")?;
    write(&mut leader.connect()?, 46, 500)?;
    let (host, port) = (leader.address().ip(), leader.address().port());
    let options = format!("{PACKED} --replicaof {host} {port}");
    let mut middle = Node::start(Program::Eave, &options)?;
    assert_same(&mut leader, &mut middle)?;
    assert_eq!(middle.info("master_link_compression")?, "no");
    let (host, port) = (middle.address().ip(), middle.address().port());
    let mut last = Node::start(Program::Redis, &format!("--replicaof {host} {port}"))?;
    write(&mut leader.connect()?, 47, 500)?;
    assert_same(&mut leader, &mut middle)?;
    assert_same(&mut leader, &mut last)?;
    assert_eq!(count(&mut middle, "repl_compressed_sent_bytes")?, 0);
    Ok(())
}
