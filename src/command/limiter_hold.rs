//! RL.HOLD and RL.SETTLE: quota that is set aside until it is known how much is used, and the
//! slots of `conc`.
//!
//! Holds are a part of their key's state, so they go with the key: DEL, EXPIRE, eviction and
//! replicas know nothing of them. The id of a hold is `<id>@<key>`: it leads back to the key,
//! for the locks and for who may ask.

use eave_ratelimit::{Hold, MAX_ID_BYTES, MAX_WINDOW_MS, Rule};

use super::args::{integer, is};
use super::limiter::{
    Status, amount, answer_with, corrupt, counted, decide, ids, listed, row, state_of,
};
use super::{Argv, Command, Flags, Keys, Run};
use crate::clock;
use crate::fault::{Fault, Outcome, shown};
use crate::keyspace::WriteView;
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::rules::Judgement;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        complexity: "O(N) where N is the number of holds of the key.",
        ..row(
            "rl.hold",
            "key rule n TTL milliseconds [ID id] [FOR id [id ...]]",
            "Reserves quota of a rate limit, or a slot of conc, until it is settled or its time is \
             over.",
            -6,
            Flags::DENYOOM.union(Flags::FAST),
            Run::Write(hold),
        )
    },
    Command {
        keys: Keys::Within(key_of),
        complexity: "O(N) where N is the number of holds of the key.",
        ..row(
            "rl.settle",
            "id actual",
            "Ends a hold and consumes what was really used: nothing, or more than was reserved.",
            3,
            Flags::FAST,
            Run::Write(settle),
        )
    },
];

/// What stands between the two parts of a hold's id. The first has none.
const AT: u8 = b'@';

/// The key that a hold's id leads back to.
fn key_of(id: &[u8]) -> &[u8] {
    memchr::memchr(AT, id).map_or(id, |at| &id[at + 1..])
}

/// Bytes of chance in an id that nobody has chosen.
const CHANCE_BYTES: usize = 10;

fn hold(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let [_, key, token, units, word, ttl, options @ ..] = argv else { return Err(Fault::SYNTAX) };
    let units = amount(units)?;
    if units == 0 {
        return Err(Fault::new("ERR value is out of range, must be positive"));
    }
    if !is(word, "TTL") {
        return Err(Fault::SYNTAX);
    }
    let ttl_ms = u64::try_from(integer(ttl)?).ok().filter(|ttl| (1..=MAX_WINDOW_MS).contains(ttl));
    let ttl_ms = ttl_ms.ok_or_else(|| Fault::expiry("rl.hold"))?;
    let (id, ids) = match options {
        [word, id, rest @ ..] if is(word, "ID") => (check_id(id)?.to_vec(), ids(rest)?),
        rest => (clock::secret_hex(CHANCE_BYTES).into_bytes(), ids(rest)?),
    };
    let (now, rules) = (view.around.now, view.rules());
    rules.with(token, now, |known| {
        let judgement = known.judge(key, ids, now);
        let (status, held) = match judgement {
            Judgement::Rule(rule) => {
                let label = label(&rule, token);
                let hold = Hold { id: &id, label: &label, amount: units, ttl_ms };
                let status = decide(view, key, |state, next| {
                    eave_ratelimit::hold(state, &rule, &hold, now, next)
                })?;
                (status, status[0] == 1)
            }
            Judgement::Shared(_) => {
                return Err(Fault::new(
                    "ERR holds are the leader's to keep: a rule with REGIONS local has none",
                ));
            }
            judgement => (listed(judgement).unwrap_or_default().0, false),
        };
        known.count(counted(judgement, &status), key, ids, now);
        if status[0] == 1 {
            view.effects.allowed += 1;
        } else {
            view.effects.refused += 1;
        }
        let name = held.then(|| [&id[..], &[AT], key].concat());
        answer(&status, token, name.as_deref(), reply);
        Ok(())
    })
}

/// An id of the client's own.
fn check_id(id: &[u8]) -> Result<&[u8], Fault> {
    let fits = |byte: &u8| byte.is_ascii_graphic() && *byte != AT;
    if (1..=MAX_ID_BYTES).contains(&id.len()) && id.iter().all(fits) {
        return Ok(id);
    }
    Err(Fault::text(format!(
        "ERR invalid id '{}': from 1 to {MAX_ID_BYTES} visible ASCII characters, no @",
        shown(id, MAX_ID_BYTES)
    )))
}

/// What is kept with a hold: the rule as it is now, whatever its name will mean later, and how
/// the request wrote it.
fn label(rule: &Rule, token: &[u8]) -> Vec<u8> {
    [rule.to_string().as_bytes(), b" ", token].concat()
}

/// Answers a status, and behind it the id of the hold, or none when there is none.
fn answer(status: &Status, token: &[u8], name: Option<&[u8]>, reply: &mut dyn Reply) {
    if reply.protocol() != Protocol::V2 {
        answer_with(status, token, name.map(|name| ("id", name)), reply);
        return;
    }
    reply.array(status.len() + 1);
    status.iter().for_each(|number| reply.integer(*number));
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
}

fn settle(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let Some(at) = memchr::memchr(AT, argv[1]) else {
        return Err(Fault::new(
            "ERR invalid id of a hold: it is <id>@<key>, as RL.HOLD answers it",
        ));
    };
    let (id, key) = (&argv[1][..at], &argv[1][at + 1..]);
    let actual = amount(argv[2])?;
    let now = view.around.now;
    let state = view.get(key).map(state_of).transpose()?.unwrap_or_default();
    let held = eave_ratelimit::find_hold(state, id, now).map_err(corrupt)?;
    let label = held.map(|held| held.label.to_vec()).ok_or(NO_HOLD)?;
    let space = memchr::memchr(b' ', &label).unwrap_or(label.len());
    // Labels are written above, but a payload of RESTORE may say anything.
    let rule = Rule::parse(&label[..space]).map_err(|_| NO_HOLD)?;
    let status = decide(view, key, |state, next| {
        let settled = eave_ratelimit::settle(state, &rule, id, actual, now, next)?;
        // It was found above.
        settled.ok_or(eave_ratelimit::StateError::Length)
    })?;
    answer_with(&status, label.get(space + 1..).unwrap_or_default(), None, reply);
    Ok(())
}

const NO_HOLD: Fault = Fault::new("NOHOLD no such hold, or its time is over");
