//! The chores of this repository, and the only list of them: `cargo xtask help`.
//!
//! Each chore is one module. What a chore needs and a machine lacks is installed by
//! `install`, and everything that starts or ends a process goes through `process`.
//!
//! Left out on purpose: anything that a plain cargo command already does (`cargo fmt`,
//! `cargo clippy`, `cargo doc`); `.ci/run` calls those itself.

mod bench;
mod clients;
mod counts;
mod diff;
mod draw;
mod install;
mod process;
mod readme;
mod regions;
mod server;
mod test;
mod tls;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of the Eave repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install what the tests need, then run every test: Rust, real clients, README
    Test(test::Options),
    /// Measure Eave and redis-server side by side
    Bench(bench::Options),
    /// Draw what each algorithm of the limiter admits: docs/ratelimit.svg
    Draw,
    /// Send random commands to Eave and redis-server, and compare every reply
    Diff(diff::Options),
    /// Start a leader and two replicas as far apart as one says, and show how they do
    Regions(regions::Options),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().chore {
        Chore::Test(options) => test::run(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::Diff(options) => diff::run(&options),
        Chore::Regions(options) => regions::run(&options),
        Chore::Draw => draw::run(),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
