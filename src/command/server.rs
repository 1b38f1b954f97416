//! The server: its data as a whole, its settings, its state.

use super::args::is;
use super::{Argv, Command, Family, Flags, Group, Keys, Run};
use super::{config, introspect};
use crate::clock;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{ReadView, WriteView};
use crate::node::Node;
use crate::observe::info;
use crate::resp::Reply;
use crate::session::Session;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        flags: Flags::FAST.union(Flags::KEYSPACE),
        run: Run::Read(dbsize),
        ..row("dbsize", "", "Returns the number of keys in the database.", "1.0.0", 1)
    },
    Command {
        keys: Keys::Database,
        run: Run::Write(flushdb),
        complexity: "O(N) where N is the number of keys in the selected database",
        ..flush("flushdb", "Remove all keys from the current database.")
    },
    Command {
        keys: Keys::Everything,
        run: Run::Write(flushall),
        complexity: "O(N) where N is the total number of keys in all databases",
        ..flush("flushall", "Removes all keys from all databases.")
    },
    Command {
        flags: STATE.union(Flags::FAST),
        run: Run::Session(time),
        ..row("time", "", "Returns the server time.", "2.6.0", 1)
    },
    Command {
        flags: STATE.union(Flags::DANGEROUS),
        run: Run::Session(information),
        ..row(
            "info",
            "[section [section ...]]",
            "Returns information and statistics about the server.",
            "1.0.0",
            -1,
        )
    },
    Command {
        run: Run::Container,
        subcommands: config::SUBCOMMANDS,
        ..row("config", "", "A container for server configuration commands.", "2.0.0", -2)
    },
    Command {
        flags: STATE.union(Flags::CONNECTION),
        run: Run::Session(introspect::all),
        subcommands: introspect::SUBCOMMANDS,
        ..row("command", "", "Returns detailed information about all commands.", "2.8.13", -1)
    },
];

const STATE: Flags = Flags::LOADING.union(Flags::STALE);

/// A row of this family.
pub const fn row(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    since: &'static str,
    arity: isize,
) -> Command {
    let (family, flags) = (Family::new(Group::Server), Flags::empty());
    let row = family.row(name, syntax, summary, since, arity, flags, Run::Container);
    Command { keys: Keys::None, ..row }
}

const fn flush(name: &'static str, summary: &'static str) -> Command {
    Command {
        flags: Flags::KEYSPACE.union(Flags::DANGEROUS),
        ..row(name, "[ASYNC | SYNC]", summary, "1.0.0", -1)
    }
}

fn dbsize(view: &ReadView<'_, '_>, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.integer(i64::try_from(view.count().keys).unwrap_or(i64::MAX));
    Ok(())
}

/// Whether the option of FLUSHDB and FLUSHALL is one. Large ones are freed beside the clients'
/// work either way.
fn flush_option(argv: Argv<'_>) -> Outcome {
    match argv {
        [_] => Ok(()),
        [_, option] if is(option, "ASYNC") || is(option, "SYNC") => Ok(()),
        _ => Err(Fault::SYNTAX),
    }
}

fn flushdb(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    flush_option(argv)?;
    let db = view.db();
    view.clear(db);
    view.effects.touch_everything();
    // Logged even when there was nothing, as Redis does.
    view.effects.changed();
    reply.ok();
    Ok(())
}

fn flushall(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    flush_option(argv)?;
    for db in 0..view.databases() {
        view.clear(db);
    }
    view.effects.touch_everything();
    view.effects.changed();
    reply.ok();
    Ok(())
}

fn time(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let now = clock::unix_us();
    reply.array(2);
    reply.bulk((now / 1_000_000).to_string().as_bytes());
    reply.bulk((now % 1_000_000).to_string().as_bytes());
    Ok(())
}

fn information(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.verbatim(&info::text(node, &argv[1..]));
    Ok(())
}
