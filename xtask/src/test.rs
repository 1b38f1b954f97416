//! `cargo xtask test`: everything that can fail, in one command, with plain counts at its end.
//!
//! Left out on purpose: formatting, lints and licences. They judge the text, not the
//! program, and `.ci/run` runs them before this.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::counts::{self, Counts};
use crate::install::{self, Tools};
use crate::process::{self, Stage};
use crate::{clients, diff, readme, regions};

/// What to run; everything when nothing is asked for.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only this part; may be given more than once
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Of the client tests, run only those whose file name contains this
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Let random commands, clients and README meet this program instead of a debug build of Eave
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Rust tests, command scripts among them
    Rust,
    /// Schedules of threads, explored by shuttle
    Schedules,
    /// Whole nodes in turmoil's network
    Simulated,
    /// Examples in the documentation of the Rust code
    Docs,
    /// Random commands, the same to Eave and to redis-server
    Diff,
    /// Real clients: tests/clients
    Clients,
    /// Snippets of README.md
    Readme,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        match self.client {
            Some(_) if self.only.is_empty() => part == Part::Clients,
            _ => self.only.is_empty() || self.only.contains(&part),
        }
    }
}

/// Installs, runs and counts.
///
/// # Errors
/// When a stage could not even be started; a failing test is no error but a failing code.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let tools = install::all();
    let mut counts = Counts::default();
    if options.wants(Part::Rust) {
        counts += rust_tests()?;
    }
    if options.wants(Part::Schedules) {
        counts += schedules()?;
    }
    if options.wants(Part::Simulated) {
        counts += simulated()?;
    }
    if options.wants(Part::Docs) {
        counts += doc_tests()?;
    }
    if [Part::Diff, Part::Clients, Part::Readme].iter().any(|part| options.wants(*part)) {
        counts += live(options, &tools);
    }
    Ok(close(counts))
}

/// Tests against a running server; without a server there are none, and that is a failure.
fn live(options: &Options, tools: &Tools) -> Counts {
    let binary = match server_binary(options) {
        Ok(binary) => binary,
        Err(error) => return clients::judge("the server's binary", Err(error)),
    };
    let mut counts = Counts::default();
    if options.wants(Part::Diff) {
        let _stage = Stage::begin("random commands, held against redis-server");
        counts += diff::short(&binary);
    }
    if options.wants(Part::Clients) {
        let _stage = Stage::begin("real clients");
        counts += clients::run(tools, &binary, options.client.as_deref())
            .unwrap_or_else(|error| clients::judge("real clients", Err(error)));
        if options.client.as_deref().is_none_or(|wanted| "regions".contains(wanted)) {
            counts += regions::short(&binary);
        }
    }
    if options.wants(Part::Readme) {
        let _stage = Stage::begin("README snippets");
        counts += readme::run(tools, &binary)
            .unwrap_or_else(|error| clients::judge("README snippets", Err(error)));
    }
    counts
}

/// The program that was named, or else a debug build of the server.
///
/// After the Rust tests it is asked for together with them, so that cargo settles on the
/// same features and has nothing left to compile; alone it is quicker without them.
fn server_binary(options: &Options) -> Result<PathBuf> {
    if let Some(binary) = &options.binary {
        return binary.canonicalize().with_context(|| format!("{}", binary.display()));
    }
    let _stage = Stage::begin("the server for the clients");
    let mut build = process::cargo();
    build.args(["build", "--quiet"]);
    if options.wants(Part::Rust) {
        build.args(["--workspace", "--tests", "--bins"]);
    } else {
        build.args(["--package", "eave", "--bin", "eave"]);
    }
    process::run(&mut build)?;
    let binary = process::target()?.join("debug/eave");
    if !binary.is_file() {
        bail!("cargo built no {}", binary.display());
    }
    Ok(binary)
}

fn rust_tests() -> Result<Counts> {
    let _stage = Stage::begin("Rust tests");
    let mut command = process::cargo();
    if has_nextest() {
        command.args(["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests=pass"]);
        run_and_count(command, counts::of_nextest)
    } else {
        command.args(["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"]);
        run_and_count(command, counts::of_libtest)
    }
}

/// A few hundred schedules a test; tests/README.md has the command for more.
fn schedules() -> Result<Counts> {
    let _stage = Stage::begin("schedules of threads");
    let mut command = process::cargo();
    command.args(["test", "--features", "schedules", "--test", "schedules"]);
    run_and_count(command, counts::of_libtest)
}

/// Some runs of whole nodes; tests/README.md has the command for more.
fn simulated() -> Result<Counts> {
    let _stage = Stage::begin("whole nodes in a simulated network");
    let mut command = process::cargo();
    command.args(["test", "--features", "simulation", "--test", "simulated"]);
    run_and_count(command, counts::of_libtest)
}

fn doc_tests() -> Result<Counts> {
    let _stage = Stage::begin("documentation tests");
    let mut command = process::cargo();
    command.args(["test", "--doc", "--workspace", "--no-fail-fast"]);
    run_and_count(command, counts::of_libtest)
}

fn has_nextest() -> bool {
    process::read(process::cargo().args(["nextest", "--version"])).is_ok()
}

/// Runs one of cargo's runners; one that fails without a count is itself a failed test.
fn run_and_count(mut command: Command, count: fn(&str) -> Option<Counts>) -> Result<Counts> {
    let finished = process::tee(&mut command).context("running the tests")?;
    let mut counts = count(&finished.text).unwrap_or_default();
    if !finished.status.success() && counts.failed == 0 {
        println!("FAIL `{}` ended with {}", process::shown(&command), finished.status);
        counts += Counts::fail();
    }
    Ok(counts)
}

/// Prints what could not run and the closing line, and turns both into the exit code.
fn close(counts: Counts) -> ExitCode {
    if !counts.not_run.is_empty() {
        println!("could not run:");
        for test in &counts.not_run {
            println!("  {test}");
        }
    }
    let counts = if under_ci() { counts.strict() } else { counts };
    println!("{}", counts.line());
    if counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn under_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}
