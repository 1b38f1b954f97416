//! What a command costs on one collection that grows: a thousand elements, ten thousand, and
//! so on to a million.
//!
//! A command that is logarithmic takes a little more with each step, one that is linear ten
//! times as much. Each figure is the server's CPU time, on a collection that was filled
//! anew, pipelined, so that the sockets cost the least.
//!
//! Left out on purpose: small collections. They are lists in one allocation, where all is
//! linear by design.

use anyhow::Result;
use indicatif::ProgressBar;

use super::Pair;
use super::cores::Cores;
use super::subject::Subject;
use super::{cpu, fill};

/// Commands of one measurement: few enough that a thousand elements stay about that.
const COMMANDS: u64 = 4_000;

/// How many elements the collection has.
pub(super) const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// One command, and the collection that it works on.
struct Operation {
    name: &'static str,
    /// Adds the element of a number.
    fill: fn(u64) -> Vec<String>,
    /// The command of a number, on a collection of a size.
    command: fn(u64, u64) -> Vec<String>,
}

const OPERATIONS: [Operation; 5] = [
    Operation { name: "ZADD, a new score", fill: zadd, command: new_score },
    Operation { name: "ZRANK", fill: zadd, command: zrank },
    Operation { name: "LINSERT near the head", fill: rpush, command: linsert },
    Operation { name: "SPOP and SADD in turn", fill: sadd, command: spop },
    Operation { name: "XADD", fill: xadd, command: |number, _| xadd(number) },
];

/// How many measurements a run takes on one server.
pub(super) const fn count(sizes: usize) -> usize {
    OPERATIONS.len() * sizes
}

/// CPU of one command in microseconds, round by round; empty where a server lacks it.
pub(super) struct Measured {
    pub(super) name: &'static str,
    pub(super) size: u64,
    pub(super) eave: Vec<f64>,
    pub(super) redis: Vec<f64>,
}

/// Measures every operation at every size, on fresh servers.
///
/// # Errors
/// When a server does not start or answers with an error.
pub(super) fn measure(
    sizes: &[u64],
    rounds: u32,
    cores: &Cores,
    pair: &Pair,
    progress: &ProgressBar,
) -> Result<Vec<Measured>> {
    let mut all = Vec::new();
    for operation in &OPERATIONS {
        for &size in sizes {
            let name = operation.name;
            let mut measured = Measured { name, size, eave: Vec::new(), redis: Vec::new() };
            for _ in 0..rounds {
                progress.set_message(format!("{name}, {size}"));
                measured.eave.extend(one(operation, size, &pair.eave, cores)?);
                measured.redis.extend(one(operation, size, &pair.redis, cores)?);
                progress.inc(2);
            }
            all.push(measured);
        }
    }
    Ok(all)
}

fn one(operation: &Operation, size: u64, subject: &Subject, cores: &Cores) -> Result<Option<f64>> {
    let server = subject.start(cores)?;
    if fill::reply(&server, &(operation.fill)(0))?.starts_with('-') {
        return Ok(None);
    }
    fill::send(&server, size, operation.fill)?;
    // The first commands find cold caches.
    fill::send(&server, COMMANDS / 4, |number| (operation.command)(number + size, size))?;
    let before = cpu::nanoseconds(server.pid())?;
    let from = size + COMMANDS;
    fill::send(&server, COMMANDS, |number| (operation.command)(number + from, size))?;
    let spent = cpu::nanoseconds(server.pid())?.saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "both stay far below 2^53")]
    Ok(Some(spent as f64 / COMMANDS as f64 / 1000.0))
}

/// A number below `size` that follows no order.
fn anywhere(number: u64, size: u64) -> u64 {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16) % size
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

fn zadd(number: u64) -> Vec<String> {
    let score = anywhere(number, 1_000_000).to_string();
    words(["ZADD", "key", &score, &format!("member:{number}")])
}

fn new_score(number: u64, size: u64) -> Vec<String> {
    let score = anywhere(number.wrapping_mul(31), 1_000_000).to_string();
    words(["ZADD", "key", &score, &format!("member:{}", anywhere(number, size))])
}

fn zrank(number: u64, size: u64) -> Vec<String> {
    words(["ZRANK", "key", &format!("member:{}", anywhere(number, size))])
}

fn rpush(number: u64) -> Vec<String> {
    words(["RPUSH", "key", &format!("element:{number}")])
}

/// Behind the tenth element, which so stays the tenth.
fn linsert(number: u64, _: u64) -> Vec<String> {
    words(["LINSERT", "key", "AFTER", "element:10", &format!("inserted:{number}")])
}

fn sadd(number: u64) -> Vec<String> {
    words(["SADD", "key", &format!("member:{number}")])
}

/// The set keeps its size.
fn spop(number: u64, _: u64) -> Vec<String> {
    if number.is_multiple_of(2) { words(["SPOP", "key"]) } else { sadd(number) }
}

fn xadd(number: u64) -> Vec<String> {
    words(["XADD", "key", "*", "field", &format!("value:{number}")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_drawn_from_all_over_the_collection() {
        let mut seen: Vec<u64> = (0..COMMANDS).map(|number| anywhere(number, 1000)).collect();
        assert!(seen.iter().all(|member| *member < 1000));
        assert!(seen.windows(2).filter(|pair| pair[0] < pair[1]).count() < 3000);
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() > 700, "{}", seen.len());
    }
}
