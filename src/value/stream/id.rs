//! The id of an entry: a time in milliseconds, and a number within it.

use std::fmt;

use super::super::number::parse_integer;

/// More bytes than this are no id, whatever they say, as in Redis.
const TEXT_BYTES: usize = 127;

/// The id of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id {
    /// Unix milliseconds, if the server chose it; any number otherwise.
    pub ms: u64,
    /// The number within the millisecond.
    pub seq: u64,
}

impl Id {
    /// Below the id of every entry.
    pub const MIN: Id = Id { ms: 0, seq: 0 };
    /// The last id there is.
    pub const MAX: Id = Id { ms: u64::MAX, seq: u64::MAX };

    /// An id of its two parts.
    pub const fn new(ms: u64, seq: u64) -> Id {
        Id { ms, seq }
    }

    /// The id behind this one; `None` behind the last.
    pub fn next(self) -> Option<Id> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => Some(Id { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The id before this one; `None` before the first.
    pub fn previous(self) -> Option<Id> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => Some(Id { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// Reads `ms-seq`, or `ms` alone, to which `seq` is then added.
    pub fn parse(text: &[u8], seq: u64) -> Option<Id> {
        let (ms, given) = split(text)?;
        let seq = given.map_or(Some(seq), unsigned)?;
        Some(Id { ms: unsigned(ms)?, seq })
    }

    /// Reads the `ms` of `ms-*`.
    pub fn parse_open(text: &[u8]) -> Option<u64> {
        match split(text)? {
            (ms, Some(b"*")) => unsigned(ms),
            _ => None,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// The parts before and behind the first dash. As in Redis, a zero byte ends the text.
fn split(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if text.len() > TEXT_BYTES {
        return None;
    }
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(match text.iter().position(|byte| *byte == b'-') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    })
}

/// A number of 64 bits without a sign. What is no canonical integer is read as C's `strtoull`
/// reads it, since Redis does: blanks in front, a plus, zeros, and even a minus.
fn unsigned(text: &[u8]) -> Option<u64> {
    if let Some(value) = parse_integer(text) {
        return u64::try_from(value).ok();
    }
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for digit in digits {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_redis_reads_them() {
        for (text, id) in [
            ("5", Some((5, 7))),
            ("5-6", Some((5, 6))),
            ("0-0", Some((0, 0))),
            ("18446744073709551615-18446744073709551615", Some((u64::MAX, u64::MAX))),
            ("18446744073709551616", None),
            ("005-+6", Some((5, 6))),
            (" 5- 6", Some((5, 6))),
            ("5--01", Some((5, u64::MAX))),
            ("5--1", None),
            ("5\0x", Some((5, 7))),
            ("", None),
            ("-", None),
            ("-5", None),
            ("5-", None),
            ("5-*", None),
            ("5-6 ", None),
            ("x", None),
        ] {
            let id = id.map(|(ms, seq)| Id::new(ms, seq));
            assert_eq!(Id::parse(text.as_bytes(), 7), id, "{text:?}");
        }
        assert_eq!(Id::parse_open(b"5-*"), Some(5));
        assert_eq!(Id::parse_open(b"5-1"), None);
        assert_eq!(Id::parse_open(b"*-*"), None);
        assert_eq!(Id::parse(&[b'0'; 127], 0), Some(Id::MIN));
        assert_eq!(Id::parse(&[b'0'; 128], 0), None);
    }

    #[test]
    fn neighbours() {
        assert_eq!(Id::new(1, u64::MAX).next(), Some(Id::new(2, 0)));
        assert_eq!(Id::new(2, 0).previous(), Some(Id::new(1, u64::MAX)));
        assert_eq!(Id::MAX.next(), None);
        assert_eq!(Id::MIN.previous(), None);
        assert_eq!(Id::new(1, 2).to_string(), "1-2");
    }
}
