//! A value as RDB has it, and back: for full copies, and for DUMP and RESTORE.
//!
//! `rdb` knows the format and nothing of the keyspace; the keyspace knows nothing of formats.
//! Here each kind of value has one arm in either direction.

mod stream;

use crate::keyspace::{Entry, StrRef, Value};
use crate::rdb::{self, Encode, HashField, HashTable, IntegerValue, LimiterState, StringValue};
use crate::value::hash::{Hash, HashRef};
use crate::value::limits::Limits;
use crate::value::packed::Text;

/// Why a well-formed value cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A hash with fields that expire.
    #[error("it has fields that expire, which is not supported")]
    FieldExpiry,
    /// A rate limit that this version of the limiter has not written.
    #[error("it is a rate limit that is damaged")]
    Limiter,
    /// A kind of value that Eave does not have.
    #[error("its type is not supported")]
    Kind,
}

/// Who takes values as RDB: a file's writer, or a payload.
pub trait Sink {
    /// Takes one value.
    fn take<V: Encode>(&mut self, value: V);
}

/// Gives the value of an entry to `sink`.
pub fn save(entry: &Entry, sink: &mut impl Sink) {
    if let Some(state) = entry.as_rate_limit() {
        sink.take(LimiterState(state));
    } else if let Some(hash) = entry.as_hash() {
        sink.take(HashTable(Pairs { left: hash.len(), pairs: HashRef::iter(hash) }));
    } else if let Some(stream) = entry.as_stream() {
        sink.take(stream::table(stream));
    } else {
        match entry.as_string() {
            Some(StrRef::Integer(value)) => sink.take(IntegerValue(value)),
            Some(StrRef::Bytes(bytes)) => sink.take(StringValue(bytes)),
            None => debug_assert!(false, "every kind of value is written"),
        }
    }
}

/// The entry of a value, in the form that the thresholds give it.
///
/// # Errors
/// When Eave cannot keep such a value.
pub fn load(key: &[u8], value: rdb::Value, at: u64, limits: &Limits) -> Result<Entry, Refused> {
    Ok(match value {
        rdb::Value::String(bytes) => Entry::string(key, &bytes, at),
        rdb::Value::Limiter(state) => {
            if state.is_empty() || eave_ratelimit::validate(&state).is_err() {
                return Err(Refused::Limiter);
            }
            Entry::rate_limit(key, &state, at)
        }
        rdb::Value::Hash(fields) => {
            if fields.iter().any(|field| field.expire_at_ms.is_some()) {
                return Err(Refused::FieldExpiry);
            }
            let pairs = fields.iter().map(|HashField { field, value, .. }| (field, value));
            Entry::collection(key, Hash::from_pairs(pairs, limits.hash), at)
        }
        rdb::Value::Stream(record) => {
            Entry::object(key, Value::Stream(Box::new(stream::of_record(&record))), at)
        }
    })
}

/// A hash's fields with their number in front, as RDB wants it.
struct Pairs<I> {
    left: usize,
    pairs: I,
}

/// A text, as the writer takes it.
struct Bytes<'a>(Text<'a>);

impl AsRef<[u8]> for Bytes<'_> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<'a, I: Iterator<Item = (Text<'a>, Text<'a>)>> Iterator for Pairs<I> {
    type Item = (Bytes<'a>, Bytes<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (field, value) = self.pairs.next()?;
        self.left = self.left.saturating_sub(1);
        Some((Bytes(field), Bytes(value)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a, I: Iterator<Item = (Text<'a>, Text<'a>)>> ExactSizeIterator for Pairs<I> {}
