//! A listener that does not take its messages is cut, and delays nobody.

use crate::support::reply::Reply;
use crate::support::server::{Program, Server};

#[test]
fn a_listener_that_does_not_read_is_cut() {
    let options = ["--client-output-buffer-limit", "pubsub", "1mb", "0", "0"].map(str::to_owned);
    let server = Server::start(Program::Eave, &options).unwrap();
    let (mut speaker, mut listener) = (server.connect().unwrap(), server.connect().unwrap());
    listener.call(&["SUBSCRIBE", "a"]).unwrap();
    let message = "x".repeat(100_000);
    let mut told = 0;
    // What the sockets hold comes on top of the limit.
    while speaker.call(&["PUBLISH", "a", &message]).unwrap() == Reply::Integer(1) {
        told += 1;
        assert!(told < 1000, "it is not cut");
    }
    assert!(told >= 10, "{told} messages of 100 kB are less than the limit");
    let mut last = Reply::Nil;
    while last != Reply::Closed {
        last = match listener.receive() {
            Ok(reply) => reply,
            // Cut in the middle of a message.
            Err(_) => break,
        };
    }
    assert_eq!(speaker.call(&["PING"]).unwrap(), Reply::Status("PONG".into()));
}

#[test]
fn there_are_only_so_many_subscriptions() {
    let server = Server::start(Program::Eave, &[]).unwrap();
    let mut listener = server.connect().unwrap();
    let mut argv = vec!["SUBSCRIBE".to_owned()];
    argv.extend((0..64 * 1024).map(|n| n.to_string()));
    listener.call(&argv).unwrap();
    for _ in 1..64 * 1024 {
        listener.receive().unwrap();
    }
    let refused = listener.call(&["SUBSCRIBE", "one more"]).unwrap();
    assert_eq!(refused, Reply::Error("ERR too many subscriptions".into()));
    assert!(matches!(listener.call(&["UNSUBSCRIBE", "0"]).unwrap(), Reply::Array(_)));
}
