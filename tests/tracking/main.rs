//! Client-side caching: the same conversations with Eave and with redis-server, the same
//! messages at the same places.

#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

mod broadcast;
mod conversation;
mod invalidation;
mod redirection;
mod table;
