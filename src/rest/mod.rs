//! The REST door: the Upstash dialect over HTTP, and rate limits over HTTP.
//!
//! In reading order: `connection` drives a socket (`http2` another kind of it), `wire` is that
//! socket and `pulse` how long it may be silent; `plain` answers what clients send nearly always,
//! and hyper reads the rest; `caller` takes requests apart, by their `route`, and has commands run,
//! `batch` does so for pipelines and transactions, `limits` for rate limits, `once` for requests
//! that may come again; `events` sends messages as they come. `asked`, `path`, `json` and `body`
//! read requests; `access` looks at tokens, `load` at how much there is to do; `reply`, `answer`
//! and `refusal` write what comes back; `health` and `metrics` speak to those who watch.
//!
//! Commands write their JSON straight into the response; no tree stands in between.
//!
//! *Invariant*: no token appears in a log line, an error or a statistic, and so no path does.
//!
//! Left out on purpose: a router. In this dialect the path *is* the command, and the few fixed
//! names are one `match`; axum's router in its place made each request cost a quarter more of the
//! server's CPU (3.6 against 4.7 us, an empty handler under wrk).

mod access;
mod answer;
mod asked;
mod batch;
mod body;
mod caller;
pub mod connection;
mod elsewhere;
mod events;
pub mod fuzz;
pub mod health;
mod http2;
mod json;
pub mod limits;
pub mod load;
pub mod metrics;
mod once;
mod path;
mod plain;
mod pulse;
mod refusal;
pub mod reply;
mod route;
mod wire;

pub(crate) use refusal::passes;

/// What a connection is told for which there is no room.
pub const FULL: &str = "HTTP/1.1 503 Service Unavailable\r\n\
content-type: application/json; charset=utf-8\r\ncontent-length: 51\r\nretry-after: 1\r\nconnection: close\r\n\r\n\
{\"error\":\"ERR max concurrent connections exceeded\"}";
