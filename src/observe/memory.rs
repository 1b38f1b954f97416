//! Memory in use, as the allocator itself counts it.
//!
//! The allocator's own figure needs no accounting beside it and cannot drift from the truth;
//! reading it costs some microseconds, so it is read ten times a second and for INFO, and kept
//! in between.

use std::sync::atomic::{AtomicU64, Ordering};

/// The figures of the last reading.
#[derive(Debug, Default)]
pub struct Memory {
    used: AtomicU64,
    peak: AtomicU64,
    resident: AtomicU64,
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
        self.resident.store(resident, Ordering::Relaxed);
        self.peak.fetch_max(used, Ordering::Relaxed);
    }

    /// Bytes allocated.
    #[inline]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
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
