//! Lists: payloads in every layout, what Redis makes of its own, and damage.

use eave::rdb::{Checksum, Compression, ErrorKind, Limits, ListValue, Listpack, Value, dump};

use crate::data::{Noise, list_of, lists};
use crate::payloads::{packed_payload, stricter, ziplist, ziplist_elements};
use crate::server::{Dir, Redis, Reply, text};

fn ours(elements: &[Vec<u8>], compression: Compression) -> Vec<u8> {
    let mut payload = Vec::new();
    dump::write(&mut payload, ListValue(elements.iter()), compression);
    payload
}

fn read(payload: &[u8]) -> Value {
    dump::read(payload, &Limits::default()).unwrap()
}

#[test]
fn dumps_go_both_ways() {
    for (compression, name) in [(Compression::None, "no"), (Compression::Lzf, "yes")] {
        let options = ["--rdbcompression", name, "--sanitize-dump-payload", "yes"];
        let mut redis = Redis::start(Dir::new(&format!("lists-{name}")), &options);
        for (name, elements) in lists() {
            redis.run("DEL l");
            for element in &elements {
                redis.ok(&[b"RPUSH", b"l", element]);
            }
            let theirs = text(&redis.run("DUMP l"));
            assert!(read(&theirs) == list_of(&elements), "{name}");
            let payload = ours(&elements, compression);
            // Elements are in the same nodes; compressed, the two may choose different matches.
            assert!(compression == Compression::Lzf || theirs == payload, "{name}");
            assert_eq!(redis.restore(&payload), Reply::Text(b"OK".to_vec()), "{name}");
            assert!(redis.elements(b"restored") == elements, "{name}");
        }
    }
}

/// However Redis has come to a list, and whatever its nodes are bounded by.
#[test]
fn lists_that_redis_has_worked_on_are_read() {
    let mut redis = Redis::start(Dir::new("worked"), &["--enable-debug-command", "yes"]);
    let mut noise = Noise(20_261_123);
    for (fill, threshold) in
        [("-2", "1gb"), ("-1", "1gb"), ("3", "1gb"), ("0", "1gb"), ("-2", "50")]
    {
        redis.run(&format!("CONFIG SET list-max-listpack-size {fill}"));
        // Longer elements become plain nodes, which they otherwise do from 1 GiB on.
        redis.run(&format!("DEBUG QUICKLIST-PACKED-THRESHOLD {threshold}"));
        redis.run("DEL l");
        let mut plain = 0;
        for _ in 0..400 {
            let length = [1, 5, 60, 100, 700][noise.below(5)];
            let element = vec![b'a' + noise.below(9) as u8; length];
            let index = noise.below(50).to_string();
            let pivot = redis.call(&[b"LINDEX", b"l", index.as_bytes()]);
            match (noise.below(6), pivot) {
                (0, Reply::Text(pivot)) => {
                    redis.ok(&[b"LINSERT", b"l", b"AFTER", &pivot, &element])
                }
                (1, Reply::Text(_)) => redis.ok(&[b"LSET", b"l", index.as_bytes(), &element]),
                (2, Reply::Text(pivot)) => redis.ok(&[b"LREM", b"l", b"1", &pivot]),
                (3, _) => redis.ok(&[b"RPUSH", b"l", noise.next().to_string().as_bytes()]),
                (4, _) => redis.ok(&[b"LPUSH", b"l", &element]),
                _ => redis.ok(&[b"RPUSH", b"l", &element]),
            };
            let Reply::Text(theirs) = redis.run("DUMP l") else { continue };
            let elements = redis.elements(b"l");
            assert_eq!(read(&theirs), list_of(&elements));
            plain += usize::from(theirs[2] == 1);
        }
        assert_eq!(plain > 0, threshold == "50", "{fill} {threshold}");
    }
}

/// Lists in the layouts of older versions and of this one: type byte, value, elements. Those of
/// ziplists are given as code and text.
fn layouts(coded: &[(Vec<u8>, Vec<u8>)]) -> Vec<(u8, Vec<u8>, Vec<Vec<u8>>)> {
    let elements: Vec<Vec<u8>> = coded.iter().map(|(_, text)| text.clone()).collect();
    let packed = ziplist(&coded[..4]);
    let mut listpack = Listpack::new();
    elements[..9].iter().for_each(|element| listpack.push(element).unwrap());
    let wide = |bytes: &[u8]| {
        let mut out = vec![0x80];
        out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        out.extend_from_slice(bytes);
        out
    };
    let strings: Vec<u8> = elements.iter().flat_map(|element| wide(element)).collect();
    let small = elements[..4].to_vec();
    vec![
        (1, [vec![elements.len() as u8], strings].concat(), elements.clone()),
        (10, wide(&ziplist(coded)), elements.clone()),
        (10, wide(&packed), small.clone()),
        (
            14,
            [vec![2], wide(&packed), wide(&ziplist(coded))].concat(),
            [&small[..], &elements].concat(),
        ),
        (18, [vec![1, 2], wide(listpack.as_bytes())].concat(), elements[..9].to_vec()),
        (
            18,
            [
                vec![3, 2],
                wide(listpack.as_bytes()),
                vec![1],
                wide(b"plain"),
                vec![2],
                wide(listpack.as_bytes()),
            ]
            .concat(),
            [&elements[..9], &[b"plain".to_vec()], &elements[..9]].concat(),
        ),
    ]
}

fn payload(type_byte: u8, value: &[u8]) -> Vec<u8> {
    let mut payload = [&[type_byte], value, &10u16.to_le_bytes()].concat();
    let checksum = Checksum::of(&payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
    payload
}

#[test]
fn every_layout_means_what_redis_says() {
    let mut redis = Redis::start(Dir::new("layouts"), &["--sanitize-dump-payload", "yes"]);
    for (type_byte, value, elements) in layouts(&ziplist_elements()) {
        let payload = payload(type_byte, &value);
        assert_eq!(read(&payload), list_of(&elements), "type {type_byte}");
        assert_eq!(redis.restore(&payload), Reply::Text(b"OK".to_vec()), "type {type_byte}");
        assert_eq!(redis.elements(b"restored"), elements, "type {type_byte}");
    }
    // One packed string, as the payloads of hashes have it.
    let coded = ziplist_elements();
    let elements: Vec<Vec<u8>> = coded.iter().map(|(_, text)| text.clone()).collect();
    assert_eq!(read(&packed_payload(10, &ziplist(&coded))), list_of(&elements));
}

/// What ours takes and Redis does not would be a hole.
#[test]
fn damaged_lists_are_refused_as_redis_refuses_them() {
    let mut redis = Redis::start(Dir::new("lists-damaged"), &["--sanitize-dump-payload", "yes"]);
    let mut noise = Noise(20_261_124);
    let (mut taken, mut refused) = (0, 0);
    let coded: Vec<_> =
        ziplist_elements().into_iter().filter(|(coded, _)| coded.len() < 70).collect();
    let layouts = layouts(&coded);
    for round in 0..6000 {
        let (type_byte, mut value, _) = layouts[round % layouts.len()].clone();
        for _ in 0..=noise.below(2) {
            let at = noise.below(value.len());
            value[at] = match noise.below(3) {
                0 => value[at] ^ (1 << noise.below(8)),
                1 => noise.next() as u8,
                _ => value[noise.below(value.len())],
            };
        }
        let payload = payload(type_byte, &value);
        let theirs = redis.restore(&payload);
        match (dump::read(&payload, &Limits::default()), theirs) {
            (Ok(ours), Reply::Text(_)) => {
                taken += 1;
                assert_eq!(ours, list_of(&redis.elements(b"restored")), "round {round}");
            }
            (Err(_), Reply::Error(_)) => refused += 1,
            // Redis does not look at what follows the value.
            (Err(error), Reply::Text(_)) => {
                let behind = ErrorKind::Expected { expected: "nothing after the value" };
                assert!(error.kind == behind || stricter(&error), "round {round}: {error}");
            }
            (ours, theirs) => panic!("round {round}: ours {ours:?}, theirs {theirs:?}"),
        }
    }
    assert!(taken > 500 && refused > 500, "{taken} taken, {refused} refused");
}
