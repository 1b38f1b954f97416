//! Clients that wait, many at once: what scripts of commands (`commands/waiting.txt`) cannot show.

#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

mod idle;
mod replicas;
mod stress;

use std::time::Duration;

use support::reply::Reply;
use support::resp::Connection;
use support::server::{Server, pause};

/// Looks at something that must come true, with a pause of 10 ms after each.
const LOOKS: usize = 3000;

/// Waits until a field of INFO is as wanted.
fn until(
    connection: &mut Connection,
    section: &str,
    field: &str,
    wanted: impl Fn(&str) -> bool,
) -> String {
    for _ in 0..LOOKS {
        let info = connection.call(&["INFO", section]).expect("the server answers");
        let text = info.text().expect("INFO is a text");
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let value = value.unwrap_or_default();
        if wanted(value) {
            return value.to_owned();
        }
        pause(Duration::from_millis(10));
    }
    panic!("{field} does not become what it should");
}

/// Waits until so many clients wait.
fn until_blocked(connection: &mut Connection, count: usize) {
    until(connection, "clients", "blocked_clients", |value| value == count.to_string());
}

fn connect(server: &Server) -> Connection {
    server.connect().expect("the server answers")
}

fn call(connection: &mut Connection, line: &str) -> Reply {
    let words: Vec<&str> = line.split(' ').collect();
    connection.call(&words).expect("the server answers")
}

fn send(connection: &mut Connection, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    connection.send_raw(&support::resp::encode(&words)).expect("the server takes it");
}

fn hear(connection: &mut Connection) -> Reply {
    connection.receive().expect("the server answers")
}
