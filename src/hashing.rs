//! The hash of keys, fields and members: fast, and seeded per process against floods.

use std::hash::BuildHasher;
use std::sync::LazyLock;

use foldhash::quality::RandomState;

/// One seed for the process, so that a hash computed once serves every table.
static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// The 64-bit hash of a key.
#[inline]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    SEED.hash_one(bytes)
}
