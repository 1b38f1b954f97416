//! The bytes of a small collection, behind a head that is its owner's.
//!
//! The keyspace keeps a small collection in one allocation with its key and expiry: the head is
//! theirs, and a collection neither reads nor changes it. What lies behind is the collection's.
//! Left out on purpose: spare capacity; a small collection is as large as what it holds.

/// See the module's description. The default has neither head nor contents, and no allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blob {
    bytes: Box<[u8]>,
    head: usize,
}

impl Blob {
    /// Bytes whose first `head` are the owner's.
    pub fn behind(bytes: Box<[u8]>, head: usize) -> Blob {
        debug_assert!(head <= bytes.len());
        Blob { bytes, head }
    }

    /// Head and contents.
    pub fn into_bytes(self) -> Box<[u8]> {
        self.bytes
    }

    /// The head.
    pub fn head(&self) -> &[u8] {
        &self.bytes[..self.head]
    }

    /// The contents.
    #[inline]
    pub fn contents(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    /// The contents, to be written over in place.
    #[inline]
    pub fn contents_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.head..]
    }

    /// Whether there are no contents.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == self.head
    }

    /// Bytes of the allocation.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Makes the contents from `start` to `end` `len` bytes long, and answers those, which the
    /// caller writes: what is in them is unspecified.
    pub fn splice(&mut self, start: usize, end: usize, len: usize) -> &mut [u8] {
        let (start, end) = (self.head + start, self.head + end);
        if end - start != len {
            let mut bytes = std::mem::take(&mut self.bytes).into_vec();
            let old = bytes.len();
            let new = old - (end - start) + len;
            if new > old {
                bytes.reserve_exact(new - old);
                bytes.resize(new, 0);
            }
            bytes.copy_within(end..old, start + len);
            bytes.truncate(new);
            self.bytes = bytes.into_boxed_slice();
        }
        &mut self.bytes[start..start + len]
    }

    /// Drops the contents; the head stays.
    pub fn clear(&mut self) {
        self.splice(0, self.bytes.len() - self.head, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn splices_as_a_vector_and_keeps_its_head(
            head in prop::collection::vec(any::<u8>(), 0..9),
            steps in prop::collection::vec((0usize..50, 0usize..50, 0usize..20), 0..40),
        ) {
            let mut blob = Blob::behind(head.clone().into(), head.len());
            let mut model: Vec<u8> = Vec::new();
            for (step, (a, b, len)) in steps.into_iter().enumerate() {
                let (a, b) = (a.min(model.len()), b.min(model.len()));
                let (start, end) = (a.min(b), a.max(b));
                blob.splice(start, end, len).fill(step as u8);
                model.splice(start..end, std::iter::repeat_n(step as u8, len));
                prop_assert_eq!(blob.contents(), &model[..]);
                prop_assert_eq!(blob.head(), &head[..]);
                prop_assert_eq!(blob.heap_bytes(), head.len() + model.len());
            }
            blob.clear();
            prop_assert!(blob.is_empty());
            prop_assert_eq!(blob.into_bytes(), head.into());
        }
    }
}
