//! Up to where collections stay in their small forms: the thresholds that CONFIG names.

use super::hash::HashLimits;
use super::hyperloglog::HyperLogLogLimits;
use super::list::ListLimits;
use super::set::SetLimits;
use super::sorted_set::SortedSetLimits;
use super::stream::StreamLimits;

/// The thresholds of every type, with the defaults of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Of hashes.
    pub hash: HashLimits,
    /// Of HyperLogLogs.
    pub hyperloglog: HyperLogLogLimits,
    /// Of lists.
    pub list: ListLimits,
    /// Of sets.
    pub set: SetLimits,
    /// Of sorted sets.
    pub sorted_set: SortedSetLimits,
    /// Of the nodes of streams.
    pub stream: StreamLimits,
}
