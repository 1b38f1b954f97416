//! Keyspace notifications: what has happened to a key, in the words that Redis publishes.
//!
//! A writer notes events while it holds its locks, if their class is wanted at all; they are
//! published once the command is done. Left out on purpose: who hears of them.

use crate::config::Classes;

/// What has happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The database of the key.
    pub db: usize,
    /// Its class.
    pub class: Classes,
    /// What has happened, for instance `lpush`.
    pub name: &'static str,
    /// The key.
    pub key: Box<[u8]>,
}
