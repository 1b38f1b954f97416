//! What scripts cannot show: the words of the log (`log`), a replica that replays them
//! (`replicas`), iteration while keys come and go. `table` holds the rows against redis-server.

mod arguments;
mod documents;
mod history;
mod keys;
mod lists;
mod log;
mod mirror;
mod replicas;
mod sets;
mod sorted_sets;
mod table;

use std::collections::{BTreeMap, BTreeSet, HashSet};

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
        let outcome = match outcome {
            Err(Fault::Wait(wait)) => {
                wait.form.answer_nothing(&mut reply);
                Ok(())
            }
            outcome => outcome,
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
            Err(Fault::Contended | Fault::Wait(_) | Fault::Elsewhere) => {
                panic!("nobody else is here")
            }
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
        None => format!("{:?}", entry.as_rate_limit().or(entry.as_json())),
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
