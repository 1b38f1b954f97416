//! Lists: texts in an order of their own, which come and go at either end.
//!
//! A short list is items in one allocation with its key; a longer one is a chain of nodes of
//! bounded bytes. What CONFIG names is the bound of a node (`list-max-listpack-size`); the
//! bound of the small form is fixed, and no client can see it, for OBJECT ENCODING answers
//! `quicklist` for every list, as redis-server 7.0 does.
//!
//! Left out on purpose: replies, negative indexes, and the deletion of a list that has become
//! empty.

mod chain;
mod node;
#[cfg(test)]
mod tests;

use smallvec::SmallVec;

use super::collection::{Collection, CollectionRef};
use super::items::{self, Items};
use super::packed::{self, Encoded, Text};

pub use chain::Chain;

/// Bytes up to which a list stays small: walking them from the front to reach the back takes
/// less time than an allocation.
const SMALL_BYTES: usize = 512;
/// Likewise, elements.
const SMALL_ITEMS: usize = 128;

/// Up to where one node of a list grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListLimits {
    /// Elements of a node if not negative; -1 to -5 are 4 to 64 KiB (`list-max-listpack-size`).
    pub fill: i32,
}

impl Default for ListLimits {
    /// Those of Redis 7.0: 8 KiB.
    fn default() -> Self {
        ListLimits { fill: -2 }
    }
}

impl ListLimits {
    /// Whether a node of several elements may be so large. A number of elements is held to
    /// 8 KiB as well, as in Redis (`SIZE_SAFETY_LIMIT`).
    fn allow(self, bytes: usize, items: usize) -> bool {
        const KIB: usize = 1 << 10;
        match usize::try_from(self.fill) {
            Ok(most) => items <= most && bytes <= 8 * KIB,
            Err(_) => bytes <= (2 * KIB) << self.fill.unsigned_abs().min(5),
        }
    }
}

/// An end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The head: LEFT.
    Front,
    /// The tail: RIGHT.
    Back,
}

/// Texts in an order of their own.
pub type List = Collection<Chain>;

/// A list to read.
pub type ListRef<'a> = CollectionRef<'a, Chain>;

impl List {
    /// A list of these texts.
    pub fn from_texts<T: AsRef<[u8]>>(
        texts: impl IntoIterator<Item = T>,
        limits: ListLimits,
    ) -> Self {
        let (mut list, mut texts) = (List::new(), texts.into_iter());
        // A small list is made at once, for it is as large as what it holds.
        let first: SmallVec<[T; 16]> = texts.by_ref().take(SMALL_ITEMS).collect();
        let first: SmallVec<[&[u8]; 16]> = first.iter().map(AsRef::as_ref).collect();
        list.push(End::Back, &first, limits);
        for text in texts {
            list.push(End::Back, &[text.as_ref()], limits);
        }
        list
    }

    /// Adds texts at an end, one after the other.
    pub fn push(&mut self, end: End, texts: &[&[u8]], limits: ListLimits) {
        if !self.push_small(end, texts) {
            let chain = self.chain(limits);
            texts.iter().for_each(|text| chain.push(end, text, limits));
        }
    }

    /// Likewise, if the list is small and stays so.
    fn push_small(&mut self, end: End, texts: &[&[u8]]) -> bool {
        if self.large.is_some() || texts.len() > SMALL_ITEMS {
            return false;
        }
        let mut items: SmallVec<[Encoded<'_>; 4]> =
            texts.iter().map(|text| Encoded::new(text)).collect();
        let fit = self.is_small_with(items.len(), items.iter().map(Encoded::size).sum());
        if fit && end == End::Front {
            items.reverse();
            let start = Items::of(self.blob.contents()).start();
            items::insert(&mut self.blob, start, &items);
        } else if fit {
            items::push(&mut self.blob, &items);
        }
        fit
    }

    /// Whether a small list stays so with so much more.
    fn is_small_with(&self, items: usize, bytes: usize) -> bool {
        let contents = self.blob.contents();
        self.large.is_none()
            && contents.len() + bytes <= SMALL_BYTES
            && Items::of(contents).len() + items <= SMALL_ITEMS
    }

    fn chain(&mut self, limits: ListLimits) -> &mut Chain {
        self.grow(|contents| Chain::from_small(contents, limits))
    }

    /// Takes `count` elements away at an end, or all that are left.
    pub fn cut(&mut self, end: End, count: usize) {
        if let Some(chain) = &mut self.large {
            return chain.cut(end, count);
        }
        let items = Items::of(self.blob.contents());
        let count = count.min(items.len());
        if count == 0 {
            return;
        }
        let first = match end {
            End::Front => 0,
            End::Back => items.len() - count,
        };
        let at = items.position(first);
        items::remove(&mut self.blob, at, count);
    }

    /// Puts a text in the place of element `index`, which is there.
    pub fn set(&mut self, index: usize, text: &[u8], limits: ListLimits) {
        let item = Encoded::new(text);
        if self.is_small_with(0, item.size()) {
            let at = Items::of(self.blob.contents()).position(index);
            items::replace(&mut self.blob, at, &item);
        } else {
            self.chain(limits).set(index, text, limits);
        }
    }

    /// Adds a text in front of element `index`, or behind the last.
    pub fn insert(&mut self, index: usize, text: &[u8], limits: ListLimits) {
        let item = Encoded::new(text);
        if self.is_small_with(1, item.size()) {
            let at = Items::of(self.blob.contents()).position(index);
            items::insert(&mut self.blob, at, &[item]);
        } else {
            self.chain(limits).insert(index, text, limits);
        }
    }

    /// Takes out the elements that equal `text`, beginning at an end, and no more than `most`;
    /// answers how many.
    pub fn remove_equal(&mut self, from: End, text: &[u8], most: usize) -> usize {
        if let Some(chain) = &mut self.large {
            return chain.remove_equal(from, text, most);
        }
        let item = Encoded::new(text);
        let items = Items::of(self.blob.contents());
        let mut equal: SmallVec<[usize; 16]> =
            items.positions(1).filter(|at| items.is(*at, &item)).collect();
        if from == End::Front {
            equal.truncate(most);
        }
        // Those behind go first: their going moves nothing that is still to go.
        equal.reverse();
        equal.truncate(most);
        equal.iter().for_each(|at| items::remove(&mut self.blob, *at, 1));
        equal.len()
    }
}

impl<'a> ListRef<'a> {
    /// How many elements there are.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            ListRef::Small(contents) => Items::of(contents).len(),
            ListRef::Large(chain) => chain.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Element `index`.
    pub fn get(self, index: usize) -> Option<Text<'a>> {
        self.forward(index).next().map(Element::text)
    }

    /// The elements from `index` on.
    pub fn forward(self, index: usize) -> impl Iterator<Item = Element<'a>> {
        let (small, chain) = self.parts();
        let small = small.into_iter().flat_map(move |contents| {
            let items = Items::of(contents);
            items.positions(1).skip(index).map(move |at| Element::of_items(items, at))
        });
        small.chain(chain.into_iter().flat_map(move |chain| chain.forward(index)))
    }

    /// The elements from `index`, which is there, towards the front.
    pub fn backward(self, index: usize) -> impl Iterator<Item = Element<'a>> {
        let (small, chain) = self.parts();
        let small = small.into_iter().flat_map(move |contents| {
            let items = Items::of(contents);
            let positions: SmallVec<[usize; 32]> = items.positions(1).take(index + 1).collect();
            positions.into_iter().rev().map(move |at| Element::of_items(items, at))
        });
        small.chain(chain.into_iter().flat_map(move |chain| chain.backward(index)))
    }

    /// Every element, beginning at an end.
    pub fn from(self, end: End) -> impl Iterator<Item = Element<'a>> {
        let last = self.len().saturating_sub(1);
        let (front, back) = match end {
            End::Front => (Some(self), None),
            End::Back => (None, Some(self)),
        };
        let front = front.into_iter().flat_map(|list| list.forward(0));
        front.chain(back.into_iter().flat_map(move |list| list.backward(last)))
    }

    /// The indexes of the elements that equal `text`, beginning at an end; only the first
    /// `most` elements from there are looked at.
    pub fn positions(self, text: &'a [u8], from: End, most: usize) -> impl Iterator<Item = usize> {
        let item = Encoded::new(text);
        let last = self.len().saturating_sub(1);
        let found = self.from(from).take(most).enumerate();
        found.filter(move |(_, element)| element.is(&item)).map(move |(index, _)| match from {
            End::Front => index,
            End::Back => last - index,
        })
    }

    /// The name of the form, as OBJECT ENCODING answers it.
    pub fn encoding(self) -> &'static str {
        "quicklist"
    }

    fn parts(self) -> (Option<&'a [u8]>, Option<&'a Chain>) {
        match self {
            ListRef::Small(contents) => (Some(contents), None),
            ListRef::Large(chain) => (None, Some(chain)),
        }
    }
}

/// An element where it is stored.
#[derive(Debug, Clone, Copy)]
pub struct Element<'a> {
    bytes: &'a [u8],
    at: usize,
    /// What the elements of a small list share; empty in a node.
    prefix: &'a [u8],
}

impl<'a> Element<'a> {
    fn of_node(bytes: &'a [u8], at: usize) -> Self {
        Element { bytes, at, prefix: &[] }
    }

    fn of_items(items: Items<'a>, at: usize) -> Self {
        let (bytes, prefix) = items.stored();
        Element { bytes, at, prefix }
    }

    /// Its text.
    #[inline]
    pub fn text(self) -> Text<'a> {
        packed::read_shared(self.bytes, self.at, self.prefix).0
    }

    #[inline]
    fn is(self, item: &Encoded<'_>) -> bool {
        item.sharing(self.prefix).opens(&self.bytes[self.at..])
    }
}
