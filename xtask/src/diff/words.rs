//! The vocabulary of templates: how each kind of argument is drawn.
//!
//! Drawn so that commands meet: few keys, few members, numbers mostly small, and now and
//! then a text that is empty, binary or longer than a threshold.
//!
//! Left out on purpose: wrong arguments, beyond what the words give by chance; `spoil`
//! makes those.

use super::random::Random;
use super::template::Arguments;

/// A word of the vocabulary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    pub(super) draw: Drawn,
}

/// Adds the arguments of a word.
type Drawn = fn(&mut Draw, &mut Arguments);

/// How many different things there are; small runs meet often, large ones grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// Keys of a type.
    pub(super) keys: usize,
    /// Fields, members and elements.
    pub(super) words: usize,
}

/// The letters that the keys of each type begin with. Those of HyperLogLogs are left out:
/// Redis notices much later than Eave that other commands have damaged one.
pub(super) const POOLS: [&str; 8] = ["s", "h", "l", "t", "z", "x", "g", "b"];

/// Where an epoch stands while its commands are drawn.
#[derive(Debug)]
pub(super) struct Draw {
    pub(super) random: Random,
    pub(super) scale: Scale,
    /// The letter of the type whose command is drawn.
    pub(super) pool: &'static str,
    /// The key drawn last, which `same` repeats.
    pub(super) last: Vec<u8>,
    /// The time of the streams, which goes forward.
    pub(super) tick: i64,
}

impl Draw {
    pub(super) fn new(seed: u64, scale: Scale, pool: &'static str) -> Self {
        Self { random: Random::new(seed), scale, pool, last: Vec::new(), tick: 1 }
    }

    /// How often something that may repeat does: mostly once or twice.
    pub(super) fn many(&mut self) -> usize {
        match self.random.below(100) {
            0..45 => 1,
            45..75 => 2,
            75..96 => 3 + self.random.below(3),
            _ => 6 + self.random.below(30),
        }
    }

    fn key(&mut self) -> Vec<u8> {
        let name = match self.random.below(200) {
            0 => b"missing".to_vec(),
            1 => b"\x00\xff key\r\n".to_vec(),
            2..10 => {
                let pool = self.random.pick(&POOLS);
                format!("{pool}{}", self.random.below(2)).into_bytes()
            }
            _ => format!("{}{}", self.pool, self.random.below(self.scale.keys)).into_bytes(),
        };
        self.last.clone_from(&name);
        name
    }
}

/// Every word of the templates.
const WORDS: &[(&str, Drawn)] = &[
    ("key", |draw, out| {
        let key = draw.key();
        out.push(key);
    }),
    ("ykey", |draw, out| {
        draw.last = format!("y{}", draw.random.below(3)).into_bytes();
        out.push(draw.last.clone());
    }),
    // Redis makes a sorted set large when it is sorted, and a large one can hold -0.
    ("sortkey", |draw, out| {
        let pool = draw.random.pick(&["l", "l", "t", "s"]);
        out.push(format!("{pool}{}", draw.random.below(draw.scale.keys)).into_bytes());
    }),
    ("same", |draw, out| out.push(draw.last.clone())),
    ("keys", |draw, out| {
        for _ in 0..draw.many().min(6) {
            let key = draw.key();
            out.push(key);
        }
    }),
    ("nkeys", |draw, out| {
        let count = draw.many().min(6);
        let said = if draw.random.chance(3) { draw.random.between(-1, 4) } else { count as i64 };
        out.push(said.to_string().into_bytes());
        for _ in 0..count {
            let key = draw.key();
            out.push(key);
        }
    }),
    // Keys with as many weights or ids behind them, which a template cannot count.
    ("nkeysweights", |draw, out| {
        let count = draw.many().min(6);
        out.push(count.to_string().into_bytes());
        for _ in 0..count {
            let key = draw.key();
            out.push(key);
        }
        if draw.random.chance(50) {
            out.push(b"WEIGHTS".to_vec());
            for _ in 0..count {
                let weight = score(&mut draw.random);
                out.push(weight);
            }
        }
    }),
    // Scripts that call what follows them.
    ("luacall", |draw, out| {
        let script = draw.random.pick(&[
            "return redis.call(unpack(ARGV))",
            "return redis.pcall(unpack(ARGV))",
            "local reply = redis.call(unpack(ARGV)) return {reply, KEYS}",
            "return {pcall(redis.call, unpack(ARGV))}",
            "local reply = redis.pcall(unpack(ARGV)) return type(reply)",
            "#!lua flags=allow-oom\nreturn redis.call(unpack(ARGV))",
            "redis.call(unpack(ARGV))\nreturn redis.call(unpack(ARGV))",
        ]);
        out.push(script.as_bytes().to_vec());
    }),
    // Scripts of several calls.
    ("luamany", |draw, out| {
        let script = draw.random.pick(&[
            "redis.call('del', KEYS[1], KEYS[2]) redis.call('set', KEYS[1], ARGV[1]) \
             redis.call('rpush', KEYS[2] .. 'l', ARGV[2]) return redis.call('get', KEYS[1])",
            "local n = redis.pcall('incr', KEYS[1]) \
             if type(n) == 'table' then redis.call('del', KEYS[1]) return n.err end \
             redis.call('hset', KEYS[2] .. 'h', n, ARGV[1]) return redis.call('hget', KEYS[2] .. 'h', n)",
            "for i = 1, 10 do redis.call('set', KEYS[1] .. i, ARGV[1] .. i) end \
             return redis.call('mget', KEYS[1] .. 1, KEYS[1] .. 10)",
            "redis.call('set', KEYS[1], ARGV[1]) redis.call('lpush', KEYS[1], ARGV[2])",
        ]);
        out.push(script.as_bytes().to_vec());
    }),
    ("streams", |draw, out| streams(draw, out, false)),
    ("gstreams", |draw, out| streams(draw, out, true)),
    ("field", |draw, out| {
        let text = word(draw);
        out.push(text);
    }),
    ("member", |draw, out| {
        let text = word(draw);
        out.push(text);
    }),
    ("value", |draw, out| {
        let text = value(draw);
        out.push(text);
    }),
    ("short", |draw, out| {
        let length = draw.random.below(12);
        out.push((0..length).map(|_| *draw.random.pick(b"abcab")).collect());
    }),
    ("int", |draw, out| number(draw, out, -10, 10)),
    ("index", |draw, out| {
        let reach = if draw.random.chance(80) { 6 } else { 60 };
        number(draw, out, -reach, reach);
    }),
    ("count", |draw, out| number(draw, out, 0, 6)),
    ("limit", |draw, out| number(draw, out, -1, 12)),
    ("big", |draw, out| {
        let text = match draw.random.below(20) {
            0 => draw.random.pick(&["9223372036854775807", "-9223372036854775808"]).to_string(),
            1 => draw.random.pick(&["9223372036854775800", "-9223372036854775800"]).to_string(),
            2 => draw.random.pick(&["1099511627776", "-2147483648", "-2147483649"]).to_string(),
            _ => draw.random.between(-100, 100).to_string(),
        };
        out.push(text.into_bytes());
    }),
    ("float", |draw, out| {
        let text = float(&mut draw.random);
        out.push(text);
    }),
    ("score", |draw, out| {
        let text = score(&mut draw.random);
        out.push(text);
    }),
    ("bound", |draw, out| {
        let mut text = if draw.random.chance(30) { b"(".to_vec() } else { Vec::new() };
        text.extend(score(&mut draw.random));
        out.push(text);
    }),
    ("lexbound", |draw, out| {
        let text = match draw.random.below(20) {
            0..4 => b"-".to_vec(),
            4..8 => b"+".to_vec(),
            8 => word(draw),
            other => {
                let mut text = if other % 2 == 0 { b"[".to_vec() } else { b"(".to_vec() };
                text.extend(word(draw));
                text
            }
        };
        out.push(text);
    }),
    ("seconds", |draw, out| number(draw, out, 100_000, 1_000_000_000)),
    ("ms", |draw, out| number(draw, out, 100_000_000, 1_000_000_000_000)),
    // Far ahead, and the same in every run.
    ("at", |draw, out| number(draw, out, 4_000_000_000, 4_000_000_020)),
    ("atms", |draw, out| number(draw, out, 4_000_000_000_000, 4_000_000_000_020)),
    ("past", |draw, out| {
        let text = draw.random.pick(&["0", "-1", "-1000", "-9223372036854775"]).to_string();
        out.push(text.into_bytes());
    }),
    ("pattern", |draw, out| {
        let own = format!("{}*", draw.pool);
        let patterns = [
            "*",
            "*",
            own.as_str(),
            "?",
            "[a-f]*",
            "*1*",
            "[^a]*",
            "h?",
            "",
            "w*",
            "\\*",
            "*[0-9]",
        ];
        let text = draw.random.pick(&patterns).to_string();
        out.push(text.into_bytes());
    }),
    ("typename", |draw, out| {
        let types = ["string", "hash", "list", "set", "zset", "stream", "STRING", "nonsuch"];
        let text = draw.random.pick(&types).to_string();
        out.push(text.into_bytes());
    }),
    // Offsets of bytes and bits: never so large that a server reserves much.
    ("byteoffset", |draw, out| {
        let reach = if draw.random.chance(97) { 60 } else { 5000 };
        number(draw, out, 0, reach);
    }),
    ("bitoffset", |draw, out| {
        let reach = if draw.random.chance(97) { 200 } else { 40_000 };
        number(draw, out, 0, reach);
    }),
    ("bit", |draw, out| number(draw, out, 0, 1)),
    ("bittype", |draw, out| {
        let sign = draw.random.pick(&["u", "i"]);
        let width = match draw.random.below(10) {
            0 => draw.random.between(0, 66),
            1 => *draw.random.pick(&[1, 63, 64]),
            _ => draw.random.between(2, 20),
        };
        out.push(format!("{sign}{width}").into_bytes());
    }),
    ("bitplace", |draw, out| {
        let mark = draw.random.pick(&["", "", "#"]);
        let place = draw.random.between(0, 40);
        out.push(format!("{mark}{place}").into_bytes());
    }),
    ("id", |draw, out| {
        let id = new_id(draw);
        out.push(id);
    }),
    ("oldid", |draw, out| {
        let id = old_id(draw);
        out.push(id);
    }),
    ("rangeid", |draw, out| {
        let id = match draw.random.below(10) {
            0..2 => b"-".to_vec(),
            2..4 => b"+".to_vec(),
            4 => {
                let mut id = b"(".to_vec();
                id.extend(old_id(draw));
                id
            }
            _ => old_id(draw),
        };
        out.push(id);
    }),
    ("group", |draw, out| {
        let name = format!("group{}", draw.random.below(3));
        out.push(name.into_bytes());
    }),
    ("consumer", |draw, out| {
        let name = format!("consumer{}", draw.random.below(3));
        out.push(name.into_bytes());
    }),
    ("longitude", |draw, out| {
        let text = place(draw, 180);
        out.push(text);
    }),
    ("latitude", |draw, out| {
        let text = place(draw, 85);
        out.push(text);
    }),
    ("distance", |draw, out| {
        let text = match draw.random.below(6) {
            0 => "0".to_owned(),
            1 => draw.random.between(0, 20_000_000).to_string(),
            _ => format!("{}.{}", draw.random.between(0, 3000), draw.random.below(100)),
        };
        out.push(text.into_bytes());
    }),
    ("unit", |draw, out| {
        let text = draw.random.pick(&["m", "km", "km", "ft", "mi", "KM"]).to_string();
        out.push(text.into_bytes());
    }),
];

/// The word of a name.
pub(super) fn named(name: &str) -> Option<Word> {
    let (_, draw) = WORDS.iter().find(|(known, _)| *known == name)?;
    Some(Word { draw: *draw })
}

fn number(draw: &mut Draw, out: &mut Arguments, first: i64, last: i64) {
    out.push(draw.random.between(first, last).to_string().into_bytes());
}

/// A field, member or element: one of as many as the scale says.
fn word(draw: &mut Draw) -> Vec<u8> {
    let chosen = draw.random.below(draw.scale.words);
    match chosen {
        1 => Vec::new(),
        3 => b"n\x00\xff\r\n".to_vec(),
        5 => vec![b'x'; 40],
        7 => vec![b'y'; 70],
        9 => b"-1".to_vec(),
        11 => b"01".to_vec(),
        13 => b"9223372036854775807".to_vec(),
        15 => b"70000".to_vec(),
        17 => b"-5000000000".to_vec(),
        19 => vec![b'z'; 300],
        n if n % 2 == 0 => (n / 2).to_string().into_bytes(),
        n => format!("w{n}").into_bytes(),
    }
}

fn value(draw: &mut Draw) -> Vec<u8> {
    match draw.random.below(40) {
        0..12 => draw.random.between(-20, 20).to_string().into_bytes(),
        12 => draw.random.between(-100_000, 100_000).to_string().into_bytes(),
        13 => draw.random.pick(&EDGES).as_bytes().to_vec(),
        14..17 => float(&mut draw.random),
        17 => Vec::new(),
        18 => vec![b'v'; 44 + draw.random.below(2)],
        19 => vec![b'v'; 20 + draw.random.below(60)],
        20 => b"b\x00\xff\xfe\r\n".to_vec(),
        21 if draw.random.chance(5) => vec![b'L'; 3000 + draw.random.below(6000)],
        // Texts that differ only behind a zero byte are the same to SORT, so they begin apart.
        22 => {
            let mut text = format!("r{}", draw.random.below(1_000_000)).into_bytes();
            text.extend((0..12).map(|_| draw.random.below(256).to_le_bytes()[0]));
            text
        }
        _ => word(draw),
    }
}

/// Numbers at the borders of what an integer encoding holds.
const EDGES: [&str; 16] = [
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "127",
    "128",
    "-128",
    "-129",
    "4095",
    "4096",
    "-4097",
    "32768",
    "-32769",
    "8388608",
    "-2147483648",
    "-2147483649",
    "10000",
];

fn float(random: &mut Random) -> Vec<u8> {
    let text = match random.below(24) {
        0 => "0.1".to_owned(),
        1 => "3.0e3".to_owned(),
        2 => "1e-5".to_owned(),
        3 => "-1.25".to_owned(),
        4 => "0".to_owned(),
        5 => "1e17".to_owned(),
        6 => "5.0".to_owned(),
        7 => "1.7976931348623157e308".to_owned(),
        8 => ".5".to_owned(),
        9 => "5.".to_owned(),
        10 => "-0".to_owned(),
        11 => "123456789.123456789".to_owned(),
        _ => format!("{}.{}", random.between(-20, 20), random.below(100)),
    };
    text.into_bytes()
}

fn score(random: &mut Random) -> Vec<u8> {
    let text = match random.below(40) {
        0 => "inf".to_owned(),
        1 => "-inf".to_owned(),
        2 => "+inf".to_owned(),
        3 => "1e17".to_owned(),
        4 => "9007199254740993".to_owned(),
        5 => "0.1".to_owned(),
        6 => "-0".to_owned(),
        7 => "3.14159265358979".to_owned(),
        8 => "1.7e308".to_owned(),
        // Nothing below the normal numbers: what C says of those, SORT takes for an error.
        9 => "1e-300".to_owned(),
        10 => "0x1p3".to_owned(),
        11..20 => format!("{}.5", random.between(-10, 10)),
        _ => random.between(-10, 10).to_string(),
    };
    text.into_bytes()
}

/// Mostly later than every id before it.
fn new_id(draw: &mut Draw) -> Vec<u8> {
    draw.tick += draw.random.between(0, 2);
    let (tick, low) = (draw.tick, draw.random.below(5));
    let text = match draw.random.below(40) {
        0 => "0-0".to_owned(),
        1 => "0-1".to_owned(),
        // Nothing can be added behind it.
        2 if draw.random.chance(10) => "18446744073709551615-18446744073709551615".to_owned(),
        3 => "5".to_owned(),
        4 => draw.random.between(0, tick).to_string(),
        5..14 => format!("{tick}-*"),
        14..18 => tick.to_string(),
        _ => format!("{tick}-{low}"),
    };
    text.into_bytes()
}

/// Mostly one that a stream may have.
fn old_id(draw: &mut Draw) -> Vec<u8> {
    let back = match draw.random.below(3) {
        0 => draw.random.between(0, 5),
        1 => draw.random.between(0, 50),
        _ => draw.random.between(-3, 1000),
    };
    let (time, low) = ((draw.tick - back).max(0), draw.random.below(5));
    let text = match draw.random.below(20) {
        0 => "0".to_owned(),
        1 => "18446744073709551615".to_owned(),
        2 => "0-0".to_owned(),
        3 => "18446744073709551615-18446744073709551615".to_owned(),
        4..8 => time.to_string(),
        _ => format!("{time}-{low}"),
    };
    text.into_bytes()
}

/// `STREAMS key... id...`, with as many of each.
fn streams(draw: &mut Draw, out: &mut Arguments, group: bool) {
    out.push(b"STREAMS".to_vec());
    let count = 1 + draw.random.below(3);
    for _ in 0..count {
        let key = draw.key();
        out.push(key);
    }
    for _ in 0..count {
        let id = match draw.random.below(4) {
            0..2 if group => b">".to_vec(),
            0 => b"$".to_vec(),
            1 => b"0".to_vec(),
            _ => old_id(draw),
        };
        out.push(id);
    }
}

/// A coordinate; half of them close together, so that searches find several.
fn place(draw: &mut Draw, reach: i64) -> Vec<u8> {
    let whole = match draw.random.below(20) {
        0 => *draw.random.pick(&[-reach, reach, reach + 1, 0]),
        1..10 => draw.random.between(-reach, reach),
        _ => draw.random.between(10, 16),
    };
    format!("{whole}.{}", draw.random.below(1_000_000)).into_bytes()
}
