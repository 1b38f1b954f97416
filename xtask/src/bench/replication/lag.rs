//! How far a replica is behind while 50,000 writes a second come in: from the moment in which a
//! message is sent to the leader, behind fifty writes, until the replica gives it to who listens
//! there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Cores, Subject, follow, lead, p99, row, wait_for};
use crate::process;

/// Writes of one batch, and the time from one batch to the next.
const BATCH: u64 = 50;
const EVERY: Duration = Duration::from_millis(1);

/// Batches before those that are measured.
const WARM_UP: usize = 500;

/// One round's figures, in milliseconds.
pub(super) struct Sample {
    p50_ms: f64,
    p99_ms: f64,
    /// Thousands of writes in a second, as they really came.
    rate: f64,
}

/// Measures one pair for so many seconds.
#[expect(clippy::cast_precision_loss, reason = "writes stay far below 2^53")]
pub(super) fn sample(subject: &Subject, cores: &Cores, seconds: u32) -> Result<Sample> {
    let leader = lead(subject, cores)?;
    let replica = follow(subject, cores, leader.port)?;
    wait_for(&replica, "master_link_status", "up")?;
    let batches = WARM_UP + seconds as usize * 1000;
    let listener = listen(replica.connect()?)?;
    let writer = leader.connect()?;
    let replies = writer.try_clone()?;
    let (sent, heard) = std::thread::scope(|scope| {
        let drained = scope.spawn(|| drain(replies, batches));
        let heard = scope.spawn(|| hear(listener, batches));
        let sent = write(writer, batches);
        let panicked = |_| anyhow::anyhow!("a thread panicked");
        drained.join().map_err(panicked)??;
        anyhow::Ok((sent?, heard.join().map_err(panicked)??))
    })?;
    let took = sent.last().context("nothing was sent")?.duration_since(sent[WARM_UP]);
    let times = sent.iter().zip(&heard).skip(WARM_UP);
    let mut times: Vec<f64> =
        times.map(|(sent, heard)| heard.duration_since(*sent).as_secs_f64() * 1000.0).collect();
    times.sort_by(f64::total_cmp);
    let p50_ms = times.get(times.len() / 2).copied().context("nothing was heard")?;
    let rate = (batches - WARM_UP - 1) as f64 * BATCH as f64 / took.as_secs_f64() / 1000.0;
    Ok(Sample { p50_ms, p99_ms: p99(times)?, rate })
}

/// Writes batch after batch at their time; answers when each went.
fn write(mut stream: TcpStream, batches: usize) -> Result<Vec<Instant>> {
    let mut sent = Vec::with_capacity(batches);
    let mut next = process::now();
    let mut number = 0_u64;
    for _ in 0..batches {
        let mut bytes = Vec::new();
        for _ in 0..BATCH {
            number += 1;
            let key = number * 7919 % 100_000;
            bytes.extend_from_slice(
                format!("*3\r\n$3\r\nSET\r\n$16\r\nkey:{key:012}\r\n$32\r\n{number:032}\r\n")
                    .as_bytes(),
            );
        }
        bytes.extend_from_slice(b"*3\r\n$7\r\nPUBLISH\r\n$4\r\ntick\r\n$1\r\nx\r\n");
        process::pause(next.saturating_duration_since(process::now()));
        sent.push(process::now());
        stream.write_all(&bytes)?;
        next += EVERY;
    }
    Ok(sent)
}

/// Reads the replies to all that is written.
fn drain(stream: TcpStream, batches: usize) -> Result<()> {
    let mut replies = BufReader::new(stream);
    let mut line = Vec::new();
    for _ in 0..batches as u64 * (BATCH + 1) {
        line.clear();
        replies.read_until(b'\n', &mut line)?;
        if !matches!(line.first(), Some(b'+' | b':')) {
            bail!("the leader answered {}", line.escape_ascii());
        }
    }
    Ok(())
}

fn listen(mut stream: TcpStream) -> Result<TcpStream> {
    let subscribed = b"*3\r\n$9\r\nsubscribe\r\n$4\r\ntick\r\n:1\r\n";
    stream.write_all(b"SUBSCRIBE tick\r\n")?;
    let mut reply = vec![0; subscribed.len()];
    stream.read_exact(&mut reply)?;
    if reply != subscribed {
        bail!("the replica answered {}", reply.escape_ascii());
    }
    Ok(stream)
}

/// Answers when each message came.
fn hear(mut stream: TcpStream, batches: usize) -> Result<Vec<Instant>> {
    let length = b"*3\r\n$7\r\nmessage\r\n$4\r\ntick\r\n$1\r\nx\r\n".len();
    let mut heard = Vec::with_capacity(batches);
    let (mut buffer, mut bytes) = (vec![0; 64 * 1024], 0);
    while heard.len() < batches {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            bail!("the replica hung up");
        }
        let now = process::now();
        bytes += read;
        heard.resize(heard.len().max(bytes / length), now);
    }
    Ok(heard)
}

/// The figures as rows.
pub(super) fn rows(ours: &[Sample], theirs: &[Sample]) -> String {
    row("lag at 50,000 writes a second: p99, ms", ours, theirs, |s| s.p99_ms, "under 5 ms")
        + &row("its p50, ms", ours, theirs, |s| s.p50_ms, "")
        + &row("thousands of writes that came in a second", ours, theirs, |s| s.rate, "50")
}
