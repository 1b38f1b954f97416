//! Frees the memory of keys that are due, a few entries at a time.
//!
//! What a client sees does not depend on it: a due key is absent anyway. Each shard knows the
//! earliest moment at which one of its keys may be due, so shards without such keys cost one
//! comparison.

use super::locks::{Access, Contended, LockSet, Wanted};
use super::{Effects, Event, Keyspace, NEVER};
use crate::config::Classes;
use crate::limits::{SHARDS, SWEEP_ENTRIES};

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
    /// The round is complete.
    Round,
}

impl Sweep {
    /// Looks at the next few entries, and answers how many it removed; `effects` gives room
    /// for the removals and `log` takes them, both while the shard is locked.
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
        self.sweep_shard(&mut locks, now, &mut effects);
        log(&mut effects);
        Ok((Swept::More, effects.expired))
    }

    /// Goes to the next shard of this database that may have a key that is due.
    fn find_shard(&mut self, keyspace: &Keyspace, now: u64) -> bool {
        let shards = &keyspace.database(self.db).shards;
        while self.shard < SHARDS {
            // A shard that somebody writes to right now is looked at in the next round.
            let due = shards[self.shard]
                .try_read()
                .is_some_and(|shard| shard.expiring() > 0 && shard.soonest() <= now);
            if due {
                return true;
            }
            self.shard += 1;
        }
        false
    }

    fn sweep_shard(&mut self, locks: &mut LockSet<'_>, now: u64, effects: &mut Effects) {
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
            if entry.is_expired(now) {
                due.push(entry.key().to_vec());
            } else if entry.expires_at() != NEVER {
                soonest = soonest.min(entry.expires_at());
            }
        }
        shard.set_soonest(shard.soonest().min(soonest));
        for key in &due {
            let hash = crate::hashing::hash_bytes(key);
            if let Some(slot) = shard.find(hash, key) {
                shard.remove(slot);
                shard.touch(key);
                effects.expired += 1;
                effects.append(self.db, &[b"DEL", key]);
                if effects.wanted.contains(Classes::EXPIRED) {
                    let (db, class) = (self.db, Classes::EXPIRED);
                    let key = key.as_slice().into();
                    effects.events.push(Event { db, class, name: "expired", key });
                }
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::Entry;
    use crate::keyspace::effects::Logging;
    use crate::keyspace::usage::Usage;

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
