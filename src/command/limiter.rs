//! Rate limits: Eave's own commands, on top of the algorithms in `eave_ratelimit`.
//!
//! The state of a limit is a value like any other: it has a type, a time to live (until its
//! full quota is back), and the generic commands work on it. The log carries the state that a
//! decision led to (RL.STATE), not the decision, so a replica needs neither the leader's clock
//! nor its version of an algorithm. Several limits at once stand in `limiter_many`, holds in
//! `limiter_hold`, what names mean in `limiter_rule`.

use std::cell::RefCell;

use eave_ratelimit::{Algorithm, Change, Outcome as Verdict, Rule, StateError};
use smallvec::SmallVec;

use super::args::{integer, is};
use super::{Argv, Command, Family, Flags, Group, Keys, Run, limiter_many, limiter_region};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Entry, ReadView, WriteView};
use crate::limits::REQUEST_IDS;
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::rules::Judgement;
use crate::rules::stats::Verdict as Counted;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row(
        "rl.take",
        "key rule [COST n] [FOR id [id ...]]",
        "Consumes quota of a rate limit, or refuses and consumes nothing.",
        -3,
        Flags::DENYOOM.union(Flags::FAST),
        Run::Write(take),
    ),
    row(
        "rl.peek",
        "key rule [COST n] [FOR id [id ...]]",
        "Returns what RL.TAKE would answer, without consuming.",
        -3,
        Flags::FAST,
        Run::Read(peek),
    ),
    Command {
        keys: Keys::Found { range: (0, 0, 0), find: limiter_many::keys },
        complexity: "O(N) where N is the number of limits.",
        ..row(
            "rl.mtake",
            "n key rule [key rule ...] [COST n [n ...]]",
            "Consumes quota of several rate limits, or refuses and consumes of none.",
            -4,
            Flags::DENYOOM.union(Flags::MOVABLE_KEYS),
            Run::Write(limiter_many::mtake),
        )
    },
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

pub(super) const fn row(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    arity: isize,
    flags: Flags,
    run: Run,
) -> Command {
    Family::new(Group::RateLimit).row(name, syntax, summary, "0.1.0", arity, flags, run)
}

/// A number of things to take or to give: 0 or more.
pub(super) fn amount(argument: &[u8]) -> Result<u64, Fault> {
    u64::try_from(integer(argument)?)
        .map_err(|_| Fault::new("ERR value is out of range, must be positive"))
}

/// The options of a request: how much, and for whom if its key does not say.
#[inline]
pub(super) fn options<'a>(options: Argv<'a>) -> Result<(u64, Argv<'a>), Fault> {
    match options {
        [] => Ok((1, &[])),
        [word, value, rest @ ..] if is(word, "COST") => Ok((amount(value)?, ids(rest)?)),
        rest => Ok((1, ids(rest)?)),
    }
}

/// Reads `[FOR id [id ...]]`.
///
/// # Errors
/// When it is something else, or too many.
pub(super) fn ids(options: Argv<'_>) -> Result<Argv<'_>, Fault> {
    match options {
        [] => Ok(&[]),
        [word, ids @ ..] if is(word, "FOR") && !ids.is_empty() => {
            if ids.len() > REQUEST_IDS {
                return Err(Fault::text(format!("ERR at most {REQUEST_IDS} ids behind FOR")));
            }
            Ok(ids)
        }
        _ => Err(Fault::SYNTAX),
    }
}

/// Refuses what only RL.HOLD can do.
#[inline]
pub(super) fn refuse_slots(rule: &Rule) -> Result<(), Fault> {
    if rule.algorithm() == Algorithm::Conc {
        return Err(Fault::new("ERR slots of conc are held, not taken: use RL.HOLD and RL.SETTLE"));
    }
    Ok(())
}

/// The state that an entry is.
#[inline]
pub(super) fn state_of(entry: &Entry) -> Result<&[u8], Fault> {
    entry.as_rate_limit().ok_or(Fault::WRONG_TYPE)
}

/// States are checked where they come in, so this is never expected.
#[cold]
pub(super) fn corrupt(error: StateError) -> Fault {
    Fault::text(format!("ERR {error}"))
}

/// What a decision comes to in numbers: allowed, limit, remaining, retry after, reset after.
pub type Status = [i64; 5];

/// Answers a decision: five integers, over RESP3 a map that names them and has the rule too, in
/// the words of the request.
pub fn answer(status: &Status, token: &[u8], reply: &mut dyn Reply) {
    answer_with(status, token, None, reply);
}

/// Likewise, with one more pair over RESP3.
pub(super) fn answer_with(
    status: &Status,
    token: &[u8],
    more: Option<(&str, &[u8])>,
    reply: &mut dyn Reply,
) {
    if reply.protocol() == Protocol::V2 {
        reply.integers(status);
        return;
    }
    let names = ["allowed", "limit", "remaining", "retry_after_ms", "reset_after_ms"];
    reply.map(names.len() + 1 + usize::from(more.is_some()));
    for (name, number) in names.iter().zip(status) {
        reply.bulk(name.as_bytes());
        reply.integer(*number);
    }
    reply.bulk(b"rule");
    reply.bulk(token);
    if let Some((name, value)) = more {
        reply.bulk(name.as_bytes());
        reply.bulk(value);
    }
}

/// What is answered where a list has decided: the rule was not asked, and nothing is counted.
pub(super) fn listed(judgement: Judgement) -> Option<(Status, &'static [u8])> {
    let limit = |rule: Rule| i64::try_from(rule.limit()).unwrap_or(i64::MAX);
    match judgement {
        Judgement::Rule(_) | Judgement::Shared(_) => None,
        Judgement::Pass(rule) => Some(([1, limit(rule), limit(rule), 0, 0], b"ALLOW")),
        Judgement::Deny(rule) => Some(([0, limit(rule), 0, -1, 0], b"DENY")),
    }
}

/// What statistics call it.
pub(super) fn counted(judgement: Judgement, status: &Status) -> Counted {
    match judgement {
        Judgement::Deny(_) => Counted::Denied,
        _ if status[0] == 1 => Counted::Allowed,
        _ => Counted::Limited,
    }
}

fn take(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (cost, ids) = options(&argv[3..])?;
    let (key, token, now, rules) = (argv[1], argv[2], view.around.now, view.rules());
    rules.with(token, now, |known| {
        let judgement = known.judge(key, ids, now);
        let (status, list) = match judgement {
            Judgement::Rule(rule) => {
                refuse_slots(&rule)?;
                let take = |state: &[u8], next: &mut Vec<u8>| {
                    eave_ratelimit::take(state, &rule, cost, now, next)
                };
                (decide(view, key, take)?, None)
            }
            Judgement::Shared(rule) => {
                let asked = limiter_region::Question { db: view.db(), key, rule: &rule, now };
                let take = |state: &[u8], next: &mut Vec<u8>| {
                    eave_ratelimit::take(state, &rule, cost, now, next)
                };
                match asked.take(view.regions(), known, cost) {
                    Some(status) => (status, None),
                    None => (decide(view, key, take)?, None),
                }
            }
            judgement => {
                let (status, list) = listed(judgement).unwrap_or_default();
                (status, Some(("list", list)))
            }
        };
        if status[0] == 1 {
            view.effects.allowed += 1;
        } else {
            view.effects.refused += 1;
        }
        known.count(counted(judgement, &status), key, ids, now);
        answer_with(&status, token, list, reply);
        Ok(())
    })
}

fn give(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let amount = amount(argv[3])?;
    let (key, now, rules) = (argv[1], view.around.now, view.rules());
    rules.with(argv[2], now, |known| {
        let judgement = known.judge(key, &[], now);
        let rule = *judgement.rule();
        refuse_slots(&rule)?;
        if let Judgement::Shared(rule) = judgement {
            let asked = limiter_region::Question { db: view.db(), key, rule: &rule, now };
            if let Some(status) = asked.give(view.regions(), amount) {
                answer(&status, argv[2], reply);
                return Ok(());
            }
        }
        let give = |state: &[u8], next: &mut Vec<u8>| {
            eave_ratelimit::give(state, &rule, amount, now, next)
        };
        answer(&decide(view, key, give)?, argv[2], reply);
        Ok(())
    })
}

/// Runs `decide` with room for the next state, which each thread keeps: a decision allocates nothing
/// once this has grown.
#[inline]
pub(super) fn with_next<R>(decide: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    thread_local!(static NEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
    NEXT.with_borrow_mut(decide)
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
    with_next(|next| {
        // Written where it is needed, since a verdict is large to hand through results.
        let mut status = [0; 5];
        let mut consider = |state: &[u8], next: &mut Vec<u8>| {
            let verdict = judge(state, next).map_err(corrupt)?;
            status = verdict.decision.status();
            Ok::<Change, Fault>(verdict.change)
        };
        let considered = view.renew(key, |entry, due| {
            let state = if due { &[] } else { state_of(entry)? };
            let change = consider(state, next)?;
            if let Change::Store { expires_at_ms } = change {
                entry.put_rate_limit(next, expires_at_ms);
            }
            Ok::<_, Fault>((change, due))
        });
        let change = match considered.transpose()? {
            Some((change, due)) => {
                if due && change != Change::Keep {
                    view.renewed(key);
                }
                change
            }
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
pub(super) fn conclude(view: &mut WriteView<'_, '_>, key: &[u8], change: Change, next: &[u8]) {
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
    let (cost, ids) = options(&argv[3..])?;
    let (now, rules) = (view.around.now, view.rules());
    let state = view.get(argv[1]).map(state_of).transpose()?.unwrap_or_default();
    rules.with(argv[2], now, |known| {
        let judgement = known.judge(argv[1], ids, now);
        if let Some((status, list)) = listed(judgement) {
            answer_with(&status, argv[2], Some(("list", list)), reply);
            return Ok(());
        }
        let rule = *judgement.rule();
        if let Judgement::Shared(rule) = judgement {
            let asked = limiter_region::Question { db: view.db(), key: argv[1], rule: &rule, now };
            if let Some(status) = asked.peek(view.regions(), cost) {
                answer(&status, argv[2], reply);
                return Ok(());
            }
        }
        let decision = eave_ratelimit::peek(state, &rule, cost, now).map_err(corrupt)?;
        answer(&decision.status(), argv[2], reply);
        Ok(())
    })
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
    let shared = argv[1..].iter().filter(|key| view.regions().reset(view.db(), key)).count();
    reply.integer((removed + shared) as i64);
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
