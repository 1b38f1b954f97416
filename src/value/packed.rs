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
//! | 90 | six bytes (little endian) of the unix millisecond at which the item behind it expires |
//! | 91, 92 | no item: what lies in front of items, see `items` |
//! | 93 to 127 | the prefix that the items around share, then 0 to 34 bytes more |
//! | 128 to 255 | the integers 0 to 127 |
//!
//! Items that lie together may share a prefix, which is kept in front of them (`items` does
//! that): then every text that begins with it and is short enough, and no integer, leaves it
//! away. An item that stands alone shares none.
//!
//! A double is an integer item, so that it too has one encoding, whoever writes it anew: see
//! `Encoded::double`. Only its place tells it from an integer.
//!
//! Redis' listpack spends one byte more on each item, for walking backwards. Left out on
//! purpose: validation. What is read here was written here; foreign bytes (DUMP payloads,
//! files) are decoded elsewhere and come in as texts.

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
/// The tag of a moment, which belongs to the item behind it.
pub(super) const TAG_EXPIRY: u8 = 90;
/// In front of items: one byte of length, and the prefix that they share.
pub(super) const TAG_PREFIX: u8 = 91;
/// In front of items: a moment, the soonest at which one of them expires.
pub(super) const TAG_SOONEST: u8 = 92;
/// The tag of a text that shares the prefix is this plus the bytes that follow.
const TAG_SHARED: u8 = 93;
/// The tag of an integer below 128 is this plus the integer.
const TAG_SMALL: u8 = 128;

/// Bytes of a moment and its tag.
pub(super) const MOMENT: usize = 7;
/// The last moment there is, in the year 10889; Redis' commands end at a quarter of it.
const LAST_MOMENT: u64 = (1 << 48) - 1;

/// The longest prefix that items share.
pub(super) const PREFIX: usize = 24;
/// The most bytes that follow the prefix.
pub(super) const SHARED_REST: usize = (TAG_SMALL - TAG_SHARED - 1) as usize;
/// The longest text that is put together when it is read.
const JOINED: usize = PREFIX + SHARED_REST;

/// Bytes of the longest head: a tag with a length or an integer of 64 bits.
const HEAD: usize = 9;

/// Bytes of an item by its tag, where that is all that counts.
const SIZES: [u8; 256] = {
    let mut sizes = [1; 256];
    let mut tag = 0;
    while tag < TAG_SMALL as usize {
        sizes[tag] = match tag as u8 {
            text @ 0..TAG_LENGTH_16 => 1 + text,
            TAG_LENGTH_16 | TAG_LENGTH_64 => 0,
            integer @ ..=TAG_INTEGER_8 => 1 + integer - TAG_INTEGER,
            shared @ TAG_SHARED.. => 1 + shared - TAG_SHARED,
            _ => 0,
        };
        tag += 1;
    }
    sizes
};

/// Whole numbers below this are doubles as they are.
const WHOLE: u64 = 1 << 51;

/// Half of the number of NaNs.
const NANS: u64 = 1 << 52;

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

    /// The item for the digits of an integer.
    #[inline]
    pub fn integer(integer: i64) -> Self {
        if (0..128).contains(&integer) {
            return Encoded::with_head(TAG_SMALL + integer as u8, &[], &[]);
        }
        // The bits that differ from the sign, and the sign.
        let bits = 65 - (integer ^ (integer >> 63)).leading_zeros();
        let bytes = bits.div_ceil(8) as u8;
        Encoded::with_head(TAG_INTEGER + bytes, &integer.to_le_bytes()[..usize::from(bytes)], &[])
    }

    /// The item for a double that is not NaN; `double` reads it back, bit by bit.
    ///
    /// A whole number below 2^51 is itself. Any other double is its bits, the sign last, plus
    /// 2^52: the NaNs, which have all bits of the exponent set, would wrap around and lie where
    /// the whole numbers are, so nothing else does.
    #[inline]
    pub fn double(value: f64) -> Self {
        let whole = value as i64;
        let is_whole = whole as f64 == value && (whole != 0 || value.is_sign_positive());
        if is_whole && whole.unsigned_abs() < WHOLE {
            return Encoded::integer(whole);
        }
        Encoded::integer(value.to_bits().rotate_left(1).wrapping_add(NANS).cast_signed())
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

    /// The text, unless it is an integer or shares a prefix.
    pub(super) fn text(&self) -> Option<&'a [u8]> {
        (self.head[0] <= TAG_LENGTH_64).then_some(self.body)
    }

    /// The same text among items that share `prefix`, which may be empty.
    #[inline]
    pub(super) fn sharing(self, prefix: &[u8]) -> Self {
        if prefix.is_empty() || usize::from(self.head[0]) > SHORT {
            return self;
        }
        match self.body.strip_prefix(prefix) {
            Some(rest) if rest.len() <= SHARED_REST => {
                Encoded::with_head(TAG_SHARED + rest.len() as u8, &[], rest)
            }
            _ => self,
        }
    }

    /// Whether this very item stands at the front of `bytes`.
    #[inline]
    pub fn opens(&self, bytes: &[u8]) -> bool {
        let head = &self.head[..usize::from(self.head_len)];
        // Names of a kind differ at their ends, so most are told apart without a comparison.
        let last = self.body.last().unwrap_or(&head[head.len() - 1]);
        bytes.first() == Some(&head[0])
            && bytes.get(self.size() - 1) == Some(last)
            && bytes.starts_with(head)
            && bytes[head.len()..].starts_with(self.body)
    }

    /// Whether the item is a tag and nothing else: an integer from 0 to 127.
    pub fn is_one_byte(&self) -> bool {
        is_one_byte(self.head[0])
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

/// Whether an item of this tag is the tag and nothing else, which no other tag says.
#[inline]
pub fn is_one_byte(tag: u8) -> bool {
    tag >= TAG_SMALL
}

/// Where the item at `at` ends.
#[inline]
pub fn end(bytes: &[u8], at: usize) -> usize {
    match SIZES[usize::from(bytes[at])] {
        0 => long_end(bytes, at),
        size => at + usize::from(size),
    }
}

#[cold]
fn long_end(bytes: &[u8], at: usize) -> usize {
    if bytes[at] == TAG_EXPIRY {
        return end(bytes, at + MOMENT);
    }
    let (start, len) = long(bytes, at);
    start + len
}

/// Where the item at `at` begins behind the moment that may stand in front of it.
#[inline]
pub(super) fn body(bytes: &[u8], at: usize) -> usize {
    if bytes[at] == TAG_EXPIRY { at + MOMENT } else { at }
}

/// The moment at `at`, if one stands there.
#[inline]
pub(super) fn moment(bytes: &[u8], at: usize) -> Option<u64> {
    let is = matches!(bytes[at], TAG_EXPIRY | TAG_SOONEST);
    is.then(|| unsigned(&bytes[at + 1..at + MOMENT]) as u64)
}

/// A moment with its tag; one that is too late becomes the last there is.
pub(super) fn moment_bytes(tag: u8, moment: u64) -> [u8; MOMENT] {
    let mut bytes = [tag; MOMENT];
    bytes[1..].copy_from_slice(&moment.min(LAST_MOMENT).to_le_bytes()[..MOMENT - 1]);
    bytes
}

/// Where the text of an item begins that tells its length, and that length.
fn long(bytes: &[u8], at: usize) -> (usize, usize) {
    let start = at + if bytes[at] == TAG_LENGTH_16 { 3 } else { 9 };
    (start, unsigned(&bytes[at + 1..start]))
}

/// The text of the item at `at`, which stands alone, and where the item ends.
#[inline]
pub fn read(bytes: &[u8], at: usize) -> (Text<'_>, usize) {
    read_shared(bytes, at, &[])
}

/// The text of the item at `at`, one of items that share `prefix`, and where the item ends.
#[inline]
pub(super) fn read_shared<'a>(bytes: &'a [u8], at: usize, prefix: &[u8]) -> (Text<'a>, usize) {
    let at = body(bytes, at);
    let tag = bytes[at];
    let end = end(bytes, at);
    let text = match tag {
        0..TAG_LENGTH_16 => Text(Form::Stored(&bytes[at + 1..end])),
        TAG_SMALL.. => Text::integer(i64::from(tag - TAG_SMALL)),
        TAG_SHARED.. => Text::joined(prefix, &bytes[at + 1..end]),
        TAG_LENGTH_16 | TAG_LENGTH_64 => Text(Form::Stored(&bytes[long(bytes, at).0..end])),
        _ => Text::integer(signed(&bytes[at + 1..end])),
    };
    (text, end)
}

/// The double of the item at `at`, which was written as one.
#[inline]
pub fn double(bytes: &[u8], at: usize) -> f64 {
    let tag = bytes[at];
    if tag >= TAG_SMALL {
        return f64::from(tag - TAG_SMALL);
    }
    let integer = signed(&bytes[at + 1..end(bytes, at)]);
    if integer.unsigned_abs() < WHOLE {
        return integer as f64;
    }
    f64::from_bits(integer.cast_unsigned().wrapping_sub(NANS).rotate_right(1))
}

fn unsigned(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte))
}

fn signed(bytes: &[u8]) -> i64 {
    let last = bytes.len() - 1;
    let high = i64::from(bytes[last] as i8);
    bytes[..last].iter().rev().fold(high, |value, byte| value << 8 | i64::from(*byte))
}

/// A text that was read: bytes where they are stored, or put together from what is stored.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a>(Form<'a>);

#[derive(Debug, Clone, Copy)]
enum Form<'a> {
    Stored(&'a [u8]),
    /// The digits of an integer, or a prefix and what follows it.
    Made([u8; JOINED], u8),
}

impl Text<'_> {
    /// No bytes.
    pub const EMPTY: Self = Text(Form::Stored(&[]));

    /// The digits of an integer.
    pub fn integer(integer: i64) -> Self {
        let mut buffer = itoa::Buffer::new();
        Text::joined(&[], buffer.format(integer).as_bytes())
    }

    #[inline]
    fn joined(prefix: &[u8], rest: &[u8]) -> Self {
        let len = prefix.len() + rest.len();
        let mut bytes = [0; JOINED];
        bytes[..prefix.len()].copy_from_slice(prefix);
        bytes[prefix.len()..len].copy_from_slice(rest);
        Text(Form::Made(bytes, len as u8))
    }
}

impl<'a> Text<'a> {
    /// The text, by itself.
    pub fn into_cow(self) -> Cow<'a, [u8]> {
        match self.0 {
            Form::Stored(bytes) => Cow::Borrowed(bytes),
            Form::Made(bytes, len) => Cow::Owned(bytes[..usize::from(len)].to_vec()),
        }
    }
}

impl Deref for Text<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Stored(bytes) => bytes,
            Form::Made(bytes, len) => &bytes[..usize::from(*len)],
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
        fn doubles_read_back(bits in any::<u64>(), whole in any::<i64>(), shift in 0u32..64) {
            let whole = (whole >> shift) as f64;
            for value in [f64::from_bits(bits), f64::from_bits(bits >> shift), whole, whole / 8.0] {
                if !value.is_nan() {
                    double_reads_back(value);
                }
            }
        }

        #[test]
        fn no_item_opens_another(a in "[0-9a]{0,4}", b in "[0-9a]{0,4}") {
            prop_assert_eq!(Encoded::new(a.as_bytes()).opens(&encode(b.as_bytes())), a == b);
        }
    }

    proptest! {
        #[test]
        fn shared_prefixes_read_back(
            prefix in "[a-c]{1,3}|[0-9]{1,2}|x{22,24}",
            rest in "[a-c0-9]{0,3}|y{33,36}",
            cut in 0usize..5,
        ) {
            let text = [&prefix.as_bytes()[cut.min(prefix.len())..], rest.as_bytes()].concat();
            let item = Encoded::new(&text).sharing(prefix.as_bytes());
            let mut bytes = Vec::new();
            item.append(&mut bytes);
            prop_assert!(item.size() == bytes.len() && item.size() <= Encoded::new(&text).size());
            let (read, end) = read_shared(&bytes, 0, prefix.as_bytes());
            prop_assert_eq!(&*read, &text[..]);
            prop_assert_eq!(end, bytes.len());
        }
    }

    fn double_reads_back(value: f64) {
        let mut bytes = vec![7];
        Encoded::double(value).append(&mut bytes);
        let len = bytes.len();
        bytes.push(7);
        assert_eq!(end(&bytes, 1), len);
        assert_eq!(double(&bytes, 1).to_bits(), value.to_bits(), "{value}");
        // Read as a text and written again, it is the same.
        let (text, _) = read(&bytes, 1);
        assert_eq!(encode(&text), bytes[1..len], "{value}");
    }

    #[test]
    fn doubles_of_every_kind() {
        let (huge, tiny) = (f64::MAX, f64::from_bits(1));
        for value in [0.0, 1.0, 127.0, 128.0, 0.1, 1.5, huge, tiny, 1e306, f64::INFINITY] {
            double_reads_back(value);
            double_reads_back(-value);
        }
        for near in -3..=3 {
            for power in 45..56 {
                double_reads_back(((1i64 << power) + near) as f64);
                double_reads_back((-(1i64 << power) + near) as f64);
            }
        }
        for (value, bytes) in [(0.0, 1), (100.0, 1), (1e6, 4), (0.1, 9), (f64::INFINITY, 8)] {
            assert_eq!(Encoded::double(value).size(), bytes, "{value}");
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
