//! Keys that change their database: MOVE and SWAPDB.

use super::args::{database, integer};
use super::keys::GENERIC;
use super::{Argv, Command, Flags, Group, Keys, Run};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::WriteView;
use crate::resp::Reply;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        keys: Keys::Across { last: 1, other: move_database },
        ..GENERIC.row(
            "move",
            "key db",
            "Moves a key to another database.",
            "1.0.0",
            3,
            Flags::FAST,
            Run::Write(relocate),
        )
    },
    Command {
        keys: Keys::Databases(swapped),
        group: Group::Server,
        complexity: "O(N) where N is the number of keys that are watched in the two databases, and a constant for each of their shards.",
        ..GENERIC.row(
            "swapdb",
            "index1 index2",
            "Swaps two databases.",
            "4.0.0",
            3,
            Flags::FAST.union(Flags::DANGEROUS).union(Flags::KEYSPACE),
            Run::Write(swap),
        )
    },
];

/// An argument as the number of a database that may not exist.
fn index(argument: &[u8]) -> Option<usize> {
    usize::try_from(integer(argument).ok()?).ok()
}

/// The database that MOVE names; the engine locks the key there too.
fn move_database(argv: Argv<'_>) -> Option<usize> {
    index(argv.get(2)?)
}

/// The databases that SWAPDB names.
fn swapped(argv: Argv<'_>) -> [Option<usize>; 2] {
    [1, 2].map(|at| argv.get(at).and_then(|argument| index(argument)))
}

fn relocate(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let key = argv[1];
    i32::try_from(integer(argv[2])?).map_err(|_| Fault::INT_RANGE)?;
    let target = database(argv[2], view.databases())?;
    let home = view.db();
    if target == home {
        return Err(Fault::SAME_OBJECT);
    }
    let there = view.exists(key);
    view.select(target);
    let moves = there && !view.exists(key);
    view.select(home);
    let usage = view.usage(key).unwrap_or_default();
    if moves && let Some(entry) = view.remove(key) {
        view.modified(key);
        view.notify(Classes::GENERIC, "move_from", key);
        view.select(target);
        view.insert(key, entry);
        view.set_usage(key, usage);
        view.modified(key);
        view.notify(Classes::GENERIC, "move_to", key);
        view.select(home);
    }
    reply.integer(i64::from(moves));
    Ok(())
}

fn swap(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let number = |argument, text| {
        let number = integer(argument).ok().and_then(|number| i32::try_from(number).ok());
        number.ok_or(Fault::new(text))
    };
    number(argv[1], "ERR invalid first DB index")?;
    number(argv[2], "ERR invalid second DB index")?;
    let first = database(argv[1], view.databases())?;
    let second = database(argv[2], view.databases())?;
    if first != second {
        view.exchange(first, second);
    }
    reply.ok();
    Ok(())
}
