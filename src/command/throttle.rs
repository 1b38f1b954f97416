//! Rate limits in the words of other servers: `CL.THROTTLE` of redis-cell, the same as
//! `RL.THROTTLE`, and `GCRA` of a Redis 8.8 preview.
//!
//! What is kept is a string, the moment until which everything is taken, in nanoseconds or for
//! GCRA in microseconds: GET shows it and SET changes it. It expires when it is past. The log
//! carries the moment that a decision led to, not the decision, so a replica needs no clock.
//! The two kinds do not share keys, since they count in other units.

use eave_ratelimit::{Cell, Kept, OutOfRange, Throttled};

use super::args::{integer, is};
use super::string::{set_until, string_of};
use super::{Argv, Command, Family, Flags, Group, Run, WriteRun};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Entry, StrRef, WriteView};
use crate::resp::Reply;
use crate::value::number::parse_double;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row(
        "cl.throttle",
        "key max-burst count period [quantity]",
        "Takes from a rate limit, as redis-cell does: count requests in a period of seconds.",
        -5,
        cell,
    ),
    row(
        "rl.throttle",
        "key max-burst count period [quantity]",
        "Takes from a rate limit; another name of CL.THROTTLE.",
        -5,
        cell,
    ),
    row(
        "gcra",
        "key max-burst tokens-per-period period [TOKENS count]",
        "Takes from a rate limit by the generic cell rate algorithm.",
        -5,
        gcra,
    ),
];

const fn row(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    arity: isize,
    run: WriteRun,
) -> Command {
    let flags = Flags::DENYOOM.union(Flags::FAST);
    let family = Family::new(Group::RateLimit);
    family.row(name, syntax, summary, "0.1.0", arity, flags, Run::Write(run))
}

/// Nanoseconds of a second.
const NANOS: i64 = 1_000_000_000;

/// Microseconds of a second.
const MICROS: i64 = 1_000_000;

/// Seconds that a period of GCRA is below.
const LONGEST_PERIOD: f64 = 1e12;

const BURST: Fault = Fault::new("ERR max burst is out of range, must be 0 or more");
const RATE: Fault = Fault::new("ERR count and period must be positive");

fn cell(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (burst, count, period) = (integer(argv[2])?, integer(argv[3])?, integer(argv[4])?);
    let quantity = match &argv[5..] {
        [] => 1,
        [quantity] => integer(quantity)?,
        _ => return Err(Fault::arity(&String::from_utf8_lossy(argv[0]).to_ascii_lowercase())),
    };
    let period = period as f64 * NANOS as f64;
    throttle(view, argv[1], limit(burst, count, period, NANOS)?, quantity, reply)
}

fn gcra(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (burst, count) = (integer(argv[2])?, integer(argv[3])?);
    let period = parse_double(argv[4]).ok_or(Fault::NOT_FLOAT)?;
    let quantity = match &argv[5..] {
        [] => 1,
        [word, quantity] if is(word, "TOKENS") => integer(quantity)?,
        _ => return Err(Fault::SYNTAX),
    };
    if quantity < 1 {
        return Err(Fault::new("ERR tokens must be positive"));
    }
    if period >= LONGEST_PERIOD {
        return Err(Fault::new("ERR period is too long"));
    }
    if count < 1 {
        return Err(RATE);
    }
    // To the nearest microsecond; the division that follows is exact.
    let interval = (period * MICROS as f64 / count as f64).round().max(f64::from(period > 0.0));
    throttle(view, argv[1], limit(burst, 1, interval, MICROS)?, quantity, reply)
}

/// A limit whose numbers are in range.
fn limit(burst: i64, count: i64, period: f64, second: i64) -> Result<Cell, Fault> {
    if !(0..i64::MAX).contains(&burst) {
        return Err(BURST);
    }
    Cell::new(burst, count, period, second).ok_or(RATE)
}

/// Decides, keeps what has come of it, and answers.
fn throttle(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    cell: Cell,
    quantity: i64,
    reply: &mut dyn Reply,
) -> Outcome {
    let kept = view.get(key).map(moment).transpose()?;
    let unit = cell.second / 1000;
    let now = i64::try_from(view.around.now).ok().and_then(|now| now.checked_mul(unit));
    let now = now.ok_or_else(out_of_range)?;
    let throttled = cell.throttle(kept, now, quantity).map_err(|OutOfRange| out_of_range())?;
    match throttled.kept {
        Kept::Same => {}
        Kept::Moment(moment) => {
            let expires_at = moment.unsigned_abs().div_ceil(unit.unsigned_abs());
            set_until(view, key, itoa::Buffer::new().format(moment).as_bytes(), expires_at);
        }
        Kept::Nothing => {
            if view.discard(key) {
                view.modified(key);
                view.notify(Classes::GENERIC, "del", key);
                view.reword(&[b"DEL", key]);
            }
        }
    }
    if throttled.limited == 0 {
        view.effects.allowed += 1;
    } else {
        view.effects.refused += 1;
    }
    let Throttled { limited, limit, remaining, retry_after, reset_after, .. } = throttled;
    reply.integers(&[limited, limit, remaining, retry_after, reset_after]);
    Ok(())
}

/// The moment that a string is.
fn moment(entry: &Entry) -> Result<i64, Fault> {
    match string_of(entry)? {
        StrRef::Integer(moment) => Ok(moment),
        StrRef::Bytes(bytes) => integer(bytes),
    }
}

#[cold]
fn out_of_range() -> Fault {
    Fault::new("ERR rate limit is out of range")
}
