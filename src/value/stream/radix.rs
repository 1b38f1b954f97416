//! How many nodes Redis' radix tree of a stream has.
//!
//! The tree has a leaf for each key, a node wherever keys part, and one for each run of bytes
//! on the way from one of those to the next. A key is an id as 16 bytes, high bytes first.

use super::id::Id;

/// Bytes of a key.
const KEY: usize = 16;

/// Nodes of the tree of these keys, which ascend.
pub(super) fn nodes(keys: impl Iterator<Item = Id>) -> usize {
    let mut before = None;
    // How many bytes the keys share at each parting above the last key.
    let mut partings: Vec<usize> = Vec::new();
    let mut nodes = 0;
    for key in keys {
        if let Some(before) = before.replace(key) {
            nodes += leave(&mut partings, shared(before, key));
        }
    }
    match before {
        Some(_) => nodes + finish(&mut partings),
        // The root.
        None => 1,
    }
}

/// Counts what lies below the parting of `depth` bytes on the way to the last key, which is
/// then complete, and makes that parting the last one.
fn leave(partings: &mut Vec<usize>, depth: usize) -> usize {
    let mut below = KEY;
    let mut nodes = 0;
    while let Some(parting) = partings.pop_if(|parting| *parting > depth) {
        nodes += 1 + usize::from(below > parting + 1);
        below = parting;
    }
    if partings.last() != Some(&depth) {
        partings.push(depth);
    }
    nodes + 1 + usize::from(below > depth + 1)
}

/// Counts what is left above the last key.
fn finish(partings: &mut Vec<usize>) -> usize {
    let mut below = KEY;
    let mut nodes = 0;
    while let Some(parting) = partings.pop() {
        nodes += 1 + usize::from(below > parting + 1);
        below = parting;
    }
    nodes + 1 + usize::from(below > 0)
}

/// Bytes that two keys share in front.
fn shared(a: Id, b: Id) -> usize {
    let differing = [(a.ms ^ b.ms).leading_zeros(), (a.seq ^ b.seq).leading_zeros()];
    let bits = if a.ms == b.ms { 64 + differing[1] } else { differing[0] };
    bits as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_redis_counts() {
        let of = |keys: &[(u64, u64)]| nodes(keys.iter().map(|(ms, seq)| Id::new(*ms, *seq)));
        assert_eq!(of(&[]), 1);
        assert_eq!(of(&[(1, 1)]), 2);
    }
}
