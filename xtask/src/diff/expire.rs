//! Times to live: always long enough that no key runs out during a run, or already over.

use super::grammar::{Family, How, Row, row};

/// The family.
pub(super) const FAMILY: Family =
    Family { name: "expire", pool: "s", rows: ROWS, directives: &[], others: 40 };

/// A slow server may be this late, in seconds and in milliseconds.
const LATE: i64 = 30;
const LATE_MS: i64 = 30_000;

const ROWS: &[Row] = &[
    row(5, "EXPIRE key seconds [NX|XX|GT|LT]").timed(),
    row(3, "PEXPIRE key ms [NX|XX|GT|LT]").timed(),
    row(5, "EXPIREAT key at [NX|XX|GT|LT]").timed(),
    row(3, "PEXPIREAT key atms [NX|XX|GT|LT]").timed(),
    row(1, "(EXPIRE|PEXPIRE|EXPIREAT|PEXPIREAT) key past [NX|XX|GT|LT]").timed(),
    row(1, "(EXPIRE|EXPIREAT) key at {[NX] [XX] [GT] [LT]}").timed(),
    row(4, "PERSIST key"),
    row(3, "TTL key").how(How::Near(LATE)),
    row(3, "PTTL key").how(How::Near(LATE_MS)),
    row(3, "EXPIRETIME key").how(How::Near(LATE)),
    row(3, "PEXPIRETIME key").how(How::Near(LATE_MS)),
];
