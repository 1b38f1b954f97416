//! The reply sink of the REST door: JSON, straight into the response.
//!
//! Shapes are RESP2's, because clients of the dialect take nothing but null, integers, strings
//! and arrays: a map is a flat array, a double a string. With `Upstash-Encoding: base64` every
//! string is encoded but one, a status `OK` at the top: clients look for it before they decode.
//!
//! Left out on purpose: a check that an aggregate gets as many elements as it announced; that
//! is what handlers are tested for, over every door.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use smallvec::SmallVec;

use crate::config::BigIntegers;
use crate::resp::Reply;
use crate::value::number::format_double;

/// How strings are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As text; what is no UTF-8 becomes U+FFFD.
    #[default]
    Plain,
    /// In base64, so that every byte survives.
    Base64,
}

/// What the reply stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    /// An object of its own.
    Whole,
    /// A transaction's array, which the next piece has to open.
    Unopened,
    /// That array, with so many objects to come.
    Items(usize),
}

/// The largest integer that every JSON reader keeps exact: 2^53 - 1.
const EXACT: u64 = (1 << 53) - 1;

/// Writes `{"result": ...}` or `{"error": ...}`. See the module's description.
#[derive(Debug)]
pub struct JsonReply<'a> {
    out: &'a mut Vec<u8>,
    encoding: Encoding,
    frame: Frame,
    /// Elements that each open array still expects.
    open: SmallVec<[usize; 8]>,
    failed: bool,
    /// Bytes up to which `out` may grow.
    most: usize,
    /// Where the present object begins in `out`.
    start: usize,
    /// How integers are written that not every reader keeps exact.
    big: BigIntegers,
}

/// Instead of an answer that outgrows its bound.
pub(super) const TOO_LARGE: &str = "ERR max response size exceeded: the command was run, its answer is too \
                         large to be sent";

impl<'a> JsonReply<'a> {
    /// A sink that appends one reply, an object, to `out`.
    pub fn new(out: &'a mut Vec<u8>, encoding: Encoding) -> Self {
        let start = out.len();
        JsonReply {
            out,
            encoding,
            frame: Frame::Whole,
            open: SmallVec::new(),
            failed: false,
            most: usize::MAX,
            start,
            big: BigIntegers::String,
        }
    }

    /// Says how integers are written that not every reader keeps exact.
    #[must_use]
    pub fn big_integers(self, big: BigIntegers) -> Self {
        JsonReply { big, ..self }
    }

    /// Bounds the buffer: an object that takes it beyond `most` bytes becomes an error, and what
    /// is longer than that is not gathered first.
    #[must_use]
    pub fn bounded(self, most: usize) -> Self {
        JsonReply { most, ..self }
    }

    /// A sink for a transaction's reply: an array with an object for each of its elements.
    pub fn items(out: &'a mut Vec<u8>, encoding: Encoding) -> Self {
        JsonReply { frame: Frame::Unopened, ..JsonReply::new(out, encoding) }
    }

    /// Whether the reply as a whole is an error.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// What stands before a value.
    fn begin(&mut self) {
        match self.open.last() {
            None => self.out.extend_from_slice(b"{\"result\":"),
            Some(_) if self.out.last() != Some(&b'[') => self.out.push(b','),
            Some(_) => {}
        }
    }

    /// What stands behind a value: the ends of all arrays that it was the last of.
    fn end(&mut self) {
        while let Some(left) = self.open.last_mut() {
            *left = left.saturating_sub(1);
            if *left > 0 {
                return;
            }
            self.out.push(b']');
            self.open.pop();
        }
        self.out.push(b'}');
        if self.out.len() > self.most {
            self.replace();
        }
        if let Frame::Items(left) = &mut self.frame {
            *left = left.saturating_sub(1);
            self.out.push(if *left > 0 { b',' } else { b']' });
            self.start = self.out.len();
        }
    }

    /// Puts an error in the place of the present object.
    #[cold]
    fn replace(&mut self) {
        self.failed = !matches!(self.frame, Frame::Items(_));
        self.out.truncate(self.start);
        self.out.extend_from_slice(b"{\"error\":");
        write_string(self.out, TOO_LARGE.as_bytes());
        self.out.push(b'}');
    }

    fn aggregate(&mut self, length: usize) {
        if self.frame == Frame::Unopened {
            self.frame = Frame::Items(length);
            self.out.extend_from_slice(if length == 0 { b"[]" } else { b"[" });
            self.start = self.out.len();
            return;
        }
        self.begin();
        self.out.push(b'[');
        if length == 0 {
            self.out.push(b']');
            self.end();
        } else {
            self.open.push(length);
        }
    }

    fn string(&mut self, bytes: &[u8]) {
        if self.out.len() > self.most {
            // The object is too large already, and will be replaced.
            return;
        }
        match self.encoding {
            Encoding::Plain => write_string(self.out, bytes),
            Encoding::Base64 => write_base64(self.out, bytes),
        }
    }
}

impl Reply for JsonReply<'_> {
    fn status(&mut self, text: &str) {
        let bare = self.open.is_empty() && text == "OK";
        self.begin();
        if bare {
            self.out.extend_from_slice(b"\"OK\"");
        } else {
            self.string(text.as_bytes());
        }
        self.end();
    }

    fn error(&mut self, text: &str) {
        if !self.open.is_empty() {
            // The dialect has no error inside of an array; it is an element like any other.
            return self.bulk(text.as_bytes());
        }
        self.failed = !matches!(self.frame, Frame::Items(_));
        self.out.extend_from_slice(b"{\"error\":");
        write_string(self.out, text.as_bytes());
        self.end();
    }

    fn integer(&mut self, value: i64) {
        self.begin();
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(value).as_bytes();
        if value.unsigned_abs() > EXACT && self.big == BigIntegers::String {
            self.string(digits);
        } else {
            self.out.extend_from_slice(digits);
        }
        self.end();
    }

    fn bulk(&mut self, bytes: &[u8]) {
        self.begin();
        self.string(bytes);
        self.end();
    }

    fn null(&mut self) {
        self.begin();
        self.out.extend_from_slice(b"null");
        self.end();
    }

    fn null_array(&mut self) {
        self.null();
    }

    fn array(&mut self, length: usize) {
        self.aggregate(length);
    }

    fn map(&mut self, pairs: usize) {
        self.aggregate(pairs.saturating_mul(2));
    }

    fn set(&mut self, length: usize) {
        self.aggregate(length);
    }

    fn double(&mut self, value: f64) {
        self.bulk(format_double(value).as_bytes());
    }

    fn verbatim(&mut self, text: &str) {
        self.bulk(text.as_bytes());
    }
}

/// Appends `{"error": text}`.
pub fn write_error(out: &mut Vec<u8>, text: &str) {
    JsonReply::new(out, Encoding::Plain).error(text);
}

/// Appends bytes as a JSON string; each sequence that is no UTF-8 becomes U+FFFD.
pub fn write_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    // What is UTF-8 throughout is found out faster than where it is not.
    match std::str::from_utf8(bytes) {
        Ok(text) => write_text(out, text.as_bytes()),
        Err(_) => write_lossy(out, bytes),
    }
    out.push(b'"');
}

#[cold]
fn write_lossy(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        write_text(out, chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Bytes that are looked at together.
const LANES: usize = 32;

/// Appends the inside of a JSON string.
fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    let (chunks, rest) = text.as_chunks::<LANES>();
    for chunk in chunks {
        // Without a branch per byte, the compiler does this with vectors.
        if chunk.iter().fold(false, |found, byte| found | needs_escape(*byte)) {
            write_escaped(out, chunk);
        } else {
            out.extend_from_slice(chunk);
        }
    }
    write_escaped(out, rest);
}

#[inline]
fn needs_escape(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn write_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut plain = 0;
    for (at, byte) in text.iter().enumerate() {
        if needs_escape(*byte) {
            out.extend_from_slice(&text[plain..at]);
            plain = at + 1;
            write_escape(out, *byte);
        }
    }
    out.extend_from_slice(&text[plain..]);
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let start = out.len();
    // Four characters for every three bytes begun.
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
    out.push(b'"');
}

#[cfg(test)]
mod tests;
