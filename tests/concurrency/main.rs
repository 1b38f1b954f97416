//! Many clients at once: what must hold whoever comes first.
//!
//! Each test has a server of its own and a few clients on threads of their own, and checks what
//! is true of every order in which they can be served. How long it takes is nobody's business;
//! a client that is not answered at all within the time of its socket fails the test.
//!
//! Left out on purpose: the schedules themselves. They are the machine's, so a failure may not
//! come again at once; `EAVE_SEED` repeats what the clients choose.

#[path = "../support/mod.rs"]
mod support;

mod bank;
mod iteration;
mod limiter;
mod load;
mod script;
mod stop;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use support::reply::Reply;
use support::resp::Connection;
use support::server::{Program, Server};

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

fn start() -> Result<Server, Failure> {
    Ok(Server::start(Program::Eave, &[])?)
}

/// splitmix64.
struct Random(u64);

impl Random {
    /// Numbers for one of several clients.
    fn of(client: usize) -> Random {
        let seed = std::env::var("EAVE_SEED").ok().and_then(|text| text.parse().ok());
        Random(seed.unwrap_or(2026_u64).wrapping_add((client as u64) << 32))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// A command, and the integer that it must answer.
fn integer(client: &mut Connection, args: &[&str]) -> Result<i64, String> {
    match client.call(args)? {
        Reply::Integer(number) => Ok(number),
        other => Err(format!("{args:?} answered {other}")),
    }
}

/// A command that must not fail.
fn call(client: &mut Connection, args: &[&str]) -> Result<Reply, String> {
    match client.call(args)? {
        reply @ (Reply::Error(_) | Reply::Closed) => Err(format!("{args:?} answered {reply}")),
        reply => Ok(reply),
    }
}

/// The number that a string reply is; none is 0.
fn number(reply: &Reply) -> Result<i64, String> {
    match reply {
        Reply::Nil => Ok(0),
        other => other
            .text()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| format!("no number: {other}")),
    }
}

/// Runs `client` on so many threads, each with a connection of its own, and `meanwhile` on one
/// more until they are done. The first failure is the test's.
fn together(
    server: &Server,
    clients: usize,
    client: impl Fn(usize, &mut Connection) -> Result<(), String> + Sync,
    meanwhile: impl FnOnce(&mut Connection, &dyn Fn() -> bool) -> Result<(), String> + Send,
) -> Outcome {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut connection = server.connect()?;
            meanwhile(&mut connection, &|| done.load(Ordering::Acquire))
        });
        let running: Vec<_> = (0..clients)
            .map(|number| {
                let client = &client;
                scope.spawn(move || client(number, &mut server.connect()?))
            })
            .collect();
        let mut outcome = Ok(());
        for thread in running {
            let ended = thread.join().unwrap_or_else(|_| Err("a client panicked".to_owned()));
            outcome = outcome.and(ended);
        }
        done.store(true, Ordering::Release);
        outcome.and(watching.join().unwrap_or_else(|_| Err("the watcher panicked".to_owned())))
    })?;
    Ok(())
}

/// Nobody watches.
fn nothing(_: &mut Connection, _: &dyn Fn() -> bool) -> Result<(), String> {
    Ok(())
}
