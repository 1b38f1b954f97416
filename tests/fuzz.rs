//! The fuzz entries of the parsers that face clients, run over the files of `tests/corpus` and
//! over mutations of them.
//!
//! A failure names its seed; `EAVE_SEED=n cargo test --test fuzz` runs that one alone.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use eave::{resp, rest};

/// Mutations of each file.
const SEEDS: u64 = 300;

fn corpus(folder: &str) -> Vec<(String, Vec<u8>)> {
    let path = format!("{}/tests/corpus/{folder}", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{path} is empty");
    files
}

/// A generator that gives the same numbers for the same seed (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let wide = u128::from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)) * bound as u128;
        usize::try_from(wide >> 64).unwrap()
    }

    /// Changes, inserts, removes or repeats a few bytes.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let byte = [b'*', b'$', b'\r', b'\n', b'"', b'[', b'0', b'9', 0, 0xff][self.below(10)];
            match self.below(4) {
                0 if at < bytes.len() => bytes[at] = byte,
                1 if at < bytes.len() => bytes.truncate(at),
                2 => {
                    let end = (at + self.below(64)).min(bytes.len());
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                _ => bytes.insert(at, byte),
            }
        }
    }
}

fn run(folder: &str, entry: impl Fn(&[u8], usize)) {
    let only = std::env::var("EAVE_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let seeds = only.map_or(0..SEEDS, |seed| seed..seed + 1);
    for (name, original) in corpus(folder) {
        for seed in seeds.clone() {
            let mut random = Random(seed.wrapping_mul(2) + 1);
            let mut bytes = original.clone();
            // Seed 0 is the file as it is.
            if seed > 0 {
                random.mutate(&mut bytes);
            }
            let piece = 1 + random.below(40);
            let ran = catch_unwind(AssertUnwindSafe(|| entry(&bytes, piece)));
            assert!(ran.is_ok(), "{name}, EAVE_SEED={seed}: {}", bytes.escape_ascii());
        }
    }
}

#[test]
fn requests() {
    run("request", resp::fuzz::decode_any);
}

#[test]
fn rest_bodies_and_paths() {
    run("rest", |bytes, _| {
        rest::fuzz::parse_body(bytes);
        if let Ok(text) = std::str::from_utf8(bytes) {
            rest::fuzz::parse_path(text);
        }
    });
}
