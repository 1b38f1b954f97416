//! Takes shard locks, several at once and in order, without ever parking a worker.
//!
//! A busy lock is tried again for a moment, which is how long a command holds one. After that
//! everything is given back and the caller yields to the runtime and starts over: nothing has
//! happened yet, so starting over is free of effects. A lock may be held while the next is
//! tried, since all take them in the same order.

use parking_lot::{MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use smallvec::SmallVec;

use super::{Count, Database, Keyspace, Place, Shard};
use crate::limits::{LOCK_SPINS, SHARDS};

/// What a command wants of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// To read, beside other readers.
    Shared,
    /// To write, alone.
    Exclusive,
}

/// One lock that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Number of the database.
    pub db: usize,
    /// Number of the shard.
    pub shard: usize,
    /// What for.
    pub access: Access,
}

impl Wanted {
    /// The lock of `key`'s shard.
    pub fn key(db: usize, key: &[u8], access: Access) -> Wanted {
        Wanted { db, shard: Place::of(key).shard, access }
    }

    /// The locks of all shards of a database.
    pub fn database(db: usize, access: Access) -> impl Iterator<Item = Wanted> {
        (0..SHARDS).map(move |shard| Wanted { db, shard, access })
    }
}

/// A lock is held by somebody who keeps it longer than a moment: yield, and try again.
#[derive(Debug, PartialEq, Eq)]
pub struct Contended;

/// The locks that one command, or one transaction, holds.
///
/// An empty set "roams": each shard is locked, shared, when it is looked at. That serves the
/// commands that look at shards one after the other, such as SCAN, outside of a transaction.
#[derive(Debug)]
pub struct LockSet<'k> {
    keyspace: &'k Keyspace,
    /// The only declared key, as it lies in the request, and its place.
    declared: Option<(*const u8, usize, Place)>,
    held: SmallVec<[Held<'k>; 1]>,
    /// Held if no database may come into being meanwhile.
    _creation: Option<MutexGuard<'k, ()>>,
}

#[derive(Debug)]
struct Held<'k> {
    db: usize,
    shard: usize,
    guard: Guard<'k>,
}

#[derive(Debug)]
enum Guard<'k> {
    Shared(RwLockReadGuard<'k, Shard>),
    Exclusive(Writer<'k>),
}

/// A shard locked for a writer; what it has changed is counted when it is let go.
#[derive(Debug)]
struct Writer<'k> {
    database: &'k Database,
    before: Count,
    shard: RwLockWriteGuard<'k, Shard>,
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.database.recount(self.before, self.shard.count());
    }
}

/// A shard to read: one of the set's, or one locked for the occasion.
#[derive(Debug)]
pub enum ShardRef<'a> {
    /// Locked by the set.
    Held(&'a Shard),
    /// Locked until this is dropped.
    Roaming(RwLockReadGuard<'a, Shard>),
}

impl std::ops::Deref for ShardRef<'_> {
    type Target = Shard;
    fn deref(&self) -> &Shard {
        match self {
            ShardRef::Held(shard) => shard,
            ShardRef::Roaming(guard) => guard,
        }
    }
}

impl<'k> LockSet<'k> {
    /// No locks: see the type's description.
    pub fn roaming(keyspace: &'k Keyspace) -> LockSet<'k> {
        LockSet { keyspace, declared: None, held: SmallVec::new(), _creation: None }
    }

    /// One lock.
    ///
    /// # Errors
    /// When somebody holds it for longer than a moment.
    #[inline]
    pub fn one(keyspace: &'k Keyspace, wanted: Wanted) -> Result<LockSet<'k>, Contended> {
        let held = take(keyspace, wanted)?;
        Ok(LockSet { keyspace, declared: None, held: smallvec::smallvec![held], _creation: None })
    }

    /// The lock of one key, whose place is remembered: it is asked for several times.
    ///
    /// # Errors
    /// When somebody holds it for longer than a moment.
    #[inline]
    pub fn key(
        keyspace: &'k Keyspace,
        db: usize,
        key: &[u8],
        access: Access,
    ) -> Result<LockSet<'k>, Contended> {
        let place = Place::of(key);
        let held = take(keyspace, Wanted { db, shard: place.shard, access })?;
        let declared = Some((key.as_ptr(), key.len(), place));
        Ok(LockSet { keyspace, declared, held: smallvec::smallvec![held], _creation: None })
    }

    /// The place of a key.
    #[inline]
    pub fn place(&self, key: &[u8]) -> Place {
        match self.declared {
            // The request outlives the set, so nothing else can lie where its key lies.
            Some((at, len, place)) if at == key.as_ptr() && len == key.len() => place,
            _ => Place::of(key),
        }
    }

    /// All locks of `wanted`, which is put in order and freed of repetitions on the way.
    ///
    /// # Errors
    /// When somebody holds one of them for longer than a moment; none is held then.
    pub fn all(
        keyspace: &'k Keyspace,
        wanted: &mut SmallVec<[Wanted; 8]>,
    ) -> Result<LockSet<'k>, Contended> {
        // Exclusive sorts behind shared, so the stronger of two wishes is the one that is kept.
        wanted.sort_unstable_by(|a, b| b.cmp(a));
        wanted.dedup_by_key(|wanted| (wanted.db, wanted.shard));
        let mut held = SmallVec::with_capacity(wanted.len());
        for wanted in wanted.iter().rev() {
            held.push(take(keyspace, *wanted)?);
        }
        Ok(LockSet { keyspace, declared: None, held, _creation: None })
    }

    /// Every shard of every database, exclusively, and with them what is `wanted` besides.
    ///
    /// No database comes into being as long as these locks are held. Otherwise one that does
    /// could be written to, and that be logged, between the moment at which all databases are
    /// emptied and the moment at which this is logged.
    ///
    /// # Errors
    /// When somebody holds one of them for longer than a moment; none is held then.
    pub fn everything(
        keyspace: &'k Keyspace,
        wanted: &mut SmallVec<[Wanted; 8]>,
    ) -> Result<LockSet<'k>, Contended> {
        // Made before, since making them takes the same lock.
        wanted.iter().for_each(|wanted| _ = keyspace.database(wanted.db));
        let creation = keyspace.creation.try_lock().ok_or(Contended)?;
        let databases = keyspace.used_databases().into_iter();
        wanted.extend(databases.flat_map(|db| Wanted::database(db, Access::Exclusive)));
        let locks = LockSet::all(keyspace, wanted)?;
        Ok(LockSet { _creation: Some(creation), ..locks })
    }

    /// Whether the set has no lock.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether the set has this lock, or a stronger one.
    pub fn holds(&self, wanted: Wanted) -> bool {
        self.find(wanted).is_ok_and(|at| {
            wanted.access == Access::Shared || matches!(self.held[at].guard, Guard::Exclusive(_))
        })
    }

    /// Whether the set has every shard of a database.
    pub fn holds_database(&self, db: usize) -> bool {
        let first = Wanted { db, shard: 0, access: Access::Shared };
        let last = |at: usize| self.held.get(at + SHARDS - 1);
        self.find(first).is_ok_and(|at| last(at).is_some_and(|held| held.db == db))
    }

    /// Adds the locks of `wanted` that the set has not. All that are in it may change hands only
    /// when it is dropped, so who extends a set holds locks while it tries others: only one at a
    /// time may, see `engine::script`.
    ///
    /// # Errors
    /// When somebody holds one of them for longer than a moment. Those that were taken before
    /// stay in the set.
    ///
    /// # Panics
    /// When the set has one of them to read and it is wanted to write: in between, another
    /// could write.
    pub fn extend(&mut self, wanted: &mut SmallVec<[Wanted; 8]>) -> Result<(), Contended> {
        wanted.sort_unstable();
        wanted.dedup_by_key(|wanted| (wanted.db, wanted.shard));
        for wanted in wanted.iter() {
            match self.find(*wanted) {
                Ok(_) => assert!(self.holds(*wanted), "a lock to read cannot become one to write"),
                Err(at) => {
                    let held = take(self.keyspace, *wanted)?;
                    self.held.insert(at, held);
                }
            }
        }
        Ok(())
    }

    /// Where the set has a shard, or would have it.
    fn find(&self, wanted: Wanted) -> Result<usize, usize> {
        let place = (wanted.db, wanted.shard);
        self.held.binary_search_by_key(&place, |held| (held.db, held.shard))
    }

    /// The keyspace whose locks these are.
    pub fn keyspace(&self) -> &'k Keyspace {
        self.keyspace
    }

    /// Keys of a database, with what the set's own writers have changed so far: that is counted
    /// for everybody only when a lock is let go.
    pub fn count(&self, db: usize) -> Count {
        let mut total = self.keyspace.count(db);
        for held in self.held.iter().filter(|held| held.db == db) {
            if let Guard::Exclusive(writer) = &held.guard {
                let (before, now) = (writer.before, writer.shard.count());
                total.keys = total.keys.wrapping_add(now.keys).wrapping_sub(before.keys);
                total.expiring =
                    total.expiring.wrapping_add(now.expiring).wrapping_sub(before.expiring);
            }
        }
        total
    }

    /// A shard to read.
    ///
    /// # Errors
    /// When the set roams and somebody holds the shard for longer than a moment.
    pub fn shard(&self, db: usize, shard: usize) -> Result<ShardRef<'_>, Contended> {
        if self.held.is_empty() {
            let lock = &self.keyspace.database(db).shards[shard];
            return Ok(ShardRef::Roaming(spin(lock, RwLock::try_read)?));
        }
        Ok(ShardRef::Held(self.held(db, shard)))
    }

    /// A shard of the set, to read.
    #[inline]
    pub fn held(&self, db: usize, shard: usize) -> &Shard {
        match &self.held[self.index(db, shard)].guard {
            Guard::Shared(guard) => guard,
            Guard::Exclusive(writer) => &writer.shard,
        }
    }

    /// A shard of the set, to write.
    ///
    /// # Panics
    /// When the set holds it shared: the command's row says that it does not write.
    #[inline]
    pub fn held_mut(&mut self, db: usize, shard: usize) -> &mut Shard {
        let index = self.index(db, shard);
        match &mut self.held[index].guard {
            Guard::Exclusive(writer) => &mut writer.shard,
            Guard::Shared(_) => unreachable!("a writer's keys are locked exclusively"),
        }
    }

    /// A shard, if the set holds it to write.
    pub fn held_exclusively(&self, db: usize, shard: usize) -> Option<&Shard> {
        let at = self.held.binary_search_by_key(&(db, shard), |held| (held.db, held.shard));
        match &self.held[at.ok()?].guard {
            Guard::Exclusive(writer) => Some(&writer.shard),
            Guard::Shared(_) => None,
        }
    }

    /// Whether somebody waits for a key of a shard that the set holds to write.
    #[inline]
    pub fn is_awaited(&self) -> bool {
        self.held.iter().any(|held| match &held.guard {
            Guard::Exclusive(writer) => writer.shard.is_awaited(),
            Guard::Shared(_) => false,
        })
    }

    /// Every shard of a database in the set, to write.
    pub fn each_mut(&mut self, db: usize) -> impl Iterator<Item = &mut Shard> {
        self.held.iter_mut().filter(move |held| held.db == db).filter_map(|held| {
            match &mut held.guard {
                Guard::Exclusive(writer) => Some(&mut *writer.shard),
                Guard::Shared(_) => None,
            }
        })
    }

    /// Exchanges all keys of two databases whose shards are all in the set, to write.
    pub fn exchange(&mut self, a: usize, b: usize) {
        let (low, high) = (a.min(b), a.max(b));
        if low == high {
            return;
        }
        for shard in 0..SHARDS {
            // Locks are held in the order of (database, shard).
            let (at, behind) = (self.index(low, shard), self.index(high, shard));
            let (front, back) = self.held.split_at_mut(behind);
            if let (Guard::Exclusive(one), Guard::Exclusive(other)) =
                (&mut front[at].guard, &mut back[0].guard)
            {
                one.shard.swap(&mut other.shard);
            }
        }
    }

    /// Where the set keeps a shard.
    ///
    /// # Panics
    /// When it does not: a command has touched a key that its row does not declare. That costs
    /// the connection, and never the isolation of another.
    #[inline]
    fn index(&self, db: usize, shard: usize) -> usize {
        if let [only] = self.held.as_slice() {
            assert!(only.shard == shard && only.db == db, "an undeclared key was touched");
            return 0;
        }
        self.held
            .binary_search_by_key(&(db, shard), |held| (held.db, held.shard))
            .unwrap_or_else(|_| unreachable!("an undeclared key was touched"))
    }
}

#[inline]
fn take(keyspace: &Keyspace, wanted: Wanted) -> Result<Held<'_>, Contended> {
    let Wanted { db, shard, access } = wanted;
    let database = keyspace.database(db);
    let lock = &database.shards[shard];
    let guard = match access {
        Access::Shared => Guard::Shared(spin(lock, RwLock::try_read)?),
        Access::Exclusive => {
            let mut guard = spin(lock, RwLock::try_write)?;
            keyspace.cut.before_write(db, shard, &mut guard)?;
            Guard::Exclusive(Writer { database, before: guard.count(), shard: guard })
        }
    };
    Ok(Held { db, shard, guard })
}

#[inline]
fn spin<'k, G>(
    lock: &'k RwLock<Shard>,
    attempt: impl Fn(&'k RwLock<Shard>) -> Option<G>,
) -> Result<G, Contended> {
    for _ in 0..LOCK_SPINS {
        if let Some(guard) = attempt(lock) {
            return Ok(guard);
        }
        std::hint::spin_loop();
    }
    Err(Contended)
}
