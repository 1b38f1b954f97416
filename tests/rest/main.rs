//! The REST door against raw HTTP: every form, header, status and limit, on the running binary.
//!
//! Commands themselves are not tested here; tests/commands runs them over this door too. Left out
//! on purpose: malformed requests by the dozen, which tests/hostile has, and real clients, which
//! tests/clients has.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod batches;
mod client;
mod connections;
mod events;
mod forms;
mod headers;
mod limits;
mod malformed;
mod observe;
mod once;
mod plain;
mod take;

use support::server::{Program, Server};

/// A server with further options.
fn start(options: &[&str]) -> Server {
    let options: Vec<String> = options.iter().map(ToString::to_string).collect();
    Server::start(Program::Eave, &options).unwrap()
}
