//! Streams: entries in the order of their ids, and the groups that read them.
//!
//! Entries lie some hundred to a node (`node`), and the nodes in a tree by their first ids. An
//! entry is added behind the last and never changed. A stream may be empty: it remembers the
//! last id that it gave. Left out on purpose: times and who waits for entries.

pub mod group;
pub mod id;
mod node;
mod radix;
#[cfg(test)]
mod tests;
mod trim;

use std::collections::{BTreeMap, btree_map};

pub use group::{Consumer, ConsumerId, Group, Pending};
pub use id::Id;
pub use node::{Entry, NodeRef};
use node::{Node, Place};
pub use trim::{Reach, References, Trim, Until};

/// Bytes of a node beyond which Redis does not go whatever its directives say.
pub const NODE_BYTES: usize = 1 << 30;

/// Where a node of a stream ends; 0 for no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLimits {
    /// Bytes, as Redis counts them (`stream-node-max-bytes`).
    pub node_bytes: usize,
    /// Entries (`stream-node-max-entries`).
    pub node_entries: usize,
}

impl Default for StreamLimits {
    /// Those of Redis 7.0.
    fn default() -> Self {
        StreamLimits { node_bytes: 4096, node_entries: 100 }
    }
}

/// What a stream remembers of entries, whether or not they are still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Past {
    /// The last id that was given.
    pub last: Id,
    /// The largest id that was deleted by itself.
    pub max_deleted: Id,
    /// How many entries have ever been added.
    pub added: u64,
}

/// Entries and groups.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    nodes: BTreeMap<Id, Node>,
    len: u64,
    past: Past,
    groups: BTreeMap<Box<[u8]>, Group>,
}

impl Stream {
    /// A stream without entries.
    pub fn new() -> Stream {
        Stream::default()
    }

    /// How many entries there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What it remembers of its entries.
    pub fn past(&self) -> Past {
        self.past
    }

    /// Makes it remember something else.
    pub fn set_past(&mut self, past: Past) {
        self.past = past;
    }

    /// The id of the first entry, or `Id::MIN`.
    pub fn first_id(&self) -> Id {
        self.entries(Id::MIN, Id::MAX).next().map_or(Id::MIN, |entry| entry.id)
    }

    /// The id of the last entry that is there, or `Id::MIN`.
    pub fn last_entry_id(&self) -> Id {
        self.entries_back(Id::MIN, Id::MAX).next().map_or(Id::MIN, |entry| entry.id)
    }

    /// The id for an entry that is added at `now`; `None` when no id is left.
    pub fn next_id(&self, now: u64) -> Option<Id> {
        if now > self.past.last.ms { Some(Id::new(now, 0)) } else { self.past.last.next() }
    }

    /// Whether an entry of these fields and values is small enough for a node.
    pub fn fits(pairs: &[&[u8]]) -> bool {
        node::most_bytes(pairs) <= NODE_BYTES
    }

    /// Adds an entry of fields and values, alternating. Its id is above `past().last`, and it
    /// fits.
    pub fn add(&mut self, id: Id, pairs: &[&[u8]], limits: StreamLimits) {
        debug_assert!(id > self.past.last);
        self.drop_deleted_behind(id);
        let tail = self.nodes.last_entry().map(btree_map::OccupiedEntry::into_mut);
        let full = tail.is_none_or(|tail| {
            let full = tail.is_full(pairs, limits);
            if full {
                tail.shrink();
            }
            full
        });
        if full {
            self.nodes.insert(id, Node::new(pairs.iter().step_by(2).copied()));
        }
        self.append(id, pairs);
        self.past.last = id;
        self.past.added = self.past.added.saturating_add(1);
    }

    /// Drops the nodes of deleted entries that begin behind an id: since XSETID can go back,
    /// what is added next may come before them.
    fn drop_deleted_behind(&mut self, id: Id) {
        let behind = |(first, node): (&Id, &Node)| *first > id && node.live == 0;
        while self.nodes.last_key_value().is_some_and(behind) {
            self.nodes.pop_last();
        }
    }

    fn append(&mut self, id: Id, pairs: &[&[u8]]) {
        if let Some(mut tail) = self.nodes.last_entry() {
            let first = *tail.key();
            tail.get_mut().push(first, id, pairs);
            self.len += 1;
        }
    }

    /// Deletes an entry; answers whether it was there.
    pub fn remove(&mut self, id: Id) -> bool {
        let Some((first, place)) = self.find(id) else { return false };
        self.delete(first, place);
        self.past.max_deleted = self.past.max_deleted.max(id);
        true
    }

    /// The entry of an id.
    pub fn get(&self, id: Id) -> Option<Entry<'_>> {
        let (first, place) = self.find(id)?;
        Some(self.nodes.get(&first)?.entry(place))
    }

    /// Whether there is an entry of this id.
    pub fn contains(&self, id: Id) -> bool {
        self.find(id).is_some()
    }

    fn find(&self, id: Id) -> Option<(Id, Place)> {
        let (first, node) = self.nodes.range(..=id).next_back()?;
        let place = node.live_places(*first).find(|place| place.id >= id)?;
        (place.id == id).then_some((*first, place))
    }

    fn delete(&mut self, first: Id, place: Place) {
        if let btree_map::Entry::Occupied(mut node) = self.nodes.entry(first) {
            if node.get().live == 1 {
                node.remove();
            } else {
                node.get_mut().delete(place);
            }
            self.len -= 1;
        }
    }

    /// The entries from one id to another, both included.
    pub fn entries(&self, from: Id, to: Id) -> impl Iterator<Item = Entry<'_>> {
        self.nodes_over(from, to).flat_map(move |(first, node)| {
            let places = node.live_places(*first).skip_while(move |place| place.id < from);
            places.take_while(move |place| place.id <= to).map(|place| node.entry(place))
        })
    }

    /// The entries from the higher id down to the lower, both included.
    pub fn entries_back(&self, from: Id, to: Id) -> impl Iterator<Item = Entry<'_>> {
        self.nodes_over(from, to).rev().flat_map(move |(first, node)| {
            let places = node.live_places(*first).skip_while(|place| place.id < from);
            let places: Vec<Place> = places.take_while(|place| place.id <= to).collect();
            places.into_iter().rev().map(|place| node.entry(place))
        })
    }

    /// The nodes that may hold entries of a range.
    fn nodes_over(&self, from: Id, to: Id) -> btree_map::Range<'_, Id, Node> {
        let start = self.nodes.range(..=from).next_back().map_or(from, |(first, _)| *first);
        // A tree refuses a range that ends before it starts.
        self.nodes.range(start..=to.max(start))
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// How many nodes the radix tree has in which Redis would keep these: XINFO tells.
    pub fn radix_nodes(&self) -> usize {
        radix::nodes(self.nodes.keys().copied())
    }

    /// Every node.
    pub fn by_node(&self) -> impl ExactSizeIterator<Item = NodeRef<'_>> {
        self.nodes.iter().map(|(first, node)| NodeRef { first: *first, node })
    }

    /// Adds a node that was stored, behind all others: the id and the fields of its first
    /// entry, and its entries, each with whether it is there. The ids of those ascend. A node
    /// without any entry is left out; one of which all were deleted is none.
    pub fn push_node<'a>(
        &mut self,
        first: Id,
        fields: &[&[u8]],
        entries: impl Iterator<Item = (Id, bool, Vec<&'a [u8]>)>,
    ) {
        let mut node = Node::new(fields.iter().copied());
        for (id, live, pairs) in entries {
            match live {
                true => node.push(first, id, &pairs),
                false => node.push_deleted(first, id, &pairs),
            }
        }
        node.shrink();
        if node.live + node.deleted > 0 {
            self.len += node.live as u64;
            self.nodes.insert(first, node);
        }
    }

    /// The groups, in the order of their names.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// A group.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// A group, to be changed.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.groups.get_mut(name)
    }

    /// Adds a group; answers whether there was none of that name.
    pub fn add_group(&mut self, name: &[u8], group: Group) -> bool {
        let fresh = !self.groups.contains_key(name);
        if fresh {
            self.groups.insert(name.into(), group);
        }
        fresh
    }

    /// Takes a group out.
    pub fn remove_group(&mut self, name: &[u8]) -> Option<Group> {
        self.groups.remove(name)
    }

    /// Whether every group has read an entry of this id and acknowledged it.
    pub fn is_acknowledged(&self, id: Id) -> bool {
        self.groups.values().all(|group| group.last() >= id && group.pending(id).is_none())
    }

    /// Makes an entry pending nowhere.
    pub fn drop_references(&mut self, id: Id) {
        for group in self.groups.values_mut() {
            group.acknowledge(id);
        }
    }

    /// Notes that a group has been given the entry of this id, the next one behind what it had
    /// read.
    pub fn deliver(&mut self, name: &[u8], id: Id) {
        let Some(group) = self.groups.get(name) else { return };
        if id <= group.last() {
            return;
        }
        let read = match group.read() {
            Some(read) if !self.has_holes_from(id) => Some(read.saturating_add(1)),
            read if self.past.added == 0 => read,
            _ => self.entries_up_to(id),
        };
        if let Some(group) = self.groups.get_mut(name) {
            group.advance(id, read);
        }
    }

    /// How many entries a group has yet to read, if that can be told.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        if self.past.added == 0 {
            return Some(0);
        }
        let read = match group.read() {
            Some(read) if !self.has_holes_from(group.last()) => Some(read),
            _ => self.entries_up_to(group.last()),
        };
        // A client may have said anything of either.
        read.map(|read| self.past.added.wrapping_sub(read) as i64)
    }

    /// Whether an entry was deleted at this id or behind it, between others, as far as is
    /// remembered.
    fn has_holes_from(&self, id: Id) -> bool {
        let deleted = self.past.max_deleted;
        self.len > 0 && deleted != Id::MIN && id <= deleted && self.first_id() <= deleted
    }

    /// How many entries have ever been added up to this id, if that can be told.
    pub fn entries_up_to(&self, id: Id) -> Option<u64> {
        let Past { last, max_deleted, added } = self.past;
        if added == 0 {
            return Some(0);
        }
        if (self.len == 0 && id < last) || id == last {
            return Some(added);
        }
        let first = self.first_id();
        if id > last || (max_deleted != Id::MIN && max_deleted >= first) {
            return None;
        }
        let gone = added.wrapping_sub(self.len);
        match id.cmp(&first) {
            std::cmp::Ordering::Less => Some(gone),
            std::cmp::Ordering::Equal => Some(gone.wrapping_add(1)),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        let node = size_of::<(Id, Node)>() * 3 / 2;
        let nodes: usize = self.nodes.values().map(|nodes| nodes.heap_bytes() + node).sum();
        let groups = self.groups.iter().map(|(name, group)| {
            name.len() + size_of::<(Box<[u8]>, Group)>() * 3 / 2 + group.heap_bytes()
        });
        size_of::<Stream>() + nodes + groups.sum::<usize>()
    }
}
