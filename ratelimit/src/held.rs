//! Holds: quota that is set aside under an id until a time, and `conc`, which is nothing else.
//!
//! A hold reserves an amount. Until it is settled or its time is over, that much less can be
//! taken; what was really used is charged when it is settled, and nothing is charged when it is
//! not. A hold whose time is over does not count, whether or not anybody has removed it, so a
//! client that dies leaks nothing. Under `conc` holds are all there is: `20/conc` has twenty
//! slots, and a slot that is let go is free at once.
//!
//! A state with holds is a shell around the state that the algorithm has without them:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | tag `0x50` |
//! | 4 | bytes of all holds |
//! | 16 + id + label a hold | time (6), amount (8), two lengths (1 each), id, label; by time |
//! | rest | the state without holds; empty under `conc` |
//!
//! A key has at most [`MAX_HOLDS`] of them at once, an id at most [`MAX_ID_BYTES`], a label
//! at most 255 bytes: 21 + 16 bytes for one with an id of 16, some 370 KB at the very most.
//!
//! Left out on purpose: what the label says (the server keeps the text of the rule there), and
//! a queue of those who wait.

use crate::decision::{Change, Decision, Outcome};
use crate::rule::{Algorithm, MAX_AMOUNT, MAX_WINDOW_MS, Rule};
use crate::state::{self, MAX_NOW_MS, StateError, TICK_BYTES};

/// The most holds that one state has at once, and the largest limit under `conc`.
pub const MAX_HOLDS: usize = 1024;

/// The longest id of a hold.
pub const MAX_ID_BYTES: usize = 64;

/// The longest label of a hold.
pub const MAX_LABEL_BYTES: usize = u8::MAX as usize;

/// Bytes of the tag and of the length of all holds.
const HEAD_BYTES: usize = 5;
const AMOUNT_BYTES: usize = 8;
/// Bytes of a hold besides its id and its label.
const HOLD_BYTES: usize = TICK_BYTES + AMOUNT_BYTES + 2;

/// A hold, as it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Hold<'a> {
    /// What it is called; a hold of that name which is there already is replaced.
    pub id: &'a [u8],
    /// What the caller wants to find with it.
    pub label: &'a [u8],
    /// How much it reserves.
    pub amount: u64,
    /// How long, in milliseconds; at most [`MAX_WINDOW_MS`] counts.
    pub ttl_ms: u64,
}

/// A hold, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held<'a> {
    /// What it is called.
    pub id: &'a [u8],
    /// What was kept with it.
    pub label: &'a [u8],
    /// How much it reserves.
    pub amount: u64,
    /// When it is over.
    pub expires_at_ms: u64,
}

/// A state taken apart: the holds that count at a time, and the rest.
struct Book<'a> {
    rule: &'a Rule,
    now: u64,
    /// Those whose time is not over, the next to be over first.
    holds: Vec<Held<'a>>,
    /// The state without holds.
    inner: &'a [u8],
}

impl<'a> Book<'a> {
    fn open(state: &'a [u8], rule: &'a Rule, now: u64) -> Result<Self, StateError> {
        let (holds, inner) = split(state)?;
        let inner = state::of_algorithm(inner, rule.algorithm())?;
        let holds =
            read(holds).filter(|held| held.as_ref().map_or(true, |h| h.expires_at_ms > now));
        let holds = holds.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { rule, now, holds, inner })
    }

    fn reserved(&self) -> u64 {
        self.holds.iter().fold(0, |sum, held| held.amount.saturating_add(sum))
    }

    /// What the state without holds says of a cost.
    fn ask(&self, cost: u64) -> Result<Decision, StateError> {
        crate::peek_plain(self.inner, self.rule, cost, self.now)
    }

    fn fits(&self, cost: u64) -> Result<bool, StateError> {
        Ok(cost == 0 || self.ask(cost.saturating_add(self.reserved()))?.allowed)
    }

    fn decide(&self, cost: u64) -> Result<Decision, StateError> {
        let plain = self.ask(0)?;
        let reserved = i64::try_from(self.reserved()).unwrap_or(i64::MAX);
        let last = self.holds.last().map_or(0, |held| held.expires_at_ms - self.now);
        let allowed = self.fits(cost)?;
        let retry_after = if allowed { Some(0) } else { self.retry_after(cost)? };
        Ok(Decision {
            allowed,
            remaining: plain.remaining.saturating_sub(reserved).max(0),
            retry_after_ms: retry_after.map_or(-1, |wait| i64::try_from(wait).unwrap_or(i64::MAX)),
            reset_after_ms: plain.reset_after_ms.max(i64::try_from(last).unwrap_or(i64::MAX)),
            limit: plain.limit,
        })
    }

    /// Between the ends of two holds what is reserved stays the same, so the rest of the state
    /// knows when the cost fits with that; if it is not before the next end, less is reserved. The
    /// less is reserved the sooner it fits, so the first such time is found by halving: a long
    /// `log` is not walked for each of a thousand holds.
    fn retry_after(&self, cost: u64) -> Result<Option<u64>, StateError> {
        let end = |at: usize| self.holds.get(at).map_or(u64::MAX, |held| held.expires_at_ms);
        // What is reserved once so many holds are over.
        let mut reserved = vec![0; self.holds.len() + 1];
        for (at, held) in self.holds.iter().enumerate().rev() {
            reserved[at] = held.amount.saturating_add(reserved[at + 1]);
        }
        let fits_at = |at: usize| -> Result<Option<u64>, StateError> {
            let asked = self.ask(cost.saturating_add(reserved[at]))?;
            let wait = u64::try_from(asked.retry_after_ms).ok();
            Ok(wait.map(|wait| self.now.saturating_add(wait)).filter(|time| *time < end(at)))
        };
        let (mut low, mut high) = (0, self.holds.len());
        while low < high {
            let middle = low.midpoint(high);
            match fits_at(middle)? {
                Some(_) => high = middle,
                None => low = middle + 1,
            }
        }
        let from = low.checked_sub(1).map_or(self.now, end);
        Ok(fits_at(low)?.map(|time| time.max(from) - self.now))
    }

    /// Takes a hold out of the book.
    fn remove(&mut self, id: &[u8]) -> Option<Held<'a>> {
        let at = self.holds.iter().position(|held| held.id == id)?;
        Some(self.holds.remove(at))
    }

    /// Puts the holds around the new rest of the state, which stands in `next`.
    fn close(&self, next: &mut Vec<u8>) -> Result<Outcome, StateError> {
        let now = Book { holds: self.holds.clone(), inner: next, ..*self };
        let decision = now.decide(0)?;
        if decision.reset_after_ms == 0 {
            return Ok(Outcome { decision, change: Change::Remove });
        }
        if !self.holds.is_empty() {
            next.splice(0..0, write(&self.holds));
        }
        let reset_after = u64::try_from(decision.reset_after_ms).unwrap_or(0);
        let change = Change::Store { expires_at_ms: self.now.saturating_add(reset_after) };
        Ok(Outcome { decision, change })
    }
}

/// The bytes of the holds, and the state without them.
fn split(state: &[u8]) -> Result<(&[u8], &[u8]), StateError> {
    if !is_held(state) {
        return Ok((&[], state));
    }
    if state[0] != state::tag(Algorithm::Conc, 0) {
        return Err(StateError::UnknownFormat(state[0]));
    }
    let (length, rest) = state::split(&state[1..], HEAD_BYTES - 1)?;
    let length = usize::try_from(length).map_err(|_| StateError::Length)?;
    let (holds, inner) = rest.split_at_checked(length).ok_or(StateError::Length)?;
    if is_held(inner) {
        return Err(StateError::Inconsistent("holds within holds"));
    }
    Ok((holds, inner))
}

/// Reads holds one after the other; an error ends it.
fn read(mut bytes: &[u8]) -> impl Iterator<Item = Result<Held<'_>, StateError>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let read = read_one(bytes);
        bytes = read.map_or(&[], |(_, rest)| rest);
        Some(read.map(|(held, _)| held))
    })
}

fn read_one(bytes: &[u8]) -> Result<(Held<'_>, &[u8]), StateError> {
    let (expires_at_ms, rest) = state::split(bytes, TICK_BYTES)?;
    let (amount, rest) = state::split(rest, AMOUNT_BYTES)?;
    let (id, rest) = state::split(rest, 1)?;
    let (label, rest) = state::split(rest, 1)?;
    let (id, rest) = rest.split_at_checked(id as usize).ok_or(StateError::Length)?;
    let (label, rest) = rest.split_at_checked(label as usize).ok_or(StateError::Length)?;
    Ok((Held { id, label, amount, expires_at_ms }, rest))
}

/// Tag, length and holds.
fn write(holds: &[Held<'_>]) -> Vec<u8> {
    let length: usize = holds.iter().map(|h| HOLD_BYTES + h.id.len() + h.label.len()).sum();
    let mut bytes = Vec::with_capacity(HEAD_BYTES + length);
    bytes.push(state::tag(Algorithm::Conc, 0));
    state::append(&mut bytes, length as u64, HEAD_BYTES - 1);
    for held in holds {
        state::append(&mut bytes, held.expires_at_ms, TICK_BYTES);
        state::append(&mut bytes, held.amount, AMOUNT_BYTES);
        state::append(&mut bytes, held.id.len() as u64, 1);
        state::append(&mut bytes, held.label.len() as u64, 1);
        bytes.extend_from_slice(held.id);
        bytes.extend_from_slice(held.label);
    }
    bytes
}

/// Whether a state has holds.
#[inline]
pub(crate) fn is_held(state: &[u8]) -> bool {
    state.first().is_some_and(|tag| tag >> 4 == state::tag(Algorithm::Conc, 0) >> 4)
}

#[cold]
pub(crate) fn take(
    state: &[u8],
    rule: &Rule,
    cost: u64,
    now: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    let book = Book::open(state, rule, now)?;
    // What nobody lets go again would be a slot that is lost: `conc` is held.
    if cost == 0 || rule.algorithm() == Algorithm::Conc || !book.fits(cost)? {
        let mut decision = book.decide(cost)?;
        if cost > 0 && rule.algorithm() == Algorithm::Conc {
            (decision.allowed, decision.retry_after_ms) = (false, -1);
        }
        return Ok(Outcome::keep(decision));
    }
    crate::take_plain(book.inner, rule, cost, now, next)?;
    book.close(next)
}

#[cold]
pub(crate) fn peek(state: &[u8], rule: &Rule, cost: u64, now: u64) -> Result<Decision, StateError> {
    Book::open(state, rule, now)?.decide(cost)
}

#[cold]
pub(crate) fn give(
    state: &[u8],
    rule: &Rule,
    amount: u64,
    now: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    let book = Book::open(state, rule, now)?;
    if rule.algorithm() == Algorithm::Conc {
        return Ok(Outcome::keep(book.decide(0)?));
    }
    match crate::give_plain(book.inner, rule, amount, now, next)?.change {
        Change::Keep => return Ok(Outcome::keep(book.decide(0)?)),
        Change::Remove => next.clear(),
        Change::Store { .. } => {}
    }
    book.close(next)
}

/// Reserves an amount, or refuses and reserves nothing.
///
/// An amount of 0 reserves nothing and is allowed. A hold of the same id is replaced, as if it
/// had been released before; a refusal leaves it as it was.
///
/// # Errors
/// [`StateError`] if `state` is not something that this crate wrote, [`StateError::Full`] if
/// there are [`MAX_HOLDS`] already, and [`StateError::Name`] if an id or a label is too long.
pub fn hold(
    state: &[u8],
    rule: &Rule,
    hold: &Hold<'_>,
    now_ms: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    let now = now_ms.min(MAX_NOW_MS);
    if !(1..=MAX_ID_BYTES).contains(&hold.id.len()) || hold.label.len() > MAX_LABEL_BYTES {
        return Err(StateError::Name);
    }
    let mut book = Book::open(state, rule, now)?;
    book.remove(hold.id);
    let expires_at_ms = now.saturating_add(hold.ttl_ms.min(MAX_WINDOW_MS)).min(MAX_NOW_MS);
    if hold.amount == 0 || expires_at_ms <= now || !book.fits(hold.amount)? {
        let mut decision = book.decide(hold.amount)?;
        if hold.amount > 0 && decision.allowed {
            // A hold of no time, or at the end of time, would never have been there.
            (decision.allowed, decision.retry_after_ms) = (false, -1);
        }
        return Ok(Outcome::keep(decision));
    }
    if book.holds.len() >= MAX_HOLDS {
        return Err(StateError::Full);
    }
    let at = book.holds.partition_point(|held| held.expires_at_ms <= expires_at_ms);
    let Hold { id, label, amount, .. } = *hold;
    book.holds.insert(at, Held { id, label, amount, expires_at_ms });
    next.clear();
    next.extend_from_slice(book.inner);
    book.close(next)
}

/// The hold of that id, unless its time is over.
///
/// # Errors
/// [`StateError`] if `state` is not something that this crate wrote.
pub fn find_hold<'a>(
    state: &'a [u8],
    id: &[u8],
    now_ms: u64,
) -> Result<Option<Held<'a>>, StateError> {
    let now = now_ms.min(MAX_NOW_MS);
    let (holds, _) = split(state)?;
    for held in read(holds) {
        let held = held?;
        if held.id == id && held.expires_at_ms > now {
            return Ok(Some(held));
        }
    }
    Ok(None)
}

/// Ends a hold and charges what was used: nothing, less than was reserved, or more, even
/// beyond the limit. Under `conc` it lets the slot go, whatever was used. `None` if there is
/// no such hold, or its time is over.
///
/// # Errors
/// [`StateError`] if `state` is not something that this crate wrote.
pub fn settle(
    state: &[u8],
    rule: &Rule,
    id: &[u8],
    actual: u64,
    now_ms: u64,
    next: &mut Vec<u8>,
) -> Result<Option<Outcome>, StateError> {
    let now = now_ms.min(MAX_NOW_MS);
    let mut book = Book::open(state, rule, now)?;
    if book.remove(id).is_none() {
        return Ok(None);
    }
    let charged = match actual {
        0 => Change::Keep,
        _ => crate::charge_plain(book.inner, rule, actual, now, next)?.change,
    };
    if charged == Change::Keep {
        next.clear();
        next.extend_from_slice(book.inner);
    }
    book.close(next).map(Some)
}

/// What `conc` is without its holds: all slots are free.
pub(crate) fn peek_free(rule: &Rule, cost: u64) -> Decision {
    if cost <= rule.limit() {
        Decision::allowed(rule, rule.limit(), 0)
    } else {
        Decision::refused(rule, rule.limit(), None, 0)
    }
}

/// Holds in order, each with an id of its own, none too many; and what they stand around.
pub(crate) fn validate(state: &[u8]) -> Result<(), StateError> {
    let (holds, inner) = split(state)?;
    let holds = read(holds).collect::<Result<Vec<_>, _>>()?;
    if holds.is_empty() || holds.len() > MAX_HOLDS {
        return Err(StateError::Inconsistent("number of holds out of range"));
    }
    if !holds.is_sorted_by_key(|held| held.expires_at_ms) {
        return Err(StateError::Inconsistent("holds must be in order"));
    }
    for held in &holds {
        if !(1..=MAX_ID_BYTES).contains(&held.id.len()) || !(1..=MAX_AMOUNT).contains(&held.amount)
        {
            return Err(StateError::Inconsistent("hold out of range"));
        }
    }
    let mut ids: Vec<&[u8]> = holds.iter().map(|held| held.id).collect();
    ids.sort_unstable();
    if ids.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(StateError::Inconsistent("two holds of one id"));
    }
    state::validate(inner)
}
