//! What listpacks, ziplists and zipmaps have in common: a walk over checked bytes.

use super::error::Broken;
use super::number::decimal;

/// A field, value or other element of a packed collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element<'a> {
    Text(&'a [u8]),
    Number(i64),
}

impl Element<'_> {
    pub(super) fn to_vec(self) -> Vec<u8> {
        match self {
            Self::Text(bytes) => bytes.to_vec(),
            Self::Number(value) => decimal(value),
        }
    }
}

/// A position in a packed collection, which is complete: running out of bytes is an error.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Bytes that have not been taken.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (taken, _) = self.bytes[self.at..]
            .split_at_checked(count)
            .ok_or(Broken { at: self.at, expected: "more bytes" })?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (taken, _) = self.bytes[self.at..]
            .split_first_chunk::<N>()
            .ok_or(Broken { at: self.at, expected: "more bytes" })?;
        self.at += N;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Broken> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u16_le(&mut self) -> Result<u16, Broken> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// 32 bits as a count of bytes.
    pub(super) fn u32_le(&mut self) -> Result<usize, Broken> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    /// A header's claim about how many bytes there are in all.
    pub(super) fn total(&mut self) -> Result<(), Broken> {
        let at = self.at;
        if self.u32_le()? != self.bytes.len() {
            return Err(Broken { at, expected: "the number of bytes there are" });
        }
        Ok(())
    }

    /// The end byte has been taken: it must have been the last.
    pub(super) fn end(&self) -> Result<(), Broken> {
        if self.at != self.bytes.len() {
            return Err(Broken { at: self.at, expected: "nothing after the end byte" });
        }
        Ok(())
    }
}

/// A header's claim about how many elements there are.
pub(super) struct Due {
    /// Still to come; `None` if the header cannot tell.
    left: Option<u16>,
    /// Where the claim stands.
    at: usize,
}

impl Due {
    pub(super) fn new(left: Option<u16>, at: usize) -> Self {
        Self { left, at }
    }

    /// Another element has come.
    pub(super) fn one(&mut self) -> Result<(), Broken> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or(Self::broken(self.at))?;
        }
        Ok(())
    }

    /// No other element has come.
    pub(super) fn end(&self) -> Result<(), Broken> {
        match self.left {
            Some(1..) => Err(Self::broken(self.at)),
            _ => Ok(()),
        }
    }

    fn broken(at: usize) -> Broken {
        Broken { at, expected: "the number of elements there are" }
    }
}

/// A number of 24 bits with a sign, little endian.
pub(super) fn i24([a, b, c]: [u8; 3]) -> i64 {
    i64::from(i32::from_le_bytes([0, a, b, c]) >> 8)
}
