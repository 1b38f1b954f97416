//! The digest of a data set, as DEBUG DIGEST of Redis computes it: equal for equal data,
//! whatever the order in which tables hold it.
//!
//! What has an order (a list, a stream) is hashed in a chain; what has none (the members of a
//! set, the keys of a database) is hashed one by one and combined by XOR.

use sha1::{Digest as _, Sha1};

use super::{Entry, Kind, NEVER, StrRef};
use crate::value::number::format_double;
use crate::value::stream::Id;

/// Twenty bytes that stand for data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest([u8; 20]);

impl Digest {
    /// Adds something whose place does not matter.
    fn add(&mut self, bytes: &[u8]) {
        let hash = Sha1::digest(bytes);
        self.0.iter_mut().zip(hash).for_each(|(byte, other)| *byte ^= other);
    }

    /// Adds something behind what there is.
    fn append(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    /// Adds something of two parts whose place does not matter.
    fn add_pair(&mut self, first: &[u8], second: &[u8]) {
        let mut pair = Digest::default();
        pair.append(first);
        pair.append(second);
        self.0.iter_mut().zip(Sha1::digest(pair.0)).for_each(|(byte, other)| *byte ^= other);
    }

    /// Begins a database.
    pub fn begin(&mut self, db: usize) {
        self.append(&u32::try_from(db).unwrap_or(u32::MAX).to_be_bytes());
    }

    /// Adds a key with its value.
    pub fn add_key(&mut self, entry: &Entry) {
        let mut key = Digest::default();
        key.append(entry.key());
        key.append_value(entry);
        self.add(&key.0);
    }

    /// The digest of a value alone.
    pub fn of_value(entry: &Entry) -> Digest {
        let mut digest = Digest::default();
        digest.append_value(entry);
        digest
    }

    fn append_value(&mut self, entry: &Entry) {
        self.append(&kind_number(entry.kind()).to_be_bytes());
        if let Some(text) = entry.as_string() {
            match text {
                StrRef::Integer(number) => self.append(number.to_string().as_bytes()),
                StrRef::Bytes(bytes) => self.append(bytes),
            }
        } else if let Some(list) = entry.as_list() {
            list.forward(0).for_each(|element| self.append(&element.text()));
        } else if let Some(set) = entry.as_set() {
            set.iter().for_each(|member| self.add(&member));
        } else if let Some(set) = entry.as_sorted_set() {
            set.iter().for_each(|(member, score)| {
                self.add_pair(&member, format_double(score).as_bytes());
            });
        } else if let Some(hash) = entry.as_hash() {
            hash.iter().for_each(|(field, value, _)| self.add_pair(&field, &value));
        } else if let Some(stream) = entry.as_stream() {
            for record in stream.entries(Id::MIN, Id::MAX) {
                self.append(format!("{}.{}", record.id.ms, record.id.seq).as_bytes());
                for (field, value) in record.pairs() {
                    self.append(&field);
                    self.append(&value);
                }
            }
        } else if let Some(bytes) = entry.as_rate_limit().or(entry.as_json()) {
            self.append(bytes);
        }
        if entry.expires_at() != NEVER {
            self.add(b"!!expire!!");
        }
    }
}

/// The number of a type in Redis.
fn kind_number(kind: Kind) -> u32 {
    match kind {
        Kind::String => 0,
        Kind::List => 1,
        Kind::Set => 2,
        Kind::SortedSet => 3,
        Kind::Hash => 4,
        // Redis keeps it as a module's.
        Kind::RateLimit | Kind::Json => 5,
        Kind::Stream => 6,
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
