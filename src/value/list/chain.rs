//! The large form of a list: nodes one after the other, gathered in blocks.
//!
//! Blocks know how many elements their nodes have, so finding an element by its index looks at
//! the blocks from the nearer end, then at the nodes of one block, then at the elements of one
//! node. A node in the middle comes and goes without moving more than its block. The chain that
//! has just been made, or emptied, has no block; otherwise no block and no node is empty.

use std::collections::VecDeque;

use super::node::{Item, Node};
use super::{Element, End, ListLimits};
use crate::value::items::Items;

/// Nodes of one block: so many nodes of 8 KiB are 2 MiB, and take about as long to count as
/// some hundred elements to walk.
const BLOCK: usize = 256;

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    blocks: VecDeque<Block>,
    items: usize,
    /// Bytes of the elements in all nodes.
    bytes: usize,
}

#[derive(Debug, Clone)]
struct Block {
    nodes: VecDeque<Node>,
    items: usize,
}

/// Where a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    block: usize,
    node: usize,
}

impl Chain {
    /// The elements of a small list.
    pub(super) fn from_small(contents: &[u8], limits: ListLimits) -> Self {
        let mut chain = Chain::default();
        for text in Items::of(contents).iter() {
            chain.push(End::Back, &text, limits);
        }
        chain
    }

    /// How many elements there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.items
    }

    /// Bytes that the chain owns, without the room that its nodes have to grow.
    pub fn heap_bytes(&self) -> usize {
        let nodes: usize = self.blocks.iter().map(|block| block.nodes.capacity()).sum();
        size_of::<Chain>()
            + self.blocks.capacity() * size_of::<Block>()
            + nodes * size_of::<Node>()
            + self.bytes
    }

    /// The elements from `index` on.
    pub(super) fn forward(&self, index: usize) -> impl Iterator<Item = Element<'_>> {
        let found = (index < self.items).then(|| self.find(index));
        found.into_iter().flat_map(move |(place, offset)| {
            let first = self.node(place);
            let rest = self.blocks[place.block].nodes.range(place.node + 1..);
            let blocks = self.blocks.range(place.block + 1..);
            let nodes = rest.chain(blocks.flat_map(|block| block.nodes.iter()));
            first.forward(first.position(offset)).chain(nodes.flat_map(Node::whole))
        })
    }

    /// The elements from `index` on, towards the front.
    pub(super) fn backward(&self, index: usize) -> impl Iterator<Item = Element<'_>> {
        let found = (index < self.items).then(|| self.find(index));
        found.into_iter().flat_map(move |(place, offset)| {
            let first = self.node(place);
            let rest = self.blocks[place.block].nodes.range(..place.node).rev();
            let blocks = self.blocks.range(..place.block).rev();
            let nodes = rest.chain(blocks.flat_map(|block| block.nodes.iter().rev()));
            let behind = first.position(offset + 1);
            first.backward(behind).chain(nodes.flat_map(|node| node.backward(node.end())))
        })
    }

    /// Adds an element at an end.
    pub(super) fn push(&mut self, end: End, text: &[u8], limits: ListLimits) {
        self.push_item(end, &Item::new(text), limits);
    }

    fn push_item(&mut self, end: End, item: &Item<'_>, limits: ListLimits) {
        let Some(last) = self.end_place(end) else {
            self.insert_node(Place { block: 0, node: 0 }, Node::of(item));
            return;
        };
        if self.takes(last, item, limits) {
            self.change(last, |node| node.push(end, item));
            return;
        }
        // Now it lies inside, where nothing is pushed.
        self.change(last, Node::trim);
        let place = match end {
            End::Front => last,
            End::Back => Place { node: last.node + 1, ..last },
        };
        self.insert_node(place, Node::of(item));
    }

    /// Takes `count` elements away at an end, or all.
    pub(super) fn cut(&mut self, end: End, mut count: usize) {
        while let Some(place) = self.end_place(end).filter(|_| count > 0) {
            let len = self.node(place).len();
            if len > count {
                self.change(place, |node| node.cut(end, count));
                return;
            }
            self.remove_node(place);
            count -= len;
        }
    }

    /// Puts another element in the place of the one at `index`, which is there.
    pub(super) fn set(&mut self, index: usize, text: &[u8], limits: ListLimits) {
        let item = Item::new(text);
        let (place, offset) = self.find(index);
        let node = self.node(place);
        let at = node.position(offset);
        let old = node.next(at) - at;
        let fits = item.size() <= old || limits.allow(node.used() - old + item.size(), node.len());
        if fits || node.len() == 1 {
            self.change(place, |node| node.replace(at, &item));
            return;
        }
        self.change(place, |node| node.remove(at));
        self.insert_item(index, &item, limits);
    }

    /// Adds an element in front of the one at `index`, or behind the last.
    pub(super) fn insert(&mut self, index: usize, text: &[u8], limits: ListLimits) {
        self.insert_item(index, &Item::new(text), limits);
    }

    fn insert_item(&mut self, index: usize, item: &Item<'_>, limits: ListLimits) {
        if index == 0 || index >= self.items {
            let end = if index == 0 { End::Front } else { End::Back };
            self.push_item(end, item, limits);
            return;
        }
        let (place, offset) = self.find(index);
        let node = self.node(place);
        let at = node.position(offset);
        if self.takes(place, item, limits) {
            self.change(place, |node| node.insert(at, item));
        } else if offset > 0 {
            self.split_around(place, (at, offset), item, limits);
        } else {
            match self.before(place).filter(|before| self.takes(*before, item, limits)) {
                Some(before) => self.change(before, |node| node.push(End::Back, item)),
                None => {
                    self.insert_node(place, Node::of(item));
                }
            }
        }
    }

    /// Splits a full node in two and adds an element between; what is then small enough is
    /// joined with its neighbour, so that insertions do not leave a trail of tiny nodes.
    fn split_around(
        &mut self,
        left: Place,
        (at, offset): (usize, usize),
        item: &Item<'_>,
        limits: ListLimits,
    ) {
        let tail = self.change(left, |node| node.split_off(at, offset));
        let behind = Place { node: left.node + 1, ..left };
        let right = self.insert_node(behind, tail);
        let mut sides = [(left, End::Back), (right, End::Front)];
        if self.node(right).used() < self.node(left).used() {
            sides.reverse();
        }
        match sides.into_iter().find(|(place, _)| self.takes(*place, item, limits)) {
            Some((place, end)) => {
                self.change(place, |node| node.push(end, item));
                self.join(right, limits);
            }
            None => {
                self.insert_node(behind, Node::of(item));
            }
        }
        if let Some(before) = self.before(left) {
            self.join(before, limits);
        }
    }

    /// Makes a node and the one behind it one, if they fit.
    fn join(&mut self, place: Place, limits: ListLimits) {
        let Some(behind) = self.behind(place) else { return };
        let (left, right) = (self.node(place), self.node(behind));
        if limits.allow(left.used() + right.used(), left.len() + right.len()) {
            let right = self.remove_node(behind);
            self.change(place, |node| node.append(&right));
        }
    }

    /// Takes out the elements that equal `text`, beginning at an end, and no more than `most`;
    /// answers how many.
    pub(super) fn remove_equal(&mut self, from: End, text: &[u8], most: usize) -> usize {
        let item = Item::new(text);
        let mut left = most;
        let mut next = self.end_place(from);
        while let Some(place) = next.filter(|_| left > 0) {
            let skip = match from {
                End::Front => 0,
                End::Back => self.node(place).count(&item).saturating_sub(left),
            };
            left -= self.change(place, |node| node.remove_equal(&item, skip, left));
            let emptied = self.node(place).len() == 0;
            // Before the node goes, because what lies behind it then moves.
            next = match from {
                End::Front if emptied => Some(place),
                End::Front => self.behind(place),
                End::Back => self.before(place),
            };
            if emptied {
                self.remove_node(place);
                next = next.and_then(|next| self.at_or_behind(next));
            }
        }
        most - left
    }

    /// The node of the element at `index`, which is there, and its index in that node.
    fn find(&self, index: usize) -> (Place, usize) {
        let lens = self.blocks.iter().map(|block| block.items);
        let (block, index) = locate(lens, self.items, index);
        let nodes = &self.blocks[block];
        let (node, offset) = locate(nodes.nodes.iter().map(Node::len), nodes.items, index);
        (Place { block, node }, offset)
    }

    #[inline]
    fn node(&self, place: Place) -> &Node {
        &self.blocks[place.block].nodes[place.node]
    }

    fn takes(&self, place: Place, item: &Item<'_>, limits: ListLimits) -> bool {
        let node = self.node(place);
        limits.allow(node.used() + item.size(), node.len() + 1)
    }

    /// The first or the last node.
    #[inline]
    fn end_place(&self, end: End) -> Option<Place> {
        match end {
            End::Front => (!self.blocks.is_empty()).then_some(Place { block: 0, node: 0 }),
            End::Back => {
                let block = self.blocks.len().checked_sub(1)?;
                Some(Place { block, node: self.blocks[block].nodes.len() - 1 })
            }
        }
    }

    fn before(&self, place: Place) -> Option<Place> {
        if let Some(node) = place.node.checked_sub(1) {
            return Some(Place { node, ..place });
        }
        let block = place.block.checked_sub(1)?;
        Some(Place { block, node: self.blocks[block].nodes.len() - 1 })
    }

    fn behind(&self, place: Place) -> Option<Place> {
        self.at_or_behind(Place { node: place.node + 1, ..place })
    }

    /// A place, or the beginning of the next block if it is behind the end of its own.
    fn at_or_behind(&self, place: Place) -> Option<Place> {
        let block = self.blocks.get(place.block)?;
        if place.node < block.nodes.len() {
            return Some(place);
        }
        let next = place.block + 1;
        (next < self.blocks.len()).then_some(Place { block: next, node: 0 })
    }

    /// Changes a node. Every change goes through here, so that the sums stay right.
    #[inline]
    fn change<R>(&mut self, place: Place, change: impl FnOnce(&mut Node) -> R) -> R {
        let block = &mut self.blocks[place.block];
        let node = &mut block.nodes[place.node];
        let (items, bytes) = (node.len(), node.used());
        let result = change(node);
        block.items = block.items - items + node.len();
        self.items = self.items - items + node.len();
        self.bytes = self.bytes - bytes + node.used();
        result
    }

    /// Puts a node in front of the one at `place`, which may be behind the end of its block;
    /// answers where it is now.
    fn insert_node(&mut self, place: Place, node: Node) -> Place {
        let place = self.room_for_node(place);
        self.items += node.len();
        self.bytes += node.used();
        let block = &mut self.blocks[place.block];
        block.items += node.len();
        block.nodes.insert(place.node, node);
        place
    }

    /// Sees to it that the block of a place is there and not full.
    fn room_for_node(&mut self, place: Place) -> Place {
        let Some(block) = self.blocks.get_mut(place.block) else {
            if self.blocks.is_empty() {
                // Most chains stay at one block of one node.
                self.blocks.reserve_exact(1);
            }
            self.blocks.push_back(Block { nodes: VecDeque::with_capacity(1), items: 0 });
            return Place { block: self.blocks.len() - 1, node: 0 };
        };
        if block.nodes.len() < BLOCK {
            return place;
        }
        // At an end a block of its own, so that the blocks of queues stay full.
        if place.node == 0 {
            self.blocks.insert(place.block, Block { nodes: VecDeque::new(), items: 0 });
            return place;
        }
        let nodes = block.nodes.split_off(place.node);
        let items = nodes.iter().map(Node::len).sum();
        block.items -= items;
        let emptied = nodes.is_empty();
        let next = place.block + 1;
        self.blocks.insert(next, Block { nodes, items });
        if emptied { Place { block: next, node: 0 } } else { place }
    }

    fn remove_node(&mut self, place: Place) -> Node {
        let block = &mut self.blocks[place.block];
        let node = block.nodes.remove(place.node).unwrap_or_else(|| unreachable!("a node's place"));
        block.items -= node.len();
        self.items -= node.len();
        self.bytes -= node.used();
        if block.nodes.is_empty() {
            self.blocks.remove(place.block);
        }
        node
    }
}

/// Which of several parts, whose lengths come to `sum`, has the element at `index`, which is
/// there, and its index in that part; looks from the nearer end.
fn locate<L>(lens: L, sum: usize, index: usize) -> (usize, usize)
where
    L: DoubleEndedIterator<Item = usize> + ExactSizeIterator,
{
    if index < sum / 2 {
        let mut left = index;
        for (part, len) in lens.enumerate() {
            if left < len {
                return (part, left);
            }
            left -= len;
        }
    } else {
        let mut behind = sum - index;
        for (part, len) in lens.enumerate().rev() {
            if behind <= len {
                return (part, len - behind);
            }
            behind -= len;
        }
    }
    unreachable!("the index is below the sum")
}

#[cfg(test)]
impl Chain {
    /// How many nodes there are.
    pub(super) fn nodes(&self) -> usize {
        self.blocks.iter().map(|block| block.nodes.len()).sum()
    }

    /// Holds the sums against what they are sums of.
    pub(super) fn check(&self) {
        let nodes = || self.blocks.iter().flat_map(|block| &block.nodes);
        assert_eq!(self.items, nodes().map(Node::len).sum::<usize>());
        assert_eq!(self.bytes, nodes().map(Node::used).sum::<usize>());
        assert!(nodes().all(|node| node.len() > 0 && node.whole().count() == node.len()));
        for block in &self.blocks {
            assert_eq!(block.items, block.nodes.iter().map(Node::len).sum::<usize>());
            assert!((1..=BLOCK).contains(&block.nodes.len()));
        }
    }
}
