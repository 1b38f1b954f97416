//! The bytes that say what follows: opcodes, value types, string and module codes.
//!
//! Numbers as in Redis' `rdb.h`; they are a file format and never change.

/// A cluster slot's size hints (three lengths), since version 11.
pub(super) const OP_SLOT_INFO: u8 = 244;
/// A function library's source text.
pub(super) const OP_FUNCTION2: u8 = 245;
/// A function library as a release candidate of 7.0 wrote it.
pub(super) const OP_FUNCTION_PRE_GA: u8 = 246;
/// A module's data that belongs to no key.
pub(super) const OP_MODULE_AUX: u8 = 247;
/// Seconds since the next key was used.
pub(super) const OP_IDLE: u8 = 248;
/// The next key's logarithmic access counter.
pub(super) const OP_FREQ: u8 = 249;
/// A name and a value about the file.
pub(super) const OP_AUX: u8 = 250;
/// How many keys and expiries the database has.
pub(super) const OP_RESIZE_DB: u8 = 251;
/// The next key's expiry, 8 bytes, milliseconds.
pub(super) const OP_EXPIRE_MS: u8 = 252;
/// The next key's expiry, 4 bytes, seconds; written by version 2 and before.
pub(super) const OP_EXPIRE_S: u8 = 253;
/// The database of the keys that follow.
pub(super) const OP_SELECT_DB: u8 = 254;
/// The end; a checksum follows since version 5.
pub(super) const OP_EOF: u8 = 255;

pub(super) const TYPE_STRING: u8 = 0;
pub(super) const TYPE_LIST: u8 = 1;
pub(super) const TYPE_SET: u8 = 2;
pub(super) const TYPE_SORTED_SET: u8 = 3;
pub(super) const TYPE_HASH: u8 = 4;
/// A sorted set with binary scores.
pub(super) const TYPE_SORTED_SET_2: u8 = 5;
pub(super) const TYPE_MODULE_2: u8 = 7;
pub(super) const TYPE_HASH_ZIPMAP: u8 = 9;
pub(super) const TYPE_LIST_ZIPLIST: u8 = 10;
pub(super) const TYPE_SET_INTSET: u8 = 11;
pub(super) const TYPE_SORTED_SET_ZIPLIST: u8 = 12;
pub(super) const TYPE_HASH_ZIPLIST: u8 = 13;
/// A list as nodes that are ziplists.
pub(super) const TYPE_LIST_QUICKLIST: u8 = 14;
pub(super) const TYPE_STREAM: u8 = 15;
pub(super) const TYPE_HASH_LISTPACK: u8 = 16;
/// A list as nodes that are listpacks, or one large string each.
pub(super) const TYPE_LIST_QUICKLIST_2: u8 = 18;
/// A stream that remembers what was deleted, and groups that know how much they have read.
pub(super) const TYPE_STREAM_2: u8 = 19;
/// Written by Redis 7.2 and later.
pub(super) const TYPE_SET_LISTPACK: u8 = 20;
pub(super) const TYPE_SORTED_SET_LISTPACK: u8 = 17;
/// A stream whose consumers say when they were last given something.
pub(super) const TYPE_STREAM_3: u8 = 21;
/// A hash with field expiries, each relative to the earliest one in front of it.
pub(super) const TYPE_HASH_METADATA: u8 = 24;
/// A hash with field expiries as a listpack of (field, value, expiry).
pub(super) const TYPE_HASH_LISTPACK_EX: u8 = 25;

/// The name of a type that Redis writes, read here or not.
pub(super) fn type_name(byte: u8) -> &'static str {
    match byte {
        TYPE_STRING => "string",
        TYPE_LIST => "list",
        TYPE_SET => "set",
        TYPE_SORTED_SET => "sorted set",
        TYPE_HASH => "hash",
        TYPE_SORTED_SET_2 => "sorted set, binary scores",
        6 => "module value of a release candidate",
        TYPE_MODULE_2 => "module value",
        TYPE_HASH_ZIPMAP => "hash as zipmap",
        TYPE_LIST_ZIPLIST => "list as ziplist",
        TYPE_SET_INTSET => "set as intset",
        TYPE_SORTED_SET_ZIPLIST => "sorted set as ziplist",
        TYPE_HASH_ZIPLIST => "hash as ziplist",
        TYPE_LIST_QUICKLIST => "list as quicklist",
        TYPE_STREAM => "stream",
        TYPE_HASH_LISTPACK => "hash as listpack",
        TYPE_SORTED_SET_LISTPACK => "sorted set as listpack",
        TYPE_LIST_QUICKLIST_2 => "list as quicklist 2",
        TYPE_STREAM_2 => "stream 2",
        TYPE_SET_LISTPACK => "set as listpack",
        TYPE_STREAM_3 => "stream 3",
        // Valkey 9 gave 22 another meaning, so it cannot be read on the byte alone.
        22 | 23 => "hash with field expiries of a release candidate",
        TYPE_HASH_METADATA => "hash with field expiries",
        TYPE_HASH_LISTPACK_EX => "hash with field expiries as listpack",
        _ => "no type known",
    }
}

/// The low six bits of a length byte whose top bits are both set.
pub(super) const ENC_INT8: u8 = 0;
pub(super) const ENC_INT16: u8 = 1;
pub(super) const ENC_INT32: u8 = 2;
pub(super) const ENC_LZF: u8 = 3;

pub(super) const MODULE_EOF: u64 = 0;
pub(super) const MODULE_SINT: u64 = 1;
pub(super) const MODULE_UINT: u64 = 2;
pub(super) const MODULE_FLOAT: u64 = 3;
pub(super) const MODULE_DOUBLE: u64 = 4;
pub(super) const MODULE_STRING: u64 = 5;
