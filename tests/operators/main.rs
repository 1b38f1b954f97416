//! What operators and monitoring agents ask, with several clients: the same conversation with
//! Eave and with redis-server, the same answers.

#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

mod cli;
mod counts;
mod digest;
mod kill;
mod monitor;
mod pause;
mod rewrite;
mod rules;
mod shutdown;
mod slowlog;
mod talk;
