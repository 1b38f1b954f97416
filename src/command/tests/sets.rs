//! Sets: the words of the log, iteration while members come and go.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Bench, page, words};

/// A command on few sets of few members, small and large, with and without texts.
pub(super) fn command() -> impl Strategy<Value = String> {
    let key = || prop::sample::select(vec!["a", "b", "c"]);
    let keys = || prop::collection::vec(key(), 1..4).prop_map(|keys| keys.join(" "));
    let member = || prop::sample::select(vec!["1", "2", "3", "70000", "x", "y", "007"]);
    let members = || prop::collection::vec(member(), 1..6).prop_map(|members| members.join(" "));
    let integers = |count: i64| (0..count).map(|n| format!(" {n}")).collect::<String>();
    prop_oneof![
        4 => (key(), members()).prop_map(|(k, m)| format!("SADD {k} {m}")),
        1 => (key(), 500i64..520).prop_map(move |(k, n)| format!("SADD {k}{}", integers(n))),
        2 => (key(), members()).prop_map(|(k, m)| format!("SREM {k} {m}")),
        2 => (key(), key(), member()).prop_map(|(k, l, m)| format!("SMOVE {k} {l} {m}")),
        1 => key().prop_map(|k| format!("SPOP {k}")),
        2 => (key(), 0i64..5).prop_map(|(k, n)| format!("SPOP {k} {n}")),
        1 => (key(), 400i64..600).prop_map(|(k, n)| format!("SPOP {k} {n}")),
        1 => (key(), keys()).prop_map(|(k, l)| format!("SINTERSTORE {k} {l}")),
        1 => (key(), keys()).prop_map(|(k, l)| format!("SUNIONSTORE {k} {l}")),
        1 => (key(), keys()).prop_map(|(k, l)| format!("SDIFFSTORE {k} {l}")),
        1 => (key(), 1i64..20).prop_map(|(k, n)| format!("PEXPIRE {k} {n}")),
    ]
}

#[test]
fn the_log_has_what_was_picked() {
    let bench = Bench::new();
    for (now, line, logged) in [
        (1, "SADD s 1 2", &["SADD s 1 2"][..]),
        (1, "SADD s 1", &[]),
        (1, "SREM s 9", &[]),
        (1, "SREM s 1", &["SREM s 1"]),
        (1, "SPOP s", &["SREM s 2"]),
        (1, "SPOP s", &[]),
        (1, "SPOP s 5", &[]),
        (1, "SADD s a a a", &["SADD s a a a"]),
        (1, "SPOP s 0", &[]),
        (1, "SMOVE s s a", &[]),
        (1, "SMOVE s t b", &[]),
        (1, "SMOVE s t a", &["SMOVE s t a"]),
        (1, "SPOP t 1", &["DEL t"]),
        (1, "SADD t a b", &["SADD t a b"]),
        (1, "SUNIONSTORE d t s", &["SUNIONSTORE d t s"]),
        (1, "SINTERSTORE d t s", &["SINTERSTORE d t s"]),
        (1, "SINTERSTORE d t s", &[]),
        (1, "SDIFFSTORE d s", &[]),
        (1, "PEXPIRE t 5", &["PEXPIREAT t 6"]),
        // A replica would take what is due for present.
        (6, "SADD u c", &["SADD u c"]),
        (6, "SUNIONSTORE d t u", &["DEL t", "SUNIONSTORE d t u"]),
        (6, "PEXPIRE d 1", &["PEXPIREAT d 7"]),
        (7, "SMOVE u d c", &["DEL d", "SMOVE u d c"]),
    ] {
        assert_eq!(bench.effects(now, line), logged, "{line}");
    }
}

/// What is popped is what the log takes out, in commands of a bounded length.
#[test]
fn many_that_are_popped_are_logged_in_parts() {
    let bench = Bench::new();
    for n in 0..3000 {
        bench.ask(1, &format!("SADD s m{n}"));
    }
    let (answer, effects) = bench.run(1, &words("SPOP s 2500"));
    assert_eq!(effects.iter().map(Vec::len).collect::<Vec<_>>(), [1026, 1026, 454]);
    let logged: BTreeSet<&[u8]> =
        effects.iter().flat_map(|argv| &argv[2..]).map(Vec::as_slice).collect();
    let answer = answer.unwrap();
    let popped: BTreeSet<&[u8]> = answer
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_end)
        .filter(|line| line.starts_with(b"m"))
        .collect();
    assert_eq!(popped.len(), 2500);
    assert_eq!(popped, logged);
    assert_eq!(bench.ask(1, "SCARD s"), ":500\r\n");
}

#[test]
fn sscan_finds_all_that_stay_and_counts_exactly() {
    let bench = Bench::new();
    for n in 0..2000 {
        bench.ask(1, &format!("SADD s stay:{n}"));
    }
    let (mut cursor, mut seen, mut churn) = ("0".to_owned(), BTreeSet::new(), 0);
    loop {
        let (next, members) = page(&bench.ask(1, &format!("SSCAN s {cursor} COUNT 7")));
        assert!(members.len() <= 8 && (members.len() >= 7 || next == "0"), "{members:?}");
        seen.extend(members.into_iter().filter(|member| member.starts_with("stay")));
        // The set grows, and shrinks below what it began with.
        for _ in 0..30 {
            bench.ask(1, &format!("SADD s churn:{churn}"));
            bench.ask(1, &format!("SREM s churn:{}", churn / 2));
            churn += 1;
        }
        cursor = next;
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 2000);
    assert_eq!(page(&bench.ask(1, "SSCAN s 18446744073709551615")), ("0".to_owned(), vec![]));
}
