//! MONITOR: the same lines, but for time and port.

use crate::support::reply::Reply;
use crate::support::server::Program;
use crate::talk::{Talk, until};

/// A line without what differs from run to run.
fn plain(reply: &Reply) -> String {
    let text = reply.text().unwrap_or_else(|| panic!("a line: {reply:?}"));
    let (time, rest) = text.split_once(' ').expect("a time");
    assert!(time.len() > 10 && time.chars().all(|c| c.is_ascii_digit() || c == '.'), "{text}");
    let (head, words) = rest.split_once("] ").expect("an address");
    let (db, address) = head.split_once(' ').expect("a database");
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    format!("{db} {host}] {words}")
}

fn lines(program: Program) -> Vec<String> {
    let mut talk = Talk::with(program, &["--requirepass", "s3cret"]);
    talk.ask(0, "AUTH s3cret");
    talk.ask(1, "MONITOR");
    for line in [
        "SET a 1",
        "GET",
        "nonsense",
        "CONFIG GET port",
        "CONFIG SET requirepass s3cret",
        "AUTH wrong",
        "AUTH default s3cret",
        "HELLO 2 AUTH default s3cret SETNAME n",
        "MULTI",
        "SET b 2",
        "INCR a",
        "EXEC",
        "SELECT 3",
        "LPUSH a x",
        "TYPE a",
        "CLIENT GETNAME",
        "CLIENT LIST",
        "PUBLISH c m",
        "EXEC",
        "PING",
    ] {
        talk.ask(0, line);
    }
    let odd: &[&[u8]] = &[b"SET", b"\x00\xff\r\n\t\x07\x08\"\\ ~", "\u{e9}".as_bytes()];
    talk.connection(0).call(odd).expect("the server answers");
    talk.ask(0, "ECHO last");
    let mut lines = Vec::new();
    while !lines.last().is_some_and(|line: &String| line.ends_with("\"last\"")) {
        lines.push(plain(&talk.hear(1)));
    }
    lines
}

#[test]
fn lines_are_those_of_redis() {
    let (eave, redis) = (lines(Program::Eave), lines(Program::Redis));
    assert_eq!(eave, redis);
    assert!(!eave.iter().any(|line| line.contains("s3cret") || line.contains("wrong")));
}

#[test]
fn who_watches_may_stop() {
    for (_, mut talk) in Talk::both(&[]) {
        talk.ask(1, "MONITOR");
        // To say so twice is not answered.
        talk.send(1, "MONITOR");
        talk.ask(0, "SET a 1");
        talk.hear(1);
        assert_eq!(talk.ask(1, "RESET"), Reply::Status("RESET".to_owned()));
        talk.ask(0, "SET a 2");
        assert!(talk.is_silent(1));
        assert_eq!(talk.ask(1, "GET a"), Reply::Bulk(b"2".to_vec()));
    }
}

#[test]
fn what_comes_over_rest_is_seen() {
    let mut talk = Talk::with(Program::Eave, &[]);
    talk.ask(1, "MONITOR");
    let rest = talk.server.rest.expect("a REST door");
    let token = crate::support::server::REST_TOKEN;
    let mut http = crate::support::http::Client::new(rest, token);
    http.call(&["SET", "k", "v"]).expect("the server answers");
    assert!(plain(&talk.hear(1)).ends_with("\"SET\" \"k\" \"v\""));
}

#[test]
fn who_does_not_read_is_cut() {
    let mut talk =
        Talk::with(Program::Eave, &["--client-output-buffer-limit", "normal", "100kb", "0", "0"]);
    talk.ask(1, "MONITOR");
    // Unread lines fill the kernel's buffers first, and then ours.
    let word = "x".repeat(90_000);
    until("the monitor is cut", || {
        for _ in 0..100 {
            talk.ask(0, &format!("ECHO {word}"));
        }
        let text = talk.ask(0, "INFO clients").text().expect("a text");
        text.contains("monitoring_clients:0")
    });
}
