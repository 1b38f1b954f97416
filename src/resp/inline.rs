//! Splits a line into arguments by Redis' quoting rules: inline requests and redis.conf.
//!
//! `"..."` knows `\n \r \t \b \a \xHH` and a backslash before anything else; `'...'` knows
//! only `\'`; a closing quote must be followed by a blank or the end. This is `sdssplitargs`.

use std::ops::Range;

use thiserror::Error;

/// A quote that is never closed, or is closed in the middle of a word.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("unbalanced quotes")]
pub struct UnbalancedQuotes;

/// Appends the arguments of `line`, unquoted, to `text`, and where each lies there to `ranges`.
///
/// # Errors
/// When quotes do not match; `text` and `ranges` then hold what came before.
pub fn split(
    line: &[u8],
    text: &mut Vec<u8>,
    ranges: &mut Vec<Range<usize>>,
) -> Result<(), UnbalancedQuotes> {
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let start = text.len();
        rest = word(rest, text)?;
        ranges.push(start..text.len());
        rest = rest.trim_ascii_start();
    }
    Ok(())
}

/// Takes one argument off the front of `rest`.
fn word<'a>(mut rest: &'a [u8], text: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    while let Some((byte, tail)) = rest.split_first() {
        match byte {
            b'"' => return closed(double_quoted(tail, text)?),
            b'\'' => return closed(single_quoted(tail, text)?),
            byte if byte.is_ascii_whitespace() || *byte == 0 => return Ok(tail),
            byte => {
                text.push(*byte);
                rest = tail;
            }
        }
    }
    Ok(rest)
}

/// What follows a closing quote must be a blank or the end.
fn closed(rest: &[u8]) -> Result<&[u8], UnbalancedQuotes> {
    match rest.first() {
        Some(byte) if !byte.is_ascii_whitespace() => Err(UnbalancedQuotes),
        _ => Ok(rest),
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], text: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        let (byte, tail) = match rest {
            [b'"', tail @ ..] => return Ok(tail),
            [b'\\', b'x', high, low, tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) << 4 | hex(*low), tail)
            }
            [b'\\', escaped, tail @ ..] => (unescape(*escaped), tail),
            [byte, tail @ ..] => (*byte, tail),
            [] => return Err(UnbalancedQuotes),
        };
        text.push(byte);
        rest = tail;
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], text: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        let (byte, tail) = match rest {
            [b'\'', tail @ ..] => return Ok(tail),
            [b'\\', b'\'', tail @ ..] => (b'\'', tail),
            [byte, tail @ ..] => (*byte, tail),
            [] => return Err(UnbalancedQuotes),
        };
        text.push(byte);
        rest = tail;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}
