//! Takes out what is due, and says so: to those who watch, to the log, to who hears of events.
//!
//! Keys and fields of hashes go the same way, whether a writer comes across them or the sweep.

use super::{Effects, Event, NEVER, Shard};
use crate::config::Classes;
use crate::hashing::hash_bytes;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Dues<'a> {
    pub(super) db: usize,
    pub(super) now: u64,
    /// Which events somebody wants.
    pub(super) wanted: Classes,
    pub(super) effects: &'a mut Effects,
}

impl Dues<'_> {
    /// Takes out a key if it is due, or up to `most` of its fields; answers what that cost, in
    /// fields and keys.
    pub(super) fn remove(&mut self, shard: &mut Shard, key: &[u8], most: usize) -> usize {
        let Some(slot) = shard.find(hash_bytes(key), key) else { return 0 };
        if shard.at(slot).is_expired(self.now) {
            self.remove_key(shard, slot, key);
            return 1;
        }
        let mut fields: Vec<Vec<u8>> = Vec::new();
        let cost = shard.change(slot, |entry| {
            entry.remove_due(self.now, most, |field| fields.push(field.to_vec()))
        });
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        self.say_fields(shard, key, &fields);
        cost.max(1)
    }

    /// Takes out a key that is due. A large value is freed after the locks are let go.
    pub(super) fn remove_key(&mut self, shard: &mut Shard, slot: usize, key: &[u8]) {
        let entry = shard.remove(slot);
        shard.touch_removed(key);
        self.effects.touch(key);
        self.effects.expired += 1;
        self.effects.append(self.db, &[b"DEL", key]);
        let at = entry.expires_at();
        if at != NEVER && at <= self.now {
            self.notify(Classes::EXPIRED, "expired", key);
        } else {
            // It was a hash, and its last fields are due.
            self.notify(Classes::HASH, "hexpired", key);
            self.notify(Classes::GENERIC, "del", key);
        }
        self.effects.discard(entry);
    }

    /// Takes out these fields, which are due, of a hash that has others.
    pub(super) fn remove_fields(
        &mut self,
        shard: &mut Shard,
        slot: usize,
        key: &[u8],
        due: &[&[u8]],
    ) {
        let removed = shard.change(slot, |entry| {
            let removed = entry.edit(|hash: &mut crate::value::hash::Hash| {
                due.iter().copied().filter(|field| hash.remove(field)).collect::<Vec<_>>()
            });
            removed.unwrap_or_default()
        });
        self.say_fields(shard, key, &removed);
    }

    /// Says that fields were taken out.
    fn say_fields(&mut self, shard: &Shard, key: &[u8], fields: &[&[u8]]) {
        if fields.is_empty() {
            return;
        }
        shard.touch(key);
        self.effects.touch(key);
        let words: Vec<&[u8]> = [&b"HDEL"[..], key].iter().chain(fields).copied().collect();
        self.effects.append(self.db, &words);
        self.notify(Classes::HASH, "hexpired", key);
    }

    fn notify(&mut self, class: Classes, name: &'static str, key: &[u8]) {
        if self.wanted.intersects(class) {
            self.effects.events.push(Event { db: self.db, class, name, key: key.into() });
        }
    }
}
