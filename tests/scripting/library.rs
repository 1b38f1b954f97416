//! cjson, cmsgpack, struct and bit against those of redis-server: the same expressions, made at
//! random, go to both.

use crate::support::server::Program;
use crate::{call, connect, start};

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "127",
    "128",
    "255",
    "256",
    "-32",
    "-33",
    "-128",
    "-129",
    "32767",
    "32768",
    "-32769",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "9007199254740992",
    "1e15",
    "1e20",
    "-1e20",
    "0.1",
    "1/3",
    "1.5",
    "-2.25",
    "1e-7",
    "1e300",
    "123456789.123",
    "-0.5",
    "3.4e38",
];

const TEXTS: &[&str] = &[
    "''",
    "'a'",
    "'text'",
    "'a/b'",
    "'\"q\"'",
    "'\\\\'",
    "'\\n\\r\\t\\b\\f'",
    "'\\0'",
    "'\\127'",
    "'\\1\\31'",
    "'\\195\\169'",
    "'\\255\\254'",
    "string.rep('x', 31)",
    "string.rep('x', 32)",
    "string.rep('y', 255)",
    "string.rep('y', 256)",
    "string.rep('z', 70000)",
];

const JSON: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1.5",
    "1e3",
    "-1E-3",
    "0x1F",
    "nan",
    "-Infinity",
    "inf",
    "\"\"",
    "\"a\"",
    "\"\\u00e9\"",
    "\"\\ud83d\\ude00\"",
    "\"\\n\\t\\\\\\/\\\"\"",
    "\"\\ud83d\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"open",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "tru",
    "01",
    "1.",
    ".5",
    "+1",
    "--1",
    " ",
    "\t",
    "{}",
    "[]",
    "x",
];

/// A Lua value, as text.
fn value(random: &mut Random, depth: usize) -> String {
    match random.below(if depth == 0 { 4 } else { 7 }) {
        0 | 1 => random.one(NUMBERS).to_owned(),
        2 => random.one(TEXTS).to_owned(),
        3 => random.one(&["true", "false", "cjson.null"]).to_owned(),
        4 | 5 => {
            let items: Vec<String> =
                (0..random.below(5)).map(|_| value(random, depth - 1)).collect();
            format!("{{{}}}", items.join(", "))
        }
        // One pair: the order of several is the table's own.
        _ => {
            let key = match random.below(3) {
                0 => random.one(&["1", "2", "11", "1.5", "-1"]).to_owned(),
                1 => random.one(TEXTS).to_owned(),
                _ => "'key'".to_owned(),
            };
            format!("{{[{key}] = {}}}", value(random, depth - 1))
        }
    }
}

/// A text that is JSON, or nearly so.
fn json(random: &mut Random, depth: usize) -> String {
    match random.below(if depth == 0 { 3 } else { 8 }) {
        0..3 => random.one(JSON).to_owned(),
        3 | 4 => {
            let items: Vec<String> =
                (0..random.below(4)).map(|_| json(random, depth - 1)).collect();
            format!("[{}]", items.join(random.one(&[",", ", ", " ,"])))
        }
        5 | 6 => format!("{{\"k\":{}}}", json(random, depth - 1)),
        _ => format!("{}{}", json(random, depth - 1), random.one(JSON)),
    }
}

const LAYOUTS: &[&str] = &[
    "b", "B", "h", "H", "l", "L", "T", "i", "I", "i1", "i2", "i3", "i8", "I7", "f", "d", "x", "s",
    "c", "c3", "<", ">", "!", "!4", " ",
];

fn script(random: &mut Random) -> (String, Vec<u8>) {
    let none = Vec::new();
    match random.below(6) {
        0 => (format!("return cjson.encode({})", value(random, 3)), none),
        1 => {
            let text = json(random, 3);
            ("return cjson.encode(cjson.decode(ARGV[1]))".to_owned(), text.into_bytes())
        }
        2 => (format!("return cmsgpack.pack({})", value(random, 3)), none),
        3 => {
            let bytes = (0..random.below(12)).map(|_| random.below(256) as u8).collect();
            ("return cjson.encode({cmsgpack.unpack(ARGV[1])})".to_owned(), bytes)
        }
        4 => {
            let layout: String = (0..random.below(4)).map(|_| random.one(LAYOUTS)).collect();
            let whole = &NUMBERS[..18];
            let values: Vec<&str> = (0..4).map(|_| random.one(whole)).collect();
            (format!("return struct.pack('{layout}', {})", values.join(", ")), none)
        }
        _ => {
            let layout: String = (0..random.below(4)).map(|_| random.one(LAYOUTS)).collect();
            let bytes = (0..random.below(24)).map(|_| random.below(256) as u8).collect();
            // As text of 14 digits, like numbers that are answered.
            let code = format!(
                "local r = {{struct.unpack('{layout}', ARGV[1])}} \
                 for i = 1, #r do r[i] = tostring(r[i]) end return r"
            );
            (code, bytes)
        }
    }
}

#[test]
fn libraries_answer_what_those_of_redis_answer() {
    let (ours, theirs) = (start(Program::Eave, ""), start(Program::Redis, ""));
    let (mut ours, mut theirs) = (connect(&ours), connect(&theirs));
    let seed = std::env::var("EAVE_SEED").ok().and_then(|text| text.parse().ok());
    let mut random = Random(seed.unwrap_or(2026));
    let (mut wrong, mut failed) = (Vec::new(), 0);
    for _ in 0..6000 {
        let (code, data) = script(&mut random);
        let args: [&[u8]; 4] = [b"EVAL", code.as_bytes(), b"0", &data];
        let answers = [&mut ours, &mut theirs].map(|client| client.call(&args).expect("an answer"));
        failed += usize::from(matches!(answers[1], crate::support::reply::Reply::Error(_)));
        if answers[0] != answers[1] {
            wrong
                .push(format!("{code} {data:?}\n  ours   {}\n  theirs {}", answers[0], answers[1]));
        }
    }
    assert!(failed > 500, "sometimes something fails: {failed}");
    let shown: Vec<String> =
        wrong.iter().take(12).map(|text| text.chars().take(600).collect()).collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), shown.join("\n"));
    let info = call(&mut ours, &["PING"]);
    assert_eq!(info.to_string(), "PONG");
}
