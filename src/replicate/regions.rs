//! What nodes tell each other of limits that they share: a replica asks its leader.
//!
//! Every `region-exchange-ms`, or sooner once a twentieth of a limit was taken here, a replica
//! sends what has changed on its board and is answered with what has changed on its leader's
//! (RL.EXCHANGE, over a connection of its own). It remembers how far each has heard of the other, by
//! the leader's number of itself, so the leader keeps nothing for it; what is lost is said again.
//! A node in the middle of a chain has one board for both sides, and so passes on what it hears.
//!
//! Nothing of this is in the log: it would differ from node to node.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use eave_ratelimit::regions::{self as shared, Node as Id};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::forward;
use crate::clock;
use crate::config::Leader;
use crate::limits::{READ_BYTES, REGION_REPORT_MOST};
use crate::net::stream::Stream;
use crate::node::Node;
use crate::regions::report::{self, Broken, Head, Told};
use crate::resp::answer::Measure;
use crate::resp::reply::encode_command;
use crate::rules::Regions;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Time between two looks at what is over.
const LOOK: Duration = Duration::from_millis(100);

/// Looks after which what was admitted within the lateness of reports is counted anew.
const TURN: u32 = 600;

/// How long a link may take to be made, and an exchange to be answered.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time before a leader is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// The parts of the period that have to pass, however much is taken.
const SOONEST: u32 = 10;

/// What has been told, on either side.
#[derive(Debug, Default)]
pub struct Exchanges {
    done: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
}

/// Keeps the board in order, until the node stops.
pub(super) async fn keep(node: Arc<Node>) {
    let mut looks = 0u32;
    loop {
        tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let board = &node.keyspace.regions;
        board.bound(usize::try_from(node.config.load().region_limits).unwrap_or(usize::MAX));
        board.sweep(clock::unix_ms());
        let worst_ms = {
            let mut peers = board.peers.lock();
            peers.look(clock::monotonic_ms());
            peers.worst_ms()
        };
        board.slots_of(worst_ms);
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(TURN) && node.keyspace.rules.are_shared() {
            node.keyspace.rules.all(0).iter().for_each(|named| named.within.turn());
        }
    }
}

/// Exchanges with whomever this node follows, until it stops.
pub(super) async fn run(node: Arc<Node>) {
    let mut target = node.replication.target.watch();
    loop {
        let leader = target.look();
        let exchanging = async {
            match leader {
                Some(leader) => exchange_with(&node, &leader).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return,
            () = target.changed() => {}
            () = exchanging => {}
        }
    }
}

/// How far this node and its leader have heard of each other.
#[derive(Debug, Default)]
struct Heard {
    /// The leader, as it calls itself; 0 before it has answered.
    leader: Id,
    /// Up to which version of this node's board it has heard all.
    told: u64,
    /// Up to which of its own this node has.
    heard: u64,
    /// What its clock said last, and when that came in.
    stamp_ms: u64,
    came_ms: u64,
}

async fn exchange_with(node: &Node, leader: &Leader) {
    let mut heard = Heard::default();
    let mut link: Option<Link> = None;
    loop {
        let period = Duration::from_millis(node.config.load().region_exchange_ms);
        tokio::time::sleep(period / SOONEST).await;
        node.keyspace.regions.until_due(period - period / SOONEST).await;
        if !node.keyspace.rules.are_shared() {
            continue;
        }
        let exchanges = &node.replication.exchanges;
        let asked = tokio::time::timeout(PATIENCE, async {
            let open = match link.take() {
                Some(open) => open,
                None => Link { stream: forward::open(node, leader).await?, incoming: Vec::new() },
            };
            exchange(node, &mut heard, open).await
        });
        match asked.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(open) => link = Some(open),
            Err(error) => {
                exchanges.failed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!("no exchange of shared limits with {leader}: {error}");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Tells all that has changed, and hears all.
async fn exchange(node: &Node, heard: &mut Heard, mut link: Link) -> io::Result<Link> {
    let board = &node.keyspace.regions;
    loop {
        let sent_ms = clock::monotonic_ms();
        let head = Head {
            echo_ms: heard.stamp_ms,
            held_ms: sent_ms.saturating_sub(heard.came_ms),
            knows: heard.leader,
            since: heard.heard,
            ..head(node, sent_ms)
        };
        let (bytes, said) = report::write(board, head, heard.told);
        let answer = link.ask(&bytes).await?;
        let exchanges = &node.replication.exchanges;
        exchanges.bytes.fetch_add((bytes.len() + answer.len()) as u64, Ordering::Relaxed);
        exchanges.done.fetch_add(1, Ordering::Relaxed);
        let (told, limits) = report::read(&answer).map_err(io::Error::other)?;
        if told.from == board.me() {
            return Err(io::Error::other("this node follows itself"));
        }
        take_in(node, &told, &limits, told.complete.then_some(sent_ms));
        let other = told.from != heard.leader;
        *heard = Heard {
            leader: told.from,
            // Another leader has heard no more than what it has been told just now; what came
            // before it is told again.
            told: if other && heard.leader != 0 { 0 } else { said.upto },
            heard: told.upto,
            stamp_ms: told.stamp_ms,
            came_ms: clock::monotonic_ms(),
        };
        if said.complete && told.complete && heard.told == said.upto {
            return Ok(link);
        }
    }
}

/// Answers what a node has told with what it has not heard.
///
/// # Errors
/// When it is no report.
pub fn answer(node: &Node, bytes: &[u8]) -> Result<Vec<u8>, Broken> {
    let board = &node.keyspace.regions;
    let (told, limits) = report::read(bytes)?;
    if told.from == board.me() {
        return Err(Broken);
    }
    let now_ms = clock::monotonic_ms();
    // It was written so long after this node's answer had come in there.
    let written_ms = told.echo_ms.checked_add(told.held_ms);
    let known = told.complete && told.knows == board.me() && told.echo_ms > 0;
    let written_ms = written_ms.filter(|written_ms| known && *written_ms <= now_ms);
    take_in(node, &told, &limits, written_ms);
    let since = if told.knows == board.me() { told.since } else { 0 };
    let (answer, _) = report::write(board, head(node, now_ms), since);
    node.replication.exchanges.done.fetch_add(1, Ordering::Relaxed);
    let bytes = (bytes.len() + answer.len()) as u64;
    node.replication.exchanges.bytes.fetch_add(bytes, Ordering::Relaxed);
    Ok(answer)
}

/// What this node says of itself.
fn head(node: &Node, now_ms: u64) -> Head {
    let config = node.config.load();
    let region = match config.region.as_str() {
        "" => node.run_id.get(..8).unwrap_or("unnamed"),
        region => region,
    };
    let peers = node.keyspace.regions.peers.lock();
    Head {
        from: node.keyspace.regions.me(),
        region: region.to_owned(),
        stamp_ms: now_ms,
        worst_ms: peers.peak_ms(),
        nodes: report::nodes(&peers, now_ms),
        ..Head::default()
    }
}

/// Takes what another node has told: all that it knew at `as_of_ms`, if that is known.
fn take_in(node: &Node, told: &Head, limits: &[Told<'_>], as_of_ms: Option<u64>) {
    let board = &node.keyspace.regions;
    let now_ms = clock::unix_ms();
    for limit in limits {
        match usize::try_from(limit.db) {
            Ok(db) if db < node.keyspace.databases() => {
                board.hear((db, limit.key, limit.span), limit.counts(), now_ms);
            }
            _ => {}
        }
    }
    let now_ms = clock::monotonic_ms();
    let mut peers = board.peers.lock();
    peers.heard(told.from, &told.region, as_of_ms, told.worst_ms, now_ms);
    for (id, region, age_ms) in &told.nodes {
        if *id != board.me() && *id != told.from && *id != 0 {
            let fresh = as_of_ms.zip(*age_ms).and_then(|(at, age)| at.checked_sub(age));
            peers.heard_of(*id, region, fresh, now_ms);
        }
    }
}

/// A connection to the leader for this alone.
#[derive(Debug)]
struct Link {
    stream: Stream,
    incoming: Vec<u8>,
}

impl Link {
    /// Asks once. Whoever does not wait for the end has to drop the link.
    async fn ask(&mut self, report: &[u8]) -> io::Result<Vec<u8>> {
        let mut request = Vec::new();
        encode_command(&mut request, &[b"RL.EXCHANGE", report]);
        self.stream.write_all(&request).await?;
        self.stream.flush().await?;
        let mut measure = Measure::default();
        loop {
            if let Some(length) = measure.end(&self.incoming).map_err(io::Error::other)? {
                let answer = bulk(&self.incoming[..length]);
                self.incoming.drain(..length);
                self.incoming.shrink_to(READ_BYTES);
                return answer;
            }
            if self.incoming.len() > REGION_REPORT_MOST {
                return Err(io::Error::other("the answer is too large"));
            }
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// The text of a reply.
fn bulk(reply: &[u8]) -> io::Result<Vec<u8>> {
    let end = memchr::memchr(b'\n', reply).map(|end| end + 1);
    match (reply.first(), end) {
        (Some(b'$'), Some(begin)) if reply.len() >= begin + 2 => {
            Ok(reply[begin..reply.len() - 2].to_vec())
        }
        (Some(b'-'), _) => Err(io::Error::other(String::from_utf8_lossy(reply).into_owned())),
        _ => Err(io::Error::other("no answer to RL.EXCHANGE")),
    }
}

/// The lines of INFO.
pub fn info_lines(node: &Node, mut put: impl FnMut(&str, String)) {
    let board = &node.keyspace.regions;
    let now_ms = clock::monotonic_ms();
    let (limits, dropped) = board.figures();
    let Exchanges { done, failed, bytes } = &node.replication.exchanges;
    let peers = board.peers.lock();
    let or_minus_one = |ms: Option<u64>| ms.map_or("-1".to_owned(), |ms| ms.to_string());
    put("region_nodes", peers.nodes().to_string());
    put("region_staleness_ms", or_minus_one(peers.staleness_ms(now_ms)));
    put("region_staleness_peak_ms", peers.worst_ms().to_string());
    put("region_limits", limits.to_string());
    put("region_reports_dropped", dropped.to_string());
    for (name, count) in [("done", done), ("failed", failed), ("bytes", bytes)] {
        put(&format!("region_exchange_{name}"), count.load(Ordering::Relaxed).to_string());
    }
    for (at, (id, peer)) in peers.all().enumerate() {
        let (region, age) = (&peer.region, or_minus_one(peer.staleness_ms(now_ms)));
        put(
            &format!("region_peer{at}"),
            // The id last, by which metrics name it.
            format!("region={region},staleness_ms={age},id={id:016x}"),
        );
    }
    let (nodes, unheard) = (peers.nodes(), peers.staleness_ms(now_ms).is_none());
    drop(peers);
    let rules = node.keyspace.rules.all(clock::unix_ms());
    let shared = rules.iter().filter(|named| named.spec.regions == Regions::Local);
    for (at, named) in shared.enumerate() {
        let limit = named.spec.rule.limit();
        // Of whom nothing was heard, each may have admitted the limit.
        let within = if unheard { limit } else { named.within.most().min(limit) };
        let bound = shared::bound(limit, nodes, within);
        let name = String::from_utf8_lossy(&named.name);
        // The name last: it may have commas.
        let value = format!("limit={limit},within={within},bound={bound},name={name}");
        put(&format!("region_rule{at}"), value);
    }
}
