//! Registers as runs of the same value.
//!
//! A run is one byte or two: `00nnnnnn` is n+1 registers of 0, `01nnnnnn nnnnnnnn` likewise with
//! 14 bits, `1vvvvvnn` is n+1 registers of v+1. Where a register is raised, its run is cut in up
//! to three, and neighbours of the same value are joined again, in the very places where Redis
//! does it, so that the same elements make the same bytes.

use std::fmt;
use std::ops::Range;

use super::{Corrupted, HEAD, REGISTERS};

/// The run of a HyperLogLog without elements: all registers 0.
pub(super) const EMPTY: [u8; 2] = [0x7f, 0xff];

/// The largest value that a run can have.
const MOST: u8 = 32;
/// Registers of one value that a run can be.
const LONGEST: usize = 4;
/// Registers of 0 that a run of one byte can be.
const LONGEST_ZERO: usize = 64;
/// Runs that are looked at for some to join, as many as a cut can have touched.
const JOINED: usize = 5;

/// Registers of the same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) value: u8,
    pub(super) length: usize,
    /// Bytes of the run.
    size: usize,
}

impl Run {
    /// The run at the start of `bytes`, if it is whole.
    fn read(bytes: &[u8]) -> Option<Run> {
        let (first, rest) = bytes.split_first()?;
        let low = usize::from(first & 0x3f);
        match first >> 6 {
            0 => Some(Run { value: 0, length: low + 1, size: 1 }),
            1 => Some(Run {
                value: 0,
                length: (low << 8 | usize::from(*rest.first()?)) + 1,
                size: 2,
            }),
            _ => Some(Run {
                value: (first >> 2 & 0x1f) + 1,
                length: usize::from(first & 3) + 1,
                size: 1,
            }),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.value, self.size) {
            (0, 1) => write!(f, "z:{}", self.length),
            (0, _) => write!(f, "Z:{}", self.length),
            (value, _) => write!(f, "v:{},{}", value, self.length),
        }
    }
}

/// The runs of a HyperLogLog, up to one that is cut off.
pub(super) fn runs(bytes: &[u8]) -> impl Iterator<Item = Run> {
    let mut rest = &bytes[HEAD..];
    std::iter::from_fn(move || {
        let run = Run::read(rest)?;
        rest = &rest[run.size..];
        Some(run)
    })
}

/// Whether the runs are those of all registers, and nothing lies behind them.
pub(super) fn check(bytes: &[u8]) -> Result<(), Corrupted> {
    let (mut registers, mut size) = (0, HEAD);
    for run in runs(bytes) {
        registers += run.length;
        size += run.size;
        if registers > REGISTERS {
            return Err(Corrupted);
        }
    }
    if registers == REGISTERS && size == bytes.len() { Ok(()) } else { Err(Corrupted) }
}

/// What has become of a register that was to be raised.
pub(super) enum Raised {
    /// It was as high already.
    No,
    /// It is raised.
    Yes,
    /// Nothing is changed: runs cannot say it, or would take more bytes than they may.
    OutOfRoom,
}

/// A run, where it is, and what comes before it.
struct Place {
    run: Run,
    /// Where its bytes are.
    at: usize,
    /// Where the bytes of the run before it are, or else its own.
    before: usize,
    /// Its first register.
    first: usize,
}

fn find(bytes: &[u8], index: usize) -> Result<Place, Corrupted> {
    let (mut at, mut before, mut first) = (HEAD, HEAD, 0);
    for run in runs(bytes) {
        if index < first + run.length {
            return Ok(Place { run, at, before, first });
        }
        before = at;
        at += run.size;
        first += run.length;
    }
    Err(Corrupted)
}

/// Raises a register to `value`, as long as that takes no more than `limit` bytes.
pub(super) fn raise(
    bytes: &mut Vec<u8>,
    index: usize,
    value: u8,
    limit: usize,
) -> Result<Raised, Corrupted> {
    if value > MOST {
        return Ok(Raised::OutOfRoom);
    }
    let place = find(bytes, index)?;
    let Place { run, at, before, .. } = place;
    if run.value >= value {
        return Ok(Raised::No);
    }
    let pieces = Pieces::cut(&place, index, value);
    if pieces.len > run.size && bytes.len() + pieces.len - run.size > limit {
        return Ok(Raised::OutOfRoom);
    }
    bytes.splice(at..at + run.size, pieces.bytes[..pieces.len].iter().copied());
    join(bytes, before);
    Ok(Raised::Yes)
}

/// The bytes of up to three runs.
struct Pieces {
    bytes: [u8; 5],
    len: usize,
}

impl Pieces {
    /// The run at `place` with another value at one of its registers.
    fn cut(place: &Place, index: usize, value: u8) -> Pieces {
        let mut pieces = Pieces { bytes: [0; 5], len: 0 };
        let end = place.first + place.run.length;
        pieces.push(place.run.value, place.first..index);
        pieces.push(value, index..index + 1);
        pieces.push(place.run.value, index + 1..end);
        pieces
    }

    fn push(&mut self, value: u8, registers: Range<usize>) {
        match (value, registers.len()) {
            (_, 0) => {}
            (0, length @ ..=LONGEST_ZERO) => self.byte((length - 1) as u8),
            (0, length) => {
                let [high, low] = ((length - 1) as u16).to_be_bytes();
                self.byte(0x40 | high);
                self.byte(low);
            }
            (value, length) => self.byte(one_value(value, length)),
        }
    }

    fn byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }
}

fn one_value(value: u8, length: usize) -> u8 {
    0x80 | (value - 1) << 2 | (length - 1) as u8
}

/// Joins neighbours of the same value, from the run at `at` on.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED {
        let Some(run) = Run::read(&bytes[at..]) else { return };
        let next = at + run.size;
        let joined = Run::read(&bytes[next..])
            .filter(|next| run.value > 0 && next.value == run.value)
            .map(|next| run.length + next.length)
            .filter(|length| *length <= LONGEST);
        match joined {
            Some(length) => {
                bytes[next] = one_value(run.value, length);
                bytes.remove(at);
            }
            None => at = next,
        }
    }
}
