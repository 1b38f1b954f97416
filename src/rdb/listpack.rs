//! Listpacks: small collections as one run of bytes, as Redis 7 keeps and stores them.
//!
//! Six bytes of header (total bytes, elements), the elements, one end byte. An element is a
//! code byte, its data, and its own length backwards, so that it can be walked from either
//! end. Numbers are stored as numbers, so they read back as their decimals.
//!
//! Left out on purpose: changing a listpack in place. This is the format, not the value.

use super::error::Broken;
use super::number::canonical;
use super::packed::{Due, Element, Walk, i24};

/// Total bytes (32 bits) and elements (16 bits), both little endian.
const HEADER: usize = 6;
const END: u8 = 0xff;
/// The header's element count cannot tell: count by walking.
const UNCOUNTED: u16 = u16::MAX;
/// Redis refuses to grow a listpack beyond this many bytes.
const MOST_BYTES: usize = 1 << 30;
/// The most that an element takes besides its string: code and length, length backwards.
const OVERHEAD: usize = 5 + 5;

/// A listpack does not take another element of this size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a listpack holds at most {MOST_BYTES} bytes")]
pub struct Full;

/// A listpack that is being written, reusable for one value after another.
#[derive(Debug, Clone)]
pub struct Listpack {
    bytes: Vec<u8>,
    count: usize,
}

impl Listpack {
    /// An empty listpack.
    #[must_use]
    pub fn new() -> Self {
        let mut listpack = Self { bytes: Vec::new(), count: 0 };
        listpack.clear();
        listpack
    }

    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&[0; HEADER]);
        self.count = 0;
        self.finish();
    }

    /// Appends an element; strings that are decimals of 64-bit numbers become numbers.
    ///
    /// # Errors
    ///
    /// [`Full`] if the listpack would exceed 1 GiB; it is unchanged then.
    pub fn push(&mut self, element: &[u8]) -> Result<(), Full> {
        if element.len() > MOST_BYTES - OVERHEAD
            || self.bytes.len() + element.len() + OVERHEAD > MOST_BYTES
        {
            return Err(Full);
        }
        self.bytes.pop(); // The end byte.
        let start = self.bytes.len();
        match canonical(element) {
            Some(value) => push_number(&mut self.bytes, value),
            None => push_text(&mut self.bytes, element),
        }
        let length = self.bytes.len() - start;
        push_backwards(&mut self.bytes, length);
        self.count += 1;
        self.finish();
        Ok(())
    }

    /// Elements in it.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The whole listpack.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Sets the end byte and the header.
    fn finish(&mut self) {
        self.bytes.push(END);
        // At most `MOST_BYTES`, so the total fits.
        let total = self.bytes.len() as u32;
        let count = u16::try_from(self.count).unwrap_or(UNCOUNTED);
        self.bytes[..4].copy_from_slice(&total.to_le_bytes());
        self.bytes[4..HEADER].copy_from_slice(&count.to_le_bytes());
    }
}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

fn push_number(out: &mut Vec<u8>, value: i64) {
    let bytes = value.to_le_bytes();
    match value {
        0..=127 => out.push(bytes[0]),
        -4096..=4095 => out.extend_from_slice(&[0xc0 | (bytes[1] & 0x1f), bytes[0]]),
        -0x8000..=0x7fff => push_coded(out, 0xf1, &bytes[..2]),
        -0x80_0000..=0x7f_ffff => push_coded(out, 0xf2, &bytes[..3]),
        -0x8000_0000..=0x7fff_ffff => push_coded(out, 0xf3, &bytes[..4]),
        _ => push_coded(out, 0xf4, &bytes),
    }
}

fn push_coded(out: &mut Vec<u8>, code: u8, data: &[u8]) {
    out.push(code);
    out.extend_from_slice(data);
}

/// `text` is at most `MOST_BYTES` long.
fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    let bytes = (text.len() as u32).to_le_bytes();
    match text.len() {
        0..64 => out.push(0x80 | bytes[0]),
        64..4096 => out.extend_from_slice(&[0xe0 | bytes[1], bytes[0]]),
        _ => push_coded(out, 0xf0, &bytes),
    }
    out.extend_from_slice(text);
}

/// Appends an element's length so that it is read from its last byte towards its first.
fn push_backwards(out: &mut Vec<u8>, length: usize) {
    let size = backwards_size(length);
    out.extend((0..size).map(|i| backwards(length, size, i)));
}

/// Byte `i` of the `size` that tell `length`: seven bits each, the high ones first, and all
/// but the first say that there is more in front of them.
fn backwards(length: usize, size: usize, i: usize) -> u8 {
    let more = if i == 0 { 0 } else { 0x80 };
    (length >> (7 * (size - 1 - i)) & 0x7f) as u8 | more
}

/// Bytes that [`push_backwards`] takes: one for each seven bits.
fn backwards_size(length: usize) -> usize {
    match length {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        0x20_0000..=0xfff_ffff => 4,
        _ => 5,
    }
}

/// The elements of a listpack, each checked before it is given out.
pub(super) struct Elements<'a> {
    walk: Walk<'a>,
    due: Due,
}

impl<'a> Elements<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut walk = Walk::new(bytes);
        walk.total()?;
        let at = walk.at();
        let count = walk.u16_le()?;
        let due = Due::new((count != UNCOUNTED).then_some(count), at);
        Ok(Self { walk, due })
    }

    /// The next element, or `None` at a proper end.
    pub(super) fn next(&mut self) -> Result<Option<Element<'a>>, Broken> {
        let start = self.walk.at();
        let code = self.walk.byte()?;
        if code == END {
            self.walk.end()?;
            return self.due.end().map(|()| None);
        }
        let element = self.element(code, start)?;
        self.check_backwards(start)?;
        self.due.one()?;
        Ok(Some(element))
    }

    fn element(&mut self, code: u8, start: usize) -> Result<Element<'a>, Broken> {
        let walk = &mut self.walk;
        Ok(match code {
            0x00..=0x7f => Element::Number(code.into()),
            0x80..=0xbf => Element::Text(walk.take(usize::from(code & 0x3f))?),
            0xc0..=0xdf => {
                // Thirteen bits with a sign, shifted up and down again to extend it.
                let value = i16::from_be_bytes([code, walk.byte()?]);
                Element::Number((value << 3 >> 3).into())
            }
            0xe0..=0xef => {
                let length = usize::from(code & 0x0f) << 8 | usize::from(walk.byte()?);
                Element::Text(walk.take(length)?)
            }
            0xf0 => {
                let length = walk.u32_le()?;
                Element::Text(walk.take(length)?)
            }
            0xf1 => Element::Number(i16::from_le_bytes(walk.array()?).into()),
            0xf2 => Element::Number(i24(walk.array()?)),
            0xf3 => Element::Number(i32::from_le_bytes(walk.array()?).into()),
            0xf4 => Element::Number(i64::from_le_bytes(walk.array()?)),
            _ => return Err(Broken { at: start, expected: "an element" }),
        })
    }

    /// The element that began at `start` is followed by its length, backwards.
    fn check_backwards(&mut self, start: usize) -> Result<(), Broken> {
        let at = self.walk.at();
        let length = at - start;
        let size = backwards_size(length);
        let found = self.walk.take(size)?;
        let right = found.iter().enumerate().all(|(i, &byte)| byte == backwards(length, size, i));
        if right { Ok(()) } else { Err(Broken { at, expected: "the element's length backwards" }) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::number::decimal;
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Broken> {
        let mut elements = Elements::new(bytes)?;
        let mut out = Vec::new();
        while let Some(element) = elements.next()? {
            out.push(element.to_vec());
        }
        Ok(out)
    }

    fn packed(elements: &[Vec<u8>]) -> Listpack {
        let mut listpack = Listpack::new();
        for element in elements {
            listpack.push(element).unwrap();
        }
        listpack
    }

    #[test]
    fn is_laid_out_as_redis_lays_it_out() {
        let listpack = packed(&[b"a".to_vec(), b"5".to_vec(), b"-1".to_vec(), b"300".to_vec()]);
        let body = [0x81, b'a', 2, 5, 1, 0xdf, 0xff, 2, 0xc1, 0x2c, 2];
        let mut expected = vec![18, 0, 0, 0, 4, 0];
        expected.extend_from_slice(&body);
        expected.push(0xff);
        assert_eq!(listpack.as_bytes(), expected);
        assert_eq!(listpack.count(), 4);
    }

    #[test]
    fn every_width_reads_back() {
        let mut elements = Vec::new();
        for value in [0, 127, 128, 4095, 4096, 32767, 32768, 8_388_607, 8_388_608, i64::MAX] {
            elements.push(decimal(value));
            elements.push(decimal(!value));
            elements.push(decimal(value - 1));
        }
        for length in [0, 1, 63, 64, 125, 126, 127, 128, 4095, 4096, 16_381, 2_100_000] {
            elements.push(vec![b'x'; length]);
        }
        assert_eq!(read(packed(&elements).as_bytes()), Ok(elements));
    }

    #[test]
    fn clears_for_the_next_value_and_counts_beyond_the_header() {
        let mut listpack = packed(&vec![b"x".to_vec(); 70_000]);
        assert_eq!(listpack.as_bytes()[4..6], [0xff, 0xff]);
        assert_eq!(read(listpack.as_bytes()).unwrap().len(), 70_000);
        listpack.clear();
        assert_eq!(listpack.as_bytes(), [7, 0, 0, 0, 0, 0, 0xff]);
    }

    proptest! {
        #[test]
        fn round_trip(elements: Vec<Vec<u8>>) {
            prop_assert_eq!(read(packed(&elements).as_bytes()), Ok(elements));
        }

        #[test]
        fn a_cut_is_refused(elements in proptest::collection::vec("[0-9a-c]{0,9}", 1..9), cut in 0usize..100) {
            let elements: Vec<_> = elements.into_iter().map(String::into_bytes).collect();
            let listpack = packed(&elements);
            let whole = listpack.as_bytes();
            prop_assert!(read(&whole[..cut % whole.len()]).is_err());
        }

        #[test]
        fn a_flip_is_refused_or_read(elements: Vec<Vec<u8>>, at: usize, bit in 0..8) {
            let mut bytes = packed(&elements).as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1u8 << bit;
            let _ = read(&bytes);
        }
    }
}
