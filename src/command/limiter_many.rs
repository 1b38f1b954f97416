//! RL.MTAKE: several limits at once, all or nothing.
//!
//! Every pair is decided on what the ones before it would leave, and only then is anything kept: the
//! same key may be asked by several pairs. A refusal answers for each pair what it would be
//! alone, with what pairs of the same key and rule before it ask for.

use eave_ratelimit::{Change, Rule};
use smallvec::SmallVec;

use super::args::{at_least, is};
use super::limiter::{
    Status, amount, answer_with, conclude, corrupt, counted, listed, refuse_slots, state_of,
};
use super::{Argv, Positions, counted as count_of};
use crate::fault::{Fault, Outcome};
use crate::keyspace::WriteView;
use crate::limits::LIMITS_AT_ONCE;
use crate::resp::Reply;
use crate::rules::Judgement;

/// The positions of the keys behind their number, each with its rule behind it.
pub fn keys(argv: Argv<'_>) -> Positions {
    let counted = count_of(argv, 1).len();
    (2..argv.len()).step_by(2).take(counted).collect()
}

/// A limit that is asked.
struct Pair<'a> {
    key: &'a [u8],
    token: &'a [u8],
    cost: u64,
    judgement: Judgement,
}

impl Pair<'_> {
    fn rule(&self) -> Rule {
        let (Judgement::Rule(rule) | Judgement::Pass(rule) | Judgement::Deny(rule)) =
            self.judgement;
        rule
    }
}

/// A key as it is, and as the pairs so far would leave it.
struct Staged<'a> {
    key: &'a [u8],
    before: SmallVec<[u8; 64]>,
    after: Vec<u8>,
    change: Change,
}

/// Takes from all limits or from none.
pub(super) fn mtake(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let pairs = pairs(view, argv)?;
    let mut staged = stage(view, &pairs)?;
    let (denied, statuses) = decide(&pairs, &mut staged, view.around.now)?;
    if denied.is_none() {
        for Staged { key, after, change, .. } in &staged {
            if let Change::Store { expires_at_ms } = *change {
                view.put_rate_limit(key, after, expires_at_ms);
                conclude(view, key, *change, after);
            }
        }
        view.effects.allowed += 1;
    } else {
        view.effects.refused += 1;
    }
    count(view, &pairs, denied.is_none(), &statuses)?;
    reply.array(3);
    reply.integer(denied.is_none().into());
    reply.integer(denied.map_or(-1, |at| i64::try_from(at).unwrap_or(i64::MAX)));
    reply.array(pairs.len());
    for (pair, status) in pairs.iter().zip(&statuses) {
        let list = listed(pair.judgement).map(|(_, list)| ("list", list));
        answer_with(status, pair.token, list, reply);
    }
    Ok(())
}

/// Reads the arguments, and asks what their rules mean.
fn pairs<'a>(view: &WriteView<'_, '_>, argv: Argv<'a>) -> Result<Vec<Pair<'a>>, Fault> {
    let count = at_least(1, argv[1], "ERR number of limits should be greater than 0")?;
    if count > LIMITS_AT_ONCE {
        return Err(Fault::text(format!("ERR at most {LIMITS_AT_ONCE} limits at once")));
    }
    let (named, options) = argv[2..].split_at_checked(2 * count).ok_or(Fault::SYNTAX)?;
    let costs = match options {
        [] => &[],
        [word, costs @ ..] if is(word, "COST") && [1, count].contains(&costs.len()) => costs,
        _ => return Err(Fault::SYNTAX),
    };
    let (now, rules) = (view.around.now, view.rules());
    let mut pairs = Vec::with_capacity(count);
    for (at, pair) in named.chunks_exact(2).enumerate() {
        let cost = costs.get(at).or(costs.first()).map_or(Ok(1), |cost| amount(cost))?;
        let judgement =
            rules.with(pair[1], now, |known| Ok(known.judge(rules, pair[0], &[], now)))?;
        let pair = Pair { key: pair[0], token: pair[1], cost, judgement };
        refuse_slots(&pair.rule())?;
        pairs.push(pair);
    }
    Ok(pairs)
}

/// The states of the keys, each once.
fn stage<'a>(
    view: &mut WriteView<'_, '_>,
    pairs: &[Pair<'a>],
) -> Result<SmallVec<[Staged<'a>; 4]>, Fault> {
    let mut staged: SmallVec<[Staged<'a>; 4]> = SmallVec::new();
    for pair in pairs {
        if staged.iter().any(|known| known.key == pair.key) {
            continue;
        }
        let state = view.get(pair.key).map(state_of).transpose()?.unwrap_or_default();
        let (before, after) = (SmallVec::from_slice(state), state.to_vec());
        staged.push(Staged { key: pair.key, before, after, change: Change::Keep });
    }
    Ok(staged)
}

/// Decides pair after pair: which is the first that is refused, and what is said of each.
fn decide(
    pairs: &[Pair<'_>],
    staged: &mut [Staged<'_>],
    now: u64,
) -> Result<(Option<usize>, Vec<Status>), Fault> {
    // What a list turns away asks no limit.
    if let Some(at) = pairs.iter().position(|pair| matches!(pair.judgement, Judgement::Deny(_))) {
        return Ok((Some(at), refused(pairs, staged, None, now)?));
    }
    let (mut statuses, mut next) = (Vec::with_capacity(pairs.len()), Vec::new());
    for (at, pair) in pairs.iter().enumerate() {
        if let Some((status, _)) = listed(pair.judgement) {
            statuses.push(status);
            continue;
        }
        let Some(key) = staged.iter_mut().find(|staged| staged.key == pair.key) else { continue };
        let outcome = eave_ratelimit::take(&key.after, &pair.rule(), pair.cost, now, &mut next);
        let outcome = outcome.map_err(corrupt)?;
        let status = outcome.decision.status();
        if !outcome.decision.allowed {
            return Ok((Some(at), refused(pairs, staged, Some((at, status)), now)?));
        }
        if outcome.change != Change::Keep {
            std::mem::swap(&mut key.after, &mut next);
            key.change = outcome.change;
        }
        statuses.push(status);
    }
    Ok((None, statuses))
}

/// What is said of each pair when nothing is taken.
fn refused(
    pairs: &[Pair<'_>],
    staged: &[Staged<'_>],
    first: Option<(usize, Status)>,
    now: u64,
) -> Result<Vec<Status>, Fault> {
    let mut statuses = Vec::with_capacity(pairs.len());
    for (at, pair) in pairs.iter().enumerate() {
        if let Some((status, _)) = listed(pair.judgement) {
            statuses.push(status);
            continue;
        }
        let alike = |other: &&Pair<'_>| other.key == pair.key && other.rule() == pair.rule();
        let cost = pairs[..=at].iter().filter(alike);
        let cost = cost.fold(0, |sum: u64, pair| sum.saturating_add(pair.cost));
        let state = staged.iter().find(|staged| staged.key == pair.key);
        let state = state.map_or(&[][..], |staged| &staged.before);
        let told = eave_ratelimit::peek(state, &pair.rule(), cost, now).map_err(corrupt)?;
        statuses.push(match first {
            // Only what another rule of the same key would have taken stands in its way.
            Some((refused, status)) if refused == at && told.allowed => status,
            _ => told.status(),
        });
    }
    Ok(statuses)
}

/// Counts for every named rule what came of it: nothing where another one was in the way.
fn count(
    view: &WriteView<'_, '_>,
    pairs: &[Pair<'_>],
    allowed: bool,
    statuses: &[Status],
) -> Result<(), Fault> {
    let (now, rules) = (view.around.now, view.rules());
    for (pair, status) in pairs.iter().zip(statuses) {
        if pair.token.starts_with(b"@") && (allowed || status[0] == 0) {
            rules.with(pair.token, now, |known| {
                known.count(counted(pair.judgement, status), pair.key, &[], now);
                Ok(())
            })?;
        }
    }
    Ok(())
}
