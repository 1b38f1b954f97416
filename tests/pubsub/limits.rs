//! A listener that does not take its messages is cut, and delays nobody.

use crate::support::reply::Reply;
use crate::support::server::{Program, Server};

#[test]
fn a_listener_that_does_not_read_is_cut() {
    let options = ["--client-output-buffer-limit", "pubsub", "1mb", "0", "0"].map(str::to_owned);
    let server = Server::start(Program::Eave, &options).expect("the server answers");
    let (mut speaker, mut listener) =
        (server.connect().expect("the server answers"), server.connect().unwrap());
    listener.call(&["SUBSCRIBE", "a"]).expect("the server answers");
    let message = "x".repeat(100_000);
    let mut told = 0;
    // What the sockets hold comes on top of the limit.
    while speaker.call(&["PUBLISH", "a", &message]).expect("the server answers")
        == Reply::Integer(1)
    {
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
    assert_eq!(speaker.call(&["PING"]).expect("the server answers"), Reply::Status("PONG".into()));
}

#[test]
fn there_are_only_so_many_subscriptions() {
    let server = Server::start(Program::Eave, &[]).expect("the server answers");
    let mut listener = server.connect().expect("the server answers");
    let mut argv = vec!["SUBSCRIBE".to_owned()];
    argv.extend((0..64 * 1024).map(|n| n.to_string()));
    listener.call(&argv).expect("the server answers");
    for _ in 1..64 * 1024 {
        listener.receive().expect("the server answers");
    }
    let refused = listener.call(&["SUBSCRIBE", "one more"]).expect("the server answers");
    assert_eq!(refused, Reply::Error("ERR too many subscriptions".into()));
    assert!(matches!(
        listener.call(&["UNSUBSCRIBE", "0"]).expect("the server answers"),
        Reply::Array(_)
    ));
}
