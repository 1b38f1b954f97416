//! A run: pairs of member and score in one blob, in the order of (score, member).
//!
//! A small sorted set is one run, and a large one consists of many. A position is where a pair
//! begins. Everything here walks; the bound on a run's length is its owner's.

use std::ops::Range;

use super::bounds::{Cut, LexRange};
use super::{Direction, order};
use crate::value::blob::Blob;
use crate::value::items::{self, Items};
use crate::value::packed::{Encoded, Text};

/// A run to read.
#[derive(Clone, Copy)]
pub(super) struct Run<'a>(Items<'a>);

/// A pair within a run.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// How many pairs stand before it.
    pub(super) rank: usize,
    /// Where it begins.
    pub(super) at: usize,
    pub(super) score: f64,
}

impl<'a> Run<'a> {
    #[inline]
    pub(super) fn of(contents: &'a [u8]) -> Run<'a> {
        Run(Items::of(contents))
    }

    #[inline]
    pub(super) fn len(self) -> usize {
        self.0.len() / 2
    }

    /// Bytes of the run.
    pub(super) fn bytes(self) -> usize {
        self.0.end()
    }

    /// Whether one more pair of this size fits whatever the thresholds say.
    pub(super) fn has_room(self, bytes: usize) -> bool {
        self.0.have_room(2, bytes)
    }

    /// Every pair.
    #[inline]
    pub(super) fn pairs(self) -> impl Iterator<Item = (Text<'a>, f64)> {
        self.0.positions(2).map(move |at| self.read(at))
    }

    /// Every pair, from the last on.
    pub(super) fn descending(self) -> impl Iterator<Item = (Text<'a>, f64)> {
        let positions: Vec<_> = self.positions().collect();
        positions.into_iter().rev().map(move |at| self.read(at))
    }

    /// Where every pair begins.
    pub(super) fn positions(self) -> impl Iterator<Item = usize> + use<'a> {
        self.0.positions(2)
    }

    /// The pair at a position.
    #[inline]
    pub(super) fn read(self, at: usize) -> (Text<'a>, f64) {
        let (member, score) = self.0.read(at);
        (member, self.0.double(score))
    }

    /// The score of the pair at a position.
    #[inline]
    pub(super) fn score(self, at: usize) -> f64 {
        self.0.double(self.0.skip(at))
    }

    /// Where the pair of this rank begins; the end when there are fewer.
    pub(super) fn position(self, rank: usize) -> usize {
        self.positions().nth(rank).unwrap_or(self.0.end())
    }

    /// The pair of a member.
    #[inline]
    pub(super) fn find(self, member: &Encoded<'_>) -> Option<Found> {
        let mut found = self.positions().enumerate().filter(|(_, at)| self.0.is(*at, member));
        found.next().map(|(rank, at)| Found { rank, at, score: self.score(at) })
    }

    /// How many pairs lie before a cut.
    pub(super) fn before(self, cut: &Cut<'_>) -> usize {
        let before = |at: &usize| cut.is_behind(self.score(*at), || self.0.read(*at).0);
        self.positions().take_while(before).count()
    }

    /// The ranks of the members in a range, as Redis walks to them: sound when all scores are the
    /// same, and otherwise what comes of it from either end.
    pub(super) fn by_lex(self, range: &LexRange<'_>, direction: Direction) -> Range<usize> {
        let (from, to) = range.cuts();
        let in_front = |cut: &Cut<'_>, at: usize| cut.is_behind(self.score(at), || self.read(at).0);
        let above = |at: &usize| !in_front(&from, *at);
        let below = |at: &usize| in_front(&to, *at);
        let positions: Vec<usize> = self.positions().collect();
        if !positions.last().is_some_and(above) || !positions.first().is_some_and(below) {
            return 0..0;
        }
        match direction {
            Direction::Ascending => {
                let start = positions.iter().take_while(|at| !above(at)).count();
                let len = positions[start..].iter().take_while(|at| below(at)).count();
                start..start + len
            }
            Direction::Descending => {
                let skipped = positions.iter().rev().take_while(|at| !below(at)).count();
                let end = positions.len() - skipped;
                let len = positions[..end].iter().rev().take_while(|at| above(at)).count();
                end - len..end
            }
        }
    }

    /// Where a pair belongs that is not there yet: before the one at this position.
    fn place(self, member: &[u8], score: f64) -> usize {
        let behind = |at: &usize| {
            order(self.score(*at), score).then_with(|| (*self.0.read(*at).0).cmp(member)).is_gt()
        };
        self.positions().find(behind).unwrap_or(self.0.end())
    }
}

/// Adds a pair that is not there yet. The caller has asked `has_room`.
pub(super) fn insert(run: &mut Blob, member: &[u8], score: f64) {
    let at = Run::of(run.contents()).place(member, score);
    items::insert(run, at, &[Encoded::new(member), Encoded::double(score)]);
}

/// Adds pairs behind the last one, where they belong.
pub(super) fn push(run: &mut Blob, pairs: &[(Text<'_>, f64)]) {
    // The first two alone: with the second one items choose the prefix that they share.
    let (few, many) = pairs.split_at(pairs.len().min(2));
    few.iter().for_each(|pair| items::push(run, &encode(pair)));
    let many: Vec<_> = many.iter().flat_map(encode).collect();
    items::push(run, &many);
}

fn encode<'a>((member, score): &'a (Text<'_>, f64)) -> [Encoded<'a>; 2] {
    [Encoded::new(member), Encoded::double(*score)]
}

/// Takes out `count` pairs from a position on.
pub(super) fn remove(run: &mut Blob, at: usize, count: usize) {
    items::remove(run, at, count * 2);
}
