//! A position in bytes that may end in the middle of anything.
//!
//! Decoders read as if everything were there; where it is not, [`Stop::More`] unwinds them and
//! they are asked again once more bytes have come. [`Cursor::keep`] marks how far nothing has
//! to be read again, and between two marks only lengths are looked at, never contents: that
//! makes a stream in tiny pieces cost the same as one in large ones.

use super::code;
use super::error::{Error, ErrorKind};
use super::string::RawString;
use super::value::Limits;

/// Why a decoder stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The bytes end here so far.
    More,
    /// The bytes are wrong.
    Bad(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Bad(error)
    }
}

/// A length byte and what belongs to it.
enum Length {
    Plain(u64),
    /// The low six bits say how a string is encoded.
    Encoded(u8),
}

/// A reading position, with the offset of its first byte in the stream.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    kept: usize,
    base: u64,
}

impl<'a> Cursor<'a> {
    /// `base` is the offset of `bytes` in the stream.
    pub(super) fn new(bytes: &'a [u8], base: u64) -> Self {
        Self { bytes, at: 0, kept: 0, base }
    }

    /// The offset of the next byte in the stream.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Nothing before this point is needed again.
    pub(super) fn keep(&mut self) {
        self.kept = self.at;
    }

    /// How many bytes are not needed again.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let (taken, _) = self.bytes[self.at..].split_at_checked(count).ok_or(Stop::More)?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let (taken, _) = self.bytes[self.at..].split_first_chunk::<N>().ok_or(Stop::More)?;
        self.at += N;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Stop> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn i32_le(&mut self) -> Result<i32, Stop> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64_le(&mut self) -> Result<u64, Stop> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A length of 6, 14, 32 or 64 bits, where a string encoding would be wrong.
    pub(super) fn length(&mut self) -> Result<u64, Stop> {
        let offset = self.offset();
        match self.any_length()? {
            Length::Plain(length) => Ok(length),
            Length::Encoded(_) => Err(Error::expected(offset, "a length").into()),
        }
    }

    fn any_length(&mut self) -> Result<Length, Stop> {
        let offset = self.offset();
        let first = self.byte()?;
        let low = first & 0x3f;
        Ok(match (first >> 6, first) {
            (0, _) => Length::Plain(u64::from(low)),
            (1, _) => Length::Plain((u64::from(low) << 8) | u64::from(self.byte()?)),
            (2, 0x80) => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
            (2, 0x81) => Length::Plain(u64::from_be_bytes(self.array()?)),
            (2, _) => return Err(Error::expected(offset, "a length byte").into()),
            _ => Length::Encoded(low),
        })
    }

    /// A length of `what`, at most `limit`.
    pub(super) fn limited(&mut self, what: &'static str, limit: u64) -> Result<u64, Stop> {
        let offset = self.offset();
        within(offset, what, self.length()?, limit)
    }

    /// A string in whatever encoding; its contents are not looked at yet.
    pub(super) fn string(&mut self, limits: &Limits) -> Result<RawString<'a>, Stop> {
        let offset = self.offset();
        let encoding = match self.any_length()? {
            Length::Plain(length) => {
                let length = string_length(offset, length, limits)?;
                return Ok(RawString::Plain(self.take(length)?));
            }
            Length::Encoded(encoding) => encoding,
        };
        match encoding {
            code::ENC_INT8 => Ok(RawString::Integer(i8::from_le_bytes(self.array()?).into())),
            code::ENC_INT16 => Ok(RawString::Integer(i16::from_le_bytes(self.array()?).into())),
            code::ENC_INT32 => Ok(RawString::Integer(self.i32_le()?)),
            code::ENC_LZF => {
                let packed = string_length(offset, self.length()?, limits)?;
                let length = string_length(offset, self.length()?, limits)?;
                Ok(RawString::Lzf { offset, packed: self.take(packed)?, length })
            }
            _ => Err(Error::expected(offset, "a string encoding").into()),
        }
    }
}

fn string_length(offset: u64, length: u64, limits: &Limits) -> Result<usize, Stop> {
    const WHAT: &str = "a string";
    let length = within(offset, WHAT, length, limits.string_bytes)?;
    // Only a limit above the address space gets here.
    usize::try_from(length).map_err(|_| {
        let kind = ErrorKind::Limit { what: WHAT, found: length, limit: usize::MAX as u64 };
        Error::new(offset, kind).into()
    })
}

fn within(offset: u64, what: &'static str, found: u64, limit: u64) -> Result<u64, Stop> {
    if found > limit {
        return Err(Error::new(offset, ErrorKind::Limit { what, found, limit }).into());
    }
    Ok(found)
}
