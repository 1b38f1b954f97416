//! Frees the memory of keys that are due, and of fields of hashes, a few entries at a time.
//!
//! What a client sees does not depend on it: what is due is absent anyway. Each shard knows the
//! earliest moment at which one of its keys or fields may be due, so shards without such ones
//! cost one comparison. A hash with many fields that are due takes several steps.

use super::dues::Dues;
use super::locks::{Access, Contended, LockSet, Wanted};
use super::{Effects, Keyspace, NEVER};
use crate::limits::{SHARDS, SWEEP_ENTRIES, SWEEP_FIELDS};

/// Where the sweep is. It goes round all shards of all databases, again and again.
#[derive(Debug, Default)]
pub struct Sweep {
    db: usize,
    shard: usize,
    /// Hash from which to go on inside the shard.
    cursor: u32,
}

/// What one step of the sweep came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Swept {
    /// There may be more in this round.
    More,
    /// There may be more in this very shard: whoever wants it comes first.
    Again,
    /// The round is complete.
    Round,
}

impl Sweep {
    /// Looks at the next few entries, and answers how many keys it removed; `effects` gives
    /// room for the removals and `log` takes them, both while the shard is locked. What is
    /// large `log` also takes, to free it later.
    ///
    /// # Errors
    /// When somebody holds the shard for longer than a moment.
    pub fn step(
        &mut self,
        keyspace: &Keyspace,
        now: u64,
        effects: impl FnOnce() -> Effects,
        log: impl FnOnce(&mut Effects),
    ) -> Result<(Swept, u64), Contended> {
        if self.shard == SHARDS {
            self.shard = 0;
            self.db += 1;
        }
        if self.db >= keyspace.databases() {
            *self = Sweep::default();
            return Ok((Swept::Round, 0));
        }
        if keyspace.databases[self.db].get().is_none() {
            self.shard = SHARDS;
            return Ok((Swept::More, 0));
        }
        if self.cursor == 0 && !self.find_shard(keyspace, now) {
            return Ok((Swept::More, 0));
        }
        let wanted = Wanted { db: self.db, shard: self.shard, access: Access::Exclusive };
        let mut locks = LockSet::one(keyspace, wanted)?;
        let mut effects = effects();
        let swept = self.sweep_shard(&mut locks, now, &mut effects);
        log(&mut effects);
        Ok((swept, effects.expired))
    }

    /// Goes to the next shard of this database that may have a key that is due.
    fn find_shard(&mut self, keyspace: &Keyspace, now: u64) -> bool {
        let shards = &keyspace.database(self.db).shards;
        while self.shard < SHARDS {
            // A shard that somebody writes to right now is looked at in the next round.
            let due = shards[self.shard].try_read().is_some_and(|shard| shard.soonest() <= now);
            if due {
                return true;
            }
            self.shard += 1;
        }
        false
    }

    fn sweep_shard(&mut self, locks: &mut LockSet<'_>, now: u64, effects: &mut Effects) -> Swept {
        let shard = locks.held_mut(self.db, self.shard);
        if self.cursor == 0 {
            // Recomputed by this pass; insertions meanwhile lower it.
            shard.set_soonest(u64::MAX);
        }
        let mut soonest = u64::MAX;
        let mut due = Vec::new();
        let mut last = None;
        for (looked, (hash, slot)) in shard.table().scan(self.cursor).enumerate() {
            // A hash is never split: the cursor goes on behind it.
            if looked >= SWEEP_ENTRIES && last.is_some_and(|last| hash > last) {
                break;
            }
            last = Some(hash);
            let entry = shard.at(slot);
            match entry.soonest() {
                NEVER => {}
                at if at <= now => {
                    due.push((hash, entry.key().to_vec()));
                    // Of a hash whose fields are due, the key may be due later.
                    if entry.expires_at() > now {
                        soonest = soonest.min(entry.expires_at());
                    }
                }
                at => soonest = soonest.min(at),
            }
        }
        shard.set_soonest(shard.soonest().min(soonest));
        let mut budget = SWEEP_FIELDS;
        for (hash, key) in &due {
            let wanted = effects.wanted;
            let mut dues = Dues { db: self.db, now, wanted, effects };
            budget -= dues.remove(shard, key, budget).min(budget);
            if budget == 0 {
                // There may be more of it: come back.
                self.cursor = *hash;
                return Swept::Again;
            }
        }
        // Behind the largest of all hashes there is nothing.
        let next = last.and_then(|last| last.checked_add(1));
        let more = next.is_some_and(|next| shard.table().scan(next).next().is_some());
        match next {
            Some(next) if more => self.cursor = next,
            _ => {
                self.cursor = 0;
                self.shard += 1;
            }
        }
        Swept::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::Entry;
    use crate::keyspace::effects::Logging;
    use crate::keyspace::usage::Usage;
    use crate::value::hash::{Hash, HashLimits};

    /// Steps until a round is complete; panics when there is no end of it.
    fn round(sweep: &mut Sweep, keyspace: &Keyspace, now: u64) -> u64 {
        let mut expired = 0;
        for _ in 0..100_000 {
            let step = sweep.step(keyspace, now, || Effects::new(Logging::Off), |_| {}).unwrap();
            expired += step.1;
            if step.0 == Swept::Round {
                return expired;
            }
        }
        panic!("the sweep goes round and round");
    }

    #[test]
    fn what_is_due_goes_and_the_rest_stays() {
        let keyspace = Keyspace::new(2);
        for n in 0..5000u64 {
            let key = n.to_string();
            let wanted = Wanted::key(1, key.as_bytes(), Access::Exclusive);
            let mut locks = LockSet::one(&keyspace, wanted).unwrap();
            let hash = crate::hashing::hash_bytes(key.as_bytes());
            locks.held_mut(1, wanted.shard).insert(
                hash,
                Entry::string(key.as_bytes(), b"", n),
                Usage::default(),
            );
        }
        let mut sweep = Sweep::default();
        // 0 is no expiry.
        assert_eq!(round(&mut sweep, &keyspace, 1000), 1000);
        assert_eq!(round(&mut sweep, &keyspace, 1000), 0);
        assert_eq!((keyspace.count(1).keys, keyspace.count(1).expiring), (4000, 3999));
        assert_eq!(round(&mut sweep, &keyspace, 5000), 3999);
        assert_eq!((keyspace.count(1).keys, keyspace.count(1).expiring), (1, 0));
    }

    /// Small and large hashes, some of whose fields are due, or all; the words of the log.
    #[test]
    fn fields_that_are_due_go_in_small_steps() {
        let keyspace = Keyspace::new(1);
        let limits = HashLimits { entries: 100, value_bytes: 64 };
        for (key, fields) in [("small", 10u64), ("whole", 10), ("large", 5000), ("gone", 3000)] {
            let mut hash = Hash::from_pairs((0..fields).map(|n| (n.to_string(), "v")), limits);
            // Half of them, or all, are due at some moment from 1 on; one of them much later.
            let most = if matches!(key, "whole" | "gone") { fields } else { fields / 2 };
            (0..most).for_each(|n| _ = hash.expire(n.to_string().as_bytes(), n % 100 + 1));
            hash.expire((fields - 1).to_string().as_bytes(), if most == fields { 1 } else { 900 });
            let wanted = Wanted::key(0, key.as_bytes(), Access::Exclusive);
            let mut locks = LockSet::one(&keyspace, wanted).unwrap();
            let place = crate::hashing::hash_bytes(key.as_bytes());
            let entry = Entry::collection(key.as_bytes(), hash, NEVER);
            locks.held_mut(0, wanted.shard).insert(place, entry, Usage::default());
        }
        let mut sweep = Sweep::default();
        let (mut longest, mut words) = (0, 0);
        loop {
            let log = |effects: &mut Effects| {
                longest = longest.max(effects.log().len());
                words += effects.commands();
            };
            let step = sweep.step(&keyspace, 500, || Effects::new(Logging::On), log).unwrap();
            if step.0 == Swept::Round {
                break;
            }
        }
        // 2 hashes at once, 2500 fields in three steps; none of more than a thousand fields.
        assert_eq!(words, 1 + 1 + 1 + 3);
        assert!(longest < SWEEP_FIELDS * 11, "{longest}");
        assert_eq!(keyspace.count(0).keys, 2);
        assert_eq!(round(&mut sweep, &keyspace, 500), 0);
        for (key, left) in [("small", 5), ("large", 2500)] {
            let wanted = Wanted::key(0, key.as_bytes(), Access::Exclusive);
            let locks = LockSet::one(&keyspace, wanted).unwrap();
            let shard = locks.held(0, wanted.shard);
            let slot = shard.find(crate::hashing::hash_bytes(key.as_bytes()), key.as_bytes());
            let hash = shard.at(slot.unwrap()).as_hash().unwrap();
            assert_eq!((hash.len(), hash.soonest()), (left, 900), "{key}");
            assert_eq!(shard.soonest(), 900);
        }
    }

    /// However many keys of a shard are due, it is not held for longer than a few of them take.
    #[test]
    fn a_step_takes_so_many_keys_and_no_more() {
        let keyspace = Keyspace::new(1);
        let wanted = Wanted { db: 0, shard: 3, access: Access::Exclusive };
        let mut locks = LockSet::one(&keyspace, wanted).unwrap();
        for n in 0..5000u64 {
            let key = n.to_string();
            let hash = crate::hashing::hash_bytes(key.as_bytes());
            let entry = Entry::string(key.as_bytes(), b"", 1);
            locks.held_mut(0, 3).insert(hash, entry, Usage::default());
        }
        drop(locks);
        let (mut sweep, mut expired) = (Sweep::default(), Vec::new());
        while expired.iter().sum::<u64>() < 5000 {
            let step = sweep.step(&keyspace, 5, || Effects::new(Logging::Off), |_| {}).unwrap();
            assert_eq!(step.0, Swept::More);
            expired.push(step.1);
        }
        let most = expired.into_iter().max().unwrap();
        // Equal hashes go together.
        assert!(most <= SWEEP_ENTRIES as u64 + 2, "{most}");
    }

    #[test]
    fn a_large_value_is_freed_by_whoever_has_the_time() {
        let keyspace = Keyspace::new(1);
        let limits = crate::value::hash::HashLimits::default();
        let fields = (0..20_000).map(|n| (format!("field {n}"), "value"));
        let hash = crate::value::hash::Hash::from_pairs(fields, limits);
        let wanted = Wanted { db: 0, shard: 3, access: Access::Exclusive };
        let mut locks = LockSet::one(&keyspace, wanted).unwrap();
        let place = crate::hashing::hash_bytes(b"h");
        locks.held_mut(0, 3).insert(place, Entry::collection(b"h", hash, 1), Usage::default());
        drop(locks);
        let mut bulky = Vec::new();
        let mut sweep = Sweep::default();
        let log = |effects: &mut Effects| bulky.append(&mut effects.bulky);
        let step = sweep.step(&keyspace, 5, || Effects::new(Logging::Off), log).unwrap();
        assert_eq!((step.1, bulky.len()), (1, 1));
    }

    /// There is no cursor behind the largest hash.
    #[test]
    fn the_largest_hash_ends_its_shard() {
        let keyspace = Keyspace::new(1);
        for shard in [0, 7] {
            let wanted = Wanted { db: 0, shard, access: Access::Exclusive };
            let mut locks = LockSet::one(&keyspace, wanted).unwrap();
            let shard = locks.held_mut(0, shard);
            shard.insert(u64::MAX, Entry::string(b"later", b"", 10), Usage::default());
            // Makes the shard one that is looked at.
            shard.insert(5, Entry::string(b"sooner", b"", 1), Usage::default());
        }
        let mut sweep = Sweep::default();
        round(&mut sweep, &keyspace, 5);
        assert_eq!(sweep.shard, 0);
    }
}
