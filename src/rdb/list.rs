//! Lists: strings one by one, or packed into nodes as ziplists or listpacks.

use super::code;
use super::cursor::{Cursor, Stop};
use super::error::{Broken, Error, ErrorKind};
use super::listpack::{self, Listpack};
use super::packed::Element;
use super::string::write_string;
use super::texts::Texts;
use super::value::{Decoded, Limits, Skipped, Value};
use super::write::{Compression, Encode, write_length};
use super::ziplist;

/// The node is one string.
const PLAIN: u64 = 1;
/// The node is a listpack.
const PACKED: u64 = 2;

/// Redis' bound of a node when CONFIG does not say another (`list-max-listpack-size -2`).
const NODE_BYTES: usize = 8192;
/// What Redis reckons with for an element besides its string (`SIZE_ESTIMATE_OVERHEAD`).
const ELEMENT_OVERHEAD: usize = 8;

/// A list value as nodes of listpacks, from an iterator over its elements.
///
/// Elements are distributed over nodes as Redis does that is given them one after the other.
#[derive(Debug, Clone)]
pub struct ListValue<I>(
    /// The elements.
    pub I,
);

impl<I, T> Encode for ListValue<I>
where
    I: Iterator<Item = T>,
    T: AsRef<[u8]>,
{
    fn type_byte(&self) -> u8 {
        code::TYPE_LIST_QUICKLIST_2
    }

    fn encode(self, out: &mut Vec<u8>, compression: Compression) {
        let start = out.len();
        // The number of nodes, once it is known: mostly it needs this one byte.
        out.push(0);
        let mut nodes = Nodes { out, compression, count: 0, packed: Listpack::new() };
        for text in self.0 {
            nodes.add(text.as_ref());
        }
        nodes.end_packed();
        let mut count = Vec::new();
        write_length(&mut count, nodes.count);
        out.splice(start..=start, count);
    }
}

/// The nodes of a list that is being written.
struct Nodes<'a> {
    out: &'a mut Vec<u8>,
    compression: Compression,
    count: u64,
    packed: Listpack,
}

impl Nodes<'_> {
    fn add(&mut self, text: &[u8]) {
        let size = self.packed.as_bytes().len().saturating_add(text.len()) + ELEMENT_OVERHEAD;
        if size > NODE_BYTES {
            self.end_packed();
        }
        // Only the largest do not fit into an empty listpack.
        if self.packed.push(text).is_err() {
            self.begin(PLAIN);
            write_string(self.out, text, self.compression);
        }
    }

    fn end_packed(&mut self) {
        if self.packed.count() > 0 {
            self.begin(PACKED);
            write_string(self.out, self.packed.as_bytes(), self.compression);
            self.packed.clear();
        }
    }

    fn begin(&mut self, container: u64) {
        self.count += 1;
        write_length(self.out, container);
    }
}

/// How a list is laid out.
#[derive(Debug, Clone, Copy)]
enum Layout {
    Strings,
    Ziplist,
    Ziplists,
    Nodes,
}

/// A list, part by part: a string or a node.
#[derive(Debug)]
pub(super) struct Decoder {
    layout: Layout,
    /// Parts still to come; `None` before their number.
    left: Option<u64>,
    texts: Texts,
}

impl Decoder {
    pub(super) fn strings() -> Self {
        Self { layout: Layout::Strings, left: None, texts: Texts::default() }
    }

    pub(super) fn ziplist() -> Self {
        Self { layout: Layout::Ziplist, left: Some(1), ..Self::strings() }
    }

    pub(super) fn ziplists() -> Self {
        Self { layout: Layout::Ziplists, ..Self::strings() }
    }

    pub(super) fn nodes() -> Self {
        Self { layout: Layout::Nodes, ..Self::strings() }
    }

    /// Takes the parts that are there; the whole list once all are.
    pub(super) fn step(
        &mut self,
        cursor: &mut Cursor<'_>,
        limits: &Limits,
    ) -> Result<Decoded, Stop> {
        let mut left = match self.left {
            Some(left) => left,
            None => cursor.limited("a list", limits.elements)?,
        };
        self.left = Some(left);
        cursor.keep();
        while left > 0 {
            self.part(cursor, limits)?;
            cursor.keep();
            left -= 1;
            self.left = Some(left);
        }
        let texts = std::mem::take(&mut self.texts);
        Ok(if texts.is_empty() {
            Decoded::Skipped(Skipped::Empty)
        } else {
            Decoded::Value(Value::List(texts))
        })
    }

    fn part(&mut self, cursor: &mut Cursor<'_>, limits: &Limits) -> Result<(), Stop> {
        let offset = cursor.offset();
        let packing = match self.layout {
            Layout::Strings => None,
            Layout::Ziplist | Layout::Ziplists => Some(Packing::Ziplist),
            Layout::Nodes => match cursor.length()? {
                PLAIN => None,
                PACKED => Some(Packing::Listpack),
                _ => return Err(Error::expected(offset, "a plain or a packed node").into()),
            },
        };
        let offset = cursor.offset();
        let bytes = cursor.string(limits)?.bytes()?;
        match packing {
            None => self.push(Element::Text(&bytes), offset, limits)?,
            Some(packing) => self.unpack(packing, &bytes, offset, limits)?,
        }
        Ok(())
    }

    fn unpack(
        &mut self,
        packing: Packing,
        bytes: &[u8],
        offset: u64,
        limits: &Limits,
    ) -> Result<(), Error> {
        let within = |broken: Broken| broken.within(packing.layout(), offset);
        let mut unpacker = Unpacker::new(packing, bytes).map_err(within)?;
        while let Some(element) = unpacker.next().map_err(within)? {
            self.push(element, offset, limits)?;
        }
        Ok(())
    }

    /// Adds an element of the part at `offset`.
    fn push(&mut self, element: Element<'_>, offset: u64, limits: &Limits) -> Result<(), Error> {
        let (found, limit) = (self.texts.len() as u64 + 1, limits.elements);
        if found > limit {
            return Err(Error::new(offset, ErrorKind::Limit { what: "a list", found, limit }));
        }
        match element {
            Element::Text(text) => self.texts.push(text),
            Element::Number(value) => {
                self.texts.push(itoa::Buffer::new().format(value).as_bytes());
            }
        }
        Ok(())
    }
}

/// How a node is packed into one string.
#[derive(Debug, Clone, Copy)]
enum Packing {
    Ziplist,
    Listpack,
}

impl Packing {
    fn layout(self) -> &'static str {
        match self {
            Packing::Ziplist => "ziplist",
            Packing::Listpack => "listpack",
        }
    }
}

/// The elements of a packed node, one by one.
enum Unpacker<'a> {
    Ziplist(ziplist::Elements<'a>),
    Listpack(listpack::Elements<'a>),
}

impl<'a> Unpacker<'a> {
    fn new(packing: Packing, bytes: &'a [u8]) -> Result<Self, Broken> {
        Ok(match packing {
            Packing::Ziplist => Self::Ziplist(ziplist::Elements::new(bytes)?),
            Packing::Listpack => Self::Listpack(listpack::Elements::new(bytes)?),
        })
    }

    fn next(&mut self) -> Result<Option<Element<'a>>, Broken> {
        match self {
            Self::Ziplist(elements) => elements.next(),
            Self::Listpack(elements) => elements.next(),
        }
    }
}
