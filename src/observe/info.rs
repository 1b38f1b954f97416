//! INFO.

/// The version of Redis whose commands and words are spoken.
pub const REDIS_VERSION: &str = "7.0.15";
