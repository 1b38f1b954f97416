//! SLOWLOG: the commands that took long.

use super::args::is;
use super::server::row;
use super::{Argv, Command, Flags, Run, help};
use crate::fault::{Fault, Outcome};
use crate::node::Node;
use crate::resp::Reply;
use crate::session::Session;
use crate::value::number::parse_integer;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[Command {
    subcommands: SUBCOMMANDS,
    complexity: "Depends on subcommand.",
    ..row("slowlog", "", "A container for slow log commands.", "2.2.12", -2)
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        flags: ADMIN,
        run: Run::Session(get),
        complexity: "O(N) where N is the number of entries returned",
        ..row("get", "[count]", "Returns the slow log's entries.", "2.2.12", -2)
    },
    Command {
        flags: ADMIN,
        run: Run::Session(len),
        ..row("len", "", "Returns the number of entries in the slow log.", "2.2.12", 2)
    },
    Command {
        flags: ADMIN,
        run: Run::Session(reset),
        complexity: "O(N) where N is the number of entries in the slowlog",
        ..row("reset", "", "Clears all entries from the slow log.", "2.2.12", 2)
    },
    Command {
        flags: STATE,
        run: Run::Session(show_help),
        ..row("help", "", "Returns helpful text about the different subcommands.", "6.2.0", 2)
    },
];

const STATE: Flags = Flags::LOADING.union(Flags::STALE);
const ADMIN: Flags = STATE.union(Flags::ADMIN);

/// Entries that GET answers when it is not told how many.
const MOST: usize = 10;

fn get(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    const COUNT: Fault = Fault::new("ERR count should be greater than or equal to -1");
    let most = match argv {
        [_, _] => MOST,
        [_, _, count] => match parse_integer(count).ok_or(COUNT)? {
            -1 => usize::MAX,
            count => usize::try_from(count).map_err(|_| COUNT)?,
        },
        _ => {
            return Err(Fault::text(format!(
                "ERR unknown subcommand or wrong number of arguments for '{}'. Try SLOWLOG HELP.",
                crate::fault::shown(argv[1], 128)
            )));
        }
    };
    debug_assert!(is(argv[1], "GET"));
    let entries = node.observer.slowlog.newest(most);
    reply.array(entries.len());
    for slow in entries {
        reply.array(6);
        reply.integer(slow.id as i64);
        reply.integer(slow.at as i64);
        reply.integer(slow.micros as i64);
        reply.array(slow.argv.len());
        slow.argv.iter().for_each(|argument| reply.bulk(argument));
        reply.bulk(slow.peer.as_bytes());
        reply.bulk(&slow.name);
    }
    Ok(())
}

fn len(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.integer(node.observer.slowlog.len() as i64);
    Ok(())
}

fn reset(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    node.observer.slowlog.reset();
    reply.ok();
    Ok(())
}

fn show_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    help(
        "SLOWLOG",
        &[
            (
                "GET [<count>]",
                "Return the newest <count> entries (default: 10, -1 means all). Each is:\n\
                 id, unix time, microseconds, the request, the client's address, its name",
            ),
            ("LEN", "Return how many entries there are."),
            ("RESET", "Forget all entries."),
        ],
        reply,
    );
    Ok(())
}
