//! Sets: texts under one key, each once.
//!
//! A set is made by its first member and goes away with its last one.

use super::scan::{self, Options, Subject};
use super::{Argv, Command, Family, Flags, Group, Keys, Run, counted, set_algebra, set_random};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{ReadView, WriteView};
use crate::resp::Reply;
use crate::value::set::{Members, Set, SetRef};

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
        ..SET.row(
            "sadd",
            "key member [member ...]",
            "Adds one or more members to a set. Creates the key if it doesn't exist.",
            "1.0.0",
            -3,
            Flags::DENYOOM.union(Flags::FAST),
            Run::Write(sadd),
        )
    },
    Command {
        complexity: "O(N) where N is the number of members to be removed.",
        ..SET.row(
            "srem",
            "key member [member ...]",
            "Removes one or more members from a set. Deletes the set if the last member was removed.",
            "1.0.0",
            -3,
            Flags::FAST,
            Run::Write(srem),
        )
    },
    SET.row(
        "sismember",
        "key member",
        "Determines whether a member belongs to a set.",
        "1.0.0",
        3,
        Flags::FAST,
        Run::Read(sismember),
    ),
    Command {
        complexity: "O(N) where N is the number of elements being checked for membership",
        ..SET.row(
            "smismember",
            "key member [member ...]",
            "Determines whether multiple members belong to a set.",
            "6.2.0",
            -3,
            Flags::FAST,
            Run::Read(smismember),
        )
    },
    SET.row(
        "scard",
        "key",
        "Returns the number of members in a set.",
        "1.0.0",
        2,
        Flags::FAST,
        Run::Read(scard),
    ),
    Command {
        complexity: "O(N) where N is the set cardinality.",
        ..SET.row(
            "smembers",
            "key",
            "Returns all members of a set.",
            "1.0.0",
            2,
            Flags::empty(),
            Run::Read(smembers),
        )
    },
    Command {
        keys: Keys::TWO,
        ..SET.row(
            "smove",
            "source destination member",
            "Moves a member from one set to another.",
            "1.0.0",
            4,
            Flags::FAST,
            Run::Write(smove),
        )
    },
    Command {
        complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
        ..SET.row(
            "sscan",
            "key cursor [MATCH pattern] [COUNT count]",
            "Iterates over members of a set.",
            "2.8.0",
            -3,
            Flags::empty(),
            Run::Read(sscan),
        )
    },
    Command {
        complexity: "Without the count argument O(1), otherwise O(N) where N is the value of the passed count.",
        ..SET.row(
            "spop",
            "key [count]",
            "Returns one or more random members from a set after removing them. Deletes the set if the last member was popped.",
            "1.0.0",
            -2,
            Flags::FAST,
            Run::Write(set_random::spop),
        )
    },
    Command {
        complexity: "Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.",
        ..SET.row(
            "srandmember",
            "key [count]",
            "Get one or multiple random members from a set",
            "1.0.0",
            -2,
            Flags::empty(),
            Run::Read(set_random::srandmember),
        )
    },
    Command {
        keys: Keys::ALL,
        complexity: INTERSECTION,
        ..SET.row(
            "sinter",
            "key [key ...]",
            "Returns the intersect of multiple sets.",
            "1.0.0",
            -2,
            Flags::empty(),
            Run::Read(set_algebra::sinter),
        )
    },
    Command {
        keys: Keys::Found { range: (0, 0, 0), find: |argv| counted(argv, 1) },
        complexity: INTERSECTION,
        ..SET.row(
            "sintercard",
            "numkeys key [key ...] [LIMIT limit]",
            "Returns the number of members of the intersect of multiple sets.",
            "7.0.0",
            -3,
            Flags::MOVABLE_KEYS,
            Run::Read(set_algebra::sintercard),
        )
    },
    Command {
        keys: Keys::ALL,
        complexity: INTERSECTION,
        ..SET.row(
            "sinterstore",
            "destination key [key ...]",
            "Stores the intersect of multiple sets in a key.",
            "1.0.0",
            -3,
            Flags::DENYOOM,
            Run::Write(set_algebra::sinterstore),
        )
    },
    Command {
        keys: Keys::ALL,
        complexity: ALL_MEMBERS,
        ..SET.row(
            "sunion",
            "key [key ...]",
            "Returns the union of multiple sets.",
            "1.0.0",
            -2,
            Flags::empty(),
            Run::Read(set_algebra::sunion),
        )
    },
    Command {
        keys: Keys::ALL,
        complexity: ALL_MEMBERS,
        ..SET.row(
            "sunionstore",
            "destination key [key ...]",
            "Stores the union of multiple sets in a key.",
            "1.0.0",
            -3,
            Flags::DENYOOM,
            Run::Write(set_algebra::sunionstore),
        )
    },
    Command {
        keys: Keys::ALL,
        complexity: ALL_MEMBERS,
        ..SET.row(
            "sdiff",
            "key [key ...]",
            "Returns the difference of multiple sets.",
            "1.0.0",
            -2,
            Flags::empty(),
            Run::Read(set_algebra::sdiff),
        )
    },
    Command {
        keys: Keys::ALL,
        complexity: ALL_MEMBERS,
        ..SET.row(
            "sdiffstore",
            "destination key [key ...]",
            "Stores the difference of multiple sets in a key.",
            "1.0.0",
            -3,
            Flags::DENYOOM,
            Run::Write(set_algebra::sdiffstore),
        )
    },
];

const INTERSECTION: &str =
    "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.";
const ALL_MEMBERS: &str = "O(N) where N is the total number of elements in all given sets.";

/// What the rows of this family have in common.
const SET: Family = Family::new(Group::Set);

fn sadd(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, members) = (argv[1], &argv[2..]);
    let limits = view.around.config.encodings.set;
    let added = view.edit(key, |set: &mut Set| {
        Ok(members.iter().filter(|member| set.add(member, limits)).count())
    })?;
    if added > 0 {
        view.modified(key);
        view.notify(Classes::SET, "sadd", key);
    }
    reply.integer(added as i64);
    Ok(())
}

fn srem(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, members) = (argv[1], &argv[2..]);
    let edited = view.edit_present(key, |set: &mut Set| {
        Ok(members.iter().filter(|member| set.remove(member)).count())
    })?;
    let (removed, emptied) = edited.map_or((0, false), |edited| (edited.result, edited.emptied));
    if removed > 0 {
        taken(view, key, "srem", emptied);
    }
    reply.integer(removed as i64);
    Ok(())
}

/// Says that members were taken out of a set, and whether the set has gone with them.
pub(super) fn taken(view: &mut WriteView<'_, '_>, key: &[u8], event: &'static str, emptied: bool) {
    view.modified(key);
    view.notify(Classes::SET, event, key);
    if emptied {
        view.notify(Classes::GENERIC, "del", key);
    }
}

fn sismember(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let is_member = view.collection::<Members>(argv[1])?.is_some_and(|set| set.contains(argv[2]));
    reply.integer(i64::from(is_member));
    Ok(())
}

fn smismember(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let set = view.collection::<Members>(argv[1])?;
    reply.array(argv.len() - 2);
    for member in &argv[2..] {
        reply.integer(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    Ok(())
}

fn scard(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.integer(view.collection::<Members>(argv[1])?.map_or(0, SetRef::len) as i64);
    Ok(())
}

fn smembers(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    answer(view.collection::<Members>(argv[1])?, reply);
    Ok(())
}

/// Answers every member of a set, and none of a set that is not there.
pub(super) fn answer(set: Option<SetRef<'_>>, reply: &mut dyn Reply) {
    reply.set(set.map_or(0, SetRef::len));
    set.into_iter().flat_map(SetRef::iter).for_each(|member| reply.bulk(&member));
}

fn smove(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (from, to, member) = (argv[1], argv[2], argv[3]);
    if !is_movable(&view.as_read(), from, to, member)? {
        reply.integer(0);
        return Ok(());
    }
    if from != to {
        let limits = view.around.config.encodings.set;
        let edited = view.edit_present(from, |set: &mut Set| Ok(set.remove(member)))?;
        taken(view, from, "srem", edited.is_some_and(|edited| edited.emptied));
        if view.edit(to, |set: &mut Set| Ok(set.add(member, limits)))? {
            view.modified(to);
            view.notify(Classes::SET, "sadd", to);
        }
    }
    reply.integer(1);
    Ok(())
}

/// Whether a member is there to be moved. Where there is nothing to move from, the type of the
/// destination does not matter.
fn is_movable(
    view: &ReadView<'_, '_>,
    from: &[u8],
    to: &[u8],
    member: &[u8],
) -> Result<bool, Fault> {
    let Some(set) = view.collection::<Members>(from)? else { return Ok(false) };
    view.collection::<Members>(to)?;
    Ok(set.contains(member))
}

fn sscan(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let cursor = scan::cursor(argv[2])?;
    // Redis does not look at the options when there is nothing to scan.
    let Some(set) = view.collection::<Members>(argv[1])? else {
        scan::answer(0, 0, reply);
        return Ok(());
    };
    let options = Options::parse(&argv[3..], Subject::Elements)?;
    let mut found: Vec<Box<[u8]>> = Vec::new();
    let next = set.scan(cursor, options.count, |member| {
        if options.wants(member) {
            found.push(Box::from(member));
        }
    });
    scan::answer(next, found.len(), reply);
    found.iter().for_each(|member| reply.bulk(member));
    Ok(())
}
