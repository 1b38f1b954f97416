//! Texts back to back in one allocation, as the small forms of the collections store them.
//!
//! An item is a tag, then what the tag announces. Every text has exactly one encoding, and no
//! encoding opens another, so two texts are equal when their encodings are.
//!
//! | tag | item |
//! |---|---|
//! | 0 to 79 | a text of that many bytes follows |
//! | 80 | two bytes of length (little endian), then the text |
//! | 81 | eight bytes of length (little endian), then the text |
//! | 82 to 89 | a canonical decimal integer, one to eight bytes (little endian, signed) |
//! | 128 to 255 | the integers 0 to 127 |
//!
//! Redis' listpack spends one byte more on each item, for walking backwards. Tags 90 to 127 are
//! free; the expiry time of a hash field is to become one. Left out on purpose: validation. What
//! is read here was written here; foreign bytes (DUMP payloads, files) are decoded elsewhere
//! and come in as texts.

use std::borrow::Cow;
use std::ops::Deref;

use super::number::parse_integer;

/// The longest text whose length is its tag.
const SHORT: usize = 79;
const TAG_LENGTH_16: u8 = 80;
const TAG_LENGTH_64: u8 = 81;
/// The tag of an integer of `n` bytes is this plus `n`.
const TAG_INTEGER: u8 = 81;
const TAG_INTEGER_8: u8 = TAG_INTEGER + 8;
/// The tag of an integer below 128 is this plus the integer.
const TAG_SMALL: u8 = 128;

/// Bytes of the longest head: a tag with a length or an integer of 64 bits.
const HEAD: usize = 9;

/// Digits of the longest integer, its sign included.
const DIGITS: usize = 20;

/// A text as an item: a head of our own, then bytes of the caller's.
#[derive(Debug, Clone, Copy)]
pub struct Encoded<'a> {
    head: [u8; HEAD],
    head_len: u8,
    body: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// The item for `text`.
    #[inline]
    pub fn new(text: &'a [u8]) -> Self {
        if let Some(integer) = parse_integer(text) {
            return Encoded::integer(integer);
        }
        let len = text.len();
        if len <= SHORT {
            return Encoded::with_head(len as u8, &[], text);
        }
        match u16::try_from(len) {
            Ok(len) => Encoded::with_head(TAG_LENGTH_16, &len.to_le_bytes(), text),
            Err(_) => Encoded::with_head(TAG_LENGTH_64, &(len as u64).to_le_bytes(), text),
        }
    }

    fn integer(integer: i64) -> Self {
        if (0..128).contains(&integer) {
            return Encoded::with_head(TAG_SMALL + integer as u8, &[], &[]);
        }
        // The bits that differ from the sign, and the sign.
        let bits = 65 - (integer ^ (integer >> 63)).leading_zeros();
        let bytes = bits.div_ceil(8) as u8;
        Encoded::with_head(TAG_INTEGER + bytes, &integer.to_le_bytes()[..usize::from(bytes)], &[])
    }

    fn with_head(tag: u8, rest: &[u8], body: &'a [u8]) -> Self {
        let mut head = [0; HEAD];
        head[0] = tag;
        head[1..=rest.len()].copy_from_slice(rest);
        Encoded { head, head_len: rest.len() as u8 + 1, body }
    }

    /// Bytes of the item.
    pub fn size(&self) -> usize {
        usize::from(self.head_len) + self.body.len()
    }

    /// Whether this very item stands at the front of `bytes`.
    #[inline]
    pub fn opens(&self, bytes: &[u8]) -> bool {
        bytes.first() == Some(&self.head[0])
            && bytes[1..].starts_with(&self.head[1..usize::from(self.head_len)])
            && bytes[usize::from(self.head_len)..].starts_with(self.body)
    }

    /// Writes the item over the first `len` bytes of `target`.
    pub fn write(&self, target: &mut [u8]) {
        let (head, body) = target.split_at_mut(usize::from(self.head_len));
        head.copy_from_slice(&self.head[..usize::from(self.head_len)]);
        body[..self.body.len()].copy_from_slice(self.body);
    }

    /// Adds the item at the end of `target`.
    pub fn append(&self, target: &mut Vec<u8>) {
        target.extend_from_slice(&self.head[..usize::from(self.head_len)]);
        target.extend_from_slice(self.body);
    }
}

/// Where the item at `at` ends.
#[inline]
pub fn end(bytes: &[u8], at: usize) -> usize {
    let (head, body) = measure(bytes, at);
    at + head + body
}

/// The text of the item at `at`, and where the item ends.
#[inline]
pub fn read(bytes: &[u8], at: usize) -> (Text<'_>, usize) {
    let tag = bytes[at];
    let (head, body) = measure(bytes, at);
    let start = at + head;
    let text = if tag >= TAG_SMALL {
        Text::integer(i64::from(tag - TAG_SMALL))
    } else if tag > TAG_LENGTH_64 {
        Text::integer(signed(&bytes[at + 1..start]))
    } else {
        Text(Form::Stored(&bytes[start..start + body]))
    };
    (text, start + body)
}

/// Bytes of an item's head (an integer is all head), and of the text behind it.
#[inline]
fn measure(bytes: &[u8], at: usize) -> (usize, usize) {
    match bytes[at] {
        tag if usize::from(tag) <= SHORT => (1, usize::from(tag)),
        TAG_LENGTH_16 => (3, unsigned(&bytes[at + 1..at + 3])),
        TAG_LENGTH_64 => (9, unsigned(&bytes[at + 1..at + 9])),
        tag @ ..=TAG_INTEGER_8 => (1 + usize::from(tag - TAG_INTEGER), 0),
        _ => (1, 0),
    }
}

fn unsigned(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte))
}

fn signed(bytes: &[u8]) -> i64 {
    let last = bytes.len() - 1;
    let high = i64::from(bytes[last] as i8);
    bytes[..last].iter().rev().fold(high, |value, byte| value << 8 | i64::from(*byte))
}

/// A text that was read: bytes where they are stored, or the digits of a stored integer.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a>(Form<'a>);

#[derive(Debug, Clone, Copy)]
enum Form<'a> {
    Stored(&'a [u8]),
    Digits([u8; DIGITS], u8),
}

impl Text<'_> {
    fn integer(integer: i64) -> Self {
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(integer).as_bytes();
        let mut digits = [0; DIGITS];
        digits[..text.len()].copy_from_slice(text);
        Text(Form::Digits(digits, text.len() as u8))
    }
}

impl<'a> Text<'a> {
    /// The text, by itself.
    pub fn into_cow(self) -> Cow<'a, [u8]> {
        match self.0 {
            Form::Stored(bytes) => Cow::Borrowed(bytes),
            Form::Digits(digits, len) => Cow::Owned(digits[..usize::from(len)].to_vec()),
        }
    }
}

impl Deref for Text<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Stored(bytes) => bytes,
            Form::Digits(digits, len) => &digits[..usize::from(*len)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(text: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        Encoded::new(text).append(&mut bytes);
        assert_eq!(bytes.len(), Encoded::new(text).size());
        bytes
    }

    fn reads_back(text: &[u8]) {
        let mut bytes = encode(text);
        let len = bytes.len();
        bytes.extend_from_slice(b"behind");
        assert!(Encoded::new(text).opens(&bytes));
        assert_eq!(end(&bytes, 0), len);
        let (read, end) = read(&bytes, 0);
        assert_eq!(&*read, text);
        assert_eq!(end, len);
        let mut over = vec![0; len + 1];
        Encoded::new(text).write(&mut over);
        assert_eq!(over[..len], bytes[..len]);
    }

    proptest! {
        #[test]
        fn texts_read_back(text in prop::collection::vec(any::<u8>(), 0..300)) {
            reads_back(&text);
        }

        #[test]
        fn integers_read_back(integer in any::<i64>(), shift in 0u32..64) {
            reads_back((integer >> shift).to_string().as_bytes());
        }

        #[test]
        fn no_item_opens_another(a in "[0-9a]{0,4}", b in "[0-9a]{0,4}") {
            prop_assert_eq!(Encoded::new(a.as_bytes()).opens(&encode(b.as_bytes())), a == b);
        }
    }

    #[test]
    fn every_border() {
        for len in [0, 1, 79, 80, 81, 255, 256, 65_535, 65_536, 70_000] {
            reads_back(&vec![b'x'; len]);
        }
        for shift in 0..64 {
            for near in -2..=2 {
                let integer = (1i64 << shift).wrapping_add(near);
                reads_back(integer.to_string().as_bytes());
                reads_back(integer.wrapping_neg().to_string().as_bytes());
            }
        }
        for text in ["-0", "00", "+1", "01", "9223372036854775808", "-", "1.0"] {
            reads_back(text.as_bytes());
        }
    }

    #[test]
    fn no_item_is_larger_than_its_listpack_entry() {
        for (text, bytes) in [("7", 1), ("127", 1), ("128", 3), ("-1", 2), ("65535", 4), ("abc", 4)]
        {
            assert_eq!(encode(text.as_bytes()).len(), bytes, "{text}");
        }
    }
}
