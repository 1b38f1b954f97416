//! Replies of another node, as they come in on a link of this node's own.
//!
//! [`Measure`] finds where a reply ends, however its bytes were split on the way; [`relay`] gives
//! a whole one to a sink of any form. Both are loops: what is nested is a number of values that
//! are still to come, so depth costs nothing.
//!
//! Left out on purpose: a tree of values. Whoever asks for a reply in the protocol of its client
//! passes the bytes on as they are.

use super::Reply;

/// Bytes of one line: far more than any error or number takes.
const LINE_BYTES: usize = 1024 * 1024;

/// The other side's bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no reply of the Redis protocol")]
pub struct Malformed;

/// Where a reply ends. It remembers how far it has looked.
#[derive(Debug)]
pub struct Measure {
    at: usize,
    /// Values that are still to come.
    left: u64,
}

impl Default for Measure {
    fn default() -> Measure {
        Measure { at: 0, left: 1 }
    }
}

impl Measure {
    /// The length of the reply that `bytes` begin with, once all of it is there. Of each call the
    /// bytes are those of the last one, and more.
    ///
    /// # Errors
    /// When they are none.
    pub fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        while self.left > 0 {
            let Some((piece, end)) = piece(bytes, self.at)? else { return Ok(None) };
            let (adds, takes) = match piece {
                Piece::Values(count) => (count, 1),
                Piece::Aside(count) => (count, 0),
                _ => (0, 1),
            };
            self.left = (self.left - takes).checked_add(adds).ok_or(Malformed)?;
            self.at = end;
        }
        Ok(Some(self.at))
    }
}

/// One element of a reply: a value, or the head of several.
enum Piece<'a> {
    Status(&'a [u8]),
    Error(&'a [u8]),
    Integer(i64),
    Bulk(&'a [u8]),
    Verbatim(&'a [u8]),
    Double(&'a [u8]),
    Big(&'a [u8]),
    Boolean(bool),
    Null,
    NullArray,
    /// An array, a set, a map or a push, with so many values.
    Values(u64),
    /// An attribute, which is no value itself.
    Aside(u64),
}

/// The piece at `at` and where it ends, if it is whole.
fn piece(bytes: &[u8], at: usize) -> Result<Option<(Piece<'_>, usize)>, Malformed> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(end) = memchr::memchr(b'\r', rest) else {
        return if rest.len() > LINE_BYTES { Err(Malformed) } else { Ok(None) };
    };
    match rest.get(end + 1) {
        None => return Ok(None),
        Some(b'\n') => {}
        Some(_) => return Err(Malformed),
    }
    let Some((kind, line)) = rest[..end].split_first() else { return Err(Malformed) };
    let behind = at + end + 2;
    let text = || std::str::from_utf8(line).map_err(|_| Malformed);
    let number = || text()?.parse::<i64>().map_err(|_| Malformed);
    let piece = match kind {
        b'+' => Piece::Status(line),
        b'-' => Piece::Error(line),
        b':' => Piece::Integer(number()?),
        b',' => Piece::Double(line),
        b'(' => Piece::Big(line),
        b'#' => Piece::Boolean(line == b"t"),
        b'_' => Piece::Null,
        b'$' | b'=' | b'!' => {
            let length = number()?;
            if length == -1 {
                return Ok(Some((Piece::Null, behind)));
            }
            let length = usize::try_from(length).map_err(|_| Malformed)?;
            let end = behind.checked_add(length).ok_or(Malformed)?;
            let Some(line_end) = bytes.get(end..end.saturating_add(2)) else { return Ok(None) };
            if line_end != b"\r\n" {
                return Err(Malformed);
            }
            let body = &bytes[behind..end];
            let piece = match kind {
                b'=' => Piece::Verbatim(body),
                b'!' => Piece::Error(body),
                _ => Piece::Bulk(body),
            };
            return Ok(Some((piece, end + 2)));
        }
        b'*' | b'~' | b'>' | b'%' | b'|' => match number()? {
            -1 => Piece::NullArray,
            count => {
                let count = u64::try_from(count).map_err(|_| Malformed)?;
                match kind {
                    b'%' => Piece::Values(count.checked_mul(2).ok_or(Malformed)?),
                    b'|' => Piece::Aside(count.checked_mul(2).ok_or(Malformed)?),
                    _ => Piece::Values(count),
                }
            }
        },
        _ => return Err(Malformed),
    };
    Ok(Some((piece, behind)))
}

/// Gives the values of `bytes`, of which each is whole, to a sink.
pub fn relay(bytes: &[u8], reply: &mut dyn Reply) {
    let mut at = 0;
    while let Ok(Some((piece, end))) = piece(bytes, at) {
        match piece {
            Piece::Status(b"OK") => reply.ok(),
            Piece::Status(line) => reply.status(&String::from_utf8_lossy(line)),
            Piece::Error(line) => reply.error(&String::from_utf8_lossy(line)),
            Piece::Integer(value) => reply.integer(value),
            Piece::Bulk(body) => reply.bulk(body),
            Piece::Verbatim(body) => {
                let (format, text) = body.split_at_checked(4).unwrap_or((b"txt:", body));
                reply.verbatim_as(&format[..3], text);
            }
            Piece::Double(line) => reply.decimal(&String::from_utf8_lossy(line)),
            Piece::Big(line) => reply.big_number(&String::from_utf8_lossy(line)),
            Piece::Boolean(value) => reply.boolean(value),
            Piece::Null => reply.null(),
            Piece::NullArray => reply.null_array(),
            // The sink has said of what kind it wants them by the protocol that was asked for.
            Piece::Values(count) => match bytes[at] {
                b'%' => reply.map(usize::try_from(count / 2).unwrap_or(usize::MAX)),
                b'~' => reply.set(usize::try_from(count).unwrap_or(usize::MAX)),
                b'>' => reply.push(usize::try_from(count).unwrap_or(usize::MAX)),
                _ => reply.array(usize::try_from(count).unwrap_or(usize::MAX)),
            },
            Piece::Aside(_) => {}
        }
        at = end;
    }
}

/// The text of a reply that is an error.
pub fn error_text(reply: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
    match piece(reply, 0) {
        Ok(Some((Piece::Error(line), _))) => Some(String::from_utf8_lossy(line)),
        _ => None,
    }
}

/// The integers of a reply that is an array of them, as many as `N`.
pub fn integers<const N: usize>(reply: &[u8]) -> Option<[i64; N]> {
    let Ok(Some((Piece::Values(_), mut at))) = piece(reply, 0) else { return None };
    let mut values = [0; N];
    for value in &mut values {
        let Ok(Some((Piece::Integer(number), end))) = piece(reply, at) else { return None };
        (*value, at) = (number, end);
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::RespReply;
    use crate::resp::reply::Protocol;

    const WHOLE: &[&str] = &[
        "+OK\r\n",
        "-ERR no\r\n",
        ":-5\r\n",
        "$0\r\n\r\n",
        "$3\r\na\r\n\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*2\r\n*1\r\n:1\r\n$1\r\na\r\n",
        "%1\r\n+k\r\n*2\r\n,1.5\r\n#t\r\n",
        "~2\r\n:1\r\n_\r\n",
        "=7\r\ntxt:abc\r\n",
        "(123456789012345678901234567890\r\n",
    ];

    #[test]
    fn the_end_is_found_however_bytes_come() {
        for text in WHOLE {
            let mut measure = Measure::default();
            for length in 0..text.len() {
                assert_eq!(measure.end(&text.as_bytes()[..length]), Ok(None), "{text} {length}");
            }
            let more = format!("{text}+behind\r\n");
            assert_eq!(measure.end(more.as_bytes()), Ok(Some(text.len())), "{text}");
        }
    }

    #[test]
    fn an_attribute_is_no_value() {
        let text = b"|1\r\n+a\r\n:1\r\n+OK\r\n";
        assert_eq!(Measure::default().end(text), Ok(Some(text.len())));
        assert_eq!(Measure::default().end(b"|1\r\n+a\r\n:1\r\n"), Ok(None));
    }

    #[test]
    fn depth_costs_nothing_and_nonsense_is_refused() {
        let mut measure = Measure::default();
        assert_eq!(measure.end("*1\r\n".repeat(100_000).as_bytes()), Ok(None));
        for text in ["x\r\n", "\r\n", "$x\r\n", "$-2\r\n", "$1\r\nabc", "*-2\r\n", "+a\rb", ":\r\n"]
        {
            assert_eq!(Measure::default().end(text.as_bytes()), Err(Malformed), "{text:?}");
        }
        let counts = "*9223372036854775807\r\n".repeat(3);
        assert_eq!(Measure::default().end(counts.as_bytes()), Err(Malformed));
        assert_eq!(Measure::default().end(&vec![b'+'; LINE_BYTES + 2]), Err(Malformed));
    }

    #[test]
    fn what_is_relayed_is_what_came() {
        for text in WHOLE {
            let version =
                if text.starts_with(['%', '~', '=', '(']) { Protocol::V3 } else { Protocol::V2 };
            let mut out = Vec::new();
            relay(text.as_bytes(), &mut RespReply::new(&mut out, version));
            assert_eq!(String::from_utf8_lossy(&out), *text);
        }
        assert_eq!(integers(b"*2\r\n:7\r\n:-1\r\n"), Some([7, -1]));
        assert_eq!(integers::<3>(b"*2\r\n:7\r\n:-1\r\n"), None);
        assert_eq!(error_text(b"-ERR no\r\n").as_deref(), Some("ERR no"));
        assert_eq!(error_text(b"+OK\r\n"), None);
    }
}
