//! Holds and `conc`: what is reserved counts until it is settled or its time is over, and no longer.

mod support;

use std::collections::BTreeMap;

use eave_ratelimit::{
    Algorithm, Decision, Hold, MAX_AMOUNT, MAX_HOLDS, MAX_WINDOW_MS, Rule, StateError, find_hold,
    hold, validate,
};
use proptest::prelude::*;
use support::{Admission, Key, admitted, arrivals, most_in_any_window, windows};

const START: u64 = 4_102_444_800_000;

/// What a client does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Reserves under an id, for a time.
    Hold { id: u8, amount: u64, ttl_ms: u64 },
    /// Says what was used.
    Settle { id: u8, actual: u64 },
    /// Takes.
    Take(u64),
    /// Gives back.
    Give(u64),
}

fn steps(longest: u64) -> impl Strategy<Value = Vec<(u64, Step)>> {
    let ids = 0..6u8;
    let step = prop_oneof![
        4 => (ids.clone(), 0..5u64, 1..=longest)
            .prop_map(|(id, amount, ttl_ms)| Step::Hold { id, amount, ttl_ms }),
        3 => (ids, 0..6u64).prop_map(|(id, actual)| Step::Settle { id, actual }),
        3 => (0..5u64).prop_map(Step::Take),
        1 => (0..3u64).prop_map(Step::Give),
    ];
    let gap = prop_oneof![3 => Just(0), 4 => 0..=longest / 8, 1 => 0..=2 * longest];
    prop::collection::vec((gap, step), 1..120)
}

/// The holds as the plainest list of them.
#[derive(Default)]
struct Model(BTreeMap<u8, (u64, u64)>);

impl Model {
    fn reserved(&self, now: u64) -> u64 {
        self.0.values().filter(|(_, until)| *until > now).map(|(amount, _)| amount).sum()
    }

    fn live(&self, id: u8, now: u64) -> Option<u64> {
        self.0.get(&id).filter(|(_, until)| *until > now).map(|(amount, _)| *amount)
    }
}

/// What is refused can be had at the time that was said, and not a millisecond before; and all is back when
/// that was said.
fn check_times(key: &Key, rule: &Rule, cost: u64, now: u64, told: &Decision) {
    let full = rule.burst() as i64;
    if !told.allowed && told.retry_after_ms >= 0 {
        let then = now + told.retry_after_ms as u64;
        assert!(then > now && key.peek(rule, cost, then).allowed, "too early");
        assert!(!key.peek(rule, cost, then - 1).allowed, "too late");
    }
    let then = now + told.reset_after_ms as u64;
    assert_eq!(key.peek(rule, 0, then).remaining, full);
    if then > now {
        let before = key.peek(rule, 0, then - 1);
        assert!(before.remaining < full || before.reset_after_ms == 1);
    }
}

fn rules() -> impl Strategy<Value = Rule> {
    let algorithms = prop_oneof![
        Just(Algorithm::Sliding),
        Just(Algorithm::Fixed),
        Just(Algorithm::Gcra),
        Just(Algorithm::Log),
    ];
    (1..=12u64, windows(), algorithms).prop_map(|(limit, window, algorithm)| {
        Rule::new(limit, window, algorithm, None).expect("in range")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    /// So many at once, and never more; who dies leaks nothing.
    #[test]
    fn conc_is_so_many_at_once(limit in 1..=8u64, steps in steps(1000)) {
        let rule = Rule::new(limit, 0, Algorithm::Conc, None).unwrap();
        let (mut key, mut model, mut now) = (Key::default(), Model::default(), START);
        for (gap, step) in steps {
            now += gap;
            match step {
                Step::Hold { id, amount, ttl_ms } => {
                    let others = model.reserved(now) - model.live(id, now).unwrap_or(0);
                    let told = key.peek(&rule, 0, now);
                    prop_assert_eq!(told.remaining as u64, limit - model.reserved(now));
                    if amount == 0 {
                        continue;
                    }
                    let asked = Hold { id: &[id], label: b"label", amount, ttl_ms };
                    let decision = key.hold(&rule, &asked, now);
                    prop_assert_eq!(decision.allowed, others + amount <= limit);
                    prop_assert_eq!(decision.retry_after_ms == -1, amount > limit);
                    if decision.allowed {
                        model.0.insert(id, (amount, now + ttl_ms));
                    }
                    check_times(&key, &rule, amount, now, &key.peek(&rule, amount, now));
                }
                Step::Settle { id, actual } => {
                    let live = model.live(id, now);
                    prop_assert_eq!(key.settle(&rule, &[id], actual, now).is_some(), live.is_some());
                    model.0.remove(&id);
                }
                Step::Take(cost) => {
                    prop_assert_eq!(key.take(&rule, cost, now).allowed, cost == 0);
                }
                Step::Give(amount) => {
                    key.give(&rule, amount, now);
                }
            }
            prop_assert!(model.reserved(now) <= limit);
            prop_assert_eq!(key.peek(&rule, 0, now).remaining as u64, limit - model.reserved(now));
        }
        // Everybody is dead.
        prop_assert_eq!(key.peek(&rule, 0, now + 1000).remaining as u64, limit);
    }

    /// What was taken, what was settled within its reservation, and what is reserved are together never
    /// more than the limit in any window; every time that is told is exact.
    #[test]
    fn reservations_count_as_if_they_were_taken(rule in rules(), steps in steps(3000)) {
        let (limit, window) = (rule.limit(), rule.window_ms());
        let (mut key, mut model, mut now) = (Key::default(), Model::default(), START);
        let mut log = Vec::<Admission>::new();
        for (gap, step) in steps {
            now += gap;
            match step {
                Step::Hold { id, amount, ttl_ms } => {
                    let asked = Hold { id: &[id], label: b"", amount, ttl_ms };
                    if amount > 0 && key.hold(&rule, &asked, now).allowed {
                        model.0.insert(id, (amount, now + ttl_ms));
                    }
                }
                Step::Settle { id, actual } => {
                    let live = model.live(id, now);
                    let cost = actual.min(live.unwrap_or(0));
                    let told = key.settle(&rule, &[id], cost, now);
                    prop_assert_eq!(told.is_some(), live.is_some());
                    prop_assert!(told.is_none_or(|told| told.allowed));
                    model.0.remove(&id);
                    if cost > 0 {
                        log.push(Admission { at: now, cost });
                    }
                }
                Step::Take(cost) => {
                    let told = key.peek(&rule, cost, now);
                    let done = key.take(&rule, cost, now);
                    prop_assert_eq!(told.allowed, done.allowed);
                    prop_assert_eq!(told.retry_after_ms, done.retry_after_ms);
                    check_times(&key, &rule, cost, now, &done);
                    if done.allowed && cost > 0 {
                        log.push(Admission { at: now, cost });
                    }
                }
                Step::Give(_) => {}
            }
            check_times(&key, &rule, 3, now, &key.peek(&rule, 3, now));
            if matches!(rule.algorithm(), Algorithm::Sliding | Algorithm::Log) {
                prop_assert!(most_in_any_window(&log, window) <= limit);
                let used = admitted(&log, now, window) + model.reserved(now);
                prop_assert!(used <= limit);
                let left = key.peek(&rule, 0, now).remaining as u64;
                prop_assert!(left <= limit - used);
                if rule.algorithm() == Algorithm::Log {
                    prop_assert_eq!(left, limit - used);
                }
            }
        }
    }

    /// What a hold that was not settled had reserved leaves no trace.
    #[test]
    fn a_hold_that_ends_was_never_there(rule in rules(), arrivals in arrivals(2000), ttl in 1..50u64) {
        let (mut with, mut without, mut now) = (Key::default(), Key::default(), START);
        for (gap, cost) in arrivals {
            now += gap + ttl;
            prop_assert_eq!(with.take(&rule, cost, now), without.take(&rule, cost, now));
            if with.peek(&rule, 1, now).allowed {
                let asked = Hold { id: b"a", label: b"l", amount: 1, ttl_ms: ttl };
                prop_assert!(with.hold(&rule, &asked, now).allowed);
            }
        }
    }

    /// What was used may exceed what was reserved, and the limit; nothing overflows, and the times stay
    /// exact.
    #[test]
    fn a_settlement_may_exceed(
        rule in rules(), actuals in prop::collection::vec((0..5000u64, 0..40u64, any::<bool>()), 1..20)
    ) {
        let (mut key, mut now) = (Key::default(), START);
        for (gap, actual, huge) in actuals {
            now += gap;
            let asked = Hold { id: b"a", label: b"", amount: 1, ttl_ms: 10 };
            if key.hold(&rule, &asked, now).allowed {
                let actual = if huge && rule.algorithm() != Algorithm::Gcra { MAX_AMOUNT } else { actual };
                let told = key.settle(&rule, b"a", actual, now).expect("it is there");
                prop_assert!(told.allowed);
                if actual >= rule.limit() {
                    prop_assert_eq!(told.remaining, 0);
                }
            }
            check_times(&key, &rule, 1, now, &key.peek(&rule, 1, now));
        }
    }

    /// A clock that steps back takes nothing of what is reserved away.
    #[test]
    fn a_clock_that_steps_back_frees_nothing(rule in rules(), back in 0..100_000u64) {
        let mut key = Key::default();
        let asked = Hold { id: b"a", label: b"", amount: rule.limit(), ttl_ms: 500 };
        prop_assert!(key.hold(&rule, &asked, START).allowed);
        prop_assert!(!key.take(&rule, 1, START - back).allowed);
        prop_assert!(!key.take(&rule, 1, START + 499).allowed);
        prop_assert!(key.take(&rule, 1, START + 500).allowed);
    }
}

#[test]
fn the_borders_of_holds() {
    let rule = Rule::parse(b"1024/conc").unwrap();
    let mut key = Key::default();
    for n in 0..MAX_HOLDS {
        let id = n.to_string();
        let asked = Hold { id: id.as_bytes(), label: b"", amount: 1, ttl_ms: MAX_WINDOW_MS };
        assert!(key.hold(&rule, &asked, START).allowed);
    }
    let asked = Hold { id: b"more", label: b"", amount: 1, ttl_ms: 1 };
    assert!(!key.hold(&rule, &asked, START).allowed);
    let (wide, mut next) = (Rule::parse(b"9999/1h").unwrap(), Vec::new());
    assert_eq!(hold(&key.state, &wide, &asked, START, &mut next), Err(StateError::Full));
    for (id, label) in [(&b""[..], &b""[..]), (&[b'x'; 65], b""), (b"x", &[b'x'; 256])] {
        let asked = Hold { id, label, ..asked };
        assert_eq!(hold(&[], &rule, &asked, START, &mut next), Err(StateError::Name));
    }
    let held = find_hold(&key.state, b"77", START).unwrap().expect("it is there");
    assert_eq!((held.amount, held.expires_at_ms), (1, START + MAX_WINDOW_MS));
    assert_eq!(find_hold(&key.state, b"77", START + MAX_WINDOW_MS), Ok(None));
    assert_eq!(find_hold(&key.state, b"nobody", START), Ok(None));
    let huge = Hold { id: b"a", label: b"", amount: u64::MAX, ttl_ms: u64::MAX };
    for text in ["9223372036854775807/1d", "9223372036854775807/1d:gcra", "5/1s:log", "5/conc"] {
        let rule = Rule::parse(text.as_bytes()).unwrap();
        assert!(!Key::default().hold(&rule, &huge, START).allowed, "{text}");
        let mut key = Key::default();
        let most = Hold { amount: rule.limit(), ..huge };
        // At the end of time there is none left to hold for.
        assert!(!key.hold(&rule, &most, u64::MAX - 1).allowed);
        if key.hold(&rule, &most, START).allowed {
            assert!(key.settle(&rule, b"a", u64::MAX, START).is_some(), "{text}");
        }
    }
}

/// The bytes of a shell may not change either.
#[test]
fn the_layout_is_pinned() {
    let rule = Rule::parse(b"5/1s:fixed").unwrap();
    let mut key = Key::default();
    assert!(key.take(&rule, 2, 1000).allowed);
    let asked = Hold { id: b"id", label: b"l", amount: 3, ttl_ms: 256 };
    assert!(key.hold(&rule, &asked, 1000).allowed);
    let shell = [0x50, 19, 0, 0, 0, 0xe8, 4, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 1];
    let wanted = [&shell[..], b"idl", &[0x20, 0xe8, 3, 0, 0, 0, 0, 2]].concat();
    assert_eq!(key.state, wanted);
    let log = Rule::parse(b"500/1h:log").unwrap();
    let mut key = Key::default();
    for (cost, now) in [(1, 0x0102_0304), (200, 0x0102_0304 + 300), (1, 0x0102_0304 + 300)] {
        assert!(key.take(&log, cost, now).allowed);
    }
    let wanted = [0x40, 4, 3, 2, 1, 0, 0, 0xac, 2, 0xca, 1, 0, 1, 0xac, 2, 0xc9, 1];
    assert_eq!(key.state, wanted);
}

proptest! {
    /// Bytes that are nearly a state: refused, or as good as one.
    #[test]
    fn changed_states_are_refused_or_valid(at in 0..60usize, byte in any::<u8>(), cut in 0..60usize) {
        let rule = Rule::parse(b"9/1s:log").unwrap();
        let mut key = Key::default();
        for n in 0..3u64 {
            key.take(&rule, 1, START + 200 * n);
            let asked = Hold { id: &[b'a' + n as u8], label: b"9/1s:log", amount: 1, ttl_ms: 900 };
            assert!(key.hold(&rule, &asked, START + 200 * n).allowed);
        }
        let mut bytes = key.state.clone();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(cut % bytes.len() + 1);
        let _ = validate(&bytes);
        let head = [START.to_le_bytes(), 9u64.to_le_bytes(), 1000u64.to_le_bytes(), 3u64.to_le_bytes()];
        eave_ratelimit::fuzz::fuzz_state(&[&head.concat()[..], &bytes].concat());
    }
}
