//! Writes that clients ask of a replica: their leader does them, and who has written reads it.

use crate::Outcome;
use crate::pair::{Node, assert_same};
use crate::proxy::Proxy;
use crate::support::http::{Client, fetch};
use crate::support::reply::Reply;
use crate::support::resp::{Connection, encode};
use crate::support::server::{Program, REST_TOKEN};

const READ_ONLY: &str = "!READONLY You can't write against a read only replica.";

fn rest(node: &Node) -> Result<Client, String> {
    Ok(Client::new(node.server.rest.ok_or("no REST door")?, REST_TOKEN))
}

/// Sends requests in one piece, and takes as many replies.
fn pipeline(connection: &mut Connection, requests: &[&str]) -> Result<Vec<String>, String> {
    let words = |request: &&str| encode(&request.split(' ').collect::<Vec<_>>());
    let bytes: Vec<u8> = requests.iter().flat_map(words).collect();
    connection.send_raw(&bytes).map_err(|error| error.to_string())?;
    requests.iter().map(|_| Ok(connection.receive()?.to_string())).collect()
}

#[test]
fn who_writes_reads_it_at_once() -> Outcome {
    let mut leader = Node::leader()?;
    let mut replica = Node::forwarding(leader.address(), "")?;
    for n in 1..200 {
        replica.expect("INCR count", &n.to_string())?;
        replica.expect("GET count", &format!("\"{n}\""))?;
    }
    replica.expect("SELECT 2", "OK")?;
    replica.expect("HSET h f v", "1")?;
    replica.expect("HGETALL h", "[\"f\" \"v\"]")?;
    replica
        .expect("INCR h", "!WRONGTYPE Operation against a key holding the wrong kind of value")?;
    replica.expect("FLUSHDB", "OK")?;
    replica.expect("DBSIZE", "0")?;
    leader.expect("GET count", "\"199\"")?;
    assert_eq!(assert_same(&mut leader, &mut replica)?.len(), 1);
    assert_eq!(replica.info("replica_forwarded_commands")?, "202");
    replica.expect("CONFIG SET replica-writes reject", "OK")?;
    replica.expect("INCR count", READ_ONLY)?;
    Ok(())
}

#[test]
fn a_leader_that_takes_nothing_has_its_replicas_refuse() -> Outcome {
    let leader = Node::start(Program::Redis, "--repl-diskless-sync-delay 0")?;
    let mut replica = Node::following(leader.address())?;
    replica.wait_for("master_link_status", "up")?;
    replica.wait_for("replica_forward_link", "not-offered")?;
    replica.expect("SET a 1", READ_ONLY)?;
    let mut leader = Node::leader()?;
    leader.expect("ACL SETUSER repl on >pw +psync +replconf +ping", "OK")?;
    let (host, port) = (leader.address().ip(), leader.address().port());
    let options = format!("--masteruser repl --masterauth pw --replicaof {host} {port}");
    let mut replica = Node::start(Program::Eave, &options)?;
    replica.wait_for("master_link_status", "up")?;
    replica.wait_for("replica_forward_link", "not-offered")?;
    replica.expect("SET a 1", READ_ONLY)?;
    Ok(())
}

/// Replies come in the order of requests, whoever has answered them.
#[test]
fn pipelines_are_answered_in_order() -> Outcome {
    let leader = Node::leader()?;
    let replica = Node::forwarding(leader.address(), "")?;
    let requests = [
        "SET a 1",
        "INCR a",
        "GET a",
        "NOSUCH a",
        "SET a 5",
        "INCR",
        "INCR a",
        "ECHO x",
        "APPEND a 1",
        "SELECT 1",
        "SET a other",
        "MULTI",
        "GET a",
        "INCR n",
        "EXEC",
        "GET n",
        "SELECT 0",
        "GET a",
        "EVALSHA 0000000000000000000000000000000000000000 0",
        "DEL a",
        "EXISTS a",
        "PING",
    ];
    let (mut there, mut here) = (leader.connect()?, replica.connect()?);
    let wanted = pipeline(&mut there, &requests)?;
    there.call(&["FLUSHALL"])?;
    for _ in 0..20 {
        assert_eq!(pipeline(&mut here, &requests)?, wanted);
        here.call(&["FLUSHALL"])?;
    }
    let many: Vec<String> = (1..=2000).map(|_| "INCR n".to_owned()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let counts: Vec<String> = (1..=2000).map(|n| n.to_string()).collect();
    assert_eq!(pipeline(&mut here, &many)?, counts);
    // What is silent is done all the same.
    let bytes: Vec<u8> =
        ["CLIENT REPLY OFF", "INCR n", "CLIENT REPLY ON", "CLIENT REPLY SKIP", "INCR n", "INCR n"]
            .iter()
            .flat_map(|request| encode(&request.split(' ').collect::<Vec<_>>()))
            .collect();
    here.send_raw(&bytes).map_err(|error| error.to_string())?;
    assert_eq!(
        (here.receive()?.to_string(), here.receive()?.to_string()),
        ("OK".into(), "2003".into())
    );
    Ok(())
}

#[test]
fn transactions_go_as_a_whole() -> Outcome {
    let mut leader = Node::leader()?;
    let mut replica = Node::forwarding(leader.address(), "")?;
    for (command, answer) in [
        ("MULTI", "OK"),
        ("INCR a", "QUEUED"),
        ("GET a", "QUEUED"),
        ("SELECT 3", "QUEUED"),
        ("LPUSH l x y", "QUEUED"),
        ("INCR l", "QUEUED"),
        ("BLPOP none 0", "QUEUED"),
        (
            "EXEC",
            "[1 \"1\" OK 2 !\"WRONGTYPE Operation against a key holding the wrong kind of value\" nil-array]",
        ),
        ("LRANGE l 0 -1", "[\"y\" \"x\"]"),
        ("MULTI", "OK"),
        ("LLEN l", "QUEUED"),
        ("EXEC", "[2]"),
        ("MULTI", "OK"),
        ("SET a 1", "QUEUED"),
        ("DISCARD", "OK"),
        ("MULTI", "OK"),
        ("SET a 1", "QUEUED"),
        ("CONFIG GET port", "QUEUED"),
    ] {
        replica.expect(command, answer)?;
    }
    let refused = replica.ask("EXEC")?.to_string();
    assert!(
        refused.starts_with("!EXECABORT Transaction discarded because of: 'get' cannot"),
        "{refused}"
    );
    replica.expect("EXISTS a", "0")?;
    replica.expect("GET a", "nil")?;
    leader.expect("GET a", "\"1\"")?;
    Ok(())
}

/// Keys are watched where they change, and reads behind WATCH see what it has seen.
#[test]
fn watched_keys_are_watched_at_the_leader() -> Outcome {
    let mut leader = Node::leader()?;
    let mut replica = Node::forwarding(leader.address(), "")?;
    let commands = |replica: &mut Node, leader: &mut Node, between: Option<&str>| {
        replica.expect("WATCH a", "OK")?;
        let now = replica.ask("GET a")?.text().unwrap_or_default();
        if let Some(between) = between {
            leader.ask(between)?;
        }
        replica.expect("MULTI", "OK")?;
        replica.expect(&format!("SET a {now}x"), "QUEUED")?;
        Ok::<_, String>(replica.ask("EXEC")?.to_string())
    };
    assert_eq!(commands(&mut replica, &mut leader, None)?, "[OK]");
    assert_eq!(commands(&mut replica, &mut leader, Some("SET a other"))?, "nil-array");
    assert_eq!(commands(&mut replica, &mut leader, None)?, "[OK]");
    leader.expect("GET a", "\"otherx\"")?;
    replica.expect("WATCH a", "OK")?;
    leader.expect("SET a changed", "OK")?;
    replica.expect("UNWATCH", "OK")?;
    replica.expect("MULTI", "OK")?;
    replica.expect("SET a mine", "QUEUED")?;
    replica.expect("EXEC", "[OK]")?;
    // Who only reads is told too.
    replica.expect("WATCH a", "OK")?;
    leader.expect("SET a changed", "OK")?;
    replica.expect("MULTI", "OK")?;
    replica.expect("GET a", "QUEUED")?;
    replica.expect("EXEC", "nil-array")?;
    Ok(())
}

#[test]
fn many_who_watch_lose_no_increment() -> Outcome {
    let mut leader = Node::leader()?;
    let replica = Node::forwarding(leader.address(), "")?;
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let mut client = replica.connect()?;
            Ok(std::thread::spawn(move || {
                let (mut done, mut again) = (0, 0);
                while done < 25 {
                    client.call(&["WATCH", "n"])?;
                    let now = client.call(&["GET", "n"])?.text().unwrap_or_else(|| "0".into());
                    let next = now.parse::<u64>().map_err(|e| e.to_string())? + 1;
                    client.call(&["MULTI"])?;
                    client.call(&["SET", "n", &next.to_string()])?;
                    match client.call(&["EXEC"])? {
                        Reply::Array(_) => done += 1,
                        _ => again += 1,
                    }
                }
                Ok::<u64, String>(again)
            }))
        })
        .collect::<Result<_, String>>()?;
    for worker in workers {
        worker.join().map_err(|_| "a worker panicked".to_owned())??;
    }
    leader.expect("GET n", "\"100\"")?;
    Ok(())
}

#[test]
fn scripts_run_where_they_may_write() -> Outcome {
    let mut leader = Node::leader()?;
    let mut replica = Node::forwarding(leader.address(), "")?;
    let script = "local n = redis.call('get', KEYS[1]) redis.pcall('set', KEYS[1], (n or 0) + ARGV[1]) \
                  return {redis.call('get', KEYS[1]), redis.pcall('incr', 'list')}";
    leader.ask("LPUSH list a")?;
    let wrong = "!\"WRONGTYPE Operation against a key holding the wrong kind of value\"";
    assert_eq!(
        replica.ask_all(&["EVAL", script, "1", "k", "5"])?.to_string(),
        format!("[\"5\" {wrong}]")
    );
    // Its digest is known here only.
    leader.expect("SCRIPT FLUSH", "OK")?;
    let sha = replica
        .ask_all(&["SCRIPT", "LOAD", script])?
        .text()
        .ok_or_else(|| "no digest".to_owned())?;
    replica.expect(&format!("EVALSHA {sha} 1 k 2"), &format!("[\"7\" {wrong}]"))?;
    replica.expect("MULTI", "OK")?;
    replica.expect(&format!("EVALSHA {sha} 1 k 3"), "QUEUED")?;
    replica.expect("EXEC", &format!("[[\"10\" {wrong}]]"))?;
    let forwarded = replica.info("replica_forwarded_commands")?;
    // What only reads stays, and so does what says that it only reads.
    for reader in
        ["return redis.call('get', 'k')", "#!lua flags=no-writes\nreturn redis.call('get', 'k')"]
    {
        assert_eq!(replica.ask_all(&["EVAL", reader, "0"])?.to_string(), "\"10\"");
    }
    assert_eq!(replica.info("replica_forwarded_commands")?, forwarded);
    let library = "#!lua name=l\nredis.register_function('f', function(keys) return redis.call('incr', keys[1]) end)";
    assert_eq!(replica.ask_all(&["FUNCTION", "LOAD", library])?.to_string(), "\"l\"");
    replica.expect("FCALL f 1 k", "11")?;
    replica.expect("GET k", "\"11\"")?;
    replica.expect("FUNCTION DELETE l", "OK")?;
    assert_eq!(assert_same(&mut leader, &mut replica)?.len(), 2);
    Ok(())
}

/// Scripts that are known by their digest (`script::native`): those of @upstash/ratelimit 2.2.0 for its
/// sliding window, of which nobody has loaded the text.
#[test]
fn known_scripts_need_no_text_on_any_node() -> Outcome {
    const LIMIT: &str =
        "EVALSHA 74740bb3d7792848093cdef586b6b6037c455fd6 2 w:id:2 w:id:1 3 120000 60000 1";
    const LEFT: &str =
        "EVALSHA 7ca36169e0fc9caedd81b4eef8e99854c157f9b5 2 w:id:2 w:id:1 3 120000 60000";
    let mut leader = Node::leader()?;
    let mut replica = Node::forwarding(leader.address(), "")?;
    replica.expect(LIMIT, "[2 3]")?;
    leader.expect(LIMIT, "[1 3]")?;
    replica.expect("MULTI", "OK")?;
    replica.expect(LIMIT, "QUEUED")?;
    replica.expect(LIMIT, "QUEUED")?;
    replica.expect("EXEC", "[[0 3] [-1 3]]")?;
    replica.expect(LIMIT, "[-1 3]")?;
    // Its own write is seen, and reading it takes nobody else.
    let forwarded = replica.info("replica_forwarded_commands")?;
    replica.expect(LEFT, "[0 3]")?;
    assert_eq!(replica.info("replica_forwarded_commands")?, forwarded);
    let address = replica.server.rest.ok_or_else(|| "no REST door".to_owned())?;
    let body = format!("[{}]", as_json(LIMIT));
    for path in ["/pipeline", "/multi-exec"] {
        let text = fetch(address, REST_TOKEN, path, &body)?;
        assert_eq!(text, r#"[{"result":[-1,3]}]"#, "{path}");
    }
    replica.catch_up(&mut leader)?;
    assert_same(&mut leader, &mut replica)?;

    let mut refusing = Node::rejecting(leader.address())?;
    refusing.wait_for("master_link_status", "up")?;
    refusing.catch_up(&mut leader)?;
    let refused = "!READONLY You can't write against a read only replica.";
    refusing.expect(LIMIT, refused)?;
    refusing.expect("MULTI", "OK")?;
    refusing.expect(LIMIT, "QUEUED")?;
    refusing.expect("EXEC", "[!\"READONLY You can't write against a read only replica.\"]")?;
    refusing.expect(LEFT, "[0 3]")?;
    Ok(())
}

/// A command's words as JSON has them.
fn as_json(command: &str) -> String {
    let words: Vec<String> = command.split(' ').map(|word| format!("{word:?}")).collect();
    format!("[{}]", words.join(","))
}

#[test]
fn rights_count_on_both_sides() -> Outcome {
    let mut leader = Node::start(Program::Eave, "--requirepass secret")?;
    leader.expect("ACL SETUSER repl on >pw +psync +replconf +ping +forward", "OK")?;
    let options = "--masteruser repl --masterauth pw";
    let mut replica = Node::forwarding(leader.address(), options)?;
    replica.expect("SET a 1", "OK")?;
    replica.expect("ACL SETUSER here on nopass ~* +@all", "OK")?;
    replica.expect("ACL SETUSER both on nopass ~mine* +@all", "OK")?;
    leader.expect("ACL SETUSER both on >other ~* +@all -del", "OK")?;
    replica.expect("AUTH here x", "OK")?;
    replica.expect("SET a 2", "!NOPERM user 'here' is not known to the leader")?;
    replica.expect("GET a", "\"1\"")?;
    replica.expect("AUTH both x", "OK")?;
    let key = "!NOPERM this user has no permissions to access one of the keys used as arguments";
    replica.expect("SET a 2", key)?;
    replica.expect("SET mine 2", "OK")?;
    replica.expect("DEL mine", "!NOPERM this user has no permissions to run the 'del' command")?;
    replica.expect("MULTI", "OK")?;
    replica.expect("DEL mine", "QUEUED")?;
    let refused = "!EXECABORT Transaction discarded because of: NOPERM this user has no permissions to run the 'del' command";
    replica.expect("EXEC", refused)?;
    leader.expect("ACL SETUSER both off", "OK")?;
    replica.expect("SET mine 3", "!NOPERM user 'both' is off on the leader")?;
    leader.expect("GET mine", "\"2\"")?;
    // Nothing but data is reached that way.
    for words in
        ["CONFIG GET port", "CLIENT KILL TYPE normal", "FORWARD", "AUTH x", "SUBSCRIBE x", "QUIT"]
    {
        let reply = leader.ask(&format!("FORWARD default 0 2 {words}"))?.to_string();
        assert!(reply.ends_with("cannot be forwarded to the leader"), "{words}: {reply}");
    }
    leader.expect("FORWARD default 99 2 GET a", "!ERR DB index is out of range")?;
    leader.expect("FORWARD default 0 4 GET a", "!NOPROTO unsupported protocol version")?;
    leader.expect("FORWARD default", "!ERR syntax error")?;
    leader
        .expect("FORWARD nobody 0 2 SET a 1", "!NOPERM user 'nobody' is not known to the leader")?;
    Ok(())
}

/// A client that waits at the leader is served there, and holds nobody up.
#[test]
fn who_waits_waits_at_the_leader() -> Outcome {
    let mut leader = Node::leader()?;
    let mut replica = Node::forwarding(leader.address(), "")?;
    let mut waiting = replica.connect()?;
    waiting.send_raw(&encode(&["BLPOP", "queue", "0"])).map_err(|e| e.to_string())?;
    leader.wait_for("blocked_clients", "1")?;
    replica.expect("SET a 1", "OK")?;
    replica.expect("RPUSH queue x", "1")?;
    assert_eq!(waiting.receive()?.to_string(), "[\"queue\" \"x\"]");
    replica.expect("BLPOP queue 0.01", "nil-array")?;
    // One that leaves waits no more.
    waiting
        .send_raw(&encode(&["BLMOVE", "queue", "other", "LEFT", "LEFT", "0"]))
        .map_err(|e| e.to_string())?;
    leader.wait_for("blocked_clients", "1")?;
    drop(waiting);
    leader.wait_for("blocked_clients", "0")?;
    // Over REST nobody waits.
    assert_eq!(rest(&replica)?.call(&["BLPOP", "queue", "0"])?.to_string(), "nil");
    Ok(())
}

#[test]
fn replies_have_the_form_of_the_clients_protocol() -> Outcome {
    let leader = Node::leader()?;
    let replica = Node::forwarding(leader.address(), "")?;
    let steps: &[&[&str]] = &[
        &["ZADD", "z", "INCR", "1.5", "a"],
        &["MULTI"],
        &["HSET", "h", "f", "v"],
        &["HGETALL", "h"],
        &["SMEMBERS", "none"],
        &["LPOP", "none"],
        &["EVAL", "redis.setresp(3) redis.call('set', 'k', 1) return {double=0.5}", "0"],
        &["EXEC"],
        &["LPOP", "none", "2"],
        &["SPOP", "none"],
        &["GETDEL", "none"],
    ];
    for version in ["2", "3"] {
        let (mut there, mut here) = (leader.connect()?, replica.connect()?);
        there.call(&["HELLO", version])?;
        here.call(&["HELLO", version])?;
        let wanted: Vec<Reply> =
            steps.iter().map(|argv| there.call(argv)).collect::<Result<_, _>>()?;
        there.call(&["FLUSHALL"])?;
        for (argv, wanted) in steps.iter().zip(wanted) {
            assert_eq!(here.call(argv)?, wanted, "{argv:?}");
        }
        there.call(&["FLUSHALL"])?;
    }
    Ok(())
}

#[test]
fn rest_clients_write_and_read_it() -> Outcome {
    let mut leader = Node::leader()?;
    let replica = Node::forwarding(leader.address(), "")?;
    let mut client = rest(&replica)?;
    for n in 1..50 {
        assert_eq!(client.call(&["INCR", "n"])?, Reply::Integer(n));
        assert_eq!(client.call(&["GET", "n"])?.text(), Some(n.to_string()));
    }
    let wrong = client.call(&["LPUSH", "n", "x"])?.to_string();
    assert!(wrong.starts_with("!WRONGTYPE"), "{wrong}");
    let address = replica.server.rest.ok_or_else(|| "no REST door".to_owned())?;
    let body = r#"[["SET","a","1"],["INCR","a"],["GET","a"],["NOSUCH"],["INCR","a"],["HSET","h","f","v"],["HGETALL","h"]]"#;
    let text = fetch(address, REST_TOKEN, "/pipeline", body)?;
    assert!(
        text.starts_with(r#"[{"result":"OK"},{"result":2},{"result":"2"},{"error":"ERR"#),
        "{text}"
    );
    assert!(text.ends_with(r#"{"result":3},{"result":1},{"result":["f","v"]}]"#), "{text}");
    let text = fetch(
        address,
        REST_TOKEN,
        "/multi-exec",
        r#"[["INCR","a"],["GET","a"],["LPUSH","a","x"]]"#,
    )?;
    assert!(text.starts_with(r#"[{"result":4},{"result":"4"},{"error":"WRONGTYPE"#), "{text}");
    let text =
        fetch(address, REST_TOKEN, "/multi-exec", r#"[["INCR","a"],["CONFIG","GET","port"]]"#)?;
    assert!(text.contains("cannot be forwarded"), "{text}");
    let text = fetch(address, REST_TOKEN, "/v1/take", r#"{"key":"limit","rule":"3/1h"}"#)?;
    assert!(text.contains(r#""allowed":true,"limit":3,"remaining":2"#), "{text}");
    leader.expect("GET a", "\"4\"")?;
    Ok(())
}

/// The stream of the log hangs, and the links for writes do not: a read behind a write goes to
/// the leader once it has waited long enough.
#[test]
fn a_read_that_has_waited_in_vain_is_asked_of_the_leader() -> Outcome {
    let mut leader = Node::leader()?;
    let proxy = Proxy::start(leader.address())?;
    let mut replica = Node::forwarding(proxy.address, "--sync-wait-ms 20")?;
    leader.expect("SET a old", "OK")?;
    replica.catch_up(&mut leader)?;
    proxy.hold_stream(true);
    let mut other = replica.connect()?;
    for n in 0..20 {
        replica.expect(&format!("SET a {n}"), "OK")?;
        replica.expect("GET a", &format!("\"{n}\""))?;
        replica.expect("EXISTS a", "1")?;
    }
    // Who has not written reads what is here.
    assert_eq!(other.call(&["GET", "a"])?.text().as_deref(), Some("old"));
    let read = replica.ask_all(&["EVAL", "return redis.call('get', 'a')", "0"])?;
    assert_eq!(read.text().as_deref(), Some("19"));
    proxy.hold_stream(false);
    replica.catch_up(&mut leader)?;
    let forwarded = replica.info("replica_forwarded_commands")?;
    replica.expect("GET a", "\"19\"")?;
    assert_eq!(replica.info("replica_forwarded_commands")?, forwarded);
    Ok(())
}

/// With the link cut behind a write nobody knows whether it was run, and it is not sent again.
#[test]
fn a_cut_link_leaves_an_outcome_unknown() -> Outcome {
    const UNCERTAIN: &str =
        "!UNCERTAIN The link to the leader broke: whether the command was run is not known";
    let mut leader = Node::leader()?;
    let proxy = Proxy::start(leader.address())?;
    let mut replica = Node::forwarding(proxy.address, "")?;
    proxy.hold_answers(true);
    let mut client = replica.connect()?;
    client
        .send_raw(&[encode(&["INCR", "n"]), encode(&["INCR", "n"])].concat())
        .map_err(|e| e.to_string())?;
    for _ in 0..3000 {
        if leader.ask("GET n")?.text().as_deref() == Some("2") {
            break;
        }
    }
    let mut waiting = replica.connect()?;
    waiting.send_raw(&encode(&["BLPOP", "q", "0"])).map_err(|e| e.to_string())?;
    proxy.cut();
    proxy.hold_answers(false);
    assert_eq!(client.receive()?.to_string(), UNCERTAIN);
    assert_eq!(client.receive()?.to_string(), UNCERTAIN);
    let told = waiting.receive()?.to_string();
    assert!(told == UNCERTAIN || told.starts_with("!MASTERDOWN"), "{told}");
    replica.wait_for("replica_forward_link", "down")?;
    let unreachable = "!MASTERDOWN The leader cannot be reached, nothing was sent to it";
    replica.expect("INCR n", unreachable)?;
    proxy.restore(leader.address());
    replica.wait_for("replica_forward_link", "up")?;
    replica.expect("INCR n", "3")?;
    leader.expect("GET n", "\"3\"")?;
    Ok(())
}

/// A replica of a replica would hand on as well; here: what a promoted one does.
#[test]
fn a_promoted_replica_writes_itself() -> Outcome {
    let mut leader = Node::leader()?;
    let mut replica = Node::forwarding(leader.address(), "")?;
    replica.expect("SET a 1", "OK")?;
    // Answered is what the leader has; who is promoted goes on with what came back.
    replica.catch_up(&mut leader)?;
    replica.expect("REPLICAOF NO ONE", "OK")?;
    replica.expect("INCR a", "2")?;
    replica.expect("GET a", "\"2\"")?;
    leader.expect("GET a", "\"1\"")?;
    Ok(())
}
