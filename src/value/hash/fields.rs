//! The large form of a hash: a table of fields, and when which of them expires.

use std::collections::BTreeMap;

use super::Lifetime;
use super::is_due;
use crate::hashing::hash_bytes;
use crate::table::Table;
use crate::value::items::{Items, NEVER};
use crate::value::packed::{self, Encoded, Text};

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    pub(super) table: Table<Field>,
    /// Sum of the fields' `heap_bytes`.
    pub(super) field_bytes: usize,
    /// The fields that expire, by moment and hash: how many there are of each. It is more than
    /// one only where hashes are equal.
    deadlines: BTreeMap<(u64, u64), u32>,
    /// How many fields expire.
    expiring: usize,
}

impl Fields {
    /// Bytes that the hash owns, each field rounded up as an allocator does.
    pub fn heap_bytes(&self) -> usize {
        // A node of the tree is two thirds full, about.
        let deadlines = self.deadlines.len() * size_of::<((u64, u64), u32)>() * 3 / 2;
        size_of::<Fields>() + self.table.heap_bytes() + self.field_bytes + deadlines
    }

    pub(super) fn from_small(contents: &[u8]) -> Self {
        let items = Items::of(contents);
        // One more, for the field that is the reason.
        let table = Table::with_capacity(items.len() / 2 + 1);
        let mut fields = Fields { table, ..Fields::default() };
        for at in items.positions(2) {
            let (field, value) = items.read(at);
            let mut pair = Vec::with_capacity(items.skip(value) - at);
            items.copy(at, 2, &mut pair);
            fields.insert(&field, Field(pair.into_boxed_slice()));
        }
        fields
    }

    /// How many there are, those that are due included.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// How many are due.
    pub(super) fn due(&self, now: u64) -> usize {
        self.deadlines.range(..=(now, u64::MAX)).map(|(_, count)| *count as usize).sum()
    }

    /// Whether all are due.
    pub(super) fn all_due(&self, now: u64) -> bool {
        let last = self.deadlines.last_key_value().map_or(NEVER, |((moment, _), _)| *moment);
        self.expiring == self.len() && is_due(last, now)
    }

    /// The soonest moment at which one expires, or `NEVER`.
    #[inline]
    pub(super) fn soonest(&self) -> u64 {
        self.deadlines.first_key_value().map_or(NEVER, |((moment, _), _)| *moment)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Text<'_>, Text<'_>, u64)> {
        self.table.iter().map(Field::triple)
    }

    #[inline]
    pub(super) fn find(&self, field: &[u8], item: &Encoded<'_>) -> Option<usize> {
        self.table.find(hash_bytes(field), |stored| stored.is(item))
    }

    fn insert(&mut self, field: &[u8], pair: Field) {
        let hash = hash_bytes(field);
        self.field_bytes += pair.heap_bytes();
        self.note(pair.expiry(), hash);
        self.table.insert(hash, pair);
    }

    pub(super) fn set(
        &mut self,
        field: &[u8],
        item: &Encoded<'_>,
        content: &Encoded<'_>,
        lifetime: Lifetime,
    ) -> bool {
        let Some(slot) = self.find(field, item) else {
            self.insert(field, Field::new(item, content));
            return true;
        };
        let pair = self.table.at_mut(slot);
        let old = pair.expiry();
        if pair.0.len() == packed::body(&pair.0, 0) + item.size() + content.size() {
            let value = pair.0.len() - content.size();
            content.write(&mut pair.0[value..]);
        } else {
            self.field_bytes -= pair.heap_bytes();
            *pair = Field::new(item, content).expiring(old);
            self.field_bytes += pair.heap_bytes();
        }
        if old != NEVER && lifetime == Lifetime::New {
            self.expire_slot(slot, field, NEVER);
        }
        false
    }

    pub(super) fn expire(&mut self, field: &[u8], item: &Encoded<'_>, moment: u64) -> bool {
        let Some(slot) = self.find(field, item) else { return false };
        self.expire_slot(slot, field, moment);
        true
    }

    fn expire_slot(&mut self, slot: usize, field: &[u8], moment: u64) {
        let hash = hash_bytes(field);
        let pair = self.table.at_mut(slot);
        let old = pair.expiry();
        self.field_bytes -= pair.heap_bytes();
        *pair = std::mem::take(pair).expiring(moment);
        self.field_bytes += pair.heap_bytes();
        // As it is stored, which is no later than the last moment there is.
        let new = pair.expiry();
        self.forget(old, hash);
        self.note(new, hash);
    }

    pub(super) fn remove(&mut self, field: &[u8], item: &Encoded<'_>) -> bool {
        let Some(slot) = self.find(field, item) else { return false };
        self.remove_slot(slot, hash_bytes(field));
        true
    }

    fn remove_slot(&mut self, slot: usize, hash: u64) -> Field {
        let pair = self.table.remove(slot);
        self.field_bytes -= pair.heap_bytes();
        self.forget(pair.expiry(), hash);
        pair
    }

    pub(super) fn remove_due(
        &mut self,
        now: u64,
        most: usize,
        mut tell: impl FnMut(&[u8]),
    ) -> usize {
        for removed in 0..most {
            let first = self.deadlines.first_key_value().map(|(key, _)| *key);
            let Some((moment, hash)) = first.filter(|(moment, _)| is_due(*moment, now)) else {
                return removed;
            };
            let found = self
                .table
                .find(hash, |pair| pair.expiry() == moment && hash_bytes(&pair.triple().0) == hash);
            let Some(slot) = found else {
                debug_assert!(false, "a deadline without its field");
                self.deadlines.remove(&(moment, hash));
                continue;
            };
            tell(&self.remove_slot(slot, hash).triple().0);
        }
        most
    }

    fn note(&mut self, moment: u64, hash: u64) {
        if moment != NEVER {
            self.expiring += 1;
            *self.deadlines.entry((moment, hash)).or_default() += 1;
        }
    }

    fn forget(&mut self, moment: u64, hash: u64) {
        if moment == NEVER {
            return;
        }
        self.expiring -= 1;
        if let Some(count) = self.deadlines.get_mut(&(moment, hash)) {
            *count -= 1;
            if *count == 0 {
                self.deadlines.remove(&(moment, hash));
            }
        }
    }
}

/// A field and its value, as two packed items in one allocation, the first of which may expire;
/// empty for a vacant slot.
#[derive(Debug, Clone, Default)]
pub(super) struct Field(Box<[u8]>);

impl Field {
    fn new(item: &Encoded<'_>, content: &Encoded<'_>) -> Self {
        let mut pair = Vec::with_capacity(item.size() + content.size());
        item.append(&mut pair);
        content.append(&mut pair);
        Field(pair.into_boxed_slice())
    }

    /// The same pair, expiring at another moment.
    fn expiring(mut self, moment: u64) -> Self {
        let body = packed::body(&self.0, 0);
        if moment == NEVER {
            return if body == 0 { self } else { Field(self.0[body..].into()) };
        }
        let bytes = packed::moment_bytes(packed::TAG_EXPIRY, moment);
        if body > 0 {
            self.0[..body].copy_from_slice(&bytes);
            return self;
        }
        Field([&bytes, &self.0[..]].concat().into_boxed_slice())
    }

    #[inline]
    fn is(&self, item: &Encoded<'_>) -> bool {
        item.opens(&self.0[packed::body(&self.0, 0)..])
    }

    /// Field, value and expiry.
    #[inline]
    pub(super) fn triple(&self) -> (Text<'_>, Text<'_>, u64) {
        let (field, value) = packed::read(&self.0, 0);
        (field, packed::read(&self.0, value).0, self.expiry())
    }

    #[inline]
    fn expiry(&self) -> u64 {
        packed::moment(&self.0, 0).unwrap_or(NEVER)
    }

    /// The small size classes of the usual allocators lie 16 bytes apart.
    pub(super) fn heap_bytes(&self) -> usize {
        self.0.len().next_multiple_of(16)
    }
}
