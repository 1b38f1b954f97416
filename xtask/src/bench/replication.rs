//! What links between nodes cost, beside redis-server in the same run: the leader's CPU for a
//! stream to two replicas, how quickly a replica applies, a full copy, and how far behind a
//! replica is.
//!
//! There are two cores. The server that is measured has the one to itself; on the other are the
//! load, whoever else takes part (replicas of a leader that is measured), and this process. In
//! the stream both leaders feed the same two redis-servers, and in `apply` this process is the
//! leader, so nothing but the server that is measured differs.
//!
//! Left out on purpose: distances, which `cargo xtask regions` is for.

mod apply;
mod copy;
mod lag;
mod stream;

use std::io::{BufRead, BufReader, Write};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;

use super::cores::Cores;
use super::hand_over::pin;
use super::report::middle;
use super::subject::{Kind, Running, Subject};
use super::{Options, Pair};
use crate::process;

/// Measurements of a round, on each server.
const EACH: usize = 4;

/// What one server came to, round by round.
#[derive(Default)]
struct Column {
    stream: Vec<stream::Sample>,
    apply: Vec<apply::Sample>,
    copy: Vec<copy::Sample>,
    lag: Vec<lag::Sample>,
}

/// What was measured.
#[derive(Default)]
pub(super) struct Measured {
    eave: Column,
    redis: Column,
    /// Keys of a full copy.
    keys: u64,
}

/// How many measurements that takes.
pub(super) fn count(rounds: u32) -> usize {
    rounds as usize * EACH * 2
}

/// Measures.
///
/// # Errors
/// When a server does not start, breaks off or answers something else.
pub(super) fn measure(
    options: &Options,
    cores: &Cores,
    pair: &Pair,
    progress: &ProgressBar,
) -> Result<Measured> {
    let mut measured = Measured { keys: options.keys(), ..Measured::default() };
    pin(&cores.load.to_string())?;
    for round in 0..options.rounds() {
        let mut turns = [(&pair.eave, &mut measured.eave), (&pair.redis, &mut measured.redis)];
        if round % 2 == 1 {
            turns.reverse();
        }
        let step = |name: &'static str| {
            progress.inc(1);
            progress.set_message(name);
        };
        for (subject, column) in &mut turns {
            step("stream");
            column.stream.push(stream::sample(subject, &pair.redis, cores)?);
        }
        for (subject, column) in &mut turns {
            step("apply");
            column.apply.push(apply::sample(subject, cores, options.keys())?);
        }
        for (subject, column) in &mut turns {
            step("full copy");
            column.copy.push(copy::sample(subject, cores, options.keys())?);
        }
        for (subject, column) in &mut turns {
            step("lag");
            column.lag.push(lag::sample(subject, cores, options.seconds())?);
        }
    }
    pin(&format!("{},{}", cores.server, cores.load))?;
    Ok(measured)
}

/// Starts a server on the core of the load, which follows this port.
fn follow(subject: &Subject, cores: &Cores, leader: u16) -> Result<Running> {
    let leader = leader.to_string();
    let mut options = vec!["--replicaof", "127.0.0.1", &leader];
    if subject.kind == Kind::Redis {
        // Its quickest: nothing goes by way of a file.
        options.extend(["--repl-diskless-load", "on-empty-db"]);
    }
    subject.start_on(cores.load, &options)
}

/// Starts a leader on the core of servers.
fn lead(subject: &Subject, cores: &Cores) -> Result<Running> {
    match subject.kind {
        Kind::Eave => subject.start(cores),
        // It would wait five seconds for further replicas.
        Kind::Redis => subject.start_with(cores, &["--repl-diskless-sync-delay", "0"]),
    }
}

/// A field of a server's INFO.
fn info(server: &Running, field: &str) -> Result<String> {
    let mut stream = BufReader::new(server.connect()?);
    stream.get_mut().write_all(b"INFO replication\r\n")?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let length: usize = line.trim().trim_start_matches('$').parse().context("INFO's length")?;
    let mut text = vec![0; length];
    std::io::Read::read_exact(&mut stream, &mut text)?;
    let text = String::from_utf8_lossy(&text);
    let found = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Ok(found.unwrap_or_default().to_owned())
}

/// Waits until a field of INFO has this value.
fn wait_for(server: &Running, field: &str, value: &str) -> Result<()> {
    let deadline = process::now() + std::time::Duration::from_secs(120);
    while info(server, field)? != value {
        if process::now() > deadline {
            bail!("{} of {} does not become {value}", field, server.name());
        }
        process::pause(std::time::Duration::from_millis(2));
    }
    Ok(())
}

/// The value below which 99 in 100 are; nothing of nothing.
fn p99(mut values: Vec<f64>) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) * 99 / 100).copied().context("nothing was measured")
}

/// The figures as tables.
pub(super) fn table(measured: &Measured) -> String {
    let Measured { eave, redis, keys } = measured;
    let rows = [
        stream::rows(&eave.stream, &redis.stream),
        apply::rows(&eave.apply, &redis.apply),
        copy::rows(&eave.copy, &redis.copy, *keys),
        lag::rows(&eave.lag, &redis.lag),
    ];
    format!(
        "The server that is measured has one core to itself; replicas of a leader, the load and \
         the clock are on the other.\n\n\
         | | Eave | redis-server | ratio | target |\n|---|---:|---:|---:|---:|\n{}\n",
        rows.concat()
    )
}

/// One row: a figure of each round on both, and the median of the rounds' own ratios.
fn row<S>(name: &str, ours: &[S], theirs: &[S], of: fn(&S) -> f64, target: &str) -> String {
    let median = |samples: &[S]| middle(samples.iter().map(of).collect()).unwrap_or(f64::NAN);
    let ratios = ours.iter().zip(theirs).map(|(a, b)| of(a) / of(b)).collect();
    let ratio = middle(ratios).unwrap_or(f64::NAN);
    format!(
        "| {name} | {:.2} | {:.2} | **{ratio:.2}** | {target} |\n",
        median(ours),
        median(theirs)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_medians_and_the_median_of_ratios() {
        let text = row("x", &[1.0, 4.0, 9.0], &[2.0, 4.0, 3.0], |value| *value, "at most 1");
        assert_eq!(text, "| x | 4.00 | 3.00 | **1.00** | at most 1 |\n");
        assert_eq!(p99((0..=100).map(f64::from).collect()).ok(), Some(99.0));
        assert!(p99(Vec::new()).is_err());
    }
}
