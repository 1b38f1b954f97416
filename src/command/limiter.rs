//! Rate limits: Eave's own commands, on top of the algorithms in `eave_ratelimit`.
//!
//! The state of a limit is a value like any other: it has a type, a time to live (until its
//! full quota is back), and the generic commands work on it. The log carries the state that a
//! decision led to (RL.STATE), not the decision, so a replica needs neither the leader's clock
//! nor its version of an algorithm. Left out for now: named rules, several limits at once,
//! holds.

use std::cell::RefCell;

use eave_ratelimit::{Change, Outcome as Verdict, Rule, RuleError, StateError};
use smallvec::SmallVec;

use super::args::{integer, is};
use super::{Argv, Command, Family, Flags, Group, Keys, Run};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Entry, ReadView, WriteView};
use crate::resp::Reply;
use crate::resp::reply::Protocol;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row(
        "rl.take",
        "key rule [COST n]",
        "Consumes quota of a rate limit, or refuses and consumes nothing.",
        -3,
        Flags::DENYOOM.union(Flags::FAST),
        Run::Write(take),
    ),
    row(
        "rl.peek",
        "key rule [COST n]",
        "Returns what RL.TAKE would answer, without consuming.",
        -3,
        Flags::FAST,
        Run::Read(peek),
    ),
    row(
        "rl.give",
        "key rule n",
        "Gives quota of a rate limit back, at most up to the full quota.",
        4,
        Flags::FAST,
        Run::Write(give),
    ),
    Command {
        keys: Keys::ALL,
        complexity: "O(N) where N is the number of keys.",
        ..row(
            "rl.reset",
            "key [key ...]",
            "Forgets what was taken of one or more rate limits.",
            -2,
            Flags::FAST,
            Run::Write(reset),
        )
    },
    row(
        "rl.state",
        "key unix-time-milliseconds state",
        "Sets the state of a rate limit to what the leader came to.",
        4,
        Flags::INTERNAL.union(Flags::ADMIN).union(Flags::NO_REST).union(Flags::NOSCRIPT),
        Run::Write(state),
    ),
];

const fn row(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    arity: isize,
    flags: Flags,
    run: Run,
) -> Command {
    Family::new(Group::RateLimit).row(name, syntax, summary, "0.1.0", arity, flags, run)
}

/// Bytes of a rule that an error shows.
const SHOWN_BYTES: usize = 64;

/// The rule that an argument spells out.
///
/// # Errors
/// `ERR invalid rule '<token>': <why>`, or `NORULE` for a name, since there are no named rules
/// yet.
#[inline]
pub fn rule(token: &[u8]) -> Result<Rule, Fault> {
    // Callers mostly ask by one rule again and again; parsing it costs more than deciding.
    thread_local!(static LAST: RefCell<Option<(Vec<u8>, Rule)>> = const { RefCell::new(None) });
    LAST.with_borrow_mut(|last| {
        if let Some((known, rule)) = last
            && known == token
        {
            return Ok(*rule);
        }
        let rule = Rule::parse(token).map_err(|error| refuse_rule(token, error))?;
        *last = Some((token.to_vec(), rule));
        Ok(rule)
    })
}

#[cold]
fn refuse_rule(token: &[u8], error: RuleError) -> Fault {
    // Errors are lines of text, and a token is any bytes.
    let shown = |token: &[u8]| {
        let cut = if token.len() > SHOWN_BYTES { "..." } else { "" };
        format!("'{}{cut}'", token[..token.len().min(SHOWN_BYTES)].escape_ascii())
    };
    if error == RuleError::Name {
        return Fault::text(format!("NORULE no rule named {}", shown(&token[1..])));
    }
    Fault::text(format!("ERR invalid rule {}: {error}", shown(token)))
}

/// A number of things to take or to give: 0 or more.
fn amount(argument: &[u8]) -> Result<u64, Fault> {
    u64::try_from(integer(argument)?)
        .map_err(|_| Fault::new("ERR value is out of range, must be positive"))
}

/// Reads `[COST n]`; it is 1 unless said.
#[inline]
fn cost(options: Argv<'_>) -> Result<u64, Fault> {
    match options {
        [] => Ok(1),
        [word, value] if is(word, "COST") => amount(value),
        _ => Err(Fault::SYNTAX),
    }
}

/// The state that an entry is.
#[inline]
fn state_of(entry: &Entry) -> Result<&[u8], Fault> {
    entry.as_rate_limit().ok_or(Fault::WRONG_TYPE)
}

/// States are checked where they come in, so this is never expected.
#[cold]
fn corrupt(error: StateError) -> Fault {
    Fault::text(format!("ERR {error}"))
}

/// What a decision comes to in numbers: allowed, limit, remaining, retry after, reset after.
pub type Status = [i64; 5];

/// Answers a decision: five integers, over RESP3 a map that names them and has the rule too, in
/// the words of the request.
pub fn answer(status: &Status, token: &[u8], reply: &mut dyn Reply) {
    if reply.protocol() == Protocol::V2 {
        reply.integers(status);
        return;
    }
    let names = ["allowed", "limit", "remaining", "retry_after_ms", "reset_after_ms"];
    reply.map(names.len() + 1);
    for (name, number) in names.iter().zip(status) {
        reply.bulk(name.as_bytes());
        reply.integer(*number);
    }
    reply.bulk(b"rule");
    reply.bulk(token);
}

fn take(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let rule = rule(argv[2])?;
    let cost = cost(&argv[3..])?;
    let now = view.around.now;
    let status =
        decide(view, argv[1], |state, next| eave_ratelimit::take(state, &rule, cost, now, next))?;
    if status[0] == 1 {
        view.effects.allowed += 1;
    } else {
        view.effects.refused += 1;
    }
    answer(&status, argv[2], reply);
    Ok(())
}

fn give(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let rule = rule(argv[2])?;
    let amount = amount(argv[3])?;
    let now = view.around.now;
    let status =
        decide(view, argv[1], |state, next| eave_ratelimit::give(state, &rule, amount, now, next))?;
    answer(&status, argv[2], reply);
    Ok(())
}

/// Has `judge` decide on the state under a key (empty when there is none), given room for the
/// next state, and does to the key what it says.
///
/// # Errors
/// `WRONGTYPE` when the key holds something else; nothing has changed then.
pub fn decide(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    judge: impl Fn(&[u8], &mut Vec<u8>) -> Result<Verdict, StateError>,
) -> Result<Status, Fault> {
    // Kept by each thread: a decision allocates nothing once this has grown.
    thread_local!(static NEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
    NEXT.with_borrow_mut(|next| {
        // Written where it is needed, since a verdict is large to hand through results.
        let mut status = [0; 5];
        let mut consider = |state: &[u8], next: &mut Vec<u8>| {
            let verdict = judge(state, next).map_err(corrupt)?;
            status = verdict.decision.status();
            Ok::<Change, Fault>(verdict.change)
        };
        let considered = view.change(key, |entry| {
            let change = consider(state_of(entry)?, next)?;
            if let Change::Store { expires_at_ms } = change {
                entry.put_rate_limit(next, expires_at_ms);
            }
            Ok::<Change, Fault>(change)
        });
        let change = match considered {
            Some(change) => change?,
            None => {
                let change = consider(&[], next)?;
                if let Change::Store { expires_at_ms } = change {
                    view.put_rate_limit(key, next, expires_at_ms);
                }
                change
            }
        };
        conclude(view, key, change, next);
        Ok(status)
    })
}

/// Ends what a decision changes, and says it to the log.
#[inline]
fn conclude(view: &mut WriteView<'_, '_>, key: &[u8], change: Change, next: &[u8]) {
    match change {
        Change::Keep => {}
        Change::Store { expires_at_ms } => {
            view.modified(key);
            view.notify(Classes::MODULE, "ratelimit", key);
            if view.effects.is_written() {
                let mut digits = itoa::Buffer::new();
                let at = digits.format(expires_at_ms).as_bytes();
                view.reword(&[b"RL.STATE", key, at, next]);
            }
        }
        Change::Remove => {
            if view.discard(key) {
                view.modified(key);
                view.notify(Classes::GENERIC, "del", key);
                view.reword(&[b"DEL", key]);
            }
        }
    }
}

fn peek(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let rule = rule(argv[2])?;
    let cost = cost(&argv[3..])?;
    let state = view.get(argv[1]).map(state_of).transpose()?.unwrap_or_default();
    let decision = eave_ratelimit::peek(state, &rule, cost, view.around.now).map_err(corrupt)?;
    answer(&decision.status(), argv[2], reply);
    Ok(())
}

fn reset(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    for key in &argv[1..] {
        view.get(key).map(state_of).transpose()?;
    }
    let mut removal: SmallVec<[&[u8]; 8]> = smallvec::smallvec![&b"DEL"[..]];
    for key in &argv[1..] {
        if view.discard(key) {
            view.modified(key);
            removal.push(key);
        }
    }
    let removed = removal.len() - 1;
    if removed > 0 {
        view.reword(&removal);
    }
    reply.integer(removed as i64);
    Ok(())
}

fn state(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let [_, key, expires_at, state] = argv else { return Err(Fault::SYNTAX) };
    let expires_at = u64::try_from(integer(expires_at)?).ok().filter(|at| *at > 0);
    let expires_at = expires_at.ok_or_else(|| Fault::expiry("rl.state"))?;
    if state.is_empty() {
        return Err(Fault::new("ERR rate limit state is empty"));
    }
    eave_ratelimit::validate(state).map_err(corrupt)?;
    view.put_rate_limit(key, state, expires_at);
    view.modified(key);
    reply.ok();
    Ok(())
}
