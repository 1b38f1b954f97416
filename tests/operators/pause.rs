//! CLIENT PAUSE: what waits, what goes on, and what is not done meanwhile.

use std::time::Duration;

use crate::support::reply::Reply;
use crate::support::server::pause;
use crate::talk::{Talk, ok};

#[test]
fn writes_wait_and_reads_go_on() {
    for (_, mut talk) in Talk::both(&[]) {
        talk.ask(0, "SET k before");
        talk.ask(1, "MULTI");
        talk.ask(1, "SET k exec");
        talk.ask(2, "MULTI");
        talk.ask(2, "GET k");
        assert_eq!(talk.ask(0, "CLIENT PAUSE 60000 WRITE"), ok());
        assert_eq!(talk.ask(0, "GET k"), Reply::Bulk(b"before".to_vec()));
        assert_eq!(talk.ask(2, "EXEC"), Reply::Array(vec![Reply::Bulk(b"before".to_vec())]));
        talk.send(1, "EXEC");
        talk.send(2, "PUBLISH a b");
        talk.send(3, "SET k set");
        assert!(talk.is_silent(1) && talk.is_silent(2) && talk.is_silent(3));
        assert_eq!(talk.ask(0, "GET k"), Reply::Bulk(b"before".to_vec()));
        assert_eq!(talk.ask(0, "CLIENT UNPAUSE"), ok());
        assert_eq!(talk.hear(1), Reply::Array(vec![ok()]));
        assert_eq!(talk.hear(2), Reply::Integer(0));
        assert_eq!(talk.hear(3), ok());
    }
}

#[test]
fn every_kind_of_writer_waits() {
    for (_, mut talk) in Talk::both(&[]) {
        talk.ask(0, "CLIENT PAUSE 60000 WRITE");
        for line in ["DEL k", "PFCOUNT k", "SPUBLISH a b", "FLUSHALL", "EXPIRE k 1"] {
            let mut fresh = talk.server.connect().expect("the server answers");
            let words: Vec<&str> = line.split(' ').collect();
            fresh.send_raw(&crate::support::resp::encode(&words)).expect("the server reads");
            let wait = Some(Duration::from_millis(60));
            fresh.socket().set_read_timeout(wait).expect("a socket");
            assert!(fresh.socket().peek(&mut [0]).is_err(), "{line}");
        }
        // An error is none of these.
        assert!(matches!(talk.ask(1, "SET k"), Reply::Error(_)));
        assert!(matches!(talk.ask(1, "TTL k"), Reply::Integer(-2)));
    }
}

#[test]
fn commands_wait_until_the_time_is_over() {
    for (_, mut talk) in Talk::both(&[]) {
        talk.ask(1, "PING");
        assert_eq!(talk.ask(0, "CLIENT PAUSE 1500"), ok());
        talk.send(1, "PING");
        talk.send(2, "CLIENT UNPAUSE");
        assert!(talk.is_silent(1) && talk.is_silent(2));
        assert_eq!(talk.hear(1), Reply::Status("PONG".to_owned()));
        assert_eq!(talk.hear(2), ok());
    }
}

#[test]
fn nothing_is_expired_meanwhile() {
    for (_, mut talk) in Talk::both(&[]) {
        talk.ask(0, "SET k v PX 100");
        talk.ask(0, "CLIENT PAUSE 60000 WRITE");
        pause(Duration::from_millis(400));
        // It is absent to those who ask, and still counted.
        assert_eq!(talk.ask(0, "GET k"), Reply::Nil);
        assert_eq!(talk.ask(0, "DBSIZE"), Reply::Integer(1));
        talk.ask(0, "CLIENT UNPAUSE");
        crate::talk::until("the key is freed", || talk.ask(0, "DBSIZE") == Reply::Integer(0));
    }
}

#[test]
fn a_later_pause_makes_it_no_shorter() {
    for (_, mut talk) in Talk::both(&[]) {
        talk.ask(0, "CLIENT PAUSE 60000 WRITE");
        talk.ask(0, "CLIENT PAUSE 1 WRITE");
        pause(Duration::from_millis(150));
        talk.send(1, "SET k v");
        let silent = talk.is_silent(1);
        talk.ask(0, "CLIENT UNPAUSE");
        assert_eq!(talk.hear(1), ok());
        assert!(silent);
    }
}

#[test]
fn a_transaction_that_pauses_ends_first() {
    for (_, mut talk) in Talk::both(&[]) {
        talk.ask(0, "MULTI");
        talk.ask(0, "CLIENT PAUSE 60000 WRITE");
        talk.ask(0, "SET k v");
        assert_eq!(talk.ask(0, "EXEC"), Reply::Array(vec![ok(), ok()]));
        talk.send(1, "SET k w");
        assert!(talk.is_silent(1));
        talk.ask(0, "CLIENT UNPAUSE");
        assert_eq!(talk.hear(1), ok());
    }
}

/// The end of a pause wakes everybody; who had nothing to do then is reached later all the same.
#[test]
fn who_was_idle_in_a_pause_is_reached_after_it() {
    for (program, mut talk) in Talk::both(&[]) {
        talk.ask(1, "SUBSCRIBE a");
        talk.ask(2, "PING");
        let id = talk.id(2);
        talk.ask(0, "CLIENT PAUSE 60000 WRITE");
        talk.ask(0, "CLIENT UNPAUSE");
        // What was woken has gone back to sleep.
        pause(Duration::from_millis(200));
        assert_eq!(talk.ask(0, "PUBLISH a b"), Reply::Integer(1), "{program:?}");
        let message = ["message", "a", "b"].map(|word| Reply::Bulk(word.into()));
        assert_eq!(talk.hear(1), Reply::Array(message.to_vec()), "{program:?}");
        assert_eq!(talk.ask(0, &format!("CLIENT KILL ID {id}")), Reply::Integer(1));
        assert!(talk.is_closed(2), "{program:?}");
    }
}

#[test]
fn who_has_waited_in_vain_is_reached_after_it() {
    for (program, mut talk) in Talk::both(&[]) {
        let id = talk.id(1);
        talk.send(1, "BLPOP nothing 0.05");
        assert_eq!(talk.hear(1), Reply::NilArray, "{program:?}");
        pause(Duration::from_millis(200));
        assert_eq!(talk.ask(0, &format!("CLIENT KILL ID {id}")), Reply::Integer(1));
        assert!(talk.is_closed(1), "{program:?}");
    }
}
