//! Keys, whatever their values are: existence, type, removal, names, copies.
//!
//! What looks at all keys is in `all_keys`, what concerns their expiry in `expire`.

use super::args::{integer, is, next};
use super::{Argv, Command, Family, Flags, Group, Keys, Run, all_keys, object};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{ReadView, WriteView};
use crate::resp::Reply;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        keys: Keys::ALL,
        complexity: "O(N) where N is the number of keys that will be removed. A large value is freed in the background.",
        ..GENERIC.row(
            "del",
            "key [key ...]",
            "Deletes one or more keys.",
            "1.0.0",
            -2,
            Flags::empty(),
            Run::Write(del),
        )
    },
    Command {
        keys: Keys::ALL,
        complexity: "O(1) for each key removed regardless of its size. A large value is freed in the background.",
        ..GENERIC.row(
            "unlink",
            "key [key ...]",
            "Asynchronously deletes one or more keys.",
            "4.0.0",
            -2,
            Flags::FAST,
            Run::Write(del),
        )
    },
    Command {
        keys: Keys::ALL,
        complexity: "O(N) where N is the number of keys to check.",
        ..GENERIC.row(
            "exists",
            "key [key ...]",
            "Determines whether one or more keys exist.",
            "1.0.0",
            -2,
            Flags::FAST,
            Run::Read(exists),
        )
    },
    Command {
        keys: Keys::ALL,
        complexity: "O(N) where N is the number of keys that will be touched.",
        ..GENERIC.row(
            "touch",
            "key [key ...]",
            "Returns the number of existing keys out of those specified after updating the time they were last accessed.",
            "3.2.1",
            -2,
            Flags::FAST,
            Run::Read(touch),
        )
    },
    GENERIC.row(
        "type",
        "key",
        "Determines the type of value stored at a key.",
        "1.0.0",
        2,
        Flags::FAST,
        Run::Read(kind),
    ),
    Command {
        keys: Keys::TWO,
        ..GENERIC.row(
            "rename",
            "key newkey",
            "Renames a key and overwrites the destination.",
            "1.0.0",
            3,
            Flags::empty(),
            Run::Write(rename),
        )
    },
    Command {
        keys: Keys::TWO,
        ..GENERIC.row(
            "renamenx",
            "key newkey",
            "Renames a key only when the target key name doesn't exist.",
            "1.0.0",
            3,
            Flags::FAST,
            Run::Write(renamenx),
        )
    },
    Command {
        keys: Keys::Across { last: 2, other: copy_database },
        complexity: "O(N) worst case for collections, where N is the number of nested items. O(1) for string values.",
        ..GENERIC.row(
            "copy",
            "source destination [DB destination-db] [REPLACE]",
            "Copies the value of a key to a new key.",
            "6.2.0",
            -3,
            Flags::DENYOOM,
            Run::Write(copy),
        )
    },
    Command {
        keys: Keys::Database,
        complexity: "O(N) with N being the number of keys in the database, under the assumption that the key names in the database and the given pattern have limited length.",
        flags: Flags::DANGEROUS,
        ..GENERIC.row(
            "keys",
            "pattern",
            "Returns all key names that match a pattern.",
            "1.0.0",
            2,
            Flags::empty(),
            Run::Read(all_keys::keys),
        )
    },
    Command {
        keys: Keys::Roaming,
        complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
        ..GENERIC.row(
            "scan",
            "cursor [MATCH pattern] [COUNT count] [TYPE type] [WITHTYPE]",
            "Iterates over the key names in the database.",
            "2.8.0",
            -2,
            Flags::empty(),
            Run::Read(all_keys::scan),
        )
    },
    Command {
        keys: Keys::Roaming,
        ..GENERIC.row(
            "randomkey",
            "",
            "Returns a random key name from the database.",
            "1.0.0",
            1,
            Flags::empty(),
            Run::Read(all_keys::randomkey),
        )
    },
    Command {
        keys: Keys::None,
        complexity: "Depends on subcommand.",
        subcommands: object::SUBCOMMANDS,
        ..GENERIC.row(
            "object",
            "",
            "A container for object introspection commands.",
            "2.2.3",
            -2,
            Flags::empty(),
            Run::Container,
        )
    },
];

/// What the rows of this family have in common.
pub(super) const GENERIC: Family = Family::new(Group::Generic);

fn del(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let mut removed = 0;
    for key in &argv[1..] {
        if view.discard(key) {
            view.modified(key);
            view.notify(Classes::GENERIC, "del", key);
            removed += 1;
        }
    }
    reply.integer(removed);
    Ok(())
}

/// A key that is named twice counts twice.
fn exists(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let present = argv[1..].iter().filter(|key| view.peek(key).is_some()).count();
    reply.integer(present as i64);
    Ok(())
}

/// As EXISTS, but a use of the keys.
fn touch(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let present = argv[1..].iter().filter(|key| view.get(key).is_some()).count();
    reply.integer(present as i64);
    Ok(())
}

fn kind(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.status(view.peek(argv[1]).map_or("none", |entry| entry.kind().name()));
    Ok(())
}

fn rename(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (from, to) = (argv[1], argv[2]);
    if !view.exists(from) {
        return Err(Fault::NO_KEY);
    }
    if from != to {
        relocate(view, from, to);
    }
    reply.ok();
    Ok(())
}

fn renamenx(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (from, to) = (argv[1], argv[2]);
    if !view.exists(from) {
        return Err(Fault::NO_KEY);
    }
    // A key has its own name already, so this answers 0 for it too.
    let vacant = !view.exists(to);
    if vacant {
        relocate(view, from, to);
    }
    reply.integer(i64::from(vacant));
    Ok(())
}

/// Gives what is under `from` the name `to`, with its expiry, in place of what had that name.
fn relocate(view: &mut WriteView<'_, '_>, from: &[u8], to: &[u8]) {
    view.discard(to);
    let usage = view.usage(from).unwrap_or_default();
    if let Some(entry) = view.remove(from) {
        view.insert(to, entry.renamed(to));
        view.set_usage(to, usage);
        view.modified(from);
        view.modified(to);
        view.notify(Classes::GENERIC, "rename_from", from);
        view.notify(Classes::GENERIC, "rename_to", to);
    }
}

/// The database that COPY names; the engine locks both keys there too.
fn copy_database(argv: Argv<'_>) -> Option<usize> {
    let options = argv.get(3..)?;
    let at = options.iter().rposition(|word| is(word, "DB"))?;
    usize::try_from(integer(options.get(at + 1)?).ok()?).ok()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Occupied {
    Keep,
    Replace,
}

/// Reads COPY's options: the number of the other database, and what to do if the name is taken.
fn copy_options(view: &WriteView<'_, '_>, options: Argv<'_>) -> Result<(usize, Occupied), Fault> {
    let (mut db, mut occupied) = (view.db(), Occupied::Keep);
    let mut at = 0;
    while let Some(word) = options.get(at) {
        if is(word, "REPLACE") {
            occupied = Occupied::Replace;
        } else if is(word, "DB") {
            let index = i32::try_from(integer(next(options, &mut at)?)?);
            let index = index.map_err(|_| Fault::INT_RANGE)?;
            let index = usize::try_from(index).ok().filter(|index| *index < view.databases());
            db = index.ok_or(Fault::DB_RANGE)?;
        } else {
            return Err(Fault::SYNTAX);
        }
        at += 1;
    }
    Ok((db, occupied))
}

fn copy(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (source, target) = (argv[1], argv[2]);
    let (db, occupied) = copy_options(view, &argv[3..])?;
    let home = view.db();
    if db == home && source == target {
        return Err(Fault::SAME_OBJECT);
    }
    let copy = view.get(source).cloned();
    let mut copied = false;
    if let Some(copy) = copy {
        view.select(db);
        copied = occupied == Occupied::Replace || !view.exists(target);
        if copied {
            view.discard(target);
            view.insert(target, copy.renamed(target));
            view.modified(target);
            view.notify(Classes::GENERIC, "copy_to", target);
        }
        view.select(home);
    }
    reply.integer(i64::from(copied));
    Ok(())
}
