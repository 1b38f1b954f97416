//! The RDB format: bytes in, values out, for full syncs, snapshots and DUMP/RESTORE.
//!
//! Reading order: [`mod@write`] (what a file is made of, in order), [`read`] (the same stream,
//! arriving in pieces), [`dump`] (one value alone), then one file a type (`string`, `list`,
//! `hash`, `set`, `sorted_set`, `stream`, `module` for the limiter state) and the packed layouts
//! inside values (`listpack`, `ziplist`, `zipmap`).
//!
//! Written is version 10, which redis-server 7.0 loads, except for hashes with fields that
//! expire, which need 12; versions 1 to 12 are read.
//!
//! A type is added in three places: its file with an [`Encode`] and a decoder, an arm in
//! `value`, a variant of [`Value`].
//!
//! Limits, as invariants: nothing recurses; every length is checked against [`Limits`] before
//! memory is asked for; the decoder holds what was fed and what it decodes to, and the only
//! expansion, LZF, is refused beyond the 88 bytes that one compressed byte can stand for.
//!
//! Left out on purpose: files and sockets, keyspace types, the EOF mark of diskless transfers
//! (the replication wire knows it).

mod checksum;
mod code;
mod cursor;
pub mod dump;
mod error;
pub mod fuzz;
mod hash;
mod list;
pub mod listpack;
mod lzf;
mod module;
mod number;
mod packed;
pub mod read;
mod set;
mod sorted_set;
mod stream;
mod string;
#[cfg(test)]
mod tests;
mod texts;
mod value;
pub mod write;
mod ziplist;
mod zipmap;

pub use checksum::Checksum;
pub use error::{Error, ErrorKind};
pub use hash::{ExpiringHash, HashField, HashListpack, HashTable};
pub use list::ListValue;
pub use listpack::Listpack;
pub use module::{JsonText, LimiterState};
pub use read::{Item, Reader};
pub use set::{Intset, SetTable};
pub use sorted_set::{ScoredMember, SortedSetListpack, SortedSetTable};
pub use stream::{
    StreamConsumer, StreamEntry, StreamFacts, StreamGroup, StreamId, StreamNode, StreamPending,
    StreamRecord, StreamTable,
};
pub use string::{IntegerValue, StringValue};
pub use texts::Texts;
pub use value::{Key, KeyMeta, Limits, Skipped, Usage, Value};
pub use write::{Compression, Encode, Preamble, Purpose, StreamPosition, Writer};

/// The RDB version that is written where it can say what is to be said: the one of
/// redis-server 7.0.
pub const WRITTEN_VERSION: u16 = 10;

/// The newest RDB version that is read: the one of Redis 7.4 and 8.
pub const NEWEST_VERSION: u16 = 12;
