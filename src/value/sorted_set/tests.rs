//! Sorted sets against the plainest model: a map from members to scores, sorted when asked.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;

const LIMITS: [SortedSetLimits; 3] = [
    SortedSetLimits { entries: 128, value_bytes: 64 },
    SortedSetLimits { entries: 4, value_bytes: 8 },
    SortedSetLimits { entries: 0, value_bytes: 0 },
];

#[derive(Debug, Clone)]
enum Step {
    Set(Vec<u8>, f64),
    Remove(Vec<u8>),
    RemoveRanks(usize, usize),
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0u16..400).prop_map(|n| format!("m{n}").into_bytes()),
        4 => (0u16..100).prop_map(|n| n.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
        1 => (0usize..9).prop_map(|n| vec![b'x'; n * 700]),
    ]
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (-3i32..30).prop_map(f64::from),
        2 => (-30i32..30).prop_map(|n| f64::from(n) / 8.0),
        1 => prop::sample::select(vec![f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.1, 1e300, 5e-324]),
        1 => any::<f64>().prop_filter("scores are in an order", |score| !score.is_nan()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (member(), score()).prop_map(|(member, score)| Step::Set(member, score)),
        4 => member().prop_map(Step::Remove),
        1 => (0usize..500, 0usize..90).prop_map(|(from, len)| Step::RemoveRanks(from, len)),
    ]
}

#[derive(Default)]
struct Model(BTreeMap<Vec<u8>, f64>);

impl Model {
    fn sorted(&self) -> Vec<(Vec<u8>, f64)> {
        let mut all: Vec<_> = self.0.iter().map(|(m, s)| (m.clone(), *s)).collect();
        all.sort_by(|a, b| order(a.1, b.1).then_with(|| a.0.cmp(&b.0)));
        all
    }

    fn apply(&mut self, set: &mut SortedSet, step: &Step, limits: SortedSetLimits) {
        match step {
            Step::Set(member, score) => {
                let old = set.set(member, *score, limits);
                assert_eq!(old, self.0.get(member).copied());
                if old != Some(*score) {
                    let kept = if set.large.is_none() { score + 0.0 } else { *score };
                    self.0.insert(member.clone(), kept);
                }
            }
            Step::Remove(member) => assert_eq!(set.remove(member), self.0.remove(member)),
            Step::RemoveRanks(from, len) => {
                let gone: Vec<_> = self.sorted().into_iter().skip(*from).take(*len).collect();
                assert_eq!(set.remove_ranks(*from..from + len), gone.len());
                gone.iter().for_each(|(member, _)| assert!(self.0.remove(member).is_some()));
            }
        }
    }

    fn agrees(&self, set: &SortedSet) {
        if let Some(members) = &set.large {
            members.check();
        }
        let (set, sorted) = (set.as_ref(), self.sorted());
        assert_eq!((set.len(), set.is_empty()), (sorted.len(), sorted.is_empty()));
        let found: Vec<_> = set.iter().map(|(m, s)| (m.to_vec(), s.to_bits())).collect();
        let wanted: Vec<_> = sorted.iter().map(|(m, s)| (m.clone(), s.to_bits())).collect();
        assert_eq!(found, wanted);
        let down: Vec<_> = set.descending().map(|(m, s)| (m.to_vec(), s.to_bits())).collect();
        assert!(down.iter().eq(wanted.iter().rev()));
        for (rank, (member, score)) in sorted.iter().enumerate() {
            assert_eq!(set.rank(member), Some((rank, *score)));
            assert_eq!(set.score(member), Some(*score));
        }
        assert_eq!(set.score(b"never there"), None);
        assert_eq!(set.rank(b"never there"), None);
        assert!(set.at(sorted.len()).is_none());
    }
}

fn visited(set: SortedSetRef<'_>, ranks: Range<usize>, direction: Direction) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    set.visit(ranks, direction, |member, _| found.push(member.to_vec()));
    found
}

proptest! {
    #[test]
    fn behave_as_a_sorted_map(
        steps in prop::collection::vec(step(), 0..700),
        limits in prop::sample::select(LIMITS.to_vec()),
    ) {
        let (mut set, mut model) = (SortedSet::new(), Model::default());
        for (n, step) in steps.iter().enumerate() {
            model.apply(&mut set, step, limits);
            if n % 50 == 0 {
                model.agrees(&set);
            }
        }
        model.agrees(&set);
        // And down to nothing.
        for (member, score) in model.sorted() {
            prop_assert_eq!(set.remove(&member), Some(score));
        }
        prop_assert!(set.as_ref().is_empty());
        if let Some(members) = &set.large {
            prop_assert_eq!(members.heap_bytes(), size_of::<Members>());
        }
    }

    #[test]
    fn ranges_are_those_of_the_model(
        pairs in prop::collection::vec((member(), score()), 0..300),
        limits in prop::sample::select(LIMITS.to_vec()),
        (a, b, ex, ey) in (score(), score(), any::<bool>(), any::<bool>()),
        (from, len) in (0usize..200, 0usize..200),
    ) {
        let set = SortedSet::from_pairs(pairs.iter().map(|(m, s)| (m, *s)), limits);
        let model = Model(set.as_ref().iter().map(|(m, s)| (m.to_vec(), s)).collect());
        let sorted = model.sorted();
        let range = ScoreRange {
            min: ScoreBound { score: a, excluded: ex },
            max: ScoreBound { score: b, excluded: ey },
        };
        let within = |score: f64| {
            (if ex { score > a } else { score >= a }) && (if ey { score < b } else { score <= b })
        };
        let ranks = set.as_ref().by_score(&range);
        let wanted: Vec<_> = sorted.iter().filter(|(_, s)| within(*s)).map(|(m, _)| m.clone()).collect();
        prop_assert_eq!(ranks.len(), wanted.len());
        prop_assert_eq!(&visited(set.as_ref(), ranks.clone(), Direction::Ascending), &wanted);
        let mut down = visited(set.as_ref(), ranks, Direction::Descending);
        down.reverse();
        prop_assert_eq!(&down, &wanted);

        let all: Vec<_> = sorted.iter().map(|(m, _)| m.clone()).collect();
        let part: Vec<_> = all.iter().skip(from).take(len).cloned().collect();
        prop_assert_eq!(&visited(set.as_ref(), from..from + len, Direction::Ascending), &part);
        let mut down = visited(set.as_ref(), from..from + len, Direction::Descending);
        down.reverse();
        prop_assert_eq!(&down, &part);
        let at = set.as_ref().at(from).map(|(member, _)| member.to_vec());
        prop_assert_eq!(at.as_ref(), all.get(from));
    }

    #[test]
    fn ranges_of_members(
        members in prop::collection::btree_set(member(), 0..300),
        limits in prop::sample::select(LIMITS.to_vec()),
        (a, b) in (member(), member()),
        (from, to) in (0u8..4, 0u8..4),
    ) {
        let set = SortedSet::from_pairs(members.iter().map(|m| (m, 7.5)), limits);
        let bound = |text, which| match which {
            0 => LexBound::Lowest,
            1 => LexBound::Highest,
            2 => LexBound::Included(text),
            _ => LexBound::Excluded(text),
        };
        let range = LexRange { min: bound(&a, from), max: bound(&b, to) };
        let above = |m: &Vec<u8>| match range.min {
            LexBound::Lowest => true,
            LexBound::Highest => false,
            LexBound::Included(text) => &m[..] >= text,
            LexBound::Excluded(text) => &m[..] > text,
        };
        let below = |m: &Vec<u8>| match range.max {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Included(text) => &m[..] <= text,
            LexBound::Excluded(text) => &m[..] < text,
        };
        let wanted: Vec<_> = members.iter().filter(|m| above(m) && below(m)).cloned().collect();
        for direction in [Direction::Ascending, Direction::Descending] {
            let ranks = set.as_ref().by_lex(&range, direction);
            prop_assert_eq!(&visited(set.as_ref(), ranks, Direction::Ascending), &wanted);
        }
    }

    #[test]
    fn scan_visits_all_that_stay(
        stay in 1usize..400,
        churn in prop::collection::vec((member(), score(), any::<bool>()), 0..800),
        count in 0usize..30,
    ) {
        let limits = LIMITS[1];
        let name = |n: usize| format!("stay{n}").into_bytes();
        let mut set = SortedSet::from_pairs((0..stay).map(|n| (name(n), 0.0)), limits);
        let mut seen = HashSet::new();
        let (mut cursor, mut churn) = (0, churn.into_iter());
        loop {
            let mut page = 0;
            cursor = set.as_ref().scan(cursor, count, |member, _| {
                seen.insert(member.to_vec());
                page += 1;
            });
            prop_assert!(set.large.is_none() || page <= count.max(1));
            if cursor == 0 {
                break;
            }
            for (member, score, add) in churn.by_ref().take(40) {
                if add {
                    set.set(&member, score, limits);
                } else {
                    set.remove(&member);
                }
                // What stays may get another score.
                set.set(&name(page % stay), score, limits);
            }
        }
        prop_assert!((0..stay).all(|n| seen.contains(&name(n))));
    }
}

#[test]
fn the_form_changes_where_redis_changes_it() {
    let limits = SortedSetLimits::default();
    let names = |n: usize| (0..n).map(|n| (n.to_string(), n as f64));
    let encoding = |set: &SortedSet| set.as_ref().encoding();
    let mut set = SortedSet::from_pairs(names(128), limits);
    set.set(b"5", 500.0, limits);
    assert_eq!(encoding(&set), "listpack");
    set.set(b"one more", 1.0, limits);
    assert_eq!(encoding(&set), "skiplist");
    set.remove_ranks(1..129);
    assert_eq!((encoding(&set), set.as_ref().len()), ("skiplist", 1));
    let mut set = SortedSet::from_pairs([("x".repeat(64), 1.0)].iter().cloned(), limits);
    assert_eq!(encoding(&set), "listpack");
    set.set(&[b'x'; 65], 1.0, limits);
    assert_eq!(encoding(&set), "skiplist");
}

#[test]
fn negative_zero_is_kept_by_the_large_form_only() {
    let [small, _, large] = LIMITS;
    for (limits, sign) in [(small, 1.0), (large, -1.0)] {
        let mut set = SortedSet::from_pairs([("a", -0.0)].into_iter(), limits);
        assert_eq!(set.as_ref().score(b"a").map(f64::signum), Some(sign));
        // And 0 is no other score.
        set.set(b"a", 0.0, limits);
        assert_eq!(set.as_ref().score(b"a").map(f64::signum), Some(sign));
    }
}

/// Runs full, half full, in order and at random: what an element costs beyond its bytes.
#[test]
fn an_element_costs_little_more_than_its_bytes() {
    let limits = SortedSetLimits::default();
    let count = 100_000usize;
    for factor in [1, 0x9e37_79b9_7f4a_7c15u64] {
        let set = SortedSet::from_pairs(
            (0..count).map(|n| {
                let score = (n as u64).wrapping_mul(factor) >> 32;
                (format!("member:{n:08}"), score as f64)
            }),
            limits,
        );
        let members = set.large.as_ref().map(|members| {
            members.check();
            members.heap_bytes()
        });
        // 15 bytes of member, up to 7 of score, and their two tags.
        let each = members.unwrap_or(0) / count;
        assert!((20..40).contains(&each), "{each} bytes an element");
    }
}
