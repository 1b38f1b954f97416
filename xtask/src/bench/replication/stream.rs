//! The leader's CPU while 200,000 writes go to two replicas, and without replicas.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Result, bail};

use super::super::cpu;
use super::{Cores, Running, Subject, follow, lead, row, wait_for};
use crate::process;

/// Writes of one measurement.
const WRITES: u32 = 200_000;

/// One round's figures, in microseconds of the leader's CPU for one write.
pub(super) struct Sample {
    /// Alone.
    alone_us: f64,
    /// With two replicas.
    followed_us: f64,
}

/// Measures one leader; both replicas are `replicas`.
pub(super) fn sample(subject: &Subject, replicas: &Subject, cores: &Cores) -> Result<Sample> {
    let leader = lead(subject, cores)?;
    // What the leader holds has its final size from here on.
    write(&leader, cores)?;
    let alone_us = write(&leader, cores)?;
    let replicas = [follow(replicas, cores, leader.port)?, follow(replicas, cores, leader.port)?];
    for replica in &replicas {
        wait_for(replica, "master_link_status", "up")?;
    }
    write(&leader, cores)?;
    let followed_us = write(&leader, cores)?;
    Ok(Sample { alone_us, followed_us })
}

/// Has redis-benchmark write, and waits until all who follow have it.
fn write(leader: &Running, cores: &Cores) -> Result<f64> {
    let mut command = Cores::pinned(cores.load, Path::new("redis-benchmark"));
    command.args(["-h", "127.0.0.1", "-p", &leader.port.to_string(), "--csv", "-t", "set"]);
    command.args(["-n", &WRITES.to_string(), "-c", "50", "-P", "16", "-r", "100000", "-d", "32"]);
    let followers = super::info(leader, "connected_slaves")?;
    let before = cpu::nanoseconds(leader.pid())?;
    process::read(&mut command)?;
    let mut stream = BufReader::new(leader.connect()?);
    // The last of the load's connections are gone by now, so this waits for what they wrote: the
    // connection writes once itself.
    stream.get_mut().write_all(format!("SET last 1\r\nWAIT {followers} 20000\r\n").as_bytes())?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    line.clear();
    stream.read_line(&mut line)?;
    if line.trim() != format!(":{followers}") {
        bail!("of {followers} replicas of {}, {line} have everything", leader.name());
    }
    let spent = cpu::nanoseconds(leader.pid())?.saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds stay far below 2^53")]
    Ok(spent as f64 / 1000.0 / f64::from(WRITES))
}

/// The figures as rows.
pub(super) fn rows(ours: &[Sample], theirs: &[Sample]) -> String {
    let of = |sample: &Sample| sample.followed_us;
    let name = "200,000 SETs to two replicas: the leader's CPU, µs/write";
    let alone = row("the same without replicas", ours, theirs, |sample| sample.alone_us, "");
    row(name, ours, theirs, of, "at most 0.7") + &alone
}
