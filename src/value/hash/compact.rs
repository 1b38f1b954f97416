//! The small form of a hash: one allocation.
//!
//! The count of the pairs in two bytes (little endian), then the pairs in the order of their
//! insertion, each a field and a value as `packed` items. A lookup walks, which for the sizes
//! that `HashLimits` allows is as quick as hashing. Left out on
//! purpose: any spare capacity.

use super::super::packed::{self, Encoded, Text};

/// Bytes of the count.
const HEADER: usize = 2;

/// More bytes than this become a table whatever the limits say, as in Redis
/// (`LISTPACK_MAX_SAFETY_LIMIT`).
const LARGEST: usize = 1 << 30;

/// See the module's description. Without an allocation while it has never had a pair.
#[derive(Debug, Clone, Default)]
pub(super) struct Compact(Box<[u8]>);

/// Where a pair starts, where its value does, and where it ends.
struct Place {
    start: usize,
    value: usize,
    end: usize,
}

impl Compact {
    /// For tests: the allocation as it is to stand.
    #[cfg(test)]
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        Compact(bytes.into_boxed_slice())
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.0.first_chunk().map_or(0, |count| usize::from(u16::from_le_bytes(*count)))
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.0.len()
    }

    /// Whether a new pair could be counted and stored.
    pub(super) fn has_room(&self, field: &Encoded<'_>, value: &Encoded<'_>) -> bool {
        self.len() < usize::from(u16::MAX)
            && self.0.len() + HEADER + field.size() + value.size() <= LARGEST
    }

    #[inline]
    pub(super) fn get(&self, field: &Encoded<'_>) -> Option<Text<'_>> {
        self.find(field).map(|place| packed::read(&self.0, place.value).0)
    }

    /// Sets a field that there is room for; answers whether it is new.
    pub(super) fn set(&mut self, field: &Encoded<'_>, value: &Encoded<'_>) -> bool {
        if let Some(place) = self.find(field) {
            self.splice(place.value, place.end, value.size());
            value.write(&mut self.0[place.value..]);
            return false;
        }
        let mut bytes = std::mem::take(&mut self.0).into_vec();
        let header = HEADER.saturating_sub(bytes.len());
        bytes.reserve_exact(header + field.size() + value.size());
        bytes.resize(bytes.len() + header, 0);
        field.append(&mut bytes);
        value.append(&mut bytes);
        self.0 = bytes.into_boxed_slice();
        self.set_len(self.len() + 1);
        true
    }

    pub(super) fn remove(&mut self, field: &Encoded<'_>) -> bool {
        let Some(place) = self.find(field) else { return false };
        self.splice(place.start, place.end, 0);
        self.set_len(self.len() - 1);
        true
    }

    /// Every pair as texts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Text<'_>, Text<'_>)> {
        self.places().map(|place| {
            let (field, _) = packed::read(&self.0, place.start);
            (field, packed::read(&self.0, place.value).0)
        })
    }

    /// Every field, with its pair as it is stored.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (Text<'_>, &[u8])> {
        self.places().map(|place| {
            let (field, _) = packed::read(&self.0, place.start);
            (field, &self.0[place.start..place.end])
        })
    }

    #[inline]
    fn find(&self, field: &Encoded<'_>) -> Option<Place> {
        self.places().find(|place| field.opens(&self.0[place.start..]))
    }

    #[inline]
    fn places(&self) -> impl Iterator<Item = Place> {
        let mut start = HEADER;
        std::iter::from_fn(move || {
            if start >= self.0.len() {
                return None;
            }
            let value = packed::end(&self.0, start);
            let place = Place { start, value, end: packed::end(&self.0, value) };
            start = place.end;
            Some(place)
        })
    }

    /// Makes what lies from `start` to `end` `len` bytes long, without saying what is there.
    fn splice(&mut self, start: usize, end: usize, len: usize) {
        if end - start == len {
            return;
        }
        let mut bytes = std::mem::take(&mut self.0).into_vec();
        let old = bytes.len();
        let new = old - (end - start) + len;
        if new > old {
            bytes.reserve_exact(new - old);
            bytes.resize(new, 0);
        }
        bytes.copy_within(end..old, start + len);
        bytes.truncate(new);
        self.0 = bytes.into_boxed_slice();
    }

    fn set_len(&mut self, len: usize) {
        // `has_room` has seen to it that the count fits.
        self.0[..HEADER].copy_from_slice(&(len as u16).to_le_bytes());
    }
}
