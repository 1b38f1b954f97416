//! Lists: texts in an order of their own, under one key.
//!
//! A list is made by its first element and goes away with its last one. Taking elements off the
//! ends is in `list_pop` and `list_move`, with the forms that wait; LPOS is in `list_position`.

use super::args::integer;
use super::{
    Argv, Command, Family, Flags, Group, Keys, Run, counted, list_change, list_move, list_pop,
    list_position,
};
use crate::config::Classes;
use crate::fault::Outcome;
use crate::keyspace::{ReadView, WriteView};
use crate::resp::Reply;
use crate::value::list::{Chain, End, List, ListRef};

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row(
        "lpush",
        "key element [element ...]",
        "Prepends one or more elements to a list. Creates the key if it doesn't exist.",
        "1.0.0",
        -3,
        PUSH,
        EACH,
        Run::Write(lpush),
    ),
    row(
        "rpush",
        "key element [element ...]",
        "Appends one or more elements to a list. Creates the key if it doesn't exist.",
        "1.0.0",
        -3,
        PUSH,
        EACH,
        Run::Write(rpush),
    ),
    row(
        "lpushx",
        "key element [element ...]",
        "Prepends one or more elements to a list only when the list exists.",
        "2.2.0",
        -3,
        PUSH,
        EACH,
        Run::Write(lpushx),
    ),
    row(
        "rpushx",
        "key element [element ...]",
        "Appends one or more elements to a list only when the list exists.",
        "2.2.0",
        -3,
        PUSH,
        EACH,
        Run::Write(rpushx),
    ),
    row(
        "lpop",
        "key [count]",
        "Returns and removes one or more elements from the beginning of a list. Deletes the list if the last element was popped.",
        "1.0.0",
        -2,
        Flags::FAST,
        RETURNED,
        Run::Write(list_pop::lpop),
    ),
    row(
        "rpop",
        "key [count]",
        "Returns and removes one or more elements from the end of a list. Deletes the list if the last element was popped.",
        "1.0.0",
        -2,
        Flags::FAST,
        RETURNED,
        Run::Write(list_pop::rpop),
    ),
    row(
        "llen",
        "key",
        "Returns the length of a list.",
        "1.0.0",
        2,
        Flags::FAST,
        "O(1)",
        Run::Read(llen),
    ),
    row(
        "lindex",
        "key index",
        "Returns an element from a list by its index.",
        "1.0.0",
        3,
        Flags::empty(),
        "O(N) where N is the number of elements to traverse to get to the element at index. This makes asking for the first or the last element of the list O(1).",
        Run::Read(lindex),
    ),
    row(
        "lset",
        "key index element",
        "Sets the value of an element in a list by its index.",
        "1.0.0",
        4,
        Flags::DENYOOM,
        "O(N) where N is the length of the list. Setting either the first or the last element of the list is O(1).",
        Run::Write(list_change::lset),
    ),
    row(
        "linsert",
        "key BEFORE|AFTER pivot element",
        "Inserts an element before or after another element in a list.",
        "2.2.0",
        5,
        Flags::DENYOOM,
        "O(N) where N is the number of elements to traverse before seeing the value pivot. This means that inserting somewhere on the left end on the list (head) can be considered O(1) and inserting somewhere on the right end (tail) is O(N).",
        Run::Write(list_change::linsert),
    ),
    row(
        "lrange",
        "key start stop",
        "Returns a range of elements from a list.",
        "1.0.0",
        4,
        Flags::empty(),
        "O(S+N) where S is the distance of start offset from HEAD for small lists, from nearest end (HEAD or TAIL) for large lists; and N is the number of elements in the specified range.",
        Run::Read(lrange),
    ),
    row(
        "lrem",
        "key count element",
        "Removes elements from a list. Deletes the list if the last element was removed.",
        "1.0.0",
        4,
        Flags::empty(),
        "O(N+M) where N is the length of the list and M is the number of elements removed.",
        Run::Write(list_change::lrem),
    ),
    row(
        "ltrim",
        "key start stop",
        "Removes elements from both ends of a list. Deletes the list if all elements were trimmed.",
        "1.0.0",
        4,
        Flags::empty(),
        "O(N) where N is the number of elements to be removed by the operation.",
        Run::Write(list_change::ltrim),
    ),
    row(
        "lpos",
        "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
        "Returns the index of matching elements in a list.",
        "6.0.6",
        -3,
        Flags::empty(),
        "O(N) where N is the number of elements in the list, for the average case. When searching for elements near the head or the tail of the list, or when the MAXLEN option is provided, the command may run in constant time.",
        Run::Read(list_position::lpos),
    ),
    Command {
        keys: Keys::TWO,
        ..row(
            "lmove",
            "source destination LEFT|RIGHT LEFT|RIGHT",
            "Returns an element after popping it from one list and pushing it to another. Deletes the list if the last element was moved.",
            "6.2.0",
            5,
            Flags::DENYOOM,
            "O(1)",
            Run::Write(list_move::lmove),
        )
    },
    Command {
        keys: Keys::TWO,
        ..row(
            "rpoplpush",
            "source destination",
            "Returns the last element of a list after removing and pushing it to another list. Deletes the list if the last element was popped.",
            "1.2.0",
            3,
            Flags::DENYOOM,
            "O(1)",
            Run::Write(list_move::rpoplpush),
        )
    },
    Command {
        keys: Keys::Found { range: (0, 0, 0), find: |argv| counted(argv, 1) },
        ..row(
            "lmpop",
            "numkeys key [key ...] LEFT|RIGHT [COUNT count]",
            "Returns multiple elements from a list after removing them. Deletes the list if the last element was popped.",
            "7.0.0",
            -4,
            Flags::MOVABLE_KEYS,
            SEVERAL,
            Run::Write(list_pop::lmpop),
        )
    },
    Command {
        keys: BEFORE_TIMEOUT,
        ..row(
            "blpop",
            "key [key ...] timeout",
            "Removes and returns the first element in a list. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
            "2.0.0",
            -3,
            WAIT,
            KEYS,
            Run::Write(list_pop::blpop),
        )
    },
    Command {
        keys: BEFORE_TIMEOUT,
        ..row(
            "brpop",
            "key [key ...] timeout",
            "Removes and returns the last element in a list. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
            "2.0.0",
            -3,
            WAIT,
            KEYS,
            Run::Write(list_pop::brpop),
        )
    },
    Command {
        keys: Keys::TWO,
        ..row(
            "blmove",
            "source destination LEFT|RIGHT LEFT|RIGHT timeout",
            "Pops an element from a list, pushes it to another list and returns it. Blocks until an element is available otherwise. Deletes the list if the last element was moved.",
            "6.2.0",
            6,
            WAIT.union(Flags::DENYOOM),
            "O(1)",
            Run::Write(list_move::blmove),
        )
    },
    Command {
        keys: Keys::TWO,
        ..row(
            "brpoplpush",
            "source destination timeout",
            "Pops an element from a list, pushes it to another list and returns it. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
            "2.2.0",
            4,
            WAIT.union(Flags::DENYOOM),
            "O(1)",
            Run::Write(list_move::brpoplpush),
        )
    },
    Command {
        keys: Keys::Found { range: (0, 0, 0), find: |argv| counted(argv, 2) },
        ..row(
            "blmpop",
            "timeout numkeys key [key ...] LEFT|RIGHT [COUNT count]",
            "Pops the first element from one of multiple lists. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
            "7.0.0",
            -5,
            Flags::BLOCKING.union(Flags::MOVABLE_KEYS),
            SEVERAL,
            Run::Write(list_pop::blmpop),
        )
    },
];

/// What the rows of this family have in common.
const LIST: Family = Family::new(Group::List);

const PUSH: Flags = Flags::DENYOOM.union(Flags::FAST);
const WAIT: Flags = Flags::BLOCKING.union(Flags::NOSCRIPT);
const BEFORE_TIMEOUT: Keys = Keys::At { first: 1, last: -2, step: 1 };
const EACH: &str = "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.";
const RETURNED: &str = "O(N) where N is the number of elements returned";
const KEYS: &str = "O(N) where N is the number of provided keys.";
const SEVERAL: &str =
    "O(N+M) where N is the number of provided keys and M is the number of elements returned.";

#[expect(clippy::too_many_arguments, reason = "the cells of a row, each of another kind")]
const fn row(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    since: &'static str,
    arity: isize,
    flags: Flags,
    complexity: &'static str,
    run: Run,
) -> Command {
    let row = LIST.row(name, syntax, summary, since, arity, flags, run);
    Command { complexity, ..row }
}

fn lpush(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    push(view, argv, End::Front, reply)
}

fn rpush(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    push(view, argv, End::Back, reply)
}

fn lpushx(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    push_to_present(view, argv, End::Front, reply)
}

fn rpushx(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    push_to_present(view, argv, End::Back, reply)
}

fn push_to_present(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    end: End,
    reply: &mut dyn Reply,
) -> Outcome {
    if view.exists(argv[1]) {
        return push(view, argv, end, reply);
    }
    reply.integer(0);
    Ok(())
}

fn push(view: &mut WriteView<'_, '_>, argv: Argv<'_>, end: End, reply: &mut dyn Reply) -> Outcome {
    let (key, elements) = (argv[1], &argv[2..]);
    let limits = view.around.config.encodings.list;
    let length = view.edit(key, |list: &mut List| {
        list.push(end, elements, limits);
        Ok(list.as_ref().len())
    })?;
    pushed(view, key, end);
    reply.integer(length as i64);
    Ok(())
}

/// Says that elements were added to the list under a key.
pub(super) fn pushed(view: &mut WriteView<'_, '_>, key: &[u8], end: End) {
    view.modified(key);
    let event = match end {
        End::Front => "lpush",
        End::Back => "rpush",
    };
    view.notify(Classes::LIST, event, key);
}

/// Says that elements were taken out of the list under a key, which is gone if that was
/// `emptied`.
pub(super) fn taken(view: &mut WriteView<'_, '_>, key: &[u8], event: &'static str, emptied: bool) {
    view.modified(key);
    view.notify(Classes::LIST, event, key);
    if emptied {
        view.notify(Classes::GENERIC, "del", key);
    }
}

fn llen(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.integer(view.collection::<Chain>(argv[1])?.map_or(0, ListRef::len) as i64);
    Ok(())
}

fn lindex(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    // Redis does not look at the index when there is no list.
    let Some(list) = view.collection::<Chain>(argv[1])? else {
        reply.null();
        return Ok(());
    };
    match at(integer(argv[2])?, list.len()).and_then(|index| list.get(index)) {
        Some(element) => reply.bulk(&element),
        None => reply.null(),
    }
    Ok(())
}

/// The element that an index means in a list of `len`, if there is one; a negative index counts
/// from the end.
pub(super) fn at(index: i64, len: usize) -> Option<usize> {
    let index = match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
    };
    (index < len).then_some(index)
}

/// The elements from `start` to `stop`, both included, of a list of `len`: the first of them,
/// and how many; negative indexes count from the end, and what lies outside is cut off.
pub(super) fn range(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let from_end = |index: i64| {
        let distance = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
        if index < 0 { len.checked_sub(distance) } else { Some(distance) }
    };
    let start = from_end(start).unwrap_or(0);
    let behind = from_end(stop).map_or(0, |stop| stop.saturating_add(1)).min(len);
    (start, behind.saturating_sub(start))
}

fn lrange(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (start, stop) = (integer(argv[2])?, integer(argv[3])?);
    let Some(list) = view.collection::<Chain>(argv[1])? else {
        reply.array(0);
        return Ok(());
    };
    let (first, count) = range(start, stop, list.len());
    reply.array(count);
    list.forward(first).take(count).for_each(|element| reply.bulk(&element.text()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_count_from_either_end() {
        for (index, len, found) in [
            (0, 3, Some(0)),
            (2, 3, Some(2)),
            (3, 3, None),
            (-1, 3, Some(2)),
            (-3, 3, Some(0)),
            (-4, 3, None),
            (i64::MIN, 3, None),
            (i64::MAX, 3, None),
        ] {
            assert_eq!(at(index, len), found, "{index} of {len}");
        }
    }

    #[test]
    fn ranges_are_cut_to_the_list() {
        for (start, stop, first, count) in [
            (0, -1, 0, 5),
            (1, 3, 1, 3),
            (-2, -1, 3, 2),
            (-100, 100, 0, 5),
            (3, 1, 3, 0),
            (4, i64::MAX, 4, 1),
            (i64::MIN, 0, 0, 1),
            (0, -6, 0, 0),
            (0, i64::MIN, 0, 0),
        ] {
            assert_eq!(range(start, stop, 5), (first, count), "{start} to {stop}");
        }
        assert_eq!(range(i64::MAX, i64::MAX, 5).1, 0);
    }
}
