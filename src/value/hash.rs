//! Hashes.
//!
//! A small hash is items in one allocation, field and value alternating, in the order of their
//! insertion; a large one is a table in the order of the fields' hashes. The small form becomes
//! the large one at the thresholds that CONFIG names, and never back, as in Redis. Integers are
//! stored in binary in both forms, and a pair of the large form is one allocation.
//!
//! A field may expire on its own. What is due is still there until somebody takes it out, and
//! who reads asks `live` for a view in which it is absent. What writers are told to change they
//! change, due or not: see `command::hash`.
//!
//! Left out on purpose: replies, what time it is, and the deletion of a hash that has become
//! empty.

mod fields;
mod live;
#[cfg(test)]
mod tests;

pub use fields::Fields;
pub use live::Live;

use super::collection::{Collection, CollectionRef};
use super::items::{self, Items, NEVER};
use super::packed::{Encoded, Text};

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

/// What becomes of a field's expiry when its value changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// It ends: the value is a new one.
    New,
    /// It stays: the value has grown out of the old one.
    Kept,
}

impl Hash {
    /// A hash of these pairs. Of two pairs with the same field the later one stays, so a
    /// caller that has to refuse repeats compares `len` with what it gave.
    pub fn from_pairs<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        pairs: impl IntoIterator<Item = (F, V)>,
        limits: HashLimits,
    ) -> Self {
        let mut hash = Hash::new();
        for (field, value) in pairs {
            hash.set(field.as_ref(), value.as_ref(), Lifetime::New, limits);
        }
        hash
    }

    /// Sets `field` to `value`; answers whether the field is new.
    pub fn set(
        &mut self,
        field: &[u8],
        value: &[u8],
        lifetime: Lifetime,
        limits: HashLimits,
    ) -> bool {
        let (item, content) = (Encoded::new(field), Encoded::new(value));
        if self.large.is_none() {
            let items = Items::of(self.blob.contents());
            let short = field.len().max(value.len()) <= limits.value_bytes;
            if short && items.have_room(2, item.size() + content.size()) {
                return self.set_small(&item, &content, lifetime, limits);
            }
        }
        self.grow(Fields::from_small).set(field, &item, &content, lifetime)
    }

    fn set_small(
        &mut self,
        item: &Encoded<'_>,
        content: &Encoded<'_>,
        lifetime: Lifetime,
        limits: HashLimits,
    ) -> bool {
        let items = Items::of(self.blob.contents());
        let found = items.find(item, 2);
        let len = items.len() / 2 + usize::from(found.is_none());
        if let Some(at) = found {
            let (value, expires) = (items.skip(at), items.expiry(at) != NEVER);
            items::replace(&mut self.blob, value, content);
            if expires && lifetime == Lifetime::New {
                self.expire_small(at, NEVER);
            }
        } else {
            items::push(&mut self.blob, &[*item, *content]);
        }
        // A field that was there counts too: the limit may have been lowered since.
        if len > limits.entries {
            self.grow(Fields::from_small);
        }
        found.is_none()
    }

    /// Says when `field` expires; answers whether there is one.
    pub fn expire(&mut self, field: &[u8], moment: u64) -> bool {
        let item = Encoded::new(field);
        if let Some(fields) = &mut self.large {
            return fields.expire(field, &item, moment);
        }
        let items = Items::of(self.blob.contents());
        let Some(at) = items.find(&item, 2) else { return false };
        if items.expiry(at) != moment {
            self.expire_small(at, moment);
        }
        true
    }

    fn expire_small(&mut self, at: usize, moment: u64) {
        items::set_expiry(&mut self.blob, at, moment);
        items::set_soonest(&mut self.blob, 2);
    }

    /// Takes `field` out; answers whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let item = Encoded::new(field);
        if let Some(fields) = &mut self.large {
            return fields.remove(field, &item);
        }
        let items = Items::of(self.blob.contents());
        let Some(at) = items.find(&item, 2) else { return false };
        let expires = items.expiry(at) != NEVER;
        items::remove(&mut self.blob, at, 2);
        if expires {
            items::set_soonest(&mut self.blob, 2);
        }
        true
    }

    /// Takes out up to `most` fields that are due, and tells each; answers what it cost: the
    /// fields that it has looked at.
    pub fn remove_due(&mut self, now: u64, most: usize, mut tell: impl FnMut(&[u8])) -> usize {
        if !self.as_ref().may_be_due(now) {
            return 0;
        }
        if let Some(fields) = &mut self.large {
            return fields.remove_due(now, most, tell);
        }
        let cost = self.as_ref().len();
        let mut removed = 0;
        items::retain(&mut self.blob, 2, |items, at| {
            let stays = removed == most || !is_due(items.expiry(at), now);
            if !stays {
                removed += 1;
                tell(&items.read(at).0);
            }
            stays
        });
        items::set_soonest(&mut self.blob, 2);
        cost
    }
}

impl<'a> HashRef<'a> {
    /// How many fields there are, those that are due included.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            HashRef::Small(contents) => Items::of(contents).len() / 2,
            HashRef::Large(fields) => fields.len(),
        }
    }

    /// Whether there is no field, not even one that is due.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Every field with its value and its expiry, those that are due included: in the order of
    /// their insertion while the hash is small, otherwise in an order that stays the same until
    /// a field comes or goes.
    pub fn iter(self) -> impl Iterator<Item = (Text<'a>, Text<'a>, u64)> {
        let (items, fields) = match self {
            HashRef::Small(contents) => (Some(Items::of(contents)), None),
            HashRef::Large(fields) => (None, Some(fields)),
        };
        let small = items.into_iter().flat_map(triples);
        small.chain(fields.into_iter().flat_map(Fields::iter))
    }

    /// The soonest moment at which a field expires; `NEVER` when none does.
    #[inline]
    pub fn soonest(self) -> u64 {
        match self {
            HashRef::Small(contents) => Items::of(contents).soonest(),
            HashRef::Large(fields) => fields.soonest(),
        }
    }

    /// Whether a field may be due: if not, `live` shows every field.
    #[inline]
    pub fn may_be_due(self, now: u64) -> bool {
        is_due(self.soonest(), now)
    }

    /// Whether there is a `field` that is due.
    pub fn is_due(self, field: &[u8], now: u64) -> bool {
        let expiry = self.live(NEVER).get_with_expiry(field).map(|(_, expiry)| expiry);
        expiry.is_some_and(|expiry| is_due(expiry, now))
    }

    /// The hash as it is at `now`, without the fields that are due.
    #[inline]
    pub fn live(self, now: u64) -> Live<'a> {
        Live::new(self, now)
    }

    /// The name of the form, as OBJECT ENCODING answers it.
    pub fn encoding(self) -> &'static str {
        match self {
            HashRef::Small(_) if self.soonest() == NEVER => "listpack",
            HashRef::Small(_) => "listpackex",
            HashRef::Large(_) => "hashtable",
        }
    }
}

/// Whether what expires at a moment is absent at `now`.
#[inline]
fn is_due(moment: u64, now: u64) -> bool {
    moment != NEVER && moment <= now
}

fn triples(items: Items<'_>) -> impl Iterator<Item = (Text<'_>, Text<'_>, u64)> {
    items.positions(2).map(move |at| {
        let (field, value) = items.read(at);
        (field, items.read(value).0, items.expiry(at))
    })
}
