//! What a client has read, and when it hears that it has changed.

use crate::conversation::{Step, messages, same};

const TRACK: &str = "HELLO 3\nCLIENT TRACKING ON";

#[test]
fn what_was_read_is_told_of_once() {
    let heard = same(&[
        (0, TRACK, &[(0, 2)]),
        (1, "MSET a 1 b 2 c 3", &[(1, 1)]),
        (0, "GET a\nMGET b nothing\nEXISTS c", &[(0, 3)]),
        (1, "SET a 2", &[(1, 1), (0, 1)]),
        (1, "SET a 3", &[(1, 1)]),
        (1, "DEL b", &[(1, 1), (0, 1)]),
        (1, "SET nothing 1", &[(1, 1), (0, 1)]),
        (1, "EXPIRE c 100", &[(1, 1), (0, 1)]),
        (0, "PING", &[(0, 1)]),
    ]);
    assert_eq!(
        messages(&heard),
        [r#"0: ["a"]"#, r#"0: ["b"]"#, r#"0: ["nothing"]"#, r#"0: ["c"]"#]
    );
}

#[test]
fn every_type_is_remembered() {
    let reads = [
        "GET k",
        "HGETALL h",
        "LRANGE l 0 -1",
        "SMEMBERS s",
        "ZRANGE z 0 -1",
        "XRANGE x - +",
        "PFCOUNT p",
        "TTL k",
        "TYPE k",
        "OBJECT ENCODING k",
        "GETRANGE k 0 1",
        "ZRANDMEMBER z",
        "SORT_RO l",
        "HGET wrong f",
        "SINTER s t",
        "BITCOUNT k",
        "DUMP k",
    ];
    let writes = [
        "SET k 1",
        "HSET h f 1",
        "RPUSH l 1",
        "SADD s 1",
        "ZADD z 1 m",
        "XADD x 1-1 a b",
        "PFADD p a",
        "SADD t 1",
        "SET wrong 1",
    ];
    for read in reads {
        let keys = read.split(' ').filter(|word| word.len() < 3 && word.parse::<i32>().is_err());
        let keys: Vec<&str> = keys.filter(|word| !matches!(*word, "-" | "+" | "f")).collect();
        let read = read.to_owned();
        let mut steps: Vec<Step<'_>> = vec![(0, TRACK, &[(0, 2)])];
        steps.extend(writes.iter().map(|write| (1, *write, &[(1, 1)][..])));
        steps.push((0, &read, &[(0, 1)]));
        let del = format!("DEL {}", if keys.is_empty() { "wrong".into() } else { keys.join(" ") });
        let count = keys.len().max(1);
        let replies = [(1, 1), (0, count)];
        steps.push((1, &del, &replies));
        let heard = same(&steps);
        assert_eq!(messages(&heard).len(), count, "{read}");
    }
}

#[test]
fn a_write_is_no_read() {
    let heard = same(&[
        (0, TRACK, &[(0, 2)]),
        (0, "SET a 1\nGETSET a 2\nINCR a\nGETEX a\nAPPEND a x", &[(0, 5)]),
        (1, "SET a 3", &[(1, 1)]),
        (0, "PING", &[(0, 1)]),
    ]);
    assert_eq!(messages(&heard), [""; 0]);
}

#[test]
fn its_own_write_is_told_of_behind_its_reply() {
    same(&[
        (0, TRACK, &[(0, 2)]),
        (0, "GET k\nSET k 1\nGET k\nSET k 2\nPING", &[(0, 7)]),
        (0, "GET k\nFLUSHALL\nPING", &[(0, 4)]),
        (0, "PFCOUNT k\nPFADD k a\nPING", &[(0, 4)]),
    ]);
}

#[test]
fn no_loop_spares_its_own_writes() {
    same(&[
        (0, "HELLO 3\nCLIENT TRACKING ON NOLOOP", &[(0, 2)]),
        (0, "GET k\nSET k 1\nPING", &[(0, 3)]),
        // The note is gone all the same.
        (1, "SET k 2", &[(1, 1)]),
        (0, "GET k", &[(0, 1)]),
        (1, "SET k 3", &[(1, 1), (0, 1)]),
        (0, "FLUSHDB\nPING", &[(0, 3)]),
    ]);
}

#[test]
fn a_transaction_tells_at_its_end() {
    same(&[
        (0, TRACK, &[(0, 2)]),
        (2, TRACK, &[(2, 2)]),
        (0, "MULTI\nGET k\nSET k 3\nGET k\nSET j 1\nEXEC\nPING", &[(0, 8)]),
        (2, "MGET a b", &[(2, 1)]),
        (1, "MULTI\nSET b 1\nSET a 1\nSET b 2\nEXEC", &[(1, 5), (2, 2)]),
        (2, "MGET a b", &[(2, 1)]),
        (1, "MULTI\nSET b 1\nFLUSHALL\nSET a 2\nEXEC", &[(1, 5), (2, 2), (0, 1)]),
        (0, "PING", &[(0, 1)]),
        (2, "PING", &[(2, 1)]),
    ]);
}

#[test]
fn a_transaction_that_fails_tells_nothing() {
    same(&[
        (0, TRACK, &[(0, 2)]),
        (0, "GET k", &[(0, 1)]),
        (1, "WATCH k\nMULTI\nSET k 1", &[(1, 3)]),
        (2, "SET k 2", &[(2, 1), (0, 1)]),
        (0, "GET k", &[(0, 1)]),
        (1, "EXEC", &[(1, 1)]),
        (0, "PING", &[(0, 1)]),
    ]);
}

#[test]
fn names_count_whatever_their_database() {
    same(&[
        (0, TRACK, &[(0, 2)]),
        (0, "GET k", &[(0, 1)]),
        (1, "SELECT 1\nSET k 1", &[(1, 2), (0, 1)]),
        (0, "SET x 1\nGET x", &[(0, 2)]),
        (1, "SWAPDB 0 1", &[(1, 1)]),
        (1, "SELECT 2\nFLUSHDB", &[(1, 2), (0, 1)]),
        (0, "GET x", &[(0, 1)]),
        (1, "FLUSHALL ASYNC", &[(1, 1), (0, 1)]),
        (1, "SET x 1", &[(1, 1)]),
        (0, "PING", &[(0, 1)]),
    ]);
}

#[test]
fn several_keys_of_one_command() {
    same(&[
        (0, TRACK, &[(0, 2)]),
        (1, "SET a 1\nRPUSH l 1 2 3\nSADD s a b", &[(1, 3)]),
        (0, "MGET a b c\nLLEN l\nSCARD s\nLLEN m", &[(0, 4)]),
        (1, "RENAME a b", &[(1, 1), (0, 2)]),
        (1, "LMOVE l m LEFT RIGHT", &[(1, 1), (0, 2)]),
        (1, "SUNIONSTORE c s", &[(1, 1), (0, 1)]),
        (1, "SMOVE s t a", &[(1, 1), (0, 1)]),
        (0, "PING", &[(0, 1)]),
    ]);
}

#[test]
fn opting_in_and_out() {
    same(&[
        (0, "HELLO 3\nCLIENT TRACKING ON OPTIN", &[(0, 2)]),
        (0, "CLIENT CACHING YES\nMULTI\nGET a\nGET b\nEXEC\nGET c", &[(0, 6)]),
        (0, "CLIENT CACHING YES\nPING\nGET d", &[(0, 3)]),
        (0, "CLIENT CACHING YES\nCLIENT GETNAME\nGET e", &[(0, 3)]),
        (0, "CLIENT CACHING YES\nNOSUCH\nGET f", &[(0, 3)]),
        (0, "CLIENT CACHING YES\nGET\nGET g", &[(0, 3)]),
        (1, "MSET a 1 b 1 c 1 d 1 e 1 f 1 g 1", &[(1, 1), (0, 3)]),
        (0, "CLIENT TRACKING OFF\nCLIENT TRACKING ON OPTOUT", &[(0, 2)]),
        (0, "GET a\nCLIENT CACHING NO\nGET b\nGET c", &[(0, 4)]),
        (1, "MSET a 1 b 1 c 1 d 1 e 1", &[(1, 1), (0, 2)]),
        (0, "PING", &[(0, 1)]),
    ]);
}

#[test]
fn the_mode_is_told_and_kept() {
    same(&[
        (0, "HELLO 3", &[(0, 1)]),
        (0, "CLIENT TRACKINGINFO\nCLIENT GETREDIR\nCLIENT CACHING YES", &[(0, 3)]),
        (0, "CLIENT TRACKING ON OPTIN NOLOOP\nCLIENT TRACKINGINFO\nCLIENT GETREDIR", &[(0, 3)]),
        (0, "CLIENT CACHING YES\nCLIENT TRACKINGINFO\nCLIENT CACHING NO", &[(0, 3)]),
        (0, "CLIENT CACHING MAYBE\nCLIENT TRACKING ON OPTOUT", &[(0, 2)]),
        (0, "CLIENT TRACKING ON BCAST\nCLIENT TRACKING ON OPTIN OPTOUT", &[(0, 2)]),
        (0, "CLIENT TRACKING ON NOLOOP\nCLIENT TRACKINGINFO", &[(0, 2)]),
        (0, "CLIENT TRACKING OFF\nCLIENT TRACKING OFF\nCLIENT TRACKINGINFO", &[(0, 3)]),
        (0, "CLIENT TRACKING ON OPTOUT\nCLIENT CACHING NO\nCLIENT TRACKINGINFO", &[(0, 3)]),
        (0, "RESET\nCLIENT TRACKINGINFO", &[(0, 2)]),
        (0, "CLIENT TRACKING MAYBE\nCLIENT TRACKING ON NONSENSE", &[(0, 2)]),
        (0, "CLIENT TRACKING ON REDIRECT\nCLIENT TRACKING ON REDIRECT x", &[(0, 2)]),
        (0, "CLIENT TRACKING ON REDIRECT 99999\nCLIENT TRACKING ON REDIRECT 0", &[(0, 2)]),
        (0, "CLIENT TRACKING ON REDIRECT {1} REDIRECT {2}\nCLIENT TRACKING", &[(0, 2)]),
        (0, "CLIENT TRACKING ON REDIRECT -1\nCLIENT CACHING\nCLIENT GETREDIR x", &[(0, 3)]),
    ]);
}

#[test]
fn who_stops_hears_nothing() {
    same(&[
        (0, TRACK, &[(0, 2)]),
        (0, "GET a\nGET b\nGET c\nCLIENT TRACKING OFF", &[(0, 4)]),
        (1, "SET a 1", &[(1, 1)]),
        // What has not changed since is still noted, as in Redis.
        (0, "CLIENT TRACKING ON", &[(0, 1)]),
        (1, "SET a 2", &[(1, 1)]),
        (1, "SET b 2", &[(1, 1), (0, 1)]),
        (0, "HELLO 2\nGET a", &[(0, 2)]),
        (1, "SET a 2", &[(1, 1)]),
        (0, "HELLO 3\nGET a\nRESET", &[(0, 3)]),
        (1, "SET a 2\nFLUSHALL", &[(1, 2)]),
        (0, "PING", &[(0, 1)]),
    ]);
}

#[test]
fn messages_of_channels_and_of_keys_keep_their_order() {
    same(&[
        (0, "HELLO 3\nCLIENT TRACKING ON\nPSUBSCRIBE *", &[(0, 3)]),
        (1, "CONFIG SET notify-keyspace-events KEA", &[(1, 1)]),
        (0, "GET k", &[(0, 1)]),
        (1, "SET k 1\nPUBLISH a b", &[(1, 2), (0, 4)]),
        (0, "CLIENT TRACKING OFF", &[(0, 1)]),
        (1, "SET k 1", &[(1, 1), (0, 2)]),
    ]);
}
