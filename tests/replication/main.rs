//! Leaders and replicas as processes: what a replica holds, and when.
//!
//! Eave follows Eave, redis-server follows Eave, Eave follows redis-server. Both sides are asked
//! what they hold and compared key by key. A proxy between them is cut to break the link.
//! Nothing waits for a time: tests wait for what INFO says, and give up after long.
//!
//! Left out on purpose: the protocol's own corners, which `replication/tests` drives without
//! sockets.

#[path = "../support/mod.rs"]
mod support;

#[path = "../doors/authority.rs"]
#[allow(dead_code, reason = "the tests of doors use all of it")]
mod authority;
mod big;
mod chain;
mod cli;
mod compose;
mod copy;
mod epochs;
mod failover;
mod fields;
mod forward;
mod histories;
mod import;
mod import_refused;
mod limiter;
mod limiter_doors;
mod link;
mod packing;
mod pair;
mod proxy;
mod redis;
mod regions;
mod role;
mod script;
mod sentinel;
mod session;
mod tls;
mod writer;

use std::fmt;

/// Why a test failed; prints as plain text.
struct Failure(String);

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure(why)
    }
}

/// What a test comes to.
type Outcome = Result<(), Failure>;
