//! The bytes of a state: pinned, bounded, and safe against any other bytes.

mod support;

use eave_ratelimit::fuzz::fuzz_state;
use eave_ratelimit::{
    Algorithm, MAX_AMOUNT, MAX_NOW_MS, MAX_REFILL_MS, MAX_WINDOW_MS, Rule, StateError, give, peek,
    take, validate,
};
use proptest::prelude::*;
use support::{Key, Random};

fn rule(text: &str) -> Rule {
    Rule::parse(text.as_bytes()).expect(text)
}

/// A rule, takes as (cost, now), and the bytes that they lead to.
type Pinned = (&'static str, &'static [(u64, u64)], &'static [u8]);

/// Stored states must be read by every later version: these bytes may not change.
#[test]
fn layouts_are_pinned() {
    let cases: [Pinned; 8] = [
        ("100/60s", &[(1, 0x0102_0304_0506)], &[0x10, 6, 5, 4, 3, 2, 1, 1, 6, 5, 1]),
        (
            "300/60s",
            &[(2, 0x1_0000), (3, 0x1_0001), (256, 0x1_0bb8)],
            &[0x11, 0xb8, 0x0b, 1, 0, 0, 0, 5, 1, 1, 0, 5, 0, 0xb8, 0x0b, 0, 1],
        ),
        (
            "70000/1h",
            &[(1, 0x1_0000)],
            &[0x16, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0],
        ),
        ("5/60d", &[(1, 7)], &[0x18, 7, 0, 0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 0, 1]),
        ("100/60s:fixed", &[(1, 5), (2, 9)], &[0x20, 9, 0, 0, 0, 0, 0, 3]),
        ("1000/60s:fixed", &[(256, 9)], &[0x21, 9, 0, 0, 0, 0, 0, 0, 1]),
        ("100/60s:gcra", &[(2, 1000)], &[0x30, 0x98, 0x08, 0, 0, 0, 0, 0, 0]),
        ("7/1s:gcra", &[(1, 1000)], &[0x31, 0x76, 0x04, 0, 0, 0, 0, 0, 0, 6, 7]),
    ];
    for (text, takes, bytes) in cases {
        let mut key = Key::default();
        for &(cost, now) in takes {
            assert!(key.take(&rule(text), cost, now).allowed);
        }
        assert_eq!(key.state, bytes, "{text}");
    }
}

/// The sizes that the documentation states, reached by a hit in every span.
#[test]
fn sizes_are_as_stated() {
    for (text, one, most) in [
        ("100/60s", 11, 191),
        ("1000000/1h", 19, 499),
        ("9223372036854775807/3660d", 29, 869),
        ("100/60s:fixed", 8, 8),
        ("9223372036854775807/1d:fixed", 8, 15),
        ("60/60s:gcra", 9, 9),
        ("9223372036854775807/1d:gcra", 25, 25),
    ] {
        let rule = rule(text);
        let (mut key, mut sizes) = (Key::default(), Vec::new());
        let span = rule.window_ms().div_ceil(60);
        let first = 1_000_000_000_000 / span * span + span - 1;
        let costs = [1, 1, 1, rule.limit() / 4];
        for step in 0..200 {
            // The last millisecond of a span, then the first of each one after.
            let now = if step == 0 { first } else { first + 1 + (step - 1) * span };
            key.take(&rule, *costs.get(step as usize).unwrap_or(&1), now);
            sizes.push(key.state.len());
        }
        assert_eq!(sizes[0], one, "{text}");
        assert_eq!(sizes.iter().max(), Some(&most), "{text}");
    }
}

/// A longer window has fewer, longer spans than the buckets of a shorter one:
/// those of one span become one, and the state stays as small as stated.
#[test]
fn a_longer_window_merges_buckets() {
    let (short, long) = (rule("200/30s"), rule("200/60s"));
    let (mut key, first) = (Key::default(), 1_000_000_000_000 + 499);
    key.take(&short, 1, first);
    for span in 0..60 {
        key.take(&short, 2, first + 1 + 500 * span);
    }
    assert_eq!((key.state.len(), 8 + 3 * 61), (191, 191));
    let now = first + 1 + 500 * 61;
    assert_eq!(key.take(&long, 1, now).remaining, 200 - 122);
    // Spans of 500 ms pairwise, and the new one for itself.
    assert_eq!(key.state.len(), 8 + 3 * 32);
    // The first two became one that leaves with the newer of them.
    assert_eq!(key.peek(&long, 0, first + 60_000).remaining, 200 - 122);
    assert_eq!(key.peek(&long, 0, first + 60_001).remaining, 200 - 119);
}

/// Every border of every argument, in every combination: answered, in range.
#[test]
fn borders_are_answered() {
    let amounts = [0, 1, 2, MAX_AMOUNT - 1, MAX_AMOUNT, MAX_AMOUNT + 1, u64::MAX];
    let times = [0, 1, MAX_NOW_MS - 1, MAX_NOW_MS, MAX_NOW_MS + 1, u64::MAX - 1, u64::MAX];
    let mut next = Vec::new();
    let mut rules = 0;
    for (limit, window, algorithm) in border_rules() {
        for burst in [None, Some(1), Some(MAX_REFILL_MS), Some(MAX_AMOUNT)] {
            let Ok(rule) = Rule::new(limit, window, algorithm, burst) else { continue };
            rules += 1;
            for first in times {
                for (cost, then) in amounts.into_iter().flat_map(|a| times.map(|t| (a, t))) {
                    let mut state = Vec::new();
                    if take(&state, &rule, cost, first, &mut next).expect("absent").decision.allowed
                    {
                        state.clone_from(&next);
                    }
                    for amount in amounts {
                        let told = peek(&state, &rule, amount, then).expect("own state");
                        let done = take(&state, &rule, amount, then, &mut next).expect("own state");
                        assert_eq!(told.allowed, done.decision.allowed);
                        assert_eq!(told.allowed, amount <= told.remaining as u64 || amount == 0);
                        assert_eq!(told.retry_after_ms == -1, amount > rule.burst());
                        for number in &done.decision.status()[1..] {
                            assert!(*number >= -1);
                        }
                        let back = give(&state, &rule, amount, then, &mut next).expect("own state");
                        assert!(back.decision.remaining >= told.remaining);
                    }
                    if cost == 0 {
                        break;
                    }
                }
            }
        }
    }
    assert!(rules > 30, "{rules}");
}

fn border_rules() -> impl Iterator<Item = (u64, u64, Algorithm)> {
    let limits = [1, 2, MAX_AMOUNT - 1, MAX_AMOUNT];
    let windows = [1, 60, 61, 0x1_0000, 0x1_0001, MAX_WINDOW_MS];
    let algorithms = [Algorithm::Sliding, Algorithm::Fixed, Algorithm::Gcra];
    limits.into_iter().flat_map(move |limit| {
        windows.into_iter().flat_map(move |window| algorithms.map(|a| (limit, window, a)))
    })
}

#[test]
fn another_algorithm_starts_afresh() {
    let rules = [rule("3/60s"), rule("3/60s:fixed"), rule("3/60s:gcra")];
    for old in &rules {
        for new in rules.iter().filter(|new| *new != old) {
            let mut key = Key::default();
            assert_eq!(key.take(old, 3, 1000).remaining, 0);
            assert_eq!(key.peek(new, 1, 1000).remaining, 3);
            let before = key.state.clone();
            assert_eq!(key.give(new, 1, 1000).remaining, 3);
            assert_eq!(key.state, before, "nothing to give back under the new one");
            assert_eq!(key.take(new, 1, 1000).remaining, 2);
            assert_eq!(key.peek(old, 1, 1000).remaining, 3);
        }
    }
}

#[test]
fn foreign_bytes_are_refused_by_name() {
    let inconsistent: [(&str, &[u8]); 11] = [
        ("no bucket at the newest tick", &[0x10, 6, 0, 0, 0, 0, 0, 1, 5, 0, 1]),
        ("an empty bucket", &[0x10, 6, 0, 0, 0, 0, 0, 0, 6, 0, 0]),
        ("a total that is not the sum", &[0x10, 6, 0, 0, 0, 0, 0, 2, 6, 0, 1]),
        ("a bucket before the epoch", &[0x10, 6, 0, 0, 0, 0, 0, 2, 7, 0, 1, 6, 0, 1]),
        ("the same tick twice", &[0x10, 6, 0, 0, 0, 0, 0, 2, 6, 0, 1, 6, 0, 1]),
        ("a fixed count of 0", &[0x20, 6, 0, 0, 0, 0, 0, 0]),
        ("a fixed count too wide", &[0x21, 6, 0, 0, 0, 0, 0, 1, 0]),
        ("a whole fraction", &[0x31, 6, 0, 0, 0, 0, 0, 0, 0, 7, 7]),
        ("no fraction, written", &[0x31, 6, 0, 0, 0, 0, 0, 0, 0, 0, 7]),
        ("a fraction too wide", &[0x32, 6, 0, 0, 0, 0, 0, 0, 0, 1, 0, 7, 0]),
        ("an arrival time out of reach", &[0x30, 0, 0, 0, 0, 0, 0, 0, 1]),
    ];
    for (what, bytes) in inconsistent {
        assert!(matches!(validate(bytes), Err(StateError::Inconsistent(_))), "{what}");
        assert_eq!(validate(&bytes[..bytes.len() - 1]), Err(StateError::Length), "{what}");
    }
    let crowded = {
        let ticks = (1..=62u8).flat_map(|tick| [tick, 0, 1]);
        [0x10, 62, 0, 0, 0, 0, 0, 62].into_iter().chain(ticks).collect::<Vec<u8>>()
    };
    assert!(matches!(validate(&crowded), Err(StateError::Inconsistent(_))));
    for tag in [0x0c, 0x1c, 0x24, 0x35, 0x41, 0x51, 0x60, 0xff] {
        assert_eq!(validate(&[tag; 30]), Err(StateError::UnknownFormat(tag)));
    }
}

/// A state that real calls lead to, behind the numbers that choose the fuzzed rule.
fn reachable(random: &mut Random) -> Vec<u8> {
    let algorithm =
        [Algorithm::Sliding, Algorithm::Fixed, Algorithm::Gcra][random.below(3) as usize];
    let (limit, window) = (1 << random.below(63), 1 << random.below(38));
    let rule = Rule::new(limit, window, algorithm, None).expect("in range");
    let (mut key, mut now) = (Key::default(), 1_700_000_000_000);
    for _ in 0..random.below(80) {
        now += random.below(window / 20 + 2);
        key.take(&rule, random.below(limit / 16 + 2), now);
    }
    let head = [now + random.below(window), limit - 1, window - 1, random.below(limit)];
    head.into_iter().flat_map(u64::to_le_bytes).chain(key.state).collect()
}

#[test]
fn mutated_states_break_nothing() {
    let mut random = Random(0x5EED);
    for _ in 0..4_000 {
        let mut bytes = reachable(&mut random);
        fuzz_state(&bytes);
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(5) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at] = random.next() as u8,
                2 => bytes.truncate(at + 1),
                3 => bytes.insert(at, random.next() as u8),
                _ => bytes.extend_from_within(at..),
            }
            fuzz_state(&bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn random_bytes_break_nothing(
        head in prop::collection::vec(any::<u8>(), 32),
        tag in prop_oneof![0x10..=0x1bu8, 0x20..=0x23u8, 0x30..=0x34u8, any::<u8>()],
        state in prop::collection::vec(prop_oneof![Just(0u8), Just(255), any::<u8>()], 0..60)
    ) {
        fuzz_state(&[&head[..], &[tag], &state].concat());
    }
}
