//! One shard: a table of entries, and what must be told when one of them changes.

use std::sync::Arc;

use super::entry::{Entry, NEVER};
use super::interest::Interest;
pub use super::interest::WatchFlag;
use super::usage::Usage;
use super::{Count, Kind};
use crate::table::Table;
use crate::waiter::Waiter;

/// See the module's description.
#[derive(Debug)]
pub struct Shard {
    table: Table<Entry>,
    /// How many entries have an expiry.
    expiring: usize,
    /// No entry expires before this, nor any field; kept low by insertions, raised by the sweep.
    soonest: u64,
    /// The last cut in which this shard has been serialized.
    pub(super) cut: u64,
    /// Who watches which key, or waits for it; almost always nobody.
    interest: Option<Box<Interest>>,
}

impl Shard {
    pub(super) fn new(cut: u64) -> Shard {
        Shard { table: Table::new(), expiring: 0, soonest: u64::MAX, cut, interest: None }
    }

    /// Keys, expired ones included.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Keys, and those with an expiry.
    #[inline]
    pub fn count(&self) -> Count {
        Count { keys: self.table.len(), expiring: self.expiring }
    }

    /// Keys that have an expiry.
    pub fn expiring(&self) -> usize {
        self.expiring
    }

    /// No key expires before this unix millisecond, nor any field of a hash.
    pub fn soonest(&self) -> u64 {
        self.soonest
    }

    /// Says that no key expires before `at`, after all have been looked at.
    pub(super) fn set_soonest(&mut self, at: u64) {
        self.soonest = at;
    }

    /// The table itself, to read it.
    pub fn table(&self) -> &Table<Entry> {
        &self.table
    }

    /// The slot of `key`, expired or not.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        self.table.find(hash, |entry| entry.key() == key)
    }

    /// The entry in a slot that `find` named.
    #[inline]
    pub fn at(&self, slot: usize) -> &Entry {
        self.table.at(slot)
    }

    /// Changes the entry in a slot that `find` named; its key must stay what it is.
    #[inline]
    pub fn change<R>(&mut self, slot: usize, change: impl FnOnce(&mut Entry) -> R) -> R {
        let entry = self.table.at_mut(slot);
        let before = entry.expires_at();
        let result = change(entry);
        let after = entry.expires_at();
        let parts = if entry.parts_expire() { entry.parts_soonest() } else { NEVER };
        if before != after {
            self.note_expiry(before, after);
        }
        self.note_parts(parts);
        result
    }

    /// Adds an entry whose key is not there.
    pub fn insert(&mut self, hash: u64, entry: Entry, usage: Usage) {
        self.note_expiry(NEVER, entry.expires_at());
        self.note_parts(entry.parts_soonest());
        let slot = self.table.insert(hash, entry);
        self.table.set_mark(slot, usage.bits());
    }

    /// Makes room on the way to so many keys, when there is none left.
    pub(super) fn expect(&mut self, keys: usize) {
        self.table.grow_towards(keys);
    }

    /// When and how often the key in a slot was used.
    #[inline]
    pub fn usage(&self, slot: usize) -> Usage {
        Usage::from_bits(self.table.mark(slot))
    }

    /// Notes when and how often the key in a slot was used.
    #[inline]
    pub fn set_usage(&self, slot: usize, usage: Usage) {
        self.table.set_mark(slot, usage.bits());
    }

    /// Takes the entry out of a slot that `find` named.
    pub fn remove(&mut self, slot: usize) -> Entry {
        let entry = self.table.remove(slot);
        self.note_expiry(entry.expires_at(), NEVER);
        entry
    }

    /// Takes out every entry; answers them, so that the caller can free them after it has
    /// unlocked.
    pub fn clear(&mut self) -> Table<Entry> {
        if let Some(interest) = &self.interest {
            let here = |key: &&[u8]| self.find(crate::hashing::hash_bytes(key), key).is_some();
            interest.watched().filter(here).for_each(|key| interest.raise(key));
        }
        self.expiring = 0;
        self.soonest = u64::MAX;
        std::mem::take(&mut self.table)
    }

    /// Takes the keys of `staged` in place of its own; answers the old ones, so that the caller
    /// can free them after it has unlocked.
    pub(super) fn exchange(&mut self, staged: &mut Shard) -> Table<Entry> {
        let old = self.clear();
        if let Some(interest) = &mut self.interest {
            let comes = |key: &&[u8]| staged.find(crate::hashing::hash_bytes(key), key).is_some();
            interest.watched().filter(comes).for_each(|key| interest.raise(key));
            let awaited: Vec<Box<[u8]>> = interest.awaited().map(Box::from).collect();
            awaited.iter().for_each(|key| interest.end_group_readers(key));
        }
        self.table = std::mem::take(&mut staged.table);
        self.expiring = std::mem::take(&mut staged.expiring);
        self.soonest = staged.soonest;
        old
    }

    /// Exchanges all keys with another shard; who watches stays. A watched key has changed when
    /// it was here, or is here now.
    pub(super) fn swap(&mut self, other: &mut Shard) {
        self.raise_held_by(other);
        other.raise_held_by(self);
        std::mem::swap(&mut self.table, &mut other.table);
        std::mem::swap(&mut self.expiring, &mut other.expiring);
        std::mem::swap(&mut self.soonest, &mut other.soonest);
    }

    /// Tells those who watch a key here that is here, or in `other`.
    fn raise_held_by(&self, other: &Shard) {
        let Some(interest) = &self.interest else { return };
        for key in interest.watched() {
            let hash = crate::hashing::hash_bytes(key);
            if self.find(hash, key).is_some() || other.find(hash, key).is_some() {
                interest.raise(key);
            }
        }
    }

    /// Whether somebody watches any key, or waits for it.
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.interest.is_some()
    }

    /// Marks a key as changed to those who watch it; answers whether somebody waits for it, who
    /// is then to be served.
    #[inline]
    pub fn touch(&self, key: &[u8]) -> bool {
        self.interest.as_ref().is_some_and(|interest| interest.touch(key))
    }

    /// Marks a key as taken out, by nobody's command.
    pub(super) fn touch_removed(&mut self, key: &[u8]) {
        if self.touch(key) {
            self.end_group_readers(key);
        }
    }

    /// Adds a watcher of a key; answers whether it did not watch that key before.
    pub fn watch(&mut self, key: &[u8], flag: &WatchFlag) -> bool {
        self.interest.get_or_insert_default().watch(key, flag)
    }

    /// Takes a watcher off a key.
    pub fn unwatch(&mut self, key: &[u8], flag: &WatchFlag) {
        self.interested(|interest| interest.unwatch(key, flag));
    }

    /// Whether somebody waits for a key.
    #[inline]
    pub fn is_awaited(&self) -> bool {
        self.interest.as_ref().is_some_and(|interest| interest.is_awaited())
    }

    /// The keys that somebody waits for.
    pub fn awaited(&self) -> impl Iterator<Item = &[u8]> {
        self.interest.iter().flat_map(|interest| interest.awaited())
    }

    /// Has somebody wait for a key to hold a kind of value.
    pub fn enqueue(&mut self, key: &[u8], kind: Kind, waiter: &Arc<Waiter>) {
        self.interest.get_or_insert_default().enqueue(key, kind, waiter);
    }

    /// Takes a waiter out of a key's queue.
    pub fn dequeue(&mut self, key: &[u8], kind: Kind, ticket: u64) {
        self.interested(|interest| interest.dequeue(key, kind, ticket));
    }

    /// The first who waits for a kind of value under a key, from a ticket on.
    pub fn next_waiter(&self, key: &[u8], kind: Kind, from: u64) -> Option<&Arc<Waiter>> {
        self.interest.as_ref()?.next(key, kind, from)
    }

    /// The keys to which those who wait for a list at `key` will move its elements.
    pub fn destinations(&self, key: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.interest.iter().flat_map(move |interest| interest.destinations(key))
    }

    /// Ends the waiting of those who want to read a group of the stream at `key`, which is no
    /// longer there.
    pub fn end_group_readers(&mut self, key: &[u8]) {
        self.interested(|interest| interest.end_group_readers(key));
    }

    fn interested(&mut self, change: impl FnOnce(&mut Interest)) {
        if let Some(interest) = &mut self.interest {
            change(interest);
            if interest.is_empty() {
                self.interest = None;
            }
        }
    }

    #[inline]
    fn note_parts(&mut self, soonest: u64) {
        if soonest != NEVER {
            self.soonest = self.soonest.min(soonest);
        }
    }

    fn note_expiry(&mut self, before: u64, after: u64) {
        if before != NEVER {
            self.expiring -= 1;
        }
        if after != NEVER {
            self.expiring += 1;
            self.soonest = self.soonest.min(after);
        }
    }
}
