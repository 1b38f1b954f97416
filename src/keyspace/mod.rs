//! Where values live: databases, their shards, and the locked views through which alone
//! commands reach them.
//!
//! A database is a fixed number of shards, each a lock around a table of entries. A key's
//! shard follows from its hash. The shard locks are the transaction locks: whoever wants
//! several takes them in the order of (database, shard), so nobody waits in a circle.
//! No lock is held across an `await`, and nobody parks a worker on one: see `locks`.
//!
//! *Invariant*: nothing outside this module sees a shard that it has not locked, and nothing
//! changes an entry but through `Shard`, which keeps the count of expiring keys true.
//! Left out on purpose: replies, and what a command means.

pub mod cut;
pub mod digest;
mod dues;
pub mod effects;
pub mod entry;
pub mod event;
pub mod evict;
mod interest;
pub mod locks;
pub mod shard;
pub mod staging;
pub mod sweep;
pub mod usage;
pub mod view;
pub mod warm;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use parking_lot::{Mutex, RwLock};

use crate::hashing::hash_bytes;
use crate::limits::SHARDS;
use crate::regions::Board;
use crate::rules::Rules;
pub use effects::Effects;
pub use entry::{Entry, Kind, Large, NEVER, StrRef, Value};
pub use event::Event;
pub use locks::{Access, LockSet, Wanted};
pub use shard::Shard;
pub use staging::Staging;
pub use view::{ReadView, WriteView};

/// All databases of a node.
#[derive(Debug)]
pub struct Keyspace {
    databases: Box<[OnceLock<Database>]>,
    /// Held while a database is created and while a cut is made, so that no database comes
    /// into being between the two halves of a cut.
    creation: Mutex<()>,
    cut: cut::CutState,
    /// What names of rate limits mean: no keys, but as replicas have them too.
    pub rules: Rules,
    /// What was taken of limits that nodes share.
    pub regions: Board,
}

/// One numbered database.
#[derive(Debug)]
pub struct Database {
    shards: Box<[CachePadded<RwLock<Shard>>]>,
    /// Keys of all shards: brought up to date whenever a writer lets a shard go.
    keys: AtomicUsize,
    /// Keys with an expiry, likewise.
    expiring: AtomicUsize,
}

/// Where a key lives: its shard, and the hash its table wants.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Number of the shard.
    pub shard: usize,
    /// Hash of the key.
    pub hash: u64,
}

impl Place {
    /// The place of `key`: the shard from the upper half of its hash, since the table orders
    /// by the lower.
    #[inline]
    pub fn of(key: &[u8]) -> Place {
        let hash = hash_bytes(key);
        Place { shard: ((hash >> 32) as usize) % SHARDS, hash }
    }
}

impl Keyspace {
    /// A keyspace of `databases` empty databases; each is made when it is first used.
    pub fn new(databases: usize) -> Keyspace {
        Keyspace {
            databases: (0..databases).map(|_| OnceLock::new()).collect(),
            creation: Mutex::new(()),
            cut: cut::CutState::default(),
            rules: Rules::default(),
            regions: Board::default(),
        }
    }

    /// How many databases there are, used or not.
    pub fn databases(&self) -> usize {
        self.databases.len()
    }

    /// The database `index`, which must be below `databases()`.
    fn database(&self, index: usize) -> &Database {
        let cell = &self.databases[index];
        if let Some(database) = cell.get() {
            return database;
        }
        let _creation = self.creation.lock();
        cell.get_or_init(|| Database::new(self.cut.epoch()))
    }

    /// The databases that have been used so far.
    fn used(&self) -> impl Iterator<Item = (usize, &Database)> {
        self.databases.iter().enumerate().filter_map(|(index, cell)| Some((index, cell.get()?)))
    }

    /// Numbers of the databases that have been used so far.
    pub fn used_databases(&self) -> Vec<usize> {
        self.used().map(|(index, _)| index).collect()
    }

    /// Keys of a database, and how many of them have an expiry. Takes no lock.
    pub fn count(&self, index: usize) -> Count {
        let Some(database) = self.databases[index].get() else { return Count::default() };
        let read = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        Count { keys: read(&database.keys), expiring: read(&database.expiring) }
    }
}

/// What INFO says of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Keys, expired ones that are still in memory included.
    pub keys: usize,
    /// Keys that have an expiry.
    pub expiring: usize,
}

impl Database {
    fn new(epoch: u64) -> Database {
        let shard = || CachePadded::new(RwLock::new(Shard::new(epoch)));
        Database {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            keys: AtomicUsize::new(0),
            expiring: AtomicUsize::new(0),
        }
    }

    /// Counts what a writer has changed in a shard that had `before`.
    #[inline]
    fn recount(&self, before: Count, after: Count) {
        if before.keys != after.keys {
            self.keys.fetch_add(after.keys.wrapping_sub(before.keys), Ordering::Relaxed);
        }
        if before.expiring != after.expiring {
            let change = after.expiring.wrapping_sub(before.expiring);
            self.expiring.fetch_add(change, Ordering::Relaxed);
        }
    }
}
