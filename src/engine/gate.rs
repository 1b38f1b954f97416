//! The gate: is it a command, and may this session ask it now.
//!
//! The order of the questions is Redis', since a client sees which one failed first.

use std::fmt::Write as _;

use crate::command::{self, Argv, Command, Flags};
use crate::fault::Fault;
use crate::node::Node;
use crate::session::{Door, Session};

const NO_AUTH: Fault = Fault::new("NOAUTH Authentication required.");
const NO_MULTI: Fault = Fault::new("ERR Command not allowed inside a transaction");
const OUT_OF_MEMORY: Fault = Fault::new("OOM command not allowed when used memory > 'maxmemory'.");
const READ_ONLY: Fault = Fault::new("READONLY You can't write against a read only replica.");
const STALE: Fault =
    Fault::new("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.");

/// Finds the row of a request, and asks whether it may be run.
///
/// # Errors
/// What the client is told if not.
#[inline]
pub(super) fn admit(
    node: &Node,
    session: &mut Session,
    argv: Argv<'_>,
) -> Result<&'static Command, Fault> {
    let (container, command) = find_both(argv)?;
    session.last = (container.map_or("", |container| container.name), command.name);
    if !session.authenticated && !command.flags.contains(Flags::NO_AUTH) {
        return Err(NO_AUTH);
    }
    if session.queue.is_some() && command.flags.contains(Flags::NO_MULTI) {
        return Err(NO_MULTI);
    }
    if session.door == Door::Rest && command.flags.contains(Flags::NO_REST) {
        return Err(not_over_rest(argv));
    }
    if session.door != Door::Leader {
        if command.flags.contains(Flags::INTERNAL) {
            return Err(unknown(argv));
        }
        let limit = session.config().maxmemory;
        if limit > 0 && command.flags.contains(Flags::DENYOOM) && node.memory.used() > limit {
            return Err(OUT_OF_MEMORY);
        }
        if node.replication.is_replica() {
            admit_on_replica(node, session, command)?;
        }
    }
    Ok(command)
}

#[cold]
fn admit_on_replica(node: &Node, session: &mut Session, command: &Command) -> Result<(), Fault> {
    if command.writes() && session.config().replica_read_only {
        return Err(READ_ONLY);
    }
    if !session.config().replica_serve_stale_data
        && !command.flags.contains(Flags::STALE)
        && !node.replication.is_connected()
    {
        return Err(STALE);
    }
    Ok(())
}

/// Finds the row that `argv` names, down to the subcommand, and checks its arity.
///
/// # Errors
/// Unknown command, unknown subcommand, wrong number of arguments.
#[inline]
pub(super) fn find(argv: Argv<'_>) -> Result<&'static Command, Fault> {
    find_both(argv).map(|(_, command)| command)
}

/// Likewise, with the container of a subcommand.
#[inline]
fn find_both(argv: Argv<'_>) -> Result<(Option<&'static Command>, &'static Command), Fault> {
    let name = argv.first().copied().unwrap_or_default();
    let Some(mut command) = command::lookup(name) else { return Err(unknown(argv)) };
    let mut container = None;
    if let (false, Some(word)) = (command.subcommands.is_empty(), argv.get(1)) {
        let Some(subcommand) = command::subcommand(command, word) else {
            return Err(unknown_subcommand(command, word));
        };
        container = Some(command);
        command = subcommand;
    }
    if !command.takes(argv.len()) {
        return Err(Fault::arity(&command::full_name(container, command)));
    }
    Ok((container, command))
}

#[cold]
fn unknown(argv: Argv<'_>) -> Fault {
    // Redis shows 128 bytes of the name, and of all arguments together.
    let mut text =
        format!("ERR unknown command '{}', with args beginning with: ", show(argv[0], 128));
    let mut room = 128usize;
    for argument in &argv[1..] {
        if room == 0 {
            break;
        }
        let shown = show(argument, room);
        room = room.saturating_sub(argument.len().min(room) + 3);
        // Writing to a String does not fail.
        let _ = write!(text, "'{shown}' ");
    }
    Fault::text(text)
}

#[cold]
fn unknown_subcommand(container: &Command, word: &[u8]) -> Fault {
    let upper = container.name.to_ascii_uppercase();
    Fault::text(format!("ERR unknown subcommand '{}'. Try {upper} HELP.", show(word, 128)))
}

#[cold]
fn not_over_rest(argv: Argv<'_>) -> Fault {
    let name = show(argv[0], 128).to_ascii_uppercase();
    Fault::text(format!(
        "ERR Command \"{name}\" is not allowed in REST or it has a special context path"
    ))
}

/// At most `most` bytes of an argument, as text.
fn show(argument: &[u8], most: usize) -> String {
    String::from_utf8_lossy(&argument[..argument.len().min(most)]).into_owned()
}
