//! The RDB format against the real thing: files and payloads to and from redis-server 7.0.
//!
//! Each test starts a redis-server of its own on a unix socket in a directory of its own, so
//! tests neither share a port nor a file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what fails here fails a test"
)]

mod data;
mod files;
mod lists;
mod payloads;
mod server;
mod sorted_sets;
mod streams;
