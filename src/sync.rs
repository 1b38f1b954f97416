//! Atomics and yielding, as those parts use them that many clients reach at once.
//!
//! They are the standard library's. With the feature `schedules`, shuttle's stand in for them,
//! and shuttle's locks for parking_lot's (by the package in Cargo.toml): then every step between
//! two threads is shuttle's to choose. Counters that nobody decides by stay what they are.

#[cfg(not(feature = "schedules"))]
pub use std::{sync::atomic, thread::yield_now};

#[cfg(feature = "schedules")]
pub use shuttle::{sync::atomic, thread::yield_now};
