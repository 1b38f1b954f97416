//! One key with its value and expiry, in as few bytes as the value allows.
//!
//! A string, and any other value that is small bytes, lies in one allocation together with its
//! key ("packed"): a rate limit's state, and the small form of every collection. Larger and
//! structured values are objects, whose key and expiry are packed likewise, as their head. The
//! slot of a shard's table is two words either way.
//!
//! Packed layout: one tag byte (kind, whether an expiry follows, whether parts of the value
//! expire), the expiry if any (eight bytes), the length of the key as a varint, the key, the
//! value to the end. An integer is kept as its eight bytes and printed when read, as Redis does.

mod packed;
#[cfg(test)]
mod tests;
mod value;

use self::packed::{
    Parts, TAG_BYTES, TAG_EXPIRES, TAG_HASH, TAG_INTEGER, TAG_JSON, TAG_KIND, TAG_LIST,
    TAG_PARTS_EXPIRE, TAG_RATE_LIMIT, TAG_SET, TAG_SORTED_SET, integer, pack, packed_expiry,
};
pub use self::value::{Large, Value};
use crate::value::blob::Blob;
use crate::value::collection::{Collection, CollectionRef};
use crate::value::hash::{Fields, Hash, HashRef};
use crate::value::list::{Chain, ListRef};
use crate::value::number::parse_integer;
use crate::value::set::{Members, SetRef};
use crate::value::sorted_set::{Members as Ranked, SortedSetRef};
use crate::value::stream::Stream;

/// What TYPE says of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes or a number.
    String,
    /// Texts in an order of their own.
    List,
    /// Texts, each once.
    Set,
    /// Texts, each once, in the order of their scores.
    SortedSet,
    /// Fields and values.
    Hash,
    /// Records in the order of their ids, and who has read them.
    Stream,
    /// The state of a rate limit.
    RateLimit,
    /// A JSON document.
    Json,
}

impl Kind {
    /// The name that TYPE answers and SCAN's TYPE option takes.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::SortedSet => "zset",
            Kind::Hash => "hash",
            Kind::Stream => "stream",
            Kind::RateLimit => "ratelimit",
            // As RedisJSON, of which clients ask this.
            Kind::Json => "ReJSON-RL",
        }
    }
}

/// A key's expiry that means "never".
pub const NEVER: u64 = 0;

/// See the module's description. The default is vacant: an empty slot of a table.
#[derive(Debug, Clone)]
pub enum Entry {
    /// Key and value in one allocation; empty when vacant.
    Packed(Box<[u8]>),
    /// A value that has a structure, or room to grow.
    Object(Box<Object>),
}

/// The parts of an entry that is not packed.
#[derive(Debug, Clone)]
pub struct Object {
    /// Key and expiry, packed, with no value behind them.
    head: Box<[u8]>,
    value: Value,
}

/// A string value as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrRef<'a> {
    /// A canonical integer.
    Integer(i64),
    /// Any other bytes.
    Bytes(&'a [u8]),
}

impl Default for Entry {
    fn default() -> Self {
        Entry::Packed(Box::default())
    }
}

impl Entry {
    /// A string, kept as an integer when it reads as one.
    pub fn string(key: &[u8], bytes: &[u8], expires_at: u64) -> Entry {
        match parse_integer(bytes) {
            Some(value) => Entry::integer(key, value, expires_at),
            None => Entry::packed(TAG_BYTES, key, bytes, expires_at),
        }
    }

    /// A string that is kept as it is, even when it reads as an integer: what INCRBYFLOAT
    /// stores.
    pub fn text(key: &[u8], bytes: &[u8], expires_at: u64) -> Entry {
        Entry::packed(TAG_BYTES, key, bytes, expires_at)
    }

    /// A string that is an integer.
    pub fn integer(key: &[u8], value: i64, expires_at: u64) -> Entry {
        Entry::packed(TAG_INTEGER, key, &value.to_le_bytes(), expires_at)
    }

    /// The state of a rate limit, as `eave_ratelimit` wrote it.
    pub fn rate_limit(key: &[u8], state: &[u8], expires_at: u64) -> Entry {
        Entry::packed(TAG_RATE_LIMIT, key, state, expires_at)
    }

    /// A JSON document, as `value::json` wrote it.
    pub fn json(key: &[u8], document: &[u8], expires_at: u64) -> Entry {
        Entry::packed(TAG_JSON, key, document, expires_at)
    }

    /// A value that is not packed.
    pub fn object(key: &[u8], value: Value, expires_at: u64) -> Entry {
        let head = pack(TAG_BYTES, key, &[], expires_at);
        Entry::Object(Box::new(Object { head, value }))
    }

    /// A collection.
    pub fn collection<L: Large>(key: &[u8], collection: Collection<L>, expires_at: u64) -> Entry {
        let parts_expire = L::has_expiring(collection.as_ref());
        let mut entry = match collection.close() {
            (_, Some(large)) => Entry::object(key, L::into_value(large), expires_at),
            (blob, None) => Entry::packed(L::TAG, key, blob.contents(), expires_at),
        };
        entry.set_parts_expire(parts_expire);
        entry
    }

    fn packed(tag: u8, key: &[u8], value: &[u8], expires_at: u64) -> Entry {
        Entry::Packed(pack(tag, key, value, expires_at))
    }

    /// The packed bytes that begin with key and expiry, whatever lies behind.
    #[inline]
    fn head(&self) -> &[u8] {
        match self {
            Entry::Packed(bytes) => bytes,
            Entry::Object(object) => &object.head,
        }
    }

    fn head_mut(&mut self) -> &mut Box<[u8]> {
        match self {
            Entry::Packed(bytes) => bytes,
            Entry::Object(object) => &mut object.head,
        }
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        Parts::of(self.head()).key
    }

    /// When the key expires, in unix milliseconds; `NEVER` for no expiry.
    #[inline]
    pub fn expires_at(&self) -> u64 {
        packed_expiry(self.head())
    }

    /// Whether the key is absent at `now`: because it is due, or because all that is in it is.
    #[inline]
    pub fn is_expired(&self, now: u64) -> bool {
        let at = self.expires_at();
        at != NEVER && at <= now || self.parts_expire() && self.is_spent(now)
    }

    /// Whether elements of the value expire on their own.
    #[inline]
    pub fn parts_expire(&self) -> bool {
        self.head().first().is_some_and(|tag| tag & TAG_PARTS_EXPIRE != 0)
    }

    fn set_parts_expire(&mut self, expire: bool) {
        if let Some(tag) = self.head_mut().first_mut() {
            *tag = *tag & !TAG_PARTS_EXPIRE | if expire { TAG_PARTS_EXPIRE } else { 0 };
        }
    }

    /// Whether every element of the value is due.
    #[cold]
    fn is_spent(&self, now: u64) -> bool {
        self.as_hash().is_some_and(|hash| hash.live(now).is_empty())
    }

    /// The soonest moment at which an element of the value expires; `NEVER` if none does.
    pub fn parts_soonest(&self) -> u64 {
        if self.parts_expire() { self.as_hash().map_or(NEVER, HashRef::soonest) } else { NEVER }
    }

    /// The soonest moment at which the key or an element of the value expires, or `NEVER`.
    pub fn soonest(&self) -> u64 {
        match (self.expires_at(), self.parts_soonest()) {
            (NEVER, at) | (at, NEVER) => at,
            (key, part) => key.min(part),
        }
    }

    /// Takes out up to `most` fields of a hash that are due, and tells each; answers what it
    /// cost: the fields that it has looked at.
    pub fn remove_due(&mut self, now: u64, most: usize, tell: impl FnMut(&[u8])) -> usize {
        if !self.parts_expire() {
            return 0;
        }
        self.edit(|hash: &mut Hash| hash.remove_due(now, most, tell)).unwrap_or(0)
    }

    /// Changes when the key expires.
    pub fn set_expires_at(&mut self, at: u64) {
        let bytes = self.head_mut();
        match (packed_expiry(bytes), at) {
            (NEVER, NEVER) => {}
            (1.., 1..) => bytes[1..9].copy_from_slice(&at.to_le_bytes()),
            _ => {
                let Parts { key, value, .. } = Parts::of(bytes);
                *bytes = pack(bytes[0] & !TAG_EXPIRES, key, value, at);
            }
        }
    }

    /// The kind of the value.
    #[inline]
    pub fn kind(&self) -> Kind {
        match self {
            Entry::Packed(bytes) => match bytes[0] & TAG_KIND {
                TAG_RATE_LIMIT => Kind::RateLimit,
                TAG_JSON => Kind::Json,
                TAG_LIST => Kind::List,
                TAG_HASH => Kind::Hash,
                TAG_SET => Kind::Set,
                TAG_SORTED_SET => Kind::SortedSet,
                _ => Kind::String,
            },
            Entry::Object(object) => match object.value {
                Value::String(_) => Kind::String,
                Value::List(_) => Kind::List,
                Value::Hash(_) => Kind::Hash,
                Value::Set(_) => Kind::Set,
                Value::SortedSet(_) => Kind::SortedSet,
                Value::Stream(_) => Kind::Stream,
            },
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self.kind() {
            Kind::String => match self.as_string() {
                Some(StrRef::Integer(_)) => "int",
                // Redis' OBJ_ENCODING_EMBSTR_SIZE_LIMIT.
                Some(StrRef::Bytes(bytes)) if bytes.len() <= 44 && !self.is_object() => "embstr",
                _ => "raw",
            },
            Kind::List => self.collection_encoding::<Chain>(),
            Kind::Hash => self.collection_encoding::<Fields>(),
            Kind::Set => self.collection_encoding::<Members>(),
            Kind::SortedSet => self.collection_encoding::<Ranked>(),
            Kind::Stream => "stream",
            _ => "raw",
        }
    }

    fn collection_encoding<L: Large>(&self) -> &'static str {
        self.as_collection().map_or("unknown", L::encoding)
    }

    fn is_object(&self) -> bool {
        matches!(self, Entry::Object(_))
    }

    /// The value, if it is a string.
    #[inline]
    pub fn as_string(&self) -> Option<StrRef<'_>> {
        match self {
            Entry::Packed(bytes) => {
                let parts = Parts::of(bytes);
                match parts.tag {
                    TAG_BYTES => Some(StrRef::Bytes(parts.value)),
                    TAG_INTEGER => Some(StrRef::Integer(integer(parts.value))),
                    _ => None,
                }
            }
            Entry::Object(object) => match &object.value {
                Value::String(bytes) => Some(StrRef::Bytes(bytes)),
                _ => None,
            },
        }
    }

    /// The value, if it is the state of a rate limit.
    pub fn as_rate_limit(&self) -> Option<&[u8]> {
        self.as_packed(TAG_RATE_LIMIT)
    }

    /// The value, if it is a JSON document.
    pub fn as_json(&self) -> Option<&[u8]> {
        self.as_packed(TAG_JSON)
    }

    fn as_packed(&self, tag: u8) -> Option<&[u8]> {
        match self {
            Entry::Packed(bytes) => {
                let parts = Parts::of(bytes);
                (parts.tag == tag).then_some(parts.value)
            }
            Entry::Object(_) => None,
        }
    }

    /// The value, if it is a collection of this kind.
    #[inline]
    pub fn as_collection<L: Large>(&self) -> Option<CollectionRef<'_, L>> {
        match self {
            Entry::Packed(bytes) => {
                let parts = Parts::of(bytes);
                (parts.tag == L::TAG).then_some(CollectionRef::Small(parts.value))
            }
            Entry::Object(object) => L::of(&object.value).map(CollectionRef::Large),
        }
    }

    /// The value, if it is a list.
    pub fn as_list(&self) -> Option<ListRef<'_>> {
        self.as_collection()
    }

    /// The value, if it is a hash.
    pub fn as_hash(&self) -> Option<HashRef<'_>> {
        self.as_collection()
    }

    /// The value, if it is a set.
    pub fn as_set(&self) -> Option<SetRef<'_>> {
        self.as_collection()
    }

    /// The value, if it is a sorted set.
    pub fn as_sorted_set(&self) -> Option<SortedSetRef<'_>> {
        self.as_collection()
    }

    /// The value, if it is a stream.
    pub fn as_stream(&self) -> Option<&Stream> {
        match self {
            Entry::Object(object) => match &object.value {
                Value::Stream(stream) => Some(stream),
                _ => None,
            },
            Entry::Packed(_) => None,
        }
    }

    /// The value, if it is a stream, to be changed.
    pub fn stream_mut(&mut self) -> Option<&mut Stream> {
        match self {
            Entry::Object(object) => match &mut object.value {
                Value::Stream(stream) => Some(stream),
                _ => None,
            },
            Entry::Packed(_) => None,
        }
    }

    /// Changes the value, if it is a collection of this kind; else nothing is called.
    pub fn edit<L: Large, R>(&mut self, edit: impl FnOnce(&mut Collection<L>) -> R) -> Option<R> {
        self.as_collection::<L>()?;
        // The allocation of an object is used again.
        let (mut collection, object) = match std::mem::take(self) {
            Entry::Packed(bytes) => {
                let head = Parts::of(&bytes).head;
                (Collection::open(Blob::behind(bytes, head), None), None)
            }
            Entry::Object(mut object) => {
                let head = std::mem::take(&mut object.head);
                let value = std::mem::replace(&mut object.value, Value::String(Vec::new()));
                let len = head.len();
                (Collection::open(Blob::behind(head, len), L::from_value(value)), Some(object))
            }
        };
        let result = edit(&mut collection);
        let parts_expire = L::has_expiring(collection.as_ref());
        *self = match collection.close() {
            (blob, None) => Entry::Packed(blob.into_bytes()),
            (blob, Some(large)) => {
                let new = Object { head: blob.into_bytes(), value: L::into_value(large) };
                Entry::Object(match object {
                    Some(mut object) => {
                        *object = new;
                        object
                    }
                    None => Box::new(new),
                })
            }
        };
        self.set_parts_expire(parts_expire);
        Some(result)
    }

    /// Makes the value a string and the expiry `at`; reuses the allocation when it fits.
    pub fn put_string(&mut self, bytes: &[u8], at: u64) {
        match parse_integer(bytes) {
            Some(value) => self.put(TAG_INTEGER, &value.to_le_bytes(), at),
            None => self.put(TAG_BYTES, bytes, at),
        }
    }

    /// Makes the value an integer; the expiry stays.
    pub fn put_integer(&mut self, value: i64) {
        self.put(TAG_INTEGER, &value.to_le_bytes(), self.expires_at());
    }

    /// Makes the value the state of a rate limit and the expiry `at`.
    pub fn put_rate_limit(&mut self, state: &[u8], at: u64) {
        self.put(TAG_RATE_LIMIT, state, at);
    }

    /// Makes the value a JSON document; the expiry stays.
    pub fn put_json(&mut self, document: &[u8]) {
        self.put(TAG_JSON, document, self.expires_at());
    }

    /// The value, a string, as bytes that can grow. The caller knows that it is a string.
    pub fn string_mut(&mut self) -> &mut Vec<u8> {
        if !matches!(self, Entry::Object(o) if matches!(o.value, Value::String(_))) {
            let bytes = match self.as_string() {
                Some(StrRef::Bytes(bytes)) => bytes.to_vec(),
                Some(StrRef::Integer(value)) => itoa::Buffer::new().format(value).into(),
                None => Vec::new(),
            };
            *self = Entry::object(self.key(), Value::String(bytes), self.expires_at());
        }
        match self {
            Entry::Object(object) => match &mut object.value {
                Value::String(bytes) => bytes,
                _ => unreachable!("made a string above"),
            },
            Entry::Packed(_) => unreachable!("made an object above"),
        }
    }

    /// The same value under another key.
    pub fn renamed(mut self, key: &[u8]) -> Entry {
        let bytes = self.head_mut();
        let Parts { expires_at, value, .. } = Parts::of(bytes);
        *bytes = pack(bytes[0] & !TAG_EXPIRES, key, value, expires_at);
        self
    }

    /// Bytes on the heap, as asked of the allocator.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Entry::Packed(bytes) => bytes.len(),
            Entry::Object(object) => {
                size_of::<Object>() + object.head.len() + object.value.heap_bytes()
            }
        }
    }

    fn put(&mut self, tag: u8, value: &[u8], at: u64) {
        if let Entry::Packed(bytes) = self {
            let parts = Parts::of(bytes);
            let fits = parts.value.len() == value.len();
            if fits && (parts.expires_at == NEVER) == (at == NEVER) {
                let start = bytes.len() - value.len();
                bytes[start..].copy_from_slice(value);
                bytes[0] = tag;
                if at != NEVER {
                    bytes[0] |= TAG_EXPIRES;
                    bytes[1..9].copy_from_slice(&at.to_le_bytes());
                }
                return;
            }
        }
        *self = Entry::packed(tag, self.key(), value, at);
    }
}
