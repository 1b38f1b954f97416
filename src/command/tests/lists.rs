//! Lists: the words of the log, and random commands in redis-server's words.

use proptest::prelude::*;

use super::Bench;
use super::mirror::{Mirror, Random, Words, line};

/// A command on few lists of few elements, some of them long.
pub(super) fn command() -> impl Strategy<Value = String> {
    let key = || prop::sample::select(vec!["a", "b", "c"]);
    let keys = || prop::collection::vec(key(), 1..4);
    let element = || {
        let long = (0usize..700).prop_map(|length| format!("x{}", "y".repeat(length)));
        prop_oneof![
            6 => prop::sample::select(vec!["1", "2", "x", "y", "007"]).prop_map(str::to_owned),
            1 => long,
        ]
    };
    let elements = || prop::collection::vec(element(), 1..6).prop_map(|all| all.join(" "));
    let side = || prop::sample::select(vec!["LEFT", "RIGHT"]);
    let end = || prop::sample::select(vec!["L", "R"]);
    let index = || -5i64..5;
    prop_oneof![
        6 => (end(), key(), elements()).prop_map(|(e, k, m)| format!("{e}PUSH {k} {m}")),
        1 => (end(), key(), elements()).prop_map(|(e, k, m)| format!("{e}PUSHX {k} {m}")),
        2 => (end(), key()).prop_map(|(e, k)| format!("{e}POP {k}")),
        1 => (end(), key(), 0usize..4).prop_map(|(e, k, n)| format!("{e}POP {k} {n}")),
        1 => (key(), index(), element()).prop_map(|(k, i, m)| format!("LSET {k} {i} {m}")),
        1 => (key(), element(), element()).prop_map(|(k, p, m)| format!("LINSERT {k} AFTER {p} {m}")),
        1 => (key(), index(), element()).prop_map(|(k, i, m)| format!("LREM {k} {i} {m}")),
        1 => (key(), index(), index()).prop_map(|(k, i, j)| format!("LTRIM {k} {i} {j}")),
        1 => (key(), key(), side(), side()).prop_map(|(k, l, f, t)| format!("LMOVE {k} {l} {f} {t}")),
        1 => (key(), key()).prop_map(|(k, l)| format!("RPOPLPUSH {k} {l}")),
        1 => (keys(), side()).prop_map(|(k, s)| format!("LMPOP {} {} {s} COUNT 2", k.len(), k.join(" "))),
        1 => (end(), keys()).prop_map(|(e, k)| format!("B{e}POP {} 0", k.join(" "))),
        1 => (key(), key(), side(), side()).prop_map(|(k, l, f, t)| format!("BLMOVE {k} {l} {f} {t} 0")),
        1 => (keys(), side()).prop_map(|(k, s)| format!("BLMPOP 1 {} {} {s}", k.len(), k.join(" "))),
    ]
}

#[test]
fn the_log_has_what_does_not_wait() {
    let bench = Bench::new();
    for (now, line, logged) in [
        (1, "RPUSH l a b c d e f", &["RPUSH l a b c d e f"][..]),
        (1, "LPUSHX m a", &[]),
        (1, "LPOP l", &["LPOP l"]),
        (1, "LPOP l 0", &[]),
        (1, "LMPOP 2 m l RIGHT COUNT 9223372036854775807", &["RPOP l 5"]),
        (1, "LMPOP 2 m l RIGHT", &[]),
        (1, "RPUSH l a b c d", &["RPUSH l a b c d"]),
        (1, "BLPOP m l 0", &["LPOP l"]),
        (1, "BRPOP m l 0.5", &["RPOP l"]),
        (1, "BLPOP m 0", &[]),
        (1, "BLMPOP 0 2 m l LEFT", &["LPOP l 1"]),
        (1, "BLMOVE l m left RIGHT 0", &["LMOVE l m left RIGHT"]),
        (1, "BLMOVE l m LEFT RIGHT 0", &[]),
        (1, "BRPOPLPUSH m l 0", &["RPOPLPUSH m l"]),
        (1, "BRPOPLPUSH m l 0", &[]),
        (1, "RPOPLPUSH l l", &["RPOPLPUSH l l"]),
        (1, "LMOVE m l LEFT LEFT", &[]),
        (1, "LSET l 0 x", &["LSET l 0 x"]),
        (1, "LSET l 1 x", &[]),
        (1, "LINSERT l BEFORE y z", &[]),
        (1, "LREM l 0 y", &[]),
        (1, "LTRIM l 0 -1", &[]),
        (1, "LTRIM m 0 -1", &[]),
        (1, "PEXPIRE l 5", &["PEXPIREAT l 6"]),
        (6, "RPUSHX l a", &["DEL l"]),
        (6, "RPUSH l a", &["RPUSH l a"]),
        (6, "PEXPIRE l 5", &["PEXPIREAT l 11"]),
        (11, "BLPOP l m 0", &["DEL l"]),
        (11, "LTRIM l 5 0", &[]),
    ] {
        assert_eq!(bench.effects(now, line), logged, "{line}");
    }
}

/// An element: a few that repeat, numbers, and texts of lengths at which layouts change.
fn element(random: &mut Random) -> Vec<u8> {
    match random.below(9) {
        0 => (random.next() as i64 >> random.below(64)).to_string().into_bytes(),
        1 => vec![b'x'; [0, 63, 64, 79, 80, 95, 96, 700][random.below(8) as usize]],
        2 if random.below(8) == 0 => vec![b'y'; [4090, 8000, 8200][random.below(3) as usize]],
        _ => random.one_of(&["a", "b", "c", "1", "2", "", "007"]).as_bytes().to_vec(),
    }
}

fn index(random: &mut Random) -> i64 {
    match random.below(20) {
        0 => i64::MAX - random.below(2) as i64,
        1 => i64::MIN + random.below(2) as i64,
        _ => random.below(120) as i64 - 60,
    }
}

fn any_command(random: &mut Random) -> Words {
    let key = random.one_of(&["l", "l", "l", "m", "missing", "string"]);
    let other = random.one_of(&["l", "m", "n", "string"]);
    let [side, to] = [0; 2].map(|_| random.one_of(&["LEFT", "RIGHT", "RIGHT", "right", "UP"]));
    let end = random.one_of(&["L", "R"]);
    let (i, j) = (index(random), index(random));
    let mut words = match random.below(22) {
        0..6 => line(&format!("{end}PUSH {}", random.one_of(&["l", "l", "l", "m"]))),
        6 => line(&format!("{end}PUSHX {key}")),
        7 => return line(&format!("{end}POP {key}")),
        8 => return line(&format!("{end}POP {key} {}", i % 9)),
        9 => return line(&format!("LINDEX {key} {i}")),
        10 => line(&format!("LSET {key} {i}")),
        11 => {
            let mut words =
                line(&format!("LINSERT {key} {}", random.one_of(&["BEFORE", "AFTER", "after"])));
            words.push(element(random));
            words
        }
        12 => return line(&format!("LRANGE {key} {i} {j}")),
        13 => line(&format!("LREM {key} {}", i % 9)),
        14 if random.below(6) == 0 => return line(&format!("LTRIM {key} {i} {j}")),
        14 => return line(&format!("LTRIM {key} {} {}", (i % 3).abs(), -(j % 3).abs())),
        15 => {
            let mut words = line(&format!("LPOS {key}"));
            words.push(element(random));
            let rank = if i == i64::MIN { 1 } else { i };
            for option in [("RANK", rank % 4), ("COUNT", j % 4), ("MAXLEN", i.wrapping_add(j))] {
                if random.below(2) == 0 {
                    words.extend(line(&format!("{} {}", option.0, option.1)));
                }
            }
            return words;
        }
        16 => return line(&format!("LMOVE {key} {other} {side} {to}")),
        17 => return line(&format!("RPOPLPUSH {key} {other}")),
        18 => return line(&format!("LMPOP 2 {key} {other} {side} COUNT {}", i % 9)),
        19 => return line(&format!("LLEN {key}")),
        // Only what does not wait.
        20 => return line(&format!("BLMOVE string {other} {side} {to} {}", i % 9)),
        _ => return line(&format!("BLMPOP {} 2 string {other} {side} COUNT {}", i % 9, j % 9)),
    };
    words.push(element(random));
    if words[0].ends_with(b"PUSH") {
        (0..random.below(12)).for_each(|_| words.push(element(random)));
    }
    words
}

#[test]
fn lists() {
    let mut mirror = Mirror::start("lists");
    for _ in 0..60 {
        mirror.same(&["DEL l m n", "SET string v"].map(line));
        for _ in 0..10 {
            let random = &mut mirror.random;
            let mut commands: Vec<Words> = (0..60).map(|_| any_command(random)).collect();
            commands.extend(["LRANGE l 0 -1", "LRANGE m 0 -1", "LRANGE n 0 -1"].map(line));
            mirror.same(&commands);
        }
    }
}
