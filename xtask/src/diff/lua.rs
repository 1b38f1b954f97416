//! Scripts: other commands, called from inside of one.
//!
//! Left out on purpose: scripts of random text. What Lua itself says of those is LuaJIT's here and
//! PUC's there; `tests/scripting` compares the libraries.

use super::grammar::{Family, How, Row, row};

/// The family.
pub(super) const FAMILY: Family =
    Family { name: "script", pool: "s", rows: ROWS, directives: &[], others: 30 };

const ROWS: &[Row] = &[
    row(6, "EVAL luacall 0 SET key value").rigid(),
    row(6, "EVAL luacall 1 key SET same value").rigid(),
    row(4, "EVAL luacall 0 GET key").rigid(),
    row(4, "EVAL luacall 1 key GET same").rigid(),
    row(3, "EVAL luacall 0 APPEND key value").rigid(),
    row(3, "EVAL luacall 0 INCR key").rigid(),
    row(2, "EVAL luacall 0 INCRBYFLOAT key float").rigid(),
    row(3, "EVAL luacall 0 MSET (key value)+").rigid(),
    row(3, "EVAL luacall 2 key key MGET keys").rigid(),
    row(3, "EVAL luacall 0 DEL keys").rigid(),
    row(2, "EVAL luacall 0 EXISTS keys").rigid(),
    row(2, "EVAL luacall 0 TYPE key").rigid(),
    row(2, "EVAL luacall 0 RENAME key key").rigid(),
    row(2, "EVAL luacall 0 EXPIRE key 100000").rigid(),
    row(2, "EVAL luacall 0 PERSIST key").rigid(),
    row(3, "EVAL luacall 0 (LPUSH|RPUSH) key value+").rigid(),
    row(3, "EVAL luacall 0 LRANGE key index index").rigid(),
    row(2, "EVAL luacall 0 (LPOP|RPOP) key").rigid(),
    row(3, "EVAL luacall 0 HSET key (field value)+").rigid(),
    row(3, "EVAL luacall 0 HMGET key field field").rigid(),
    row(2, "EVAL luacall 0 HDEL key field").rigid(),
    row(3, "EVAL luacall 0 SADD key member+").rigid(),
    row(2, "EVAL luacall 0 SISMEMBER key member").rigid(),
    row(3, "EVAL luacall 0 ZADD key big member").rigid(),
    row(2, "EVAL luacall 0 ZRANGE key 0 -1 WITHSCORES").rigid(),
    row(2, "EVAL luacall 0 ZSCORE key member").rigid(),
    row(1, "EVAL luacall 0 DBSIZE").rigid(),
    row(1, "EVAL luacall 0 NONSUCH key").rigid(),
    row(1, "EVAL luacall 0 GET").rigid(),
    row(1, "EVAL luacall (0|1|5|-1|'x) GET key").rigid(),
    row(2, "EVAL_RO luacall 1 key GET same").rigid(),
    row(1, "EVAL_RO luacall 1 key SET same value").rigid(),
    row(2, "EVAL luamany 2 key key value value").rigid(),
    row(1, "SCRIPT FLUSH").then(&[
        ("SCRIPT LOAD luacall", How::Exact),
        ("EVAL luamany 2 key key value value", How::Exact),
    ]),
];
