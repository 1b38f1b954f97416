//! What the server says of itself: statistics and INFO.

pub mod info;
pub mod memory;
pub mod stats;

pub use stats::Stats;
