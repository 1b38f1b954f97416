//! Epochs: an old leader that comes back takes no writes until it has followed, and what it did
//! alone is kept.

use std::process::Command;

use crate::Outcome;
use crate::pair::{Node, assert_same};
use crate::proxy::Proxy;
use crate::support::server::Program;

const FENCED: &str =
    "!READONLY Another node leads now: this one takes no writes until it follows it";

fn replicaof(node: &Node) -> String {
    format!("REPLICAOF {} {}", node.address().ip(), node.address().port())
}

/// A leader and a replica whose link goes through a proxy, and some data.
fn pair() -> Result<(Node, Node, Proxy), String> {
    let mut leader = Node::leader()?;
    let proxy = Proxy::start(leader.address())?;
    let mut replica = Node::following(proxy.address)?;
    leader.expect("SELECT 2", "OK")?;
    leader.expect("SET common 1", "OK")?;
    replica.catch_up(&mut leader)?;
    assert_eq!((leader.info("eave_epoch")?, replica.info("eave_epoch")?), ("1".into(), "1".into()));
    Ok((leader, replica, proxy))
}

#[test]
fn an_old_leader_that_comes_back_is_fenced_and_what_it_did_alone_is_kept() -> Outcome {
    let (mut old, mut new, proxy) = pair()?;
    proxy.cut();
    new.wait_for("master_link_status", "down")?;
    new.expect("REPLICAOF NO ONE", "OK")?;
    assert_eq!(
        (new.info("eave_epoch")?, new.info("eave_old_leader_to_tell")?),
        ("2".into(), "1".into())
    );
    old.expect("SET alone 1", "OK")?;
    old.ask("MULTI")?;
    old.ask("INCR count")?;
    old.ask("INCR count")?;
    old.ask("EXEC")?;
    // The way is free again.
    proxy.restore(old.address());
    old.wait_for("eave_fenced_by_epoch", "2")?;
    new.wait_for("eave_old_leader_to_tell", "0")?;
    for write in ["SET late 1", "DEL common"] {
        old.expect(write, FENCED)?;
    }
    let script = old.ask_all(&["EVAL", "return redis.call('set', 'late', 1)", "0"])?.to_string();
    assert!(script.starts_with("!READONLY Another node leads now"), "{script}");
    old.expect("GET alone", "\"1\"")?;
    assert_eq!(old.info("role")?, "master");
    old.expect("SELECT 0", "OK")?;
    new.expect("SET after 1", "OK")?;
    old.expect(&replicaof(&new), "OK")?;
    assert_same(&mut new, &mut old)?;
    assert_eq!(
        (old.info("eave_epoch")?, old.info("eave_fenced_by_epoch")?),
        ("2".into(), "0".into())
    );
    old.expect("GET alone", "nil")?;
    assert_eq!(old.info("eave_diverged_commands")?, "3");
    let name = old.info("eave_diverged_file")?;
    let file = old.server.file(&name);
    let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    // It is a file for `redis-cli --pipe`, in the database in which it was written.
    let mut third = Node::start(Program::Redis, "")?;
    let port = third.address().port();
    let fed = Command::new("sh")
        .args(["-c", &format!("redis-cli -p {port} --pipe < {}", file.display())])
        .output()
        .map_err(|e| e.to_string())?;
    assert!(fed.status.success(), "{fed:?}\n{text}");
    third.expect("SELECT 2", "OK")?;
    third.expect("GET alone", "\"1\"")?;
    third.expect("GET count", "\"2\"")?;
    third.expect("GET common", "nil")?;
    Ok(())
}

#[test]
fn a_fenced_leader_leads_again_when_it_is_told_to() -> Outcome {
    let (mut old, mut new, proxy) = pair()?;
    proxy.cut();
    new.wait_for("master_link_status", "down")?;
    new.expect("REPLICAOF NO ONE", "OK")?;
    proxy.restore(old.address());
    old.wait_for("eave_fenced_by_epoch", "2")?;
    old.expect("REPLICAOF NO ONE", "OK")?;
    old.expect("SET a 1", "OK")?;
    assert_eq!(old.info("eave_epoch")?, "3");
    Ok(())
}

#[test]
fn a_copy_that_splits_off_fences_nobody() -> Outcome {
    let (mut leader, mut copy, _proxy) = pair()?;
    copy.expect("REPLICAOF NO ONE", "OK")?;
    assert_eq!(copy.info("eave_old_leader_to_tell")?, "0");
    leader.expect("SET a 1", "OK")?;
    // Neither does a node of another history, nor one that only says so.
    let id = "0".repeat(40);
    let mut other = leader.connect()?;
    for words in [format!("epoch=9 fence={id}:1"), "epoch=9".to_owned(), "fence=x".to_owned()] {
        let answer = other.call(&["REPLCONF", "eave", &words])?.to_string();
        assert!(answer.contains("EAVE epoch=1 ") && !answer.contains("fenced=yes"), "{answer}");
    }
    leader.expect("SET a 2", "OK")?;
    Ok(())
}

#[test]
fn a_sibling_that_was_ahead_tells_what_it_gave_up() -> Outcome {
    let (mut leader, mut behind, proxy) = pair()?;
    let mut ahead = Node::following(leader.address())?;
    ahead.catch_up(&mut leader)?;
    proxy.cut();
    behind.wait_for("master_link_status", "down")?;
    leader.expect("SET ahead 1", "OK")?;
    ahead.catch_up(&mut leader)?;
    drop(leader);
    behind.expect("REPLICAOF NO ONE", "OK")?;
    ahead.expect(&replicaof(&behind), "OK")?;
    assert_same(&mut behind, &mut ahead)?;
    assert_eq!(ahead.info("eave_diverged_commands")?, "1");
    Ok(())
}
