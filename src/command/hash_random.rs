//! HRANDFIELD: fields of a hash by chance.

use std::collections::HashSet;

use super::Argv;
use super::args::{integer, is};
use super::hash::live;
use crate::clock::{random, random_below};
use crate::fault::{Fault, Outcome};
use crate::keyspace::ReadView;
use crate::limits::{RANDOM_BYTES, RANDOM_COUNT};
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::value::hash::Live;
use crate::value::packed::Text;

type Pair<'a> = (Text<'a>, Text<'a>);

/// What is answered of each field that was picked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parts {
    Fields,
    FieldsAndValues,
}

/// HRANDFIELD: see its row.
pub fn hrandfield(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let Some(count) = argv.get(2) else {
        match live(view, argv[1])?.and_then(|hash| hash.random(random)) {
            Some((field, _)) => reply.bulk(&field),
            None => reply.null(),
        }
        return Ok(());
    };
    let (count, parts) = options(count, &argv[3..])?;
    let picked = match live(view, argv[1])? {
        None => Vec::new(),
        Some(hash) if count < 0 => repeated(hash, count.unsigned_abs())?,
        Some(hash) => distinct(hash, usize::try_from(count).unwrap_or(usize::MAX)),
    };
    answer(&picked, parts, reply);
    Ok(())
}

/// Reads the count and what follows, with the complaints of Redis in their order.
fn options(count: &[u8], rest: Argv<'_>) -> Result<(i64, Parts), Fault> {
    let count = integer(count)?;
    if count == i64::MIN {
        return Err(Fault::new(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    match rest {
        [] => Ok((count, Parts::Fields)),
        [word] if is(word, "WITHVALUES") => {
            if count.unsigned_abs() > i64::MAX.unsigned_abs() / 2 {
                return Err(Fault::new("ERR value is out of range"));
            }
            Ok((count, Parts::FieldsAndValues))
        }
        _ => Err(Fault::SYNTAX),
    }
}

/// `count` fields, each picked from all of them.
fn repeated(hash: Live<'_>, count: u64) -> Result<Vec<Pair<'_>>, Fault> {
    let count = usize::try_from(count).ok().filter(|count| *count <= RANDOM_COUNT);
    let count = count.ok_or_else(too_large)?;
    let mut picked = Vec::new();
    let mut bytes = 0usize;
    // A walk over the fields for each pick would cost more than one that keeps them all.
    let all: Vec<_> = if count > hash.len() { hash.iter().collect() } else { Vec::new() };
    for _ in 0..count {
        let pair =
            if all.is_empty() { hash.random(random) } else { all.get(below(all.len())).copied() };
        let Some(pair) = pair else { break };
        bytes = bytes.saturating_add(pair.0.len()).saturating_add(pair.1.len());
        if bytes > RANDOM_BYTES {
            return Err(too_large());
        }
        picked.push(pair);
    }
    Ok(picked)
}

#[cold]
fn too_large() -> Fault {
    Fault::text(format!(
        "ERR value is out of range, at most {RANDOM_COUNT} fields of {RANDOM_BYTES} bytes with repeats"
    ))
}

/// `count` different fields, or all when there are fewer.
fn distinct(hash: Live<'_>, count: usize) -> Vec<Pair<'_>> {
    let len = hash.len();
    // Beyond a third of the fields, picks hit too often what was picked before (Redis draws
    // the line there too); and a small hash is a list, in which one pick walks anyway.
    if count.saturating_mul(3) < len && hash.is_table() {
        return by_rejection(hash, count);
    }
    let mut all: Vec<_> = hash.iter().collect();
    for at in 0..count.min(len) {
        all.swap(at, at + below(len - at));
    }
    all.truncate(count);
    all
}

fn by_rejection(hash: Live<'_>, count: usize) -> Vec<Pair<'_>> {
    let mut seen: HashSet<Box<[u8]>> = HashSet::with_capacity(count);
    let mut picked = Vec::with_capacity(count);
    while picked.len() < count {
        let Some(pair) = hash.random(random) else { break };
        if seen.insert(Box::from(&*pair.0)) {
            picked.push(pair);
        }
    }
    picked
}

/// A number below `bound`, which is not 0.
fn below(bound: usize) -> usize {
    random_below(bound as u64) as usize
}

/// RESP3 has a list of pairs where RESP2 has one flat list.
fn answer(picked: &[Pair<'_>], parts: Parts, reply: &mut dyn Reply) {
    let paired = parts == Parts::FieldsAndValues && reply.protocol() == Protocol::V3;
    let flat = parts == Parts::FieldsAndValues && !paired;
    reply.array(if flat { picked.len() * 2 } else { picked.len() });
    for (field, value) in picked {
        if paired {
            reply.array(2);
        }
        reply.bulk(field);
        if parts == Parts::FieldsAndValues {
            reply.bulk(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::hash::{Hash, HashLimits};
    use std::collections::HashMap;

    fn hash(len: usize) -> Hash {
        Hash::from_pairs((0..len).map(|n| (n.to_string(), n.to_string())), HashLimits::default())
    }

    /// Both forms, both ways to pick; every field must come about as often as the others.
    #[test]
    fn picks_are_different_and_even() {
        for (len, count) in [(50, 3), (50, 40), (600, 60), (600, 500), (600, 600), (3, 9)] {
            let hash = hash(len);
            let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
            let rounds = 40 * len / count + 1;
            for _ in 0..rounds {
                let picked = distinct(hash.as_ref().live(0), count);
                let names: HashSet<&[u8]> = picked.iter().map(|(field, _)| &**field).collect();
                assert_eq!((picked.len(), names.len()), (count.min(len), count.min(len)));
                for (field, value) in picked {
                    assert_eq!(&*field, &*value);
                    *seen.entry(field.to_vec()).or_default() += 1;
                }
            }
            // 40 expected of each, with a deviation of 6: none is left out by chance.
            assert_eq!(seen.len(), len, "{len} {count}");
        }
    }

    #[test]
    fn repeats_are_bounded() {
        let hash = hash(200);
        assert_eq!(repeated(hash.as_ref().live(0), 1000).unwrap().len(), 1000);
        assert_eq!(repeated(hash.as_ref().live(0), 100).unwrap().len(), 100);
        assert!(repeated(hash.as_ref().live(0), RANDOM_COUNT as u64 + 1).is_err());
        let large = Hash::from_pairs([("f", "x".repeat(RANDOM_BYTES / 4))], HashLimits::default());
        assert_eq!(repeated(large.as_ref().live(0), 3).unwrap().len(), 3);
        assert!(repeated(large.as_ref().live(0), 4).is_err());
    }
}
