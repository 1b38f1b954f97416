//! Users and their rights: what takes several users, several doors, files, or redis-server beside
//! Eave. What one connection can show stands in `tests/commands/acl_*.txt`.

#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

mod connections;
mod doors;
mod files;
mod rest;
mod rules;

use support::reply::Reply;
use support::resp::Connection;

/// Sends the words of `line`, and answers the reply as text.
fn ask(connection: &mut Connection, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    tell(connection, &words)
}

/// Likewise, with the words apart.
fn tell<A: AsRef<[u8]>>(connection: &mut Connection, words: &[A]) -> String {
    connection.call(words).expect("the server answers").to_string()
}

/// The texts of an array, or of a set.
fn texts(reply: &Reply) -> Vec<String> {
    match reply {
        Reply::Array(items) | Reply::Set(items) => items.iter().filter_map(Reply::text).collect(),
        other => panic!("no array: {other}"),
    }
}
