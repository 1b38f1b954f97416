//! What a client may send and leave unread: the same bounds for redis-server and for Eave.

use std::io::Write as _;
use std::time::Duration;

use crate::support::reply::Reply;
use crate::support::resp::{Connection, encode};
use crate::support::server::{Program, Server, pause};
use crate::talk::wait_for;

fn start(program: Program, options: &[&str]) -> Server {
    let options: Vec<String> = options.iter().map(|word| (*word).to_owned()).collect();
    Server::start(program, &options).expect("the server answers")
}

/// Connections of a name, as another client sees them.
fn named(watcher: &mut Connection, name: &str) -> usize {
    let list = watcher.call(&["CLIENT", "LIST"]).expect("the server answers");
    let list = list.text().unwrap_or_default();
    list.lines().filter(|line| line.contains(&format!(" name={name} "))).count()
}

fn connect_as(server: &Server, name: &str) -> Connection {
    let mut client = server.connect().expect("the server answers");
    client.call(&["CLIENT", "SETNAME", name]).expect("the server answers");
    client
}

/// A megabyte that is not taken is allowed for a second, and less for as long as one likes.
#[test]
fn the_soft_limit_of_normal_clients() {
    for program in [Program::Eave, Program::Redis] {
        let limit = ["--client-output-buffer-limit", "normal", "0", "1mb", "1"];
        let server = start(program, &limit);
        let mut watcher = server.connect().expect("the server answers");
        watcher.call(&["SETRANGE", "big", "29999999", "x"]).expect("the server answers");
        let mut deaf = connect_as(&server, "deaf");
        let mut slow = connect_as(&server, "slow");
        for client in [&mut deaf, &mut slow] {
            client.send_raw(&encode(&["GET", "big"])).expect("the server takes it");
        }
        let Ok(Reply::Bulk(value)) = slow.receive() else { panic!("{program:?}: cut") };
        assert_eq!(value.len(), 30_000_000);
        wait_for("who takes nothing stays", || named(&mut watcher, "deaf") == 0);
        assert_eq!(named(&mut watcher, "slow"), 1, "{program:?}");
    }
}

#[test]
fn the_soft_limit_of_those_who_listen() {
    for program in [Program::Eave, Program::Redis] {
        let limit = ["--client-output-buffer-limit", "pubsub", "0", "1mb", "1"];
        let server = start(program, &limit);
        let mut speaker = server.connect().expect("the server answers");
        let mut deaf = connect_as(&server, "deaf");
        deaf.call(&["SUBSCRIBE", "c"]).expect("the server answers");
        // Sockets hold some megabytes by themselves.
        let message = "x".repeat(1_000_000);
        for _ in 0..20 {
            speaker.call(&["PUBLISH", "c", &message]).expect("the server answers");
        }
        // Nothing more comes: that it has been too much for too long is seen all the same.
        wait_for("who takes nothing stays", || named(&mut speaker, "deaf") == 0);
    }
}

#[test]
fn the_hard_limit_of_those_who_listen() {
    for program in [Program::Eave, Program::Redis] {
        let limit = ["--client-output-buffer-limit", "pubsub", "8mb", "0", "0"];
        let server = start(program, &limit);
        let mut speaker = server.connect().expect("the server answers");
        let mut deaf = connect_as(&server, "deaf");
        deaf.call(&["SUBSCRIBE", "c"]).expect("the server answers");
        let message = "x".repeat(1_000_000);
        for _ in 0..40 {
            speaker.call(&["PUBLISH", "c", &message]).expect("the server answers");
        }
        wait_for("who takes nothing stays", || named(&mut speaker, "deaf") == 0);
    }
}

/// A replica that asks for the stream and does not take it.
#[test]
fn the_soft_limit_of_replicas() {
    for program in [Program::Eave, Program::Redis] {
        let limit = ["--client-output-buffer-limit", "replica", "0", "1mb", "1"];
        let server = start(program, &limit);
        let mut writer = server.connect().expect("the server answers");
        let mut deaf = server.connect().expect("the server answers");
        for argv in [&["REPLCONF", "listening-port", "7"][..], &["REPLCONF", "capa", "psync2"]] {
            deaf.call(argv).expect("the server answers");
        }
        deaf.send_raw(&encode(&["SYNC"])).expect("the server takes it");
        let replicas = |writer: &mut Connection, state: &str| {
            let info = writer.call(&["INFO", "replication"]).expect("the server answers");
            info.text().unwrap_or_default().contains(state)
        };
        wait_for("it does not follow", || replicas(&mut writer, "state=online"));
        let value = "x".repeat(1_000_000);
        for _ in 0..40 {
            writer.call(&["SET", "k", &value]).expect("the server answers");
        }
        wait_for("who takes nothing stays", || replicas(&mut writer, "connected_slaves:0"));
    }
}

#[test]
fn requests_are_bounded() {
    for program in [Program::Eave, Program::Redis] {
        let limits = ["--client-query-buffer-limit", "1mb", "--proto-max-bulk-len", "1mb"];
        let server = start(program, &limits);
        let mut one = server.connect().expect("the server answers");
        // An argument that is too long is refused when its length is said.
        one.send_raw(b"*2\r\n$3\r\nGET\r\n$1048577\r\n").expect("the server takes it");
        let refused = Reply::Error("ERR Protocol error: invalid bulk length".into());
        assert_eq!(one.receive(), Ok(refused), "{program:?}");
        assert_eq!(one.receive(), Ok(Reply::Closed), "{program:?}");
        // Many arguments that together are too much. Redis counts only what it has not taken
        // apart yet.
        let mut two = server.connect().expect("the server answers");
        let argument = format!("$100000\r\n{}\r\n", "x".repeat(100_000));
        let mut sent = two.send_raw(b"*100\r\n$4\r\nMGET\r\n");
        for _ in 0..30 {
            sent = sent.and_then(|()| two.send_raw(argument.as_bytes()));
            pause(Duration::from_millis(1));
        }
        let ended = sent.is_err()
            || (program == Program::Eave
                && matches!(two.receive(), Ok(Reply::Closed | Reply::Error(_))));
        assert!(ended || program == Program::Redis, "it goes on reading");
        // Each of a pipeline is a request of its own.
        let mut three = server.connect().expect("the server answers");
        let value = "x".repeat(900_000);
        let set = encode(&["SET", "k", &value]);
        for _ in 0..10 {
            three.send_raw(&set).expect("the server takes it");
        }
        three.socket().flush().expect("the server takes it");
        for _ in 0..10 {
            assert_eq!(three.receive(), Ok(Reply::Status("OK".into())), "{program:?}");
        }
        // The bounds change while it runs.
        let set =
            ["CONFIG", "SET", "proto-max-bulk-len", "2mb", "client-query-buffer-limit", "3mb"];
        assert_eq!(three.call(&set), Ok(Reply::Status("OK".into())), "{program:?}");
        let longer = "x".repeat(1_500_000);
        let reply = three.call(&["SET", "k", &longer]);
        assert_eq!(reply, Ok(Reply::Status("OK".into())), "{program:?}");
    }
}
