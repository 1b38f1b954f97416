//! Limits over HTTP on a replica: what the leader decides, what is decided on the spot, and what a client
//! is told when the leader is away.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::Outcome;
use crate::pair::Node;
use crate::support::server::{REST_TOKEN, free_address, pause};

/// How often something that must come true is asked for, with a pause of 10 ms each time.
const PATIENCE: usize = 3000;

/// What HTTP answers: status, head, body.
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == name).map(|(_, value)| value)
    }
}

fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> Result<Answer, String> {
    let say = |error: std::io::Error| format!("{path}: {error}");
    let mut stream = TcpStream::connect(address).map_err(say)?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {REST_TOKEN}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).map_err(say)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(say)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("half an answer")?;
    let status = head.get(9..12).and_then(|code| code.parse().ok()).ok_or("no status")?;
    let body = serde_json::from_str(body).unwrap_or(Value::String(body.to_owned()));
    Ok(Answer { status, head: head.to_owned(), body })
}

fn door(node: &Node) -> Result<SocketAddr, String> {
    node.server.rest.ok_or_else(|| "no REST door".to_owned())
}

/// Posts to a route of limits; answers status and body.
fn post(node: &Node, path: &str, body: &Value) -> Result<(u16, Value), String> {
    let answer = ask(door(node)?, "POST", path, &body.to_string())?;
    Ok((answer.status, answer.body))
}

fn gate(node: &Node, rule: &str) -> Result<Answer, String> {
    ask(door(node)?, "GET", &format!("/v1/gate/{rule}?key=g&deny=403"), "")
}

/// Members of a body, by name.
fn members(body: &Value, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| body[*name].clone()).collect()
}

/// Waits until a node tells so much of a limit.
fn remains(node: &Node, key: &str, rule: &str, remaining: i64) -> Result<(), String> {
    let asked = json!({"key": key, "rule": rule, "cost": 0});
    let mut last = Value::Null;
    for _ in 0..PATIENCE {
        last = post(node, "/v1/peek", &asked)?.1;
        if last["remaining"] == json!(remaining) {
            return Ok(());
        }
        pause(Duration::from_millis(10));
    }
    Err(format!("{key}: {last}, not {remaining} remaining"))
}

/// Makes a rule, and waits until the replica knows it.
fn rule(leader: &mut Node, replica: &mut Node, words: &str) -> Result<(), String> {
    leader.expect(&format!("RL.RULE SET {words}"), "OK")?;
    replica.catch_up(leader)
}

const NAMES: &[&str] = &["allowed", "limit", "remaining"];

#[test]
fn what_is_the_leaders_is_handed_on() -> Outcome {
    let mut leader = Node::leader()?;
    let mut replica = Node::forwarding(leader.address(), "")?;
    rule(&mut leader, &mut replica, "pro 5/1h DENY bad")?;
    leader.expect("RL.LIST ADD bad DENY mallory", "1")?;
    let k = json!({"key": "k", "rule": "@pro"});
    let (status, body) = post(&replica, "/v1/take", &k)?;
    assert_eq!((status, members(&body, NAMES)), (200, vec![json!(true), json!(5), json!(4)]));
    remains(&leader, "k", "@pro", 4)?;
    remains(&replica, "k", "@pro", 4)?;
    let (status, body) = post(&replica, "/v1/take", &json!({"key":"k","rule":"@pro","cost":5}))?;
    assert_eq!((status, &body["violated-policies"]), (429, &json!(["pro"])), "{body}");
    let (status, body) = post(&replica, "/v1/take", &json!({"key": "mallory", "rule": "@pro"}))?;
    assert_eq!((status, &body["denied"]), (403, &json!(true)), "{body}");
    let (status, body) = post(&replica, "/v1/give", &k)?;
    assert_eq!((status, members(&body, NAMES)), (200, vec![json!(true), json!(5), json!(5)]));
    let both = json!({"limits": [{"key": "a", "rule": "@pro"}, {"key": "b", "rule": "9/1h"}]});
    let (status, body) = post(&replica, "/v1/take", &both)?;
    assert_eq!((status, &body["limits"][1]["remaining"]), (200, &json!(8)), "{body}");
    let (status, body) = post(&replica, "/v1/give", &both)?;
    assert_eq!((status, &body["limits"][0]["remaining"]), (200, &json!(5)), "{body}");
    let asked = json!({"key": "h", "rule": "2/conc", "ttlMs": 600_000, "id": "x"});
    let (status, body) = post(&replica, "/v1/hold", &asked)?;
    assert_eq!((status, &body["id"]), (200, &json!("x@h")), "{body}");
    let (status, body) = post(&replica, "/v1/settle", &json!({"id": "x@h", "actual": 0}))?;
    assert_eq!((status, &body["remaining"]), (200, &json!(2)), "{body}");
    // Which have all of their quota back are no keys any more.
    assert_eq!(post(&replica, "/v1/take", &both)?.0, 200);
    let (status, body) = post(&replica, "/v1/reset", &json!({"keys": ["k", "a", "b"]}))?;
    assert_eq!((status, body), (200, json!({"reset": 2})));
    // What is wrong is wrong there, and told as if it were here.
    leader.expect("SET text x", "OK")?;
    for (asked, why) in [
        (json!({"key": "k", "rule": "@none"}), "NORULE no rule named 'none'"),
        (
            json!({"key": "k", "rule": "5/1h", "cost": -1}),
            "ERR value is out of range, must be positive",
        ),
        (
            json!({"key": "text", "rule": "@pro"}),
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            json!({"limits": [{"key": "k", "rule": "9/1h"}, {"key": "text", "rule": "@pro"}]}),
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ] {
        for path in ["/v1/take", "/v1/give"] {
            for node in [&leader, &replica] {
                let (status, body) = post(node, path, &asked)?;
                assert_eq!((status, body), (400, json!({"error": why})), "{path} {asked}");
            }
        }
    }
    // The gate.
    let answer = gate(&replica, "pro")?;
    assert_eq!((answer.status, answer.header("ratelimit")), (204, Some("\"pro\";r=4;t=3600")));
    remains(&leader, "g", "@pro", 4)?;
    let many = json!({"key": "g", "rule": "@pro", "cost": 4});
    assert_eq!(post(&leader, "/v1/take", &many)?.0, 200);
    let answer = gate(&replica, "pro")?;
    assert_eq!(
        (answer.status, answer.header("ratelimit-policy")),
        (403, Some("\"pro\";q=5;w=3600"))
    );
    Ok(())
}

#[test]
fn what_is_shared_is_decided_on_the_spot() -> Outcome {
    let mut leader = Node::leader()?;
    let mut replica = Node::forwarding(leader.address(), "")?;
    rule(&mut leader, &mut replica, "api 5/100d REGIONS local")?;
    let one = json!({"key": "k", "rule": "@api"});
    let (status, body) = post(&replica, "/v1/take", &one)?;
    assert_eq!((status, members(&body, NAMES)), (200, vec![json!(true), json!(5), json!(4)]));
    assert_eq!(gate(&replica, "api")?.status, 204);
    let both = json!({"limits": [{"key": "k", "rule": "@api"}, {"key": "l", "rule": "@api"}]});
    assert_eq!(post(&replica, "/v1/take", &both)?.0, 200);
    let (status, body) = post(&replica, "/v1/give", &json!({"key": "l", "rule": "@api"}))?;
    assert_eq!((status, &body["remaining"]), (200, &json!(5)), "{body}");
    for (key, remaining) in [("k", 3), ("l", 5), ("g", 4)] {
        remains(&leader, key, "@api", remaining)?;
    }
    assert_eq!(replica.info("replica_forwarded_commands")?, "0");
    assert_eq!(post(&leader, "/v1/take", &one)?.0, 200);
    remains(&replica, "k", "@api", 2)?;
    let three = json!({"key": "k", "rule": "@api", "cost": 3});
    assert_eq!(post(&replica, "/v1/take", &three)?.0, 429);
    Ok(())
}

/// It is the node that cannot, and not the request that is wrong: a client may try again, or elsewhere.
#[test]
fn a_client_is_told_that_the_leader_is_away() -> Outcome {
    let mut leader = Node::leader()?;
    let port = free_address().port();
    let mut replica = Node::forwarding(leader.address(), &format!("--rls-port {port}"))?;
    rule(&mut leader, &mut replica, "pro 5/1h")?;
    rule(&mut leader, &mut replica, "api 5/100d REGIONS local")?;
    let one = json!({"key": "k", "rule": "@pro"});
    assert_eq!(post(&replica, "/v1/take", &one)?.0, 200);
    remains(&replica, "k", "@pro", 4)?;
    drop(leader);
    replica.wait_for("replica_forward_link", "down")?;
    for (path, body) in [
        ("/v1/take", one.clone()),
        ("/v1/give", one.clone()),
        ("/v1/take", json!({"limits": [one, one]})),
        ("/v1/give", json!({"limits": [one, one]})),
        ("/v1/hold", json!({"key": "h", "rule": "2/conc", "ttlMs": 1000})),
        ("/v1/settle", json!({"id": "x@h", "actual": 1})),
        ("/v1/reset", json!({"key": "k"})),
    ] {
        let answer = ask(door(&replica)?, "POST", path, &body.to_string())?;
        let why = answer.body["error"].as_str().unwrap_or_default();
        assert!(why.starts_with("MASTERDOWN ") || why.starts_with("READONLY "), "{path}: {why}");
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some("1")),
            "{path}: {why}"
        );
    }
    let answer = gate(&replica, "pro")?;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.body);
    assert!(answer.body["error"].is_string(), "{}", answer.body);
    // What needs nobody goes on.
    remains(&replica, "k", "@pro", 4)?;
    assert_eq!(post(&replica, "/v1/take", &json!({"key": "k", "rule": "@api"}))?.0, 200);
    assert_eq!(gate(&replica, "api")?.status, 204);
    Ok(())
}

/// One that refuses writes says so, and decides what is shared.
#[test]
fn a_replica_that_hands_nothing_on_says_so() -> Outcome {
    let mut leader = Node::leader()?;
    let mut replica = Node::rejecting(leader.address())?;
    rule(&mut leader, &mut replica, "pro 5/1h")?;
    rule(&mut leader, &mut replica, "api 5/100d REGIONS local")?;
    let (status, body) = post(&replica, "/v1/take", &json!({"key": "k", "rule": "@pro"}))?;
    let why = "READONLY You can't write against a read only replica.";
    assert_eq!((status, body), (503, json!({"error": why})));
    assert_eq!(gate(&replica, "pro")?.status, 503);
    assert_eq!(post(&replica, "/v1/take", &json!({"key": "k", "rule": "@api"}))?.0, 200);
    assert_eq!(gate(&replica, "api")?.status, 204);
    Ok(())
}

/// Envoy's door on a replica: the same, in its words.
#[test]
fn envoys_door_hands_on_too() -> Outcome {
    let mut leader = Node::leader()?;
    let port = free_address().port();
    let mut replica = Node::forwarding(leader.address(), &format!("--rls-port {port}"))?;
    rule(&mut leader, &mut replica, "edge/pro 5/1h")?;
    rule(&mut leader, &mut replica, "edge/api 5/100d REGIONS local")?;
    let service = SocketAddr::from(([127, 0, 0, 1], port));
    let entry = |name: &str| json!({"entries": [{"key": name, "value": "x"}]});
    let body = |names: &[&str]| {
        let all: Vec<Value> = names.iter().map(|name| entry(name)).collect();
        json!({"domain": "edge", "descriptors": all}).to_string()
    };
    let answer = ask(service, "POST", "/json", &body(&["pro"]))?;
    assert_eq!(
        (answer.status, &answer.body["overallCode"]),
        (200, &json!("OK")),
        "{}",
        answer.body
    );
    remains(&leader, "edge/pro:x", "@edge/pro", 4)?;
    let answer = ask(service, "POST", "/json", &body(&["api"]))?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    remains(&leader, "edge/api:x", "@edge/api", 4)?;
    assert_eq!(replica.info("replica_forwarded_commands")?, "1");
    let given = json!({"domain": "edge", "descriptors": [
        {"entries": [{"key": "pro", "value": "x"}], "isNegativeHits": true},
        {"entries": [{"key": "pro", "value": "y"}]},
    ]});
    let answer = ask(service, "POST", "/json", &given.to_string())?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    remains(&leader, "edge/pro:x", "@edge/pro", 5)?;
    remains(&leader, "edge/pro:y", "@edge/pro", 4)?;
    for status in [200, 200, 200, 200, 200, 429] {
        assert_eq!(ask(service, "POST", "/json", &body(&["pro", "none"]))?.status, status);
    }
    drop(leader);
    replica.wait_for("replica_forward_link", "down")?;
    let answer = ask(service, "POST", "/json", &body(&["pro"]))?;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(ask(service, "POST", "/json", &body(&["api"]))?.status, 200);
    Ok(())
}
