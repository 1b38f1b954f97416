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
use tikv_jemalloc_ctl::{Access, AsName, Mib, stats, stats_print};

/// Bytes that a thread may have allocated without the others knowing.
const STEP_BYTES: u64 = 64 * 1024;

/// The figures of the last reading, and what has come to be known since.
#[derive(Debug, Default)]
pub struct Memory {
    used: AtomicU64,
    peak: AtomicU64,
    resident: AtomicU64,
    startup: AtomicU64,
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
        let used = stats::allocated::read().unwrap_or(0) as u64;
        let resident = stats::resident::read().unwrap_or(0) as u64;
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

    /// Bytes that were allocated when the node had started.
    pub fn startup(&self) -> u64 {
        self.startup.load(Ordering::Relaxed)
    }

    /// Notes that the node has started.
    pub fn started(&self) {
        self.refresh();
        self.startup.store(self.used(), Ordering::Relaxed);
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

/// What the allocator says, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Heap {
    /// Allocated.
    pub allocated: u64,
    /// In pages that hold something.
    pub active: u64,
    /// In memory.
    pub resident: u64,
}

impl Heap {
    /// Asks the allocator, as of the last refresh.
    pub fn read() -> Heap {
        Heap {
            allocated: stats::allocated::read().unwrap_or(0) as u64,
            active: stats::active::read().unwrap_or(0) as u64,
            resident: stats::resident::read().unwrap_or(0) as u64,
        }
    }
}

/// Bytes of memory that the system counts of this process.
pub fn process_bytes() -> u64 {
    kilobytes("/proc/self/status", "VmRSS:") * 1024
}

/// Bytes of memory that this machine has.
pub fn machine_bytes() -> u64 {
    kilobytes("/proc/meminfo", "MemTotal:") * 1024
}

/// The figure of a line such as `VmRSS:   12 kB`; 0 where there is none.
fn kilobytes(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// What the allocator says of itself at length.
pub fn allocator_report() -> String {
    let mut report = Vec::new();
    // Writing to a Vec does not fail.
    let _ = stats_print::stats_print(&mut report, stats_print::Options::default());
    String::from_utf8_lossy(&report).into_owned()
}

/// Has the allocator give free pages back to the system.
///
/// # Errors
/// What it says instead.
pub fn purge() -> Result<(), tikv_jemalloc_ctl::Error> {
    let arenas = tikv_jemalloc_ctl::arenas::narenas::read()?;
    let mut decay: Mib<[usize; 3]> = b"arena.0.dirty_decay_ms\0".name().mib()?;
    for arena in 0..arenas as usize {
        decay[1] = arena;
        // An arena that was never used has no such setting.
        let Ok(present) = Access::<isize>::read(&decay) else { continue };
        // To let pages decay at once is to have them all go now.
        decay.write(0_isize)?;
        decay.write(present)?;
    }
    Ok(())
}
