//! A value as RDB has it, and back: for full copies, and for DUMP and RESTORE.
//!
//! `rdb` knows the format and nothing of the keyspace; the keyspace knows nothing of formats.
//! Here each kind of value has one arm in either direction.

mod stream;

use crate::keyspace::{Entry, NEVER, StrRef, Value};
use crate::rdb::{
    self, Encode, ExpiringHash, HashField, HashTable, IntegerValue, Intset, JsonText, LimiterState,
    ListValue, ScoredMember, SetTable, SortedSetListpack, SortedSetTable, StringValue,
};
use crate::value::hash::Hash;
use crate::value::json;
use crate::value::limits::Limits;
use crate::value::list::List;
use crate::value::packed::Text;
use crate::value::set::{Set, SetRef};
use crate::value::sorted_set::{SortedSet, SortedSetLimits, SortedSetRef};

/// Why a well-formed value cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A rate limit that this version of the limiter has not written.
    #[error("it is a rate limit that is damaged")]
    Limiter,
    /// A document that does not read, or is too deep.
    #[error("it is a JSON document that is damaged")]
    Json,
    /// A kind of value that Eave does not have.
    #[error("its type is not supported")]
    Kind,
}

/// Who takes values as RDB: a file's writer, or a payload.
pub trait Sink {
    /// Takes one value.
    fn take<V: Encode>(&mut self, value: V);
}

/// Gives the value of an entry to `sink`, whole.
pub fn save(entry: &Entry, sink: &mut impl Sink) {
    match entry.as_hash() {
        Some(hash) if hash.soonest() != NEVER => {
            let fields = hash.iter().map(|(field, value, at)| (Bytes(field), Bytes(value), at));
            let fields = Counted { left: hash.len(), items: fields };
            sink.take(ExpiringHash { earliest_ms: hash.soonest(), fields });
        }
        _ => save_plain(entry, sink),
    }
}

/// Gives the value of an entry to `sink`, without what redis-server 7.0 cannot read: the expiry
/// of fields.
pub fn save_plain(entry: &Entry, sink: &mut impl Sink) {
    if let Some(state) = entry.as_rate_limit() {
        sink.take(LimiterState(state));
    } else if let Some(document) = entry.as_json() {
        sink.take(JsonText(&printed(document)));
    } else if let Some(list) = entry.as_list() {
        sink.take(ListValue(list.forward(0).map(|element| Bytes(element.text()))));
    } else if let Some(hash) = entry.as_hash() {
        let pairs = hash.iter().map(|(field, value, _)| (Bytes(field), Bytes(value)));
        sink.take(HashTable(Counted { left: hash.len(), items: pairs }));
    } else if let Some(set) = entry.as_set() {
        save_set(set, sink);
    } else if let Some(set) = entry.as_sorted_set() {
        save_sorted_set(set, sink);
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

/// A document as text: of those that are kept, none is too large for that.
fn printed(document: &[u8]) -> Vec<u8> {
    json::print::print(json::Node::root(document)).unwrap_or_else(|_| b"null".to_vec())
}

/// A set that has only ever held integers is an intset for Redis too; any other is a row of
/// strings, whatever its form here, since Redis 7.0 knows no third.
fn save_set(set: SetRef<'_>, sink: &mut impl Sink) {
    match set.integers() {
        Some(integers) => {
            sink.take(Intset { width: integers.width(), integers: integers.stored() });
        }
        None => {
            let members = SetRef::iter(set).map(Bytes);
            sink.take(SetTable(Counted { left: set.len(), items: members }));
        }
    }
}

/// A small one as listpack, a large one as table with the highest first, both as Redis does.
fn save_sorted_set(set: SortedSetRef<'_>, sink: &mut impl Sink) {
    let bytes = |(member, score)| (Bytes(member), score);
    if let SortedSetRef::Small(_) = set
        && let Ok(listpack) = SortedSetListpack::pack(set.iter().map(bytes))
    {
        return sink.take(SortedSetListpack(&listpack));
    }
    let items = set.descending().map(bytes);
    sink.take(SortedSetTable(Counted { left: set.len(), items }));
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
        rdb::Value::Json(text) => {
            let document = json::parse(&text).map_err(|_| Refused::Json)?;
            Entry::json(key, &document, at)
        }
        rdb::Value::List(texts) => {
            Entry::collection(key, List::from_texts(texts.iter(), limits.list), at)
        }
        rdb::Value::Hash(fields) => {
            let pairs = fields.iter().map(|HashField { field, value, .. }| (field, value));
            let mut hash = Hash::from_pairs(pairs, limits.hash);
            for HashField { field, expire_at_ms, .. } in &fields {
                // A time that has passed stays, and the field is absent. 0 would mean never.
                if let Some(at) = expire_at_ms {
                    hash.expire(field, (*at).max(1));
                }
            }
            Entry::collection(key, hash, at)
        }
        rdb::Value::Set(members) => {
            Entry::collection(key, Set::from_members(members, limits.set), at)
        }
        rdb::Value::SortedSet(members) => sorted_set(key, &members, at, limits.sorted_set),
        rdb::Value::PackedSortedSet(members) => {
            let limits = SortedSetLimits { value_bytes: usize::MAX, ..limits.sorted_set };
            sorted_set(key, &members, at, limits)
        }
        rdb::Value::Stream(record) => {
            Entry::object(key, Value::Stream(Box::new(stream::of_record(&record))), at)
        }
    })
}

fn sorted_set(key: &[u8], members: &[ScoredMember], at: u64, limits: SortedSetLimits) -> Entry {
    let pairs = members.iter().map(|ScoredMember { member, score }| (member, *score));
    Entry::collection(key, SortedSet::from_pairs(pairs, limits), at)
}

/// The parts of a collection with their number in front, as RDB wants it.
struct Counted<I> {
    left: usize,
    items: I,
}

impl<I: Iterator> Iterator for Counted<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<Self::Item> {
        let element = self.items.next()?;
        self.left = self.left.saturating_sub(1);
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<I: Iterator> ExactSizeIterator for Counted<I> {}

/// A text, as the writer takes it.
struct Bytes<'a>(Text<'a>);

impl AsRef<[u8]> for Bytes<'_> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
