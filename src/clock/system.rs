//! The clocks and the randomness of the system.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time since the Unix epoch.
pub(super) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The time since about when the process began.
pub(super) fn since_start() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// The time since `since`.
pub(super) fn elapsed(since: Instant) -> Duration {
    since.elapsed()
}

/// Fills `bytes` with what nobody can guess.
pub(super) fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}
