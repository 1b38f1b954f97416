//! RESTORE of what a hostile client may send: payloads that redis-server made, changed at
//! random and with a right checksum. Each is refused, or becomes a value whose own payload
//! makes that value again; and memory follows what was sent.
//!
//! The values are of every type that redis-server has; those that Eave does not know yet are
//! refused, and are tested as soon as it does. `EAVE_SEED=n` repeats a run.

#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

mod oracle;

use eave::command::dump::{entry, payload};
use eave::keyspace::{Entry, NEVER};
use eave::rdb::{self, Checksum, Value, dump};
use eave::value::limits::Limits;
use oracle::{Oracle, Reply};

/// Counts what is allocated, as the server's own allocator does.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Mutations of each payload.
const ROUNDS: usize = 2000;

/// Version and checksum.
const FOOTER: usize = 10;

/// Bytes that may be allocated, in all, for one byte of a payload: LZF makes up to 88 of one,
/// and each of those is copied a few times on its way into a value.
const EXPANSION: u64 = 88 * 16;

/// Bytes that may be allocated however short the payload is.
const FLOOR: u64 = 16 * 1024;

/// Enough of a random number generator for a test to be repeatable.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Commands that make a key `k` of each type, in each encoding.
fn recipes() -> Vec<Vec<String>> {
    let many = |command: &str, count: usize, pair: bool, width: usize| {
        let mut words = vec![command.to_string(), "k".into()];
        for n in 0..count {
            if command == "ZADD" {
                words.push(format!("{}.5", n * 7919 % 101));
            }
            words.push(format!("{n:0width$}"));
            if pair {
                words.push(format!("value {n}"));
            }
        }
        words
    };
    let text = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
    vec![
        text("SET k hello"),
        text("SET k 12345"),
        text(&format!("SET k {}", "ab".repeat(300))),
        many("HSET", 20, true, 1),
        many("HSET", 600, true, 1),
        many("RPUSH", 20, false, 1),
        many("RPUSH", 300, false, 90),
        many("SADD", 40, false, 1),
        many("SADD", 40, false, 3),
        many("SADD", 300, false, 5),
        many("ZADD", 40, false, 1),
        many("ZADD", 300, false, 5),
        text("PFADD k a b c d e f g h"),
        text("XADD k 1-1 f v g w"),
    ]
}

fn payloads() -> Option<Vec<Vec<u8>>> {
    let mut oracle = Oracle::start("payloads")?;
    let mut found = Vec::new();
    for recipe in recipes() {
        let make: Vec<&[u8]> = recipe.iter().map(|word| word.as_bytes()).collect();
        let replies = oracle.ask(&[vec![b"DEL", b"k"], make, vec![b"DUMP", b"k"]]);
        match &replies[2] {
            Reply::Text(bytes) => found.push(bytes.clone()),
            other => panic!("{recipe:?}: {other:?}"),
        }
    }
    let stream = [
        "XADD k 1-2 f v",
        "XADD k 1-3 other w",
        "XGROUP CREATE k g 0",
        "XREADGROUP GROUP g me COUNT 1 STREAMS k >",
        "XDEL k 1-2",
    ];
    let stream: Vec<Vec<&[u8]>> =
        stream.iter().map(|line| line.split(' ').map(str::as_bytes).collect()).collect();
    oracle.ask(&stream);
    if let Some(Reply::Text(bytes)) = oracle.ask(&[vec![b"DUMP", b"k"]]).pop() {
        found.push(bytes);
    }
    for text in [r#"{"a":[1,2.5,"text",null,true],"b":{"c":-7}}"#, "[[[[1]]]]"] {
        let document = eave::value::json::parse(text.as_bytes()).expect("it is JSON");
        found.push(payload(&Entry::json(b"k", &document, NEVER)));
    }
    Some(found)
}

/// The body with a footer that fits it.
fn signed(body: &[u8]) -> Vec<u8> {
    let mut payload = body.to_vec();
    payload.extend_from_slice(&10u16.to_le_bytes());
    let checksum = Checksum::of(&payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
    payload
}

/// One change, of the kinds that find the most: bits, borders, lengths, cuts, repeats.
fn mutate(body: &mut Vec<u8>, other: &[u8], noise: &mut Noise) {
    let at = noise.below(body.len());
    match noise.below(8) {
        0 | 1 => body[at] ^= 1 << noise.below(8),
        2 => body[at] = [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xc3, 0xf4, 0xff][noise.below(10)],
        3 => body.truncate(at.max(1)),
        4 => {
            let end = (at + 1 + noise.below(9)).min(body.len());
            body.drain(at..end);
        }
        5 => {
            let end = (at + 1 + noise.below(9)).min(body.len());
            let piece = body[at..end].to_vec();
            body.splice(at..at, piece);
        }
        6 => {
            let from = noise.below(other.len());
            let piece = &other[from..(from + 1 + noise.below(40)).min(other.len())];
            body.splice(at..at, piece.iter().copied());
        }
        _ => {
            for byte in body.iter_mut().skip(at).take(4) {
                *byte = noise.next() as u8;
            }
        }
    }
    if body.is_empty() {
        body.push(0);
    }
}

fn allocated() -> u64 {
    tikv_jemalloc_ctl::thread::allocatedp::read().expect("jemalloc counts").get()
}

/// What a payload holds, without the order that large hashes and sets do not have.
fn sorted(payload: &[u8]) -> Value {
    let mut value = dump::read(payload, &rdb::Limits::default()).expect("it has been read before");
    match &mut value {
        Value::Hash(fields) => fields.sort_by(|a, b| a.field.cmp(&b.field)),
        Value::Set(members) => members.sort(),
        _ => {}
    }
    value
}

/// Reads a payload; answers whether it was taken.
fn restore(bytes: &[u8]) -> bool {
    let limits = Limits::default();
    let before = allocated();
    let read = entry(b"k", bytes, NEVER, &limits);
    let cost = allocated() - before;
    let bound = FLOOR + EXPANSION * bytes.len() as u64;
    assert!(cost <= bound, "{cost} bytes for a payload of {}: {bytes:?}", bytes.len());
    let Ok(value) = read else { return false };
    let again = payload(&value);
    let Ok(same) = entry(b"k", &again, NEVER, &limits) else {
        panic!("its own payload is refused: {bytes:?} became {again:?}")
    };
    assert_eq!(sorted(&payload(&same)), sorted(&again), "another value comes back of {bytes:?}");
    assert_eq!(same.kind(), value.kind());
    true
}

#[test]
fn hostile_payloads_are_refused_or_kept_whole() {
    let payloads = payloads().expect("could not run: no redis-server");
    let seed = std::env::var("EAVE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(eave::clock::random) | 1;
    println!("EAVE_SEED={seed}");
    let mut noise = Noise(seed);
    let mut taken = 0;
    let whole = payloads.iter().filter(|payload| restore(payload)).count();
    for original in &payloads {
        let body = &original[..original.len() - FOOTER];
        for _ in 0..ROUNDS {
            let other = &payloads[noise.below(payloads.len())];
            let mut body = body.to_vec();
            for _ in 0..=noise.below(3) {
                mutate(&mut body, other, &mut noise);
            }
            taken += usize::from(restore(&signed(&body)));
        }
    }
    // Strings and hashes at least; and a test in which nothing is taken would find nothing.
    assert!(whole >= 5, "only {whole} of {} payloads are taken", payloads.len());
    assert!(taken > ROUNDS / 4, "only {taken} changed payloads were taken");
}

/// A payload is what its checksum says.
#[test]
fn a_changed_payload_is_refused() {
    let payload = signed(b"\x00\x05hello");
    assert!(restore(&payload));
    for at in 0..payload.len() {
        for bit in 0..8 {
            let mut changed = payload.clone();
            changed[at] ^= 1 << bit;
            assert!(!restore(&changed), "bit {bit} of byte {at}");
        }
    }
}
