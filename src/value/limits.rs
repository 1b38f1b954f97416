//! Up to where collections stay in their small forms: the thresholds that CONFIG names.

use super::hash::HashLimits;
use super::list::ListLimits;
use super::set::SetLimits;

/// The thresholds of every type, with the defaults of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Of hashes.
    pub hash: HashLimits,
    /// Of lists.
    pub list: ListLimits,
    /// Of sets.
    pub set: SetLimits,
}
