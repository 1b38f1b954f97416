//! HyperLogLogs.

use super::grammar::{Family, Row, row};

/// The family.
pub(super) const FAMILY: Family =
    Family { name: "hll", pool: "p", rows: ROWS, directives: DIRECTIVES, others: 6 };

const DIRECTIVES: &[(&str, &[&str])] =
    &[("hll-sparse-max-bytes", &["0", "20", "50", "100", "3000"])];

const ROWS: &[Row] = &[
    row(10, "PFADD key member+"),
    row(4, "PFADD key value+"),
    row(1, "PFADD key"),
    row(6, "PFCOUNT key"),
    row(4, "PFCOUNT keys"),
    row(4, "PFMERGE key keys"),
    row(1, "PFMERGE key"),
    // The registers are a string, which clients keep and bring back.
    row(3, "GET key"),
    row(2, "STRLEN key"),
    row(1, "SET key value"),
    row(1, "GETRANGE key index index"),
    row(1, "DEL key"),
];
