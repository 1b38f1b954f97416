//! When keys expire: EXPIRE and TTL in their four units, PERSIST.
//!
//! What is set goes into the log as an absolute time, and what is past already as a removal.
//! The leader's stream comes with a moment before all others, so that a replica never finds
//! a time past: the leader has decided that.

use super::args::{Moment, integer, is};
use super::keys::GENERIC;
use super::{Argv, Command, Flags, Run};
use crate::config::Classes;
use crate::fault::{Fault, Outcome, shown};
use crate::keyspace::{Entry, NEVER, ReadView, WriteView};
use crate::resp::Reply;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    set(
        "expire",
        "key seconds [NX | XX | GT | LT]",
        "Sets the expiration time of a key in seconds.",
        "1.0.0",
        |view, argv, reply| set_expiry(view, argv, Moment::InSeconds, "expire", reply),
    ),
    set(
        "pexpire",
        "key milliseconds [NX | XX | GT | LT]",
        "Sets the expiration time of a key in milliseconds.",
        "2.6.0",
        |view, argv, reply| set_expiry(view, argv, Moment::InMillis, "pexpire", reply),
    ),
    set(
        "expireat",
        "key unix-time-seconds [NX | XX | GT | LT]",
        "Sets the expiration time of a key to a Unix timestamp.",
        "1.2.0",
        |view, argv, reply| set_expiry(view, argv, Moment::AtSeconds, "expireat", reply),
    ),
    set(
        "pexpireat",
        "key unix-time-milliseconds [NX | XX | GT | LT]",
        "Sets the expiration time of a key to a Unix milliseconds timestamp.",
        "2.6.0",
        |view, argv, reply| set_expiry(view, argv, Moment::AtMillis, "pexpireat", reply),
    ),
    get("ttl", "Returns the expiration time in seconds of a key.", "1.0.0", |view, argv, reply| {
        answer_expiry(view, argv, reply, |now, at| seconds(at.saturating_sub(now)))
    }),
    get(
        "pttl",
        "Returns the expiration time in milliseconds of a key.",
        "2.6.0",
        |view, argv, reply| answer_expiry(view, argv, reply, |now, at| at.saturating_sub(now)),
    ),
    get(
        "expiretime",
        "Returns the expiration time of a key as a Unix timestamp.",
        "7.0.0",
        |view, argv, reply| answer_expiry(view, argv, reply, |_, at| seconds(at)),
    ),
    get(
        "pexpiretime",
        "Returns the expiration time of a key as a Unix milliseconds timestamp.",
        "7.0.0",
        |view, argv, reply| answer_expiry(view, argv, reply, |_, at| at),
    ),
    GENERIC.row(
        "persist",
        "key",
        "Removes the expiration time of a key.",
        "2.2.0",
        2,
        Flags::FAST,
        Run::Write(persist),
    ),
];

const fn set(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    since: &'static str,
    run: super::WriteRun,
) -> Command {
    GENERIC.row(name, syntax, summary, since, -3, Flags::FAST, Run::Write(run))
}

const fn get(
    name: &'static str,
    summary: &'static str,
    since: &'static str,
    run: super::ReadRun,
) -> Command {
    GENERIC.row(name, "key", summary, since, 2, Flags::FAST, Run::Read(run))
}

/// On which keys an expiry is set.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    /// NX: without one.
    unset: bool,
    /// XX: with one.
    set: bool,
    /// GT: with a sooner one.
    later: bool,
    /// LT: with a later one, or none.
    sooner: bool,
}

impl Conditions {
    fn parse(words: Argv<'_>) -> Result<Conditions, Fault> {
        let mut found = Conditions::default();
        for word in words {
            let condition = if is(word, "NX") {
                &mut found.unset
            } else if is(word, "XX") {
                &mut found.set
            } else if is(word, "GT") {
                &mut found.later
            } else if is(word, "LT") {
                &mut found.sooner
            } else {
                return Err(unsupported(word));
            };
            *condition = true;
        }
        if found.unset && (found.set || found.later || found.sooner) {
            return Err(Fault::new(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if found.later && found.sooner {
            return Err(Fault::new("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(found)
    }

    /// Whether `at` may take the place of `current`. No expiry is later than any.
    fn allow(self, current: u64, at: i64) -> bool {
        let expires = current != NEVER;
        let current = if expires { i64::try_from(current).unwrap_or(i64::MAX) } else { i64::MAX };
        !(self.unset && expires
            || self.set && !expires
            || self.later && (!expires || at <= current)
            || self.sooner && expires && at >= current)
    }
}

#[cold]
fn unsupported(word: &[u8]) -> Fault {
    Fault::text(format!("ERR Unsupported option {}", shown(word, usize::MAX)))
}

fn set_expiry(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    moment: Moment,
    name: &str,
    reply: &mut dyn Reply,
) -> Outcome {
    let key = argv[1];
    let conditions = Conditions::parse(&argv[3..])?;
    let at = moment.at(integer(argv[2])?, view.around.now).ok_or_else(|| Fault::expiry(name))?;
    let current = view.get(key).map(Entry::expires_at);
    if !current.is_some_and(|current| conditions.allow(current, at)) {
        reply.integer(0);
        return Ok(());
    }
    let later = u64::try_from(at).ok().filter(|at| *at > view.around.now);
    match later {
        Some(at) => {
            view.change(key, |entry| entry.set_expires_at(at));
            view.modified(key);
            view.notify(Classes::GENERIC, "expire", key);
            view.reword(&[b"PEXPIREAT", key, itoa::Buffer::new().format(at).as_bytes()]);
        }
        None => {
            view.discard(key);
            view.modified(key);
            view.notify(Classes::GENERIC, "del", key);
            view.reword(&[b"DEL", key]);
        }
    }
    reply.integer(1);
    Ok(())
}

/// To the nearest second, as Redis rounds.
pub(crate) fn seconds(millis: u64) -> u64 {
    millis.saturating_add(500) / 1000
}

/// Answers -2 for no key, -1 for no expiry, or what `say` makes of the present and the expiry.
fn answer_expiry(
    view: &ReadView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
    say: impl FnOnce(u64, u64) -> u64,
) -> Outcome {
    reply.integer(match view.peek(argv[1]).map(Entry::expires_at) {
        None => -2,
        Some(NEVER) => -1,
        Some(at) => i64::try_from(say(view.around.now, at)).unwrap_or(i64::MAX),
    });
    Ok(())
}

fn persist(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let expires = view.get(argv[1]).is_some_and(|entry| entry.expires_at() != NEVER);
    if expires {
        view.change(argv[1], |entry| entry.set_expires_at(NEVER));
        view.modified(argv[1]);
        view.notify(Classes::GENERIC, "persist", argv[1]);
    }
    reply.integer(i64::from(expires));
    Ok(())
}
