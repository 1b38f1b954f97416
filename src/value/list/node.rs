//! A run of a list's elements in one allocation, which can be walked from either end.
//!
//! An element is an item as `packed` encodes it, and behind it its trail: how long the item is,
//! to be read from the last byte towards the first.
//!
//! | last byte | trail |
//! |---|---|
//! | 0 to 95 | this byte: the item has that many bytes |
//! | 96 to 126 | two bytes: the item has 96 bytes and more, up to 8031 |
//! | 127 | nine bytes: eight of length (little endian), and this one |
//! | 128 to 255 | none: the item is this one byte |
//!
//! The elements lie behind a gap, so that those in front come and go as cheaply as those behind.
//! Left out on purpose: how many elements a node may hold, which is its chain's to say.

use super::Element;
use super::End;
use crate::value::packed::{self, Encoded};

/// Item sizes from here on do not fit into the last byte.
const MEDIUM: usize = 96;
/// Item sizes from here on do not fit into two bytes: there are 31 last bytes for them.
const LONG: usize = MEDIUM + 31 * 256;
/// The last byte of the longest trail.
const LONG_TRAIL: u8 = 127;
/// Bytes of the longest trail.
const TRAIL: usize = 9;

/// An element on its way in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    encoded: Encoded<'a>,
    trail: [u8; TRAIL],
    trail_len: usize,
}

impl<'a> Item<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        let encoded = Encoded::new(text);
        let mut trail = [0; TRAIL];
        let size = encoded.size();
        let trail_len = if encoded.is_one_byte() { 0 } else { trail_len(size) };
        match trail_len {
            0 => {}
            1 => trail[0] = size as u8,
            2 => {
                let more = size - MEDIUM;
                trail[0] = (more & 0xff) as u8;
                trail[1] = (MEDIUM + (more >> 8)) as u8;
            }
            _ => {
                trail[..8].copy_from_slice(&(size as u64).to_le_bytes());
                trail[8] = LONG_TRAIL;
            }
        }
        Item { encoded, trail, trail_len }
    }

    /// Bytes of item and trail.
    pub(super) fn size(&self) -> usize {
        self.encoded.size() + self.trail_len
    }

    /// Writes item and trail over `target`, which is as long.
    fn write(&self, target: &mut [u8]) {
        self.encoded.write(target);
        target[self.encoded.size()..].copy_from_slice(&self.trail[..self.trail_len]);
    }
}

/// Bytes of the trail of an item of `size` bytes that is not alone.
fn trail_len(size: usize) -> usize {
    match size {
        0..MEDIUM => 1,
        MEDIUM..LONG => 2,
        _ => TRAIL,
    }
}

/// See the module's description. A position is where an element begins.
#[derive(Debug, Clone)]
pub(super) struct Node {
    bytes: Vec<u8>,
    /// Bytes of the gap in front.
    start: u32,
    count: u32,
}

impl Node {
    /// A node of one element.
    pub(super) fn of(item: &Item<'_>) -> Self {
        let mut bytes = vec![0; item.size()];
        item.write(&mut bytes);
        Node { bytes, start: 0, count: 1 }
    }

    /// How many elements there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    /// Bytes of the elements.
    #[inline]
    pub(super) fn used(&self) -> usize {
        self.bytes.len() - self.start()
    }

    /// The position of the first element.
    #[inline]
    fn start(&self) -> usize {
        self.start as usize
    }

    /// The position behind the last element.
    #[inline]
    pub(super) fn end(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn element(&self, at: usize) -> Element<'_> {
        Element::of_node(&self.bytes, at)
    }

    /// The position behind the element at `at`.
    #[inline]
    pub(super) fn next(&self, at: usize) -> usize {
        let end = packed::end(&self.bytes, at);
        if packed::is_one_byte(self.bytes[at]) { end } else { end + trail_len(end - at) }
    }

    /// The position of the element that ends at `end`.
    #[inline]
    fn before(&self, end: usize) -> usize {
        let last = self.bytes[end - 1];
        if packed::is_one_byte(last) {
            return end - 1;
        }
        let size = match last {
            LONG_TRAIL => {
                let length = self.bytes[..end - 1].last_chunk::<8>();
                length.map_or(0, |length| u64::from_le_bytes(*length) as usize)
            }
            last if usize::from(last) >= MEDIUM => {
                let high = usize::from(last) - MEDIUM;
                MEDIUM + (high << 8 | usize::from(self.bytes[end - 2]))
            }
            last => usize::from(last),
        };
        end - trail_len(size) - size
    }

    /// The position of element `index`, or the end; walks from the nearer end.
    pub(super) fn position(&self, index: usize) -> usize {
        if index <= self.len() / 2 {
            (0..index).fold(self.start(), |at, _| self.next(at))
        } else {
            (index..self.len()).fold(self.end(), |at, _| self.before(at))
        }
    }

    /// The elements from a position on.
    pub(super) fn forward(&self, mut at: usize) -> impl Iterator<Item = Element<'_>> {
        std::iter::from_fn(move || {
            let element = (at < self.end()).then(|| self.element(at))?;
            at = self.next(at);
            Some(element)
        })
    }

    /// The elements in front of a position, the nearest first.
    pub(super) fn backward(&self, mut end: usize) -> impl Iterator<Item = Element<'_>> {
        std::iter::from_fn(move || {
            end = (end > self.start()).then(|| self.before(end))?;
            Some(self.element(end))
        })
    }

    /// Every element.
    pub(super) fn whole(&self) -> impl Iterator<Item = Element<'_>> {
        self.forward(self.start())
    }

    /// How many elements equal `item`.
    pub(super) fn count(&self, item: &Item<'_>) -> usize {
        self.whole().filter(|element| element.is(&item.encoded)).count()
    }

    /// Adds an element at an end.
    pub(super) fn push(&mut self, end: End, item: &Item<'_>) {
        let size = item.size();
        match end {
            End::Back => {
                if self.bytes.capacity() - self.bytes.len() < size {
                    self.make_room(end, size);
                }
                let at = self.bytes.len();
                self.bytes.resize(at + size, 0);
                item.write(&mut self.bytes[at..]);
            }
            End::Front => {
                if self.start() < size {
                    self.make_room(end, size);
                }
                let start = self.start();
                item.write(&mut self.bytes[start - size..start]);
                self.set_start(start - size);
            }
        }
        self.count += 1;
    }

    /// Makes room for `size` bytes at an end.
    ///
    /// What grows at one end only grows to what the allocator gives anyway. What has room at the
    /// other end shares it out, if that is a quarter of what must be moved for it, or grows by
    /// so much: then each byte that is moved makes room for a fraction of a byte at least.
    fn make_room(&mut self, end: End, size: usize) {
        let used = self.used();
        let other = match end {
            End::Back => self.start(),
            End::Front => self.bytes.capacity() - self.bytes.len(),
        };
        let wanted = if other == 0 { used + size } else { used + size + used / 4 };
        let capacity = self.bytes.capacity();
        let capacity = if wanted > capacity { size_class(wanted) } else { capacity };
        let spare = capacity - used - size;
        let shared = if other == 0 { 0 } else { spare / 2 };
        let gap = match end {
            End::Back => shared,
            End::Front => size + spare - shared,
        };
        self.relocate(capacity, gap);
    }

    /// Moves the elements behind a gap of `gap` bytes, in room for `capacity` bytes at least.
    fn relocate(&mut self, capacity: usize, gap: usize) {
        let (start, end, len) = (self.start(), self.end(), gap + self.used());
        self.bytes.reserve_exact(capacity.saturating_sub(end));
        self.bytes.resize(end.max(len), 0);
        self.bytes.copy_within(start..end, gap);
        self.bytes.truncate(len);
        self.set_start(gap);
    }

    /// Gives back what the elements do not need.
    pub(super) fn trim(&mut self) {
        let used = self.used();
        if self.bytes.capacity() > size_class(used) {
            self.relocate(0, 0);
            self.bytes.shrink_to_fit();
        }
    }

    /// Gives most of the room back, if there is much more than the elements need.
    fn relax(&mut self) {
        const LITTLE: usize = 256;
        if self.bytes.capacity() > LITTLE + 4 * self.used() {
            self.relocate(0, 0);
            self.bytes.shrink_to(size_class(self.used() * 2));
        }
    }

    /// The gap is at most as long as what once lay there: no more than a node's bound.
    fn set_start(&mut self, start: usize) {
        debug_assert!(u32::try_from(start).is_ok());
        self.start = start as u32;
    }

    /// Adds an element at a position.
    pub(super) fn insert(&mut self, at: usize, item: &Item<'_>) {
        item.write(self.splice(at, at, item.size()));
        self.count += 1;
    }

    /// Puts another element in the place of the one at a position.
    pub(super) fn replace(&mut self, at: usize, item: &Item<'_>) {
        let end = self.next(at);
        item.write(self.splice(at, end, item.size()));
        self.relax();
    }

    /// Takes out the element at a position.
    pub(super) fn remove(&mut self, at: usize) {
        let end = self.next(at);
        self.splice(at, end, 0);
        self.count -= 1;
        self.relax();
    }

    /// Makes the bytes from `start` to `end` `len` bytes long, and answers those.
    fn splice(&mut self, start: usize, end: usize, len: usize) -> &mut [u8] {
        let old = self.bytes.len();
        let new = old - (end - start) + len;
        if new > self.bytes.capacity() {
            self.bytes.reserve_exact(size_class(new) - old);
        }
        self.bytes.resize(old.max(new), 0);
        self.bytes.copy_within(end..old, start + len);
        self.bytes.truncate(new);
        &mut self.bytes[start..start + len]
    }

    /// Takes `count` elements away at an end, and some are left.
    pub(super) fn cut(&mut self, end: End, count: usize) {
        match end {
            End::Front => self.set_start(self.position(count)),
            End::Back => self.bytes.truncate(self.position(self.len() - count)),
        }
        self.count -= count as u32;
        self.relax();
    }

    /// Takes out the elements that equal `item`, but not the first `skip` of them, and no more
    /// than `most`; answers how many.
    pub(super) fn remove_equal(&mut self, item: &Item<'_>, skip: usize, most: usize) -> usize {
        let (mut at, mut kept) = (self.start(), self.start());
        let (mut equal, mut removed) = (0, 0);
        while at < self.end() {
            let next = self.next(at);
            let is = removed < most && self.element(at).is(&item.encoded);
            equal += usize::from(is);
            if is && equal > skip {
                removed += 1;
            } else {
                if kept < at {
                    self.bytes.copy_within(at..next, kept);
                }
                kept += next - at;
            }
            at = next;
        }
        self.bytes.truncate(kept);
        self.count -= removed as u32;
        self.relax();
        removed
    }

    /// Takes away the elements from a position on, the first of which is element `index`.
    pub(super) fn split_off(&mut self, at: usize, index: usize) -> Node {
        let bytes = self.bytes[at..].to_vec();
        let count = self.count - index as u32;
        self.bytes.truncate(at);
        self.count -= count;
        self.relax();
        Node { bytes, start: 0, count }
    }

    /// Adds the elements of another node behind the last.
    pub(super) fn append(&mut self, other: &Node) {
        let end = self.end();
        self.splice(end, end, other.used()).copy_from_slice(&other.bytes[other.start()..]);
        self.count += other.count;
    }
}

/// What an allocator gives to who asks for `bytes`: four sizes between two powers of two.
fn size_class(bytes: usize) -> usize {
    let step = bytes.checked_next_power_of_two().map_or(0, |power| power / 8).max(16);
    bytes.checked_next_multiple_of(step).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trail_reads_back() {
        let mut texts: Vec<Vec<u8>> = Vec::new();
        for len in [0, 1, 79, 80, 92, 93, 94, 95, 96, 97, 350, 8_027, 8_028, 8_029, 70_000] {
            texts.push(vec![b'x'; len]);
        }
        for number in [0, 1, 127, 128, -1, 255, 256, 65_535, i64::MIN] {
            texts.push(number.to_string().into_bytes());
        }
        for text in &texts {
            let mut node = Node::of(&Item::new(b"in front"));
            let first = node.end();
            node.push(End::Back, &Item::new(text));
            let second = node.end();
            node.push(End::Back, &Item::new(b"behind"));
            assert_eq!((node.next(first), node.before(second)), (second, first), "{}", text.len());
            assert_eq!(&*node.element(first).text(), &text[..]);
            assert_eq!(node.before(node.end()), second);
        }
    }

    #[test]
    fn size_classes_are_those_of_the_allocator() {
        for (bytes, class) in
            [(1, 16), (16, 16), (17, 32), (129, 160), (600, 640), (1024, 1024), (1025, 1280)]
        {
            assert_eq!(size_class(bytes), class);
        }
    }

    /// However it is pushed to and popped from, room stays in proportion to what is held.
    #[test]
    fn room_is_bounded() {
        for (back, front) in [(1, 0), (0, 1), (1, 1), (3, 1)] {
            let mut node = Node::of(&Item::new(b"an element"));
            for _ in 0..200 {
                (0..back).for_each(|_| node.push(End::Back, &Item::new(b"an element")));
                (0..front).for_each(|_| node.push(End::Front, &Item::new(b"an element")));
                assert!(node.bytes.capacity() <= node.used() * 8 / 5 + 64);
            }
            // A queue.
            for _ in 0..2000 {
                node.push(End::Back, &Item::new(b"an element"));
                node.cut(End::Front, 1);
                assert!(node.bytes.capacity() <= node.used() * 2 + 64);
            }
            while node.len() > 1 {
                node.cut(End::Back, 1);
                assert!(node.bytes.capacity() <= node.used() * 4 + 256);
            }
            node.trim();
            assert!(node.bytes.capacity() <= 16);
        }
    }
}
