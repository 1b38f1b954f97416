//! A data set that is being loaded, and takes the keyspace's place once it is complete.
//!
//! Nobody sees it until then, so nothing in it is locked, and a load that breaks off leaves
//! what stands untouched. Left out on purpose: sharing memory with what it will replace; for
//! the time of the load both are there.

use std::hint::black_box;

use smallvec::SmallVec;

use super::locks::Contended;
use super::usage::Usage;
use super::warm::TOGETHER;
use super::{Entry, Keyspace, Place, Shard};
use crate::limits::SHARDS;
use crate::table::Table;

/// See the module's description.
#[derive(Debug)]
pub struct Staging {
    /// Per database its shards, none while it has no key.
    databases: Box<[Vec<Shard>]>,
    /// How many keys a shard of each database will have, by what is said of it.
    expected: Box<[usize]>,
    keys: u64,
}

/// A key that is in the data set already.
#[derive(Debug, PartialEq, Eq)]
pub struct Duplicate(pub Vec<u8>);

impl Staging {
    /// An empty data set of `databases` databases.
    pub fn new(databases: usize) -> Staging {
        Staging {
            databases: (0..databases).map(|_| Vec::new()).collect(),
            expected: vec![0; databases].into(),
            keys: 0,
        }
    }

    /// Says how many keys will come for the database `db`, which must be below `databases()`. It
    /// is a hint: what comes may be less or more.
    pub fn expect(&mut self, db: usize, keys: u64) {
        self.expected[db] = usize::try_from(keys).unwrap_or(usize::MAX) / SHARDS;
    }

    /// How many databases there are.
    pub fn databases(&self) -> usize {
        self.databases.len()
    }

    /// Keys of all databases.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Adds entries to the database `db`, which must be below `databases()`. The places of many
    /// are looked for at the same time (see `warm`), of [`TOGETHER`] at most.
    ///
    /// # Errors
    /// When the key of one is there already: those behind it are not added.
    pub fn insert_all(
        &mut self,
        db: usize,
        entries: impl IntoIterator<Item = (Entry, Usage)>,
    ) -> Result<(), Duplicate> {
        let shards = &mut self.databases[db];
        if shards.is_empty() {
            shards.extend(std::iter::repeat_with(|| Shard::new(0)).take(SHARDS));
        }
        let mut entries = entries.into_iter().peekable();
        let mut placed: SmallVec<[(Place, Entry, Usage); TOGETHER]> = SmallVec::new();
        while entries.peek().is_some() {
            let next = entries.by_ref().take(TOGETHER);
            placed.extend(next.map(|(entry, usage)| (Place::of(entry.key()), entry, usage)));
            let slots =
                placed.iter().map(|(place, ..)| shards[place.shard].table().touch(place.hash));
            black_box(slots.fold(0, |sum, slot| sum ^ slot));
            for (place, entry, usage) in placed.drain(..) {
                let shard = &mut shards[place.shard];
                if shard.find(place.hash, entry.key()).is_some() {
                    return Err(Duplicate(entry.key().to_vec()));
                }
                shard.expect(self.expected[db]);
                shard.insert(place.hash, entry, usage);
                self.keys += 1;
            }
        }
        Ok(())
    }
}

impl Keyspace {
    /// Puts `staged` in the place of all keys of all databases, in one instant, in which `at`
    /// runs too. Answers what was there, to be freed later; `staged` is empty then.
    ///
    /// # Errors
    /// When somebody holds a shard for longer than a moment: nothing has happened, `staged` is
    /// as it was.
    pub fn replace(
        &self,
        staged: &mut Staging,
        at: impl FnOnce(),
    ) -> Result<Vec<Table<Entry>>, Contended> {
        for (db, shards) in staged.databases.iter().enumerate() {
            if !shards.is_empty() {
                // Makes the database if it has not been used.
                self.database(db);
            }
        }
        let _creation = self.creation.try_lock().ok_or(Contended)?;
        let databases = self.used_databases();
        let mut locks = self.lock_all(&databases)?;
        let mut garbage = Vec::new();
        for db in databases {
            let mut empty = Shard::new(0);
            let mut shards = staged.databases.get_mut(db).map(std::mem::take).unwrap_or_default();
            for (index, shard) in locks.each_mut(db).enumerate() {
                // Locks are held in the order of the shards.
                let next = shards.get_mut(index).unwrap_or(&mut empty);
                garbage.push(shard.exchange(next));
            }
        }
        staged.keys = 0;
        at();
        Ok(garbage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::{Access, Count, LockSet, Wanted};

    fn staged(keys: &[(usize, &str, u64)]) -> Staging {
        let mut staging = Staging::new(3);
        for (db, key, at) in keys {
            let entry = Entry::string(key.as_bytes(), b"new", *at);
            staging.insert_all(*db, [(entry, Usage::default())]).unwrap();
        }
        staging
    }

    fn has(keyspace: &Keyspace, db: usize, key: &str) -> bool {
        let place = Place::of(key.as_bytes());
        let wanted = Wanted { db, shard: place.shard, access: Access::Shared };
        let locks = LockSet::one(keyspace, wanted).unwrap();
        locks.held(db, place.shard).find(place.hash, key.as_bytes()).is_some()
    }

    fn watch(keyspace: &Keyspace, key: &str) -> crate::keyspace::shard::WatchFlag {
        let flag = crate::keyspace::shard::WatchFlag::default();
        let wanted = Wanted::key(0, key.as_bytes(), Access::Exclusive);
        let mut locks = LockSet::one(keyspace, wanted).unwrap();
        locks.held_mut(0, wanted.shard).watch(key.as_bytes(), &flag);
        flag
    }

    #[test]
    fn the_new_keys_stand_where_the_old_ones_were() {
        let keyspace = Keyspace::new(3);
        let old = keyspace.replace(&mut staged(&[(0, "a", 0), (1, "b", 7)]), || {}).unwrap();
        assert_eq!(old.iter().map(Table::len).sum::<usize>(), 0);
        let mut next = staged(&[(0, "c", 9), (2, "d", 0), (2, "e", 5)]);
        assert_eq!(next.keys(), 3);
        let old = keyspace.replace(&mut next, || {}).unwrap();
        assert_eq!((old.iter().map(Table::len).sum::<usize>(), next.keys()), (2, 0));
        assert!(has(&keyspace, 0, "c") && has(&keyspace, 2, "d") && has(&keyspace, 2, "e"));
        assert!(!has(&keyspace, 0, "a") && !has(&keyspace, 1, "b"));
        let counts = [(1, 1), (0, 0), (2, 1)].map(|(keys, expiring)| Count { keys, expiring });
        assert_eq!([0, 1, 2].map(|db| keyspace.count(db)), counts);
    }

    #[test]
    fn a_shard_that_is_held_leaves_everything_as_it_was() {
        let keyspace = Keyspace::new(3);
        keyspace.replace(&mut staged(&[(0, "a", 0)]), || {}).unwrap();
        let mut next = staged(&[(0, "b", 0)]);
        let held = LockSet::one(&keyspace, Wanted::key(0, b"x", Access::Shared)).unwrap();
        let refused = keyspace.replace(&mut next, || unreachable!("not all shards are locked"));
        assert!(refused.is_err());
        drop(held);
        assert!(has(&keyspace, 0, "a") && !has(&keyspace, 0, "b"));
        keyspace.replace(&mut next, || {}).unwrap();
        assert!(has(&keyspace, 0, "b"));
    }

    #[test]
    fn watchers_learn_of_keys_that_went_or_came() {
        let keyspace = Keyspace::new(3);
        keyspace.replace(&mut staged(&[(0, "went", 0)]), || {}).unwrap();
        let flags = ["went", "came", "never"].map(|key| watch(&keyspace, key));
        keyspace.replace(&mut staged(&[(0, "came", 0)]), || {}).unwrap();
        let raised = flags.map(|flag| flag.load(std::sync::atomic::Ordering::Relaxed));
        assert_eq!(raised, [true, true, false]);
    }

    #[test]
    fn a_key_comes_once() {
        let mut staging = staged(&[(0, "a", 0)]);
        let entries = |key: u32| {
            let numbers = (key..key + 3 * TOGETHER as u32).map(|n| n.to_string());
            numbers.map(|key| (Entry::string(key.as_bytes(), b"", 0), Usage::default()))
        };
        staging.insert_all(0, entries(0)).unwrap();
        // Among those that come together, too.
        let twice = entries(1000).chain(entries(1000));
        assert_eq!(staging.insert_all(0, twice), Err(Duplicate(b"1000".to_vec())));
        let a = Entry::string(b"a", b"", 0);
        assert_eq!(staging.insert_all(0, [(a, Usage::default())]), Err(Duplicate(b"a".to_vec())));
        staging.insert_all(1, entries(0)).unwrap();
        assert_eq!(staging.keys(), 1 + 9 * TOGETHER as u64);
    }
}
