//! Reads a stream, part by part.

use std::collections::HashSet;

use super::super::code;
use super::super::cursor::{Cursor, Stop};
use super::super::error::Error;
use super::super::value::Limits;
use super::{
    StreamConsumer, StreamFacts, StreamGroup, StreamId, StreamNode, StreamPending, StreamRecord,
    UNKNOWN, id_of,
};

/// A stream on its way in.
#[derive(Debug)]
pub(in crate::rdb) struct Decoder {
    version: u8,
    stage: Stage,
    record: StreamRecord,
    /// The last id of the nodes so far.
    end: Option<StreamId>,
    /// Entries that are there, as far as the nodes have come.
    live: u64,
    /// Who owns what is pending in the last group.
    owned: Vec<bool>,
    /// Names in the last group, or of the groups before.
    consumers: HashSet<Vec<u8>>,
    names: HashSet<Vec<u8>>,
}

/// What comes next, and how many of it.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Begin,
    Nodes(u64),
    Facts,
    Groups(u64),
    Pending { left: u64, groups: u64 },
    Consumers { left: u64, groups: u64 },
    Own { left: u64, consumers: u64, groups: u64 },
}

impl Decoder {
    pub(in crate::rdb) fn new(version: u8) -> Decoder {
        let facts = StreamFacts {
            len: 0,
            last: (0, 0),
            first: (0, 0),
            max_deleted: (0, 0),
            added: 0,
            complete: false,
        };
        Decoder {
            version,
            stage: Stage::Begin,
            record: StreamRecord { nodes: Vec::new(), facts, groups: Vec::new() },
            end: None,
            live: 0,
            owned: Vec::new(),
            consumers: HashSet::new(),
            names: HashSet::new(),
        }
    }

    /// Takes what is there, part by part; the whole stream once all is.
    pub(in crate::rdb) fn step(
        &mut self,
        cursor: &mut Cursor<'_>,
        limits: &Limits,
    ) -> Result<StreamRecord, Stop> {
        loop {
            self.stage = match self.stage {
                Stage::Begin => Stage::Nodes(cursor.limited("a stream", limits.elements)?),
                Stage::Nodes(0) => Stage::Facts,
                Stage::Nodes(left) => {
                    self.node(cursor, limits)?;
                    Stage::Nodes(left - 1)
                }
                Stage::Facts => {
                    self.facts(cursor)?;
                    Stage::Groups(cursor.limited("a stream's groups", limits.elements)?)
                }
                Stage::Groups(0) => break,
                Stage::Groups(left) => {
                    let pending = self.group(cursor, limits)?;
                    Stage::Pending { left: pending, groups: left - 1 }
                }
                Stage::Pending { left: 0, groups } => {
                    let left = cursor.limited("a group's consumers", limits.elements)?;
                    Stage::Consumers { left, groups }
                }
                Stage::Pending { left, groups } => {
                    self.pending(cursor)?;
                    Stage::Pending { left: left - 1, groups }
                }
                Stage::Consumers { left: 0, groups } => {
                    self.all_owned(cursor.offset())?;
                    Stage::Groups(groups)
                }
                Stage::Consumers { left, groups } => {
                    let own = self.consumer(cursor, limits)?;
                    Stage::Own { left: own, consumers: left - 1, groups }
                }
                Stage::Own { left: 0, consumers, groups } => {
                    Stage::Consumers { left: consumers, groups }
                }
                Stage::Own { left, consumers, groups } => {
                    self.own(cursor)?;
                    Stage::Own { left: left - 1, consumers, groups }
                }
            };
            cursor.keep();
        }
        let facts = self.record.facts;
        let empty = StreamRecord { nodes: Vec::new(), facts, groups: Vec::new() };
        Ok(std::mem::replace(&mut self.record, empty))
    }

    fn node(&mut self, cursor: &mut Cursor<'_>, limits: &Limits) -> Result<(), Stop> {
        let offset = cursor.offset();
        let key = cursor.string(limits)?;
        let listpack = cursor.string(limits)?;
        let key = key.into_vec()?;
        let key = <[u8; 16]>::try_from(key.as_slice());
        let key = key.map_err(|_| Error::expected(offset, "a stream's id of 16 bytes"))?;
        let node = StreamNode { first: id_of(key), listpack: listpack.into_vec()? };
        let checked = node.check(self.end);
        let (live, last) = checked.map_err(|broken| broken.within("stream node", offset))?;
        self.end = Some(last.unwrap_or(node.first));
        self.live += live;
        self.record.nodes.push(node);
        Ok(())
    }

    fn facts(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let offset = cursor.offset();
        let (len, last) = (cursor.length()?, id(cursor)?);
        let complete = self.version != code::TYPE_STREAM;
        let (first, max_deleted, added) = match complete {
            true => (id(cursor)?, id(cursor)?, cursor.length()?),
            false => ((0, 0), (0, 0), len),
        };
        if len != self.live || added < len {
            return Err(Error::expected(offset, "as many entries as the nodes have").into());
        }
        if len > 0 && self.end.is_some_and(|end| end > last) {
            return Err(Error::expected(offset, "a last id behind all entries").into());
        }
        self.record.facts = StreamFacts { len, last, first, max_deleted, added, complete };
        Ok(())
    }

    /// The head of a group; answers how much is pending.
    fn group(&mut self, cursor: &mut Cursor<'_>, limits: &Limits) -> Result<u64, Stop> {
        let offset = cursor.offset();
        let name = cursor.string(limits)?;
        let last = id(cursor)?;
        let read = match self.version {
            code::TYPE_STREAM => None,
            // A count beyond 2^63, which XREADGROUP can reach, is negative in XINFO.
            _ => Some(cursor.length()?).filter(|read| *read != UNKNOWN),
        };
        let pending = cursor.limited("a group's pending entries", limits.elements)?;
        let name = name.into_vec()?;
        if !self.names.insert(name.clone()) {
            return Err(Error::expected(offset, "no group twice").into());
        }
        let (pending_entries, consumers) = (Vec::new(), Vec::new());
        let group = StreamGroup { name, last, read, pending: pending_entries, consumers };
        self.record.groups.push(group);
        self.owned.clear();
        self.consumers.clear();
        Ok(pending)
    }

    fn pending(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let offset = cursor.offset();
        let id = raw_id(cursor)?;
        let delivered_at_ms = moment(cursor)?;
        let deliveries = cursor.length()?;
        let Some(group) = self.record.groups.last_mut() else { return Ok(()) };
        if group.pending.last().is_some_and(|before| before.id >= id) {
            return Err(Error::expected(offset, "pending entries in the order of their ids").into());
        }
        let consumer = usize::MAX;
        group.pending.push(StreamPending { id, delivered_at_ms, deliveries, consumer });
        self.owned.push(false);
        Ok(())
    }

    /// The head of a consumer; answers how much is pending for it.
    fn consumer(&mut self, cursor: &mut Cursor<'_>, limits: &Limits) -> Result<u64, Stop> {
        let offset = cursor.offset();
        let name = cursor.string(limits)?;
        let seen_at_ms = moment(cursor)?;
        if self.version == code::TYPE_STREAM_3 {
            // When it was last given something, which Redis 7.0 does not know.
            moment(cursor)?;
        }
        let own = cursor.limited("a consumer's pending entries", limits.elements)?;
        let name = name.into_vec()?;
        if !self.consumers.insert(name.clone()) {
            return Err(Error::expected(offset, "no consumer twice").into());
        }
        if let Some(group) = self.record.groups.last_mut() {
            group.consumers.push(StreamConsumer { name, seen_at_ms });
        }
        Ok(own)
    }

    /// What is pending for a consumer is pending in the group, and for nobody else.
    fn own(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let offset = cursor.offset();
        let id = raw_id(cursor)?;
        let Some(group) = self.record.groups.last_mut() else { return Ok(()) };
        let at = group.pending.binary_search_by_key(&id, |pending| pending.id);
        let owned =
            at.ok().and_then(|at| Some((group.pending.get_mut(at)?, self.owned.get_mut(at)?)));
        match owned {
            Some((pending, owned)) if !*owned => {
                *owned = true;
                pending.consumer = group.consumers.len().saturating_sub(1);
                Ok(())
            }
            Some(_) => Err(Error::expected(offset, "a pending entry of one consumer").into()),
            None => Err(Error::expected(offset, "an entry that is pending in the group").into()),
        }
    }

    fn all_owned(&self, offset: u64) -> Result<(), Error> {
        match self.owned.iter().all(|owned| *owned) {
            true => Ok(()),
            false => Err(Error::expected(offset, "a consumer for each pending entry")),
        }
    }
}

fn id(cursor: &mut Cursor<'_>) -> Result<StreamId, Stop> {
    Ok((cursor.length()?, cursor.length()?))
}

fn raw_id(cursor: &mut Cursor<'_>) -> Result<StreamId, Stop> {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(cursor.take(16)?);
    Ok(id_of(bytes))
}

/// Unix milliseconds; before 1970 there was no stream.
fn moment(cursor: &mut Cursor<'_>) -> Result<u64, Stop> {
    Ok(u64::try_from(cursor.u64_le()? as i64).unwrap_or(0))
}
