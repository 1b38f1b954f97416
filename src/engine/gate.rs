//! The gate: is it a command, and may this session ask it now.
//!
//! The order of the questions is Redis', since a client sees which one failed first.

use std::fmt::Write as _;

use super::room::{self, Room};
use crate::command::{self, Argv, Command, Flags, Group, Keys, Number, Run};
use crate::fault::{Fault, shown};
use crate::node::Node;
use crate::resp::reply::Protocol;
use crate::session::{Door, Named, Rights, Session};

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
    let command = match session.last {
        // Clients mostly say again what they have just said.
        Some((None, last)) if is_again(last, argv) => last,
        _ => look_up(session, argv)?,
    };
    if !session.authenticated && !command.flags.contains(Flags::NO_AUTH) {
        return Err(NO_AUTH);
    }
    if session.queue.is_some() && command.flags.contains(Flags::NO_MULTI) {
        return Err(NO_MULTI);
    }
    if session.subscriptions.is_some() && session.protocol == Protocol::V2 {
        admit_listener(session, command, argv)?;
    }
    if session.door == Door::Rest && command.flags.contains(Flags::NO_REST) {
        return Err(not_over_rest(argv));
    }
    if session.rights == Rights::Read && !only_reads(command) {
        return Err(no_permission(argv));
    }
    if session.door != Door::Leader {
        if command.flags.contains(Flags::INTERNAL) {
            return Err(unknown(argv));
        }
        admit_now(node, session, command)?;
    }
    Ok(command)
}

/// Finds the row of a request that is another than the last.
#[inline]
fn look_up(session: &mut Session, argv: Argv<'_>) -> Result<&'static Command, Fault> {
    let found = find_numbered(argv);
    session.last = found.as_ref().ok().map(|found| found.0);
    let checked = found.and_then(|((container, command), number)| {
        session.number = number;
        if command.takes(argv.len()) {
            return Ok(command);
        }
        Err(Fault::arity(&command::full_name(container, command)))
    });
    match checked {
        Err(fault) if session.door == Door::Rest => Err(in_rest_words(argv, fault)),
        checked => checked,
    }
}

#[cold]
fn admit_listener(session: &Session, command: &Command, argv: Argv<'_>) -> Result<(), Fault> {
    if command::pubsub::may_ask_meanwhile(command, argv[0]) {
        return Ok(());
    }
    let container = session.last.and_then(|(container, _)| container);
    Err(Fault::text(format!(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
         allowed in this context",
        command::full_name(container, command)
    )))
}

/// Asks what may be answered otherwise a moment later: is there memory, and does this node
/// take writes.
///
/// # Errors
/// What the client is told if not.
#[inline]
pub(super) fn admit_now(
    node: &Node,
    session: &mut Session,
    command: &Command,
) -> Result<(), Fault> {
    if session.door == Door::Leader {
        return Ok(());
    }
    if command.flags.contains(Flags::DENYOOM) {
        let config = session.config();
        if config.maxmemory > 0 && room::make(node, config) == Room::Full {
            return Err(OUT_OF_MEMORY);
        }
    }
    if node.replication.is_replica() {
        admit_on_replica(node, session, command)?;
    }
    Ok(())
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

/// Whether `argv` names `command`, which has no subcommands, with a fitting arity.
#[inline]
fn is_again(command: &Command, argv: Argv<'_>) -> bool {
    argv[0].eq_ignore_ascii_case(command.name.as_bytes())
        && command.subcommands.is_empty()
        && command.takes(argv.len())
}

/// Whether a read-only token may ask for this. Reads of given keys, and what says something of
/// the connection only; not what walks all keys, and not what tells of the server or of others.
fn only_reads(command: &Command) -> bool {
    if command.flags.intersects(Flags::ADMIN.union(Flags::DANGEROUS).union(Flags::OPERATORS)) {
        return false;
    }
    match command.run {
        Run::Read(_) | Run::Remember(_) => {
            !matches!(command.keys, Keys::Roaming | Keys::Database | Keys::Everything)
        }
        Run::Session(_) => {
            command.group == Group::Connection || command.flags.contains(Flags::CONNECTION)
        }
        _ => false,
    }
}

/// Finds the row that `argv` names, down to the subcommand, and checks its arity.
///
/// # Errors
/// Unknown command, unknown subcommand, wrong number of arguments.
#[inline]
pub(super) fn find(argv: Argv<'_>) -> Result<&'static Command, Fault> {
    let ((container, command), _) = find_numbered(argv)?;
    if !command.takes(argv.len()) {
        return Err(Fault::arity(&command::full_name(container, command)));
    }
    Ok(command)
}

/// Finds the row that `argv` names, down to the subcommand, with its container and its number.
#[inline]
fn find_numbered(argv: Argv<'_>) -> Result<(Named, Number), Fault> {
    let name = argv.first().copied().unwrap_or_default();
    let Some((command, number)) = command::lookup_numbered(name) else {
        return Err(unknown(argv));
    };
    let (false, Some(word)) = (command.subcommands.is_empty(), argv.get(1)) else {
        return Ok(((None, command), number));
    };
    let Some(at) = command::subcommand_at(command, word) else {
        return Err(unknown_subcommand(command, word));
    };
    // A container's subcommands come behind it; there are some dozens at most.
    Ok(((Some(command), &command.subcommands[at]), number + 1 + at as Number))
}

#[cold]
fn unknown(argv: Argv<'_>) -> Fault {
    // Redis shows 128 bytes of the name, and of all arguments together.
    let mut text =
        format!("ERR unknown command '{}', with args beginning with: ", shown(argv[0], 128));
    let mut room = 128usize;
    for argument in &argv[1..] {
        if room == 0 {
            break;
        }
        let shown = shown(argument, room);
        room = room.saturating_sub(argument.len().min(room) + 3);
        // Writing to a String does not fail.
        let _ = write!(text, "'{shown}' ");
    }
    Fault::text(text)
}

#[cold]
fn unknown_subcommand(container: &Command, word: &[u8]) -> Fault {
    let upper = container.name.to_ascii_uppercase();
    Fault::text(format!("ERR unknown subcommand '{}'. Try {upper} HELP.", shown(word, 128)))
}

/// Commands of a connection that have no row yet; over REST they have paths of their own.
const CONTEXT_PATHS: [&str; 1] = ["monitor"];

/// What Upstash says where Redis finds no row, or finds the arguments wrong.
#[cold]
fn in_rest_words(argv: Argv<'_>, fault: Fault) -> Fault {
    let name = argv.first().copied().unwrap_or_default();
    match command::lookup(name) {
        // That it is not for REST comes before its number of arguments.
        Some(command) if command.flags.contains(Flags::NO_REST) => not_over_rest(argv),
        Some(_) => fault,
        None if CONTEXT_PATHS.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())) => {
            not_over_rest(argv)
        }
        None => Fault::text(format!(
            "ERR Command is not available: '{}'. See docs/commands.md",
            shown(name, 128)
        )),
    }
}

#[cold]
fn no_permission(argv: Argv<'_>) -> Fault {
    let name = shown(argv[0], 128).to_ascii_lowercase();
    Fault::text(format!(
        "NOPERM this user has no permissions to run the '{name}' command or its subcommand"
    ))
}

#[cold]
fn not_over_rest(argv: Argv<'_>) -> Fault {
    let name = shown(argv[0], 128).to_ascii_uppercase();
    Fault::text(format!(
        "ERR Command \"{name}\" is not allowed in REST or it has a special context path"
    ))
}
