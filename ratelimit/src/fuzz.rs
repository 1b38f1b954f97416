//! Entry points for fuzzing, run over random bytes by the tests as well.
//!
//! Each panics if, and only if, a property is broken. Left out on purpose:
//! promises over many calls, which the property tests hold.

use crate::{Change, Hold, Outcome, Rule, StateError, give, hold, peek, settle, take, validate};

/// Feeds arbitrary bytes to every call as a state. Whatever they are, nothing
/// may panic or overflow; a state that [`validate`] accepts must be accepted by
/// every call and lead only to states that it accepts too.
///
/// # Panics
/// If one of these properties does not hold.
pub fn fuzz_state(bytes: &[u8]) {
    let (head, state) = bytes.split_at(bytes.len().min(HEAD_BYTES));
    let valid = validate(state);
    let now = number(head, 0);
    let mut next = Vec::new();
    let window = number(head, 16);
    for rule in rules(number(head, 8), window) {
        for amount in [0, 1, rule.limit(), number(head, 24)] {
            check(peek(state, &rule, amount, now).err(), valid);
            let outcome = take(state, &rule, amount, now, &mut next);
            check(outcome.err(), valid);
            follow(outcome, &next, valid);
            let outcome = give(state, &rule, amount, now, &mut next);
            check(outcome.err(), valid);
            follow(outcome, &next, valid);
            let asked = Hold { id: b"id", label: b"label", amount, ttl_ms: window };
            let outcome = hold(state, &rule, &asked, now, &mut next);
            check(outcome.err().filter(|error| *error != StateError::Full), valid);
            follow(outcome, &next, valid);
            let outcome = settle(state, &rule, b"id", amount, now, &mut next);
            check(outcome.err(), valid);
            if let Some(outcome) = outcome.transpose() {
                follow(outcome, &next, valid);
            }
        }
    }
}

/// Four numbers that choose rule, amount and time.
const HEAD_BYTES: usize = 32;

fn number(head: &[u8], at: usize) -> u64 {
    head.get(at..at + 8).map_or(0, |field| {
        field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    })
}

/// One rule an algorithm, of any two numbers.
fn rules(limit: u64, window: u64) -> impl Iterator<Item = Rule> {
    use crate::{Algorithm, MAX_AMOUNT, MAX_HOLDS, MAX_LOG_LIMIT, MAX_WINDOW_MS};
    let (limit, window) = (limit % MAX_AMOUNT + 1, window % MAX_WINDOW_MS + 1);
    [
        (limit, window, Algorithm::Sliding),
        (limit, window, Algorithm::Fixed),
        (limit, window, Algorithm::Gcra),
        (limit % MAX_LOG_LIMIT + 1, window, Algorithm::Log),
        (limit % MAX_HOLDS as u64 + 1, 0, Algorithm::Conc),
    ]
    .into_iter()
    .filter_map(|(limit, window, algorithm)| Rule::new(limit, window, algorithm, None).ok())
}

fn check(refused: Option<StateError>, valid: Result<(), StateError>) {
    assert!(refused.is_none() || valid.is_err(), "a valid state was refused");
}

fn follow(outcome: Result<Outcome, StateError>, next: &[u8], valid: Result<(), StateError>) {
    let Ok(outcome) = outcome else { return };
    if valid.is_ok() && matches!(outcome.change, Change::Store { .. }) {
        assert!(
            !next.is_empty() && validate(next) == Ok(()),
            "a valid state led to an invalid one"
        );
    }
}
