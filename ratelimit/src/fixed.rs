//! `fixed`: epoch-aligned windows, each with the full limit.
//!
//! The window that contains `t` is `[k * window, (k + 1) * window)` with
//! `k = floor(t / window)`. Across an edge up to twice the limit can pass in
//! less than a window; that is what fixed windows are.
//!
//! A state is the tick of the newest admission and the count of its window: 8
//! to 15 bytes (tag with the count's width, tick in 6 bytes, count in the
//! fewest of 1, 2, 4, 8). The tick tells the window under any rule, so a rule
//! may change its window: what was admitted in the window that now contains
//! the newest admission counts in full.
//!
//! Windows of months and years are those of the calendar (`calendar`), of any length then.
//!
//! Left out on purpose: windows aligned to the first admission.

use crate::decision::{Change, Decision, Outcome};
use crate::rule::{Algorithm, MAX_AMOUNT, Rule};
use crate::state::{self, StateError, TICK_BYTES};

const COUNT_WIDTHS: [usize; 4] = [1, 2, 4, 8];

/// What a rule sees of a state at one time.
struct Quota<'a> {
    rule: &'a Rule,
    now: u64,
    /// The time that counts: never before the newest admission.
    at: u64,
    /// First tick of the window after the one that contains `at`.
    end: u64,
    /// Admitted in the window that contains `at`.
    count: u64,
}

impl<'a> Quota<'a> {
    fn new(state: &[u8], rule: &'a Rule, now: u64) -> Result<Self, StateError> {
        if state.is_empty() {
            return Ok(Self { rule, now, at: now, end: rule.span(now).1, count: 0 });
        }
        let (newest, count) = decode(state)?;
        let at = now.max(newest);
        let (start, end) = rule.span(at);
        Ok(Self { rule, now, at, end, count: if newest >= start { count } else { 0 } })
    }

    fn remaining(&self) -> u64 {
        self.rule.limit().saturating_sub(self.count)
    }

    fn fits(&self, cost: u64) -> bool {
        cost == 0 || cost <= self.remaining()
    }

    fn decide(&self, cost: u64) -> Decision {
        let wait = self.end - self.now;
        let reset_after = if self.count == 0 { 0 } else { wait };
        if self.fits(cost) {
            return Decision::allowed(self.rule, self.remaining(), reset_after);
        }
        let retry_after = (cost <= self.rule.limit()).then_some(wait);
        Decision::refused(self.rule, self.remaining(), retry_after, reset_after)
    }

    fn store(&self, newest: u64, next: &mut Vec<u8>) -> Outcome {
        encode(newest, self.count, next);
        let change = Change::Store { expires_at_ms: self.end };
        Outcome { decision: self.decide(0), change }
    }
}

fn decode(bytes: &[u8]) -> Result<(u64, u64), StateError> {
    let (&tag, rest) = bytes.split_first().ok_or(StateError::Length)?;
    let code = tag & 0xf;
    let width = *COUNT_WIDTHS.get(usize::from(code)).ok_or(StateError::UnknownFormat(tag))?;
    let (newest, rest) = state::split(rest, TICK_BYTES)?;
    let (count, rest) = state::split(rest, width)?;
    if rest.is_empty() { Ok((newest, count)) } else { Err(StateError::Length) }
}

fn encode(newest: u64, count: u64, next: &mut Vec<u8>) {
    let code = state::count_code(count);
    next.clear();
    next.push(state::tag(Algorithm::Fixed, code));
    state::append(next, newest, TICK_BYTES);
    state::append(next, count, COUNT_WIDTHS[usize::from(code)]);
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
    quota.count += cost;
    Ok(quota.store(quota.at, next))
}

/// Counts `amount` whether or not it fits.
pub(crate) fn charge(
    state: &[u8],
    rule: &Rule,
    amount: u64,
    now: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    let mut quota = Quota::new(state, rule, now)?;
    quota.count = quota.count.saturating_add(amount).min(MAX_AMOUNT);
    Ok(quota.store(quota.at, next))
}

pub(crate) fn peek(state: &[u8], rule: &Rule, cost: u64, now: u64) -> Result<Decision, StateError> {
    Ok(Quota::new(state, rule, now)?.decide(cost))
}

/// Gives back within the current window; what an earlier one counted is over.
pub(crate) fn give(
    state: &[u8],
    rule: &Rule,
    amount: u64,
    now: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    let mut quota = Quota::new(state, rule, now)?;
    if amount == 0 || quota.count == 0 {
        return Ok(Outcome::keep(quota.decide(0)));
    }
    quota.count = quota.count.saturating_sub(amount);
    if quota.count == 0 {
        return Ok(Outcome { decision: quota.decide(0), change: Change::Remove });
    }
    let (newest, _) = decode(state)?;
    Ok(quota.store(newest, next))
}

/// A count of at least 1, in its shortest form.
pub(crate) fn validate(state: &[u8]) -> Result<(), StateError> {
    let (newest, count) = decode(state)?;
    if !(1..=MAX_AMOUNT).contains(&count) {
        return Err(StateError::Inconsistent("count out of range"));
    }
    let mut again = Vec::with_capacity(state.len());
    encode(newest, count, &mut again);
    if again == state {
        Ok(())
    } else {
        Err(StateError::Inconsistent("count not in its shortest form"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A quota a month: January 2026 ends, and with it what was used in it.
    #[test]
    fn a_month_is_as_long_as_it_is() {
        let rule = Rule::parse(b"3/1mo").expect("a rule");
        let (last_of_january, february, march) =
            (1_769_903_999_000, 1_769_904_000_000, 1_772_323_200_000);
        let mut state = Vec::new();
        let mut step = |cost, now| {
            let mut next = Vec::new();
            let outcome = take(&state, &rule, cost, now, &mut next).expect("own state");
            if let Change::Store { expires_at_ms } = outcome.change {
                state = next;
                assert_eq!(validate(&state), Ok(()));
                return (outcome.decision.status(), Some(expires_at_ms));
            }
            (outcome.decision.status(), None)
        };
        assert_eq!(step(2, last_of_january), ([1, 3, 1, 0, 1000], Some(february)));
        assert_eq!(step(2, last_of_january), ([0, 3, 1, 1000, 1000], None));
        assert_eq!(step(4, last_of_january), ([0, 3, 1, -1, 1000], None));
        let whole = (march - february) as i64;
        assert_eq!(step(2, february), ([1, 3, 1, 0, whole], Some(march)));
        // A clock that steps back is still in February.
        assert_eq!(step(2, last_of_january), ([0, 3, 1, whole + 1000, whole + 1000], None));
    }
}
