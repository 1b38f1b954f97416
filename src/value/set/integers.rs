//! Integers in ascending order in a blob: the form of a set that holds nothing else.
//!
//! The contents are two bytes of head, the width and a mark, then the integers, little endian,
//! each as wide as the widest has ever had to be: 2, 4 or 8 bytes. `items` never begins with the
//! mark, because a set leaves the form of items before it has so many. Looking for an integer
//! halves the rest at each step; a change moves what lies behind it.

use crate::value::blob::Blob;

/// Bytes of the head.
const HEAD: usize = 2;

/// The second byte of the head, where a blob of items has the high byte of its count.
const MARK: u8 = 0xff;

/// So many items a blob may have and not be taken for integers.
pub(super) const ITEMS: usize = ((MARK as usize) << 8) - 1;

/// The width of the narrowest integers.
const NARROWEST: u8 = 2;

/// Integers to read.
#[derive(Debug, Clone, Copy)]
pub struct Integers<'a> {
    width: u8,
    bytes: &'a [u8],
}

impl<'a> Integers<'a> {
    /// The integers in the contents of a blob; none when they are items. A blob that is empty
    /// is both.
    #[inline]
    pub fn of(contents: &'a [u8]) -> Option<Integers<'a>> {
        match contents {
            [width, MARK, bytes @ ..] => Some(Integers { width: *width, bytes }),
            [] => Some(Integers { width: NARROWEST, bytes: &[] }),
            _ => None,
        }
    }

    /// Bytes of each: 2, 4 or 8.
    pub fn width(self) -> u8 {
        self.width
    }

    /// The integers as they are stored.
    pub fn stored(self) -> &'a [u8] {
        self.bytes
    }

    /// How many there are.
    #[inline]
    pub fn len(self) -> usize {
        match self.width {
            2 => self.bytes.len() / 2,
            4 => self.bytes.len() / 4,
            _ => self.bytes.len() / 8,
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// The integer at an index, which is below `len`.
    #[inline]
    pub fn at(self, index: usize) -> i64 {
        match self.width {
            2 => i16::from_le_bytes(array(self.bytes, index)).into(),
            4 => i32::from_le_bytes(array(self.bytes, index)).into(),
            _ => i64::from_le_bytes(array(self.bytes, index)),
        }
    }

    /// Every integer, ascending.
    pub fn iter(self) -> impl ExactSizeIterator<Item = i64> {
        (0..self.len()).map(move |index| self.at(index))
    }

    /// The index of an integer, or where it would stand.
    #[inline]
    pub fn search(self, integer: i64) -> Result<usize, usize> {
        match self.width {
            2 => find(self.bytes, integer, |bytes| i16::from_le_bytes(bytes).into()),
            4 => find(self.bytes, integer, |bytes| i32::from_le_bytes(bytes).into()),
            _ => find(self.bytes, integer, i64::from_le_bytes),
        }
    }
}

fn find<const N: usize>(
    bytes: &[u8],
    integer: i64,
    read: impl Fn([u8; N]) -> i64,
) -> Result<usize, usize> {
    let (places, _) = bytes.as_chunks::<N>();
    places.binary_search_by(|place| read(*place).cmp(&integer))
}

fn array<const N: usize>(bytes: &[u8], index: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[index * N..index * N + N]);
    array
}

/// The width of an integer: 2, 4 or 8 bytes.
fn width_of(integer: i64) -> u8 {
    if i16::try_from(integer).is_ok() {
        2
    } else if i32::try_from(integer).is_ok() {
        4
    } else {
        8
    }
}

/// Adds an integer at the index that `search` has named. The blob holds integers, or nothing.
pub(super) fn insert(blob: &mut Blob, index: usize, integer: i64) {
    let width = width_of(integer);
    if blob.is_empty() {
        blob.splice(0, 0, HEAD).copy_from_slice(&[width, MARK]);
    }
    let old = blob.contents()[0];
    if old < width {
        widen(blob, width);
    }
    let width = usize::from(old.max(width));
    let at = HEAD + index * width;
    put(blob.splice(at, at, width), integer);
}

/// Makes integers, which ascend, the contents of a blob that has none.
pub(super) fn fill(blob: &mut Blob, ascending: &[i64]) {
    let (Some(first), Some(last)) = (ascending.first(), ascending.last()) else { return };
    let width = width_of(*first).max(width_of(*last));
    let target = blob.splice(0, 0, HEAD + ascending.len() * usize::from(width));
    target[..HEAD].copy_from_slice(&[width, MARK]);
    let places = target[HEAD..].chunks_exact_mut(usize::from(width));
    places.zip(ascending).for_each(|(place, integer)| put(place, *integer));
}

/// Takes out the integer at an index.
pub(super) fn remove(blob: &mut Blob, index: usize) {
    let width = usize::from(blob.contents()[0]);
    let at = HEAD + index * width;
    blob.splice(at, at + width, 0);
}

/// Makes all integers `width` bytes wide.
fn widen(blob: &mut Blob, width: u8) {
    let len = blob.contents().len();
    let integers: Vec<i64> =
        Integers::of(blob.contents()).into_iter().flat_map(Integers::iter).collect();
    let target = blob.splice(0, len, HEAD + integers.len() * usize::from(width));
    target[..HEAD].copy_from_slice(&[width, MARK]);
    let places = target[HEAD..].chunks_exact_mut(usize::from(width));
    places.zip(integers).for_each(|(place, integer)| put(place, integer));
}

fn put(place: &mut [u8], integer: i64) {
    let width = place.len();
    place.copy_from_slice(&integer.to_le_bytes()[..width]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn integer() -> impl Strategy<Value = i64> {
        (any::<i64>(), 48u32..64).prop_map(|(integer, shift)| integer >> shift)
    }

    proptest! {
        #[test]
        fn behave_as_an_ordered_set(
            steps in prop::collection::vec((any::<bool>(), integer()), 0..100),
            wide in prop::option::of((0usize..100, any::<i64>())),
        ) {
            let mut blob = Blob::behind(b"head".as_slice().into(), 4);
            let mut model = BTreeSet::new();
            let mut widest = 2;
            for (step, (add, mut value)) in steps.into_iter().enumerate() {
                if let Some((at, large)) = wide && at == step {
                    value = large;
                }
                let found = Integers::of(blob.contents()).unwrap().search(value);
                prop_assert_eq!(found.is_ok(), model.contains(&value));
                match (add, found) {
                    (true, Err(at)) => {
                        insert(&mut blob, at, value);
                        model.insert(value);
                        widest = widest.max(width_of(value));
                    }
                    (false, Ok(at)) => {
                        remove(&mut blob, at);
                        model.remove(&value);
                    }
                    _ => {}
                }
                let integers = Integers::of(blob.contents()).unwrap();
                prop_assert_eq!(integers.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!((integers.len(), integers.width()), (model.len(), widest));
                // Redis' intset has eight bytes in front.
                prop_assert!(blob.contents().len() <= 8 + model.len() * usize::from(widest));
            }
            prop_assert_eq!(blob.head(), b"head");
        }
    }

    #[test]
    fn every_border_reads_back() {
        let borders = [0, -1, 1, i16::MIN.into(), i16::MAX.into(), 1 << 15, -(1 << 15) - 1];
        let wide = [i32::MIN.into(), i32::MAX.into(), 1 << 31, -(1 << 31) - 1, i64::MIN, i64::MAX];
        let mut blob = Blob::default();
        for integer in borders.into_iter().chain(wide) {
            let at = Integers::of(blob.contents()).unwrap().search(integer).unwrap_err();
            insert(&mut blob, at, integer);
            assert!(Integers::of(blob.contents()).unwrap().search(integer).is_ok());
        }
        let integers = Integers::of(blob.contents()).unwrap();
        assert_eq!((integers.len(), integers.width()), (13, 8));
        assert!(integers.iter().is_sorted());
    }
}
