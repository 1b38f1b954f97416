//! A full copy to an empty replica: how long it takes, how late GETs on the leader are answered
//! meanwhile, and what memory the leader takes for it.
//!
//! GETs are asked one after the other, a thousand in a second at most. They come from the core
//! that the replica loads the copy on, at a better priority than the replica.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};

use super::super::{cpu, fill};
use super::{Cores, Running, Subject, follow, lead, p99, row, wait_for};
use crate::process;

/// Time between two GETs.
const PAUSE: Duration = Duration::from_millis(1);

/// One round's figures.
pub(super) struct Sample {
    /// From the start of the replica until it holds everything.
    seconds: f64,
    /// 99 in 100 GETs were answered by then, in milliseconds.
    p99_ms: f64,
    /// The latest.
    max_ms: f64,
    /// The leader's CPU, with what it forks, in seconds.
    cpu_s: f64,
    /// The leader's most memory, beside what it had before.
    peak: f64,
}

/// Measures one pair of so many keys.
#[expect(clippy::cast_precision_loss, reason = "bytes and nanoseconds stay far below 2^53")]
pub(super) fn sample(subject: &Subject, cores: &Cores, keys: u64) -> Result<Sample> {
    let leader = lead(subject, cores)?;
    fill::STRINGS[0].fill(&leader, keys)?;
    let data = cpu::resident_bytes(leader.pid())?;
    cpu::forget_peak(leader.pid())?;
    let before = cpu::nanoseconds(leader.pid())?;
    let done = AtomicBool::new(false);
    let (seconds, times) = std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&leader, keys, &done));
        let begun = process::now();
        let copied = follow(subject, cores, leader.port).and_then(|replica| {
            process::run(
                std::process::Command::new("renice")
                    .args(["-n", "5", "-p"])
                    .arg(replica.pid().to_string())
                    .stdout(std::process::Stdio::null()),
            )?;
            wait_for(&replica, "master_link_status", "up")
        });
        let seconds = begun.elapsed().as_secs_f64();
        done.store(true, Ordering::Release);
        let times = asked.join().map_err(|_| anyhow::anyhow!("asking panicked"))?;
        copied?;
        anyhow::Ok((seconds, times?))
    })?;
    let spent = cpu::nanoseconds(leader.pid())?.saturating_sub(before);
    let children = cpu::children_seconds(leader.pid())?;
    Ok(Sample {
        seconds,
        max_ms: times.iter().copied().fold(0.0, f64::max),
        p99_ms: p99(times)?,
        cpu_s: spent as f64 / 1e9 + children,
        peak: cpu::peak_bytes(leader.pid())? as f64 / data as f64,
    })
}

/// Asks for key after key until it is done; answers how long each took, in milliseconds.
fn ask(leader: &Running, keys: u64, done: &AtomicBool) -> Result<Vec<f64>> {
    let mut stream = leader.connect()?;
    let mut times = Vec::new();
    let mut reply = [0; 39];
    while !done.load(Ordering::Acquire) {
        let key = times.len() as u64 * 7919 % keys;
        let begun = process::now();
        stream.write_all(format!("GET key:{key:012}\r\n").as_bytes())?;
        stream.read_exact(&mut reply)?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        if !reply.starts_with(b"$32\r\n") {
            bail!("{} answered {}", leader.name(), reply.escape_ascii());
        }
        process::pause(PAUSE);
    }
    Ok(times)
}

/// The figures as rows.
pub(super) fn rows(ours: &[Sample], theirs: &[Sample], keys: u64) -> String {
    let name = format!("full copy of {keys} keys, s");
    row(&name, ours, theirs, |sample| sample.seconds, "at most 0.7")
        + &row("the leader's CPU for it, s", ours, theirs, |sample| sample.cpu_s, "")
        + &row("p99 of GETs meanwhile, ms", ours, theirs, |sample| sample.p99_ms, "under 2 ms")
        + &row("the latest of them, ms", ours, theirs, |sample| sample.max_ms, "")
        + &row(
            "the leader's peak beside its data",
            ours,
            theirs,
            |sample| sample.peak,
            "at most 1.2",
        )
}
