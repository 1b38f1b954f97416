//! Files: what Redis saves we read, what we write Redis loads.

use std::collections::BTreeMap;
use std::path::Path;

use eave::rdb::{
    Checksum, Compression, HashListpack, HashTable, IntegerValue, Intset, Item, Key, KeyMeta,
    Limits, ListValue, Preamble, Purpose, Reader, SetTable, StringValue, Usage, Value, Writer,
};

use crate::data::{
    hashes, intset, list_of, listpack, lists, set_of, sets, sorted, strings, value_of,
};
use crate::server::{Dir, Redis, Reply};

/// Far enough that nothing expires under a test: the year 2096.
const LATER_MS: i64 = 4_000_000_000_123;

fn read_file(path: &Path) -> Vec<Item> {
    let bytes = std::fs::read(path).unwrap();
    let mut reader = Reader::new(Limits::default());
    let mut items = Vec::new();
    for piece in bytes.chunks(1021) {
        reader.feed(piece);
        while let Some(item) = reader.next_item().unwrap() {
            items.push(item);
        }
    }
    reader.finish().unwrap();
    items
}

fn fill(redis: &mut Redis) -> BTreeMap<(u32, Vec<u8>), (KeyMeta, Value)> {
    let mut expected = BTreeMap::new();
    for (database, expire_at_ms) in [(0, None), (3, Some(LATER_MS)), (15, None)] {
        redis.run(&format!("SELECT {database}"));
        let meta = KeyMeta { expire_at_ms, usage: None };
        for (name, value) in strings() {
            redis.ok(&[b"SET", name.as_bytes(), &value]);
            expected.insert((database, name.as_bytes().to_vec()), (meta, Value::String(value)));
        }
        for (name, fields, encoding) in hashes() {
            for (field, value) in &fields {
                redis.ok(&[b"HSET", name.as_bytes(), field, value]);
            }
            assert_eq!(redis.encoding(name.as_bytes()), encoding);
            expected.insert((database, name.as_bytes().to_vec()), (meta, value_of(&fields)));
        }
        for (name, elements) in lists() {
            for element in &elements {
                redis.ok(&[b"RPUSH", name.as_bytes(), element]);
            }
            expected.insert((database, name.as_bytes().to_vec()), (meta, list_of(&elements)));
        }
        for (name, members, encoding) in sets() {
            for member in &members {
                redis.ok(&[b"SADD", name.as_bytes(), member]);
            }
            assert_eq!(redis.encoding(name.as_bytes()), encoding, "{name}");
            expected.insert((database, name.as_bytes().to_vec()), (meta, set_of(&members)));
        }
        if let Some(at) = expire_at_ms {
            for (_, name) in expected.keys().filter(|(db, _)| *db == database) {
                redis.ok(&[b"PEXPIREAT", name, at.to_string().as_bytes()]);
            }
        }
    }
    expected
}

fn keys(items: &[Item]) -> BTreeMap<(u32, Vec<u8>), (KeyMeta, Value)> {
    let mut database = 0;
    let mut keys = BTreeMap::new();
    for item in items {
        match item {
            Item::SelectDb(number) => database = *number,
            Item::Key(Key { name, meta, value }) => {
                let old = keys.insert((database, name.clone()), (*meta, sorted(value.clone())));
                assert_eq!(old, None);
            }
            Item::Aux { .. } | Item::ResizeDb { .. } | Item::Function(_) | Item::Eof => {}
            other => panic!("{other:?}"),
        }
    }
    keys
}

#[test]
fn a_file_of_redis_is_read() {
    for compression in ["yes", "no"] {
        let mut redis = Redis::start(Dir::new("read"), &["--rdbcompression", compression]);
        redis.ok(&[
            b"FUNCTION",
            b"LOAD",
            b"#!lua name=lib\nredis.register_function('f', function() return 1 end)",
        ]);
        let expected = fill(&mut redis);
        redis.run("SAVE");
        let items = read_file(&redis.dir.0.join("dump.rdb"));
        assert!(keys(&items) == expected, "the keys differ, rdbcompression {compression}");
        assert_eq!(items.last(), Some(&Item::Eof));
        assert!(
            items
                .iter()
                .any(|item| matches!(item, Item::Function(code) if code.starts_with(b"#!lua")))
        );
        let sizes: Vec<_> =
            items.iter().filter(|item| matches!(item, Item::ResizeDb { .. })).cloned().collect();
        let each = (strings().len() + hashes().len() + sets().len() + lists().len()) as u64;
        let size = |expires| Item::ResizeDb { keys: each, expires };
        assert_eq!(sizes, [size(0), size(each), size(0)]);
        let version = Item::Aux { name: b"redis-ver".to_vec(), value: b"7.0.15".to_vec() };
        assert!(items.contains(&version), "{:?}", &items[..3]);
    }
}

#[test]
fn usage_of_keys_is_read() {
    for (policy, lfu) in [("allkeys-lfu", true), ("allkeys-lru", false)] {
        let mut redis = Redis::start(Dir::new("usage"), &["--maxmemory-policy", policy]);
        redis.run("SET k v");
        redis.run("SAVE");
        let items = read_file(&redis.dir.0.join("dump.rdb"));
        let keys = keys(&items);
        let (meta, _) = &keys[&(0, b"k".to_vec())];
        match meta.usage {
            // LFU_INIT_VAL of Redis: new keys start at five.
            Some(Usage::Frequency(counter)) => assert!(lfu && counter == 5, "{counter}"),
            Some(Usage::IdleSeconds(_)) => assert!(!lfu),
            None => panic!("{policy}: no usage"),
        }
    }
}

/// A file like the one that [`fill`] makes Redis write, by our writer.
fn written(compression: Compression) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, compression);
    writer.preamble(&Preamble {
        redis_version: "7.0.15",
        created_at_s: 1_800_000_000,
        used_memory_bytes: 1 << 20,
        position: None,
        purpose: Purpose::Snapshot,
    });
    writer.function(b"#!lua name=lib\nredis.register_function('f', function() return 1 end)");
    for (database, expire_at_ms) in [(0, None), (3, Some(LATER_MS)), (15, None)] {
        let usage = Some(Usage::Frequency(77));
        let meta = KeyMeta { expire_at_ms, usage };
        writer.select_db(database);
        writer.resize_db(100, 100);
        for (name, value) in strings() {
            match std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()) {
                Some(number) if name != "zeros" => {
                    writer.key(name.as_bytes(), &meta, IntegerValue(number));
                }
                _ => writer.key(name.as_bytes(), &meta, StringValue(&value)),
            }
        }
        for (name, fields, encoding) in hashes() {
            if encoding == "listpack" {
                writer.key(name.as_bytes(), &meta, HashListpack(&listpack(&fields)));
            } else {
                writer.key(name.as_bytes(), &meta, HashTable(fields.iter().map(|(f, v)| (f, v))));
            }
        }
        for (name, elements) in lists() {
            writer.key(name.as_bytes(), &meta, ListValue(elements.iter()));
        }
        for (name, members, encoding) in sets() {
            if encoding == "intset" {
                let (width, integers) = intset(&members);
                writer.key(name.as_bytes(), &meta, Intset { width, integers: &integers });
            } else {
                writer.key(name.as_bytes(), &meta, SetTable(members.iter()));
            }
        }
    }
    writer.eof();
    let mut checksum = Checksum::new();
    out.chunks(1000).for_each(|piece| checksum.update(piece));
    out.extend_from_slice(&checksum.trailer());
    out
}

#[test]
fn redis_loads_a_file_of_ours() {
    for (compression, name) in [(Compression::None, "plain"), (Compression::Lzf, "lzf")] {
        let dir = Dir::new(&format!("load-{name}"));
        std::fs::write(dir.0.join("ours.rdb"), written(compression)).unwrap();
        let options = [
            "--dbfilename",
            "ours.rdb",
            "--maxmemory-policy",
            "allkeys-lfu",
            "--sanitize-dump-payload",
            "yes",
        ];
        let mut redis = Redis::start(dir, &options);
        let each = (strings().len() + hashes().len() + sets().len() + lists().len()) as i64;
        let Reply::Array(libraries) = redis.run("FUNCTION LIST") else { panic!("no libraries") };
        assert_eq!(libraries.len(), 1);
        for (database, expires) in [(0, false), (3, true), (15, false)] {
            redis.run(&format!("SELECT {database}"));
            // First of all: every access may raise the counter.
            assert_eq!(redis.run("OBJECT FREQ small"), Reply::Integer(77));
            assert_eq!(redis.run("DBSIZE"), Reply::Integer(each));
            for (name, value) in strings() {
                assert_eq!(redis.ok(&[b"GET", name.as_bytes()]), Reply::Text(value), "{name}");
                let number = name.starts_with('n');
                assert_eq!(redis.encoding(name.as_bytes()) == "int", number, "{name}");
            }
            for (name, fields, encoding) in hashes() {
                let found = redis.fields(name.as_bytes());
                assert_eq!(value_of(&found), value_of(&fields), "{name}");
                assert_eq!(redis.encoding(name.as_bytes()), encoding, "{name}");
                for (field, value) in &fields[..fields.len().min(20)] {
                    let found = redis.ok(&[b"HGET", name.as_bytes(), field]);
                    assert_eq!(found, Reply::Text(value.clone()), "{name} {field:?}");
                }
                let at = if expires { LATER_MS } else { -1 };
                assert_eq!(redis.ok(&[b"PEXPIRETIME", name.as_bytes()]), Reply::Integer(at));
            }
            for (name, elements) in lists() {
                assert!(redis.elements(name.as_bytes()) == elements, "{name}");
                assert_eq!(redis.encoding(name.as_bytes()), "quicklist", "{name}");
                // From the back as well, where the lengths behind the elements are read.
                let last = redis.ok(&[b"LINDEX", name.as_bytes(), b"-1"]);
                assert_eq!(last, Reply::Text(elements.last().unwrap().clone()), "{name}");
            }
            for (name, members, encoding) in sets() {
                let found = redis.members(name.as_bytes());
                assert_eq!(set_of(&found), set_of(&members), "{name}");
                assert_eq!(redis.encoding(name.as_bytes()), encoding, "{name}");
                for member in members.iter().take(20) {
                    let found = redis.ok(&[b"SISMEMBER", name.as_bytes(), member]);
                    assert_eq!(found, Reply::Integer(1), "{name} {member:?}");
                }
            }
        }
    }
}
