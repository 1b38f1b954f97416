//! CLIENT KILL, LIST, REPLY, NO-EVICT.

use crate::support::reply::Reply;
use crate::support::server::Program;
use crate::talk::{Talk, ok};

#[test]
fn connections_are_ended_by_address_and_id() {
    for (_, mut talk) in Talk::both(&[]) {
        talk.ask(1, "PING");
        let address = talk.address(1);
        assert_eq!(talk.ask(0, &format!("CLIENT KILL {address}")), ok());
        assert!(talk.is_closed(1));
        let id = talk.id(2);
        assert_eq!(talk.ask(0, &format!("CLIENT KILL ID {id}")), Reply::Integer(1));
        assert!(talk.is_closed(2));
        assert_eq!(talk.ask(0, &format!("CLIENT KILL ID {id}")), Reply::Integer(0));
        let me = talk.id(0);
        assert_eq!(talk.ask(0, &format!("CLIENT KILL ID {me}")), Reply::Integer(0));
        let ours = talk.server.resp.to_string();
        let both = format!("CLIENT KILL LADDR {ours} TYPE normal USER default SKIPME yes");
        talk.ask(3, "PING");
        assert_eq!(talk.ask(0, &both), Reply::Integer(1));
        assert!(talk.is_closed(3));
        // Oneself gets the answer first.
        assert_eq!(talk.ask(0, &format!("CLIENT KILL ID {me} SKIPME no")), Reply::Integer(1));
        assert!(talk.is_closed(0));
    }
}

#[test]
fn all_filters_have_to_fit() {
    for (_, mut talk) in Talk::both(&[]) {
        talk.ask(1, "SUBSCRIBE a");
        let (id, address) = (talk.id(2), talk.address(2));
        for (filters, killed) in [
            (format!("ID {id} TYPE pubsub"), 0),
            (format!("ID {id} ADDR 1.2.3.4:5"), 0),
            (format!("ID {id} TYPE master"), 0),
            ("TYPE replica".to_owned(), 0),
            ("TYPE pubsub".to_owned(), 1),
            (format!("ID {id} ADDR {address} TYPE normal"), 1),
        ] {
            let reply = talk.ask(0, &format!("CLIENT KILL {filters}"));
            assert_eq!(reply, Reply::Integer(killed), "{filters}");
        }
        assert!(talk.is_closed(2));
        assert_eq!(talk.hear(1), Reply::Closed);
    }
}

#[test]
fn who_has_been_there_for_long_is_ended() {
    let mut talk = Talk::with(Program::Eave, &[]);
    talk.ask(1, "PING");
    assert_eq!(talk.ask(0, "CLIENT KILL MAXAGE 1000"), Reply::Integer(0));
    crate::support::server::pause(std::time::Duration::from_millis(1100));
    assert_eq!(talk.ask(0, "CLIENT KILL MAXAGE 1"), Reply::Integer(1));
    assert!(talk.is_closed(1));
}

#[test]
fn a_client_that_waits_for_the_end_of_a_pause_can_be_ended() {
    for (_, mut talk) in Talk::both(&[]) {
        let id = talk.id(1);
        assert_eq!(talk.ask(0, "CLIENT PAUSE 60000 WRITE"), ok());
        talk.send(1, "SET k v");
        assert!(talk.is_silent(1));
        assert_eq!(talk.ask(0, &format!("CLIENT KILL ID {id}")), Reply::Integer(1));
        assert_eq!(talk.hear(1), Reply::Closed);
        talk.ask(0, "CLIENT UNPAUSE");
        assert_eq!(talk.ask(0, "GET k"), Reply::Nil);
    }
}

#[test]
fn lines_say_what_clients_do() {
    for (_, mut talk) in Talk::both(&[]) {
        talk.ask(1, "SUBSCRIBE a b");
        talk.ask(2, "MULTI");
        talk.ask(2, "SET key value");
        talk.ask(3, "MONITOR");
        talk.ask(0, "CLIENT NO-EVICT ON");
        let text = talk.ask(0, "CLIENT LIST").text().expect("a text");
        let has =
            |words: &[&str]| text.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(has(&[" flags=P ", " sub=2 ", " cmd=subscribe "]), "{text}");
        assert!(has(&[" flags=x ", " multi=1 ", " cmd=set "]), "{text}");
        assert!(has(&[" flags=O ", " cmd=monitor "]), "{text}");
        assert!(has(&[" flags=e ", " cmd=client|list ", " argv-mem=10 ", " qbuf=26 "]), "{text}");
        assert!(has(&[" user=default ", " redir=-1 ", " resp=2"]), "{text}");
        assert!(!has(&[" multi=1 ", " multi-mem=0 "]), "{text}");
        let listeners = talk.ask(0, "CLIENT LIST TYPE pubsub").text().expect("a text");
        assert_eq!(listeners.lines().count(), 1, "{listeners}");
    }
}

#[test]
fn replies_are_left_out() {
    for (_, mut talk) in Talk::both(&[]) {
        talk.send(0, "CLIENT REPLY SKIP");
        talk.send(0, "SET a 1");
        assert_eq!(talk.ask(0, "GET a"), Reply::Bulk(b"1".to_vec()));
        talk.send(0, "CLIENT REPLY OFF");
        talk.send(0, "SET a 2");
        talk.send(0, "nonsense");
        talk.send(0, "CLIENT REPLY SKIP");
        talk.send(0, "GET a");
        assert_eq!(talk.ask(0, "CLIENT REPLY ON"), ok());
        assert_eq!(talk.ask(0, "GET a"), Reply::Bulk(b"2".to_vec()));
        talk.send(0, "CLIENT REPLY SKIP");
        talk.send(0, "CLIENT REPLY SKIP");
        talk.send(0, "SET a 3");
        assert_eq!(talk.ask(0, "GET a"), Reply::Bulk(b"3".to_vec()));
    }
}

#[test]
fn clients_that_take_too_much_are_ended() {
    for (_, mut talk) in Talk::both(&[]) {
        talk.ask(0, "CLIENT NO-EVICT ON");
        talk.ask(1, "MULTI");
        let large = "x".repeat(1 << 20);
        for _ in 0..4 {
            talk.ask(1, &format!("SET k {large}"));
        }
        assert_eq!(talk.ask(0, "CONFIG SET maxmemory-clients 2mb"), ok());
        crate::talk::until("a client is evicted", || {
            let text = talk.ask(0, "INFO stats").text().expect("a text");
            text.contains("\r\nevicted_clients:1\r\n")
        });
        assert!(talk.is_closed(1));
        assert_eq!(talk.ask(0, "PING"), Reply::Status("PONG".to_owned()));
    }
}
