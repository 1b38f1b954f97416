//! What HTTP costs: one GET a request beside webdis with redis-server behind it, a pipeline of a
//! hundred beside the same over RESP, and how late the latest answers are.
//!
//! The load of the first two is wrk, and redis-benchmark for RESP; that of the last is threads of
//! our own, which ask at a pace: 64 connections at half of what the same door can do at most. All
//! servers are on one core, and what webdis costs is its CPU and that of the redis-server.
//!
//! Left out on purpose: TLS and HTTP/2.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use indicatif::ProgressBar;

use super::cores::Cores;
use super::report::middle;
use super::subject::{Running, Subject};
use super::{Pair, cpu, fill};
use crate::process;

/// Connections of every measurement.
const CLIENTS: usize = 64;

/// Commands of a pipeline.
const COMMANDS: u32 = 100;

const TOKEN: &str = "benchmark";

/// The key that is asked for, and its value.
const KEY: &str = "page:1";
const VALUE: &str = "12345678901234567890123456789012";

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(10);

/// Measurements of a round.
const A_ROUND: u32 = 6;

/// Requests in a second, and the CPU of one, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    per_second: f64,
    pub(super) cpu_us: f64,
}

/// Two that are compared, round by round.
#[derive(Default)]
struct Both {
    ours: Vec<Rate>,
    theirs: Vec<Rate>,
}

/// What was measured.
#[derive(Default)]
pub(super) struct Measured {
    /// REST, and webdis with redis-server.
    get: Both,
    /// One command of `/pipeline`, and of a pipeline over RESP.
    pipeline: Both,
    /// Milliseconds within which 99 of 100 are answered: REST and RESP.
    p99: Vec<[f64; 2]>,
}

/// How many measurements that takes.
pub(super) fn count(rounds: u32) -> usize {
    (rounds * A_ROUND) as usize
}

/// Measures.
///
/// # Errors
/// When wrk or webdis is missing, or a server does not start or answers an error.
pub(super) fn measure(
    rounds: u32,
    seconds: u32,
    cores: &Cores,
    pair: &Pair,
    progress: &ProgressBar,
) -> Result<Measured> {
    for program in ["wrk", "webdis"] {
        if process::which(program).is_none() {
            bail!("{program} is missing (Debian: apt-get install {program})");
        }
    }
    let mut measured = Measured::default();
    for round in 0..rounds {
        let step = |name: &str| {
            progress.set_message(name.to_owned());
            progress.inc(1);
        };
        let eave = Door::open(&pair.eave, cores)?;
        let redis = pair.redis.start(cores)?;
        set(&redis)?;
        let webdis = Webdis::start(&redis, cores)?;
        let ours = || eave.wrk(cores, seconds, "GET");
        let theirs = || webdis.wrk(&redis, cores, seconds);
        // The first of a pair has the cooler caches, so they take turns.
        let [ours, theirs] = if round % 2 == 0 {
            let ours = ours()?;
            [ours, theirs()?]
        } else {
            let theirs = theirs()?;
            [ours()?, theirs]
        };
        measured.get.ours.push(ours);
        measured.get.theirs.push(theirs);
        step("GET over HTTP");
        step("GET by webdis");
        measured.pipeline.ours.push(eave.wrk(cores, seconds, "PIPELINE")?);
        step("a pipeline over HTTP");
        measured.pipeline.theirs.push(resp(&eave.server, cores, seconds, COMMANDS)?);
        step("a pipeline over RESP");
        let most = resp(&eave.server, cores, seconds, 1)?.per_second;
        let http = paced(&eave.request(), eave.rest, ours.per_second / 2.0, seconds)?;
        step("the latest over HTTP");
        let get = format!("*2\r\n$3\r\nGET\r\n${}\r\n{KEY}\r\n", KEY.len());
        let plain = paced(get.as_bytes(), eave.server.port, most / 2.0, seconds)?;
        step("the latest over RESP");
        measured.p99.push([http, plain]);
    }
    Ok(measured)
}

/// Eave with its REST door open.
pub(super) struct Door {
    pub(super) server: Running,
    rest: u16,
}

impl Door {
    pub(super) fn open(subject: &Subject, cores: &Cores) -> Result<Door> {
        let rest = process::free_port()?;
        let port = rest.to_string();
        let server = subject.start_with(cores, &["--rest-port", &port, "--rest-token", TOKEN])?;
        set(&server)?;
        wait(rest)?;
        Ok(Door { server, rest })
    }

    fn request(&self) -> Vec<u8> {
        let head = format!(
            "GET /get/{KEY} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        );
        head.into_bytes()
    }

    /// Has wrk ask for the key, for a pipeline of it, or take from a limit; the rate is that of commands.
    pub(super) fn wrk(&self, cores: &Cores, seconds: u32, what: &str) -> Result<Rate> {
        let mut commands = 1;
        let script = process::scratch()?.join("pipeline.lua");
        let mut command = wrk(cores, seconds);
        command.args(["-H", &format!("Authorization: Bearer {TOKEN}")]);
        if what == "PIPELINE" {
            commands = COMMANDS;
            let body = vec![format!("[\"GET\",\"{KEY}\"]"); COMMANDS as usize].join(",");
            std::fs::write(&script, format!("wrk.method = 'POST'\nwrk.body = '[{body}]'\n"))?;
            command.arg("-s").arg(&script).arg(format!("http://127.0.0.1:{}/pipeline", self.rest));
        } else if what == "TAKE" {
            let body = r#"{"key":"limit:1","rule":"1000000000/60s"}"#;
            std::fs::write(&script, format!("wrk.method = 'POST'\nwrk.body = '{body}'\n"))?;
            command.arg("-s").arg(&script).arg(format!("http://127.0.0.1:{}/v1/take", self.rest));
        } else {
            command.arg(format!("http://127.0.0.1:{}/get/{KEY}", self.rest));
        }
        let before = cpu::nanoseconds(self.server.pid())?;
        let said = said(&mut command)?;
        let spent = cpu::nanoseconds(self.server.pid())?.saturating_sub(before);
        rate(&said, spent, commands)
    }
}

/// webdis in front of a redis-server; killed when dropped.
struct Webdis {
    child: Child,
    port: u16,
}

impl Webdis {
    fn start(redis: &Running, cores: &Cores) -> Result<Webdis> {
        let port = process::free_port()?;
        let file = process::scratch()?.join("webdis.json");
        let settings = format!(
            "{{\"redis_host\":\"127.0.0.1\",\"redis_port\":{},\"http_host\":\"127.0.0.1\",\
             \"http_port\":{port},\"threads\":1,\"pool_size\":1,\"daemonize\":false,\
             \"websockets\":false,\"database\":0,\"verbosity\":0,\"logfile\":\"/dev/null\"}}",
            redis.port
        );
        std::fs::write(&file, settings)?;
        let child = Cores::pinned(cores.server, Path::new("webdis"))
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting webdis")?;
        let webdis = Webdis { child, port };
        wait(port)?;
        Ok(webdis)
    }

    fn wrk(&self, redis: &Running, cores: &Cores, seconds: u32) -> Result<Rate> {
        let both =
            || anyhow::Ok(cpu::nanoseconds(self.child.id())? + cpu::nanoseconds(redis.pid())?);
        let mut command = wrk(cores, seconds);
        command.arg(format!("http://127.0.0.1:{}/GET/{KEY}", self.port));
        let before = both()?;
        let said = said(&mut command)?;
        rate(&said, both()?.saturating_sub(before), 1)
    }
}

impl Drop for Webdis {
    fn drop(&mut self) {
        // Both fail only on one that has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn set(server: &Running) -> Result<()> {
    let reply = fill::reply(server, &["SET", KEY, VALUE].map(str::to_owned))?;
    if reply.starts_with('+') { Ok(()) } else { bail!("SET on {}: {reply}", server.name()) }
}

fn wait(port: u16) -> Result<()> {
    let deadline = process::now() + START;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if process::now() > deadline {
            bail!("nobody listens on {port}");
        }
        process::pause(Duration::from_millis(10));
    }
    Ok(())
}

fn wrk(cores: &Cores, seconds: u32) -> Command {
    let mut command = Cores::pinned(cores.load, Path::new("wrk"));
    command.args(["-t", "1", "-c", &CLIENTS.to_string(), "-d", &format!("{seconds}s")]);
    command
}

fn said(command: &mut Command) -> Result<String> {
    let said = process::read(command)?;
    if said.contains("Non-2xx") || said.contains("Socket errors") {
        bail!("wrk was answered an error:\n{said}");
    }
    Ok(said)
}

/// Reads what wrk has printed.
fn rate(said: &str, spent: u64, commands: u32) -> Result<Rate> {
    let line =
        said.lines().find(|line| line.contains(" requests in ")).context("wrk said nothing")?;
    let requests: u32 = line.split_whitespace().next().unwrap_or_default().parse()?;
    let line = said.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    let per_second: f64 = line.context("wrk told no rate")?.trim().parse()?;
    let asked = f64::from(requests.max(1)) * f64::from(commands);
    Ok(Rate { per_second: per_second * f64::from(commands), cpu_us: micros(spent) / asked })
}

/// Has redis-benchmark ask for the key.
fn resp(server: &Running, cores: &Cores, seconds: u32, pipeline: u32) -> Result<Rate> {
    let ask = |requests: u64| -> Result<Rate> {
        let mut command = Cores::pinned(cores.load, Path::new("redis-benchmark"));
        command.args(["-h", "127.0.0.1", "-p", &server.port.to_string(), "--csv"]);
        command.args(["-c", &CLIENTS.to_string(), "-P", &pipeline.to_string()]);
        command.args(["-n", &requests.to_string(), "GET", KEY]);
        let before = cpu::nanoseconds(server.pid())?;
        let said = process::read(&mut command)?;
        let spent = cpu::nanoseconds(server.pid())?.saturating_sub(before);
        let column = said.lines().last().and_then(|line| line.rsplit(',').nth(6));
        let per_second = column.map(|column| column.trim_matches('"').parse::<f64>());
        let per_second =
            per_second.with_context(|| format!("redis-benchmark printed {said:?}"))??;
        #[expect(clippy::cast_precision_loss, reason = "requests stay far below 2^53")]
        let cpu_us = micros(spent) / requests as f64;
        Ok(Rate { per_second, cpu_us })
    };
    let warm_up = ask(20_000)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate of a machine"
    )]
    ask((warm_up.per_second * f64::from(seconds)).max(1000.0) as u64)
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds stay far below 2^53")]
fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}

/// Asks at a pace, and answers within how many milliseconds 99 of 100 came back.
fn paced(request: &[u8], port: u16, per_second: f64, seconds: u32) -> Result<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a number of connections")]
    let gap = Duration::from_secs_f64(CLIENTS as f64 / per_second.max(1.0));
    let one = |number: usize| -> Result<Vec<f64>> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(request)?;
        let length = first(&mut stream)?;
        let mut answer = vec![0; length];
        let mut times = Vec::new();
        let begun = process::now();
        #[expect(clippy::cast_possible_truncation, reason = "a number of connections")]
        let mut due = begun + gap * number as u32 / CLIENTS as u32;
        while begun.elapsed().as_secs() < u64::from(seconds) {
            process::pause(due.saturating_duration_since(process::now()));
            let sent = process::now();
            stream.write_all(request)?;
            stream.read_exact(&mut answer)?;
            times.push(sent.elapsed().as_secs_f64() * 1000.0);
            due += gap;
        }
        Ok(times)
    };
    let mut times = std::thread::scope(|scope| {
        let one = &one;
        let threads: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || one(number))).collect();
        let mut times = Vec::new();
        for thread in threads {
            times.extend(thread.join().map_err(|_| anyhow::anyhow!("a thread has ended"))??);
        }
        anyhow::Ok(times)
    })?;
    times.sort_by(f64::total_cmp);
    times.get(times.len() * 99 / 100).copied().context("nothing was asked")
}

/// Reads the first answer, and answers its length: all others are as long.
fn first(stream: &mut TcpStream) -> Result<usize> {
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains(VALUE) || !whole(&bytes) {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece)?;
        if read == 0 {
            bail!("another answer than expected: {}", String::from_utf8_lossy(&bytes));
        }
        bytes.extend_from_slice(&piece[..read]);
    }
    Ok(bytes.len())
}

/// Whether an answer ends where those of either door end.
fn whole(bytes: &[u8]) -> bool {
    bytes.ends_with(b"\"}") || bytes.ends_with(b"\r\n")
}

/// The figures.
pub(super) fn table(measured: &Measured) -> String {
    let of = |rates: &[Rate], column: fn(&Rate) -> f64| {
        middle(rates.iter().map(column).collect()).unwrap_or(f64::NAN)
    };
    let ratio = |both: &Both| {
        let rounds = both.ours.iter().zip(&both.theirs).map(|(a, b)| a.cpu_us / b.cpu_us);
        middle(rounds.collect()).unwrap_or(f64::NAN)
    };
    let row = |rates: &[Rate]| {
        format!("{:.0} | {:.2}", of(rates, |r| r.per_second), of(rates, |r| r.cpu_us))
    };
    let Measured { get, pipeline, p99 } = measured;
    let late = |at: usize| middle(p99.iter().map(|both| both[at]).collect()).unwrap_or(f64::NAN);
    let late_ratio = middle(p99.iter().map(|[http, resp]| http / resp).collect());
    format!(
        "| one GET a request, {CLIENTS} connections kept alive | requests/s | server CPU, µs/request | CPU ratio |\n\
         |---|---:|---:|---:|\n\
         | Eave, REST | {} | **{:.2}** |\n\
         | webdis and redis-server | {} | 1 |\n\n\
         | {COMMANDS} GETs at once, on Eave | commands/s | server CPU, µs/command | CPU ratio |\n\
         |---|---:|---:|---:|\n\
         | `/pipeline` | {} | **{:.2}** |\n\
         | a pipeline over RESP | {} | 1 |\n\n\
         | at half of the most, {CLIENTS} connections | p99 ms | ratio |\n\
         |---|---:|---:|\n\
         | REST | {:.3} | **{:.2}** |\n\
         | RESP | {:.3} | 1 |\n\n",
        row(&get.ours),
        ratio(get),
        row(&get.theirs),
        row(&pipeline.ours),
        ratio(pipeline),
        row(&pipeline.theirs),
        late(0),
        late_ratio.unwrap_or(f64::NAN),
        late(1),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_prints_is_read() {
        let said = "Running 1s test\n  30000 requests in 1.00s, 7.53MB read\n\
                    Requests/sec:  30000.50\nTransfer/sec:      7.52MB\n";
        let one = rate(said, 300_000_000, 1).unwrap();
        assert!((one.per_second - 30_000.5).abs() < 0.01 && (one.cpu_us - 10.0).abs() < 0.01);
        let many = rate(said, 300_000_000, 100).unwrap();
        assert!((many.cpu_us - 0.1).abs() < 0.001);
        assert!(rate("", 1, 1).is_err());
    }

    #[test]
    fn ratios_are_those_of_rounds() {
        let rate = |cpu_us| Rate { per_second: 1000.0, cpu_us };
        let both = |ours: f64, theirs| Both { ours: vec![rate(ours)], theirs: vec![rate(theirs)] };
        let measured =
            Measured { get: both(4.0, 16.0), pipeline: both(0.9, 0.3), p99: vec![[0.3, 0.2]] };
        let text = table(&measured);
        assert!(text.contains("| Eave, REST | 1000 | 4.00 | **0.25** |"), "{text}");
        assert!(text.contains("| `/pipeline` | 1000 | 0.90 | **3.00** |"), "{text}");
        assert!(text.contains("| REST | 0.300 | **1.50** |"), "{text}");
    }
}
