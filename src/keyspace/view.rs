//! What a command sees of the keyspace: the keys that it declared, locked.
//!
//! A `ReadView` can look, a `WriteView` can also change: the type of a handler's view says what
//! the command may do. An expired key is absent from either view the moment it is due; a
//! writer that comes across one removes it and tells the log. Fields of hashes that are due
//! are there until a writer asks for those that it is about to touch to be removed likewise.

use std::cell::{Cell, RefCell};

use super::dues::Dues;
use super::locks::{Contended, ShardRef};
use super::usage::{Scale, Tick, Usage};
use super::{Count, Effects, Entry, Event, Large, LockSet, NEVER, Place, Shard};
use crate::clock::random_below;
use crate::config::{Classes, Config};
use crate::fault::Fault;
use crate::regions::Board;
use crate::rules::Rules;
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
    /// The present by which uses of keys are noted, on a replica too.
    pub tick: Tick,
    /// The directives.
    pub config: &'a Config,
}

impl Surroundings<'_> {
    /// Notes that the key in a slot is used.
    #[inline]
    fn note_use(&self, shard: &Shard, slot: usize) {
        let usage = shard.usage(slot);
        if !usage.is_current(self.tick) {
            let now = usage.used(self.tick, self.scale(), random_below);
            if now != usage {
                shard.set_usage(slot, now);
            }
        }
    }

    /// How uses are counted.
    pub fn scale(&self) -> Scale {
        self.config.usage_scale()
    }
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

    /// The entry of a declared key, unless it is absent or due. This is a use of the key.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<&'a Entry> {
        let (shard, slot) = self.look(key)?;
        self.around.note_use(shard, slot);
        Some(shard.at(slot))
    }

    /// The entry of a declared key, unless it is absent or due, without its being a use.
    pub fn peek(&self, key: &[u8]) -> Option<&'a Entry> {
        self.look(key).map(|(shard, slot)| shard.at(slot))
    }

    /// When and how often a declared key was used, unless it is absent or due.
    pub fn usage(&self, key: &[u8]) -> Option<Usage> {
        self.find(key).map(|(shard, slot)| shard.usage(slot))
    }

    /// Finds a key and counts whether it was there.
    #[inline]
    fn look(&self, key: &[u8]) -> Option<(&'a Shard, usize)> {
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
    fn find(&self, key: &[u8]) -> Option<(&'a Shard, usize)> {
        let place = self.locks.place(key);
        let shard = self.locks.held(self.db, place.shard);
        let slot = shard.find(place.hash, key)?;
        (!shard.at(slot).is_expired(self.around.now)).then_some((shard, slot))
    }

    /// The database that is seen.
    pub fn db(&self) -> usize {
        self.db
    }

    /// Keys of the database.
    pub fn count(&self) -> Count {
        self.locks.count(self.db)
    }

    /// What names of rate limits mean.
    #[inline]
    pub fn rules(&self) -> &'k Rules {
        &self.locks.keyspace().rules
    }

    /// What was taken of limits that nodes share.
    pub fn regions(&self) -> &'k Board {
        &self.locks.keyspace().regions
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
    /// Where the key lies in the request whose use was noted last: a handler that looks twice
    /// uses it once.
    noted: *const u8,
}

impl<'a, 'k> WriteView<'a, 'k> {
    /// A view of database `db` through `locks`.
    pub fn new(
        locks: &'a mut LockSet<'k>,
        db: usize,
        around: Surroundings<'a>,
        effects: &'a mut Effects,
    ) -> Self {
        WriteView { locks, db, around, effects, noted: std::ptr::null() }
    }

    /// The same keys, only to read.
    pub fn as_read(&self) -> ReadView<'_, 'k> {
        ReadView::new(self.locks, self.db, self.around)
    }

    /// The entry of a declared key, unless it is absent or due.
    pub fn get(&mut self, key: &[u8]) -> Option<&Entry> {
        let (place, slot) = self.used(key)?;
        Some(self.locks.held(self.db, place.shard).at(slot))
    }

    /// Whether a declared key is there.
    pub fn exists(&mut self, key: &[u8]) -> bool {
        self.used(key).is_some()
    }

    /// Changes the entry of a declared key; `None` when it is absent. The caller says
    /// `modified` if it did change something.
    #[inline]
    pub fn change<R>(&mut self, key: &[u8], change: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let (place, slot) = self.used(key)?;
        Some(self.shard_mut(place).change(slot, change))
    }

    /// Likewise, for a writer of rate limits: where one is due, `change` is told so and may make
    /// another of it in its place. Nothing is taken out then only to be put in again, which those
    /// would who come back when their window is just over.
    #[inline]
    pub fn renew<R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut Entry, bool) -> R,
    ) -> Option<R> {
        let place = self.locks.place(key);
        let shard = self.locks.held(self.db, place.shard);
        let slot = shard.find(place.hash, key)?;
        let entry = shard.at(slot);
        let due = entry.is_expired(self.around.now);
        if due && entry.as_rate_limit().is_none() {
            self.expire(place, slot, key);
            return None;
        }
        self.note_use(place, slot, key);
        Some(self.shard_mut(place).change(slot, |entry| change(entry, due)))
    }

    /// Says that what was under a declared key was due, and that something else is there now.
    #[cold]
    pub fn renewed(&mut self, key: &[u8]) {
        self.effects.expired += 1;
        self.notify(Classes::EXPIRED, "expired", key);
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
        let Some((place, slot)) = self.used(key) else {
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
        let Some((place, slot)) = self.used(key) else { return Ok(None) };
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

    /// Removes those of `fields` that are due from the hash under a declared key, so that what
    /// is left of them may be changed.
    #[inline]
    pub fn remove_due<'f>(&mut self, key: &[u8], fields: impl Iterator<Item = &'f [u8]>) {
        let now = self.around.now;
        let Some((place, slot)) = self.present(key) else { return };
        let entry = self.locks.held(self.db, place.shard).at(slot);
        if !entry.parts_expire() {
            return;
        }
        let Some(hash) = entry.as_hash().filter(|hash| hash.may_be_due(now)) else { return };
        let due: Vec<&[u8]> = fields.filter(|field| hash.is_due(field, now)).collect();
        if !due.is_empty() {
            let (shard, mut dues) = self.dues(place);
            dues.remove_fields(shard, slot, key, &due);
        }
    }

    /// Removes a declared key if it is due.
    pub fn remove_if_due(&mut self, key: &[u8]) {
        let place = self.locks.place(key);
        if self.locks.held(self.db, place.shard).soonest() <= self.around.now {
            self.present(key);
        }
    }

    /// Replaces the entry of a declared key, or adds it.
    pub fn insert(&mut self, key: &[u8], entry: Entry) {
        self.put(key, entry, |old, entry| *old = entry, |entry| entry);
    }

    /// Changes the entry of a declared key with what is `given`, due or not, or adds one that is
    /// made of it.
    #[inline]
    fn put<T>(
        &mut self,
        key: &[u8],
        given: T,
        change: impl FnOnce(&mut Entry, T),
        make: impl FnOnce(T) -> Entry,
    ) {
        let place = self.locks.place(key);
        match self.locks.held(self.db, place.shard).find(place.hash, key) {
            Some(slot) => {
                self.note_use(place, slot, key);
                self.shard_mut(place).change(slot, |entry| change(entry, given));
            }
            None => {
                let usage = Usage::fresh(self.around.tick);
                self.shard_mut(place).insert(place.hash, make(given), usage);
                self.notify(Classes::NEW, "new", key);
            }
        }
    }

    /// When and how often a declared key was used; `None` when it is absent.
    pub fn usage(&mut self, key: &[u8]) -> Option<Usage> {
        let (place, slot) = self.present(key)?;
        Some(self.locks.held(self.db, place.shard).usage(slot))
    }

    /// Notes when and how often a declared key was used.
    pub fn set_usage(&mut self, key: &[u8], usage: Usage) {
        if let Some((place, slot)) = self.present(key) {
            self.locks.held(self.db, place.shard).set_usage(slot, usage);
        }
    }

    /// Makes a declared key a string, whatever it was; reuses the allocation when it fits.
    #[inline]
    pub fn put_string(&mut self, key: &[u8], bytes: &[u8], expires_at: u64) {
        let change = |entry: &mut Entry, bytes| entry.put_string(bytes, expires_at);
        self.put(key, bytes, change, |bytes| Entry::string(key, bytes, expires_at));
    }

    /// Makes a declared key the state of a rate limit, whatever it was, as `put_string` does.
    #[inline]
    pub fn put_rate_limit(&mut self, key: &[u8], state: &[u8], expires_at: u64) {
        let change = |entry: &mut Entry, state| entry.put_rate_limit(state, expires_at);
        self.put(key, state, change, |state| Entry::rate_limit(key, state, expires_at));
    }

    /// Makes a declared key a JSON document; one that is there keeps its expiry.
    pub fn put_json(&mut self, key: &[u8], document: &[u8]) {
        let change = |entry: &mut Entry, document| entry.put_json(document);
        self.put(key, document, change, |document| Entry::json(key, document, NEVER));
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
        self.touch(key);
        self.effects.changed();
    }

    /// Says to those who watch a declared key that it was changed, though its value is the same
    /// and there is nothing to log: what Redis does where it does not look.
    #[inline]
    pub fn touch(&mut self, key: &[u8]) {
        let place = self.locks.place(key);
        let shard = self.locks.held(self.db, place.shard);
        if shard.is_watched() | self.effects.tracked {
            if shard.touch(key) {
                self.effects.is_ready(self.db, key);
            }
            self.effects.touch(key);
        }
    }

    /// Has those looked at who wait for a declared key, though it counts as unchanged to those
    /// who watch it.
    pub fn awaken(&mut self, key: &[u8]) {
        let place = self.locks.place(key);
        if self.locks.held(self.db, place.shard).is_awaited() {
            self.effects.is_ready(self.db, key);
        }
    }

    /// Whether a client of a replica asks: what it makes of the keyspace is in no log, unlike
    /// what comes with the leader's stream.
    pub fn asked_on_replica(&self) -> bool {
        self.effects.is_foreign() && self.around.now != BEFORE_ALL
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
        self.awaited_are_ready(db);
        let tables: Vec<_> = self.locks.each_mut(db).map(Shard::clear).collect();
        let keys = tables.iter().map(Table::len).sum();
        self.effects.garbage.extend(tables);
        keys
    }

    /// Exchanges all keys of two databases, whose shards are all declared.
    pub fn exchange(&mut self, a: usize, b: usize) {
        self.locks.exchange(a, b);
        [a, b].into_iter().for_each(|db| self.awaited_are_ready(db));
        self.effects.changed();
    }

    /// Has all who wait in a database looked at: all of it has changed.
    fn awaited_are_ready(&mut self, db: usize) {
        for shard in self.locks.each_mut(db) {
            shard.awaited().for_each(|key| self.effects.is_ready(db, key));
        }
    }

    /// What names of rate limits mean.
    #[inline]
    pub fn rules(&self) -> &'k Rules {
        &self.locks.keyspace().rules
    }

    /// What was taken of limits that nodes share.
    pub fn regions(&self) -> &'k Board {
        &self.locks.keyspace().regions
    }

    /// The databases there are.
    pub fn databases(&self) -> usize {
        self.locks.keyspace().databases()
    }

    /// Sees the same locks as another database.
    pub fn select(&mut self, db: usize) {
        self.noted = std::ptr::null();
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

    /// Likewise; this is a use of it.
    #[inline]
    fn used(&mut self, key: &[u8]) -> Option<(Place, usize)> {
        let (place, slot) = self.present(key)?;
        self.note_use(place, slot, key);
        Some((place, slot))
    }

    #[inline]
    fn note_use(&mut self, place: Place, slot: usize, key: &[u8]) {
        let shard = self.locks.held(self.db, place.shard);
        if !shard.usage(slot).is_current(self.around.tick) && self.noted != key.as_ptr() {
            self.around.note_use(shard, slot);
            self.noted = key.as_ptr();
        }
    }

    #[cold]
    fn expire(&mut self, place: Place, slot: usize, key: &[u8]) {
        let (shard, mut dues) = self.dues(place);
        dues.remove_key(shard, slot, key);
    }

    fn dues(&mut self, place: Place) -> (&mut Shard, Dues<'_>) {
        let (now, wanted) = (self.around.now, self.around.config.notify_keyspace_events);
        let shard = self.locks.held_mut(self.db, place.shard);
        (shard, Dues { db: self.db, now, wanted, effects: self.effects })
    }

    #[inline]
    fn shard_mut(&mut self, place: Place) -> &mut Shard {
        self.locks.held_mut(self.db, place.shard)
    }
}
