//! Rate limits as pure functions of stored bytes, a rule, a cost and the time.
//!
//! A caller keeps one byte string an identifier (the *state*; empty means
//! absent) and asks [`take`], [`peek`] or [`give`]. The answer is a
//! [`Decision`] for the client and a [`Change`] for the store. Nothing here
//! reads a clock, allocates (except when `next` grows) or fails on any number:
//! what a rule, a cost or a time may be is bounded where it enters, and inside
//! those bounds no sum or product can overflow.
//!
//! What holds, for every sequence of calls on one state:
//!
//! - **sliding** never admits more than `limit` in any `window` consecutive
//!   milliseconds. **gcra** never admits more than `burst + rate * t` in any
//!   span of `t`. **fixed** never admits more than `limit` in one epoch-aligned
//!   window, hence at most twice that across an edge. **log** is the exact form
//!   of sliding. **conc** never has more than `limit` holds at once.
//! - A refusal consumes nothing. `retry_after_ms` is exact: absent other calls,
//!   the same call succeeds then and not a millisecond before.
//! - A clock that steps back hands out nothing twice: a state remembers the
//!   latest time that it was charged at, and time below that does not count.
//!   A state that the caller has dropped remembers nothing, so the clock that
//!   expires keys must be the one that is passed in here.
//! - A state outlives a change of its rule. Under the same algorithm it keeps
//!   what it knows and errs on the strict side; under another it starts afresh.
//!   What an earlier, shorter window has already forgotten stays forgotten, so
//!   two rules that are meant to hold together need two keys.
//!
//! How many bytes a state needs is stated at the top of each algorithm's file.
//!
//! Left out on purpose: clocks, keys, named rules, storage and replies, which are the server's.

mod rule;

mod calendar;
mod cell;
mod decision;
mod fixed;
mod gcra;
mod held;
mod log;
mod sliding;
mod state;

pub mod fuzz;
pub mod regions;

pub use cell::{Cell, Kept, OutOfRange, Throttled};
pub use decision::{Change, Decision, Outcome};
pub use held::{Held, Hold, MAX_HOLDS, MAX_ID_BYTES, MAX_LABEL_BYTES, find_hold, hold, settle};
pub use rule::{
    Algorithm, MAX_AMOUNT, MAX_LOG_LIMIT, MAX_MONTHS, MAX_REFILL_MS, MAX_TOKEN_BYTES,
    MAX_WINDOW_MS, Rule, RuleError,
};
pub use state::{MAX_NOW_MS, StateError, validate};

/// Consumes `cost` from the quota that `state` has under `rule` at `now_ms`, or refuses.
///
/// `now_ms` is milliseconds since the Unix epoch; beyond [`MAX_NOW_MS`] time
/// stands still. A cost of 0 consumes nothing and is always allowed. `next` is
/// overwritten if and only if the outcome's change is [`Change::Store`]. Under
/// `conc`, where something has to be let go again, only [`hold`] takes.
///
/// # Errors
/// [`StateError`] if `state` is not something that this crate wrote.
#[inline]
pub fn take(
    state: &[u8],
    rule: &Rule,
    cost: u64,
    now_ms: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    let now = now_ms.min(MAX_NOW_MS);
    if is_shell(state, rule) {
        return held::take(state, rule, cost, now, next);
    }
    take_plain(state::of_algorithm(state, rule.algorithm())?, rule, cost, now, next)
}

/// What [`take`] would answer, without consuming: `remaining` and
/// `reset_after_ms` are those of the quota as it stands. Under `conc`, what
/// [`hold`] would answer.
///
/// # Errors
/// [`StateError`] if `state` is not something that this crate wrote.
pub fn peek(state: &[u8], rule: &Rule, cost: u64, now_ms: u64) -> Result<Decision, StateError> {
    let now = now_ms.min(MAX_NOW_MS);
    if is_shell(state, rule) {
        return held::peek(state, rule, cost, now);
    }
    peek_plain(state::of_algorithm(state, rule.algorithm())?, rule, cost, now)
}

/// Gives `amount` back, at most up to the full quota; always allowed. What is held stays so.
///
/// What is given back counts as not admitted from this call on. `next` is
/// overwritten if and only if the outcome's change is [`Change::Store`].
///
/// # Errors
/// [`StateError`] if `state` is not something that this crate wrote.
pub fn give(
    state: &[u8],
    rule: &Rule,
    amount: u64,
    now_ms: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    let now = now_ms.min(MAX_NOW_MS);
    if is_shell(state, rule) {
        return held::give(state, rule, amount, now, next);
    }
    give_plain(state::of_algorithm(state, rule.algorithm())?, rule, amount, now, next)
}

/// Whether there are holds to think of.
#[inline]
fn is_shell(state: &[u8], rule: &Rule) -> bool {
    held::is_held(state) || rule.algorithm() == Algorithm::Conc
}

/// Takes from a state without holds, which the rule's algorithm wrote.
#[inline]
fn take_plain(
    state: &[u8],
    rule: &Rule,
    cost: u64,
    now: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    match rule.algorithm() {
        Algorithm::Sliding => sliding::take(state, rule, cost, now, next),
        Algorithm::Fixed => fixed::take(state, rule, cost, now, next),
        Algorithm::Gcra => gcra::take(state, rule, cost, now, next),
        Algorithm::Log => log::take(state, rule, cost, now, next),
        Algorithm::Conc => Ok(Outcome::keep(held::peek_free(rule, cost))),
    }
}

/// Charges such a state, whether or not it fits.
fn charge_plain(
    state: &[u8],
    rule: &Rule,
    amount: u64,
    now: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    match rule.algorithm() {
        Algorithm::Sliding => sliding::charge(state, rule, amount, now, next),
        Algorithm::Fixed => fixed::charge(state, rule, amount, now, next),
        Algorithm::Gcra => gcra::charge(state, rule, amount, now, next),
        Algorithm::Log => log::charge(state, rule, amount, now, next),
        Algorithm::Conc => Ok(Outcome::keep(held::peek_free(rule, 0))),
    }
}

/// Looks at such a state.
fn peek_plain(state: &[u8], rule: &Rule, cost: u64, now: u64) -> Result<Decision, StateError> {
    match rule.algorithm() {
        Algorithm::Sliding => sliding::peek(state, rule, cost, now),
        Algorithm::Fixed => fixed::peek(state, rule, cost, now),
        Algorithm::Gcra => gcra::peek(state, rule, cost, now),
        Algorithm::Log => log::peek(state, rule, cost, now),
        Algorithm::Conc => Ok(held::peek_free(rule, cost)),
    }
}

/// Gives back to such a state.
fn give_plain(
    state: &[u8],
    rule: &Rule,
    amount: u64,
    now: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    match rule.algorithm() {
        Algorithm::Sliding => sliding::give(state, rule, amount, now, next),
        Algorithm::Fixed => fixed::give(state, rule, amount, now, next),
        Algorithm::Gcra => gcra::give(state, rule, amount, now, next),
        Algorithm::Log => log::give(state, rule, amount, now, next),
        Algorithm::Conc => Ok(Outcome::keep(held::peek_free(rule, 0))),
    }
}
