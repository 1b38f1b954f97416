//! Forms of values, expiry and scripts.

use super::{BYTES, INT, LONG, put, row, wide};
use crate::config::classes::Classes;
use crate::config::kind::Reason;
use crate::config::table::Directive;
use crate::config::table::Group::Data;

/// The rows.
pub(in crate::config) const ROWS: &[Directive] = &[
    row(Data, "cluster-enabled", "Cluster mode is not available")
        .at_start()
        .fixed("no", "there is no cluster mode"),
    row(Data, "databases", "Databases that SELECT reaches").at_start().number(
        1,
        INT,
        |c| c.databases.into(),
        |c, v| put(&mut c.databases, v),
    ),
    row(Data, "hash-max-listpack-entries", "Fields up to which a hash stays compact")
        .alias(&["hash-max-ziplist-entries"])
        .number(
            0,
            LONG,
            |c| wide(c.encodings.hash.entries, LONG),
            |c, v| put(&mut c.encodings.hash.entries, v),
        ),
    row(Data, "hash-max-listpack-value", "Largest field or value of a compact hash")
        .alias(&["hash-max-ziplist-value"])
        .bytes(
            0,
            BYTES,
            |c| wide(c.encodings.hash.value_bytes, u64::MAX),
            |c, v| put(&mut c.encodings.hash.value_bytes, v),
        ),
    row(Data, "hll-sparse-max-bytes", "Bytes up to which a HyperLogLog stays sparse").bytes(
        0,
        BYTES,
        |c| wide(c.encodings.hyperloglog.sparse_bytes, u64::MAX),
        |c, v| put(&mut c.encodings.hyperloglog.sparse_bytes, v),
    ),
    row(
        Data,
        "list-max-listpack-size",
        "Elements of one node of a list; -1 to -5 = 4, 8, 16, 32, 64 KiB",
    )
    .alias(&["list-max-ziplist-size"])
    .number(
        i32::MIN as i64,
        INT,
        |c| c.encodings.list.fill.into(),
        |c, v| put(&mut c.encodings.list.fill, v),
    ),
    row(Data, "native-scripts", "Run the scripts of known rate-limit libraries without Lua")
        .yes_no(|c| c.native_scripts, |c, v| c.native_scripts = v),
    row(Data, "notify-keyspace-events", "Keyspace events to publish, letters of Ag$lshzxeKEtmdn")
        .words(
            "<letters>",
            |c| c.notify_keyspace_events.to_string(),
            |c, words, _| {
                let [letters] = words else { return Err(Reason::Count(words.len())) };
                c.notify_keyspace_events = Classes::parse(letters)?;
                Ok(())
            },
        ),
    row(Data, "set-max-intset-entries", "Members up to which a set of integers stays compact")
        .number(
            0,
            LONG,
            |c| wide(c.encodings.set.intset_entries, LONG),
            |c, v| put(&mut c.encodings.set.intset_entries, v),
        ),
    row(Data, "set-max-listpack-entries", "Members up to which any other set stays compact")
        .number(
            0,
            LONG,
            |c| wide(c.encodings.set.entries, LONG),
            |c, v| put(&mut c.encodings.set.entries, v),
        ),
    row(Data, "set-max-listpack-value", "Largest member of a compact set, integers aside").bytes(
        0,
        BYTES,
        |c| wide(c.encodings.set.value_bytes, u64::MAX),
        |c, v| put(&mut c.encodings.set.value_bytes, v),
    ),
    row(Data, "stream-node-max-bytes", "Bytes of one node of a stream; 0 = no bound").bytes(
        0,
        BYTES,
        |c| wide(c.encodings.stream.node_bytes, u64::MAX),
        |c, v| put(&mut c.encodings.stream.node_bytes, v),
    ),
    row(Data, "stream-node-max-entries", "Entries of one node of a stream; 0 = no bound").number(
        0,
        LONG,
        |c| wide(c.encodings.stream.node_entries, LONG),
        |c, v| put(&mut c.encodings.stream.node_entries, v),
    ),
    row(Data, "zset-max-listpack-entries", "Members up to which a sorted set stays compact")
        .alias(&["zset-max-ziplist-entries"])
        .number(
            0,
            LONG,
            |c| wide(c.encodings.sorted_set.entries, LONG),
            |c, v| put(&mut c.encodings.sorted_set.entries, v),
        ),
    row(Data, "zset-max-listpack-value", "Largest member of a compact sorted set")
        .alias(&["zset-max-ziplist-value"])
        .bytes(
            0,
            BYTES,
            |c| wide(c.encodings.sorted_set.value_bytes, u64::MAX),
            |c, v| put(&mut c.encodings.sorted_set.value_bytes, v),
        ),
];
