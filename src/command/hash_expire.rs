//! Fields that expire, and when. What reads or sets values at the same time is in `hash_extended`.
//!
//! A time that has passed removes the field at once. The log has absolute times, and HSET and
//! HDEL for what is set and removed, so that a redis-server of 7.0, which knows no such fields,
//! has the right values too: it keeps a field until it is told that it is gone.

use super::args::{Moment, integer, is};
use super::hash::{HASH, live};
use super::{Argv, Command, Flags, Run, WriteRun};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{NEVER, ReadView, WriteView};
use crate::resp::Reply;
use crate::value::hash::{Fields, Hash};
use crate::value::number::parse_integer;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    setter(
        "hexpire",
        "key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        "Set expiry for hash field using relative time to expire (seconds)",
        |view, argv, reply| set_expiry(view, argv, Moment::InSeconds, "hexpire", reply),
    ),
    setter(
        "hpexpire",
        "key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        "Set expiry for hash field using relative time to expire (milliseconds)",
        |view, argv, reply| set_expiry(view, argv, Moment::InMillis, "hpexpire", reply),
    ),
    setter(
        "hexpireat",
        "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        "Set expiry for hash field using an absolute Unix timestamp (seconds)",
        |view, argv, reply| set_expiry(view, argv, Moment::AtSeconds, "hexpireat", reply),
    ),
    setter(
        "hpexpireat",
        "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        "Set expiry for hash field using an absolute Unix timestamp (milliseconds)",
        |view, argv, reply| set_expiry(view, argv, Moment::AtMillis, "hpexpireat", reply),
    ),
    getter(
        "httl",
        "Returns the TTL in seconds of a hash field.",
        Run::Read(|view, argv, reply| {
            answer_expiry(view, argv, reply, |now, at| seconds(at.saturating_sub(now)))
        }),
    ),
    getter(
        "hpttl",
        "Returns the TTL in milliseconds of a hash field.",
        Run::Read(|view, argv, reply| {
            answer_expiry(view, argv, reply, |now, at| at.saturating_sub(now))
        }),
    ),
    getter(
        "hexpiretime",
        "Returns the expiration time of a hash field as a Unix timestamp, in seconds.",
        Run::Read(|view, argv, reply| answer_expiry(view, argv, reply, |_, at| seconds(at))),
    ),
    getter(
        "hpexpiretime",
        "Returns the expiration time of a hash field as a Unix timestamp, in msec.",
        Run::Read(|view, argv, reply| answer_expiry(view, argv, reply, |_, at| at)),
    ),
    getter(
        "hpersist",
        "Removes the expiration time for each specified field",
        Run::Write(hpersist),
    ),
];

pub(super) const PER_FIELD: &str = "O(N) where N is the number of specified fields";
pub(super) const FIELDS: &str = "key FIELDS numfields field [field ...]";

/// Redis' last moment for a field: a quarter of what 48 bits hold, in milliseconds.
const LAST_MOMENT: i64 = (1 << 46) - 1;

const fn setter(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    run: WriteRun,
) -> Command {
    let (flags, run) = (Flags::DENYOOM.union(Flags::FAST), Run::Write(run));
    Command { complexity: PER_FIELD, ..HASH.row(name, syntax, summary, "7.4.0", -6, flags, run) }
}

const fn getter(name: &'static str, summary: &'static str, run: Run) -> Command {
    Command {
        complexity: PER_FIELD,
        ..HASH.row(name, FIELDS, summary, "7.4.0", -5, Flags::FAST, run)
    }
}

/// What a command answers of a field that is not there.
const NO_FIELD: i64 = -2;
/// What a command answers of a field that does not expire.
const NO_EXPIRY: i64 = -1;
/// The condition is not met.
const UNMET: i64 = 0;
/// The expiry was set, or removed.
const DONE: i64 = 1;
/// The field was removed, since its time has passed.
pub(super) const REMOVED: i64 = 2;

/// On which fields an expiry is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Always,
    /// NX: those without one.
    Unset,
    /// XX: those with one.
    Set,
    /// GT: those with a sooner one.
    Later,
    /// LT: those with a later one, or none.
    Sooner,
}

impl Condition {
    fn of(word: &[u8]) -> Condition {
        let words = [
            ("NX", Condition::Unset),
            ("XX", Condition::Set),
            ("GT", Condition::Later),
            ("LT", Condition::Sooner),
        ];
        let found = words.into_iter().find(|(name, _)| is(word, name));
        found.map_or(Condition::Always, |(_, condition)| condition)
    }

    /// Whether `at` may take the place of `current`. No expiry is later than any.
    fn allows(self, current: u64, at: u64) -> bool {
        match self {
            Condition::Always => true,
            Condition::Unset => current == NEVER,
            Condition::Set => current != NEVER,
            Condition::Later => current != NEVER && at > current,
            Condition::Sooner => current == NEVER || at < current,
        }
    }
}

/// The fields that `FIELDS numfields` at a position announces, which are all that follows.
pub(super) fn fields<'a>(argv: Argv<'a>, at: usize, bad: &'static str) -> Result<Argv<'a>, Fault> {
    let (Some(word), Some(count)) = (argv.get(at), argv.get(at + 1)) else {
        return Err(Fault::new(MISPLACED));
    };
    if !is(word, "FIELDS") {
        return Err(Fault::new(MISPLACED));
    }
    let fields = &argv[at + 2..];
    let count = parse_integer(count).filter(|count| *count > 0).ok_or(Fault::new(bad))?;
    if usize::try_from(count) != Ok(fields.len()) {
        return Err(Fault::new("ERR The `numfields` parameter must match the number of arguments"));
    }
    Ok(fields)
}

const MISPLACED: &str = "ERR Mandatory argument FIELDS is missing or not at the right position";
pub(super) const NOT_POSITIVE: &str = "ERR Number of fields must be a positive integer";

/// The unix millisecond that an argument means.
pub(super) fn moment(moment: Moment, value: &[u8], now: u64, name: &str) -> Result<u64, Fault> {
    let value = integer(value)?;
    if value < 0 {
        return Err(Fault::new("ERR invalid expire time, must be >= 0"));
    }
    let at = moment.at(value, now).filter(|at| *at <= LAST_MOMENT);
    at.and_then(|at| u64::try_from(at).ok()).ok_or_else(|| Fault::expiry(name))
}

fn set_expiry(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    unit: Moment,
    name: &str,
    reply: &mut dyn Reply,
) -> Outcome {
    let key = argv[1];
    view.as_read().collection::<Fields>(key)?;
    let now = view.around.now;
    let at = moment(unit, argv[2], now, name)?;
    let condition = Condition::of(argv[3]);
    let first = if condition == Condition::Always { 3 } else { 4 };
    let fields = fields(argv, first, "ERR Parameter `numFields` should be greater than 0")?;
    view.remove_due(key, fields.iter().copied());
    let edited = view.edit_present(key, |hash: &mut Hash| {
        let expire = |field: &&[u8]| match hash.as_ref().live(now).get_with_expiry(field) {
            None => NO_FIELD,
            Some((_, current)) if !condition.allows(current, at) => UNMET,
            Some(_) => expire(hash, field, at, now),
        };
        Ok(fields.iter().map(expire).collect::<Vec<i64>>())
    })?;
    let codes =
        edited.as_ref().map_or(vec![NO_FIELD; fields.len()], |edited| edited.result.clone());
    let of = |code| fields.iter().zip(&codes).filter(move |(_, c)| **c == code).map(|(f, _)| *f);
    let (set, removed): (Vec<_>, Vec<_>) = (of(DONE).collect(), of(REMOVED).collect());
    let emptied = edited.is_some_and(|edited| edited.emptied);
    say(view, key, Change::Expires(at, &set), &removed, emptied);
    reply.array(codes.len());
    codes.iter().for_each(|code| reply.integer(*code));
    Ok(())
}

/// Makes a field that is there expire, at once if its time has passed.
pub(super) fn expire(hash: &mut Hash, field: &[u8], at: u64, now: u64) -> i64 {
    if at <= now {
        hash.remove(field);
        return REMOVED;
    }
    hash.expire(field, at);
    DONE
}

/// What has come over the fields that are still there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change<'a> {
    /// These expire at that moment now.
    Expires(u64, &'a [&'a [u8]]),
    /// These do not expire any longer.
    Persists(&'a [&'a [u8]]),
}

/// Tells the log and all others what a command has done to the expiry of fields, and which it
/// has removed.
pub(super) fn say(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    change: Change<'_>,
    removed: &[&[u8]],
    emptied: bool,
) {
    match change {
        Change::Expires(at, fields) if !fields.is_empty() => {
            reword_expiry(view, key, at, fields);
            view.notify(Classes::HASH, "hexpire", key);
        }
        Change::Persists(fields) if !fields.is_empty() => {
            reword_fields(view, &[b"HPERSIST", key], fields);
            view.notify(Classes::HASH, "hpersist", key);
        }
        _ if removed.is_empty() => return,
        _ => {}
    }
    view.modified(key);
    if removed.is_empty() {
        return;
    }
    let words: Vec<&[u8]> = [&b"HDEL"[..], key].iter().chain(removed).copied().collect();
    view.reword(&words);
    view.notify(Classes::HASH, "hdel", key);
    if emptied {
        view.notify(Classes::GENERIC, "del", key);
    }
}

/// Says in the log that fields expire at a moment.
pub(super) fn reword_expiry(view: &mut WriteView<'_, '_>, key: &[u8], at: u64, fields: Argv<'_>) {
    reword_fields(view, &[b"HPEXPIREAT", key, itoa::Buffer::new().format(at).as_bytes()], fields);
}

fn reword_fields(view: &mut WriteView<'_, '_>, words: Argv<'_>, fields: Argv<'_>) {
    let mut count = itoa::Buffer::new();
    let announced = [&b"FIELDS"[..], count.format(fields.len()).as_bytes()];
    let words: Vec<&[u8]> = words.iter().chain(&announced).chain(fields).copied().collect();
    view.reword(&words);
}

/// To the next full second, as Redis rounds for fields (not for keys).
fn seconds(millis: u64) -> u64 {
    millis.div_ceil(1000)
}

fn answer_expiry(
    view: &ReadView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
    say: impl Fn(u64, u64) -> u64,
) -> Outcome {
    let hash = live(view, argv[1])?;
    let fields = fields(argv, 2, NOT_POSITIVE)?;
    reply.array(fields.len());
    for field in fields {
        reply.integer(match hash.and_then(|hash| hash.get_with_expiry(field)) {
            None => NO_FIELD,
            Some((_, NEVER)) => NO_EXPIRY,
            Some((_, at)) => i64::try_from(say(view.around.now, at)).unwrap_or(i64::MAX),
        });
    }
    Ok(())
}

fn hpersist(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let key = argv[1];
    view.as_read().collection::<Fields>(key)?;
    let fields = fields(argv, 2, NOT_POSITIVE)?;
    let now = view.around.now;
    view.remove_due(key, fields.iter().copied());
    let edited = view.edit_present(key, |hash: &mut Hash| {
        let persist = |field: &&[u8]| match hash.as_ref().live(now).get_with_expiry(field) {
            None => NO_FIELD,
            Some((_, NEVER)) => NO_EXPIRY,
            Some(_) => {
                hash.expire(field, NEVER);
                DONE
            }
        };
        Ok(fields.iter().map(persist).collect::<Vec<i64>>())
    })?;
    let codes = edited.map_or(vec![NO_FIELD; fields.len()], |edited| edited.result);
    if codes.contains(&DONE) {
        view.modified(key);
        view.notify(Classes::HASH, "hpersist", key);
    }
    reply.array(codes.len());
    codes.iter().for_each(|code| reply.integer(*code));
    Ok(())
}
