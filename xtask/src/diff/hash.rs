//! Hashes.

use super::grammar::{Family, How, Row, row};

/// The family.
pub(super) const FAMILY: Family =
    Family { name: "hash", pool: "h", rows: ROWS, directives: DIRECTIVES, others: 6 };

const DIRECTIVES: &[(&str, &[&str])] = &[
    ("hash-max-listpack-entries", &["0", "1", "2", "4", "8", "16"]),
    ("hash-max-listpack-value", &["0", "1", "5", "40", "64"]),
];

const ROWS: &[Row] = &[
    row(12, "HSET key (field value)+"),
    row(2, "HMSET key (field value)+"),
    row(2, "HSETNX key field value"),
    row(3, "HGET key field"),
    row(2, "HMGET key field+"),
    row(2, "HGETALL key").how(How::PairsByEncoding),
    row(1, "HKEYS key").how(How::ByEncoding),
    row(1, "HVALS key").how(How::ByEncoding),
    row(6, "HDEL key field+"),
    row(2, "HLEN key"),
    row(2, "HSTRLEN key field"),
    row(2, "HEXISTS key field"),
    row(4, "HINCRBY key field big"),
    row(4, "HINCRBYFLOAT key field float"),
    row(1, "HRANDFIELD key").how(How::Kind),
    row(1, "HRANDFIELD key count").how(How::Length),
    row(1, "HRANDFIELD key int [WITHVALUES]").how(How::Length),
    row(1, "HRANDFIELD key 100000 WITHVALUES").how(How::PairsByEncoding).rigid(),
    row(1, "HRANDFIELD key 100000").how(How::ByEncoding).rigid(),
    row(1, "HSCAN key 0 {[MATCH pattern] [COUNT 100000]}").how(How::ScanPairs),
    row(1, "HSCAN key (0|big) {[MATCH pattern] [COUNT count]}").how(How::ScanPairs),
];
