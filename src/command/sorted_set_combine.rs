//! Unions, intersections and differences of sorted sets, and of sets among them.
//!
//! As in Redis, inputs are taken in the order of their sizes, the smallest first, so that sums
//! of more than two scores round alike; and what is no number counts as 0.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use super::args::{at_least, integer, is};
use super::sorted_set::{Parts, SORTED_SET};
use super::sorted_set_range::store;
use super::{Argv, Command, Flags, Keys, Positions, Run, counted};
use crate::fault::{Fault, Outcome};
use crate::keyspace::{ReadView, WriteView};
use crate::resp::Reply;
use crate::value::number::parse_double;
use crate::value::packed::Text;
use crate::value::set::SetRef;
use crate::value::sorted_set::{SortedSet, SortedSetRef, order};

/// The rows of combinations.
pub const COMMANDS: &[Command] = &[
    Command {
        complexity: UNION,
        keys: COUNTED,
        ..SORTED_SET.row(
            "zunion",
            "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]",
            "Returns the union of multiple sorted sets.",
            "6.2.0",
            -3,
            Flags::MOVABLE_KEYS,
            Run::Read(zunion),
        )
    },
    Command {
        complexity: INTERSECTION,
        keys: COUNTED,
        ..SORTED_SET.row(
            "zinter",
            "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]",
            "Returns the intersect of multiple sorted sets.",
            "6.2.0",
            -3,
            Flags::MOVABLE_KEYS,
            Run::Read(zinter),
        )
    },
    Command {
        complexity: "O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets.",
        keys: COUNTED,
        ..SORTED_SET.row(
            "zintercard",
            "numkeys key [key ...] [LIMIT limit]",
            "Returns the number of members of the intersect of multiple sorted sets.",
            "7.0.0",
            -3,
            Flags::MOVABLE_KEYS,
            Run::Read(zintercard),
        )
    },
    Command {
        complexity: DIFFERENCE,
        keys: COUNTED,
        ..SORTED_SET.row(
            "zdiff",
            "numkeys key [key ...] [WITHSCORES]",
            "Returns the difference between multiple sorted sets.",
            "6.2.0",
            -3,
            Flags::MOVABLE_KEYS,
            Run::Read(zdiff),
        )
    },
    Command {
        complexity: "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.",
        keys: TARGET_AND_COUNTED,
        ..SORTED_SET.row(
            "zunionstore",
            "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX]",
            "Stores the union of multiple sorted sets in a key.",
            "2.0.0",
            -4,
            STORE,
            Run::Write(zunionstore),
        )
    },
    Command {
        complexity: INTERSECTION,
        keys: TARGET_AND_COUNTED,
        ..SORTED_SET.row(
            "zinterstore",
            "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX]",
            "Stores the intersect of multiple sorted sets in a key.",
            "2.0.0",
            -4,
            STORE,
            Run::Write(zinterstore),
        )
    },
    Command {
        complexity: DIFFERENCE,
        keys: TARGET_AND_COUNTED,
        ..SORTED_SET.row(
            "zdiffstore",
            "destination numkeys key [key ...]",
            "Stores the difference of multiple sorted sets in a key.",
            "6.2.0",
            -4,
            STORE,
            Run::Write(zdiffstore),
        )
    },
];

const UNION: &str = "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.";
const INTERSECTION: &str = "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set.";
const DIFFERENCE: &str = "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set.";
const STORE: Flags = Flags::DENYOOM.union(Flags::MOVABLE_KEYS);
const COUNTED: Keys = Keys::Found { range: (0, 0, 0), find: |argv| counted(argv, 1) };
const TARGET_AND_COUNTED: Keys = Keys::Found { range: (1, 1, 1), find: target_and_counted };

fn target_and_counted(argv: Argv<'_>) -> Positions {
    let mut positions = counted(argv, 2);
    if argv.len() > 1 {
        positions.push(1);
    }
    positions
}

/// What is done with the inputs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
    /// The size of the intersection.
    Cardinality,
}

/// What becomes of two scores of one member.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            // Of both infinities: no number, which counts as 0.
            Aggregate::Sum => number(a + b),
            // The first one when they are equal, for -0 and 0 are.
            Aggregate::Min if b < a => b,
            Aggregate::Max if b > a => b,
            Aggregate::Min | Aggregate::Max => a,
        }
    }
}

fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// One of the keys. The members of a set have the score 1.
#[derive(Clone, Copy)]
enum Input<'a> {
    Missing,
    SortedSet(SortedSetRef<'a>),
    Set(SetRef<'a>),
}

impl<'a> Input<'a> {
    fn open(view: &ReadView<'a, '_>, key: &[u8]) -> Result<Input<'a>, Fault> {
        let Some(entry) = view.get(key) else { return Ok(Input::Missing) };
        let sorted = entry.as_sorted_set().map(Input::SortedSet);
        sorted.or_else(|| entry.as_set().map(Input::Set)).ok_or(Fault::WRONG_TYPE)
    }

    fn len(self) -> usize {
        match self {
            Input::Missing => 0,
            Input::SortedSet(set) => set.len(),
            Input::Set(set) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Input::Missing => None,
            Input::SortedSet(set) => set.score(member),
            Input::Set(set) => set.contains(member).then_some(1.0),
        }
    }

    fn iter(self) -> impl Iterator<Item = (Text<'a>, f64)> {
        let (sorted, plain) = match self {
            Input::Missing => (None, None),
            Input::SortedSet(set) => (Some(set), None),
            Input::Set(set) => (None, Some(set)),
        };
        let plain = plain.into_iter().flat_map(SetRef::iter).map(|member| (member, 1.0));
        sorted.into_iter().flat_map(SortedSetRef::iter).chain(plain)
    }
}

/// An input with what its scores are multiplied by.
#[derive(Clone, Copy)]
struct Weighted<'a> {
    input: Input<'a>,
    weight: f64,
}

impl<'a> Weighted<'a> {
    /// As in Redis, no number (infinity times 0) may come of it, which spoils a sum.
    fn score(self, member: &[u8]) -> Option<f64> {
        Some(self.input.score(member)? * self.weight)
    }

    fn iter(self) -> impl Iterator<Item = (Text<'a>, f64)> {
        self.input.iter().map(move |(member, score)| (member, number(score * self.weight)))
    }
}

/// What stands behind the keys.
struct Options {
    weights: Vec<f64>,
    aggregate: Aggregate,
    parts: Parts,
    /// Members to count at most; 0 for all.
    limit: usize,
}

impl Options {
    fn parse(rest: Argv<'_>, keys: usize, asked: &Asked<'_>) -> Result<Options, Fault> {
        let scored = matches!(asked.operation, Operation::Union | Operation::Intersection);
        let counted = asked.operation == Operation::Cardinality;
        let mut options = Options {
            weights: vec![1.0; keys],
            aggregate: Aggregate::Sum,
            parts: Parts::Members,
            limit: 0,
        };
        let mut rest = rest;
        while let [word, behind @ ..] = rest {
            rest = behind;
            if scored && is(word, "WEIGHTS") && behind.len() >= keys {
                let (weights, behind) = behind.split_at(keys);
                options.weights =
                    weights.iter().map(|text| weight(text)).collect::<Result<_, _>>()?;
                rest = behind;
                continue;
            }
            match behind {
                [how, behind @ ..] if scored && is(word, "AGGREGATE") => {
                    options.aggregate = aggregate(how)?;
                    rest = behind;
                }
                [limit, behind @ ..] if counted && is(word, "LIMIT") => {
                    options.limit = at_least(0, limit, "ERR LIMIT can't be negative")?;
                    rest = behind;
                }
                _ if !counted && asked.answered && is(word, "WITHSCORES") => {
                    options.parts = Parts::MembersAndScores;
                }
                _ => return Err(Fault::SYNTAX),
            }
        }
        Ok(options)
    }
}

fn weight(text: &[u8]) -> Result<f64, Fault> {
    parse_double(text).ok_or(Fault::new("ERR weight value is not a float"))
}

fn aggregate(word: &[u8]) -> Result<Aggregate, Fault> {
    let known = [("SUM", Aggregate::Sum), ("MIN", Aggregate::Min), ("MAX", Aggregate::Max)];
    let found = known.into_iter().find(|(name, _)| is(word, name));
    found.map(|(_, aggregate)| aggregate).ok_or(Fault::SYNTAX)
}

/// What a command asks for: an operation, and the arguments from the number of keys on.
struct Asked<'a> {
    operation: Operation,
    keys: Argv<'a>,
    options: Argv<'a>,
    /// Whether the result is answered, with scores if these are asked for.
    answered: bool,
}

impl<'a> Asked<'a> {
    fn parse(
        argv: Argv<'a>,
        at: usize,
        operation: Operation,
        name: &str,
    ) -> Result<Asked<'a>, Fault> {
        let count = integer(argv[at])?;
        if count < 1 {
            return Err(Fault::text(format!(
                "ERR at least 1 input key is needed for '{name}' command"
            )));
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let (keys, options) = argv[at + 1..].split_at_checked(count).ok_or(Fault::SYNTAX)?;
        Ok(Asked { operation, keys, options, answered: at == 1 })
    }

    /// Looks at the keys and then at the options, with the complaints of Redis in that order.
    fn open<'v>(&self, view: &ReadView<'v, '_>) -> Result<(Vec<Weighted<'v>>, Options), Fault> {
        let inputs: Result<Vec<_>, _> =
            self.keys.iter().map(|key| Input::open(view, key)).collect();
        let inputs = inputs?;
        let options = Options::parse(self.options, inputs.len(), self)?;
        let weighted = inputs.into_iter().zip(&options.weights);
        let weighted = weighted.map(|(input, weight)| Weighted { input, weight: *weight });
        Ok((weighted.collect(), options))
    }

    /// The result in the order of its scores, and what is to be answered of it.
    fn result(&self, view: &ReadView<'_, '_>) -> Result<(Scored, Parts), Fault> {
        let (mut inputs, options) = self.open(view)?;
        if self.operation != Operation::Difference {
            inputs.sort_by_key(|weighted| weighted.input.len());
        }
        let mut result = match self.operation {
            Operation::Union => union(&inputs, options.aggregate),
            Operation::Difference => difference(&inputs),
            Operation::Intersection | Operation::Cardinality => {
                let found = intersection(&inputs, options.aggregate);
                found.map(|(member, score)| (Box::from(&*member), score)).collect()
            }
        };
        result.sort_unstable_by(|(a, x), (b, y)| order(*x, *y).then_with(|| a.cmp(b)));
        Ok((result, options.parts))
    }
}

/// Members with their scores.
type Scored = Vec<(Box<[u8]>, f64)>;

fn union(inputs: &[Weighted<'_>], aggregate: Aggregate) -> Scored {
    let mut scores: HashMap<Box<[u8]>, f64> = HashMap::new();
    for (member, score) in inputs.iter().flat_map(|weighted| weighted.iter()) {
        match scores.entry(Box::from(&*member)) {
            Slot::Occupied(mut old) => *old.get_mut() = aggregate.of(*old.get(), score),
            Slot::Vacant(slot) => {
                slot.insert(score);
            }
        }
    }
    scores.into_iter().collect()
}

/// What is in all of the inputs, of which the first is the smallest.
fn intersection<'a>(
    inputs: &[Weighted<'a>],
    aggregate: Aggregate,
) -> impl Iterator<Item = (Text<'a>, f64)> {
    let (first, others) = inputs.split_at(inputs.len().min(1));
    first.iter().flat_map(|weighted| weighted.iter()).filter_map(move |(member, score)| {
        let sum = |sum, other: &Weighted<'_>| Some(aggregate.of(sum, other.score(&member)?));
        let score = others.iter().try_fold(score, sum)?;
        Some((member, score))
    })
}

/// What is in the first of the inputs and in none of the others.
fn difference(inputs: &[Weighted<'_>]) -> Scored {
    let (first, others) = inputs.split_at(inputs.len().min(1));
    let all = first.iter().flat_map(|weighted| weighted.input.iter());
    let left = all.filter(|(m, _)| others.iter().all(|other| other.input.score(m).is_none()));
    left.map(|(member, score)| (Box::from(&*member), score)).collect()
}

fn zunion(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    answer(view, &Asked::parse(argv, 1, Operation::Union, "zunion")?, reply)
}

fn zinter(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    answer(view, &Asked::parse(argv, 1, Operation::Intersection, "zinter")?, reply)
}

fn zdiff(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    answer(view, &Asked::parse(argv, 1, Operation::Difference, "zdiff")?, reply)
}

fn answer(view: &ReadView<'_, '_>, asked: &Asked<'_>, reply: &mut dyn Reply) -> Outcome {
    let (result, parts) = asked.result(view)?;
    parts.announce(result.len(), reply);
    result.iter().for_each(|(member, score)| parts.answer(member, *score, reply));
    Ok(())
}

fn zintercard(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let asked = Asked::parse(argv, 1, Operation::Cardinality, "zintercard")?;
    let (mut inputs, options) = asked.open(view)?;
    inputs.sort_by_key(|weighted| weighted.input.len());
    let most = if options.limit == 0 { usize::MAX } else { options.limit };
    reply.integer(intersection(&inputs, Aggregate::Sum).take(most).count() as i64);
    Ok(())
}

fn zunionstore(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let asked = Asked::parse(argv, 2, Operation::Union, "zunionstore")?;
    keep(view, argv[1], &asked, "zunionstore", reply)
}

fn zinterstore(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let asked = Asked::parse(argv, 2, Operation::Intersection, "zinterstore")?;
    keep(view, argv[1], &asked, "zinterstore", reply)
}

fn zdiffstore(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let asked = Asked::parse(argv, 2, Operation::Difference, "zdiffstore")?;
    keep(view, argv[1], &asked, "zdiffstore", reply)
}

fn keep(
    view: &mut WriteView<'_, '_>,
    target: &[u8],
    asked: &Asked<'_>,
    event: &'static str,
    reply: &mut dyn Reply,
) -> Outcome {
    let limits = view.around.config.encodings.sorted_set;
    let (result, _) = asked.result(&view.as_read())?;
    let pairs = result.iter().map(|(member, score)| (member, *score));
    reply.integer(store(view, target, SortedSet::from_pairs(pairs, limits), event) as i64);
    Ok(())
}
