//! Texts in order, one behind the other in a blob: the small form of the collections.
//!
//! The contents of the blob are two bytes of count (little endian), then the items as `packed`
//! encodes them; an empty blob has no items. A position is where an item begins. Collections of
//! pairs keep a pair as two items. Looking for something walks, and a change moves what lies
//! behind it: the thresholds that CONFIG names keep both short.
//!
//! Names of a kind begin alike ("user:1", "user:2"), so the items may share a prefix, which
//! lies between the count and the first of them: see `Prefix`. It is chosen when the second
//! element comes, and that moves everything: no position outlives a change.
//!
//! An item may expire: the moment stands in front of it and belongs to it, and the soonest of
//! all such moments in front of the items, so that items which do not expire cost nothing.
//!
//! Left out on purpose: what items mean, their order and their uniqueness; what time it is.

use super::blob::Blob;
use super::packed::{self, Encoded, Text};

/// Bytes of the count.
const COUNT: usize = 2;

/// Bytes in front of the longest prefix, and the prefix.
const LONGEST_PREFIX: usize = 2 + packed::PREFIX;

/// The moment of what does not expire.
pub const NEVER: u64 = 0;

/// The shortest prefix that costs no more than it saves on two items.
const SHORTEST_PREFIX: usize = 2;

/// More bytes than this are not kept in one allocation whatever the thresholds say, as in Redis
/// (`LISTPACK_MAX_SAFETY_LIMIT`).
const LARGEST: usize = 1 << 30;

/// Items to read.
#[derive(Debug, Clone, Copy)]
pub struct Items<'a> {
    bytes: &'a [u8],
    /// What the texts share; empty when they share nothing.
    prefix: &'a [u8],
    /// The position of the first item.
    start: usize,
}

impl<'a> Items<'a> {
    /// The items in the contents of a blob.
    #[inline]
    pub fn of(contents: &'a [u8]) -> Items<'a> {
        let start = match contents.get(COUNT) {
            Some(&packed::TAG_SOONEST) => COUNT + packed::MOMENT,
            _ => COUNT.min(contents.len()),
        };
        match &contents[start..] {
            [packed::TAG_PREFIX, len, rest @ ..] => {
                let len = usize::from(*len);
                Items { bytes: contents, prefix: &rest[..len], start: start + 2 + len }
            }
            _ => Items { bytes: contents, prefix: &[], start },
        }
    }

    /// The soonest moment at which an item expires; `NEVER` when none does.
    #[inline]
    pub fn soonest(self) -> u64 {
        match self.bytes.get(COUNT) {
            Some(&packed::TAG_SOONEST) => packed::moment(self.bytes, COUNT).unwrap_or(NEVER),
            _ => NEVER,
        }
    }

    /// The moment at which the item at a position expires, or `NEVER`.
    #[inline]
    pub fn expiry(self, at: usize) -> u64 {
        packed::moment(self.bytes, at).unwrap_or(NEVER)
    }

    /// How many there are.
    #[inline]
    pub fn len(self) -> usize {
        self.bytes.first_chunk().map_or(0, |count| usize::from(u16::from_le_bytes(*count)))
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The position of the first item.
    #[inline]
    pub fn start(self) -> usize {
        self.start
    }

    /// The position behind the last item.
    #[inline]
    pub fn end(self) -> usize {
        self.bytes.len()
    }

    /// The bytes in which positions are, and what the texts share.
    pub fn stored(self) -> (&'a [u8], &'a [u8]) {
        (self.bytes, self.prefix)
    }

    /// The item at a position, and the position of the next.
    #[inline]
    pub fn read(self, at: usize) -> (Text<'a>, usize) {
        packed::read_shared(self.bytes, at, self.prefix)
    }

    /// The double at a position, where `Encoded::double` was put.
    #[inline]
    pub fn double(self, at: usize) -> f64 {
        packed::double(self.bytes, at)
    }

    /// The position behind the item at `at`.
    #[inline]
    pub fn skip(self, at: usize) -> usize {
        packed::end(self.bytes, at)
    }

    /// Whether `item` stands at a position.
    #[inline]
    pub fn is(self, at: usize, item: &Encoded<'_>) -> bool {
        item.sharing(self.prefix).opens(&self.bytes[packed::body(self.bytes, at)..])
    }

    /// Every item.
    pub fn iter(self) -> impl Iterator<Item = Text<'a>> {
        self.positions(1).map(move |at| self.read(at).0)
    }

    /// The position of each `step`th item, from the first on.
    #[inline]
    pub fn positions(self, step: usize) -> impl Iterator<Item = usize> + use<'a> {
        let mut at = self.start();
        std::iter::from_fn(move || {
            if at >= self.end() {
                return None;
            }
            let this = at;
            for _ in 0..step {
                at = self.skip(at);
            }
            Some(this)
        })
    }

    /// The position of item `index`, or of the end.
    pub fn position(self, index: usize) -> usize {
        self.positions(1).nth(index).unwrap_or(self.end())
    }

    /// The position of the first item that equals `item`, looking at each `step`th.
    #[inline]
    pub fn find(self, item: &Encoded<'_>, step: usize) -> Option<usize> {
        let item = item.sharing(self.prefix);
        self.positions(step).find(|at| item.opens(&self.bytes[packed::body(self.bytes, *at)..]))
    }

    /// Adds the `count` items from a position on at the end of `target`, as `packed` encodes
    /// items that stand alone; each with the moment at which it expires.
    pub fn copy(self, at: usize, count: usize, target: &mut Vec<u8>) {
        let mut at = at;
        for _ in 0..count {
            target.extend_from_slice(&self.bytes[at..packed::body(self.bytes, at)]);
            let (text, next) = self.read(at);
            Encoded::new(&text).append(target);
            at = next;
        }
    }

    /// Whether items of `bytes` in all could be added and counted.
    pub fn have_room(self, items: usize, bytes: usize) -> bool {
        let head = COUNT + LONGEST_PREFIX + 2 * packed::MOMENT;
        self.len() + items <= usize::from(u16::MAX) && self.bytes.len() + head + bytes <= LARGEST
    }
}

/// Adds items at a position, in their order: one element of the collection, or one part of it.
/// The caller has asked `have_room`.
pub fn insert(blob: &mut Blob, at: usize, items: &[Encoded<'_>]) {
    if blob.is_empty() {
        blob.splice(0, 0, COUNT).fill(0);
    }
    let present = Items::of(blob.contents());
    let at = match shared(present, items) {
        Some(prefix) => rebuild(blob, &prefix, at),
        None => at.max(present.start),
    };
    let len = Items::of(blob.contents()).len() + items.len();
    write(blob, at, at, items);
    set_len(blob, len);
}

/// Writes items in the place of what lies between two positions.
fn write(blob: &mut Blob, start: usize, end: usize, items: &[Encoded<'_>]) {
    let prefix = Prefix::of(Items::of(blob.contents()).prefix);
    let sizes = items.iter().map(|item| item.sharing(&prefix).size());
    let mut space = blob.splice(start, end, sizes.sum());
    for item in items {
        let item = item.sharing(&prefix);
        item.write(space);
        space = &mut space[item.size()..];
    }
}

/// A prefix, apart from the items that share it.
struct Prefix {
    bytes: [u8; packed::PREFIX],
    len: usize,
}

impl Prefix {
    /// As much of `bytes` as a prefix may have.
    fn of(bytes: &[u8]) -> Prefix {
        let len = bytes.len().min(packed::PREFIX);
        let mut prefix = Prefix { bytes: [0; packed::PREFIX], len };
        prefix.bytes[..len].copy_from_slice(&bytes[..len]);
        prefix
    }
}

impl std::ops::Deref for Prefix {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The prefix that items are to share from now on, if that is another one: when a second
/// element comes, what both begin with.
fn shared(present: Items<'_>, items: &[Encoded<'_>]) -> Option<Prefix> {
    if present.len() != items.len() || present.is_empty() {
        return None;
    }
    let new = items.first()?.text()?;
    let (old, _) = present.read(present.start);
    let mut len = new.iter().zip(&*old).take(packed::PREFIX).take_while(|(a, b)| a == b).count();
    // Numbers count on: what follows "user:1007" and "user:1008" begins with "user:".
    while len > 0 && new[len - 1].is_ascii_digit() {
        len -= 1;
    }
    let both_share = new.len().max(old.len()) - len <= packed::SHARED_REST;
    let better = len >= SHORTEST_PREFIX && both_share && new[..len] != *present.prefix;
    better.then(|| Prefix::of(&new[..len]))
}

/// Writes everything anew with another prefix; answers where `at` has come to.
#[cold]
fn rebuild(blob: &mut Blob, prefix: &[u8], at: usize) -> usize {
    let items = Items::of(blob.contents());
    let mut bytes = Vec::with_capacity(items.bytes.len() + LONGEST_PREFIX);
    let head = if items.soonest() == NEVER { COUNT } else { COUNT + packed::MOMENT };
    bytes.extend_from_slice(&items.bytes[..head]);
    bytes.extend_from_slice(&[packed::TAG_PREFIX, prefix.len() as u8]);
    bytes.extend_from_slice(prefix);
    let mut moved = bytes.len();
    for position in items.positions(1) {
        bytes.extend_from_slice(&items.bytes[position..packed::body(items.bytes, position)]);
        Encoded::new(&items.read(position).0).sharing(prefix).append(&mut bytes);
        if position < at {
            moved = bytes.len();
        }
    }
    blob.splice(0, blob.contents().len(), bytes.len()).copy_from_slice(&bytes);
    moved
}

/// Adds items behind the last. The caller has asked `have_room`.
pub fn push(blob: &mut Blob, items: &[Encoded<'_>]) {
    insert(blob, blob.contents().len(), items);
}

/// Puts another item, which does not expire, in the place of the one at a position.
pub fn replace(blob: &mut Blob, at: usize, item: &Encoded<'_>) {
    let end = Items::of(blob.contents()).skip(at);
    write(blob, at, end, &[*item]);
}

/// Takes out `count` items from a position on.
pub fn remove(blob: &mut Blob, at: usize, count: usize) {
    let items = Items::of(blob.contents());
    let end = (0..count).fold(at, |end, _| items.skip(end));
    let len = items.len() - count;
    blob.splice(at, end, 0);
    set_len(blob, len);
}

/// Takes out each element of `step` items, from the position of its first, that `keep` refuses.
pub fn retain(blob: &mut Blob, step: usize, mut keep: impl FnMut(Items<'_>, usize) -> bool) {
    if blob.is_empty() {
        return;
    }
    let items = Items::of(blob.contents());
    let mut bytes = Vec::with_capacity(items.bytes.len());
    bytes.extend_from_slice(&items.bytes[..items.start]);
    let mut len = 0;
    for at in items.positions(step).filter(|at| keep(items, *at)) {
        let end = (0..step).fold(at, |end, _| items.skip(end));
        bytes.extend_from_slice(&items.bytes[at..end]);
        len += step;
    }
    blob.splice(0, blob.contents().len(), bytes.len()).copy_from_slice(&bytes);
    set_len(blob, len);
}

/// Says when the item at a position expires. The caller then says `set_soonest`.
pub fn set_expiry(blob: &mut Blob, at: usize, moment: u64) {
    let items = Items::of(blob.contents());
    set_moment(blob, at, items.expiry(at), packed::TAG_EXPIRY, moment);
}

/// Finds the soonest of the moments at which items expire, looking at each `step`th.
pub fn set_soonest(blob: &mut Blob, step: usize) {
    let items = Items::of(blob.contents());
    let expiries = items.positions(step).map(|at| items.expiry(at));
    let soonest = expiries.filter(|at| *at != NEVER).min().unwrap_or(NEVER);
    let old = items.soonest();
    if old != soonest {
        set_moment(blob, COUNT, old, packed::TAG_SOONEST, soonest);
    }
}

/// Puts a moment at a position, where `old` stands now.
fn set_moment(blob: &mut Blob, at: usize, old: u64, tag: u8, new: u64) {
    let bytes = |moment| if moment == NEVER { 0 } else { packed::MOMENT };
    let space = blob.splice(at, at + bytes(old), bytes(new));
    if new != NEVER {
        space.copy_from_slice(&packed::moment_bytes(tag, new));
    }
}

fn set_len(blob: &mut Blob, len: usize) {
    // `have_room` has seen to it that the count fits.
    blob.contents_mut()[..COUNT].copy_from_slice(&(len as u16).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            "[a-c]{0,3}".prop_map(String::into_bytes),
            "(name:|name|na|12:|longer than a prefix may be:)[0-9]{0,2}[a-c]{0,1}"
                .prop_map(String::into_bytes),
            any::<i16>().prop_map(|n| n.to_string().into_bytes()),
            (22usize..26).prop_map(|len| vec![b'x'; len]),
            (56usize..66).prop_map(|len| vec![b'x'; len]),
            (78usize..82).prop_map(|len| vec![b'x'; len]),
        ]
    }

    fn texts(items: Items<'_>) -> Vec<Vec<u8>> {
        items.iter().map(|text| text.to_vec()).collect()
    }

    proptest! {
        #[test]
        fn behave_as_a_vector(
            // Single items, and pairs.
            step in 1usize..3,
            steps in prop::collection::vec((0u8..6, 0usize..9, text(), text()), 0..60),
        ) {
            let mut blob = Blob::behind(b"head".as_slice().into(), 4);
            let mut model: Vec<Vec<u8>> = Vec::new();
            let mut moments: Vec<u64> = Vec::new();
            for (what, at, text, other) in steps {
                let moment = if what == 5 { NEVER } else { (text.len() * at + 1) as u64 };
                let at = (at * step).min(model.len());
                let position = Items::of(blob.contents()).position(at);
                let element = &[Encoded::new(&text), Encoded::new(&other)][..step];
                match what {
                    0 | 1 => {
                        insert(&mut blob, position, element);
                        model.splice(at..at, [text, other].into_iter().take(step));
                        moments.splice(at..at, [NEVER; 2].into_iter().take(step));
                    }
                    2 if at < model.len() => {
                        replace(&mut blob, position, &Encoded::new(&text));
                        model[at] = text;
                        moments[at] = NEVER;
                        set_soonest(&mut blob, step);
                    }
                    3 if at < model.len() => {
                        remove(&mut blob, position, step);
                        model.drain(at..at + step);
                        moments.drain(at..at + step);
                        set_soonest(&mut blob, step);
                    }
                    4 | 5 if at < model.len() => {
                        set_expiry(&mut blob, position, moment);
                        set_soonest(&mut blob, step);
                        moments[at] = moment;
                    }
                    _ => {}
                }
                let items = Items::of(blob.contents());
                prop_assert_eq!(items.len(), model.len());
                prop_assert_eq!(texts(items), model.clone());
                let expiries: Vec<u64> = items.positions(1).map(|at| items.expiry(at)).collect();
                prop_assert_eq!(&expiries, &moments);
                let soonest = moments.iter().filter(|at| **at != NEVER).min();
                prop_assert_eq!(items.soonest(), *soonest.unwrap_or(&NEVER));
                for text in model.iter().step_by(step) {
                    let found = items.find(&Encoded::new(text), step).unwrap();
                    prop_assert_eq!(&*items.read(found).0, &text[..]);
                    prop_assert!(items.is(found, &Encoded::new(text)));
                }
                let mut alone = Vec::new();
                items.copy(items.start(), items.len(), &mut alone);
                let mut plain = Vec::new();
                for (text, moment) in model.iter().zip(&moments) {
                    if *moment != NEVER {
                        plain.extend(packed::moment_bytes(packed::TAG_EXPIRY, *moment));
                    }
                    Encoded::new(text).append(&mut plain);
                }
                prop_assert_eq!(alone, plain);
            }
            retain(&mut blob, step, |items, at| items.expiry(at) == NEVER);
            let stay: Vec<Vec<u8>> = model.chunks(step).zip(moments.chunks(step))
                .filter(|(_, moments)| moments[0] == NEVER)
                .flat_map(|(texts, _)| texts.to_vec())
                .collect();
            let items = Items::of(blob.contents());
            prop_assert_eq!((items.len(), texts(items)), (stay.len(), stay));
            prop_assert_eq!(blob.head(), b"head");
        }
    }

    fn sizes(texts: &[&str]) -> (Vec<u8>, usize) {
        let mut blob = Blob::default();
        texts.iter().for_each(|text| push(&mut blob, &[Encoded::new(text.as_bytes())]));
        (Items::of(blob.contents()).prefix.to_vec(), blob.contents().len())
    }

    #[test]
    fn prefixes_are_what_the_first_two_have_in_common() {
        // Tag and the rest for each, the prefix once with two bytes in front, the count.
        assert_eq!(sizes(&["name:10", "name:11", "name:2"]), (b"name:".into(), 3 + 3 + 2 + 9));
        assert_eq!(sizes(&["ab", "ab1", "b"]), (b"ab".into(), 1 + 2 + 2 + 6));
        // Too short, or only numbers.
        assert_eq!(sizes(&["a1", "a2"]), (b"".into(), 3 + 3 + 2));
        assert_eq!(sizes(&["2025-01", "2025-02"]), (b"2025-".into(), 3 + 3 + 9));
        assert_eq!(sizes(&["12a", "12b"]), (b"".into(), 4 + 4 + 2));
        assert_eq!(sizes(&["100", "101", "name:1", "name:2"]).0, b"");
        let long = "x".repeat(30);
        assert_eq!(sizes(&[&long, &long]).0.len(), packed::PREFIX);
        let longer = "x".repeat(packed::PREFIX + packed::SHARED_REST + 1);
        assert_eq!(sizes(&[&long, &longer]).0, b"");
    }
}
