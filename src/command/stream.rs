//! Streams: entries in the order of their ids under one key, and groups that read them.
//!
//! A stream is made by its first entry, or by its first group; it stays when it becomes empty.
//! Here are the rows, what the handlers share, and the plainest of them. The log has no
//! relative outcome of theirs: entries come with the ids they got, trims to the length they
//! came to, and what was delivered as XCLAIM with the time and the count.
//!
//! Left out on purpose: waiting. XREAD and XREADGROUP answer at once, as inside MULTI.

pub mod add;
pub mod claim;
pub mod delete;
pub mod group;
pub mod info;
pub mod pending;
pub mod read;

use super::args::{integer, is, next};
use super::{Argv, Command, Family, Flags, Group, Keys, Run};
use crate::config::Classes;
use crate::fault::{Fault, Outcome, shown};
use crate::keyspace::{self, NEVER, ReadView, Value, WriteView};
use crate::resp::Reply;
use crate::value::stream::{Entry, Id, Past, Stream};

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        complexity: "O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.",
        ..STREAM.row(
            "xadd",
            "key [NOMKSTREAM] [KEEPREF|DELREF|ACKED] [MAXLEN|MINID [=|~] threshold [LIMIT count]] *|id field value [field value ...]",
            "Appends a new entry to a stream",
            "5.0.0",
            -5,
            GROW,
            Run::Write(add::xadd),
        )
    },
    Command {
        complexity: "O(N), with N being the number of evicted entries. Constant times are very small however, since entries are organized in macro nodes containing multiple entries that can be released with a single deallocation.",
        ..STREAM.row(
            "xtrim",
            "key MAXLEN|MINID [=|~] threshold [LIMIT count] [KEEPREF|DELREF|ACKED]",
            "Trims the stream to (approximately if '~' is passed) a certain size",
            "5.0.0",
            -4,
            Flags::empty(),
            Run::Write(add::xtrim),
        )
    },
    STREAM.row(
        "xlen",
        "key",
        "Return the number of entries in a stream",
        "5.0.0",
        2,
        Flags::FAST,
        Run::Read(xlen),
    ),
    Command {
        complexity: RANGE,
        ..STREAM.row(
            "xrange",
            "key start end [COUNT count]",
            "Return a range of elements in a stream, with IDs matching the specified IDs interval",
            "5.0.0",
            -4,
            Flags::empty(),
            Run::Read(xrange),
        )
    },
    Command {
        complexity: RANGE,
        ..STREAM.row(
            "xrevrange",
            "key end start [COUNT count]",
            "Return a range of elements in a stream, with IDs matching the specified IDs interval, in reverse order (from greater to smaller IDs) compared to XRANGE",
            "5.0.0",
            -4,
            Flags::empty(),
            Run::Read(xrevrange),
        )
    },
    Command {
        complexity: "O(1) for each single item to delete in the stream, regardless of the stream size.",
        ..STREAM.row(
            "xdel",
            "key id [id ...]",
            "Removes the specified entries from the stream. Returns the number of items actually deleted, that may be different from the number of IDs passed in case certain IDs do not exist.",
            "5.0.0",
            -3,
            Flags::FAST,
            Run::Write(delete::xdel),
        )
    },
    Command {
        complexity: "O(1) for each single item to delete in the stream, regardless of the stream size.",
        ..STREAM.row(
            "xdelex",
            "key [KEEPREF|DELREF|ACKED] IDS numids id [id ...]",
            "Deletes one or multiple entries from the stream, and says of each what has become of it.",
            "8.2.0",
            -5,
            Flags::FAST,
            Run::Write(delete::xdelex),
        )
    },
    STREAM.row(
        "xsetid",
        "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
        "An internal command for replicating stream values",
        "5.0.0",
        -3,
        GROW,
        Run::Write(xsetid),
    ),
    Command {
        complexity: "For each stream mentioned: O(N) with N being the number of elements being returned, it means that XREAD-ing with a fixed COUNT is O(1). Note that when the BLOCK option is used, XADD will pay O(M) time in order to serve the M clients blocked on the stream getting new data.",
        keys: STREAMS,
        ..STREAM.row(
            "xread",
            "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
            "Return never seen elements in multiple streams, with IDs greater than the ones reported by the caller for each stream. Can block.",
            "5.0.0",
            -4,
            WAIT,
            Run::Read(read::xread),
        )
    },
    Command {
        complexity: "For each stream mentioned: O(M) with M being the number of elements returned. If M is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1). On the other side when XREADGROUP blocks, XADD will pay the O(N) time in order to serve the N clients blocked on the stream getting new data.",
        keys: STREAMS,
        ..STREAM.row(
            "xreadgroup",
            "GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]",
            "Return new entries from a stream using a consumer group, or access the history of the pending entries for a given consumer. Can block.",
            "5.0.0",
            -7,
            WAIT,
            Run::Write(read::xreadgroup),
        )
    },
    Command {
        complexity: "Depends on subcommand.",
        keys: Keys::None,
        subcommands: group::SUBCOMMANDS,
        ..STREAM.row(
            "xgroup",
            "",
            "A container for consumer groups commands",
            "5.0.0",
            -2,
            Flags::empty(),
            Run::Container,
        )
    },
    Command {
        complexity: "O(1) for each message ID processed.",
        ..STREAM.row(
            "xack",
            "key group id [id ...]",
            "Marks a pending message as correctly processed, effectively removing it from the pending entries list of the consumer group. Return value of the command is the number of messages successfully acknowledged, that is, the IDs we were actually able to resolve in the PEL.",
            "5.0.0",
            -4,
            Flags::FAST,
            Run::Write(group::xack),
        )
    },
    Command {
        complexity: "O(1) for each message ID processed.",
        ..STREAM.row(
            "xackdel",
            "key group [KEEPREF|DELREF|ACKED] IDS numids id [id ...]",
            "Acknowledges and deletes one or multiple messages for a stream consumer group.",
            "8.2.0",
            -6,
            Flags::FAST,
            Run::Write(delete::xackdel),
        )
    },
    Command {
        complexity: "O(N) with N being the number of elements returned, so asking for a small fixed number of entries per call is O(1). O(M), where M is the total number of entries scanned when used with the IDLE filter. When the command returns just the summary and the list of consumers is small, it runs in O(1) time; otherwise, an additional O(N) time for iterating every consumer.",
        ..STREAM.row(
            "xpending",
            "key group [[IDLE min-idle-time] start end count [consumer]]",
            "Return information and entries from a stream consumer group pending entries list, that are messages fetched but never acknowledged.",
            "5.0.0",
            -3,
            Flags::empty(),
            Run::Read(pending::xpending),
        )
    },
    Command {
        complexity: "O(log N) with N being the number of messages in the PEL of the consumer group.",
        ..STREAM.row(
            "xclaim",
            "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id]",
            "Changes (or acquires) ownership of a message in a consumer group, as if the message was delivered to the specified consumer.",
            "5.0.0",
            -6,
            Flags::FAST,
            Run::Write(claim::xclaim),
        )
    },
    Command {
        complexity: "O(1) if COUNT is small.",
        ..STREAM.row(
            "xautoclaim",
            "key group consumer min-idle-time start [COUNT count] [JUSTID]",
            "Changes (or acquires) ownership of messages in a consumer group, as if the messages were delivered to the specified consumer.",
            "6.2.0",
            -6,
            Flags::FAST,
            Run::Write(claim::xautoclaim),
        )
    },
    Command {
        complexity: "Depends on subcommand.",
        keys: Keys::None,
        subcommands: info::SUBCOMMANDS,
        ..STREAM.row(
            "xinfo",
            "",
            "A container for stream introspection commands",
            "5.0.0",
            -2,
            Flags::empty(),
            Run::Container,
        )
    },
];

const GROW: Flags = Flags::DENYOOM.union(Flags::FAST);
const WAIT: Flags = Flags::BLOCKING.union(Flags::MOVABLE_KEYS);
const STREAMS: Keys = Keys::Found { range: (0, 0, 0), find: read::keys };
const RANGE: &str = "O(N) with N being the number of elements being returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).";

/// What the rows of this family have in common.
const STREAM: Family = Family::new(Group::Stream);

/// A subcommand on the key behind its name.
const fn sub(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    since: &'static str,
    arity: isize,
    flags: Flags,
    run: Run,
) -> Command {
    let keys = Keys::At { first: 2, last: 2, step: 1 };
    Command { keys, ..STREAM.row(name, syntax, summary, since, arity, flags, run) }
}

const INVALID_ID: Fault = Fault::new("ERR Invalid stream ID specified as stream command argument");

/// An id; where it has one part, the other is 0.
fn id(argument: &[u8]) -> Result<Id, Fault> {
    Id::parse(argument, 0).ok_or(INVALID_ID)
}

/// Ids.
fn ids(arguments: &[&[u8]]) -> Result<Vec<Id>, Fault> {
    arguments.iter().map(|argument| id(argument)).collect()
}

/// The lower end of an interval.
fn start(argument: &[u8]) -> Result<Id, Fault> {
    match argument.strip_prefix(b"(") {
        Some(id) => {
            let id = Id::parse(id, 0).ok_or(INVALID_ID)?;
            id.next().ok_or(Fault::new("ERR invalid start ID for the interval"))
        }
        None => bound(argument, 0),
    }
}

/// The upper end of an interval.
fn end(argument: &[u8]) -> Result<Id, Fault> {
    match argument.strip_prefix(b"(") {
        Some(id) => {
            let id = Id::parse(id, u64::MAX).ok_or(INVALID_ID)?;
            id.previous().ok_or(Fault::new("ERR invalid end ID for the interval"))
        }
        None => bound(argument, u64::MAX),
    }
}

fn bound(argument: &[u8], seq: u64) -> Result<Id, Fault> {
    match argument {
        b"-" => Ok(Id::MIN),
        b"+" => Ok(Id::MAX),
        _ => Id::parse(argument, seq).ok_or(INVALID_ID),
    }
}

/// The stream under a key; `None` when there is no key.
fn stream<'a>(view: &ReadView<'a, '_>, key: &[u8]) -> Result<Option<&'a Stream>, Fault> {
    view.get(key).map(|entry| entry.as_stream().ok_or(Fault::WRONG_TYPE)).transpose()
}

/// Changes the stream under a key; `None` when there is no key.
fn change<R>(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    change: impl FnOnce(&mut Stream) -> Result<R, Fault>,
) -> Result<Option<R>, Fault> {
    let change =
        |entry: &mut keyspace::Entry| entry.stream_mut().ok_or(Fault::WRONG_TYPE).and_then(change);
    view.change(key, change).transpose()
}

/// Changes the stream under a key, or a new one that then takes its place there. A change that
/// fails changes nothing.
fn make<R>(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    make: impl FnOnce(&mut Stream) -> Result<R, Fault>,
) -> Result<R, Fault> {
    if view.exists(key) {
        return change(view, key, make)?.ok_or(Fault::NO_KEY);
    }
    let mut stream = Box::new(Stream::new());
    let result = make(&mut stream)?;
    view.insert(key, keyspace::Entry::object(key, Value::Stream(stream), NEVER));
    Ok(result)
}

/// Says that groups were changed: to the log, and not to those who watch the key, as in Redis.
fn regrouped(view: &mut WriteView<'_, '_>) {
    view.effects.changed();
}

fn no_group(key: &[u8], group: &[u8]) -> Fault {
    let (key, group) = (shown(key, usize::MAX), shown(group, usize::MAX));
    Fault::text(format!("NOGROUP No such key '{key}' or consumer group '{group}'"))
}

/// Answers an id.
fn answer_id(id: Id, reply: &mut dyn Reply) {
    reply.bulk(id.to_string().as_bytes());
}

/// Answers an entry: its id, and its fields and values.
fn answer_entry(entry: Entry<'_>, reply: &mut dyn Reply) {
    reply.array(2);
    answer_id(entry.id, reply);
    reply.array(entry.len() * 2);
    for (field, value) in entry.pairs() {
        reply.bulk(&field);
        reply.bulk(&value);
    }
}

/// Answers entries, which are walked twice: an array says first how many it has.
fn answer_entries<'a>(
    entries: impl Fn() -> Box<dyn Iterator<Item = Entry<'a>> + 'a>,
    reply: &mut dyn Reply,
) {
    reply.array(entries().count());
    entries().for_each(|entry| answer_entry(entry, reply));
}

fn xlen(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.integer(stream(view, argv[1])?.map_or(0, Stream::len) as i64);
    Ok(())
}

fn xrange(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (from, to) = (start(argv[2])?, end(argv[3])?);
    let count = count(argv)?;
    range(view, argv[1], count, reply, |stream| Box::new(stream.entries(from, to)))
}

fn xrevrange(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (from, to) = (start(argv[3])?, end(argv[2])?);
    let count = count(argv)?;
    range(view, argv[1], count, reply, |stream| Box::new(stream.entries_back(from, to)))
}

/// The COUNT of XRANGE; `None` for all.
fn count(argv: Argv<'_>) -> Result<Option<usize>, Fault> {
    let (mut at, mut count) = (4, None);
    while at < argv.len() {
        if !is(argv[at], "COUNT") {
            return Err(Fault::SYNTAX);
        }
        let most = integer(next(argv, &mut at)?)?;
        count = Some(usize::try_from(most).unwrap_or(0));
        at += 1;
    }
    Ok(count)
}

fn range<'a>(
    view: &ReadView<'a, '_>,
    key: &[u8],
    count: Option<usize>,
    reply: &mut dyn Reply,
    entries: impl Fn(&'a Stream) -> Box<dyn Iterator<Item = Entry<'a>> + 'a>,
) -> Outcome {
    let Some(stream) = stream(view, key)? else {
        reply.array(0);
        return Ok(());
    };
    match count {
        Some(0) => reply.null_array(),
        Some(most) => answer_entries(|| Box::new(entries(stream).take(most)), reply),
        None => answer_entries(|| entries(stream), reply),
    }
    Ok(())
}

fn xsetid(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, last) = (argv[1], id(argv[2])?);
    let (mut added, mut max_deleted) = (None, None);
    let mut at = 3;
    while at < argv.len() {
        if is(argv[at], "ENTRIESADDED") && at + 1 < argv.len() {
            let count = integer(next(argv, &mut at)?)?;
            let count = u64::try_from(count);
            added = Some(count.map_err(|_| Fault::new("ERR entries_added must be positive"))?);
        } else if is(argv[at], "MAXDELETEDID") && at + 1 < argv.len() {
            let id = id(next(argv, &mut at)?)?;
            if id > last {
                return Err(Fault::new(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
            max_deleted = Some(id);
        } else {
            return Err(Fault::SYNTAX);
        }
        at += 1;
    }
    let set = change(view, key, |stream| set_id(stream, last, max_deleted, added))?;
    set.ok_or(Fault::NO_KEY)?;
    regrouped(view);
    view.notify(Classes::STREAM, "xsetid", key);
    reply.ok();
    Ok(())
}

fn set_id(stream: &mut Stream, last: Id, max_deleted: Option<Id>, added: Option<u64>) -> Outcome {
    let past = stream.past();
    if !stream.is_empty() {
        if last < stream.last_entry_id() {
            return Err(Fault::new(
                "ERR The ID specified in XSETID is smaller than the target stream top item",
            ));
        }
        if added.is_some_and(|added| added < stream.len()) {
            return Err(Fault::new(
                "ERR The entries_added specified in XSETID is smaller than the target stream length",
            ));
        }
    }
    stream.set_past(Past {
        last,
        added: added.unwrap_or(past.added),
        // Redis takes 0-0 for "not given".
        max_deleted: max_deleted.filter(|id| *id != Id::MIN).unwrap_or(past.max_deleted),
    });
    Ok(())
}
