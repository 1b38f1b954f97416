//! The doors: TLS, the socket of this machine, addresses, and what a client may leave unread.

#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

mod addresses;
mod authority;
mod http2;
mod output;
mod talk;
mod tls;
mod unix;
