//! Hashes: fields and values under one key.
//!
//! A hash is made by its first field and goes away with its last one. Fields that are due are
//! absent: readers look at the hash as it is now (`live`), and writers have the fields that they
//! name removed first, where these are due (`remove_due`), which also tells the log. What makes
//! fields expire is in `hash_expire`.

use super::args::integer;
use super::scan::{self, Options, Subject};
use super::{Argv, Command, Family, Flags, Group, Run, hash_expire, hash_random};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{NEVER, ReadView, WriteView};
use crate::resp::Reply;
use crate::value::hash::{Fields, Hash, Lifetime, Live};
use crate::value::long_double::LongDouble;
use crate::value::number::parse_integer;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        complexity: "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with multiple field/value pairs.",
        ..HASH.row(
            "hset",
            "key field value [field value ...]",
            "Creates or modifies the value of a field in a hash.",
            "2.0.0",
            -4,
            GROW,
            Run::Write(hset),
        )
    },
    HASH.row(
        "hsetnx",
        "key field value",
        "Sets the value of a field in a hash only when the field doesn't exist.",
        "2.0.0",
        4,
        GROW,
        Run::Write(hsetnx),
    ),
    HASH.row(
        "hget",
        "key field",
        "Returns the value of a field in a hash.",
        "2.0.0",
        3,
        Flags::FAST,
        Run::Read(hget),
    ),
    Command {
        complexity: "O(N) where N is the number of fields being set.",
        ..HASH.row(
            "hmset",
            "key field value [field value ...]",
            "Sets the values of multiple fields.",
            "2.0.0",
            -4,
            GROW,
            Run::Write(hmset),
        )
    },
    Command {
        complexity: "O(N) where N is the number of fields being requested.",
        ..HASH.row(
            "hmget",
            "key field [field ...]",
            "Returns the values of all fields in a hash.",
            "2.0.0",
            -3,
            Flags::FAST,
            Run::Read(hmget),
        )
    },
    Command {
        complexity: WHOLE,
        ..HASH.row(
            "hgetall",
            "key",
            "Returns all fields and values in a hash.",
            "2.0.0",
            2,
            Flags::empty(),
            Run::Read(hgetall),
        )
    },
    Command {
        complexity: "O(N) where N is the number of fields to be removed.",
        ..HASH.row(
            "hdel",
            "key field [field ...]",
            "Deletes one or more fields and their values from a hash. Deletes the hash if no fields remain.",
            "2.0.0",
            -3,
            Flags::FAST,
            Run::Write(hdel),
        )
    },
    HASH.row(
        "hlen",
        "key",
        "Returns the number of fields in a hash.",
        "2.0.0",
        2,
        Flags::FAST,
        Run::Read(hlen),
    ),
    HASH.row(
        "hexists",
        "key field",
        "Determines whether a field exists in a hash.",
        "2.0.0",
        3,
        Flags::FAST,
        Run::Read(hexists),
    ),
    Command {
        complexity: WHOLE,
        ..HASH.row(
            "hkeys",
            "key",
            "Returns all fields in a hash.",
            "2.0.0",
            2,
            Flags::empty(),
            Run::Read(hkeys),
        )
    },
    Command {
        complexity: WHOLE,
        ..HASH.row(
            "hvals",
            "key",
            "Returns all values in a hash.",
            "2.0.0",
            2,
            Flags::empty(),
            Run::Read(hvals),
        )
    },
    HASH.row(
        "hstrlen",
        "key field",
        "Returns the length of the value of a field.",
        "3.2.0",
        3,
        Flags::FAST,
        Run::Read(hstrlen),
    ),
    HASH.row(
        "hincrby",
        "key field increment",
        "Increments the integer value of a field in a hash by a number. Uses 0 as initial value if the field doesn't exist.",
        "2.0.0",
        4,
        GROW,
        Run::Write(hincrby),
    ),
    HASH.row(
        "hincrbyfloat",
        "key field increment",
        "Increments the floating point value of a field by a number. Uses 0 as initial value if the field doesn't exist.",
        "2.6.0",
        4,
        GROW,
        Run::Write(hincrbyfloat),
    ),
    Command {
        complexity: "O(N) where N is the number of fields returned",
        ..HASH.row(
            "hrandfield",
            "key [count [WITHVALUES]]",
            "Returns one or more random fields from a hash.",
            "6.2.0",
            -2,
            Flags::empty(),
            Run::Read(hash_random::hrandfield),
        )
    },
    Command {
        complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
        ..HASH.row(
            "hscan",
            "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
            "Iterates over fields and values of a hash.",
            "2.8.0",
            -3,
            Flags::empty(),
            Run::Read(hscan),
        )
    },
];

const GROW: Flags = Flags::DENYOOM.union(Flags::FAST);
const WHOLE: &str = "O(N) where N is the size of the hash.";

/// What the rows of this family have in common.
pub(super) const HASH: Family = Family::new(Group::Hash);

fn hset(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let created = set_pairs(view, argv, "hset")?;
    reply.integer(created as i64);
    Ok(())
}

fn hmset(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    set_pairs(view, argv, "hmset")?;
    reply.ok();
    Ok(())
}

/// Sets the pairs behind the key; answers how many of the fields are new.
fn set_pairs(view: &mut WriteView<'_, '_>, argv: Argv<'_>, name: &str) -> Result<usize, Fault> {
    let (key, pairs) = (argv[1], &argv[2..]);
    if pairs.len() % 2 == 1 {
        return Err(Fault::arity(name));
    }
    let limits = view.around.config.encodings.hash;
    view.remove_due(key, pairs.iter().copied().step_by(2));
    let created = view.edit(key, |hash: &mut Hash| {
        let set = |pair: &&[&[u8]]| hash.set(pair[0], pair[1], Lifetime::New, limits);
        Ok(pairs.chunks_exact(2).filter(set).count())
    })?;
    view.modified(key);
    view.notify(Classes::HASH, "hset", key);
    Ok(created)
}

fn hsetnx(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let limits = view.around.config.encodings.hash;
    let now = view.around.now;
    view.remove_due(argv[1], std::iter::once(argv[2]));
    let created = view.edit(argv[1], |hash: &mut Hash| {
        let fresh = !hash.as_ref().live(now).contains(argv[2]);
        if fresh {
            hash.set(argv[2], argv[3], Lifetime::New, limits);
        }
        Ok(fresh)
    })?;
    if created {
        view.modified(argv[1]);
        view.notify(Classes::HASH, "hset", argv[1]);
    }
    reply.integer(i64::from(created));
    Ok(())
}

/// The hash under a key, as it is now.
#[inline]
pub(crate) fn live<'a>(view: &ReadView<'a, '_>, key: &[u8]) -> Result<Option<Live<'a>>, Fault> {
    Ok(view.collection::<Fields>(key)?.map(|hash| hash.live(view.around.now)))
}

fn hget(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    answer_field(live(view, argv[1])?, argv[2], reply);
    Ok(())
}

fn hmget(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let hash = live(view, argv[1])?;
    reply.array(argv.len() - 2);
    argv[2..].iter().for_each(|field| answer_field(hash, field, reply));
    Ok(())
}

fn answer_field(hash: Option<Live<'_>>, field: &[u8], reply: &mut dyn Reply) {
    match hash.and_then(|hash| hash.get(field)) {
        Some(value) => reply.bulk(&value),
        None => reply.null(),
    }
}

fn hgetall(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let hash = live(view, argv[1])?;
    reply.map(hash.map_or(0, Live::len));
    for (field, value) in hash.into_iter().flat_map(Live::iter) {
        reply.bulk(&field);
        reply.bulk(&value);
    }
    Ok(())
}

fn hdel(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, fields) = (argv[1], &argv[2..]);
    view.remove_due(key, fields.iter().copied());
    let edited = view.edit_present(key, |hash: &mut Hash| {
        Ok(fields.iter().filter(|field| hash.remove(field)).count())
    })?;
    let removed = edited.map_or(0, |edited| edited.result);
    if removed > 0 {
        view.modified(key);
        view.notify(Classes::HASH, "hdel", key);
    }
    if edited.is_some_and(|edited| edited.emptied) {
        view.notify(Classes::GENERIC, "del", key);
    }
    reply.integer(removed as i64);
    Ok(())
}

fn hlen(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.integer(live(view, argv[1])?.map_or(0, Live::len) as i64);
    Ok(())
}

fn hexists(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let exists = live(view, argv[1])?.is_some_and(|hash| hash.contains(argv[2]));
    reply.integer(i64::from(exists));
    Ok(())
}

fn hkeys(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let hash = live(view, argv[1])?;
    reply.array(hash.map_or(0, Live::len));
    hash.into_iter().flat_map(Live::iter).for_each(|(field, _)| reply.bulk(&field));
    Ok(())
}

fn hvals(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let hash = live(view, argv[1])?;
    reply.array(hash.map_or(0, Live::len));
    hash.into_iter().flat_map(Live::iter).for_each(|(_, value)| reply.bulk(&value));
    Ok(())
}

fn hstrlen(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let value = live(view, argv[1])?.and_then(|hash| hash.get(argv[2]));
    reply.integer(value.map_or(0, |value| value.len()) as i64);
    Ok(())
}

fn hincrby(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, field) = (argv[1], argv[2]);
    let amount = integer(argv[3])?;
    let limits = view.around.config.encodings.hash;
    let now = view.around.now;
    view.remove_due(key, std::iter::once(field));
    let sum = view.edit(key, |hash: &mut Hash| {
        let value = match hash.as_ref().live(now).get(field) {
            Some(text) => parse_integer(&text).ok_or(Fault::HASH_NOT_INTEGER)?,
            None => 0,
        };
        let sum = value.checked_add(amount).ok_or(Fault::OVERFLOW)?;
        let text = itoa::Buffer::new().format(sum).as_bytes().to_vec();
        hash.set(field, &text, Lifetime::Kept, limits);
        Ok(sum)
    })?;
    view.modified(key);
    view.notify(Classes::HASH, "hincrby", key);
    reply.integer(sum);
    Ok(())
}

fn hincrbyfloat(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, field) = (argv[1], argv[2]);
    let amount = LongDouble::parse(argv[3]).ok_or(Fault::NOT_FLOAT)?;
    if !amount.is_finite() {
        return Err(Fault::new("ERR value is NaN or Infinity"));
    }
    let limits = view.around.config.encodings.hash;
    let now = view.around.now;
    view.remove_due(key, std::iter::once(field));
    let (text, expiry) = view.edit(key, |hash: &mut Hash| {
        let (value, expiry) = match hash.as_ref().live(now).get_with_expiry(field) {
            Some((text, expiry)) => {
                (LongDouble::parse(&text).ok_or(Fault::HASH_NOT_FLOAT)?, expiry)
            }
            None => (LongDouble::from(0), NEVER),
        };
        let sum = value + amount;
        if !sum.is_finite() {
            return Err(Fault::NOT_FINITE);
        }
        let text = sum.to_string();
        hash.set(field, text.as_bytes(), Lifetime::Kept, limits);
        Ok((text, expiry))
    })?;
    view.modified(key);
    view.notify(Classes::HASH, "hincrbyfloat", key);
    // The result, so that no other arithmetic comes to another one.
    view.reword(&[b"HSET", key, field, text.as_bytes()]);
    if expiry != NEVER {
        hash_expire::reword_expiry(view, key, expiry, &[field]);
    }
    reply.bulk(text.as_bytes());
    Ok(())
}

fn hscan(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let cursor = scan::cursor(argv[2])?;
    // Redis does not look at the options when there is nothing to scan.
    let Some(hash) = live(view, argv[1])? else {
        scan::answer(0, 0, reply);
        return Ok(());
    };
    let options = Options::parse(&argv[3..], Subject::Fields)?;
    let mut found: Vec<Box<[u8]>> = Vec::new();
    let next = hash.scan(cursor, options.count, |field, value| {
        if options.wants(field) {
            found.push(field.into());
            if options.with_values {
                found.push(value.into());
            }
        }
    });
    scan::answer(next, found.len(), reply);
    found.iter().for_each(|text| reply.bulk(text));
    Ok(())
}
