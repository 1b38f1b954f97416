//! Texts in order, one behind the other in a blob: the small form of the collections.
//!
//! The contents of the blob are two bytes of count (little endian), then the items as `packed`
//! encodes them; an empty blob has no items. A position is where an item begins. Collections of
//! pairs keep a pair as two items. Looking for something walks, and a change moves what lies
//! behind it: the thresholds that CONFIG names keep both short.
//!
//! Left out on purpose: what items mean, their order and their uniqueness.

use super::blob::Blob;
use super::packed::{self, Encoded, Text};

/// Bytes of the count.
const COUNT: usize = 2;

/// More bytes than this are not kept in one allocation whatever the thresholds say, as in Redis
/// (`LISTPACK_MAX_SAFETY_LIMIT`).
const LARGEST: usize = 1 << 30;

/// Items to read.
#[derive(Debug, Clone, Copy)]
pub struct Items<'a>(&'a [u8]);

impl<'a> Items<'a> {
    /// The items in the contents of a blob.
    #[inline]
    pub fn of(contents: &'a [u8]) -> Items<'a> {
        Items(contents)
    }

    /// How many there are.
    #[inline]
    pub fn len(self) -> usize {
        self.0.first_chunk().map_or(0, |count| usize::from(u16::from_le_bytes(*count)))
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The position of the first item.
    pub fn start(self) -> usize {
        COUNT.min(self.0.len())
    }

    /// The position behind the last item.
    #[inline]
    pub fn end(self) -> usize {
        self.0.len()
    }

    /// The item at a position, and the position of the next.
    #[inline]
    pub fn read(self, at: usize) -> (Text<'a>, usize) {
        packed::read(self.0, at)
    }

    /// The position behind the item at `at`.
    #[inline]
    pub fn skip(self, at: usize) -> usize {
        packed::end(self.0, at)
    }

    /// Whether `item` stands at a position.
    #[inline]
    pub fn is(self, at: usize, item: &Encoded<'_>) -> bool {
        item.opens(&self.0[at..])
    }

    /// Every item.
    pub fn iter(self) -> impl Iterator<Item = Text<'a>> {
        self.positions(1).map(move |at| self.read(at).0)
    }

    /// The position of each `step`th item, from the first on.
    #[inline]
    pub fn positions(self, step: usize) -> impl Iterator<Item = usize> + use<'a> {
        let mut at = self.start();
        std::iter::from_fn(move || {
            if at >= self.end() {
                return None;
            }
            let this = at;
            for _ in 0..step {
                at = self.skip(at);
            }
            Some(this)
        })
    }

    /// The position of item `index`, or of the end.
    pub fn position(self, index: usize) -> usize {
        self.positions(1).nth(index).unwrap_or(self.end())
    }

    /// The position of the first item that equals `item`, looking at each `step`th.
    #[inline]
    pub fn find(self, item: &Encoded<'_>, step: usize) -> Option<usize> {
        self.positions(step).find(|at| self.is(*at, item))
    }

    /// The bytes from one position to another, as they are stored.
    pub fn stored(self, from: usize, to: usize) -> &'a [u8] {
        &self.0[from..to]
    }

    /// Whether items of `bytes` in all could be added and counted.
    pub fn have_room(self, items: usize, bytes: usize) -> bool {
        self.len() + items <= usize::from(u16::MAX) && self.0.len() + COUNT + bytes <= LARGEST
    }
}

/// Adds items at a position, in their order. The caller has asked `have_room`.
pub fn insert(blob: &mut Blob, at: usize, items: &[Encoded<'_>]) {
    if blob.is_empty() {
        blob.splice(0, 0, COUNT).fill(0);
    }
    let at = at.max(COUNT);
    let mut space = blob.splice(at, at, items.iter().map(Encoded::size).sum());
    for item in items {
        item.write(space);
        space = &mut space[item.size()..];
    }
    set_len(blob, Items::of(blob.contents()).len() + items.len());
}

/// Adds items behind the last. The caller has asked `have_room`.
pub fn push(blob: &mut Blob, items: &[Encoded<'_>]) {
    insert(blob, blob.contents().len(), items);
}

/// Puts another item in the place of the one at a position.
pub fn replace(blob: &mut Blob, at: usize, item: &Encoded<'_>) {
    let end = Items::of(blob.contents()).skip(at);
    item.write(blob.splice(at, end, item.size()));
}

/// Takes out `count` items from a position on.
pub fn remove(blob: &mut Blob, at: usize, count: usize) {
    let items = Items::of(blob.contents());
    let end = (0..count).fold(at, |end, _| items.skip(end));
    let len = items.len() - count;
    blob.splice(at, end, 0);
    set_len(blob, len);
}

fn set_len(blob: &mut Blob, len: usize) {
    // `have_room` has seen to it that the count fits.
    blob.contents_mut()[..COUNT].copy_from_slice(&(len as u16).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            "[a-c]{0,3}".prop_map(String::into_bytes),
            any::<i16>().prop_map(|n| n.to_string().into_bytes()),
            (78usize..82).prop_map(|len| vec![b'x'; len]),
        ]
    }

    proptest! {
        #[test]
        fn behave_as_a_vector(steps in prop::collection::vec((0u8..4, 0usize..9, text()), 0..60)) {
            let mut blob = Blob::behind(b"head".as_slice().into(), 4);
            let mut model: Vec<Vec<u8>> = Vec::new();
            for (what, at, text) in steps {
                let at = at.min(model.len());
                let position = Items::of(blob.contents()).position(at);
                match what {
                    0 | 1 => {
                        insert(&mut blob, position, &[Encoded::new(&text)]);
                        model.insert(at, text);
                    }
                    2 if at < model.len() => {
                        replace(&mut blob, position, &Encoded::new(&text));
                        model[at] = text;
                    }
                    3 if at < model.len() => {
                        remove(&mut blob, position, 1);
                        model.remove(at);
                    }
                    _ => {}
                }
                let items = Items::of(blob.contents());
                prop_assert_eq!(items.len(), model.len());
                prop_assert_eq!(items.iter().map(|t| t.to_vec()).collect::<Vec<_>>(), model.clone());
                for text in &model {
                    let found = items.find(&Encoded::new(text), 1).unwrap();
                    prop_assert_eq!(&*items.read(found).0, &text[..]);
                }
            }
            prop_assert_eq!(blob.head(), b"head");
        }
    }
}
