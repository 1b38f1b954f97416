//! The only source of time and randomness.
//!
//! Everything else takes `now` or a random number as an argument, so that it can be tested
//! with the time and the luck of the test's choosing; `clippy.toml` forbids the standard
//! clocks elsewhere. What is left out on purpose: a monotonic base for wall time. Expiry
//! times are wall times by Redis' contract (EXPIREAT), and the limiter guards itself against
//! a clock that steps back. With the feature `simulation` time and luck are a simulation's.
#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the clocks")]

use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

#[cfg(feature = "simulation")]
pub mod simulated;
#[cfg(not(feature = "simulation"))]
mod system;

#[cfg(feature = "simulation")]
use simulated as source;
#[cfg(not(feature = "simulation"))]
use system as source;

/// Microseconds since the Unix epoch.
pub fn unix_us() -> u64 {
    u64::try_from(source::since_epoch().as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds since the Unix epoch: the unit of every expiry time.
pub fn unix_ms() -> u64 {
    unix_us() / 1000
}

/// A point of the monotonic clock, for durations.
pub fn instant() -> Instant {
    Instant::now()
}

/// Milliseconds on a clock that never goes back; it starts near 0 with the process.
pub fn monotonic_ms() -> u64 {
    u64::try_from(source::since_start().as_millis()).unwrap_or(u64::MAX)
}

/// How long something has worked that must not work for long.
pub fn elapsed(since: Instant) -> Duration {
    source::elapsed(since)
}

/// Measures how long things take by the processor's own counter, which costs a few nanoseconds
/// to read; where that counter is of no use, by the system's monotonic clock.
#[derive(Debug)]
pub struct Stopwatch(quanta::Clock);

impl Default for Stopwatch {
    /// Finds out, once a process, how fast the counter goes: some milliseconds.
    fn default() -> Self {
        static CLOCK: LazyLock<quanta::Clock> = LazyLock::new(quanta::Clock::new);
        Stopwatch(CLOCK.clone())
    }
}

impl Stopwatch {
    /// The present, in a unit of its own.
    #[inline]
    pub fn ticks(&self) -> u64 {
        self.0.raw()
    }

    /// Nanoseconds from one present to a later one.
    #[inline]
    pub fn ns(&self, from: u64, to: u64) -> u64 {
        self.0.delta_as_nanos(from, to)
    }
}

thread_local!(static STATE: Cell<u64> = Cell::new(seed()));

/// A random number, uniform over all 64 bits, not for secrets.
pub fn random() -> u64 {
    STATE.with(|state| {
        // splitmix64: passes BigCrush, one multiplication chain, any seed is good.
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        let mut z = next;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// A random number below `bound`; 0 when `bound` is 0.
pub fn random_below(bound: u64) -> u64 {
    // Lemire's multiplication instead of a remainder: the bias is below bound / 2^64.
    u64::try_from((u128::from(random()) * u128::from(bound)) >> 64).unwrap_or(0)
}

/// Fills `bytes` from the operating system: fit for tokens and seeds.
///
/// # Panics
/// When the operating system has no randomness to give, since no secret could be made then.
pub fn secret_bytes(bytes: &mut [u8]) {
    source::fill(bytes);
}

/// `bytes` random bytes in lower-case hex: tokens, replication ids.
pub fn secret_hex(bytes: usize) -> String {
    use std::fmt::Write as _;
    let mut raw = vec![0; bytes];
    secret_bytes(&mut raw);
    raw.iter().fold(String::with_capacity(bytes * 2), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn seed() -> u64 {
    let mut bytes = [0; 8];
    secret_bytes(&mut bytes);
    u64::from_le_bytes(bytes)
}
