//! The clock and the luck of a simulation.
//!
//! Time is turmoil's: it goes on while all hosts wait, and stands still while one works. Luck
//! comes from one seed, secrets too, so that a seed is a run.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::STATE;

thread_local! {
    /// What was told last, for who asks between two steps of a simulation.
    static LAST: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    /// Where secrets come from.
    static SECRETS: Cell<u64> = const { Cell::new(1) };
}

/// Begins a simulation on this thread: all luck follows from `seed`.
pub fn begin(seed: u64) {
    SECRETS.set(seed);
    STATE.set(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    LAST.set(Duration::ZERO);
}

/// What time it is, for who asks between two steps.
pub fn at(since_epoch: Duration) {
    LAST.set(since_epoch);
}

/// The time since the Unix epoch.
pub(super) fn since_epoch() -> Duration {
    let now = turmoil::since_epoch().unwrap_or_else(|| LAST.get());
    LAST.set(now);
    now
}

/// Likewise: nobody asks for more than differences.
pub(super) fn since_start() -> Duration {
    since_epoch()
}

/// Who works takes no time here.
pub(super) fn elapsed(_since: Instant) -> Duration {
    Duration::ZERO
}

/// Fills `bytes` with what follows from the seed.
pub(super) fn fill(bytes: &mut [u8]) {
    for byte in bytes {
        // xorshift64*: its high bits are good enough to be told apart.
        let mut state = SECRETS.get().max(1);
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        SECRETS.set(state);
        *byte = (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8;
    }
}
