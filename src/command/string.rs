//! Strings: SET, GET and what they grew into.

use super::args::{self, Moment, expiry_option, integer, is, next};
use super::string_set::{self, Expiry};
use super::{Argv, Command, Flags, Group, Keys, Positions, Run, counted, string_compare};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Entry, NEVER, ReadView, StrRef, WriteView};
use crate::resp::Reply;
use crate::value::lcs;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row("get", "key", "Returns the string value of a key.", "1.0.0", 2, READ, Run::Read(get)),
    row(
        "set",
        "key value [NX | XX | IFEQ value | IFNE value | IFDEQ digest | IFDNE digest] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
        "Sets the string value of a key, ignoring its type.",
        "1.0.0",
        -3,
        GROW.difference(Flags::FAST),
        Run::Write(string_set::set),
    ),
    row(
        "setnx",
        "key value",
        "Sets the string value of a key only when the key doesn't exist.",
        "1.0.0",
        3,
        GROW,
        Run::Write(setnx),
    ),
    row(
        "setex",
        "key seconds value",
        "Sets the string value and expiration time of a key.",
        "2.0.0",
        4,
        GROW.difference(Flags::FAST),
        Run::Write(setex),
    ),
    row(
        "psetex",
        "key milliseconds value",
        "Sets both string value and expiration time in milliseconds of a key.",
        "2.6.0",
        4,
        GROW.difference(Flags::FAST),
        Run::Write(psetex),
    ),
    row(
        "getset",
        "key value",
        "Returns the previous string value of a key after setting it to a new value.",
        "1.0.0",
        3,
        GROW,
        Run::Write(getset),
    ),
    row(
        "getdel",
        "key",
        "Returns the string value of a key after deleting the key.",
        "6.2.0",
        2,
        Flags::FAST,
        Run::Write(getdel),
    ),
    row(
        "getex",
        "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
        "Returns the string value of a key after setting its expiration time.",
        "6.2.0",
        -2,
        Flags::FAST,
        Run::Write(getex),
    ),
    Command {
        keys: Keys::ALL,
        complexity: "O(N) where N is the number of keys to retrieve.",
        ..row(
            "mget",
            "key [key ...]",
            "Atomically returns the string values of one or more keys.",
            "1.0.0",
            -2,
            READ,
            Run::Read(mget),
        )
    },
    Command {
        keys: Keys::PAIRS,
        complexity: "O(N) where N is the number of keys to set.",
        ..row(
            "mset",
            "key value [key value ...]",
            "Atomically creates or modifies the string values of one or more keys.",
            "1.0.1",
            -3,
            GROW.difference(Flags::FAST),
            Run::Write(mset),
        )
    },
    Command {
        keys: Keys::PAIRS,
        complexity: "O(N) where N is the number of keys to set.",
        ..row(
            "msetnx",
            "key value [key value ...]",
            "Atomically modifies the string values of one or more keys only when all keys don't exist.",
            "1.0.1",
            -3,
            GROW.difference(Flags::FAST),
            Run::Write(msetnx),
        )
    },
    Command {
        keys: Keys::Found { range: (0, 0, 0), find: counted_pairs },
        complexity: "O(N) where N is the number of keys to set.",
        ..row(
            "msetex",
            "numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
            "Atomically sets multiple string keys with an optional shared expiration in a single operation.",
            "8.4.0",
            -4,
            GROW.difference(Flags::FAST).union(Flags::MOVABLE_KEYS),
            Run::Write(string_set::msetex),
        )
    },
    Command {
        complexity: "O(N) where N is the length of the string value.",
        ..row(
            "digest",
            "key",
            "Returns the XXH3 hash of a string value.",
            "8.4.0",
            2,
            READ,
            Run::Read(string_compare::digest),
        )
    },
    Command {
        complexity: "O(1) for IFEQ/IFNE, O(N) for IFDEQ/IFDNE where N is the length of the string value.",
        ..row(
            "delex",
            "key [IFEQ value | IFNE value | IFDEQ digest | IFDNE digest]",
            "Conditionally removes the specified key based on value or digest comparison.",
            "8.4.0",
            -2,
            Flags::FAST,
            Run::Write(string_compare::delex),
        )
    },
    row(
        "strlen",
        "key",
        "Returns the length of a string value.",
        "2.2.0",
        2,
        READ,
        Run::Read(strlen),
    ),
    row(
        "append",
        "key value",
        "Appends a string to the value of a key. Creates the key if it doesn't exist.",
        "2.0.0",
        3,
        GROW,
        Run::Write(append),
    ),
    row(
        "getrange",
        "key start end",
        "Returns a substring of the string stored at a key.",
        "2.4.0",
        4,
        Flags::empty(),
        Run::Read(getrange),
    ),
    row(
        "substr",
        "key start end",
        "Returns a substring from a string value.",
        "1.0.0",
        4,
        Flags::empty(),
        Run::Read(getrange),
    ),
    row(
        "setrange",
        "key offset value",
        "Overwrites a part of a string value with another by an offset. Creates the key if it doesn't exist.",
        "2.2.0",
        4,
        GROW.difference(Flags::FAST),
        Run::Write(setrange),
    ),
    Command {
        keys: Keys::TWO,
        complexity: "O(N*M) where N and M are the lengths of s1 and s2, respectively",
        ..row(
            "lcs",
            "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
            "Finds the longest common substring.",
            "7.0.0",
            -3,
            Flags::empty(),
            Run::Read(lcs),
        )
    },
];

const READ: Flags = Flags::FAST;
const GROW: Flags = Flags::DENYOOM.union(Flags::FAST);

const fn row(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    since: &'static str,
    arity: isize,
    flags: Flags,
    run: Run,
) -> Command {
    Command {
        name,
        syntax,
        summary,
        since,
        complexity: "O(1)",
        group: Group::String,
        arity,
        keys: Keys::FIRST,
        flags,
        run,
        subcommands: &[],
    }
}

/// The positions of keys that each have a value behind them, with their number in front.
fn counted_pairs(argv: Argv<'_>) -> Positions {
    let keys = counted(argv, 1).len();
    (2..argv.len()).step_by(2).take(keys).collect()
}

/// Answers a string value.
pub fn answer(value: StrRef<'_>, reply: &mut dyn Reply) {
    match value {
        StrRef::Bytes(bytes) => reply.bulk(bytes),
        StrRef::Integer(number) => reply.bulk_integer(number),
    }
}

/// The string that an entry is.
///
/// # Errors
/// `WRONGTYPE` when it is none.
#[inline]
pub fn string_of(entry: &Entry) -> Result<StrRef<'_>, Fault> {
    entry.as_string().ok_or(Fault::WRONG_TYPE)
}

/// Gives `with` the bytes of a string value, a number printed.
pub fn with_bytes<R>(value: StrRef<'_>, with: impl FnOnce(&[u8]) -> R) -> R {
    match value {
        StrRef::Bytes(bytes) => with(bytes),
        StrRef::Integer(number) => with(itoa::Buffer::new().format(number).as_bytes()),
    }
}

fn get(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    match view.get(argv[1]) {
        Some(entry) => answer(string_of(entry)?, reply),
        None => reply.null(),
    }
    Ok(())
}

/// Makes a key a string, whatever it was.
pub(super) fn store(view: &mut WriteView<'_, '_>, key: &[u8], value: &[u8], at: u64) {
    view.put_string(key, value, at);
    view.modified(key);
    view.notify(Classes::STRING, "set", key);
}

/// Takes a key away, and says so: in the log too, in place of the command.
pub(super) fn take_away(view: &mut WriteView<'_, '_>, key: &[u8]) {
    view.remove(key);
    view.modified(key);
    view.reword(&[b"DEL", key]);
    view.notify(Classes::GENERIC, "del", key);
}

/// Sets a string that expires; if that moment is past, the key goes away instead.
pub(super) fn set_until(view: &mut WriteView<'_, '_>, key: &[u8], value: &[u8], at: u64) {
    if at <= view.around.now {
        if view.exists(key) {
            take_away(view, key);
        }
        return;
    }
    store(view, key, value, at);
    view.notify(Classes::GENERIC, "expire", key);
    let mut digits = itoa::Buffer::new();
    view.reword(&[b"SET", key, value, b"PXAT", digits.format(at).as_bytes()]);
}

fn setnx(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let fresh = !view.exists(argv[1]);
    if fresh {
        store(view, argv[1], argv[2], NEVER);
    }
    reply.integer(i64::from(fresh));
    Ok(())
}

fn setex(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let at = expiry_option(Moment::InSeconds, argv[2], view.around.now, "setex")?;
    set_until(view, argv[1], argv[3], at);
    reply.ok();
    Ok(())
}

fn psetex(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let at = expiry_option(Moment::InMillis, argv[2], view.around.now, "psetex")?;
    set_until(view, argv[1], argv[3], at);
    reply.ok();
    Ok(())
}

fn getset(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    match view.get(argv[1]) {
        Some(entry) => answer(string_of(entry)?, reply),
        None => reply.null(),
    }
    store(view, argv[1], argv[2], NEVER);
    view.reword(&[b"SET", argv[1], argv[2]]);
    Ok(())
}

fn getdel(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    match view.get(argv[1]) {
        Some(entry) => answer(string_of(entry)?, reply),
        None => {
            reply.null();
            return Ok(());
        }
    }
    take_away(view, argv[1]);
    Ok(())
}

fn getex(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let key = argv[1];
    let mut expiry = Expiry::Unsaid;
    let mut option = None;
    let mut at = 2;
    while let Some(word) = argv.get(at) {
        // As of SET, the same option may be repeated.
        if is(word, "PERSIST") && option.is_none() {
            expiry = Expiry::Never;
        } else if let Some(moment) = Moment::option(word)
            && option.is_none_or(|(earlier, _)| earlier == moment)
            && expiry == Expiry::Unsaid
        {
            option = Some((moment, next(argv, &mut at)?));
        } else {
            return Err(Fault::SYNTAX);
        }
        at += 1;
    }
    if let Some(entry) = view.get(key) {
        let value = string_of(entry)?;
        if let Some((moment, value)) = option {
            expiry = Expiry::At(expiry_option(moment, value, view.around.now, "getex")?);
            // Borrowed anew, since the parsing above may fail after the entry was found.
            if let Some(entry) = view.get(key) {
                answer(string_of(entry)?, reply);
            }
        } else {
            answer(value, reply);
        }
    } else {
        reply.null();
        return Ok(());
    }
    match expiry {
        Expiry::At(at) if at <= view.around.now => take_away(view, key),
        Expiry::At(at) => {
            view.change(key, |entry| entry.set_expires_at(at));
            view.modified(key);
            view.notify(Classes::GENERIC, "expire", key);
            view.reword(&[b"PEXPIREAT", key, itoa::Buffer::new().format(at).as_bytes()]);
        }
        Expiry::Never => {
            if view.change(key, |entry| {
                let expires = entry.expires_at() != NEVER;
                entry.set_expires_at(NEVER);
                expires
            }) == Some(true)
            {
                view.modified(key);
                view.notify(Classes::GENERIC, "persist", key);
                view.reword(&[b"PERSIST", key]);
            }
        }
        Expiry::Unsaid | Expiry::Keep => {}
    }
    Ok(())
}

fn mget(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.array(argv.len() - 1);
    for key in &argv[1..] {
        match view.get(key).and_then(Entry::as_string) {
            Some(value) => answer(value, reply),
            None => reply.null(),
        }
    }
    Ok(())
}

fn mset(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    put_pairs(view, argv, "mset")?;
    reply.ok();
    Ok(())
}

fn msetnx(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    if argv.len().is_multiple_of(2) {
        return Err(Fault::arity("msetnx"));
    }
    if argv[1..].chunks_exact(2).any(|pair| view.exists(pair[0])) {
        reply.integer(0);
        return Ok(());
    }
    put_pairs(view, argv, "msetnx")?;
    reply.integer(1);
    Ok(())
}

fn put_pairs(view: &mut WriteView<'_, '_>, argv: Argv<'_>, name: &str) -> Outcome {
    if argv.len().is_multiple_of(2) {
        return Err(Fault::arity(name));
    }
    for pair in argv[1..].chunks_exact(2) {
        store(view, pair[0], pair[1], NEVER);
    }
    Ok(())
}

fn strlen(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let length = match view.get(argv[1]) {
        Some(entry) => with_bytes(string_of(entry)?, <[u8]>::len),
        None => 0,
    };
    reply.integer(length as i64);
    Ok(())
}

fn append(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, tail) = (argv[1], argv[2]);
    let Some(old) = view.get(key) else {
        view.put_string(key, tail, NEVER);
        view.modified(key);
        view.notify(Classes::STRING, "append", key);
        reply.integer(tail.len() as i64);
        return Ok(());
    };
    let length = with_bytes(string_of(old)?, <[u8]>::len) + tail.len();
    if length > view.around.config.string_bytes() {
        return Err(Fault::STRING_TOO_LONG);
    }
    view.change(key, |entry| entry.string_mut().extend_from_slice(tail));
    view.modified(key);
    view.notify(Classes::STRING, "append", key);
    reply.integer(length as i64);
    Ok(())
}

/// The part of `length` elements that `start` and `end` name, negative ones from the end.
pub fn range(start: i64, end: i64, length: usize) -> std::ops::Range<usize> {
    let total = i64::try_from(length).unwrap_or(i64::MAX);
    let from_end = |at: i64| if at < 0 { at.saturating_add(total).max(0) } else { at };
    let past = (start < 0 && end < 0 && start > end) || total == 0;
    let (start, end) = (from_end(start), from_end(end).min(total - 1));
    if past || start > end {
        return 0..0;
    }
    // Both lie within the length now.
    start as usize..end as usize + 1
}

fn getrange(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (start, end) = (integer(argv[2])?, integer(argv[3])?);
    match view.get(argv[1]) {
        Some(entry) => {
            with_bytes(string_of(entry)?, |bytes| {
                reply.bulk(&bytes[range(start, end, bytes.len())]);
            });
        }
        None => reply.bulk(b""),
    }
    Ok(())
}

fn setrange(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, value) = (argv[1], argv[3]);
    let offset = usize::try_from(integer(argv[2])?).map_err(|_| Fault::OFFSET)?;
    let length = match view.get(key) {
        Some(entry) => with_bytes(string_of(entry)?, <[u8]>::len),
        None => 0,
    };
    if value.is_empty() {
        reply.integer(length as i64);
        return Ok(());
    }
    let end =
        offset.checked_add(value.len()).filter(|end| *end <= view.around.config.string_bytes());
    let Some(end) = end else { return Err(Fault::STRING_TOO_LONG) };
    if !view.exists(key) {
        view.insert(key, Entry::string(key, b"", NEVER));
    }
    view.change(key, |entry| {
        let bytes = entry.string_mut();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset..end].copy_from_slice(value);
    });
    view.modified(key);
    view.notify(Classes::STRING, "setrange", key);
    reply.integer(length.max(end) as i64);
    Ok(())
}

struct LcsOptions {
    length: bool,
    indexes: bool,
    shortest: usize,
    match_lengths: bool,
}

fn lcs(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let mut options =
        LcsOptions { length: false, indexes: false, shortest: 0, match_lengths: false };
    let strings = [lcs_text(view, argv[1])?, lcs_text(view, argv[2])?];
    let mut at = 3;
    while let Some(word) = argv.get(at) {
        if is(word, "IDX") {
            options.indexes = true;
        } else if is(word, "LEN") {
            options.length = true;
        } else if is(word, "WITHMATCHLEN") {
            options.match_lengths = true;
        } else if is(word, "MINMATCHLEN") {
            let shortest = args::integer(next(argv, &mut at)?)?;
            options.shortest = usize::try_from(shortest).unwrap_or(0);
        } else {
            return Err(Fault::SYNTAX);
        }
        at += 1;
    }
    if options.length && options.indexes {
        return Err(Fault::new(
            "ERR If you want both the length and indexes, please just use IDX.",
        ));
    }
    answer_lcs(&strings[0], &strings[1], &options, view.around.config.string_bytes(), reply)
}

fn lcs_text(view: &ReadView<'_, '_>, key: &[u8]) -> Result<Vec<u8>, Fault> {
    match view.get(key).map(Entry::as_string) {
        None => Ok(Vec::new()),
        Some(Some(value)) => Ok(with_bytes(value, <[u8]>::to_vec)),
        Some(None) => Err(Fault::new("ERR The specified keys must contain string values")),
    }
}

fn answer_lcs(
    a: &[u8],
    b: &[u8],
    options: &LcsOptions,
    limit: usize,
    reply: &mut dyn Reply,
) -> Outcome {
    let limit = limit as u64;
    let fault = |error: lcs::LcsError| Fault::text(error.to_string());
    if options.length {
        reply.integer(lcs::length(a, b, limit).map_err(fault)? as i64);
        return Ok(());
    }
    if !options.indexes {
        reply.bulk(&lcs::sequence(a, b, limit).map_err(fault)?);
        return Ok(());
    }
    let (mut matches, total) = lcs::matches(a, b, limit).map_err(fault)?;
    matches.retain(|found| found.len >= options.shortest);
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(matches.len());
    for found in matches {
        reply.array(if options.match_lengths { 3 } else { 2 });
        for (start, end) in [found.a, found.b] {
            reply.array(2);
            reply.integer(start as i64);
            reply.integer(end as i64);
        }
        if options.match_lengths {
            reply.integer(found.len as i64);
        }
    }
    reply.bulk(b"len");
    reply.integer(total as i64);
    Ok(())
}
