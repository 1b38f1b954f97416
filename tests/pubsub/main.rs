//! Publish and subscribe, and keyspace notifications: the same conversation with Eave and with
//! redis-server, the same messages.

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod support;

mod events;
mod limits;
mod messages;
