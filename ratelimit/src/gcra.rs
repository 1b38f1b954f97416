//! `gcra`: smooth, never more than `burst + rate * t` in any span of `t`.
//!
//! The generic cell rate algorithm keeps one number, the theoretical arrival
//! time (TAT): when everything admitted so far would have come in at the steady
//! rate. One unit moves it by `window / limit`; a call fits if the TAT stays
//! within `burst` units of now. `TAT - now` is the debt, so this is a bucket of
//! `burst` that refills continuously.
//!
//! All arithmetic is in whole parts of `1 / limit` ms, where one unit is
//! exactly `window` parts: nothing is rounded and nothing drifts. The largest
//! debt is 2^54 ms * 2^63 and the largest cost 2^64 * 2^39, so 128 bits hold
//! every sum.
//!
//! A state is the TAT: 9 bytes if it is a whole millisecond, else 11, 13, 17 or
//! 25 by the size of the limit (tag with that width, whole milliseconds in 8
//! bytes, then the fraction and its denominator, which was the limit). Under a
//! rule with another limit the fraction is converted, rounded up.
//!
//! Left out on purpose: sub-millisecond clocks, and storing tokens instead of a
//! time, which would have to be brought up to date before every reading.

use crate::decision::{Change, Decision, Outcome};
use crate::rule::{Algorithm, MAX_AMOUNT, MAX_REFILL_MS, Rule};
use crate::state::{self, MAX_NOW_MS, StateError};

/// The latest TAT that any rule can lead to.
const MAX_TAT_MS: u64 = MAX_NOW_MS + MAX_REFILL_MS;

const TAT_BYTES: usize = 8;
const FRACTION_WIDTHS: [usize; 5] = [0, 1, 2, 4, 8];

/// A theoretical arrival time of `ms + parts / limit` milliseconds.
#[derive(Clone, Copy)]
struct Arrival {
    ms: u64,
    /// Below `limit`, and 0 if that is unknown.
    parts: u64,
    limit: u64,
}

impl Arrival {
    fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let (&tag, rest) = bytes.split_first().ok_or(StateError::Length)?;
        let code = usize::from(tag & 0xf);
        let width = *FRACTION_WIDTHS.get(code).ok_or(StateError::UnknownFormat(tag))?;
        let (ms, rest) = state::split(rest, TAT_BYTES)?;
        let (parts, rest) = state::split(rest, width)?;
        let (limit, rest) = state::split(rest, width)?;
        if !rest.is_empty() {
            return Err(StateError::Length);
        }
        if ms > MAX_TAT_MS {
            return Err(StateError::Inconsistent("arrival time out of range"));
        }
        if width > 0 && !(parts < limit && limit <= MAX_AMOUNT) {
            return Err(StateError::Inconsistent("fraction out of range"));
        }
        Ok(Self { ms, parts, limit })
    }

    fn encode(self, next: &mut Vec<u8>) {
        let code = if self.parts == 0 { 0 } else { state::count_code(self.limit) + 1 };
        let width = FRACTION_WIDTHS[usize::from(code)];
        next.clear();
        next.push(state::tag(Algorithm::Gcra, code));
        state::append(next, self.ms, TAT_BYTES);
        if width > 0 {
            state::append(next, self.parts, width);
            state::append(next, self.limit, width);
        }
    }

    /// The fraction in parts of `1 / limit`, rounded up, so up to `limit`.
    fn parts_of(self, limit: u64) -> u64 {
        if self.parts == 0 || self.limit == limit {
            return self.parts;
        }
        div_ceil(u128::from(self.parts) * u128::from(limit), self.limit)
    }
}

/// What a rule sees of a state at one time, in parts of `1 / limit` ms.
struct Quota<'a> {
    rule: &'a Rule,
    now: u64,
    /// How far the TAT is ahead of now.
    debt: u128,
    /// How far it may be.
    capacity: u128,
}

impl<'a> Quota<'a> {
    fn new(state: &[u8], rule: &'a Rule, now: u64) -> Result<Self, StateError> {
        let capacity = u128::from(rule.burst()) * u128::from(rule.window_ms());
        let mut debt = 0;
        if !state.is_empty() {
            let arrival = Arrival::decode(state)?;
            if let Some(ahead) = arrival.ms.checked_sub(now) {
                let parts = arrival.parts_of(rule.limit());
                debt = u128::from(ahead) * u128::from(rule.limit()) + u128::from(parts);
            }
        }
        Ok(Self { rule, now, debt, capacity })
    }

    /// What `units` cost, in parts.
    fn price(&self, units: u64) -> u128 {
        u128::from(units) * u128::from(self.rule.window_ms())
    }

    fn remaining(&self) -> u64 {
        // At most the burst.
        div_rem(self.capacity.saturating_sub(self.debt), self.rule.window_ms()).0
    }

    /// Milliseconds until `parts` have passed, rounded up.
    fn wait(&self, parts: u128) -> u64 {
        div_ceil(parts, self.rule.limit())
    }

    fn fits(&self, cost: u64) -> bool {
        cost == 0 || self.debt + self.price(cost) <= self.capacity
    }

    fn decide(&self, cost: u64) -> Decision {
        let reset_after = self.wait(self.debt);
        if self.fits(cost) {
            return Decision::allowed(self.rule, self.remaining(), reset_after);
        }
        let retry_after = (cost <= self.rule.burst())
            .then(|| self.wait(self.debt + self.price(cost) - self.capacity));
        Decision::refused(self.rule, self.remaining(), retry_after, reset_after)
    }

    fn store(&self, next: &mut Vec<u8>) -> Outcome {
        let limit = self.rule.limit();
        let (ahead, parts) = div_rem(self.debt, limit);
        Arrival { ms: self.now + ahead, parts, limit }.encode(next);
        let reset_after = ahead + u64::from(parts > 0);
        Outcome {
            decision: Decision::allowed(self.rule, self.remaining(), reset_after),
            change: Change::Store { expires_at_ms: self.now + reset_after },
        }
    }
}

pub(crate) fn take(
    state: &[u8],
    rule: &Rule,
    cost: u64,
    now: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    let mut quota = Quota::new(state, rule, now)?;
    if cost == 0 || !quota.fits(cost) {
        return Ok(Outcome::keep(quota.decide(cost)));
    }
    quota.debt += quota.price(cost);
    Ok(quota.store(next))
}

/// Moves the TAT by `amount` whether or not it fits, as far as a TAT can be.
pub(crate) fn charge(
    state: &[u8],
    rule: &Rule,
    amount: u64,
    now: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    let mut quota = Quota::new(state, rule, now)?;
    let most = u128::from(MAX_TAT_MS - now) * u128::from(rule.limit());
    quota.debt = (quota.debt + quota.price(amount)).min(most);
    Ok(quota.store(next))
}

pub(crate) fn peek(state: &[u8], rule: &Rule, cost: u64, now: u64) -> Result<Decision, StateError> {
    Ok(Quota::new(state, rule, now)?.decide(cost))
}

/// Moves the TAT back, at most to now.
pub(crate) fn give(
    state: &[u8],
    rule: &Rule,
    amount: u64,
    now: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    let mut quota = Quota::new(state, rule, now)?;
    if amount == 0 || quota.debt == 0 {
        return Ok(Outcome::keep(quota.decide(0)));
    }
    quota.debt = quota.debt.saturating_sub(quota.price(amount));
    if quota.debt == 0 {
        return Ok(Outcome { decision: quota.decide(0), change: Change::Remove });
    }
    Ok(quota.store(next))
}

/// Times and fractions in range, in their shortest form.
pub(crate) fn validate(state: &[u8]) -> Result<(), StateError> {
    let mut again = Vec::with_capacity(state.len());
    Arrival::decode(state)?.encode(&mut again);
    if again == state {
        Ok(())
    } else {
        Err(StateError::Inconsistent("fraction not in its shortest form"))
    }
}

/// Quotient and remainder. The quotient saturates; every caller's fits. Most
/// dividends fit 64 bits, where the division is many times faster.
#[inline]
fn div_rem(dividend: u128, divisor: u64) -> (u64, u64) {
    match u64::try_from(dividend) {
        Ok(small) => (small / divisor, small % divisor),
        Err(_) => {
            let wide = u128::from(divisor);
            let quotient = u64::try_from(dividend / wide).unwrap_or(u64::MAX);
            (quotient, (dividend % wide) as u64)
        }
    }
}

#[inline]
fn div_ceil(dividend: u128, divisor: u64) -> u64 {
    let (quotient, remainder) = div_rem(dividend, divisor);
    quotient.saturating_add(u64::from(remainder > 0))
}
