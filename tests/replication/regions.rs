//! Limits that regions share: each decides on the spot, and their counts meet.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::Outcome;
use crate::pair::Node;
use crate::support::resp::encode;
use crate::support::server::{Program, REST_TOKEN, pause};

/// How often something that must come true is asked for, with a pause of 10 ms each time.
const PATIENCE: usize = 3000;

/// A leader in region a, and one that follows it in region b.
fn two() -> Result<[Node; 2], String> {
    let leader = Node::start(Program::Eave, "--region a")?;
    let replica = Node::forwarding(leader.address(), "--region b")?;
    Ok([leader, replica])
}

/// Likewise, and one in region c.
fn three() -> Result<[Node; 3], String> {
    let [a, b] = two()?;
    let c = Node::forwarding(a.address(), "--region c")?;
    Ok([a, b, c])
}

/// Makes a rule on the leader; waits until all know it.
fn rule(nodes: &mut [Node], words: &str) -> Result<(), String> {
    nodes[0].expect(&format!("RL.RULE SET {words} REGIONS local"), "OK")?;
    let name = words.split(' ').next().unwrap_or_default();
    for node in nodes.iter_mut() {
        for turn in 0..PATIENCE {
            if node.ask(&format!("RL.RULE GET {name}"))?.to_string() != "nil" {
                break;
            }
            assert!(turn + 1 < PATIENCE, "the rule does not come");
            pause(Duration::from_millis(10));
        }
    }
    Ok(())
}

/// Waits until all nodes know of each other how much remains.
fn meet(nodes: &mut [Node], key: &str, rule: &str, remaining: i64) -> Result<(), String> {
    for node in nodes.iter_mut() {
        for turn in 0..PATIENCE {
            let last = node.ask(&format!("RL.PEEK {key} {rule} COST 0"))?.to_string();
            if last.split(' ').nth(2) == Some(&remaining.to_string()) {
                break;
            }
            if turn + 1 == PATIENCE {
                return Err(format!("{last}, not {remaining} left: {}", node.server.log_tail()));
            }
            pause(Duration::from_millis(10));
        }
    }
    Ok(())
}

fn allowed(node: &mut Node, request: &str) -> Result<bool, String> {
    let reply = node.ask(request)?.to_string();
    match &reply[..2] {
        "[1" => Ok(true),
        "[0" => Ok(false),
        _ => Err(format!("{request}: {reply}")),
    }
}

#[test]
fn regions_have_names() -> Outcome {
    let [mut a, mut b] = two()?;
    assert_eq!(a.info("eave_region")?, "a");
    assert_eq!([b.info("eave_region")?, b.info("eave_leader_region")?], ["b", "a"]);
    let line = a.info("slave0")?;
    assert!(line.starts_with("ip=127.0.0.1,port=") && line.ends_with(",region=b"), "{line}");
    a.expect("CONFIG SET region a,b", "!/ERR .*region.*/")?;
    a.expect("CONFIG SET region eu-west.1_x", "OK")?;
    assert_eq!(a.info("eave_region")?, "eu-west.1_x");
    Ok(())
}

#[test]
fn each_decides_on_the_spot_and_counts_meet() -> Outcome {
    let mut nodes = three()?;
    rule(&mut nodes, "pro 30/100d:fixed")?;
    for node in &mut nodes {
        for _ in 0..8 {
            assert!(allowed(node, "RL.TAKE k @pro")?);
        }
    }
    meet(&mut nodes, "k", "@pro", 6)?;
    let [_, b, c] = &mut nodes;
    // Nothing of that went to the leader, and nothing is in the data.
    for replica in [&mut *b, &mut *c] {
        assert_eq!(replica.info("replica_forwarded_commands")?, "0");
        replica.expect("EXISTS k", "0")?;
    }
    assert!(!allowed(b, "RL.TAKE k @pro COST 7")? && allowed(c, "RL.TAKE k @pro COST 6")?);
    meet(&mut nodes, "k", "@pro", 0)?;
    let [a, b, _] = &mut nodes;
    assert!(!allowed(a, "RL.TAKE k @pro")? && !allowed(b, "RL.TAKE k @pro")?);
    // What one gives back all have, whoever took it.
    b.expect("RL.GIVE k @pro 10", "[1 30 10 0 *]")?;
    meet(&mut nodes, "k", "@pro", 10)?;
    let [_, b, c] = &mut nodes;
    // RL.RESET is the leader's, and forgets for all.
    c.expect("RL.RESET k", "1")?;
    assert_eq!(b.info("replica_forwarded_commands")?, "0");
    meet(&mut nodes, "k", "@pro", 30)?;
    let [a, b, _] = &mut nodes;
    // Several limits: all of them shared, or else the leader decides.
    b.expect("RL.MTAKE 2 k @pro l @pro COST 30 1", "[1 -1 [[1 30 0 0 *] [1 30 29 0 *]]]")?;
    assert_eq!(b.info("replica_forwarded_commands")?, "0");
    b.expect("RL.MTAKE 2 l @pro m 5/100d:fixed", "[1 -1 [[1 30 * 0 *] [1 5 4 0 *]]]")?;
    assert_eq!(b.info("replica_forwarded_commands")?, "1");
    a.expect("EXISTS l m", "1")?;
    meet(&mut nodes, "l", "@pro", 28)?;
    // A transaction goes to the leader, which shares the same counts.
    let [_, _, c] = &mut nodes;
    c.expect("MULTI", "OK")?;
    c.expect("RL.TAKE l @pro COST 8", "QUEUED")?;
    c.ask("EXEC")?;
    meet(&mut nodes, "l", "@pro", 20)?;
    // Another database has counts of its own.
    let [a, b, _] = &mut nodes;
    b.expect("SELECT 3", "OK")?;
    b.expect("RL.TAKE l @pro", "[1 30 29 0 *]")?;
    a.expect("SELECT 3", "OK")?;
    for turn in 0.. {
        if a.ask("RL.PEEK l @pro")?.to_string().starts_with("[1 30 29 ") {
            break;
        }
        assert!(turn < PATIENCE, "database 3 is not told of");
        pause(Duration::from_millis(10));
    }
    Ok(())
}

/// A node in the middle passes on what it hears, both ways.
#[test]
fn counts_pass_through_a_chain() -> Outcome {
    let [a, b] = two()?;
    let c = Node::forwarding(b.address(), "--region c --region-exchange-ms 20")?;
    let mut nodes = [a, b, c];
    rule(&mut nodes, "pro 9/100d")?;
    for node in &mut nodes {
        assert!(allowed(node, "RL.TAKE k @pro COST 2")?);
    }
    meet(&mut nodes, "k", "@pro", 3)?;
    for node in &mut nodes {
        node.wait_for("region_nodes", "3")?;
        assert!(!allowed(node, "RL.TAKE k @pro COST 4")?);
        for turn in 0.. {
            if node.info("region_staleness_ms")? != "-1" {
                break;
            }
            assert!(turn < PATIENCE, "an age is never known");
            pause(Duration::from_millis(10));
        }
    }
    Ok(())
}

#[test]
fn all_together_admit_no_more_than_they_say() -> Outcome {
    const LIMIT: u64 = 600;
    let mut nodes = three()?;
    rule(&mut nodes, "pro 600/100d:fixed")?;
    let workers: Vec<_> = nodes
        .iter()
        .map(|node| {
            let mut client = node.connect()?;
            Ok(std::thread::spawn(move || {
                let mut admitted = 0u64;
                loop {
                    let reply = client.call(&["RL.TAKE", "k", "@pro"])?.to_string();
                    match &reply[..2] {
                        "[1" => admitted += 1,
                        "[0" => return Ok::<u64, String>(admitted),
                        _ => return Err(reply),
                    }
                }
            }))
        })
        .collect::<Result<_, String>>()?;
    let mut admitted = 0;
    for worker in workers {
        admitted += worker.join().map_err(|_| "a worker panicked".to_owned())??;
    }
    meet(&mut nodes, "k", "@pro", 0)?;
    let mut most = 0;
    for node in &mut nodes {
        node.wait_for("region_nodes", "3")?;
        let line = node.info("region_rule0")?;
        let bound = line.split(',').find_map(|field| field.strip_prefix("bound="));
        let bound = bound.and_then(|bound| bound.parse::<u64>().ok());
        let bound = bound.ok_or_else(|| format!("no bound in '{line}'"))?;
        assert!((LIMIT..=3 * LIMIT).contains(&bound), "{line}");
        most = most.max(bound);
    }
    assert!(admitted >= LIMIT && admitted <= most, "{admitted} admitted, {most} promised");
    Ok(())
}

#[test]
fn without_the_leader_each_goes_on_and_they_meet_again() -> Outcome {
    let mut nodes = three()?;
    rule(&mut nodes, "pro 20/100d")?;
    assert!(allowed(&mut nodes[0], "RL.TAKE k @pro COST 2")?);
    meet(&mut nodes, "k", "@pro", 18)?;
    nodes[0].server.halt()?;
    let [_, b, c] = &mut nodes;
    // Cut off from each other, each has what was left.
    for replica in [b, c] {
        assert!(allowed(replica, "RL.TAKE k @pro COST 10")?);
        assert!(!allowed(replica, "RL.TAKE k @pro COST 9")?);
    }
    nodes[0].server.go_on()?;
    meet(&mut nodes, "k", "@pro", 0)?;
    for node in &mut nodes {
        assert!(!allowed(node, "RL.TAKE k @pro")?);
    }
    Ok(())
}

/// A page over HTTP, without its head.
fn page(node: &Node, path: &str) -> Result<String, String> {
    let say = |error: std::io::Error| error.to_string();
    let address = node.server.rest.ok_or("no REST door")?;
    let mut stream = TcpStream::connect(address).map_err(say)?;
    let head = format!("Host: x\r\nAuthorization: Bearer {REST_TOKEN}\r\nConnection: close");
    stream.write_all(format!("GET {path} HTTP/1.1\r\n{head}\r\n\r\n").as_bytes()).map_err(say)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(say)?;
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).ok_or("half".to_owned())
}

/// How late counts are, of each node, and the bound that follows: in INFO and for Prometheus, on all three.
#[test]
fn what_is_known_of_others_is_told_by_every_node() -> Outcome {
    let mut nodes = three()?;
    rule(&mut nodes, "pro 20/100d")?;
    for node in &mut nodes {
        node.wait_for("region_nodes", "3")?;
    }
    for node in &mut nodes {
        assert!(allowed(node, "RL.TAKE k @pro")?);
    }
    meet(&mut nodes, "k", "@pro", 17)?;
    for node in &mut nodes {
        for peer in ["region_peer0", "region_peer1"] {
            let line = node.info(peer)?;
            let staleness = line.split_once("staleness_ms=").map_or("", |(_, rest)| rest);
            assert!(staleness.starts_with(|first: char| first.is_ascii_digit()), "{line}");
        }
        let line = node.info("region_rule0")?;
        let bound = line.split(',').find_map(|part| part.strip_prefix("bound="));
        let bound =
            bound.and_then(|bound| bound.parse::<u64>().ok()).ok_or_else(|| line.clone())?;
        assert!((21..=60).contains(&bound), "it has admitted something: {line}");
        let metrics = page(node, "/metrics")?;
        let values = |name: &str| -> Vec<f64> {
            let lines = metrics.lines().filter(|line| line.starts_with(name));
            lines.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect()
        };
        assert_eq!(values("eave_region_nodes "), [3.0], "{metrics}");
        assert!(values("eave_region_staleness_seconds ").iter().any(|value| *value >= 0.0));
        assert!(values("eave_region_staleness_peak_seconds ").iter().any(|value| *value > 0.0));
        let peers = values("eave_region_peer_staleness_seconds{node=\"");
        assert!(peers.len() == 2 && peers.iter().all(|age| *age >= 0.0), "{metrics}");
        let bounds = values("eave_region_rule_bound{rule=\"pro\"}");
        assert!(bounds.iter().all(|bound| (21.0..=60.0).contains(bound)), "{metrics}");
        assert_eq!((bounds.len(), values("eave_region_rule_limit{rule=\"pro\"}")), (1, vec![20.0]));
    }
    Ok(())
}

/// What was counted in a window goes with it, on all nodes.
#[test]
fn what_is_over_is_forgotten_and_its_memory_comes_back() -> Outcome {
    const KEYS: usize = 3000;
    let mut nodes = three()?;
    rule(&mut nodes, "pro 20/10s")?;
    let used = |node: &mut Node| -> Result<u64, String> {
        node.info("used_memory")?.parse().map_err(|_| "no number".to_owned())
    };
    let before = nodes.iter_mut().map(used).collect::<Result<Vec<_>, _>>()?;
    let mut connection = nodes[1].connect()?;
    let takes: Vec<Vec<u8>> =
        (0..KEYS).map(|n| encode(&["RL.TAKE", &format!("some-key:{n}"), "@pro"])).collect();
    connection.send_raw(&takes.concat()).map_err(|error| error.to_string())?;
    for _ in 0..KEYS {
        assert!(connection.receive()?.to_string().starts_with("[1 20 19 "));
    }
    for node in &mut nodes {
        // Some may be over by then, if all of this is slow.
        node.wait_for_count("region_limits", 1)?;
    }
    // What is in use is looked at ten times a second.
    let much = before[1] + KEYS as u64 * 300;
    let mut full = 0;
    for _ in 0..PATIENCE {
        full = full.max(used(&mut nodes[1])?);
        if full > much {
            break;
        }
        pause(Duration::from_millis(10));
    }
    assert!(full > much, "{full} bytes, before {}", before[1]);
    for (node, before) in nodes.iter_mut().zip(before) {
        node.wait_for("region_limits", "0")?;
        let enough = before + (full - before) / 2;
        let mut last = u64::MAX;
        for _ in 0..PATIENCE {
            last = used(node)?;
            if last < enough {
                break;
            }
            pause(Duration::from_millis(10));
        }
        assert!(last < enough, "{last} bytes, before {before}, full {full}");
    }
    Ok(())
}

/// A replica that refuses writes still decides, and one whose board is full leaves it to the leader.
#[test]
fn what_is_not_counted_here_is_the_leaders() -> Outcome {
    let a = Node::start(Program::Eave, "--region a")?;
    let b = Node::rejecting(a.address())?;
    let c = Node::forwarding(a.address(), "--region-limits 1")?;
    let mut nodes = [a, b, c];
    rule(&mut nodes, "pro 5/100d:fixed")?;
    let [a, b, c] = &mut nodes;
    assert!(allowed(b, "RL.TAKE k @pro")?);
    b.expect("RL.TAKE k 5/1h", "!READONLY You can't write against a read only replica.")?;
    b.expect("RL.RESET k", "!READONLY You can't write against a read only replica.")?;
    c.wait_for("region_limits", "1")?;
    assert_eq!(c.info("replica_forwarded_commands")?, "0");
    assert!(allowed(c, "RL.TAKE k @pro")? && allowed(c, "RL.TAKE other @pro")?);
    assert_eq!(c.info("replica_forwarded_commands")?, "1");
    meet(std::slice::from_mut(a), "other", "@pro", 4)?;
    Ok(())
}

/// What is decided here keeps its place among what the leader answers, and is silent when its
/// client wants it so.
#[test]
fn replies_keep_their_order() -> Outcome {
    let mut nodes = Vec::from(two()?);
    rule(&mut nodes, "pro 100000/100d:fixed")?;
    let mut client = nodes[1].connect()?;
    for turn in 0..50 {
        let requests = [
            "SET a 1",
            "RL.TAKE k @pro",
            "INCR a",
            "RL.TAKE k @pro COST x",
            "RL.GIVE k @pro 1",
            "GET a",
            "CLIENT REPLY SKIP",
            "RL.TAKE k @pro",
            "ECHO end",
        ];
        let words = |request: &&str| encode(&request.split(' ').collect::<Vec<_>>());
        let bytes: Vec<u8> = requests.iter().flat_map(words).collect();
        client.send_raw(&bytes).map_err(|error| error.to_string())?;
        let mut replies = Vec::new();
        for _ in 0..7 {
            replies.push(client.receive()?.to_string());
        }
        let (before, after) = (100_000 - turn - 1, 100_000 - turn);
        assert_eq!(replies[0], "OK");
        assert!(replies[1].starts_with(&format!("[1 100000 {before} 0 ")), "{replies:?}");
        assert_eq!(replies[2], "2");
        assert!(replies[3].starts_with("!ERR value is not an integer"), "{replies:?}");
        assert!(replies[4].starts_with(&format!("[1 100000 {after} 0 ")), "{replies:?}");
        assert_eq!(replies[5..], ["\"2\"", "\"end\""]);
    }
    // A rule that was made a moment ago is known where it was made.
    for n in 0..20 {
        let made = format!("RL.RULE SET new{n} 5/100d REGIONS local");
        nodes[1].expect(&made, "OK")?;
        nodes[1].expect(&format!("RL.TAKE k{n} @new{n}"), "[1 5 4 0 *]")?;
    }
    Ok(())
}

/// What comes in as a report may be anything, and is refused or does no harm.
#[test]
fn strange_reports_are_refused() -> Outcome {
    let mut nodes = Vec::from(two()?);
    rule(&mut nodes, "pro 5/100d")?;
    let long = "x".repeat(600_000);
    for report in ["", "x", "\u{1}", "\u{1}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &long] {
        let reply = nodes[0].ask_all(&["RL.EXCHANGE", report])?.to_string();
        assert!(reply.starts_with("!ERR "), "{reply}");
    }
    nodes[0].expect("ACL SETUSER plain on nopass ~* &* +@all -@admin", "OK")?;
    nodes[0].expect("AUTH plain x", "OK")?;
    nodes[0].expect("RL.EXCHANGE x", "!/NOPERM .*/")?;
    assert!(allowed(&mut nodes[1], "RL.TAKE k @pro")?);
    meet(&mut nodes, "k", "@pro", 4)?;
    Ok(())
}
