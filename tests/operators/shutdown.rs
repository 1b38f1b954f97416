//! SHUTDOWN: what is waited for, and how it is given up.

use std::io::Read as _;
use std::time::Duration;

use crate::support::reply::Reply;
use crate::support::resp::encode;
use crate::support::server::Program;
use crate::talk::{Talk, ok, until};

/// Makes a connection a replica's that says nothing of what it got.
fn follow(talk: &mut Talk, who: usize) {
    let connection = talk.connection(who);
    connection.call(&["REPLCONF", "capa", "eof", "capa", "psync2"]).expect("the server answers");
    connection.send_raw(&encode(&["PSYNC", "?", "-1"])).expect("the server reads");
    let mut socket = connection.socket().try_clone().expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a socket");
    until("the replica is online", || {
        // The copy, and what follows it.
        let _ = socket.read(&mut [0; 4096]);
        let ack = encode(&["REPLCONF", "ACK", "0"]);
        talk.connection(who).send_raw(&ack).expect("the server reads");
        let text = talk.ask(0, "INFO replication").text().expect("a text");
        text.contains("state=online")
    });
}

#[test]
fn a_stop_waits_for_replicas_and_can_be_given_up() {
    for (program, mut talk) in
        Talk::both(&["--shutdown-timeout", "30", "--repl-diskless-sync-delay", "0"])
    {
        follow(&mut talk, 1);
        talk.ask(0, "SET k v");
        talk.send(2, "SHUTDOWN NOSAVE");
        assert!(talk.is_silent(2), "{program:?}");
        talk.send(3, "SET k w");
        assert!(talk.is_silent(3), "{program:?}");
        assert_eq!(talk.ask(0, "SHUTDOWN ABORT"), ok());
        let why = "ERR Errors trying to SHUTDOWN. Check logs.".to_owned();
        assert_eq!(talk.hear(2), Reply::Error(why), "{program:?}");
        assert_eq!(talk.hear(3), ok(), "{program:?}");
        talk.ask(0, "CONFIG SET shutdown-timeout 1");
        talk.send(2, "SHUTDOWN NOSAVE");
        assert_eq!(talk.hear(2), Reply::Closed, "{program:?}");
        until("the server has ended", || !talk.server.is_running());
        let code = talk.server.exit_code();
        assert!(program == Program::Redis || code == Some(0), "{code:?}");
    }
}

#[test]
fn now_is_now() {
    for (program, mut talk) in Talk::both(&["--repl-diskless-sync-delay", "0"]) {
        follow(&mut talk, 1);
        talk.ask(0, "SET k v");
        talk.send(0, "SHUTDOWN NOSAVE NOW");
        assert_eq!(talk.hear(0), Reply::Closed, "{program:?}");
        until("the server has ended", || !talk.server.is_running());
    }
}
