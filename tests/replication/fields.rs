//! What INFO tells of replication, and the directives that stand behind it, as with redis-server.

use crate::Outcome;
use crate::pair::Node;
use crate::proxy::Proxy;
use crate::support::server::Program;

/// The names of the fields of INFO replication, in their order. Eave's own stand behind Redis'.
fn fields(node: &mut Node) -> Result<Vec<String>, String> {
    let text = node.ask("INFO replication")?.text().unwrap_or_default();
    let names = text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name);
    Ok(names.map(str::to_owned).collect())
}

/// A leader, and a replica whose link goes through a proxy.
fn pair(program: Program, options: &str) -> Result<(Node, Node, Proxy), String> {
    let quick = match program {
        Program::Redis => "--repl-diskless-sync-delay 0",
        Program::Eave => "",
    };
    let leader = Node::start(program, quick)?;
    let proxy = Proxy::start(leader.address())?;
    let to = format!("--replicaof {} {} {options}", proxy.address.ip(), proxy.address.port());
    let mut replica = Node::start(program, &to)?;
    replica.wait_for("master_link_status", "up")?;
    Ok((leader, replica, proxy))
}

#[test]
fn info_has_the_fields_of_redis_in_their_order() -> Outcome {
    let mut seen = Vec::new();
    for program in [Program::Eave, Program::Redis] {
        let (mut leader, mut replica, proxy) = pair(program, "")?;
        leader.expect("SET a 1", "OK")?;
        replica.catch_up(&mut leader)?;
        let mut states = vec![fields(&mut leader)?, fields(&mut replica)?];
        proxy.cut();
        replica.wait_for("master_link_status", "down")?;
        states.push(fields(&mut replica)?);
        replica.expect("REPLICAOF NO ONE", "OK")?;
        states.push(fields(&mut replica)?);
        seen.push(states);
    }
    // What only Eave has stands behind what Redis has.
    for (ours, theirs) in seen[0].iter().zip(&seen[1]) {
        assert_eq!(ours[..theirs.len().min(ours.len())], theirs[..]);
    }
    Ok(())
}

#[test]
fn a_replica_is_known_as_it_announces_itself() -> Outcome {
    for program in [Program::Eave, Program::Redis] {
        let options = "--replica-announce-ip 10.9.8.7 --replica-announce-port 1234 \
            --replica-priority 7 --replica-announced no";
        let (mut leader, mut replica, _proxy) = pair(program, options)?;
        replica.catch_up(&mut leader)?;
        let known = leader.info("slave0")?;
        assert!(known.starts_with("ip=10.9.8.7,port=1234,state=online,"), "{known}");
        let role = leader.ask("ROLE")?.to_string();
        assert!(role.contains("[\"10.9.8.7\" \"1234\" "), "{role}");
        assert_eq!(
            (replica.info("slave_priority")?, replica.info("replica_announced")?),
            ("7".into(), "0".into())
        );
    }
    Ok(())
}

#[test]
fn stale_data_is_served_only_if_that_is_wanted() -> Outcome {
    let down = "!MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    for program in [Program::Eave, Program::Redis] {
        let (mut leader, mut replica, proxy) = pair(program, "--replica-serve-stale-data no")?;
        leader.expect("SET a 1", "OK")?;
        replica.catch_up(&mut leader)?;
        replica.expect("GET a", "\"1\"")?;
        proxy.cut();
        replica.wait_for("master_link_status", "down")?;
        replica.expect("GET a", down)?;
        replica.expect("CONFIG SET replica-serve-stale-data yes", "OK")?;
        replica.expect("GET a", "\"1\"")?;
        replica.expect("CONFIG SET replica-serve-stale-data no", "OK")?;
        proxy.restore(leader.address());
        replica.wait_for("master_link_status", "up")?;
        replica.expect("GET a", "\"1\"")?;
    }
    Ok(())
}

#[test]
fn directives_of_replication_have_the_bounds_of_redis() -> Outcome {
    for program in [Program::Eave, Program::Redis] {
        let mut node = Node::start(program, "")?;
        for (name, good, bad) in [
            ("repl-diskless-load", "swapdb", "sometimes"),
            ("repl-diskless-load", "on-empty-db", "yes"),
            ("repl-diskless-load", "disabled", ""),
            ("repl-diskless-sync-delay", "3", "-1"),
            ("repl-backlog-size", "65536", "0"),
            ("replica-priority", "0", "-1"),
            ("replica-announce-port", "6380", "65536"),
            ("replica-announced", "no", "maybe"),
            ("repl-timeout", "5", "0"),
        ] {
            node.expect(&format!("CONFIG SET {name} {good}"), "OK")?;
            node.expect(&format!("CONFIG GET {name}"), &format!("[\"{name}\" \"{good}\"]"))?;
            let refused = node.ask(&format!("CONFIG SET {name} \"{bad}\""))?.to_string();
            assert!(refused.starts_with("!ERR CONFIG SET failed"), "{name} {bad}: {refused}");
        }
    }
    Ok(())
}
