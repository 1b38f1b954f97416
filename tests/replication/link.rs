//! The link: it breaks, and the replica goes on where it was, or copies again.

use crate::Outcome;
use crate::pair::{Node, assert_same};
use crate::proxy::Proxy;
use crate::support::server::Program;
use crate::writer::{Stream, write};

#[test]
fn every_kind_of_effect_arrives() -> Outcome {
    let mut leader = Node::leader()?;
    let mut replica = Node::following(leader.address())?;
    let steps = [
        "SET a 1",
        "APPEND a 2",
        "INCR a",
        "INCRBYFLOAT f 0.1",
        "SELECT 3",
        "HSET h f v g 2",
        "HINCRBYFLOAT h g 0.5",
        "MULTI",
        "SET in transaction",
        "SELECT 1",
        "SET in another",
        "EXEC",
        "COPY in copied DB 2",
        "SET short lived PX 1",
        "SET long lived EX 1000",
        "EXPIRE copied 0",
        "RENAME in out",
        "SELECT 0",
        "GETEX a EX 500",
    ];
    for step in steps {
        leader.ask(step)?;
    }
    let contents = assert_same(&mut leader, &mut replica)?;
    assert_eq!(contents.len(), 7, "{contents:?}");
    // The leader's DEL takes it out of the replica's memory too.
    replica.wait_for("db1", "keys=2,expires=1,avg_ttl=0")?;
    leader.expect("FLUSHDB", "OK")?;
    assert_eq!(assert_same(&mut leader, &mut replica)?.len(), 5);
    leader.expect("FLUSHALL", "OK")?;
    leader.expect("SET last 1", "OK")?;
    assert_eq!(assert_same(&mut leader, &mut replica)?.len(), 1);
    Ok(())
}

#[test]
fn rate_limits_hold_on_the_replica_too() -> Outcome {
    let mut leader = Node::leader()?;
    leader.expect("RL.TAKE copied 3/1h:gcra COST 3", "[1 3 0 0 3600000]")?;
    let mut replica = Node::rejecting(leader.address())?;
    replica.catch_up(&mut leader)?;
    for rule in ["3/1h", "2/1d:fixed", "5/1h:gcra"] {
        leader.ask(&format!("RL.TAKE streamed:{rule} {rule}"))?;
    }
    leader.ask("RL.TAKE reset 1/1h")?;
    leader.ask("RL.RESET reset")?;
    assert_eq!(assert_same(&mut leader, &mut replica)?.len(), 4);
    for (key, rule) in
        [("copied", "3/1h:gcra"), ("streamed:3/1h", "3/1h"), ("streamed:2/1d:fixed", "2/1d:fixed")]
    {
        // Allowed, limit and remaining; the times differ by the moment of asking.
        let peek = format!("RL.PEEK {key} {rule}");
        let (there, here) = (leader.ask(&peek)?.to_string(), replica.ask(&peek)?.to_string());
        let shown = |text: &str| text.split(' ').take(3).collect::<Vec<_>>().join(" ");
        assert_eq!(shown(&there), shown(&here), "{key}");
    }
    replica.expect(
        "RL.TAKE copied 3/1h:gcra",
        "!READONLY You can't write against a read only replica.",
    )?;
    Ok(())
}

#[test]
fn documents_are_the_same_on_the_replica() -> Outcome {
    let mut leader = Node::leader()?;
    leader.expect(r#"JSON.SET copied $ "[1,{\"a\":2.5}]""#, "OK")?;
    let mut replica = Node::rejecting(leader.address())?;
    replica.catch_up(&mut leader)?;
    leader.expect("JSON.SET streamed $ [true]", "OK")?;
    leader.expect("JSON.ARRAPPEND streamed $ 1 2", "[3]")?;
    leader.expect("JSON.NUMINCRBY copied $..a 0.25", "\"[2.75]\"")?;
    leader.expect("PEXPIREAT copied 33177117420000", "1")?;
    assert_eq!(assert_same(&mut leader, &mut replica)?.len(), 2);
    replica.expect("JSON.GET copied $[0]", "\"[1]\"")?;
    replica.expect("JSON.GET streamed", "\"[true,1,2]\"")?;
    replica
        .expect("JSON.CLEAR copied", "!READONLY You can't write against a read only replica.")?;
    Ok(())
}

#[test]
fn writes_are_refused_and_due_keys_are_absent() -> Outcome {
    let mut leader = Node::leader()?;
    let mut replica = Node::rejecting(leader.address())?;
    leader.expect("SET due soon PX 30", "OK")?;
    replica.catch_up(&mut leader)?;
    // Nothing but the replica's own clock makes it absent.
    for _ in 0..1000 {
        if replica.ask("GET due")?.to_string() == "nil" {
            break;
        }
    }
    for (command, answer) in [
        ("SET due 2", "!READONLY You can't write against a read only replica."),
        ("DEL due", "!READONLY You can't write against a read only replica."),
        ("MULTI", "OK"),
        ("SET due 2", "!READONLY You can't write against a read only replica."),
        ("EXEC", "!EXECABORT Transaction discarded because of previous errors."),
    ] {
        replica.expect(command, answer)?;
    }
    Ok(())
}

/// Copied and streamed; the replica's clock alone makes them absent, the leader's HDEL frees them.
#[test]
fn fields_expire_on_the_replica_too() -> Outcome {
    let mut leader = Node::leader()?;
    leader.expect("HSETEX copied EX 1000 FIELDS 2 a 1 b 2", "1")?;
    leader.expect("HSET copied c 3", "1")?;
    let mut replica = Node::rejecting(leader.address())?;
    replica.catch_up(&mut leader)?;
    leader.expect("HSETEX streamed EX 1000 FIELDS 2 a 1 b 2", "1")?;
    leader.expect("HINCRBYFLOAT streamed a 0.5", "\"1.5\"")?;
    leader.expect("HPERSIST streamed FIELDS 1 b", "[1]")?;
    assert_eq!(assert_same(&mut leader, &mut replica)?.len(), 2);
    leader.expect("HSETEX due PX 30 FIELDS 1 a 1", "1")?;
    leader.expect("HSET due b 2", "1")?;
    replica.catch_up(&mut leader)?;
    for command in ["HPEXPIRETIME copied FIELDS 3 a b c", "HPEXPIRETIME streamed FIELDS 2 a b"] {
        assert_eq!(leader.ask(command)?.to_string(), replica.ask(command)?.to_string());
    }
    for _ in 0..100_000 {
        if replica.ask("HGET due a")?.to_string() == "nil" {
            break;
        }
    }
    replica.expect("HLEN due", "1")?;
    replica.expect(
        "HSETEX due EX 1 FIELDS 1 a 1",
        "!READONLY You can't write against a read only replica.",
    )?;
    Ok(())
}

#[test]
fn a_short_cut_resumes_from_the_backlog() -> Outcome {
    let mut leader = Node::leader()?;
    let proxy = Proxy::start(leader.address())?;
    let mut replica = Node::following(proxy.address)?;
    let mut connection = leader.connect()?;
    write(&mut connection, 5, 500)?;
    replica.catch_up(&mut leader)?;
    for round in 0..3_u64 {
        let writer = Stream::start(&leader, 100 * round + 7)?;
        replica.ask("PING")?;
        proxy.cut();
        replica.wait_for("master_link_status", "down")?;
        writer.stop()?;
        proxy.restore(leader.address());
        assert_same(&mut leader, &mut replica)?;
        assert_eq!(leader.info("sync_partial_ok")?, (round + 1).to_string());
    }
    assert_eq!(leader.info("sync_full")?, "1");
    Ok(())
}

#[test]
fn a_cut_longer_than_the_backlog_copies_again() -> Outcome {
    let mut leader = Node::start(Program::Eave, "--repl-backlog-size 16kb")?;
    let proxy = Proxy::start(leader.address())?;
    let mut replica = Node::following(proxy.address)?;
    leader.expect("SET a 1", "OK")?;
    replica.catch_up(&mut leader)?;
    proxy.cut();
    replica.wait_for("master_link_status", "down")?;
    // Reads go on meanwhile.
    replica.expect("GET a", "\"1\"")?;
    let mut connection = leader.connect()?;
    write(&mut connection, 6, 3000)?;
    proxy.restore(leader.address());
    assert_same(&mut leader, &mut replica)?;
    assert_eq!(leader.info("sync_full")?, "2");
    assert_eq!(leader.info("sync_partial_err")?, "1");
    Ok(())
}

#[test]
fn a_copy_that_breaks_off_leaves_the_old_data() -> Outcome {
    let mut leader = Node::start(Program::Eave, "--repl-backlog-size 16kb")?;
    let proxy = Proxy::start(leader.address())?;
    let mut replica = Node::following(proxy.address)?;
    leader.expect("SET a 1", "OK")?;
    replica.catch_up(&mut leader)?;
    proxy.cut();
    replica.wait_for("master_link_status", "down")?;
    leader.expect("SET a 2", "OK")?;
    for n in 0..20 {
        leader.expect(&format!("SET big{n} {}", "x".repeat(100_000)), "OK")?;
    }
    proxy.restore_for(leader.address(), 1_000_000);
    leader.wait_for_count("sync_full", 4)?;
    replica.expect("GET a", "\"1\"")?;
    replica.expect("DBSIZE", "1")?;
    proxy.restore(leader.address());
    assert_eq!(assert_same(&mut leader, &mut replica)?.len(), 21);
    Ok(())
}

#[test]
fn a_leader_that_starts_anew_is_copied_anew() -> Outcome {
    let mut leader = Node::leader()?;
    let proxy = Proxy::start(leader.address())?;
    let mut replica = Node::following(proxy.address)?;
    leader.expect("SET a 1", "OK")?;
    replica.catch_up(&mut leader)?;
    let id = replica.info("master_replid")?;
    assert_eq!(id, leader.info("master_replid")?);
    proxy.cut();
    drop(leader);
    replica.expect("GET a", "\"1\"")?;
    let mut leader = Node::leader()?;
    leader.expect("SET b 2", "OK")?;
    proxy.restore(leader.address());
    replica.wait_for("master_replid", &leader.info("master_replid")?)?;
    assert_eq!(assert_same(&mut leader, &mut replica)?.len(), 1);
    assert_ne!(id, replica.info("master_replid")?);
    Ok(())
}

#[test]
fn offsets_meet_on_both_sides() -> Outcome {
    let mut leader = Node::start(Program::Eave, "--repl-ping-replica-period 1")?;
    let mut replica = Node::following(leader.address())?;
    leader.expect("SET a 1", "OK")?;
    replica.catch_up(&mut leader)?;
    let offset = leader.info("master_repl_offset")?;
    // Acknowledgements come within a second, pings move the offset on.
    let mut acknowledged = 0;
    for _ in 0..3000 {
        let line = leader.info("slave0")?;
        let value = line.split_once("offset=").and_then(|(_, rest)| rest.split(',').next());
        acknowledged = value.and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
        if acknowledged >= offset.parse().unwrap_or(u64::MAX) {
            break;
        }
        crate::support::server::pause(std::time::Duration::from_millis(10));
    }
    assert!(acknowledged >= offset.parse().unwrap_or(u64::MAX), "{acknowledged} of {offset}");
    let port = replica.address().port();
    let line = leader.info("slave0")?;
    assert!(line.starts_with(&format!("ip=127.0.0.1,port={port},state=online,")), "{line}");
    let role = leader.ask("ROLE")?.to_string();
    assert!(role.starts_with("[\"master\" ") && role.contains(&format!("\"{port}\"")), "{role}");
    let role = replica.ask("ROLE")?.to_string();
    assert!(role.contains("\"connected\""), "{role}");
    Ok(())
}
