//! A hash table that keeps its elements in the order of their hashes.
//!
//! Open addressing with linear probing, where a run of neighbours is kept sorted by hash. Three
//! things follow that the keyspace and the large collections need at once:
//!
//! - SCAN has a cursor that survives every resize: a hash. What lies at or behind it has not
//!   been returned yet, whatever the size of the table, so every element that was present
//!   throughout is returned, and none twice while it stays.
//! - The home of a hash is `hash * homes / 2^32`, so the table may grow by a quarter instead of
//!   doubling; it stays between 7/10 and 7/8 full while it grows.
//! - A lookup compares 32-bit hashes and stops at the first larger one. A hash lies beside its
//!   element, so that a lookup in a large table waits for one cache line, and not for two.
//!
//! The order is a table's own: hashes are mixed with a salt, chosen when the table gets its first
//! slots. Otherwise elements that are read from one table and written into another (a union, the
//! members of one set added to a second, a value restored) would come in the order of their
//! hashes, and fill the front of a table that is still small: one run, and every insertion a walk
//! through it. For the same reason a table from which elements are taken in its own order does
//! not shrink while those that are left would lie in one run.
//!
//! The caller hashes and compares; the table stores what it is given. An element's default
//! value stands for an empty slot, so that a slot costs no more than an element. Beside the
//! hash there is room for 32 bits of the owner's, which stay with the element. Left out on
//! purpose: removal by predicate during iteration, and any lock.

use std::sync::atomic::{AtomicU32, Ordering};

/// At most this share of the homes is in use before the table grows: 7/8.
const LOAD: (usize, usize) = (7, 8);

/// The fewest homes of a table that is not empty.
const SMALLEST: usize = 8;

/// Slots behind the last home, for the run that starts there; the very last stays empty.
const OVERHANG: usize = 12;

/// An odd number whose bits have no pattern: multiplying by it carries the salt upwards.
const MIX: u32 = 0x9e37_79b1;

/// How many slots the elements of a table that has shrunk may lie behind their homes, on average.
/// Two or three are usual.
const FAR: usize = 16;

/// See the module's description.
#[derive(Debug, Clone)]
pub struct Table<T> {
    slots: Box<[Slot<T>]>,
    homes: usize,
    len: usize,
    /// What makes the order of the hashes this table's own; stays while there are slots.
    salt: u32,
}

/// One place of a table. The default is empty.
#[derive(Debug, Default)]
struct Slot<T> {
    /// The mixed hash of the element, 0 for an empty slot; sorted within a run.
    hash: u32,
    /// What the owner notes of the element, also while others read. Most elements begin at a
    /// multiple of eight bytes, so this takes room that would be empty.
    mark: AtomicU32,
    /// Its default where `hash` is 0.
    element: T,
}

impl<T: Clone> Clone for Slot<T> {
    fn clone(&self) -> Self {
        let mark = AtomicU32::new(self.mark.load(Ordering::Relaxed));
        Slot { hash: self.hash, mark, element: self.element.clone() }
    }
}

impl<T: Default> Default for Table<T> {
    fn default() -> Self {
        Table::new()
    }
}

impl<T: Default> Table<T> {
    /// An empty table; it allocates nothing until the first insertion.
    pub fn new() -> Self {
        Table { slots: Box::default(), homes: 0, len: 0, salt: 0 }
    }

    /// A table with room for `count` elements.
    pub fn with_capacity(count: usize) -> Self {
        let mut table = Table::new();
        if count > 0 {
            table.rebuild(homes_for(count));
        }
        table
    }

    /// The 32 bits by which an element of this hash is ordered; the keyspace takes its shard from
    /// the other half of the hash. Never 0, which marks an empty slot.
    #[inline]
    pub fn order(&self, hash: u64) -> u32 {
        (hash as u32 ^ self.salt).wrapping_mul(MIX).max(1)
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many slots there are, empty or not.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Bytes of the table's own arrays, without what its elements own.
    pub fn heap_bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot<T>>()
    }

    /// The slot of the element with this hash that `is` accepts.
    #[inline]
    pub fn find(&self, hash: u64, mut is: impl FnMut(&T) -> bool) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        let short = self.order(hash);
        let mut at = home(short, self.homes);
        loop {
            let slot = &self.slots[at];
            if slot.hash == short {
                if is(&slot.element) {
                    return Some(at);
                }
            } else if slot.hash == 0 || slot.hash > short {
                return None;
            }
            at += 1;
        }
    }

    /// Reads the slot where `find` begins: what is read early need not be waited for later. What
    /// it holds means nothing.
    #[inline]
    pub fn touch(&self, hash: u64) -> u32 {
        if self.len == 0 { 0 } else { self.slots[home(self.order(hash), self.homes)].hash }
    }

    /// The element in a slot that `find` or `insert` named.
    #[inline]
    pub fn at(&self, slot: usize) -> &T {
        &self.slots[slot].element
    }

    /// The element in a slot that `find` or `insert` named. Its hash must stay what it is.
    #[inline]
    pub fn at_mut(&mut self, slot: usize) -> &mut T {
        &mut self.slots[slot].element
    }

    /// What was noted of the element in a slot; 0 at first.
    #[inline]
    pub fn mark(&self, slot: usize) -> u32 {
        self.slots[slot].mark.load(Ordering::Relaxed)
    }

    /// Notes something of the element in a slot.
    #[inline]
    pub fn set_mark(&self, slot: usize, mark: u32) {
        self.slots[slot].mark.store(mark, Ordering::Relaxed);
    }

    /// When the next element would not fit, grows towards room for `count` elements in fewer and
    /// larger steps than `insert` would. Not to more than four times what there is, since `count`
    /// may be a guess, or a lie.
    pub fn grow_towards(&mut self, count: usize) {
        if self.is_full() {
            let homes = homes_for(count.min(self.len * 4));
            if homes > grown(self.homes) {
                self.rebuild(homes);
            }
        }
    }

    /// Whether one more element makes it grow.
    fn is_full(&self) -> bool {
        (self.len + 1) * LOAD.1 > self.homes * LOAD.0
    }

    /// Adds an element that is not there yet; answers its slot.
    pub fn insert(&mut self, hash: u64, element: T) -> usize {
        if self.is_full() {
            self.rebuild(grown(self.homes));
        }
        let short = self.order(hash);
        loop {
            let mut at = home(short, self.homes);
            while self.slots[at].hash != 0 && self.slots[at].hash <= short {
                at += 1;
            }
            let mut end = at;
            while self.slots[end].hash != 0 {
                end += 1;
            }
            // The last slot stays empty: it is what every probe stops at.
            if end + 1 < self.slots.len() {
                self.slots[at..=end].rotate_right(1);
                self.slots[at] = Slot { hash: short, mark: AtomicU32::new(0), element };
                self.len += 1;
                return at;
            }
            // The run at the end has filled what lies behind the last home.
            self.rebuild(self.homes);
        }
    }

    /// Takes the element out of a slot that `find` named.
    pub fn remove(&mut self, slot: usize) -> T {
        let removed = std::mem::take(&mut self.slots[slot]).element;
        // Those behind move one back, as far as they are not in their home.
        let mut end = slot + 1;
        while self.slots[end].hash != 0 && home(self.slots[end].hash, self.homes) < end {
            end += 1;
        }
        self.slots[slot..end].rotate_left(1);
        self.len -= 1;
        self.shrink();
        removed
    }

    /// Every element, in the order of the hashes.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter(|slot| slot.hash != 0).map(|slot| &slot.element)
    }

    /// Likewise, with what was noted of each.
    pub fn iter_marked(&self) -> impl Iterator<Item = (&T, u32)> {
        let used = self.slots.iter().filter(|slot| slot.hash != 0);
        used.map(|slot| (&slot.element, slot.mark.load(Ordering::Relaxed)))
    }

    /// Every element, mutable; hashes must stay what they are.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter(|slot| slot.hash != 0).map(|slot| &mut slot.element)
    }

    /// The slots at or behind `cursor`, in the order of the hashes, as (hash, slot).
    ///
    /// The cursor to go on with after an element is its hash plus one, provided that all of the
    /// elements with that very hash were taken: they are neighbours.
    pub fn scan(&self, cursor: u32) -> impl Iterator<Item = (u32, usize)> {
        let start = if self.len == 0 { self.slots.len() } else { home(cursor.max(1), self.homes) };
        self.slots[start..]
            .iter()
            .enumerate()
            .filter(move |(_, slot)| slot.hash != 0 && slot.hash >= cursor)
            .map(move |(offset, slot)| (slot.hash, start + offset))
    }

    /// Visits `count` elements from `cursor` on, and answers the cursor to go on with: 0 at both
    /// the beginning and the end. This is SCAN of a large collection.
    ///
    /// Every element that is there from the first call to the last is visited, whatever comes
    /// and goes in between. More than `count` are visited only when hashes are equal; a `count`
    /// of 0 is taken for 1.
    pub fn visit(&self, cursor: u64, count: usize, mut visit: impl FnMut(&T)) -> u64 {
        // The cursor is a hash: what lies at or behind it is still to come.
        let Ok(cursor) = u32::try_from(cursor) else { return 0 };
        let mut last = 0;
        for (visited, (hash, slot)) in self.scan(cursor).enumerate() {
            if visited >= count.max(1) && hash != last {
                // Not 0, and not past the end: hashes ascend, and the first is at least 1.
                return u64::from(last) + 1;
            }
            visit(self.at(slot));
            last = hash;
        }
        0
    }

    /// A random element, each as likely as the next; `random` yields uniform 64-bit numbers.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        loop {
            let wide = u128::from(random()) * self.slots.len() as u128;
            let slot = usize::try_from(wide >> 64).unwrap_or(0);
            if self.slots[slot].hash != 0 {
                return Some(slot);
            }
        }
    }

    /// Gives memory back when little of it is used. The bound is far below where growth
    /// leaves a table, so that one more insertion does not grow it again.
    fn shrink(&mut self) {
        if self.len == 0 {
            *self = Table::new();
        } else if self.homes > SMALLEST && self.len * 6 < self.homes && self.len.is_power_of_two() {
            // Elements may be left at one end only. That they fit is looked at seldom, because
            // looking is a walk over the table.
            let sizes = std::iter::successors(Some(homes_for(self.len)), |homes| Some(homes * 2));
            let mut smaller = sizes.take_while(|homes| *homes < self.homes);
            if let Some(homes) = smaller.find(|homes| !self.would_crowd(*homes)) {
                self.rebuild(homes);
            }
        }
    }

    /// Whether the elements would lie far behind their homes if there were `homes` of them.
    fn would_crowd(&self, homes: usize) -> bool {
        let (mut next, mut behind) = (0, 0);
        for slot in self.slots.iter().filter(|slot| slot.hash != 0) {
            let home = home(slot.hash, homes);
            let at = home.max(next);
            behind += at - home;
            next = at + 1;
        }
        behind > self.len * FAR
    }

    /// Moves every element into a table of `homes` homes. The elements come in the order of
    /// their hashes and go in that order, so this is one pass over both, after one that finds
    /// how far the last run reaches behind the last home.
    fn rebuild(&mut self, homes: usize) {
        if self.homes == 0 {
            self.salt = crate::hashing::salt();
        }
        let place = |hash: u32, next: usize| home(hash, homes).max(next);
        let used = self.slots.iter().filter(|slot| slot.hash != 0);
        let end = used.fold(0, |next, slot| place(slot.hash, next) + 1);
        let count = homes.max(end) + OVERHANG;
        let mut slots: Box<[Slot<T>]> = std::iter::repeat_with(Slot::default).take(count).collect();
        let mut next = 0;
        for slot in self.slots.iter_mut().filter(|slot| slot.hash != 0) {
            let at = place(slot.hash, next);
            slots[at] = std::mem::take(slot);
            next = at + 1;
        }
        self.slots = slots;
        self.homes = homes;
    }
}

/// Where the probe for a hash starts in a table of `homes` homes: below `homes`.
#[inline]
fn home(short: u32, homes: usize) -> usize {
    ((u64::from(short) * homes as u64) >> 32) as usize
}

fn grown(homes: usize) -> usize {
    (homes + homes / 4).max(SMALLEST)
}

fn homes_for(count: usize) -> usize {
    (count * 5 / 4 + 1).max(SMALLEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, HashSet};

    fn hash(n: u32) -> u64 {
        // A few collisions on purpose.
        u64::from(n % 997).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 13
    }

    fn find(table: &Table<u32>, n: u32) -> Option<usize> {
        table.find(hash(n), |e| *e == n)
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(ops in prop::collection::vec((any::<bool>(), 1u32..3000), 0..2000)) {
            let mut table = Table::new();
            let mut model = BTreeMap::new();
            for (insert, n) in ops {
                match (insert, find(&table, n)) {
                    (true, None) => { table.insert(hash(n), n); model.insert(n, ()); }
                    (false, Some(slot)) => {
                        prop_assert_eq!(table.remove(slot), n);
                        prop_assert!(model.remove(&n).is_some());
                    }
                    (_, found) => prop_assert_eq!(found.is_some(), model.contains_key(&n)),
                }
                prop_assert_eq!(table.len(), model.len());
            }
            for n in model.keys() {
                prop_assert!(find(&table, *n).is_some());
            }
            let hashes: Vec<u32> = table.scan(0).map(|(h, _)| h).collect();
            prop_assert!(hashes.is_sorted());
            prop_assert_eq!(hashes.len(), model.len());
            prop_assert_eq!(table.iter().count(), model.len());
        }

        #[test]
        fn scan_returns_all_that_stay(
            stay in prop::collection::hash_set(1u32..100_000, 1..300),
            churn in prop::collection::vec(100_000u32..200_000, 0..3000),
            count in 1usize..20,
        ) {
            let wide = |n: u32| u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let mut table = Table::new();
            for n in &stay {
                table.insert(wide(*n), *n);
            }
            let mut churn = churn.into_iter();
            let mut seen = HashSet::new();
            let mut cursor = Some(0u32);
            while let Some(from) = cursor {
                let mut last = None;
                cursor = None;
                for (taken, (hash, slot)) in table.scan(from).enumerate() {
                    if taken >= count && last != Some(hash) {
                        cursor = last.map(|h: u32| h + 1);
                        break;
                    }
                    seen.insert(*table.at(slot));
                    last = Some(hash);
                }
                for n in churn.by_ref().take(50) {
                    match table.find(wide(n), |e| *e == n) {
                        None => { table.insert(wide(n), n); }
                        Some(slot) => { table.remove(slot); }
                    }
                }
            }
            prop_assert!(stay.is_subset(&seen));
        }
    }

    #[test]
    fn a_table_grows_towards_what_is_expected() {
        let mut table = Table::new();
        let mut sizes = vec![0];
        for n in 1..=1000u32 {
            table.grow_towards(if n < 850 { 800 } else { 1 << 40 });
            table.insert(hash(n), n);
            if table.homes != sizes[sizes.len() - 1] {
                sizes.push(table.homes);
            }
        }
        assert_eq!(sizes, [0, 8, 36, 156, 681, 1001, 4376]);
        assert!((1..=1000).all(|n| find(&table, n).is_some()));
    }

    #[test]
    fn equal_hashes_do_not_end_it() {
        // At the very end of the order, where there is no home behind.
        let mut table = Table::with_capacity(1);
        let inverse = (0..5).fold(MIX, |inverse, _| {
            inverse.wrapping_mul(2u32.wrapping_sub(MIX.wrapping_mul(inverse)))
        });
        table.salt = u32::MAX ^ u32::MAX.wrapping_mul(inverse);
        assert_eq!(table.order(u64::from(u32::MAX)), u32::MAX);
        for n in 1..=500u32 {
            table.insert(u64::from(u32::MAX), n);
        }
        for n in 1..=500u32 {
            assert!(table.find(u64::from(u32::MAX), |e| *e == n).is_some());
        }
        assert_eq!(table.scan(table.order(u64::from(u32::MAX))).count(), 500);
        while let Some(slot) = table.random(crate::clock::random) {
            table.remove(slot);
        }
        assert_eq!(table.slots(), 0);
    }

    /// How far the elements lie behind their homes, on average.
    fn behind(table: &Table<u32>) -> usize {
        let used = table.slots.iter().enumerate().filter(|(_, slot)| slot.hash != 0);
        let behind: usize = used.map(|(at, slot)| at - home(slot.hash, table.homes)).sum();
        behind / table.len.max(1)
    }

    #[test]
    fn the_order_of_one_table_crowds_no_other() {
        let wide = |n: u32| crate::hashing::hash_bytes(&n.to_le_bytes());
        let fill = |numbers: &mut dyn Iterator<Item = u32>| {
            let mut table = Table::new();
            numbers.enumerate().for_each(|(count, n)| {
                table.insert(wide(n), n);
                assert!(count % 1000 != 0 || behind(&table) < FAR);
            });
            table
        };
        let mut table = fill(&mut (0..20_000));
        for _ in 0..3 {
            let copy = fill(&mut table.iter().copied());
            table = copy;
        }
        // Nor does what is left when elements are taken out in its own order.
        let order: Vec<u32> = table.iter().copied().collect();
        for (taken, n) in order.iter().enumerate() {
            let slot = table.find(wide(*n), |e| e == n).unwrap();
            table.remove(slot);
            // The bound is looked at when the table shrinks; what is left may lie a little worse.
            assert!(taken % 100 != 0 || behind(&table) < 2 * FAR, "{taken} taken");
        }
        assert_eq!(table.slots(), 0);
    }

    #[test]
    fn memory_is_given_back() {
        let wide = |n: u32| crate::hashing::hash_bytes(&n.to_le_bytes());
        let mut table = Table::new();
        for n in 0..20_000 {
            table.insert(wide(n), n);
        }
        for n in 0..19_900 {
            let slot = table.find(wide(n), |e| *e == n).unwrap();
            table.remove(slot);
        }
        assert!(table.slots() < 20 * table.len(), "{} slots", table.slots());
    }
}
