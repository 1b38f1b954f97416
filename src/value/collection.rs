//! What the collections have in common: a small form and a large one.
//!
//! A small collection is bytes, which lie in one allocation with whatever its owner keeps in
//! front of them (see `blob`). Past the thresholds that CONFIG names it becomes a structure of
//! its own, and never small again, as in Redis. Each type is a large form `L`, with its methods
//! on `Collection<L>` (to change) and `CollectionRef<L>` (to read).

use super::blob::Blob;

/// A collection of its own, to change. The default is small and empty.
#[derive(Debug, Clone)]
pub struct Collection<L> {
    /// The owner's head, and the contents as long as the collection is small.
    pub(super) blob: Blob,
    /// The large form, once the collection has outgrown the small one.
    pub(super) large: Option<Box<L>>,
}

/// A collection to read.
#[derive(Debug)]
pub enum CollectionRef<'a, L> {
    /// The contents of a blob.
    Small(&'a [u8]),
    /// The large form.
    Large(&'a L),
}

impl<L> Clone for CollectionRef<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for CollectionRef<'_, L> {}

impl<L> Default for Collection<L> {
    fn default() -> Self {
        Collection { blob: Blob::default(), large: None }
    }
}

impl<L> Collection<L> {
    /// An empty collection; it allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a collection apart from what its owner keeps: a blob whose contents are the small
    /// form, unless there is a large one, and then they are empty.
    pub fn open(blob: Blob, large: Option<Box<L>>) -> Self {
        Collection { blob, large }
    }

    /// What `open` was given, as it is now.
    pub fn close(self) -> (Blob, Option<Box<L>>) {
        (self.blob, self.large)
    }

    /// To read.
    #[inline]
    pub fn as_ref(&self) -> CollectionRef<'_, L> {
        match &self.large {
            Some(large) => CollectionRef::Large(large),
            None => CollectionRef::Small(self.blob.contents()),
        }
    }

    /// Makes it large, if it is not yet: `grow` makes the large form of the small one's contents.
    pub(super) fn grow(&mut self, grow: impl FnOnce(&[u8]) -> L) -> &mut L {
        let blob = &mut self.blob;
        self.large.get_or_insert_with(|| {
            let large = Box::new(grow(blob.contents()));
            blob.clear();
            large
        })
    }
}
