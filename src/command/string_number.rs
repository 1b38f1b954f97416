//! Strings that are numbers: INCR and its kin.

use super::args::integer;
use super::string::{STRING, string_of};
use super::{Argv, Command, Flags, Run};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Entry, NEVER, StrRef, WriteView};
use crate::resp::Reply;
use crate::value::long_double::LongDouble;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row(
        "incr",
        "key",
        "Increments the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
        "1.0.0",
        2,
        incr,
    ),
    row(
        "decr",
        "key",
        "Decrements the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
        "1.0.0",
        2,
        decr,
    ),
    row(
        "incrby",
        "key increment",
        "Increments the integer value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
        "1.0.0",
        3,
        incrby,
    ),
    row(
        "decrby",
        "key decrement",
        "Decrements a number from the integer value of a key. Uses 0 as initial value if the key doesn't exist.",
        "1.0.0",
        3,
        decrby,
    ),
    row(
        "incrbyfloat",
        "key increment",
        "Increment the floating point value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
        "2.6.0",
        3,
        incrbyfloat,
    ),
];

const fn row(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    since: &'static str,
    arity: isize,
    run: super::WriteRun,
) -> Command {
    let flags = Flags::DENYOOM.union(Flags::FAST);
    STRING.row(name, syntax, summary, since, arity, flags, Run::Write(run))
}

fn incr(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    add(view, argv[1], 1, reply)
}

fn decr(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    add(view, argv[1], -1, reply)
}

fn incrby(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    add(view, argv[1], integer(argv[2])?, reply)
}

fn decrby(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let amount =
        integer(argv[2])?.checked_neg().ok_or(Fault::new("ERR decrement would overflow"))?;
    add(view, argv[1], amount, reply)
}

fn add(view: &mut WriteView<'_, '_>, key: &[u8], amount: i64, reply: &mut dyn Reply) -> Outcome {
    let changed = view.change(key, |entry| {
        let sum = number(entry)?.checked_add(amount).ok_or(Fault::OVERFLOW)?;
        entry.put_integer(sum);
        Ok::<i64, Fault>(sum)
    });
    let sum = match changed {
        Some(sum) => sum?,
        None => {
            view.insert(key, Entry::integer(key, amount, NEVER));
            amount
        }
    };
    tell_sum(view, key);
    reply.integer(sum);
    Ok(())
}

/// Says that a key has become another number.
#[inline]
pub(crate) fn tell_sum(view: &mut WriteView<'_, '_>, key: &[u8]) {
    view.modified(key);
    view.notify(Classes::STRING, "incrby", key);
}

/// The integer that a string value is.
fn number(entry: &Entry) -> Result<i64, Fault> {
    match string_of(entry)? {
        StrRef::Integer(number) => Ok(number),
        StrRef::Bytes(bytes) => integer(bytes),
    }
}

fn incrbyfloat(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let key = argv[1];
    let (value, expires_at) = match view.get(key) {
        Some(entry) => (float(string_of(entry)?)?, entry.expires_at()),
        None => (LongDouble::from(0), NEVER),
    };
    let amount = LongDouble::parse(argv[2]).ok_or(Fault::NOT_FLOAT)?;
    let sum = value + amount;
    if !sum.is_finite() {
        return Err(Fault::NOT_FINITE);
    }
    let text = sum.to_string();
    view.insert(key, Entry::text(key, text.as_bytes(), expires_at));
    view.modified(key);
    view.notify(Classes::STRING, "incrbyfloat", key);
    // The result, so that no other arithmetic comes to another one.
    view.reword(&[b"SET", key, text.as_bytes(), b"KEEPTTL"]);
    reply.bulk(text.as_bytes());
    Ok(())
}

fn float(value: StrRef<'_>) -> Result<LongDouble, Fault> {
    match value {
        StrRef::Integer(number) => Ok(LongDouble::from(number)),
        StrRef::Bytes(bytes) => LongDouble::parse(bytes).ok_or(Fault::NOT_FLOAT),
    }
}
