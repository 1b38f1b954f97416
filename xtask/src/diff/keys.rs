//! Keys of any type.

use super::grammar::{Family, How, Row, row};

/// The family.
pub(super) const FAMILY: Family =
    Family { name: "keys", pool: "s", rows: ROWS, directives: &[], others: 50 };

const ROWS: &[Row] = &[
    row(4, "DEL keys"),
    row(2, "UNLINK keys"),
    row(2, "EXISTS keys"),
    row(1, "TOUCH keys"),
    row(2, "TYPE key"),
    row(2, "OBJECT ENCODING key"),
    row(1, "OBJECT REFCOUNT key").how(How::Kind),
    row(1, "OBJECT IDLETIME key").how(How::Kind),
    row(1, "OBJECT (FREQ|NONSUCH) key"),
    row(3, "RENAME key key"),
    row(2, "RENAMENX key key"),
    row(4, "COPY key key [REPLACE]"),
    row(1, "COPY key key {[DB (0|1|16|-1|'x)] [REPLACE]}").rigid(),
    row(1, "MOVE key (1|1|1|0|16|-1|'x)"),
    row(1, "SELECT 1").then(&[("MOVE key 0", How::Exact), ("SELECT 0", How::Exact)]),
    row(1, "SWAPDB 0 1").then(&[("DBSIZE", How::Exact), ("SWAPDB 1 0", How::Exact)]),
    row(1, "SWAPDB (0|1|16|-1|'x) (0|1)"),
    row(1, "RANDOMKEY").how(How::Kind),
    row(1, "KEYS pattern").how(How::Unordered),
    row(1, "DBSIZE"),
    row(1, "SCAN 0 {[MATCH pattern] [COUNT 100000] [TYPE typename]}").how(How::Scan),
    row(1, "SCAN (0|big) {[MATCH pattern] [COUNT count] [TYPE typename]}").how(How::Scan),
    row(1, "DUMP key").how(How::Kind),
    row(1, "RESTORE key (0|-1|seconds) value [REPLACE|ABSTTL|IDLETIME 5|FREQ 5]").timed(),
    // SORT looks at an `errno` that any earlier command may have left; INCRBYFLOAT clears it.
    row(2, "INCRBYFLOAT 'errno 1")
        .spoilt(&[("SORT sortkey {[ALPHA] [ASC|DESC] [LIMIT count limit]}", How::Exact)]),
    row(1, "INCRBYFLOAT 'errno 1")
        .spoilt(&[("SORT_RO sortkey {[ALPHA] [ASC|DESC] [LIMIT count limit]}", How::Exact)]),
    // Elements of one weight stay in the order that they have, which only a list has.
    row(1, "RPUSH 'sortlist value value value value").then(&[
        ("INCRBYFLOAT 'errno 1", How::Exact),
        ("SORT 'sortlist {BY s* [GET h*->w1] [GET #] [ALPHA] [DESC]}", How::Exact),
        ("INCRBYFLOAT 'errno 1", How::Exact),
        ("SORT 'sortlist {BY h*->w1 [GET s*] [ALPHA] [DESC] [LIMIT count limit]}", How::Exact),
        ("SORT 'sortlist {BY 'nosort [GET #] [DESC] [LIMIT count limit]}", How::Exact),
        ("DEL 'sortlist", How::Exact),
    ]),
    row(1, "ZADD 'sortzset 1 member 2 member 3 member 4 member").then(&[
        ("INCRBYFLOAT 'errno 1", How::Exact),
        ("SORT 'sortzset {[ALPHA] [DESC] [LIMIT count limit]}", How::Exact),
        ("INCRBYFLOAT 'errno 1", How::Exact),
        ("SORT 'sortzset {[ALPHA] [LIMIT count limit] STORE 'sortlist}", How::Exact),
        ("LRANGE 'sortlist 0 -1", How::Exact),
        ("DEL 'sortlist", How::Exact),
        ("SORT 'sortzset {BY 'nosort [GET #] [ALPHA] [DESC] [LIMIT count limit]}", How::Exact),
        ("DEL 'sortzset", How::Exact),
    ]),
    row(1, "INCRBYFLOAT 'errno 1")
        .spoilt(&[("SORT sortkey {[ALPHA] [LIMIT count limit] [DESC] STORE key}", How::Exact)]),
];
