//! Ranges of scores and of members, and the places where they begin and end.

use super::order;
use crate::value::number::parse_bound;
use crate::value::packed::Text;

/// Which side of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// In front of it.
    Before,
    /// Behind it.
    After,
}

/// A place between elements: all of those in front of it come before all others.
#[derive(Debug, Clone, Copy)]
pub enum Cut<'a> {
    /// Beside all elements of a score.
    Score(f64, Side),
    /// Beside one element, be it there or not.
    Element(f64, &'a [u8], Side),
    /// Beside a member, for sets whose scores are all the same.
    Member(&'a [u8], Side),
    /// In front of everything.
    Start,
    /// Behind everything.
    End,
}

impl Cut<'_> {
    /// Whether an element lies in front of the cut, and so the cut behind the element.
    #[inline]
    pub(super) fn is_behind<'t>(&self, score: f64, member: impl FnOnce() -> Text<'t>) -> bool {
        let (order, side) = match self {
            Cut::Score(cut, side) => (order(score, *cut), *side),
            Cut::Element(cut, text, side) => {
                (order(score, *cut).then_with(|| (*member()).cmp(text)), *side)
            }
            Cut::Member(text, side) => ((*member()).cmp(text), *side),
            Cut::Start => return false,
            Cut::End => return true,
        };
        order.is_lt() || (order.is_eq() && side == Side::After)
    }
}

/// One end of a range of scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreBound {
    /// The score.
    pub score: f64,
    /// Whether it lies outside of the range itself.
    pub excluded: bool,
}

/// Scores from one to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreRange {
    /// The lower end.
    pub min: ScoreBound,
    /// The upper end.
    pub max: ScoreBound,
}

impl ScoreRange {
    /// From `min` to `max`, both within.
    pub fn inclusive(min: f64, max: f64) -> ScoreRange {
        let bound = |score| ScoreBound { score, excluded: false };
        ScoreRange { min: bound(min), max: bound(max) }
    }

    /// Reads both ends as commands have them: `1.5`, `(1.5`, `-inf`; `None` when one of them is
    /// no number.
    pub fn parse(min: &[u8], max: &[u8]) -> Option<ScoreRange> {
        Some(ScoreRange { min: ScoreBound::parse(min)?, max: ScoreBound::parse(max)? })
    }

    /// The cuts in front of and behind what is in the range.
    pub fn cuts(&self) -> (Cut<'static>, Cut<'static>) {
        let ScoreRange { min, max } = *self;
        let from = if min.excluded { Side::After } else { Side::Before };
        let to = if max.excluded { Side::Before } else { Side::After };
        (Cut::Score(min.score, from), Cut::Score(max.score, to))
    }
}

impl ScoreBound {
    fn parse(text: &[u8]) -> Option<ScoreBound> {
        let (text, excluded) = match text {
            [b'(', rest @ ..] => (rest, true),
            _ => (text, false),
        };
        Some(ScoreBound { score: parse_bound(text)?, excluded })
    }
}

/// One end of a range of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// `-`: before every member.
    Lowest,
    /// `+`: behind every member.
    Highest,
    /// `[m`: the member lies within.
    Included(&'a [u8]),
    /// `(m`: it does not.
    Excluded(&'a [u8]),
}

/// Members from one to another, in the order of their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LexRange<'a> {
    /// The lower end.
    pub min: LexBound<'a>,
    /// The upper end.
    pub max: LexBound<'a>,
}

impl<'a> LexRange<'a> {
    /// Reads both ends as commands have them: `[m`, `(m`, `-`, `+`; `None` for anything else.
    pub fn parse(min: &'a [u8], max: &'a [u8]) -> Option<LexRange<'a>> {
        Some(LexRange { min: LexBound::parse(min)?, max: LexBound::parse(max)? })
    }

    /// The cuts in front of and behind what is in the range.
    pub fn cuts(&self) -> (Cut<'a>, Cut<'a>) {
        (self.min.cut(Side::Before), self.max.cut(Side::After))
    }
}

impl<'a> LexBound<'a> {
    fn parse(text: &'a [u8]) -> Option<LexBound<'a>> {
        match text {
            [b'[', member @ ..] => Some(LexBound::Included(member)),
            [b'(', member @ ..] => Some(LexBound::Excluded(member)),
            // To Redis a text ends at its first NUL here.
            [b'-'] | [b'-', 0, ..] => Some(LexBound::Lowest),
            [b'+'] | [b'+', 0, ..] => Some(LexBound::Highest),
            _ => None,
        }
    }

    /// The cut on the side of an included member that `side` says, and on its other side for an
    /// excluded one.
    fn cut(self, side: Side) -> Cut<'a> {
        match (self, side) {
            (LexBound::Lowest, _) => Cut::Start,
            (LexBound::Highest, _) => Cut::End,
            (LexBound::Included(member), side) => Cut::Member(member, side),
            (LexBound::Excluded(member), Side::Before) => Cut::Member(member, Side::After),
            (LexBound::Excluded(member), Side::After) => Cut::Member(member, Side::Before),
        }
    }
}
