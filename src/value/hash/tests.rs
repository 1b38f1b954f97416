//! Both forms against a list of pairs.

use super::fields::Field;
use super::*;
use crate::value::blob::Blob;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Set(Vec<u8>, Vec<u8>),
    Update(Vec<u8>, Vec<u8>),
    Expire(Vec<u8>, u64),
    Remove(Vec<u8>),
    RemoveDue(u64, usize),
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;
type Triples = Vec<(Vec<u8>, Vec<u8>, u64)>;

const LIMITS: HashLimits = HashLimits { entries: 12, value_bytes: 16 };
const ALWAYS_TABLE: HashLimits = HashLimits { entries: 0, value_bytes: 0 };
const NEVER_TABLE: HashLimits = HashLimits { entries: 100_000, value_bytes: 100_000 };

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-c]{0,2}".prop_map(String::into_bytes),
        4 => (-3i64..300).prop_map(|n| n.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (78usize..82).prop_map(|len| vec![b'x'; len]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (text(), text()).prop_map(|(field, value)| Step::Set(field, value)),
        1 => (text(), text()).prop_map(|(field, value)| Step::Update(field, value)),
        1 => (text(), 0u64..40).prop_map(|(field, at)| Step::Expire(field, at)),
        1 => text().prop_map(Step::Remove),
        1 => (0u64..20, 0usize..3).prop_map(|(now, most)| Step::RemoveDue(now, most)),
    ]
}

fn pairs(hash: Live<'_>) -> Pairs {
    hash.iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect()
}

fn live(model: &Triples, now: u64) -> Pairs {
    let live = model.iter().filter(|(_, _, at)| *at == NEVER || *at > now);
    live.map(|(field, value, _)| (field.clone(), value.clone())).collect()
}

fn sorted(mut pairs: Pairs) -> Pairs {
    pairs.sort();
    pairs
}

fn apply(hash: &mut Hash, model: &mut Triples, step: Step, limits: HashLimits) {
    let known = |model: &Triples, field: &[u8]| model.iter().position(|(known, ..)| known == field);
    match step {
        Step::Set(field, value) => {
            let known = known(model, &field);
            assert_eq!(hash.set(&field, &value, Lifetime::New, limits), known.is_none());
            match known {
                Some(at) => model[at] = (field, value, NEVER),
                None => model.push((field, value, NEVER)),
            }
        }
        Step::Update(field, value) => {
            let known = known(model, &field);
            assert_eq!(hash.set(&field, &value, Lifetime::Kept, limits), known.is_none());
            match known {
                Some(at) => model[at].1 = value,
                None => model.push((field, value, NEVER)),
            }
        }
        Step::Expire(field, moment) => {
            let known = known(model, &field);
            assert_eq!(hash.expire(&field, moment), known.is_some());
            known.into_iter().for_each(|at| model[at].2 = moment);
        }
        Step::Remove(field) => {
            let before = model.len();
            model.retain(|(known, ..)| *known != field);
            assert_eq!(hash.remove(&field), model.len() < before);
        }
        Step::RemoveDue(now, most) => {
            let due = model.len() - live(model, now).len();
            let mut told = Vec::new();
            hash.remove_due(now, most, |field| told.push(field.to_vec()));
            assert_eq!(told.len(), due.min(most));
            for field in told {
                let (.., at) = model.remove(known(model, &field).unwrap());
                assert!(at != NEVER && at <= now);
            }
        }
    }
}

fn check(hash: &Hash, model: &Triples) {
    assert_eq!(hash.as_ref().len(), model.len());
    let soonest = model.iter().map(|(.., at)| *at).filter(|at| *at != NEVER).min();
    assert_eq!(hash.as_ref().soonest(), soonest.unwrap_or(NEVER));
    for now in [0, 1, 10, 20, 50] {
        check_live(hash.as_ref().live(now), model, now);
    }
    if let Some(fields) = &hash.large {
        let sum: usize = fields.table.iter().map(Field::heap_bytes).sum();
        assert_eq!(fields.field_bytes, sum);
    }
}

fn check_live(hash: Live<'_>, model: &Triples, now: u64) {
    let expected = live(model, now);
    assert_eq!((hash.len(), hash.is_empty()), (expected.len(), expected.is_empty()));
    for (field, value, at) in model {
        let there = *at == NEVER || *at > now;
        let found = hash.get_with_expiry(field).map(|(value, at)| (value.to_vec(), at));
        assert_eq!(found, there.then(|| (value.clone(), *at)));
    }
    if hash.is_table() {
        assert_eq!(sorted(pairs(hash)), sorted(expected.clone()));
    } else {
        assert_eq!(pairs(hash), expected);
    }
    let mut state = 1u64;
    let random = hash.random(|| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        state
    });
    let random = random.map(|(field, value)| (field.to_vec(), value.to_vec()));
    assert!(random.map_or(expected.is_empty(), |pair| expected.contains(&pair)));
    let mut scanned = Vec::new();
    let mut cursor = 0;
    loop {
        cursor = hash.scan(cursor, 3, |f, v| scanned.push((f.to_vec(), v.to_vec())));
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(sorted(scanned), sorted(expected));
}

proptest! {
    #[test]
    fn behaves_as_a_list_of_pairs(
        steps in prop::collection::vec(step(), 0..60),
        limits in prop::sample::select(vec![LIMITS, ALWAYS_TABLE, NEVER_TABLE]),
    ) {
        let (mut hash, mut model) = (Hash::new(), Vec::new());
        let mut upgraded = false;
        for step in steps {
            let long = match &step {
                Step::Set(field, value) | Step::Update(field, value) => {
                    field.len().max(value.len()) > limits.value_bytes
                }
                _ => false,
            };
            apply(&mut hash, &mut model, step, limits);
            upgraded |= long || model.len() > limits.entries;
            let expires = model.iter().any(|(.., at)| *at != NEVER);
            let small = if expires { "listpackex" } else { "listpack" };
            let encoding = if upgraded { "hashtable" } else { small };
            prop_assert_eq!(hash.as_ref().encoding(), encoding);
            check(&hash, &model);
        }
        let mut copy = Hash::from_pairs(model.iter().map(|(field, value, _)| (field, value)), limits);
        for (field, _, at) in &model {
            prop_assert!(copy.expire(field, *at));
        }
        check(&copy, &model);
        prop_assert_eq!(copy.as_ref().len(), hash.as_ref().len());
    }

    #[test]
    fn scan_visits_all_that_stay(
        stay in 1usize..400,
        churn in prop::collection::vec(0u32..2000, 0..6000),
        count in 1usize..20,
    ) {
        let mut hash = Hash::new();
        for n in 0..stay {
            hash.set(format!("stay:{n}").as_bytes(), b"", Lifetime::New, ALWAYS_TABLE);
        }
        let mut churn = churn.into_iter();
        let mut seen = BTreeMap::<Vec<u8>, u32>::new();
        let mut cursor = 0;
        loop {
            cursor = hash.as_ref().live(0).scan(cursor, count, |field, _| {
                *seen.entry(field.to_vec()).or_default() += 1;
            });
            if cursor == 0 {
                break;
            }
            for n in churn.by_ref().take(60) {
                let field = format!("churn:{n}");
                if !hash.remove(field.as_bytes()) {
                    hash.set(field.as_bytes(), b"1", Lifetime::New, ALWAYS_TABLE);
                }
            }
        }
        for n in 0..stay {
            // Once and no more: the cursor is a place in the order of the hashes.
            prop_assert_eq!(seen.get(format!("stay:{n}").as_bytes()), Some(&1));
        }
    }
}

#[test]
fn scan_visits_count_and_no_more() {
    let mut hash = Hash::new();
    for n in 0..1000 {
        hash.set(format!("f{n}").as_bytes(), b"v", Lifetime::New, ALWAYS_TABLE);
    }
    let (mut cursor, mut calls, mut total) = (0, 0, 0);
    loop {
        let mut visited = 0;
        cursor = hash.as_ref().live(0).scan(cursor, 10, |_, _| visited += 1);
        (calls, total) = (calls + 1, total + visited);
        if cursor == 0 {
            break;
        }
        // Eleven only if two of a thousand 32-bit hashes were equal and met the border.
        assert!((10..=11).contains(&visited));
    }
    assert_eq!(total, 1000);
    assert!(calls <= 100);
    assert_eq!(
        hash.as_ref().live(0).scan(u64::from(u32::MAX) + 1, 10, |_, _| panic!("behind the end")),
        0
    );
}

#[test]
fn random_is_uniform() {
    for limits in [NEVER_TABLE, ALWAYS_TABLE] {
        let mut hash = Hash::new();
        let mut state = 42u64;
        let mut next = move || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        };
        assert!(hash.as_ref().live(0).random(&mut next).is_none());
        for n in 0..20 {
            hash.set(n.to_string().as_bytes(), b"v", Lifetime::New, limits);
        }
        let mut hits = BTreeMap::<Vec<u8>, u32>::new();
        for _ in 0..20_000 {
            let (field, value) = hash.as_ref().live(0).random(&mut next).expect("not empty");
            assert_eq!(&*value, b"v");
            *hits.entry(field.to_vec()).or_default() += 1;
        }
        assert_eq!(hits.len(), 20);
        // The expectation is 1000, the standard deviation 31.
        assert!(hits.values().all(|hits| (800..1200).contains(hits)), "{hits:?}");
    }
}

#[test]
fn upgrades_at_the_thresholds_and_never_back() {
    let limits = HashLimits::default();
    let mut hash = Hash::new();
    for n in 0..512 {
        hash.set(format!("f{n}").as_bytes(), b"v", Lifetime::New, limits);
    }
    hash.set(b"f0", &[b'x'; 64], Lifetime::New, limits);
    assert_eq!(hash.as_ref().encoding(), "listpack");
    hash.set(b"f512", b"v", Lifetime::New, limits);
    assert_eq!(hash.as_ref().encoding(), "hashtable");
    for n in 1..513 {
        assert!(hash.remove(format!("f{n}").as_bytes()));
    }
    assert_eq!(hash.as_ref().encoding(), "hashtable");
    for (field, value) in [(65, 0), (0, 65)] {
        let mut hash = Hash::new();
        hash.set(&vec![b'x'; field], &vec![b'x'; value], Lifetime::New, limits);
        assert_eq!(hash.as_ref().encoding(), "hashtable");
    }
}

#[test]
fn the_count_of_the_small_form_does_not_wrap() {
    // Straight into the allocation: a search before each insertion would take long.
    let most = u16::MAX / 2;
    let mut bytes = (most * 2).to_le_bytes().to_vec();
    for n in 0..most {
        Encoded::new(n.to_string().as_bytes()).append(&mut bytes);
        Encoded::new(b"v").append(&mut bytes);
    }
    let mut hash = Hash::open(Blob::behind(bytes.into(), 0), None);
    assert_eq!((hash.as_ref().len(), hash.as_ref().encoding()), (32_767, "listpack"));
    assert!(hash.set(b"one more", b"v", Lifetime::New, NEVER_TABLE));
    assert_eq!((hash.as_ref().len(), hash.as_ref().encoding()), (32_768, "hashtable"));
}

#[test]
fn sizes() {
    let pairs = (0..10).map(|n| (format!("field:{n}"), format!("value:{n}")));
    let hash = Hash::from_pairs(pairs, HashLimits::default());
    // A listpack of the same takes 7 + 10 * (7 + 7 + 4) bytes.
    // Here the fields share "field:".
    assert_eq!(hash.blob.heap_bytes(), 2 + 8 + 10 * (1 + 7 + 2));
}
