//! The entries of the fuzzers, run over a corpus and over mutations of it.
//!
//! Each file of `tests/corpus` is run as it is, and then changed by chance, a few thousand times.
//! `EAVE_SEED=n cargo test --test fuzz` repeats a run; a failure prints its seed and, in hex, the
//! input that it failed on, which then belongs into the corpus. Left out on purpose: coverage;
//! the same entries serve a real fuzzer.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use eave::{resp, rest};

/// Mutations of each file.
const MUTATIONS: usize = 4000;

/// The longest input that is made.
const LONGEST: usize = 80 * 1024;

/// splitmix64.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn seeded() -> Random {
        let seed = std::env::var("EAVE_SEED").ok().map(|text| text.parse().expect("a number"));
        let seed = seed.unwrap_or_else(eave::clock::random);
        println!("EAVE_SEED={seed}");
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`, or 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// The files of a corpus, in the order of their names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    let files = fs::read_dir(&folder).expect("the corpus is committed");
    let mut paths: Vec<_> = files.map(|file| file.expect("it can be read").path()).collect();
    paths.sort();
    assert!(paths.len() > 20, "{} has only {} files", folder.display(), paths.len());
    paths.iter().map(|path| fs::read(path).expect("it can be read")).collect()
}

/// What parsers of these forms stumble over.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"*",
    b"$",
    b"*1\r\n",
    b"$0\r\n\r\n",
    b"$4\r\nPING\r\n",
    b"*0\r\n",
    b"-1",
    b"-",
    b"+",
    b"0",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551616",
    b"\"",
    b"'",
    b"\\",
    b"\\x00",
    b"\0",
    b"\xff",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b"\\ud800",
    b"%",
    b"%2F",
    b"&",
    b"=",
    b"/",
    b"null",
    b"1e999",
];

/// Changes `input` in a few places.
fn mutate(input: &[u8], corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let to = at + random.below((bytes.len() - at).min(64) + 1);
        match random.below(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..to)),
            2 => bytes.insert(at, random.next() as u8),
            3 => {
                let word = WORDS[random.below(WORDS.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            4 => {
                let again = bytes[at..to].repeat(random.below(20));
                bytes.splice(at..at, again);
            }
            5 => {
                let other = &corpus[random.below(corpus.len())];
                bytes.splice(at.., other[random.below(other.len())..].iter().copied());
            }
            _ => bytes[at..to].iter_mut().for_each(|byte| *byte ^= 1 << random.below(8)),
        }
        bytes.truncate(LONGEST);
    }
    bytes
}

/// Runs `entry` over a corpus and its mutations.
fn over(name: &str, mut entry: impl FnMut(&[u8], &mut Random)) {
    let mut random = Random::seeded();
    let corpus = corpus(name);
    let mut run = |input: &[u8], random: &mut Random| {
        let caught = catch_unwind(AssertUnwindSafe(|| entry(input, random)));
        assert!(caught.is_ok(), "failed on {}", hex(input));
    };
    for input in &corpus {
        run(input, &mut random);
    }
    for input in &corpus {
        // Large files are there for their size.
        let rounds = if input.len() > 4096 { MUTATIONS / 10 } else { MUTATIONS };
        for _ in 0..rounds {
            let mutated = mutate(input, &corpus, &mut random);
            run(&mutated, &mut random);
        }
    }
}

fn hex(input: &[u8]) -> String {
    input.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn requests_are_the_same_however_they_are_cut() {
    over("request", |input, random| {
        let longest = [1, 3, 20, 20_000][random.below(4)];
        // A byte at a time is for what is short.
        let longest = if input.len() > 8192 { 20_000 } else { longest };
        resp::fuzz::requests(input, || 1 + random.below(longest));
    });
}

#[test]
fn bodies_and_paths_are_arguments_or_refusals() {
    over("rest", |input, _| {
        rest::fuzz::parse_body(input);
        rest::fuzz::parse_path(&String::from_utf8_lossy(input));
    });
}
