//! Redis' own server on the other side.

use crate::Outcome;
use crate::pair::{Node, assert_same};
use crate::proxy::Proxy;
use crate::support::server::Program;
use crate::writer::{Stream, write};

#[test]
fn redis_follows_eave() -> Outcome {
    let mut leader = Node::leader()?;
    write(&mut leader.connect()?, 11, 3000)?;
    let writer = Stream::start(&leader, 5000)?;
    let proxy = Proxy::start(leader.address())?;
    let replicaof = format!("--replicaof {} {}", proxy.address.ip(), proxy.address.port());
    let mut replica = Node::start(Program::Redis, &replicaof)?;
    replica.wait_for("master_link_status", "up")?;
    writer.stop()?;
    assert!(assert_same(&mut leader, &mut replica)?.len() > 300);
    proxy.cut();
    replica.wait_for("master_link_status", "down")?;
    write(&mut leader.connect()?, 12, 300)?;
    proxy.restore(leader.address());
    assert_same(&mut leader, &mut replica)?;
    assert_eq!(
        (leader.info("sync_full")?, leader.info("sync_partial_ok")?),
        ("1".into(), "1".into())
    );
    Ok(())
}

#[test]
fn what_a_redis_does_not_know_does_not_break_its_link() -> Outcome {
    let mut leader = Node::leader()?;
    leader.expect("JSON.SET document $ [1]", "OK")?;
    leader.ask("RL.TAKE limit 3/1h")?;
    leader.expect("SET a 1", "OK")?;
    let replicaof = format!("--replicaof {} {}", leader.address().ip(), leader.address().port());
    let mut replica = Node::start(Program::Redis, &replicaof)?;
    replica.catch_up(&mut leader)?;
    leader.ask("RL.TAKE limit 3/1h")?;
    leader.ask("RL.TAKE other 3/1h")?;
    leader.expect("JSON.SET document $[0] 2", "OK")?;
    leader.expect("JSON.MSET another $ 2", "OK")?;
    leader.expect("SET b 2", "OK")?;
    replica.catch_up(&mut leader)?;
    replica.expect("DBSIZE", "2")?;
    replica.expect("GET b", "\"2\"")?;
    assert_eq!(leader.info("sync_full")?, "1");
    Ok(())
}

#[test]
fn eave_follows_redis() -> Outcome {
    let mut leader = Node::start(Program::Redis, "--repl-diskless-sync-delay 0")?;
    write(&mut leader.connect()?, 13, 3000)?;
    let writer = Stream::start(&leader, 6000)?;
    let proxy = Proxy::start(leader.address())?;
    let mut replica = Node::following(proxy.address)?;
    replica.wait_for("master_link_status", "up")?;
    writer.stop()?;
    assert!(assert_same(&mut leader, &mut replica)?.len() > 300);
    leader.expect("SET waited for", "OK")?;
    // It asks for an acknowledgement in the stream.
    leader.expect("WAIT 1 10000", "1")?;
    proxy.cut();
    replica.wait_for("master_link_status", "down")?;
    write(&mut leader.connect()?, 14, 300)?;
    proxy.restore(leader.address());
    assert_same(&mut leader, &mut replica)?;
    assert_eq!(
        (leader.info("sync_full")?, leader.info("sync_partial_ok")?),
        ("1".into(), "1".into())
    );
    leader.expect("FLUSHALL", "OK")?;
    assert!(assert_same(&mut leader, &mut replica)?.is_empty());
    Ok(())
}

#[test]
fn a_redis_leader_may_send_its_copy_from_a_file() -> Outcome {
    let mut leader = Node::start(Program::Redis, "--repl-diskless-sync no")?;
    write(&mut leader.connect()?, 15, 1000)?;
    let mut replica = Node::following(leader.address())?;
    assert!(assert_same(&mut leader, &mut replica)?.len() > 100);
    Ok(())
}

#[test]
fn a_copy_that_cannot_be_held_is_refused_whole() -> Outcome {
    let mut leader = Node::start(Program::Redis, "--repl-diskless-sync-delay 0")?;
    leader.expect("SET a 1", "OK")?;
    let mut replica = Node::start(Program::Eave, "--databases 4")?;
    replica.expect("SET mine 1", "OK")?;
    leader.expect("SELECT 9", "OK")?;
    leader.expect("SET far 1", "OK")?;
    let (host, port) = (leader.address().ip(), leader.address().port());
    replica.expect(&format!("REPLICAOF {host} {port}"), "OK")?;
    leader.wait_for_count("sync_full", 2)?;
    replica.expect("GET mine", "\"1\"")?;
    replica.expect("GET a", "nil")?;
    leader.expect("DEL far", "1")?;
    leader.expect("SELECT 0", "OK")?;
    assert_eq!(assert_same(&mut leader, &mut replica)?.len(), 1);
    Ok(())
}
