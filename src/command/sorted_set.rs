//! Sorted sets: members with scores under one key.
//!
//! A sorted set is made by its first member and goes away with its last one. Ranges are in
//! `sorted_set_range`, unions and the like in `sorted_set_combine`, what pops in
//! `sorted_set_pop`.

use super::args::is;
use super::scan::{self, Options, Subject};
use super::{Argv, Command, Flags, Group, Keys, Run, sorted_set_random};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{ReadView, WriteView};
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::value::number::{format_double, format_stored_double, parse_double};
use crate::value::sorted_set::{
    Direction, LexRange, Members, ScoreRange, SortedSet, SortedSetLimits, SortedSetRef,
};

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
        ..row(
            "zadd",
            "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
            "Adds one or more members to a sorted set, or updates their scores. Creates the key if it doesn't exist.",
            "1.2.0",
            -4,
            GROW,
            Run::Write(zadd),
        )
    },
    Command {
        complexity: "O(log(N)) where N is the number of elements in the sorted set.",
        ..row(
            "zincrby",
            "key increment member",
            "Increments the score of a member in a sorted set.",
            "1.2.0",
            4,
            GROW,
            Run::Write(zincrby),
        )
    },
    Command {
        complexity: "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed.",
        ..row(
            "zrem",
            "key member [member ...]",
            "Removes one or more members from a sorted set. Deletes the sorted set if all members were removed.",
            "1.2.0",
            -3,
            Flags::FAST,
            Run::Write(zrem),
        )
    },
    row(
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
        ..row(
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
        ..row(
            "zlexcount",
            "key min max",
            "Returns the number of members in a sorted set within a lexicographical range.",
            "2.8.9",
            4,
            Flags::FAST,
            Run::Read(zlexcount),
        )
    },
    row(
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
        ..row(
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
        ..row(
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
        ..row(
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
        ..row(
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
        ..row(
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

/// A row of this group whose only key is its first argument.
pub const fn row(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    since: &'static str,
    arity: isize,
    flags: Flags,
    run: Run,
) -> Command {
    Command {
        name,
        syntax,
        summary,
        since,
        complexity: "O(1)",
        group: Group::SortedSet,
        arity,
        keys: Keys::FIRST,
        flags,
        run,
        subcommands: &[],
    }
}

/// A score that adding has made no number.
const NOT_A_NUMBER: Fault = Fault::new("ERR resulting score is not a number (NaN)");

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

/// How ZADD treats members, by its options.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions {
    /// Only those that are not there.
    pub nx: bool,
    /// Only those that are there.
    pub xx: bool,
    /// Only when the new score is greater than the one that is there.
    pub gt: bool,
    /// Only when it is less.
    pub lt: bool,
    /// Count those whose score has changed, too.
    pub ch: bool,
    /// Add the score to the one that is there.
    pub incr: bool,
}

impl Conditions {
    /// Takes an option; answers whether it is one.
    fn take(&mut self, word: &[u8]) -> bool {
        let options = [
            ("NX", &mut self.nx),
            ("XX", &mut self.xx),
            ("GT", &mut self.gt),
            ("LT", &mut self.lt),
            ("CH", &mut self.ch),
            ("INCR", &mut self.incr),
        ];
        let option = options.into_iter().find(|(name, _)| is(word, name));
        option.map(|(_, set)| *set = true).is_some()
    }

    /// Refuses options that exclude one another.
    ///
    /// # Errors
    /// In the words of ZADD.
    pub fn check(&self) -> Result<(), Fault> {
        if self.nx && self.xx {
            return Err(Fault::new("ERR XX and NX options at the same time are not compatible"));
        }
        if [self.gt, self.lt, self.nx].into_iter().filter(|set| *set).count() > 1 {
            return Err(Fault::new(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        Ok(())
    }

    /// Gives one member a score, as far as the conditions allow it.
    fn apply(
        self,
        set: &mut SortedSet,
        member: &[u8],
        score: f64,
        limits: SortedSetLimits,
    ) -> Result<Change, Fault> {
        let Some(old) = set.as_ref().score(member) else {
            if self.xx {
                return Ok(Change::Refused);
            }
            set.set(member, score, limits);
            return Ok(Change::Added(score));
        };
        if self.nx {
            return Ok(Change::Refused);
        }
        let score = if self.incr { old + score } else { score };
        if score.is_nan() {
            return Err(NOT_A_NUMBER);
        }
        if (self.lt && score >= old) || (self.gt && score <= old) {
            return Ok(Change::Refused);
        }
        if score == old {
            return Ok(Change::Same(score));
        }
        set.set(member, score, limits);
        Ok(Change::Updated(score))
    }
}

/// What has become of a member, and the score that is answered for it.
enum Change {
    /// A condition was against it.
    Refused,
    /// It had this score already.
    Same(f64),
    Added(f64),
    Updated(f64),
}

/// What adding has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Added {
    /// Members that were not there.
    pub added: usize,
    /// Members that have another score now.
    pub updated: usize,
    /// The score of the last member that no condition was against.
    pub score: Option<f64>,
}

impl Added {
    fn note(&mut self, change: &Change) {
        match *change {
            Change::Refused => {}
            Change::Same(score) => self.score = Some(score),
            Change::Added(score) => {
                self.added += 1;
                self.score = Some(score);
            }
            Change::Updated(score) => {
                self.updated += 1;
                self.score = Some(score);
            }
        }
    }
}

/// Adds members to the sorted set under a key, and says so to watchers, the log and those who
/// hear of events. With `incr` there is one pair, and the log gets its resulting score.
///
/// # Errors
/// `WRONGTYPE`, or a sum that is no number; nothing has changed then.
pub fn add(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    conditions: Conditions,
    pairs: &[(f64, &[u8])],
) -> Result<Added, Fault> {
    let limits = view.around.config.encodings.sorted_set;
    let edit = |set: &mut SortedSet| {
        let mut done = Added::default();
        for (score, member) in pairs {
            done.note(&conditions.apply(set, member, *score, limits)?);
        }
        Ok(done)
    };
    let done = if conditions.xx {
        view.edit_present(key, edit)?.map_or_else(Added::default, |edited| edited.result)
    } else {
        view.edit(key, edit)?
    };
    if done.added + done.updated > 0 {
        view.modified(key);
        view.notify(Classes::SORTED_SET, if conditions.incr { "zincr" } else { "zadd" }, key);
        if let (true, [(_, member)], Some(score)) = (conditions.incr, pairs, done.score) {
            view.reword(&[b"ZADD", key, format_double(score).as_bytes(), member]);
        }
    }
    Ok(done)
}

fn zadd(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let mut conditions = Conditions::default();
    let options = argv[2..].iter().take_while(|word| conditions.take(word)).count();
    let elements = &argv[2 + options..];
    if elements.is_empty() || elements.len() % 2 == 1 {
        return Err(Fault::SYNTAX);
    }
    conditions.check()?;
    if conditions.incr && elements.len() > 2 {
        return Err(Fault::new("ERR INCR option supports a single increment-element pair"));
    }
    let pairs: Result<Vec<_>, Fault> =
        elements.chunks_exact(2).map(|pair| Ok((score(pair[0])?, pair[1]))).collect();
    let done = add(view, argv[1], conditions, &pairs?)?;
    if conditions.incr {
        answer_score(done.score, reply);
    } else {
        reply.integer((done.added + if conditions.ch { done.updated } else { 0 }) as i64);
    }
    Ok(())
}

fn score(argument: &[u8]) -> Result<f64, Fault> {
    parse_double(argument).ok_or(Fault::NOT_FLOAT)
}

fn answer_score(score: Option<f64>, reply: &mut dyn Reply) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn zincrby(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    // Redis reads options here too, and of what is left misses a member.
    if ["NX", "XX", "GT", "LT", "CH", "INCR"].iter().any(|option| is(argv[2], option)) {
        return Err(Fault::SYNTAX);
    }
    let increment = Conditions { incr: true, ..Conditions::default() };
    let done = add(view, argv[1], increment, &[(score(argv[2])?, argv[3])])?;
    answer_score(done.score, reply);
    Ok(())
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
