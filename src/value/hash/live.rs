//! A hash at one moment: the fields that are due are absent.

use super::{Fields, HashRef, is_due, triples};
use crate::value::items::{Items, NEVER};
use crate::value::packed::{Encoded, Text};

/// Picks at random that may hit fields which are due, before the others are counted.
const LUCK: usize = 32;

/// See the module's description.
#[derive(Debug, Clone, Copy)]
pub struct Live<'a> {
    hash: HashRef<'a>,
    now: u64,
}

impl<'a> Live<'a> {
    #[inline]
    pub(super) fn new(hash: HashRef<'a>, now: u64) -> Self {
        // Where nothing is due nothing needs to be looked at.
        let now = if hash.may_be_due(now) { now } else { NEVER };
        Live { hash, now }
    }

    /// How many fields there are. It takes no time unless fields are due and not yet taken out.
    #[inline]
    pub fn len(self) -> usize {
        if self.now == NEVER {
            return self.hash.len();
        }
        match self.hash {
            HashRef::Small(contents) => {
                let items = Items::of(contents);
                items.positions(2).filter(|at| !is_due(items.expiry(*at), self.now)).count()
            }
            HashRef::Large(fields) => fields.len() - fields.due(self.now),
        }
    }

    /// Whether there is no field.
    #[inline]
    pub fn is_empty(self) -> bool {
        if self.now == NEVER {
            return self.hash.is_empty();
        }
        match self.hash {
            HashRef::Small(contents) => {
                let items = Items::of(contents);
                items.positions(2).all(|at| is_due(items.expiry(at), self.now))
            }
            HashRef::Large(fields) => fields.all_due(self.now),
        }
    }

    /// The value of `field`.
    #[inline]
    pub fn get(self, field: &[u8]) -> Option<Text<'a>> {
        self.get_with_expiry(field).map(|(value, _)| value)
    }

    /// The value of `field`, and when it expires.
    #[inline]
    pub fn get_with_expiry(self, field: &[u8]) -> Option<(Text<'a>, u64)> {
        let item = Encoded::new(field);
        let (value, expiry) = match self.hash {
            HashRef::Small(contents) => {
                let items = Items::of(contents);
                let at = items.find(&item, 2)?;
                (items.read(items.skip(at)).0, items.expiry(at))
            }
            HashRef::Large(fields) => {
                let (_, value, expiry) = fields.table.at(fields.find(field, &item)?).triple();
                (value, expiry)
            }
        };
        (!is_due(expiry, self.now)).then_some((value, expiry))
    }

    /// Whether there is a `field`.
    pub fn contains(self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// Every field with its value: in the order of their insertion while the hash is small,
    /// otherwise in an order that stays the same until a field comes or goes.
    pub fn iter(self) -> impl Iterator<Item = (Text<'a>, Text<'a>)> {
        let live = self.hash.iter().filter(move |(_, _, expiry)| !is_due(*expiry, self.now));
        live.map(|(field, value, _)| (field, value))
    }

    /// A field and its value, each as likely as the next; `random` yields uniform 64-bit
    /// numbers. `None` when there is no field.
    pub fn random(self, mut random: impl FnMut() -> u64) -> Option<(Text<'a>, Text<'a>)> {
        if let HashRef::Large(fields) = self.hash {
            for _ in 0..LUCK {
                let (field, value, expiry) =
                    fields.table.at(fields.table.random(&mut random)?).triple();
                if !is_due(expiry, self.now) {
                    return Some((field, value));
                }
            }
        }
        let wide = u128::from(random()) * self.len() as u128;
        self.iter().nth((wide >> 64) as usize)
    }

    /// Visits `count` fields from `cursor` on, and answers the cursor to go on with: 0 at both
    /// the beginning and the end.
    ///
    /// Every field that is there from the first call to the last is visited, whatever comes
    /// and goes in between. A small hash is visited at once. More than `count` are visited
    /// only when hashes are equal, and fewer when some are due; a `count` of 0 is taken for 1.
    pub fn scan(self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], &[u8])) -> u64 {
        let mut visit = |(field, value, expiry): (Text<'_>, Text<'_>, u64)| {
            if !is_due(expiry, self.now) {
                visit(&field, &value);
            }
        };
        match self.hash {
            HashRef::Small(contents) => {
                triples(Items::of(contents)).for_each(visit);
                0
            }
            HashRef::Large(Fields { table, .. }) => {
                table.visit(cursor, count, |field| visit(field.triple()))
            }
        }
    }

    /// Whether a random field costs no walk over the others.
    pub fn is_table(self) -> bool {
        matches!(self.hash, HashRef::Large(_))
    }
}
