//! Sets.

use super::grammar::{Family, How, Row, row};

/// The family.
pub(super) const FAMILY: Family =
    Family { name: "set", pool: "t", rows: ROWS, directives: DIRECTIVES, others: 6 };

const DIRECTIVES: &[(&str, &[&str])] = &[("set-max-intset-entries", &["0", "1", "2", "4", "8"])];

const ROWS: &[Row] = &[
    row(10, "SADD key member+"),
    row(6, "SADD key int+"),
    row(1, "SADD key big+"),
    row(6, "SREM key (member|int)+"),
    row(2, "SISMEMBER key (member|int)"),
    row(2, "SMISMEMBER key (member|int)+"),
    row(2, "SMEMBERS key").how(How::ByEncoding),
    row(2, "SCARD key"),
    row(3, "SMOVE key key (member|int)"),
    row(2, "SUNION keys").how(How::Unordered),
    row(2, "SINTER keys").how(How::Unordered),
    row(2, "SDIFF keys").how(How::Unordered),
    row(2, "SUNIONSTORE key keys"),
    row(2, "SINTERSTORE key keys"),
    row(2, "SDIFFSTORE key keys"),
    row(2, "SINTERCARD nkeys [LIMIT limit]"),
    row(1, "SRANDMEMBER key").how(How::Kind),
    row(1, "SRANDMEMBER key int").how(How::Length),
    row(1, "SRANDMEMBER key 100000").how(How::Unordered).rigid(),
    row(1, "SPOP key 100000").how(How::Unordered).rigid(),
    row(1, "SPOP key (0|-1|'abc)").rigid(),
    // Nothing that depends on the choice is left behind.
    row(1, "SPOP key").how(How::Kind).then(&[("SCARD same", How::Exact), ("DEL same", How::Exact)]),
    row(1, "SPOP key count")
        .how(How::Length)
        .then(&[("SCARD same", How::Exact), ("DEL same", How::Exact)]),
    row(1, "DEL t0").then(&[
        ("SADD t0 member", How::Exact),
        ("SPOP t0 [1|5]", How::Exact),
        ("EXISTS t0", How::Exact),
    ]),
    row(1, "SSCAN key 0 {[MATCH pattern] [COUNT 100000]}").how(How::Scan),
    row(1, "SSCAN key (0|big) {[MATCH pattern] [COUNT count]}").how(How::Scan),
];
