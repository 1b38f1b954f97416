//! What scripts cannot show: the words of the log, a replica that replays them, iteration
//! while keys come and go. `table` holds the rows against redis-server.

mod keys;
mod lists;
mod mirror;
mod sets;
mod sorted_sets;
mod table;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use proptest::prelude::*;
use smallvec::SmallVec;

use super::{Run, lookup, subcommand};
use crate::config::Config;
use crate::engine;
use crate::fault::Fault;
use crate::keyspace::effects::Logging;
use crate::keyspace::usage::{Noted, Tick};
use crate::keyspace::view::{BEFORE_ALL, Surroundings};
use crate::keyspace::{
    Access, Effects, Entry, Keyspace, LockSet, NEVER, ReadView, StrRef, Wanted, WriteView,
};
use crate::limits::SHARDS;
use crate::resp::RespReply;
use crate::resp::reply::Protocol;
use crate::value::stream::{Id, Stream};

/// Two databases, and commands run on them at the time of the test's choosing.
struct Bench {
    keyspace: Keyspace,
    config: Config,
    db: usize,
}

/// What a command answered over RESP2, and what it put into the log: its effects, each with
/// its words.
type Ran = (Result<Vec<u8>, Fault>, Vec<Vec<Vec<u8>>>);

impl Bench {
    fn new() -> Bench {
        let mut config = Config::default();
        config.proto_max_bulk_len = 1 << 20;
        Bench { keyspace: Keyspace::new(2), config, db: 0 }
    }

    fn run(&self, now: u64, argv: &[&[u8]]) -> Ran {
        self.run_as(Logging::On, now, argv)
    }

    fn run_as(&self, logging: Logging, now: u64, argv: &[&[u8]]) -> Ran {
        let mut row = lookup(argv[0]).unwrap();
        if !row.subcommands.is_empty() {
            row = subcommand(row, argv[1]).unwrap();
        }
        let mut wanted: SmallVec<[Wanted; 8]> =
            (0..2).flat_map(|db| Wanted::database(db, Access::Exclusive)).collect();
        let mut locks = LockSet::all(&self.keyspace, &mut wanted).unwrap();
        let around = Surroundings { now, tick: Tick::new(now, Noted::Last), config: &self.config };
        let mut effects = Effects::new(logging);
        let mut out = Vec::new();
        let mut reply = RespReply::new(&mut out, Protocol::V2);
        let outcome = match row.run {
            Run::Read(run) => run(&ReadView::new(&locks, self.db, around), argv, &mut reply),
            Run::Write(run) | Run::Remember(run) => {
                let mut view = WriteView::new(&mut locks, self.db, around, &mut effects);
                engine::write(run, row, &mut view, argv, &mut reply)
            }
            _ => panic!("not on keys"),
        };
        effects.settle(self.db, argv);
        assert!(outcome.is_ok() || out.is_empty(), "a handler that fails has answered nothing");
        let mut logged = parse(effects.log());
        // The log itself names the database that effects start in.
        if let Some((first, _)) = effects.databases().filter(|(first, _)| *first != self.db) {
            logged.insert(0, vec![b"SELECT".to_vec(), first.to_string().into_bytes()]);
        }
        (outcome.map(|()| out), logged)
    }

    /// The answer, as text.
    fn ask(&self, now: u64, line: &str) -> String {
        let (answer, _) = self.run(now, &words(line));
        match answer {
            Ok(bytes) => String::from_utf8(bytes).unwrap(),
            Err(Fault::Text(text)) => text.into_owned(),
            Err(Fault::Contended) => panic!("nobody else is here"),
        }
    }

    /// The log, as text, one line an effect.
    fn effects(&self, now: u64, line: &str) -> Vec<String> {
        let (_, effects) = self.run(now, &words(line));
        effects.iter().map(|argv| String::from_utf8_lossy(&argv.join(&b' ')).into()).collect()
    }

    /// Applies effects as a replica does.
    fn apply(&mut self, effects: &[Vec<Vec<u8>>]) {
        for effect in effects {
            let argv: Vec<&[u8]> = effect.iter().map(Vec::as_slice).collect();
            if argv[0] == b"SELECT" {
                self.db = usize::from(argv[1] != b"0");
                continue;
            }
            self.run(BEFORE_ALL, &argv).0.unwrap();
        }
    }

    /// Every key that is not due at `now`, with its expiry and its value.
    fn contents(&self, now: u64) -> BTreeMap<(usize, Vec<u8>), String> {
        let mut found = BTreeMap::new();
        let locks = LockSet::roaming(&self.keyspace);
        for (db, index) in (0..2).flat_map(|db| (0..SHARDS).map(move |index| (db, index))) {
            let shard = locks.shard(db, index).unwrap();
            for entry in shard.table().iter().filter(|entry| !entry.is_expired(now)) {
                let text = format!("until {} {}", entry.expires_at(), show(entry, now));
                found.insert((db, entry.key().to_vec()), text);
            }
        }
        found
    }
}

fn show(entry: &Entry, now: u64) -> String {
    if let Some(stream) = entry.as_stream() {
        return show_stream(stream);
    }
    if let Some(hash) = entry.as_hash() {
        let fields = hash.iter().filter(|(_, _, at)| *at == NEVER || *at > now);
        let fields: BTreeMap<Vec<u8>, (Vec<u8>, u64)> =
            fields.map(|(field, value, at)| (field.to_vec(), (value.to_vec(), at))).collect();
        return format!("{fields:?}");
    }
    if let Some(list) = entry.as_list() {
        let texts: Vec<Vec<u8>> = list.forward(0).map(|element| element.text().to_vec()).collect();
        return format!("list {texts:?}");
    }
    if let Some(set) = entry.as_set() {
        let members: BTreeSet<Vec<u8>> = set.iter().map(|member| member.to_vec()).collect();
        return format!("{} {members:?}", set.encoding());
    }
    if let Some(set) = entry.as_sorted_set() {
        let members: Vec<_> = set.iter().map(|(member, score)| (member.to_vec(), score)).collect();
        return format!("{} {members:?}", set.encoding());
    }
    match entry.as_string() {
        // SETBIT makes bytes of a number even where it changes none, and then there is no log.
        Some(StrRef::Integer(number)) => format!("{:?}", number.to_string().as_bytes()),
        Some(StrRef::Bytes(bytes)) => format!("{bytes:?}"),
        None => format!("{:?}", entry.as_rate_limit()),
    }
}

/// All of a stream but when its consumers were seen, which the log does not say.
fn show_stream(stream: &Stream) -> String {
    let entries = stream.entries(Id::MIN, Id::MAX).map(|entry| {
        let pairs: Vec<_> = entry.pairs().map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
        (entry.id, pairs)
    });
    let groups = stream.groups().map(|(name, group)| {
        let owner = |id| group.consumer(id).map(|consumer| consumer.name().to_vec());
        let pending = group.pending_in(..).map(|(id, pending)| {
            (id, pending.delivered_at, pending.deliveries, owner(pending.consumer))
        });
        let pending: Vec<_> = pending.collect();
        let consumers: Vec<_> =
            group.consumers().map(|(_, c)| (c.name().to_vec(), c.pending_len())).collect();
        (name.to_vec(), group.last(), group.read(), stream.lag(group), pending, consumers)
    });
    let (entries, groups): (Vec<_>, Vec<_>) = (entries.collect(), groups.collect());
    format!("{:?} {entries:?} {groups:?}", stream.past())
}

fn words(line: &str) -> Vec<&[u8]> {
    line.split(' ').map(str::as_bytes).collect()
}

/// Reads arrays of bulk strings.
fn parse(mut log: &[u8]) -> Vec<Vec<Vec<u8>>> {
    fn number(log: &mut &[u8]) -> usize {
        let end = log.iter().position(|byte| *byte == b'\r').unwrap();
        let number = std::str::from_utf8(&log[1..end]).unwrap().parse().unwrap();
        *log = &log[end + 2..];
        number
    }
    let mut commands = Vec::new();
    while !log.is_empty() {
        let mut argv = Vec::new();
        for _ in 0..number(&mut log) {
            let len = number(&mut log);
            argv.push(log[..len].to_vec());
            log = &log[len + 2..];
        }
        commands.push(argv);
    }
    commands
}

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

fn utf8(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn states_from_a_leader_are_checked() {
    let bench = Bench::new();
    for line in ["RL.STATE k 0 x", "RL.STATE k -1 x", "RL.STATE k 10 ", "RL.STATE k 10 x"] {
        let answer = bench.ask(BEFORE_ALL, line);
        assert!(answer.starts_with("ERR "), "{line}: {answer}");
    }
    assert!(bench.contents(0).is_empty());
}

/// A replica sees no time: what the leader set stays until the leader removes it.
#[test]
fn nothing_is_past_before_all() {
    let bench = Bench::new();
    bench.ask(BEFORE_ALL, "SET k v");
    assert_eq!(bench.effects(BEFORE_ALL, "PEXPIREAT k 1"), ["PEXPIREAT k 1"]);
    assert_eq!(bench.ask(BEFORE_ALL, "PEXPIRETIME k"), ":1\r\n");
    assert_eq!(bench.ask(2, "EXISTS k"), ":0\r\n");
}

#[test]
fn wrong_rules_are_shown_as_one_short_line() {
    let bench = Bench::new();
    assert_eq!(
        bench.ask(1, "RL.TAKE k \r\n'/1s"),
        "ERR invalid rule '\\r\\n\\'/1s': limit: must be a whole number from 1 to 9223372036854775807"
    );
    let answer = bench.ask(1, &format!("RL.PEEK k {}", "x".repeat(100)));
    let shown = format!("ERR invalid rule '{}...': ", "x".repeat(64));
    assert!(answer.starts_with(&shown), "{answer}");
    assert_eq!(bench.ask(1, "RL.TAKE k @pro"), "NORULE no rule named 'pro'");
}

#[test]
fn random_keys_are_even_and_not_due() {
    let bench = Bench::new();
    for n in 0..20 {
        bench.ask(1, &format!("SET live:{n} v"));
        bench.ask(1, &format!("SET due:{n} v PX 1"));
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..1000 {
        *seen.entry(bench.ask(5, "RANDOMKEY")).or_default() += 1;
    }
    // 50 expected of each, with a deviation of 7.
    assert_eq!(seen.len(), 20, "{seen:?}");
    assert!(seen.iter().all(|(key, times)| key.contains("live") && *times > 8), "{seen:?}");
    // Almost all are due: the one that is not is found all the same.
    for n in 1..20 {
        bench.ask(5, &format!("DEL live:{n}"));
    }
    for n in 0..2000 {
        bench.ask(1, &format!("SET due:{n} v PX 1"));
    }
    for _ in 0..20 {
        assert_eq!(bench.ask(5, "RANDOMKEY"), "$6\r\nlive:0\r\n");
    }
    bench.ask(5, "DEL live:0");
    assert_eq!(bench.ask(5, "RANDOMKEY"), "$-1\r\n");
}

/// The elements of an answer that is `[cursor, [..]]`.
fn page(answer: &str) -> (String, Vec<String>) {
    let mut texts = answer.split("\r\n").filter(|line| !line.starts_with(['*', '$']));
    let cursor = texts.next().unwrap().to_owned();
    (cursor, texts.filter(|text| !text.is_empty()).map(str::to_owned).collect())
}

#[test]
fn scan_finds_all_that_stay_and_counts_exactly() {
    let bench = Bench::new();
    for n in 0..3000 {
        bench.ask(1, &format!("SET stay:{n} v"));
    }
    let (mut cursor, mut seen, mut churn) = ("0".to_owned(), HashSet::new(), 0);
    loop {
        let (next, keys) = page(&bench.ask(1, &format!("SCAN {cursor} COUNT 7")));
        assert!(keys.len() <= 8 && (keys.len() >= 7 || next == "0"), "{keys:?}");
        seen.extend(keys.into_iter().filter(|key| key.starts_with("stay")));
        // Shards grow and shrink meanwhile.
        for _ in 0..5 {
            bench.ask(1, &format!("SET churn:{churn} v"));
            bench.ask(1, &format!("DEL churn:{}", churn / 2));
            churn += 1;
        }
        cursor = next;
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 3000);
    // A cursor of another life ends the iteration.
    assert_eq!(page(&bench.ask(1, "SCAN 18446744073709551615")), ("0".to_owned(), vec![]));
}

#[test]
fn scan_tells_types_where_asked() {
    let bench = Bench::new();
    bench.ask(1, "HSET h f v");
    assert_eq!(page(&bench.ask(1, "SCAN 0 WITHTYPE")).1, ["h", "hash"]);
    bench.ask(1, "RL.TAKE l 1/1s");
    assert_eq!(page(&bench.ask(1, "SCAN 0 TYPE RateLimit WITHTYPE")).1, ["l", "ratelimit"]);
}

#[test]
fn patterns_are_bounded() {
    let bench = Bench::new();
    bench.ask(1, "HSET h f v");
    let long = "a".repeat(crate::limits::PATTERN_BYTES + 1);
    for line in
        [format!("KEYS {long}"), format!("SCAN 0 MATCH {long}"), format!("HSCAN h 0 MATCH {long}")]
    {
        assert_eq!(bench.ask(1, &line), "ERR pattern is longer than 16384 bytes");
    }
}

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
    ];
    let line = prop_oneof![3 => line, 2 => stream_command(), 2 => storing_command()];
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
