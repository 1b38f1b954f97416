//! Bounds of requests and answers, and rate limits.

use super::{BYTES, LONG, MIB, put, row, wide};
use crate::config::table::Directive;
use crate::config::table::Group::Limits;
use crate::limits::NAMED_RULES;

/// The rows.
pub(in crate::config) const ROWS: &[Directive] = &[
    row(
        Limits,
        "busy-reply-threshold",
        "Milliseconds of a script after which who waits for it is told BUSY; 0 = never",
    )
    .alias(&["lua-time-limit"])
    .number(
        0,
        LONG,
        |c| wide(c.busy_reply_threshold, LONG),
        |c, v| put(&mut c.busy_reply_threshold, v),
    ),
    row(
        Limits,
        "client-output-buffer-limit",
        "Unsent replies: class hard soft seconds, for normal, replica and pubsub",
    )
    .words(
        "<class> <hard> <soft> <seconds>...",
        |c| c.client_output_buffer_limit.to_string(),
        |c, words, _| c.client_output_buffer_limit.update(words),
    ),
    row(Limits, "client-query-buffer-limit", "Requests read but not yet executed").bytes(
        MIB,
        BYTES,
        |c| c.client_query_buffer_limit,
        |c, v| put(&mut c.client_query_buffer_limit, v),
    ),
    row(Limits, "metrics-rules", "Named rules whose counts /metrics shows, by name; 0 = none")
        .number(
            0,
            NAMED_RULES as i64,
            |c| wide(c.metrics_rules, NAMED_RULES as i64),
            |c, v| put(&mut c.metrics_rules, v),
        ),
    row(Limits, "proto-max-bulk-len", "Largest argument of a command").bytes(
        MIB,
        BYTES,
        |c| c.proto_max_bulk_len,
        |c, v| put(&mut c.proto_max_bulk_len, v),
    ),
    row(
        Limits,
        "rules-file",
        "File of named rules and lists: read at start, written behind every change",
    )
    .at_start()
    .text(|c| &c.rules_file, |c, v| c.rules_file = v),
    row(
        Limits,
        "tracking-table-max-keys",
        "Keys remembered for clients that keep copies; 0 = no bound",
    )
    .number(
        0,
        LONG,
        |c| wide(c.tracking_table_max_keys, LONG),
        |c, v| put(&mut c.tracking_table_max_keys, v),
    ),
];
