//! Texts in an order, back to back: what a collection decodes to.
//!
//! Each stands behind its length, so a collection of a million short texts takes little more
//! than it took in the file, and not an allocation for each.

use std::fmt;

/// See the module's description.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Texts {
    bytes: Vec<u8>,
    len: usize,
}

impl Texts {
    /// Adds a text behind the last.
    pub fn push(&mut self, text: &[u8]) {
        let mut length = text.len();
        // Seven bits a byte, the lowest first; the top bit says that more follow.
        while length >= 0x80 {
            self.bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        self.bytes.push(length as u8);
        self.bytes.extend_from_slice(text);
        self.len += 1;
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every text.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (mut length, mut shift) = (0, 0);
            loop {
                let (byte, behind) = rest.split_first()?;
                rest = behind;
                length |= usize::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
                shift += 7;
            }
            let (text, behind) = rest.split_at_checked(length)?;
            rest = behind;
            Some(text)
        })
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for Texts {
    fn from_iter<I: IntoIterator<Item = T>>(iter: I) -> Self {
        let mut texts = Texts::default();
        iter.into_iter().for_each(|text| texts.push(text.as_ref()));
        texts
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.iter().map(|text| text.escape_ascii().to_string());
        f.debug_list().entries(shown).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn read_back(texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20)) {
            let packed: Texts = texts.iter().collect();
            prop_assert_eq!(packed.len(), texts.len());
            prop_assert_eq!(packed.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), texts);
        }
    }

    #[test]
    fn lengths_of_every_width() {
        let texts = [0, 1, 127, 128, 16_383, 16_384, 70_000].map(|length| vec![b'x'; length]);
        let packed: Texts = texts.iter().collect();
        assert!(packed.iter().eq(texts.iter().map(Vec::as_slice)));
        assert_eq!(format!("{:?}", ["a\n"].iter().collect::<Texts>()), r#"["a\\n"]"#);
    }
}
