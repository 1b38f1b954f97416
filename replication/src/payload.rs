//! The payload of a full sync as it crosses the wire: a header, the snapshot, perhaps a mark.
//!
//! `$<length>\r\n` announces a payload of known length. `$EOF:<40 bytes>\r\n` announces one
//! that ends with those 40 bytes, so that a leader can send while it still serializes.
//! Newlines may come before the header while the leader prepares.
//!
//! [`PayloadReader`] passes the snapshot through without keeping it: at most one line, or the
//! beginning of a possible mark, is held back.
//!
//! Left out: what the payload says (the server's RDB reader), and its checksum, which is the
//! RDB format's own.

use std::borrow::Cow;

use memchr::memmem;

use crate::id;
use crate::wire::{LineReader, WireError, parse_decimal, shorten};

/// Longest payload accepted by its announced length, in bytes: 1 TiB, beyond any machine that
/// holds it in memory.
pub const MAX_PAYLOAD: u64 = 1 << 40;
/// Length of an end mark in bytes (Redis' `CONFIG_RUN_ID_SIZE`).
pub const MARK_LEN: usize = 40;

/// The 40 bytes that end a payload of unknown length; random, so that no data contains them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EofMark([u8; MARK_LEN]);

impl EofMark {
    /// A mark made of 20 random bytes, spelled as hex digits.
    pub fn from_random(random: [u8; 20]) -> Self {
        Self(id::to_hex(&random))
    }

    /// The bytes that follow the payload.
    pub fn as_bytes(&self) -> &[u8; MARK_LEN] {
        &self.0
    }
}

/// How the end of a payload is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By its length in bytes, told before.
    Length(u64),
    /// By a mark that follows it.
    EofMark(EofMark),
}

impl Framing {
    /// The line that goes before the payload.
    pub fn header(&self) -> Vec<u8> {
        match self {
            Self::Length(length) => format!("${length}\r\n").into_bytes(),
            Self::EofMark(mark) => [b"$EOF:", mark.0.as_slice(), b"\r\n"].concat(),
        }
    }

    /// Reads a header line, its end already removed.
    pub fn parse(line: &[u8]) -> Result<Self, WireError> {
        let unexpected = || WireError::UnexpectedLine(shorten(line));
        let text = line.strip_prefix(b"$").ok_or_else(unexpected)?;
        if let Some(mark) = text.strip_prefix(b"EOF:") {
            let mark = mark.try_into().map_err(|_| unexpected())?;
            return Ok(Self::EofMark(EofMark(mark)));
        }
        let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        match parse_decimal(text) {
            Some(length) if length <= MAX_PAYLOAD => Ok(Self::Length(length)),
            _ if digits => Err(WireError::PayloadTooLong),
            _ => Err(unexpected()),
        }
    }
}

/// What a payload reader found next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadEvent<'a> {
    /// The header: the snapshot begins.
    Begin(Framing),
    /// The next bytes of the snapshot.
    Data(Cow<'a, [u8]>),
    /// The snapshot is complete; what is left of the input belongs to the stream.
    End,
}

/// Takes a payload apart, wherever reads split it.
#[derive(Debug)]
pub struct PayloadReader {
    state: State,
}

#[derive(Debug)]
enum State {
    Header(LineReader),
    Counted { left: u64 },
    Marked { mark: Box<EofMark>, finder: Box<memmem::Finder<'static>>, matched: usize },
    Ended,
}

impl Default for PayloadReader {
    fn default() -> Self {
        Self { state: State::Header(LineReader::default()) }
    }
}

impl PayloadReader {
    /// Takes the next event from `input`; `None` when all of `input` is taken, or after
    /// [`PayloadEvent::End`].
    pub fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<PayloadEvent<'a>>, WireError> {
        match &mut self.state {
            State::Header(lines) => {
                let Some(framing) = next_header(lines, input)? else { return Ok(None) };
                self.state = State::of(framing);
                Ok(Some(PayloadEvent::Begin(framing)))
            }
            State::Counted { left: 0 } => {
                self.state = State::Ended;
                Ok(Some(PayloadEvent::End))
            }
            State::Counted { left } => Ok(next_counted(left, input)),
            State::Marked { mark, finder, matched } => {
                let event = next_marked(mark, finder, matched, input);
                if event == Some(PayloadEvent::End) {
                    self.state = State::Ended;
                }
                Ok(event)
            }
            State::Ended => Ok(None),
        }
    }
}

impl State {
    fn of(framing: Framing) -> Self {
        match framing {
            Framing::Length(left) => Self::Counted { left },
            Framing::EofMark(mark) => Self::Marked {
                mark: Box::new(mark),
                finder: Box::new(memmem::Finder::new(&mark.0).into_owned()),
                matched: 0,
            },
        }
    }
}

/// Skips heartbeats up to the header.
fn next_header(lines: &mut LineReader, input: &mut &[u8]) -> Result<Option<Framing>, WireError> {
    while let Some(line) = lines.next(input)? {
        if !line.is_empty() {
            return Framing::parse(&line).map(Some);
        }
    }
    Ok(None)
}

fn next_counted<'a>(left: &mut u64, input: &mut &'a [u8]) -> Option<PayloadEvent<'a>> {
    let len = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    *left -= len as u64;
    take(input, len)
}

/// Searches the mark. `matched` bytes of it were seen at the end of what came before, and are
/// held back; being equal to the mark's beginning, they need no buffer of their own.
fn next_marked<'a>(
    mark: &EofMark,
    finder: &memmem::Finder<'_>,
    matched: &mut usize,
    input: &mut &'a [u8],
) -> Option<PayloadEvent<'a>> {
    if *matched == 0 {
        let end = finder.find(input).unwrap_or_else(|| {
            *matched = overlap(input, &mark.0);
            input.len() - *matched
        });
        let data = take(input, end);
        *input = &input[*matched..];
        if data.is_some() || input.is_empty() {
            return data;
        }
    }
    let wanted = &mark.0[*matched..];
    let len = wanted.len().min(input.len());
    if input[..len] == wanted[..len] {
        *input = &input[len..];
        *matched += len;
        return (*matched == MARK_LEN).then_some(PayloadEvent::End);
    }
    // Not the mark after all: let go of what can no longer begin it.
    let held = &mark.0[..*matched];
    let kept = overlap(&held[1..], held);
    let released = &held[..*matched - kept];
    *matched = kept;
    Some(PayloadEvent::Data(Cow::Owned(released.to_vec())))
}

/// Length of the longest end of `data` that begins `mark`, short of all of it.
fn overlap(data: &[u8], mark: &[u8]) -> usize {
    let longest = data.len().min(mark.len().saturating_sub(1));
    (1..=longest).rev().find(|len| data.ends_with(&mark[..*len])).unwrap_or(0)
}

fn take<'a>(input: &mut &'a [u8], len: usize) -> Option<PayloadEvent<'a>> {
    let (data, rest) = input.split_at(len);
    *input = rest;
    (len > 0).then_some(PayloadEvent::Data(Cow::Borrowed(data)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Framing, snapshot and rest of a transfer that arrives in `parts`.
    fn read(parts: &[&[u8]]) -> (Option<Framing>, Vec<u8>, Option<Vec<u8>>) {
        let (mut reader, mut framing) = (PayloadReader::default(), None);
        let (mut snapshot, mut rest) = (Vec::new(), None::<Vec<u8>>);
        for mut part in parts.iter().copied() {
            if let Some(rest) = &mut rest {
                rest.extend_from_slice(part);
                continue;
            }
            while let Some(event) = reader.next(&mut part).unwrap() {
                match event {
                    PayloadEvent::Begin(found) => framing = Some(found),
                    PayloadEvent::Data(data) => {
                        assert!(!data.is_empty());
                        snapshot.extend_from_slice(&data);
                    }
                    PayloadEvent::End => rest = Some(part.to_vec()),
                }
            }
        }
        (framing, snapshot, rest)
    }

    fn assert_any_split(framing: Framing, snapshot: &[u8]) {
        let mark = match &framing {
            Framing::Length(_) => [].as_slice(),
            Framing::EofMark(mark) => mark.as_bytes(),
        };
        let bytes = [b"\n\r\n", framing.header().as_slice(), snapshot, mark, b"stream"].concat();
        let expected = (Some(framing), snapshot.to_vec(), Some(b"stream".to_vec()));
        for i in 0..=bytes.len() {
            assert_eq!(read(&[&bytes[..i], &bytes[i..]]), expected, "split at {i}");
            for j in i..=bytes.len() {
                assert_eq!(read(&[&bytes[..i], &bytes[i..j], &bytes[j..]]), expected);
            }
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single), expected);
    }

    #[test]
    fn counted_payloads_end_where_they_say() {
        assert_any_split(Framing::Length(0), b"");
        assert_any_split(Framing::Length(7), b"REDIS\r\n");
    }

    #[test]
    fn marks_are_found_across_any_split() {
        let mark = EofMark::from_random([0x5a; 20]);
        assert_any_split(Framing::EofMark(mark), b"");
        assert_any_split(Framing::EofMark(mark), b"REDIS0009");
        for len in 1..MARK_LEN {
            let almost = [b"x", &mark.as_bytes()[..len], b"y", &mark.as_bytes()[..len]].concat();
            assert_eq!(
                read(&[&Framing::EofMark(mark).header(), &almost]).1.len()
                    + overlap(&almost, mark.as_bytes()),
                almost.len()
            );
        }
        let repeated = [&mark.as_bytes()[..13], &mark.as_bytes()[..14], b"5"].concat();
        assert_any_split(Framing::EofMark(mark), &repeated);
        // The least random mark there is: every byte may begin it.
        let poor = EofMark([b'a'; MARK_LEN]);
        assert_any_split(Framing::EofMark(poor), &[b"a".repeat(39), b"b".to_vec()].concat());
    }

    #[test]
    fn absurd_headers_are_refused() {
        let parse = |line: &str| Framing::parse(line.as_bytes());
        assert_eq!(parse("$1099511627776"), Ok(Framing::Length(MAX_PAYLOAD)));
        for line in ["$1099511627777", "$99999999999999999999999999999"] {
            assert_eq!(parse(line), Err(WireError::PayloadTooLong));
        }
        let short = format!("$EOF:{}", "a".repeat(39));
        let long = format!("$EOF:{}", "a".repeat(41));
        for line in ["$", "$-1", "$1x", "+OK", "$EOF:", &short, &long] {
            assert_eq!(parse(line), Err(WireError::UnexpectedLine(line.into())), "{line}");
        }
    }

    #[test]
    fn a_header_that_never_ends_is_refused() {
        let mut reader = PayloadReader::default();
        let endless = vec![b'$'; 2000];
        assert_eq!(reader.next(&mut &endless[..]), Err(WireError::LineTooLong));
    }
}
