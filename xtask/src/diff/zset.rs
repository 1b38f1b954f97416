//! Sorted sets.

use super::grammar::{Family, How, Row, row};

/// The family.
pub(super) const FAMILY: Family =
    Family { name: "zset", pool: "z", rows: ROWS, directives: DIRECTIVES, others: 6 };

const DIRECTIVES: &[(&str, &[&str])] = &[
    ("zset-max-listpack-entries", &["0", "1", "2", "4", "8", "16"]),
    ("zset-max-listpack-value", &["0", "1", "5", "40", "64"]),
];

const ROWS: &[Row] = &[
    row(10, "ZADD key (score member)+"),
    row(6, "ZADD key {[NX|XX] [GT|LT] [CH]} (score member)+"),
    row(3, "ZADD key {[NX|XX] [GT|LT] [CH] INCR} score member"),
    row(1, "ZADD key {[NX] [XX] [GT] [LT] [CH] [INCR]} (score member)+"),
    // Ranges by name are defined only where all have one score.
    row(5, "ZADD ykey (0 member)+").rigid(),
    row(1, "ZADD ykey (7 member)+").then(&[("DEL same", How::Exact)]),
    row(2, "ZREM ykey member+"),
    row(4, "ZINCRBY key score member"),
    row(6, "ZREM key member+"),
    row(1, "ZCARD key"),
    row(2, "ZSCORE key member"),
    row(2, "ZMSCORE key member+"),
    // Not with more arguments: Eave's have an option that this redis-server's lack.
    row(2, "ZRANK key member").rigid(),
    row(2, "ZREVRANK key member").rigid(),
    row(2, "ZCOUNT key bound bound"),
    row(2, "ZLEXCOUNT ykey lexbound lexbound").keyed(),
    row(3, "ZRANGE key index index {[WITHSCORES] [REV]}"),
    row(3, "ZRANGE key bound bound {BYSCORE [WITHSCORES] [REV] [LIMIT count limit]}"),
    row(3, "ZRANGE ykey lexbound lexbound {BYLEX [REV] [LIMIT count limit]}").keyed(),
    row(
        1,
        "ZRANGE ykey lexbound lexbound {[BYSCORE] [BYLEX] [WITHSCORES] [REV] [LIMIT count limit]}",
    )
    .keyed(),
    row(1, "ZREVRANGE key index index [WITHSCORES]"),
    row(2, "ZRANGEBYSCORE key bound bound {[WITHSCORES] [LIMIT count limit]}"),
    row(2, "ZREVRANGEBYSCORE key bound bound {[WITHSCORES] [LIMIT count limit]}"),
    row(2, "ZRANGEBYLEX ykey lexbound lexbound [LIMIT count limit]").keyed(),
    row(2, "ZREVRANGEBYLEX ykey lexbound lexbound [LIMIT count limit]").keyed(),
    row(2, "ZRANGESTORE key key index index [REV]"),
    row(1, "ZRANGESTORE key key bound bound {BYSCORE [REV] [LIMIT count limit]}"),
    row(1, "ZRANGESTORE ykey ykey lexbound lexbound {BYLEX [REV] [LIMIT count limit]}").keyed(),
    row(2, "ZREMRANGEBYRANK key index index"),
    row(2, "ZREMRANGEBYSCORE key bound bound"),
    row(2, "ZREMRANGEBYLEX ykey lexbound lexbound").keyed(),
    row(2, "ZPOPMIN key [count]"),
    row(2, "ZPOPMAX key [count]"),
    row(2, "ZMPOP nkeys (MIN|MAX) [COUNT count]"),
    row(1, "BZPOPMIN keys 0").blocking(),
    row(1, "BZPOPMAX keys (0|0.1)").blocking(),
    row(1, "BZMPOP 0 nkeys (MIN|MAX) [COUNT count]").blocking(),
    row(2, "ZUNION nkeysweights {[AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]}"),
    row(2, "ZINTER nkeysweights {[AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]}"),
    row(2, "ZDIFF nkeys [WITHSCORES]"),
    row(2, "ZUNIONSTORE key nkeysweights [AGGREGATE (SUM|MIN|MAX)]"),
    row(2, "ZINTERSTORE key nkeysweights [AGGREGATE (SUM|MIN|MAX)]"),
    row(1, "ZUNIONSTORE key nkeys {[WEIGHTS score+] [AGGREGATE (SUM|MIN|MAX)]}"),
    row(2, "ZDIFFSTORE key nkeys"),
    row(2, "ZINTERCARD nkeys [LIMIT limit]"),
    // The operations take plain sets too.
    row(1, "SADD t0 member+"),
    row(1, "SADD t1 int+"),
    row(1, "ZUNIONSTORE key 2 (t0|t1) key [WEIGHTS score score]"),
    row(1, "ZINTER 2 key (t0|t1) WITHSCORES"),
    row(1, "ZDIFF 2 (key|t0) (t0|t1) WITHSCORES"),
    row(1, "ZRANDMEMBER key").how(How::Kind),
    row(1, "ZRANDMEMBER key int [WITHSCORES]").how(How::Length),
    row(1, "ZRANDMEMBER key 100000").how(How::Unordered).rigid(),
    row(1, "ZRANDMEMBER key 100000 WITHSCORES").how(How::Pairs).rigid(),
    row(1, "ZSCAN key 0 {[MATCH pattern] [COUNT 100000]}").how(How::ScanPairs),
    row(1, "ZSCAN key (0|big) {[MATCH pattern] [COUNT count]}").how(How::ScanPairs),
];
