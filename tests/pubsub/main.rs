//! Publish and subscribe, and keyspace notifications: the same conversation with Eave and with
//! redis-server, the same messages.

#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

mod events;
mod limits;
mod messages;
