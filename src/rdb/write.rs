//! Writing: a header, facts about the file, databases with their keys, an end.
//!
//! Everything is appended to a buffer of the caller's, and nothing depends on what was
//! written before, so shards of a keyspace can be written apart and put one after another
//! between [`Writer::preamble`] and [`Writer::eof`]. Whoever puts them together runs a
//! [`super::Checksum`] over all of it, header and end opcode included, and appends its trailer.
//!
//! Left out on purpose: the checksum, and which keys a reader can take (see `module`).

use super::WRITTEN_VERSION;
use super::code;
use super::string::{write_plain, write_string};
use super::value::{KeyMeta, Usage};

/// Whether strings longer than 20 bytes are compressed where it saves space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    None,
    /// LZF, as `rdbcompression yes` does.
    Lzf,
}

/// A value that can be written, in an encoding of the caller's choice.
pub trait Encode {
    /// The byte that names type and encoding.
    fn type_byte(&self) -> u8;

    /// The version of the format that a reader has to know.
    fn version(&self) -> u16 {
        WRITTEN_VERSION
    }

    /// Appends the value without its type byte.
    fn encode(self, out: &mut Vec<u8>, compression: Compression);
}

/// Facts about a file, written in front of the keys; readers skip those they do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preamble<'a> {
    /// The Redis version that the file claims to be from.
    pub redis_version: &'a str,
    /// When it was written, in seconds since 1970.
    pub created_at_s: u64,
    /// Memory in use when it was written, in bytes.
    pub used_memory_bytes: u64,
    /// Where in the replication stream it stands.
    pub position: Option<StreamPosition<'a>>,
    /// Whether it is the base of an append-only file.
    pub purpose: Purpose,
}

/// What a file is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A snapshot or a full sync.
    Snapshot,
    /// The base of an append-only file.
    AofBase,
}

/// A position in a replication stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPosition<'a> {
    /// The database that the stream has selected.
    pub database: u32,
    /// The replication id, 40 hexadecimal digits.
    pub replication_id: &'a str,
    /// Bytes of the stream so far.
    pub offset: u64,
}

/// Appends parts of an RDB file to a buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    compression: Compression,
}

impl<'a> Writer<'a> {
    /// A writer at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, compression: Compression) -> Self {
        Self { out, compression }
    }

    /// Starts a file.
    pub fn header(&mut self) {
        self.out.extend_from_slice(format!("REDIS{WRITTEN_VERSION:04}").as_bytes());
    }

    /// Starts a file and states what is known about it.
    pub fn preamble(&mut self, facts: &Preamble<'_>) {
        self.header();
        self.aux(b"redis-ver", facts.redis_version.as_bytes());
        self.aux(b"redis-bits", b"64");
        self.aux(b"ctime", facts.created_at_s.to_string().as_bytes());
        self.aux(b"used-mem", facts.used_memory_bytes.to_string().as_bytes());
        if let Some(position) = facts.position {
            self.aux(b"repl-stream-db", position.database.to_string().as_bytes());
            self.aux(b"repl-id", position.replication_id.as_bytes());
            self.aux(b"repl-offset", position.offset.to_string().as_bytes());
        }
        let base: &[u8] = match facts.purpose {
            Purpose::Snapshot => b"0",
            Purpose::AofBase => b"1",
        };
        self.aux(b"aof-base", base);
    }

    /// States one fact about the file.
    pub fn aux(&mut self, name: &[u8], value: &[u8]) {
        self.out.push(code::OP_AUX);
        write_plain(self.out, name);
        write_string(self.out, value, Compression::None);
    }

    /// Says which database the keys that follow belong to.
    pub fn select_db(&mut self, database: u32) {
        self.out.push(code::OP_SELECT_DB);
        write_length(self.out, database.into());
    }

    /// Says how many keys the selected database has, and how many of them expire.
    ///
    /// A hint for the reader's tables; it need not be exact.
    pub fn resize_db(&mut self, keys: u64, expires: u64) {
        self.out.push(code::OP_RESIZE_DB);
        write_length(self.out, keys);
        write_length(self.out, expires);
    }

    /// Adds a function library.
    pub fn function(&mut self, library: &[u8]) {
        self.out.push(code::OP_FUNCTION2);
        write_string(self.out, library, self.compression);
    }

    /// Adds a key.
    pub fn key<V: Encode>(&mut self, name: &[u8], meta: &KeyMeta, value: V) {
        if let Some(at) = meta.expire_at_ms {
            self.out.push(code::OP_EXPIRE_MS);
            self.out.extend_from_slice(&at.to_le_bytes());
        }
        match meta.usage {
            Some(Usage::IdleSeconds(seconds)) => {
                self.out.push(code::OP_IDLE);
                write_length(self.out, seconds);
            }
            Some(Usage::Frequency(counter)) => {
                self.out.extend_from_slice(&[code::OP_FREQ, counter]);
            }
            None => {}
        }
        self.out.push(value.type_byte());
        write_string(self.out, name, self.compression);
        value.encode(self.out, self.compression);
    }

    /// Ends the file; only the checksum's trailer follows.
    pub fn eof(&mut self) {
        self.out.push(code::OP_EOF);
    }
}

/// Appends a length in the fewest bytes: 1, 2, 5 or 9.
pub(super) fn write_length(out: &mut Vec<u8>, length: u64) {
    if length < 1 << 6 {
        out.push(length as u8);
    } else if length < 1 << 14 {
        out.extend_from_slice(&(0x4000 | length as u16).to_be_bytes());
    } else if let Ok(length) = u32::try_from(length) {
        out.push(0x80);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(0x81);
        out.extend_from_slice(&length.to_be_bytes());
    }
}
