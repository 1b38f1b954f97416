//! What the crate promises, against the plainest models that state it.

mod support;

use std::collections::HashMap;

use eave_ratelimit::{Algorithm, Decision, Rule};
use proptest::prelude::*;
use support::{Admission, Arrival, Key, admitted, arrivals, most_in_any_window, windows};

/// 2100-01-01, so that ages and ticks are of the size that they have in use.
const START: u64 = 4_102_444_800_000;

fn rule(limit: u64, window: u64, algorithm: Algorithm) -> Rule {
    Rule::new(limit, window, algorithm, None).expect("in range")
}

fn algorithms() -> impl Strategy<Value = Algorithm> {
    prop_oneof![
        Just(Algorithm::Sliding),
        Just(Algorithm::Fixed),
        Just(Algorithm::Gcra),
        Just(Algorithm::Log)
    ]
}

/// A window, arrivals made for it, and a limit.
fn traffic() -> impl Strategy<Value = (u64, u64, Vec<Arrival>)> {
    windows().prop_flat_map(|window| (1..=40u64, Just(window), arrivals(window)))
}

/// Any rule, with a burst of its own under gcra.
fn rules_and_traffic() -> impl Strategy<Value = (Rule, Vec<Arrival>)> {
    (traffic(), algorithms(), 1..=60u64).prop_map(
        |((limit, window, arrivals), algorithm, burst)| {
            let burst = (algorithm == Algorithm::Gcra).then_some(burst);
            (Rule::new(limit, window, algorithm, burst).expect("in range"), arrivals)
        },
    )
}

/// Drives a fresh key and returns what was admitted.
fn run(
    rule: &Rule,
    arrivals: &[Arrival],
    mut seen: impl FnMut(&[Admission], u64, u64, &Decision, &Key),
) -> Vec<Admission> {
    let (mut key, mut log, mut now) = (Key::default(), Vec::new(), START);
    for &(gap, cost) in arrivals {
        now += gap;
        let decision = key.take(rule, cost, now);
        seen(&log, now, cost, &decision, &key);
        if decision.allowed && cost > 0 {
            log.push(Admission { at: now, cost });
        }
    }
    log
}

/// The refused call succeeds after `retry_after_ms` and not a millisecond before.
fn check_retry(key: &Key, rule: &Rule, cost: u64, now: u64, decision: &Decision) {
    if decision.allowed {
        assert_eq!(decision.retry_after_ms, 0);
        return;
    }
    if decision.retry_after_ms == -1 {
        assert!(cost > rule.burst(), "only what never fits is told never");
        return;
    }
    let then = now + u64::try_from(decision.retry_after_ms).expect("a wait");
    assert!(then > now);
    assert!(!key.peek(rule, cost, then - 1).allowed, "too late by a millisecond or more");
    assert!(key.clone().take(rule, cost, then).allowed, "too early");
}

/// The full quota is back after `reset_after_ms` and not a millisecond before.
fn check_reset(key: &Key, rule: &Rule, now: u64, decision: &Decision) {
    let full = i64::try_from(rule.burst()).expect("in range");
    let then = now + u64::try_from(decision.reset_after_ms).expect("a wait");
    assert_eq!(key.peek(rule, 0, then).remaining, full);
    assert_eq!(key.peek(rule, 0, then).reset_after_ms, 0);
    if then > now {
        assert!(key.peek(rule, 0, then - 1).remaining < full);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn sliding_never_exceeds_the_limit_in_any_window((limit, window, arrivals) in traffic()) {
        let rule = rule(limit, window, Algorithm::Sliding);
        let log = run(&rule, &arrivals, |_, _, _, _, _| {});
        prop_assert!(most_in_any_window(&log, window) <= limit);
    }

    /// What the exact log would refuse is refused; what is refused, the exact
    /// log of a window longer by one span would refuse as well.
    #[test]
    fn sliding_refuses_only_what_a_window_longer_by_a_span_refuses(
        (limit, window, arrivals) in traffic()
    ) {
        let span = window.div_ceil(60);
        run(&rule(limit, window, Algorithm::Sliding), &arrivals, |log, now, cost, decision, key| {
            if !decision.allowed {
                assert!(admitted(log, now, window + span - 1) + cost > limit);
            } else if cost > 0 {
                assert!(admitted(log, now, window) + cost <= limit);
            }
            assert!(key.state.len() <= 869);
        });
    }

    /// Exactly what a list of all admissions would say, in memory that follows what was admitted.
    #[test]
    fn log_is_exact((limit, window, arrivals) in traffic()) {
        run(&rule(limit, window, Algorithm::Log), &arrivals, |log, now, cost, decision, key| {
            let used = admitted(log, now, window);
            assert_eq!(decision.allowed, cost == 0 || used + cost <= limit);
            let left = limit - used - if decision.allowed { cost } else { 0 };
            assert_eq!(decision.remaining as u64, left);
            assert!(key.state.len() <= 16 + 7 * limit as usize);
        });
    }

    /// Takes and refunds mixed, as for sliding below.
    #[test]
    fn log_keeps_its_promise_through_refunds(
        (limit, window, arrivals) in traffic(),
        refunds in prop::collection::vec((any::<prop::sample::Index>(), 0..4u64), 200)
    ) {
        let rule = rule(limit, window, Algorithm::Log);
        let (mut key, mut log, mut now) = (Key::default(), Vec::<Admission>::new(), START);
        for ((gap, cost), (which, amount)) in arrivals.into_iter().zip(refunds) {
            now += gap;
            if key.take(&rule, cost, now).allowed && cost > 0 {
                log.push(Admission { at: now, cost });
            }
            let first = log.partition_point(|a| a.at + window <= now);
            if first < log.len() {
                let chosen = first + which.index(log.len() - first);
                let amount = amount.min(log[chosen].cost);
                log[chosen].cost -= amount;
                let decision = key.give(&rule, amount, now);
                check_reset(&key, &rule, now, &decision);
            }
            prop_assert!(most_in_any_window(&log, window) <= limit);
        }
    }

    /// Every sum over consecutive admissions: no more than the burst and what
    /// the rate gives between the first and the last. And no less than that:
    /// the decisions are those of an exact bucket.
    #[test]
    fn gcra_is_an_exact_bucket((limit, window, arrivals) in traffic(), burst in 1..=60u64) {
        let rule = Rule::new(limit, window, Algorithm::Gcra, Some(burst)).expect("in range");
        let full = u128::from(burst * window);
        let (mut level, mut before) = (full, START);
        let log = run(&rule, &arrivals, |_, now, cost, decision, _| {
            level = full.min(level + u128::from((now - before) * limit));
            before = now;
            let price = u128::from(cost * window);
            assert_eq!(decision.allowed, price <= level);
            if decision.allowed {
                level -= price;
            }
            assert_eq!(decision.remaining as u128, level / u128::from(window));
        });
        for (first, from) in log.iter().enumerate() {
            let mut sum = 0;
            for to in &log[first..] {
                sum += to.cost;
                let above = sum.saturating_sub(burst);
                prop_assert!(above * window <= limit * (to.at - from.at));
            }
        }
    }

    #[test]
    fn fixed_counts_by_epoch_aligned_windows((limit, window, arrivals) in traffic()) {
        let mut counts: HashMap<u64, u64> = HashMap::new();
        run(&rule(limit, window, Algorithm::Fixed), &arrivals, |_, now, cost, decision, _| {
            let count = counts.entry(now / window).or_default();
            assert_eq!(decision.allowed, cost == 0 || *count + cost <= limit);
            if decision.allowed {
                *count += cost;
            }
            assert_eq!(decision.remaining as u64, limit - *count);
        });
    }

    #[test]
    fn retry_and_reset_are_exact((rule, arrivals) in rules_and_traffic()) {
        run(&rule, &arrivals, |_, now, cost, decision, key| {
            check_retry(key, &rule, cost, now, decision);
            check_reset(key, &rule, now, decision);
        });
    }

    /// A peek tells what a take would, and consumes nothing.
    #[test]
    fn peek_foretells_take((rule, arrivals) in rules_and_traffic()) {
        let (mut key, mut now) = (Key::default(), START);
        for (gap, cost) in arrivals {
            now += gap;
            let (told, told_limit) = (key.peek(&rule, cost, now), rule.limit() as i64);
            let done = key.take(&rule, cost, now);
            prop_assert_eq!(told.allowed, done.allowed);
            prop_assert_eq!(told.retry_after_ms, done.retry_after_ms);
            prop_assert_eq!((told.limit, done.limit), (told_limit, told_limit));
            let consumed = if done.allowed { cost as i64 } else { 0 };
            prop_assert_eq!(told.remaining - consumed, done.remaining);
        }
    }

    /// A state that the store expires at its time says nothing that matters.
    #[test]
    fn expiry_changes_no_answer((rule, arrivals) in rules_and_traffic()) {
        let (mut kept, mut expired, mut now) = (Key::default(), Key::default(), START);
        for (gap, cost) in arrivals {
            now += gap;
            if expired.expires_at_ms <= now {
                expired.state.clear();
            }
            prop_assert_eq!(kept.take(&rule, cost, now), expired.take(&rule, cost, now));
        }
    }

    /// The clock jumps both ways. Time counts from the latest admission on, and
    /// in that time every promise holds; waits stay exact on the caller's clock.
    #[test]
    fn a_clock_that_steps_back_hands_out_nothing_twice(
        (rule, arrivals) in rules_and_traffic(), back in prop::collection::vec(any::<bool>(), 200)
    ) {
        let (mut key, mut log, mut now) = (Key::default(), Vec::<Admission>::new(), START);
        for ((gap, cost), back) in arrivals.into_iter().zip(back) {
            now = if back { now - gap } else { now + gap };
            let decision = key.take(&rule, cost, now);
            check_retry(&key, &rule, cost, now, &decision);
            check_reset(&key, &rule, now, &decision);
            if decision.allowed && cost > 0 {
                let at = log.last().map_or(now, |last| last.at.max(now));
                log.push(Admission { at, cost });
            }
        }
        let window = rule.window_ms();
        match rule.algorithm() {
            Algorithm::Sliding | Algorithm::Log => prop_assert!(most_in_any_window(&log, window) <= rule.limit()),
            Algorithm::Fixed => for last in &log {
                let same = log.iter().filter(|a| a.at / window == last.at / window);
                prop_assert!(same.map(|a| a.cost).sum::<u64>() <= rule.limit());
            },
            _ => for (first, from) in log.iter().enumerate() {
                let mut sum = 0;
                for to in &log[first..] {
                    sum += to.cost;
                    let above = sum.saturating_sub(rule.burst());
                    prop_assert!(above * window <= rule.limit() * (to.at - from.at));
                }
            },
        }
    }

    /// Takes and refunds mixed. Whichever take in the window a refund is for,
    /// what remains of the takes never exceeds the limit in any window.
    #[test]
    fn sliding_keeps_its_promise_through_refunds(
        (limit, window, arrivals) in traffic(),
        refunds in prop::collection::vec((any::<prop::sample::Index>(), 0..4u64), 200)
    ) {
        let rule = rule(limit, window, Algorithm::Sliding);
        let (mut key, mut log, mut now) = (Key::default(), Vec::<Admission>::new(), START);
        for ((gap, cost), (which, amount)) in arrivals.into_iter().zip(refunds) {
            now += gap;
            if key.take(&rule, cost, now).allowed && cost > 0 {
                log.push(Admission { at: now, cost });
            }
            let first = log.partition_point(|a| a.at + window <= now);
            if first < log.len() {
                let chosen = first + which.index(log.len() - first);
                let amount = amount.min(log[chosen].cost);
                log[chosen].cost -= amount;
                let decision = key.give(&rule, amount, now);
                check_reset(&key, &rule, now, &decision);
            }
            prop_assert!(most_in_any_window(&log, window) <= limit);
        }
    }

    /// A refund is exact, and clamped: it never gives more than was taken.
    #[test]
    fn a_refund_gives_what_was_taken_and_no_more(
        (rule, arrivals) in rules_and_traffic(), amounts in prop::collection::vec(0..50u64, 200)
    ) {
        let (mut key, mut now) = (Key::default(), START);
        let full = rule.burst() as i64;
        for ((gap, cost), amount) in arrivals.into_iter().zip(amounts) {
            now += gap;
            let before = key.take(&rule, cost, now).remaining;
            let decision = key.give(&rule, amount, now);
            prop_assert!(decision.allowed && decision.retry_after_ms == 0);
            prop_assert_eq!(decision.remaining, full.min(before + amount as i64));
            prop_assert_eq!(key.peek(&rule, 0, now).remaining, decision.remaining);
            check_reset(&key, &rule, now, &decision);
        }
    }

    /// Limits and windows change while the state lives. Nothing that every rule
    /// so far had to remember is forgotten, and the state stays bounded.
    #[test]
    fn sliding_outlives_changes_of_its_rule(
        changes in prop::collection::vec((1..=300u64, windows(), arrivals(5_000)), 1..8)
    ) {
        let (mut key, mut log, mut now) = (Key::default(), Vec::<Admission>::new(), START);
        let mut shortest = u64::MAX;
        for (limit, window, arrivals) in changes {
            let rule = rule(limit, window, Algorithm::Sliding);
            shortest = shortest.min(window);
            for (gap, cost) in arrivals {
                now += gap;
                let decision = key.take(&rule, cost, now);
                check_retry(&key, &rule, cost, now, &decision);
                if decision.allowed && cost > 0 {
                    log.push(Admission { at: now, cost });
                    prop_assert!(admitted(&log, now, shortest) <= limit);
                }
            }
        }
    }

    /// A change of the limit leaves the debt of a bucket where it was in time,
    /// rounded up by less than a part of a millisecond.
    #[test]
    fn gcra_outlives_changes_of_its_limit(
        window in windows(), first in 1..=1000u64, second in 1..=1000u64, cost in 1..=1000u64
    ) {
        let (old, new) =
            (rule(first, window, Algorithm::Gcra), rule(second, window, Algorithm::Gcra));
        let mut key = Key::default();
        let cost = cost.min(first);
        key.take(&old, cost, START);
        let told = key.peek(&new, 1, START);
        // The debt is cost * window / first ms, so cost * second / first units.
        let used = (cost * second).div_ceil(first);
        prop_assert!(told.remaining <= (second - used) as i64);
        prop_assert!(told.remaining + 1 >= (second - used) as i64);
        check_retry(&key, &new, 1, START, &told);
        key.take(&new, 1, START + window);
        check_reset(&key, &new, START + window, &key.peek(&new, 0, START + window));
    }

    #[test]
    fn fixed_outlives_changes_of_its_rule(
        changes in prop::collection::vec((1..=300u64, windows(), arrivals(500)), 1..6)
    ) {
        let (mut key, mut log, mut now) = (Key::default(), Vec::<Admission>::new(), START);
        for (limit, window, arrivals) in changes {
            let rule = rule(limit, window, Algorithm::Fixed);
            let mut since = now;
            for (gap, cost) in arrivals {
                now += gap;
                since = since.max(now - now % window);
                let decision = key.take(&rule, cost, now);
                check_retry(&key, &rule, cost, now, &decision);
                if decision.allowed && cost > 0 {
                    log.push(Admission { at: now, cost });
                    let known = log.iter().filter(|a| a.at >= since).map(|a| a.cost).sum::<u64>();
                    prop_assert!(known <= limit);
                }
            }
        }
    }
}

/// A refund on a clock that has stepped back gives back what it names, and the
/// later time is not forgotten with it.
#[test]
fn a_refund_does_not_turn_the_clock_back() {
    for algorithm in [Algorithm::Sliding, Algorithm::Fixed, Algorithm::Gcra, Algorithm::Log] {
        let rule = rule(10, 60_000, algorithm);
        let mut key = Key::default();
        assert_eq!(key.take(&rule, 10, START).remaining, 0);
        key.give(&rule, 1, START - 60_000);
        let again = [START - 60_000, START - 30_000, START, START + 1]
            .map(|now| u64::from(key.take(&rule, 1, now).allowed));
        assert_eq!(again.iter().sum::<u64>(), 1, "{algorithm:?}");
    }
}
