//! What takes the lowest or highest members out of sorted sets and answers them.
//!
//! Left out on purpose: the waiting itself, see `waiting`.

use super::args::{at_least, is, timeout};
use super::sorted_set::{Parts, SORTED_SET};
use super::waiting::{Form, Wait};
use super::{Argv, Command, Flags, Keys, Run, counted};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Kind, WriteView};
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::value::sorted_set::{Direction, SortedSet};

/// The rows of popping.
pub const COMMANDS: &[Command] = &[
    Command {
        complexity: POPPED,
        ..SORTED_SET.row(
            "zpopmin",
            "key [count]",
            "Returns the lowest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped.",
            "5.0.0",
            -2,
            Flags::FAST,
            Run::Write(zpopmin),
        )
    },
    Command {
        complexity: POPPED,
        ..SORTED_SET.row(
            "zpopmax",
            "key [count]",
            "Returns the highest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped.",
            "5.0.0",
            -2,
            Flags::FAST,
            Run::Write(zpopmax),
        )
    },
    Command {
        complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.",
        keys: Keys::Found { range: (0, 0, 0), find: |argv| counted(argv, 1) },
        ..SORTED_SET.row(
            "zmpop",
            "numkeys key [key ...] <MIN | MAX> [COUNT count]",
            "Returns the highest- or lowest-scoring members from one or more sorted sets after removing them. Deletes the sorted set if the last member was popped.",
            "7.0.0",
            -4,
            Flags::MOVABLE_KEYS,
            Run::Write(zmpop),
        )
    },
    Command {
        complexity: "O(log(N)) with N being the number of elements in the sorted set.",
        keys: BEFORE_TIMEOUT,
        ..SORTED_SET.row(
            "bzpopmin",
            "key [key ...] timeout",
            "Removes and returns the member with the lowest score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped.",
            "5.0.0",
            -3,
            WAITING,
            Run::Write(bzpopmin),
        )
    },
    Command {
        complexity: "O(log(N)) with N being the number of elements in the sorted set.",
        keys: BEFORE_TIMEOUT,
        ..SORTED_SET.row(
            "bzpopmax",
            "key [key ...] timeout",
            "Removes and returns the member with the highest score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped.",
            "5.0.0",
            -3,
            WAITING,
            Run::Write(bzpopmax),
        )
    },
    Command {
        complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.",
        keys: Keys::Found { range: (0, 0, 0), find: |argv| counted(argv, 2) },
        ..SORTED_SET.row(
            "bzmpop",
            "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
            "Removes and returns members by score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped.",
            "7.0.0",
            -5,
            Flags::BLOCKING.union(Flags::MOVABLE_KEYS),
            Run::Write(bzmpop),
        )
    },
];

const POPPED: &str = "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.";
const WAITING: Flags = Flags::NOSCRIPT.union(Flags::BLOCKING).union(Flags::FAST);
const BEFORE_TIMEOUT: Keys = Keys::At { first: 1, last: -2, step: 1 };

/// From which end members are popped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The lowest.
    Min,
    /// The highest.
    Max,
}

impl End {
    fn direction(self) -> Direction {
        match self {
            End::Min => Direction::Ascending,
            End::Max => Direction::Descending,
        }
    }

    /// The command that pops there, which is the name of the event too.
    fn name(self) -> &'static str {
        match self {
            End::Min => "zpopmin",
            End::Max => "zpopmax",
        }
    }
}

/// What was popped, in the order of popping.
pub type Popped = Vec<(Box<[u8]>, f64)>;

/// Pops up to `count` members of one key; none when there is no such key.
///
/// # Errors
/// `WRONGTYPE`.
fn pop(view: &mut WriteView<'_, '_>, key: &[u8], end: End, count: usize) -> Result<Popped, Fault> {
    let edited = view.edit_present(key, |set: &mut SortedSet| {
        let len = set.as_ref().len();
        let count = count.min(len);
        let ranks = match end {
            End::Min => 0..count,
            End::Max => len - count..len,
        };
        let mut popped = Vec::with_capacity(count);
        set.as_ref().visit(ranks.clone(), end.direction(), |member, score| {
            popped.push((Box::from(member), score));
        });
        set.remove_ranks(ranks);
        Ok(popped)
    })?;
    let Some(edited) = edited.filter(|edited| !edited.result.is_empty()) else {
        return Ok(Popped::new());
    };
    view.modified(key);
    view.notify(Classes::SORTED_SET, end.name(), key);
    if edited.emptied {
        view.notify(Classes::GENERIC, "del", key);
    }
    Ok(edited.result)
}

/// Pops up to `count` members, which is at least 1, of the first of these keys that has any;
/// answers that key too. The log is told which one it was.
///
/// # Errors
/// `WRONGTYPE`, when a key in front of that one holds something else.
pub fn serve<'a>(
    view: &mut WriteView<'_, '_>,
    keys: Argv<'a>,
    end: End,
    count: usize,
) -> Result<Option<(&'a [u8], Popped)>, Fault> {
    for key in keys {
        let popped = pop(view, key, end, count)?;
        if !popped.is_empty() {
            let count = popped.len().to_string();
            view.reword(&[end.name().to_ascii_uppercase().as_bytes(), key, count.as_bytes()]);
            return Ok(Some((key, popped)));
        }
    }
    Ok(None)
}

fn zpopmin(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    pop_one_key(view, argv, End::Min, reply)
}

fn zpopmax(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    pop_one_key(view, argv, End::Max, reply)
}

fn pop_one_key(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    end: End,
    reply: &mut dyn Reply,
) -> Outcome {
    let count = match &argv[2..] {
        [] => None,
        [count] => Some(at_least(0, count, "ERR value is out of range, must be positive")?),
        _ => return Err(Fault::SYNTAX),
    };
    let popped = pop(view, argv[1], end, count.unwrap_or(1))?;
    // Without a count, RESP3 has no list of pairs for the one that there is.
    if reply.protocol() == Protocol::V3 && count.is_some() {
        Parts::MembersAndScores.announce(popped.len(), reply);
        answer_pairs(&popped, reply);
        return Ok(());
    }
    reply.array(popped.len() * 2);
    for (member, score) in &popped {
        reply.bulk(member);
        reply.double(*score);
    }
    Ok(())
}

fn zmpop(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    if !Several::parse(&argv[1..])?.pop(view, reply)? {
        reply.null_array();
    }
    Ok(())
}

/// What ZMPOP asks for, from the number of keys on.
struct Several<'a> {
    keys: Argv<'a>,
    end: End,
    count: usize,
}

impl<'a> Several<'a> {
    fn parse(arguments: Argv<'a>) -> Result<Several<'a>, Fault> {
        let numkeys = at_least(1, arguments[0], "ERR numkeys should be greater than 0")?;
        let (keys, options) = arguments[1..].split_at_checked(numkeys).ok_or(Fault::SYNTAX)?;
        let (end, options) = match options {
            [word, options @ ..] if is(word, "MIN") => (End::Min, options),
            [word, options @ ..] if is(word, "MAX") => (End::Max, options),
            _ => return Err(Fault::SYNTAX),
        };
        let (count, more) = match options {
            [word, count, more @ ..] if is(word, "COUNT") => {
                (at_least(1, count, "ERR count should be greater than 0")?, more)
            }
            _ => (1, options),
        };
        if more.is_empty() { Ok(Several { keys, end, count }) } else { Err(Fault::SYNTAX) }
    }

    /// Pops, and answers whether there was something.
    fn pop(&self, view: &mut WriteView<'_, '_>, reply: &mut dyn Reply) -> Result<bool, Fault> {
        let Some((key, popped)) = serve(view, self.keys, self.end, self.count)? else {
            return Ok(false);
        };
        reply.array(2);
        reply.bulk(key);
        // Pairs in both protocols, since this command was made after RESP3.
        reply.array(popped.len());
        answer_pairs(&popped, reply);
        Ok(true)
    }
}

fn answer_pairs(popped: &Popped, reply: &mut dyn Reply) {
    for (member, score) in popped {
        reply.array(2);
        reply.bulk(member);
        reply.double(*score);
    }
}

fn bzpopmin(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    pop_before_timeout(view, argv, End::Min, reply)
}

fn bzpopmax(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    pop_before_timeout(view, argv, End::Max, reply)
}

fn pop_before_timeout(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    end: End,
    reply: &mut dyn Reply,
) -> Outcome {
    let last = argv.len() - 1;
    let until = timeout(argv[last], view.around.now)?;
    let served = serve(view, &argv[1..last], end, 1)?;
    let Some((key, [(member, score)])) =
        served.as_ref().map(|(key, popped)| (key, popped.as_slice()))
    else {
        return Err(Wait::fault(until, Form::Pop(Kind::SortedSet)));
    };
    reply.array(3);
    reply.bulk(key);
    reply.bulk(member);
    reply.double(*score);
    Ok(())
}

fn bzmpop(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let several = Several::parse(&argv[2..])?;
    let until = timeout(argv[1], view.around.now)?;
    if several.pop(view, reply)? {
        return Ok(());
    }
    Err(Wait::fault(until, Form::SeveralPop(Kind::SortedSet)))
}
