//! What a replica has its leader do on behalf of clients: writes, and reads that it cannot answer
//! itself in time.
//!
//! The engine says that a request is for the leader (`engine::elsewhere`), and the door that has
//! it carries an [`Errand`] there, without any lock, and waits for what comes back. All clients
//! share a few links (`link`); one that waits at the leader, or watches keys there, has its own.
//! The leader answers as the client's protocol has it, so replies are passed on as they are.
//!
//! *Invariant*: nothing is asked twice. A request whose link breaks behind it may have been run,
//! and its client is told that this is not known.
//!
//! Left out on purpose: a queue for the time without a leader, and retries of any kind.

mod errand;
mod lag;
mod link;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

pub use errand::{Behalf, Carried, Errand, Place, Route};
pub use lag::Lag;
pub use link::OwnLink;

use self::errand::Answer;
use self::link::{NoLink, Parcel, SharedLink};
use crate::config::Leader;
use crate::limits::{
    FORWARD_IDLE, FORWARD_LINKS, FORWARD_OWN_LINKS, FORWARD_QUEUE, FORWARD_QUEUE_KIB,
};
use crate::net::stream::Stream;
use crate::node::Node;
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

/// What a client is told when its request did not leave this node.
const UNREACHABLE: &str = "MASTERDOWN The leader cannot be reached, nothing was sent to it";

/// What a client is told when its request may or may not have been run.
const UNCERTAIN: &str =
    "UNCERTAIN The link to the leader broke: whether the command was run is not known";

const TOO_MANY: &str = "ERR too many clients of this replica wait at the leader";

const WATCH_LOST: &str = "EXECABORT Transaction discarded because of: the link to the leader \
                          broke, which watched the keys";

/// Milliseconds before a leader is tried again, at first and at most.
const RETRY_MS: (u64, u64) = (100, 2_000);

/// Milliseconds before a leader is asked again that takes nothing that is forwarded.
const ASK_AGAIN_MS: u64 = 5_000;

/// How often what is under way is looked at when the node stops, and the time between.
const LAST_LOOKS: u32 = 200;
const LAST_LOOK: Duration = Duration::from_millis(10);

/// Whether the leader takes what is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    Unknown = 0,
    Yes = 1,
    No = 2,
}

/// The links of this node to its leader.
#[derive(Debug)]
pub struct Forwarding {
    offer: AtomicU8,
    ways: Mutex<Vec<Way>>,
    idle: Mutex<Vec<OwnLink>>,
    /// How many more links of one client there may be.
    own: Arc<Semaphore>,
    /// KiB of requests that may be under way.
    room: Arc<Semaphore>,
    /// Counts leaders.
    term: AtomicU64,
    /// Requests that were carried, and those of them that failed on the way.
    carried: AtomicU64,
    failed: AtomicU64,
}

impl Default for Forwarding {
    fn default() -> Forwarding {
        Forwarding {
            offer: AtomicU8::new(Offer::Unknown as u8),
            ways: Mutex::default(),
            idle: Mutex::default(),
            own: Arc::new(Semaphore::new(FORWARD_OWN_LINKS)),
            room: Arc::new(Semaphore::new(FORWARD_QUEUE_KIB)),
            term: AtomicU64::new(0),
            carried: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }
}

/// A link that clients share, as they reach it.
#[derive(Clone, Debug)]
struct Way {
    number: usize,
    parcels: mpsc::Sender<Parcel>,
    load: Arc<AtomicUsize>,
}

impl Forwarding {
    /// Whether the leader takes what is forwarded. Once it has said so this holds until this node
    /// follows another, whether or not it can be reached.
    pub fn is_offered(&self) -> bool {
        self.offer.load(Ordering::Relaxed) == Offer::Yes as u8
    }

    /// Forgets the leader, and closes what leads to it.
    fn forget(&self) {
        self.term.fetch_add(1, Ordering::AcqRel);
        self.offer.store(Offer::Unknown as u8, Ordering::Relaxed);
        self.ways.lock().clear();
        self.idle.lock().clear();
    }

    /// The shared link with the fewest requests.
    fn way(&self) -> Option<Way> {
        let ways = self.ways.lock();
        ways.iter().min_by_key(|way| way.load.load(Ordering::Relaxed)).cloned()
    }

    fn add(&self, way: Way) {
        self.offer.store(Offer::Yes as u8, Ordering::Relaxed);
        self.ways.lock().push(way);
    }

    fn remove(&self, number: usize) {
        self.ways.lock().retain(|way| way.number != number);
    }

    fn keep_idle(&self, link: OwnLink) {
        let mut idle = self.idle.lock();
        if idle.len() < FORWARD_IDLE && link.term == self.term.load(Ordering::Acquire) {
            idle.push(link);
        }
    }
}

/// Keeps links to whomever this node follows, until it stops.
pub(super) async fn run(node: Arc<Node>) {
    let mut target = node.replication.target.watch();
    loop {
        let leader = target.look();
        node.replication.forwarding.forget();
        node.replication.lag.forget();
        let mut links = JoinSet::new();
        if let Some(leader) = leader {
            for number in 0..FORWARD_LINKS {
                links.spawn(keep(Arc::clone(&node), leader.clone(), number));
            }
        }
        tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return answered(&node).await,
            () = target.changed() => {}
        }
    }
}

/// Waits until what is under way is answered, when the node stops; not for ever.
async fn answered(node: &Node) {
    let forwarding = &node.replication.forwarding;
    for _ in 0..LAST_LOOKS {
        let loads = |way: &Way| way.load.load(Ordering::Relaxed);
        if forwarding.ways.lock().iter().map(loads).sum::<usize>() == 0 {
            return;
        }
        tokio::time::sleep(LAST_LOOK).await;
    }
}

/// Keeps one shared link.
async fn keep(node: Arc<Node>, leader: Leader, number: usize) {
    let forwarding = &node.replication.forwarding;
    let mut retry_ms = RETRY_MS.0;
    loop {
        match link::open(&node, &leader).await {
            Ok(stream) => {
                retry_ms = RETRY_MS.0;
                let (parcels, queue) = mpsc::channel(FORWARD_QUEUE);
                let load = Arc::new(AtomicUsize::new(0));
                let way = Way { number, parcels, load: Arc::clone(&load) };
                let link = SharedLink::new(&node, queue, &load, number == 0);
                forwarding.add(way);
                let error = link.serve(stream).await;
                forwarding.remove(number);
                tracing::warn!("a link for writes to the leader {leader} broke: {error}");
            }
            Err(NoLink::NotOffered(why)) => {
                let before = forwarding.offer.swap(Offer::No as u8, Ordering::Relaxed);
                if before != Offer::No as u8 && number == 0 {
                    tracing::info!("the leader {leader} takes no writes from its replicas: {why}");
                }
                retry_ms = ASK_AGAIN_MS;
            }
            Err(NoLink::Lost(error)) => {
                tracing::debug!("no link for writes to the leader {leader}: {error}");
                retry_ms = (retry_ms * 2).min(RETRY_MS.1);
            }
        }
        tokio::time::sleep(Duration::from_millis(retry_ms)).await;
    }
}

/// A link of another kind to a leader that takes what is forwarded.
pub(super) async fn open(node: &Node, leader: &Leader) -> io::Result<Stream> {
    link::open(node, leader).await.map_err(|why| match why {
        NoLink::Lost(error) => error,
        NoLink::NotOffered(why) => io::Error::other(why),
    })
}

/// Has the leader do what a client asks, and answers what the client is told.
pub async fn carry(node: &Node, errand: Errand) -> Carried {
    let forwarding = &node.replication.forwarding;
    let count = errand.len() as u64;
    forwarding.carried.fetch_add(count, Ordering::Relaxed);
    let carried = if errand.route == Route::Shared && errand.own.is_none() {
        carry_shared(forwarding, errand).await
    } else {
        carry_alone(node, errand).await
    };
    if carried.place.is_none() {
        forwarding.failed.fetch_add(count, Ordering::Relaxed);
    }
    carried
}

async fn carry_shared(forwarding: &Forwarding, mut errand: Errand) -> Carried {
    let kib = (errand.bytes.len() / 1024 + 1).min(FORWARD_QUEUE_KIB);
    let room = Arc::clone(&forwarding.room);
    let room = room.acquire_many_owned(u32::try_from(kib).unwrap_or(u32::MAX)).await;
    // It is never closed.
    let (Ok(room), Some(way)) = (room, forwarding.way()) else {
        return errand.fail_all(UNREACHABLE);
    };
    let (to, answer) = oneshot::channel();
    let sent = Arc::new(AtomicBool::new(false));
    let parcel = Parcel {
        bytes: std::mem::take(&mut errand.bytes),
        replies: errand.replies,
        sent: Arc::clone(&sent),
        answer: to,
        room,
    };
    way.load.fetch_add(1, Ordering::Relaxed);
    if way.parcels.send(parcel).await.is_err() {
        return errand.fail_all(UNREACHABLE);
    }
    match answer.await {
        Ok(answer) => errand.settle(&answer, UNCERTAIN),
        Err(_) if sent.load(Ordering::Acquire) => errand.settle(&Answer::default(), UNCERTAIN),
        Err(_) => errand.fail_all(UNREACHABLE),
    }
}

async fn carry_alone(node: &Node, mut errand: Errand) -> Carried {
    let forwarding = &node.replication.forwarding;
    // Before the link is looked for: of a change since then this future is told.
    let mut target = node.replication.target.watch();
    let mut link = match own_link(node, errand.own.take()).await {
        Ok(link) => link,
        Err(why) => return errand.fail_all(why),
    };
    let mut answer = Answer::default();
    let asked = tokio::select! {
        biased;
        asked = link.ask(&errand.bytes, errand.replies, &mut answer) => asked.is_ok(),
        () = target.changed() => false,
        () = node.shutdown.cancelled() => false,
    };
    let mut carried = errand.settle(&answer, UNCERTAIN);
    match errand.route {
        _ if !asked => {}
        Route::Kept => carried.own = Some(link),
        Route::Alone | Route::Shared => forwarding.keep_idle(*link),
    }
    carried
}

/// The link that an errand goes on with, or one of its own.
async fn own_link(node: &Node, kept: Option<Box<OwnLink>>) -> Result<Box<OwnLink>, &'static str> {
    let forwarding = &node.replication.forwarding;
    let term = forwarding.term.load(Ordering::Acquire);
    if let Some(link) = kept {
        return if link.term == term { Ok(link) } else { Err(WATCH_LOST) };
    }
    if let Some(link) = forwarding.idle.lock().pop() {
        return Ok(Box::new(link));
    }
    let Some(leader) = node.replication.target.get() else { return Err(UNREACHABLE) };
    let place = Arc::clone(&forwarding.own).try_acquire_owned().map_err(|_| TOO_MANY)?;
    match link::open(node, &leader).await {
        Ok(stream) => Ok(Box::new(OwnLink::new(stream, place, term))),
        Err(_) => Err(UNREACHABLE),
    }
}

/// Waits until this node's log has come to `offset`, as long as `sync-wait-ms` says; answers
/// whether it has.
pub async fn reach(node: &Node, offset: u64) -> bool {
    let patience = Duration::from_millis(node.config.load().sync_wait_ms);
    let reached = node.log.appended_since(offset.saturating_sub(1));
    offset == 0 || tokio::time::timeout(patience, reached).await.is_ok()
}

/// The lines of INFO replication about this, on a replica.
pub fn info_lines(node: &Node) -> Vec<(&'static str, String)> {
    let Forwarding { offer, ways, carried, failed, .. } = &node.replication.forwarding;
    let offer = offer.load(Ordering::Relaxed);
    let status = match (ways.lock().len(), offer) {
        (1.., _) => "up",
        (0, offer) if offer == Offer::No as u8 => "not-offered",
        _ => "down",
    };
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed).to_string();
    let staleness = node.replication.staleness_ms();
    vec![
        ("replica_forward_link", status.to_owned()),
        ("replica_forwarded_commands", count(carried)),
        ("replica_forward_failures", count(failed)),
        ("replica_staleness_ms", staleness.map_or("-1".to_owned(), |ms| ms.to_string())),
    ]
}

/// What the leader says of its place when it is asked for it: offset, and for how long it has
/// been behind its own leader.
pub fn position(node: &Node) -> (u64, u64) {
    let behind = match node.replication.is_replica() {
        true => node.replication.staleness_ms().unwrap_or(u64::from(u32::MAX)),
        false => 0,
    };
    (node.log.offset(), behind)
}
