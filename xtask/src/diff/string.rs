//! Strings.

use super::grammar::{Family, How, Row, row};

/// The family.
pub(super) const FAMILY: Family =
    Family { name: "string", pool: "s", rows: ROWS, directives: &[], others: 8 };

const ROWS: &[Row] = &[
    row(8, "SET key value"),
    row(8, "SET key value {[NX|XX] [GET] [EX seconds|PX ms|EXAT at|PXAT atms|KEEPTTL]}").timed(),
    row(1, "SET key value {[NX|XX] [GET] [EX seconds|PX ms] [KEEPTTL] [EXAT at]}").timed(),
    row(1, "SET key value {[NX] [NX|XX] [GET] [GET] [EX seconds] [EX seconds] [KEEPTTL]}").timed(),
    row(1, "GETEX key {[EX seconds] [EX seconds] [PERSIST] [PERSIST]}").timed(),
    row(1, "SET key value (EX|PX|EXAT|PXAT) past").timed(),
    row(5, "GET key"),
    row(2, "GETSET key value"),
    row(2, "GETDEL key"),
    row(2, "GETEX key [EX seconds|PX ms|EXAT at|PXAT atms|PERSIST]").timed(),
    row(1, "GETEX key (EX|PX) past").timed(),
    row(2, "SETEX key seconds value").timed(),
    row(2, "PSETEX key ms value").timed(),
    row(1, "(SETEX|PSETEX) key past value").timed(),
    row(2, "SETNX key value"),
    row(3, "MSET (key value)+"),
    row(2, "MSETNX (key value)+"),
    row(3, "MGET keys"),
    row(4, "APPEND key value"),
    row(2, "STRLEN key"),
    row(4, "SETRANGE key byteoffset value"),
    row(3, "GETRANGE key index index"),
    row(1, "SUBSTR key index index"),
    row(3, "INCR key"),
    row(3, "DECR key"),
    row(3, "INCRBY key big"),
    row(3, "DECRBY key big"),
    row(4, "INCRBYFLOAT key float"),
    // On short texts of their own: the work is the product of the lengths.
    row(1, "MSET lcs:1 short lcs:2 short").then(&[
        ("LCS lcs:1 lcs:2", How::Exact),
        ("LCS lcs:1 lcs:2 LEN", How::Exact),
        ("LCS lcs:1 lcs:2 {IDX [MINMATCHLEN int] [WITHMATCHLEN]}", How::Exact),
    ]),
    row(1, "LCS 'missing key [LEN|IDX|LEN IDX|WITHMATCHLEN|MINMATCHLEN 3]"),
];
