//! A full copy coming in: RDB items into a data set that nobody sees yet.
//!
//! Memory holds the old data and the new until the new is whole; a copy that breaks off costs
//! nothing but time. Left out on purpose: functions and the facts about the file, and keeping
//! what cannot be kept (types and field expiries that Eave does not have): such a copy is
//! refused and named, not loaded in part.

use crate::keyspace::{Entry, NEVER, Staging, Value};
use crate::rdb::{self, HashField, Item, Key, Limits, Reader, Skipped};
use crate::value::hash::{Hash, HashLimits};

/// Why a full copy cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The bytes are no RDB that is understood.
    #[error("{0}")]
    Rdb(#[from] rdb::Error),
    /// A database that this node does not have.
    #[error("it has keys in database {0}, and 'databases' is {1} here")]
    Database(u32, usize),
    /// The same key twice.
    #[error("key '{0}' comes twice")]
    Duplicate(String),
    /// A hash with fields that expire.
    #[error("hash '{0}' has fields that expire, which is not supported")]
    FieldExpiry(String),
    /// A rate limit that this version of the limiter has not written.
    #[error("rate limit '{0}' is damaged")]
    Limiter(String),
    /// A value of a module.
    #[error("key '{0}' is of the module type {1}, which is not supported")]
    Module(String, String),
}

/// A full copy on its way in.
#[derive(Debug)]
pub(super) struct Loader {
    reader: Reader,
    staged: Staging,
    hash_limits: HashLimits,
    db: usize,
}

impl Loader {
    /// A loader for a node of so many databases.
    pub(super) fn new(databases: usize, hash_limits: HashLimits) -> Loader {
        let reader = Reader::new(Limits::default());
        Loader { reader, staged: Staging::new(databases), hash_limits, db: 0 }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// What is wrong with them; the copy is then lost.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        self.reader.feed(bytes);
        while let Some(item) = self.reader.next_item()? {
            self.take(item)?;
        }
        Ok(())
    }

    /// The copy, once all bytes have come.
    ///
    /// # Errors
    /// When bytes are missing.
    pub(super) fn finish(self) -> Result<Staging, LoadError> {
        self.reader.finish()?;
        Ok(self.staged)
    }

    fn take(&mut self, item: Item) -> Result<(), LoadError> {
        match item {
            Item::SelectDb(number) => {
                let databases = self.staged.databases();
                let db = usize::try_from(number).ok().filter(|db| *db < databases);
                self.db = db.ok_or(LoadError::Database(number, databases))?;
            }
            Item::Key(key) => self.put(key)?,
            Item::Skipped { key: Some(key), why: Skipped::Module { name, .. } } => {
                return Err(LoadError::Module(show(&key), name));
            }
            Item::Function(_) => tracing::warn!("the leader's function library is left out"),
            // Facts, hints, data of modules that belong to no key, empty collections.
            _ => {}
        }
        Ok(())
    }

    fn put(&mut self, key: Key) -> Result<(), LoadError> {
        let Key { name, meta, value } = key;
        // A time that has passed stays: the leader's DEL is on its way. 0 would mean never.
        let at = meta.expire_at_ms.map_or(NEVER, |at| u64::try_from(at).unwrap_or(1).max(1));
        let entry = match value {
            rdb::Value::String(bytes) => Entry::string(&name, &bytes, at),
            rdb::Value::Limiter(state) => {
                if state.is_empty() || eave_ratelimit::validate(&state).is_err() {
                    return Err(LoadError::Limiter(show(&name)));
                }
                Entry::rate_limit(&name, &state, at)
            }
            rdb::Value::Hash(fields) => {
                if fields.iter().any(|field| field.expire_at_ms.is_some()) {
                    return Err(LoadError::FieldExpiry(show(&name)));
                }
                let pairs = fields.iter().map(|HashField { field, value, .. }| (field, value));
                let hash = Hash::from_pairs(pairs, self.hash_limits);
                Entry::object(&name, Value::Hash(hash), at)
            }
        };
        self.staged.insert(self.db, entry).map_err(|_| LoadError::Duplicate(show(&name)))
    }
}

/// The beginning of a key, for an error.
fn show(key: &[u8]) -> String {
    key[..key.len().min(64)].escape_ascii().to_string()
}
