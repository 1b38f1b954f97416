//! Ziplists: what listpacks replaced; in files of versions 2 to 9.
//!
//! Ten bytes of header (total bytes, offset of the last element, elements), the elements, one
//! end byte. An element is the length of the one before it, a code byte, and its data.
//!
//! Left out on purpose: writing them.

use super::error::Broken;
use super::packed::{Due, Element, Walk, i24};

/// Bytes of header, and so the offset of the first element.
const HEADER: usize = 10;
const END: u8 = 0xff;
/// The header's element count cannot tell: count by walking.
const UNCOUNTED: u16 = u16::MAX;
/// The length before does not fit a byte; four bytes follow.
const LONG_BEFORE: u8 = 0xfe;

/// The elements of a ziplist, each checked before it is given out.
pub(super) struct Elements<'a> {
    walk: Walk<'a>,
    due: Due,
    /// Where the header says the last element starts.
    tail: usize,
    /// Start of the element before.
    before: usize,
}

impl<'a> Elements<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut walk = Walk::new(bytes);
        walk.total()?;
        let tail = walk.u32_le()?;
        let at = walk.at();
        let count = walk.u16_le()?;
        let due = Due::new((count != UNCOUNTED).then_some(count), at);
        Ok(Self { walk, due, tail, before: HEADER })
    }

    /// The next element, or `None` at a proper end.
    pub(super) fn next(&mut self) -> Result<Option<Element<'a>>, Broken> {
        let start = self.walk.at();
        let before = match self.walk.byte()? {
            END => return self.end().map(|()| None),
            LONG_BEFORE => self.walk.u32_le()?,
            short => short.into(),
        };
        if before != start - self.before {
            return Err(Broken { at: start, expected: "the length of the element before" });
        }
        let element = self.element()?;
        self.before = start;
        self.due.one()?;
        Ok(Some(element))
    }

    fn end(&self) -> Result<(), Broken> {
        self.walk.end()?;
        if self.tail != self.before {
            return Err(Broken { at: 4, expected: "the offset of the last element" });
        }
        self.due.end()
    }

    fn element(&mut self) -> Result<Element<'a>, Broken> {
        let walk = &mut self.walk;
        let at = walk.at();
        let code = walk.byte()?;
        let low = usize::from(code & 0x3f);
        Ok(match code {
            0x00..=0x3f => Element::Text(walk.take(low)?),
            0x40..=0x7f => {
                let length = low << 8 | usize::from(walk.byte()?);
                Element::Text(walk.take(length)?)
            }
            0x80..=0xbf => {
                let length = u32::from_be_bytes(walk.array()?) as usize;
                Element::Text(walk.take(length)?)
            }
            0xc0 => Element::Number(i16::from_le_bytes(walk.array()?).into()),
            0xd0 => Element::Number(i32::from_le_bytes(walk.array()?).into()),
            0xe0 => Element::Number(i64::from_le_bytes(walk.array()?)),
            0xf0 => Element::Number(i24(walk.array()?)),
            0xf1..=0xfd => Element::Number(i64::from(code) - 0xf1),
            0xfe => Element::Number(i8::from_le_bytes(walk.array()?).into()),
            _ => return Err(Broken { at, expected: "an element" }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Header, "a", 3, -1 as 8 bits, 300 as 16 bits, 70000 as 24 bits, "bc", end.
    const WHOLE: [u8; 36] = [
        36, 0, 0, 0, 31, 0, 0, 0, 6, 0, 0, 1, b'a', 3, 0xf4, 2, 0xfe, 0xff, 3, 0xc0, 0x2c, 1, 4,
        0xf0, 0x70, 0x11, 0x01, 254, 5, 0, 0, 0, 2, b'b', b'c', 0xff,
    ];

    fn read(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Broken> {
        let mut elements = Elements::new(bytes)?;
        let mut out = Vec::new();
        while let Some(element) = elements.next()? {
            out.push(element.to_vec());
        }
        Ok(out)
    }

    #[test]
    fn reads_every_kind_of_element() {
        // A length before may take five bytes where one would do: Redis leaves them so.
        let mut whole = WHOLE;
        whole[4] = 27;
        let expected: [&[u8]; 6] = [b"a", b"3", b"-1", b"300", b"70000", b"bc"];
        assert_eq!(read(&whole), Ok(expected.map(<[u8]>::to_vec).to_vec()));
        assert_eq!(read(&WHOLE).unwrap_err().expected, "the offset of the last element");
    }

    #[test]
    fn cuts_are_refused_and_flips_never_panic() {
        for cut in 0..WHOLE.len() {
            assert!(read(&WHOLE[..cut]).is_err());
        }
        for at in 0..WHOLE.len() {
            for byte in 0..=255 {
                let mut bytes = WHOLE;
                bytes[at] = byte;
                let _ = read(&bytes);
            }
        }
    }
}
