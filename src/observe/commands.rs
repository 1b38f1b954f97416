//! What each command has cost: calls, time, failures, for INFO and LATENCY HISTOGRAM.
//!
//! Each thread counts into a sheet of its own, by plain loads and stores: no command touches
//! what another worker writes. Who asks adds the sheets up. CONFIG RESETSTAT notes the sums of
//! that moment, which are taken away from then on, since nobody may write another's sheet.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::histogram::{Distribution, Histogram};
use crate::command;

/// The sheets of all threads that have run a command. They stay when a thread ends, so that
/// what it has counted stays counted; there are as many as workers.
static SHEETS: RwLock<Vec<&'static Sheet>> = RwLock::new(Vec::new());

thread_local!(static MINE: Cell<Option<&'static Sheet>> = const { Cell::new(None) });

/// What one thread has counted.
#[derive(Debug)]
struct Sheet {
    lines: Box<[Line]>,
    reads: AtomicU64,
    writes: AtomicU64,
}

/// What one thread has counted of one command.
#[derive(Debug, Default)]
struct Line {
    calls: AtomicU64,
    nanos: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    histogram: OnceLock<Box<Histogram>>,
}

impl Sheet {
    /// The present thread's.
    #[inline]
    fn mine() -> &'static Sheet {
        MINE.get().unwrap_or_else(Sheet::begin)
    }

    #[cold]
    fn begin() -> &'static Sheet {
        let lines = std::iter::repeat_with(Line::default).take(command::numbers()).collect();
        let sheet: &'static Sheet = Box::leak(Box::new(Sheet {
            lines,
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
        }));
        SHEETS.write().push(sheet);
        MINE.set(Some(sheet));
        sheet
    }

    #[inline]
    fn line(&self, number: command::Number) -> &Line {
        &self.lines[usize::from(number)]
    }
}

/// Adds to a counter that only this thread writes.
#[inline]
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

/// Counts a command that was run, and how long it took; `tracked`, in the histogram as well.
#[inline]
pub fn ran(number: command::Number, ns: u64, tracked: bool) {
    let line = Sheet::mine().line(number);
    add(&line.calls, 1);
    add(&line.nanos, ns);
    if tracked {
        line.histogram.get_or_init(Box::default).count(ns);
    }
}

/// Counts that a command which was run has failed.
#[cold]
pub fn failed(number: command::Number) {
    add(&Sheet::mine().line(number).failed, 1);
}

/// Counts that a command was refused before it was run.
#[cold]
pub fn rejected(number: command::Number) {
    add(&Sheet::mine().line(number).rejected, 1);
}

/// Counts that a socket was read from.
#[inline]
pub fn read() {
    add(&Sheet::mine().reads, 1);
}

/// Counts that a socket was written to.
#[inline]
pub fn wrote() {
    add(&Sheet::mine().writes, 1);
}

/// How often sockets were read from and written to since the process started.
pub fn sockets() -> (u64, u64) {
    let sheets = SHEETS.read();
    let sum = |count: fn(&Sheet) -> &AtomicU64| {
        sheets.iter().map(|sheet| count(sheet).load(Ordering::Relaxed)).sum()
    };
    (sum(|sheet| &sheet.reads), sum(|sheet| &sheet.writes))
}

/// What all threads have counted of one command.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// How often it was run.
    pub calls: u64,
    /// How long that took.
    pub nanos: u64,
    /// How often it was refused before.
    pub rejected: u64,
    /// How often it failed.
    pub failed: u64,
    /// How long each took, if that was tracked.
    pub times: Distribution,
}

impl Sums {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.calls == 0 && self.rejected == 0 && self.failed == 0
    }

    fn subtract(&mut self, before: &Sums) {
        self.calls = self.calls.saturating_sub(before.calls);
        self.nanos = self.nanos.saturating_sub(before.nanos);
        self.rejected = self.rejected.saturating_sub(before.rejected);
        self.failed = self.failed.saturating_sub(before.failed);
        self.times.subtract(&before.times);
    }
}

/// What was counted before a RESETSTAT, and a LATENCY RESET of histograms.
#[derive(Debug, Default)]
pub struct Counted {
    before: Mutex<Vec<(command::Number, Sums)>>,
}

impl Counted {
    /// What was counted since the last reset, of every command that there is something to tell
    /// of, in the order of the table.
    pub fn all(&self) -> Vec<(command::Number, Sums)> {
        let before = self.before.lock();
        let mut all = totals();
        for (number, sums) in &mut all {
            if let Ok(at) = before.binary_search_by_key(number, |(number, _)| *number) {
                sums.subtract(&before[at].1);
            }
        }
        all.retain(|(_, sums)| !sums.is_empty());
        all
    }

    /// Starts to count anew.
    pub fn reset(&self) {
        *self.before.lock() = totals();
    }
}

/// What was counted since the process started.
fn totals() -> Vec<(command::Number, Sums)> {
    let sheets = SHEETS.read();
    let sum = |number: command::Number| {
        let mut sums = Sums::default();
        for line in sheets.iter().map(|sheet| sheet.line(number)) {
            sums.calls += line.calls.load(Ordering::Relaxed);
            sums.nanos += line.nanos.load(Ordering::Relaxed);
            sums.rejected += line.rejected.load(Ordering::Relaxed);
            sums.failed += line.failed.load(Ordering::Relaxed);
            if let Some(histogram) = line.histogram.get() {
                sums.times.add(histogram);
            }
        }
        (number, sums)
    };
    let numbers =
        (0..command::numbers()).filter_map(|number| command::Number::try_from(number).ok());
    numbers.map(sum).filter(|(_, sums)| !sums.is_empty()).collect()
}
