//! Places.

use super::grammar::{Family, Row, row};

/// The family.
pub(super) const FAMILY: Family =
    Family { name: "geo", pool: "g", rows: ROWS, directives: DIRECTIVES, others: 6 };

const DIRECTIVES: &[(&str, &[&str])] = &[
    ("zset-max-listpack-entries", &["0", "4", "16", "128"]),
    ("zset-max-listpack-value", &["5", "64"]),
];

const ROWS: &[Row] = &[
    row(14, "GEOADD key (longitude latitude member)+"),
    row(4, "GEOADD key {[NX|XX] [CH]} (longitude latitude member)+"),
    row(2, "GEODIST key member member [unit]"),
    row(2, "GEOHASH key member+"),
    row(2, "GEOPOS key member+"),
    row(
        6,
        "GEOSEARCH key {(FROMMEMBER member|FROMLONLAT longitude latitude) \
         (BYRADIUS distance unit|BYBOX distance distance unit) [ASC|DESC] \
         [COUNT count|COUNT 100] [WITHCOORD] [WITHDIST] [WITHHASH]}",
    ),
    row(
        2,
        "GEOSEARCH key {FROMLONLAT longitude latitude BYRADIUS distance 'km \
         [COUNT count ANY] [ASC] [WITHDIST]}",
    ),
    row(
        1,
        "GEOSEARCH key {[FROMMEMBER member] [FROMLONLAT longitude latitude] \
         [BYRADIUS distance unit] [BYBOX distance distance unit]}",
    ),
    row(
        3,
        "GEOSEARCHSTORE key key {(FROMMEMBER member|FROMLONLAT longitude latitude) \
         (BYRADIUS distance unit|BYBOX distance distance unit) [ASC|DESC] [COUNT count] \
         [STOREDIST]}",
    ),
    row(
        2,
        "GEORADIUS key longitude latitude distance unit \
         {[WITHCOORD] [WITHDIST] [WITHHASH] [ASC|DESC] [COUNT count]}",
    ),
    row(
        1,
        "GEORADIUS key longitude latitude distance unit \
         {[COUNT count] [ASC|DESC] (STORE key|STOREDIST key)}",
    ),
    row(1, "GEORADIUS_RO key longitude latitude distance unit {[WITHDIST] [COUNT count] [DESC]}"),
    row(
        2,
        "GEORADIUSBYMEMBER key member distance unit \
         {[WITHCOORD] [WITHDIST] [WITHHASH] [ASC|DESC] [COUNT count]}",
    ),
    row(1, "GEORADIUSBYMEMBER key member distance unit {[ASC] (STORE key|STOREDIST key)}"),
    row(1, "GEORADIUSBYMEMBER_RO key member distance unit {[WITHHASH] [ASC]}"),
    row(2, "ZREM key member+"),
    row(1, "ZRANGE key 0 -1 WITHSCORES"),
];
