//! Copies while keys change, and what is in them.

use eave_replication::leader::FollowerId;

use super::*;
use crate::keyspace::usage::Scale;
use crate::keyspace::{Access, Keyspace, LockSet, Place, Staging, StrRef, Value, Wanted};
use crate::rdb::{Item, JsonText, LimiterState, Limits, Reader};
use crate::replicate::load::Loader;
use crate::value::hash::{Hash, HashLimits, Lifetime};
use crate::value::json;
use crate::value::limits::Limits as Encodings;
use crate::value::list::{List, ListLimits, ListRef};
use crate::value::set::{Set, SetLimits};

fn limits() -> HashLimits {
    HashLimits { entries: 2, value_bytes: 64 }
}

/// The state of a rate limit that is used up.
fn state() -> Vec<u8> {
    let mut state = Vec::new();
    let rule = eave_ratelimit::Rule::parse(b"1/1h").unwrap();
    eave_ratelimit::take(&[], &rule, 1, 1_700_000_000_000, &mut state).unwrap();
    state
}

/// The elements of a list.
fn elements(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("element {n}"))
}

/// A JSON document, as it is kept.
fn document() -> Vec<u8> {
    json::parse(br#"{"b":[1,2.5,"text",null],"a":{"":18446744073709551615}}"#).unwrap()
}

/// A keyspace with one key of each kind in database 2.
fn keyspace() -> Keyspace {
    let keyspace = Keyspace::new(3);
    let (limits, sets) = (limits(), SetLimits::default());
    let pairs = [(b"f".as_slice(), b"v".as_slice()), (b"g", b"7"), (b"h", b"")];
    let (mut lease, mut leases) = (Hash::new(), Hash::from_pairs(pairs, limits));
    lease.set(b"f", b"v", Lifetime::New, limits);
    for (hash, at) in [(&mut lease, 1_900_000_000_002), (&mut leases, 3)] {
        hash.expire(b"f", at);
    }
    let mut staged = Staging::new(3);
    for entry in [
        Entry::string(b"text", b"of bytes", NEVER),
        Entry::integer(b"number", i64::MIN, 1_900_000_000_000),
        Entry::object(b"grown", Value::String(b"string".to_vec()), NEVER),
        Entry::collection(b"small", Hash::from_pairs(pairs.into_iter().take(2), limits), NEVER),
        Entry::collection(b"large", Hash::from_pairs(pairs, limits), 5),
        Entry::collection(b"lease", lease, NEVER),
        Entry::collection(b"leases", leases, NEVER),
        Entry::collection(b"integers", Set::from_members(["3", "1"], sets), NEVER),
        Entry::collection(b"members", Set::from_members(["1", "a"], sets), NEVER),
        Entry::rate_limit(b"limit", &state(), 1_900_000_000_001),
        Entry::json(b"document", &document(), 1_900_000_000_003),
        Entry::collection(b"list", List::from_texts(elements(3), ListLimits::default()), NEVER),
        Entry::collection(b"chain", List::from_texts(elements(200), ListLimits::default()), NEVER),
    ] {
        staged.insert_all(2, [(entry, Usage::default())]).unwrap();
    }
    keyspace.replace(&mut staged, || {}).unwrap();
    keyspace
}

/// The stream of one form.
fn stream(keyspace: &Keyspace, form: Form) -> Vec<u8> {
    stream_for(keyspace, form, &Config::default())
}

fn stream_for(keyspace: &Keyspace, form: Form, config: &Config) -> Vec<u8> {
    let (cut, ()) = keyspace.begin_cut(serialize_for(config), u64::MAX, || {}).unwrap();
    let (parts, mut receiver) = tokio::sync::mpsc::channel(1000);
    let node = Node::new(Config::default());
    let mut sender = Sender::new(vec![Receiver { follower: FollowerId(1), form, parts }]);
    let mut preamble = Vec::new();
    Writer::new(&mut preamble, Compression::None).header();
    sender.add(&preamble);
    let mut step = 0;
    while keyspace.copy_step(&cut, step).unwrap() {
        step += 1;
    }
    keyspace.end_cut(&cut);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        sender.take(&node, &cut).await;
        sender.end(&node, &cut).await;
    });
    let mut bytes = Vec::new();
    while let Ok(Part::Bytes(part)) = receiver.try_recv() {
        bytes.extend_from_slice(&part);
    }
    bytes
}

fn entry(keyspace: &Keyspace, key: &str) -> Option<Entry> {
    let place = Place::of(key.as_bytes());
    let wanted = Wanted { db: 2, shard: place.shard, access: Access::Shared };
    let locks = LockSet::one(keyspace, wanted).unwrap();
    let shard = locks.held(2, place.shard);
    shard.find(place.hash, key.as_bytes()).map(|slot| shard.at(slot).clone())
}

#[test]
fn an_eave_gets_every_kind_of_value() {
    let bytes = stream(&keyspace(), Form::Eave);
    for piece in [1, 7, bytes.len()] {
        let mut loader = Loader::new(3, Encodings { hash: limits(), ..Encodings::default() });
        for bytes in bytes.chunks(piece) {
            loader.feed(bytes).unwrap();
        }
        let copy = Keyspace::new(3);
        copy.replace(&mut loader.finish().unwrap().staged, || {}).unwrap();
        assert_eq!(copy.count(2), keyspace().count(2));
        let number = entry(&copy, "number").unwrap();
        assert_eq!(number.as_string(), Some(StrRef::Integer(i64::MIN)));
        assert_eq!(number.expires_at(), 1_900_000_000_000);
        assert_eq!(entry(&copy, "text").unwrap().as_string(), Some(StrRef::Bytes(b"of bytes")));
        assert_eq!(entry(&copy, "grown").unwrap().as_string(), Some(StrRef::Bytes(b"string")));
        let (small, large) = (entry(&copy, "small").unwrap(), entry(&copy, "large").unwrap());
        assert_eq!((small.encoding(), large.encoding()), ("listpack", "hashtable"));
        let texts = |key| -> Vec<_> {
            entry(&copy, key).unwrap().as_set().unwrap().iter().map(|m| m.to_vec()).collect()
        };
        assert_eq!(
            (texts("integers"), texts("members")),
            (vec![b"1".to_vec(), b"3".to_vec()], vec![b"1".to_vec(), b"a".to_vec()])
        );
        assert_eq!(entry(&copy, "integers").unwrap().encoding(), "intset");
        assert_eq!(entry(&copy, "members").unwrap().encoding(), "hashtable");
        // Due, but its removal is the leader's to tell.
        assert_eq!(large.expires_at(), 5);
        assert_eq!(&*large.as_hash().unwrap().live(0).get(b"f").unwrap(), b"v");
        for (key, encoding, at) in
            [("lease", "listpackex", 1_900_000_000_002), ("leases", "hashtable", 3)]
        {
            let lease = entry(&copy, key).unwrap();
            assert_eq!(lease.encoding(), encoding);
            let (value, expiry) = lease.as_hash().unwrap().live(0).get_with_expiry(b"f").unwrap();
            assert_eq!((&*value, expiry), (b"v".as_slice(), at));
        }
        let limit = entry(&copy, "limit").unwrap();
        assert_eq!(limit.as_rate_limit(), Some(state().as_slice()));
        let json = entry(&copy, "document").unwrap();
        assert_eq!(json.as_json(), Some(document().as_slice()));
        assert_eq!(json.expires_at(), 1_900_000_000_003);
        let (list, chain) = (entry(&copy, "list").unwrap(), entry(&copy, "chain").unwrap());
        assert!(matches!(list.as_list(), Some(ListRef::Small(_))));
        for (list, count) in [(list, 3), (chain, 200)] {
            let read = list.as_list().unwrap().forward(0).map(|element| element.text());
            assert!(read.map(|text| text.to_vec()).eq(elements(count).map(String::into_bytes)));
        }
    }
}

/// What the policy goes by comes with the keys, and nothing where there is none.
#[test]
fn the_uses_of_keys_go_with_them() {
    use crate::config::EvictionPolicy::{AllkeysLfu, AllkeysLru, NoEviction};
    let noted = [(AllkeysLru, 100, 5), (AllkeysLfu, 0, 77), (NoEviction, 0, 5)];
    for (policy, idle, counter) in noted {
        let mut config = Config::default();
        config.maxmemory_policy = policy;
        let now = Tick::new(clock::unix_ms(), Noted::Last);
        let usage =
            if policy == AllkeysLfu { Usage::frequent(now, 77) } else { Usage::idle(now, 100) };
        let keyspace = Keyspace::new(3);
        let mut staged = Staging::new(3);
        staged.insert_all(2, [(Entry::string(b"k", b"v", NEVER), usage)]).unwrap();
        keyspace.replace(&mut staged, || {}).unwrap();
        let mut loader = Loader::new(3, Encodings::default());
        loader.feed(&stream_for(&keyspace, Form::Plain, &config)).unwrap();
        let copy = Keyspace::new(3);
        copy.replace(&mut loader.finish().unwrap().staged, || {}).unwrap();
        let place = Place::of(b"k");
        let wanted = Wanted { db: 2, shard: place.shard, access: Access::Shared };
        let locks = LockSet::one(&copy, wanted).unwrap();
        let shard = locks.held(2, place.shard);
        let usage = shard.usage(shard.find(place.hash, b"k").unwrap());
        let now = Tick::new(clock::unix_ms(), Noted::Last);
        assert!((idle..idle + 60).contains(&usage.idle_s(now)), "{policy:?}");
        let scale = Scale { decay_minutes: 0, ..config.usage_scale() };
        assert_eq!(usage.frequency(now, scale), counter, "{policy:?}");
    }
}

#[test]
fn a_rate_limit_that_nobody_wrote_is_refused() {
    for state in [b"".as_slice(), b"nonsense"] {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, Compression::None);
        writer.header();
        writer.key(b"limit", &KeyMeta::default(), LimiterState(state));
        let mut loader = Loader::new(1, Encodings::default());
        assert!(loader.feed(&bytes).is_err());
    }
}

#[test]
fn a_document_that_does_not_read_is_refused() {
    for text in [b"".as_slice(), b"{", b"\"\xff\"", &[b'['; 1000]] {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, Compression::None);
        writer.header();
        writer.key(b"document", &KeyMeta::default(), JsonText(text));
        let mut loader = Loader::new(1, Encodings::default());
        assert!(loader.feed(&bytes).is_err());
    }
}

#[test]
fn a_redis_gets_what_it_knows() {
    let mut reader = Reader::new(Limits::default());
    reader.feed(&stream(&keyspace(), Form::Plain));
    let mut names = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        if let Item::Key(key) = item {
            names.push(String::from_utf8(key.name).unwrap());
        }
    }
    reader.finish().unwrap();
    names.sort();
    let known = [
        "chain", "grown", "integers", "large", "lease", "leases", "list", "members", "number",
        "small", "text",
    ];
    assert_eq!(names, known);
}

#[test]
fn a_damaged_copy_is_refused() {
    let bytes = stream(&keyspace(), Form::Eave);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let mut loader = Loader::new(3, Encodings::default());
        let fed = loader.feed(&damaged);
        assert!(fed.and_then(|()| loader.finish().map(drop)).is_err(), "byte {at}");
    }
    let mut loader = Loader::new(3, Encodings::default());
    loader.feed(&bytes[..bytes.len() - 1]).unwrap();
    assert!(loader.finish().is_err());
    let mut loader = Loader::new(2, Encodings::default());
    assert!(loader.feed(&bytes).is_err(), "database 2 is not there");
}

/// What is put aside has a bound: beyond it writers find a shard busy, and the copy goes on.
#[test]
fn writers_wait_where_enough_is_held_back() {
    let keyspace = Keyspace::new(1);
    let mut staged = Staging::new(1);
    let keys: Vec<String> = (0..200).map(|n| format!("key {n}")).collect();
    for key in &keys {
        let entry = Entry::string(key.as_bytes(), &[b'v'; 1000], NEVER);
        staged.insert_all(0, [(entry, Usage::default())]).unwrap();
    }
    keyspace.replace(&mut staged, || {}).unwrap();
    let (cut, ()) = keyspace.begin_cut(serialize_for(&Config::default()), 5_000, || {}).unwrap();
    let write = |key: &String| {
        LockSet::one(&keyspace, Wanted::key(0, key.as_bytes(), Access::Exclusive)).is_ok()
    };
    let written = keys.iter().filter(|key| write(key)).count();
    assert!(written < keys.len() && cut.is_full() && cut.refused() > 0);
    assert!(cut.held().0 < 5_000 + 50_000, "{:?}", cut.held());
    // What is copied already is written to all the same, and reads never wait.
    assert!(write(&keys[0]));
    let read = Wanted::key(0, keys[199].as_bytes(), Access::Shared);
    assert!(LockSet::one(&keyspace, read).is_ok());
    let (mut step, mut bytes) = (0, 0);
    while keyspace.copy_step(&cut, step).unwrap() {
        step += 1;
        for part in cut.take_parts() {
            bytes += part.len();
            cut.release(part.len());
        }
    }
    assert_eq!((cut.held().0, step), (0, cut.steps()));
    assert!(bytes > 200_000 && keys.iter().all(write));
}
