//! What a file holds: keys, what is known about them, and their values.

use super::code;
use super::cursor::{Cursor, Stop};
use super::error::{Error, ErrorKind};
use super::hash::{self, HashField};
use super::sorted_set::{self, ScoredMember};
use super::stream::{self, StreamRecord};
use super::texts::Texts;
use super::{list, module, set};

/// How much a reader takes from a stream; checked before memory is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one string, stored and expanded: a key, a value, a packed collection.
    pub string_bytes: u64,
    /// Elements of one collection.
    pub elements: u64,
}

impl Default for Limits {
    /// Redis' own bounds: strings of 512 MiB (`proto-max-bulk-len`), 2^32 - 1 elements.
    fn default() -> Self {
        Self { string_bytes: 512 << 20, elements: u32::MAX.into() }
    }
}

/// What is stored of a key besides its name and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyMeta {
    /// When it expires, in milliseconds since 1970; it may have passed.
    pub expire_at_ms: Option<i64>,
    /// When or how often it was used, under an eviction policy that asks.
    pub usage: Option<Usage>,
}

/// When or how often a key was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// Seconds since it was last used (LRU policies).
    IdleSeconds(u64),
    /// Redis' logarithmic access counter (LFU policies).
    Frequency(u8),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The name.
    pub name: Vec<u8>,
    /// Expiry and usage.
    pub meta: KeyMeta,
    /// The value.
    pub value: Value,
}

/// A value, whatever encoding it was stored in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// A string.
    String(Vec<u8>),
    /// A list, never empty.
    List(Texts),
    /// A hash, never empty, no field twice, in stored order.
    Hash(Vec<HashField>),
    /// A set, never empty, no member twice, in stored order.
    Set(Vec<Vec<u8>>),
    /// A sorted set, never empty, no member twice, no score NaN, in stored order.
    SortedSet(Vec<ScoredMember>),
    /// The same, when it was stored as one packed string: Redis leaves it in that form, however
    /// long the members.
    PackedSortedSet(Vec<ScoredMember>),
    /// A stream; it may be empty.
    Stream(StreamRecord),
    /// Eave's limiter state, opaque here; version [`super::LimiterState::VERSION`].
    Limiter(Vec<u8>),
    /// A document of RedisJSON, as text.
    Json(Vec<u8>),
}

/// Why something well-formed was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skipped {
    /// A value of a module that Eave does not have, or of a newer Eave.
    Module {
        /// The module type's nine characters.
        name: String,
        /// Its encoding version, 0 to 1023.
        version: u16,
    },
    /// A collection without elements: Redis ignores these too (older versions wrote them).
    Empty,
}

/// What a decoded value turned out to be.
#[derive(Debug)]
pub(super) enum Decoded {
    Value(Value),
    Skipped(Skipped),
}

/// A value on its way in; resumable wherever the bytes end.
#[derive(Debug)]
pub(super) enum Decoder {
    String,
    List(list::Decoder),
    Hash(hash::TableDecoder),
    PackedHash(hash::Packing),
    Set(set::TableDecoder),
    PackedSet(set::Packing),
    SortedSet(sorted_set::TableDecoder),
    PackedSortedSet(sorted_set::Packing),
    Stream(Box<stream::Decoder>),
    Module(module::Decoder),
}

impl Decoder {
    /// A decoder for the type byte found at `offset`.
    pub(super) fn new(byte: u8, offset: u64) -> Result<Self, Error> {
        Ok(match byte {
            code::TYPE_STRING => Self::String,
            code::TYPE_LIST => Self::List(list::Decoder::strings()),
            code::TYPE_LIST_ZIPLIST => Self::List(list::Decoder::ziplist()),
            code::TYPE_LIST_QUICKLIST => Self::List(list::Decoder::ziplists()),
            code::TYPE_LIST_QUICKLIST_2 => Self::List(list::Decoder::nodes()),
            code::TYPE_HASH => Self::Hash(hash::TableDecoder::plain()),
            code::TYPE_HASH_METADATA => Self::Hash(hash::TableDecoder::with_expiries()),
            code::TYPE_HASH_ZIPMAP => Self::PackedHash(hash::Packing::Zipmap),
            code::TYPE_HASH_ZIPLIST => Self::PackedHash(hash::Packing::Ziplist),
            code::TYPE_HASH_LISTPACK => Self::PackedHash(hash::Packing::Listpack),
            code::TYPE_HASH_LISTPACK_EX => Self::PackedHash(hash::Packing::ListpackWithExpiries),
            code::TYPE_SET => Self::Set(set::TableDecoder::default()),
            code::TYPE_SET_INTSET => Self::PackedSet(set::Packing::Intset),
            code::TYPE_SET_LISTPACK => Self::PackedSet(set::Packing::Listpack),
            code::TYPE_SORTED_SET => Self::SortedSet(sorted_set::TableDecoder::with_texts()),
            code::TYPE_SORTED_SET_2 => Self::SortedSet(sorted_set::TableDecoder::with_doubles()),
            code::TYPE_SORTED_SET_ZIPLIST => Self::PackedSortedSet(sorted_set::Packing::Ziplist),
            code::TYPE_SORTED_SET_LISTPACK => Self::PackedSortedSet(sorted_set::Packing::Listpack),
            code::TYPE_STREAM | code::TYPE_STREAM_2 | code::TYPE_STREAM_3 => {
                Self::Stream(Box::new(stream::Decoder::new(byte)))
            }
            code::TYPE_MODULE_2 => Self::Module(module::Decoder::value()),
            // Types end at 25 in the versions read; opcodes begin at 244.
            _ if byte <= 25 => {
                let kind = ErrorKind::Type { byte, name: code::type_name(byte) };
                return Err(Error::new(offset, kind));
            }
            _ => return Err(Error::new(offset, ErrorKind::Opcode { byte })),
        })
    }

    /// Goes on with the value; after [`Stop::More`], call again from the cursor's kept point.
    pub(super) fn step(
        &mut self,
        cursor: &mut Cursor<'_>,
        limits: &Limits,
    ) -> Result<Decoded, Stop> {
        let decoded = match self {
            Self::String => Decoded::Value(Value::String(cursor.string(limits)?.into_vec()?)),
            Self::List(list) => list.step(cursor, limits)?,
            Self::Hash(table) => hash::decoded(table.step(cursor, limits)?),
            Self::PackedHash(packing) => hash::decoded(packing.decode(cursor, limits)?),
            Self::Set(table) => set::decoded(table.step(cursor, limits)?),
            Self::PackedSet(packing) => set::decoded(packing.decode(cursor, limits)?),
            Self::SortedSet(table) => {
                sorted_set::decoded(table.step(cursor, limits)?, Value::SortedSet)
            }
            Self::PackedSortedSet(packing) => {
                sorted_set::decoded(packing.decode(cursor, limits)?, Value::PackedSortedSet)
            }
            Self::Stream(stream) => Decoded::Value(Value::Stream(stream.step(cursor, limits)?)),
            Self::Module(module) => module.step(cursor, limits)?,
        };
        cursor.keep();
        Ok(decoded)
    }
}
