//! The words of the log: results and absolute times, and what is due first.

use super::*;

#[test]
fn the_log_has_results_and_absolute_times() {
    let bench = Bench::new();
    for (now, line, logged) in [
        (1000, "HSET h a 1 b 2", &["HSET h a 1 b 2"][..]),
        (1000, "HSETNX h a 9", &[]),
        (1000, "HINCRBYFLOAT h a 0.5", &["HSET h a 1.5"]),
        (1000, "HINCRBY h b 1", &["HINCRBY h b 1"]),
        (1000, "HDEL h none", &[]),
        (1000, "HEXPIRE h 10 FIELDS 3 a none b", &["HPEXPIREAT h 11000 FIELDS 2 a b"]),
        (1000, "HEXPIRE h 10 NX FIELDS 1 a", &[]),
        (1000, "HINCRBYFLOAT h a 0.5", &["HSET h a 2", "HPEXPIREAT h 11000 FIELDS 1 a"]),
        (1000, "HPERSIST h FIELDS 2 a none", &["HPERSIST h FIELDS 2 a none"]),
        (1000, "HPERSIST h FIELDS 2 a none", &[]),
        (1000, "HGETEX h FIELDS 1 b", &[]),
        (1000, "HGETEX h PX 5 FIELDS 2 b none", &["HPEXPIREAT h 1005 FIELDS 1 b"]),
        (1000, "HGETEX h PERSIST FIELDS 2 a b", &["HPERSIST h FIELDS 1 b"]),
        (1000, "HSETEX h PX 2 FIELDS 1 c 1", &["HSET h c 1", "HPEXPIREAT h 1002 FIELDS 1 c"]),
        (1000, "HSETEX h KEEPTTL FIELDS 1 c 2", &["HSET h c 2", "HPEXPIREAT h 1002 FIELDS 1 c"]),
        (1000, "HSETEX h FNX FIELDS 1 c 3", &[]),
        // What is due goes first, where it is touched.
        (1002, "HLEN h", &[]),
        (1002, "HGET h c", &[]),
        (1002, "HSET h d 1", &["HSET h d 1"]),
        (1002, "HSETNX h c 4", &["HDEL h c", "HSETNX h c 4"]),
        (1002, "HGETDEL h FIELDS 3 c d none", &["HDEL h c d"]),
        (1002, "HEXPIREAT h 1 FIELDS 2 none none", &[]),
        (1002, "HSETEX h PXAT 1 FIELDS 1 d 1", &[]),
        (1000, "HSETEX x PX 2 FIELDS 1 c 1", &["HSET x c 1", "HPEXPIREAT x 1002 FIELDS 1 c"]),
        (1002, "HINCRBY x d 1", &["DEL x", "HINCRBY x d 1"]),
        (1002, "HEXPIRE x 0 FIELDS 1 d", &["HDEL x d"]),
        (1000, "EXPIRE h 10", &["PEXPIREAT h 11000"]),
        (1000, "EXPIRE h 20 LT", &[]),
        (1000, "EXPIREAT h 20", &["PEXPIREAT h 20000"]),
        (1000, "PERSIST h", &["PERSIST h"]),
        (1000, "PERSIST h", &[]),
        (1000, "PEXPIRE h 5", &["PEXPIREAT h 1005"]),
        (1000, "RENAME h h", &[]),
        (1000, "RENAME h g", &["RENAME h g"]),
        (1000, "COPY g h DB 1", &["COPY g h DB 1"]),
        (1000, "COPY g h DB 1", &[]),
        // Due keys go first, each in its database.
        (1005, "COPY g h DB 1", &["DEL g", "SELECT 1", "DEL h"]),
        (1005, "HSET x f v", &["HSET x f v"]),
        (1005, "COPY x h DB 1", &["COPY x h DB 1"]),
        (1005, "PEXPIRE x 5", &["PEXPIREAT x 1010"]),
        (1005, "COPY x h DB 1 REPLACE", &["COPY x h DB 1 REPLACE"]),
        (1010, "HSET x f v", &["DEL x", "HSET x f v"]),
        (1010, "COPY x h DB 1", &["SELECT 1", "DEL h", "SELECT 0", "COPY x h DB 1"]),
        (1005, "EXPIRE x 0", &["DEL x"]),
        (1005, "EXPIRE x 0", &[]),
        (1005, "DEL x y", &[]),
        (1005, "RL.RESET a", &[]),
        // The moment that a limit came to, and not the question.
        (1000, "CL.THROTTLE c 1 1 10", &["SET c 11000000000 PXAT 11000"]),
        (2000, "CL.THROTTLE c 1 1 10", &["SET c 21000000000 PXAT 21000"]),
        (2000, "CL.THROTTLE c 1 1 10", &[]),
        (2000, "CL.THROTTLE c 1 1 10 0", &[]),
        (2000, "CL.THROTTLE c 1 1 10 -1", &["SET c 11000000000 PXAT 11000"]),
        (11000, "RL.THROTTLE c 1 1 10", &["DEL c", "SET c 21000000000 PXAT 21000"]),
        (11000, "RL.THROTTLE c 1 1 10 -2", &["DEL c"]),
        (1000, "GCRA g 1 1 10", &["SET g 11000000 PXAT 11000"]),
    ] {
        assert_eq!(bench.effects(now, line), logged, "{line}");
    }
}

#[test]
fn the_log_has_what_conditions_have_come_to() {
    let bench = Bench::new();
    for (line, logged) in [
        ("SET k a", &["SET k a"][..]),
        ("SET k b IFEQ x", &[]),
        ("SET k b IFEQ a", &["SET k b"]),
        ("SET k c IFNE a EX 1", &["SET k c PXAT 2000"]),
        ("DELEX k IFEQ x", &[]),
        ("DELEX k IFEQ c", &["DEL k"]),
        ("MSETEX 2 a 1 b 2", &["SET a 1", "SET b 2"]),
        ("MSETEX 2 a 1 c 2 NX EX 1", &[]),
        ("MSETEX 2 a 1 b 2 XX EX 1", &["SET a 1 PXAT 2000", "SET b 2 PXAT 2000"]),
        ("MSETEX 2 a 1 c 2 PXAT 1", &["DEL a"]),
        ("BITOP AND x nothing", &[]),
        ("BITFIELD k OVERFLOW FAIL SET u2 0 9", &["BITFIELD k OVERFLOW FAIL SET u2 0 9"]),
        ("BITFIELD k OVERFLOW FAIL SET u2 0 9", &[]),
        ("SETBIT k 0 0", &[]),
    ] {
        assert_eq!(bench.effects(1000, line), logged, "{line}");
    }
}

#[test]
fn the_log_has_scores_of_places() {
    let bench = Bench::new();
    for (line, logged) in [
        ("GEOADD g CH 0 0 a 1 1 b", &["ZADD g CH 3377699720527872 a 3377822707026402 b"][..]),
        ("GEOADD g NX 2 2 a", &[]),
        ("GEOSEARCH g FROMMEMBER a BYRADIUS 1 m", &[]),
        ("GEORADIUS g 0 0 1 m", &[]),
        ("GEORADIUS g 0 0 1 m STORE s", &["ZADD s 3377699720527872 a"]),
        ("GEORADIUS g 50 50 1 m STORE s", &["DEL s"]),
        ("GEORADIUS g 50 50 1 m STORE s", &[]),
        ("GEOSEARCHSTORE g g FROMMEMBER a BYRADIUS 1 m", &["DEL g", "ZADD g 3377699720527872 a"]),
    ] {
        assert_eq!(bench.effects(1000, line), logged, "{line}");
    }
    bench.ask(1000, "PEXPIRE g 5");
    let store = "GEOSEARCHSTORE s g FROMMEMBER a BYRADIUS 1 m";
    assert_eq!(bench.effects(1005, store), ["DEL g"]);
}

#[test]
fn the_log_knows_which_sources_are_due() {
    for (made, line) in [
        ("SET k a", "BITOP OR x k"),
        ("SET k a", "SETBIT k 0 1"),
        ("SET k a", "BITFIELD k SET u8 0 1"),
        ("PFADD k a", "PFADD k b"),
        ("PFADD k a", "PFMERGE x k"),
        ("PFADD k a", "PFMERGE k x"),
        ("SET k a", "SET k b IFNE a"),
        ("SET k a", "MSETEX 1 k b NX"),
    ] {
        let bench = Bench::new();
        bench.ask(1000, made);
        bench.ask(1000, "PEXPIRE k 5");
        let effects = bench.effects(1005, line);
        assert_eq!(effects.first().map(String::as_str), Some("DEL k"), "{line}: {effects:?}");
    }
}

#[test]
fn an_estimate_is_kept_once_and_not_by_clients_of_a_replica() {
    let bench = Bench::new();
    let bytes = || bench.run(1000, &[b"GET", b"h"]).0.unwrap();
    bench.run(1000, &[b"PFADD", b"h", b"a"]).0.unwrap();
    let stale = bytes();
    let count: [&[u8]; 2] = [b"PFCOUNT", b"h"];
    let asked = bench.run_as(Logging::Foreign, 1000, &count);
    assert_eq!(asked, (Ok(b":1\r\n".to_vec()), vec![]));
    assert_eq!(bytes(), stale);
    assert_eq!(bench.effects(1000, "PFCOUNT h"), ["PFCOUNT h"]);
    let kept = bytes();
    assert_ne!(kept, stale);
    assert_eq!(bench.effects(1000, "PFCOUNT h"), [""; 0]);
    // The leader's stream says so on the replica.
    let replica = Bench::new();
    replica.run_as(Logging::Foreign, BEFORE_ALL, &[b"PFADD", b"h", b"a"]).0.unwrap();
    replica.run_as(Logging::Foreign, BEFORE_ALL, &count).0.unwrap();
    assert_eq!(replica.run(1000, &[b"GET", b"h"]).0.unwrap(), kept);
}

#[test]
fn the_log_has_states_of_limits() {
    let bench = Bench::new();
    let (_, effects) = bench.run(1_000_000, &words("RL.TAKE k 2/1s"));
    let [effect] = effects.as_slice() else { panic!("one effect") };
    assert_eq!(effect[..2], [b"RL.STATE".to_vec(), b"k".to_vec()]);
    assert_eq!(bench.ask(1_000_000, "PEXPIRETIME k"), format!(":{}\r\n", utf8(&effect[2])));
    let mut replica = Bench::new();
    replica.apply(&effects);
    assert_eq!(replica.contents(0), bench.contents(0));
    // What is refused, or takes nothing, changes nothing.
    assert_eq!(bench.effects(1_000_000, "RL.TAKE k 2/1s COST 2"), [""; 0]);
    assert_eq!(bench.effects(1_000_000, "RL.TAKE k 2/1s COST 0"), [""; 0]);
    assert_eq!(bench.effects(1_000_000, "RL.GIVE k 2/1s 1"), ["DEL k"]);
    bench.ask(1_000_000, "RL.TAKE a 2/1s");
    bench.ask(1_000_000, "RL.TAKE b 2/1s");
    assert_eq!(bench.effects(1_000_000, "RL.RESET a c b a"), ["DEL a b"]);
}

#[test]
fn the_log_has_what_changes_documents_as_it_was_sent() {
    let bench = Bench::new();
    for (now, line, logged) in [
        (1, "JSON.SET k $ {\"a\":[1]}", &["JSON.SET k $ {\"a\":[1]}"][..]),
        (1, "JSON.SET k $.b 1 XX", &[]),
        (1, "JSON.SET k $.b.c 1", &[]),
        (1, "JSON.NUMINCRBY k $.a[0] 1.5", &["JSON.NUMINCRBY k $.a[0] 1.5"]),
        (1, "JSON.NUMINCRBY k $.a 1", &[]),
        (1, "JSON.ARRAPPEND k $..a 1 2", &["JSON.ARRAPPEND k $..a 1 2"]),
        (1, "JSON.ARRTRIM k $.a 0 9", &[]),
        (1, "JSON.CLEAR k $.none", &[]),
        (1, "JSON.MERGE k $.none null", &[]),
        (1, "JSON.DEL k $.none", &[]),
        (1, "JSON.DEL k", &["JSON.DEL k"]),
        (1, "JSON.SET k $ 1", &["JSON.SET k $ 1"]),
        (1, "PEXPIRE k 5", &["PEXPIREAT k 6"]),
        (6, "JSON.SET k $ 2", &["DEL k", "JSON.SET k $ 2"]),
        (6, "JSON.MSET a $ 1 b $ 2", &["JSON.MSET a $ 1 b $ 2"]),
        (6, "PEXPIRE k 5", &["PEXPIREAT k 11"]),
        (11, "JSON.MERGE k $ 3", &["DEL k", "JSON.MERGE k $ 3"]),
    ] {
        assert_eq!(bench.effects(now, line), logged, "{line}");
    }
}

#[test]
fn the_log_has_what_came_of_streams() {
    let bench = Bench::new();
    for (now, line, logged) in [
        (5, "XADD s * f v", &["XADD s 5-0 f v"][..]),
        (5, "XADD s * f v", &["XADD s 5-1 f v"]),
        (4, "XADD s 6-* f v", &["XADD s 6-0 f v"]),
        (4, "XADD s NOMKSTREAM MAXLEN ~ 1 LIMIT 1 7 f v", &["XADD s MAXLEN = 4 7-0 f v"]),
        (4, "XADD s MINID = 5-1 8 f v", &["XADD s MINID = 5-1 8-0 f v"]),
        (4, "XADD none NOMKSTREAM * f v", &[]),
        (4, "XTRIM s MAXLEN ~ 1", &[]),
        (4, "XTRIM s MINID ~ 100", &["XTRIM s MINID = 18446744073709551615-18446744073709551615"]),
        (9, "XADD s 9 f v", &["XADD s 9-0 f v"]),
        (9, "XADD s 10 f v", &["XADD s 10-0 f v"]),
        (9, "XGROUP CREATE s g 8", &["XGROUP CREATE s g 8"]),
        (9, "XREADGROUP GROUP none c STREAMS s >", &[]),
        (
            10,
            "XREADGROUP GROUP g c COUNT 1 STREAMS s >",
            &[
                "XCLAIM s g c 0 9-0 TIME 10 RETRYCOUNT 1 FORCE JUSTID LASTID 9-0",
                "XGROUP SETID s g 9-0 ENTRIESREAD 6",
            ],
        ),
        (
            11,
            "XREADGROUP GROUP g d NOACK STREAMS s >",
            &["XGROUP CREATECONSUMER s g d", "XGROUP SETID s g 10-0 ENTRIESREAD 7"],
        ),
        (12, "XREADGROUP GROUP g d STREAMS s >", &[]),
        (
            13,
            "XREADGROUP GROUP g c STREAMS s 0",
            &["XCLAIM s g c 0 9-0 TIME 13 RETRYCOUNT 2 FORCE JUSTID LASTID 10-0"],
        ),
        (
            20,
            "XCLAIM s g d 0 9-0 10-0 FORCE IDLE 5",
            &[
                "XCLAIM s g d 0 9-0 TIME 15 RETRYCOUNT 3 FORCE JUSTID LASTID 10-0",
                "XCLAIM s g d 0 10-0 TIME 15 RETRYCOUNT 2 FORCE JUSTID LASTID 10-0",
            ],
        ),
        (20, "XCLAIM s g d 6 9-0", &[]),
        (20, "XCLAIM s g d 6 9-0 LASTID 11", &["XGROUP SETID s g 11-0 ENTRIESREAD 7"]),
        (20, "XDEL s 9-0", &["XDEL s 9-0"]),
        (
            21,
            "XAUTOCLAIM s g e 0 0 JUSTID",
            &["XACK s g 9-0", "XCLAIM s g e 0 10-0 TIME 21 RETRYCOUNT 2 FORCE JUSTID LASTID 11-0"],
        ),
        (21, "XAUTOCLAIM s g e 1 0", &[]),
        (21, "XACK s g 9-0", &[]),
        (21, "XACK s g 10-0", &["XACK s g 10-0"]),
        (21, "XDELEX s IDS 1 1-1", &[]),
        (21, "XDELEX s DELREF IDS 1 10-0", &["XDELEX s DELREF IDS 1 10-0"]),
    ] {
        assert_eq!(bench.effects(now, line), logged, "{line}");
    }
}
