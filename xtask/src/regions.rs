//! `cargo xtask regions`: a leader and two replicas on this machine, as far apart as one says.
//!
//! Each replica reaches the leader through `distance`, which delays what goes either way. Clients
//! in each region read and write there (`load`), and a table tells every second what they see: how
//! long it takes, how far the region is behind. Every process is ended through its handle, on
//! Ctrl-C too.
//!
//! Left out on purpose: loss and cuts; `tests/replication` has those.

mod client;
mod distance;
mod load;
mod table;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::counts::Counts;
use crate::process;
use crate::server::Server;
use client::Client;
use distance::Distance;
use load::{Load, Rates};
use table::Row;

/// How long replicas may take until they follow, and writes until they are everywhere.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the leader and the replicas are, for a reader's eye.
const NAMES: [&str; 3] = ["fra", "iad", "sin"];

/// How far apart the regions are, and what is done in them.
#[derive(Args)]
pub(crate) struct Options {
    /// Milliseconds of a round trip between the leader and each replica
    #[arg(long, value_delimiter = ',', num_args = 2, value_names = ["MS", "MS"], default_values_t = [90, 160])]
    distances: Vec<u64>,
    /// Seconds until the end; without it, until Ctrl-C
    #[arg(long)]
    seconds: Option<u64>,
    /// Writes a second of the clients of each region
    #[arg(long, default_value_t = 20)]
    writes_per_second: u32,
    /// Reads a second of the clients of each region
    #[arg(long, default_value_t = 200)]
    reads_per_second: u32,
    /// Start the nodes, and no clients
    #[arg(long)]
    no_load: bool,
    /// This program instead of a release build of Eave
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// Starts the regions and shows them until the end.
///
/// # Errors
/// When something cannot be started, or does not end in order.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let binary = binary(options)?;
    let told = told_to_end()?;
    let rates = match options.no_load {
        true => Rates { reads: 0, writes: 0 },
        false => Rates { reads: options.reads_per_second, writes: options.writes_per_second },
    };
    let regions = Regions::start(&binary, &options.distances)?;
    for region in &regions.all {
        let port = region.server.resp_port;
        println!("{}: redis-cli -p {port}", region.name);
    }
    let load = regions.load(rates);
    let shown = show(&regions, &load, options.seconds.map(Duration::from_secs), &told);
    let kept = report(&load);
    let ended = load.into_iter().try_for_each(Load::end);
    regions.stop()?;
    shown.and(ended)?;
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The program that was named, or a release build.
fn binary(options: &Options) -> Result<PathBuf> {
    if let Some(binary) = &options.binary {
        return binary.canonicalize().with_context(|| format!("{}", binary.display()));
    }
    process::run(process::cargo().args(["build", "--quiet", "--release", "--package", "eave"]))?;
    Ok(process::target()?.join("release/eave"))
}

/// Set once SIGINT or SIGTERM has come.
fn told_to_end() -> Result<Arc<AtomicBool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let told = Arc::new(AtomicBool::new(false));
    let tells = Arc::clone(&told);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // From here on the signals do not end this process.
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        tells.store(true, Ordering::Relaxed);
    });
    Ok(told)
}

/// A node, and how far it is from the leader.
struct Region {
    name: &'static str,
    server: Server,
    /// Milliseconds of a round trip; `None` for the leader.
    distance_ms: Option<u64>,
}

/// The option that names a region.
fn region(name: &str) -> [String; 2] {
    ["--region", name].map(str::to_owned)
}

/// The leader and its replicas.
struct Regions {
    all: Vec<Region>,
}

impl Regions {
    /// Starts all nodes, and waits until the replicas follow.
    fn start(binary: &Path, distances: &[u64]) -> Result<Regions> {
        let leader = Server::start_alone(binary, "regions-fra", &region(NAMES[0]))?;
        let port = leader.resp_port;
        let mut all = vec![Region { name: NAMES[0], server: leader, distance_ms: None }];
        for (name, ms) in NAMES.into_iter().skip(1).zip(distances) {
            let one_way = Duration::from_micros(ms * 500);
            let distance = Distance::start(port, one_way).context("the proxy")?;
            let replicaof = ["--replicaof", "127.0.0.1", &distance.port.to_string()];
            let options: Vec<String> =
                region(name).into_iter().chain(replicaof.map(str::to_owned)).collect();
            let server = Server::start_alone(binary, &format!("regions-{name}"), &options)?;
            all.push(Region { name, server, distance_ms: Some(*ms) });
        }
        let regions = Regions { all };
        for region in regions.all.iter().skip(1) {
            region.wait_for("replica_forward_link", "up")?;
        }
        Ok(regions)
    }

    fn load(&self, rates: Rates) -> Vec<Load> {
        let start = |region: &Region| Load::start(region.name, region.server.resp_port, rates);
        self.all.iter().map(start).collect()
    }

    /// Ends all nodes, the leader last.
    fn stop(self) -> Result<()> {
        // All are asked to, whatever becomes of the first.
        let ended: Vec<Result<()>> =
            self.all.into_iter().rev().map(|region| region.server.stop()).collect();
        ended.into_iter().collect()
    }
}

impl Region {
    fn connect(&self) -> Result<Client> {
        Client::connect(self.server.resp_port)
    }

    fn wait_for(&self, field: &str, value: &str) -> Result<()> {
        let mut client = self.connect()?;
        let deadline = process::now() + PATIENCE;
        loop {
            let found = client.replication()?.remove(field).unwrap_or_default();
            if found == value {
                return Ok(());
            }
            if process::now() > deadline {
                bail!("{}: {field} is '{found}', not '{value}'", self.name);
            }
            process::pause(Duration::from_millis(20));
        }
    }
}

/// Prints the table until it is time, or until somebody says so.
fn show(regions: &Regions, load: &[Load], span: Option<Duration>, told: &AtomicBool) -> Result<()> {
    let begun = process::now();
    let mut clients: Vec<Client> =
        regions.all.iter().map(Region::connect).collect::<Result<_>>()?;
    let terminal = std::io::stdout().is_terminal();
    let mut lines = 0;
    let mut next = begun + Duration::from_secs(1);
    while !told.load(Ordering::Relaxed) && span.is_none_or(|span| begun.elapsed() < span) {
        if process::now() < next {
            process::pause(Duration::from_millis(20));
            continue;
        }
        next += Duration::from_secs(1);
        let rows = rows(regions, load, &mut clients)?;
        let text = table::text(&rows);
        let mut out = std::io::stdout();
        if terminal && lines > 0 {
            // Over the last one.
            write!(out, "\x1b[{lines}A\x1b[J")?;
        }
        writeln!(out, "{text}")?;
        out.flush()?;
        lines = text.lines().count() + usize::from(text.ends_with('\n'));
    }
    Ok(())
}

fn rows(regions: &Regions, load: &[Load], clients: &mut [Client]) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for ((region, load), client) in regions.all.iter().zip(load).zip(clients) {
        let facts = client.replication()?;
        let leads = region.distance_ms.is_none();
        let number = |name: &str| facts.get(name).and_then(|text| text.parse::<i64>().ok());
        let field = if leads { "master_repl_offset" } else { "slave_repl_offset" };
        let offset = number(field).unwrap_or(0);
        let led = rows.first().map_or(offset, |leader| leader.offset);
        rows.push(Row {
            name: region.name,
            distance_ms: region.distance_ms,
            offset,
            behind: (led - offset).max(0),
            staleness_ms: if leads { None } else { number("replica_staleness_ms") },
            link: facts.get("master_link_status").cloned(),
            seen: load.take(),
        });
    }
    Ok(rows)
}

/// What the clients have seen in all; answers whether each read what it had written.
fn report(load: &[Load]) -> bool {
    for load in load {
        println!("{}", load.total());
    }
    load.iter().all(|load| load.missed() == 0)
}

/// A few seconds of it, as a test: it starts, every region reads and writes, what is written in
/// one is seen in the others, and it ends.
pub(crate) fn short(binary: &Path) -> Counts {
    crate::clients::judge("regions", seen_everywhere(binary))
}

fn seen_everywhere(binary: &Path) -> Result<()> {
    let regions = Regions::start(binary, &[20, 40])?;
    let load = regions.load(Rates { reads: 50, writes: 10 });
    for from in &regions.all {
        let key = format!("seen:{}", from.name);
        let answer = from.connect()?.ask(&["SET", &key, from.name])?;
        if answer != "OK" {
            bail!("a write in {}: {answer}", from.name);
        }
        for to in &regions.all {
            let mut client = to.connect()?;
            wait_until(&format!("{key} in {}", to.name), || {
                Ok(client.ask(&["GET", &key])? == from.name)
            })?;
        }
    }
    wait_until("reads and writes in each region", || {
        Ok(load.iter().all(|load| load.reads() > 0 && load.writes() > 0))
    })?;
    let mut clients: Vec<Client> =
        regions.all.iter().map(Region::connect).collect::<Result<_>>()?;
    let text = table::text(&rows(&regions, &load, &mut clients)?);
    if !NAMES.iter().all(|name| text.contains(name)) {
        bail!("the table lacks a region:\n{text}");
    }
    let missed: u64 = load.iter().map(Load::missed).sum();
    load.into_iter().try_for_each(Load::end)?;
    regions.stop()?;
    if missed > 0 { bail!("{missed} clients did not read what they had written") } else { Ok(()) }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = process::now() + PATIENCE;
    while !holds()? {
        if process::now() > deadline {
            bail!("{what}: not in {} s", PATIENCE.as_secs());
        }
        process::pause(Duration::from_millis(20));
    }
    Ok(())
}
