//! How quickly one who waits is served: from LPUSH to the reply of a BLPOP that was there before.
//!
//! One thread drives both connections, so the figures hold no switch between threads of the
//! load. It runs on the load's core, and the server alone on the other.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;

use super::cores::Cores;
use super::subject::{Running, Subject};
use super::{Pair, cpu};
use crate::process;

/// Hand-overs of one second of measurement, about.
const A_SECOND: u32 = 10_000;

/// Hand-overs before those that are measured.
const WARM_UP: u32 = 1000;

/// One round's figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// The server's CPU time for BLPOP, LPUSH and a PING, in microseconds.
    pub(super) cpu_us: f64,
}

/// Both servers, round by round.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) eave: Vec<Sample>,
    pub(super) redis: Vec<Sample>,
}

/// Measures both servers in each round, taking turns.
///
/// # Errors
/// When a server does not start, or answers something else.
pub(super) fn measure(
    (rounds, seconds): (u32, u32),
    cores: &Cores,
    pair: &Pair,
    progress: &ProgressBar,
) -> Result<Measured> {
    let mut measured = Measured::default();
    let count = A_SECOND.saturating_mul(seconds);
    pin(&cores.load.to_string())?;
    for round in 0..rounds {
        let mut turns = [(&pair.eave, &mut measured.eave), (&pair.redis, &mut measured.redis)];
        if round % 2 == 1 {
            turns.reverse();
        }
        for (subject, samples) in turns {
            progress.set_message("hand-over");
            samples.push(sample(subject, cores, count)?);
            progress.inc(1);
        }
    }
    pin(&format!("{},{}", cores.server, cores.load))?;
    Ok(measured)
}

/// Has this process run on `cores` only.
///
/// # Errors
/// When `taskset` fails.
pub(super) fn pin(cores: &str) -> Result<()> {
    let id = std::process::id().to_string();
    let mut command = Command::new("taskset");
    command.args(["-a", "-c", "-p", cores, &id]).stdout(Stdio::null());
    process::run(&mut command)
}

fn sample(subject: &Subject, cores: &Cores, count: u32) -> Result<Sample> {
    let server = subject.start(cores)?;
    let mut pair = Hands { takes: server.connect()?, gives: server.connect()? };
    for _ in 0..WARM_UP {
        pair.hand_over()?;
    }
    let before = cpu::nanoseconds(server.pid())?;
    let mut times = (0..count).map(|_| pair.hand_over()).collect::<Result<Vec<f64>>>()?;
    let cpu_us = spent_us(&server, before, count)?;
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().context("no time");
    Ok(Sample { p50_us: at(50)?, p99_us: at(99)?, cpu_us })
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds stay far below 2^53")]
fn spent_us(server: &Running, before: u64, count: u32) -> Result<f64> {
    let spent = cpu::nanoseconds(server.pid())?.saturating_sub(before);
    Ok(spent as f64 / f64::from(count) / 1000.0)
}

/// Who waits, and who serves.
struct Hands {
    takes: TcpStream,
    gives: TcpStream,
}

impl Hands {
    /// One hand-over; answers how long it took, in microseconds.
    fn hand_over(&mut self) -> Result<f64> {
        self.takes.write_all(b"*3\r\n$5\r\nBLPOP\r\n$1\r\nq\r\n$1\r\n0\r\n")?;
        // Once this is answered, what was sent before has been read too.
        self.gives.write_all(b"*1\r\n$4\r\nPING\r\n")?;
        expect(&mut self.gives, b"+PONG\r\n")?;
        let begun = process::now();
        self.gives.write_all(b"*3\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n$1\r\nx\r\n")?;
        expect(&mut self.takes, b"*2\r\n$1\r\nq\r\n$1\r\nx\r\n")?;
        let taken = begun.elapsed();
        expect(&mut self.gives, b":1\r\n")?;
        Ok(taken.as_secs_f64() * 1e6)
    }
}

fn expect(stream: &mut TcpStream, wanted: &[u8]) -> Result<()> {
    let mut got = vec![0; wanted.len()];
    stream.read_exact(&mut got)?;
    if got != wanted {
        bail!("{:?} instead of {:?}", got.escape_ascii(), wanted.escape_ascii());
    }
    Ok(())
}
