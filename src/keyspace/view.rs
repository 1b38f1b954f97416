//! What a command sees of the keyspace: the keys that it declared, locked.
//!
//! A `ReadView` can look, a `WriteView` can also change: the type of a handler's view says what
//! the command may do. An expired key is absent from either view the moment it is due; a
//! writer that comes across one removes it and tells the log.

use std::cell::{Cell, RefCell};

use super::locks::{Contended, ShardRef};
use super::{Count, Effects, Entry, Event, Large, LockSet, NEVER, Place, Shard};
use crate::config::{Classes, Config};
use crate::fault::Fault;
use crate::table::Table;
use crate::value::collection::{Collection, CollectionRef};

/// The moment at which nothing is expired: for the leader's stream on a replica, where the
/// leader alone decides what is expired.
pub const BEFORE_ALL: u64 = 0;

/// What a handler needs besides keys and arguments.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The time of the command in unix milliseconds, or `BEFORE_ALL`.
    pub now: u64,
    /// The directives.
    pub config: &'a Config,
}

/// Keys to read.
#[derive(Debug)]
pub struct ReadView<'a, 'k> {
    locks: &'a LockSet<'k>,
    db: usize,
    /// The time and the settings of this command.
    pub around: Surroundings<'a>,
    lookups: Cell<Lookups>,
    /// Keys that were not there, if anybody wants to hear of them.
    missed: RefCell<Vec<Event>>,
}

/// Lookups of a reader, as INFO counts them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lookups {
    /// Keys that were there.
    pub hits: u64,
    /// Keys that were not.
    pub misses: u64,
}

impl<'a, 'k> ReadView<'a, 'k> {
    /// A view of database `db` through `locks`.
    pub fn new(locks: &'a LockSet<'k>, db: usize, around: Surroundings<'a>) -> Self {
        ReadView { locks, db, around, lookups: Cell::default(), missed: RefCell::default() }
    }

    /// The entry of a declared key, unless it is absent or due.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<&'a Entry> {
        let found = self.find(key);
        let mut lookups = self.lookups.get();
        match found {
            Some(_) => lookups.hits += 1,
            None => {
                lookups.misses += 1;
                self.miss(key);
            }
        }
        self.lookups.set(lookups);
        found
    }

    /// The collection under a declared key; `None` when there is no key.
    ///
    /// # Errors
    /// `WRONGTYPE` when the key holds something else.
    #[inline]
    pub fn collection<L: Large>(&self, key: &[u8]) -> Result<Option<CollectionRef<'a, L>>, Fault> {
        self.get(key).map(|entry| entry.as_collection().ok_or(Fault::WRONG_TYPE)).transpose()
    }

    #[inline]
    fn miss(&self, key: &[u8]) {
        if self.around.config.notify_keyspace_events.contains(Classes::MISS) {
            let event =
                Event { db: self.db, class: Classes::MISS, name: "keymiss", key: key.into() };
            self.missed.borrow_mut().push(event);
        }
    }

    /// The events of keys that `get` has not found.
    pub fn missed(self) -> Vec<Event> {
        self.missed.into_inner()
    }

    /// How often `get` found its key, and how often not.
    pub fn lookups(&self) -> Lookups {
        self.lookups.get()
    }

    #[inline]
    fn find(&self, key: &[u8]) -> Option<&'a Entry> {
        let place = self.locks.place(key);
        let shard = self.locks.held(self.db, place.shard);
        let entry = shard.at(shard.find(place.hash, key)?);
        (!entry.is_expired(self.around.now)).then_some(entry)
    }

    /// Keys of the database.
    pub fn count(&self) -> Count {
        self.locks.count(self.db)
    }

    /// A whole shard, for the commands that look at all keys.
    ///
    /// # Errors
    /// When somebody holds it for longer than a moment; the command is then run again.
    pub fn shard(&self, index: usize) -> Result<ShardRef<'_>, Contended> {
        self.locks.shard(self.db, index)
    }
}

/// What has come of the change of a collection.
#[derive(Clone, Copy, Debug)]
pub struct Edited<R> {
    /// What the change has answered.
    pub result: R,
    /// Whether it has left nothing, so that the key is gone.
    pub emptied: bool,
}

/// Keys to read and write.
#[derive(Debug)]
pub struct WriteView<'a, 'k> {
    locks: &'a mut LockSet<'k>,
    db: usize,
    /// The time and the settings of this command.
    pub around: Surroundings<'a>,
    /// What this command has changed.
    pub effects: &'a mut Effects,
}

impl<'a, 'k> WriteView<'a, 'k> {
    /// A view of database `db` through `locks`.
    pub fn new(
        locks: &'a mut LockSet<'k>,
        db: usize,
        around: Surroundings<'a>,
        effects: &'a mut Effects,
    ) -> Self {
        WriteView { locks, db, around, effects }
    }

    /// The same keys, only to read.
    pub fn as_read(&self) -> ReadView<'_, 'k> {
        ReadView::new(self.locks, self.db, self.around)
    }

    /// The entry of a declared key, unless it is absent or due.
    pub fn get(&mut self, key: &[u8]) -> Option<&Entry> {
        let (place, slot) = self.present(key)?;
        Some(self.locks.held(self.db, place.shard).at(slot))
    }

    /// Whether a declared key is there.
    pub fn exists(&mut self, key: &[u8]) -> bool {
        self.present(key).is_some()
    }

    /// Changes the entry of a declared key; `None` when it is absent. The caller says
    /// `modified` if it did change something.
    #[inline]
    pub fn change<R>(&mut self, key: &[u8], change: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let (place, slot) = self.present(key)?;
        Some(self.shard_mut(place).change(slot, change))
    }

    /// Changes the collection under a declared key, or a new one that then takes its place
    /// there: `edit` then leaves it with an element. An edit that fails changes nothing.
    ///
    /// # Errors
    /// `WRONGTYPE`, or what `edit` answers.
    pub fn edit<L: Large, R>(
        &mut self,
        key: &[u8],
        edit: impl FnOnce(&mut Collection<L>) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let Some((place, slot)) = self.present(key) else {
            let mut collection = Collection::new();
            let result = edit(&mut collection)?;
            self.insert(key, Entry::collection(key, collection, NEVER));
            return Ok(result);
        };
        let shard = self.shard_mut(place);
        shard.change(slot, |entry| entry.edit(edit)).unwrap_or(Err(Fault::WRONG_TYPE))
    }

    /// Changes the collection under a declared key, if there is one, and takes the key away
    /// when that leaves the collection empty. An edit that fails changes nothing.
    ///
    /// # Errors
    /// `WRONGTYPE`, or what `edit` answers.
    pub fn edit_present<L: Large, R>(
        &mut self,
        key: &[u8],
        edit: impl FnOnce(&mut Collection<L>) -> Result<R, Fault>,
    ) -> Result<Option<Edited<R>>, Fault> {
        let Some((place, slot)) = self.present(key) else { return Ok(None) };
        let shard = self.shard_mut(place);
        let edited = shard.change(slot, |entry| {
            entry.edit(|collection: &mut Collection<L>| {
                let result = edit(collection)?;
                Ok((result, L::is_empty(collection.as_ref())))
            })
        });
        let (result, emptied) = edited.unwrap_or(Err(Fault::WRONG_TYPE))?;
        if emptied {
            shard.remove(slot);
        }
        Ok(Some(Edited { result, emptied }))
    }

    /// Replaces the entry of a declared key, or adds it.
    pub fn insert(&mut self, key: &[u8], entry: Entry) {
        let place = self.locks.place(key);
        let shard = self.shard_mut(place);
        match shard.find(place.hash, key) {
            Some(slot) => shard.change(slot, |old| *old = entry),
            None => {
                shard.insert(place.hash, entry);
                self.notify(Classes::NEW, "new", key);
            }
        }
    }

    /// Makes a declared key a string, whatever it was; reuses the allocation when it fits.
    #[inline]
    pub fn put_string(&mut self, key: &[u8], bytes: &[u8], expires_at: u64) {
        let place = self.locks.place(key);
        let shard = self.shard_mut(place);
        match shard.find(place.hash, key) {
            Some(slot) => shard.change(slot, |entry| entry.put_string(bytes, expires_at)),
            None => {
                shard.insert(place.hash, Entry::string(key, bytes, expires_at));
                self.notify(Classes::NEW, "new", key);
            }
        }
    }

    /// Makes a declared key the state of a rate limit, whatever it was, as `put_string` does.
    #[inline]
    pub fn put_rate_limit(&mut self, key: &[u8], state: &[u8], expires_at: u64) {
        let place = self.locks.place(key);
        let shard = self.shard_mut(place);
        match shard.find(place.hash, key) {
            Some(slot) => shard.change(slot, |entry| entry.put_rate_limit(state, expires_at)),
            None => {
                shard.insert(place.hash, Entry::rate_limit(key, state, expires_at));
                self.notify(Classes::NEW, "new", key);
            }
        }
    }

    /// Takes a declared key out; `None` when it is absent.
    pub fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let (place, slot) = self.present(key)?;
        Some(self.shard_mut(place).remove(slot))
    }

    /// Takes a declared key out and away; answers whether it was there. A large value is freed
    /// after the locks are let go.
    pub fn discard(&mut self, key: &[u8]) -> bool {
        let Some(entry) = self.remove(key) else { return false };
        self.effects.discard(entry);
        true
    }

    /// Says that a declared key was changed: to those who watch it, and to the log.
    #[inline]
    pub fn modified(&mut self, key: &[u8]) {
        let place = self.locks.place(key);
        self.locks.held(self.db, place.shard).touch(key);
        self.effects.changed();
    }

    /// Notes what has happened to a declared key, to be published if its class is wanted.
    #[inline]
    pub fn notify(&mut self, class: Classes, name: &'static str, key: &[u8]) {
        if self.around.config.notify_keyspace_events.intersects(class) {
            self.effects.events.push(Event { db: self.db, class, name, key: key.into() });
        }
    }

    /// Says in the words of the log what the command has done, in place of the command itself.
    pub fn reword(&mut self, argv: &[&[u8]]) {
        self.effects.reword(self.db, argv);
    }

    /// Takes every key out of a database whose shards are all declared, and says so; answers
    /// how many there were. They are freed after the locks are let go.
    pub fn clear(&mut self, db: usize) -> usize {
        let tables: Vec<_> = self.locks.each_mut(db).map(Shard::clear).collect();
        let keys = tables.iter().map(Table::len).sum();
        self.effects.garbage.extend(tables);
        keys
    }

    /// Exchanges all keys of two databases, whose shards are all declared.
    pub fn exchange(&mut self, a: usize, b: usize) {
        self.locks.exchange(a, b);
        self.effects.changed();
    }

    /// The databases there are.
    pub fn databases(&self) -> usize {
        self.locks.keyspace().databases()
    }

    /// Sees the same locks as another database.
    pub fn select(&mut self, db: usize) {
        self.db = db;
    }

    /// The database that is seen.
    pub fn db(&self) -> usize {
        self.db
    }

    /// Finds a key, and removes it if it is due.
    #[inline]
    fn present(&mut self, key: &[u8]) -> Option<(Place, usize)> {
        let place = self.locks.place(key);
        let shard = self.locks.held(self.db, place.shard);
        let slot = shard.find(place.hash, key)?;
        if shard.at(slot).is_expired(self.around.now) {
            self.expire(place, slot, key);
            return None;
        }
        Some((place, slot))
    }

    #[cold]
    fn expire(&mut self, place: Place, slot: usize, key: &[u8]) {
        let shard = self.shard_mut(place);
        shard.remove(slot);
        shard.touch(key);
        self.effects.expired += 1;
        self.effects.append(self.db, &[b"DEL", key]);
        self.notify(Classes::EXPIRED, "expired", key);
    }

    #[inline]
    fn shard_mut(&mut self, place: Place) -> &mut Shard {
        self.locks.held_mut(self.db, place.shard)
    }
}
