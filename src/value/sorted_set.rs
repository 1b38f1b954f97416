//! Sorted sets: members, each with a score, in the order of (score, member).
//!
//! A small sorted set is one run of pairs in one allocation (`run`); a large one is many runs
//! with a directory above them and a table beside them (`members`). The small form becomes the
//! large one at the thresholds that CONFIG names, and never back, as in Redis.
//!
//! Elements have ranks: 0 is the lowest. Every range, of scores or of members, is first turned
//! into a range of ranks, and those are visited, counted or removed. Scores are any double but
//! NaN; -0 and 0 are equal. Left out on purpose: replies, the texts of errors, and the
//! arithmetic that could come to NaN.

mod bounds;
mod directory;
mod members;
mod run;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::ops::Range;

pub use self::bounds::{Cut, LexBound, LexRange, ScoreBound, ScoreRange, Side};
pub use self::members::Members;
use self::run::Run;
use super::collection::{Collection, CollectionRef};
use super::packed::{Encoded, Text};

/// Up to where a sorted set stays in its small form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortedSetLimits {
    /// Members (`zset-max-listpack-entries`).
    pub entries: usize,
    /// Bytes of the longest member (`zset-max-listpack-value`).
    pub value_bytes: usize,
}

impl Default for SortedSetLimits {
    /// Those of Redis 7.0.
    fn default() -> Self {
        SortedSetLimits { entries: 128, value_bytes: 64 }
    }
}

/// Members with their scores.
pub type SortedSet = Collection<Members>;

/// A sorted set to read.
pub type SortedSetRef<'a> = CollectionRef<'a, Members>;

/// From which end elements are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the lowest on.
    Ascending,
    /// From the highest on.
    Descending,
}

/// The order of two scores, neither of which is NaN.
#[inline]
pub fn order(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

impl SortedSet {
    /// An empty sorted set for `len` members: in the large form at once where these need it.
    pub fn for_members(len: usize, limits: SortedSetLimits) -> Self {
        let mut set = SortedSet::new();
        if len > limits.entries {
            set.grow(Members::from_small);
        }
        set
    }

    /// A sorted set of these pairs. Of two pairs with the same member the later one stays.
    pub fn from_pairs<M: AsRef<[u8]>>(
        pairs: impl ExactSizeIterator<Item = (M, f64)> + Clone,
        limits: SortedSetLimits,
    ) -> Self {
        let mut set = SortedSet::new();
        // What will be large is so from the first pair on: the small form has no -0.
        let mut lengths = pairs.clone().map(|(member, _)| member.as_ref().len());
        if pairs.len() > limits.entries || lengths.any(|len| len > limits.value_bytes) {
            set.grow(Members::from_small);
        }
        for (member, score) in pairs {
            set.set(member.as_ref(), score, limits);
        }
        set
    }

    /// Gives `member` a score, which is not NaN; answers the one that it had.
    pub fn set(&mut self, member: &[u8], score: f64, limits: SortedSetLimits) -> Option<f64> {
        let mut old = None;
        self.update(member, limits, |present| {
            old = present;
            Some(score)
        });
        old
    }

    /// Gives `member` the score that `choose` makes of the one that it has, if it makes one; it
    /// is not NaN.
    pub fn update(
        &mut self,
        member: &[u8],
        limits: SortedSetLimits,
        choose: impl FnOnce(Option<f64>) -> Option<f64>,
    ) {
        if let Some(members) = &mut self.large {
            return members.update(member, choose);
        }
        let run = Run::of(self.blob.contents());
        let old = run.find(&Encoded::new(member));
        let Some(score) = choose(old.map(|old| old.score)) else { return };
        debug_assert!(!score.is_nan(), "scores are in an order");
        match old {
            Some(old) if old.score == score => return,
            Some(old) => run::remove(&mut self.blob, old.at, 1),
            None if !fits(run, member, limits) => {
                return self.grow(Members::from_small).insert(member, score);
            }
            None => {}
        }
        // As in Redis, whose small form has no -0 either.
        run::insert(&mut self.blob, member, score + 0.0);
    }

    /// Takes `member` out; answers the score that it had.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        if let Some(members) = &mut self.large {
            return members.remove(member);
        }
        let found = Run::of(self.blob.contents()).find(&Encoded::new(member))?;
        run::remove(&mut self.blob, found.at, 1);
        Some(found.score)
    }

    /// Takes out the elements of these ranks; answers how many there were.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) -> usize {
        let ranks = within(ranks, self.as_ref().len());
        if let Some(members) = &mut self.large {
            members.remove_ranks(ranks.clone());
        } else if !ranks.is_empty() {
            let at = Run::of(self.blob.contents()).position(ranks.start);
            run::remove(&mut self.blob, at, ranks.len());
        }
        ranks.len()
    }
}

/// Whether a member that is not there yet leaves a sorted set small.
fn fits(run: Run<'_>, member: &[u8], limits: SortedSetLimits) -> bool {
    let short = member.len() <= limits.value_bytes && run.len() < limits.entries;
    // More than any item is longer than its text, twice.
    short && run.has_room(member.len() + 32)
}

/// The part of a range that exists.
fn within(ranks: Range<usize>, len: usize) -> Range<usize> {
    let end = ranks.end.min(len);
    ranks.start.min(end)..end
}

impl<'a> SortedSetRef<'a> {
    /// How many members there are.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            SortedSetRef::Small(contents) => Run::of(contents).len(),
            SortedSetRef::Large(members) => members.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The score of `member`.
    #[inline]
    pub fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            SortedSetRef::Small(contents) => {
                Some(Run::of(contents).find(&Encoded::new(member))?.score)
            }
            SortedSetRef::Large(members) => members.score(member),
        }
    }

    /// The rank of `member`, and its score.
    pub fn rank(self, member: &[u8]) -> Option<(usize, f64)> {
        match self {
            SortedSetRef::Small(contents) => {
                let found = Run::of(contents).find(&Encoded::new(member))?;
                Some((found.rank, found.score))
            }
            SortedSetRef::Large(members) => members.rank(member),
        }
    }

    /// How many elements lie before a cut.
    pub fn before(self, cut: &Cut<'_>) -> usize {
        match self {
            SortedSetRef::Small(contents) => Run::of(contents).before(cut),
            SortedSetRef::Large(members) => members.before(cut),
        }
    }

    /// The ranks of the elements whose scores are in a range.
    pub fn by_score(self, range: &ScoreRange) -> Range<usize> {
        self.between(range.cuts())
    }

    /// The ranks of the members in a range, if all scores are the same; otherwise of some
    /// elements, which may depend on the direction, as in Redis.
    pub fn by_lex(self, range: &LexRange<'_>, direction: Direction) -> Range<usize> {
        match self {
            SortedSetRef::Small(contents) => Run::of(contents).by_lex(range, direction),
            SortedSetRef::Large(_) => self.between(range.cuts()),
        }
    }

    fn between(self, (from, to): (Cut<'_>, Cut<'_>)) -> Range<usize> {
        let (start, end) = (self.before(&from), self.before(&to));
        start..end.max(start)
    }

    /// Visits the elements of these ranks from either end.
    pub fn visit(
        self,
        ranks: Range<usize>,
        direction: Direction,
        mut visit: impl FnMut(&[u8], f64),
    ) {
        let ranks = within(ranks, self.len());
        match (self, direction) {
            (SortedSetRef::Small(contents), Direction::Ascending) => {
                let pairs = Run::of(contents).pairs().skip(ranks.start).take(ranks.len());
                pairs.for_each(|(member, score)| visit(&member, score));
            }
            (SortedSetRef::Small(contents), Direction::Descending) => {
                let run = Run::of(contents);
                let positions: Vec<_> =
                    run.positions().skip(ranks.start).take(ranks.len()).collect();
                for at in positions.into_iter().rev() {
                    let (member, score) = run.read(at);
                    visit(&member, score);
                }
            }
            (SortedSetRef::Large(members), _) => members.visit(ranks, direction, visit),
        }
    }

    /// Every member with its score, from the lowest on.
    pub fn iter(self) -> impl Iterator<Item = (Text<'a>, f64)> {
        let (run, members) = match self {
            SortedSetRef::Small(contents) => (Some(Run::of(contents)), None),
            SortedSetRef::Large(members) => (None, Some(members)),
        };
        let small = run.into_iter().flat_map(Run::pairs);
        small.chain(members.into_iter().flat_map(Members::iter))
    }

    /// Every member with its score, from the highest on.
    pub fn descending(self) -> impl Iterator<Item = (Text<'a>, f64)> {
        let (run, members) = match self {
            SortedSetRef::Small(contents) => (Some(Run::of(contents)), None),
            SortedSetRef::Large(members) => (None, Some(members)),
        };
        let small = run.into_iter().flat_map(Run::descending);
        small.chain(members.into_iter().flat_map(Members::descending))
    }

    /// The element of a rank; `None` when there are fewer.
    pub fn at(self, rank: usize) -> Option<(Text<'a>, f64)> {
        match self {
            SortedSetRef::Small(contents) => Run::of(contents).pairs().nth(rank),
            SortedSetRef::Large(members) => members.at(rank),
        }
    }

    /// Visits `count` elements from `cursor` on, in no order, and answers the cursor to go on
    /// with: 0 at both the beginning and the end.
    ///
    /// Every member that is there from the first call to the last is visited, whatever comes
    /// and goes and whatever scores change in between. A small sorted set is visited at once.
    /// More than `count` are visited only when hashes are equal; a `count` of 0 is taken for 1.
    pub fn scan(self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        match self {
            SortedSetRef::Small(contents) => {
                Run::of(contents).pairs().for_each(|(member, score)| visit(&member, score));
                0
            }
            SortedSetRef::Large(members) => members.scan(cursor, count, visit),
        }
    }

    /// The name of the form, as OBJECT ENCODING answers it.
    pub fn encoding(self) -> &'static str {
        match self {
            SortedSetRef::Small(_) => "listpack",
            SortedSetRef::Large(_) => "skiplist",
        }
    }
}
