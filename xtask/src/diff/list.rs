//! Lists.

use super::grammar::{Family, How, Row, row};

/// The family.
pub(super) const FAMILY: Family =
    Family { name: "list", pool: "l", rows: ROWS, directives: DIRECTIVES, others: 6 };

const DIRECTIVES: &[(&str, &[&str])] = &[
    ("list-max-listpack-size", &["-5", "-2", "-1", "0", "1", "2", "3", "4", "8", "16"]),
    ("list-compress-depth", &["0", "0", "1"]),
];

const ROWS: &[Row] = &[
    row(8, "LPUSH key value+"),
    row(8, "RPUSH key value+"),
    row(2, "LPUSHX key value+"),
    row(2, "RPUSHX key value+"),
    row(4, "LPOP key [count]"),
    row(4, "RPOP key [count]"),
    row(1, "LLEN key"),
    row(4, "LRANGE key index index"),
    row(2, "LRANGE key 0 -1"),
    row(4, "LINDEX key index"),
    row(5, "LSET key index value"),
    row(5, "LINSERT key (BEFORE|AFTER) value value"),
    row(4, "LREM key int value"),
    row(3, "LTRIM key index index"),
    row(4, "LPOS key value {[RANK int] [COUNT count] [MAXLEN count]}"),
    row(3, "LMOVE key key (LEFT|RIGHT) (LEFT|RIGHT)"),
    row(2, "RPOPLPUSH key key"),
    row(3, "LMPOP nkeys (LEFT|RIGHT) [COUNT count]"),
    row(1, "BLPOP keys 0").blocking(),
    row(1, "BRPOP keys (0|0.1|1)").blocking(),
    row(1, "BLMOVE key key (LEFT|RIGHT) (LEFT|RIGHT) 0").blocking(),
    row(1, "BRPOPLPUSH key key (0|0.5)").blocking(),
    row(1, "BLMPOP (0|0.01) nkeys (LEFT|RIGHT) [COUNT count]").blocking(),
    // Whole nodes: an element that is larger than any node has one of its own.
    row(1, "OBJECT ENCODING key").how(How::Exact),
];
