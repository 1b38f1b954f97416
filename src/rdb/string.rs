//! Strings: keys, fields and values; plain, as a number, or compressed.

use std::borrow::Cow;

use super::code;
use super::error::Error;
use super::lzf;
use super::number::{canonical, decimal};
use super::write::{Compression, Encode, write_length};

/// Redis does not try to compress what is no longer than this.
const INCOMPRESSIBLE: usize = 20;
/// Compression must save at least this many bytes to be kept.
const SAVING: usize = 4;
/// The longest decimal that fits 32 bits, `-2147483648`.
const INTEGER_TEXT: usize = 11;

/// A string value.
#[derive(Debug, Clone, Copy)]
pub struct StringValue<'a>(
    /// The bytes.
    pub &'a [u8],
);

impl Encode for StringValue<'_> {
    fn type_byte(&self) -> u8 {
        code::TYPE_STRING
    }

    fn encode(self, out: &mut Vec<u8>, compression: Compression) {
        write_string(out, self.0, compression);
    }
}

/// A string value that is kept as a number.
#[derive(Debug, Clone, Copy)]
pub struct IntegerValue(
    /// The number that the string is the decimal of.
    pub i64,
);

impl Encode for IntegerValue {
    fn type_byte(&self) -> u8 {
        code::TYPE_STRING
    }

    fn encode(self, out: &mut Vec<u8>, _: Compression) {
        if !write_integer(out, self.0) {
            let text = DecimalBuffer::of(self.0);
            write_plain(out, text.as_bytes());
        }
    }
}

/// A decimal without memory of its own: numbers are written by the million.
struct DecimalBuffer {
    text: [u8; 20],
    start: usize,
}

impl DecimalBuffer {
    fn of(value: i64) -> Self {
        let mut buffer = Self { text: [0; 20], start: 20 };
        let mut rest = value.unsigned_abs();
        loop {
            // The remainder of ten fits a byte.
            buffer.push(b'0' + (rest % 10) as u8);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            buffer.push(b'-');
        }
        buffer
    }

    fn push(&mut self, byte: u8) {
        self.start -= 1;
        self.text[self.start] = byte;
    }

    fn as_bytes(&self) -> &[u8] {
        &self.text[self.start..]
    }
}

/// Appends a string in the shortest form: as a number, compressed, or plain.
pub(super) fn write_string(out: &mut Vec<u8>, bytes: &[u8], compression: Compression) {
    if bytes.len() <= INTEGER_TEXT
        && let Some(value) = canonical(bytes)
        && write_integer(out, value)
    {
        return;
    }
    let compressed = match compression {
        Compression::Lzf if bytes.len() > INCOMPRESSIBLE => write_compressed(out, bytes),
        Compression::Lzf | Compression::None => false,
    };
    if !compressed {
        write_plain(out, bytes);
    }
}

/// Appends a string as it is.
pub(super) fn write_plain(out: &mut Vec<u8>, bytes: &[u8]) {
    write_length(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a number in 8, 16 or 32 bits; `false`, and nothing appended, if it needs more.
fn write_integer(out: &mut Vec<u8>, value: i64) -> bool {
    const MARK: u8 = 0xc0;
    if let Ok(value) = i8::try_from(value) {
        out.push(MARK | code::ENC_INT8);
        out.extend_from_slice(&value.to_le_bytes());
    } else if let Ok(value) = i16::try_from(value) {
        out.push(MARK | code::ENC_INT16);
        out.extend_from_slice(&value.to_le_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(MARK | code::ENC_INT32);
        out.extend_from_slice(&value.to_le_bytes());
    } else {
        return false;
    }
    true
}

/// Appends a compressed string; `false`, and nothing appended, if that does not save enough.
fn write_compressed(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let start = out.len();
    if !lzf::compress(bytes, out, bytes.len() - SAVING) {
        return false;
    }
    // The compressed length goes in front and is known only now: append the head, then
    // rotate it before the data, which costs a move but no second buffer.
    let packed = out.len() - start;
    out.push(0xc0 | code::ENC_LZF);
    write_length(out, packed as u64);
    write_length(out, bytes.len() as u64);
    out[start..].rotate_left(packed);
    true
}

/// A string whose bytes are all there but not looked at yet.
#[derive(Debug, Clone, Copy)]
pub(super) enum RawString<'a> {
    Plain(&'a [u8]),
    Integer(i32),
    Lzf { offset: u64, packed: &'a [u8], length: usize },
}

impl<'a> RawString<'a> {
    /// The string's bytes, borrowed where they stand in the input as they are.
    pub(super) fn bytes(self) -> Result<Cow<'a, [u8]>, Error> {
        match self {
            Self::Plain(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::Integer(value) => Ok(Cow::Owned(decimal(value.into()))),
            Self::Lzf { offset, packed, length } => lzf::decompress(packed, length)
                .map(Cow::Owned)
                .ok_or_else(|| Error::expected(offset, "LZF data of the declared lengths")),
        }
    }

    /// The string's bytes, owned.
    pub(super) fn into_vec(self) -> Result<Vec<u8>, Error> {
        self.bytes().map(Cow::into_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::super::cursor::Cursor;
    use super::super::value::Limits;
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Vec<u8> {
        Cursor::new(bytes, 0).string(&Limits::default()).unwrap().into_vec().unwrap()
    }

    fn written(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_string(&mut out, bytes, Compression::Lzf);
        out
    }

    #[test]
    fn takes_the_shortest_form() {
        assert_eq!(written(b"-128"), [0xc0, 0x80]);
        assert_eq!(written(b"128"), [0xc1, 0x80, 0]);
        assert_eq!(written(b"-32769"), [0xc2, 0xff, 0x7f, 0xff, 0xff]);
        assert_eq!(written(b"2147483648")[0], 10);
        assert_eq!(written(b"007"), [3, b'0', b'0', b'7']);
        assert_eq!(written(&[b'a'; 20])[0], 20);
        assert_eq!(written(&[b'a'; 21])[0], 0xc3);
        assert_eq!(written(&[b'a'; 1000])[..5], [0xc3, 14, 0x43, 0xe8, 0]);
    }

    #[test]
    fn numbers_read_back_as_their_decimals() {
        for value in [0, -1, 127, 128, -32768, 32768, i64::from(i32::MIN), 1 << 40, i64::MIN] {
            let mut out = Vec::new();
            IntegerValue(value).encode(&mut out, Compression::None);
            assert_eq!(read(&out), decimal(value));
            assert_eq!(out, written(&decimal(value)));
        }
    }

    proptest! {
        #[test]
        fn round_trip(bytes in proptest::collection::vec(0u8..4, 0..400)) {
            prop_assert_eq!(read(&written(&bytes)), bytes);
        }
    }
}
