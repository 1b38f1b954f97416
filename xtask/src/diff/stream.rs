//! Streams.

use super::grammar::{Family, How, Row, row};

/// The family.
pub(super) const FAMILY: Family =
    Family { name: "stream", pool: "x", rows: ROWS, directives: DIRECTIVES, others: 6 };

const DIRECTIVES: &[(&str, &[&str])] = &[
    ("stream-node-max-entries", &["0", "1", "2", "4", "8", "100"]),
    ("stream-node-max-bytes", &["0", "64", "200", "4096"]),
];

const ROWS: &[Row] = &[
    row(16, "XADD key id (field value)+"),
    row(4, "XADD key {[NOMKSTREAM] [(MAXLEN|MINID) [=] count]} id (field value)+"),
    row(3, "XADD key (MAXLEN ~ count|MINID ~ oldid|MAXLEN = count|MINID = oldid) id field value"),
    row(2, "XADD key (MAXLEN ~ count|MINID ~ oldid) LIMIT limit id field value"),
    // The server's clock makes the id, so that the key is gone at once.
    row(1, "XADD 'clock * field value")
        .how(How::Kind)
        .then(&[("XLEN 'clock", How::Exact), ("DEL 'clock", How::Exact)]),
    row(1, "XLEN key"),
    row(4, "XRANGE key rangeid rangeid [COUNT limit]"),
    row(3, "XREVRANGE key rangeid rangeid [COUNT limit]"),
    row(2, "XRANGE key - '+"),
    row(4, "XDEL key oldid+"),
    row(3, "XTRIM key (MAXLEN|MINID) [=] count"),
    row(2, "XTRIM key (MAXLEN [=] count|MINID [=] oldid)"),
    row(3, "XTRIM key (MAXLEN ~ count|MINID ~ oldid) [LIMIT limit]"),
    row(3, "XREAD [COUNT limit] streams"),
    row(1, "XREAD {[COUNT limit] BLOCK (0|10)} streams").blocking(),
    row(2, "XSETID key oldid {[ENTRIESADDED count] [MAXDELETEDID oldid]}"),
    row(6, "XGROUP CREATE key group (0|$|oldid) {[MKSTREAM] [ENTRIESREAD count]}"),
    row(1, "XGROUP CREATE key group oldid [ENTRIESREAD int]"),
    row(2, "XGROUP SETID key group (0|$|oldid) [ENTRIESREAD int]"),
    row(1, "XGROUP DESTROY key group"),
    row(2, "XGROUP CREATECONSUMER key group consumer"),
    row(1, "XGROUP DELCONSUMER key group consumer"),
    row(10, "XREADGROUP GROUP group consumer {[COUNT limit] [NOACK]} gstreams"),
    row(4, "XREADGROUP GROUP group consumer COUNT count STREAMS key >"),
    row(1, "XREADGROUP GROUP group consumer {[COUNT limit] [NOACK] BLOCK (0|5)} gstreams")
        .blocking(),
    row(4, "XACK key group oldid+"),
    row(2, "XPENDING key group"),
    row(3, "XPENDING key group [IDLE (0|10000000)] rangeid rangeid count [consumer]")
        .how(How::Times),
    row(
        4,
        "XCLAIM key group consumer (0|10000000) oldid+ \
         {[IDLE (0|100000)] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID oldid]}",
    ),
    row(1, "XCLAIM key group consumer 0 oldid+ TIME (1000|4000000000000|-5)"),
    row(3, "XAUTOCLAIM key group consumer (0|10000000) (0-0|oldid) {[COUNT count] [JUSTID]}"),
    row(1, "XINFO STREAM key").how(How::Times),
    row(1, "XINFO STREAM key FULL [COUNT limit]").how(How::Times),
    row(1, "XINFO GROUPS key").how(How::Times),
    row(1, "XINFO CONSUMERS key group").how(How::Times),
];
