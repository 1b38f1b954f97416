//! Bad input: what a client may send, and what it may not cost the others.
//!
//! Raw bytes against the server's sockets. Where redis-server can be asked the same, it is, so
//! that the words are Redis' own: tests under `redis` and `eave` run the same code. Every test
//! has a server of its own and ends by asking it, on another connection, whether it still
//! answers.
//!
//! Left out on purpose: limits by time (a silent client is cut some day), which would take as
//! long to test; and the request decoder's own properties, which are tested where it is.

#[path = "../support/mod.rs"]
mod support;

mod http;
mod load;
mod protocol;
mod raw;

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
