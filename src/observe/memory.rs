//! Memory in use, as the allocator itself counts it.
//!
//! The allocator's own figure needs no accounting beside it and cannot drift from the truth;
//! reading it costs some microseconds, so it is read ten times a second and for INFO. In
//! between, each thread adds what it has allocated and freed since: the allocator counts that
//! for every thread, and to look costs two loads. A thread tells the others once that is more
//! than `STEP_BYTES`, so the figure is too small or too large by that much a thread at most,
//! until the next reading puts it right.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tikv_jemalloc_ctl::thread::{ThreadLocal, allocatedp, deallocatedp};

/// Bytes that a thread may have allocated without the others knowing.
const STEP_BYTES: u64 = 64 * 1024;

/// The figures of the last reading, and what has come to be known since.
#[derive(Debug, Default)]
pub struct Memory {
    used: AtomicU64,
    peak: AtomicU64,
    resident: AtomicU64,
    /// Of `used`, what is not data's: replicas' unsent bytes beyond the backlog.
    apart: AtomicU64,
    /// Of `used`, what another thread is freeing.
    doomed: AtomicU64,
}

/// What the allocator counts of the present thread.
struct Meter {
    counts: Option<(ThreadLocal<u64>, ThreadLocal<u64>)>,
    /// What the others know of it.
    told: Cell<u64>,
}

thread_local!(static METER: Meter = Meter::new());

impl Meter {
    fn new() -> Meter {
        let counts = allocatedp::read().ok().zip(deallocatedp::read().ok());
        let meter = Meter { counts, told: Cell::new(0) };
        meter.told.set(meter.net());
        meter
    }

    /// Bytes allocated less bytes freed; below 0 it goes round.
    #[inline]
    fn net(&self) -> u64 {
        self.counts.map_or(0, |(allocated, freed)| allocated.get().wrapping_sub(freed.get()))
    }
}

impl Memory {
    /// Asks the allocator.
    pub fn refresh(&self) {
        // The allocator's statistics stand still until its epoch is advanced.
        if tikv_jemalloc_ctl::epoch::advance().is_err() {
            return;
        }
        let used = tikv_jemalloc_ctl::stats::allocated::read().unwrap_or(0) as u64;
        let resident = tikv_jemalloc_ctl::stats::resident::read().unwrap_or(0) as u64;
        self.used.store(used, Ordering::Relaxed);
        // What this thread has not told is in the reading.
        METER.with(|meter| meter.told.set(meter.net()));
        self.resident.store(resident, Ordering::Relaxed);
        self.peak.fetch_max(used, Ordering::Relaxed);
    }

    /// Bytes allocated, as of the last reading or later.
    #[inline]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that count against `maxmemory`, with all that this thread has done.
    #[inline]
    pub fn counted(&self) -> u64 {
        let used = METER.with(|meter| {
            let net = meter.net();
            let change = net.wrapping_sub(meter.told.get()) as i64;
            if change.unsigned_abs() < STEP_BYTES {
                return self.used().saturating_add_signed(change);
            }
            meter.told.set(net);
            // Below 0 it goes round, and back with the next.
            self.used.fetch_add(change as u64, Ordering::Relaxed).saturating_add_signed(change)
        });
        let apart = self.apart.load(Ordering::Relaxed) + self.doomed.load(Ordering::Relaxed);
        used.saturating_sub(apart)
    }

    /// Notes how much of what is used is not data's.
    pub fn set_apart(&self, bytes: u64) {
        self.apart.store(bytes, Ordering::Relaxed);
    }

    /// Bytes that do not count against `maxmemory`.
    pub fn apart(&self) -> u64 {
        self.apart.load(Ordering::Relaxed)
    }

    /// Runs `free` later, in a thread of its own, and counts `bytes` as gone at once. Without a
    /// thread it is run here and now.
    pub fn free_apart(self: &Arc<Self>, bytes: u64, garbage: impl Send + 'static) {
        self.doomed.fetch_add(bytes, Ordering::Relaxed);
        let doom = Doom { memory: Arc::clone(self), bytes };
        let thread = std::thread::Builder::new().name("free".into());
        // What could not be started is dropped, and so freed.
        let _ = thread.spawn(move || {
            // What this thread frees is counted from here on.
            METER.with(|_| {});
            drop(garbage);
            drop(doom);
        });
    }

    /// The most bytes that were seen allocated.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Bytes that the allocator holds of the operating system's memory.
    pub fn resident(&self) -> u64 {
        self.resident.load(Ordering::Relaxed)
    }
}

/// What is being freed; afterwards it is no longer counted as such.
struct Doom {
    memory: Arc<Memory>,
    bytes: u64,
}

impl Drop for Doom {
    fn drop(&mut self) {
        self.memory.counted();
        self.memory.doomed.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
