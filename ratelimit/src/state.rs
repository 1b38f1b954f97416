//! The bytes of a state: tag, field widths, and what is wrong with foreign bytes.
//!
//! A state is a tag byte and then little-endian fields. The tag's high nibble
//! is the format (one number an algorithm; a changed layout takes a new one),
//! its low nibble the widths of the fields:
//!
//! | tag | format | low nibble | after the tag |
//! |---|---|---|---|
//! | `0x1_` | sliding | tick width, count width | newest tick (6), total, buckets of (tick, count) |
//! | `0x2_` | fixed | count width | newest tick (6), count |
//! | `0x3_` | gcra | fraction width | arrival time (8), fraction and its denominator |
//! | `0x40` | log | 0 | oldest tick (6), span, total, entries of (gap, amount) |
//! | `0x50` | holds | 0 | their bytes (4), the holds, one of the states above or nothing |
//!
//! The calls of this crate check of a state what they need to stay in bounds;
//! [`validate`] checks all of it, for bytes that come from elsewhere (RESTORE, a
//! leader, a file).
//!
//! Left out on purpose: a checksum, which the carriers of states have already.

use crate::rule::Algorithm;
use crate::{fixed, gcra, held, log, sliding};

/// The last millisecond since the Unix epoch that is told apart from later
/// ones (in the year 10889). A tick needs 6 bytes for it.
pub const MAX_NOW_MS: u64 = (1 << 48) - 1;

/// Bytes of a full tick.
pub(crate) const TICK_BYTES: usize = 6;

/// Why bytes are not a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The tag byte names no format of this version.
    #[error("rate limit state of an unknown format (tag {0:#04x})")]
    UnknownFormat(u8),
    /// The bytes end inside a field or go on behind the last one.
    #[error("rate limit state of the wrong length")]
    Length,
    /// The fields contradict each other or are not in their shortest form.
    #[error("rate limit state is inconsistent: {0}")]
    Inconsistent(&'static str),
    /// There is no room for another hold.
    #[error("rate limit has too many holds at once")]
    Full,
    /// An id or a label is empty or too long.
    #[error("id of a hold must have from 1 to {} bytes", held::MAX_ID_BYTES)]
    Name,
}

/// Checks that `state` is exactly what this crate would have written: fields
/// agree with each other, and encoding what was decoded gives the same bytes.
/// An empty state is valid (absent).
///
/// # Errors
/// [`StateError`] with the first thing that is wrong.
pub fn validate(state: &[u8]) -> Result<(), StateError> {
    let Some(&tag) = state.first() else { return Ok(()) };
    match algorithm(tag)? {
        Algorithm::Sliding => sliding::validate(state),
        Algorithm::Fixed => fixed::validate(state),
        Algorithm::Gcra => gcra::validate(state),
        Algorithm::Log => log::validate(state),
        Algorithm::Conc => held::validate(state),
    }
}

/// `state` if `wanted` wrote it, empty if another algorithm did: a rule that
/// changes its algorithm starts afresh, because counts, windows and arrival
/// times do not translate into each other.
pub(crate) fn of_algorithm(state: &[u8], wanted: Algorithm) -> Result<&[u8], StateError> {
    match state.first() {
        None => Ok(state),
        Some(&tag) if algorithm(tag)? == wanted => Ok(state),
        Some(_) => Ok(&[]),
    }
}

/// The tag byte of a format with its low nibble.
pub(crate) const fn tag(algorithm: Algorithm, widths: u8) -> u8 {
    let format = match algorithm {
        Algorithm::Sliding => 1,
        Algorithm::Fixed => 2,
        Algorithm::Gcra => 3,
        Algorithm::Log => 4,
        Algorithm::Conc => 5,
    };
    format << 4 | widths
}

fn algorithm(tag: u8) -> Result<Algorithm, StateError> {
    match tag >> 4 {
        1 => Ok(Algorithm::Sliding),
        2 => Ok(Algorithm::Fixed),
        3 => Ok(Algorithm::Gcra),
        4 => Ok(Algorithm::Log),
        5 => Ok(Algorithm::Conc),
        _ => Err(StateError::UnknownFormat(tag)),
    }
}

/// The code of the narrowest count field that holds `number`: 1, 2, 4 or 8 bytes.
pub(crate) const fn count_code(number: u64) -> u8 {
    match number {
        0..=0xff => 0,
        0x100..=0xffff => 1,
        0x1_0000..=0xffff_ffff => 2,
        _ => 3,
    }
}

/// Splits the first `width` bytes off as a number.
#[inline]
pub(crate) fn split(bytes: &[u8], width: usize) -> Result<(u64, &[u8]), StateError> {
    let (field, rest) = bytes.split_at_checked(width).ok_or(StateError::Length)?;
    Ok((load(field), rest))
}

/// A little-endian field of one of the widths in use.
#[inline]
pub(crate) fn load(field: &[u8]) -> u64 {
    match *field {
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f] => u64::from_le_bytes([a, b, c, d, e, f, 0, 0]),
        [a, b, c, d, e, f, g, h] => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => 0, // No other width is ever asked for.
    }
}

/// Overwrites a field; what does not fit its width is cut off.
#[inline]
pub(crate) fn store(field: &mut [u8], number: u64) {
    let [a, b, c, d, e, f, g, h] = number.to_le_bytes();
    match field {
        [to] => *to = a,
        [..] if field.len() == 2 => field.copy_from_slice(&[a, b]),
        [..] if field.len() == 4 => field.copy_from_slice(&[a, b, c, d]),
        [..] if field.len() == 6 => field.copy_from_slice(&[a, b, c, d, e, f]),
        [..] if field.len() == 8 => field.copy_from_slice(&[a, b, c, d, e, f, g, h]),
        _ => {} // No other width is ever asked for.
    }
}

/// Appends a field of 1, 2, 4, 6 or 8 bytes.
#[inline]
pub(crate) fn append(bytes: &mut Vec<u8>, number: u64, width: usize) {
    let le = number.to_le_bytes();
    match width {
        1 => bytes.push(le[0]),
        2 => bytes.extend_from_slice(&le[..2]),
        4 => bytes.extend_from_slice(&le[..4]),
        6 => bytes.extend_from_slice(&le[..6]),
        _ => bytes.extend_from_slice(&le),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_they_were_written() {
        for (width, number) in
            [(1, 0xfe), (2, 0xfedc), (4, 0xfedc_ba98), (6, MAX_NOW_MS - 1), (8, u64::MAX - 1)]
        {
            let mut bytes = vec![7];
            append(&mut bytes, number, width);
            assert_eq!(bytes.len(), 1 + width);
            assert_eq!(load(&bytes[1..]), number);
            store(&mut bytes[1..], number / 3);
            assert_eq!(split(&bytes[1..], width), Ok((number / 3, &[][..])));
            assert_eq!(split(&bytes[2..], width), Err(StateError::Length));
        }
    }

    #[test]
    fn a_tag_names_its_algorithm_and_nothing_else_does() {
        let known = [
            (1, Algorithm::Sliding),
            (2, Algorithm::Fixed),
            (3, Algorithm::Gcra),
            (4, Algorithm::Log),
            (5, Algorithm::Conc),
        ];
        for (format, name) in known {
            assert_eq!(tag(name, 0), format << 4);
            assert_eq!(algorithm(tag(name, 0xf)), Ok(name));
        }
        for byte in (0..=u8::MAX).filter(|byte| !(1..=5).contains(&(byte >> 4))) {
            assert_eq!(validate(&[byte]), Err(StateError::UnknownFormat(byte)));
        }
    }

    #[test]
    fn absent_is_valid() {
        assert_eq!(validate(&[]), Ok(()));
    }
}
