//! Brings into the processor's cache what the next requests of a pipeline will look at.
//!
//! A lookup in a large keyspace waits for memory twice: for the slot, then for the entry that
//! the slot points to. Request after request, each of these waits stands alone. Here the slots
//! of several keys are read one right behind the other, then their entries, so that all those
//! waits pass at the same time. Nothing is found out and nothing changes: it is a hint, and a
//! shard that is busy is left out.

use std::hint::black_box;

use parking_lot::RwLockReadGuard;
use smallvec::SmallVec;

use super::{Keyspace, Place, Shard};

/// Most keys that are looked at together; more would have evicted the first when it is needed.
pub const TOGETHER: usize = 16;

/// From so many keys on it pays: fewer are in the cache anyway.
const LARGE: usize = 10_000;

impl Keyspace {
    /// Looks at up to [`TOGETHER`] keys of the database `db`.
    pub fn warm<'k>(&self, db: usize, keys: impl Iterator<Item = &'k [u8]>) {
        if self.count(db).keys < LARGE {
            return;
        }
        let database = self.database(db);
        // All locks before the first wait: to take one, the processor finishes what it has begun.
        let mut held: SmallVec<[(RwLockReadGuard<'_, Shard>, u64); TOGETHER]> = SmallVec::new();
        for key in keys.take(TOGETHER) {
            let Place { shard, hash } = Place::of(key);
            held.extend(database.shards[shard].try_read().map(|shard| (shard, hash)));
        }
        let slots = held.iter().map(|(shard, hash)| shard.table().touch(*hash));
        black_box(slots.fold(0, |sum, slot| sum ^ slot));
        let entries = held.iter().filter_map(|(shard, hash)| {
            shard.table().find(*hash, |_| true).map(|slot| shard.at(slot).expires_at())
        });
        black_box(entries.fold(0, |sum, expiry| sum ^ expiry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::{Access, LockSet, Wanted};

    #[test]
    fn busy_shards_and_missing_keys_are_no_matter() {
        let keyspace = Keyspace::new(2);
        let key = |n: usize| n.to_string().into_bytes();
        keyspace.warm(1, std::iter::once(&b"none"[..]));
        for n in 0..LARGE {
            let key = key(n);
            let wanted = Wanted::key(0, &key, Access::Exclusive);
            let mut locks = LockSet::one(&keyspace, wanted).unwrap();
            let place = Place::of(&key);
            let entry = crate::keyspace::Entry::string(&key, b"value", crate::keyspace::NEVER);
            locks.held_mut(0, place.shard).insert(place.hash, entry, Default::default());
        }
        let busy = Wanted::key(0, b"1", Access::Exclusive);
        let _busy = LockSet::one(&keyspace, busy).unwrap();
        let keys: Vec<Vec<u8>> = (0..2 * TOGETHER).map(key).chain([b"none".to_vec()]).collect();
        keyspace.warm(0, keys.iter().map(Vec::as_slice));
        // Whatever it has locked is free again.
        assert!(LockSet::one(&keyspace, Wanted::key(0, b"2", Access::Exclusive)).is_ok());
    }
}
