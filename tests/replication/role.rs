//! Changes of role: REPLICAOF at run time, promotion, and who may be followed.

use crate::Outcome;
use crate::pair::{Node, assert_same};
use crate::proxy::Proxy;
use crate::support::reply::Reply;
use crate::writer::write;

fn replicaof(node: &Node) -> String {
    format!("REPLICAOF {} {}", node.address().ip(), node.address().port())
}

#[test]
fn a_promoted_replica_keeps_its_data_and_starts_a_history() -> Outcome {
    let mut leader = Node::leader()?;
    let mut replica = Node::following(leader.address())?;
    leader.expect("SET a 1", "OK")?;
    replica.catch_up(&mut leader)?;
    let old = leader.info("master_replid")?;
    replica.expect("REPLICAOF NO ONE", "OK")?;
    assert_eq!(replica.info("role")?, "master");
    assert_eq!(replica.info("master_replid2")?, old);
    assert_ne!(replica.info("master_replid")?, old);
    replica.expect("INCR a", "2")?;
    leader.expect("INCR a", "2")?;
    leader.expect("SET b 1", "OK")?;
    replica.expect("GET b", "nil")?;
    leader.wait_for("connected_slaves", "0")?;
    // And back: what it wrote alone goes.
    replica.expect("SET alone 1", "OK")?;
    replica.expect(&replicaof(&leader), "OK")?;
    assert_eq!(assert_same(&mut leader, &mut replica)?.len(), 2);
    replica.expect(&replicaof(&leader), "OK Already connected to specified master")?;
    Ok(())
}

#[test]
fn a_sibling_goes_on_with_the_promoted_one() -> Outcome {
    let mut leader = Node::leader()?;
    let mut connection = leader.connect()?;
    let mut first = Node::following(leader.address())?;
    let proxy = Proxy::start(leader.address())?;
    let mut second = Node::following(proxy.address)?;
    write(&mut connection, 8, 500)?;
    first.catch_up(&mut leader)?;
    second.catch_up(&mut leader)?;
    // The second falls behind the first, and so lacks a part of the common history.
    proxy.cut();
    leader.expect("SET only first", "OK")?;
    first.catch_up(&mut leader)?;
    drop(leader);
    first.expect("REPLICAOF NO ONE", "OK")?;
    first.expect("SET new history", "OK")?;
    second.expect(&replicaof(&first), "OK")?;
    second.wait_for("master_replid", &first.info("master_replid")?)?;
    assert_same(&mut first, &mut second)?;
    second.expect("GET only", "\"first\"")?;
    assert_eq!(
        (first.info("sync_partial_ok")?, first.info("sync_full")?),
        ("1".into(), "0".into())
    );
    Ok(())
}

#[test]
fn a_leader_that_stops_in_order_takes_nothing_with_it() -> Outcome {
    let mut leader = Node::leader()?;
    let mut replica = Node::following(leader.address())?;
    replica.catch_up(&mut leader)?;
    let mut connection = leader.connect()?;
    let writer = std::thread::spawn(move || {
        let mut answered = 0;
        while let Ok(Reply::Integer(count)) = connection.call(&["INCR", "count"]) {
            answered = count;
        }
        answered
    });
    leader.wait_for_count("total_commands_processed", 2000)?;
    let id = leader.server.process_id().to_string();
    let signalled = std::process::Command::new("kill").args(["-TERM", &id]).status();
    assert!(signalled.is_ok_and(|status| status.success()));
    let answered = writer.join().map_err(|_| "the writer has panicked".to_owned())?;
    replica.wait_for("master_link_status", "down")?;
    let applied = replica.ask("GET count")?.text().and_then(|text| text.parse::<i64>().ok());
    assert!(answered > 1000 && applied >= Some(answered), "{answered} answered, {applied:?} here");
    Ok(())
}

#[test]
fn due_keys_go_after_a_promotion() -> Outcome {
    let mut leader = Node::leader()?;
    let mut replica = Node::following(leader.address())?;
    leader.expect("SET due later PX 300", "OK")?;
    replica.catch_up(&mut leader)?;
    drop(leader);
    replica.expect("REPLICAOF NO ONE", "OK")?;
    replica.wait_for("expired_keys", "1")?;
    replica.expect("DBSIZE", "0")?;
    Ok(())
}

#[test]
fn followers_of_a_new_replica_copy_what_it_copies() -> Outcome {
    let mut leader = Node::leader()?;
    let mut middle = Node::leader()?;
    let mut last = Node::following(middle.address())?;
    middle.expect("SET a 1", "OK")?;
    last.catch_up(&mut middle)?;
    leader.expect("SET c 3", "OK")?;
    middle.expect(&replicaof(&leader), "OK")?;
    assert_same(&mut leader, &mut middle)?;
    last.wait_for("master_replid", &leader.info("master_replid")?)?;
    assert_same(&mut middle, &mut last)?;
    last.expect("GET a", "nil")?;
    middle.expect("REPLICAOF NO ONE", "OK")?;
    middle.expect("SET b 2", "OK")?;
    assert_eq!(assert_same(&mut middle, &mut last)?.len(), 2);
    Ok(())
}

#[test]
fn nonsense_is_refused() -> Outcome {
    let mut node = Node::leader()?;
    for (command, answer) in [
        ("REPLICAOF a b", "!ERR Invalid master port"),
        ("REPLICAOF a 70000", "!ERR Invalid master port"),
        ("REPLICAOF NO ONE", "OK"),
        ("REPLCONF foo bar", "!ERR Unrecognized REPLCONF option: foo"),
        ("REPLCONF foo", "!ERR syntax error"),
        ("REPLCONF", "OK"),
        ("REPLCONF listening-port x", "!ERR value is not an integer or out of range"),
        ("MULTI", "OK"),
        ("PSYNC ? -1", "!ERR Command not allowed inside a transaction"),
        ("EXEC", "!EXECABORT Transaction discarded because of previous errors."),
        ("ROLE", "[\"master\" 0 []]"),
    ] {
        node.expect(command, answer)?;
    }
    Ok(())
}
