//! Up to where collections stay in their small forms: the thresholds that CONFIG names.

use super::hash::HashLimits;
use super::stream::StreamLimits;

/// The thresholds of every type; the defaults are those of Redis 7.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Of hashes.
    pub hash: HashLimits,
    /// Of the nodes of streams.
    pub stream: StreamLimits,
}
