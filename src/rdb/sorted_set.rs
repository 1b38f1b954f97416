//! Sorted sets: as a table of strings and scores, or packed as listpack or ziplist.

use std::collections::HashSet;

use super::code;
use super::cursor::{Cursor, Stop};
use super::error::{Broken, Error, ErrorKind};
use super::listpack::{self, Full, Listpack};
use super::packed::Element;
use super::string::write_string;
use super::value::{Decoded, Limits, Skipped, Value};
use super::write::{Compression, Encode, write_length};
use super::ziplist;
use crate::value::number::{format_stored_double, parse_bound};

/// Members that memory is asked for before any has come; after that the vector doubles.
const FIRST_MEMBERS: u64 = 64;

/// The lengths of a text score that stand for what is no digits.
const NAN: u8 = 253;
const INFINITY: u8 = 254;
const NEGATIVE_INFINITY: u8 = 255;

/// A member of a sorted set.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredMember {
    /// The name.
    pub member: Vec<u8>,
    /// The score, which is not NaN.
    pub score: f64,
}

/// NaN, which does not equal itself, is no score.
impl Eq for ScoredMember {}

/// A sorted set value as a table with binary scores, from an iterator over (member, score);
/// Redis writes the highest first, which makes its loading quick.
#[derive(Debug, Clone)]
pub struct SortedSetTable<I>(
    /// The pairs; its `len` must be right, for it is written before them.
    pub I,
);

impl<I, M> Encode for SortedSetTable<I>
where
    I: ExactSizeIterator<Item = (M, f64)>,
    M: AsRef<[u8]>,
{
    fn type_byte(&self) -> u8 {
        code::TYPE_SORTED_SET_2
    }

    fn encode(self, out: &mut Vec<u8>, compression: Compression) {
        write_length(out, self.0.len() as u64);
        for (member, score) in self.0 {
            write_string(out, member.as_ref(), compression);
            out.extend_from_slice(&score.to_le_bytes());
        }
    }
}

/// A sorted set value as a listpack of member, score, member, score and so on, the lowest
/// first.
#[derive(Debug, Clone, Copy)]
pub struct SortedSetListpack<'a>(
    /// The members and scores.
    pub &'a Listpack,
);

impl SortedSetListpack<'_> {
    /// The listpack of these pairs.
    ///
    /// # Errors
    ///
    /// [`Full`] if it would exceed 1 GiB.
    pub fn pack<M: AsRef<[u8]>>(
        pairs: impl IntoIterator<Item = (M, f64)>,
    ) -> Result<Listpack, Full> {
        let mut listpack = Listpack::new();
        for (member, score) in pairs {
            listpack.push(member.as_ref())?;
            listpack.push(format_stored_double(score).as_bytes())?;
        }
        Ok(listpack)
    }
}

impl Encode for SortedSetListpack<'_> {
    fn type_byte(&self) -> u8 {
        code::TYPE_SORTED_SET_LISTPACK
    }

    fn encode(self, out: &mut Vec<u8>, compression: Compression) {
        write_string(out, self.0.as_bytes(), compression);
    }
}

/// The members of a whole sorted set as what the reader gives out.
pub(super) fn decoded(members: Vec<ScoredMember>) -> Decoded {
    if members.is_empty() {
        return Decoded::Skipped(Skipped::Empty);
    }
    Decoded::Value(Value::SortedSet(members))
}

/// A table of strings and scores, member by member.
#[derive(Debug)]
pub(super) struct TableDecoder {
    scores: Scores,
    offset: u64,
    /// Members still to come; `None` before the count.
    left: Option<u64>,
    members: Vec<ScoredMember>,
}

/// How the scores of a table are written.
#[derive(Debug, Clone, Copy)]
enum Scores {
    Text,
    Binary,
}

impl TableDecoder {
    pub(super) fn with_texts() -> Self {
        Self { scores: Scores::Text, offset: 0, left: None, members: Vec::new() }
    }

    pub(super) fn with_doubles() -> Self {
        Self { scores: Scores::Binary, ..Self::with_texts() }
    }

    /// Takes the members that are there; the whole sorted set once all are.
    pub(super) fn step(
        &mut self,
        cursor: &mut Cursor<'_>,
        limits: &Limits,
    ) -> Result<Vec<ScoredMember>, Stop> {
        let mut left = match self.left {
            Some(left) => left,
            None => self.begin(cursor, limits)?,
        };
        while left > 0 {
            let member = cursor.string(limits)?;
            let offset = cursor.offset();
            let score = match self.scores {
                Scores::Text => text_score(cursor)?,
                Scores::Binary => f64::from_bits(cursor.u64_le()?),
            };
            if score.is_nan() {
                return Err(Error::expected(offset, "a score").into());
            }
            // Only now that both are there is anything copied or expanded.
            self.members.push(ScoredMember { member: member.into_vec()?, score });
            cursor.keep();
            left -= 1;
            self.left = Some(left);
        }
        let members = std::mem::take(&mut self.members);
        refuse_duplicates(&members, self.offset)?;
        Ok(members)
    }

    fn begin(&mut self, cursor: &mut Cursor<'_>, limits: &Limits) -> Result<u64, Stop> {
        self.offset = cursor.offset();
        let left = cursor.limited("a sorted set", limits.elements)?;
        cursor.keep();
        self.left = Some(left);
        self.members.reserve(left.min(FIRST_MEMBERS) as usize);
        Ok(left)
    }
}

/// A length byte, then so many digits; or a byte that is the score itself.
fn text_score(cursor: &mut Cursor<'_>) -> Result<f64, Stop> {
    let offset = cursor.offset();
    match cursor.byte()? {
        NAN => Ok(f64::NAN),
        INFINITY => Ok(f64::INFINITY),
        NEGATIVE_INFINITY => Ok(f64::NEG_INFINITY),
        length => {
            let text = cursor.take(usize::from(length))?;
            number(text).ok_or_else(|| Error::expected(offset, "a score").into())
        }
    }
}

/// A score in digits; none that is empty.
fn number(text: &[u8]) -> Option<f64> {
    parse_bound(text).filter(|_| !text.is_empty())
}

/// How a sorted set is packed into one string.
#[derive(Debug, Clone, Copy)]
pub(super) enum Packing {
    Ziplist,
    Listpack,
}

impl Packing {
    /// Takes the whole packed sorted set.
    pub(super) fn decode(
        self,
        cursor: &mut Cursor<'_>,
        limits: &Limits,
    ) -> Result<Vec<ScoredMember>, Stop> {
        let offset = cursor.offset();
        let packed = cursor.string(limits)?.bytes()?;
        let within = |broken: Broken| broken.within(self.layout(), offset);
        let mut elements = Elements::new(self, &packed).map_err(within)?;
        let mut members = Vec::new();
        while let Some(member) = elements.pair().map_err(within)? {
            let (found, limit) = (members.len() as u64 + 1, limits.elements);
            if found > limit {
                let kind = ErrorKind::Limit { what: "a sorted set", found, limit };
                return Err(Error::new(offset, kind).into());
            }
            members.push(member);
        }
        refuse_duplicates(&members, offset)?;
        Ok(members)
    }

    fn layout(self) -> &'static str {
        match self {
            Self::Ziplist => "ziplist",
            Self::Listpack => "listpack",
        }
    }
}

/// The elements of a packed sorted set, in either layout.
enum Elements<'a> {
    Ziplist(ziplist::Elements<'a>),
    Listpack(listpack::Elements<'a>),
}

impl<'a> Elements<'a> {
    fn new(packing: Packing, bytes: &'a [u8]) -> Result<Self, Broken> {
        Ok(match packing {
            Packing::Ziplist => Self::Ziplist(ziplist::Elements::new(bytes)?),
            Packing::Listpack => Self::Listpack(listpack::Elements::new(bytes)?),
        })
    }

    fn next(&mut self) -> Result<Option<Element<'a>>, Broken> {
        match self {
            Self::Ziplist(elements) => elements.next(),
            Self::Listpack(elements) => elements.next(),
        }
    }

    fn pair(&mut self) -> Result<Option<ScoredMember>, Broken> {
        let Some(member) = self.next()? else { return Ok(None) };
        let broken = |expected| Broken { at: 0, expected };
        let score = self.next()?.ok_or(broken("no member without its score"))?;
        let score = match score {
            Element::Number(score) => score as f64,
            Element::Text(text) => number(text).ok_or(broken("a score"))?,
        };
        Ok(Some(ScoredMember { member: member.to_vec(), score }))
    }
}

fn refuse_duplicates(members: &[ScoredMember], offset: u64) -> Result<(), Error> {
    // Keyed by the process, not by the input: members made to collide do not.
    let mut seen = HashSet::with_capacity(members.len());
    if members.iter().all(|member| seen.insert(member.member.as_slice())) {
        return Ok(());
    }
    Err(Error::new(offset, ErrorKind::DuplicateMember))
}

#[cfg(test)]
mod tests {
    use super::super::dump;
    use super::*;

    /// The value or the refusal of a body, as DUMP has it.
    fn read(body: &[u8]) -> Result<Vec<(Vec<u8>, f64)>, String> {
        match dump::value(body, &Limits::default()) {
            Ok(Value::SortedSet(members)) => {
                Ok(members.into_iter().map(|member| (member.member, member.score)).collect())
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    fn listpack(elements: &[&str]) -> Vec<u8> {
        let mut packed = Listpack::new();
        elements.iter().for_each(|element| packed.push(element.as_bytes()).unwrap());
        let mut body = vec![17, packed.as_bytes().len() as u8];
        body.extend_from_slice(packed.as_bytes());
        body
    }

    fn binary(scores: &[f64]) -> Vec<u8> {
        let mut body = vec![5, scores.len() as u8];
        for (name, score) in (b'a'..).zip(scores) {
            body.extend_from_slice(&[1, name]);
            body.extend_from_slice(&score.to_le_bytes());
        }
        body
    }

    #[test]
    fn scores_of_every_kind_are_read() {
        let texts =
            [3, 4, 1, b'a', 3, b'1', b'.', b'5', 1, b'b', 254, 1, b'c', 255, 1, b'd', 1, b'7'];
        let wanted = [(b"a", 1.5), (b"b", f64::INFINITY), (b"c", f64::NEG_INFINITY), (b"d", 7.0)];
        let wanted = wanted.map(|(member, score)| (member.to_vec(), score));
        assert_eq!(read(&texts), Ok(wanted.to_vec()));
        assert_eq!(read(&binary(&wanted.clone().map(|pair| pair.1))), Ok(wanted.to_vec()));
        let packed = listpack(&["a", "1.5", "b", "inf", "c", "-inf", "d", "7"]);
        assert_eq!(read(&packed), Ok(wanted.to_vec()));
        // Whatever the order, and whatever names look like.
        assert_eq!(read(&listpack(&["7", "2", "8", "1"])).unwrap()[0], (b"7".to_vec(), 2.0));
    }

    #[test]
    fn what_is_no_sorted_set_is_refused() {
        for (body, expected) in [
            (vec![3, 1, 1, b'a', 253], "a score"),
            (vec![3, 1, 1, b'a', 1, b'x'], "a score"),
            (vec![3, 1, 1, b'a', 0], "a score"),
            (vec![3, 1, 1, b'a', 3, b'n', b'a', b'n'], "a score"),
            (binary(&[1.0, f64::NAN]), "a score"),
            (binary(&[-f64::NAN]), "a score"),
            (listpack(&["a", "x"]), "a score"),
            (listpack(&["a", ""]), "a score"),
            (listpack(&["a", "nan"]), "a score"),
            (listpack(&["a", "1", "b"]), "no member without its score"),
            (listpack(&["a", "1", "b", "1", "a", "2"]), "has a member twice"),
            (vec![3, 2, 1, b'a', 1, b'1', 1, b'a', 1, b'1'], "has a member twice"),
            (vec![3, 2, 1, b'a', 1, b'1'], "expected more bytes, found the end"),
            (vec![3, 0], "expected a collection with elements"),
            (listpack(&[]), "expected a collection with elements"),
        ] {
            let refused = read(&body).unwrap_err();
            assert!(refused.ends_with(expected), "{body:?}: {refused}");
        }
    }
}
