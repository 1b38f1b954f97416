//! What a run is made of: families of commands, rows, and the steps that are drawn of them.
//!
//! Left out on purpose: the rows themselves; each type has a file of its own.

use super::template::Arguments;
use super::{bitmap, expire, geo, hash, hll, keys, list, lua, set, stream, string, zset};

/// How two replies are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Byte for byte.
    Exact,
    /// As sets of elements, or of pairs in a map: Redis gives no order.
    Unordered,
    /// As [`How::Unordered`], where RESP2 gives pairs one behind the other.
    Pairs,
    /// [`How::Exact`], unless the key's encoding, which is asked next, is one without order.
    ByEncoding,
    /// [`How::Pairs`] under the same condition.
    PairsByEncoding,
    /// Same type, and as many elements: the choice is random.
    Length,
    /// Same type.
    Kind,
    /// Integers may differ by this much, since both servers read a clock.
    Near(i64),
    /// Moments and idle times of streams may differ a little.
    Times,
    /// A cursor and elements: all of them are compared where both went through in one call.
    Scan,
    /// The same with pairs.
    ScanPairs,
    /// An EXEC: each reply as its command says.
    Exec,
}

/// One form of a command, and what has to follow it at once.
#[derive(Debug)]
pub(super) struct Row {
    /// How often it is drawn, held against the other rows of the family.
    pub(super) weight: usize,
    pub(super) template: &'static str,
    pub(super) how: How,
    /// Commands that belong to it: `same` in them is its key.
    pub(super) then: &'static [(&'static str, How)],
    /// Those are spoilt instead of the command itself.
    pub(super) spoils_then: bool,
    /// It has a time in it: never spoilt so that a key could run out during the run.
    pub(super) timed: bool,
    /// Its keys stay when it is spoilt: with other keys it would not be deterministic.
    pub(super) keyed: bool,
    /// It would wait for a key, so that it is sent only inside of a transaction.
    pub(super) blocking: bool,
    /// It is never spoilt: another form of it would not be deterministic.
    pub(super) rigid: bool,
}

/// A form whose replies are the same byte for byte.
pub(super) const fn row(weight: usize, template: &'static str) -> Row {
    Row {
        weight,
        template,
        how: How::Exact,
        then: &[],
        spoils_then: false,
        timed: false,
        keyed: false,
        blocking: false,
        rigid: false,
    }
}

impl Row {
    pub(super) const fn how(self, how: How) -> Row {
        Row { how, ..self }
    }

    pub(super) const fn then(self, then: &'static [(&'static str, How)]) -> Row {
        Row { then, rigid: true, ..self }
    }

    /// What follows is what is tested; the command itself only prepares it.
    pub(super) const fn spoilt(self, then: &'static [(&'static str, How)]) -> Row {
        Row { then, rigid: true, spoils_then: true, ..self }
    }

    pub(super) const fn timed(self) -> Row {
        Row { timed: true, ..self }
    }

    pub(super) const fn keyed(self) -> Row {
        Row { keyed: true, ..self }
    }

    pub(super) const fn blocking(self) -> Row {
        Row { blocking: true, ..self }
    }

    pub(super) const fn rigid(self) -> Row {
        Row { rigid: true, ..self }
    }
}

/// The commands of a type.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    /// The letter of its keys.
    pub(super) pool: &'static str,
    pub(super) rows: &'static [Row],
    /// Directives that its thresholds depend on, with values worth trying.
    pub(super) directives: &'static [(&'static str, &'static [&'static str])],
    /// How many in a hundred commands are drawn from other families.
    pub(super) others: usize,
}

/// Every family, in the order in which they are run.
pub(super) const FAMILIES: [&Family; 12] = [
    &string::FAMILY,
    &hash::FAMILY,
    &list::FAMILY,
    &set::FAMILY,
    &zset::FAMILY,
    &stream::FAMILY,
    &hll::FAMILY,
    &geo::FAMILY,
    &bitmap::FAMILY,
    &keys::FAMILY,
    &expire::FAMILY,
    &lua::FAMILY,
];

/// The families that every type is mixed with.
pub(super) const COMPANIONS: [&Family; 2] = [&keys::FAMILY, &expire::FAMILY];

/// A command to be sent, and how its replies are compared.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) arguments: Arguments,
    pub(super) how: How,
    /// Changing its arguments could make it random.
    pub(super) rigid: bool,
}

impl Line {
    /// A line whose replies are compared byte for byte.
    pub(super) fn exact<const N: usize>(words: [&[u8]; N]) -> Self {
        let arguments = words.map(<[u8]>::to_vec).to_vec();
        Self { arguments, how: How::Exact, rigid: true }
    }

    /// The command's name in upper case.
    pub(super) fn name(&self) -> String {
        let name = self.arguments.first().map(Vec::as_slice).unwrap_or_default();
        String::from_utf8_lossy(name).to_ascii_uppercase()
    }
}

/// Commands that are sent together or not at all.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) lines: Vec<Line>,
}

impl Step {
    /// Whether it is a transaction of its own.
    pub(super) fn is_transaction(&self) -> bool {
        self.lines.first().is_some_and(|line| line.name() == "MULTI")
    }
}
