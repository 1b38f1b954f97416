//! Hashes.
//!
//! A small hash is one allocation of field and value pairs in the order of their insertion; a
//! large one is a table in the order of the fields' hashes. The small form becomes the large
//! one at the thresholds that CONFIG names, and never back, as in Redis. Integers are stored
//! in binary in both forms, and a pair of the large form is one allocation.
//!
//! Room for the expiry of fields: a pair may open with a tag that `packed` keeps free. Left
//! out on purpose: replies, expiry and the deletion of a hash that has become empty.

mod compact;
#[cfg(test)]
mod tests;

use self::compact::Compact;
pub use super::packed::Text;
use super::packed::{self, Encoded};
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
    fn default() -> Self {
        HashLimits { entries: 128, value_bytes: 64 }
    }
}

/// A map from fields to values, both of any bytes.
#[derive(Debug, Clone)]
pub struct Hash(Form);

#[derive(Debug, Clone)]
enum Form {
    Compact(Compact),
    Fields(Box<Fields>),
}

impl Default for Hash {
    fn default() -> Self {
        Hash::new()
    }
}

impl Hash {
    /// An empty hash; it allocates nothing.
    pub fn new() -> Self {
        Hash(Form::Compact(Compact::default()))
    }

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

    /// How many fields there are.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Compact(compact) => compact.len(),
            Form::Fields(fields) => fields.table.len(),
        }
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of `field`.
    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<Text<'_>> {
        let item = Encoded::new(field);
        match &self.0 {
            Form::Compact(compact) => compact.get(&item),
            Form::Fields(fields) => {
                let slot = fields.find(field, &item)?;
                Some(fields.table.at(slot).pair().1)
            }
        }
    }

    /// Whether there is a `field`.
    pub fn contains(&self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// Sets `field` to `value`; answers whether the field is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: HashLimits) -> bool {
        let (item, content) = (Encoded::new(field), Encoded::new(value));
        if let Form::Compact(compact) = &mut self.0 {
            let short = field.len().max(value.len()) <= limits.value_bytes;
            if short && compact.has_room(&item, &content) {
                let created = compact.set(&item, &content);
                if compact.len() > limits.entries {
                    self.fields();
                }
                return created;
            }
        }
        self.fields().set(field, &item, &content)
    }

    /// Takes `field` out; answers whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let item = Encoded::new(field);
        match &mut self.0 {
            Form::Compact(compact) => compact.remove(&item),
            Form::Fields(fields) => fields.remove(field, &item),
        }
    }

    /// Every field with its value: in the order of their insertion while the hash is small,
    /// otherwise in an order that stays the same until a field comes or goes.
    pub fn iter(&self) -> impl Iterator<Item = (Text<'_>, Text<'_>)> {
        let (compact, fields) = match &self.0 {
            Form::Compact(compact) => (Some(compact), None),
            Form::Fields(fields) => (None, Some(fields)),
        };
        let small = compact.into_iter().flat_map(Compact::iter);
        small.chain(fields.into_iter().flat_map(|fields| fields.table.iter().map(Field::pair)))
    }

    /// A field and its value, each as likely as the next; `random` yields uniform 64-bit
    /// numbers. `None` when the hash is empty.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<(Text<'_>, Text<'_>)> {
        match &self.0 {
            Form::Compact(compact) => {
                let wide = u128::from(random()) * compact.len() as u128;
                compact.iter().nth((wide >> 64) as usize)
            }
            Form::Fields(fields) => Some(fields.table.at(fields.table.random(random)?).pair()),
        }
    }

    /// Visits `count` fields from `cursor` on, and answers the cursor to go on with: 0 at both
    /// the beginning and the end.
    ///
    /// Every field that is there from the first call to the last is visited, whatever comes
    /// and goes in between. A small hash is visited at once. More than `count` are visited
    /// only when hashes are equal; a `count` of 0 is taken for 1.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], &[u8])) -> u64 {
        match &self.0 {
            Form::Compact(compact) => {
                compact.iter().for_each(|(field, value)| visit(&field, &value));
                0
            }
            Form::Fields(fields) => fields.scan(cursor, count.max(1), visit),
        }
    }

    /// The name of the form, as OBJECT ENCODING answers it.
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Form::Compact(_) => "listpack",
            Form::Fields(_) => "hashtable",
        }
    }

    /// Bytes that the hash owns, each field of a table rounded up as an allocator does.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Compact(compact) => compact.heap_bytes(),
            Form::Fields(fields) => {
                size_of::<Fields>() + fields.table.heap_bytes() + fields.field_bytes
            }
        }
    }

    /// The large form, made from the small one if it is not there yet.
    fn fields(&mut self) -> &mut Fields {
        if let Form::Compact(compact) = &self.0 {
            self.0 = Form::Fields(Box::new(Fields::from_compact(compact)));
        }
        match &mut self.0 {
            Form::Fields(fields) => fields,
            Form::Compact(_) => unreachable!("it has just been made a table"),
        }
    }
}

/// The large form.
#[derive(Debug, Clone, Default)]
struct Fields {
    table: Table<Field>,
    /// Sum of the fields' `heap_bytes`.
    field_bytes: usize,
}

impl Fields {
    fn from_compact(compact: &Compact) -> Self {
        // One more, for the field that is the reason.
        let table = Table::with_capacity(compact.len() + 1);
        let mut fields = Fields { table, field_bytes: 0 };
        for (field, pair) in compact.pairs() {
            fields.insert(&field, Field(pair.into()));
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

    /// The cursor is a hash of the table's: what lies at or behind it is still to come.
    fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], &[u8])) -> u64 {
        let Ok(cursor) = u32::try_from(cursor) else { return 0 };
        let mut last = 0;
        for (visited, (hash, slot)) in self.table.scan(cursor).enumerate() {
            if visited >= count && hash != last {
                // Not 0, and not past the end: hashes ascend, and the first is at least 1.
                return u64::from(last) + 1;
            }
            let (field, value) = self.table.at(slot).pair();
            visit(&field, &value);
            last = hash;
        }
        0
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
