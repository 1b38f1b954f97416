//! SINTER, SUNION, SDIFF and what they store.
//!
//! A key that is not there is an empty set. What a union or a difference comes to is a set of
//! its own before it is answered or stored: the form that it has then, and with it the order of
//! integers and what OBJECT ENCODING says of the stored one, follows from the order in which
//! Redis adds and removes members, and is the same here.

use super::Argv;
use super::args::{integer, is};
use super::set::answer;
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Entry, NEVER, ReadView, WriteView};
use crate::resp::Reply;
use crate::value::set::{Asked, Element, Members, Set, SetLimits, SetRef};

/// The sets under some keys, `None` where there is no key.
type Sets<'a> = Vec<Option<SetRef<'a>>>;

/// What a command makes of sets.
type Algebra = fn(Argv<'_>, &[Option<SetRef<'_>>], SetLimits) -> Set;

/// The sets under `keys`; every type is looked at, also behind a key that is not there.
fn sets<'a>(view: &ReadView<'a, '_>, keys: Argv<'_>) -> Result<Sets<'a>, Fault> {
    keys.iter().map(|key| view.collection::<Members>(key)).collect()
}

/// SINTER: see its row.
pub fn sinter(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let sets = sets(view, &argv[1..])?;
    let common: Vec<_> = intersect(&sets).map(Element::text).collect();
    reply.set(common.len());
    common.iter().for_each(|member| reply.bulk(member));
    Ok(())
}

/// SINTERCARD: see its row.
pub fn sintercard(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (keys, limit) = counted_keys(argv)?;
    let sets = sets(view, keys)?;
    reply.integer(intersect(&sets).take(limit).count() as i64);
    Ok(())
}

/// The keys of SINTERCARD, and how far it counts.
fn counted_keys<'a>(argv: Argv<'a>) -> Result<(Argv<'a>, usize), Fault> {
    let count = integer(argv[1]).ok().and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|count| *count > 0);
    let count = count.ok_or(Fault::new("ERR numkeys should be greater than 0"))?;
    let (keys, options) = argv[2..]
        .split_at_checked(count)
        .ok_or(Fault::new("ERR Number of keys can't be greater than number of args"))?;
    let mut limit = 0;
    for option in options.chunks(2) {
        let [word, value] = option else { return Err(Fault::SYNTAX) };
        if !is(word, "LIMIT") {
            return Err(Fault::SYNTAX);
        }
        let value = integer(value).ok().and_then(|value| usize::try_from(value).ok());
        limit = value.ok_or(Fault::new("ERR LIMIT can't be negative"))?;
    }
    Ok((keys, if limit == 0 { usize::MAX } else { limit }))
}

/// SUNION: see its row.
pub fn sunion(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    read(view, argv, union, reply)
}

/// SDIFF: see its row.
pub fn sdiff(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    read(view, argv, difference, reply)
}

fn read(
    view: &ReadView<'_, '_>,
    argv: Argv<'_>,
    algebra: Algebra,
    reply: &mut dyn Reply,
) -> Outcome {
    let keys = &argv[1..];
    let result = algebra(keys, &sets(view, keys)?, view.around.config.encodings.set);
    answer(Some(result.as_ref()), reply);
    Ok(())
}

/// SINTERSTORE: see its row.
pub fn sinterstore(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    store(view, argv, intersection, "sinterstore", reply)
}

/// SUNIONSTORE: see its row.
pub fn sunionstore(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    store(view, argv, union, "sunionstore", reply)
}

/// SDIFFSTORE: see its row.
pub fn sdiffstore(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    store(view, argv, difference, "sdiffstore", reply)
}

/// Puts a set in the place of whatever the destination holds; an empty one takes it away.
fn store(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    algebra: Algebra,
    event: &'static str,
    reply: &mut dyn Reply,
) -> Outcome {
    let (target, keys) = (argv[1], &argv[2..]);
    let limits = view.around.config.encodings.set;
    let result = algebra(keys, &sets(&view.as_read(), keys)?, limits);
    let len = result.as_ref().len();
    let existed = view.discard(target);
    if len > 0 {
        view.insert(target, Entry::collection(target, result, NEVER));
        view.modified(target);
        view.notify(Classes::SET, event, target);
    } else if existed {
        view.modified(target);
        view.notify(Classes::GENERIC, "del", target);
    }
    reply.integer(len as i64);
    Ok(())
}

/// The members that all sets have, in the order of the smallest one.
fn intersect<'a>(sets: &[Option<SetRef<'a>>]) -> impl Iterator<Item = Element<'a>> + use<'a> {
    let present: Option<Vec<_>> = sets.iter().copied().collect();
    let mut others = present.unwrap_or_default();
    others.sort_by_key(|set| set.len());
    let smallest = (!others.is_empty()).then(|| others.remove(0));
    let others = asked(&others, smallest.map_or(0, SetRef::len));
    let members = smallest.into_iter().flat_map(SetRef::elements);
    members.filter(move |member| others.iter().all(|set| set.contains(member)))
}

/// Sets that are asked for as many members.
fn asked<'a>(sets: &[SetRef<'a>], times: usize) -> Vec<Asked<'a>> {
    sets.iter().map(|set| set.asked(times)).collect()
}

fn intersection(_: Argv<'_>, sets: &[Option<SetRef<'_>>], limits: SetLimits) -> Set {
    Set::from_distinct(intersect(sets).map(Element::text), limits)
}

fn union(_: Argv<'_>, sets: &[Option<SetRef<'_>>], limits: SetLimits) -> Set {
    let sets: Vec<_> = sets.iter().flatten().copied().collect();
    Set::union(&sets, limits)
}

/// What the first set has and no other.
fn difference(keys: Argv<'_>, sets: &[Option<SetRef<'_>>], limits: SetLimits) -> Set {
    let [Some(first), others @ ..] = sets else { return Set::new() };
    if keys[1..].contains(&keys[0]) {
        return Set::new();
    }
    let mut others: Vec<_> = others.iter().flatten().copied().collect();
    let sum = others.iter().fold(first.len(), |sum, set| sum.saturating_add(set.len()));
    // As Redis estimates: asking all sets ends early more often than not.
    if first.len().saturating_mul(others.len() + 1) / 2 <= sum {
        others.sort_by_key(|set| std::cmp::Reverse(set.len()));
        let others = asked(&others, first.len());
        let only = first.elements().filter(|member| !others.iter().any(|set| set.contains(member)));
        return Set::from_distinct(only.map(Element::text), limits);
    }
    let mut left = Set::from_distinct(first.iter(), limits);
    for member in others.iter().flat_map(|set| set.iter()) {
        if left.remove(&member) && left.as_ref().is_empty() {
            break;
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    type Model = BTreeSet<Vec<u8>>;

    fn model() -> impl Strategy<Value = Option<Model>> {
        let number = (-3i64..30).prop_map(|n| n.to_string().into_bytes());
        let text = "[a-c]{1,2}".prop_map(String::into_bytes);
        let numbers = prop::collection::btree_set(number.clone(), 1..30);
        let mixed = prop::collection::btree_set(prop_oneof![number, text], 1..30);
        prop_oneof![1 => Just(None), 4 => numbers.prop_map(Some), 4 => mixed.prop_map(Some)]
    }

    fn same(set: SetRef<'_>, model: &Model) {
        let members: Model = set.iter().map(|member| member.to_vec()).collect();
        assert_eq!((&members, set.len()), (model, model.len()));
    }

    proptest! {
        #[test]
        fn agree_with_ordered_sets(
            models in prop::collection::vec(model(), 1..6),
            intset_entries in 0usize..40,
            entries in 0usize..40,
        ) {
            let limits = SetLimits { intset_entries, entries, value_bytes: 1 };
            let owned: Vec<Option<Set>> = models
                .iter()
                .map(|model| model.as_ref().map(|model| Set::from_members(model, limits)))
                .collect();
            let sets: Sets<'_> = owned.iter().map(|set| set.as_ref().map(Set::as_ref)).collect();
            let names: Vec<Vec<u8>> = (0..sets.len()).map(|n| n.to_string().into_bytes()).collect();
            let keys: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
            let models: Vec<Model> = models.into_iter().map(Option::unwrap_or_default).collect();
            let (first, rest) = models.split_first().unwrap();
            let mut all: (Model, Model, Model) = (first.clone(), first.clone(), first.clone());
            for other in rest {
                all.0 = &all.0 & other;
                all.1 = &all.1 | other;
                all.2 = &all.2 - other;
            }
            same(intersection(&keys, &sets, limits).as_ref(), &all.0);
            same(union(&keys, &sets, limits).as_ref(), &all.1);
            same(difference(&keys, &sets, limits).as_ref(), &all.2);
            // A set less itself is nothing, whichever way it is found.
            let (twice, both) = ([keys.as_slice(), &keys].concat(), [sets.as_slice(), &sets].concat());
            same(difference(&twice, &both, limits).as_ref(), &Model::new());
        }
    }
}
