//! Sorted sets: members with scores under one key.
//!
//! A sorted set is made by its first member and goes away with its last one. Ranges are in
//! `sorted_set_range`, unions and the like in `sorted_set_combine`, what pops in
//! `sorted_set_pop`.

use super::args::is;
use super::scan::{self, Options, Subject};
use super::{Argv, Command, Family, Flags, Group, Run, sorted_set_add, sorted_set_random};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{ReadView, WriteView};
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::value::number::{format_double, format_stored_double};
use crate::value::sorted_set::{Direction, LexRange, Members, ScoreRange, SortedSet, SortedSetRef};

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
        ..SORTED_SET.row(
            "zadd",
            "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
            "Adds one or more members to a sorted set, or updates their scores. Creates the key if it doesn't exist.",
            "1.2.0",
            -4,
            GROW,
            Run::Write(sorted_set_add::zadd),
        )
    },
    Command {
        complexity: "O(log(N)) where N is the number of elements in the sorted set.",
        ..SORTED_SET.row(
            "zincrby",
            "key increment member",
            "Increments the score of a member in a sorted set.",
            "1.2.0",
            4,
            GROW,
            Run::Write(sorted_set_add::zincrby),
        )
    },
    Command {
        complexity: "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed.",
        ..SORTED_SET.row(
            "zrem",
            "key member [member ...]",
            "Removes one or more members from a sorted set. Deletes the sorted set if all members were removed.",
            "1.2.0",
            -3,
            Flags::FAST,
            Run::Write(zrem),
        )
    },
    SORTED_SET.row(
        "zcard",
        "key",
        "Returns the number of members in a sorted set.",
        "1.2.0",
        2,
        Flags::FAST,
        Run::Read(zcard),
    ),
    Command {
        complexity: COUNTING,
        ..SORTED_SET.row(
            "zcount",
            "key min max",
            "Returns the count of members in a sorted set that have scores within a range.",
            "2.0.0",
            4,
            Flags::FAST,
            Run::Read(zcount),
        )
    },
    Command {
        complexity: COUNTING,
        ..SORTED_SET.row(
            "zlexcount",
            "key min max",
            "Returns the number of members in a sorted set within a lexicographical range.",
            "2.8.9",
            4,
            Flags::FAST,
            Run::Read(zlexcount),
        )
    },
    SORTED_SET.row(
        "zscore",
        "key member",
        "Returns the score of a member in a sorted set.",
        "1.2.0",
        3,
        Flags::FAST,
        Run::Read(zscore),
    ),
    Command {
        complexity: "O(N) where N is the number of members being requested.",
        ..SORTED_SET.row(
            "zmscore",
            "key member [member ...]",
            "Returns the score of one or more members in a sorted set.",
            "6.2.0",
            -3,
            Flags::FAST,
            Run::Read(zmscore),
        )
    },
    Command {
        complexity: "O(log(N))",
        ..SORTED_SET.row(
            "zrank",
            "key member [WITHSCORE]",
            "Returns the index of a member in a sorted set ordered by ascending scores.",
            "2.0.0",
            -3,
            Flags::FAST,
            Run::Read(zrank),
        )
    },
    Command {
        complexity: "O(log(N))",
        ..SORTED_SET.row(
            "zrevrank",
            "key member [WITHSCORE]",
            "Returns the index of a member in a sorted set ordered by descending scores.",
            "2.0.0",
            -3,
            Flags::FAST,
            Run::Read(zrevrank),
        )
    },
    Command {
        complexity: "O(N) where N is the number of elements returned",
        ..SORTED_SET.row(
            "zrandmember",
            "key [count [WITHSCORES]]",
            "Returns one or more random members from a sorted set.",
            "6.2.0",
            -2,
            Flags::empty(),
            Run::Read(sorted_set_random::zrandmember),
        )
    },
    Command {
        complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
        ..SORTED_SET.row(
            "zscan",
            "key cursor [MATCH pattern] [COUNT count]",
            "Iterates over members and scores of a sorted set.",
            "2.8.0",
            -3,
            Flags::empty(),
            Run::Read(zscan),
        )
    },
];

const GROW: Flags = Flags::DENYOOM.union(Flags::FAST);
const COUNTING: &str = "O(log(N)) with N being the number of elements in the sorted set.";

/// What the rows of this family have in common.
pub(super) const SORTED_SET: Family = Family::new(Group::SortedSet);

/// Reads a range of scores.
///
/// # Errors
/// When one of its ends is no number.
pub fn score_range(min: &[u8], max: &[u8]) -> Result<ScoreRange, Fault> {
    ScoreRange::parse(min, max).ok_or(Fault::new("ERR min or max is not a float"))
}

/// Reads a range of members.
///
/// # Errors
/// When one of its ends is neither `[member`, `(member`, `-` nor `+`.
pub fn lex_range<'a>(min: &'a [u8], max: &'a [u8]) -> Result<LexRange<'a>, Fault> {
    LexRange::parse(min, max).ok_or(Fault::new("ERR min or max not valid string range item"))
}

/// What is answered of each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// The member.
    Members,
    /// The member and its score.
    MembersAndScores,
}

impl Parts {
    /// Announces `count` elements: with scores, RESP3 has a list of pairs where RESP2 has one
    /// flat list.
    pub fn announce(self, count: usize, reply: &mut dyn Reply) {
        let flat = self == Parts::MembersAndScores && reply.protocol() == Protocol::V2;
        reply.array(if flat { count * 2 } else { count });
    }

    /// Answers one of them.
    pub fn answer(self, member: &[u8], score: f64, reply: &mut dyn Reply) {
        if self == Parts::Members {
            reply.bulk(member);
            return;
        }
        if reply.protocol() == Protocol::V3 {
            reply.array(2);
        }
        reply.bulk(member);
        reply.double(score);
    }
}

/// Answers a score, if there is one.
pub(super) fn answer_score(score: Option<f64>, reply: &mut dyn Reply) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn zrem(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, members) = (argv[1], &argv[2..]);
    let removed = remove(view, key, "zrem", |set| {
        members.iter().filter(|member| set.remove(member).is_some()).count()
    })?;
    reply.integer(removed as i64);
    Ok(())
}

/// Takes members out of the sorted set under a key, if there is one, and says so; `remove`
/// answers how many.
///
/// # Errors
/// `WRONGTYPE`.
pub fn remove(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    event: &'static str,
    remove: impl FnOnce(&mut SortedSet) -> usize,
) -> Result<usize, Fault> {
    let edited = view.edit_present(key, |set: &mut SortedSet| Ok(remove(set)))?;
    let Some(edited) = edited.filter(|edited| edited.result > 0) else { return Ok(0) };
    view.modified(key);
    view.notify(Classes::SORTED_SET, event, key);
    if edited.emptied {
        view.notify(Classes::GENERIC, "del", key);
    }
    Ok(edited.result)
}

fn zcard(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.integer(view.collection::<Members>(argv[1])?.map_or(0, |set| set.len()) as i64);
    Ok(())
}

fn zcount(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let range = score_range(argv[2], argv[3])?;
    let set = view.collection::<Members>(argv[1])?;
    reply.integer(set.map_or(0, |set| set.by_score(&range).len()) as i64);
    Ok(())
}

fn zlexcount(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let range = lex_range(argv[2], argv[3])?;
    let set = view.collection::<Members>(argv[1])?;
    reply.integer(set.map_or(0, |set| set.by_lex(&range, Direction::Ascending).len()) as i64);
    Ok(())
}

fn zscore(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let set = view.collection::<Members>(argv[1])?;
    answer_score(set.and_then(|set| set.score(argv[2])), reply);
    Ok(())
}

fn zmscore(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let set = view.collection::<Members>(argv[1])?;
    reply.array(argv.len() - 2);
    argv[2..].iter().for_each(|m| answer_score(set.and_then(|set| set.score(m)), reply));
    Ok(())
}

fn zrank(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    rank(view, argv, reply, "zrank", |rank, _| rank)
}

fn zrevrank(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    rank(view, argv, reply, "zrevrank", |rank, len| len - 1 - rank)
}

fn rank(
    view: &ReadView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
    name: &str,
    count: fn(usize, usize) -> usize,
) -> Outcome {
    let with_score = match &argv[3..] {
        [] => false,
        [word] if is(word, "WITHSCORE") => true,
        [_] => return Err(Fault::SYNTAX),
        _ => return Err(Fault::arity(name)),
    };
    let set = view.collection::<Members>(argv[1])?;
    let found = set.and_then(|set| set.rank(argv[2]).map(|found| (found, set.len())));
    match found {
        Some(((rank, score), len)) => {
            if with_score {
                reply.array(2);
            }
            reply.integer(count(rank, len) as i64);
            if with_score {
                reply.double(score);
            }
        }
        None if with_score => reply.null_array(),
        None => reply.null(),
    }
    Ok(())
}

fn zscan(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let cursor = scan::cursor(argv[2])?;
    // Redis does not look at the options when there is nothing to scan.
    let Some(set) = view.collection::<Members>(argv[1])? else {
        scan::answer(0, 0, reply);
        return Ok(());
    };
    let options = Options::parse(&argv[3..], Subject::Elements)?;
    let mut found: Vec<(Box<[u8]>, f64)> = Vec::new();
    let next = set.scan(cursor, options.count, |member, score| {
        if options.wants(member) {
            found.push((member.into(), score));
        }
    });
    let small = matches!(set, SortedSetRef::Small(_));
    let text = if small { format_stored_double } else { format_double };
    scan::answer(next, found.len() * 2, reply);
    for (member, score) in found {
        reply.bulk(&member);
        reply.bulk(text(score).as_bytes());
    }
    Ok(())
}
