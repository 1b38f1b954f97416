//! LZF, the compression that Redis uses inside RDB strings.
//!
//! A stream of runs. A control byte below 32 starts `control + 1` literal bytes. Otherwise its
//! top three bits are a length less two (seven: the next byte is added), its low five bits and
//! the following byte a distance less one, and that many bytes are repeated from there.
//!
//! Left out on purpose: matching better than the first candidate; Redis does not either.

/// The most bytes that one control byte can announce as literals.
const LITERALS: usize = 32;
/// How far back a repetition can reach.
const DISTANCE: usize = 1 << 13;
/// The longest repetition: seven in the control byte, 255 in the next, and the two implied.
const REPEAT: usize = 7 + 255 + 2;
/// The shortest repetition worth its two bytes, and what the table is keyed by.
const KEYED: usize = 3;
/// Slots in the table of recent positions: 16 KiB on the stack, cheap to clear per string.
const SLOTS: usize = 1 << 12;

/// What one compressed byte can expand to at most: a repetition of 264 takes three bytes.
pub(super) const EXPANSION: usize = REPEAT / 3;

/// Appends the compressed `input` to `out` if that takes at most `room` bytes.
///
/// Otherwise nothing is appended and `false` is returned.
pub(super) fn compress(input: &[u8], out: &mut Vec<u8>, room: usize) -> bool {
    let start = out.len();
    // Positions are kept as u32; nothing that large is worth holding in memory twice anyway.
    if u32::try_from(input.len()).is_err() {
        return false;
    }
    let mut recent = [0u32; SLOTS];
    let mut literals = 0; // Start of the bytes not written yet.
    let mut at = 0;
    while at + KEYED <= input.len() {
        let slot = slot(&input[at..]);
        let candidate = recent[slot] as usize;
        recent[slot] = at as u32;
        let length = repetition(input, candidate, at);
        if length == 0 {
            at += 1;
            continue;
        }
        push_literals(out, &input[literals..at]);
        push_repeat(out, at - candidate, length);
        at += length;
        literals = at;
        if out.len() - start > room {
            break;
        }
    }
    push_literals(out, &input[literals..]);
    let fits = out.len() - start <= room;
    if !fits {
        out.truncate(start);
    }
    fits
}

/// The slot of the three bytes at the start of `bytes`.
fn slot(bytes: &[u8]) -> usize {
    let key = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
    // A multiplicative hash; its top bits are the well-mixed ones.
    (key.wrapping_mul(0x9e37_79b1) >> 20) as usize % SLOTS
}

/// How many bytes at `at` repeat those at `candidate`; zero if too few or out of reach.
fn repetition(input: &[u8], candidate: usize, at: usize) -> usize {
    if candidate >= at || at - candidate > DISTANCE {
        return 0;
    }
    let most = REPEAT.min(input.len() - at);
    let (old, new) = (&input[candidate..candidate + most], &input[at..at + most]);
    let length = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    if length < KEYED { 0 } else { length }
}

fn push_literals(out: &mut Vec<u8>, bytes: &[u8]) {
    for run in bytes.chunks(LITERALS) {
        out.push((run.len() - 1) as u8);
        out.extend_from_slice(run);
    }
}

/// `distance` is 1 to [`DISTANCE`], `length` 3 to [`REPEAT`].
fn push_repeat(out: &mut Vec<u8>, distance: usize, length: usize) {
    let (distance, length) = (distance - 1, length - 2);
    let high = (distance >> 8) as u8;
    if length < 7 {
        out.push(((length as u8) << 5) | high);
    } else {
        out.push((7 << 5) | high);
        out.push((length - 7) as u8);
    }
    out.push((distance & 0xff) as u8);
}

/// Expands `input` to exactly `length` bytes; `None` if it does not hold exactly that many.
///
/// A `length` beyond what the input can stand for is refused before memory is asked for.
pub(super) fn decompress(input: &[u8], length: usize) -> Option<Vec<u8>> {
    if length > input.len().checked_mul(EXPANSION)? {
        return None;
    }
    let mut out = Vec::with_capacity(length);
    let mut rest = input;
    while let Some((&control, tail)) = rest.split_first() {
        rest = if usize::from(control) < LITERALS {
            let (run, tail) = tail.split_at_checked(usize::from(control) + 1)?;
            out.extend_from_slice(run);
            tail
        } else {
            expand_repeat(&mut out, control, tail, length)?
        };
        if out.len() > length {
            return None;
        }
    }
    (out.len() == length).then_some(out)
}

/// Carries out one repetition and returns what follows it.
fn expand_repeat<'a>(
    out: &mut Vec<u8>,
    control: u8,
    tail: &'a [u8],
    limit: usize,
) -> Option<&'a [u8]> {
    let mut count = usize::from(control >> 5) + 2;
    let mut tail = tail;
    if control >> 5 == 7 {
        let (&more, rest) = tail.split_first()?;
        count += usize::from(more);
        tail = rest;
    }
    let (&low, tail) = tail.split_first()?;
    let distance = (usize::from(control & 0x1f) << 8) + usize::from(low) + 1;
    let mut from = out.len().checked_sub(distance)?;
    if count > limit - out.len() {
        return None;
    }
    // A repetition may reach into its own output: what is there already is doubled.
    while count > 0 {
        let run = count.min(out.len() - from);
        out.extend_from_within(from..from + run);
        from += run;
        count -= run;
    }
    Some(tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(input: &[u8]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        assert!(compress(input, &mut out, input.len() * 2 + 2));
        assert!(out.starts_with(b"before"));
        out.split_off(6)
    }

    #[test]
    fn long_runs_shrink_to_the_expansion_limit() {
        for length in [1, 3, 31, 32, 33, 264, 265, 266, 8192, 8193, 100_000] {
            let input = vec![b'x'; length];
            let short = packed(&input);
            assert!(length < 100 || short.len() <= length / 60 + 8, "{length} -> {}", short.len());
            assert_eq!(decompress(&short, length), Some(input));
        }
    }

    #[test]
    fn matches_at_the_farthest_distance() {
        for gap in [DISTANCE - 4, DISTANCE - 3, DISTANCE - 2] {
            let mut input = b"needle".to_vec();
            input.extend((0..gap).map(|i| (i * i % 251) as u8));
            input.extend_from_slice(b"needle");
            assert_eq!(decompress(&packed(&input), input.len()), Some(input));
        }
    }

    #[test]
    fn gives_up_without_a_trace_when_there_is_no_room() {
        let mut out = b"before".to_vec();
        assert!(!compress(b"abcdefghijklmnopqrstuvwxyz", &mut out, 22));
        assert_eq!(out, b"before");
    }

    #[test]
    fn refuses_bombs_lies_and_references_before_the_start() {
        assert_eq!(decompress(&[0, b'a'], 1 << 40), None);
        assert_eq!(decompress(&[0, b'a'], 2), None);
        assert_eq!(decompress(&[1, b'a'], 2), None);
        assert_eq!(decompress(&[0, b'a', 0x20, 1], 4), None);
        assert_eq!(decompress(&[0, b'a', 0xe0, 255], 265), None);
        assert_eq!(decompress(&[0, b'a', 0xe0, 255, 0], 264), None);
        assert_eq!(decompress(&[0, b'a', 0xe0, 255, 0], 265), Some(vec![b'a'; 265]));
    }

    proptest! {
        #[test]
        fn round_trip(seed in proptest::collection::vec(0u8..6, 0..3000)) {
            prop_assert_eq!(decompress(&packed(&seed), seed.len()), Some(seed));
        }

        #[test]
        fn any_bytes_are_expanded_or_refused(input: Vec<u8>, length in 0usize..10_000) {
            if let Some(out) = decompress(&input, length) {
                prop_assert_eq!(out.len(), length);
            }
        }
    }
}
