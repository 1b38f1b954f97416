//! The longest common subsequence, as Redis' LCS finds it.
//!
//! Redis fills a table of 32-bit lengths. Here one bit a cell says whether the length grows
//! from its left neighbour, and a row is computed 64 cells at a time by addition (Hyyrö,
//! "Bit-parallel LCS-length computation revisited", 2004): a thirty-second of the memory. The
//! way back through the table and its preference among equals are Redis', so the same one of
//! several longest subsequences is found. Redis' bound on its table stays, as the bound on the
//! work. Left out on purpose: MINMATCHLEN, which only hides matches.

/// Why two texts cannot be compared, in the words of the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LcsError {
    /// A length does not fit in Redis' 32 bits.
    #[error("ERR String too long for LCS")]
    TooLong,
    /// Redis' table would be larger than the caller's limit.
    #[error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")]
    TooLarge,
}

/// A run of bytes that both texts have, and that is part of the subsequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// The first and the last position in the first text.
    pub a: (usize, usize),
    /// The first and the last position in the second text.
    pub b: (usize, usize),
    /// Bytes of the run.
    pub len: usize,
}

/// How long the longest common subsequence is. `limit_bytes` (`proto-max-bulk-len`) bounds the
/// table that Redis would need, four bytes a cell.
///
/// # Errors
/// See [`LcsError`].
pub fn length(a: &[u8], b: &[u8], limit_bytes: u64) -> Result<usize, LcsError> {
    check(a, b, limit_bytes)?;
    let masks = Masks::new(a, b);
    let mut row = masks.first_row();
    for byte in b {
        masks.advance(*byte, &mut row);
    }
    Ok(zeros(&row))
}

/// The longest common subsequence.
///
/// # Errors
/// As for [`length`].
pub fn sequence(a: &[u8], b: &[u8], limit_bytes: u64) -> Result<Vec<u8>, LcsError> {
    check(a, b, limit_bytes)?;
    let mut bytes: Vec<u8> = Path::new(a, b).map(|(at, _)| a[at]).collect();
    bytes.reverse();
    Ok(bytes)
}

/// The runs that the longest common subsequence consists of, the last one first, and its
/// length.
///
/// # Errors
/// As for [`length`].
pub fn matches(a: &[u8], b: &[u8], limit_bytes: u64) -> Result<(Vec<Match>, usize), LcsError> {
    check(a, b, limit_bytes)?;
    let mut found: Vec<Match> = Vec::new();
    let mut total = 0;
    for (in_a, in_b) in Path::new(a, b) {
        total += 1;
        match found.last_mut() {
            Some(run) if run.a.0 == in_a + 1 && run.b.0 == in_b + 1 => {
                run.a.0 = in_a;
                run.b.0 = in_b;
                run.len += 1;
            }
            _ => found.push(Match { a: (in_a, in_a), b: (in_b, in_b), len: 1 }),
        }
    }
    Ok((found, total))
}

fn check(a: &[u8], b: &[u8], limit_bytes: u64) -> Result<(), LcsError> {
    let longest = a.len().max(b.len());
    if longest >= u32::MAX as usize - 1 {
        return Err(LcsError::TooLong);
    }
    let cells = (a.len() as u128 + 1) * (b.len() as u128 + 1);
    if cells * 4 > u128::from(limit_bytes) { Err(LcsError::TooLarge) } else { Ok(()) }
}

/// Where each byte of `b` stands in `a`, one bit a position of `a`.
struct Masks {
    /// Words of one mask, and of one row of the table.
    words: usize,
    /// The masks of the different bytes of `b` behind one another: at most a bit a cell.
    masks: Vec<u64>,
    /// Where the mask of a byte of `b` starts.
    starts: [usize; 256],
}

impl Masks {
    fn new(a: &[u8], b: &[u8]) -> Self {
        let words = a.len().div_ceil(64);
        let mut starts = [usize::MAX; 256];
        let mut end = 0;
        for byte in b {
            let start = &mut starts[usize::from(*byte)];
            if *start == usize::MAX {
                *start = end;
                end += words;
            }
        }
        let mut masks = vec![0; end];
        for (at, byte) in a.iter().enumerate() {
            let start = starts[usize::from(*byte)];
            if start != usize::MAX {
                masks[start + at / 64] |= 1 << (at % 64);
            }
        }
        Masks { words, masks, starts }
    }

    /// The row before any byte of `b`: a 1 says that the length does not grow here.
    fn first_row(&self) -> Vec<u64> {
        vec![u64::MAX; self.words]
    }

    /// Makes `row` the next row, the one behind `byte` of `b`.
    fn advance(&self, byte: u8, row: &mut [u64]) {
        let start = self.starts[usize::from(byte)];
        let mut carry = false;
        for (word, mask) in row.iter_mut().zip(&self.masks[start..start + self.words]) {
            let (sum, first) = word.overflowing_add(*word & mask);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            carry = first || second;
            *word = sum | (*word & !mask);
        }
    }
}

/// How often the length grows in a row.
fn zeros(row: &[u64]) -> usize {
    row.iter().map(|word| word.count_zeros() as usize).sum()
}

/// The positions in `a` and `b` of the subsequence's bytes, the last one first.
struct Path<'a> {
    a: &'a [u8],
    b: &'a [u8],
    words: usize,
    /// Row after row, from the one before any byte of `b`.
    rows: Vec<u64>,
    /// How much of `a` and of `b` lies before the place that has been reached.
    i: usize,
    j: usize,
    /// The length for `a[..i]` and `b[..j]`, and for `a[..i]` and `b[..j - 1]`.
    here: usize,
    left: usize,
}

impl<'a> Path<'a> {
    fn new(a: &'a [u8], b: &'a [u8]) -> Self {
        let masks = Masks::new(a, b);
        let words = masks.words;
        let mut row = masks.first_row();
        let mut rows = Vec::with_capacity(words * (b.len() + 1));
        rows.extend_from_slice(&row);
        for byte in b {
            masks.advance(*byte, &mut row);
            rows.extend_from_slice(&row);
        }
        let (i, j) = (a.len(), b.len());
        let mut path = Path { a, b, words, rows, i, j, here: zeros(&row), left: 0 };
        path.look_left();
        path
    }

    /// Whether the length grows by one from `a[..i - 1]` to `a[..i]` in row `j`.
    fn grows(&self, j: usize) -> bool {
        let at = self.i - 1;
        self.rows[j * self.words + at / 64] >> (at % 64) & 1 == 0
    }

    /// Counts the length in the row before `j` anew.
    fn look_left(&mut self) {
        let Some(before) = self.j.checked_sub(1) else { return };
        let row = &self.rows[before * self.words..(before + 1) * self.words];
        let (whole, rest) = (self.i / 64, self.i % 64);
        // Of the last word, only the bits below `i`.
        let part = row.get(whole).map_or(0, |word| (!word & ((1 << rest) - 1)).count_ones());
        self.left = zeros(&row[..whole]) + part as usize;
    }
}

impl Iterator for Path<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        while self.i > 0 && self.j > 0 {
            if self.a[self.i - 1] == self.b[self.j - 1] {
                self.i -= 1;
                self.j -= 1;
                self.here -= 1;
                self.look_left();
                return Some((self.i, self.j));
            }
            // As Redis: to the shorter `a` only if that is strictly longer.
            let above = self.here - usize::from(self.grows(self.j));
            if above > self.left {
                self.left -= usize::from(self.grows(self.j - 1));
                self.i -= 1;
                self.here = above;
            } else {
                self.j -= 1;
                self.here = self.left;
                self.look_left();
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NO_LIMIT: u64 = u64::MAX;

    /// Redis' way: the whole table, and the same way back.
    fn naive(a: &[u8], b: &[u8]) -> Vec<(usize, usize)> {
        let mut table = vec![vec![0usize; b.len() + 1]; a.len() + 1];
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                table[i][j] = if a[i - 1] == b[j - 1] {
                    table[i - 1][j - 1] + 1
                } else {
                    table[i - 1][j].max(table[i][j - 1])
                };
            }
        }
        let (mut i, mut j) = (a.len(), b.len());
        let mut path = Vec::new();
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                path.push((i, j));
            } else if table[i - 1][j] > table[i][j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        path
    }

    proptest! {
        #[test]
        fn finds_what_the_table_finds(a in "[a-d]{0,200}", b in "[a-d]{0,200}") {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let path = naive(a, b);
            prop_assert_eq!(&Path::new(a, b).collect::<Vec<_>>()[..], &path[..]);
            prop_assert_eq!(length(a, b, NO_LIMIT), Ok(path.len()));
            let text: Vec<u8> = path.iter().rev().map(|(at, _)| a[*at]).collect();
            prop_assert_eq!(sequence(a, b, NO_LIMIT), Ok(text));
            let (found, total) = matches(a, b, NO_LIMIT).expect("no limit");
            prop_assert_eq!(total, path.len());
            prop_assert_eq!(found.iter().map(|run| run.len).sum::<usize>(), total);
            for run in found {
                prop_assert_eq!(&a[run.a.0..=run.a.1], &b[run.b.0..=run.b.1]);
                prop_assert_eq!(run.a.1 + 1 - run.a.0, run.len);
            }
        }
    }

    #[test]
    fn the_example_of_the_documentation() {
        let (a, b) = (b"ohmytext", b"mynewtext");
        assert_eq!(sequence(a, b, NO_LIMIT), Ok(b"mytext".to_vec()));
        let expected =
            vec![Match { a: (4, 7), b: (5, 8), len: 4 }, Match { a: (2, 3), b: (0, 1), len: 2 }];
        assert_eq!(matches(a, b, NO_LIMIT), Ok((expected, 6)));
    }

    #[test]
    fn the_limit_is_redis_table() {
        let (a, b) = ([b'a'; 9], [b'a'; 24]);
        assert_eq!(length(&a, &b, 1000), Ok(9));
        assert_eq!(length(&a, &b, 999), Err(LcsError::TooLarge));
        assert_eq!(sequence(&a, &b, 999), Err(LcsError::TooLarge));
        assert_eq!(matches(&a, &b, 999), Err(LcsError::TooLarge));
        assert_eq!(sequence(b"", b"", 4), Ok(Vec::new()));
        assert_eq!(sequence(&[], &b, NO_LIMIT), Ok(Vec::new()));
    }

    #[test]
    fn a_long_text_against_a_short_one_is_quick() {
        // Ten million steps up beside one row: each has to be cheap.
        let a = vec![b'a'; 10_000_000];
        assert_eq!(sequence(&a, b"ba", NO_LIMIT), Ok(b"a".to_vec()));
        assert_eq!(sequence(b"ba", &a, NO_LIMIT), Ok(b"a".to_vec()));
        let mut a = a;
        a[0] = b'b';
        assert_eq!(matches(&a, b"b", NO_LIMIT).expect("no limit").0[0].a, (0, 0));
    }
}
