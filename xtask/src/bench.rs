//! `cargo xtask bench`: Eave and redis-server side by side, in one run, on one machine.
//!
//! Both are started fresh in every round, each pinned to one core, with the load
//! (redis-benchmark) on another. A round measures every scenario on both, one right after
//! the other, and the order changes from round to round, so that a slow minute of the
//! machine falls on both. Ratios are medians of the rounds' own ratios.
//!
//! The headline is the server's CPU time for one request, which the kernel counts to the
//! nanosecond (`/proc/PID/task/*/schedstat`): requests a second depend on who has the
//! other core, the CPU a request costs does not.
//!
//! Left out on purpose: more than one server core, and TLS; they come with measurements
//! of their own.

mod complexity;
mod cores;
mod cpu;
mod fill;
mod hand_over;
mod limits;
mod load;
mod memory;
mod replication;
mod report;
mod rest;
mod sessions;
mod subject;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{install, process};
use cores::Cores;
use load::{SCENARIOS, Sample, Scenario};
use subject::{Kind, Running, Subject};

/// How long, how often and what to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// How long each measurement runs, in seconds
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// How often each measurement is repeated; figures are medians
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=101))]
    rounds: u32,
    /// One round of one second and a tenth of the keys: to see that it works
    #[arg(long)]
    quick: bool,
    /// Measure only the memory that keys take, of every type
    #[arg(long)]
    memory: bool,
    /// Measure only how the cost of a command grows with its collection
    #[arg(long, conflicts_with = "memory")]
    complexity: bool,
    /// Measure only connections: memory of ten thousand idle ones, messages to a thousand
    #[arg(long, conflicts_with_all = ["memory", "complexity"])]
    sessions: bool,
    /// Measure only how quickly a client that waits is served
    #[arg(long, conflicts_with_all = ["memory", "complexity", "sessions"])]
    hand_over: bool,
    /// Measure only the REST door: one GET a request, pipelines, and the latest answers
    #[arg(long, conflicts_with_all = ["memory", "complexity", "sessions", "hand_over"])]
    rest: bool,
    /// Measure only rate limits: each form of a take beside INCR, over HTTP, ten million of them
    #[arg(long, conflicts_with_all = ["memory", "complexity", "sessions", "hand_over", "rest"])]
    limits: bool,
    /// Measure only links between nodes: stream, applying, a full copy, lag
    #[arg(
        long,
        conflicts_with_all = ["memory", "complexity", "sessions", "hand_over", "rest", "limits"]
    )]
    replication: bool,
    /// Write the figures into BENCHMARKS.md
    #[arg(long, requires = "date")]
    write: bool,
    /// The date that BENCHMARKS.md gives for the figures
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
    /// Measure this program instead of building Eave; a name with `redis` or `valkey` in
    /// it is given redis-server's options
    #[arg(long, value_name = "PATH")]
    eave_binary: Option<PathBuf>,
}

impl Options {
    fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds }
    }

    fn seconds(&self) -> u32 {
        if self.quick { 1 } else { self.seconds }
    }

    fn keys(&self) -> u64 {
        if self.quick { 100_000 } else { 1_000_000 }
    }

    fn sizes(&self) -> &'static [u64] {
        let sizes = if self.quick { 3 } else { complexity::SIZES.len() };
        complexity::SIZES.split_at(sizes).0
    }
}

/// Measures, prints, and writes BENCHMARKS.md when asked to.
///
/// # Errors
/// When something is missing, a server does not start, or answers with an error.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    install::redis_only()?;
    let cores = Cores::choose()?;
    let pair = Pair { eave: eave(options)?, redis: Subject::redis() };
    let progress = bar(options);
    if options.complexity {
        return grow(options, &cores, &pair, &progress);
    }
    if options.sessions {
        return connect(options, &cores, &pair, &progress);
    }
    if options.hand_over {
        return hand_over(options, &cores, &pair, &progress);
    }
    if options.rest {
        return over_http(options, &cores, &pair, &progress);
    }
    if options.limits {
        return limit(options, &cores, &pair, &progress);
    }
    if options.replication {
        return link(options, &cores, &pair, &progress);
    }
    let mut text = String::new();
    if !options.memory {
        let speed = speed(options, &cores, &pair, &progress)?;
        text.push_str(&report::speed_table(&speed));
        text.push_str(&report::limiter_table(&speed));
    }
    let fills = if options.memory { fill::ALL } else { fill::STRINGS };
    let memory = memory::measure(fills, options.keys(), &cores, &pair, &progress)?;
    text.push_str(&report::memory_table(&memory, options.keys()));
    progress.finish_and_clear();
    let heading = report::heading(options.date.as_deref(), &cores, &pair)?;
    print!("{heading}{text}");
    if options.write {
        let part = if options.memory { "memory" } else { "speed" };
        report::write(part, &format!("{heading}{text}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures how commands grow, prints it, and writes that part of BENCHMARKS.md.
fn grow(options: &Options, cores: &Cores, pair: &Pair, progress: &ProgressBar) -> Result<ExitCode> {
    let measured = complexity::measure(options.sizes(), options.rounds(), cores, pair, progress)?;
    progress.finish_and_clear();
    let heading = report::heading(options.date.as_deref(), cores, pair)?;
    let text = format!("{heading}{}", report::complexity_table(&measured));
    print!("{text}");
    if options.write {
        report::write("complexity", &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures connections, prints it, and writes that part of BENCHMARKS.md.
fn connect(
    options: &Options,
    cores: &Cores,
    pair: &Pair,
    progress: &ProgressBar,
) -> Result<ExitCode> {
    let (rounds, seconds) = (options.rounds(), options.seconds());
    let measured = sessions::measure(rounds, seconds, cores, pair, progress)?;
    progress.finish_and_clear();
    let heading = report::heading(options.date.as_deref(), cores, pair)?;
    let text = format!("{heading}{}", report::sessions_table(&measured));
    print!("{text}");
    if options.write {
        report::write("sessions", &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures how quickly one who waits is served, prints it, and writes that part of
/// BENCHMARKS.md.
fn hand_over(
    options: &Options,
    cores: &Cores,
    pair: &Pair,
    progress: &ProgressBar,
) -> Result<ExitCode> {
    let length = (options.rounds(), options.seconds());
    let measured = hand_over::measure(length, cores, pair, progress)?;
    progress.finish_and_clear();
    let heading = report::heading(options.date.as_deref(), cores, pair)?;
    let text = format!("{heading}{}", report::hand_over_table(&measured));
    print!("{text}");
    if options.write {
        report::write("hand-over", &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures the REST door, prints it, and writes that part of BENCHMARKS.md.
fn over_http(
    options: &Options,
    cores: &Cores,
    pair: &Pair,
    progress: &ProgressBar,
) -> Result<ExitCode> {
    let (rounds, seconds) = (options.rounds(), options.seconds());
    let measured = rest::measure(rounds, seconds, cores, pair, progress)?;
    progress.finish_and_clear();
    let heading = report::heading(options.date.as_deref(), cores, pair)?;
    let text = format!("{heading}{}", rest::table(&measured));
    print!("{text}");
    if options.write {
        report::write("rest", &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures rate limits, prints it, and writes that part of BENCHMARKS.md.
fn limit(
    options: &Options,
    cores: &Cores,
    pair: &Pair,
    progress: &ProgressBar,
) -> Result<ExitCode> {
    let measured = limits::measure(options, cores, pair, progress)?;
    progress.finish_and_clear();
    let heading = report::heading(options.date.as_deref(), cores, pair)?;
    let text = format!("{heading}{}", limits::table(&measured));
    print!("{text}");
    if options.write {
        report::write("limits", &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures links between nodes, prints it, and writes that part of BENCHMARKS.md.
fn link(options: &Options, cores: &Cores, pair: &Pair, progress: &ProgressBar) -> Result<ExitCode> {
    let measured = replication::measure(options, cores, pair, progress)?;
    progress.finish_and_clear();
    let heading = report::heading(options.date.as_deref(), cores, pair)?;
    let text = format!("{heading}{}", replication::table(&measured));
    print!("{text}");
    if options.write {
        report::write("replication", &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The two that are compared.
struct Pair {
    eave: Subject,
    redis: Subject,
}

/// Eave's release build, or the program that was named instead.
fn eave(options: &Options) -> Result<Subject> {
    if let Some(path) = &options.eave_binary {
        return Ok(Subject::at(path));
    }
    println!("building the release binary");
    process::run(process::cargo().args(["build", "--release", "--package", "eave"]))?;
    let binary = process::target()?.join("release/eave");
    if !binary.is_file() {
        bail!("cargo built no {}", binary.display());
    }
    Ok(Subject { binary, kind: Kind::Eave })
}

fn bar(options: &Options) -> ProgressBar {
    let speed = if options.memory { 0 } else { options.rounds() as usize * SCENARIOS.len() * 2 };
    let memory = if options.memory { fill::ALL.len() } else { fill::STRINGS.len() } * 2;
    let all = if options.complexity {
        complexity::count(options.sizes().len()) * options.rounds() as usize * 2
    } else if options.sessions {
        sessions::count(options.rounds())
    } else if options.hand_over {
        options.rounds() as usize * 2
    } else if options.rest {
        rest::count(options.rounds())
    } else if options.limits {
        limits::count(options.rounds())
    } else if options.replication {
        replication::count(options.rounds())
    } else {
        speed + memory
    };
    let bar = ProgressBar::new(all as u64);
    // The template is a constant, so its default is never needed.
    let style = ProgressStyle::with_template("[{elapsed}] {bar:30} {pos}/{len} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(std::time::Duration::from_millis(250));
    bar
}

/// What one scenario gave, round by round; empty where a server does not know the command.
struct Measured {
    scenario: &'static Scenario,
    eave: Vec<Sample>,
    redis: Vec<Sample>,
}

fn speed(
    options: &Options,
    cores: &Cores,
    pair: &Pair,
    progress: &ProgressBar,
) -> Result<Vec<Measured>> {
    let empty = |scenario| Measured { scenario, eave: Vec::new(), redis: Vec::new() };
    let mut all: Vec<Measured> = SCENARIOS.iter().map(empty).collect();
    for round in 0..options.rounds() {
        let eave = pair.eave.start(cores)?;
        let redis = pair.redis.start(cores)?;
        for server in [&eave, &redis] {
            fill::STRINGS[0].fill(server, load::KEYS)?;
        }
        for measured in &mut all {
            let scenario = measured.scenario;
            let requests = requests(scenario, options.seconds(), cores, &[&eave, &redis])?;
            // The first of a pair has the cooler caches, so they take turns.
            let mut turns = [(&eave, &mut measured.eave), (&redis, &mut measured.redis)];
            if round % 2 == 1 {
                turns.reverse();
            }
            for (server, samples) in turns {
                progress.set_message(format!("{} on {}", scenario.name, server.name()));
                if scenario.runs_on(server)? {
                    samples.push(load::sample(scenario, server, cores, requests)?);
                }
                progress.inc(1);
            }
        }
    }
    Ok(all)
}

/// How many requests fill the time on the slower of the servers; a warm-up tells.
fn requests(scenario: &Scenario, seconds: u32, cores: &Cores, servers: &[&Running]) -> Result<u64> {
    let mut slowest = f64::INFINITY;
    for server in servers {
        if scenario.runs_on(server)? {
            let warm_up = load::sample(scenario, server, cores, load::WARM_UP)?;
            slowest = slowest.min(warm_up.per_second);
        }
    }
    if !slowest.is_finite() {
        // Neither knows the command; nothing will be sent.
        return Ok(0);
    }
    let requests = slowest * f64::from(seconds);
    if requests < 1.0 {
        bail!("{}: less than one request in {seconds} s", scenario.name);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(requests as u64)
}

/// The first line that a program prints when asked for its version.
fn version(binary: &std::path::Path) -> Result<String> {
    let said = process::read(Command::new(binary).arg("--version"))?;
    Ok(said.lines().next().unwrap_or_default().trim().to_owned())
}
