//! What the integration tests share: servers to talk to, clients to talk with, and the notation
//! of the scripts.
//!
//! In reading order: [`reply`] (what a server answers), [`resp`] and [`http`] (the clients),
//! [`server`] (starts Eave or redis-server on free ports), [`notation`] and [`expect`] (the text of
//! commands and replies), [`script`] (a file of them), [`run`] (a script over one door), [`record`]
//! (fills in missing replies from redis-server), [`check`] (tests of all this).
//!
//! Left out on purpose: pub/sub streams, TLS, and concurrency; tests of those bring their own.
#![allow(dead_code, reason = "each test binary uses its part of what they share")]

pub(crate) mod check;
pub(crate) mod expect;
pub(crate) mod http;
pub(crate) mod linear;
pub(crate) mod notation;
pub(crate) mod record;
pub(crate) mod reply;
pub(crate) mod resp;
pub(crate) mod run;
pub(crate) mod script;
pub(crate) mod server;
