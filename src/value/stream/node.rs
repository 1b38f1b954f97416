//! A run of entries in one allocation.
//!
//! In front stand the fields of the first entry: the number of them as a varint, then each as a
//! `packed` item. An entry is one byte of flags, the bytes of the rest as a varint, its id less
//! the node's as two varints (the second one whole where the first is not 0), the number of its
//! fields as a varint unless they are those in front, then its fields and values, or its values
//! alone, as `packed` items.
//!
//! A deleted entry keeps its place until all entries of the node are deleted. Both this and
//! where a node ends are Redis' own rules, since clients can see them in what `MAXLEN ~` leaves.
//! Redis measures a node by the listpack that it is there, so each node keeps that number too.

use smallvec::SmallVec;

use super::super::number::parse_integer;
use super::super::packed::{self, Encoded, Text};
use super::id::Id;
use super::{NODE_BYTES, StreamLimits};

/// Flag of an entry that is deleted.
const DELETED: u8 = 1;
/// Flag of an entry whose fields are those of the first one.
const SAME_FIELDS: u8 = 1 << 1;

/// Header and end of a listpack.
const LISTPACK_BYTES: usize = 7;

/// Entries in one allocation; the id of the first, deleted or not, is its owner's.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Entries that are there.
    pub(super) live: usize,
    /// Entries that are deleted.
    pub(super) deleted: usize,
    /// Bytes that the listpack of Redis would take, less its counts of entries.
    listpack: usize,
    bytes: Vec<u8>,
}

/// Where an entry stands, and where its parts do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) id: Id,
    pub(super) deleted: bool,
    /// Of the entry within the node.
    pub(super) at: usize,
    /// Of the entry behind.
    next: usize,
    same: bool,
    /// How many fields.
    fields: usize,
    /// Of the first field, or value.
    items: usize,
}

impl Node {
    /// A node with the fields of its first entry, which is then to be added.
    pub(super) fn new<'a>(fields: impl ExactSizeIterator<Item = &'a [u8]>) -> Node {
        let mut bytes = Vec::new();
        push_varint(&mut bytes, fields.len() as u64);
        // Redis ends them with a zero.
        let mut listpack = LISTPACK_BYTES + integer_bytes(fields.len() as i64) + integer_bytes(0);
        for field in fields {
            Encoded::new(field).append(&mut bytes);
            listpack += text_bytes(field);
        }
        Node { live: 0, deleted: 0, listpack, bytes }
    }

    /// Bytes of the listpack that Redis would have.
    fn listpack_bytes(&self) -> usize {
        self.listpack + integer_bytes(self.live as i64) + integer_bytes(self.deleted as i64)
    }

    /// Adds an entry of fields and values, alternating; `id` is above all in the node.
    pub(super) fn push(&mut self, first: Id, id: Id, pairs: &[&[u8]]) {
        let same = self.has_fields(pairs);
        let items: SmallVec<[Encoded<'_>; 16]> = match same {
            true => pairs.iter().skip(1).step_by(2).map(|text| Encoded::new(text)).collect(),
            false => pairs.iter().map(|text| Encoded::new(text)).collect(),
        };
        let ms = id.ms - first.ms;
        let seq = if ms == 0 { id.seq - first.seq } else { id.seq };
        let fields = (pairs.len() / 2) as u64;
        let count = if same { 0 } else { varint_bytes(fields) };
        let size = items.iter().map(Encoded::size).sum::<usize>();
        let size = size + varint_bytes(ms) + varint_bytes(seq) + count;
        self.bytes.reserve(1 + varint_bytes(size as u64) + size);
        self.bytes.push(if same { SAME_FIELDS } else { 0 });
        push_varint(&mut self.bytes, size as u64);
        push_varint(&mut self.bytes, ms);
        push_varint(&mut self.bytes, seq);
        if !same {
            push_varint(&mut self.bytes, fields);
        }
        items.iter().for_each(|item| item.append(&mut self.bytes));
        self.live += 1;
        self.listpack += listpack_entry_bytes(first, id, pairs, same);
    }

    /// Adds an entry that is deleted.
    pub(super) fn push_deleted(&mut self, first: Id, id: Id, pairs: &[&[u8]]) {
        let at = self.bytes.len();
        self.push(first, id, pairs);
        self.bytes[at] |= DELETED;
        self.live -= 1;
        self.deleted += 1;
    }

    /// Whether another entry goes into another node.
    pub(super) fn is_full(&self, pairs: &[&[u8]], limits: StreamLimits) -> bool {
        let most = match limits.node_bytes {
            0 => NODE_BYTES,
            most => most.min(NODE_BYTES),
        };
        let bytes: usize = pairs.iter().map(|text| text.len()).sum();
        let listpack = self.listpack_bytes();
        (limits.node_entries > 0 && self.live + self.deleted >= limits.node_entries)
            || listpack.saturating_add(bytes) >= most
            || listpack.saturating_add(most_bytes(pairs)) > NODE_BYTES
    }

    /// Gives back what the last entries did not need.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Bytes of the allocation.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether the fields among `pairs` are those of the first entry.
    fn has_fields(&self, pairs: &[&[u8]]) -> bool {
        let (count, mut at) = read_varint(&self.bytes, 0);
        if count != (pairs.len() / 2) as u64 {
            return false;
        }
        pairs.iter().step_by(2).all(|field| {
            let opens = Encoded::new(field).opens(&self.bytes[at..]);
            at = packed::end(&self.bytes, at);
            opens
        })
    }

    /// Where the first entry stands.
    fn start(&self) -> usize {
        let (count, at) = read_varint(&self.bytes, 0);
        (0..count).fold(at, |at, _| packed::end(&self.bytes, at))
    }

    fn place(&self, first: Id, at: usize) -> Place {
        let flags = self.bytes[at];
        let (size, body) = read_varint(&self.bytes, at + 1);
        let (ms, seq_at) = read_varint(&self.bytes, body);
        let (seq, mut items) = read_varint(&self.bytes, seq_at);
        let same = flags & SAME_FIELDS != 0;
        let fields = if same {
            read_varint(&self.bytes, 0).0
        } else {
            let (count, behind) = read_varint(&self.bytes, items);
            items = behind;
            count
        };
        let seq = if ms == 0 { first.seq + seq } else { seq };
        Place {
            id: Id::new(first.ms + ms, seq),
            deleted: flags & DELETED != 0,
            at,
            next: body + size as usize,
            same,
            fields: fields as usize,
            items,
        }
    }

    /// Every entry, deleted ones included.
    pub(super) fn places(&self, first: Id) -> impl Iterator<Item = Place> + use<'_> {
        let mut at = self.start();
        std::iter::from_fn(move || {
            let place = (at < self.bytes.len()).then(|| self.place(first, at))?;
            at = place.next;
            Some(place)
        })
    }

    /// Every entry that is there.
    pub(super) fn live_places(&self, first: Id) -> impl Iterator<Item = Place> + use<'_> {
        self.places(first).filter(|place| !place.deleted)
    }

    /// The entry at a place.
    pub(super) fn entry(&self, place: Place) -> Entry<'_> {
        let master = if place.same { read_varint(&self.bytes, 0).1 } else { 0 };
        Entry {
            id: place.id,
            bytes: &self.bytes,
            fields: place.fields,
            items: place.items,
            master: place.same.then_some(master),
        }
    }

    /// Deletes the entry at a place, which is there.
    pub(super) fn delete(&mut self, place: Place) {
        self.bytes[place.at] |= DELETED;
        self.live -= 1;
        self.deleted += 1;
    }
}

/// A node to read, as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct NodeRef<'a> {
    pub(super) first: Id,
    pub(super) node: &'a Node,
}

impl<'a> NodeRef<'a> {
    /// The id of its first entry, deleted or not.
    pub fn first(self) -> Id {
        self.first
    }

    /// How many entries are there, and how many are deleted.
    pub fn counts(self) -> (usize, usize) {
        (self.node.live, self.node.deleted)
    }

    /// The fields of its first entry.
    pub fn fields(self) -> impl Iterator<Item = Text<'a>> {
        let (count, mut at) = read_varint(&self.node.bytes, 0);
        (0..count).map(move |_| take(&self.node.bytes, &mut at))
    }

    /// Its entries, deleted ones included, each with whether it is there.
    pub fn entries(self) -> impl Iterator<Item = (bool, Entry<'a>)> {
        self.node.places(self.first).map(move |place| (!place.deleted, self.node.entry(place)))
    }
}

/// An entry of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its id.
    pub id: Id,
    bytes: &'a [u8],
    fields: usize,
    /// Where its fields and values begin, or its values.
    items: usize,
    /// Where its fields begin, when they stand elsewhere.
    master: Option<usize>,
}

impl<'a> Entry<'a> {
    /// How many fields it has.
    pub fn len(self) -> usize {
        self.fields
    }

    /// Whether its fields are stored with those of the first entry of its node.
    pub fn shares_fields(self) -> bool {
        self.master.is_some()
    }

    /// Whether it has no fields; what was added has some.
    pub fn is_empty(self) -> bool {
        self.fields == 0
    }

    /// Its fields and values.
    pub fn pairs(self) -> impl Iterator<Item = (Text<'a>, Text<'a>)> + use<'a> {
        let (mut master, mut at) = (self.master, self.items);
        (0..self.fields).map(move |_| {
            let field = match &mut master {
                Some(master) => take(self.bytes, master),
                None => take(self.bytes, &mut at),
            };
            (field, take(self.bytes, &mut at))
        })
    }
}

fn take<'a>(bytes: &'a [u8], at: &mut usize) -> Text<'a> {
    let (text, next) = packed::read(bytes, *at);
    *at = next;
    text
}

/// Bytes that an entry has at most in a listpack of its own, where each text has at most ten
/// besides itself.
pub(super) fn most_bytes(pairs: &[&[u8]]) -> usize {
    let texts: usize = pairs.iter().map(|text| text.len() + 16).sum();
    texts.saturating_add(128)
}

/// Bytes of an entry in Redis' listpack: flags, id, number of fields, texts, number of elements.
fn listpack_entry_bytes(first: Id, id: Id, pairs: &[&[u8]], same: bool) -> usize {
    let fields = pairs.len() / 2;
    let texts: usize = match same {
        true => pairs.iter().skip(1).step_by(2).map(|text| text_bytes(text)).sum(),
        false => pairs.iter().map(|text| text_bytes(text)).sum(),
    };
    let (flags, count, elements) = match same {
        true => (2, 0, fields + 3),
        false => (0, integer_bytes(fields as i64), fields * 2 + 4),
    };
    // Differences wrap around there as here.
    let ms = integer_bytes(id.ms.wrapping_sub(first.ms) as i64);
    let seq = integer_bytes(id.seq.wrapping_sub(first.seq) as i64);
    integer_bytes(flags) + ms + seq + count + texts + integer_bytes(elements as i64)
}

/// Bytes of a number as an element of a listpack, its length backwards included.
fn integer_bytes(value: i64) -> usize {
    1 + match value {
        0..=127 => 1,
        -4096..=4095 => 2,
        -0x8000..=0x7fff => 3,
        -0x80_0000..=0x7f_ffff => 4,
        -0x8000_0000..=0x7fff_ffff => 5,
        _ => 9,
    }
}

/// Bytes of a text as an element of a listpack, its length backwards included.
fn text_bytes(text: &[u8]) -> usize {
    if let Some(value) = parse_integer(text) {
        return integer_bytes(value);
    }
    let head = match text.len() {
        0..64 => 1,
        64..4096 => 2,
        _ => 5,
    };
    let element = head + text.len();
    let bits = usize::BITS - element.leading_zeros();
    element + bits.div_ceil(7) as usize
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn varint_bytes(value: u64) -> usize {
    (u64::BITS - value.leading_zeros()).max(1).div_ceil(7) as usize
}

/// The number at a position, and the position behind it.
fn read_varint(bytes: &[u8], mut at: usize) -> (u64, usize) {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[at];
        at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return (value, at);
        }
        shift += 7;
    }
}
