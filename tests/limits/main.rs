//! Limits by number and by time: how many clients, how long silent, how much memory, from where.
//!
//! Time is only ever waited for, never measured: a test that waits in vain fails after long.
//! Left out on purpose: what single requests may cost, which is in `hostile`.

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod eviction;
mod memory;

use std::fmt;
use std::time::Duration;

use support::reply::Reply;
use support::resp::Connection;
use support::server::{Program, Server, pause};

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

/// How often something is looked for that comes in its own time; a tenth of a second apart.
const ATTEMPTS: usize = 300;

fn start(options: &[&str]) -> Result<Server, Failure> {
    let options: Vec<String> = options.iter().map(ToString::to_string).collect();
    Ok(Server::start(Program::Eave, &options)?)
}

/// Fails unless `got` is `wanted`.
fn must_be(got: &Reply, wanted: &Reply, what: &str) -> Outcome {
    if got == wanted {
        return Ok(());
    }
    Err(Failure(format!("{what}: {got} instead of {wanted}")))
}

fn ok() -> Reply {
    Reply::Status("OK".to_owned())
}

/// The text that a command answers.
fn text(connection: &mut Connection, args: &[&str]) -> Result<String, Failure> {
    let reply = connection.call(args)?;
    reply.text().ok_or_else(|| Failure(format!("{args:?} answered {reply}")))
}

fn wait_for(otherwise: &str, mut holds: impl FnMut() -> Result<bool, Failure>) -> Outcome {
    for _ in 0..ATTEMPTS {
        if holds()? {
            return Ok(());
        }
        pause(Duration::from_millis(100));
    }
    Err(Failure(otherwise.to_owned()))
}
