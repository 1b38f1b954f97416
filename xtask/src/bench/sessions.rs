//! What connections cost: memory while they are idle, and time when a message is for all of them.
//!
//! Idle connections have each asked two things before, so that whatever a server sets up for a
//! client has been set up. In the fan-out one publisher sends messages to a thousand who listen, a
//! few at once, and waits until everybody has them; what is read is counted, not looked at.
//!
//! Left out on purpose: slow listeners, which a test holds.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, Result, bail};
use indicatif::ProgressBar;

use super::Pair;
use super::cores::Cores;
use super::cpu;
use super::subject::{Running, Subject};
use crate::process;

/// Idle connections.
pub(super) const IDLE: usize = 10_000;

/// Who listens.
const LISTENERS: usize = 1_000;

/// Messages that are sent at once.
pub(super) const AT_ONCE: [usize; 2] = [1, 16];

/// Bytes of a message.
const BYTES: usize = 64;

/// Files that this process and a server may have open.
const FILES: u64 = 20_000;

/// One fan-out on one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fanned {
    /// Messages that reached a listener, in a second.
    pub(super) per_second: f64,
    /// The server's CPU for one of them, in microseconds.
    pub(super) cpu_us: f64,
}

/// What both servers came to.
pub(super) struct Measured {
    /// Bytes of an idle connection: Eave's and redis-server's.
    pub(super) idle: [f64; 2],
    /// For each of `AT_ONCE`, round by round: Eave's and redis-server's.
    pub(super) fanned: Vec<[Vec<Fanned>; 2]>,
}

/// Measures both.
///
/// # Errors
/// When a server does not start or breaks off, or too few files may be open.
pub(super) fn measure(
    rounds: u32,
    seconds: u32,
    cores: &Cores,
    pair: &Pair,
    progress: &ProgressBar,
) -> Result<Measured> {
    let files = rlimit::increase_nofile_limit(FILES).context("the limit of open files")?;
    if files < IDLE as u64 + 100 {
        bail!("{files} files may be open, and {IDLE} connections are to be");
    }
    let one = |subject: &Subject| {
        let bytes = idle(subject, cores);
        progress.inc(1);
        bytes
    };
    let idle = [one(&pair.eave)?, one(&pair.redis)?];
    let mut fanned = Vec::new();
    for at_once in AT_ONCE {
        let mut both = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (subject, samples) in [&pair.eave, &pair.redis].into_iter().zip(&mut both) {
                progress.set_message(format!("{LISTENERS} listeners, {at_once} at once"));
                samples.push(fan_out(subject, cores, at_once, seconds)?);
                progress.inc(1);
            }
        }
        fanned.push(both);
    }
    Ok(Measured { idle, fanned })
}

/// How many measurements that takes.
pub(super) fn count(rounds: u32) -> usize {
    2 + AT_ONCE.len() * rounds as usize * 2
}

#[expect(clippy::cast_precision_loss, reason = "bytes stay far below 2^53")]
fn idle(subject: &Subject, cores: &Cores) -> Result<f64> {
    let server = start(subject, cores)?;
    // The first few make the server set up what is not a connection's own.
    let mut held = Vec::with_capacity(IDLE + 100);
    for _ in 0..100 {
        held.push(used(&server)?);
    }
    let before = cpu::resident_bytes(server.pid())?;
    for _ in 0..IDLE {
        held.push(used(&server)?);
    }
    let after = cpu::resident_bytes(server.pid())?;
    Ok(after.saturating_sub(before) as f64 / IDLE as f64)
}

fn start(subject: &Subject, cores: &Cores) -> Result<Running> {
    subject.start_with(cores, &["--maxclients", "15000"])
}

/// A connection that has asked two things.
fn used(server: &Running) -> Result<TcpStream> {
    let mut stream = server.connect()?;
    call(&mut stream, b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n")?;
    call(&mut stream, b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n", b"+OK\r\n")?;
    Ok(stream)
}

fn call(stream: &mut TcpStream, request: &[u8], wanted: &[u8]) -> Result<()> {
    stream.write_all(request)?;
    let mut reply = vec![0; wanted.len()];
    stream.read_exact(&mut reply)?;
    if reply != wanted {
        bail!("another reply than expected: {}", String::from_utf8_lossy(&reply));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "messages stay far below 2^53")]
fn fan_out(subject: &Subject, cores: &Cores, at_once: usize, seconds: u32) -> Result<Fanned> {
    let server = start(subject, cores)?;
    let mut listeners = Vec::with_capacity(LISTENERS);
    for _ in 0..LISTENERS {
        let mut stream = server.connect()?;
        let subscribed = b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n";
        call(&mut stream, b"*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nnews\r\n", subscribed)?;
        listeners.push(stream);
    }
    let mut publisher = server.connect()?;
    let text = "x".repeat(BYTES);
    let publish = format!("*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n${BYTES}\r\n{text}\r\n");
    let message = format!("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n${BYTES}\r\n{text}\r\n");
    let (publish, told) = (publish.repeat(at_once), format!(":{LISTENERS}\r\n").repeat(at_once));
    let mut heard = vec![0; message.len() * at_once];
    let mut round = || {
        call(&mut publisher, publish.as_bytes(), told.as_bytes())?;
        for listener in &mut listeners {
            listener.read_exact(&mut heard)?;
        }
        anyhow::Ok(())
    };
    // The first ones find cold caches.
    (0..20).try_for_each(|_| round())?;
    let (cpu, begun) = (cpu::nanoseconds(server.pid())?, process::now());
    let mut messages = 0;
    while begun.elapsed().as_secs() < u64::from(seconds) {
        round()?;
        messages += LISTENERS * at_once;
    }
    let (spent, took) = (cpu::nanoseconds(server.pid())?.saturating_sub(cpu), begun.elapsed());
    Ok(Fanned {
        per_second: messages as f64 / took.as_secs_f64(),
        cpu_us: spent as f64 / messages as f64 / 1000.0,
    })
}
