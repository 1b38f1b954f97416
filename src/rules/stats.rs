//! What came of a named rule: how many requests it let pass and turned away, and whose they were.
//!
//! Counts are kept by the minute for an hour and by the hour for two days, and then forgotten. Who asks most is
//! found by space saving: a fixed number of counters, of which the smallest of a set of eight is given to
//! whoever has none, with its count as the error. Memory is bounded by both: some 30 KB for each
//! of a few sheets, which threads share so that they rarely meet.
//!
//! Left out on purpose: keeping statistics across restarts, and telling replicas: each node says what it
//! has decided itself.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

use crate::hashing::hash_bytes;
use crate::limits::STATS_ID_BYTES;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passed.
    Allowed,
    /// Its quota was used up.
    Limited,
    /// A list turned it away.
    Denied,
}

/// Requests by what came of them: allowed, limited, denied.
pub type Counts = [u64; 3];

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const MINUTES: usize = 60;
const HOURS: usize = 48;

/// Sheets of a rule.
const SHEETS: usize = 4;
/// Sets of counters of a sketch, and counters of a set.
const SETS: usize = 16;
const WAYS: usize = 8;

/// The statistics of a rule.
#[derive(Debug, Default)]
pub struct RuleStats {
    sheets: [CachePadded<Mutex<Option<Box<Sheet>>>>; SHEETS],
}

/// What some threads have counted.
#[derive(Debug)]
struct Sheet {
    /// Since the rule came into being.
    ever: Counts,
    minutes: [Bucket; MINUTES],
    hours: [Bucket; HOURS],
    /// Of the present hour and of the one before, each with its number.
    sketches: [(u64, Sketch); 2],
}

/// The requests of a span of time.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// The number of its span since the Unix epoch.
    at: u64,
    counts: Counts,
}

/// Who asks most.
#[derive(Debug, Default)]
struct Sketch {
    sets: Vec<Set>,
}

/// Counters among which an identifier has its own: what is compared lies together.
#[derive(Debug, Default)]
struct Set {
    hashes: [u64; WAYS],
    totals: [u64; WAYS],
    counters: [Counter; WAYS],
}

/// What else there is of a counter.
#[derive(Clone, Debug, Default)]
struct Counter {
    id: Vec<u8>,
    refused: u64,
    error: u64,
}

/// Who is among those who ask most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// Its first bytes.
    pub id: Vec<u8>,
    /// Its requests; up to `error` fewer.
    pub total: u64,
    /// Those that were turned away, at least.
    pub refused: u64,
    /// How far the count may be too high.
    pub error: u64,
}

/// The sheet that this thread writes.
fn own_sheet() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static OWN: Cell<usize> = const { Cell::new(usize::MAX) });
    OWN.with(|own| {
        if own.get() == usize::MAX {
            own.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHEETS);
        }
        own.get()
    })
}

impl RuleStats {
    /// Counts a request.
    pub fn count(&self, verdict: Verdict, id: &[u8], now: u64) {
        let mut sheet = self.sheets[own_sheet()].lock();
        sheet.get_or_insert_with(Sheet::new).count(verdict, id, now);
    }

    /// Requests since `from`, rounded down to the minute, or to the hour when that is more than an
    /// hour ago.
    pub fn since(&self, from: u64, now: u64) -> Counts {
        let mut sum = Counts::default();
        self.each(|sheet| sheet.add_to(&mut sum, from, now));
        sum
    }

    /// All requests since the rule came into being.
    pub fn ever(&self) -> Counts {
        let mut sum = Counts::default();
        self.each(|sheet| add(&mut sum, &sheet.ever));
        sum
    }

    /// The `most` who ask most in this hour and the one before.
    pub fn top(&self, most: usize, now: u64) -> Vec<Top> {
        let mut found: HashMap<Vec<u8>, Top> = HashMap::new();
        self.each(|sheet| {
            let live = sheet.sketches.iter().filter(|(hour, _)| hour + 1 >= now / HOUR_MS);
            let sets = live.flat_map(|(_, sketch)| &sketch.sets);
            let counters = sets.flat_map(|set| set.totals.iter().zip(&set.counters));
            for (total, counter) in counters.filter(|(total, _)| **total > 0) {
                let top = found.entry(counter.id.clone()).or_default();
                top.total += total;
                top.refused += counter.refused;
                top.error += counter.error;
            }
        });
        let named = found.into_iter().map(|(id, top)| Top { id, ..top });
        let mut top: Vec<Top> = named.collect();
        top.sort_by(|a, b| b.total.cmp(&a.total).then_with(|| a.id.cmp(&b.id)));
        top.truncate(most);
        top
    }

    fn each(&self, mut look: impl FnMut(&Sheet)) {
        for sheet in &self.sheets {
            if let Some(sheet) = &*sheet.lock() {
                look(sheet);
            }
        }
    }
}

impl Sheet {
    fn new() -> Box<Sheet> {
        Box::new(Sheet {
            ever: Counts::default(),
            minutes: [Bucket::default(); MINUTES],
            hours: [Bucket::default(); HOURS],
            sketches: Default::default(),
        })
    }

    fn count(&mut self, verdict: Verdict, id: &[u8], now: u64) {
        self.ever[verdict as usize] += 1;
        let minute = now / MINUTE_MS;
        let bucket = &mut self.minutes[(minute % MINUTES as u64) as usize];
        if bucket.at != minute {
            let old = std::mem::replace(bucket, Bucket { at: minute, counts: Counts::default() });
            self.keep(old);
        }
        let bucket = &mut self.minutes[(minute % MINUTES as u64) as usize];
        bucket.counts[verdict as usize] += 1;
        let hour = now / HOUR_MS;
        let (of, sketch) = &mut self.sketches[(hour % 2) as usize];
        if *of != hour {
            *of = hour;
            sketch.sets.clear();
        }
        sketch.count(verdict, id);
    }

    /// Adds a minute that makes room for another to its hour.
    fn keep(&mut self, minute: Bucket) {
        let at = minute.at / 60;
        let hour = &mut self.hours[(at % HOURS as u64) as usize];
        if hour.at != at {
            *hour = Bucket { at, counts: Counts::default() };
        }
        add(&mut hour.counts, &minute.counts);
    }

    fn add_to(&self, sum: &mut Counts, from: u64, now: u64) {
        let of_minutes = self.minutes.iter().map(|bucket| (bucket, MINUTE_MS));
        let of_hours = self.hours.iter().map(|bucket| (bucket, HOUR_MS));
        for (bucket, span) in of_minutes.chain(of_hours) {
            let end = bucket.at.saturating_add(1).saturating_mul(span);
            if end > from && end.saturating_add(HOURS as u64 * HOUR_MS) > now {
                add(sum, &bucket.counts);
            }
        }
    }
}

fn add(sum: &mut Counts, counts: &Counts) {
    sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
}

impl Sketch {
    fn count(&mut self, verdict: Verdict, id: &[u8]) {
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, Default::default);
        }
        let id = &id[..id.len().min(STATS_ID_BYTES)];
        let hash = hash_bytes(id);
        let set = &mut self.sets[(hash % SETS as u64) as usize];
        let known = set.hashes.iter().position(|known| *known == hash);
        let at = match known.filter(|at| set.counters[*at].id == id) {
            Some(at) => at,
            None => set.replace(hash, id),
        };
        set.totals[at] += 1;
        set.counters[at].refused += u64::from(verdict != Verdict::Allowed);
    }
}

impl Set {
    /// Gives the smallest counter to an identifier that has none.
    fn replace(&mut self, hash: u64, id: &[u8]) -> usize {
        let all = self.totals.iter().enumerate();
        let (at, total) = all.min_by_key(|(_, total)| **total).map_or((0, 0), |(at, n)| (at, *n));
        self.hashes[at] = hash;
        let counter = &mut self.counters[at];
        counter.id.clear();
        counter.id.extend_from_slice(id);
        counter.error = total;
        counter.refused = 0;
        at
    }
}
