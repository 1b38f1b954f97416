//! Writes documents as JSON text, tight or indented.
//!
//! Text stays as it is, but for what JSON has to escape; a float is written with the fewest
//! digits that read back as the same, and with a fraction, so that it stays a float.

use super::document::{Node, Value};
use super::{JsonError, TEXT_BYTES};

/// What JSON.GET puts between values.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout<'a> {
    /// Before each value, once for each level.
    pub indent: &'a [u8],
    /// Between a container's parts.
    pub newline: &'a [u8],
    /// Behind a colon.
    pub space: &'a [u8],
}

/// A text in the making.
#[derive(Debug, Default)]
pub struct Printer<'a> {
    layout: Layout<'a>,
    out: Vec<u8>,
    /// Whether each container that is open has a part yet.
    open: Vec<bool>,
}

/// A value as text, tight.
///
/// # Errors
/// When it is too long.
pub fn print(node: Node<'_>) -> Result<Vec<u8>, JsonError> {
    let mut printer = Printer::new(Layout::default());
    printer.value(node)?;
    Ok(printer.finish())
}

impl<'a> Printer<'a> {
    /// Nothing yet.
    pub fn new(layout: Layout<'a>) -> Printer<'a> {
        Printer { layout, ..Printer::default() }
    }

    /// The text.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Begins a container with its bracket.
    pub fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.open.push(false);
    }

    /// Begins a part of the container that is open: a value of an array, or a key.
    fn part(&mut self) {
        if let Some(begun) = self.open.last_mut() {
            if std::mem::replace(begun, true) {
                self.out.push(b',');
            }
            self.line();
        }
    }

    fn line(&mut self) {
        if !self.layout.newline.is_empty() || !self.layout.indent.is_empty() {
            self.out.extend_from_slice(self.layout.newline);
            for _ in 0..self.open.len() {
                self.out.extend_from_slice(self.layout.indent);
            }
        }
    }

    /// Ends a container with its bracket.
    pub fn close(&mut self, bracket: u8) {
        if self.open.pop() == Some(true) {
            self.line();
        }
        self.out.push(bracket);
    }

    /// A key; its value follows by `behind_key`.
    pub fn key(&mut self, text: &[u8]) {
        self.part();
        self.string(text);
        self.out.push(b':');
        self.out.extend_from_slice(self.layout.space);
    }

    /// A value of the array that is open, or the only one.
    ///
    /// # Errors
    /// When the text gets too long.
    pub fn value(&mut self, node: Node<'_>) -> Result<(), JsonError> {
        self.part();
        self.behind_key(node)
    }

    /// Null, as a value of the array that is open.
    pub fn null(&mut self) {
        self.part();
        self.out.extend_from_slice(b"null");
    }

    /// A value without anything in front of it.
    ///
    /// # Errors
    /// As `value`.
    pub fn behind_key(&mut self, node: Node<'_>) -> Result<(), JsonError> {
        // The containers that are open: where each ends, and its last bracket.
        let mut open: Vec<(usize, u8)> = Vec::new();
        let document = node.document();
        let (mut at, end) = (node.offset(), node.end());
        loop {
            while let Some((end, bracket)) = open.last().copied()
                && at >= end
            {
                open.pop();
                self.close(bracket);
            }
            if at >= end {
                return Ok(());
            }
            if self.out.len() > TEXT_BYTES {
                return Err(JsonError::TextSize);
            }
            match open.last() {
                Some((_, b'}')) => {
                    let key = Node::at(document, at);
                    self.key(key.text());
                    at = key.end();
                }
                Some(_) => self.part(),
                None => {}
            }
            let node = Node::at(document, at);
            at = match node.value() {
                Value::Array(content) => {
                    self.open(b'[');
                    open.push((content.end, b']'));
                    content.start
                }
                Value::Object(content) => {
                    self.open(b'{');
                    open.push((content.end, b'}'));
                    content.start
                }
                scalar => {
                    self.scalar(scalar);
                    node.end()
                }
            };
        }
    }

    fn scalar(&mut self, value: Value<'_>) {
        let mut digits = itoa::Buffer::new();
        match value {
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Integer(number) => self.out.extend_from_slice(digits.format(number).as_bytes()),
            Value::Unsigned(number) => self.out.extend_from_slice(digits.format(number).as_bytes()),
            Value::Float(number) => self.out.extend_from_slice(float(number).as_bytes()),
            Value::String(text) => self.string(text),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                self.out.extend_from_slice(b"null");
            }
        }
    }

    fn string(&mut self, text: &[u8]) {
        self.out.push(b'"');
        let mut plain = 0;
        for (at, byte) in text.iter().enumerate() {
            let escaped: &[u8] = match byte {
                b'"' => b"\\\"",
                b'\\' => b"\\\\",
                b'\n' => b"\\n",
                b'\r' => b"\\r",
                b'\t' => b"\\t",
                8 => b"\\b",
                12 => b"\\f",
                0..0x20 => b"",
                _ => continue,
            };
            self.out.extend_from_slice(&text[plain..at]);
            plain = at + 1;
            if escaped.is_empty() {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let digit = |shift: u8| DIGITS[usize::from(byte >> shift & 15)];
                self.out.extend_from_slice(b"\\u00");
                self.out.extend_from_slice(&[digit(4), digit(0)]);
            } else {
                self.out.extend_from_slice(escaped);
            }
        }
        self.out.extend_from_slice(&text[plain..]);
        self.out.push(b'"');
    }
}

/// A float as JSON has it, an exponent without a plus, as RedisJSON writes it.
pub fn float(number: f64) -> String {
    // Only what is not finite cannot be written, and no document has that.
    serde_json::to_string(&number).unwrap_or_default().replace("e+", "e")
}
