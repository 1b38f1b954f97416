//! Hashes.
//!
//! A small hash is items in one allocation, field and value alternating, in the order of their
//! insertion; a large one is a table in the order of the fields' hashes. The small form becomes
//! the large one at the thresholds that CONFIG names, and never back, as in Redis. Integers are
//! stored in binary in both forms, and a pair of the large form is one allocation.
//!
//! Room for the expiry of fields: a pair may open with a tag that `packed` keeps free. Left
//! out on purpose: replies, expiry and the deletion of a hash that has become empty.

#[cfg(test)]
mod tests;

use super::collection::{Collection, CollectionRef};
use super::items::{self, Items};
use super::packed::{self, Encoded, Text};
use crate::hashing::hash_bytes;
use crate::table::Table;

/// Up to where a hash stays in its small form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashLimits {
    /// Fields (`hash-max-listpack-entries`).
    pub entries: usize,
    /// Bytes of the longest field or value (`hash-max-listpack-value`).
    pub value_bytes: usize,
}

impl Default for HashLimits {
    /// Those of Redis 7.0.
    fn default() -> Self {
        HashLimits { entries: 512, value_bytes: 64 }
    }
}

/// A map from fields to values, both of any bytes.
pub type Hash = Collection<Fields>;

/// A hash to read.
pub type HashRef<'a> = CollectionRef<'a, Fields>;

impl Hash {
    /// A hash of these pairs. Of two pairs with the same field the later one stays, so a
    /// caller that has to refuse repeats compares `len` with what it gave.
    pub fn from_pairs<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        pairs: impl IntoIterator<Item = (F, V)>,
        limits: HashLimits,
    ) -> Self {
        let mut hash = Hash::new();
        for (field, value) in pairs {
            hash.set(field.as_ref(), value.as_ref(), limits);
        }
        hash
    }

    /// Sets `field` to `value`; answers whether the field is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: HashLimits) -> bool {
        let (item, content) = (Encoded::new(field), Encoded::new(value));
        if self.large.is_none() {
            let items = Items::of(self.blob.contents());
            let short = field.len().max(value.len()) <= limits.value_bytes;
            if short && items.have_room(2, item.size() + content.size()) {
                return self.set_small(&item, &content, limits);
            }
        }
        self.grow(Fields::from_small).set(field, &item, &content)
    }

    fn set_small(&mut self, item: &Encoded<'_>, content: &Encoded<'_>, limits: HashLimits) -> bool {
        let items = Items::of(self.blob.contents());
        let found = items.find(item, 2);
        let len = items.len() / 2 + usize::from(found.is_none());
        if let Some(at) = found {
            let value = items.skip(at);
            items::replace(&mut self.blob, value, content);
        } else {
            items::push(&mut self.blob, &[*item, *content]);
        }
        // A field that was there counts too: the limit may have been lowered since.
        if len > limits.entries {
            self.grow(Fields::from_small);
        }
        found.is_none()
    }

    /// Takes `field` out; answers whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let item = Encoded::new(field);
        if let Some(fields) = &mut self.large {
            return fields.remove(field, &item);
        }
        let found = Items::of(self.blob.contents()).find(&item, 2);
        if let Some(at) = found {
            items::remove(&mut self.blob, at, 2);
        }
        found.is_some()
    }
}

impl<'a> HashRef<'a> {
    /// How many fields there are.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            HashRef::Small(contents) => Items::of(contents).len() / 2,
            HashRef::Large(fields) => fields.table.len(),
        }
    }

    /// Whether there is no field.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The value of `field`.
    #[inline]
    pub fn get(self, field: &[u8]) -> Option<Text<'a>> {
        let item = Encoded::new(field);
        match self {
            HashRef::Small(contents) => {
                let items = Items::of(contents);
                let at = items.find(&item, 2)?;
                Some(items.read(items.skip(at)).0)
            }
            HashRef::Large(fields) => {
                let slot = fields.find(field, &item)?;
                Some(fields.table.at(slot).pair().1)
            }
        }
    }

    /// Whether there is a `field`.
    pub fn contains(self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// Every field with its value: in the order of their insertion while the hash is small,
    /// otherwise in an order that stays the same until a field comes or goes.
    pub fn iter(self) -> impl Iterator<Item = (Text<'a>, Text<'a>)> {
        let (items, fields) = match self {
            HashRef::Small(contents) => (Some(Items::of(contents)), None),
            HashRef::Large(fields) => (None, Some(fields)),
        };
        let small = items.into_iter().flat_map(pairs);
        small.chain(fields.into_iter().flat_map(|fields| fields.table.iter().map(Field::pair)))
    }

    /// A field and its value, each as likely as the next; `random` yields uniform 64-bit
    /// numbers. `None` when the hash is empty.
    pub fn random(self, mut random: impl FnMut() -> u64) -> Option<(Text<'a>, Text<'a>)> {
        match self {
            HashRef::Small(contents) => {
                let wide = u128::from(random()) * self.len() as u128;
                pairs(Items::of(contents)).nth((wide >> 64) as usize)
            }
            HashRef::Large(fields) => Some(fields.table.at(fields.table.random(random)?).pair()),
        }
    }

    /// Visits `count` fields from `cursor` on, and answers the cursor to go on with: 0 at both
    /// the beginning and the end.
    ///
    /// Every field that is there from the first call to the last is visited, whatever comes
    /// and goes in between. A small hash is visited at once. More than `count` are visited
    /// only when hashes are equal; a `count` of 0 is taken for 1.
    pub fn scan(self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], &[u8])) -> u64 {
        match self {
            HashRef::Small(contents) => {
                pairs(Items::of(contents)).for_each(|(field, value)| visit(&field, &value));
                0
            }
            HashRef::Large(fields) => fields.table.visit(cursor, count, |field| {
                let (field, value) = field.pair();
                visit(&field, &value);
            }),
        }
    }

    /// The name of the form, as OBJECT ENCODING answers it.
    pub fn encoding(self) -> &'static str {
        match self {
            HashRef::Small(_) => "listpack",
            HashRef::Large(_) => "hashtable",
        }
    }
}

fn pairs(items: Items<'_>) -> impl Iterator<Item = (Text<'_>, Text<'_>)> {
    items.positions(2).map(move |at| {
        let (field, value) = items.read(at);
        (field, items.read(value).0)
    })
}

/// The large form.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    table: Table<Field>,
    /// Sum of the fields' `heap_bytes`.
    field_bytes: usize,
}

impl Fields {
    /// Bytes that the hash owns, each field rounded up as an allocator does.
    pub fn heap_bytes(&self) -> usize {
        size_of::<Fields>() + self.table.heap_bytes() + self.field_bytes
    }

    fn from_small(contents: &[u8]) -> Self {
        let items = Items::of(contents);
        // One more, for the field that is the reason.
        let table = Table::with_capacity(items.len() / 2 + 1);
        let mut fields = Fields { table, field_bytes: 0 };
        for at in items.positions(2) {
            let (field, value) = items.read(at);
            let mut pair = Vec::with_capacity(items.skip(value) - at);
            items.copy(at, 2, &mut pair);
            fields.insert(&field, Field(pair.into_boxed_slice()));
        }
        fields
    }

    #[inline]
    fn find(&self, field: &[u8], item: &Encoded<'_>) -> Option<usize> {
        self.table.find(hash_bytes(field), |stored| item.opens(&stored.0))
    }

    fn insert(&mut self, field: &[u8], pair: Field) {
        self.field_bytes += pair.heap_bytes();
        self.table.insert(hash_bytes(field), pair);
    }

    fn set(&mut self, field: &[u8], item: &Encoded<'_>, content: &Encoded<'_>) -> bool {
        let Some(slot) = self.find(field, item) else {
            self.insert(field, Field::new(item, content));
            return true;
        };
        let pair = self.table.at_mut(slot);
        if pair.0.len() == item.size() + content.size() {
            content.write(&mut pair.0[item.size()..]);
        } else {
            self.field_bytes -= pair.heap_bytes();
            *pair = Field::new(item, content);
            self.field_bytes += pair.heap_bytes();
        }
        false
    }

    fn remove(&mut self, field: &[u8], item: &Encoded<'_>) -> bool {
        let Some(slot) = self.find(field, item) else { return false };
        self.field_bytes -= self.table.remove(slot).heap_bytes();
        true
    }
}

/// A field and its value, as two packed items in one allocation; empty for a vacant slot.
#[derive(Debug, Clone, Default)]
struct Field(Box<[u8]>);

impl Field {
    fn new(item: &Encoded<'_>, content: &Encoded<'_>) -> Self {
        let mut pair = Vec::with_capacity(item.size() + content.size());
        item.append(&mut pair);
        content.append(&mut pair);
        Field(pair.into_boxed_slice())
    }

    #[inline]
    fn pair(&self) -> (Text<'_>, Text<'_>) {
        let (field, value) = packed::read(&self.0, 0);
        (field, packed::read(&self.0, value).0)
    }

    /// The small size classes of the usual allocators lie 16 bytes apart.
    fn heap_bytes(&self) -> usize {
        self.0.len().next_multiple_of(16)
    }
}
