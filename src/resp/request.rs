//! Decodes requests: RESP arrays of bulk strings, and inline commands.
//!
//! Requests are flat, so the decoder is iterative; it remembers where the last read ended, so
//! a request that arrives in many pieces is not parsed again from its start; every length is
//! checked against its limit before anything is reserved for it. What it yields are ranges of
//! the caller's buffer: no byte is copied. Left out on purpose: every other RESP type. A
//! client has no reason to send one, and nesting is how parsers of this family have died.

use std::ops::Range;

use memchr::memchr;
use smallvec::SmallVec;
use thiserror::Error;

use super::inline::{self, UnbalancedQuotes};
use crate::limits;

/// What a request may cost, by what the client has shown of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Arguments of one request.
    pub arguments: usize,
    /// Bytes of one argument.
    pub argument_bytes: usize,
    /// Bytes of one request, all lengths and line ends included.
    pub request_bytes: usize,
    /// Whether these are the limits of a client that has not authenticated: the error says so.
    pub before_auth: bool,
}

impl RequestLimits {
    /// The limits of a client that has not authenticated.
    pub const BEFORE_AUTH: RequestLimits = RequestLimits {
        arguments: limits::ARGUMENTS_BEFORE_AUTH,
        argument_bytes: limits::ARGUMENT_BYTES_BEFORE_AUTH,
        request_bytes: 1024 * 1024,
        before_auth: true,
    };
}

/// Why a client's bytes are no request. The connection is answered and closed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ProtocolError {
    /// An inline request without an end within the limit.
    #[error("too big inline request")]
    InlineTooLong,
    /// An array header without an end within the limit.
    #[error("too big mbulk count string")]
    ArrayLineTooLong,
    /// A bulk header without an end within the limit.
    #[error("too big bulk count string")]
    BulkLineTooLong,
    /// An array length that is no number, or above the limit.
    #[error("invalid multibulk length")]
    ArrayLength,
    /// A bulk length that is no number, negative, or above the limit.
    #[error("invalid bulk length")]
    BulkLength,
    /// More arguments than a client may send before AUTH.
    #[error("unauthenticated multibulk length")]
    ArrayLengthBeforeAuth,
    /// A longer argument than a client may send before AUTH.
    #[error("unauthenticated bulk length")]
    BulkLengthBeforeAuth,
    /// Something else than a bulk string inside the array.
    #[error("expected '$', got '{}'", shown(*.0))]
    ExpectedBulk(u8),
    /// A bulk string that does not end where its length says.
    #[error("expected CRLF after the bulk string")]
    BulkEnd,
    /// An inline request whose quotes do not match.
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
    /// A request longer than `client-query-buffer-limit`.
    #[error("request larger than client-query-buffer-limit")]
    RequestTooLarge,
    /// The first line of an HTTP request: somebody has the wrong port.
    #[error("this is the RESP port; HTTP is answered on rest-port")]
    Http,
}

impl From<UnbalancedQuotes> for ProtocolError {
    fn from(_: UnbalancedQuotes) -> Self {
        ProtocolError::UnbalancedQuotes
    }
}

/// What one step of decoding came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A request is complete; it took this many bytes from the front of the buffer.
    Request(usize),
    /// An empty request (a bare line end, `*0`) took this many bytes; there is nothing to run.
    Nothing(usize),
    /// More bytes are needed; at least this many in total would help.
    Incomplete(usize),
}

/// The decoder of one connection.
///
/// Invariant: between calls `position` points behind the last byte that is fully understood,
/// relative to the front of the request; the caller passes the same bytes again, with more
/// behind them, until a request is complete.
#[derive(Debug, Default)]
pub struct RequestDecoder {
    /// Bytes of the present request already understood.
    position: usize,
    /// Bytes behind `position` already searched for a line end.
    searched: usize,
    /// Arguments of the present request still to come; `None` before the array header.
    remaining: Option<usize>,
    /// Length of the argument whose bytes are awaited.
    bulk: Option<usize>,
    /// Where the arguments lie in the buffer.
    arguments: Vec<Range<usize>>,
    /// The arguments of an inline request, unquoted, when it had quotes.
    unquoted: Vec<u8>,
    inline: bool,
}

impl RequestDecoder {
    /// Decodes the request at the front of `buffer`.
    ///
    /// After `Decoded::Request`, `argument` gives its arguments, as long as the buffer stands.
    ///
    /// # Errors
    /// When the bytes are no request, or one that is beyond `limits`.
    pub fn decode(
        &mut self,
        buffer: &[u8],
        limits: &RequestLimits,
    ) -> Result<Decoded, ProtocolError> {
        let Some(first) = buffer.first() else {
            return Ok(Decoded::Incomplete(1));
        };
        if self.position == 0 {
            self.arguments.clear();
            self.inline = false;
        }
        if self.remaining.is_none() && *first != b'*' {
            return self.decode_inline(buffer);
        }
        self.decode_array(buffer, limits)
    }

    /// Takes the request at the front of `buffer` in one go, if all of it is there and nothing
    /// about it is unusual; answers how many bytes it took, its arguments in `argv`.
    ///
    /// `None` says that `decode` has to look, not that anything is wrong; `argv` is then empty.
    #[inline]
    pub fn whole<'a>(
        &self,
        buffer: &'a [u8],
        limits: &RequestLimits,
        argv: &mut SmallVec<[&'a [u8]; 16]>,
    ) -> Option<usize> {
        if self.position > 0 || self.remaining.is_some() || self.searched > 0 {
            return None;
        }
        let consumed = take_whole(buffer, limits, argv);
        if consumed.is_none() {
            argv.clear();
        }
        consumed
    }

    /// Forgets a request that has been run, and gives back the room that an unusually long one
    /// has needed.
    #[inline]
    pub fn shrink(&mut self) {
        if self.arguments.capacity() > limits::RESERVED_ARGUMENTS {
            self.arguments = Vec::new();
        }
        if self.unquoted.capacity() > limits::RESERVED_ARGUMENT_BYTES / 16 {
            self.unquoted = Vec::new();
        }
    }

    /// Bytes that the decoder holds besides the caller's buffer.
    pub fn heap_bytes(&self) -> usize {
        self.arguments.capacity() * size_of::<Range<usize>>() + self.unquoted.capacity()
    }

    /// How many arguments the last request has.
    pub fn len(&self) -> usize {
        self.arguments.len()
    }

    /// Whether the last request has no arguments.
    pub fn is_empty(&self) -> bool {
        self.arguments.is_empty()
    }

    /// The arguments of the last request, as slices of the `buffer` it was decoded from.
    pub fn arguments<'a>(&'a self, buffer: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let source = if self.inline { self.unquoted.as_slice() } else { buffer };
        self.arguments.iter().map(move |range| &source[range.clone()])
    }

    fn decode_array(
        &mut self,
        buffer: &[u8],
        limits: &RequestLimits,
    ) -> Result<Decoded, ProtocolError> {
        let mut remaining = match self.remaining {
            Some(remaining) => remaining,
            None => {
                let Some(count) = self.array_header(buffer, limits)? else {
                    return Ok(Decoded::Incomplete(buffer.len() + 1));
                };
                if count == 0 {
                    return Ok(Decoded::Nothing(self.finish()));
                }
                self.arguments.reserve(count.min(limits::RESERVED_ARGUMENTS));
                count
            }
        };
        while remaining > 0 {
            let length = match self.bulk {
                Some(length) => length,
                None => match self.bulk_header(buffer, limits)? {
                    Some(length) => length,
                    None => {
                        self.remaining = Some(remaining);
                        return Ok(Decoded::Incomplete(buffer.len() + 1));
                    }
                },
            };
            let end = self.position + length;
            if end + 2 > limits.request_bytes {
                return Err(ProtocolError::RequestTooLarge);
            }
            match buffer.get(end..end + 2) {
                None => {
                    self.remaining = Some(remaining);
                    self.bulk = Some(length);
                    return Ok(Decoded::Incomplete(end + 2));
                }
                Some(b"\r\n") => {}
                Some(_) => return Err(ProtocolError::BulkEnd),
            }
            self.arguments.push(self.position..end);
            self.position = end + 2;
            self.bulk = None;
            remaining -= 1;
        }
        Ok(Decoded::Request(self.finish()))
    }

    /// Reads `*<length>`; `None` when its line is not there yet.
    fn array_header(
        &mut self,
        buffer: &[u8],
        limits: &RequestLimits,
    ) -> Result<Option<usize>, ProtocolError> {
        let Some(line) = self.line(buffer, ProtocolError::ArrayLineTooLong)? else {
            return Ok(None);
        };
        array_length(&buffer[line.start + 1..line.end], limits).map(Some)
    }

    /// Reads `$<length>`; `None` when its line is not there yet.
    fn bulk_header(
        &mut self,
        buffer: &[u8],
        limits: &RequestLimits,
    ) -> Result<Option<usize>, ProtocolError> {
        match buffer.get(self.position..) {
            None | Some([]) => return Ok(None),
            Some([b'$', ..]) => {}
            Some([other, ..]) => return Err(ProtocolError::ExpectedBulk(*other)),
        }
        let Some(line) = self.line(buffer, ProtocolError::BulkLineTooLong)? else {
            return Ok(None);
        };
        let length = bulk_length(&buffer[line.start + 1..line.end], limits)?;
        self.bulk = Some(length);
        Ok(Some(length))
    }

    /// Takes the line at `position`, without its CRLF; `None` when its end is not there yet.
    fn line(
        &mut self,
        buffer: &[u8],
        too_long: ProtocolError,
    ) -> Result<Option<Range<usize>>, ProtocolError> {
        let start = self.position;
        let from = start + self.searched;
        match memchr(b'\r', &buffer[from..]) {
            // However the bytes were split, the same line is too long.
            Some(at) if from + at - start > limits::LINE_BYTES => Err(too_long),
            Some(at) if from + at + 1 < buffer.len() => {
                self.position = from + at + 2;
                self.searched = 0;
                Ok(Some(start..from + at))
            }
            Some(at) => {
                self.searched += at;
                Ok(None)
            }
            None if buffer.len() - start > limits::LINE_BYTES => Err(too_long),
            None => {
                self.searched = buffer.len() - start;
                Ok(None)
            }
        }
    }

    fn decode_inline(&mut self, buffer: &[u8]) -> Result<Decoded, ProtocolError> {
        let Some(end) = memchr(b'\n', &buffer[self.searched..]).map(|at| at + self.searched) else {
            if buffer.len() > limits::LINE_BYTES {
                return Err(ProtocolError::InlineTooLong);
            }
            self.searched = buffer.len();
            return Ok(Decoded::Incomplete(buffer.len() + 1));
        };
        if end > limits::LINE_BYTES {
            return Err(ProtocolError::InlineTooLong);
        }
        let line = buffer[..end].strip_suffix(b"\r").unwrap_or(&buffer[..end]);
        self.unquoted.clear();
        inline::split(line, &mut self.unquoted, &mut self.arguments)?;
        self.inline = true;
        self.position = end + 1;
        if is_http(line) {
            return Err(ProtocolError::Http);
        }
        let consumed = self.finish();
        Ok(if self.arguments.is_empty() {
            Decoded::Nothing(consumed)
        } else {
            Decoded::Request(consumed)
        })
    }

    /// Ends the present request; the next call starts at a new one.
    fn finish(&mut self) -> usize {
        let consumed = self.position;
        self.position = 0;
        self.searched = 0;
        self.remaining = None;
        self.bulk = None;
        consumed
    }
}

#[inline]
fn take_whole<'a>(
    buffer: &'a [u8],
    limits: &RequestLimits,
    argv: &mut SmallVec<[&'a [u8]; 16]>,
) -> Option<usize> {
    let (count, mut rest) = short_line(buffer, b'*')?;
    if count == 0 || count > limits.arguments.min(limits::RESERVED_ARGUMENTS) {
        return None;
    }
    for _ in 0..count {
        let (length, bytes) = short_line(rest, b'$')?;
        if length > limits.argument_bytes {
            return None;
        }
        let (argument, tail) = bytes.split_at_checked(length)?;
        rest = tail.strip_prefix(b"\r\n")?;
        argv.push(argument);
    }
    let consumed = buffer.len() - rest.len();
    (consumed <= limits.request_bytes).then_some(consumed)
}

/// Takes `kind`, a short length and a line end off the front.
#[inline]
fn short_line(buffer: &[u8], kind: u8) -> Option<(usize, &[u8])> {
    match buffer {
        [k, a @ b'0'..=b'9', b'\r', b'\n', rest @ ..] if *k == kind => {
            Some((usize::from(a - b'0'), rest))
        }
        [k, a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', rest @ ..] if *k == kind => {
            Some((usize::from(a - b'0') * 10 + usize::from(b - b'0'), rest))
        }
        [k, tail @ ..] if *k == kind => {
            let (length, used) = short_length(tail)?;
            Some((length, &tail[used..]))
        }
        _ => None,
    }
}

/// Whether an inline line is how HTTP begins. Redis closes such connections too, since a web
/// page can make a browser send them to a port on localhost (CVE-2016-10517).
fn is_http(line: &[u8]) -> bool {
    let starts =
        |word: &[u8]| line.len() >= word.len() && line[..word.len()].eq_ignore_ascii_case(word);
    starts(b"post ") || starts(b"host:") || (starts(b"get ") && line.ends_with(b" HTTP/1.1"))
}

/// A byte of the client's in an error text. A line end in it becomes a blank, as everywhere in
/// errors; other bytes that are no text are escaped.
fn shown(byte: u8) -> String {
    match byte {
        b'\r' | b'\n' => " ".to_owned(),
        byte => byte.escape_ascii().to_string(),
    }
}

fn array_length(text: &[u8], limits: &RequestLimits) -> Result<usize, ProtocolError> {
    let count = length(text).ok_or(ProtocolError::ArrayLength)?;
    // Redis takes a negative count as an empty request.
    let Ok(count) = usize::try_from(count) else { return Ok(0) };
    if count > limits.arguments {
        return Err(if limits.before_auth && count <= limits::ARGUMENTS {
            ProtocolError::ArrayLengthBeforeAuth
        } else {
            ProtocolError::ArrayLength
        });
    }
    Ok(count)
}

fn bulk_length(text: &[u8], limits: &RequestLimits) -> Result<usize, ProtocolError> {
    let length = length(text).and_then(|n| usize::try_from(n).ok());
    let length = length.ok_or(ProtocolError::BulkLength)?;
    if length > limits.argument_bytes {
        return Err(if limits.before_auth {
            ProtocolError::BulkLengthBeforeAuth
        } else {
            ProtocolError::BulkLength
        });
    }
    Ok(length)
}

/// A length of a few digits with its CRLF, and the bytes it takes: what nearly every length
/// is. `None` says that a closer look is needed, not that it is wrong.
#[inline]
fn short_length(text: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, byte) in text.iter().take(8).enumerate() {
        match byte {
            b'0'..=b'9' if at < 7 && (value > 0 || at == 0) => {
                value = value * 10 + usize::from(byte - b'0');
            }
            b'\r' if at > 0 && text.get(at + 1) == Some(&b'\n') => return Some((value, at + 2)),
            _ => return None,
        }
    }
    None
}

/// A length as Redis reads it: decimal digits, a minus sign allowed, no plus, no blanks, no
/// leading zeros.
fn length(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, text),
    };
    let leading_zero = digits.len() > 1 && digits[0] == b'0';
    if digits.is_empty() || digits.len() > 19 || leading_zero {
        return None;
    }
    let mut value: i64 = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // Towards the sign, so that the smallest number is read like any other.
        let digit = if negative { -i64::from(digit) } else { i64::from(digit) };
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    if negative && value == 0 { None } else { Some(value) }
}

#[cfg(test)]
mod tests;
