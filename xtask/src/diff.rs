//! `cargo xtask diff`: random commands to Eave and to redis-server, and every reply compared.
//!
//! A run is a row of epochs, each with a seed of its own: the first has the run's, the next
//! one the seed behind it, and so on, so that an epoch that differs is repeated by its own
//! seed alone. An epoch starts on empty servers, plays some hundred or thousand commands of
//! one type, pipelined, compares all that the servers then hold, and at its end lets each
//! load what the other has dumped. The first difference is shortened to a script.
//!
//! Left out on purpose: more than one connection; what clients do to each other is tested in
//! `tests/concurrency`.

mod added;
mod bitmap;
mod compare;
mod draw;
mod expire;
mod geo;
mod grammar;
mod hash;
mod hll;
mod keys;
mod keyspace;
mod list;
mod lua;
mod pair;
mod play;
mod random;
mod reply;
mod script;
mod set;
mod shrink;
mod spoil;
mod stream;
mod string;
mod template;
mod words;
mod zset;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::counts::Counts;
use crate::{install, process};
use draw::{Drawer, Epoch};
use grammar::{FAMILIES, Family};
use pair::Pair;
use play::{Difference, Tally};
use shrink::Trial;

/// What to send, and to whom.
#[derive(Args)]
pub(crate) struct Options {
    /// The seed of the first epoch; the same seed sends the same commands
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many commands to send, of each type
    #[arg(long, default_value_t = 1_000_000)]
    commands: u64,
    /// Which types, apart by commas; all of them when none is named
    #[arg(long, value_delimiter = ',', value_name = "TYPE")]
    types: Vec<String>,
    /// How many commands are sent before their replies are read
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Compare this program instead of a debug build of Eave; a name with `redis` or
    /// `valkey` in it is given redis-server's options
    #[arg(long, value_name = "PATH")]
    peer: Option<PathBuf>,
    /// End a type after this many differences
    #[arg(long, default_value_t = 1)]
    differences: usize,
    /// Leave these commands out, apart by commas; without DUMP and RESTORE, neither server
    /// loads what the other has dumped
    #[arg(long, value_delimiter = ',', value_name = "COMMAND")]
    without: Vec<String>,
    /// Start redis-server anew for each epoch: what random streams damage in its memory then
    /// shows in no other
    #[arg(long)]
    fresh: bool,
    /// Print how often each command was sent, and how often it was answered with an error
    #[arg(long)]
    tally: bool,
}

/// The seeds and the length of the run that is part of `cargo xtask test`.
const SHORT: [u64; 2] = [1, 1_000_000];
const SHORT_COMMANDS: u64 = 30_000;

/// Compares, and prints what differs.
///
/// # Errors
/// When a server does not start or an option is wrong; a difference is no error but a
/// failing code.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    install::redis_only()?;
    let binary = match &options.peer {
        // Links are kept: redis-server looks at the name that it is called by.
        Some(path) => std::path::absolute(path)?,
        None => debug_build()?,
    };
    let mut found = 0;
    for family in chosen(&options.types)? {
        found += one_type(family, options, &binary)?;
    }
    println!("{found} differences");
    Ok(if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Some thousand commands of every type, with fixed seeds.
pub(crate) fn short(binary: &Path) -> Counts {
    let mut counts = Counts::default();
    for family in FAMILIES {
        let all = SHORT.iter().map(|seed| {
            let options = Options {
                seed: *seed,
                commands: SHORT_COMMANDS,
                types: Vec::new(),
                batch: 256,
                peer: None,
                differences: 1,
                without: Vec::new(),
                fresh: false,
                tally: false,
            };
            match one_type(family, &options, binary)? {
                0 => Ok(()),
                _ => bail!("Eave and redis-server differ, see above"),
            }
        });
        let outcome = all.collect::<Result<Vec<()>>>().map(drop);
        counts += crate::clients::judge(&format!("diff {}", family.name), outcome);
    }
    counts
}

fn chosen(types: &[String]) -> Result<Vec<&'static Family>> {
    if types.is_empty() {
        return Ok(FAMILIES.to_vec());
    }
    let one = |name: &String| {
        let found = FAMILIES.iter().find(|family| family.name == name);
        let names = FAMILIES.map(|family| family.name).join(", ");
        found.copied().with_context(|| format!("no type {name:?}; there are {names}"))
    };
    types.iter().map(one).collect()
}

fn debug_build() -> Result<PathBuf> {
    println!("building Eave");
    process::run(process::cargo().args([
        "build",
        "--quiet",
        "--package",
        "eave",
        "--bin",
        "eave",
    ]))?;
    let binary = process::target()?.join("debug/eave");
    if !binary.is_file() {
        bail!("cargo built no {}", binary.display());
    }
    Ok(binary)
}

/// Runs the epochs of one type, and returns how many differences there were.
fn one_type(family: &'static Family, options: &Options, binary: &Path) -> Result<usize> {
    let mut pair = Pair::start(binary)?;
    pair.forget(&options.without);
    let batch = options.batch as usize;
    let drawer = Drawer::new(family, pair.commands().clone(), &pair.directives())?;
    let lacking = drawer.lacking();
    if !lacking.is_empty() {
        let names: Vec<_> = lacking.into_iter().collect();
        println!("{}: not in {}: {}", family.name, pair.eave.name(), names.join(" "));
    }
    let bar = bar(family, options.commands);
    let started = process::now();
    let mut tally = Tally::default();
    let (mut found, mut crashes, mut damaged, mut taken_back) = (0, 0, 0, 0);
    // Epochs are drawn while the servers are busy with the one before.
    let epochs = ahead(drawer, options.seed);
    for epoch in epochs {
        let trial = Trial { resp3: epoch.resp3, batch, swap: true };
        if options.fresh {
            pair.redis.end();
        }
        match one_epoch(&mut pair, &epoch, trial, &mut tally) {
            Ok(None) => {}
            // What redis-server dies of is its own mistake: the rest of the epoch has no oracle.
            Ok(Some(Difference { redis: None, eave: Some(_), .. })) | Err(_)
                if pair.redis.is_lost()? =>
            {
                crashes += 1;
            }
            // Random commands damage its memory, too: then it tells other entries than it counts.
            Ok(Some(Difference { redis: Some(_), .. }))
                if keyspace::is_damaged(&mut pair.redis)? =>
            {
                pair.redis.end();
                damaged += 1;
            }
            Ok(Some(difference)) if pair.added.speaks_for_eave(&difference) => {
                pair.redis.end();
                damaged += 1;
            }
            Ok(Some(difference))
                if play::is_taken_back(
                    &mut pair,
                    &epoch.steps[..difference.steps.min(epoch.steps.len())],
                    batch,
                    trial.resp3,
                    &difference,
                )? =>
            {
                taken_back += 1;
            }
            Ok(Some(difference)) => {
                bar.suspend(|| report(family, &mut pair, &epoch, trial, &difference))?;
                found += 1;
            }
            Err(error) => return Err(error),
        }
        bar.set_position(tally.sent);
        if tally.sent >= options.commands || found >= options.differences {
            break;
        }
    }
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    println!("{}", summary(family, options.seed, &tally, seconds, found));
    if crashes > 0 {
        println!(
            "redis-server crashed, hung or talked rubbish in {crashes} epochs, whose rest was left out"
        );
    }
    if damaged > 0 {
        println!(
            "redis-server told other entries than were added, or counted, in {damaged} epochs: left out"
        );
    }
    if taken_back > 0 {
        println!(
            "redis-server, asked again, answered as Eave had in {taken_back} epochs: left out"
        );
    }
    if options.tally {
        print!("{}", table(&tally));
    }
    Ok(found)
}

/// A thread that draws the epochs of the seeds from `seed` on, a few ahead; it ends when
/// nobody takes them any more.
fn ahead(drawer: Drawer, seed: u64) -> mpsc::Receiver<Epoch> {
    let (sender, receiver) = mpsc::sync_channel(2);
    std::thread::spawn(move || {
        let mut seed = seed;
        while sender.send(drawer.epoch(seed)).is_ok() {
            seed = seed.wrapping_add(1);
        }
    });
    receiver
}

/// Plays one epoch, compares the keyspaces a few times on the way and at its end, and swaps
/// dumps.
fn one_epoch(
    pair: &mut Pair,
    epoch: &Epoch,
    trial: Trial,
    tally: &mut Tally,
) -> Result<Option<Difference>> {
    pair.reset(trial.resp3)?;
    let mut played = 0;
    for part in epoch.steps.chunks(epoch.steps.len().div_ceil(PARTS).max(1)) {
        if let Some(mut difference) = play::play(pair, part, trial.batch, tally)? {
            difference.steps += played;
            return Ok(Some(difference));
        }
        played += part.len();
        if let Some(difference) = keyspace::compare(pair, played)? {
            return Ok(Some(difference));
        }
    }
    if trial.swap { keyspace::swap(pair, played) } else { Ok(None) }
}

/// How often in an epoch the keyspaces are compared.
const PARTS: usize = 2;

/// Shortens the run to a difference, prints it as a script and keeps that in a file.
fn report(
    family: &Family,
    pair: &mut Pair,
    epoch: &Epoch,
    trial: Trial,
    first: &Difference,
) -> Result<()> {
    let protocol = if epoch.resp3 { "RESP3" } else { "RESP2" };
    let (seed, name) = (epoch.seed, family.name);
    let head = format!(
        "# cargo xtask diff --types {name} --seed {seed} --commands 1\n# over {protocol}; \
         seed {seed} differs after {} steps at > {}\n",
        first.steps,
        script::command(&first.line)
    );
    let steps = epoch.steps[..first.steps.min(epoch.steps.len())].to_vec();
    let shortened = shrink::shrink(pair, trial, steps).and_then(|found| match found {
        Some((steps, difference)) => {
            script::script(pair, epoch.resp3, &steps, &difference).map(Some)
        }
        None => Ok(None),
    });
    let text = match shortened {
        Ok(Some(text)) => text,
        Ok(None) => {
            "# it did not show again when the same commands were sent again\n".to_owned()
                + &script::difference(first)
        }
        // redis-server may die of the same commands.
        Err(error) => {
            format!("# it could not be shortened: {error}\n") + &script::difference(first)
        }
    };
    let file = process::scratch()?.join(format!("diff-{name}-{seed}.txt"));
    std::fs::write(&file, format!("{head}{text}"))?;
    println!("\n{head}{text}# written to {}\n", file.display());
    Ok(())
}

fn bar(family: &Family, commands: u64) -> ProgressBar {
    let bar = ProgressBar::new(commands);
    // The template is a constant, so its default is never needed.
    let template = "[{elapsed}] {bar:30} {human_pos}/{human_len} {per_sec} {msg}";
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(family.name);
    bar
}

fn summary(family: &Family, seed: u64, tally: &Tally, seconds: f64, found: usize) -> String {
    let errors: u64 = tally.commands.values().map(|counts| counts.1).sum();
    #[expect(clippy::cast_precision_loss, reason = "both stay far below 2^53")]
    let (per_second, share) =
        (tally.sent as f64 / seconds, errors as f64 * 100.0 / tally.sent.max(1) as f64);
    format!(
        "{:8} seed {seed}: {} commands ({share:.0} % errors), {per_second:.0}/s, {found} differences",
        family.name, tally.sent
    )
}

fn table(tally: &Tally) -> String {
    let line = |(name, (sent, errors)): (&String, &(u64, u64))| {
        format!("  {name:24} {sent:>10}  {errors:>9} errors\n")
    };
    tally.commands.iter().map(line).collect()
}
