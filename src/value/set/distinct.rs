//! Sets that are made at once of members that are known: what unions and differences come to.
//!
//! Each is what adding its members one by one would make, in form and in order, without looking
//! for each among those before it.

use super::integers::{self, Integers};
use super::{INTEGERS, Members, Set, SetLimits, SetRef};
use crate::value::items::{self, Items};
use crate::value::number::parse_integer;
use crate::value::packed::{Encoded, Text};

impl Set {
    /// A set of these members, of which none comes twice.
    pub fn from_distinct<'a>(
        mut members: impl Iterator<Item = Text<'a>>,
        limits: SetLimits,
    ) -> Set {
        let most = limits.intset_entries.max(limits.entries).min(INTEGERS);
        let few: Vec<Text<'a>> = members.by_ref().take(most.saturating_add(1)).collect();
        if few.len() <= most
            && let Some(set) = small(&few, limits)
        {
            return set;
        }
        let mut set = Set::new();
        let large = set.large_for(few.len() + members.size_hint().0);
        for member in few.into_iter().chain(members) {
            large.insert(&member, &Encoded::new(&member));
        }
        set
    }

    /// The union of sets.
    pub fn union(sets: &[SetRef<'_>], limits: SetLimits) -> Set {
        let integers: Option<Vec<_>> = sets.iter().map(|set| set.integers()).collect();
        if let Some(set) = integers.and_then(|integers| union_of_integers(&integers, limits)) {
            return set;
        }
        let mut set = Set::new();
        let mut left = sets.iter();
        // A set that is too large for the small forms makes a union that is.
        let large = |set: &&SetRef<'_>| set.integers().is_none() && set.len() > limits.entries;
        if sets.iter().any(|set| large(&set)) {
            let longest = sets.iter().map(|set| set.len()).max();
            let members = set.large_for(longest.unwrap_or(0));
            for member in left.next().into_iter().flat_map(|set| set.iter()) {
                members.insert(&member, &Encoded::new(&member));
            }
        }
        for member in left.flat_map(|set| set.iter()) {
            set.add(&member, limits);
        }
        set
    }

    /// Makes an empty set a large one, for so many members.
    fn large_for(&mut self, members: usize) -> &mut Members {
        self.grow(|_| Members::with_capacity(members))
    }
}

/// The union of sets of integers, if they fit into one.
fn union_of_integers(sets: &[Integers<'_>], limits: SetLimits) -> Option<Set> {
    let most = limits.intset_entries.min(INTEGERS);
    if sets.iter().any(|set| set.len() > most) {
        return None;
    }
    let mut all: Vec<i64> = sets.iter().flat_map(|set| set.iter()).collect();
    // Runs that ascend, which sorting merges.
    all.sort();
    all.dedup();
    (all.len() <= most).then(|| of_integers(&all))
}

fn of_integers(ascending: &[i64]) -> Set {
    let mut set = Set::new();
    integers::fill(&mut set.blob, ascending);
    set
}

/// The set of a few members in a small form, if they fit into one.
fn small(members: &[Text<'_>], limits: SetLimits) -> Option<Set> {
    // Those before the first text, or up to one too many, were integers in their order.
    let most = limits.intset_entries.min(INTEGERS);
    let integers = members.iter().map_while(|member| parse_integer(member));
    let mut integers: Vec<i64> = integers.take(most.saturating_add(1)).collect();
    let behind = &members[integers.len()..];
    integers.sort_unstable();
    if behind.is_empty() && integers.len() <= most {
        return Some(of_integers(&integers));
    }
    let short = behind.iter().all(|member| member.len() <= limits.value_bytes);
    if !short || members.len() > limits.entries.min(integers::ITEMS) {
        return None;
    }
    let behind = behind.iter().map(|member| Encoded::new(member));
    let items: Vec<_> = integers.into_iter().map(Encoded::integer).chain(behind).collect();
    let bytes = items.iter().map(Encoded::size).sum();
    if !Items::of(&[]).have_room(items.len(), bytes) {
        return None;
    }
    let mut set = Set::new();
    // The first two alone: with the second one items choose the prefix that they share.
    let (few, many) = items.split_at(items.len().min(2));
    few.iter().for_each(|item| items::push(&mut set.blob, &[*item]));
    items::push(&mut set.blob, many);
    Some(set)
}
