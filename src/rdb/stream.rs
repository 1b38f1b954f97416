//! Streams: nodes of entries as listpacks, what is remembered of them, groups.
//!
//! A node is its first id and a listpack: how many entries are there and how many are deleted,
//! the fields of the first entry and a zero; then for each entry its flags, its id less the
//! node's, its number of fields, fields and values (or the values alone, where the fields are
//! those in front), and how many elements that was.
//!
//! What a group has pending is stored twice, once for the group and once for its consumers. A
//! payload is refused in which the two disagree: something that nobody owns, or that two own.

mod decode;
#[cfg(test)]
pub(super) mod tests;

use std::borrow::Cow;

pub(super) use decode::Decoder;

use super::code;
use super::error::Broken;
use super::listpack::{Elements, Full, Listpack};
use super::number::decimal;
use super::packed::Element;
use super::string::{write_plain, write_string};
use super::write::{Compression, Encode, write_length};

/// Milliseconds and a number.
pub type StreamId = (u64, u64);

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 1 << 1;
/// How a group is stored that does not know how much it has read.
pub(super) const UNKNOWN: u64 = u64::MAX;

/// A stream as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRecord {
    /// Its nodes, in the order of their ids.
    pub nodes: Vec<StreamNode>,
    /// What is remembered of the entries.
    pub facts: StreamFacts,
    /// Its groups, no two of a name.
    pub groups: Vec<StreamGroup>,
}

/// What is remembered of the entries of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamFacts {
    /// How many are there.
    pub len: u64,
    /// The last id that was given.
    pub last: StreamId,
    /// The first id that is there, or zeros.
    pub first: StreamId,
    /// The largest id that was deleted by itself.
    pub max_deleted: StreamId,
    /// How many have ever been added.
    pub added: u64,
    /// Whether the three above were stored: they were not before Redis 7.
    pub complete: bool,
}

/// A run of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamNode {
    first: StreamId,
    /// A listpack that was checked, or made here.
    listpack: Vec<u8>,
}

/// An entry of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEntry<'a> {
    /// Its id.
    pub id: StreamId,
    /// Whether it is deleted.
    pub deleted: bool,
    /// Whether its fields are those of the node.
    pub same_fields: bool,
    /// Its values if so, otherwise its fields and values, alternating.
    pub texts: Vec<Cow<'a, [u8]>>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamGroup {
    /// The name.
    pub name: Vec<u8>,
    /// The last id that was delivered.
    pub last: StreamId,
    /// How many entries there were up to that one. `None` if that is not known.
    pub read: Option<u64>,
    /// What was not acknowledged, in the order of the ids.
    pub pending: Vec<StreamPending>,
    /// The consumers, no two of a name.
    pub consumers: Vec<StreamConsumer>,
}

/// What was delivered and not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPending {
    /// The id of the entry, which may be deleted.
    pub id: StreamId,
    /// When it was delivered last, in unix milliseconds.
    pub delivered_at_ms: u64,
    /// How often.
    pub deliveries: u64,
    /// Its consumer, by position in the group.
    pub consumer: usize,
}

/// A consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamConsumer {
    /// The name.
    pub name: Vec<u8>,
    /// When it was last heard of, in unix milliseconds.
    pub seen_at_ms: u64,
}

impl StreamNode {
    /// A node of these fields and entries; `counts` are those that are there and those that are
    /// deleted.
    ///
    /// # Errors
    /// [`Full`] when that is more than a listpack holds.
    pub fn pack<'a, F: AsRef<[u8]>>(
        first: StreamId,
        counts: (usize, usize),
        fields: &[F],
        entries: impl Iterator<Item = StreamEntry<'a>>,
    ) -> Result<StreamNode, Full> {
        let mut packed = Listpack::new();
        let number = |packed: &mut Listpack, value: i64| packed.push(&decimal(value));
        number(&mut packed, counts.0 as i64)?;
        number(&mut packed, counts.1 as i64)?;
        number(&mut packed, fields.len() as i64)?;
        for field in fields {
            packed.push(field.as_ref())?;
        }
        number(&mut packed, 0)?;
        for entry in entries {
            let deleted = if entry.deleted { DELETED } else { 0 };
            let same = if entry.same_fields { SAME_FIELDS } else { 0 };
            number(&mut packed, deleted | same)?;
            // Differences wrap around, as in Redis.
            number(&mut packed, entry.id.0.wrapping_sub(first.0) as i64)?;
            number(&mut packed, entry.id.1.wrapping_sub(first.1) as i64)?;
            if !entry.same_fields {
                number(&mut packed, entry.texts.len() as i64 / 2)?;
            }
            for text in &entry.texts {
                packed.push(text)?;
            }
            let head = if entry.same_fields { 3 } else { 4 };
            number(&mut packed, entry.texts.len() as i64 + head)?;
        }
        Ok(StreamNode { first, listpack: packed.as_bytes().to_vec() })
    }

    /// The id that the others are counted from.
    pub fn first(&self) -> StreamId {
        self.first
    }

    /// Its fields.
    pub fn fields(&self) -> Vec<Cow<'_, [u8]>> {
        // It was checked.
        Entries::new(self).map(|entries| entries.fields).unwrap_or_default()
    }

    /// Its entries, deleted ones included.
    pub fn entries(&self) -> impl Iterator<Item = StreamEntry<'_>> {
        let mut entries = Entries::new(self).ok();
        std::iter::from_fn(move || entries.as_mut()?.next().ok().flatten())
    }

    /// Checks counts, order and layout; answers how many entries are there, and their last id.
    fn check(&self, after: Option<StreamId>) -> Result<(u64, Option<StreamId>), Broken> {
        const ORDER: Broken = Broken { at: 0, expected: "entries in the order of their ids" };
        if after.is_some_and(|after| self.first <= after) {
            return Err(ORDER);
        }
        let mut entries = Entries::new(self)?;
        let (mut live, mut deleted, mut last) = (0, 0, None);
        while let Some(entry) = entries.next()? {
            if entry.id < self.first {
                return Err(ORDER);
            }
            if entry.deleted {
                // XSETID can go back behind what is deleted, so these may be out of order.
                deleted += 1;
                continue;
            }
            live += 1;
            if last.replace(entry.id).is_some_and(|last| last >= entry.id) {
                return Err(ORDER);
            }
        }
        if (live, deleted) != entries.counts {
            return Err(Broken { at: 0, expected: "as many entries as are counted" });
        }
        Ok((live as u64, last))
    }
}

/// The entries of a node, each checked before it is given out.
struct Entries<'a> {
    elements: Elements<'a>,
    first: StreamId,
    fields: Vec<Cow<'a, [u8]>>,
    counts: (i64, i64),
}

impl<'a> Entries<'a> {
    fn new(node: &'a StreamNode) -> Result<Self, Broken> {
        let mut elements = Elements::new(&node.listpack)?;
        let counts = (number(&mut elements)?, number(&mut elements)?);
        let fields = number(&mut elements)?;
        let fields = texts(&mut elements, fields)?;
        if number(&mut elements)? != 0 {
            return Err(Broken { at: 0, expected: "a zero behind the fields" });
        }
        Ok(Entries { elements, first: node.first, fields, counts })
    }

    fn next(&mut self) -> Result<Option<StreamEntry<'a>>, Broken> {
        let flags = match self.elements.next()? {
            None => return Ok(None),
            Some(Element::Number(flags)) if flags & !(DELETED | SAME_FIELDS) == 0 => flags,
            Some(_) => return Err(Broken { at: 0, expected: "the flags of an entry" }),
        };
        let same_fields = flags & SAME_FIELDS != 0;
        let ms = self.first.0.wrapping_add(number(&mut self.elements)? as u64);
        let seq = self.first.1.wrapping_add(number(&mut self.elements)? as u64);
        let (count, head) = if same_fields {
            (self.fields.len() as i64, 3)
        } else {
            let fields = number(&mut self.elements)?;
            (fields.checked_mul(2).ok_or(COUNT)?, 4)
        };
        let texts = texts(&mut self.elements, count)?;
        if number(&mut self.elements)? != texts.len() as i64 + head {
            return Err(Broken { at: 0, expected: "the number of elements of an entry" });
        }
        Ok(Some(StreamEntry { id: (ms, seq), deleted: flags & DELETED != 0, same_fields, texts }))
    }
}

const COUNT: Broken = Broken { at: 0, expected: "a number of fields" };

fn number(elements: &mut Elements<'_>) -> Result<i64, Broken> {
    match elements.next()? {
        Some(Element::Number(value)) => Ok(value),
        _ => Err(Broken { at: 0, expected: "a number" }),
    }
}

/// So many texts; nothing is reserved for those that do not come.
fn texts<'a>(elements: &mut Elements<'a>, count: i64) -> Result<Vec<Cow<'a, [u8]>>, Broken> {
    let count = u64::try_from(count).map_err(|_| COUNT)?;
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(match elements.next()? {
            Some(Element::Text(text)) => Cow::Borrowed(text),
            Some(Element::Number(value)) => Cow::Owned(decimal(value)),
            None => return Err(COUNT),
        });
    }
    Ok(texts)
}

/// A stream value, from its nodes.
#[derive(Debug, Clone)]
pub struct StreamTable<I> {
    /// The nodes; their number must be right, for it is written before them.
    pub nodes: I,
    /// What is remembered of the entries.
    pub facts: StreamFacts,
    /// The groups.
    pub groups: Vec<StreamGroup>,
}

impl<I: ExactSizeIterator<Item = StreamNode>> Encode for StreamTable<I> {
    fn type_byte(&self) -> u8 {
        code::TYPE_STREAM_2
    }

    fn encode(self, out: &mut Vec<u8>, compression: Compression) {
        write_length(out, self.nodes.len() as u64);
        for node in self.nodes {
            write_plain(out, &id_bytes(node.first));
            write_string(out, &node.listpack, compression);
        }
        let facts = self.facts;
        write_length(out, facts.len);
        for id in [facts.last, facts.first, facts.max_deleted] {
            write_id(out, id);
        }
        write_length(out, facts.added);
        write_length(out, self.groups.len() as u64);
        for group in &self.groups {
            write_group(out, group, compression);
        }
    }
}

fn write_group(out: &mut Vec<u8>, group: &StreamGroup, compression: Compression) {
    write_string(out, &group.name, compression);
    write_id(out, group.last);
    write_length(out, group.read.unwrap_or(UNKNOWN));
    write_length(out, group.pending.len() as u64);
    let mut own = vec![Vec::new(); group.consumers.len()];
    for pending in &group.pending {
        out.extend_from_slice(&id_bytes(pending.id));
        out.extend_from_slice(&pending.delivered_at_ms.to_le_bytes());
        write_length(out, pending.deliveries);
        if let Some(own) = own.get_mut(pending.consumer) {
            own.push(pending.id);
        }
    }
    write_length(out, group.consumers.len() as u64);
    for (consumer, own) in group.consumers.iter().zip(own) {
        write_string(out, &consumer.name, compression);
        out.extend_from_slice(&consumer.seen_at_ms.to_le_bytes());
        write_length(out, own.len() as u64);
        own.iter().for_each(|id| out.extend_from_slice(&id_bytes(*id)));
    }
}

fn write_id(out: &mut Vec<u8>, id: StreamId) {
    write_length(out, id.0);
    write_length(out, id.1);
}

/// An id where it is a key: high bytes first, so that keys are in order.
fn id_bytes((ms, seq): StreamId) -> [u8; 16] {
    (u128::from(ms) << 64 | u128::from(seq)).to_be_bytes()
}

fn id_of(bytes: [u8; 16]) -> StreamId {
    let id = u128::from_be_bytes(bytes);
    ((id >> 64) as u64, id as u64)
}
