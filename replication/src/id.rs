//! Names of histories: replication ids, and a place in one.
//!
//! A replication id names one history of effects. Two nodes that hold the same
//! id and the same offset hold the same data. A node that starts a history of
//! its own, or leaves one, draws a new id; the random bytes come from outside.
//!
//! Left out: epochs, which order the leaders of one history (failover).

use std::fmt;
use std::str::FromStr;

/// Length of a replication id as text, in hexadecimal digits (Redis' `CONFIG_RUN_ID_SIZE`).
pub const ID_HEX_LEN: usize = 40;

/// The name of one history of effects: 160 random bits, printed as 40 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicationId([u8; 20]);

impl ReplicationId {
    /// An id made of 20 random bytes.
    pub const fn from_random(random: [u8; 20]) -> Self {
        Self(random)
    }

    /// Reads 40 hex digits of either case, as Redis compares ids without case; `None` for
    /// anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != ID_HEX_LEN {
            return None;
        }
        let mut id = [0; 20];
        for (byte, pair) in id.iter_mut().zip(text.chunks_exact(2)) {
            *byte = (hex_digit(pair[0])? << 4) | hex_digit(pair[1])?;
        }
        Some(Self(id))
    }

    /// The id as its 40 hex digits in ASCII.
    pub fn to_hex(&self) -> [u8; ID_HEX_LEN] {
        to_hex(&self.0)
    }
}

impl fmt::Display for ReplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ReplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not 40 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a replication id is 40 hexadecimal digits")]
pub struct InvalidId;

impl FromStr for ReplicationId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::parse(text.as_bytes()).ok_or(InvalidId)
    }
}

/// A place in a history: everything before `offset` is held, nothing after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The history.
    pub id: ReplicationId,
    /// Bytes of the history that lie before this place. The wire's PSYNC counts from one: it
    /// asks for byte `offset + 1`.
    pub offset: u64,
}

/// Spells 20 bytes as 40 lower-case hex digits.
pub(crate) fn to_hex(bytes: &[u8; 20]) -> [u8; ID_HEX_LEN] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; ID_HEX_LEN];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_reads() {
        let text = "0123456789abcdef0123456789abcdefdeadbeef";
        let id: ReplicationId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(id.to_hex().as_slice(), text.as_bytes());
        assert_eq!(text.to_uppercase().parse(), Ok(id));
    }

    #[test]
    fn refuses_other_texts() {
        for text in ["", "?", &"g".repeat(40), &"a".repeat(39), &"a".repeat(41)] {
            assert_eq!(text.parse::<ReplicationId>(), Err(InvalidId), "{text}");
        }
    }
}
