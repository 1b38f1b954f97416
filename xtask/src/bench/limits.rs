//! What rate limits cost: each form of a take beside INCR over RESP, a take over HTTP beside a GET, and ten
//! million limiters in memory, from the first until the last is gone.
//!
//! Everything is Eave's, in one run: what is compared is the limiter with the cheapest write there is. The
//! pause that is told is the latest answer to a PING while the limiters' windows end.
//!
//! Left out on purpose: other servers' limiters, whose commands differ.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use indicatif::ProgressBar;

use super::cores::Cores;
use super::report::middle;
use super::rest::Door;
use super::subject::Running;
use super::{Options, Pair, cpu, fill};
use crate::process;

/// Commands at once.
const PIPELINES: [u32; 2] = [1, 16];

/// The first is what the others are compared with.
const COMMANDS: &[(&str, &[&str])] = &[
    ("INCR", &["INCR", "counter:__rand_int__"]),
    ("RL.TAKE, sliding", &["RL.TAKE", "limit:__rand_int__", "1000000000/60s"]),
    ("RL.TAKE, named", &["RL.TAKE", "named:__rand_int__", "@named"]),
    ("RL.TAKE, named, with lists and ids", &["RL.TAKE", "rich:__rand_int__", "@rich"]),
    // Of a limit so high that nothing is ever refused, GCRA's state is over within a microsecond: each
    // take would make a key, and none would find one.
    ("RL.TAKE, gcra", &["RL.TAKE", "gcra:__rand_int__", "100000/1d:gcra"]),
    ("RL.TAKE, fixed", &["RL.TAKE", "fixed:__rand_int__", "1000000000/60s:fixed"]),
    ("RL.TAKE, log", &["RL.TAKE", "log:__rand_int__", "100/1s:log"]),
    (
        "RL.MTAKE of 2",
        &["RL.MTAKE", "2", "m:__rand_int__", "@named", "n:__rand_int__", "1000000000/1h"],
    ),
];

/// What names mean, and whom they single out.
const RULES: &[&[&str]] = &[
    &["RL.RULE", "SET", "named", "1000000000/60s"],
    &["RL.RULE", "SET", "rich", "1000000000/60s", "DENY", "bad"],
    &["RL.RULE", "SET", "rich", "9/60s", "FOR", "somebody"],
    &["RL.LIST", "ADD", "bad", "DENY", "10.0.0.0/8", "2001:db8::/32", "mallory"],
];

/// Keys that the load picks from.
const KEYS: &str = "100000";

/// Requests before what is measured, which make most of the keys.
const BEFORE: u64 = 200_000;

/// Connections of the load over RESP.
const CLIENTS: &str = "50";

/// What was measured, round by round.
#[derive(Default)]
pub(super) struct Measured {
    /// For each pipeline and command, CPU of one in microseconds.
    takes: Vec<Vec<f64>>,
    /// CPU of a GET and of a take over HTTP.
    http: Vec<[f64; 2]>,
    /// Limiters, bytes of each, and the latest answer in milliseconds while they went.
    many: Option<(u64, f64, f64)>,
}

/// How many measurements that takes.
pub(super) fn count(rounds: u32) -> usize {
    rounds as usize * (PIPELINES.len() * COMMANDS.len() + 1) + 1
}

/// Measures.
///
/// # Errors
/// When wrk is missing, or the server does not start or answers an error.
pub(super) fn measure(
    options: &Options,
    cores: &Cores,
    pair: &Pair,
    progress: &ProgressBar,
) -> Result<Measured> {
    if process::which("wrk").is_none() {
        bail!("wrk is missing (Debian: apt-get install wrk)");
    }
    let mut measured = Measured {
        takes: vec![Vec::new(); PIPELINES.len() * COMMANDS.len()],
        ..Measured::default()
    };
    for _ in 0..options.rounds() {
        let door = Door::open(&pair.eave, cores)?;
        for rule in RULES {
            let said = fill::reply(&door.server, &rule.map_owned())?;
            if !said.starts_with(['+', ':']) {
                bail!("{rule:?} was answered {said}");
            }
        }
        for (nth, pipeline) in PIPELINES.into_iter().enumerate() {
            for (at, (name, words)) in COMMANDS.iter().enumerate() {
                progress.set_message((*name).to_owned());
                // Alone, as the first is: what the others have left would cost each more than the one before.
                fill::reply(&door.server, &["FLUSHALL".to_owned()])?;
                let cost = ask(&door.server, cores, options.seconds(), pipeline, words)?;
                measured.takes[nth * COMMANDS.len() + at].push(cost);
                progress.inc(1);
            }
        }
        progress.set_message("over HTTP");
        let get = door.wrk(cores, options.seconds(), "GET")?.cpu_us;
        let take = door.wrk(cores, options.seconds(), "TAKE")?.cpu_us;
        measured.http.push([get, take]);
        progress.inc(1);
    }
    let window = if options.quick { 20 } else { 120 };
    progress.set_message("many limiters");
    measured.many = Some(many(options.keys() * 10, window, cores, pair)?);
    progress.inc(1);
    Ok(measured)
}

/// Words as the load sends them.
trait Words {
    fn map_owned(&self) -> Vec<String>;
}

impl Words for &[&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(ToString::to_string).collect()
    }
}

/// Has redis-benchmark ask, and answers the server's CPU for one command, in microseconds.
fn ask(
    server: &Running,
    cores: &Cores,
    seconds: u32,
    pipeline: u32,
    words: &[&str],
) -> Result<f64> {
    let run = |requests: u64| -> Result<(f64, f64)> {
        let mut command = Cores::pinned(cores.load, Path::new("redis-benchmark"));
        command.args(["-h", "127.0.0.1", "-p", &server.port.to_string(), "--csv"]);
        command.args(["-c", CLIENTS, "-P", &pipeline.to_string(), "-r", KEYS]);
        command.args(["-n", &requests.to_string()]).args(words);
        let before = cpu::nanoseconds(server.pid())?;
        let said = process::read(&mut command)?;
        let spent = cpu::nanoseconds(server.pid())?.saturating_sub(before);
        let column = said.lines().last().and_then(|line| line.rsplit(',').nth(6));
        let rate = column.map(|column| column.trim_matches('"').parse::<f64>());
        let rate = rate.with_context(|| format!("redis-benchmark printed {said:?}"))??;
        #[expect(clippy::cast_precision_loss, reason = "both stay far below 2^53")]
        let cost = spent as f64 / 1000.0 / requests as f64;
        Ok((rate, cost))
    };
    let (rate, _) = run(BEFORE)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate of a machine"
    )]
    let requests = (rate * f64::from(seconds)).max(1000.0) as u64;
    Ok(run(requests)?.1)
}

/// Makes so many limiters, waits until their windows are over, and looks how late answers come.
fn many(count: u64, window: u64, cores: &Cores, pair: &Pair) -> Result<(u64, f64, f64)> {
    let server = pair.eave.start(cores)?;
    let before = cpu::resident_bytes(server.pid())?;
    fill_limiters(&server, count, window)?;
    let bytes = cpu::resident_bytes(server.pid())?.saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "both stay far below 2^53")]
    let each = bytes as f64 / count as f64;
    let mut latest = Duration::ZERO;
    let deadline = process::now() + Duration::from_secs(window * 4 + 60);
    let mut stream = BufReader::new(server.connect()?);
    loop {
        let sent = process::now();
        stream.get_mut().write_all(b"DBSIZE\r\n")?;
        let mut line = String::new();
        stream.read_line(&mut line)?;
        latest = latest.max(sent.elapsed());
        if line.trim() == ":0" {
            return Ok((count, each, latest.as_secs_f64() * 1000.0));
        }
        if process::now() > deadline {
            bail!("limiters are left long after their window: {line}");
        }
        process::pause(Duration::from_millis(2));
    }
}

/// Limiters that are made by one write.
const BATCH: u64 = 500;

/// Lines of a status over RESP2.
const LINES: u64 = 6;

fn fill_limiters(server: &Running, count: u64, window: u64) -> Result<()> {
    let mut replies = BufReader::new(server.connect()?);
    let (mut line, mut first) = (String::new(), 0);
    while first < count {
        let last = count.min(first + BATCH);
        let batch: String = (first..last)
            .map(|number| format!("RL.TAKE limit:{number:010} 100/{window}s\r\n"))
            .collect();
        replies.get_mut().write_all(batch.as_bytes())?;
        for _ in 0..(last - first) * LINES {
            line.clear();
            replies.read_line(&mut line)?;
            if !line.starts_with(['*', ':']) {
                bail!("{} answered {line:?}", server.name());
            }
        }
        first = last;
    }
    Ok(())
}

/// The figures as tables.
pub(super) fn table(measured: &Measured) -> String {
    let mut text = "| on Eave | pipeline | server CPU, µs/command | beside INCR |\n\
                    |---|---:|---:|---:|\n"
        .to_owned();
    for (nth, pipeline) in PIPELINES.into_iter().enumerate() {
        let incr = &measured.takes[nth * COMMANDS.len()];
        for (at, (name, _)) in COMMANDS.iter().enumerate() {
            let costs = &measured.takes[nth * COMMANDS.len() + at];
            let ratios = costs.iter().zip(incr).map(|(cost, incr)| cost / incr).collect();
            if let (Some(cost), Some(ratio)) = (middle(costs.clone()), middle(ratios)) {
                text.push_str(&format!("| {name} | {pipeline} | {cost:.2} | **{ratio:.2}** |\n"));
            }
        }
    }
    let get = middle(measured.http.iter().map(|[get, _]| *get).collect());
    let take = middle(measured.http.iter().map(|[_, take]| *take).collect());
    let ratio = middle(measured.http.iter().map(|[get, take]| take / get).collect());
    if let (Some(get), Some(take), Some(ratio)) = (get, take, ratio) {
        text.push_str(&format!(
            "\n| over HTTP | server CPU, µs/request | beside GET |\n|---|---:|---:|\n\
             | `GET /get/page:1` | {get:.2} | 1 |\n| `POST /v1/take` | {take:.2} | **{ratio:.2}** |\n"
        ));
    }
    if let Some((count, each, latest)) = measured.many {
        text.push_str(&format!(
            "\n{count} limiters take {each:.1} bytes each, with their keys of 16 bytes. Until the last was \
             gone, the latest answer came after {latest:.1} ms.\n"
        ));
    }
    text
}
