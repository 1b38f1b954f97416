//! Every form against an ordered set.

use super::*;
use crate::value::blob::Blob;
use crate::value::list::{List, ListLimits};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Debug, Clone)]
enum Step {
    Add(Vec<u8>),
    Remove(Vec<u8>),
}

type Model = BTreeSet<Vec<u8>>;

const LIMITS: SetLimits = SetLimits { intset_entries: 8, entries: 12, value_bytes: 16 };
const FEW_TEXTS: SetLimits = SetLimits { intset_entries: 12, entries: 4, value_bytes: 16 };
const ALWAYS_TABLE: SetLimits = SetLimits { intset_entries: 0, entries: 0, value_bytes: 0 };
const NEVER_TABLE: SetLimits =
    SetLimits { intset_entries: 100_000, entries: 100_000, value_bytes: 100_000 };

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-c]{0,2}".prop_map(String::into_bytes),
        1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (78usize..82).prop_map(|len| vec![b'x'; len]),
    ]
}

fn number() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![-9i64..30, -70_000i64..70_000, any::<i64>()]
        .prop_map(|n| n.to_string().into_bytes())
}

fn step(member: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Step> {
    (0u8..4, member).prop_map(|(what, member)| match what {
        0 => Step::Remove(member),
        _ => Step::Add(member),
    })
}

/// Numbers alone for a while, then anything.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let numbers = prop::collection::vec(step(number()), 0..40);
    let any = prop::collection::vec(step(prop_oneof![text(), number()]), 0..40);
    (numbers, any).prop_map(|(numbers, any)| [numbers, any].concat())
}

fn limits() -> impl Strategy<Value = SetLimits> {
    prop::sample::select(vec![LIMITS, FEW_TEXTS, ALWAYS_TABLE, NEVER_TABLE, SetLimits::default()])
}

fn members(set: SetRef<'_>) -> Vec<Vec<u8>> {
    set.iter().map(|member| member.to_vec()).collect()
}

fn check(set: &Set, model: &Model) {
    let read = set.as_ref();
    assert_eq!((read.len(), read.is_empty()), (model.len(), model.is_empty()));
    let mut found = members(read);
    if let Some(integers) = read.integers() {
        let mut ordered: Vec<i64> =
            model.iter().map(|member| parse_integer(member).unwrap()).collect();
        ordered.sort_unstable();
        assert_eq!(integers.iter().collect::<Vec<_>>(), ordered);
        let texts: Vec<_> = ordered.iter().map(|n| n.to_string().into_bytes()).collect();
        assert_eq!(found, texts);
    }
    found.sort();
    assert!(found.iter().eq(model), "{found:?} is not {model:?}");
    assert!(model.iter().all(|member| read.contains(member)));
    assert!(!read.contains(b"never added"));
    assert!(read.elements().map(|element| element.text().to_vec()).eq(members(read)));
    for times in [1, 1000] {
        let asked = read.asked(times);
        assert!(read.elements().all(|element| asked.contains(&element)));
        // The other form of the same members, and of others.
        let texts = Set::from_members(model, ALWAYS_TABLE);
        assert!(texts.as_ref().elements().all(|element| asked.contains(&element)));
        let others = Set::from_members(["-77", "never added", "99999"], NEVER_TABLE);
        let known = |element: Element<'_>| model.contains(&*element.text().to_vec());
        let mut elements = others.as_ref().elements();
        assert!(elements.all(|element| asked.contains(&element) == known(element)));
        assert_eq!(asked.contains(&Element::Integer(7)), model.contains(&b"7"[..]));
    }
    let mut scanned = Vec::new();
    let mut cursor = 0;
    loop {
        cursor = read.scan(cursor, 3, |member| scanned.push(member.to_vec()));
        if cursor == 0 {
            break;
        }
    }
    scanned.sort();
    assert!(scanned.iter().eq(model), "{scanned:?} is not {model:?}");
    if let Some(large) = &set.large {
        let sum: usize = large.table.iter().map(Member::heap_bytes).sum();
        assert_eq!(large.member_bytes, sum);
    }
}

proptest! {
    /// Redis' rule for its encodings: an integer set until a text comes or it has too many, and
    /// never again.
    #[test]
    fn behaves_as_an_ordered_set(steps in steps(), limits in limits()) {
        let (mut set, mut model) = (Set::new(), Model::new());
        let (mut converted, mut large) = (false, false);
        for step in steps {
            match step {
                Step::Add(member) => {
                    let fresh = model.insert(member.clone());
                    prop_assert_eq!(set.add(&member, limits), fresh);
                    let text = parse_integer(&member).is_none();
                    converted |= text || (fresh && model.len() > limits.intset_entries);
                    let long = fresh && text && member.len() > limits.value_bytes;
                    large |= converted && (long || model.len() > limits.entries);
                }
                Step::Remove(member) => {
                    prop_assert_eq!(set.remove(&member), model.remove(&member));
                }
            }
            let encoding = if converted { "hashtable" } else { "intset" };
            prop_assert_eq!(set.as_ref().encoding(), encoding);
            // Long digits alone may make it large a little earlier.
            prop_assert!(set.large.is_some() || !large);
            check(&set, &model);
            if model.is_empty() {
                (set, model, converted, large) = (Set::new(), Model::new(), false, false);
            }
        }
    }

    #[test]
    fn a_set_of_members_has_each_once(members in prop::collection::vec(text(), 0..40)) {
        let set = Set::from_members(&members, LIMITS);
        check(&set, &members.into_iter().collect());
    }

    /// A small set lies behind what its owner keeps, and does not touch it.
    #[test]
    fn the_head_stays(head in prop::collection::vec(any::<u8>(), 0..9), steps in steps()) {
        let mut set = Set::open(Blob::behind(head.clone().into(), head.len()), None);
        for step in steps {
            match step {
                Step::Add(member) => set.add(&member, LIMITS),
                Step::Remove(member) => set.remove(&member),
            };
            prop_assert_eq!(set.blob.head(), &head[..]);
            prop_assert_eq!(set.large.is_some(), matches!(set.as_ref(), SetRef::Large(_)));
        }
    }

    /// Whoever is there from the first call to the last is visited, in any form, also when the
    /// form changes in between.
    #[test]
    fn scan_visits_all_that_stay(
        stay in prop::collection::btree_set(prop_oneof![text(), number()], 1..60),
        churn in prop::collection::vec("[p-r]{1,3}", 0..300),
        count in 1usize..8,
        limits in limits(),
    ) {
        let mut set = Set::from_members(&stay, limits);
        let mut churn = churn.into_iter();
        let mut seen = BTreeSet::new();
        let mut cursor = 0;
        loop {
            cursor = set.as_ref().scan(cursor, count, |member| { seen.insert(member.to_vec()); });
            if cursor == 0 {
                break;
            }
            for member in churn.by_ref().take(20) {
                if !stay.contains(member.as_bytes()) && !set.remove(member.as_bytes()) {
                    set.add(member.as_bytes(), limits);
                }
            }
        }
        prop_assert!(stay.is_subset(&seen));
    }
}

#[test]
fn picks_are_even_in_every_form() {
    for limits in [NEVER_TABLE, ALWAYS_TABLE] {
        for prefix in ["", "m"] {
            let set = Set::from_members((0..40).map(|n| format!("{prefix}{n}")), limits);
            let mut times = std::collections::BTreeMap::new();
            for _ in 0..4000 {
                let member = set.as_ref().random(crate::clock::random).unwrap().to_vec();
                *times.entry(member).or_insert(0) += 1;
            }
            // 100 expected of each, with a deviation of 10.
            assert!(
                times.len() == 40 && times.values().all(|n| (40..160).contains(n)),
                "{times:?}"
            );
        }
    }
    assert!(Set::new().as_ref().random(crate::clock::random).is_none());
}

/// More items than a count of 16 bits tells from integers.
#[test]
fn many_items_are_not_taken_for_integers() {
    let mut set = Set::from_members((0..integers::ITEMS).map(|n| n.to_string()), NEVER_TABLE);
    assert_eq!(set.as_ref().encoding(), "intset");
    set.leave_integers(integers::ITEMS, NEVER_TABLE);
    assert!(set.large.is_none() && set.as_ref().encoding() == "hashtable");
    assert_eq!(set.as_ref().len(), integers::ITEMS);
    assert!(set.add(b"one more", NEVER_TABLE) && set.large.is_some());
    assert_eq!(set.as_ref().len(), integers::ITEMS + 1);
}

/// Bytes that the issue allows a set of ten short texts, and Redis' own for integers.
#[test]
fn small_sets_are_small() {
    let texts =
        Set::from_members((0..10).map(|n| format!("member{n}:123456")), SetLimits::default());
    // All begin with "member".
    assert_eq!(texts.blob.heap_bytes(), 2 + 2 + 6 + 10 * 9);
    for (step, width) in [(1, 2), (10_000, 4), (1 << 40, 8)] {
        let integers =
            Set::from_members((0..10).map(|n: i64| (n * step).to_string()), SetLimits::default());
        assert_eq!(integers.blob.heap_bytes(), 2 + 10 * width);
    }
}

proptest! {
    /// What is made at once is what is made one by one: its form, and its order.
    #[test]
    fn made_at_once_as_one_by_one(
        members in prop::collection::vec(prop_oneof![4 => number(), 1 => text()], 0..40),
        numbers in 0usize..40,
        limits in limits(),
        sizes in prop::collection::vec(1usize..12, 1..5),
    ) {
        // Some that begin with nothing but numbers.
        let mut members = members;
        members.iter_mut().take(numbers).for_each(|member| {
            if parse_integer(member).is_none() {
                *member = member.len().to_string().into_bytes();
            }
        });
        let grown = Set::from_members(&members, limits);
        let mut seen = Model::new();
        let distinct: Vec<_> =
            members.iter().filter(|member| seen.insert((*member).clone())).collect();
        let list = List::from_texts(&distinct, ListLimits::default());
        let texts = list.as_ref().forward(0).map(|element| element.text());
        let made = Set::from_distinct(texts, limits);
        alike(&made, &grown, &seen);
        // The same members in sets, of which the union is made.
        let mut rest = members.as_slice();
        let mut parts = Vec::new();
        for size in sizes {
            let (part, behind) = rest.split_at(size.min(rest.len()));
            parts.push(Set::from_members(part, limits));
            rest = behind;
        }
        let parts: Vec<_> = parts.iter().map(Set::as_ref).collect();
        let mut one_by_one = Set::new();
        for member in parts.iter().flat_map(|part| part.iter()) {
            one_by_one.add(&member, limits);
        }
        let model: Model = members_of(&one_by_one);
        alike(&Set::union(&parts, limits), &one_by_one, &model);
    }
}

fn members_of(set: &Set) -> Model {
    set.as_ref().iter().map(|member| member.to_vec()).collect()
}

/// Two sets of the same form; the order of a table is its own.
fn alike(made: &Set, grown: &Set, model: &Model) {
    check(made, model);
    assert_eq!(made.large.is_some(), grown.large.is_some());
    if made.large.is_none() {
        assert_eq!(members(made.as_ref()), members(grown.as_ref()));
        assert_eq!(made.as_ref().integers().is_some(), grown.as_ref().integers().is_some());
    }
}
