//! RL.MTAKE: several limits at once, all or nothing.
//!
//! Every pair is decided on what the ones before it would leave, and only then is anything kept: the
//! same key may be asked by several pairs. A refusal answers for each pair what it would be
//! alone, with what pairs of the same key and rule before it ask for.

use eave_ratelimit::regions::{Counts, Span};
use eave_ratelimit::{Change, Decision, Rule};
use smallvec::SmallVec;

use super::args::{at_least, is};
use super::limiter::{
    Status, amount, answer_with, conclude, corrupt, counted, listed, refuse_slots, state_of,
    with_next,
};
use super::{Argv, Positions, counted as count_of};
use crate::fault::{Fault, Outcome};
use crate::keyspace::WriteView;
use crate::limits::LIMITS_AT_ONCE;
use crate::node::Node;
use crate::regions::{Asked, Board, Locked};
use crate::resp::Reply;
use crate::rules::{Judgement, Rules};
use crate::session::Session;

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
    /// Whether nodes share its rule.
    is_shared: bool,
}

impl Pair<'_> {
    fn rule(&self) -> Rule {
        *self.judgement.rule()
    }

    /// Whether each of two would forget what the other has counted: then neither limits anything.
    fn undoes(&self, other: &Pair<'_>) -> bool {
        let (Judgement::Rule(own), Judgement::Rule(its)) = (self.judgement, other.judgement) else {
            return false;
        };
        own.algorithm() != its.algorithm() && self.key == other.key
    }
}

const UNDOES: &str = "ERR one key under two algorithms would begin anew each time: each limit needs a \
                      key of its own";

/// A key as it is, and as the pairs so far would leave it.
struct Staged<'a> {
    key: &'a [u8],
    before: SmallVec<[u8; 64]>,
    after: SmallVec<[u8; 64]>,
    change: Change,
}

impl Staged<'_> {
    /// Takes from what the pairs before have left.
    fn take(&mut self, pair: &Pair<'_>, now: u64, next: &mut Vec<u8>) -> Result<Decision, Fault> {
        let outcome = eave_ratelimit::take(&self.after, &pair.rule(), pair.cost, now, next);
        let outcome = outcome.map_err(corrupt)?;
        if outcome.change != Change::Keep {
            self.after.clear();
            self.after.extend_from_slice(next);
            self.change = outcome.change;
        }
        Ok(outcome.decision)
    }
}

/// The limits of a request, and what is said of each: mostly few.
type Pairs<'a> = SmallVec<[Pair<'a>; 4]>;
type Statuses = SmallVec<[Status; 4]>;

/// Those limits that nodes share, locked until all is decided.
struct Shared<'b, 'a> {
    db: usize,
    locked: Locked<'b>,
    /// By key and span, as the pairs so far would leave it.
    after: Vec<(&'a [u8], Span, Counts)>,
}

impl<'b, 'a> Shared<'b, 'a> {
    fn lock(board: &'b Board, db: usize, pairs: &[Pair<'a>]) -> Shared<'b, 'a> {
        let shared = pairs.iter().filter(|pair| matches!(pair.judgement, Judgement::Shared(_)));
        let locked = board.lock(db, shared.map(|pair| pair.key));
        Shared { db, locked, after: Vec::new() }
    }

    fn try_take(&mut self, pair: &Pair<'a>, now: u64) -> Status {
        let rule = pair.rule();
        let Some(asked) = self.asked_of(pair.key, &rule) else { return Status::default() };
        let same = |(key, span, _): &(&[u8], Span, Counts)| *key == pair.key && *span == asked.span;
        let at = match self.after.iter().position(same) {
            Some(at) => at,
            None => {
                self.after.push((pair.key, asked.span, self.locked.copy(asked)));
                self.after.len() - 1
            }
        };
        self.after[at].2.take(1, (&rule, asked.span), pair.cost, now).status()
    }

    fn peek(&self, pair: &Pair<'a>, cost: u64, now: u64) -> Status {
        let rule = pair.rule();
        let asked = self.asked_of(pair.key, &rule);
        asked.map_or(Status::default(), |asked| self.locked.peek(asked, cost, now))
    }

    /// Takes what was tried.
    fn take(&mut self, rules: &Rules, pairs: &[Pair<'a>], now: u64) {
        for pair in pairs.iter().filter(|pair| matches!(pair.judgement, Judgement::Shared(_))) {
            let rule = pair.rule();
            let Some(asked) = self.asked_of(pair.key, &rule) else { continue };
            let mut within = 0;
            self.locked.take(asked, pair.cost, now, |most| within = most);
            // Looked up before: a name that has gone since has nothing to note.
            let _ = rules.with(pair.token, now, |known| {
                known.note_within(within);
                Ok(())
            });
        }
    }

    fn asked_of<'q>(&self, key: &'q [u8], rule: &'q Rule) -> Option<Asked<'q>> {
        Some(Asked { db: self.db, key, rule, span: Span::of(rule)? })
    }
}

/// Takes from all limits or from none.
pub(super) fn mtake(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let (rules, now) = (view.rules(), view.around.now);
    let pairs = pairs(rules, view.regions(), view.db(), argv, now)?;
    let mut shared = Shared::lock(view.regions(), view.db(), &pairs);
    let mut staged = stage(view, &pairs)?;
    let (denied, statuses) = decide(&pairs, &mut staged, &mut shared, now)?;
    if denied.is_none() {
        for Staged { key, after, change, .. } in &staged {
            if let Change::Store { expires_at_ms } = *change {
                view.put_rate_limit(key, after, expires_at_ms);
                conclude(view, key, *change, after);
            }
        }
        shared.take(rules, &pairs, now);
        view.effects.allowed += 1;
    } else {
        view.effects.refused += 1;
    }
    drop(shared);
    count(rules, &pairs, denied.is_none(), &statuses, now);
    answer(&pairs, denied, &statuses, reply);
    Ok(())
}

/// Does so on a replica, if nodes share all of these limits; answers whether it is done and
/// whether it was allowed.
///
/// # Errors
/// As RL.MTAKE; nothing is taken then.
pub(super) fn mtake_here(
    node: &Node,
    session: &Session,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Result<Option<bool>, Fault> {
    let (rules, now) = (&node.keyspace.rules, session.now);
    let pairs = pairs(rules, &node.keyspace.regions, session.db, argv, now)?;
    let leaves = |pair: &Pair<'_>| !pair.is_shared || matches!(pair.judgement, Judgement::Rule(_));
    if pairs.iter().any(leaves) {
        return Ok(None);
    }
    let mut shared = Shared::lock(&node.keyspace.regions, session.db, &pairs);
    let (denied, statuses) = decide(&pairs, &mut [], &mut shared, now)?;
    if denied.is_none() {
        shared.take(rules, &pairs, now);
    }
    drop(shared);
    count(rules, &pairs, denied.is_none(), &statuses, now);
    answer(&pairs, denied, &statuses, reply);
    Ok(Some(denied.is_none()))
}

fn answer(pairs: &[Pair<'_>], denied: Option<usize>, statuses: &[Status], reply: &mut dyn Reply) {
    reply.array(3);
    reply.integer(denied.is_none().into());
    reply.integer(denied.map_or(-1, |at| i64::try_from(at).unwrap_or(i64::MAX)));
    reply.array(pairs.len());
    for (pair, status) in pairs.iter().zip(statuses) {
        let list = listed(pair.judgement).map(|(_, list)| ("list", list));
        answer_with(status, pair.token, list, reply);
    }
}

/// Reads the arguments, and asks what their rules mean.
fn pairs<'a>(
    rules: &Rules,
    board: &Board,
    db: usize,
    argv: Argv<'a>,
    now: u64,
) -> Result<Pairs<'a>, Fault> {
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
    let mut pairs = Pairs::new();
    for (at, pair) in named.chunks_exact(2).enumerate() {
        let cost = costs.get(at).or(costs.first()).map_or(Ok(1), |cost| amount(cost))?;
        let (judgement, is_shared) = rules
            .with(pair[1], now, |known| Ok((known.judge(pair[0], &[], now), known.is_shared())))?;
        let judgement = match judgement {
            Judgement::Shared(rule) if !board.has_room(db, pair[0]) => Judgement::Rule(rule),
            judgement => judgement,
        };
        let pair = Pair { key: pair[0], token: pair[1], cost, judgement, is_shared };
        refuse_slots(&pair.rule())?;
        if pairs.iter().any(|other| pair.undoes(other)) {
            return Err(Fault::new(UNDOES));
        }
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
        let shared = matches!(pair.judgement, Judgement::Shared(_));
        if shared || staged.iter().any(|known| known.key == pair.key) {
            continue;
        }
        let state = view.get(pair.key).map(state_of).transpose()?.unwrap_or_default();
        let (before, after) = (SmallVec::from_slice(state), SmallVec::from_slice(state));
        staged.push(Staged { key: pair.key, before, after, change: Change::Keep });
    }
    Ok(staged)
}

/// Decides pair after pair: which is the first that is refused, and what is said of each.
fn decide<'a>(
    pairs: &[Pair<'a>],
    staged: &mut [Staged<'_>],
    shared: &mut Shared<'_, 'a>,
    now: u64,
) -> Result<(Option<usize>, Statuses), Fault> {
    // What a list turns away asks no limit.
    if let Some(at) = pairs.iter().position(|pair| matches!(pair.judgement, Judgement::Deny(_))) {
        return Ok((Some(at), refused(pairs, staged, shared, None, now)?));
    }
    let mut statuses = Statuses::new();
    for (at, pair) in pairs.iter().enumerate() {
        if let Some((status, _)) = listed(pair.judgement) {
            statuses.push(status);
            continue;
        }
        if matches!(pair.judgement, Judgement::Shared(_)) {
            let status = shared.try_take(pair, now);
            if status[0] == 0 {
                return Ok((Some(at), refused(pairs, staged, shared, Some((at, status)), now)?));
            }
            statuses.push(status);
            continue;
        }
        let Some(key) = staged.iter_mut().find(|staged| staged.key == pair.key) else { continue };
        let decision = with_next(|next| key.take(pair, now, next))?;
        let status = decision.status();
        if !decision.allowed {
            return Ok((Some(at), refused(pairs, staged, shared, Some((at, status)), now)?));
        }
        statuses.push(status);
    }
    Ok((None, statuses))
}

/// What is said of each pair when nothing is taken.
fn refused<'a>(
    pairs: &[Pair<'a>],
    staged: &[Staged<'_>],
    shared: &Shared<'_, 'a>,
    first: Option<(usize, Status)>,
    now: u64,
) -> Result<Statuses, Fault> {
    let mut statuses = Statuses::new();
    for (at, pair) in pairs.iter().enumerate() {
        if let Some((status, _)) = listed(pair.judgement) {
            statuses.push(status);
            continue;
        }
        let alike = |other: &&Pair<'_>| other.key == pair.key && other.rule() == pair.rule();
        let cost = pairs[..=at].iter().filter(alike);
        let cost = cost.fold(0, |sum: u64, pair| sum.saturating_add(pair.cost));
        let told = if matches!(pair.judgement, Judgement::Shared(_)) {
            shared.peek(pair, cost, now)
        } else {
            let state = staged.iter().find(|staged| staged.key == pair.key);
            let state = state.map_or(&[][..], |staged| &staged.before);
            eave_ratelimit::peek(state, &pair.rule(), cost, now).map_err(corrupt)?.status()
        };
        statuses.push(match first {
            // Only what another rule of the same key would have taken stands in its way.
            Some((refused, status)) if refused == at && told[0] == 1 => status,
            _ => told,
        });
    }
    Ok(statuses)
}

/// Counts for every named rule what came of it: nothing where another one was in the way.
fn count(rules: &Rules, pairs: &[Pair<'_>], allowed: bool, statuses: &[Status], now: u64) {
    for (pair, status) in pairs.iter().zip(statuses) {
        if pair.token.starts_with(b"@") && (allowed || status[0] == 0) {
            // It is decided: a name that has gone since has nothing to count.
            let _ = rules.with(pair.token, now, |known| {
                known.count(counted(pair.judgement, status), pair.key, &[], now);
                Ok(())
            });
        }
    }
}
