//! Sorted sets: the words of the log, what a replica makes of them, iteration while members
//! come and go, and random commands held against redis-server.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::mirror::{Mirror, Random, Words, line};
use super::{Bench, page};

/// A command on few sorted sets of few members, small and large.
pub(super) fn command() -> impl Strategy<Value = String> {
    let key = || prop::sample::select(vec!["a", "b", "c"]);
    let member = || prop::sample::select(vec!["1", "2", "x", "y", "z", "007"]);
    let score = || prop::sample::select(vec!["1", "2", "0.1", "-3", "inf", "-inf", "-0", "1e300"]);
    let options = || prop::sample::select(vec!["", "NX ", "XX ", "GT ", "LT ", "XX GT CH "]);
    let many = |count: i64| (0..count).map(|n| format!(" {n} m{n}")).collect::<String>();
    prop_oneof![
        6 => (key(), options(), score(), member(), score(), member())
            .prop_map(|(k, o, s, m, t, n)| format!("ZADD {k} {o}{s} {m} {t} {n}")),
        2 => (key(), options(), score(), member())
            .prop_map(|(k, o, s, m)| format!("ZADD {k} {o}INCR {s} {m}")),
        1 => (key(), 120i64..140).prop_map(move |(k, n)| format!("ZADD {k}{}", many(n))),
        3 => (key(), score(), member()).prop_map(|(k, s, m)| format!("ZINCRBY {k} {s} {m}")),
        2 => (key(), member(), member()).prop_map(|(k, m, n)| format!("ZREM {k} {m} {n}")),
        1 => (key(), 0i64..5).prop_map(|(k, n)| format!("ZPOPMIN {k} {n}")),
        1 => (key(), 0i64..130).prop_map(|(k, n)| format!("ZPOPMAX {k} {n}")),
        1 => (key(), key()).prop_map(|(k, l)| format!("BZPOPMIN {k} {l} 0")),
        1 => (key(), key(), 1i64..5).prop_map(|(k, l, n)| format!("ZMPOP 2 {k} {l} MAX COUNT {n}")),
        1 => (key(), -3i64..3, -3i64..9).prop_map(|(k, a, b)| format!("ZREMRANGEBYRANK {k} {a} {b}")),
        1 => (key(), score(), score()).prop_map(|(k, a, b)| format!("ZREMRANGEBYSCORE {k} {a} {b}")),
        1 => (key(), key(), -3i64..3, -3i64..9)
            .prop_map(|(k, l, a, b)| format!("ZRANGESTORE {k} {l} {a} {b}")),
        1 => (key(), key(), key(), score())
            .prop_map(|(k, l, m, w)| format!("ZUNIONSTORE {k} 2 {l} {m} WEIGHTS 1 {w}")),
        1 => (key(), key(), key()).prop_map(|(k, l, m)| format!("ZINTERSTORE {k} 2 {l} {m}")),
        1 => (key(), key(), key()).prop_map(|(k, l, m)| format!("ZDIFFSTORE {k} 2 {l} {m}")),
        1 => (key(), 1i64..20).prop_map(|(k, n)| format!("PEXPIRE {k} {n}")),
    ]
}

#[test]
fn the_log_has_results_and_the_key_that_was_popped() {
    let bench = Bench::new();
    for (now, line, logged) in [
        (1, "ZADD z 1 a 2 b", &["ZADD z 1 a 2 b"][..]),
        (1, "ZADD z 1 a", &[]),
        (1, "ZADD z NX 9 a", &[]),
        (1, "ZADD z XX 1 none", &[]),
        (1, "ZADD none XX 1 a", &[]),
        (1, "ZADD z GT CH 3 a", &["ZADD z GT CH 3 a"]),
        (1, "ZADD z INCR 0.5 a", &["ZADD z 3.5 a"]),
        (1, "ZADD z GT INCR -1 a", &[]),
        (1, "ZADD z INCR 0 a", &[]),
        (1, "ZINCRBY z 0.1 c", &["ZADD z 0.10000000000000001 c"]),
        (1, "ZREM z none", &[]),
        (1, "ZREM z a none", &["ZREM z a none"]),
        (1, "ZPOPMIN z 0", &[]),
        (1, "ZPOPMIN z", &["ZPOPMIN z"]),
        (1, "ZPOPMAX z 7", &["ZPOPMAX z 7"]),
        (1, "ZPOPMAX z 7", &[]),
        (1, "BZPOPMIN y z 0", &[]),
        (1, "ZADD z 1 a 2 b 3 c", &["ZADD z 1 a 2 b 3 c"]),
        (1, "BZPOPMAX y z 0", &["ZPOPMAX z 1"]),
        (1, "ZMPOP 2 y z MIN COUNT 9", &["ZPOPMIN z 2"]),
        (1, "ZREMRANGEBYRANK z 0 -1", &[]),
        (1, "ZADD z 1 a 2 b", &["ZADD z 1 a 2 b"]),
        (1, "ZREMRANGEBYSCORE z 5 9", &[]),
        (1, "ZREMRANGEBYSCORE z 1 1", &["ZREMRANGEBYSCORE z 1 1"]),
        (1, "ZUNIONSTORE d 1 y", &[]),
        (1, "ZUNIONSTORE d 2 y z", &["ZUNIONSTORE d 2 y z"]),
        (1, "ZINTERSTORE d 2 y z", &["ZINTERSTORE d 2 y z"]),
        (1, "ZINTERSTORE d 2 y z", &[]),
        (1, "ZRANGESTORE d z 0 -1", &["ZRANGESTORE d z 0 -1"]),
        (1, "PEXPIRE z 5", &["PEXPIREAT z 6"]),
        // A replica would take what is due for present.
        (6, "ZUNIONSTORE d 1 z", &["DEL z", "ZUNIONSTORE d 1 z"]),
        (6, "ZADD z 1 a", &["ZADD z 1 a"]),
        (6, "PEXPIRE z 1", &["PEXPIREAT z 7"]),
        (7, "ZRANGESTORE d z 0 -1", &["DEL z"]),
    ] {
        assert_eq!(bench.effects(now, line), logged, "{line}");
    }
}

#[test]
fn zscan_finds_all_that_stay_and_counts_exactly() {
    let bench = Bench::new();
    for n in 0..1500 {
        bench.ask(1, &format!("ZADD z {n} stay:{n}"));
    }
    let (mut cursor, mut seen, mut churn) = ("0".to_owned(), BTreeSet::new(), 0);
    loop {
        let (next, found) = page(&bench.ask(1, &format!("ZSCAN z {cursor} COUNT 7")));
        assert!(found.len() <= 16 && (found.len() >= 14 || next == "0"), "{found:?}");
        seen.extend(found.into_iter().step_by(2).filter(|member| member.starts_with("stay")));
        // Members come and go, and those that stay move about.
        for _ in 0..20 {
            bench.ask(1, &format!("ZADD z {churn} churn:{churn}"));
            bench.ask(1, &format!("ZREM z churn:{}", churn / 2));
            bench.ask(1, &format!("ZINCRBY z -{churn} stay:{}", churn % 1500));
            churn += 1;
        }
        cursor = next;
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 1500);
}

fn score(random: &mut Random) -> String {
    let number = random.below(60) as f64 - 20.0;
    match random.below(12) {
        0 => random.one_of(&["inf", "-inf", "+inf", "-0", "1e300", "5e-324", "1e17"]).to_owned(),
        1 => random.one_of(&["x", "nan", "", "1e999", "0x1f"]).to_owned(),
        2 | 3 => (number / 8.0).to_string(),
        4 => (number / 10.0).to_string(),
        _ => number.to_string(),
    }
}

fn member(random: &mut Random) -> String {
    match random.below(8) {
        0 => random.below(50).to_string(),
        1 => random.one_of(&["", "x", "xy", "007", "-1"]).to_owned(),
        _ => format!("m{}", random.below(60)),
    }
}

fn index(random: &mut Random) -> i64 {
    random.below(120) as i64 - 50
}

fn score_bound(random: &mut Random) -> String {
    let exclusive = random.one_of(&["", "", "("]);
    exclusive.to_owned() + &score(random)
}

fn lex_bound(random: &mut Random) -> String {
    match random.below(6) {
        0 => "-".to_owned(),
        1 => "+".to_owned(),
        2 => member(random),
        n => format!("{}{}", if n == 3 { "(" } else { "[" }, member(random)),
    }
}

/// What may stand behind a range.
fn behind_range(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..random.below(3) {
        text += " ";
        text += &match random.below(4) {
            0 => format!("LIMIT {} {}", index(random) / 8, index(random) / 4),
            1 => random.one_of(&["LIMIT", "foo", "LIMIT 1", "BYSCORE"]).to_owned(),
            2 => "REV".to_owned(),
            _ => "WITHSCORES".to_owned(),
        };
    }
    text
}

/// A few keys, as ZUNION and its kin have them.
fn several(random: &mut Random) -> String {
    let count = random.below(3) + 1;
    let keys = (0..count).map(|_| random.one_of(&["a", "b", "big", "s", "none"]).to_owned());
    let keys: Vec<_> = keys.collect();
    let claimed = if random.below(12) == 0 { random.below(5) } else { count };
    format!("{claimed} {}", keys.join(" "))
}

fn combination(random: &mut Random) -> String {
    let keys = several(random);
    let count = keys.split(' ').count() - 1;
    let mut text = keys;
    for _ in 0..random.below(3) {
        text += &match random.below(4) {
            0 => {
                let weights: Vec<_> = (0..count).map(|_| score(random)).collect();
                format!(" WEIGHTS {}", weights.join(" "))
            }
            1 => format!(" AGGREGATE {}", random.one_of(&["SUM", "MIN", "MAX", "foo"])),
            2 => format!(" LIMIT {}", random.below(9)),
            _ => " WITHSCORES".to_owned(),
        };
    }
    text
}

fn asked(random: &mut Random) -> Words {
    let key = random.one_of(&["a", "b", "big", "big", "d", "none", "s"]);
    // Small ones with different scores too, where Redis' walk decides.
    let lex = random.one_of(&["l", "L", "a"]);
    line(&match random.below(30) {
        0..=4 => {
            let options =
                random.one_of(&["", "", "NX ", "XX ", "GT ", "LT ", "CH ", "INCR ", "NX GT "]);
            let ch = random.one_of(&["", "", "CH ", "XX "]);
            let pair = format!("{} {}", score(random), member(random));
            let more = random.below(3);
            let more: String =
                (0..more).map(|_| format!(" {} {}", score(random), member(random))).collect();
            format!("ZADD {key} {options}{ch}{pair}{more}")
        }
        5 => format!("ZINCRBY {key} {} {}", score(random), member(random)),
        6 => format!("ZREM {key} {} {}", member(random), member(random)),
        7 => format!("ZSCORE {key} {}", member(random)),
        8 => format!("ZMSCORE {key} {} {}", member(random), member(random)),
        9 => format!("{} {key} {}", random.one_of(&["ZRANK", "ZREVRANK"]), member(random)),
        10 => format!("ZCOUNT {key} {} {}", score_bound(random), score_bound(random)),
        11 => format!("ZLEXCOUNT {lex} {} {}", lex_bound(random), lex_bound(random)),
        12 => format!("ZRANGE {key} {} {}{}", index(random), index(random), behind_range(random)),
        13 => format!(
            "ZRANGE {key} {} {} BYSCORE{}",
            score_bound(random),
            score_bound(random),
            behind_range(random)
        ),
        14 => format!(
            "ZRANGE {lex} {} {} BYLEX{}",
            lex_bound(random),
            lex_bound(random),
            behind_range(random)
        ),
        15 => format!(
            "{} {key} {} {}{}",
            random.one_of(&["ZRANGEBYSCORE", "ZREVRANGEBYSCORE"]),
            score_bound(random),
            score_bound(random),
            behind_range(random)
        ),
        16 => format!(
            "{} {lex} {} {}{}",
            random.one_of(&["ZRANGEBYLEX", "ZREVRANGEBYLEX"]),
            lex_bound(random),
            lex_bound(random),
            behind_range(random)
        ),
        17 => {
            format!("ZREVRANGE {key} {} {}{}", index(random), index(random), behind_range(random))
        }
        18 => format!(
            "ZRANGESTORE d {key} {} {}{}",
            index(random),
            index(random),
            behind_range(random)
        ),
        19 => format!("ZREMRANGEBYRANK {key} {} {}", index(random), index(random) / 8),
        20 => format!("ZREMRANGEBYSCORE {key} {} {}", score_bound(random), score_bound(random)),
        21 => format!("ZREMRANGEBYLEX {lex} [{m} [{m}", m = member(random)),
        22 => format!("{} {key} {}", random.one_of(&["ZPOPMIN", "ZPOPMAX"]), index(random) / 20),
        23 => format!("ZMPOP {} MIN COUNT {}", several(random), random.below(3)),
        24 => format!("ZADD {} 0 {}", random.one_of(&["l", "L"]), member(random)),
        25 => format!("ZINTERCARD {}", combination(random)),
        26 | 27 => {
            format!("{} {}", random.one_of(&["ZUNION", "ZINTER", "ZDIFF"]), combination(random))
        }
        28 => {
            let stores = ["ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"];
            format!("{} d {}", random.one_of(&stores), combination(random))
        }
        _ => format!("{} {key}", random.one_of(&["ZCARD", "OBJECT ENCODING", "TYPE", "EXISTS"])),
    })
}

#[test]
fn random_commands_are_answered_as_redis_answers_them() {
    let mut mirror = Mirror::start("sorted-sets");
    for round in 0..30 {
        mirror.same(&[line("FLUSHALL"), line("SADD s m1 m2 7 x m40 -1")]);
        let fill = |key: &str, count: u64, factor: u64| {
            let pairs: Vec<_> = (0..count).map(|n| format!("{} m{n}", n * factor)).collect();
            line(&format!("ZADD {key} {}", pairs.join(" ")))
        };
        mirror.same(&[fill("big", 150 + round * 9, 1), fill("L", 200, 0), fill("l", 9, 0)]);
        let commands: Vec<Words> = (0..800).map(|_| asked(&mut mirror.random)).collect();
        mirror.same(&commands);
        let all = ["a", "b", "big", "d", "l", "L"].map(|key| {
            [
                line(&format!("ZRANGE {key} 0 -1 WITHSCORES")),
                line(&format!("OBJECT ENCODING {key}")),
            ]
        });
        mirror.same(&all.concat());
    }
}
