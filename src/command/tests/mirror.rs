//! Random commands, answered in the same words by a real redis-server.

mod bits;
mod hyperloglogs;
mod places;

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
            Err(Fault::Contended | Fault::Wait(_) | Fault::Elsewhere) => {
                panic!("nobody else is here")
            }
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
