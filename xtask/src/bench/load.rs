//! The load: one run of redis-benchmark, and what it and the kernel say about it.
//!
//! Left out on purpose: a load generator of our own; redis-benchmark is what readers have
//! and know.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::cores::Cores;
use super::cpu;
use super::fill;
use super::subject::Running;

/// Keys that the load picks from at random.
pub(super) const KEYS: u64 = 100_000;

/// Requests of a warm-up, which is measured only to size the run after it.
pub(super) const WARM_UP: u64 = 50_000;

/// Connections of every scenario.
const CLIENTS: u32 = 50;

/// A take that is never refused, so that every request does the whole work.
const RULE: &str = "1000000000/60s";

/// What is asked, and how many requests a connection sends at once.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) pipeline: u32,
    what: What,
}

#[derive(PartialEq, Eq)]
enum What {
    /// One of redis-benchmark's own tests.
    Own(&'static str),
    /// A take of Eave's limiter, which redis-benchmark does not know.
    Take,
    /// The script of a sliding window, as @upstash/ratelimit sends it, by its digest.
    Script,
    /// The script of @upstash/ratelimit itself, which Eave knows by its digest.
    Known,
}

/// A sliding window over two counters: reads both, and counts if there is room. Without the first
/// line by which it would run beside others in Eave, since redis-server refuses that.
const WINDOW: &str = "\
local tokens, now = tonumber(ARGV[1]), tonumber(ARGV[2])
local window, rate = tonumber(ARGV[3]), tonumber(ARGV[4])
local current = tonumber(redis.call('GET', KEYS[1]) or '0')
local previous = tonumber(redis.call('GET', KEYS[2]) or '0')
local gone = (now % window) / window
previous = math.floor((1 - gone) * previous)
if rate > 0 and previous + current >= tokens then return {-1, tokens} end
local count = redis.call('INCRBY', KEYS[1], rate)
if count == rate then redis.call('PEXPIRE', KEYS[1], window * 2 + 1000) end
return {tokens - (count + previous), tokens}
";

/// The SHA-1 of that text; if it is not, the servers say so.
const WINDOW_SHA: &str = "5c21922ddb49bcac8648a076fe12a505639409a5";

/// The SHA-1 of the text of @upstash/ratelimit's own sliding window, from 2.1.0 on.
const KNOWN_SHA: &str = "74740bb3d7792848093cdef586b6b6037c455fd6";

const fn scenario(name: &'static str, pipeline: u32, what: What) -> Scenario {
    Scenario { name, pipeline, what }
}

/// Everything that is measured. `RL.TAKE` and the `INCR` before it compare Eave's limiter with its own
/// INCR.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("SET", 1, What::Own("set")),
    scenario("GET", 1, What::Own("get")),
    scenario("SET", 16, What::Own("set")),
    scenario("GET", 16, What::Own("get")),
    scenario("INCR", 1, What::Own("incr")),
    scenario("RL.TAKE", 1, What::Take),
    scenario("INCR", 16, What::Own("incr")),
    scenario("RL.TAKE", 16, What::Take),
    scenario("EVALSHA", 1, What::Script),
    scenario("EVALSHA", 16, What::Script),
    scenario("EVALSHA native", 1, What::Known),
    scenario("EVALSHA native", 16, What::Known),
];

impl Scenario {
    /// Whether the server knows the command; asked by sending one.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(super) fn runs_on(&self, server: &Running) -> Result<bool> {
        match self.what {
            What::Own(_) => Ok(true),
            What::Take => {
                let words = ["RL.TAKE", "limit:probe", RULE].map(str::to_owned);
                Ok(!fill::reply(server, &words)?.starts_with('-'))
            }
            What::Script => {
                let words = ["SCRIPT", "LOAD", WINDOW].map(str::to_owned);
                Ok(!fill::reply(server, &words)?.starts_with('-'))
            }
            What::Known => {
                let words = ["EVALSHA", KNOWN_SHA, "2", "window:probe:2", "window:probe:1"];
                let words = words.into_iter().chain(WINDOW_ARGUMENTS).map(str::to_owned);
                Ok(!fill::reply(server, &words.collect::<Vec<_>>())?.starts_with('-'))
            }
        }
    }

    fn add_arguments(&self, command: &mut Command) {
        command.args(["-c", &CLIENTS.to_string(), "-P", &self.pipeline.to_string()]);
        command.args(["-r", &KEYS.to_string(), "-d", "32", "--csv"]);
        match self.what {
            What::Own(test) => command.args(["-t", test]),
            What::Take => command.args(["RL.TAKE", "limit:__rand_int__", RULE]),
            What::Script => add_window(command, WINDOW_SHA),
            What::Known => add_window(command, KNOWN_SHA),
        };
    }
}

/// Limit, now, window, rate: never refused.
const WINDOW_ARGUMENTS: [&str; 4] = ["1000000000", "1795210140547", "60000", "1"];

fn add_window<'c>(command: &'c mut Command, sha: &str) -> &'c mut Command {
    command.args(["EVALSHA", sha, "2", "window:__rand_int__:2", "window:__rand_int__:1"]);
    command.args(WINDOW_ARGUMENTS)
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// The server's CPU time for one request, in microseconds.
    pub(super) cpu_us: f64,
}

/// Sends `requests` and measures.
///
/// # Errors
/// When redis-benchmark fails or the server answers it with an error.
pub(super) fn sample(
    scenario: &Scenario,
    server: &Running,
    cores: &Cores,
    requests: u64,
) -> Result<Sample> {
    let mut command = Cores::pinned(cores.load, Path::new("redis-benchmark"));
    command.args(["-h", "127.0.0.1", "-p", &server.port.to_string()]);
    command.args(["-n", &requests.to_string()]);
    scenario.add_arguments(&mut command);
    let before = cpu::nanoseconds(server.pid())?;
    let output = command.stdin(Stdio::null()).output().context("starting redis-benchmark")?;
    let spent = cpu::nanoseconds(server.pid())?.saturating_sub(before);
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || said.contains("Error") || complaint.contains("Error") {
        bail!("{} on {}: {said}{complaint}", scenario.name, server.name());
    }
    #[expect(clippy::cast_precision_loss, reason = "both stay far below 2^53")]
    let cpu_us = spent as f64 / requests as f64 / 1000.0;
    parse(&said, cpu_us).with_context(|| format!("redis-benchmark printed {said:?}"))
}

/// Reads the one data line of `--csv`: test, rps, avg, min, p50, p95, p99, max.
fn parse(csv: &str, cpu_us: f64) -> Option<Sample> {
    // Read from the end, because a custom command in the first column may hold commas.
    let mut columns = csv.lines().last()?.rsplit(',').map(|column| column.trim_matches('"'));
    let mut number = |skipped: usize| columns.nth(skipped)?.parse::<f64>().ok();
    let p99_ms = number(1)?;
    let p50_ms = number(1)?;
    let per_second = number(2)?;
    Some(Sample { per_second, p50_ms, p99_ms, cpu_us })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_csv_of_redis_benchmark_is_read() {
        let csv = "\"test\",\"rps\"\n\"SET\",\"66666.67\",\"0.334\",\"0.040\",\"0.295\",\
                   \"0.535\",\"0.775\",\"5.015\"\n";
        let sample = parse(csv, 9.0).unwrap();
        let wanted = Sample { per_second: 66666.67, p50_ms: 0.295, p99_ms: 0.775, cpu_us: 9.0 };
        assert_eq!(sample, wanted);
        assert_eq!(parse("", 9.0), None);
    }
}
