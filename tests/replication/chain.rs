//! Chains: a replica that is followed itself, by Eave and by redis-server.

use crate::Outcome;
use crate::pair::{Node, assert_same};
use crate::proxy::Proxy;
use crate::support::resp::encode;
use crate::support::server::Program;
use crate::writer::{Stream, write};

fn following(program: Program, leader: &Node) -> Result<Node, String> {
    let address = leader.address();
    let node = Node::start(program, &format!("--replicaof {} {}", address.ip(), address.port()))?;
    Ok(node)
}

/// Waits until all three have the same history up to the same place, and compares what they hold.
fn assert_chain(leader: &mut Node, middle: &mut Node, last: &mut Node) -> Result<usize, String> {
    assert_same(leader, middle)?;
    let keys = assert_same(middle, last)?.len();
    let id = leader.info("master_replid")?;
    for node in [&mut *middle, last] {
        node.wait_for("master_replid", &id)?;
        let offset = leader.info("master_repl_offset")?;
        node.wait_for_count("master_repl_offset", offset.parse().unwrap_or(u64::MAX))?;
    }
    Ok(keys)
}

fn syncs(node: &mut Node) -> Result<(String, String), String> {
    Ok((node.info("sync_full")?, node.info("sync_partial_ok")?))
}

/// A chain of three under writes: copies at both places while writes go on, then breaks of either
/// link, then a history that cannot be continued.
fn holds_through_breaks(programs: [Program; 3]) -> Outcome {
    let options = match programs[0] {
        Program::Redis => "--repl-diskless-sync-delay 0",
        Program::Eave => "",
    };
    let mut leader = Node::start(programs[0], options)?;
    write(&mut leader.connect()?, 21, 2000)?;
    let first = Stream::start(&leader, 7000)?;
    let upper = Proxy::start(leader.address())?;
    let above = format!("--replicaof {} {}", upper.address.ip(), upper.address.port());
    let mut middle = Node::start(programs[1], &format!("{above} {options}"))?;
    middle.wait_for("master_link_status", "up")?;
    let lower = Proxy::start(middle.address())?;
    let above = format!("--replicaof {} {}", lower.address.ip(), lower.address.port());
    let mut last = Node::start(programs[2], &above)?;
    last.wait_for("master_link_status", "up")?;
    assert_eq!(
        (middle.info("role")?, middle.info("connected_slaves")?),
        ("slave".into(), "1".into())
    );
    first.stop()?;
    assert!(assert_chain(&mut leader, &mut middle, &mut last)? > 300);
    // The link above breaks: who is below notices nothing, and gets what was missed.
    upper.cut();
    middle.wait_for("master_link_status", "down")?;
    write(&mut leader.connect()?, 22, 300)?;
    upper.restore(leader.address());
    assert_chain(&mut leader, &mut middle, &mut last)?;
    assert_eq!(
        (syncs(&mut leader)?, syncs(&mut middle)?.0),
        (("1".into(), "1".into()), "1".into())
    );
    // The link below breaks.
    lower.cut();
    last.wait_for("master_link_status", "down")?;
    write(&mut leader.connect()?, 23, 300)?;
    lower.restore(middle.address());
    assert_chain(&mut leader, &mut middle, &mut last)?;
    assert_eq!(syncs(&mut middle)?, ("1".into(), "1".into()));
    // What the middle has to copy, all below it copy too.
    upper.cut();
    middle.wait_for("master_link_status", "down")?;
    leader.ask_all(&["SET", "big", &"x".repeat(3 << 20)])?;
    leader.expect("SELECT 2", "OK")?;
    leader.expect("SET in database", "OK")?;
    upper.restore(leader.address());
    assert_chain(&mut leader, &mut middle, &mut last)?;
    leader.expect("SET again 2", "OK")?;
    assert_chain(&mut leader, &mut middle, &mut last)?;
    assert_eq!((syncs(&mut leader)?.0, syncs(&mut middle)?.0), ("2".into(), "2".into()));
    Ok(())
}

#[test]
fn eave_alone() -> Outcome {
    holds_through_breaks([Program::Eave; 3])
}

#[test]
fn redis_follows_a_replica_of_eave() -> Outcome {
    holds_through_breaks([Program::Eave, Program::Eave, Program::Redis])
}

#[test]
fn eave_follows_a_replica_of_redis() -> Outcome {
    holds_through_breaks([Program::Redis, Program::Redis, Program::Eave])
}

#[test]
fn eave_between_two_redis() -> Outcome {
    holds_through_breaks([Program::Redis, Program::Eave, Program::Redis])
}

#[test]
fn a_copy_of_a_replica_goes_on_in_the_database_of_the_stream() -> Outcome {
    for program in [Program::Eave, Program::Redis] {
        let mut leader = Node::leader()?;
        let mut middle = following(Program::Eave, &leader)?;
        middle.wait_for("master_link_status", "up")?;
        leader.expect("SELECT 3", "OK")?;
        leader.expect("SET a 1", "OK")?;
        middle.catch_up(&mut leader)?;
        // Its leader has no reason to name the database again.
        let mut last = following(program, &middle)?;
        last.wait_for("master_link_status", "up")?;
        leader.expect("SET b 2", "OK")?;
        assert_eq!(assert_chain(&mut leader, &mut middle, &mut last)?, 2);
        last.expect("SELECT 3", "OK")?;
        last.expect("GET b", "\"2\"")?;
    }
    Ok(())
}

#[test]
fn a_promoted_middle_keeps_its_followers() -> Outcome {
    for program in [Program::Eave, Program::Redis] {
        let mut leader = Node::leader()?;
        let mut middle = following(Program::Eave, &leader)?;
        middle.wait_for("master_link_status", "up")?;
        let mut last = following(program, &middle)?;
        leader.expect("SET a 1", "OK")?;
        assert_chain(&mut leader, &mut middle, &mut last)?;
        middle.expect("REPLICAOF NO ONE", "OK")?;
        middle.expect("SET b 2", "OK")?;
        assert_eq!(assert_same(&mut middle, &mut last)?.len(), 2);
        last.wait_for("master_replid", &middle.info("master_replid")?)?;
        assert_eq!(syncs(&mut middle)?, ("1".into(), "1".into()));
        // What the old leader has not written since, it need not copy.
        let to = format!("REPLICAOF {} {}", middle.address().ip(), middle.address().port());
        leader.expect(&to, "OK")?;
        assert_same(&mut middle, &mut leader)?;
        assert_eq!(syncs(&mut middle)?, ("1".into(), "2".into()));
        assert_chain(&mut middle, &mut leader, &mut last)?;
    }
    Ok(())
}

#[test]
fn nobody_follows_a_replica_without_a_link() -> Outcome {
    let mut leader = Node::leader()?;
    leader.expect("SET a 1", "OK")?;
    let proxy = Proxy::start(leader.address())?;
    let mut middle = Node::following(proxy.address)?;
    middle.wait_for("master_link_status", "up")?;
    proxy.cut();
    middle.wait_for("master_link_status", "down")?;
    middle.expect("PSYNC ? -1", "!NOMASTERLINK Can't SYNC while not connected with my master")?;
    let mut last = following(Program::Eave, &middle)?;
    last.wait_for("master_link_status", "down")?;
    proxy.restore(leader.address());
    assert_chain(&mut leader, &mut middle, &mut last)?;
    Ok(())
}

/// What a client asks of the last node the first one does, and the client reads it at once.
#[test]
fn writes_go_up_the_whole_chain() -> Outcome {
    let mut leader = Node::leader()?;
    let mut middle = Node::forwarding(leader.address(), "")?;
    let mut last = Node::forwarding(middle.address(), "")?;
    for n in 1..100 {
        last.expect("INCR count", &n.to_string())?;
        last.expect("GET count", &format!("\"{n}\""))?;
    }
    last.expect("SELECT 2", "OK")?;
    last.expect("MULTI", "OK")?;
    last.expect("RPUSH list a b", "QUEUED")?;
    last.expect("LRANGE list 0 -1", "QUEUED")?;
    last.expect("EXEC", "[2 [\"a\" \"b\"]]")?;
    last.expect("LLEN list", "2")?;
    last.expect("EVAL \"return redis.call('INCR', KEYS[1])\" 1 n", "1")?;
    last.expect("GET n", "\"1\"")?;
    last.expect("INCR list", "!WRONGTYPE Operation against a key holding the wrong kind of value")?;
    leader.expect("SELECT 2", "OK")?;
    // A key that changes at the leader is watched from down here.
    last.expect("WATCH n", "OK")?;
    leader.expect("SET n 5", "OK")?;
    last.expect("MULTI", "OK")?;
    last.expect("SET n 6", "QUEUED")?;
    last.expect("EXEC", "nil-array")?;
    last.expect("WATCH n", "OK")?;
    last.expect("GET n", "\"5\"")?;
    last.expect("MULTI", "OK")?;
    last.expect("SET n 6", "QUEUED")?;
    last.expect("EXEC", "[OK]")?;
    last.expect("GET n", "\"6\"")?;
    // Who waits is served by whoever writes, wherever that is.
    let mut waiting = last.connect()?;
    waiting.send_raw(&encode(&["BLPOP", "queue", "0"])).map_err(|e| e.to_string())?;
    leader.wait_for("blocked_clients", "1")?;
    middle.expect("RPUSH queue x", "1")?;
    assert_eq!(waiting.receive()?.to_string(), "[\"queue\" \"x\"]");
    waiting.send_raw(&encode(&["BLPOP", "queue", "0"])).map_err(|e| e.to_string())?;
    leader.wait_for("blocked_clients", "1")?;
    drop(waiting);
    leader.wait_for("blocked_clients", "0")?;
    // Each node has handed on what came from below.
    assert_eq!(leader.info("replica_forwarded_commands")?, "");
    assert!(middle.info("replica_forwarded_commands")?.parse::<u64>().is_ok_and(|n| n >= 100));
    last.expect("SELECT 0", "OK")?;
    assert_chain(&mut leader, &mut middle, &mut last)?;
    Ok(())
}
