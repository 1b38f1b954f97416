//! Gateways that ask Eave before they let a request pass: nginx with auth_request, and whoever speaks
//! Envoy's protocol.
//!
//! nginx is Debian's; where it is missing the test fails and says `could not run`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod envoy;
mod nginx;

use support::server::{Program, Server};

/// A server with further options.
fn start(options: &[&str]) -> Server {
    let options: Vec<String> = options.iter().map(ToString::to_string).collect();
    Server::start(Program::Eave, &options).unwrap()
}
