//! Floating point and LCS, held against a redis-server byte for byte.

mod oracle;

use eave::value::lcs;
use eave::value::long_double::LongDouble;
use eave::value::number::{format_double, parse_double};
use oracle::{Oracle, Reply};

/// Change it to try other numbers; a failure prints the inputs.
const SEED: u64 = 2026;

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn digits(&mut self, most: u64) -> String {
        (0..=self.below(most)).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }

    fn sign(&mut self) -> &'static str {
        ["", "", "-", "+"][self.below(4) as usize]
    }

    /// A number of any size that a long double can have, and some that it cannot.
    fn number(&mut self) -> String {
        let sign = self.sign();
        let body = match self.below(12) {
            0 => self.digits(3),
            1 => self.digits(25),
            2 => format!("{}.{}", self.digits(4), self.digits(2)),
            3 => format!("{}.{}", self.digits(18), self.digits(25)),
            4 => format!("0.{}{}", "0".repeat(self.below(25) as usize), self.digits(25)),
            5 => format!("{}.{}e{}", self.digits(2), self.digits(20), self.below(20)),
            6 => format!("{}e-{}", self.digits(20), self.below(40)),
            7 => format!("{}E{}{}", self.digits(3), self.sign(), self.below(5000)),
            8 => format!("{}e-{}", self.digits(20), 4900 + self.below(100)),
            9 => format!("0x{:x}.{:x}p{}{}", self.next(), self.next(), self.sign(), self.below(80)),
            10 => format!("0x{:x}P{}{}", self.next() >> 40, self.sign(), self.below(16500)),
            _ => self.odd(),
        };
        format!("{sign}{body}")
    }

    /// What a parser may get wrong.
    fn odd(&mut self) -> String {
        match self.below(8) {
            0 => ["inf", "infinity", "INF", "nan", "nan(1)", "infinit"][self.below(6) as usize]
                .into(),
            1 => format!("{}.", self.digits(5)),
            2 => format!(".{}", self.digits(5)),
            3 => "0".repeat(self.below(6000) as usize) + &self.digits(4),
            4 => format!("{}{}", self.digits(800), self.digits(4000)),
            5 => format!("0.{}{}", "0".repeat(self.below(4960) as usize), self.digits(60)),
            6 => ["0x", "0x.", "0x1p", "1e", "1e+", ".", "", " 1", "1 ", "--1", "0x1.8", "0X.F"]
                [self.below(12) as usize]
                .into(),
            // Half way between two neighbours of 64 bits, and a little more.
            _ => {
                let odd = u128::from(self.next() | 1 << 63) * 2 + 1;
                format!("{odd}{}", ["", ".0", ".00000000000000000001"][self.below(3) as usize])
            }
        }
    }
}

/// What Eave answers to SET a, INCRBYFLOAT b.
fn sum(a: &str, b: &str) -> Reply {
    let (Some(a), Some(b)) = (LongDouble::parse(a.as_bytes()), LongDouble::parse(b.as_bytes()))
    else {
        return Reply::Error("ERR value is not a valid float".into());
    };
    let sum = a + b;
    if sum.is_finite() {
        Reply::Text(sum.to_string().into())
    } else {
        Reply::Error("ERR increment would produce NaN or Infinity".into())
    }
}

#[test]
fn incrbyfloat_to_the_last_digit() {
    let Some(mut redis) = Oracle::start("float") else { return };
    let mut random = Random(SEED);
    for _ in 0..100 {
        let pairs: Vec<_> = (0..100).map(|_| (random.number(), random.number())).collect();
        let mut commands = Vec::new();
        for (a, b) in &pairs {
            commands.push(vec![&b"SET"[..], b"k", a.as_bytes()]);
            commands.push(vec![&b"INCRBYFLOAT"[..], b"k", b.as_bytes()]);
        }
        let replies = redis.ask(&commands);
        for ((a, b), reply) in pairs.iter().zip(replies.iter().skip(1).step_by(2)) {
            assert_eq!(sum(a, b), *reply, "{a} + {b}, seed {SEED}");
        }
    }
}

#[test]
fn doubles_to_the_last_digit() {
    let Some(mut redis) = Oracle::start("double") else { return };
    // Long members keep the sorted set from storing scores as text.
    let member = [b'm'; 100];
    let mut random = Random(SEED);
    for _ in 0..50 {
        let texts: Vec<String> = (0..100)
            .map(|_| match random.below(3) {
                0 => f64::from_bits(random.next()).to_string(),
                1 => format!("{}e-{}", random.next() >> random.below(64), random.below(30)),
                _ => random.number(),
            })
            // Longer ones are cut off by neither side, but a score has no need of them.
            .filter(|text| text.len() < 1000)
            .collect();
        let mut commands = Vec::new();
        for text in &texts {
            commands.push(vec![&b"DEL"[..], b"z"]);
            commands.push(vec![&b"ZADD"[..], b"z", text.as_bytes(), &member]);
            commands.push(vec![&b"ZSCORE"[..], b"z", &member]);
        }
        let replies = redis.ask(&commands);
        for (text, reply) in texts.iter().zip(replies.iter().skip(2).step_by(3)) {
            let ours = match parse_double(text.as_bytes()) {
                Some(value) => Reply::Text(format_double(value).into()),
                None => Reply::Null,
            };
            assert_eq!(ours, *reply, "{text}, seed {SEED}");
        }
    }
}

fn range((first, last): (usize, usize)) -> Reply {
    Reply::Array(vec![Reply::Integer(first as i64), Reply::Integer(last as i64)])
}

#[test]
fn lcs_finds_the_same_one() {
    let Some(mut redis) = Oracle::start("lcs") else { return };
    let mut random = Random(SEED);
    for _ in 0..400 {
        let letters = 1 + random.below(5);
        let mut text = || -> Vec<u8> {
            (0..random.below(150)).map(|_| b'a' + random.below(letters) as u8).collect()
        };
        let (a, b) = (text(), text());
        let replies = redis.ask(&[
            vec![b"MSET", b"a", &a, b"b", &b],
            vec![b"LCS", b"a", b"b"],
            vec![b"LCS", b"a", b"b", b"LEN"],
            vec![b"LCS", b"a", b"b", b"IDX", b"WITHMATCHLEN"],
        ]);
        let sequence = lcs::sequence(&a, &b, u64::MAX).expect("no limit");
        let length = lcs::length(&a, &b, u64::MAX).expect("no limit");
        let (found, total) = lcs::matches(&a, &b, u64::MAX).expect("no limit");
        let runs = found
            .iter()
            .map(|run| {
                Reply::Array(vec![range(run.a), range(run.b), Reply::Integer(run.len as i64)])
            })
            .collect();
        let index = Reply::Array(vec![
            Reply::Text(b"matches".to_vec()),
            Reply::Array(runs),
            Reply::Text(b"len".to_vec()),
            Reply::Integer(total as i64),
        ]);
        assert_eq!(Reply::Text(sequence), replies[1], "{a:?} {b:?}");
        assert_eq!(Reply::Integer(length as i64), replies[2], "{a:?} {b:?}");
        assert_eq!(index, replies[3], "{a:?} {b:?}");
    }
}
