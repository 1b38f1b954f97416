//! What SCAN and HSCAN have in common: the cursor, the options, the filter.
//!
//! Left out on purpose: the iteration itself, which is the keyspace's and the hash's.

use super::Argv;
use super::args::{integer, is, next};
use crate::fault::Fault;
use crate::limits::PATTERN_BYTES;
use crate::resp::Reply;
use crate::value::glob;

/// How many elements a call visits that does not say it; Redis' default.
const COUNT: usize = 10;

/// The options behind the cursor.
#[derive(Debug)]
pub struct Options<'a> {
    pattern: Option<&'a [u8]>,
    /// How many elements to visit, at least 1.
    pub count: usize,
    /// The name of the only type that is wanted; SCAN alone takes it.
    pub kind: Option<&'a [u8]>,
    /// Whether the type follows each key: Upstash's WITHTYPE, on SCAN alone.
    pub with_kind: bool,
    /// Whether the value follows each field: unless NOVALUES says not, on HSCAN alone.
    pub with_values: bool,
}

/// Whether an iteration goes over keys, which have types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// SCAN.
    Keys,
    /// HSCAN.
    Fields,
    /// SSCAN, ZSCAN.
    Elements,
}

impl<'a> Options<'a> {
    /// Reads `MATCH pattern`, `COUNT count`, for keys `TYPE type` and `WITHTYPE`, for fields
    /// `NOVALUES`, in any order; of an option that is repeated the last one counts.
    ///
    /// # Errors
    /// `ERR syntax error`, a count that is no integer, a pattern that is too long.
    pub fn parse(arguments: Argv<'a>, subject: Subject) -> Result<Options<'a>, Fault> {
        let mut options = Options {
            pattern: None,
            count: COUNT,
            kind: None,
            with_kind: false,
            with_values: true,
        };
        let mut at = 0;
        while let Some(word) = arguments.get(at) {
            if is(word, "COUNT") {
                let count = integer(next(arguments, &mut at)?)?;
                let count = usize::try_from(count).ok().filter(|count| *count > 0);
                options.count = count.ok_or(Fault::SYNTAX)?;
            } else if is(word, "MATCH") {
                options.pattern = Some(pattern(next(arguments, &mut at)?)?);
            } else if is(word, "TYPE") && subject == Subject::Keys {
                options.kind = Some(next(arguments, &mut at)?);
            } else if is(word, "WITHTYPE") && subject == Subject::Keys {
                options.with_kind = true;
            } else if is(word, "NOVALUES") && subject == Subject::Fields {
                options.with_values = false;
            } else {
                return Err(Fault::SYNTAX);
            }
            at += 1;
        }
        Ok(options)
    }

    /// Whether an element of this name is wanted.
    pub fn wants(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, name))
    }
}

/// A pattern of a length that is safe to match.
///
/// # Errors
/// When it is longer than `PATTERN_BYTES`.
pub fn pattern(argument: &[u8]) -> Result<&[u8], Fault> {
    if argument.len() > PATTERN_BYTES {
        return Err(Fault::text(format!("ERR pattern is longer than {PATTERN_BYTES} bytes")));
    }
    Ok(argument)
}

/// A cursor, read as C's `strtoul` reads it: up to a zero byte; an empty one is 0, a negative
/// one wraps.
///
/// # Errors
/// `ERR invalid cursor`.
pub fn cursor(argument: &[u8]) -> Result<u64, Fault> {
    let text = argument.split(|byte| *byte == 0).next().unwrap_or_default();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        [] => return Ok(0),
        digits => (false, digits),
    };
    let value = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'));
    let value: u64 =
        value.and_then(|text| text.parse().ok()).ok_or(Fault::new("ERR invalid cursor"))?;
    Ok(if negative { value.wrapping_neg() } else { value })
}

/// Answers the cursor to go on with, and announces `length` elements that follow.
pub fn answer(cursor: u64, length: usize, reply: &mut dyn Reply) {
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    reply.array(length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_strtoul_does() {
        for (text, value) in [
            ("", Some(0)),
            ("0", Some(0)),
            ("007", Some(7)),
            ("+7", Some(7)),
            ("-1", Some(u64::MAX)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("+-1", None),
            ("++1", None),
            ("-+1", None),
            (" 1", None),
            ("1 ", None),
            ("x", None),
        ] {
            assert_eq!(cursor(text.as_bytes()).ok(), value, "{text}");
        }
    }
}
