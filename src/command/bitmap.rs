//! Bitmaps: the bits of strings.
//!
//! Strings grow in place, so that setting a bit of a large one costs no copy of it. BITFIELD is
//! in `bitfield`.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use smallvec::SmallVec;

use super::args::{integer, is};
use super::string::{string_of, with_bytes};
use super::{Argv, Command, Family, Flags, Group, Keys, Run, bitfield};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Entry, NEVER, ReadView, StrRef, Value, WriteView};
use crate::limits::STRING_BYTES;
use crate::resp::Reply;
use crate::value::bitmap::{self, Operation};
use crate::value::number::parse_integer;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        complexity: "O(1)",
        ..BITMAP.row(
            "setbit",
            "key offset value",
            "Sets or clears the bit at offset of the string value. Creates the key if it doesn't exist.",
            "2.2.0",
            4,
            Flags::DENYOOM,
            Run::Write(setbit),
        )
    },
    Command {
        complexity: "O(1)",
        ..BITMAP.row(
            "getbit",
            "key offset",
            "Returns a bit value by offset.",
            "2.2.0",
            3,
            Flags::FAST,
            Run::Read(getbit),
        )
    },
    BITMAP.row(
        "bitcount",
        "key [start end [BYTE | BIT]]",
        "Counts the number of set bits (population counting) in a string.",
        "2.6.0",
        -2,
        Flags::empty(),
        Run::Read(bitcount),
    ),
    BITMAP.row(
        "bitpos",
        "key bit [start [end [BYTE | BIT]]]",
        "Finds the first set (1) or clear (0) bit in a string.",
        "2.8.7",
        -3,
        Flags::empty(),
        Run::Read(bitpos),
    ),
    Command {
        keys: Keys::At { first: 2, last: -1, step: 1 },
        ..BITMAP.row(
            "bitop",
            "<AND | OR | XOR | NOT | DIFF | DIFF1 | ANDOR | ONE> destkey key [key ...]",
            "Performs bitwise operations on multiple strings, and stores the result.",
            "2.6.0",
            -4,
            Flags::DENYOOM,
            Run::Write(bitop),
        )
    },
    Command {
        complexity: PER_SUBCOMMAND,
        ..BITMAP.row(
            "bitfield",
            "key [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset increment> [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset increment> ...]]",
            "Performs arbitrary bitfield integer operations on strings.",
            "3.2.0",
            -2,
            Flags::DENYOOM,
            Run::Write(bitfield::bitfield),
        )
    },
    Command {
        complexity: PER_SUBCOMMAND,
        ..BITMAP.row(
            "bitfield_ro",
            "key [GET encoding offset [GET encoding offset ...]]",
            "Performs arbitrary read-only bitfield integer operations on strings.",
            "6.0.0",
            -2,
            Flags::FAST,
            Run::Read(bitfield::bitfield_ro),
        )
    },
];

const PER_SUBCOMMAND: &str = "O(1) for each subcommand specified";

/// What the rows of this family have in common.
const BITMAP: Family = Family { group: Group::Bitmap, complexity: "O(N)" };

const OFFSET: Fault = Fault::new("ERR bit offset is not an integer or out of range");

/// An offset, of which the largest string, of `limit` bytes, still has a bit.
///
/// # Errors
/// `ERR bit offset is not an integer or out of range`.
pub fn offset(argument: &[u8], limit: usize) -> Result<u64, Fault> {
    checked(parse_integer(argument), limit)
}

/// Likewise of BITFIELD: behind a `#` it counts fields of so many bits.
///
/// # Errors
/// As `offset`.
pub fn field_offset(argument: &[u8], bits: u32, limit: usize) -> Result<u64, Fault> {
    match argument.strip_prefix(b"#") {
        Some(index) => {
            checked(parse_integer(index).and_then(|i| i.checked_mul(bits.into())), limit)
        }
        None => offset(argument, limit),
    }
}

fn checked(offset: Option<i64>, limit: usize) -> Result<u64, Fault> {
    let offset = offset.and_then(|offset| u64::try_from(offset).ok());
    offset.filter(|offset| offset / 8 < limit as u64).ok_or(OFFSET)
}

/// Bytes that a string needs to have a bit at `last`, which `offset` has held against `limit`,
/// but for the end of a field.
///
/// # Errors
/// As `offset`.
pub fn bytes_up_to(last: u64, limit: usize) -> Result<usize, Fault> {
    let bytes = usize::try_from(last / 8 + 1).ok();
    bytes.filter(|bytes| *bytes <= limit).ok_or(OFFSET)
}

/// Changes a string value that has `length` bytes at least, the missing ones 0; answers whether
/// any was missing, too.
///
/// # Errors
/// `WRONGTYPE` when the key holds something else.
pub fn grow<R>(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    length: usize,
    change: impl FnOnce(&mut [u8]) -> R,
) -> Result<(R, bool), Fault> {
    match view.get(key).map(string_of).transpose()? {
        Some(_) => {}
        None => view.insert(key, Entry::object(key, Value::String(Vec::new()), NEVER)),
    }
    let changed = view.change(key, |entry| {
        let bytes = entry.string_mut();
        let grown = bytes.len() < length;
        if grown {
            bytes.resize(length, 0);
        }
        (change(bytes), grown)
    });
    changed.ok_or(Fault::NO_KEY)
}

/// Says that bits of a key have changed.
pub fn changed(view: &mut WriteView<'_, '_>, key: &[u8]) {
    view.modified(key);
    view.notify(Classes::STRING, "setbit", key);
}

fn setbit(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let limit = view.around.config.string_bytes();
    let offset = offset(argv[2], limit)?;
    let bit = match parse_integer(argv[3]) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(Fault::new("ERR bit is not an integer or out of range")),
    };
    let length = bytes_up_to(offset, limit)?;
    let (was, grown) = grow(view, argv[1], length, |bytes| bitmap::set(bytes, offset, bit))?;
    if grown || was != bit {
        changed(view, argv[1]);
    }
    reply.integer(i64::from(was));
    Ok(())
}

fn getbit(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let offset = offset(argv[2], STRING_BYTES)?;
    let bit = match view.get(argv[1]) {
        Some(entry) => with_bytes(string_of(entry)?, |bytes| bitmap::get(bytes, offset)),
        None => false,
    };
    reply.integer(i64::from(bit));
    Ok(())
}

/// What the numbers of a range count.
#[derive(Clone, Copy)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    /// The unit that the word behind a range names, bytes if there is none.
    fn parse(words: &[&[u8]]) -> Result<Unit, Fault> {
        match words {
            [] => Ok(Unit::Byte),
            [word] if is(word, "BYTE") => Ok(Unit::Byte),
            [word] if is(word, "BIT") => Ok(Unit::Bit),
            _ => Err(Fault::SYNTAX),
        }
    }

    /// The bits from `start` to `end`, negative ones from the end of a string of `length` bytes;
    /// `None` when there are none.
    fn range(self, start: i64, end: i64, length: usize) -> Option<RangeInclusive<u64>> {
        let bits = match self {
            Unit::Byte => 8,
            Unit::Bit => 1,
        };
        let total = i64::try_from(length).ok()?.checked_mul(8)? / bits;
        let from_end = |at: i64| if at < 0 { at.saturating_add(total).max(0) } else { at };
        let (start, end) = (from_end(start), from_end(end).min(total - 1));
        // Both lie within the string, unless there is nothing between them.
        (start <= end).then(|| (start * bits) as u64..=(end * bits + bits - 1) as u64)
    }
}

fn bitcount(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    // Redis does not look at the range when there is nothing to count in.
    let Some(entry) = view.get(argv[1]) else {
        reply.integer(0);
        return Ok(());
    };
    let value = string_of(entry)?;
    let count = match &argv[2..] {
        [] => with_bytes(value, bitmap::count),
        [_] => return Err(Fault::SYNTAX),
        [start, end, unit @ ..] => {
            if unit.len() > 1 {
                return Err(Fault::SYNTAX);
            }
            let (start, end) = (integer(start)?, integer(end)?);
            // Redis looks at the unit only when there can be something between the two.
            if start < 0 && end < 0 && start > end {
                reply.integer(0);
                return Ok(());
            }
            let unit = Unit::parse(unit)?;
            with_bytes(value, |bytes| {
                let range = unit.range(start, end, bytes.len());
                range.map_or(0, |range| bitmap::count_range(bytes, range))
            })
        }
    };
    reply.integer(count as i64);
    Ok(())
}

fn bitpos(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let bit = match integer(argv[2])? {
        0 => false,
        1 => true,
        _ => return Err(Fault::new("ERR The bit argument must be 1 or 0.")),
    };
    // Likewise.
    let Some(entry) = view.get(argv[1]) else {
        reply.integer(if bit { -1 } else { 0 });
        return Ok(());
    };
    let value = string_of(entry)?;
    let (start, end, unit) = match &argv[3..] {
        [] => (0, None, Unit::Byte),
        [start] => (integer(start)?, None, Unit::Byte),
        [_, _, _, _, ..] => return Err(Fault::SYNTAX),
        [start, end, unit @ ..] => {
            let start = integer(start)?;
            let unit = Unit::parse(unit)?;
            (start, Some(integer(end)?), unit)
        }
    };
    let at = with_bytes(value, |bytes| {
        let range = unit.range(start, end.unwrap_or(-1), bytes.len())?;
        let found = bitmap::find(bytes, bit, range);
        // A string goes on with zeros behind its end, unless the range ends before.
        let behind = (!bit && end.is_none()).then_some(bytes.len() as u64 * 8);
        found.or(behind)
    });
    reply.integer(at.map_or(-1, |at| at as i64));
    Ok(())
}

fn bitop(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (target, sources) = (argv[2], &argv[3..]);
    let operation = Operation::named(argv[1]).ok_or(Fault::SYNTAX)?;
    let comparing = matches!(operation, Operation::Diff | Operation::Diff1 | Operation::AndOr);
    if operation == Operation::Not && sources.len() != 1 {
        return Err(Fault::new("ERR BITOP NOT must be called with a single source key."));
    }
    if comparing && sources.len() < 2 {
        let name = String::from_utf8_lossy(argv[1]).to_ascii_uppercase();
        let text = format!("ERR BITOP {name} must be called with at least two source keys.");
        return Err(Fault::text(text));
    }
    let result = {
        let read = view.as_read();
        let texts = sources.iter().map(|key| text(&read, key));
        operation.combine(&texts.collect::<Result<SmallVec<[_; 8]>, _>>()?)
    };
    let length = result.len();
    if length > 0 {
        view.insert(target, Entry::object(target, Value::String(result), NEVER));
        view.modified(target);
        view.notify(Classes::STRING, "set", target);
    } else if view.discard(target) {
        view.modified(target);
        view.notify(Classes::GENERIC, "del", target);
    }
    reply.integer(length as i64);
    Ok(())
}

/// The bytes of a string value, a number printed; none when there is no key.
fn text<'a>(view: &ReadView<'a, '_>, key: &[u8]) -> Result<Cow<'a, [u8]>, Fault> {
    let Some(entry) = view.get(key) else { return Ok(Cow::default()) };
    Ok(match string_of(entry)? {
        StrRef::Bytes(bytes) => Cow::Borrowed(bytes),
        StrRef::Integer(number) => Cow::Owned(number.to_string().into_bytes()),
    })
}
