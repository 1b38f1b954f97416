//! Tests of the format as a whole: files round, cut, damaged, and by hand; `collections` has the
//! layouts of hashes and lists.

mod collections;

use proptest::collection::vec;
use proptest::prelude::*;

use super::fuzz::{items, read_any};
use super::stream::tests::{record, table};
use super::*;

const POSITION: StreamPosition<'static> = StreamPosition {
    database: 3,
    replication_id: "0123456789abcdef0123456789abcdef01234567",
    offset: 1 << 40,
};

fn facts() -> Preamble<'static> {
    Preamble {
        redis_version: "7.0.15",
        created_at_s: 1_800_000_000,
        used_memory_bytes: 1 << 33,
        position: Some(POSITION),
        purpose: Purpose::Snapshot,
    }
}

/// A file around a body, with its checksum.
fn file(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out, Compression::None).header();
    out.extend_from_slice(body);
    sealed(out)
}

fn sealed(mut out: Vec<u8>) -> Vec<u8> {
    Writer::new(&mut out, Compression::None).eof();
    let mut checksum = Checksum::new();
    checksum.update(&out);
    out.extend_from_slice(&checksum.trailer());
    out
}

/// The items of a file that is read without an error and to its end.
fn read(file: &[u8]) -> Vec<Item> {
    let (items, rest) = items(file, file.len());
    assert_eq!(rest, Ok(Vec::new()), "after {items:?}");
    items
}

/// The items of a body.
fn read_body(body: &[u8]) -> Vec<Item> {
    let mut items = read(&file(body));
    assert_eq!(items.pop(), Some(Item::Eof));
    items
}

/// The error that refuses a body.
fn refusal(body: &[u8]) -> Error {
    items(&file(body), 7).1.unwrap_err()
}

fn key(name: &str, value: Value) -> Item {
    Item::Key(Key { name: name.as_bytes().to_vec(), meta: KeyMeta::default(), value })
}

fn field(field: &str, value: &str, expire_at_ms: Option<u64>) -> HashField {
    HashField { field: field.into(), value: value.into(), expire_at_ms }
}

fn write_key(out: &mut Vec<u8>, key: &Key, compression: Compression, packed: &mut Listpack) {
    let mut writer = Writer::new(out, compression);
    match &key.value {
        Value::String(bytes) => writer.key(&key.name, &key.meta, StringValue(bytes)),
        Value::Limiter(state) => writer.key(&key.name, &key.meta, LimiterState(state)),
        Value::Json(text) => writer.key(&key.name, &key.meta, JsonText(text)),
        Value::List(texts) => writer.key(&key.name, &key.meta, ListValue(texts.iter())),
        Value::PackedSortedSet(members) => {
            let listpack = SortedSetListpack::pack(pairs(members)).unwrap();
            writer.key(&key.name, &key.meta, SortedSetListpack(&listpack));
        }
        Value::SortedSet(members) => {
            writer.key(&key.name, &key.meta, SortedSetTable(pairs(members)));
        }
        Value::Stream(record) => writer.key(&key.name, &key.meta, table(record)),
        Value::Hash(fields) if fields.iter().any(|field| field.expire_at_ms.is_some()) => {
            writer.key(&key.name, &key.meta, expiring(fields));
        }
        Value::Hash(fields) if fields.len() < 8 => {
            packed.clear();
            for field in fields {
                packed.push(&field.field).unwrap();
                packed.push(&field.value).unwrap();
            }
            writer.key(&key.name, &key.meta, HashListpack(packed));
        }
        Value::Hash(fields) => {
            let pairs = fields.iter().map(|field| (&field.field, &field.value));
            writer.key(&key.name, &key.meta, HashTable(pairs));
        }
        Value::Set(members) => match set::tests::integers(members) {
            Some(integers) => {
                let intset = Intset { width: 8, integers: &integers };
                writer.key(&key.name, &key.meta, intset);
            }
            None => writer.key(&key.name, &key.meta, SetTable(members.iter())),
        },
    }
}

fn expiring(
    fields: &[HashField],
) -> ExpiringHash<impl ExactSizeIterator<Item = (&Vec<u8>, &Vec<u8>, u64)>> {
    let earliest_ms = fields.iter().filter_map(|field| field.expire_at_ms).min().unwrap_or(0);
    let fields = fields.iter();
    let fields = fields.map(|field| (&field.field, &field.value, field.expire_at_ms.unwrap_or(0)));
    ExpiringHash { earliest_ms, fields }
}

fn pairs(members: &[ScoredMember]) -> impl ExactSizeIterator<Item = (&Vec<u8>, f64)> {
    members.iter().map(|member| (&member.member, member.score))
}

/// A file of keys, each shard written into a buffer of its own.
fn file_of(keys: &[Key], compression: Compression) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, compression);
    writer.preamble(&facts());
    writer.function(b"#!lua name=lib\nreturn 1");
    writer.select_db(70_000);
    writer.resize_db(keys.len() as u64, 1 << 14);
    let mut packed = Listpack::new();
    for shard in keys.chunks(3) {
        let mut buffer = Vec::new();
        for key in shard {
            write_key(&mut buffer, key, compression, &mut packed);
        }
        out.extend_from_slice(&buffer);
    }
    sealed(out)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..40),
        vec(0u8..3, 0..300),
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        any::<i16>().prop_map(|n| n.to_string().into_bytes()),
    ]
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<i16>().prop_map(f64::from),
        any::<f64>().prop_filter("scores are in an order", |score| !score.is_nan()),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        bytes().prop_map(Value::String),
        bytes().prop_map(Value::Limiter),
        bytes().prop_map(Value::Json),
        vec(bytes(), 1..24).prop_map(|texts| Value::List(texts.iter().collect())),
        record().prop_map(Value::Stream),
        (proptest::collection::btree_map(bytes(), bytes(), 1..24), any::<u64>()).prop_map(
            |(map, at)| {
                // A third of the hashes have fields that expire, some of them.
                let expiry = |n: usize| {
                    Some((at >> 16 >> n) + 1)
                        .filter(|_| at.is_multiple_of(3) && n.is_multiple_of(2))
                };
                let fields = map
                    .into_iter()
                    .enumerate()
                    .map(|(n, (field, value))| HashField { field, value, expire_at_ms: expiry(n) })
                    .collect();
                Value::Hash(fields)
            }
        ),
        proptest::collection::btree_set(bytes(), 1..24)
            .prop_map(|members| Value::Set(members.into_iter().collect())),
        proptest::collection::btree_set(any::<i64>(), 1..24).prop_map(|integers| {
            Value::Set(integers.into_iter().map(|n| n.to_string().into_bytes()).collect())
        }),
        proptest::collection::btree_map(bytes(), score(), 1..24).prop_map(|map| {
            let pairs = map.into_iter();
            let members: Vec<_> =
                pairs.map(|(member, score)| ScoredMember { member, score }).collect();
            let packed = members.len() < 8;
            if packed { Value::PackedSortedSet(members) } else { Value::SortedSet(members) }
        }),
    ]
}

fn any_key() -> impl Strategy<Value = Key> {
    let usage = prop_oneof![
        any::<u64>().prop_map(Usage::IdleSeconds),
        any::<u8>().prop_map(Usage::Frequency),
    ];
    let meta = (proptest::option::of(any::<i64>()), proptest::option::of(usage))
        .prop_map(|(expire_at_ms, usage)| KeyMeta { expire_at_ms, usage });
    (bytes(), meta, value()).prop_map(|(name, meta, value)| Key { name, meta, value })
}

fn compression() -> impl Strategy<Value = Compression> {
    prop_oneof![Just(Compression::None), Just(Compression::Lzf)]
}

proptest! {
    #[test]
    fn files_read_back_however_they_are_cut(
        keys in vec(any_key(), 0..12),
        compression in compression(),
        piece in 1usize..50,
    ) {
        let file = file_of(&keys, compression);
        let read: Vec<_> = read(&file)
            .into_iter()
            .filter_map(|item| match item {
                Item::Key(key) => Some(key),
                _ => None,
            })
            .collect();
        prop_assert_eq!(&read, &keys);
        read_any(&file, piece);
    }

    #[test]
    fn dumps_read_back(value in value(), compression in compression()) {
        let mut payload = b"before".to_vec();
        match &value {
            Value::String(bytes) => dump::write(&mut payload, StringValue(bytes), compression),
            Value::Limiter(bytes) => dump::write(&mut payload, LimiterState(bytes), compression),
            Value::Json(text) => dump::write(&mut payload, JsonText(text), compression),
            Value::List(texts) => dump::write(&mut payload, ListValue(texts.iter()), compression),
            Value::PackedSortedSet(members) => {
                let listpack = SortedSetListpack::pack(pairs(members)).unwrap();
                dump::write(&mut payload, SortedSetListpack(&listpack), compression);
            }
            Value::SortedSet(members) => {
                dump::write(&mut payload, SortedSetTable(pairs(members)), compression);
            }
            Value::Stream(record) => dump::write(&mut payload, table(record), compression),
            Value::Hash(fields) if fields.iter().any(|field| field.expire_at_ms.is_some()) => {
                dump::write(&mut payload, expiring(fields), compression);
                // Redis 7.0 must not take it for something it knows.
                prop_assert_eq!(payload[payload.len() - 10], 12);
            }
            Value::Hash(fields) => {
                let pairs = fields.iter().map(|field| (&field.field, &field.value));
                dump::write(&mut payload, HashTable(pairs), compression);
            }
            Value::Set(members) => {
                dump::write(&mut payload, SetTable(members.iter()), compression);
            }
        }
        let payload = payload.split_off(6);
        prop_assert_eq!(dump::read(&payload, &Limits::default()), Ok(value));
        for cut in 0..payload.len() {
            prop_assert!(dump::read(&payload[..cut], &Limits::default()).is_err());
        }
    }

    #[test]
    fn damage_is_refused(keys in vec(any_key(), 1..6), at: usize, bit in 0..8, piece in 1usize..50) {
        let mut file = file_of(&keys, Compression::Lzf);
        let at = at % file.len();
        file[at] ^= 1u8 << bit;
        // A version below 5 has no checksum; everything else must be noticed.
        let unchecked = (5..9).contains(&at) && &file[5..9] < b"0005".as_slice();
        let (_, rest) = items(&file, file.len());
        prop_assert!(rest.is_err() || unchecked || rest.is_ok_and(|rest| !rest.is_empty()));
        read_any(&file, piece);
    }

    #[test]
    fn damage_without_a_checksum_never_panics(
        keys in vec(any_key(), 1..6),
        flips in vec((any::<usize>(), any::<u8>()), 1..5),
        piece in 1usize..50,
    ) {
        let mut file = file_of(&keys, Compression::Lzf);
        let end = file.len() - 8;
        file[end..].fill(0);
        for (at, byte) in flips {
            file[at % end] = byte;
        }
        read_any(&file, piece);
    }

    #[test]
    fn any_body_is_read_or_refused(body: Vec<u8>, piece in 1usize..9) {
        read_any(&file(&body), piece);
        read_any(&body, piece);
    }
}

#[test]
fn the_preamble_says_what_redis_says() {
    let mut out = Vec::new();
    Writer::new(&mut out, Compression::Lzf).preamble(&facts());
    let names: Vec<_> = read(&sealed(out))
        .into_iter()
        .filter_map(|item| match item {
            Item::Aux { name, value } => {
                Some((String::from_utf8(name).unwrap(), String::from_utf8(value).unwrap()))
            }
            _ => None,
        })
        .collect();
    let expected = [
        ("redis-ver", "7.0.15"),
        ("redis-bits", "64"),
        ("ctime", "1800000000"),
        ("used-mem", "8589934592"),
        ("repl-stream-db", "3"),
        ("repl-id", POSITION.replication_id),
        ("repl-offset", "1099511627776"),
        ("aof-base", "0"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(names, expected);
}

#[test]
fn opcodes_around_keys_are_read_or_passed_over() {
    let mut body = vec![244, 5, 1, 1]; // A slot's hints.
    body.extend_from_slice(&[251, 2, 1]);
    body.extend_from_slice(&[253, 0xff, 0xff, 0xff, 0x7f]); // Seconds.
    body.extend_from_slice(&[248, 0x41, 0x00]); // Idle.
    body.extend_from_slice(&[0, 1, b'k', 0xc0, 0xff]);
    body.extend_from_slice(&[249, 200, 0, 1, b'l', 0x80, 0, 0, 0, 1, b'v']);
    let meta = KeyMeta {
        expire_at_ms: Some(i64::from(i32::MAX) * 1000),
        usage: Some(Usage::IdleSeconds(256)),
    };
    let idle = Key { name: b"k".to_vec(), meta, value: Value::String(b"-1".to_vec()) };
    let meta = KeyMeta { expire_at_ms: None, usage: Some(Usage::Frequency(200)) };
    let frequent = Key { name: b"l".to_vec(), meta, value: Value::String(b"v".to_vec()) };
    let expected = [Item::ResizeDb { keys: 2, expires: 1 }, Item::Key(idle), Item::Key(frequent)];
    assert_eq!(read_body(&body), expected);
}

#[test]
fn modules_of_others_are_passed_over() {
    // "ReJSON-RL" version 3, then one part of each kind, then the end mark.
    let id = 0x44_5e_09_23_8f_97_44_03_u64;
    let mut value = vec![0x81];
    value.extend_from_slice(&id.to_be_bytes());
    let mut parts = vec![1, 7, 2, 0x41, 0, 3, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0];
    parts.extend_from_slice(&[5, 3, b'a', b'b', b'c', 0]);
    let mut body = vec![7, 1, b'm'];
    body.extend_from_slice(&value);
    body.extend_from_slice(&parts);
    body.push(247);
    body.extend_from_slice(&value);
    body.extend_from_slice(&[2, 1]); // When it was saved.
    body.extend_from_slice(&parts);
    body.extend_from_slice(&[0, 1, b'k', 1, b'v']);
    let items = read_body(&body);
    let Item::Skipped { key: Some(name), why } = &items[0] else { panic!("{items:?}") };
    assert_eq!(name, b"m");
    assert!(matches!(why, Skipped::Module { version: 3, .. }), "{why:?}");
    assert_eq!(items[1], Item::Skipped { key: None, why: why.clone() });
    assert_eq!(items[2], key("k", Value::String(b"v".to_vec())));
    read_any(&file(&body), 1);
}

#[test]
fn a_newer_limiter_is_reported_not_guessed() {
    let mut body = Vec::new();
    let mut writer = Writer::new(&mut body, Compression::None);
    writer.key(b"k", &KeyMeta::default(), LimiterState(b"state"));
    assert_eq!(read_body(&body), [key("k", Value::Limiter(b"state".to_vec()))]);
    // Type, key, length mark: the identity's last byte is the twelfth.
    assert_eq!(body[11], LimiterState::VERSION as u8);
    body[11] += 1;
    let why = Skipped::Module { name: "eave-rate".to_owned(), version: LimiterState::VERSION + 1 };
    assert_eq!(read_body(&body), [Item::Skipped { key: Some(b"k".to_vec()), why }]);
}

#[test]
fn errors_name_the_byte_and_its_offset() {
    assert_eq!(
        refusal(&[0, 1, b'k', 1, b'v', 6, 1, b'z']).to_string(),
        "RDB byte 14: value type 6 (module value of a release candidate) is not supported"
    );
    assert_eq!(
        refusal(&[243]).to_string(),
        "RDB byte 9: expected a value type or an opcode, found 243"
    );
    assert_eq!(refusal(&[0, 0x82]).to_string(), "RDB byte 10: expected a length byte");
    assert_eq!(
        refusal(&[16, 1, b'h', 7, 7, 0, 0, 0, 1, 0, 255]).to_string(),
        "RDB byte 12: listpack, byte 4: expected the number of elements there are"
    );
    let versions = [("REDIS0000", false), ("REDIS0013", false), ("REDIS+010", false)];
    for (header, fine) in versions.into_iter().chain([("REDIS0001", true), ("REDIS0012", true)]) {
        let (items, rest) = items(header.as_bytes(), 1);
        assert!(items.is_empty());
        assert_eq!(rest.unwrap_err().kind == ErrorKind::Truncated, fine, "{header}");
    }
    // The same error again, whatever comes.
    let mut reader = Reader::new(Limits::default());
    reader.feed(b"REDIX0010");
    let first = reader.next_item().unwrap_err();
    reader.feed(b"REDIS0010");
    assert_eq!(reader.next_item(), Err(first.clone()));
    assert_eq!(reader.finish(), Err(first));
}

#[test]
fn limits_hold_before_the_bytes_have_come() {
    let limits = fuzz::LIMITS;
    let string = |length: u64| {
        let mut body = vec![0, 0x81];
        body.extend_from_slice(&length.to_be_bytes());
        body
    };
    let limit = |body: &[u8]| match refusal(body).kind {
        ErrorKind::Limit { found, limit, .. } => Some((found, limit)),
        _ => None,
    };
    for found in [limits.string_bytes + 1, u64::MAX] {
        assert_eq!(limit(&string(found)), Some((found, limits.string_bytes)));
    }
    assert_eq!(limit(&[0, 0xc3, 1, 0x80, 0, 1, 0, 1]), Some((65_537, 65_536)));
    assert_eq!(limit(&[4, 0, 0x44, 1]), Some((1025, limits.elements)));
    let mut packed = Listpack::new();
    for i in 0..=limits.elements {
        packed.push(i.to_string().as_bytes()).unwrap();
        packed.push(b"").unwrap();
    }
    let mut body = Vec::new();
    let mut writer = Writer::new(&mut body, Compression::None);
    writer.key(b"h", &KeyMeta::default(), HashListpack(&packed));
    assert_eq!(limit(&body), Some((1025, limits.elements)));
    // Parts of a list, and the elements in them.
    assert_eq!(limit(&[1, 0, 0x44, 1]), Some((1025, limits.elements)));
    assert_eq!(limit(&[18, 0, 0x44, 1]), Some((1025, limits.elements)));
    packed.clear();
    (0..600).for_each(|_| packed.push(b"1").unwrap());
    let mut body = vec![18, 0, 2];
    for _ in 0..2 {
        body.extend_from_slice(&[2, 0x44, 0xb7]);
        body.extend_from_slice(packed.as_bytes());
    }
    assert_eq!(limit(&body), Some((1025, limits.elements)));
    assert_eq!(limit(&[254, 0x81, 0, 0, 0, 1, 0, 0, 0, 0]), Some((1 << 32, u32::MAX.into())));
    // A small compressed string cannot claim to be a large one.
    let bomb = refusal(&[0, 0, 0xc3, 2, 0x7f, 0xff, 0, b'a']);
    assert_eq!(bomb.to_string(), "RDB byte 11: expected LZF data of the declared lengths");
}

#[test]
fn checksums_can_be_switched_off_but_not_be_wrong() {
    let mut file = file(&[0, 1, b'k', 1, b'v']);
    let end = file.len() - 8;
    file[end] ^= 1;
    let (_, rest) = items(&file, 1);
    assert!(matches!(rest.unwrap_err().kind, ErrorKind::Checksum { .. }));
    file[end..].fill(0);
    assert_eq!(read(&file).len(), 2);
    // Version 4 had none.
    file.truncate(end);
    file[5..9].copy_from_slice(b"0004");
    assert_eq!(read(&file).len(), 2);
}

#[test]
fn what_follows_the_stream_is_handed_back() {
    let mut stream = file(&[0, 1, b'k', 1, b'v']);
    stream.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    for piece in 1..=stream.len() {
        let (items, rest) = items(&stream, piece);
        assert_eq!(items.last(), Some(&Item::Eof));
        assert_eq!(rest.as_deref(), Ok(&b"*1\r\n$4\r\nPING\r\n"[..]), "pieces of {piece}");
    }
}

#[test]
fn fields_of_a_large_hash_are_taken_as_they_come() {
    // What is not taken never exceeds one pair, so no field is looked at twice.
    let mut body = Vec::new();
    let mut writer = Writer::new(&mut body, Compression::None);
    let pairs = (0..100_000u32).map(|i| (format!("field {i}"), format!("value {i}")));
    writer.key(b"h", &KeyMeta::default(), HashTable(pairs));
    let mut reader = Reader::new(Limits::default());
    let mut keys = 0;
    for piece in file(&body).chunks(3) {
        reader.feed(piece);
        while let Some(item) = reader.next_item().unwrap() {
            keys += usize::from(matches!(item, Item::Key(_)));
        }
        assert!(reader.unread().len() < 32, "{} bytes", reader.unread().len());
    }
    assert!(reader.is_done());
    assert_eq!((keys, reader.version()), (1, WRITTEN_VERSION));
}

#[test]
fn dumps_are_refused_for_what_is_wrong_with_them() {
    let mut payload = Vec::new();
    dump::write(&mut payload, IntegerValue(-7), Compression::Lzf);
    // What `SET k -7`, `DUMP k` answers on redis-server 7.0.15.
    assert_eq!(payload[..4], [0, 0xc0, 0xf9, 10]);
    let refused = |body: &[u8], version: u16| {
        let mut payload = body.to_vec();
        payload.extend_from_slice(&version.to_le_bytes());
        payload.extend_from_slice(&Checksum::of(&payload).to_le_bytes());
        dump::read(&payload, &Limits::default()).map_err(|error| error.kind)
    };
    assert_eq!(refused(&[0, 1, b'v'], 12), Ok(Value::String(b"v".to_vec())));
    assert_eq!(refused(&[0, 1, b'v'], 13), Err(ErrorKind::Version { found: 13 }));
    assert_eq!(refused(&[0, 2, b'v'], 10), Err(ErrorKind::Truncated));
    assert!(matches!(refused(&[0, 1, b'v', 0], 10), Err(ErrorKind::Expected { .. })));
    assert!(matches!(refused(&[6, 0], 10), Err(ErrorKind::Type { byte: 6, .. })));
    assert!(matches!(refused(&[7, 0, 0], 10), Err(ErrorKind::Type { byte: 7, .. })));
    let end = payload.len() - 1;
    payload[end] ^= 1;
    let error = dump::read(&payload, &Limits::default()).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Checksum { .. }));
}
