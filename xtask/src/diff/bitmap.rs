//! Bits of strings.

use super::grammar::{Family, Row, row};

/// The family.
pub(super) const FAMILY: Family =
    Family { name: "bitmap", pool: "b", rows: ROWS, directives: &[], others: 6 };

const ROWS: &[Row] = &[
    row(8, "SETBIT key bitoffset bit"),
    row(3, "GETBIT key bitoffset"),
    row(2, "BITCOUNT key"),
    row(5, "BITCOUNT key index index [BYTE|BIT]"),
    row(3, "BITPOS key bit"),
    row(4, "BITPOS key bit index [index [BYTE|BIT]]"),
    row(6, "BITOP (AND|OR|XOR) key keys"),
    row(2, "BITOP NOT key key"),
    row(
        8,
        "BITFIELD key (GET bittype bitplace|SET bittype bitplace big|\
         INCRBY bittype bitplace big|OVERFLOW (WRAP|SAT|FAIL))+",
    ),
    row(3, "BITFIELD_RO key (GET bittype bitplace)+"),
    row(1, "BITFIELD key"),
    row(3, "SET key value"),
    row(1, "APPEND key value"),
    row(1, "SETRANGE key byteoffset value"),
    row(2, "GET key"),
    row(1, "DEL key"),
];
