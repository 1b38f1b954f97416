//! Ranges of sorted sets: by rank, by score and by member, answered, stored or removed.

use std::ops::Range;

use super::args::{integer, is};
use super::sorted_set::{Parts, SORTED_SET, lex_range, remove, score_range};
use super::{Argv, Command, Flags, Keys, Run};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Entry, NEVER, ReadView, WriteView};
use crate::resp::Reply;
use crate::value::sorted_set::{Direction, LexRange, Members, ScoreRange, SortedSet, SortedSetRef};

/// The rows of ranges.
pub const COMMANDS: &[Command] = &[
    Command {
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.",
        ..SORTED_SET.row(
            "zrange",
            "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
            "Returns members in a sorted set within a range of indexes.",
            "1.2.0",
            -4,
            Flags::empty(),
            Run::Read(zrange),
        )
    },
    Command {
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored into the destination key.",
        keys: Keys::TWO,
        ..SORTED_SET.row(
            "zrangestore",
            "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
            "Stores a range of members from sorted set in a key.",
            "6.2.0",
            -5,
            Flags::DENYOOM,
            Run::Write(zrangestore),
        )
    },
    Command {
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.",
        ..SORTED_SET.row(
            "zrevrange",
            "key start stop [WITHSCORES]",
            "Returns members in a sorted set within a range of indexes in reverse order.",
            "1.2.0",
            -4,
            Flags::empty(),
            Run::Read(zrevrange),
        )
    },
    Command {
        complexity: LIMITED,
        ..SORTED_SET.row(
            "zrangebyscore",
            "key min max [WITHSCORES] [LIMIT offset count]",
            "Returns members in a sorted set within a range of scores.",
            "1.0.5",
            -4,
            Flags::empty(),
            Run::Read(zrangebyscore),
        )
    },
    Command {
        complexity: LIMITED,
        ..SORTED_SET.row(
            "zrevrangebyscore",
            "key max min [WITHSCORES] [LIMIT offset count]",
            "Returns members in a sorted set within a range of scores in reverse order.",
            "2.2.0",
            -4,
            Flags::empty(),
            Run::Read(zrevrangebyscore),
        )
    },
    Command {
        complexity: LIMITED,
        ..SORTED_SET.row(
            "zrangebylex",
            "key min max [LIMIT offset count]",
            "Returns members in a sorted set within a lexicographical range.",
            "2.8.9",
            -4,
            Flags::empty(),
            Run::Read(zrangebylex),
        )
    },
    Command {
        complexity: LIMITED,
        ..SORTED_SET.row(
            "zrevrangebylex",
            "key max min [LIMIT offset count]",
            "Returns members in a sorted set within a lexicographical range in reverse order.",
            "2.8.9",
            -4,
            Flags::empty(),
            Run::Read(zrevrangebylex),
        )
    },
    Command {
        complexity: REMOVED,
        ..SORTED_SET.row(
            "zremrangebyrank",
            "key start stop",
            "Removes members in a sorted set within a range of indexes. Deletes the sorted set if all members were removed.",
            "2.0.0",
            4,
            Flags::empty(),
            Run::Write(zremrangebyrank),
        )
    },
    Command {
        complexity: REMOVED,
        ..SORTED_SET.row(
            "zremrangebyscore",
            "key min max",
            "Removes members in a sorted set within a range of scores. Deletes the sorted set if all members were removed.",
            "1.2.0",
            4,
            Flags::empty(),
            Run::Write(zremrangebyscore),
        )
    },
    Command {
        complexity: REMOVED,
        ..SORTED_SET.row(
            "zremrangebylex",
            "key min max",
            "Removes members in a sorted set within a lexicographical range. Deletes the sorted set if all members were removed.",
            "2.8.9",
            4,
            Flags::empty(),
            Run::Write(zremrangebylex),
        )
    },
];

const LIMITED: &str = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).";
const REMOVED: &str = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.";

/// By what a range is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// What a command's name has already said.
#[derive(Clone, Copy)]
struct Said {
    by: Option<By>,
    direction: Option<Direction>,
    /// Whether WITHSCORES means something.
    scores: bool,
}

impl Said {
    const NOTHING: Said = Said { by: None, direction: None, scores: true };
    const STORE: Said = Said { scores: false, ..Said::NOTHING };

    const fn all(by: By, direction: Direction) -> Said {
        Said { by: Some(by), direction: Some(direction), scores: true }
    }
}

/// A range, by its ends.
enum Ends<'a> {
    Ranks(i64, i64),
    Scores(ScoreRange),
    Members(LexRange<'a>),
}

impl<'a> Ends<'a> {
    fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Ends<'a>, Fault> {
        Ok(match by {
            By::Rank => Ends::Ranks(integer(min)?, integer(max)?),
            By::Score => Ends::Scores(score_range(min, max)?),
            By::Lex => Ends::Members(lex_range(min, max)?),
        })
    }

    /// The ranks of what is in the range; indexes count from where `direction` begins.
    fn ranks(&self, set: SortedSetRef<'_>, direction: Direction) -> Range<usize> {
        match self {
            Ends::Ranks(start, stop) => {
                let (range, len) = (indexes(*start, *stop, set.len()), set.len());
                match direction {
                    Direction::Ascending => range,
                    Direction::Descending => len - range.end..len - range.start,
                }
            }
            Ends::Scores(range) => set.by_score(range),
            Ends::Members(range) => set.by_lex(range, direction),
        }
    }
}

/// The elements from index `start` to index `stop` of `len`; negative ones count from the end.
fn indexes(start: i64, stop: i64, len: usize) -> Range<usize> {
    let whole = i64::try_from(len).unwrap_or(i64::MAX);
    let from_end = |index: i64| if index < 0 { index.saturating_add(whole) } else { index };
    let start = from_end(start).max(0);
    let stop = from_end(stop).min(whole - 1);
    if start > stop {
        return 0..0;
    }
    // Both are from 0 to below `len`.
    start as usize..stop as usize + 1
}

/// What a command asks for.
struct Request<'a> {
    ends: Ends<'a>,
    direction: Direction,
    offset: i64,
    /// How many at most; negative for all.
    count: i64,
    parts: Parts,
}

impl<'a> Request<'a> {
    /// Reads the arguments from the range on, with the complaints of Redis in their order.
    fn parse(arguments: Argv<'a>, said: Said) -> Result<Request<'a>, Fault> {
        let Said { mut by, mut direction, scores } = said;
        let (mut offset, mut count, mut parts) = (0, -1, Parts::Members);
        let mut rest = &arguments[2..];
        while let [word, behind @ ..] = rest {
            rest = behind;
            match behind {
                _ if scores && is(word, "WITHSCORES") => parts = Parts::MembersAndScores,
                [first, second, behind @ ..] if is(word, "LIMIT") => {
                    (offset, count, rest) = (integer(first)?, integer(second)?, behind);
                }
                _ if direction.is_none() && is(word, "REV") => {
                    direction = Some(Direction::Descending);
                }
                _ if by.is_none() && is(word, "BYLEX") => by = Some(By::Lex),
                _ if by.is_none() && is(word, "BYSCORE") => by = Some(By::Score),
                _ => return Err(Fault::SYNTAX),
            }
        }
        let by = by.unwrap_or(By::Rank);
        let direction = direction.unwrap_or(Direction::Ascending);
        if count != -1 && by == By::Rank {
            return Err(Fault::new(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if parts == Parts::MembersAndScores && by == By::Lex {
            return Err(Fault::new(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        // Without a count LIMIT is no LIMIT, and indexes know no other.
        let offset = if by == By::Rank { 0 } else { offset };
        // From the highest on, the upper end is named first.
        let swapped = by != By::Rank && direction == Direction::Descending;
        let (min, max) = (arguments[usize::from(swapped)], arguments[usize::from(!swapped)]);
        Ok(Request { ends: Ends::parse(by, min, max)?, direction, offset, count, parts })
    }

    /// The ranks of what is asked for.
    fn ranks(&self, set: SortedSetRef<'_>) -> Range<usize> {
        let ranks = self.ends.ranks(set, self.direction);
        // A negative offset passes over everything.
        let skip = usize::try_from(self.offset).unwrap_or(usize::MAX).min(ranks.len());
        let left = ranks.len() - skip;
        let count = usize::try_from(self.count).map_or(left, |count| count.min(left));
        match self.direction {
            Direction::Ascending => ranks.start + skip..ranks.start + skip + count,
            Direction::Descending => ranks.end - skip - count..ranks.end - skip,
        }
    }
}

fn zrange(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    answer(view, argv, Said::NOTHING, reply)
}

/// Answers the range that `argv` asks for, beyond what its name has said.
fn answer(view: &ReadView<'_, '_>, argv: Argv<'_>, said: Said, reply: &mut dyn Reply) -> Outcome {
    let request = Request::parse(&argv[2..], said)?;
    let Some(set) = view.collection::<Members>(argv[1])? else {
        reply.array(0);
        return Ok(());
    };
    let (ranks, parts) = (request.ranks(set), request.parts);
    parts.announce(ranks.len(), reply);
    set.visit(ranks, request.direction, |member, score| parts.answer(member, score, reply));
    Ok(())
}

fn zrangestore(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (target, source) = (argv[1], argv[2]);
    let request = Request::parse(&argv[3..], Said::STORE)?;
    let limits = view.around.config.encodings.sorted_set;
    let mut result = SortedSet::new();
    if let Some(set) = view.as_read().collection::<Members>(source)? {
        let ranks = request.ranks(set);
        // As in Redis, which knows the number of members beforehand only of ranks: it decides
        // which of them keep a score of -0, and so does the direction.
        if matches!(request.ends, Ends::Ranks(..)) {
            result = SortedSet::for_members(ranks.len(), limits);
        }
        set.visit(ranks, request.direction, |member, score| {
            result.set(member, score, limits);
        });
    }
    reply.integer(store(view, target, result, "zrangestore") as i64);
    Ok(())
}

/// Makes a key this sorted set, whatever it was, or takes it away when the set is empty; says
/// so, and answers how many members there are.
pub fn store(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    set: SortedSet,
    event: &'static str,
) -> usize {
    let len = set.as_ref().len();
    let was_there = view.discard(key);
    if len > 0 {
        view.insert(key, Entry::collection(key, set, NEVER));
        view.modified(key);
        view.notify(Classes::SORTED_SET, event, key);
    } else if was_there {
        view.modified(key);
        view.notify(Classes::GENERIC, "del", key);
    }
    len
}

fn zrevrange(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    answer(view, argv, Said::all(By::Rank, Direction::Descending), reply)
}

fn zrangebyscore(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    answer(view, argv, Said::all(By::Score, Direction::Ascending), reply)
}

fn zrevrangebyscore(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    answer(view, argv, Said::all(By::Score, Direction::Descending), reply)
}

fn zrangebylex(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    answer(view, argv, Said::all(By::Lex, Direction::Ascending), reply)
}

fn zrevrangebylex(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    answer(view, argv, Said::all(By::Lex, Direction::Descending), reply)
}

fn zremrangebyrank(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    remove_range(view, argv, By::Rank, "zremrangebyrank", reply)
}

fn zremrangebyscore(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    remove_range(view, argv, By::Score, "zremrangebyscore", reply)
}

fn zremrangebylex(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    remove_range(view, argv, By::Lex, "zremrangebylex", reply)
}

fn remove_range(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    by: By,
    event: &'static str,
    reply: &mut dyn Reply,
) -> Outcome {
    let ends = Ends::parse(by, argv[2], argv[3])?;
    let removed = remove(view, argv[1], event, |set| {
        let ranks = ends.ranks(set.as_ref(), Direction::Ascending);
        set.remove_ranks(ranks)
    })?;
    reply.integer(removed as i64);
    Ok(())
}
