//! Limits that regions share: what was taken here, and what was heard of other nodes.
//!
//! Each node decides on its own (`REGIONS local`) by a board of counts that stands beside the
//! keyspace. They are no keys: a replica's keyspace is its leader's, byte for byte, and these
//! counts are what differs. So they are not in the log nor in full copies, FLUSHALL leaves
//! them as it leaves rules, and RL.RESET forgets them. `replicate::regions` carries what has
//! changed between nodes: every change gives a limit a higher version, so whoever remembers up to
//! which it has heard is told the rest, without anything being kept for it here.
//!
//! Stripes are locked after shards, several of them in their order, and with nothing behind them.
//!
//! *Bounds*: `region-limits` limits, a quarter of a kilobyte to three each; 64 nodes of each
//! bucket; keys of up to [`REGION_KEY_BYTES`]. A limit that finds no room is the leader's to decide,
//! as if it were not shared.
//!
//! Left out on purpose: keeping counts when a node ends. What it has not told is lost, and its
//! windows begin anew for what it had heard, which the others tell it again.

pub mod peers;
pub mod report;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use eave_ratelimit::Rule;
use eave_ratelimit::regions::{Count, Counts, Node, Span};
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;
use tokio::sync::Notify;

use self::peers::Peers;
use crate::clock;
use crate::command::limiter::Status;
use crate::limits::{REGION_KEY_BYTES, REGION_SPANS};
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Parts of the board that are locked on their own.
const STRIPES: usize = 16;

/// Limits of a stripe that one sweep looks at.
const SWEPT: usize = 256;

/// A share of a limit, in parts of it, that is told at once: a twentieth.
const TOLD_AT_ONCE: u64 = 20;

/// See the module's description.
#[derive(Debug)]
pub struct Board {
    me: Node,
    stripes: [Mutex<Stripe>; STRIPES],
    /// The version of the last change.
    version: AtomicU64,
    /// The highest version that somebody has been told of.
    collected: AtomicU64,
    /// Limits that there are, and that there may be.
    count: AtomicUsize,
    most: AtomicUsize,
    /// Milliseconds of a slot: at least what reports are late.
    slot_ms: AtomicU64,
    /// What was told and found no room.
    dropped: AtomicU64,
    hurried: AtomicBool,
    hurry: Notify,
    /// Who is heard of.
    pub peers: Mutex<Peers>,
}

#[derive(Debug, Default)]
struct Stripe {
    /// By database and key.
    limits: BTreeMap<usize, HashMap<Arc<[u8]>, Limit>>,
    /// Which limit has changed with which version: each stands there once.
    changes: BTreeMap<u64, (usize, Arc<[u8]>)>,
    /// Up to which version the sweep has come.
    swept: u64,
}

/// What is known of one key.
#[derive(Debug, Default)]
struct Limit {
    version: u64,
    /// Rules of several windows may ask for one key.
    spans: SmallVec<[(Span, Counts); 1]>,
    /// Taken here since the last time it was told.
    unsaid: u64,
    /// What was taken here in this slot of time, and in the one before.
    slot: u64,
    in_slot: u64,
    before: u64,
}

/// What one node admits of one key of a rule while reports are late: the most of this time and of
/// the time before.
#[derive(Debug, Default)]
pub struct Within {
    now: AtomicU64,
    before: AtomicU64,
}

impl Within {
    /// Notes what one key has admitted.
    pub fn note(&self, within: u64) {
        if within > self.now.load(Ordering::Relaxed) {
            self.now.fetch_max(within, Ordering::Relaxed);
        }
    }

    /// The most of late.
    pub fn most(&self) -> u64 {
        self.now.load(Ordering::Relaxed).max(self.before.load(Ordering::Relaxed))
    }

    /// Begins anew.
    pub fn turn(&self) {
        self.before.store(self.now.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// A change: its version, and the database and key of the limit.
pub type Change = (u64, usize, Arc<[u8]>);

/// What has changed on a board.
#[derive(Debug)]
pub struct Changed {
    /// The changes, the earliest first.
    pub keys: Vec<Change>,
    /// The version up to which these are all.
    pub upto: u64,
    /// Whether there are no more.
    pub all: bool,
}

/// A rule whose counts are shared, and a key of it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The database.
    pub db: usize,
    /// The key.
    pub key: &'a [u8],
    /// The rule, and how its window is cut.
    pub rule: &'a Rule,
    /// See there.
    pub span: Span,
}

impl Default for Board {
    fn default() -> Board {
        let mut id = [0; 8];
        clock::secret_bytes(&mut id);
        Board {
            // Not 0, which stands for none.
            me: Node::from_le_bytes(id) | 1,
            stripes: Default::default(),
            version: AtomicU64::new(0),
            collected: AtomicU64::new(0),
            count: AtomicUsize::new(0),
            most: AtomicUsize::new(200_000),
            slot_ms: AtomicU64::new(1024),
            dropped: AtomicU64::new(0),
            hurried: AtomicBool::new(false),
            hurry: Notify::new(),
            peers: Mutex::default(),
        }
    }
}

fn stripe_of(db: usize, key: &[u8]) -> usize {
    (crate::keyspace::Place::of(key).hash as usize).wrapping_add(db) % STRIPES
}

impl Board {
    /// This node, as others know it.
    pub fn me(&self) -> Node {
        self.me
    }

    /// How many limits there are, and how many reports of others found no room.
    pub fn figures(&self) -> (usize, u64) {
        (self.count.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }

    /// Says how many limits there may be.
    pub fn bound(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Says how late reports are: what is admitted within that time is noted.
    pub fn slots_of(&self, late_ms: u64) {
        self.slot_ms.store(late_ms.clamp(512, 1 << 30).next_power_of_two(), Ordering::Relaxed);
    }

    /// Whether a key is counted here, or could be.
    pub fn has_room(&self, db: usize, key: &[u8]) -> bool {
        key.len() <= REGION_KEY_BYTES
            && (self.count.load(Ordering::Relaxed) < self.most.load(Ordering::Relaxed)
                || self.stripes[stripe_of(db, key)].lock().get(db, key).is_some())
    }

    /// Locks what is known of these keys.
    pub fn lock<'k>(&self, db: usize, keys: impl Iterator<Item = &'k [u8]>) -> Locked<'_> {
        let mut wanted = [false; STRIPES];
        keys.for_each(|key| wanted[stripe_of(db, key)] = true);
        let stripe = |at: usize| wanted[at].then(|| self.stripes[at].lock());
        // In their order, whoever asks.
        Locked { board: self, stripes: std::array::from_fn(stripe) }
    }

    /// Gives back all that is known to have been taken of a key.
    pub fn reset(&self, db: usize, key: &[u8]) -> bool {
        let mut stripe = self.stripes[stripe_of(db, key)].lock();
        let Some(limit) = stripe.get_mut(db, key) else { return false };
        let reset = limit.spans.iter_mut().fold(false, |any, (_, counts)| counts.reset() || any);
        if reset {
            self.touched(&mut stripe, db, key);
        }
        reset
    }

    /// Takes what another node has told of a key.
    pub fn hear(
        &self,
        (db, key, span): (usize, &[u8], Span),
        told: impl Iterator<Item = Count>,
        now_ms: u64,
    ) {
        let mut stripe = self.stripes[stripe_of(db, key)].lock();
        if let Some(limit) = stripe.get_mut(db, key) {
            let Some(counts) = limit.counts(span) else { return };
            let hear = |news, count| counts.hear(self.me, span, count, now_ms) || news;
            if told.fold(false, hear) {
                self.touched(&mut stripe, db, key);
            }
            return;
        }
        let mut counts = Counts::default();
        let hear = |news, count| counts.hear(self.me, span, count, now_ms) || news;
        if !told.fold(false, hear) {
            return;
        }
        let full = self.count.load(Ordering::Relaxed) >= self.most.load(Ordering::Relaxed);
        if full || key.len() > REGION_KEY_BYTES {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.insert(&mut stripe, db, key).spans.push((span, counts));
        self.touched(&mut stripe, db, key);
    }

    fn insert<'s>(&self, stripe: &'s mut Stripe, db: usize, key: &[u8]) -> &'s mut Limit {
        self.count.fetch_add(1, Ordering::Relaxed);
        stripe.limits.entry(db).or_default().entry(key.into()).or_default()
    }

    /// Gives a limit a higher version, unless nobody has been told of the one it has.
    fn touched(&self, stripe: &mut Stripe, db: usize, key: &[u8]) {
        let Some((key, limit)) =
            stripe.limits.get_mut(&db).and_then(|limits| entry_mut(limits, key))
        else {
            return;
        };
        if limit.version > self.collected.load(Ordering::SeqCst) {
            return;
        }
        stripe.changes.remove(&limit.version);
        limit.version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        limit.unsaid = 0;
        stripe.changes.insert(limit.version, (db, key));
    }

    /// Which keys have changed behind version `since`, the earliest first, `most` of them.
    pub fn changed(&self, since: u64, most: usize) -> Changed {
        let upper = self.version.load(Ordering::SeqCst);
        // From here on, what changes gets a version that is higher still.
        self.collected.fetch_max(upper, Ordering::SeqCst);
        let mut changed = Vec::new();
        if since >= upper {
            return Changed { keys: changed, upto: upper, all: true };
        }
        for stripe in &self.stripes {
            let stripe = stripe.lock();
            let behind = stripe.changes.range((Bound::Excluded(since), Bound::Included(upper)));
            changed.extend(
                behind.take(most).map(|(version, (db, key))| (*version, *db, Arc::clone(key))),
            );
        }
        changed.sort_unstable_by_key(|(version, ..)| *version);
        if changed.len() <= most {
            return Changed { keys: changed, upto: upper, all: true };
        }
        changed.truncate(most);
        let upto = changed.last().map_or(since, |(version, ..)| *version);
        Changed { keys: changed, upto, all: false }
    }

    /// What is known of a key, span by span.
    pub fn told(&self, db: usize, key: &[u8], mut tell: impl FnMut(Span, &Counts)) {
        let stripe = self.stripes[stripe_of(db, key)].lock();
        if let Some(limit) = stripe.get(db, key) {
            limit.spans.iter().for_each(|(span, counts)| tell(*span, counts));
        }
    }

    /// Forgets some of what is over; asked again and again it comes to all.
    pub fn sweep(&self, now_ms: u64) {
        for stripe in &self.stripes {
            let mut stripe = stripe.lock();
            let from = (Bound::Excluded(stripe.swept), Bound::Unbounded);
            let some: Vec<Change> = stripe
                .changes
                .range(from)
                .take(SWEPT)
                .map(|(version, (db, key))| (*version, *db, Arc::clone(key)))
                .collect();
            stripe.swept = if some.len() < SWEPT { 0 } else { some[SWEPT - 1].0 };
            for (version, db, key) in some {
                let Some(limit) = stripe.get_mut(db, &key) else { continue };
                limit.spans.retain(|(span, counts)| !counts.is_over(*span, now_ms));
                if limit.spans.is_empty() {
                    stripe.changes.remove(&version);
                    if let Some(limits) = stripe.limits.get_mut(&db) {
                        limits.remove(&key);
                        // Room that was needed once is not kept for ever.
                        if limits.len() < limits.capacity() / 8 {
                            limits.shrink_to_fit();
                        }
                    }
                    self.count.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Waits until it is time to tell the others: `period`, or as soon as much has been taken.
    pub async fn until_due(&self, period: Duration) {
        let _ = tokio::time::timeout(period, self.hurry.notified()).await;
        self.hurried.store(false, Ordering::Relaxed);
    }

    fn hurry(&self) {
        if !self.hurried.swap(true, Ordering::Relaxed) {
            self.hurry.notify_one();
        }
    }
}

fn entry_mut<'l>(
    limits: &'l mut HashMap<Arc<[u8]>, Limit>,
    key: &[u8],
) -> Option<(Arc<[u8]>, &'l mut Limit)> {
    let key = Arc::clone(limits.get_key_value(key)?.0);
    let limit = limits.get_mut(&key)?;
    Some((key, limit))
}

impl Stripe {
    fn get(&self, db: usize, key: &[u8]) -> Option<&Limit> {
        self.limits.get(&db)?.get(key)
    }

    fn get_mut(&mut self, db: usize, key: &[u8]) -> Option<&mut Limit> {
        self.limits.get_mut(&db)?.get_mut(key)
    }
}

impl Limit {
    /// The counts of a span; nothing if there are too many spans already.
    fn counts(&mut self, span: Span) -> Option<&mut Counts> {
        let at = match self.spans.iter().position(|(known, _)| *known == span) {
            Some(at) => at,
            None if self.spans.len() >= REGION_SPANS => return None,
            None => {
                self.spans.push((span, Counts::default()));
                self.spans.len() - 1
            }
        };
        Some(&mut self.spans[at].1)
    }

    /// Notes what was admitted; answers what that comes to within two slots, and so within any
    /// time as long as one.
    fn admitted(&mut self, cost: u64, slot: u64) -> u64 {
        if slot != self.slot {
            self.before = if slot == self.slot.wrapping_add(1) { self.in_slot } else { 0 };
            (self.slot, self.in_slot) = (slot, 0);
        }
        self.in_slot = self.in_slot.saturating_add(cost);
        self.in_slot.saturating_add(self.before)
    }
}

/// Some stripes of the board, locked.
#[derive(Debug)]
pub struct Locked<'b> {
    board: &'b Board,
    stripes: [Option<MutexGuard<'b, Stripe>>; STRIPES],
}

impl Locked<'_> {
    fn counts(&self, asked: Asked<'_>) -> Option<&Counts> {
        let stripe = self.stripes[stripe_of(asked.db, asked.key)].as_deref()?;
        let limit = stripe.get(asked.db, asked.key)?;
        limit.spans.iter().find(|(span, _)| *span == asked.span).map(|(_, counts)| counts)
    }

    /// A copy of what is known of a key, to try something on.
    pub fn copy(&self, asked: Asked<'_>) -> Counts {
        self.counts(asked).cloned().unwrap_or_default()
    }

    /// What a take would answer.
    pub fn peek(&self, asked: Asked<'_>, cost: u64, now_ms: u64) -> Status {
        let none = Counts::default();
        let counts = self.counts(asked).unwrap_or(&none);
        counts.peek((asked.rule, asked.span), cost, now_ms).status()
    }

    /// Takes, if that is within the limit by what is known here; `within` is told what this key
    /// admits while reports are late.
    pub fn take(
        &mut self,
        asked: Asked<'_>,
        cost: u64,
        now_ms: u64,
        within: impl FnOnce(u64),
    ) -> Status {
        let Asked { db, key, rule, span } = asked;
        let board = self.board;
        let Some(stripe) = self.stripes[stripe_of(db, key)].as_deref_mut() else { return REFUSED };
        if stripe.get(db, key).is_none() {
            let decision = Counts::default().peek((rule, span), cost, now_ms);
            if !decision.allowed || cost == 0 {
                return decision.status();
            }
            board.insert(stripe, db, key);
        }
        let Some(limit) = stripe.get_mut(db, key) else { return REFUSED };
        let Some(counts) = limit.counts(span) else { return REFUSED };
        let decision = counts.take(board.me, (rule, span), cost, now_ms);
        if !decision.allowed || cost == 0 {
            return decision.status();
        }
        within(limit.admitted(cost, now_ms / board.slot_ms.load(Ordering::Relaxed)));
        board.touched(stripe, db, key);
        if let Some(limit) = stripe.get_mut(db, key) {
            limit.unsaid = limit.unsaid.saturating_add(cost);
            if limit.unsaid.saturating_mul(TOLD_AT_ONCE) >= rule.limit() {
                board.hurry();
            }
        }
        decision.status()
    }

    /// Gives back, at most what was taken.
    pub fn give(&mut self, asked: Asked<'_>, amount: u64, now_ms: u64) -> Status {
        let Asked { db, key, rule, span } = asked;
        let board = self.board;
        if self.counts(asked).is_none() {
            return self.peek(asked, 0, now_ms);
        }
        let Some(stripe) = self.stripes[stripe_of(db, key)].as_deref_mut() else { return REFUSED };
        let counts = stripe.get_mut(db, key).and_then(|limit| limit.counts(span));
        let Some(counts) = counts else { return REFUSED };
        let decision = counts.give(board.me, (rule, span), amount, now_ms);
        board.touched(stripe, db, key);
        decision.status()
    }
}

/// What is said where nothing can be counted: a key with too many windows at once.
const REFUSED: Status = [0, 0, 0, -1, 0];
