//! Sorted sets: payloads to and from redis-server, the old layouts, and damage.

use eave::rdb::{
    Compression, ErrorKind, Limits, Listpack, ScoredMember, SortedSetListpack, SortedSetTable,
    Value, dump,
};

use crate::data::Noise;
use crate::payloads::{packed_payload, ziplist};
use crate::server::{Dir, Redis, Reply, text};

type Pairs = Vec<(Vec<u8>, f64)>;

fn pairs(count: usize) -> Pairs {
    let name = |i: usize| match i % 3 {
        0 => format!("member {i}").into_bytes(),
        1 => i.to_string().into_bytes(),
        _ => vec![0xff, i as u8, (i >> 8) as u8, 0],
    };
    let score = |i: usize| match i % 5 {
        0 => i as f64,
        1 => i as f64 / 8.0 - 30.0,
        2 => 0.1 * i as f64,
        3 => -1e300 * i as f64,
        _ => 4e15 + i as f64,
    };
    let extremes = [f64::INFINITY, f64::NEG_INFINITY, 5e-324, 1e17, 1e21, 9_007_199_254_740_993.0];
    let extremes = extremes.into_iter().map(|score| (format!("{score:e}").into_bytes(), score));
    sorted((0..count).map(|i| (name(i), score(i))).chain(extremes).collect())
}

/// In the order of (score, member).
fn sorted(mut pairs: Pairs) -> Pairs {
    pairs.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap().then_with(|| a.0.cmp(&b.0)));
    pairs
}

fn read(payload: &[u8]) -> Result<Pairs, ErrorKind> {
    match dump::read(payload, &Limits::default()) {
        Ok(Value::SortedSet(members) | Value::PackedSortedSet(members)) => {
            let pair = |ScoredMember { member, score }| (member, score);
            Ok(members.into_iter().map(pair).collect())
        }
        Ok(other) => panic!("no sorted set: {other:?}"),
        Err(error) => Err(error.kind),
    }
}

/// What redis-server holds.
fn held(redis: &mut Redis) -> Pairs {
    let Reply::Array(items) = redis.run("ZRANGE restored 0 -1 WITHSCORES") else {
        panic!("no array")
    };
    let texts: Vec<_> = items.iter().map(text).collect();
    let score = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap().parse().unwrap();
    texts.chunks(2).map(|pair| (pair[0].clone(), score(&pair[1]))).collect()
}

#[test]
fn dumps_go_both_ways_and_are_the_same() {
    for (compression, name) in [(Compression::None, "no"), (Compression::Lzf, "yes")] {
        let dir = Dir::new(&format!("zdump-{name}"));
        let mut redis = Redis::start(dir, &["--rdbcompression", name]);
        for (count, encoding) in [(0, "listpack"), (100, "listpack"), (2000, "skiplist")] {
            let pairs = pairs(count);
            let mut payload = Vec::new();
            if encoding == "listpack" {
                let packed = SortedSetListpack::pack(pairs.iter().cloned()).unwrap();
                dump::write(&mut payload, SortedSetListpack(&packed), compression);
            } else {
                let highest_first = pairs.iter().cloned().rev();
                dump::write(&mut payload, SortedSetTable(highest_first), compression);
            }
            assert_eq!(redis.restore(&payload), Reply::Text(b"OK".to_vec()));
            assert_eq!(redis.encoding(b"restored"), encoding);
            assert_eq!(held(&mut redis), pairs);
            // Made by its own commands, byte for byte.
            redis.run("DEL restored");
            for (member, score) in &pairs {
                redis.ok(&[b"ZADD", b"restored", format!("{score:e}").as_bytes(), member]);
            }
            let theirs = text(&redis.run("DUMP restored"));
            assert!(compression == Compression::Lzf || theirs == payload, "{count}");
            assert_eq!(read(&theirs).map(sorted), Ok(pairs));
        }
    }
}

/// Sorted sets in the layouts that are read: type byte, bytes, contents.
fn packed() -> Vec<(u8, Vec<u8>, Pairs)> {
    let element = |text: &[u8]| ([&[text.len() as u8], text].concat(), text.to_vec());
    let old =
        [(b"ab".as_slice(), b"-inf".as_slice()), (b"c", b"1.5"), (b"b", b"2"), (b"a", b"1e3")];
    let elements: Vec<_> = old.iter().flat_map(|(m, s)| [element(m), element(s)]).collect();
    let old: Pairs = [("ab", f64::NEG_INFINITY), ("c", 1.5), ("b", 2.0), ("a", 1e3)]
        .map(|(member, score)| (member.as_bytes().to_vec(), score))
        .to_vec();
    let new = pairs(12);
    let listpack = SortedSetListpack::pack(new.iter().cloned()).unwrap();
    vec![(12, ziplist(&elements), old), (17, listpack.as_bytes().to_vec(), new)]
}

#[test]
fn old_layouts_mean_what_redis_says() {
    let mut redis = Redis::start(Dir::new("zold"), &["--sanitize-dump-payload", "yes"]);
    for (type_byte, packed, pairs) in packed() {
        let payload = packed_payload(type_byte, &packed);
        assert_eq!(read(&payload), Ok(pairs.clone()), "type {type_byte}");
        assert_eq!(redis.restore(&payload), Reply::Text(b"OK".to_vec()), "type {type_byte}");
        assert_eq!(held(&mut redis), pairs, "type {type_byte}");
    }
    // Scores as text: length and digits, or one byte for infinities.
    let mut payload = vec![3, 3, 1, b'a', 3, b'1', b'.', b'5', 1, b'b', 254, 1, b'c', 255];
    payload.extend_from_slice(&6u16.to_le_bytes());
    payload.extend_from_slice(&eave::rdb::Checksum::of(&payload).to_le_bytes());
    assert_eq!(redis.restore(&payload), Reply::Text(b"OK".to_vec()));
    assert_eq!(read(&payload).map(sorted), Ok(held(&mut redis)));
}

/// What ours takes and Redis does not would be a hole. Ours is stricter: it wants scores to be
/// numbers.
#[test]
fn damaged_layouts_are_refused_as_redis_refuses_them() {
    let mut redis = Redis::start(Dir::new("zdamaged"), &["--sanitize-dump-payload", "yes"]);
    let mut noise = Noise(20_261_121);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..3000 {
        let mut sets = packed();
        let (type_byte, packed, _) = &mut sets[round % 2];
        for _ in 0..=noise.below(2) {
            let at = noise.below(packed.len());
            packed[at] = match noise.below(3) {
                0 => packed[at] ^ (1 << noise.below(8)),
                1 => noise.next() as u8,
                _ => packed[noise.below(packed.len())],
            };
        }
        let payload = packed_payload(*type_byte, packed);
        let theirs = redis.restore(&payload);
        match (read(&payload), theirs) {
            // A listpack out of order stays so in Redis.
            (Ok(ours), Reply::Text(_)) => {
                taken += 1;
                assert_eq!(sorted(ours), sorted(held(&mut redis)), "{packed:?}");
            }
            (Err(_), Reply::Error(_)) => refused += 1,
            (Err(ErrorKind::Packed { expected, .. }), Reply::Text(_)) => {
                let stricter = ["a score", "the element's length backwards"];
                assert!(stricter.contains(&expected), "round {round}: {expected}");
            }
            (ours, theirs) => panic!("round {round}: ours {ours:?}, theirs {theirs:?}"),
        }
    }
    assert!(taken > 300 && refused > 300, "{taken} taken, {refused} refused");
}

#[test]
fn hostile_sorted_sets_are_refused_by_both() {
    let mut redis = Redis::start(Dir::new("zhostile"), &["--sanitize-dump-payload", "yes"]);
    let listpack = |elements: &[&str]| {
        let mut packed = Listpack::new();
        elements.iter().for_each(|element| packed.push(element.as_bytes()).unwrap());
        packed_payload(17, packed.as_bytes())
    };
    let table = |pairs: &[(&str, f64)]| {
        let mut payload = Vec::new();
        let pairs = pairs.iter().copied();
        dump::write(&mut payload, SortedSetTable(pairs), Compression::None);
        payload
    };
    for payload in [
        listpack(&["a", "1", "b"]),
        listpack(&["a", "1", "a", "2"]),
        listpack(&[]),
        table(&[("a", f64::NAN)]),
        table(&[("a", 1.0), ("b", 2.0), ("a", 3.0)]),
        table(&[]),
    ] {
        assert!(read(&payload).is_err(), "{payload:?}");
        let theirs = redis.restore(&payload);
        assert!(matches!(theirs, Reply::Error(_)), "{payload:?}: {theirs:?}");
    }
}
