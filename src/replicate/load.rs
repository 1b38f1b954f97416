//! A full copy coming in: RDB items into a data set that nobody sees yet.
//!
//! Memory holds the old data and the new until the new is whole; a copy that breaks off costs
//! nothing but time. Left out on purpose: functions and the facts about the file, and keeping
//! what cannot be kept (types and field expiries that Eave does not have): such a copy is
//! refused and named, not loaded in part.

use crate::archive::{self, Refused};
use crate::clock;
use crate::command::limiter_rule;
use crate::fault::Fault;
use crate::keyspace::staging::Duplicate;
use crate::keyspace::usage::{Noted, Tick, Usage};
use crate::keyspace::warm::TOGETHER;
use crate::keyspace::{Entry, NEVER, Staging};
use crate::rdb::{self, Item, Key, Limits, Reader, Skipped};
use crate::rules::{Rules, carry};
use crate::value::limits::Limits as Encodings;

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
    /// A value that cannot be kept.
    #[error("key '{0}' cannot be kept: {1}")]
    Refused(String, Refused),
    /// A rule of rate limits that is none.
    #[error("a rule of rate limits cannot be kept: {0:?}")]
    Rule(Fault),
    /// A value of a module.
    #[error("key '{0}' is of the module type {1}, which is not supported")]
    Module(String, String),
}

/// A full copy that has come whole.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) staged: Staging,
    /// Code of function libraries.
    pub(super) functions: Vec<Vec<u8>>,
    /// Named rules of rate limits, and their lists.
    pub(super) rules: Rules,
    /// The database that the stream behind it begins with.
    pub(super) stream_db: usize,
}

/// A full copy on its way in.
#[derive(Debug)]
pub(super) struct Loader {
    reader: Reader,
    staged: Staging,
    /// Keys of the present database that are put there together.
    waiting: Vec<(Entry, Usage)>,
    encodings: Encodings,
    db: usize,
    /// Code of function libraries.
    functions: Vec<Vec<u8>>,
    /// The database that the stream behind the copy begins with.
    stream_db: usize,
    /// Named rules of rate limits, and their lists.
    rules: Rules,
    /// When the copy began to come.
    begun: Tick,
}

impl Loader {
    /// A loader for a node of so many databases.
    pub(super) fn new(databases: usize, encodings: Encodings) -> Loader {
        let reader = Reader::new(Limits::default());
        let begun = Tick::new(clock::unix_ms(), Noted::Last);
        Loader {
            reader,
            staged: Staging::new(databases),
            waiting: Vec::with_capacity(TOGETHER),
            encodings,
            db: 0,
            functions: Vec::new(),
            stream_db: 0,
            rules: Rules::default(),
            begun,
        }
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
    pub(super) fn finish(mut self) -> Result<Loaded, LoadError> {
        self.reader.finish()?;
        self.put_waiting()?;
        let Loader { staged, functions, rules, stream_db, .. } = self;
        Ok(Loaded { staged, functions, rules, stream_db })
    }

    fn take(&mut self, item: Item) -> Result<(), LoadError> {
        match item {
            Item::SelectDb(number) => {
                self.put_waiting()?;
                self.db = self.database(number)?;
            }
            Item::ResizeDb { keys, .. } => self.staged.expect(self.db, keys),
            Item::Key(key) => self.put(key)?,
            Item::Skipped { key: Some(key), why: Skipped::Module { name, .. } } => {
                return Err(LoadError::Module(show(&key), name));
            }
            Item::Function(code) => self.functions.push(code),
            // A replica that is followed cannot name its leader's database again.
            Item::Aux { name, value } if name == b"repl-stream-db" => {
                let number = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
                self.stream_db = self.database(number.unwrap_or(0))?;
            }
            Item::Aux { name, value } if name == carry::FACT => {
                let words = carry::decode(&value).map_err(LoadError::Rule)?;
                let now = clock::unix_ms();
                limiter_rule::replay(&self.rules, &words, now).map_err(LoadError::Rule)?;
            }
            // Facts, hints, data of modules that belong to no key, empty collections.
            _ => {}
        }
        Ok(())
    }

    fn database(&self, number: u32) -> Result<usize, LoadError> {
        let databases = self.staged.databases();
        let db = usize::try_from(number).ok().filter(|db| *db < databases);
        db.ok_or(LoadError::Database(number, databases))
    }

    fn put(&mut self, key: Key) -> Result<(), LoadError> {
        let Key { name, meta, value } = key;
        // A time that has passed stays: the leader's DEL is on its way. 0 would mean never.
        let at = meta.expire_at_ms.map_or(NEVER, |at| u64::try_from(at).unwrap_or(1).max(1));
        let entry = archive::load(&name, value, at, &self.encodings)
            .map_err(|why| LoadError::Refused(show(&name), why))?;
        let usage = match meta.usage {
            Some(rdb::Usage::IdleSeconds(idle)) => Usage::idle(self.begun, idle),
            Some(rdb::Usage::Frequency(counter)) => Usage::frequent(self.begun, counter),
            None => Usage::fresh(self.begun),
        };
        self.waiting.push((entry, usage));
        if self.waiting.len() == TOGETHER { self.put_waiting() } else { Ok(()) }
    }

    fn put_waiting(&mut self) -> Result<(), LoadError> {
        let put = self.staged.insert_all(self.db, self.waiting.drain(..));
        put.map_err(|Duplicate(name)| LoadError::Duplicate(show(&name)))
    }
}

/// The beginning of a key, for an error.
fn show(key: &[u8]) -> String {
    key[..key.len().min(64)].escape_ascii().to_string()
}
