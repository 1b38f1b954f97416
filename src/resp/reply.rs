//! The reply sink: a command describes its answer once, whatever door it came through.
//!
//! `Reply` has one implementation for each form of answer: RESP2 and RESP3 here, JSON in
//! `rest`, nothing at all for the leader's own stream. No tree is built between a command
//! and the bytes of its answer. A line break inside a status or an error would let one reply
//! pass for two (CVE-2025-67733), so it is replaced here and not left to callers.

/// Where a command's answer goes, piece by piece, in the order of the protocol: an aggregate
/// is announced with its length, and then its elements follow.
pub trait Reply {
    /// A short text of the server's own: `OK`, `PONG`, `QUEUED`.
    fn status(&mut self, text: &str);
    /// A failure: an upper-case code, a blank, and what is wrong.
    fn error(&mut self, text: &str);
    /// A whole number.
    fn integer(&mut self, value: i64);
    /// Bytes of the user's.
    fn bulk(&mut self, bytes: &[u8]);
    /// No value.
    fn null(&mut self);
    /// No array: RESP2 tells it from "no value".
    fn null_array(&mut self);
    /// An array of `length` replies that follow.
    fn array(&mut self, length: usize);
    /// `pairs` keys and values that follow, alternating.
    fn map(&mut self, pairs: usize);
    /// `length` members, in no order, that follow.
    fn set(&mut self, length: usize);
    /// A message of `length` parts that follow, which is no answer to a request: RESP3 tells it
    /// from one, elsewhere it is an array.
    fn push(&mut self, length: usize) {
        self.array(length);
    }
    /// A floating point number.
    fn double(&mut self, value: f64);
    /// Text for a person to read, such as INFO's.
    fn verbatim(&mut self, text: &str);

    /// Text of `format`, three letters, for a person to read.
    fn verbatim_as(&mut self, format: &[u8], bytes: &[u8]) {
        let _ = format;
        self.bulk(bytes);
    }

    /// A truth: 1 or 0 where the protocol has none.
    fn boolean(&mut self, value: bool) {
        self.integer(value.into());
    }

    /// A whole number of any size, in digits.
    fn big_number(&mut self, digits: &str) {
        self.bulk(digits.as_bytes());
    }

    /// A floating point number in a form of the command's own.
    fn decimal(&mut self, text: &str) {
        self.bulk(text.as_bytes());
    }

    /// A whole number in the form of a bulk string: what GET says of a counter.
    fn bulk_integer(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// `OK`.
    fn ok(&mut self) {
        self.status("OK");
    }

    /// An array of bulk strings.
    fn bulks(&mut self, items: &[&[u8]]) {
        self.array(items.len());
        for item in items {
            self.bulk(item);
        }
    }

    /// An array of whole numbers; one call through the sink instead of one for each.
    fn integers(&mut self, values: &[i64]) {
        self.array(values.len());
        for value in values {
            self.integer(*value);
        }
    }

    /// The version that the answer is read as, for the few commands whose answers differ in
    /// more than RESP3's extra types. JSON has the shapes of RESP2.
    fn protocol(&self) -> Protocol {
        Protocol::V2
    }

    /// Switches the form of what follows; only HELLO does. Doors with one form ignore it.
    fn set_protocol(&mut self, protocol: Protocol) {
        let _ = protocol;
    }
}

/// The version of the Redis protocol that a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2: what a client gets that has not said HELLO 3.
    #[default]
    V2,
    /// RESP3.
    V3,
}

/// The numbers of an array that is written at once, and its first line.
const FEW: usize = 5;
const FEW_HEAD: &[u8; 4] = b"*5\r\n";

/// The most bytes of such an array: a line has its kind, a sign, nineteen digits and its end.
const FEW_BYTES: usize = FEW_HEAD.len() + FEW * 23;

/// Text that is put together from its end.
struct Backwards {
    bytes: [u8; FEW_BYTES],
    /// Where it begins.
    from: usize,
}

impl Backwards {
    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.from -= N;
        self.bytes[self.from..self.from + N].copy_from_slice(&bytes);
    }

    /// Puts a number, two digits at a time.
    #[inline]
    fn put_digits(&mut self, mut rest: u64) {
        while rest >= 100 {
            self.put(PAIRS[(rest % 100) as usize]);
            rest /= 100;
        }
        match rest {
            0..10 => self.put([b'0' + rest as u8]),
            _ => self.put(PAIRS[rest as usize]),
        }
    }
}

/// The digits of the numbers below a hundred.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// Writes replies as RESP2 or RESP3 into a buffer.
#[derive(Debug)]
pub struct RespReply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
    /// Bytes that `out` may hold.
    most: usize,
    cut: bool,
}

impl<'a> RespReply<'a> {
    /// A sink that appends to `out`.
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        RespReply::bounded(out, protocol, usize::MAX)
    }

    /// A sink that appends to `out` as long as it holds no more than `most` bytes. What comes
    /// after that is left out, so that a small request for much costs no more than that.
    pub fn bounded(out: &'a mut Vec<u8>, protocol: Protocol, most: usize) -> Self {
        RespReply { out, protocol, most, cut: false }
    }

    /// Whether something was left out: what `out` holds is then no whole reply.
    #[inline]
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    #[inline]
    fn has_room(&mut self, bytes: usize) -> bool {
        self.cut |= bytes > self.most.saturating_sub(self.out.len());
        !self.cut
    }

    fn header(&mut self, kind: u8, length: usize) {
        self.out.push(kind);
        self.digits(i64::try_from(length).unwrap_or(i64::MAX));
    }

    fn digits(&mut self, value: i64) {
        // One digit is what lengths and small answers mostly are.
        if let Ok(digit @ 0..=9) = u8::try_from(value) {
            self.out.extend_from_slice(&[b'0' + digit, b'\r', b'\n']);
            return;
        }
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// Whole numbers as an array, put together from its end and appended at once: most answers of rate limits
    /// are this one.
    fn few_integers(&mut self, values: &[i64; FEW]) {
        let mut lines = Backwards { bytes: [0; FEW_BYTES], from: FEW_BYTES };
        for value in values.iter().rev() {
            lines.put(*b"\r\n");
            lines.put_digits(value.unsigned_abs());
            if *value < 0 {
                lines.put(*b"-");
            }
            lines.put(*b":");
        }
        lines.put(*FEW_HEAD);
        self.out.extend_from_slice(&lines.bytes[lines.from..]);
    }

    fn line(&mut self, kind: u8, text: &str) {
        if !self.has_room(text.len()) {
            return;
        }
        self.out.push(kind);
        let start = self.out.len();
        self.out.extend_from_slice(text.as_bytes());
        for byte in &mut self.out[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.out.extend_from_slice(b"\r\n");
    }
}

impl Reply for RespReply<'_> {
    fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    fn status(&mut self, text: &str) {
        self.line(b'+', text);
    }

    fn error(&mut self, text: &str) {
        // Redis cuts off line ends, of which an argument in the text may have some.
        self.line(b'-', text.trim_end_matches(['\r', '\n']));
    }

    fn integer(&mut self, value: i64) {
        self.out.push(b':');
        self.digits(value);
    }

    fn integers(&mut self, values: &[i64]) {
        match values.first_chunk::<FEW>() {
            Some(few) if values.len() == FEW => self.few_integers(few),
            _ => {
                self.array(values.len());
                values.iter().for_each(|value| self.integer(*value));
            }
        }
    }

    fn bulk(&mut self, bytes: &[u8]) {
        if !self.has_room(bytes.len()) {
            return;
        }
        self.out.reserve(bytes.len() + 24);
        self.header(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    fn null(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::V2 => b"$-1\r\n",
            Protocol::V3 => b"_\r\n",
        });
    }

    fn null_array(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::V2 => b"*-1\r\n",
            Protocol::V3 => b"_\r\n",
        });
    }

    fn array(&mut self, length: usize) {
        self.header(b'*', length);
    }

    fn push(&mut self, length: usize) {
        let kind = if self.protocol == Protocol::V3 { b'>' } else { b'*' };
        self.header(kind, length);
    }

    fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::V2 => self.header(b'*', pairs * 2),
            Protocol::V3 => self.header(b'%', pairs),
        }
    }

    fn set(&mut self, length: usize) {
        match self.protocol {
            Protocol::V2 => self.header(b'*', length),
            Protocol::V3 => self.header(b'~', length),
        }
    }

    fn double(&mut self, value: f64) {
        let text = crate::value::number::format_double(value);
        match self.protocol {
            Protocol::V2 => self.bulk(text.as_bytes()),
            Protocol::V3 => self.line(b',', &text),
        }
    }

    fn decimal(&mut self, text: &str) {
        match self.protocol {
            Protocol::V2 => self.bulk(text.as_bytes()),
            Protocol::V3 => self.line(b',', text),
        }
    }

    fn verbatim(&mut self, text: &str) {
        self.verbatim_as(b"txt", text.as_bytes());
    }

    fn verbatim_as(&mut self, format: &[u8], bytes: &[u8]) {
        match self.protocol {
            Protocol::V2 => self.bulk(bytes),
            Protocol::V3 => {
                if !self.has_room(bytes.len()) {
                    return;
                }
                // Three letters always: a longer name is cut, a shorter one filled up.
                let letter = |at: usize| format.get(at).copied().unwrap_or(b' ');
                self.header(b'=', bytes.len() + 4);
                self.out.extend_from_slice(&[letter(0), letter(1), letter(2), b':']);
                self.out.extend_from_slice(bytes);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    fn boolean(&mut self, value: bool) {
        match self.protocol {
            Protocol::V2 => self.integer(value.into()),
            Protocol::V3 => self.out.extend_from_slice(if value { b"#t\r\n" } else { b"#f\r\n" }),
        }
    }

    fn big_number(&mut self, digits: &str) {
        match self.protocol {
            Protocol::V2 => self.bulk(digits.as_bytes()),
            Protocol::V3 => self.line(b'(', digits),
        }
    }

    fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }
}

/// Drops every answer: the leader does not read what a replica thinks of its stream.
#[derive(Debug, Default)]
pub struct Silent {
    /// The first error that would have been answered, for the log.
    pub error: Option<String>,
}

impl Reply for Silent {
    fn status(&mut self, _: &str) {}
    fn error(&mut self, text: &str) {
        self.error.get_or_insert_with(|| text.to_owned());
    }
    fn integer(&mut self, _: i64) {}
    fn bulk(&mut self, _: &[u8]) {}
    fn null(&mut self) {}
    fn null_array(&mut self) {}
    fn array(&mut self, _: usize) {}
    fn map(&mut self, _: usize) {}
    fn set(&mut self, _: usize) {}
    fn double(&mut self, _: f64) {}
    fn verbatim(&mut self, _: &str) {}
}

/// Appends a command as clients, the log and replicas send it: an array of bulk strings.
pub fn encode_command(out: &mut Vec<u8>, argv: &[&[u8]]) {
    let mut reply = RespReply::new(out, Protocol::V2);
    reply.bulks(argv);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one_by_one(values: &[i64]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut reply = RespReply::new(&mut out, Protocol::V2);
        reply.array(values.len());
        values.iter().for_each(|value| reply.integer(*value));
        out
    }

    fn together(values: &[i64]) -> Vec<u8> {
        let mut out = Vec::new();
        RespReply::new(&mut out, Protocol::V2).integers(values);
        out
    }

    #[test]
    fn numbers_together_are_written_as_one_by_one() {
        for values in [&[i64::MIN; 5][..], &[i64::MAX; 5], &[0, 9, 10, -1, -10], &[7; 4], &[]] {
            assert_eq!(together(values), one_by_one(values));
        }
    }

    proptest! {
        #[test]
        fn any_five(values: [i64; 5], by in 0u32..63) {
            let values = values.map(|value| value >> by);
            prop_assert_eq!(together(&values), one_by_one(&values));
        }
    }
}
