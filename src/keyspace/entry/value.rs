//! What an entry holds when it is not packed, and which of it is the large form of a collection.

use super::packed::{TAG_HASH, TAG_LIST, TAG_SET, TAG_SORTED_SET};
use super::{Kind, NEVER};
use crate::value::collection::CollectionRef;
use crate::value::hash::{Fields, HashRef};
use crate::value::list::Chain;
use crate::value::set::Members;
use crate::value::sorted_set::Members as Ranked;
use crate::value::stream::Stream;

/// A value that is not packed.
#[derive(Debug, Clone)]
pub enum Value {
    /// A string that APPEND or SETRANGE has changed: it has room to grow in place.
    String(Vec<u8>),
    /// Texts in an order of their own.
    List(Box<Chain>),
    /// Fields and values.
    Hash(Box<Fields>),
    /// Texts, each once.
    Set(Box<Members>),
    /// Members in the order of their scores.
    SortedSet(Box<Ranked>),
    /// Entries and groups.
    Stream(Box<Stream>),
}

impl Value {
    /// Bytes on the heap, as asked of the allocator.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Value::String(bytes) => bytes.capacity(),
            Value::List(chain) => chain.heap_bytes(),
            Value::Hash(fields) => fields.heap_bytes(),
            Value::Set(members) => members.heap_bytes(),
            Value::SortedSet(members) => members.heap_bytes(),
            Value::Stream(stream) => stream.heap_bytes(),
        }
    }
}

/// The large form of a collection, as the keyspace keeps it.
pub trait Large: Sized {
    /// What TYPE says of the collection.
    const KIND: Kind;
    /// The tag of the small form, packed.
    const TAG: u8;
    /// As a value.
    fn into_value(large: Box<Self>) -> Value;
    /// Of a value, if it is one.
    fn of(value: &Value) -> Option<&Self>;
    /// Of a value, which is one.
    fn from_value(value: Value) -> Option<Box<Self>>;
    /// Whether it has no element, and so no business in the keyspace.
    fn is_empty(collection: CollectionRef<'_, Self>) -> bool;
    /// What OBJECT ENCODING says.
    fn encoding(collection: CollectionRef<'_, Self>) -> &'static str;
    /// Whether it has elements that expire on their own: only hashes do.
    fn has_expiring(_: CollectionRef<'_, Self>) -> bool {
        false
    }
}

/// Says which value of the keyspace is the large form of a collection.
macro_rules! large {
    ($form:ty, $name:ident, $tag:ident $(, $more:item)?) => {
        impl Large for $form {
            const KIND: Kind = Kind::$name;
            const TAG: u8 = $tag;
            fn into_value(large: Box<Self>) -> Value {
                Value::$name(large)
            }
            fn of(value: &Value) -> Option<&Self> {
                match value {
                    Value::$name(large) => Some(large),
                    _ => None,
                }
            }
            fn from_value(value: Value) -> Option<Box<Self>> {
                match value {
                    Value::$name(large) => Some(large),
                    _ => None,
                }
            }
            fn is_empty(collection: CollectionRef<'_, Self>) -> bool {
                collection.is_empty()
            }
            fn encoding(collection: CollectionRef<'_, Self>) -> &'static str {
                collection.encoding()
            }
            $($more)?
        }
    };
}

large!(
    Fields,
    Hash,
    TAG_HASH,
    fn has_expiring(hash: HashRef<'_>) -> bool {
        hash.soonest() != NEVER
    }
);
large!(Chain, List, TAG_LIST);
large!(Members, Set, TAG_SET);
large!(Ranked, SortedSet, TAG_SORTED_SET);
