//! One shard: a table of entries, and what must be told when one of them changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Count;
use super::entry::{Entry, NEVER};
use super::usage::Usage;
use crate::table::Table;

/// Set when a watched key changes; EXEC looks at it.
pub type WatchFlag = Arc<AtomicBool>;

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
    /// Who watches which key; almost always nobody.
    watchers: Option<Box<Watchers>>,
}

type Watchers = HashMap<Box<[u8]>, Vec<WatchFlag>>;

impl Shard {
    pub(super) fn new(cut: u64) -> Shard {
        Shard { table: Table::new(), expiring: 0, soonest: u64::MAX, cut, watchers: None }
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
        if let Some(watchers) = &self.watchers {
            for (key, flags) in watchers.iter() {
                if self.find(crate::hashing::hash_bytes(key), key).is_some() {
                    raise(flags);
                }
            }
        }
        self.expiring = 0;
        self.soonest = u64::MAX;
        std::mem::take(&mut self.table)
    }

    /// Takes the keys of `staged` in place of its own; answers the old ones, so that the caller
    /// can free them after it has unlocked.
    pub(super) fn exchange(&mut self, staged: &mut Shard) -> Table<Entry> {
        let old = self.clear();
        if let Some(watchers) = &self.watchers {
            for (key, flags) in watchers.iter() {
                if staged.find(crate::hashing::hash_bytes(key), key).is_some() {
                    raise(flags);
                }
            }
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
        for (key, flags) in self.watchers.iter().flat_map(|watchers| watchers.iter()) {
            let hash = crate::hashing::hash_bytes(key);
            if self.find(hash, key).is_some() || other.find(hash, key).is_some() {
                raise(flags);
            }
        }
    }

    /// Whether any key is watched.
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.watchers.is_some()
    }

    /// Marks a key as changed to those who watch it.
    #[inline]
    pub fn touch(&self, key: &[u8]) {
        if let Some(flags) = self.watchers.as_ref().and_then(|watchers| watchers.get(key)) {
            raise(flags);
        }
    }

    /// Adds a watcher of a key; answers whether it did not watch that key before.
    pub fn watch(&mut self, key: &[u8], flag: &WatchFlag) -> bool {
        let flags = self.watchers.get_or_insert_default().entry(key.into()).or_default();
        let fresh = !flags.iter().any(|other| Arc::ptr_eq(other, flag));
        if fresh {
            flags.push(Arc::clone(flag));
        }
        fresh
    }

    /// Takes a watcher off a key.
    pub fn unwatch(&mut self, key: &[u8], flag: &WatchFlag) {
        let Some(watchers) = &mut self.watchers else { return };
        if let Some(flags) = watchers.get_mut(key) {
            flags.retain(|other| !Arc::ptr_eq(other, flag));
            if flags.is_empty() {
                watchers.remove(key);
            }
        }
        if watchers.is_empty() {
            self.watchers = None;
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

fn raise(flags: &[WatchFlag]) {
    for flag in flags {
        flag.store(true, Ordering::Relaxed);
    }
}
