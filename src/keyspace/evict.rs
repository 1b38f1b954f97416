//! Takes out the key that a policy would rather lose, one at a time.
//!
//! As Redis does, a few keys are looked at for each one that goes, and the best candidates so
//! far are kept in a small pool: that comes close to looking at all of them. Unlike there, a
//! candidate that was used since it was found is passed over. Nobody waits for a lock here: a
//! shard that is held is left out. Left out on purpose: how much has to go, and when.

use super::locks::{Access, LockSet, Wanted};
use super::usage::{Scale, Tick, Usage};
use super::{Database, Effects, Entry, Event, Keyspace, NEVER, Place};
use crate::clock::{random, random_below};
use crate::config::{Classes, EvictionPolicy};
use crate::limits::{EVICTION_LOOKS, EVICTION_POOL, SHARDS};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Which keys go first.
    pub policy: EvictionPolicy,
    /// Keys looked at for each that goes.
    pub samples: usize,
    /// The present.
    pub tick: Tick,
    /// How uses are counted.
    pub scale: Scale,
    /// Which events are noted.
    pub notify: Classes,
}

/// What one step has come to.
#[derive(Debug)]
pub enum Evicted {
    /// This entry, to be freed.
    Entry(Entry),
    /// None was found in the time of a step: there may be some.
    NotYet,
    /// There is none that may go.
    Nothing,
}

/// A key that may go.
#[derive(Debug)]
struct Candidate {
    /// The larger, the sooner it goes.
    score: u64,
    db: usize,
    key: Box<[u8]>,
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct Evictor {
    /// In the order of their scores.
    pool: Vec<Candidate>,
    /// By whose measure the scores are.
    policy: Option<EvictionPolicy>,
    /// The database whose turn it is when chance decides.
    turn: usize,
}

impl Wish {
    /// Whether an entry may go.
    fn allows(&self, entry: &Entry) -> bool {
        !self.policy.is_volatile() || entry.expires_at() != NEVER
    }

    fn score(&self, entry: &Entry, usage: Usage) -> u64 {
        if self.policy.is_lfu() {
            u64::from(u8::MAX - usage.frequency(self.tick, self.scale))
        } else if self.policy.is_lru() {
            usage.idle_s(self.tick).into()
        } else {
            u64::MAX - entry.expires_at()
        }
    }

    fn chance_decides(&self) -> bool {
        use EvictionPolicy::{AllkeysRandom, VolatileRandom};
        matches!(self.policy, AllkeysRandom | VolatileRandom)
    }
}

impl Evictor {
    /// Takes one key out; `effects` gives room for that and `log` takes it, both while the
    /// shard is locked.
    pub fn step(
        &mut self,
        keyspace: &Keyspace,
        wish: &Wish,
        effects: impl Fn() -> Effects,
        log: impl Fn(Effects),
    ) -> Evicted {
        if self.policy.replace(wish.policy) != Some(wish.policy) {
            self.pool.clear();
        }
        let eligible = eligible(keyspace, wish);
        if eligible.is_empty() || wish.policy == EvictionPolicy::NoEviction {
            return Evicted::Nothing;
        }
        if wish.chance_decides() {
            self.turn = self.turn.wrapping_add(1);
            let (db, database) = eligible[self.turn % eligible.len()];
            look(db, database, wish, 1, |_, db, entry| self.add(0, db, entry.key()));
        } else {
            for (db, database) in eligible {
                look(db, database, wish, wish.samples, |usage, db, entry| {
                    self.add(wish.score(entry, usage), db, entry.key());
                });
            }
        }
        while let Some(candidate) = self.pool.pop() {
            if let Some(entry) = take_out(keyspace, wish, &candidate, &effects, &log) {
                return Evicted::Entry(entry);
            }
        }
        Evicted::NotYet
    }

    /// Puts a key into the pool if it is worth a place there.
    fn add(&mut self, score: u64, db: usize, key: &[u8]) {
        let at = self.pool.partition_point(|other| other.score < score);
        let full = self.pool.len() >= EVICTION_POOL;
        let known = |other: &Candidate| other.db == db && *other.key == *key;
        if full && at == 0 || self.pool.iter().any(known) {
            return;
        }
        self.pool.insert(at, Candidate { score, db, key: key.into() });
        if full {
            self.pool.remove(0);
        }
    }
}

/// The databases that have keys which may go.
fn eligible<'k>(keyspace: &'k Keyspace, wish: &Wish) -> Vec<(usize, &'k Database)> {
    let some = |db: usize| {
        let count = keyspace.count(db);
        if wish.policy.is_volatile() { count.expiring > 0 } else { count.keys > 0 }
    };
    keyspace.used().filter(|(db, _)| some(*db)).collect()
}

/// Visits `count` keys that may go, neighbours from a place by chance on: what lies side by
/// side in a table has nothing else in common. Fewer when there are too many others.
fn look(
    db: usize,
    database: &Database,
    wish: &Wish,
    count: usize,
    mut visit: impl FnMut(Usage, usize, &Entry),
) {
    let start = random_below(SHARDS as u64) as usize;
    let mut cursor = random() as u32;
    let (mut found, mut looks) = (0, 0);
    // The first shard comes again at the end, for what lies in front of the cursor.
    for shard in (start..SHARDS).chain(0..=start) {
        let Some(shard) = database.shards[shard].try_read() else { continue };
        if wish.policy.is_volatile() && shard.expiring() == 0 {
            cursor = 0;
            continue;
        }
        for (_, slot) in shard.table().scan(cursor) {
            if found == count || looks == EVICTION_LOOKS {
                return;
            }
            looks += 1;
            let entry = shard.at(slot);
            if wish.allows(entry) {
                found += 1;
                visit(shard.usage(slot), db, entry);
            }
        }
        cursor = 0;
    }
}

/// Takes a candidate out, if it is there and still the one that it was.
fn take_out(
    keyspace: &Keyspace,
    wish: &Wish,
    candidate: &Candidate,
    effects: impl Fn() -> Effects,
    log: impl Fn(Effects),
) -> Option<Entry> {
    let Candidate { score, db, key } = candidate;
    let place = Place::of(key);
    let wanted = Wanted { db: *db, shard: place.shard, access: Access::Exclusive };
    let mut locks = LockSet::one(keyspace, wanted).ok()?;
    let shard = locks.held_mut(*db, place.shard);
    let slot = shard.find(place.hash, key)?;
    let entry = shard.at(slot);
    let used = !wish.chance_decides() && wish.score(entry, shard.usage(slot)) < *score;
    if used || !wish.allows(entry) {
        return None;
    }
    let entry = shard.remove(slot);
    shard.touch_removed(key);
    let mut effects = effects();
    effects.touch(key);
    effects.append(*db, &[b"DEL", key]);
    if wish.notify.intersects(Classes::EVICTED) {
        let event = Event { db: *db, class: Classes::EVICTED, name: "evicted", key: key.clone() };
        effects.events.push(event);
    }
    log(effects);
    Some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::effects::Logging;
    use crate::keyspace::usage::Noted;

    const NOW_MS: u64 = 1_800_000_000_000;

    fn wish(policy: EvictionPolicy) -> Wish {
        let noted = if policy.is_lfu() { Noted::Count } else { Noted::Last };
        Wish {
            policy,
            samples: 5,
            tick: Tick::new(NOW_MS, noted),
            scale: Scale { log_factor: 10, decay_minutes: 1 },
            notify: Classes::EVICTED,
        }
    }

    /// Keys `0` to `count - 1` in two databases: key `n` was last used `n` seconds ago, `255 - n`
    /// times, and every third one expires, in `count - n` minutes.
    fn keyspace(count: u64) -> Keyspace {
        let keyspace = Keyspace::new(4);
        for n in 0..count {
            let key = n.to_string();
            let at = if n % 3 == 0 { NOW_MS + (count - n) * 60_000 } else { NEVER };
            let place = Place::of(key.as_bytes());
            let db = if n % 2 == 0 { 0 } else { 3 };
            let wanted = Wanted { db, shard: place.shard, access: Access::Exclusive };
            let mut locks = LockSet::one(&keyspace, wanted).unwrap();
            let tick = Tick::new(NOW_MS - n * 1000, Noted::Last);
            let usage = Usage::frequent(tick, (255 - n.min(255)) as u8);
            let entry = Entry::string(key.as_bytes(), b"value", at);
            locks.held_mut(db, place.shard).insert(place.hash, entry, usage);
        }
        keyspace
    }

    /// Evicts until nothing can go, or so many are gone; answers the numbers in their order.
    fn evict(keyspace: &Keyspace, policy: EvictionPolicy, most: usize) -> Vec<u64> {
        let mut evictor = Evictor::default();
        let mut gone = Vec::new();
        let log = |effects: Effects| {
            assert_eq!((effects.commands(), effects.events.len()), (1, 1));
        };
        while gone.len() < most {
            match evictor.step(keyspace, &wish(policy), || Effects::new(Logging::On), log) {
                Evicted::Entry(entry) => {
                    gone.push(std::str::from_utf8(entry.key()).unwrap().parse().unwrap());
                }
                Evicted::NotYet => {}
                Evicted::Nothing => break,
            }
        }
        gone
    }

    #[test]
    fn nothing_goes_without_a_policy() {
        assert!(evict(&keyspace(10), EvictionPolicy::NoEviction, 10).is_empty());
        assert!(evict(&Keyspace::new(2), EvictionPolicy::AllkeysLru, 10).is_empty());
    }

    #[test]
    fn everything_that_may_go_goes_in_the_end() {
        use EvictionPolicy::{
            AllkeysLfu, AllkeysLru, AllkeysRandom, VolatileLfu, VolatileLru, VolatileRandom,
            VolatileTtl,
        };
        for policy in [AllkeysLru, AllkeysLfu, AllkeysRandom] {
            let mut gone = evict(&keyspace(200), policy, 1000);
            gone.sort_unstable();
            assert_eq!(gone, (0..200).collect::<Vec<_>>(), "{policy:?}");
        }
        for policy in [VolatileLru, VolatileLfu, VolatileRandom, VolatileTtl] {
            let mut gone = evict(&keyspace(200), policy, 1000);
            gone.sort_unstable();
            assert_eq!(gone, (0..200).step_by(3).collect::<Vec<_>>(), "{policy:?}");
        }
    }

    /// Those that go first are, on the whole, those of the largest numbers: the longest unused,
    /// the least used, and the soonest to expire.
    #[test]
    fn the_right_ones_go_first() {
        use EvictionPolicy::{AllkeysLfu, AllkeysLru, VolatileLfu, VolatileLru, VolatileTtl};
        for policy in [AllkeysLru, AllkeysLfu, VolatileLru, VolatileLfu, VolatileTtl] {
            let gone = evict(&keyspace(240), policy, 40);
            let mean = gone.iter().sum::<u64>() / 40;
            // By chance it would be 120; the 40 largest have 220, of every third 180.
            let least = if policy.is_volatile() { 155 } else { 190 };
            assert!(mean >= least, "{policy:?}: mean {mean} of {gone:?}");
        }
    }

    #[test]
    fn one_that_was_used_since_it_was_found_is_passed_over() {
        let keyspace = keyspace(1);
        let mut evictor = Evictor::default();
        evictor.add(9, 0, b"0");
        let candidate = evictor.pool.pop().unwrap();
        let effects = || Effects::new(Logging::On);
        let wish = wish(EvictionPolicy::AllkeysLru);
        assert!(take_out(&keyspace, &wish, &candidate, effects, |_| {}).is_none());
        evictor.add(0, 0, b"0");
        let candidate = evictor.pool.pop().unwrap();
        assert!(take_out(&keyspace, &wish, &candidate, effects, |_| {}).is_some());
    }

    #[test]
    fn the_pool_keeps_the_best() {
        let mut evictor = Evictor::default();
        for n in 0..100u64 {
            evictor.add(n * 7919 % 101, 0, n.to_string().as_bytes());
            evictor.add(n * 7919 % 101, 0, n.to_string().as_bytes());
        }
        let scores: Vec<u64> = evictor.pool.iter().map(|candidate| candidate.score).collect();
        assert_eq!(scores.len(), EVICTION_POOL);
        assert!(scores.is_sorted() && scores[0] >= 101 - EVICTION_POOL as u64 - 1);
    }
}
