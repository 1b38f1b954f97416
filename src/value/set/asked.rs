//! Sets that are asked for many members one after the other: what intersections and differences
//! are made of.
//!
//! Integers are compared as integers as long as both sets are. Items, which one question walks
//! through, are found by their hashes once enough is asked.

use super::{Form, Member, SetRef, find};
use crate::hashing::hash_bytes;
use crate::table::Table;
use crate::value::items::Items;
use crate::value::number::parse_integer;
use crate::value::packed::{Encoded, Text};
use crate::value::set::Integers;

/// Items that are walked through before it would have been worth to hash them.
const WALKED: usize = 256;

/// A member of a set, in the form in which it is cheapest to get.
#[derive(Debug, Clone, Copy)]
pub enum Element<'a> {
    /// Of a set of integers.
    Integer(i64),
    /// Of any other.
    Text(Text<'a>),
}

impl<'a> Element<'a> {
    /// The member.
    pub fn text(self) -> Text<'a> {
        match self {
            Element::Integer(integer) => Text::integer(integer),
            Element::Text(text) => text,
        }
    }
}

/// See the module's description.
#[derive(Debug)]
pub struct Asked<'a>(How<'a>);

#[derive(Debug)]
enum How<'a> {
    Integers(Integers<'a>),
    Items(Items<'a>),
    /// The positions of items by the hashes of their texts, 0 for none.
    Hashed(Items<'a>, Table<u32>),
    Table(&'a Table<Member>),
}

impl<'a> SetRef<'a> {
    /// Every member, in the order of `iter`.
    pub fn elements(self) -> impl Iterator<Item = Element<'a>> {
        let integers = self.integers();
        let texts = integers.is_none().then_some(self);
        let integers = integers.into_iter().flat_map(Integers::iter).map(Element::Integer);
        integers.chain(texts.into_iter().flat_map(SetRef::iter).map(Element::Text))
    }

    /// The set, to be asked so many times.
    pub fn asked(self, times: usize) -> Asked<'a> {
        Asked(match self.form() {
            Form::Integers(integers) => How::Integers(integers),
            Form::Items(items) if items.len().saturating_mul(times) <= WALKED => How::Items(items),
            Form::Items(items) => match positions(items) {
                Some(table) => How::Hashed(items, table),
                None => How::Items(items),
            },
            Form::Table(table) => How::Table(table),
        })
    }
}

/// The positions of items by their hashes, unless they lie too far to be told in 32 bits.
fn positions(items: Items<'_>) -> Option<Table<u32>> {
    u32::try_from(items.end()).ok()?;
    let mut table = Table::with_capacity(items.len());
    for at in items.positions(1) {
        table.insert(hash_bytes(&items.read(at).0), at as u32);
    }
    Some(table)
}

impl Asked<'_> {
    /// Whether there is this member.
    pub fn contains(&self, element: &Element<'_>) -> bool {
        match (&self.0, element) {
            (How::Integers(integers), Element::Integer(integer)) => {
                integers.search(*integer).is_ok()
            }
            (_, Element::Integer(integer)) => self.contains_text(&Text::integer(*integer)),
            (_, Element::Text(text)) => self.contains_text(text),
        }
    }

    fn contains_text(&self, text: &[u8]) -> bool {
        match &self.0 {
            How::Integers(integers) => {
                parse_integer(text).is_some_and(|integer| integers.search(integer).is_ok())
            }
            How::Items(items) => items.find(&Encoded::new(text), 1).is_some(),
            How::Hashed(items, table) => {
                let item = Encoded::new(text);
                table.find(hash_bytes(text), |at| items.is(*at as usize, &item)).is_some()
            }
            How::Table(table) => find(table, text, &Encoded::new(text)).is_some(),
        }
    }
}
