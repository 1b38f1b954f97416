//! Waiting and followers: what they hear of those who were served, WAIT, changes of role.

use super::{call, connect, hear, send, until, until_blocked};
use crate::support::reply::Reply;
use crate::support::resp::Connection;
use crate::support::server::{Program, Server};

fn start(program: Program) -> (Server, Connection) {
    let server = Server::start(program, &[]).expect("the server answers");
    let connection = connect(&server);
    (server, connection)
}

/// A server that follows another, once it has what that has.
fn following(program: Program, leader: &Server, control: &mut Connection) -> (Server, Connection) {
    let (server, mut connection) = start(program);
    let address = leader.resp;
    call(&mut connection, &format!("REPLICAOF {} {}", address.ip(), address.port()));
    until(&mut connection, "replication", "master_link_status", |value| value == "up");
    until(control, "replication", "slave0", |value| value.contains("state=online"));
    (server, connection)
}

/// Waits until everything written so far is there.
fn catch_up(leader: &mut Connection) {
    assert_eq!(call(leader, "WAIT 1 20000"), Reply::Integer(1));
}

/// Everything that has come of waiting, as both have it at the end.
const LEFT: [&str; 8] = [
    "LRANGE a 0 -1",
    "LRANGE b 0 -1",
    "LRANGE c 0 -1",
    "ZRANGE z 0 -1 WITHSCORES",
    "XRANGE s - +",
    "XPENDING s g",
    "XINFO GROUPS s",
    "DBSIZE",
];

fn outcomes_reach_a_follower(leading: Program, following_as: Program) {
    let (leader, mut control) = start(leading);
    let (_follower, mut replica) = following(following_as, &leader, &mut control);
    call(&mut control, "XGROUP CREATE s g $ MKSTREAM");
    let lines = [
        "BLPOP a 0",
        "BRPOP x a 0",
        "BLMOVE a b LEFT RIGHT 0",
        "BRPOPLPUSH b c 0",
        "BLMPOP 0 2 x a RIGHT COUNT 2",
        "BZPOPMIN z 0",
        "BZMPOP 0 1 z MAX COUNT 2",
        "XREADGROUP GROUP g alice BLOCK 0 STREAMS s >",
        "XREADGROUP GROUP g bob NOACK BLOCK 0 STREAMS s >",
        "XREAD BLOCK 0 STREAMS s $",
    ];
    let mut clients = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        let mut client = connect(&leader);
        send(&mut client, line);
        until_blocked(&mut control, n + 1);
        clients.push(client);
    }
    for line in [
        "RPUSH a 1 2 3 4 5 6 7",
        "ZADD z 1 a 2 b 3 c 4 d 5 e",
        "XADD s 1-1 f v",
        "XADD s 2-1 f v",
        "XADD s 3-1 f v",
    ] {
        call(&mut control, line);
    }
    for client in &mut clients {
        assert!(matches!(hear(client), Reply::Bulk(_) | Reply::Array(_)));
    }
    // In the middle of a transaction, and by a name.
    send(&mut clients[0], "BLPOP k l 0");
    send(&mut clients[1], "BLMOVE l k LEFT LEFT 0");
    until_blocked(&mut control, 2);
    for line in ["MULTI", "RPUSH m x y z", "RENAME m l", "SET done 1", "EXEC"] {
        call(&mut control, line);
    }
    clients[..2].iter_mut().for_each(|client| _ = hear(client));
    catch_up(&mut control);
    for line in LEFT.iter().chain(&["LRANGE l 0 -1", "LRANGE k 0 -1", "GET done"]) {
        assert_eq!(call(&mut replica, line), call(&mut control, line), "{line}");
    }
}

#[test]
fn outcomes_reach_a_replica() {
    outcomes_reach_a_follower(Program::Eave, Program::Eave);
}

#[test]
fn outcomes_reach_a_redis_server() {
    outcomes_reach_a_follower(Program::Eave, Program::Redis);
}

#[test]
fn outcomes_come_from_a_redis_server() {
    outcomes_reach_a_follower(Program::Redis, Program::Eave);
}

/// Who waits on a replica for entries of a stream gets them from its leader.
#[test]
fn a_reader_on_a_replica_is_served() {
    for program in [Program::Eave, Program::Redis] {
        let (leader, mut control) = start(program);
        let (replica, mut other) = following(program, &leader, &mut control);
        if program == Program::Eave {
            call(&mut other, "CONFIG SET replica-writes reject");
        }
        let mut reader = connect(&replica);
        send(&mut reader, "XREAD BLOCK 0 STREAMS s $");
        until_blocked(&mut other, 1);
        call(&mut control, "XADD s 1-1 f v");
        let Reply::Array(streams) = hear(&mut reader) else { panic!("no entry came") };
        assert_eq!(streams.len(), 1);
        let refused = call(&mut reader, "BLPOP k 0");
        assert!(matches!(refused, Reply::Error(why) if why.starts_with("READONLY")));
        let refused = call(&mut reader, "WAIT 0 0");
        assert!(matches!(refused, Reply::Error(why) if why.starts_with("ERR WAIT cannot be used")));
    }
}

#[test]
fn who_waits_is_let_go_when_the_node_follows() {
    let (leader, mut control) = start(Program::Eave);
    for program in [Program::Eave, Program::Redis] {
        let (other, mut connection) = start(program);
        let lines = ["BLPOP k 0", "XREAD BLOCK 0 STREAMS s $", "WAIT 1 0"];
        let mut clients: Vec<Connection> = lines
            .iter()
            .map(|line| {
                let mut client = connect(&other);
                send(&mut client, line);
                client
            })
            .collect();
        until_blocked(&mut connection, lines.len());
        let address = leader.resp;
        call(&mut connection, &format!("REPLICAOF {} {}", address.ip(), address.port()));
        for client in &mut clients {
            let why = "UNBLOCKED force unblock from blocking operation, instance state changed \
                       (master -> replica?)";
            assert_eq!(hear(client), Reply::Error(why.to_owned()));
            assert_eq!(hear(client), Reply::Closed);
        }
        until_blocked(&mut connection, 0);
    }
    assert_eq!(call(&mut control, "PING"), Reply::Status("PONG".to_owned()));
}

/// WAIT tells how many followers truly have what was written.
#[test]
fn wait_counts_those_who_have_it() {
    for (leading, one, another) in [
        (Program::Eave, Program::Eave, Program::Redis),
        (Program::Redis, Program::Redis, Program::Redis),
    ] {
        let (leader, mut control) = start(leading);
        let (first, mut replica) = following(one, &leader, &mut control);
        call(&mut control, "SET k 1");
        assert_eq!(call(&mut control, "WAIT 1 0"), Reply::Integer(1));
        assert_eq!(call(&mut replica, "GET k"), Reply::Bulk(b"1".to_vec()));
        // There is no second one.
        assert_eq!(call(&mut control, "WAIT 2 30"), Reply::Integer(1));
        let mut client = connect(&leader);
        call(&mut client, "SET k 2");
        send(&mut client, "WAIT 2 0");
        until_blocked(&mut control, 1);
        let (second, _) = following(another, &leader, &mut control);
        assert_eq!(hear(&mut client), Reply::Integer(2));
        // One that is halted acknowledges nothing.
        first.halt().unwrap();
        call(&mut client, "SET k 3");
        assert_eq!(call(&mut client, "WAIT 1 0"), Reply::Integer(1));
        assert_eq!(call(&mut client, "WAIT 2 30"), Reply::Integer(1));
        send(&mut client, "WAIT 2 0");
        until_blocked(&mut control, 1);
        first.go_on().unwrap();
        assert_eq!(hear(&mut client), Reply::Integer(2));
        assert_eq!(call(&mut replica, "GET k"), Reply::Bulk(b"3".to_vec()));
        drop(second);
    }
}
