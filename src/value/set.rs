//! Sets.
//!
//! A small set is one allocation: integers in ascending order as long as it has held nothing
//! else (`integers`), otherwise items in the order of their insertion. A large one is a table in
//! the order of the members' hashes. It leaves each form at the thresholds that CONFIG names,
//! and never goes back to one, as in Redis.
//!
//! Redis 7.0 knows two forms, and OBJECT ENCODING answers which of them it would have: "intset"
//! and "hashtable". A small set of texts is a hash table there; Redis 7.2 keeps it as we do and
//! gave the thresholds their names, but its word for it ("listpack") is not answered here. Left
//! out on purpose: replies, and the deletion of a set that has become empty.

mod asked;
mod distinct;
mod integers;
#[cfg(test)]
mod tests;

pub use self::asked::{Asked, Element};
pub use self::integers::Integers;
use super::collection::{Collection, CollectionRef};
use super::items::{self, Items};
use super::number::parse_integer;
use super::packed::{self, Encoded, Text};
use crate::hashing::hash_bytes;
use crate::table::Table;

/// Up to where a set stays in its small forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetLimits {
    /// Integers (`set-max-intset-entries`).
    pub intset_entries: usize,
    /// Members, if not all have always been integers (`set-max-listpack-entries`).
    pub entries: usize,
    /// Bytes of the longest member that is no integer (`set-max-listpack-value`).
    pub value_bytes: usize,
}

impl Default for SetLimits {
    /// Those of Redis 7.2; the first is also Redis 7.0's.
    fn default() -> Self {
        SetLimits { intset_entries: 512, entries: 128, value_bytes: 64 }
    }
}

/// Texts, each once.
pub type Set = Collection<Members>;

/// A set to read.
pub type SetRef<'a> = CollectionRef<'a, Members>;

impl Set {
    /// A set of these members. One that comes again is not added again, so a caller that has to
    /// refuse repeats compares `len` with what it gave.
    pub fn from_members<M: AsRef<[u8]>>(
        members: impl IntoIterator<Item = M>,
        limits: SetLimits,
    ) -> Self {
        let mut set = Set::new();
        for member in members {
            set.add(member.as_ref(), limits);
        }
        set
    }

    /// Adds a member; answers whether it is new.
    pub fn add(&mut self, member: &[u8], limits: SetLimits) -> bool {
        if self.large.is_none()
            && let Some(integers) = Integers::of(self.blob.contents())
        {
            if let Some(integer) = parse_integer(member) {
                return self.add_integer(integer, limits);
            }
            // One more, for the member that is the reason.
            let len = integers.len() + 1;
            self.leave_integers(len, limits);
        }
        self.add_text(member, limits)
    }

    fn add_integer(&mut self, integer: i64, limits: SetLimits) -> bool {
        let Some(integers) = Integers::of(self.blob.contents()) else { return false };
        let Err(index) = integers.search(integer) else { return false };
        let len = integers.len() + 1;
        integers::insert(&mut self.blob, index, integer);
        if len > limits.intset_entries.min(INTEGERS) {
            self.leave_integers(len, limits);
        }
        true
    }

    /// Makes integers items, or what is large when there are to be `len` members.
    fn leave_integers(&mut self, len: usize, limits: SetLimits) {
        if len > limits.entries.min(integers::ITEMS) {
            self.grow(Members::from_small);
            return;
        }
        let integers = Integers::of(self.blob.contents()).into_iter().flat_map(Integers::iter);
        let integers: Vec<i64> = integers.collect();
        self.blob.clear();
        if !integers.is_empty() {
            let items: Vec<_> = integers.into_iter().map(Encoded::integer).collect();
            items::push(&mut self.blob, &items);
        }
    }

    fn add_text(&mut self, member: &[u8], limits: SetLimits) -> bool {
        let item = Encoded::new(member);
        if self.large.is_none() {
            let items = Items::of(self.blob.contents());
            if items.find(&item, 1).is_some() {
                return false;
            }
            let few = items.len() < limits.entries.min(integers::ITEMS);
            if few && member.len() <= limits.value_bytes && items.have_room(1, item.size()) {
                items::push(&mut self.blob, &[item]);
                return true;
            }
        }
        self.grow(Members::from_small).add(member, &item)
    }

    /// Takes a member out; answers whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        if let Some(members) = &mut self.large {
            return members.remove(member, &Encoded::new(member));
        }
        if let Some(integers) = Integers::of(self.blob.contents()) {
            let index = parse_integer(member).and_then(|member| integers.search(member).ok());
            index.inspect(|index| integers::remove(&mut self.blob, *index)).is_some()
        } else {
            let at = Items::of(self.blob.contents()).find(&Encoded::new(member), 1);
            at.inspect(|at| items::remove(&mut self.blob, *at, 1)).is_some()
        }
    }
}

/// More integers than this are not kept in one allocation whatever the thresholds say, as in
/// Redis.
const INTEGERS: usize = 1 << 30;

/// A set in the form that it has.
#[derive(Debug, Clone, Copy)]
enum Form<'a> {
    Integers(Integers<'a>),
    Items(Items<'a>),
    Table(&'a Table<Member>),
}

impl<'a> SetRef<'a> {
    #[inline]
    fn form(self) -> Form<'a> {
        match self {
            SetRef::Small(contents) => match Integers::of(contents) {
                Some(integers) => Form::Integers(integers),
                None => Form::Items(Items::of(contents)),
            },
            SetRef::Large(members) => Form::Table(&members.table),
        }
    }

    /// How many members there are.
    #[inline]
    pub fn len(self) -> usize {
        match self.form() {
            Form::Integers(integers) => integers.len(),
            Form::Items(items) => items.len(),
            Form::Table(table) => table.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether there is this member.
    #[inline]
    pub fn contains(self, member: &[u8]) -> bool {
        match self.form() {
            Form::Integers(integers) => {
                parse_integer(member).is_some_and(|member| integers.search(member).is_ok())
            }
            Form::Items(items) => items.find(&Encoded::new(member), 1).is_some(),
            Form::Table(table) => find(table, member, &Encoded::new(member)).is_some(),
        }
    }

    /// The members as integers, if the set has never held anything else.
    pub fn integers(self) -> Option<Integers<'a>> {
        match self.form() {
            Form::Integers(integers) => Some(integers),
            Form::Items(_) | Form::Table(_) => None,
        }
    }

    /// Every member: ascending if the set has only ever held integers, otherwise in an order
    /// that stays the same until a member comes or goes.
    pub fn iter(self) -> impl Iterator<Item = Text<'a>> {
        let (integers, items, table) = match self.form() {
            Form::Integers(integers) => (Some(integers), None, None),
            Form::Items(items) => (None, Some(items), None),
            Form::Table(table) => (None, None, Some(table)),
        };
        let integers = integers.into_iter().flat_map(Integers::iter).map(Text::integer);
        let items = items.into_iter().flat_map(Items::iter);
        integers.chain(items).chain(table.into_iter().flat_map(|t| t.iter().map(Member::text)))
    }

    /// A member, each as likely as the next; `random` yields uniform 64-bit numbers. `None` when
    /// the set is empty.
    pub fn random(self, mut random: impl FnMut() -> u64) -> Option<Text<'a>> {
        let mut below = |len: usize| ((u128::from(random()) * len as u128) >> 64) as usize;
        match self.form() {
            Form::Integers(integers) if integers.is_empty() => None,
            Form::Integers(integers) => Some(Text::integer(integers.at(below(integers.len())))),
            Form::Items(items) if items.is_empty() => None,
            Form::Items(items) => Some(items.read(items.position(below(items.len()))).0),
            Form::Table(table) => Some(table.at(table.random(random)?).text()),
        }
    }

    /// Whether `random` walks over other members.
    pub fn is_list(self) -> bool {
        matches!(self.form(), Form::Items(_))
    }

    /// Visits `count` members from `cursor` on, and answers the cursor to go on with: 0 at both
    /// the beginning and the end.
    ///
    /// Every member that is there from the first call to the last is visited, whatever comes
    /// and goes in between. A small set is visited at once. More than `count` are visited only
    /// when hashes are equal; a `count` of 0 is taken for 1.
    pub fn scan(self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8])) -> u64 {
        match self {
            SetRef::Small(_) => {
                self.iter().for_each(|member| visit(&member));
                0
            }
            SetRef::Large(members) => {
                members.table.visit(cursor, count, |member| visit(&member.text()))
            }
        }
    }

    /// The name of the form that Redis 7.0 would have, as OBJECT ENCODING answers it.
    pub fn encoding(self) -> &'static str {
        match self.form() {
            Form::Integers(_) => "intset",
            Form::Items(_) | Form::Table(_) => "hashtable",
        }
    }
}

#[inline]
fn find(table: &Table<Member>, member: &[u8], item: &Encoded<'_>) -> Option<usize> {
    table.find(hash_bytes(member), |stored| item.opens(&stored.0))
}

/// The large form.
#[derive(Debug, Clone, Default)]
pub struct Members {
    table: Table<Member>,
    /// Sum of the members' `heap_bytes`.
    member_bytes: usize,
}

impl Members {
    /// Bytes that the set owns, each member rounded up as an allocator does.
    pub fn heap_bytes(&self) -> usize {
        size_of::<Members>() + self.table.heap_bytes() + self.member_bytes
    }

    fn from_small(contents: &[u8]) -> Self {
        let small = SetRef::Small(contents);
        // One more, for the member that is the reason.
        let mut members = Members::with_capacity(small.len() + 1);
        for member in small.iter() {
            members.insert(&member, &Encoded::new(&member));
        }
        members
    }

    fn add(&mut self, member: &[u8], item: &Encoded<'_>) -> bool {
        let fresh = find(&self.table, member, item).is_none();
        if fresh {
            self.insert(member, item);
        }
        fresh
    }

    /// Room for so many members.
    fn with_capacity(count: usize) -> Self {
        Members { table: Table::with_capacity(count), member_bytes: 0 }
    }

    /// Adds a member that is not there.
    fn insert(&mut self, member: &[u8], item: &Encoded<'_>) {
        let stored = Member::new(item);
        self.member_bytes += stored.heap_bytes();
        self.table.insert(hash_bytes(member), stored);
    }

    fn remove(&mut self, member: &[u8], item: &Encoded<'_>) -> bool {
        let Some(slot) = find(&self.table, member, item) else { return false };
        self.member_bytes -= self.table.remove(slot).heap_bytes();
        true
    }
}

/// A member as a packed item; empty for a vacant slot.
#[derive(Debug, Clone, Default)]
struct Member(Box<[u8]>);

impl Member {
    fn new(item: &Encoded<'_>) -> Self {
        let mut bytes = Vec::with_capacity(item.size());
        item.append(&mut bytes);
        Member(bytes.into_boxed_slice())
    }

    #[inline]
    fn text(&self) -> Text<'_> {
        packed::read(&self.0, 0).0
    }

    /// The small size classes of the usual allocators lie 16 bytes apart.
    fn heap_bytes(&self) -> usize {
        self.0.len().next_multiple_of(16)
    }
}
