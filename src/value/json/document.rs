//! The layout of a document, and how it is read.
//!
//! A value is one byte, its tag, and what follows:
//!
//! | tag | value |
//! |---|---|
//! | 0 to 2 | null, false, true |
//! | 3 to 6 | an integer in 1, 2, 4 or 8 bytes, signed |
//! | 7 | an integer beyond those, in 8 bytes, unsigned |
//! | 8, 9 | a float in 4 bytes, where these are exact; in 8 |
//! | 10, 11 | a string, behind its length in 2 or 4 bytes |
//! | 12 to 14 | an array: bytes of its content and number of its values in 1, 2 or 4 bytes each |
//! | 15 to 17 | an object, likewise; a key is a string |
//! | 32 to 95 | an integer from 0 to 63 |
//! | 128 to 255 | a string of 0 to 127 bytes |
//!
//! Numbers are little-endian. Every value has one form, the shortest, so equal scalars are equal
//! bytes.

use std::collections::HashMap;

/// Tags; see the description of the module.
pub(super) const NULL: u8 = 0;
pub(super) const FALSE: u8 = 1;
pub(super) const TRUE: u8 = 2;
pub(super) const INT8: u8 = 3;
pub(super) const INT16: u8 = 4;
pub(super) const INT32: u8 = 5;
pub(super) const INT64: u8 = 6;
pub(super) const UINT64: u8 = 7;
pub(super) const FLOAT32: u8 = 8;
pub(super) const FLOAT64: u8 = 9;
pub(super) const STRING16: u8 = 10;
pub(super) const STRING32: u8 = 11;
pub(super) const ARRAY: u8 = 12;
pub(super) const OBJECT: u8 = 15;
const OBJECT_LAST: u8 = 17;
pub(super) const SMALL: u8 = 32;
pub(super) const SMALL_LAST: u8 = 95;
pub(super) const SHORT: u8 = 128;
/// The longest string whose length the tag has.
pub(super) const SHORT_BYTES: usize = 127;

/// Bytes of one of the two numbers of a container, by the distance of its tag to the first.
pub(super) const WIDTHS: [usize; 3] = [1, 2, 4];

/// What JSON.TYPE says of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Null,
    /// True or false.
    Boolean,
    /// A number without a fraction, as it was written.
    Integer,
    /// A number with one.
    Number,
    /// Text.
    String,
    /// Values in an order.
    Array,
    /// Values by their keys.
    Object,
}

impl Kind {
    /// The name that JSON.TYPE answers.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Boolean => "boolean",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::String => "string",
            Kind::Array => "array",
            Kind::Object => "object",
        }
    }
}

/// A value, as far as one step reads it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// True or false.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// An integer beyond those.
    Unsigned(u64),
    /// A float.
    Float(f64),
    /// Text, in UTF-8.
    String(&'a [u8]),
    /// An array.
    Array(Content<'a>),
    /// An object.
    Object(Content<'a>),
}

/// What a container holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content<'a> {
    document: &'a [u8],
    /// Where the first value, or key, begins.
    pub start: usize,
    /// Where the last one ends.
    pub end: usize,
    /// How many values there are.
    pub count: usize,
}

/// A value and where it stands in its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'a> {
    document: &'a [u8],
    at: usize,
}

impl<'a> Node<'a> {
    /// The whole of a document.
    pub fn root(document: &'a [u8]) -> Node<'a> {
        Node { document, at: 0 }
    }

    /// The value that begins at a byte of a document, where one does.
    pub fn at(document: &'a [u8], at: usize) -> Node<'a> {
        Node { document, at }
    }

    /// Where the value begins.
    pub fn offset(self) -> usize {
        self.at
    }

    /// The document that it is in.
    pub fn document(self) -> &'a [u8] {
        self.document
    }

    /// Its bytes: a document of its own.
    pub fn bytes(self) -> &'a [u8] {
        &self.document[self.at..self.end()]
    }

    #[inline]
    fn tag(self) -> u8 {
        self.document[self.at]
    }

    /// The number of `width` bytes that begins `behind` bytes behind the tag.
    #[inline]
    fn number(self, behind: usize, width: usize) -> u64 {
        let start = self.at + 1 + behind;
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(&self.document[start..start + width]);
        u64::from_le_bytes(bytes)
    }

    #[inline]
    fn length(self, width: usize) -> usize {
        // At most four bytes, or the length of something in memory.
        self.number(0, width) as usize
    }

    /// The byte behind the value.
    #[inline]
    pub fn end(self) -> usize {
        let tag = self.tag();
        let behind = match tag {
            SHORT.. => usize::from(tag - SHORT),
            INT8 => 1,
            INT16 => 2,
            INT32 | FLOAT32 => 4,
            INT64 | UINT64 | FLOAT64 => 8,
            STRING16 => 2 + self.length(2),
            STRING32 => 4 + self.length(4),
            ARRAY..=OBJECT_LAST => {
                let width = WIDTHS[usize::from(tag - ARRAY) % 3];
                2 * width + self.length(width)
            }
            _ => 0,
        };
        self.at + 1 + behind
    }

    /// What it is.
    #[inline]
    pub fn value(self) -> Value<'a> {
        let tag = self.tag();
        match tag {
            NULL => Value::Null,
            FALSE => Value::Boolean(false),
            TRUE => Value::Boolean(true),
            SMALL..=SMALL_LAST => Value::Integer(i64::from(tag - SMALL)),
            INT8 => Value::Integer(i64::from(self.number(0, 1) as u8 as i8)),
            INT16 => Value::Integer(i64::from(self.number(0, 2) as u16 as i16)),
            INT32 => Value::Integer(i64::from(self.number(0, 4) as u32 as i32)),
            INT64 => Value::Integer(self.number(0, 8) as i64),
            UINT64 => Value::Unsigned(self.number(0, 8)),
            FLOAT32 => Value::Float(f64::from(f32::from_bits(self.number(0, 4) as u32))),
            FLOAT64 => Value::Float(f64::from_bits(self.number(0, 8))),
            ARRAY..OBJECT => Value::Array(self.content(WIDTHS[usize::from(tag - ARRAY)])),
            OBJECT..=OBJECT_LAST => Value::Object(self.content(WIDTHS[usize::from(tag - OBJECT)])),
            _ => Value::String(self.text()),
        }
    }

    fn content(self, width: usize) -> Content<'a> {
        let start = self.at + 1 + 2 * width;
        let end = start + self.length(width);
        let count = self.number(width, width) as usize;
        Content { document: self.document, start, end, count }
    }

    /// The bytes of a string, or of a key.
    #[inline]
    pub fn text(self) -> &'a [u8] {
        let end = self.end();
        let width = match self.tag() {
            STRING16 => 2,
            STRING32 => 4,
            _ => 0,
        };
        &self.document[self.at + 1 + width..end]
    }

    /// Its kind.
    pub fn kind(self) -> Kind {
        match self.value() {
            Value::Null => Kind::Null,
            Value::Boolean(_) => Kind::Boolean,
            Value::Integer(_) | Value::Unsigned(_) => Kind::Integer,
            Value::Float(_) => Kind::Number,
            Value::String(_) => Kind::String,
            Value::Array(_) => Kind::Array,
            Value::Object(_) => Kind::Object,
        }
    }

    /// The string that it is.
    pub fn as_string(self) -> Option<&'a [u8]> {
        match self.value() {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The array that it is.
    pub fn as_array(self) -> Option<Content<'a>> {
        match self.value() {
            Value::Array(content) => Some(content),
            _ => None,
        }
    }

    /// The object that it is.
    pub fn as_object(self) -> Option<Content<'a>> {
        match self.value() {
            Value::Object(content) => Some(content),
            _ => None,
        }
    }

    /// Whether two values are the same, whatever the order of the keys of objects.
    pub fn equals(self, other: Node<'_>) -> bool {
        // Goes down as deep as documents are.
        match (self.value(), other.value()) {
            (Value::Array(one), Value::Array(two)) => {
                one.count == two.count && one.values().zip(two.values()).all(|(a, b)| a.equals(b))
            }
            (Value::Object(one), Value::Object(two)) => {
                one.count == two.count && {
                    let others: HashMap<&[u8], Node<'_>> = two.members().collect();
                    one.members().all(|(key, value)| {
                        others.get(key).is_some_and(|other| value.equals(*other))
                    })
                }
            }
            _ => self.bytes() == other.bytes(),
        }
    }

    /// How many containers are in one another, this one included; 0 for a scalar.
    pub fn depth(self) -> usize {
        let mut deepest = 0;
        // Where each of the containers that are open ends.
        let mut open: Vec<usize> = Vec::new();
        let mut at = self.at;
        let end = self.end();
        // Keys are strings: they count for nothing.
        while at < end {
            while open.last().is_some_and(|end| at >= *end) {
                open.pop();
            }
            let node = Node::at(self.document, at);
            at = match node.value() {
                Value::Array(content) | Value::Object(content) => {
                    open.push(content.end);
                    deepest = deepest.max(open.len());
                    content.start
                }
                _ => node.end(),
            };
        }
        deepest
    }
}

impl<'a> Content<'a> {
    /// The values of an array.
    pub fn values(self) -> Values<'a> {
        Values { document: self.document, at: self.start, end: self.end }
    }

    /// The keys and values of an object.
    pub fn members(self) -> Members<'a> {
        Members { document: self.document, at: self.start, end: self.end }
    }

    /// The value of an object under a key.
    pub fn get(self, key: &[u8]) -> Option<Node<'a>> {
        self.members().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The place that an index means, from the end if negative.
    pub fn place(self, index: i64) -> Option<usize> {
        let count = i64::try_from(self.count).ok()?;
        let place = if index < 0 { index.checked_add(count)? } else { index };
        usize::try_from(place).ok().filter(|place| *place < self.count)
    }

    /// The value of an array at an index, from the end if negative.
    pub fn nth(self, index: i64) -> Option<Node<'a>> {
        self.values().nth(self.place(index)?)
    }
}

/// See [`Content::values`].
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    document: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Iterator for Values<'a> {
    type Item = Node<'a>;

    #[inline]
    fn next(&mut self) -> Option<Node<'a>> {
        if self.at >= self.end {
            return None;
        }
        let node = Node::at(self.document, self.at);
        self.at = node.end();
        Some(node)
    }
}

/// See [`Content::members`].
#[derive(Clone, Copy, Debug)]
pub struct Members<'a> {
    document: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], Node<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let key = Node::at(self.document, self.at);
        let value = Node::at(self.document, key.end());
        self.at = value.end();
        Some((key.text(), value))
    }
}
