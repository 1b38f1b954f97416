//! A replica that replays the log has what its leader has, whatever the commands.

use proptest::prelude::*;

use super::*;

/// A command on streams with few ids, groups and consumers.
fn stream_command() -> impl Strategy<Value = String> {
    let key = || prop::sample::select(vec!["s", "t"]);
    let id = || prop::sample::select(vec!["0", "1-1", "2-1", "3-1", "9", "20-1", "60-1"]);
    let group = || prop::sample::select(vec!["g", "h"]);
    let consumer = || prop::sample::select(vec!["c", "d"]);
    let references = || prop::sample::select(vec!["", " DELREF", " ACKED"]);
    let trim = || {
        let sign = prop::sample::select(vec!["", " ~", " ="]);
        let what = prop::sample::select(vec!["MAXLEN", "MINID"]);
        (what, sign, 0u64..8).prop_map(|(what, sign, at)| format!("{what}{sign} {at}"))
    };
    prop_oneof![
        (key(), 0u8..9).prop_map(|(k, v)| format!("XADD {k} * f {v}")),
        (key(), 0u8..9).prop_map(|(k, v)| format!("XADD {k} * f {v} g x")),
        (key(), trim(), references()).prop_map(|(k, t, r)| format!("XADD {k} {t}{r} * f v")),
        (key(), id()).prop_map(|(k, id)| format!("XADD {k} {id} f v")),
        (key(), trim(), references()).prop_map(|(k, t, r)| format!("XTRIM {k} {t}{r}")),
        (key(), id(), id()).prop_map(|(k, a, b)| format!("XDEL {k} {a} {b}")),
        (key(), id(), references()).prop_map(|(k, a, r)| format!("XDELEX {k}{r} IDS 1 {a}")),
        (key(), id()).prop_map(|(k, id)| format!("XSETID {k} {id}")),
        (key(), group(), id())
            .prop_map(|(k, g, id)| format!("XGROUP CREATE {k} {g} {id} MKSTREAM")),
        (key(), group()).prop_map(|(k, g)| format!("XGROUP SETID {k} {g} $")),
        (key(), group()).prop_map(|(k, g)| format!("XGROUP DESTROY {k} {g}")),
        (key(), group(), consumer())
            .prop_map(|(k, g, c)| format!("XGROUP CREATECONSUMER {k} {g} {c}")),
        (key(), group(), consumer())
            .prop_map(|(k, g, c)| format!("XGROUP DELCONSUMER {k} {g} {c}")),
        (group(), consumer())
            .prop_map(|(g, c)| format!("XREADGROUP GROUP {g} {c} COUNT 3 STREAMS s t > >")),
        (key(), group(), consumer())
            .prop_map(|(k, g, c)| format!("XREADGROUP GROUP {g} {c} NOACK STREAMS {k} >")),
        (key(), group(), consumer())
            .prop_map(|(k, g, c)| format!("XREADGROUP GROUP {g} {c} STREAMS {k} 0")),
        (key(), group(), id(), id()).prop_map(|(k, g, a, b)| format!("XACK {k} {g} {a} {b}")),
        (key(), group(), id()).prop_map(|(k, g, id)| format!("XACKDEL {k} {g} ACKED IDS 1 {id}")),
        (key(), group(), consumer(), id())
            .prop_map(|(k, g, c, id)| format!("XCLAIM {k} {g} {c} 3 {id} 3-1 FORCE IDLE 2")),
        (key(), group(), consumer(), id())
            .prop_map(|(k, g, c, id)| format!("XCLAIM {k} {g} {c} 0 {id} JUSTID LASTID 4")),
        (key(), group(), consumer())
            .prop_map(|(k, g, c)| format!("XAUTOCLAIM {k} {g} {c} 2 0 COUNT 2")),
    ]
}

/// A command that reads some keys and writes another, and what makes such keys, with a life so
/// short that they are often due when they are read.
fn storing_command() -> impl Strategy<Value = String> {
    let key = || prop::sample::select(vec!["a", "b", "c"]);
    let bits = || prop::sample::select(vec!["AND", "OR", "XOR", "DIFF", "ANDOR", "ONE"]);
    prop_oneof![
        3 => (key(), 1u64..15).prop_map(|(k, n)| format!("PEXPIRE {k} {n}")),
        1 => (key(), 0u8..9).prop_map(|(k, n)| format!("SETBIT {k} {n} 1")),
        1 => (key(), 0u8..9).prop_map(|(k, n)| format!("PFADD {k} {n}")),
        1 => (key(), 0u8..9).prop_map(|(k, n)| format!("GEOADD {k} {n} {n} {n}")),
        1 => (key(), bits(), key(), key())
            .prop_map(|(d, o, k, l)| format!("BITOP {o} {d} {k} {l}")),
        1 => (key(), key()).prop_map(|(d, k)| format!("BITOP NOT {d} {k}")),
        1 => (key(), key(), key()).prop_map(|(d, k, l)| format!("PFMERGE {d} {k} {l}")),
        1 => (key(), key()).prop_map(|(k, l)| format!("PFCOUNT {k} {l}")),
        1 => (key(), key()).prop_map(|(d, k)| format!("SORT {k} ALPHA STORE {d}")),
        1 => (key(), key()).prop_map(|(d, k)| format!("SORT {k} BY nosort GET * STORE {d}")),
        1 => (key(), key())
            .prop_map(|(d, k)| format!("GEOSEARCHSTORE {d} {k} FROMLONLAT 3 3 BYRADIUS 300 km")),
        1 => (key(), key())
            .prop_map(|(d, k)| format!("GEORADIUS {k} 3 3 300 km STOREDIST {d}")),
        1 => (key(), key()).prop_map(|(d, k)| format!("GEORADIUSBYMEMBER {k} 3 300 km STORE {d}")),
        1 => (key(), key(), key()).prop_map(|(d, k, l)| format!("ZINTERSTORE {d} 2 {k} {l}")),
        1 => (key(), key(), key()).prop_map(|(d, k, l)| format!("ZUNIONSTORE {d} 2 {k} {l}")),
        1 => (key(), key(), key()).prop_map(|(d, k, l)| format!("SDIFFSTORE {d} {k} {l}")),
        1 => (key(), key()).prop_map(|(k, l)| format!("LMPOP 2 {k} {l} LEFT COUNT 2")),
        1 => (key(), key()).prop_map(|(k, l)| format!("MSETNX {k} 1 {l} 2")),
        1 => (key(), key()).prop_map(|(k, l)| format!("MSETEX 2 {k} 1 {l} 2 XX KEEPTTL")),
        1 => (key(), key()).prop_map(|(k, l)| format!("DEL {k} {l}")),
        1 => key().prop_map(|k| format!("MOVE {k} 1")),
        1 => key().prop_map(|k| format!("MOVE {k} 0")),
        1 => (key(), key()).prop_map(|(k, l)| format!("COPY {k} {l} DB 1 REPLACE")),
        1 => (key(), key()).prop_map(|(k, l)| format!("COPY {k} {l} DB 0 REPLACE")),
    ]
}

/// A command on few keys, so that they meet.
fn command() -> impl Strategy<Value = Vec<String>> {
    let key = || prop::sample::select(vec!["a", "b", "c"]);
    let number = || -3i64..30;
    let line = prop_oneof![
        (key(), number()).prop_map(|(k, n)| format!("SET {k} {n}")),
        (key(), number()).prop_map(|(k, n)| format!("SET {k} {n} PX {}", n.max(1))),
        (key(), number()).prop_map(|(k, n)| format!("HSET {k} f{} {n} g x", n % 3)),
        (key(), number()).prop_map(|(k, n)| format!("HSETNX {k} f{} {n}", n % 3)),
        (key(), number()).prop_map(|(k, n)| format!("HDEL {k} f{} g", n % 3)),
        (key(), number()).prop_map(|(k, n)| format!("HINCRBY {k} f1 {n}")),
        (key(), number()).prop_map(|(k, n)| format!("HINCRBYFLOAT {k} f1 {n}.1")),
        (key(), number()).prop_map(|(k, n)| format!("HPEXPIRE {k} {} FIELDS 1 g", n.abs())),
        (key(), number()).prop_map(|(k, n)| format!("HPEXPIRE {k} {} GT FIELDS 2 f0 g", n.abs())),
        (key(), number())
            .prop_map(|(k, n)| format!("HPEXPIREAT {k} {} LT FIELDS 3 f1 f1 g", n.abs() * 20)),
        (key(), number()).prop_map(|(k, n)| format!("HPERSIST {k} FIELDS 2 f{} g", n.abs() % 3)),
        (key(), number()).prop_map(|(k, n)| format!("HGETDEL {k} FIELDS 2 f{} f1", n.abs() % 3)),
        (key(), number()).prop_map(|(k, n)| format!("HGETEX {k} PX {} FIELDS 2 f0 f1", n.abs())),
        key().prop_map(|k| format!("HGETEX {k} PERSIST FIELDS 1 g")),
        (key(), number())
            .prop_map(|(k, n)| format!("HSETEX {k} PX {} FIELDS 2 f1 7 g {n}", n.abs())),
        (key(), number()).prop_map(|(k, n)| format!("HSETEX {k} KEEPTTL FIELDS 2 f0 {n} g x")),
        (key(), number())
            .prop_map(|(k, n)| format!("HSETEX {k} FNX PX 9 FIELDS 1 f{} x", n.abs() % 3)),
        (key(), number()).prop_map(|(k, n)| format!("PEXPIRE {k} {n}")),
        sets::command(),
        lists::command(),
        sorted_sets::command(),
        (key(), number()).prop_map(|(k, n)| format!("PEXPIRE {k} {n} GT")),
        (key(), number()).prop_map(|(k, n)| format!("PEXPIREAT {k} {} NX", n * 20)),
        key().prop_map(|k| format!("PERSIST {k}")),
        key().prop_map(|k| format!("DEL {k}")),
        (key(), key()).prop_map(|(k, l)| format!("RENAME {k} {l}")),
        (key(), key()).prop_map(|(k, l)| format!("RENAMENX {k} {l}")),
        (key(), key()).prop_map(|(k, l)| format!("COPY {k} {l} REPLACE")),
        (key(), key()).prop_map(|(k, l)| format!("COPY {k} {l} DB 1")),
        (key(), number()).prop_map(|(k, n)| format!("RL.TAKE {k} 20/15ms COST {}", n.abs())),
        (key(), number()).prop_map(|(k, n)| format!("RL.TAKE {k} 9/30ms:gcra COST {}", n.abs())),
        (key(), number()).prop_map(|(k, n)| format!("RL.GIVE {k} 20/15ms {}", n.abs())),
        (key(), key()).prop_map(|(k, l)| format!("RL.RESET {k} {l}")),
        (key(), number()).prop_map(|(k, n)| format!("RL.TAKE {k} 9/30ms:log COST {}", n.abs())),
        (key(), key(), number()).prop_map(|(k, l, n)| {
            format!("RL.MTAKE 2 {k} 20/15ms {l} 9/30ms:gcra COST {} 1", n.abs())
        }),
        (key(), number()).prop_map(|(k, n)| format!("RL.HOLD {k} 20/15ms {} TTL 20 ID a", n.abs())),
        (key(), number()).prop_map(|(k, n)| format!("RL.SETTLE a@{k} {}", n.abs())),
    ];
    let line = prop_oneof![
        3 => line,
        2 => stream_command(),
        2 => storing_command(),
        1 => documents::command(),
    ];
    line.prop_map(|line: String| line.split(' ').map(str::to_owned).collect())
}

proptest! {
    /// A replica that applies the log, however late, has what its leader has.
    #[test]
    fn replicas_come_to_the_same(
        script in prop::collection::vec((0usize..2, 0u64..12, command()), 1..60),
    ) {
        let (mut leader, mut replica) = (Bench::new(), Bench::new());
        let mut now = 1;
        for (db, pause, line) in script {
            now += pause;
            let argv: Vec<&[u8]> = line.iter().map(String::as_bytes).collect();
            leader.db = db;
            let (_, effects) = leader.run(now, &argv);
            replica.db = db;
            replica.apply(&effects);
            prop_assert_eq!(leader.contents(now), replica.contents(now), "{:?}", line);
        }
        // No removal was forgotten: what neither has removed expires at the same time.
        prop_assert_eq!(leader.contents(NEVER), replica.contents(NEVER));
    }
}
