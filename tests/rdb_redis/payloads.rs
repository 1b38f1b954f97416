//! Payloads: DUMP and RESTORE, the old layouts, and damage.

use eave::rdb::{
    Checksum, Compression, Error, ErrorKind, HashListpack, HashTable, Intset, Limits, SetTable,
    StringValue, Value, dump,
};

use crate::data::{
    Fields, Noise, hash, hashes, intset, listpack, set_of, sets, sorted, strings, value_of,
};
use crate::server::{Dir, Redis, Reply, text};

#[test]
fn dumps_go_both_ways() {
    for (compression, name) in [(Compression::None, "no"), (Compression::Lzf, "yes")] {
        let mut redis =
            Redis::start(Dir::new(&format!("dump-{name}")), &["--rdbcompression", name]);
        let mut payload = Vec::new();
        for (_, value) in strings() {
            payload.clear();
            dump::write(&mut payload, StringValue(&value), compression);
            redis.ok(&[b"SET", b"k", &value]);
            let theirs = text(&redis.run("DUMP k"));
            // Compressed, the two may choose different matches.
            assert!(compression == Compression::Lzf || theirs == payload);
            assert_eq!(dump::read(&theirs, &Limits::default()), Ok(Value::String(value.clone())));
            assert_eq!(redis.restore(&payload), Reply::Text(b"OK".to_vec()));
            assert_eq!(redis.run("GET restored"), Reply::Text(value));
        }
        for (_, fields, encoding) in hashes() {
            payload.clear();
            if encoding == "listpack" {
                let packed = listpack(&fields);
                dump::write(&mut payload, HashListpack(&packed), compression);
            } else {
                let pairs = fields.iter().map(|(field, value)| (field, value));
                dump::write(&mut payload, HashTable(pairs), compression);
            }
            assert_eq!(redis.restore(&payload), Reply::Text(b"OK".to_vec()));
            assert_eq!(value_of(&redis.fields(b"restored")), value_of(&fields));
            let theirs = text(&redis.run("DUMP restored"));
            let exact = compression == Compression::None && encoding == "listpack";
            assert!(!exact || theirs == payload);
            let read = dump::read(&theirs, &Limits::default()).unwrap();
            assert_eq!(sorted(read), value_of(&fields));
        }
        for (name, members, encoding) in sets() {
            payload.clear();
            if encoding == "intset" {
                let (width, integers) = intset(&members);
                dump::write(&mut payload, Intset { width, integers: &integers }, compression);
            } else {
                dump::write(&mut payload, SetTable(members.iter()), compression);
            }
            assert_eq!(redis.restore(&payload), Reply::Text(b"OK".to_vec()), "{name}");
            assert_eq!(set_of(&redis.members(b"restored")), set_of(&members), "{name}");
            assert_eq!(redis.encoding(b"restored"), encoding, "{name}");
            let theirs = text(&redis.run("DUMP restored"));
            let exact = compression == Compression::None && encoding == "intset";
            assert!(!exact || theirs == payload, "{name}");
            let read = dump::read(&theirs, &Limits::default()).unwrap();
            assert_eq!(sorted(read), set_of(&members), "{name}");
        }
    }
}

/// A payload of a packed value, with an old version's footer.
pub(crate) fn packed_payload(type_byte: u8, packed: &[u8]) -> Vec<u8> {
    let mut payload = vec![type_byte, 0x80];
    payload.extend_from_slice(&(packed.len() as u32).to_be_bytes());
    payload.extend_from_slice(packed);
    payload.extend_from_slice(&6u16.to_le_bytes());
    payload.extend_from_slice(&Checksum::of(&payload).to_le_bytes());
    payload
}

/// Elements of a ziplist as code and data, in every width there is.
pub(crate) fn ziplist_elements() -> Fields {
    let text = |code: &[u8], length: usize| {
        let bytes = vec![b'a' + (length % 26) as u8; length];
        ([code, &bytes].concat(), bytes)
    };
    let number = |code: &[u8], value: i64| (code.to_vec(), value.to_string().into_bytes());
    vec![
        text(&[0x00], 0),
        text(&[63], 63),
        text(&[0x40, 64], 64),
        text(&[0x41, 0x2c], 300),
        text(&[0x7f, 0xff], 16_383),
        text(&[0x80, 0, 0, 0x40, 0], 16_384),
        number(&[0xf1], 0),
        number(&[0xfd], 12),
        number(&[0xfe, 13], 13),
        number(&[0xfe, 0x80], -128),
        number(&[0xc0, 0x00, 0x80], -32_768),
        number(&[0xf0, 0xff, 0xff, 0x7f], 8_388_607),
        number(&[0xf0, 0x00, 0x00, 0x80], -8_388_608),
        number(&[0xd0, 0x00, 0x00, 0x00, 0x80], -2_147_483_648),
        number(&[0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80], i64::MIN),
        number(&[0xe0, 255, 255, 255, 255, 255, 255, 255, 0x7f], i64::MAX),
    ]
}

pub(crate) fn ziplist(elements: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![0; 10];
    let (mut tail, mut before) = (10, 0usize);
    for (coded, _) in elements {
        tail = out.len();
        match u8::try_from(before) {
            Ok(short @ 0..254) => out.push(short),
            _ => {
                out.push(254);
                out.extend_from_slice(&(before as u32).to_le_bytes());
            }
        }
        out.extend_from_slice(coded);
        before = out.len() - tail;
    }
    out.push(0xff);
    let total = (out.len() as u32).to_le_bytes();
    out[..4].copy_from_slice(&total);
    out[4..8].copy_from_slice(&(tail as u32).to_le_bytes());
    out[8..10].copy_from_slice(&(elements.len() as u16).to_le_bytes());
    out
}

fn zipmap(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let length = |out: &mut Vec<u8>, length: usize| match u8::try_from(length) {
        Ok(short @ 0..254) => out.push(short),
        _ => {
            out.push(254);
            out.extend_from_slice(&(length as u32).to_le_bytes());
        }
    };
    let mut out = vec![u8::try_from(pairs.len()).unwrap_or(254).min(254)];
    for (i, (field, value)) in pairs.iter().enumerate() {
        length(&mut out, field.len());
        out.extend_from_slice(field);
        length(&mut out, value.len());
        let slack = i % 3;
        out.push(slack as u8);
        out.extend_from_slice(value);
        out.resize(out.len() + slack, b'?');
    }
    out.push(0xff);
    out
}

/// Packed hashes of every layout: type byte, bytes, contents.
fn packed_hashes() -> Vec<(u8, Vec<u8>, Fields)> {
    let elements = ziplist_elements();
    let pairs = |elements: &[(Vec<u8>, Vec<u8>)]| -> Vec<_> {
        elements.chunks(2).map(|pair| (pair[0].1.clone(), pair[1].1.clone())).collect()
    };
    let narrow: Vec<_> =
        elements.iter().filter(|(coded, _)| coded.len() < 70).take(8).cloned().collect();
    vec![
        (13, ziplist(&elements), pairs(&elements)),
        (13, ziplist(&narrow), pairs(&narrow)),
        (9, zipmap(&hash(30)), hash(30)),
        (9, zipmap(&hash(300)), hash(300)),
        (9, zipmap(&pairs(&elements)), pairs(&elements)),
        (16, listpack(&hash(12)).as_bytes().to_vec(), hash(12)),
        (16, listpack(&pairs(&elements)).as_bytes().to_vec(), pairs(&elements)),
    ]
}

#[test]
fn old_layouts_mean_what_redis_says() {
    let mut redis = Redis::start(Dir::new("old"), &["--sanitize-dump-payload", "yes"]);
    for (type_byte, packed, fields) in packed_hashes() {
        let payload = packed_payload(type_byte, &packed);
        let expected = value_of(&fields);
        let read = dump::read(&payload, &Limits::default()).unwrap();
        assert_eq!(sorted(read), expected, "type {type_byte}");
        assert_eq!(redis.restore(&payload), Reply::Text(b"OK".to_vec()), "type {type_byte}");
        assert_eq!(value_of(&redis.fields(b"restored")), expected, "type {type_byte}");
    }
}

/// What ours takes and Redis does not would be a hole; the other way round is in [`stricter`].
#[test]
fn damaged_layouts_are_refused_as_redis_refuses_them() {
    let mut redis = Redis::start(Dir::new("damaged"), &["--sanitize-dump-payload", "yes"]);
    let mut noise = Noise(20_261_121);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..6000 {
        let mut hashes = packed_hashes();
        let (type_byte, packed, _) = &mut hashes[round % 7];
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
        match (dump::read(&payload, &Limits::default()), theirs) {
            (Ok(ours), Reply::Text(_)) => {
                taken += 1;
                assert_eq!(sorted(ours), value_of(&redis.fields(b"restored")), "{packed:?}");
            }
            (Err(_), Reply::Error(_)) => refused += 1,
            (Err(error), Reply::Text(_)) => assert!(stricter(&error), "round {round}: {error}"),
            (ours, theirs) => panic!("round {round}: ours {ours:?}, theirs {theirs:?}"),
        }
    }
    assert!(taken > 500 && refused > 500, "{taken} taken, {refused} refused");
}

/// Redis overlooks bytes after a zipmap's end and high bits in a listpack's backward lengths.
pub(crate) fn stricter(error: &Error) -> bool {
    let ErrorKind::Packed { layout, expected, .. } = &error.kind else { return false };
    match *layout {
        "zipmap" => *expected == "nothing after the end byte",
        "listpack" => *expected == "the element's length backwards",
        _ => false,
    }
}

/// What Redis checks of an intset when it is told to, so do we, always.
#[test]
fn damaged_intsets_are_refused_as_redis_refuses_them() {
    let mut redis = Redis::start(Dir::new("intsets"), &["--sanitize-dump-payload", "yes"]);
    let mut noise = Noise(20_261_122);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..3000 {
        let width = [2, 4, 8][noise.below(3)];
        let integers: Vec<u8> =
            [-9i64, 3, 5, 700].iter().flat_map(|n| n.to_le_bytes()[..width].to_vec()).collect();
        let mut packed = vec![width as u8, 0, 0, 0, 4, 0, 0, 0];
        packed.extend_from_slice(&integers);
        for _ in 0..noise.below(3) {
            let at = noise.below(packed.len());
            packed[at] = match noise.below(3) {
                0 => packed[at] ^ (1 << noise.below(8)),
                1 => [0, 1, 2, 4, 8, 0xff][noise.below(6)],
                _ => packed[noise.below(packed.len())],
            };
        }
        packed.truncate(packed.len() - [0, 0, 0, 1, width][noise.below(5)]);
        let payload = packed_payload(11, &packed);
        match (dump::read(&payload, &Limits::default()), redis.restore(&payload)) {
            (Ok(ours), Reply::Text(_)) => {
                taken += 1;
                assert_eq!(sorted(ours), set_of(&redis.members(b"restored")), "{packed:?}");
            }
            (Err(_), Reply::Error(_)) => refused += 1,
            (ours, theirs) => panic!("{packed:?}: ours {ours:?}, theirs {theirs:?}"),
        }
    }
    assert!(taken > 500 && refused > 500, "{taken} taken, {refused} refused");
}
