//! Strings: SET, GET and what they grew into.

use super::args::{Moment, expiry_option, is, next};
use super::string_set::{self, Expiry};
use super::{
    Argv, Command, Family, Flags, Group, Keys, Positions, Run, counted, string_compare, string_lcs,
    string_range,
};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Entry, NEVER, ReadView, StrRef, WriteView};
use crate::resp::Reply;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    STRING.row("get", "key", "Returns the string value of a key.", "1.0.0", 2, READ, Run::Read(get)),
    STRING.row(
        "set",
        "key value [NX | XX | IFEQ value | IFNE value | IFDEQ digest | IFDNE digest] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
        "Sets the string value of a key, ignoring its type.",
        "1.0.0",
        -3,
        GROW.difference(Flags::FAST),
        Run::Write(string_set::set),
    ),
    STRING.row(
        "setnx",
        "key value",
        "Sets the string value of a key only when the key doesn't exist.",
        "1.0.0",
        3,
        GROW,
        Run::Write(setnx),
    ),
    STRING.row(
        "setex",
        "key seconds value",
        "Sets the string value and expiration time of a key.",
        "2.0.0",
        4,
        GROW.difference(Flags::FAST),
        Run::Write(setex),
    ),
    STRING.row(
        "psetex",
        "key milliseconds value",
        "Sets both string value and expiration time in milliseconds of a key.",
        "2.6.0",
        4,
        GROW.difference(Flags::FAST),
        Run::Write(psetex),
    ),
    STRING.row(
        "getset",
        "key value",
        "Returns the previous string value of a key after setting it to a new value.",
        "1.0.0",
        3,
        GROW,
        Run::Write(getset),
    ),
    STRING.row(
        "getdel",
        "key",
        "Returns the string value of a key after deleting the key.",
        "6.2.0",
        2,
        Flags::FAST,
        Run::Write(getdel),
    ),
    STRING.row(
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
        ..STRING.row(
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
        ..STRING.row(
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
        ..STRING.row(
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
        ..STRING.row(
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
        ..STRING.row(
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
        ..STRING.row(
            "delex",
            "key [IFEQ value | IFNE value | IFDEQ digest | IFDNE digest]",
            "Conditionally removes the specified key based on value or digest comparison.",
            "8.4.0",
            -2,
            Flags::FAST,
            Run::Write(string_compare::delex),
        )
    },
    STRING.row(
        "strlen",
        "key",
        "Returns the length of a string value.",
        "2.2.0",
        2,
        READ,
        Run::Read(string_range::strlen),
    ),
    STRING.row(
        "append",
        "key value",
        "Appends a string to the value of a key. Creates the key if it doesn't exist.",
        "2.0.0",
        3,
        GROW,
        Run::Write(string_range::append),
    ),
    STRING.row(
        "getrange",
        "key start end",
        "Returns a substring of the string stored at a key.",
        "2.4.0",
        4,
        Flags::empty(),
        Run::Read(string_range::getrange),
    ),
    STRING.row(
        "substr",
        "key start end",
        "Returns a substring from a string value.",
        "1.0.0",
        4,
        Flags::empty(),
        Run::Read(string_range::getrange),
    ),
    STRING.row(
        "setrange",
        "key offset value",
        "Overwrites a part of a string value with another by an offset. Creates the key if it doesn't exist.",
        "2.2.0",
        4,
        GROW.difference(Flags::FAST),
        Run::Write(string_range::setrange),
    ),
    Command {
        keys: Keys::TWO,
        complexity: "O(N*M) where N and M are the lengths of s1 and s2, respectively",
        ..STRING.row(
            "lcs",
            "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
            "Finds the longest common substring.",
            "7.0.0",
            -3,
            Flags::empty(),
            Run::Read(string_lcs::lcs),
        )
    },
];

const READ: Flags = Flags::FAST;
const GROW: Flags = Flags::DENYOOM.union(Flags::FAST);

/// What the rows of this family have in common.
pub(super) const STRING: Family = Family::new(Group::String);

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
