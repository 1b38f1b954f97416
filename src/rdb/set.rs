//! Sets: as a row of strings, as integers in order (intset), or packed as listpack.

use std::collections::HashSet;

use super::code;
use super::cursor::{Cursor, Stop};
use super::error::{Broken, Error, ErrorKind};
use super::listpack;
use super::number::decimal;
use super::packed::Walk;
use super::string::write_string;
use super::value::{Decoded, Limits, Skipped, Value};
use super::write::{Compression, Encode, write_length};

/// Members that memory is asked for before any has come; after that the vector doubles.
const FIRST_MEMBERS: u64 = 64;

/// A set value as a row of strings, from an iterator over members.
#[derive(Debug, Clone)]
pub struct SetTable<I>(
    /// The members; its `len` must be right, for it is written before them.
    pub I,
);

impl<I, M> Encode for SetTable<I>
where
    I: ExactSizeIterator<Item = M>,
    M: AsRef<[u8]>,
{
    fn type_byte(&self) -> u8 {
        code::TYPE_SET
    }

    fn encode(self, out: &mut Vec<u8>, compression: Compression) {
        write_length(out, self.0.len() as u64);
        for member in self.0 {
            write_string(out, member.as_ref(), compression);
        }
    }
}

/// A set value of integers, as Redis' intset.
#[derive(Debug, Clone, Copy)]
pub struct Intset<'a> {
    /// Bytes of each integer: 2, 4 or 8.
    pub width: u8,
    /// The integers, ascending, each once, little endian and `width` bytes wide.
    pub integers: &'a [u8],
}

impl Encode for Intset<'_> {
    fn type_byte(&self) -> u8 {
        code::TYPE_SET_INTSET
    }

    fn encode(self, out: &mut Vec<u8>, compression: Compression) {
        let len = self.integers.len() / usize::from(self.width.max(1));
        let mut bytes = Vec::with_capacity(8 + self.integers.len());
        bytes.extend_from_slice(&u32::from(self.width).to_le_bytes());
        // A set leaves this form far below 2^32 members.
        bytes.extend_from_slice(&(len as u32).to_le_bytes());
        bytes.extend_from_slice(self.integers);
        write_string(out, &bytes, compression);
    }
}

/// The members of a whole set as what the reader gives out.
pub(super) fn decoded(members: Vec<Vec<u8>>) -> Decoded {
    if members.is_empty() {
        return Decoded::Skipped(Skipped::Empty);
    }
    Decoded::Value(Value::Set(members))
}

/// A row of strings, member by member.
#[derive(Debug, Default)]
pub(super) struct TableDecoder {
    offset: u64,
    /// Members still to come; `None` before the count.
    left: Option<u64>,
    members: Vec<Vec<u8>>,
}

impl TableDecoder {
    /// Takes the members that are there; the whole set once all are.
    pub(super) fn step(
        &mut self,
        cursor: &mut Cursor<'_>,
        limits: &Limits,
    ) -> Result<Vec<Vec<u8>>, Stop> {
        let mut left = match self.left {
            Some(left) => left,
            None => self.begin(cursor, limits)?,
        };
        while left > 0 {
            self.members.push(cursor.string(limits)?.into_vec()?);
            cursor.keep();
            left -= 1;
            self.left = Some(left);
        }
        let members = std::mem::take(&mut self.members);
        refuse_repeats(&members, self.offset)?;
        Ok(members)
    }

    fn begin(&mut self, cursor: &mut Cursor<'_>, limits: &Limits) -> Result<u64, Stop> {
        self.offset = cursor.offset();
        let left = cursor.limited("a set", limits.elements)?;
        cursor.keep();
        self.left = Some(left);
        self.members.reserve(left.min(FIRST_MEMBERS) as usize);
        Ok(left)
    }
}

/// How a set is packed into one string.
#[derive(Debug, Clone, Copy)]
pub(super) enum Packing {
    Intset,
    Listpack,
}

impl Packing {
    /// Takes the whole packed set.
    pub(super) fn decode(
        self,
        cursor: &mut Cursor<'_>,
        limits: &Limits,
    ) -> Result<Vec<Vec<u8>>, Stop> {
        let offset = cursor.offset();
        let packed = cursor.string(limits)?.bytes()?;
        let (layout, unpacked) = match self {
            Self::Intset => ("intset", intset(&packed, limits)),
            Self::Listpack => ("listpack", members(&packed, limits)),
        };
        let members = unpacked.map_err(|refused| match refused {
            Refused::Broken(broken) => broken.within(layout, offset),
            Refused::Limit(found) => {
                let limit = limits.elements;
                Error::new(offset, ErrorKind::Limit { what: "a set", found, limit })
            }
        })?;
        refuse_repeats(&members, offset)?;
        Ok(members)
    }
}

/// Why a packed set is not taken.
enum Refused {
    Broken(Broken),
    /// It has so many members.
    Limit(u64),
}

impl From<Broken> for Refused {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// The members of an intset: the width, their number, and the integers, which ascend.
fn intset(bytes: &[u8], limits: &Limits) -> Result<Vec<Vec<u8>>, Refused> {
    let mut walk = Walk::new(bytes);
    let width = walk.u32_le()?;
    if !matches!(width, 2 | 4 | 8) {
        return Err(Broken { at: 0, expected: "a width of 2, 4 or 8" }.into());
    }
    let len = walk.u32_le()?;
    if len == 0 || walk.left() != len.saturating_mul(width) {
        return Err(Broken { at: 4, expected: "the number of integers there are" }.into());
    }
    if len as u64 > limits.elements {
        return Err(Refused::Limit(len as u64));
    }
    let mut members = Vec::with_capacity(len);
    let mut last = None;
    for _ in 0..len {
        let at = walk.at();
        let integer = integer(walk.take(width)?);
        if last >= Some(integer) {
            return Err(Broken { at, expected: "a larger integer" }.into());
        }
        last = Some(integer);
        members.push(decimal(integer));
    }
    Ok(members)
}

/// A signed integer, little endian, of at most eight bytes.
fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut wide = if negative { [0xff; 8] } else { [0; 8] };
    wide[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(wide)
}

fn members(bytes: &[u8], limits: &Limits) -> Result<Vec<Vec<u8>>, Refused> {
    let mut elements = listpack::Elements::new(bytes)?;
    let mut members = Vec::new();
    while let Some(member) = elements.next()? {
        let found = members.len() as u64 + 1;
        if found > limits.elements {
            return Err(Refused::Limit(found));
        }
        members.push(member.to_vec());
    }
    Ok(members)
}

fn refuse_repeats(members: &[Vec<u8>], offset: u64) -> Result<(), Error> {
    // Keyed by the process, not by the input: members made to collide do not.
    let mut seen = HashSet::with_capacity(members.len());
    if members.iter().all(|member| seen.insert(member.as_slice())) {
        return Ok(());
    }
    Err(Error::new(offset, ErrorKind::DuplicateMember))
}
