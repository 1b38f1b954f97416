//! One identifier under test, and arrivals that look for its weak spots.

#![allow(dead_code, reason = "every test binary uses a part of it")]

use eave_ratelimit::{
    Change, Decision, Hold, Outcome, Rule, give, hold, peek, settle, take, validate,
};
use proptest::prelude::*;

/// A key of a store: the state, replaced as the changes say, never expired.
#[derive(Clone, Default)]
pub(crate) struct Key {
    pub(crate) state: Vec<u8>,
    pub(crate) expires_at_ms: u64,
    next: Vec<u8>,
}

impl Key {
    pub(crate) fn take(&mut self, rule: &Rule, cost: u64, now: u64) -> Decision {
        let untouched = vec![0xEE; 3];
        self.next.clone_from(&untouched);
        let outcome = take(&self.state, rule, cost, now, &mut self.next).expect("own state");
        if !outcome.decision.allowed || cost == 0 {
            assert_eq!(outcome.change, Change::Keep, "only an admission changes a state");
            assert_eq!(self.next, untouched);
        }
        self.apply(outcome, now)
    }

    pub(crate) fn give(&mut self, rule: &Rule, amount: u64, now: u64) -> Decision {
        let outcome = give(&self.state, rule, amount, now, &mut self.next).expect("own state");
        self.apply(outcome, now)
    }

    pub(crate) fn peek(&self, rule: &Rule, cost: u64, now: u64) -> Decision {
        peek(&self.state, rule, cost, now).expect("own state")
    }

    pub(crate) fn hold(&mut self, rule: &Rule, asked: &Hold<'_>, now: u64) -> Decision {
        let outcome = hold(&self.state, rule, asked, now, &mut self.next).expect("own state");
        assert_eq!(outcome.decision.allowed, outcome.change != Change::Keep);
        self.apply(outcome, now)
    }

    pub(crate) fn settle(
        &mut self,
        rule: &Rule,
        id: &[u8],
        actual: u64,
        now: u64,
    ) -> Option<Decision> {
        let outcome = settle(&self.state, rule, id, actual, now, &mut self.next).expect("own");
        outcome.map(|outcome| self.apply(outcome, now))
    }

    fn apply(&mut self, outcome: Outcome, now: u64) -> Decision {
        match outcome.change {
            Change::Keep => {}
            Change::Remove => {
                assert_eq!(outcome.decision.reset_after_ms, 0);
                self.state.clear();
            }
            Change::Store { expires_at_ms } => {
                assert_eq!(validate(&self.next), Ok(()), "{:x?}", self.next);
                assert_eq!(expires_at_ms, now + outcome.decision.reset_after_ms as u64);
                assert!(expires_at_ms > now);
                self.state.clone_from(&self.next);
                self.expires_at_ms = expires_at_ms;
            }
        }
        outcome.decision
    }
}

/// What was admitted when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission {
    pub(crate) at: u64,
    pub(crate) cost: u64,
}

/// Sum of the costs admitted in `(end - window, end]`.
pub(crate) fn admitted(log: &[Admission], end: u64, window: u64) -> u64 {
    let inside = |a: &&Admission| a.at <= end && a.at + window > end;
    log.iter().filter(inside).map(|a| a.cost).sum()
}

/// The most admitted in any window. Windows that end at an admission suffice.
pub(crate) fn most_in_any_window(log: &[Admission], window: u64) -> u64 {
    log.iter().map(|last| admitted(log, last.at, window)).max().unwrap_or(0)
}

/// One call: milliseconds since the previous one, and its cost.
pub(crate) type Arrival = (u64, u64);

/// Windows around every special case: exact ones, one span more or less, the
/// widths of a tick.
pub(crate) fn windows() -> impl Strategy<Value = u64> {
    prop_oneof![1..=130u64, 130..=5_000u64, Just(60_000), 65_530..=65_540u64, Just(86_400_000)]
}

/// Arrivals for a window: packed, steady, at span edges, at window edges.
pub(crate) fn arrivals(window: u64) -> impl Strategy<Value = Vec<Arrival>> {
    let span = window.div_ceil(60);
    let gap = prop_oneof![
        4 => Just(0u64),
        4 => 0..=span,
        2 => span.saturating_sub(1)..=span + 1,
        2 => 0..=window / 4,
        1 => window.saturating_sub(span + 1)..=window + span + 1,
        1 => 0..=3 * window,
    ];
    let cost = prop_oneof![6 => Just(1u64), 3 => 0..=5u64, 1 => 0..=60u64];
    prop::collection::vec((gap, cost), 1..200)
}

/// splitmix64, so that a seed gives the same run everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// In `(0, 1]`.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}
