//! What one client sees that goes from node to node: sync tokens, how old data is, and how many
//! replicas a write needs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::Outcome;
use crate::pair::Node;
use crate::proxy::Proxy;
use crate::support::server::{Program, REST_TOKEN};

/// A client over REST that takes its token from node to node.
#[derive(Default)]
struct Traveller {
    token: Option<String>,
    staleness_ms: Option<u64>,
}

impl Traveller {
    /// Asks a node; answers the body.
    fn ask(&mut self, node: &Node, path: &str) -> Result<String, String> {
        let address = node.server.rest.ok_or_else(|| "no REST door".to_owned())?;
        let (head, body) = get(address, path, self.token.as_deref())?;
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
        };
        self.token = header("upstash-sync-token");
        self.staleness_ms = header("eave-staleness-ms").and_then(|value| value.parse().ok());
        Ok(body)
    }
}

fn get(address: SocketAddr, path: &str, token: Option<&str>) -> Result<(String, String), String> {
    let say = |error: std::io::Error| error.to_string();
    let token = token.map(|token| format!("Upstash-Sync-Token: {token}\r\n")).unwrap_or_default();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {REST_TOKEN}\r\n{token}\
         Connection: close\r\n\r\n"
    );
    let mut stream = TcpStream::connect(address).map_err(say)?;
    stream.write_all(request.as_bytes()).map_err(say)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(say)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("half an answer")?;
    Ok((head.to_owned(), body.to_owned()))
}

#[test]
fn a_token_goes_with_its_client_from_node_to_node() -> Outcome {
    let mut leader = Node::leader()?;
    let proxy = Proxy::start(leader.address())?;
    let near = Node::forwarding(leader.address(), "")?;
    let far = Node::forwarding(proxy.address, "--sync-wait-ms 20")?;
    let mut client = Traveller::default();
    // The one that lags has its leader answer, as long as it lags.
    proxy.hold_stream(true);
    for n in 1..20 {
        let on = [&leader, &near, &far][n % 3];
        assert_eq!(client.ask(on, "/incr/n")?, format!("{{\"result\":{n}}}"));
        for node in [&leader, &near, &far] {
            assert_eq!(client.ask(node, "/get/n")?, format!("{{\"result\":\"{n}\"}}"));
        }
    }
    assert_eq!(Traveller::default().ask(&far, "/get/n")?, "{\"result\":null}");
    // Reads carry it on too: who has seen something on one node sees it on the next.
    let mut reader = Traveller::default();
    assert_eq!(reader.ask(&near, "/get/n")?, "{\"result\":\"19\"}");
    assert_eq!(reader.ask(&far, "/get/n")?, "{\"result\":\"19\"}");
    proxy.hold_stream(false);
    // Of another history the leader alone knows.
    for token in ["00000000-v", "nonsense", ""] {
        let mut client = Traveller { token: Some(token.to_owned()), ..Traveller::default() };
        assert_eq!(client.ask(&near, "/get/n")?, "{\"result\":\"19\"}", "{token}");
    }
    leader.expect("GET n", "\"19\"")?;
    Ok(())
}

#[test]
fn a_token_outlives_a_promotion() -> Outcome {
    let leader = Node::leader()?;
    let mut replica = Node::forwarding(leader.address(), "")?;
    let mut client = Traveller::default();
    client.ask(&leader, "/set/a/1")?;
    assert_eq!(client.ask(&replica, "/get/a")?, "{\"result\":\"1\"}");
    let before = client.token.clone();
    replica.expect("REPLICAOF NO ONE", "OK")?;
    assert_eq!(client.ask(&replica, "/get/a")?, "{\"result\":\"1\"}");
    assert_ne!(client.token, before);
    // Its replicas take both.
    let sibling = Node::forwarding(replica.address(), "")?;
    assert_eq!(client.ask(&sibling, "/get/a")?, "{\"result\":\"1\"}");
    let mut client = Traveller { token: before, ..Traveller::default() };
    assert_eq!(client.ask(&sibling, "/get/a")?, "{\"result\":\"1\"}");
    Ok(())
}

#[test]
fn what_cannot_be_seen_yet_is_not_answered_from_old_data() -> Outcome {
    let mut leader = Node::leader()?;
    let proxy = Proxy::start(leader.address())?;
    let mut replica = Node::forwarding(proxy.address, "--sync-wait-ms 20")?;
    let mut client = Traveller::default();
    client.ask(&replica, "/set/a/1")?;
    // The answer comes by another link than the write.
    replica.catch_up(&mut leader)?;
    proxy.cut();
    replica.wait_for("replica_forward_link", "down")?;
    client.ask(&leader, "/set/a/2")?;
    let told = client.ask(&replica, "/get/a")?;
    assert!(told.starts_with("{\"error\":\"MASTERDOWN"), "{told}");
    replica.expect("GET a", "\"1\"")?;
    proxy.restore(leader.address());
    replica.wait_for("replica_forward_link", "up")?;
    assert_eq!(client.ask(&replica, "/get/a")?, "{\"result\":\"2\"}");
    Ok(())
}

#[test]
fn data_that_is_too_old_is_not_read() -> Outcome {
    const TOO_OLD: &str =
        "!MASTERDOWN The data of this replica is older than replica-max-lag-ms allows";
    let mut leader = Node::leader()?;
    let proxy = Proxy::start(leader.address())?;
    let mut replica = Node::forwarding(proxy.address, "--replica-max-lag-ms 300")?;
    leader.expect("SET a 1", "OK")?;
    replica.catch_up(&mut leader)?;
    replica.wait_for_count("replica_staleness_ms", 0)?;
    let mut client = Traveller::default();
    client.ask(&replica, "/ping")?;
    assert!(client.staleness_ms.is_some_and(|ms| ms < 60_000), "{:?}", client.staleness_ms);
    client.ask(&leader, "/ping")?;
    assert_eq!(client.staleness_ms, None);
    proxy.hold_stream(true);
    leader.expect("SET a 2", "OK")?;
    replica.wait_for_count("replica_staleness_ms", 301)?;
    // The leader answers.
    replica.expect("GET a", "\"2\"")?;
    replica.expect("MULTI", "OK")?;
    replica.expect("GET a", "QUEUED")?;
    replica.expect("EXEC", "[\"2\"]")?;
    replica.expect("CONFIG SET replica-stale-reads refuse", "OK")?;
    let mut other = replica.connect()?;
    assert_eq!(other.call(&["GET", "a"])?.to_string(), TOO_OLD);
    assert_eq!(other.call(&["EVAL", "return redis.call('get', 'a')", "0"])?.to_string(), TOO_OLD);
    assert_eq!(other.call(&["PING"])?.to_string(), "PONG");
    proxy.hold_stream(false);
    replica.catch_up(&mut leader)?;
    for _ in 0..3000 {
        if replica.ask("GET a")?.to_string() == "\"2\"" {
            break;
        }
    }
    assert_eq!(other.call(&["GET", "a"])?.to_string(), "\"2\"");
    Ok(())
}

#[test]
fn a_replica_without_its_leader_may_refuse_reads() -> Outcome {
    const DOWN: &str =
        "!MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    let mut leader = Node::leader()?;
    let proxy = Proxy::start(leader.address())?;
    let mut replica = Node::forwarding(proxy.address, "--replica-serve-stale-data no")?;
    leader.expect("SET a 1", "OK")?;
    replica.catch_up(&mut leader)?;
    replica.expect("GET a", "\"1\"")?;
    proxy.cut();
    replica.wait_for("master_link_status", "down")?;
    replica.expect("GET a", DOWN)?;
    assert!(replica.ask("ROLE")?.to_string().starts_with("[\"slave\""));
    proxy.restore(leader.address());
    replica.wait_for("master_link_status", "up")?;
    replica.expect("GET a", "\"1\"")?;
    Ok(())
}

/// The same against redis-server, as far as it knows of it.
#[test]
fn writes_want_enough_replicas() -> Outcome {
    for program in [Program::Eave, Program::Redis] {
        let few = "!NOREPLICAS Not enough good replicas to write.";
        let mut leader = Node::start(program, "--repl-diskless-sync-delay 0")?;
        leader.expect("MULTI", "OK")?;
        leader.expect("SET a 1", "QUEUED")?;
        let mut other = leader.connect()?;
        let set = |other: &mut crate::support::resp::Connection, count: &str| {
            other.call(&["CONFIG", "SET", "min-replicas-to-write", count])
        };
        assert_eq!(set(&mut other, "1")?.to_string(), "OK");
        leader.expect(
            "EXEC",
            "!EXECABORT Transaction discarded because of: NOREPLICAS Not enough good replicas to write.",
        )?;
        leader.expect("SET a 1", few)?;
        leader.expect("FUNCTION FLUSH", few)?;
        leader.expect("GET a", "nil")?;
        leader.expect("MULTI", "OK")?;
        leader.expect("SET a 1", few)?;
        leader.expect("EXEC", "!EXECABORT Transaction discarded because of previous errors.")?;
        let script =
            leader.ask_all(&["EVAL", "return redis.call('set', 'a', 1)", "0"])?.to_string();
        assert!(script.starts_with(few.trim_end_matches('.')), "{program:?}: {script}");
        let flagged = leader.ask_all(&["EVAL", "#!lua\nreturn 1", "0"])?.to_string();
        assert_eq!(flagged, few, "{program:?}");
        assert_eq!(leader.info("min_slaves_good_slaves")?, "0");
        let mut replica = Node::rejecting(leader.address())?;
        leader.wait_for("min_slaves_good_slaves", "1")?;
        leader.expect("SET a 1", "OK")?;
        replica.wait_for("master_link_status", "up")?;
        assert_eq!(set(&mut other, "2")?.to_string(), "OK");
        leader.expect("SET a 1", few)?;
        assert_eq!(set(&mut other, "0")?.to_string(), "OK");
        leader.expect("SET a 1", "OK")?;
        assert_eq!(leader.info("min_slaves_good_slaves")?, "");
    }
    Ok(())
}
