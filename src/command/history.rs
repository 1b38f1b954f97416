//! What COMMAND DOCS tells of a command's past: what came with which version of Redis, which
//! commands are there for old clients only, and what is used instead of them.
//!
//! The versions are those that redis-server tells, which a test holds; the words are ours. Left
//! out on purpose: since when single arguments are there, which the words of the history say too.

/// Versions, the commands that changed in them by their full names, and how.
const CHANGES: &[(&str, &[&str], &str)] = &[
    ("2.0.0", &["zrangebyscore"], "`WITHSCORES` came."),
    ("2.1.6", &["zrevrangebyscore"], "`min` and `max` may be exclusive."),
    ("2.4.0", &["hdel"], "Takes several fields."),
    ("2.4.0", &["lpush", "rpush"], "Takes several elements."),
    ("2.4.0", &["sadd", "srem", "zadd", "zrem"], "Takes several members."),
    ("2.6.0", &["srandmember"], "`count` came."),
    ("2.6.12", &["set"], "`EX`, `PX`, `NX` and `XX` came."),
    ("2.8.0", &["ttl", "pttl"], "-2 is answered for a key that is not there."),
    ("2.8.12", &["client|kill"], "Takes filters by name."),
    ("2.8.12", &["client|kill"], "`ID` came."),
    ("2.8.12", &["client|list"], "Tells `id`."),
    ("3.0.0", &["restore"], "`REPLACE` came."),
    ("3.0.2", &["zadd"], "`XX`, `NX`, `CH` and `INCR` came."),
    ("3.0.3", &["exists"], "Takes several keys."),
    ("3.2.0", &["client|kill"], "`master` is a `TYPE`."),
    ("3.2.0", &["renamenx"], "The same name twice is no error any more."),
    ("3.2.0", &["spop"], "`count` came."),
    ("4.0.0", &["flushall", "flushdb"], "`ASYNC` came."),
    ("4.0.0", &["hset"], "Takes several fields with values."),
    ("4.0.0", &["lpushx", "rpushx"], "Takes several elements."),
    ("4.0.0", &["slowlog|get"], "Tells the client's address and name."),
    ("5.0.0", &["client|kill"], "`replica` is a `TYPE`; `slave` means the same."),
    ("5.0.0", &["client|list"], "`TYPE` came."),
    ("5.0.0", &["restore"], "`ABSTTL` came."),
    ("5.0.0", &["restore"], "`IDLETIME` and `FREQ` came."),
    ("6.0.0", &["auth"], "Takes the name of a user."),
    (
        "6.0.0",
        &["blpop", "brpop", "brpoplpush", "bzpopmax", "bzpopmin"],
        "`timeout` may have a fraction.",
    ),
    ("6.0.0", &["client|list"], "Tells `user`."),
    ("6.0.0", &["scan"], "`TYPE` came."),
    ("6.0.0", &["set"], "`KEEPTTL` came."),
    ("6.0.0", &["xinfo|stream"], "`FULL` came."),
    ("6.2.0", &["acl|getuser", "acl|setuser"], "Knows patterns of channels."),
    ("6.2.0", &["client|kill"], "`LADDR` came."),
    ("6.2.0", &["client|list"], "`ID` came; tells `argv-mem`, `tot-mem`, `laddr` and `redir`."),
    ("6.2.0", &["client|pause"], "`WRITE` and `ALL` came."),
    ("6.2.0", &["flushall", "flushdb", "script|flush"], "`SYNC` came."),
    ("6.2.0", &["geoadd"], "`CH`, `NX` and `XX` came."),
    ("6.2.0", &["georadius", "georadius_ro"], "`ANY` came."),
    ("6.2.0", &["hello"], "`protover` may be left out."),
    ("6.2.0", &["lpop", "rpop"], "`count` came."),
    ("6.2.0", &["set"], "`GET`, `EXAT` and `PXAT` came."),
    ("6.2.0", &["xadd"], "`NOMKSTREAM`, `MINID` and `LIMIT` came."),
    ("6.2.0", &["xpending"], "`IDLE` came, and ranges may be exclusive."),
    ("6.2.0", &["xrange", "xrevrange"], "Ranges may be exclusive."),
    ("6.2.0", &["xtrim"], "`MINID` and `LIMIT` came."),
    ("6.2.0", &["zadd"], "`GT` and `LT` came."),
    ("6.2.0", &["zrange"], "`REV`, `BYSCORE`, `BYLEX` and `LIMIT` came."),
    ("7.0.0", &["acl|getuser"], "Tells selectors; patterns are told as rules."),
    ("7.0.0", &["acl|setuser"], "Takes selectors, and rights on keys to read or write."),
    ("7.0.0", &["bitcount", "bitpos"], "`BYTE` and `BIT` came."),
    ("7.0.0", &["client|list"], "Tells `resp`, `multi-mem`, `rbs` and `rbp`."),
    ("7.0.0", &["command|info"], "Without names it tells of all commands."),
    ("7.0.0", &["config|get"], "Takes several patterns."),
    ("7.0.0", &["config|set"], "Takes several directives."),
    ("7.0.0", &["expire", "expireat", "pexpire", "pexpireat"], "`NX`, `XX`, `GT` and `LT` came."),
    (
        "7.0.0",
        &["georadius", "georadiusbymember", "geosearch", "geosearchstore"],
        "Units may be in capitals.",
    ),
    ("7.0.0", &["info"], "Takes several sections."),
    ("7.0.0", &["set"], "`NX` and `GET` go together."),
    ("7.0.0", &["shutdown"], "`NOW`, `FORCE` and `ABORT` came."),
    ("7.0.0", &["xadd"], "`<ms>-*` is an id."),
    ("7.0.0", &["xautoclaim"], "Tells the entries that are gone."),
    ("7.0.0", &["xgroup|create", "xgroup|setid"], "`ENTRIESREAD` came."),
    ("7.0.0", &["xinfo|groups"], "Tells `entries-read` and `lag`."),
    (
        "7.0.0",
        &["xinfo|stream"],
        "Tells `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, \
         `entries-read` and `lag`.",
    ),
    ("7.0.0", &["xsetid"], "`ENTRIESADDED` and `MAXDELETEDID` came."),
    ("7.0.3", &["client|list"], "Tells `ssub`."),
    ("7.2.0", &["client|list"], "Tells `lib-name` and `lib-ver`."),
    ("7.2.0", &["zrank", "zrevrank"], "`WITHSCORE` came."),
    ("7.4.0", &["client|kill"], "`MAXAGE` came."),
    ("7.4.0", &["hscan"], "`NOVALUES` came."),
    ("8.2.0", &["bitop"], "`DIFF`, `DIFF1`, `ANDOR` and `ONE` came."),
    ("8.2.0", &["xadd", "xtrim"], "`KEEPREF`, `DELREF` and `ACKED` came."),
    ("8.4.0", &["set"], "`IFEQ`, `IFNE`, `IFDEQ` and `IFDNE` came."),
];

/// Commands that new clients do not use: since when, and what they use.
const OLD: &[(&str, &str, &str)] = &[
    ("brpoplpush", "6.2.0", "`BLMOVE` with `RIGHT` and `LEFT`"),
    ("georadius", "6.2.0", "`GEOSEARCH` or `GEOSEARCHSTORE` with `BYRADIUS`"),
    ("georadius_ro", "6.2.0", "`GEOSEARCH` with `BYRADIUS`"),
    (
        "georadiusbymember",
        "6.2.0",
        "`GEOSEARCH` or `GEOSEARCHSTORE` with `BYRADIUS` and `FROMMEMBER`",
    ),
    ("georadiusbymember_ro", "6.2.0", "`GEOSEARCH` with `BYRADIUS` and `FROMMEMBER`"),
    ("getset", "6.2.0", "`SET` with `GET`"),
    ("hmset", "4.0.0", "`HSET`"),
    ("rpoplpush", "6.2.0", "`LMOVE` with `RIGHT` and `LEFT`"),
    ("slaveof", "5.0.0", "`REPLICAOF`"),
    ("substr", "2.0.0", "`GETRANGE`"),
    ("zrangebylex", "6.2.0", "`ZRANGE` with `BYLEX`"),
    ("zrangebyscore", "6.2.0", "`ZRANGE` with `BYSCORE`"),
    ("zrevrange", "6.2.0", "`ZRANGE` with `REV`"),
    ("zrevrangebylex", "6.2.0", "`ZRANGE` with `REV` and `BYLEX`"),
    ("zrevrangebyscore", "6.2.0", "`ZRANGE` with `REV` and `BYSCORE`"),
];

/// Commands for those who work on the server, or for servers among themselves.
const OF_THE_SYSTEM: &[&str] = &["debug", "pfdebug", "pfselftest", "replconf"];

/// What has changed in a command, oldest first: a version, and what it brought.
pub fn changes(full_name: &str) -> impl ExactSizeIterator<Item = (&'static str, &'static str)> {
    let of = |(_, names, _): &&(&str, &[&str], &str)| names.contains(&full_name);
    let found: Vec<_> = CHANGES.iter().filter(of).map(|(since, _, what)| (*since, *what)).collect();
    found.into_iter()
}

/// Since when a command is there for old clients only, and what stands in its place.
pub fn old(full_name: &str) -> Option<(&'static str, &'static str)> {
    let found = OLD.iter().find(|(name, ..)| *name == full_name);
    found.map(|(_, since, instead)| (*since, *instead))
}

/// The flag that COMMAND DOCS gives a command, if it gives one.
pub fn flag(full_name: &str) -> Option<&'static str> {
    if OF_THE_SYSTEM.contains(&full_name) {
        Some("syscmd")
    } else {
        old(full_name).map(|_| "deprecated")
    }
}
