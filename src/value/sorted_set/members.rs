//! The large form of a sorted set.
//!
//! The elements lie in runs of at most `RUN_LEN` elements (fewer when members are long), each
//! one allocation, so that an element costs little more than its own bytes. The directory has
//! the runs in order. A table tells from the hash of a member which run it is in: the member
//! itself is in no second place, and a lookup reads one slot and one run. That costs eight
//! bytes an element, where a table of scores would cost sixteen.
//!
//! Elements that move to another run, when one is split or two are merged, are pointed there.

use std::ops::Range;

use smallvec::SmallVec;

use super::Direction;
use super::bounds::{Cut, Side};
use super::directory::{Directory, Head, Place};
use super::run::{self, Found, Run};
use crate::hashing::hash_bytes;
use crate::table::Table;
use crate::value::blob::Blob;
use crate::value::packed::{Encoded, Text};

/// Elements of the longest run: a walk through it takes about as long as a cache miss or two.
const RUN_LEN: usize = 64;

/// Bytes of a run from which on it is split, unless it is one element.
const RUN_BYTES: usize = 4096;

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub struct Members {
    /// For each member, the number of its run.
    table: Table<u32>,
    /// The runs by their numbers; empty where a number is free.
    runs: Vec<Blob>,
    free: Vec<u32>,
    directory: Directory,
    /// Bytes of all runs.
    run_bytes: usize,
}

impl Members {
    /// Bytes that the sorted set owns.
    pub fn heap_bytes(&self) -> usize {
        size_of::<Members>()
            + self.table.heap_bytes()
            + self.runs.capacity() * size_of::<Blob>()
            + self.free.capacity() * size_of::<u32>()
            + self.directory.heap_bytes()
            + self.run_bytes
    }

    pub(super) fn from_small(contents: &[u8]) -> Members {
        let run = Run::of(contents);
        // One more, for the member that is the reason.
        let table = Table::with_capacity(run.len() + 1);
        let mut members = Members { table, ..Members::default() };
        run.pairs().for_each(|(member, score)| members.insert(&member, score));
        members
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        Some(self.find(member)?.1.score)
    }

    pub(super) fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let (_, found) = self.find(member)?;
        let place = self.place(&Cut::Element(found.score, member, Side::After));
        Some((self.directory.rank(place) + found.rank, found.score))
    }

    pub(super) fn before(&self, cut: &Cut<'_>) -> usize {
        if self.directory.is_empty() {
            return 0;
        }
        let place = self.place(cut);
        self.directory.rank(place) + self.run(self.directory.head(place)).before(cut)
    }

    pub(super) fn at(&self, rank: usize) -> Option<(Text<'_>, f64)> {
        let (place, offset) = self.directory.by_rank(rank)?;
        self.run(self.directory.head(place)).pairs().nth(offset)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Text<'_>, f64)> {
        self.directory.iter().flat_map(|head| self.run(head).pairs())
    }

    pub(super) fn descending(&self) -> impl Iterator<Item = (Text<'_>, f64)> {
        self.directory.iter().rev().flat_map(|head| self.run(head).descending())
    }

    pub(super) fn visit(
        &self,
        ranks: Range<usize>,
        direction: Direction,
        mut visit: impl FnMut(&[u8], f64),
    ) {
        let Some(last) = ranks.end.checked_sub(1).filter(|_| !ranks.is_empty()) else { return };
        if direction == Direction::Ascending {
            let Some((place, offset)) = self.directory.by_rank(ranks.start) else { return };
            let pairs = self.directory.from(place).flat_map(|head| self.run(head).pairs());
            let pairs = pairs.skip(offset).take(ranks.len());
            pairs.for_each(|(member, score)| visit(&member, score));
            return;
        }
        let Some((place, offset)) = self.directory.by_rank(last) else { return };
        let (mut left, mut most) = (ranks.len(), offset + 1);
        for head in self.directory.down_from(place) {
            let run = self.run(head);
            let positions: SmallVec<[usize; RUN_LEN]> = run.positions().take(most).collect();
            for at in positions.into_iter().rev().take(left) {
                let (member, score) = run.read(at);
                visit(&member, score);
                left -= 1;
            }
            most = RUN_LEN;
            if left == 0 {
                return;
            }
        }
    }

    /// See `SortedSetRef::scan`. The table has no members but where they are: those of a run
    /// that have the hash of the slot are the ones that are meant.
    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        // The cursor is a hash: what lies at or behind it is still to come.
        let Ok(cursor) = u32::try_from(cursor) else { return 0 };
        let mut last = 0;
        let mut seen: SmallVec<[u32; 4]> = SmallVec::new();
        for (visited, (hash, slot)) in self.table.scan(cursor).enumerate() {
            if hash != last {
                if visited >= count.max(1) {
                    return u64::from(last) + 1;
                }
                seen.clear();
            }
            last = hash;
            let number = *self.table.at(slot);
            if seen.contains(&number) {
                continue;
            }
            seen.push(number);
            let pairs = Run::of(self.runs[number as usize].contents()).pairs();
            let meant = pairs.filter(|(member, _)| self.table.order(hash_bytes(member)) == hash);
            meant.for_each(|(member, score)| visit(&member, score));
        }
        0
    }

    /// Gives a member the score that `choose` makes of the one that it has, if it makes one.
    pub(super) fn update(
        &mut self,
        member: &[u8],
        choose: impl FnOnce(Option<f64>) -> Option<f64>,
    ) {
        let found = self.find(member);
        let Some(score) = choose(found.map(|(_, found)| found.score)) else { return };
        match found {
            None => self.insert(member, score),
            Some((_, found)) if found.score == score => {}
            Some((slot, found)) => self.move_to(slot, found, member, score),
        }
    }

    /// Gives a member, whose slot and place in its run were found, another score.
    fn move_to(&mut self, slot: usize, found: Found, member: &[u8], score: f64) {
        let from = self.place(&Cut::Element(found.score, member, Side::After));
        let into = self.place(&Cut::Element(score, member, Side::After));
        if from == into {
            self.edit(from, |run| {
                run::remove(run, found.at, 1);
                run::insert(run, member, score);
            });
            return;
        }
        self.edit(from, |run| run::remove(run, found.at, 1));
        if self.is_small(from) {
            // Its neighbours may take it in, which moves places.
            self.table.remove(slot);
            self.tidy(from);
            self.insert(member, score);
            return;
        }
        *self.table.at_mut(slot) = self.directory.head(into).run;
        self.put(into, member, score);
    }

    /// Adds a member that is not there yet.
    pub(super) fn insert(&mut self, member: &[u8], score: f64) {
        let place = if self.directory.is_empty() {
            let head = Head { first: score, run: self.add_run(Blob::default()), len: 0 };
            self.directory.start(head)
        } else {
            self.place(&Cut::Element(score, member, Side::After))
        };
        let number = self.directory.head(place).run;
        self.table.insert(hash_bytes(member), number);
        self.put(place, member, score);
    }

    /// Adds a member to a run, which its slot already names.
    fn put(&mut self, place: Place, member: &[u8], score: f64) {
        self.edit(place, |run| run::insert(run, member, score));
        let run = self.run(self.directory.head(place));
        if run.len() > RUN_LEN || (run.bytes() > RUN_BYTES && run.len() > 1) {
            self.split(place);
        }
    }

    /// Takes a member out; answers the score that it had.
    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let (slot, found) = self.find(member)?;
        let place = self.place(&Cut::Element(found.score, member, Side::After));
        self.table.remove(slot);
        self.edit(place, |run| run::remove(run, found.at, 1));
        self.tidy(place);
        Some(found.score)
    }

    /// Takes out the elements of these ranks, which exist.
    pub(super) fn remove_ranks(&mut self, ranks: Range<usize>) {
        let mut left = ranks.len();
        while left > 0 {
            let Some((place, offset)) = self.directory.by_rank(ranks.start) else { return };
            let head = self.directory.head(place);
            let count = left.min(head.len as usize - offset);
            let run = Run::of(self.runs[head.run as usize].contents());
            for (member, _) in run.pairs().skip(offset).take(count) {
                let slot = self.table.find(hash_bytes(&member), |number| *number == head.run);
                if let Some(slot) = slot {
                    self.table.remove(slot);
                }
            }
            let at = run.position(offset);
            self.edit(place, |run| run::remove(run, at, count));
            self.tidy(place);
            left -= count;
        }
    }

    /// The slot of a member, and where it stands in its run.
    #[inline]
    fn find(&self, member: &[u8]) -> Option<(usize, Found)> {
        let item = Encoded::new(member);
        let mut found = None;
        let slot = self.table.find(hash_bytes(member), |number| {
            found = Run::of(self.runs[*number as usize].contents()).find(&item);
            found.is_some()
        })?;
        Some((slot, found?))
    }

    /// The last run whose first element lies in front of a cut, or else the first run.
    fn place(&self, cut: &Cut<'_>) -> Place {
        let first = |head: Head| {
            let run = self.run(head);
            run.read(run.position(0)).0
        };
        self.directory.find(|head| cut.is_behind(head.first, || first(head)))
    }

    #[inline]
    fn run(&self, head: Head) -> Run<'_> {
        Run::of(self.runs[head.run as usize].contents())
    }

    /// Changes a run, and tells the directory.
    fn edit(&mut self, place: Place, edit: impl FnOnce(&mut Blob)) {
        let head = self.directory.head(place);
        let blob = &mut self.runs[head.run as usize];
        self.run_bytes -= blob.heap_bytes();
        edit(blob);
        self.run_bytes += blob.heap_bytes();
        let run = Run::of(blob.contents());
        let first = if run.len() == 0 { head.first } else { run.score(run.position(0)) };
        self.directory.put(place, first, run.len());
    }

    fn add_run(&mut self, run: Blob) -> u32 {
        self.run_bytes += run.heap_bytes();
        if let Some(number) = self.free.pop() {
            self.runs[number as usize] = run;
            return number;
        }
        self.runs.push(run);
        // Each run has an element, and the table no room for 2^32 of those.
        (self.runs.len() - 1) as u32
    }

    fn free_run(&mut self, number: u32) {
        self.run_bytes -= std::mem::take(&mut self.runs[number as usize]).heap_bytes();
        self.free.push(number);
    }

    /// Moves the upper half of a run, by bytes, into a new one behind it.
    fn split(&mut self, place: Place) {
        let head = self.directory.head(place);
        let run = self.run(head);
        // What grows at the end is left full.
        let last = self.directory.is_last(place);
        let half = run.positions().take_while(|at| *at < run.bytes() / 2).count();
        let keep = if last { run.len() - 1 } else { half.clamp(1, run.len() - 1) };
        let (at, count) = (run.position(keep), run.len() - keep);
        let pairs: Vec<_> = run.pairs().skip(keep).collect();
        let (first, mut upper) = (pairs[0].1, Blob::default());
        run::push(&mut upper, &pairs);
        let number = self.add_run(upper);
        self.point(number, head.run, number);
        self.edit(place, |run| run::remove(run, at, count));
        self.directory.insert_behind(place, Head { first, run: number, len: count as u32 });
    }

    /// Says of each member that the run `listed` holds that it is in `new`, and not in `old`.
    fn point(&mut self, listed: u32, old: u32, new: u32) {
        for (member, _) in Run::of(self.runs[listed as usize].contents()).pairs() {
            // Another member of `old` with the same hash is as good: as many are left there.
            if let Some(slot) = self.table.find(hash_bytes(&member), |number| *number == old) {
                *self.table.at_mut(slot) = new;
            }
        }
    }

    /// After a removal: drops a run that is empty, and merges one that is short with a
    /// neighbour, so that no two short ones lie side by side.
    fn tidy(&mut self, place: Place) {
        let head = self.directory.head(place);
        if head.len == 0 {
            self.free_run(head.run);
            self.directory.remove(place);
            if self.table.is_empty() {
                *self = Members::default();
            }
            return;
        }
        if !self.is_small(place) {
            return;
        }
        let next = self.directory.next_in_group(place).map(|next| (place, next));
        let previous = self.directory.previous_in_group(place).map(|previous| (previous, place));
        if let Some((lower, upper)) =
            [next, previous].into_iter().flatten().find(|pair| self.may_merge(*pair))
        {
            self.merge(lower, upper);
        }
    }

    /// Whether a run has few elements, so that it may go into another.
    fn is_small(&self, place: Place) -> bool {
        self.directory.head(place).len as usize <= RUN_LEN / 4
    }

    /// Whether two runs are together still far from being split.
    fn may_merge(&self, (lower, upper): (Place, Place)) -> bool {
        let (lower, upper) = (self.directory.head(lower), self.directory.head(upper));
        let bytes = self.run(lower).bytes() + self.run(upper).bytes();
        (lower.len + upper.len) as usize <= RUN_LEN / 2 && bytes <= RUN_BYTES / 2
    }

    fn merge(&mut self, lower: Place, upper: Place) {
        let (into, from) = (self.directory.head(lower).run, self.directory.head(upper).run);
        self.point(from, from, into);
        let moved = std::mem::take(&mut self.runs[from as usize]);
        self.run_bytes -= moved.heap_bytes();
        self.free.push(from);
        let pairs: Vec<_> = Run::of(moved.contents()).pairs().collect();
        self.edit(lower, |run| run::push(run, &pairs));
        self.directory.remove(upper);
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        self.directory.check();
        let mut bytes = 0;
        let mut len = 0;
        for head in self.directory.iter() {
            let run = self.run(head);
            assert_eq!(run.len(), head.len as usize);
            assert!((1..=RUN_LEN).contains(&run.len()));
            assert_eq!(run.score(run.position(0)).to_bits(), head.first.to_bits());
            bytes += self.runs[head.run as usize].heap_bytes();
            len += run.len();
            for (member, _) in run.pairs() {
                let (slot, _) = self.find(&member).expect("in the table");
                assert_eq!(*self.table.at(slot), head.run);
            }
        }
        assert_eq!((bytes, len), (self.run_bytes, self.len()));
        assert_eq!(self.runs.len() - self.free.len(), self.directory.iter().count());
    }
}
