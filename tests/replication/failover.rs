//! FAILOVER: handing over without loss, Eave to Eave and with redis-server on either side.

use std::time::Duration;

use crate::Outcome;
use crate::pair::{Node, assert_same};
use crate::proxy::Proxy;
use crate::support::reply::Reply;
use crate::support::server::{Program, pause};

/// A pair of which the second follows the first.
fn pair(programs: [Program; 2]) -> Result<[Node; 2], String> {
    let fast = |program| match program {
        Program::Redis => "--repl-diskless-sync-delay 0",
        // Writers are to learn of the change.
        Program::Eave => "--replica-writes reject",
    };
    let leader = Node::start(programs[0], fast(programs[0]))?;
    let to = format!("--replicaof {} {}", leader.address().ip(), leader.address().port());
    let mut replica = Node::start(programs[1], &format!("{to} {}", fast(programs[1])))?;
    replica.wait_for("master_link_status", "up")?;
    Ok([leader, replica])
}

/// Counts on a connection until the node takes no more writes; answers the last count.
fn count_up(node: &Node) -> Result<std::thread::JoinHandle<Result<i64, String>>, String> {
    let mut connection = node.connect()?;
    Ok(std::thread::spawn(move || {
        let mut answered = 0;
        loop {
            match connection.call(&["INCR", "count"])? {
                Reply::Integer(count) => answered = count,
                other if other.to_string().starts_with("!READONLY") => return Ok(answered),
                other => return Err(format!("INCR: {other}")),
            }
        }
    }))
}

/// Writes go on while the lead changes: every one that was answered is there, and no other.
fn nothing_is_lost(programs: [Program; 2]) -> Outcome {
    let [mut leader, mut replica] = pair(programs)?;
    let id = leader.info("master_replid")?;
    leader.wait_for("master_failover_state", "no-failover")?;
    let writer = count_up(&leader)?;
    leader.wait_for_count("total_commands_processed", 500)?;
    // Redis does not know that a copy was taken until it is told so.
    let mut answer = String::new();
    for _ in 0..1000 {
        answer = leader.ask("FAILOVER")?.to_string();
        if answer == "OK" {
            break;
        }
        pause(Duration::from_millis(10));
    }
    assert_eq!(answer, "OK");
    let answered = writer.join().map_err(|_| "the writer has panicked".to_owned())??;
    replica.wait_for("role", "master")?;
    leader.wait_for("role", "slave")?;
    leader.wait_for("master_failover_state", "no-failover")?;
    leader.wait_for("master_link_status", "up")?;
    assert_eq!(replica.info("master_replid2")?, id);
    assert_eq!(
        (replica.info("sync_full")?, replica.info("sync_partial_ok")?),
        ("0".into(), "1".into())
    );
    replica.expect("GET count", &format!("\"{answered}\""))?;
    replica.expect("INCR count", &(answered + 1).to_string())?;
    assert_same(&mut replica, &mut leader)?;
    // And back.
    replica.expect("FAILOVER", "OK")?;
    leader.wait_for("role", "master")?;
    replica.wait_for("master_link_status", "up")?;
    leader.expect("INCR count", &(answered + 2).to_string())?;
    assert_same(&mut leader, &mut replica)?;
    Ok(())
}

#[test]
fn eave_to_eave_and_back() -> Outcome {
    nothing_is_lost([Program::Eave, Program::Eave])
}

#[test]
fn eave_to_redis_and_back() -> Outcome {
    nothing_is_lost([Program::Eave, Program::Redis])
}

#[test]
fn redis_to_eave_and_back() -> Outcome {
    nothing_is_lost([Program::Redis, Program::Eave])
}

#[test]
fn siblings_follow_through_the_old_leader() -> Outcome {
    let [mut leader, mut first] = pair([Program::Eave, Program::Eave])?;
    let mut second = Node::following(leader.address())?;
    second.wait_for("master_link_status", "up")?;
    leader.expect("SET a 1", "OK")?;
    let (host, port) = (first.address().ip(), first.address().port());
    leader.expect(&format!("FAILOVER TO {host} {port} TIMEOUT 30000"), "OK")?;
    first.wait_for("role", "master")?;
    leader.wait_for("master_link_status", "up")?;
    first.expect("SET b 2", "OK")?;
    assert_same(&mut first, &mut leader)?;
    assert_same(&mut leader, &mut second)?;
    second.wait_for("master_replid", &first.info("master_replid")?)?;
    assert_eq!(leader.info("sync_full")?, "2");
    Ok(())
}

/// A replica that does not answer: cut off without noticing it.
fn with_a_silent_replica() -> Result<(Node, Node, Proxy), String> {
    let mut leader = Node::leader()?;
    let proxy = Proxy::start(leader.address())?;
    let mut replica = Node::following(proxy.address)?;
    leader.expect("SET a 1", "OK")?;
    replica.catch_up(&mut leader)?;
    replica.server.halt()?;
    leader.expect("SET b 2", "OK")?;
    Ok((leader, replica, proxy))
}

#[test]
fn without_a_replica_that_catches_up_writes_go_on_again() -> Outcome {
    let (mut leader, replica, _proxy) = with_a_silent_replica()?;
    leader.expect("FAILOVER TIMEOUT 300", "OK")?;
    assert_eq!(leader.info("master_failover_state")?, "waiting-for-sync");
    leader.expect("FAILOVER", "!ERR FAILOVER already in progress.")?;
    leader.expect("REPLICAOF 127.0.0.1 1", "!ERR REPLICAOF not allowed while failing over.")?;
    leader.expect("PSYNC ? -1", "!NOMASTERLINK Can't SYNC while failing over")?;
    // Held until the time is over. What clients may do about pauses does not end it.
    leader.expect("CLIENT UNPAUSE", "OK")?;
    leader.expect("SET c 3", "OK")?;
    assert_eq!(leader.info("master_failover_state")?, "no-failover");
    assert_eq!(leader.info("role")?, "master");
    leader.expect("FAILOVER", "OK")?;
    leader.expect("FAILOVER ABORT", "OK")?;
    leader.expect("SET d 4", "OK")?;
    leader.expect("FAILOVER ABORT", "!ERR No failover in progress.")?;
    drop(replica);
    Ok(())
}

#[test]
fn by_force_what_the_replica_lacks_is_given_up() -> Outcome {
    let (mut leader, mut replica, _proxy) = with_a_silent_replica()?;
    let (host, port) = (replica.address().ip(), replica.address().port());
    leader.expect(&format!("FAILOVER TO {host} {port} FORCE TIMEOUT 100"), "OK")?;
    leader.wait_for("master_failover_state", "failover-in-progress")?;
    leader.expect("SET c 3", "!READONLY You can't write against a read only replica.")?;
    // It is given up in the middle: this node leads again.
    leader.expect("FAILOVER ABORT", "OK")?;
    leader.expect("SET c 3", "OK")?;
    let id = replica.server.process_id().to_string();
    let _ = std::process::Command::new("kill").args(["-CONT", &id]).status();
    replica.wait_for("master_link_status", "up")?;
    assert_same(&mut leader, &mut replica)?;
    Ok(())
}

#[test]
fn nonsense_is_refused() -> Outcome {
    for program in [Program::Eave, Program::Redis] {
        let [mut leader, mut replica] = pair([program, Program::Eave])?;
        leader.wait_for("connected_slaves", "1")?;
        let mut alone = Node::start(program, "")?;
        alone.expect("FAILOVER", "!ERR FAILOVER requires connected replicas.")?;
        if program == Program::Eave {
            replica.expect("FAILOVER", "!ERR FAILOVER is not valid when server is a replica.")?;
        }
        for (command, answer) in [
            ("FAILOVER ABORT", "!ERR No failover in progress."),
            ("FAILOVER ABORT NOW", "!ERR syntax error"),
            ("FAILOVER TO", "!ERR syntax error"),
            ("FAILOVER TO a", "!ERR syntax error"),
            ("FAILOVER TO a b", "!ERR value is not an integer or out of range"),
            ("FAILOVER TIMEOUT", "!ERR syntax error"),
            ("FAILOVER TIMEOUT 0", "!ERR FAILOVER timeout must be greater than 0"),
            ("FAILOVER TIMEOUT x", "!ERR value is not an integer or out of range"),
            ("FAILOVER TIMEOUT 1 TIMEOUT 2", "!ERR syntax error"),
            ("FAILOVER TO a 1 TO b 2", "!ERR syntax error"),
            ("FAILOVER FORCE FORCE", "!ERR syntax error"),
            (
                "FAILOVER FORCE",
                "!ERR FAILOVER with force option requires both a timeout and target HOST and IP.",
            ),
            ("FAILOVER TO 127.0.0.1 1", "!ERR FAILOVER target HOST and PORT is not a replica."),
            ("FAILOVER TO 127.0.0.1 99999", "!ERR FAILOVER target HOST and PORT is not a replica."),
            ("PSYNC ? -1 FAILOVER", "!ERR PSYNC FAILOVER can't be sent to a master."),
        ] {
            leader.expect(command, answer).map_err(|why| format!("{program:?}: {why}"))?;
        }
        let other = "0".repeat(40);
        if program == Program::Eave {
            replica.expect(
                &format!("PSYNC {other} 1 FAILOVER"),
                "!ERR PSYNC FAILOVER replid must match my replid.",
            )?;
        }
    }
    Ok(())
}
