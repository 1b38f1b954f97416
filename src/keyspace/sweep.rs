//! Frees the memory of keys that are due, a few entries at a time.
//!
//! What a client sees does not depend on it: a due key is absent anyway. Each shard knows the
//! earliest moment at which one of its keys may be due, so shards without such keys cost one
//! comparison.

use super::locks::{Access, Contended, LockSet, Wanted};
use super::{Effects, Keyspace, NEVER};
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
    /// Looks at the next few entries; `log` takes the effects while the shard is locked.
    ///
    /// # Errors
    /// When somebody holds the shard for longer than a moment.
    pub fn step(
        &mut self,
        keyspace: &Keyspace,
        now: u64,
        effects: &mut Effects,
        log: impl FnOnce(&mut Effects),
    ) -> Result<Swept, Contended> {
        if self.shard == SHARDS {
            self.shard = 0;
            self.db += 1;
        }
        if self.db >= keyspace.databases() {
            *self = Sweep::default();
            return Ok(Swept::Round);
        }
        if keyspace.databases[self.db].get().is_none() {
            self.shard = SHARDS;
            return Ok(Swept::More);
        }
        if self.cursor == 0 && !self.find_shard(keyspace, now) {
            return Ok(Swept::More);
        }
        let wanted = Wanted { db: self.db, shard: self.shard, access: Access::Exclusive };
        let mut locks = LockSet::one(keyspace, wanted)?;
        self.sweep_shard(&mut locks, now, effects);
        log(effects);
        Ok(Swept::More)
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
        let mut next = None;
        for (looked, (hash, slot)) in shard.table().scan(self.cursor).enumerate() {
            // A hash is never split: the cursor goes on behind it.
            if looked >= SWEEP_ENTRIES && next.is_some_and(|next| hash >= next) {
                break;
            }
            next = Some(hash.saturating_add(1));
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
            }
        }
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
