//! Random commands, answered in the same words by a real redis-server.

use super::super::tests::Bench;
use super::table::oracle::{Oracle, Reply};
use crate::fault::Fault;

/// Change it to try others; a failure prints it with what was asked.
const SEED: u64 = 2026;

/// splitmix64.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn one_of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len() as u64) as usize]
    }

    /// An integer, mostly small, sometimes at a border of 64 bits.
    fn integer(&mut self) -> i64 {
        match self.below(12) {
            0 => i64::MAX - self.below(3) as i64,
            1 => i64::MIN + self.below(3) as i64,
            2 => self.next() as i64,
            3 => self.next() as i64 >> self.below(64),
            _ => self.below(80) as i64 - 40,
        }
    }
}

/// A command, as words.
pub(super) type Words = Vec<Vec<u8>>;

/// The words of a line of text.
pub(super) fn line(text: &str) -> Words {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// Asks both sides the same and holds the answers against each other.
pub(super) struct Mirror {
    bench: Bench,
    redis: Oracle,
    pub(super) random: Random,
}

impl Mirror {
    pub(super) fn start(name: &str) -> Mirror {
        let redis = Oracle::start(name).expect("could not run: no redis-server");
        let mut bench = Bench::new();
        bench.config.proto_max_bulk_len = 512 << 20;
        Mirror { bench, redis, random: Random(SEED) }
    }

    /// What Eave answers.
    pub(super) fn ours(&self, argv: &[Vec<u8>]) -> Reply {
        let argv: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
        match self.bench.run(1, &argv).0 {
            Ok(bytes) => read(&mut &bytes[..]),
            Err(Fault::Text(text)) => Reply::Error(text.into_owned()),
            Err(Fault::Contended) => panic!("nobody else is here"),
        }
    }

    /// Sends both sides the commands and compares each answer.
    pub(super) fn same(&mut self, commands: &[Words]) {
        let lines: Vec<Vec<&[u8]>> =
            commands.iter().map(|words| words.iter().map(Vec::as_slice).collect()).collect();
        let replies = self.redis.ask(&lines);
        for (at, (words, theirs)) in commands.iter().zip(replies).enumerate() {
            let ours = self.ours(words);
            if ours != theirs {
                let asked: Vec<String> =
                    commands[at.saturating_sub(8)..=at].iter().map(|words| shown(words)).collect();
                let (ours, theirs) = (format!("{ours:?}"), format!("{theirs:?}"));
                panic!(
                    "{}\nseed {SEED}\nours:  {ours:.2000}\nredis: {theirs:.2000}",
                    asked.join("\n")
                );
            }
        }
    }
}

/// A command for the message of a failure, in which long words are cut.
fn shown(words: &[Vec<u8>]) -> String {
    let words = words.iter().map(|word| format!("{:.200}", word.escape_ascii().to_string()));
    words.collect::<Vec<_>>().join(" ")
}

/// Reads one reply of RESP2.
fn read(bytes: &mut &[u8]) -> Reply {
    let end = bytes.iter().position(|byte| *byte == b'\r').expect("a line");
    let text = String::from_utf8_lossy(&bytes[1..end]).into_owned();
    let kind = bytes[0];
    *bytes = &bytes[end + 2..];
    match (kind, text.as_str()) {
        (b'+', _) => Reply::Text(text.into_bytes()),
        (b'-', _) => Reply::Error(text),
        (b':', _) => Reply::Integer(text.parse().expect("an integer")),
        (b'$' | b'*', "-1") => Reply::Null,
        (b'$', _) => {
            let (text, rest) = bytes.split_at(text.parse().expect("a length"));
            *bytes = &rest[2..];
            Reply::Text(text.to_vec())
        }
        (b'*', _) => {
            let length = text.parse::<usize>().expect("a length");
            Reply::Array((0..length).map(|_| read(bytes)).collect())
        }
        _ => panic!("not a reply of RESP2: {text}"),
    }
}

/// A string in which long runs are as likely as noise.
fn string(random: &mut Random) -> Vec<u8> {
    let longest = [3, 9, 70][random.below(3) as usize];
    let mut byte = 0;
    (0..random.below(longest))
        .map(|_| {
            if random.below(4) == 0 {
                byte = [0, 0xff, random.next() as u8][random.below(3) as usize];
            }
            byte
        })
        .collect()
}

fn bit_command(random: &mut Random) -> Words {
    let key = random.one_of(&["a", "b", "c", "missing"]);
    let unit = random.one_of(&["", " BYTE", " BIT"]);
    let (a, b) = (random.integer(), random.integer());
    let (bit, at) = (random.below(2), random.below(700));
    match random.below(8) {
        0 => line(&format!("BITCOUNT {key} {a} {b}{unit}")),
        1 => line(&format!("BITCOUNT {key}")),
        2 => line(&format!("BITPOS {key} {bit} {a} {b}{unit}")),
        3 => line(&format!("BITPOS {key} {bit} {a}")),
        4 => line(&format!("BITPOS {key} {bit}")),
        5 => line(&format!("SETBIT {} {at} {bit}", random.one_of(&["a", "b", "c"]))),
        6 => line(&format!("GETBIT {key} {at}")),
        _ => {
            let operation = random.one_of(&["AND", "OR", "XOR"]);
            let (other, to) = (random.one_of(&["a", "b", "c"]), random.one_of(&["a", "b", "d"]));
            line(&format!("BITOP {operation} {to} {key} {other} {}", random.one_of(&["c", "e"])))
        }
    }
}

fn bitfield(random: &mut Random) -> Words {
    let mut command = "BITFIELD f".to_owned();
    for _ in 0..1 + random.below(4) {
        let width = match random.below(3) {
            0 => format!("u{}", 1 + random.below(63)),
            _ => format!("i{}", 1 + random.below(64)),
        };
        let place = format!("{width} {}{}", random.one_of(&["", "#"]), random.below(20));
        let overflow =
            random.one_of(&["", "", "OVERFLOW SAT ", "OVERFLOW FAIL ", "OVERFLOW WRAP "]);
        command += &match random.below(3) {
            0 => format!(" {overflow}GET {place}"),
            1 => format!(" {overflow}SET {place} {}", random.integer()),
            _ => format!(" {overflow}INCRBY {place} {}", random.integer()),
        };
    }
    line(&command)
}

#[test]
fn bits_of_strings() {
    let mut mirror = Mirror::start("bits");
    for _ in 0..300 {
        let random = &mut mirror.random;
        let mut commands = Vec::new();
        for key in ["a", "b", "c", "f"] {
            let mut set = line(&format!("SET {key}"));
            set.push(string(random));
            commands.push(set);
        }
        commands.push(line(&format!("SET e {}", random.integer())));
        for _ in 0..40 {
            commands.push(bit_command(random));
            commands.push(bitfield(random));
        }
        commands
            .extend(["GET a", "GET b", "GET c", "GET d", "GET f", "OBJECT ENCODING d"].map(line));
        mirror.same(&commands);
    }
}

/// An element of one of three sizes of sets, some longer than the words of the hash.
fn element(random: &mut Random) -> Vec<u8> {
    let most = [30, 3000, 1 << 40][random.below(3) as usize];
    let number = random.below(most);
    let mut text = number.to_string();
    let longest = [1, 1, 30][random.below(3) as usize];
    text += &"x".repeat(random.below(longest) as usize);
    text.into_bytes()
}

fn pf_command(random: &mut Random) -> Words {
    let key = random.one_of(&["a", "b", "c", "d"]);
    match random.below(12) {
        0 => line(&format!("PFCOUNT {key}")),
        1 => line(&format!("PFCOUNT {key} missing a {}", random.one_of(&["b", "c"]))),
        2 => line(&format!(
            "PFMERGE {} {key} {}",
            random.one_of(&["d", "e", "f"]),
            random.one_of(&["a", "b"])
        )),
        3 => line(&format!("PFDEBUG ENCODING {key}")),
        4 => line(&format!("PFDEBUG DECODE {key}")),
        5 if random.below(20) == 0 => line(&format!("DEL {key}")),
        _ => {
            let mut add = line(&format!("PFADD {key}"));
            let most = [2, 5, 60][random.below(3) as usize];
            add.extend((0..random.below(most)).map(|_| element(random)));
            add
        }
    }
}

#[test]
fn hyperloglogs_byte_for_byte() {
    let mut mirror = Mirror::start("hll");
    for limit in [3000, 120, 0, 12_000] {
        mirror.bench.config.encodings.hyperloglog.sparse_bytes = limit;
        let set = format!("CONFIG SET hll-sparse-max-bytes {limit}");
        let set: Vec<&[u8]> = set.split(' ').map(str::as_bytes).collect();
        assert_eq!(mirror.redis.ask(&[set]), [Reply::Text(b"OK".to_vec())]);
        let random = &mut mirror.random;
        let mut commands: Vec<Words> =
            ["a", "b", "c", "d", "e", "f"].map(|key| line(&format!("DEL {key}"))).into();
        for _ in 0..600 {
            commands.push(pf_command(random));
            commands.push(line(&format!("GET {}", random.one_of(&["a", "b", "c", "d", "e", "f"]))));
        }
        let inspect =
            ["PFDEBUG GETREG a", "PFDEBUG TODENSE b", "GET b", "PFCOUNT b", "PFCOUNT c", "GET c"];
        commands.extend(inspect.map(line));
        mirror.same(&commands);
    }
}

/// What only a client can have written: registers of any value.
#[test]
fn estimates_of_any_registers() {
    let mut mirror = Mirror::start("hll-any");
    for round in 0..60 {
        let random = &mut mirror.random;
        let mut bytes = b"HYLL\0\0\0\0\0\0\0\0\0\0\0\x80".to_vec();
        // Alike in all registers, or noise up to some value.
        let most = 1 + random.below(63);
        let mut value = round;
        for _ in 0..4096 {
            let mut group = 0;
            for place in 0..4 {
                if round > 51 {
                    value = random.below(most);
                }
                group |= (value as u32) << (6 * place);
            }
            bytes.extend_from_slice(&group.to_le_bytes()[..3]);
        }
        let set = vec![b"SET".to_vec(), b"k".to_vec(), bytes];
        mirror.same(&[
            set,
            line("PFCOUNT k"),
            line("GET k"),
            line("PFCOUNT k k"),
            line("PFDEBUG GETREG k"),
        ]);
    }
}

/// A coordinate: anywhere, near an edge of the world, or near a few places.
fn coordinate(random: &mut Random, edge: f64) -> f64 {
    let unit = random.next() as f64 / u64::MAX as f64 * 2.0 - 1.0;
    match random.below(4) {
        0 => unit * edge,
        1 => edge * unit.signum() * (1.0 - unit.abs() / 1000.0),
        2 => unit * 0.01 + 10.0,
        _ => ((unit * 5.0).trunc() * edge / 5.5) + unit * 0.3,
    }
}

fn point(random: &mut Random) -> String {
    format!("{} {}", coordinate(random, 180.0), coordinate(random, 85.05112878))
}

fn metres(random: &mut Random) -> f64 {
    let digits = random.below(8) as i32;
    (random.below(100_000) as f64 / 1000.0) * 10f64.powi(digits - 2)
}

fn geo_command(random: &mut Random, members: u64) -> Words {
    let member = random.below(members);
    let centre = match random.below(2) {
        0 => format!("FROMLONLAT {}", point(random)),
        _ => format!("FROMMEMBER m{member}"),
    };
    let unit = random.one_of(&["m", "KM", "ft", "mi"]);
    let area = match random.below(2) {
        0 => format!("BYRADIUS {} {unit}", metres(random)),
        _ => format!("BYBOX {} {} {unit}", metres(random), metres(random)),
    };
    let order = random.one_of(&["", "", " ASC", " DESC"]);
    let count = match random.below(4) {
        0 => format!(" COUNT {}", 1 + random.below(20)),
        1 => format!(" COUNT {} ANY", 1 + random.below(20)),
        _ => String::new(),
    };
    let with =
        random.one_of(&["", " WITHDIST", " WITHCOORD WITHHASH", " WITHHASH WITHDIST WITHCOORD"]);
    match random.below(10) {
        0 => line(&format!("GEODIST g m{member} m{} {unit}", random.below(members))),
        1 => line(&format!("GEOPOS g m{member} m{} none", random.below(members))),
        2 => line(&format!("GEOHASH g m{member} m{} none", random.below(members))),
        3 => line(&format!(
            "GEOADD g{} {} m{member}",
            random.one_of(&["", " NX", " XX CH"]),
            point(random)
        )),
        4 => line(&format!(
            "GEORADIUS g {} {} {unit}{with}{order}{count}",
            point(random),
            metres(random)
        )),
        5 => line(&format!(
            "GEORADIUSBYMEMBER_RO g m{member} {} {unit}{order}{count}{with}",
            metres(random)
        )),
        6 => line(&format!(
            "GEOSEARCHSTORE s g {centre} {area}{count}{}",
            random.one_of(&["", " STOREDIST"])
        )),
        _ => line(&format!("GEOSEARCH g {centre} {area}{with}{order}{count}")),
    }
}

#[test]
fn places_to_the_last_digit_and_in_the_same_order() {
    let mut mirror = Mirror::start("geo");
    for members in [5, 100, 1000, 3000] {
        let random = &mut mirror.random;
        let mut commands = vec![line("DEL g")];
        for member in 0..members {
            commands.push(line(&format!("GEOADD g {} m{member}", point(random))));
        }
        for _ in 0..2000 {
            commands.push(geo_command(random, members));
        }
        commands.extend(["ZRANGE g 0 -1 WITHSCORES", "ZRANGE s 0 -1 WITHSCORES"].map(line));
        mirror.same(&commands);
    }
}

/// Scores that no place has: what ZADD can store.
#[test]
fn any_score_is_a_place() {
    let mut mirror = Mirror::start("geo-any");
    let mut commands = Vec::new();
    for at in 0..3000 {
        let random = &mut mirror.random;
        let score = match random.below(4) {
            0 => f64::from_bits(random.next()),
            1 => random.next() as f64,
            2 => -(random.below(1 << 60) as f64),
            _ => (random.next() >> 12) as f64,
        };
        if score.is_nan() {
            continue;
        }
        commands.push(line(&format!("ZADD z {score:e} m{at}")));
        commands.push(line(&format!("GEOPOS z m{at}")));
        commands.push(line(&format!("GEOHASH z m{at}")));
        commands.push(line(&format!("GEODIST z m{at} m0 km")));
    }
    mirror.same(&commands);
}
