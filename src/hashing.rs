//! The hash of keys and of fields.
//!
//! One function for all of them, seeded from the operating system once a process, so that a
//! client cannot choose keys that collide. Hashes are therefore never stored or sent. Left out
//! on purpose: hashing of anything but bytes.

use std::hash::{BuildHasher, Hasher as _};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::quality::{FoldHasher, SeedableRandomState};

static SHARED: LazyLock<SharedSeed> = LazyLock::new(|| SharedSeed::from_u64(seed()));

static STATE: LazyLock<SeedableRandomState> =
    LazyLock::new(|| SeedableRandomState::with_seed(seed(), &SHARED));

/// The hash of `bytes`, the same throughout one process and uniform over all 64 bits.
#[inline]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    // Without the length that `hash_one` adds: `write` mixes it in already.
    let mut hasher = STATE.build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

/// The same hash for the maps of the standard library, whose own is made for short keys less.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByBytes;

impl BuildHasher for ByBytes {
    type Hasher = FoldHasher<'static>;

    fn build_hasher(&self) -> Self::Hasher {
        STATE.build_hasher()
    }
}

/// What tells one table's order of hashes from another's: see `table`.
pub fn salt() -> u32 {
    crate::clock::random() as u32
}

fn seed() -> u64 {
    // A schedule or a simulation is only repeated when keys lie in the same shards again.
    if cfg!(any(feature = "schedules", feature = "simulation")) {
        return 1;
    }
    let mut bytes = [0; 8];
    crate::clock::secret_bytes(&mut bytes);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn both_halves_tell_similar_keys_apart() {
        let hashes: Vec<u64> =
            (0..10_000).map(|n| hash_bytes(format!("key:{n}").as_bytes())).collect();
        let low: HashSet<u32> = hashes.iter().map(|hash| *hash as u32).collect();
        let high: HashSet<u32> = hashes.iter().map(|hash| (hash >> 32) as u32).collect();
        // Of ten thousand numbers of 32 bits, 0.01 collide on average.
        assert!(low.len() > 9_990 && high.len() > 9_990);
        assert_eq!(hash_bytes(b"key:7"), hashes[7]);
    }

    #[test]
    fn length_counts() {
        let zeros = [0; 64];
        let hashes: HashSet<u64> = (0..=64).map(|len| hash_bytes(&zeros[..len])).collect();
        assert_eq!(hashes.len(), 65);
    }
}
