//! Zipmaps: small hashes of Redis 2.4 and before.
//!
//! One byte of pairs (254 and above cannot tell), the pairs, one end byte. A pair is a length
//! and the field, a length, a byte of slack, the value and that many unused bytes. A length is
//! one byte below 254, or 254 and four bytes.
//!
//! Left out on purpose: writing them.

use super::error::Broken;
use super::packed::{Due, Element, Walk};

const LONG: u8 = 254;
const END: u8 = 255;

/// The pairs of a zipmap, each checked before it is given out.
pub(super) struct Pairs<'a> {
    walk: Walk<'a>,
    due: Due,
}

impl<'a> Pairs<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut walk = Walk::new(bytes);
        let count = walk.byte()?;
        let due = Due::new((count < LONG).then_some(count.into()), 0);
        Ok(Self { walk, due })
    }

    /// The next field and value, or `None` at a proper end.
    pub(super) fn next(&mut self) -> Result<Option<(Element<'a>, Element<'a>)>, Broken> {
        let Some(field) = self.length()? else {
            self.walk.end()?;
            return self.due.end().map(|()| None);
        };
        let field = self.walk.take(field)?;
        let at = self.walk.at();
        let value = self.length()?.ok_or(Broken { at, expected: "a value" })?;
        let slack = usize::from(self.walk.byte()?);
        let value = self.walk.take(value)?;
        self.walk.take(slack)?;
        self.due.one()?;
        Ok(Some((Element::Text(field), Element::Text(value))))
    }

    /// A length, or `None` for the end byte.
    fn length(&mut self) -> Result<Option<usize>, Broken> {
        Ok(match self.walk.byte()? {
            END => None,
            LONG => Some(self.walk.u32_le()?),
            short => Some(short.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pairs: "a" and "xy" with one byte of slack, "" and "z" with lengths of five bytes.
    const WHOLE: [u8; 21] =
        [2, 1, b'a', 2, 1, b'x', b'y', b'?', 254, 0, 0, 0, 0, 254, 1, 0, 0, 0, 0, b'z', 255];

    fn read(bytes: &[u8]) -> Result<Vec<[Vec<u8>; 2]>, Broken> {
        let mut pairs = Pairs::new(bytes)?;
        let mut out = Vec::new();
        while let Some((field, value)) = pairs.next()? {
            out.push([field.to_vec(), value.to_vec()]);
        }
        Ok(out)
    }

    #[test]
    fn reads_short_and_long_lengths_and_slack() {
        let expected = vec![[b"a".to_vec(), b"xy".to_vec()], [Vec::new(), b"z".to_vec()]];
        assert_eq!(read(&WHOLE), Ok(expected));
        assert_eq!(read(&[254, 255]), Ok(Vec::new()));
        assert_eq!(read(&[1, 255]).unwrap_err().expected, "the number of elements there are");
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
