//! `log`: every admission by itself, so exact to the millisecond, in memory that grows with it.
//!
//! An admission counts from its tick on for one window, and is then forgotten. Nothing is rounded
//! and nothing merged but what came in the same millisecond: what is refused, a list of all
//! admissions would refuse too.
//!
//! Layout: tag, tick of the oldest entry (6 bytes), then numbers of seven bits a byte: how far
//! the newest tick is from the oldest, the total, and the entries from the oldest, each as the
//! milliseconds since the one before it and its amount. One hit takes 11 bytes, and each
//! further one 3 when they are 128 ms to 16 s apart. There are at most [`MAX_LOG_LIMIT`] under a
//! rule, and a settled hold that exceeds it adds to the newest entry beyond twice that many. The bound is
//! 16 + 20000 * 15 bytes; for admissions of 1 under a minute's window it is 13 + 4 * limit.
//!
//! Left out on purpose: larger limits, for which `sliding` errs by at most a sixtieth.

use crate::decision::{Change, Decision, Outcome};
use crate::rule::{Algorithm, MAX_AMOUNT, MAX_LOG_LIMIT, Rule};
use crate::state::{self, MAX_NOW_MS, StateError, TICK_BYTES};

/// The most entries of a state.
const MAX_ENTRIES: usize = 2 * MAX_LOG_LIMIT as usize;

/// The longest number: 64 bits in sevens.
const NUMBER_BYTES: usize = 10;

/// A decoded state, or the part of it that is still in the window.
#[derive(Clone, Copy)]
struct Log<'a> {
    /// Tick from which the first entry's distance counts.
    base: u64,
    newest: u64,
    total: u64,
    /// Oldest first.
    entries: &'a [u8],
}

/// What was admitted in one millisecond.
#[derive(Clone, Copy)]
struct Entry {
    tick: u64,
    amount: u64,
}

impl<'a> Log<'a> {
    const EMPTY: Log<'static> = Log { base: 0, newest: 0, total: 0, entries: &[] };

    fn decode(bytes: &'a [u8]) -> Result<Self, StateError> {
        let (&tag, rest) = bytes.split_first().ok_or(StateError::Length)?;
        if tag != state::tag(Algorithm::Log, 0) {
            return Err(StateError::UnknownFormat(tag));
        }
        let (base, rest) = state::split(rest, TICK_BYTES)?;
        let (span, rest) = number(rest)?;
        let (total, entries) = number(rest)?;
        Ok(Self { base, newest: base.saturating_add(span), total, entries })
    }

    /// The oldest entry, and what is behind it.
    fn first(&self) -> Result<Option<(Entry, &'a [u8])>, StateError> {
        if self.entries.is_empty() {
            return Ok(None);
        }
        let (gap, rest) = number(self.entries)?;
        let (amount, rest) = number(rest)?;
        Ok(Some((Entry { tick: self.base.saturating_add(gap), amount }, rest)))
    }

    /// Drops the oldest entry, which is this one.
    fn drop_first(&mut self, entry: Entry, rest: &'a [u8]) {
        self.base = entry.tick;
        self.total = self.total.saturating_sub(entry.amount);
        self.entries = rest;
    }

    /// Writes the head and the entries, of which the first has `amount`.
    fn encode(&self, next: &mut Vec<u8>, first: Option<u64>) -> Result<(), StateError> {
        next.clear();
        next.push(state::tag(Algorithm::Log, 0));
        let Some((entry, rest)) = self.first()? else {
            return Err(StateError::Length);
        };
        state::append(next, entry.tick, TICK_BYTES);
        append(next, self.newest.saturating_sub(entry.tick));
        append(next, self.total);
        append(next, 0);
        append(next, first.unwrap_or(entry.amount));
        next.extend_from_slice(rest);
        Ok(())
    }
}

/// What a rule sees of a log at one time.
struct Quota<'a> {
    rule: &'a Rule,
    now: u64,
    /// The time that counts: never before the newest admission.
    at: u64,
    log: Log<'a>,
}

impl<'a> Quota<'a> {
    fn new(state: &'a [u8], rule: &'a Rule, now: u64) -> Result<Self, StateError> {
        if state.is_empty() {
            return Ok(Self { rule, now, at: now, log: Log::EMPTY });
        }
        let mut log = Log::decode(state)?;
        let at = now.max(log.newest);
        while let Some((entry, rest)) = log.first()? {
            if entry.tick.saturating_add(rule.window_ms()) > at {
                break;
            }
            log.drop_first(entry, rest);
        }
        if log.entries.is_empty() {
            log = Log::EMPTY;
        }
        Ok(Self { rule, now, at, log })
    }

    fn remaining(&self) -> u64 {
        self.rule.limit().saturating_sub(self.log.total)
    }

    fn end(&self) -> u64 {
        self.log.newest + self.rule.window_ms()
    }

    fn reset_after(&self) -> u64 {
        if self.log.total == 0 { 0 } else { self.end().saturating_sub(self.now) }
    }

    fn fits(&self, cost: u64) -> bool {
        cost == 0 || cost <= self.remaining()
    }

    fn decide(&self, cost: u64) -> Result<Decision, StateError> {
        if self.fits(cost) {
            return Ok(Decision::allowed(self.rule, self.remaining(), self.reset_after()));
        }
        let retry_after = self.retry_after(cost)?;
        Ok(Decision::refused(self.rule, self.remaining(), retry_after, self.reset_after()))
    }

    /// When enough of the oldest entries will have left the window.
    fn retry_after(&self, cost: u64) -> Result<Option<u64>, StateError> {
        let Some(keep) = self.rule.limit().checked_sub(cost) else { return Ok(None) };
        let mut log = self.log;
        while let Some((entry, rest)) = log.first()? {
            log.drop_first(entry, rest);
            if log.total <= keep {
                let leaves = entry.tick.saturating_add(self.rule.window_ms());
                return Ok(Some(leaves.saturating_sub(self.now)));
            }
        }
        Ok(Some(self.reset_after()))
    }

    /// Encodes the log with `cost` (at least 1) admitted at `at`.
    fn admit(&self, cost: u64, next: &mut Vec<u8>) -> Result<(), StateError> {
        let Log { newest, total, entries, .. } = self.log;
        if entries.is_empty() {
            next.clear();
            next.push(state::tag(Algorithm::Log, 0));
            state::append(next, self.at, TICK_BYTES);
            append(next, 0);
            append(next, cost);
            append(next, 0);
            append(next, cost);
            return Ok(());
        }
        Log { newest: self.at, total: total + cost, ..self.log }.encode(next, None)?;
        if self.at > newest && !is_full(entries) {
            append(next, self.at - newest);
            append(next, cost);
            return Ok(());
        }
        self.join(cost, next)
    }

    /// Adds `cost` to the last entry of what was encoded, and moves that to `at`.
    fn join(&self, cost: u64, next: &mut Vec<u8>) -> Result<(), StateError> {
        let amount_at = last_number(next);
        let (amount, _) = number(&next[amount_at..])?;
        next.truncate(amount_at);
        let gap_at = last_number(next);
        let (gap, _) = number(&next[gap_at..])?;
        next.truncate(gap_at);
        append(next, gap.saturating_add(self.at - self.log.newest));
        append(next, amount.saturating_add(cost));
        Ok(())
    }
}

/// Whether there is no room for one more entry. Each is of two numbers, and each number ends
/// with the one byte of it that has no high bit.
fn is_full(entries: &[u8]) -> bool {
    entries.len() / 2 >= MAX_ENTRIES
        && entries.iter().filter(|byte| **byte < 0x80).count() / 2 >= MAX_ENTRIES
}

/// Where the last number of some begins.
fn last_number(bytes: &[u8]) -> usize {
    let body = bytes.len().saturating_sub(1);
    body - bytes[..body].iter().rev().take_while(|byte| **byte >= 0x80).count()
}

/// Splits the first number off.
fn number(bytes: &[u8]) -> Result<(u64, &[u8]), StateError> {
    let mut number = 0u64;
    for (at, &byte) in bytes.iter().enumerate().take(NUMBER_BYTES) {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * at as u32;
        if shift > 57 && bits >> (64 - shift) != 0 {
            break;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Ok((number, &bytes[at + 1..]));
        }
    }
    Err(StateError::Length)
}

fn append(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

pub(crate) fn take(
    state: &[u8],
    rule: &Rule,
    cost: u64,
    now: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    let quota = Quota::new(state, rule, now)?;
    if cost == 0 || !quota.fits(cost) {
        return Ok(Outcome::keep(quota.decide(cost)?));
    }
    charged(&quota, cost, next)
}

/// Takes `amount` whether or not it fits.
pub(crate) fn charge(
    state: &[u8],
    rule: &Rule,
    amount: u64,
    now: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    let quota = Quota::new(state, rule, now)?;
    let room = MAX_AMOUNT.saturating_sub(quota.log.total);
    if room == 0 {
        // As much as a state can say has been used already.
        return Ok(Outcome::keep(quota.decide(0)?));
    }
    charged(&quota, amount.min(room), next)
}

fn charged(quota: &Quota<'_>, cost: u64, next: &mut Vec<u8>) -> Result<Outcome, StateError> {
    quota.admit(cost, next)?;
    let end = quota.at + quota.rule.window_ms();
    let remaining = quota.remaining().saturating_sub(cost);
    Ok(Outcome {
        decision: Decision::allowed(quota.rule, remaining, end - quota.now),
        change: Change::Store { expires_at_ms: end },
    })
}

pub(crate) fn peek(state: &[u8], rule: &Rule, cost: u64, now: u64) -> Result<Decision, StateError> {
    Quota::new(state, rule, now)?.decide(cost)
}

/// Takes `amount` out of the oldest entries, as `sliding` does and for its reason.
pub(crate) fn give(
    state: &[u8],
    rule: &Rule,
    amount: u64,
    now: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    let mut quota = Quota::new(state, rule, now)?;
    if amount == 0 || quota.log.total == 0 {
        return Ok(Outcome::keep(quota.decide(0)?));
    }
    let keep = quota.log.total.saturating_sub(amount);
    while let Some((entry, rest)) = quota.log.first()? {
        if quota.log.total.saturating_sub(entry.amount) < keep {
            break;
        }
        quota.log.drop_first(entry, rest);
    }
    let Some((oldest, _)) = quota.log.first()? else {
        quota.log = Log::EMPTY;
        return Ok(Outcome { decision: quota.decide(0)?, change: Change::Remove });
    };
    let left = oldest.amount.saturating_sub(quota.log.total - keep);
    quota.log.total = keep;
    quota.log.encode(next, Some(left))?;
    Ok(Outcome { decision: quota.decide(0)?, change: Change::Store { expires_at_ms: quota.end() } })
}

/// Amounts of at least 1 that add up, ticks that rise to the newest, none too many, every number
/// in its shortest form.
pub(crate) fn validate(state: &[u8]) -> Result<(), StateError> {
    let mut log = Log::decode(state)?;
    let (newest, total, base) = (log.newest, log.total, log.base);
    let (mut sum, mut count, mut tick) = (0u64, 0, None);
    let mut again = Vec::with_capacity(state.len());
    again.extend_from_slice(&state[..1 + TICK_BYTES]);
    append(&mut again, newest - base);
    append(&mut again, total);
    while let Some((entry, rest)) = log.first()? {
        if entry.amount == 0 || tick.map_or(entry.tick != base, |tick| entry.tick <= tick) {
            return Err(StateError::Inconsistent("entries must be in order and not empty"));
        }
        append(&mut again, entry.tick - tick.unwrap_or(base));
        append(&mut again, entry.amount);
        sum = sum.checked_add(entry.amount).ok_or(StateError::Inconsistent("count too large"))?;
        (tick, count) = (Some(entry.tick), count + 1);
        log.drop_first(entry, rest);
    }
    if tick != Some(newest) || newest > MAX_NOW_MS {
        return Err(StateError::Inconsistent("the newest tick has no entry"));
    }
    if sum != total || sum > MAX_AMOUNT || count > MAX_ENTRIES {
        return Err(StateError::Inconsistent("total is not the sum of the entries"));
    }
    if again == state {
        Ok(())
    } else {
        Err(StateError::Inconsistent("number not in its shortest form"))
    }
}
