//! What a command does to each of its keys: where they stand, as COMMAND INFO says it, and
//! whether they are read, written or made.
//!
//! A row says which arguments are keys so that the engine locks them; what is done to each
//! matters to users who may only read some keys and only write others. Most commands with the
//! same use of their keys stand in one line here. *Invariant*: `touched` names every key that
//! the engine locks; one that no line speaks of counts as read and written.

use bitflags::bitflags;
use smallvec::SmallVec;

use super::args::is;
use super::{Argv, Command};
use crate::value::number::parse_integer;

bitflags! {
    /// What happens to a key; the names are those of COMMAND INFO.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Use: u16 {
        /// Its value is only read.
        const RO = 1;
        /// Its value is read and written.
        const RW = 1 << 1;
        /// Its value is replaced without being read.
        const OW = 1 << 2;
        /// It is removed without being read.
        const RM = 1 << 3;
        /// A part of its value reaches the client, or another key.
        const ACCESS = 1 << 4;
        /// Its value changes.
        const UPDATE = 1 << 5;
        /// Something is added to its value, and nothing is changed or removed.
        const INSERT = 1 << 6;
        /// A part of its value, or all of it, is removed.
        const DELETE = 1 << 7;
        /// No key, though it is found like one: a shard channel.
        const NOT_KEY = 1 << 8;
        /// There may be more keys than this finds.
        const INCOMPLETE = 1 << 9;
        /// The arguments say which of these it is.
        const VARIABLE_FLAGS = 1 << 10;
    }
}

impl Use {
    /// Its names in COMMAND INFO.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let named = [
            (Use::RO, "RO"),
            (Use::RW, "RW"),
            (Use::OW, "OW"),
            (Use::RM, "RM"),
            (Use::ACCESS, "access"),
            (Use::UPDATE, "update"),
            (Use::INSERT, "insert"),
            (Use::DELETE, "delete"),
            (Use::NOT_KEY, "not_key"),
            (Use::INCOMPLETE, "incomplete"),
            (Use::VARIABLE_FLAGS, "variable_flags"),
        ];
        named.into_iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| name)
    }
}

/// Where the search for keys begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this argument.
    Index(usize),
    /// Behind this word, which is looked for from the argument given on.
    Keyword(&'static str, usize),
    /// Only the arguments' own grammar tells.
    Unknown,
}

/// Which arguments from there on are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Up to `last`, counted from the first key, or from the end if negative; each `step`th.
    /// With a `limit`, only the first of so many parts of what is left.
    Range {
        /// The last key.
        last: isize,
        /// The distance between keys.
        step: usize,
        /// Of how many parts the first is meant; 0 or 1 = all.
        limit: usize,
    },
    /// As many as the argument here says, which they follow.
    Counted {
        /// The distance between keys.
        step: usize,
    },
    /// Only the arguments' own grammar tells.
    Unknown,
}

/// Some of the keys of a command, and what it does to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// What happens to them.
    pub uses: Use,
    /// Where they begin.
    pub begin: Begin,
    /// Which they are.
    pub find: Find,
}

/// A key among arguments: its position, and what happens to it.
pub type Touched = SmallVec<[(usize, Use); 8]>;

const fn at(uses: Use, index: usize) -> KeySpec {
    range(uses, index, 0, 1)
}

const fn range(uses: Use, index: usize, last: isize, step: usize) -> KeySpec {
    KeySpec { uses, begin: Begin::Index(index), find: Find::Range { last, step, limit: 0 } }
}

const fn counted(uses: Use, index: usize) -> KeySpec {
    KeySpec { uses, begin: Begin::Index(index), find: Find::Counted { step: 1 } }
}

const fn behind(uses: Use, word: &'static str, from: usize) -> KeySpec {
    let find = Find::Range { last: 0, step: 1, limit: 0 };
    KeySpec { uses, begin: Begin::Keyword(word, from), find }
}

const fn streams(from: usize) -> KeySpec {
    let find = Find::Range { last: -1, step: 1, limit: 2 };
    KeySpec { uses: READ, begin: Begin::Keyword("STREAMS", from), find }
}

const fn unknown(uses: Use) -> KeySpec {
    KeySpec { uses, begin: Begin::Unknown, find: Find::Unknown }
}

const READ: Use = Use::RO.union(Use::ACCESS);
const LOOK: Use = Use::RO;
const REPLACE: Use = Use::OW.union(Use::UPDATE);
const MAKE: Use = Use::OW.union(Use::INSERT);
const CHANGE: Use = Use::RW.union(Use::UPDATE);
const ADD: Use = Use::RW.union(Use::INSERT);
const REDUCE: Use = Use::RW.union(Use::DELETE);
const SWAP: Use = CHANGE.union(Use::ACCESS);
const TAKE: Use = REDUCE.union(Use::ACCESS);
const REMOVE: Use = Use::RM.union(Use::DELETE);
const VARIES: Use = SWAP.union(Use::VARIABLE_FLAGS);
const CHANNEL: Use = Use::NOT_KEY;

/// The commands, by what they do to their keys. A subcommand stands behind its container and
/// a bar.
const USES: &[(&[KeySpec], &[&str])] = &[
    (
        &[at(READ, 1)],
        &[
            "bitcount",
            "bitfield_ro",
            "bitpos",
            "dump",
            "expiretime",
            "geodist",
            "geohash",
            "geopos",
            "georadius_ro",
            "georadiusbymember_ro",
            "geosearch",
            "get",
            "getbit",
            "getrange",
            "hget",
            "hgetall",
            "hkeys",
            "hmget",
            "hrandfield",
            "hscan",
            "hvals",
            "lindex",
            "lpos",
            "lrange",
            "pexpiretime",
            "pttl",
            "smembers",
            "smismember",
            "srandmember",
            "sscan",
            "substr",
            "ttl",
            "xpending",
            "xrange",
            "xrevrange",
            "zcount",
            "zlexcount",
            "zmscore",
            "zrandmember",
            "zrange",
            "zrangebylex",
            "zrangebyscore",
            "zrank",
            "zrevrange",
            "zrevrangebylex",
            "zrevrangebyscore",
            "zrevrank",
            "zscan",
            "zscore",
            "digest",
            "httl",
            "hpttl",
            "hexpiretime",
            "hpexpiretime",
            "rl.peek",
            "json.arrindex",
            "json.get",
            "json.objkeys",
            "json.resp",
        ],
    ),
    (
        &[at(LOOK, 1)],
        &[
            "hexists",
            "json.arrlen",
            "json.objlen",
            "json.strlen",
            "json.type",
            "hlen",
            "hstrlen",
            "llen",
            "scard",
            "sismember",
            "strlen",
            "type",
            "xlen",
            "zcard",
        ],
    ),
    (&[range(LOOK, 1, -1, 1)], &["exists", "touch", "watch"]),
    (
        &[at(LOOK, 2)],
        &[
            "json.debug|memory",
            "memory|usage",
            "object|encoding",
            "object|freq",
            "object|idletime",
            "object|refcount",
        ],
    ),
    (&[range(READ, 1, -1, 1)], &["mget", "sdiff", "sinter", "sunion"]),
    (&[range(READ, 1, -2, 1)], &["json.mget"]),
    (&[range(CHANGE, 1, -1, 3)], &["json.mset"]),
    (&[range(READ, 1, 1, 1)], &["lcs"]),
    (&[counted(READ, 1)], &["sintercard", "zdiff", "zinter", "zintercard", "zunion"]),
    (&[at(READ, 2)], &["xinfo|consumers", "xinfo|groups", "xinfo|stream"]),
    (&[streams(1)], &["xread"]),
    (&[streams(4)], &["xreadgroup"]),
    (&[counted(READ, 2)], &["eval_ro", "evalsha_ro", "fcall_ro"]),
    (&[counted(SWAP, 2)], &["eval", "evalsha", "fcall"]),
    (&[range(Use::RW.union(Use::ACCESS), 1, -1, 1)], &["pfcount"]),
    (&[at(Use::RW.union(Use::ACCESS), 2)], &["pfdebug"]),
    (&[at(READ, 1), unknown(READ)], &["sort_ro"]),
    (&[at(READ, 1), unknown(READ), unknown(REPLACE)], &["sort"]),
    (&[at(READ, 1), behind(REPLACE, "STORE", 6), behind(REPLACE, "STOREDIST", 6)], &["georadius"]),
    (
        &[at(READ, 1), behind(REPLACE, "STORE", 5), behind(REPLACE, "STOREDIST", 5)],
        &["georadiusbymember"],
    ),
    (&[at(READ, 1), at(REPLACE, 2)], &["copy"]),
    (&[at(TAKE, 1), at(MAKE, 2)], &["renamenx"]),
    (&[at(TAKE, 1), at(REPLACE, 2)], &["rename"]),
    (&[at(TAKE, 1), at(ADD, 2)], &["blmove", "brpoplpush", "lmove", "rpoplpush", "smove"]),
    (&[at(REPLACE, 1)], &["psetex", "restore", "restore-asking", "setex"]),
    (&[range(REPLACE, 1, -1, 2)], &["mset"]),
    (&[range(MAKE, 1, -1, 2)], &["msetnx"]),
    (&[at(MAKE, 1)], &["setnx"]),
    (&[at(REPLACE, 1), counted(READ, 2)], &["zdiffstore", "zinterstore", "zunionstore"]),
    (&[at(REPLACE, 1), range(READ, 2, -1, 1)], &["sdiffstore", "sunionstore"]),
    (&[at(CHANGE, 1), range(READ, 2, -1, 1)], &["sinterstore"]),
    (&[at(REPLACE, 1), at(READ, 2)], &["geosearchstore", "zrangestore"]),
    (&[at(REPLACE, 2), range(READ, 3, -1, 1)], &["bitop"]),
    (&[at(ADD.union(Use::ACCESS), 1), range(READ, 2, -1, 1)], &["pfmerge"]),
    (
        &[KeySpec { uses: SWAP, begin: Begin::Index(1), find: Find::Counted { step: 2 } }],
        &["rl.mtake"],
    ),
    (&[range(REMOVE, 1, -1, 1)], &["del", "unlink", "rl.reset"]),
    (&[at(REMOVE.union(Use::ACCESS), 1)], &["delex"]),
    (&[counted(TAKE, 1)], &["lmpop", "zmpop"]),
    (&[counted(TAKE, 2)], &["blmpop", "bzmpop"]),
    (&[range(TAKE, 1, -2, 1)], &["blpop", "brpop", "bzpopmax", "bzpopmin"]),
    (
        &[at(TAKE, 1)],
        &["getdel", "json.arrpop", "hgetdel", "lpop", "rpop", "spop", "zpopmax", "zpopmin"],
    ),
    (
        &[at(SWAP, 1)],
        &[
            "cl.throttle",
            "decr",
            "decrby",
            "gcra",
            "getex",
            "getset",
            "hgetex",
            "hincrby",
            "hincrbyfloat",
            "incr",
            "incrby",
            "incrbyfloat",
            "move",
            "rl.give",
            "json.numincrby",
            "json.nummultby",
            "json.toggle",
            "rl.hold",
            "rl.settle",
            "rl.take",
            "rl.throttle",
            "setbit",
            "zincrby",
        ],
    ),
    (&[at(VARIES, 1)], &["bitfield", "set"]),
    (
        &[at(REDUCE, 1)],
        &[
            "hdel",
            "json.arrtrim",
            "json.clear",
            "json.del",
            "json.forget",
            "lrem",
            "ltrim",
            "srem",
            "xackdel",
            "xautoclaim",
            "xdel",
            "xdelex",
            "xtrim",
            "zrem",
            "zremrangebylex",
            "zremrangebyrank",
            "zremrangebyscore",
        ],
    ),
    (&[at(REDUCE, 2)], &["xgroup|delconsumer", "xgroup|destroy"]),
    (
        &[at(ADD, 1)],
        &[
            "append",
            "json.arrappend",
            "json.arrinsert",
            "json.strappend",
            "hsetnx",
            "linsert",
            "lpush",
            "lpushx",
            "pfadd",
            "rpush",
            "rpushx",
            "sadd",
        ],
    ),
    (&[at(ADD, 2)], &["xgroup|create", "xgroup|createconsumer"]),
    (
        &[at(CHANGE, 1)],
        &[
            "expire",
            "expireat",
            "geoadd",
            "hexpire",
            "hexpireat",
            "hmset",
            "hpersist",
            "hpexpire",
            "hpexpireat",
            "hset",
            "hsetex",
            "lset",
            "json.merge",
            "json.set",
            "persist",
            "pexpire",
            "pexpireat",
            "setrange",
            "xack",
            "xadd",
            "xclaim",
            "xsetid",
            "zadd",
        ],
    ),
    (&[at(CHANGE, 2)], &["xgroup|setid"]),
    (&[range(CHANNEL, 1, -1, 1)], &["ssubscribe", "sunsubscribe"]),
    (&[at(CHANNEL, 1)], &["spublish"]),
    (
        &[
            at(TAKE, 3),
            KeySpec {
                uses: TAKE.union(Use::INCOMPLETE),
                begin: Begin::Keyword("KEYS", 6),
                find: Find::Range { last: -1, step: 1, limit: 0 },
            },
        ],
        &["migrate"],
    ),
    (
        &[KeySpec { uses: REPLACE, begin: Begin::Index(1), find: Find::Counted { step: 2 } }],
        &["msetex"],
    ),
];

/// What is known of the keys of `name`, with its container if it has one: nothing if it has none.
pub fn of(name: &str) -> &'static [KeySpec] {
    USES.iter().find(|(_, names)| names.contains(&name)).map_or(&[], |(specs, _)| specs)
}

/// The keys that `argv` names and what `command` does to each, in the order of `specs`, which
/// are the command's.
pub fn touched(specs: &[KeySpec], command: &Command, argv: Argv<'_>) -> Touched {
    let mut found = Touched::new();
    // Without keys it is a subcommand that is called like a command: CONFIG SET.
    let varies = if command.keys.is_none() { None } else { varying(command.name, argv) };
    match varies {
        Some(keys) => found = keys,
        None => specs.iter().for_each(|spec| spec.find(argv, &mut found)),
    }
    // What the engine locks a handler can touch, whatever was found here.
    for position in command.keys.positions(argv) {
        if !found.iter().any(|(known, _)| *known == position) {
            found.push((position, SWAP));
        }
    }
    found.retain(|(_, uses)| !uses.contains(Use::NOT_KEY));
    found
}

impl KeySpec {
    /// Adds the keys that it finds in `argv`.
    fn find(&self, argv: Argv<'_>, found: &mut Touched) {
        let first = match self.begin {
            Begin::Index(index) => index,
            Begin::Keyword(word, from) => {
                match argv.iter().skip(from).position(|argument| is(argument, word)) {
                    Some(at) => from + at + 1,
                    None => return,
                }
            }
            Begin::Unknown => return,
        };
        if first >= argv.len() {
            return;
        }
        match self.find {
            Find::Range { last, step, limit } => {
                let end = match (usize::try_from(last), limit) {
                    (Ok(last), _) => first + last,
                    (Err(_), 0 | 1) => argv.len() - last.unsigned_abs().min(argv.len()),
                    // The first of `limit` equal parts of what is left.
                    (Err(_), parts) => (first + (argv.len() - first) / parts).saturating_sub(1),
                };
                let end = end.min(argv.len() - 1);
                if first <= end {
                    found.extend((first..=end).step_by(step).map(|at| (at, self.uses)));
                }
            }
            Find::Counted { step } => {
                let keys = count(argv, first).unwrap_or(0);
                let keys = (first + 1..argv.len()).step_by(step).take(keys);
                found.extend(keys.map(|at| (at, self.uses)));
            }
            Find::Unknown => {}
        }
    }
}

/// The keys of those commands of which only the arguments' own grammar tells all.
fn varying(name: &str, argv: Argv<'_>) -> Option<Touched> {
    let uses = match name {
        "set" if argv.iter().skip(3).any(|word| is(word, "GET")) => SWAP,
        "set" => REPLACE,
        "bitfield" if only_gets(argv) => READ,
        "bitfield" => SWAP,
        "sort" | "sort_ro" => {
            let mut found = Touched::from_slice(&[(1, READ)]);
            let store = super::sort::stores_at(argv).filter(|_| name == "sort");
            found.extend(store.map(|at| (at, REPLACE)));
            return Some(found);
        }
        _ => return None,
    };
    Some(Touched::from_slice(&[(1, uses)]))
}

/// Whether BITFIELD is asked for nothing but GET.
fn only_gets(argv: Argv<'_>) -> bool {
    let mut at = 2;
    while let Some(word) = argv.get(at) {
        let behind = argv.len() - at - 1;
        at += match () {
            () if is(word, "GET") && behind >= 2 => 3,
            () if is(word, "OVERFLOW") && behind >= 1 => 2,
            () => return false,
        };
    }
    true
}

/// The number of keys that the argument at `at` says.
fn count(argv: Argv<'_>, at: usize) -> Option<usize> {
    parse_integer(argv.get(at)?).and_then(|count| usize::try_from(count).ok())
}

/// Whether every count of keys is one, with so many arguments behind it: COMMAND GETKEYS
/// refuses others.
pub fn is_readable(specs: &[KeySpec], argv: Argv<'_>) -> bool {
    specs.iter().all(|spec| match (spec.begin, spec.find) {
        (Begin::Index(at), Find::Counted { step }) => count(argv, at).is_some_and(|keys| {
            keys.checked_mul(step).is_some_and(|arguments| arguments < argv.len() - at)
        }),
        _ => true,
    })
}
