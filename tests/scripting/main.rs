//! Scripts that take long, scripts that mean harm, and the libraries of scripts against those of
//! redis-server.

#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

mod busy;
mod hostile;
mod library;

use support::reply::Reply;
use support::resp::Connection;
use support::server::{Program, Server};

/// Starts a server with these options, separated by blanks.
fn start(program: Program, options: &str) -> Server {
    let options: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
    Server::start(program, &options).expect("the server starts")
}

fn connect(server: &Server) -> Connection {
    server.connect().expect("the server answers")
}

fn call(client: &mut Connection, args: &[&str]) -> Reply {
    client.call(args).unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

/// The text of an error that must be one.
fn refusal(client: &mut Connection, args: &[&str]) -> String {
    match call(client, args) {
        Reply::Error(text) => text,
        other => panic!("{args:?} answered {other}"),
    }
}
