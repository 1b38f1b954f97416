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
