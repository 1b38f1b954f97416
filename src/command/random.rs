//! Elements of a collection by chance: what HRANDFIELD, SRANDMEMBER and SPOP have in common.
//!
//! Left out on purpose: what is answered of an element, which is the command's.

use std::collections::HashSet;

use super::args::integer;
use crate::clock::random_below;
use crate::fault::Fault;
use crate::limits::{RANDOM_BYTES, RANDOM_COUNT};

/// A collection that elements are picked from.
pub trait Pick: Copy {
    /// An element, to read.
    type Element: Copy;

    /// How many elements there are.
    fn len(self) -> usize;

    /// Whether there is none.
    fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Every element.
    fn elements(self) -> impl Iterator<Item = Self::Element>;

    /// An element, each as likely as the next; `None` when there is none.
    fn one(self) -> Option<Self::Element>;

    /// Whether finding one element costs a walk over others.
    fn walks(self) -> bool;

    /// What tells an element from the others.
    fn name(element: &Self::Element) -> &[u8];

    /// Bytes of an element.
    fn bytes(element: &Self::Element) -> usize;
}

/// Reads the number of elements that are wanted: negative to allow repeats.
///
/// # Errors
/// When it is no integer, or has no counterpart of the other sign.
pub fn signed_count(argument: &[u8]) -> Result<i64, Fault> {
    let count = integer(argument)?;
    if count == i64::MIN {
        return Err(Fault::new(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    Ok(count)
}

/// As many elements as `count` says: different ones, or with repeats when it is negative.
///
/// # Errors
/// When repeats make it more than `RANDOM_COUNT` elements or `RANDOM_BYTES`.
pub fn pick<P: Pick>(from: P, count: i64) -> Result<Vec<P::Element>, Fault> {
    match usize::try_from(count) {
        Ok(count) => Ok(distinct(from, count)),
        Err(_) => repeated(from, count.unsigned_abs()),
    }
}

/// `count` elements, each picked from all of them.
fn repeated<P: Pick>(from: P, count: u64) -> Result<Vec<P::Element>, Fault> {
    let count = usize::try_from(count).ok().filter(|count| *count <= RANDOM_COUNT);
    let count = count.ok_or_else(too_large)?;
    if from.is_empty() {
        return Ok(Vec::new());
    }
    let mut picked = Vec::with_capacity(count);
    let mut bytes = 0usize;
    // A walk for each pick would cost more than one that keeps all elements.
    let walk = from.walks() && count > from.len();
    let all: Vec<_> = if walk { from.elements().collect() } else { Vec::new() };
    for _ in 0..count {
        let one = if walk { all.get(below(all.len())).copied() } else { from.one() };
        let Some(one) = one else { break };
        bytes = bytes.saturating_add(P::bytes(&one));
        if bytes > RANDOM_BYTES {
            return Err(too_large());
        }
        picked.push(one);
    }
    Ok(picked)
}

#[cold]
fn too_large() -> Fault {
    Fault::text(format!(
        "ERR value is out of range, at most {RANDOM_COUNT} elements of {RANDOM_BYTES} bytes with repeats"
    ))
}

/// `count` different elements; all of them, in their order, when there are no more.
pub fn distinct<P: Pick>(from: P, count: usize) -> Vec<P::Element> {
    let len = from.len();
    if count >= len {
        return from.elements().collect();
    }
    // Beyond a third of the elements, picks hit too often what was picked before (Redis draws
    // the line there too).
    if count.saturating_mul(3) < len && !from.walks() {
        return by_rejection(from, count);
    }
    let mut all: Vec<_> = from.elements().collect();
    for at in 0..count {
        all.swap(at, at + below(len - at));
    }
    all.truncate(count);
    all
}

fn by_rejection<P: Pick>(from: P, count: usize) -> Vec<P::Element> {
    let mut seen: HashSet<Box<[u8]>> = HashSet::with_capacity(count);
    let mut picked = Vec::with_capacity(count);
    while picked.len() < count {
        let Some(one) = from.one() else { break };
        if seen.insert(Box::from(P::name(&one))) {
            picked.push(one);
        }
    }
    picked
}

/// A number below `bound`, which is not 0.
fn below(bound: usize) -> usize {
    random_below(bound as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::hash::{Hash, HashLimits};
    use std::collections::HashMap;

    fn hash(len: usize) -> Hash {
        Hash::from_pairs((0..len).map(|n| (n.to_string(), n.to_string())), HashLimits::default())
    }

    /// Both forms, both ways to pick; every element must come about as often as the others.
    fn picks_are_different_and_even<P: Pick>(from: P, count: usize) {
        let len = from.len();
        let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
        let rounds = 40 * len / count + 1;
        for _ in 0..rounds {
            let picked = distinct(from, count);
            let names: HashSet<&[u8]> = picked.iter().map(P::name).collect();
            assert_eq!((picked.len(), names.len()), (count.min(len), count.min(len)));
            for element in &picked {
                *seen.entry(P::name(element).to_vec()).or_default() += 1;
            }
        }
        // 40 expected of each, with a deviation of 6: none is left out by chance.
        assert_eq!(seen.len(), len, "{len} {count}");
        let most = seen.values().max().unwrap();
        assert!(count >= len || *most < 90, "{len} {count}: {most} times");
    }

    #[test]
    fn fields_are_picked_evenly() {
        for (len, count) in [(50, 3), (50, 40), (600, 60), (600, 500), (600, 600), (3, 9)] {
            picks_are_different_and_even(hash(len).as_ref().live(0), count);
        }
    }

    #[test]
    fn repeats_are_bounded() {
        let hash = hash(200);
        assert_eq!(pick(hash.as_ref().live(0), -1000).unwrap().len(), 1000);
        assert_eq!(pick(hash.as_ref().live(0), -100).unwrap().len(), 100);
        assert!(pick(hash.as_ref().live(0), -(RANDOM_COUNT as i64) - 1).is_err());
        assert!(pick(hash.as_ref().live(0), i64::MIN + 1).is_err());
        let large = Hash::from_pairs([("f", "x".repeat(RANDOM_BYTES / 4))], HashLimits::default());
        assert_eq!(pick(large.as_ref().live(0), -3).unwrap().len(), 3);
        assert!(pick(large.as_ref().live(0), -4).is_err());
    }
}
