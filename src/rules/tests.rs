use super::list::Side;
use super::stats::{RuleStats, Verdict};
use super::*;
use crate::command::limiter_rule::replay;

pub(super) fn rule(text: &str) -> Rule {
    Rule::parse(text.as_bytes()).unwrap()
}

pub(super) fn spec(text: &str) -> Spec {
    Spec {
        rule: rule(text),
        deny: None,
        allow: None,
        expires_at: FOREVER,
        regions: Regions::Leader,
    }
}

pub(super) fn judged(
    rules: &Rules,
    key: &str,
    ids: &[&[u8]],
    now: u64,
) -> Result<Judgement, Fault> {
    rules.with(b"@pro", now, |known| Ok(known.judge(key.as_bytes(), ids, now)))
}

#[test]
fn a_name_means_what_was_said_last() {
    let rules = Rules::default();
    assert_eq!(judged(&rules, "k", &[], 5), Err(no_rule(b"pro")));
    rules.change().set(b"pro", spec("5/1s"), 5).unwrap();
    assert_eq!(judged(&rules, "k", &[], 5), Ok(Judgement::Rule(rule("5/1s"))));
    rules.change().set(b"pro", Spec { expires_at: 10, ..spec("6/1s") }, 5).unwrap();
    assert_eq!(judged(&rules, "k", &[], 9), Ok(Judgement::Rule(rule("6/1s"))));
    assert_eq!(judged(&rules, "k", &[], 10), Err(no_rule(b"pro")));
    assert!(!rules.change().remove(b"pro", 10) && !rules.change().remove(b"pro", 5));
}

/// Threads remember names; another node's are none of theirs.
#[test]
fn nodes_do_not_share_names() {
    let (one, other) = (Rules::default(), Rules::default());
    one.change().set(b"pro", spec("5/1s"), 0).unwrap();
    other.change().set(b"pro", spec("6/1s"), 0).unwrap();
    for _ in 0..2 {
        assert_eq!(judged(&one, "k", &[], 5), Ok(Judgement::Rule(rule("5/1s"))));
        assert_eq!(judged(&other, "k", &[], 5), Ok(Judgement::Rule(rule("6/1s"))));
    }
}

#[test]
fn who_is_named_has_a_rule_of_its_own() {
    let rules = Rules::default();
    let own = (rule("9/1s"), 100);
    assert!(rules.change().set_for(b"pro", b"alice", own, 0).is_err());
    rules.change().set(b"pro", spec("5/1s"), 0).unwrap();
    rules.change().set_for(b"pro", b"alice", own, 0).unwrap();
    for (key, ids, limit) in [
        ("alice", vec![], 9),
        ("pro:alice", vec![], 9),
        ("other:alice", vec![], 5),
        ("bob", vec![], 5),
        ("bob", vec![&b"carol"[..], b"alice"], 9),
        ("alice", vec![&b"carol"[..]], 5),
    ] {
        let Ok(Judgement::Rule(rule)) = judged(&rules, key, &ids, 50) else { panic!("{key}") };
        assert_eq!(rule.limit(), limit, "{key} {ids:?}");
    }
    assert_eq!(judged(&rules, "alice", &[], 100), Ok(Judgement::Rule(rule("5/1s"))));
    rules.change().set(b"pro", spec("7/1s"), 0).unwrap();
    assert_eq!(judged(&rules, "alice", &[], 5), Ok(Judgement::Rule(rule("9/1s"))));
    assert!(rules.change().remove_for(b"pro", b"alice", 5));
    assert_eq!(judged(&rules, "alice", &[], 5), Ok(Judgement::Rule(rule("7/1s"))));
}

#[test]
fn lists_decide_before_the_rule() {
    let rules = Rules::default();
    let with_lists =
        Spec { deny: Some(Box::from(*b"bad")), allow: Some(Box::from(*b"good")), ..spec("5/1s") };
    rules.change().set(b"pro", with_lists, 0).unwrap();
    let change = rules.change();
    assert_eq!(change.list_add(b"bad", Side::Deny, &[b"10.0.0.0/8", b"mallory"], 100, 0), Ok(2));
    assert_eq!(change.list_add(b"bad", Side::Allow, &[b"alice"], FOREVER, 0), Ok(1));
    assert_eq!(change.list_add(b"good", Side::Allow, &[b"10.1.1.1", b"bob"], FOREVER, 0), Ok(2));
    drop(change);
    let of = |key: &str, now| judged(&rules, key, &[], now).unwrap();
    let limit = rule("5/1s");
    assert_eq!(of("mallory", 5), Judgement::Deny(limit));
    assert_eq!(of("pro:10.2.3.4", 5), Judgement::Deny(limit));
    assert_eq!(of("10.1.1.1", 5), Judgement::Deny(limit));
    assert_eq!(of("10.1.1.1", 100), Judgement::Pass(limit));
    assert_eq!(of("bob", 5), Judgement::Pass(limit));
    assert_eq!(of("alice", 5), Judgement::Rule(limit));
    assert_eq!(rules.change().list_remove(b"good", Side::Allow, &[], 5), 2);
    assert!(rules.list(b"good").is_none());
    assert_eq!(of("bob", 5), Judgement::Rule(limit));
}

#[test]
fn a_scan_finds_every_value_once() {
    let rules = Rules::default();
    let values: Vec<String> = (0..1000).map(|n| format!("v{n}")).collect();
    let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
    assert_eq!(rules.change().list_add(b"l", Side::Deny, &values, FOREVER, 0), Ok(1000));
    let (mut cursor, mut found) = (0, Vec::new());
    loop {
        let (next, page) = rules.list(b"l").unwrap().scan(Side::Deny, cursor, 7, 0);
        found.extend(page.into_iter().map(|(value, _)| value));
        cursor = next;
        if next == 0 {
            break;
        }
    }
    assert_eq!(found.len(), 1000);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 1000);
}

/// What is over is not in, whether or not it has been freed, and makes room when that is needed.
#[test]
fn values_that_are_over_make_room() {
    let rules = Rules::default();
    let values: Vec<String> = (0..LIST_VALUES).map(|n| n.to_string()).collect();
    let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
    let add = |values: &[&[u8]], until, now| {
        rules.change().list_add(b"l", Side::Deny, values, until, now)
    };
    assert_eq!(add(&values, 100, 0), Ok(LIST_VALUES));
    assert!(add(&[b"more"], 200, 99).is_err());
    assert_eq!(add(&[b"more"], 200, 100), Ok(1));
    assert_eq!(rules.list(b"l").unwrap().len(), 1);
    assert_eq!(add(&values[..5000], 300, 100), Ok(5000));
    // Of those that are over not all are freed at once.
    assert_eq!(rules.change().list_remove(b"l", Side::Deny, &[b"4999", b"more"], 300), 0);
    let left = rules.list(b"l").unwrap().len();
    assert!((1..4000).contains(&left), "{left}");
    assert_eq!(add(&[b"4000"], 400, 300), Ok(1));
    assert_eq!(rules.change().list_remove(b"l", Side::Deny, &[], 300), 1);
    // Lists of nothing but such make room for other lists.
    for n in 0..RULE_LISTS {
        let name = format!("l{n}");
        rules.change().list_add(name.as_bytes(), Side::Deny, &[b"a"], 500, 400).unwrap();
    }
    assert!(add(&[b"a"], 600, 499).is_err());
    assert_eq!(add(&[b"a"], 600, 500), Ok(1));
    assert_eq!(rules.lists().len(), 1);
}

/// Adding to and removing from lists at random, against the plainest model.
#[test]
fn lists_are_sets_with_times() {
    let rules = Rules::default();
    let mut model: HashMap<Vec<u8>, u64> = HashMap::new();
    let mut seed = 7u64;
    for now in 1..4000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let value = format!("v{}", (seed >> 33) % 40).into_bytes();
        model.retain(|_, until| *until > now);
        if (seed >> 20).is_multiple_of(3) {
            let removed = rules.change().list_remove(b"l", Side::Deny, &[&value], now);
            assert_eq!(removed, usize::from(model.remove(&value).is_some()));
        } else {
            let until = now + 1 + (seed >> 40) % 50;
            let added = rules.change().list_add(b"l", Side::Deny, &[&value], until, now);
            assert_eq!(added, Ok(usize::from(model.insert(value, until).is_none())));
        }
        let list = rules.list(b"l");
        assert_eq!(list.as_ref().map_or(0, |list| list.len()), model.len());
        for n in 0..40 {
            let value = format!("v{n}").into_bytes();
            let has = list.as_ref().is_some_and(|list| list.has(Side::Deny, &value, now));
            assert_eq!(has, model.contains_key(&value));
        }
    }
}

#[test]
fn a_full_copy_carries_rules_and_lists() {
    let rules = Rules::default();
    let change = rules.change();
    let with_lists =
        Spec { deny: Some(Box::from(*b"bad")), expires_at: 900, ..spec("5/1s:gcra:7") };
    change.set(b"pro", with_lists.clone(), 5).unwrap();
    change.set(b"free", spec("3/conc"), 5).unwrap();
    change.set_for(b"pro", b"\x00alice\xff", (rule("9/1h"), 800), 5).unwrap();
    change.set_for(b"pro", b"gone", (rule("9/1h"), 6), 5).unwrap();
    let values: Vec<String> = (0..1500).map(|n| n.to_string()).collect();
    let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
    change.list_add(b"bad", Side::Deny, &values, FOREVER, 5).unwrap();
    change.list_add(b"bad", Side::Deny, &[b"EX", b"10.0.0.0/8"], 700, 5).unwrap();
    drop(change);
    let copy = Rules::default();
    for fact in carry::facts(&rules, 10) {
        replay(&copy, &carry::decode(&fact).unwrap(), 10).unwrap();
    }
    assert_eq!(copy.get(b"pro", 10).unwrap().spec, with_lists);
    assert_eq!(copy.get(b"free", 10).unwrap().spec, spec("3/conc"));
    let own = copy.get(b"pro", 10).unwrap().overrides.all(10);
    assert_eq!(own, [(Box::from(*b"\x00alice\xff"), rule("9/1h"), 800)]);
    let page = |rules: &Rules| rules.list(b"bad").unwrap().scan(Side::Deny, 0, 9999, 10);
    assert_eq!(page(&copy), page(&rules));
    for broken in [&b"\x05\x00\x00\x00RL"[..], b"\x05", b"\x02\x00\x00\x00RL"] {
        let words = carry::decode(broken);
        assert!(words.is_err() || replay(&copy, &words.unwrap(), 10).is_err());
    }
}

/// What is read from a copy, or a file, at `now`.
fn copied(rules: &Rules, made: u64, now: u64) -> Rules {
    let copy = Rules::default();
    for fact in carry::facts(rules, made) {
        replay(&copy, &carry::decode(&fact).unwrap(), now).unwrap();
    }
    copy
}

/// `a EX 5` would be one value and a time.
#[test]
fn a_full_copy_carries_values_that_are_words_of_the_command() {
    let rules = Rules::default();
    // Values are told in the order of their hashes: some of these lists have the word in between.
    for until in [FOREVER, 5000] {
        for number in 100..150 {
            let (name, number) = (format!("l{number}"), number.to_string());
            let values: [&[u8]; 3] = [b"EX", number.as_bytes(), b"a"];
            for value in values {
                rules.change().list_add(name.as_bytes(), Side::Deny, &[value], until, 0).unwrap();
            }
        }
        let copy = copied(&rules, 0, 0);
        for name in rules.lists() {
            let page = |rules: &Rules| rules.list(&name).unwrap().scan(Side::Deny, 0, 9, 0);
            assert_eq!(page(&copy), page(&rules));
        }
    }
}

/// It takes a while, and the clock of a replica may be ahead.
#[test]
fn a_rule_that_ends_while_it_is_copied_breaks_no_copy() {
    let rules = Rules::default();
    rules.change().set(b"pro", Spec { expires_at: 100, ..spec("5/1s") }, 5).unwrap();
    rules.change().set_for(b"pro", b"alice", (rule("9/1s"), FOREVER), 5).unwrap();
    rules.change().list_add(b"l", Side::Deny, &[b"a"], 100, 5).unwrap();
    let copy = copied(&rules, 99, 100);
    assert_eq!(judged(&copy, "alice", &[], 100), Err(no_rule(b"pro")));
    assert_eq!(judged(&copy, "alice", &[], 99), Ok(Judgement::Rule(rule("9/1s"))));
    assert!(!copy.list(b"l").unwrap().has(Side::Deny, b"a", 100));
}

const MINUTE: u64 = 60_000;

#[test]
fn counts_are_by_time_and_end() {
    let stats = RuleStats::default();
    let start = 500_000 * 60 * MINUTE;
    for minute in 0..130 {
        stats.count(Verdict::Allowed, b"a", start + minute * MINUTE);
        stats.count(Verdict::Limited, b"b", start + minute * MINUTE + 1);
    }
    let now = start + 130 * MINUTE;
    assert_eq!(stats.since(0, now), [130, 130, 0]);
    assert_eq!(stats.since(now - 10 * MINUTE, now), [10, 10, 0]);
    // Two hours ago counts are by the hour.
    assert_eq!(stats.since(start + 30 * MINUTE, now), [130, 130, 0]);
    // Of the first two hours, the first is forgotten before the second.
    let [allowed, limited, denied] = stats.since(0, now + 47 * 60 * MINUTE);
    assert!((1..130).contains(&allowed) && limited == allowed && denied == 0);
    assert_eq!(stats.since(0, now + 50 * 60 * MINUTE), [0, 0, 0]);
}

/// Whoever asks more often than a share of a set is found, and how often it was is known within the error.
#[test]
fn who_asks_most_is_found_among_very_many() {
    let stats = RuleStats::default();
    for n in 0..100_000u32 {
        stats.count(Verdict::Allowed, format!("one-of-many-{n}").as_bytes(), MINUTE);
        if n % 4 == 0 {
            stats.count(Verdict::Limited, b"greedy", MINUTE);
        }
    }
    let top = stats.top(1, MINUTE);
    assert_eq!(top[0].id, b"greedy");
    assert!(top[0].total >= 25_000 && top[0].total - top[0].error <= 25_000, "{top:?}");
    assert!(top[0].refused <= 25_000);
    assert!(stats.top(9999, MINUTE).len() <= 128);
    assert!(stats.top(9, 3 * 60 * MINUTE).is_empty());
}
