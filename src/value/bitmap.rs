//! Bits of a string, numbered from the top bit of its first byte.
//!
//! Counting and searching take eight bytes at a time. Left out on purpose: bits beyond the end
//! of a string, which are 0; what that means for each command is the command's to say.

use std::ops::RangeInclusive;

/// The bit at `offset`; 0 beyond the end.
pub fn get(bytes: &[u8], offset: u64) -> bool {
    let byte = usize::try_from(offset / 8).ok().and_then(|at| bytes.get(at));
    byte.is_some_and(|byte| byte & mask(offset) != 0)
}

/// Makes the bit at `offset`, which lies within `bytes`, `bit`; answers what it was.
pub fn set(bytes: &mut [u8], offset: u64, bit: bool) -> bool {
    let byte = &mut bytes[(offset / 8) as usize];
    let was = *byte & mask(offset) != 0;
    if bit {
        *byte |= mask(offset);
    } else {
        *byte &= !mask(offset);
    }
    was
}

fn mask(offset: u64) -> u8 {
    0x80 >> (offset % 8)
}

/// How many bits are 1.
pub fn count(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words: u64 = words.iter().map(|w| u64::from(u64::from_ne_bytes(*w).count_ones())).sum();
    words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// How many bits of a range, which lies within `bytes`, are 1.
pub fn count_range(bytes: &[u8], range: RangeInclusive<u64>) -> u64 {
    let (first, last) = range.into_inner();
    if first > last {
        return 0;
    }
    let bytes = &bytes[(first / 8) as usize..=(last / 8) as usize];
    let (Some(front), Some(back)) = (bytes.first(), bytes.last()) else { return 0 };
    // What the bytes at both ends have outside of the range.
    let before = front & !(0xff >> (first % 8));
    let behind = back & (0x7f >> (last % 8));
    count(bytes) - u64::from(before.count_ones() + behind.count_ones())
}

/// The first bit of a range, which lies within `bytes`, that is `bit`.
pub fn find(bytes: &[u8], bit: bool, range: RangeInclusive<u64>) -> Option<u64> {
    let (first, last) = range.into_inner();
    if first > last {
        return None;
    }
    let (from, to) = ((first / 8) as usize, (last / 8) as usize);
    // With the bits that are looked for as 1.
    let flip = if bit { 0 } else { u8::MAX };
    let front = (bytes[from] ^ flip) & (0xff >> (first % 8));
    let found = if front != 0 {
        Some(from as u64 * 8 + u64::from(front.leading_zeros()))
    } else {
        let start = from + 1;
        find_one(&bytes[start..=to], flip).map(|at| start as u64 * 8 + at)
    };
    found.filter(|at| *at <= last)
}

/// The first bit that is 1 once each byte is flipped with `flip`.
fn find_one(bytes: &[u8], flip: u8) -> Option<u64> {
    let (words, rest) = bytes.as_chunks::<8>();
    let flip_word = u64::from_ne_bytes([flip; 8]);
    if let Some(at) = words.iter().position(|word| u64::from_ne_bytes(*word) != flip_word) {
        let word = u64::from_be_bytes(words[at]) ^ flip_word;
        return Some(at as u64 * 64 + u64::from(word.leading_zeros()));
    }
    let at = rest.iter().position(|byte| *byte != flip)?;
    let bits = u64::from((rest[at] ^ flip).leading_zeros());
    Some((words.len() * 8 + at) as u64 * 8 + bits)
}

/// What BITOP makes of strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Bits of all.
    And,
    /// Bits of any.
    Or,
    /// Bits of an odd number of them.
    Xor,
    /// What the first has not.
    Not,
    /// Bits of the first that no other has.
    Diff,
    /// Bits of any other that the first has not.
    Diff1,
    /// Bits of the first that another has too.
    AndOr,
    /// Bits of exactly one.
    One,
}

impl Operation {
    /// The operation that a word names, in any case.
    pub fn named(word: &[u8]) -> Option<Operation> {
        [
            ("AND", Operation::And),
            ("OR", Operation::Or),
            ("XOR", Operation::Xor),
            ("NOT", Operation::Not),
            ("DIFF", Operation::Diff),
            ("DIFF1", Operation::Diff1),
            ("ANDOR", Operation::AndOr),
            ("ONE", Operation::One),
        ]
        .into_iter()
        .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word))
        .map(|(_, operation)| operation)
    }

    /// The result for `sources`, as long as the longest of them; shorter ones end in zeros.
    pub fn combine<S: AsRef<[u8]>>(self, sources: &[S]) -> Vec<u8> {
        let length = sources.iter().map(|source| source.as_ref().len()).max().unwrap_or(0);
        let Some((first, others)) = sources.split_first() else { return Vec::new() };
        match self {
            Operation::And => {
                let mut result = padded(first, length);
                others.iter().for_each(|source| intersect(&mut result, source.as_ref()));
                result
            }
            Operation::Or => union(sources, length),
            Operation::Xor => {
                let mut result = padded(first, length);
                others.iter().for_each(|source| {
                    pairs(&mut result, source).for_each(|(result, byte)| *result ^= byte);
                });
                result
            }
            Operation::Not => first.as_ref().iter().map(|byte| !byte).collect(),
            Operation::Diff => {
                let mut result = padded(first, length);
                others.iter().for_each(|source| subtract(&mut result, source.as_ref()));
                result
            }
            Operation::Diff1 => {
                let mut result = union(others, length);
                subtract(&mut result, first.as_ref());
                result
            }
            Operation::AndOr => {
                let mut result = union(others, length);
                intersect(&mut result, first.as_ref());
                result
            }
            Operation::One => once(sources, length),
        }
    }
}

fn padded<S: AsRef<[u8]>>(source: &S, length: usize) -> Vec<u8> {
    let mut result = Vec::with_capacity(length);
    result.extend_from_slice(source.as_ref());
    result.resize(length, 0);
    result
}

/// Bytes of a result with those of a source beside them.
fn pairs<'a, S: AsRef<[u8]>>(
    result: &'a mut [u8],
    source: &'a S,
) -> impl Iterator<Item = (&'a mut u8, &'a u8)> {
    result.iter_mut().zip(source.as_ref())
}

fn intersect(result: &mut [u8], source: &[u8]) {
    let (common, rest) = result.split_at_mut(source.len());
    pairs(common, &source).for_each(|(result, byte)| *result &= byte);
    rest.fill(0);
}

fn subtract(result: &mut [u8], source: &[u8]) {
    pairs(result, &source).for_each(|(result, byte)| *result &= !byte);
}

fn union<S: AsRef<[u8]>>(sources: &[S], length: usize) -> Vec<u8> {
    let mut result = vec![0; length];
    for source in sources {
        pairs(&mut result, source).for_each(|(result, byte)| *result |= byte);
    }
    result
}

fn once<S: AsRef<[u8]>>(sources: &[S], length: usize) -> Vec<u8> {
    let (mut any, mut more) = (vec![0; length], vec![0; length]);
    for source in sources {
        let pairs = any.iter_mut().zip(&mut more).zip(source.as_ref());
        pairs.for_each(|((any, more), byte)| {
            *more |= *any & byte;
            *any |= byte;
        });
    }
    subtract(&mut any, &more);
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One bit after the other.
    fn bits(bytes: &[u8]) -> Vec<bool> {
        (0..bytes.len() as u64 * 8).map(|at| get(bytes, at)).collect()
    }

    /// Strings in which long runs are as likely as noise.
    fn string() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![3 => Just(0), 3 => Just(0xff), 1 => any::<u8>()];
        prop::collection::vec(byte, 0..60)
    }

    /// Whether the result has a bit that the sources have as `has` says.
    fn wanted(operation: Operation, has: &[bool]) -> bool {
        let (first, others) = (has[0], &has[1..]);
        let any = others.contains(&true);
        match operation {
            Operation::And => !has.contains(&false),
            Operation::Or => has.contains(&true),
            Operation::Xor => has.iter().filter(|has| **has).count() % 2 == 1,
            Operation::Not => !first,
            Operation::Diff => first && !any,
            Operation::Diff1 => any && !first,
            Operation::AndOr => first && any,
            Operation::One => has.iter().filter(|has| **has).count() == 1,
        }
    }

    #[test]
    fn bits_count_from_the_top() {
        let mut bytes = [0; 2];
        assert!(!set(&mut bytes, 0, true));
        assert!(!set(&mut bytes, 15, true));
        assert_eq!(bytes, [0x80, 1]);
        assert!(get(&bytes, 15) && !get(&bytes, 14) && !get(&bytes, 16) && !get(&bytes, u64::MAX));
        assert!(set(&mut bytes, 0, false));
        assert_eq!(bytes, [0, 1]);
    }

    proptest! {
        #[test]
        fn counts_and_finds_as_one_bit_after_the_other(
            bytes in string(), a in any::<u64>(), b in any::<u64>(), bit in any::<bool>(),
        ) {
            let bits = bits(&bytes);
            let ones = bits.iter().filter(|bit| **bit).count();
            prop_assert_eq!(count(&bytes), ones as u64);
            if !bits.is_empty() {
                let (a, b) = (a % bits.len() as u64, b % bits.len() as u64);
                let part = bits.get(a as usize..=b as usize).unwrap_or_default();
                let ones = part.iter().filter(|bit| **bit).count();
                prop_assert_eq!(count_range(&bytes, a..=b), ones as u64);
                let at = part.iter().position(|has| *has == bit).map(|at| a + at as u64);
                prop_assert_eq!(find(&bytes, bit, a..=b), at);
            }
        }

        #[test]
        fn combines_as_one_bit_after_the_other(sources in prop::collection::vec(string(), 1..5)) {
            let length = sources.iter().map(Vec::len).max().unwrap_or(0);
            for operation in [
                Operation::And, Operation::Or, Operation::Xor, Operation::Not, Operation::Diff,
                Operation::Diff1, Operation::AndOr, Operation::One,
            ] {
                let sources = if operation == Operation::Not { &sources[..1] } else { &sources[..] };
                let length = if operation == Operation::Not { sources[0].len() } else { length };
                let result = operation.combine(sources);
                prop_assert_eq!(result.len(), length);
                for (at, bit) in bits(&result).into_iter().enumerate() {
                    let has: Vec<bool> = sources.iter().map(|s| get(s, at as u64)).collect();
                    prop_assert_eq!(bit, wanted(operation, &has), "{:?} {}", operation, at);
                }
            }
        }
    }
}
