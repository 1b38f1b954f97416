//! Keys whatever their values are: the words of the log.

use super::{Bench, words};

/// Where keys go, and lists that were made of others.
#[test]
fn the_log_has_what_has_become_of_keys() {
    let bench = Bench::new();
    for (now, line, logged) in [
        (1, "SET k v PX 9", &["SET k v PXAT 10"][..]),
        (1, "MOVE k 1", &["MOVE k 1"]),
        (1, "MOVE k 1", &[]),
        (1, "SWAPDB 0 1", &["SWAPDB 0 1"]),
        (1, "SWAPDB 1 1", &[]),
        // Due: gone before it can be moved.
        (11, "MOVE k 1", &["DEL k"]),
        (11, "RPUSH l 2 1", &["RPUSH l 2 1"]),
        (11, "SORT l", &[]),
        (11, "SORT l BY w*", &[]),
        (11, "SORT l STORE d", &["DEL d", "RPUSH d 1 2"]),
        (11, "SET w1 9 PX 9", &["SET w1 9 PXAT 20"]),
        (11, "SORT l GET w* GET # STORE d", &["DEL d", "RPUSH d 9 1  2"]),
        // A replica may still have it: it is told what was found.
        (30, "SORT l GET w* GET # STORE d", &["DEL d", "RPUSH d  1  2"]),
        (30, "SORT missing STORE d", &["DEL d"]),
        (30, "SORT missing STORE d", &[]),
    ] {
        assert_eq!(bench.effects(now, line), logged, "{line}");
    }
}

/// A long list is logged in parts.
#[test]
fn a_sorted_list_is_logged_whole() {
    let mut bench = Bench::new();
    let numbers: Vec<String> = (0..1000).map(|n| ((n * 7919) % 1000).to_string()).collect();
    bench.ask(1, &format!("RPUSH l {}", numbers.join(" ")));
    let (_, logged) = bench.run(1, &words("SORT l STORE d"));
    assert_eq!(logged.len(), 5);
    bench.apply(&logged);
    assert_eq!(bench.ask(1, "LRANGE d 999 999"), "*1\r\n$3\r\n999\r\n");
    assert_eq!(bench.ask(1, "SORT d"), bench.ask(1, "LRANGE d 0 -1"));
}

/// What RESTORE has made comes to a replica with the moment at which it is due.
#[test]
fn the_log_has_moments_of_restored_keys() {
    let bench = Bench::new();
    bench.ask(1, "SET k v");
    let (dumped, _) = bench.run(1, &words("DUMP k"));
    let dumped = dumped.unwrap();
    let start = dumped.windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
    let payload = dumped[start..dumped.len() - 2].to_vec();
    let run = |now, line: &str, bench: &Bench| {
        let mut argv = words(line);
        argv.insert(3, &payload);
        bench.run(now, &argv).1
    };
    let said = |logged: &[Vec<Vec<u8>>]| {
        let without_payload = |argv: &Vec<Vec<u8>>| {
            let words = argv.iter().filter(|word| **word != payload);
            words.map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>()
        };
        logged.iter().map(|argv| without_payload(argv).join(" ")).collect::<Vec<_>>()
    };
    let logged = run(100, "RESTORE a 0", &bench);
    assert_eq!(said(&logged), ["RESTORE a 0"]);
    let logged = run(100, "RESTORE a 50 REPLACE FREQ 7", &bench);
    assert_eq!(said(&logged), ["RESTORE a 150 REPLACE FREQ 7 ABSTTL"]);
    let mut replica = Bench::new();
    replica.apply(&logged);
    assert_eq!(replica.contents(120), {
        bench.ask(1, "DEL k");
        bench.contents(120)
    });
    assert_eq!(
        said(&run(100, "RESTORE a 120 REPLACE ABSTTL", &bench)),
        ["RESTORE a 120 REPLACE ABSTTL"]
    );
    // Over before it began.
    assert_eq!(said(&run(110, "RESTORE a 99 REPLACE ABSTTL", &bench)), ["DEL a"]);
    assert_eq!(said(&run(110, "RESTORE a 99 REPLACE ABSTTL", &bench)), [""; 0]);
}
