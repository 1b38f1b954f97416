//! `eave import`: moves the keys of another server, or of a file, into a running Eave.
//!
//! A program of its own in the same binary: a client of the target, and of the source what a
//! replica is. Every source yields the same, RDB items or keys, and every key goes the same way:
//! decoded, which is where hostile bytes are found out, written again in Eave's own form, and
//! restored by RESTORE. One value is in memory at a time.
//!
//! Reading order: `options`, `address`; `delivery` and `target` (where keys go); the sources
//! `file`, `follow` with `history`, `scan`; `tally` and `progress` (what is told).
//!
//! Left out on purpose: going on with a copy that broke off (run it again, with `--replace`), the
//! other nodes of a cluster, values of more than 512 MiB.

mod address;
mod delivery;
mod file;
mod follow;
mod history;
mod options;
mod peer;
mod progress;
mod scan;
mod tally;
mod target;
mod tls;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::rdb;
use address::Address;
use delivery::Delivery;
use follow::{Ended, Until};
use options::{Asked, Existing, Options, Source};
use peer::Peer;
use progress::Total;

/// Why an import came to nothing, or to less than was asked for.
#[derive(Debug, thiserror::Error)]
enum ImportError {
    #[error("{0}: cannot connect: {1}")]
    Connect(String, std::io::Error),
    #[error("{0}: the connection is lost: {1}")]
    Lost(String, std::io::Error),
    #[error("{0} refuses user or password: {1}")]
    Denied(String, String),
    #[error("the target {0} says: {1}")]
    Target(String, String),
    #[error("the source {0}: {1}")]
    Source(String, String),
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    #[error("{0}")]
    Read(std::io::Error),
    #[error("{0}")]
    Rdb(#[from] rdb::Error),
    #[error("the file goes on behind its end (an append-only file?), and that was not read")]
    More,
    #[error("{0}")]
    Tls(String),
    #[error("broken off: {0}")]
    Interrupted(&'static str),
    #[error(
        "the target {0} holds {1} already: --replace overwrites those that the source has too, \
         --keep leaves them as they are; nothing was written"
    )]
    NotEmpty(String, String),
    #[error("source and target are the same server")]
    Same,
}

/// Runs with the arguments behind `import`.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let options = match options::parse(args, |name| std::env::var_os(name)) {
        Ok(Asked::Help) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Asked::Import(options)) => options,
        Err(why) => {
            eprintln!("eave import: {why}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(run(&options)),
        Err(error) => {
            eprintln!("eave import: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> ExitCode {
    let only = match &options.source {
        Source::Node(Address { database: Some(db), .. }) => {
            Some((*db, options.target.database.unwrap_or(*db)))
        }
        _ => None,
    };
    let target = match open_target(options).await {
        Ok(target) => target,
        Err(error) => {
            eprintln!("eave import: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut delivery = Delivery::new(target, options.existing, only);
    let copied = copy(options, &mut delivery).await;
    // What is on its way when the source breaks off is there all the same, and counts.
    let settled = delivery.settle().await;
    delivery.progress.end();
    print!("{}", delivery.summary());
    match copied.and(settled) {
        Ok(()) if delivery.is_whole() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("eave import: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Connects to the target, unless nothing is to be written.
async fn open_target(options: &Options) -> Result<Option<Peer>, ImportError> {
    if options.dry_run {
        return Ok(None);
    }
    let mut peer = Peer::open(&options.target, &options.tls).await?;
    let Some(held) = peer.keyspace().await? else {
        let why = peer.ask(&[b"INFO", b"keyspace"]).await?;
        let why = why.error_text().unwrap_or("INFO tells no keyspace").to_owned();
        return Err(ImportError::Target(peer.name, why));
    };
    let keys: u64 = held.iter().map(|(_, keys)| keys).sum();
    if keys > 0 && options.existing == Existing::Refuse {
        return Err(ImportError::NotEmpty(peer.name, tally::count(keys, "key")));
    }
    Ok(Some(peer))
}

async fn copy(options: &Options, delivery: &mut Delivery) -> Result<(), ImportError> {
    match &options.source {
        Source::File(path) => file::copy(path, delivery).await,
        Source::StandardInput => file::copy_input(delivery).await,
        Source::Node(node) => copy_node(node, options, delivery).await,
    }
}

async fn copy_node(
    node: &Address,
    options: &Options,
    delivery: &mut Delivery,
) -> Result<(), ImportError> {
    let mut peer = Peer::open(node, &options.tls).await?;
    is_another(&mut peer, delivery).await?;
    // A user for replicas alone may not ask; then the whole is not known.
    if let Some(held) = peer.keyspace().await? {
        let wanted = held.iter().filter(|(db, _)| node.database.is_none_or(|only| only == *db));
        delivery.progress.total = Total::Keys(wanted.map(|(_, keys)| keys).sum());
    }
    if !options.scan {
        let until = if options.live { Until::Told } else { Until::Copied };
        match follow::run(node, &options.tls, until, delivery).await? {
            Ended::Done => return Ok(()),
            Ended::Refused(why) if options.live => {
                let why = format!("it does not let others follow it ({why}), as --live does");
                return Err(ImportError::Source(node.to_string(), why));
            }
            Ended::Refused(why) => {
                let line = format!(
                    "{node} does not let others follow it ({why}): copying by SCAN and DUMP. \
                     What is written there meanwhile may be missing"
                );
                delivery.progress.say(&line);
            }
        }
    }
    scan::copy(&mut peer, node.database, delivery).await
}

/// Makes sure that a server is not copied into itself, whatever names it has.
async fn is_another(source: &mut Peer, delivery: &mut Delivery) -> Result<(), ImportError> {
    let Some(here) = source.info("server", "run_id").await? else { return Ok(()) };
    let Some((target, _)) = delivery.target() else { return Ok(()) };
    let there = target.peer.info("server", "run_id").await?;
    if there.is_some_and(|there| there == here) { Err(ImportError::Same) } else { Ok(()) }
}
