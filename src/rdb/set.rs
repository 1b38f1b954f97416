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

#[cfg(test)]
pub(super) mod tests {
    use super::super::{Checksum, Listpack, dump};
    use super::*;
    use proptest::prelude::*;

    /// What an intset of these members holds, eight bytes each, if it is one.
    pub(in super::super) fn integers(members: &[Vec<u8>]) -> Option<Vec<u8>> {
        let read = |member: &Vec<u8>| super::super::number::canonical(member);
        let integers: Vec<i64> = members.iter().map(read).collect::<Option<_>>()?;
        let bytes = integers.iter().flat_map(|integer| integer.to_le_bytes()).collect();
        integers.is_sorted_by(|a, b| a < b).then_some(bytes)
    }

    /// What becomes of a value without its footer.
    fn read(body: &[u8]) -> Result<Value, ErrorKind> {
        let mut payload = body.to_vec();
        payload.extend_from_slice(&11u16.to_le_bytes());
        payload.extend_from_slice(&Checksum::of(&payload).to_le_bytes());
        dump::read(&payload, &Limits { string_bytes: 1 << 16, elements: 300 })
            .map_err(|error| error.kind)
    }

    fn set(members: &[&str]) -> Result<Value, ErrorKind> {
        Ok(Value::Set(members.iter().map(|member| member.as_bytes().to_vec()).collect()))
    }

    fn packed(type_byte: u8, packed: &[u8]) -> Vec<u8> {
        [&[type_byte, 0x40 | (packed.len() >> 8) as u8, packed.len() as u8], packed].concat()
    }

    fn broken(layout: &'static str, at: usize, expected: &'static str) -> Result<Value, ErrorKind> {
        Err(ErrorKind::Packed { layout, at, expected })
    }

    #[test]
    fn rows_of_strings_are_read_as_redis_writes_them() {
        assert_eq!(read(b"\x02\x03\x01b\xc0\xff\x00"), set(&["b", "-1", ""]));
        assert_eq!(read(b"\x02\x02\x01b\x01b"), Err(ErrorKind::DuplicateMember));
        // Digits are the same member however they are written.
        assert_eq!(read(b"\x02\x02\x017\xc0\x07"), Err(ErrorKind::DuplicateMember));
        assert_eq!(read(b"\x02\x02\x01b"), Err(ErrorKind::Truncated));
        let limit = ErrorKind::Limit { what: "a set", found: 301, limit: 300 };
        assert_eq!(read(&[2, 0x41, 45]), Err(limit));
        assert!(matches!(read(&[2, 0]), Err(ErrorKind::Expected { .. })));
    }

    #[test]
    fn intsets_are_read_in_every_width() {
        // `SADD k 3 -1 300`, `DUMP k` on redis-server 7.0.15.
        let theirs = b"\x0b\x0e\x02\0\0\0\x03\0\0\0\xff\xff\x03\0\x2c\x01";
        assert_eq!(read(theirs), set(&["-1", "3", "300"]));
        for (width, bytes) in [(4u8, &b"\0\0\0\x80\x01\0\0\0"[..]), (8, &[0xff; 8])] {
            let count = (bytes.len() / usize::from(width)) as u8;
            let body = [&[width, 0, 0, 0, count, 0, 0, 0], bytes].concat();
            let members: &[&str] = if width == 4 { &["-2147483648", "1"] } else { &["-1"] };
            assert_eq!(read(&packed(11, &body)), set(members));
        }
    }

    #[test]
    fn damaged_intsets_are_refused() {
        let count = broken("intset", 4, "the number of integers there are");
        let width = broken("intset", 0, "a width of 2, 4 or 8");
        let larger = broken("intset", 10, "a larger integer");
        for (bytes, expected) in [
            (&b"\x02\0\0\0\x02\0\0\0\x01\0\x01\0"[..], larger.clone()),
            (b"\x02\0\0\0\x02\0\0\0\x01\0\0\0", larger.clone()),
            (b"\x02\0\0\0\x02\0\0\0\x01\0\xff\xff", larger),
            (b"\x02\0\0\0\0\0\0\0", count.clone()),
            (b"\x02\0\0\0\x02\0\0\0\x01\0", count.clone()),
            (b"\x02\0\0\0\x01\0\0\0\x01\0\x02\0", count.clone()),
            (b"\x02\0\0\0\x01\0\0\0\x01\0\x02", count.clone()),
            (b"\x08\0\0\0\xff\xff\xff\xff\x01\0", count),
            (b"\x03\0\0\0\x01\0\0\0\x01\0\0", width.clone()),
            (b"\0\0\0\0\x01\0\0\0\x01\0", width.clone()),
            (b"\x02\0\0\x01\x01\0\0\0\x01\0", width),
            (b"\x02\0\0\0\x01\0", broken("intset", 4, "more bytes")),
            (b"", broken("intset", 0, "more bytes")),
        ] {
            assert_eq!(read(&packed(11, bytes)), expected, "{bytes:?}");
        }
        let many: Vec<u8> = (0..301u16).flat_map(u16::to_le_bytes).collect();
        let body = [&b"\x02\0\0\0\x2d\x01\0\0"[..], &many].concat();
        let limit = ErrorKind::Limit { what: "a set", found: 301, limit: 300 };
        assert_eq!(read(&packed(11, &body)), Err(limit));
    }

    #[test]
    fn listpacks_of_newer_redis_are_read() {
        let mut listpack = Listpack::new();
        for member in ["a", "7", "-300", ""] {
            listpack.push(member.as_bytes()).unwrap();
        }
        assert_eq!(read(&packed(20, listpack.as_bytes())), set(&["a", "7", "-300", ""]));
        listpack.push(b"7").unwrap();
        assert_eq!(read(&packed(20, listpack.as_bytes())), Err(ErrorKind::DuplicateMember));
        let cut = &listpack.as_bytes()[..listpack.as_bytes().len() - 1];
        let total = broken("listpack", 0, "the number of bytes there are");
        assert_eq!(read(&packed(20, cut)), total);
        listpack.clear();
        assert!(matches!(read(&packed(20, listpack.as_bytes())), Err(ErrorKind::Expected { .. })));
    }

    proptest! {
        /// Whatever is taken, its members are each there once.
        #[test]
        fn intsets_of_any_bytes_never_panic(
            width in prop::sample::select(vec![0u8, 1, 2, 4, 8, 255]),
            count in 0u8..6,
            bytes in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let body = [&[width, 0, 0, 0, count, 0, 0, 0], &bytes[..]].concat();
            if let Ok(Value::Set(members)) = read(&packed(11, &body)) {
                prop_assert_eq!(members.len() * usize::from(width), bytes.len());
                prop_assert!(integers(&members).is_some());
            }
        }
    }
}
