//! The gate: is it a command, and may this session ask it now.
//!
//! The order of the questions is Redis', since a client sees which one failed first.

use std::fmt::Write as _;

use super::elsewhere;
use super::room::{self, Room};
use crate::access;
use crate::command::{self, Argv, Command, Flags, Number};
use crate::fault::{Fault, shown};
use crate::node::Node;
use crate::replicate::enough;
use crate::resp::reply::Protocol;
use crate::session::{Door, Named, Session};

const NO_MULTI: Fault = Fault::new("ERR Command not allowed inside a transaction");
pub(super) const OUT_OF_MEMORY: Fault =
    Fault::new("OOM command not allowed when used memory > 'maxmemory'.");
pub(super) const READ_ONLY: Fault =
    Fault::new("READONLY You can't write against a read only replica.");
pub(super) const FENCED: Fault =
    Fault::new("READONLY Another node leads now: this one takes no writes until it follows it");
pub(super) const STALE: Fault =
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
    if !session.identity.is_free(node.access.generation()) {
        admit_user(node, session, command, argv)?;
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
    if session.door != Door::Leader {
        if command.flags.contains(Flags::INTERNAL) {
            return Err(unknown(argv));
        }
        if let Err(fault) = admit_now(node, session, command) {
            return Err(elsewhere::or_here(node, session, command, fault));
        }
    }
    Ok(command)
}

/// Asks who may not do everything, or has not been asked since users have changed. What Redis
/// asks in between is asked here too.
#[cold]
fn admit_user(
    node: &Node,
    session: &mut Session,
    command: &'static Command,
    argv: Argv<'_>,
) -> Result<(), Fault> {
    let known = access::door::identify(node, session);
    if !command.flags.contains(Flags::NO_AUTH) {
        known?;
    }
    if session.queue.is_some() && command.flags.contains(Flags::NO_MULTI) {
        return Err(NO_MULTI);
    }
    if session.door == Door::Rest && command.flags.contains(Flags::NO_REST) {
        return Err(not_over_rest(argv));
    }
    if !session.authenticated || session.identity.is_free(node.access.generation()) {
        return Ok(());
    }
    // A row that was found by its name alone has no container.
    let container = session.last.and_then(|(container, _)| container);
    access::door::admit(node, session, (container, command), argv)
}

/// Asks again, at EXEC, whether a command may be run that was queued.
#[cold]
pub(super) fn admit_queued(
    node: &Node,
    session: &mut Session,
    argv: Argv<'_>,
) -> Result<(), Fault> {
    let named = find_both(argv)?;
    access::door::admit_at_exec(node, session, named, argv)
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
    if node.replication.is_limited() {
        admit_limited(node, session, command)?;
    }
    Ok(())
}

#[cold]
fn admit_limited(node: &Node, session: &mut Session, command: &Command) -> Result<(), Fault> {
    if !node.replication.is_replica() {
        return if command.writes() { Err(FENCED) } else { Ok(()) };
    }
    if command.writes() && session.config().replica_read_only {
        return elsewhere::admit_write(node, session);
    }
    if !session.config().replica_serve_stale_data
        && !command.flags.contains(Flags::STALE)
        && !node.replication.is_connected()
    {
        return Err(STALE);
    }
    elsewhere::admit_read(node, session, command)
}

/// Finds the row of a command that a script calls, and asks whether it may.
///
/// # Errors
/// What the script is told if not, in words of its own.
pub(super) fn admit_in_script(
    node: &Node,
    session: &mut Session,
    argv: Argv<'_>,
) -> Result<&'static Command, Fault> {
    let named = find_both(argv).map_err(|fault| in_script_words(argv, &fault))?;
    let (_, command) = named;
    if command.flags.contains(Flags::INTERNAL) {
        return Err(UNKNOWN_IN_SCRIPT);
    }
    if command.flags.contains(Flags::NOSCRIPT) {
        return Err(Fault::new("ERR This Redis command is not allowed from script"));
    }
    if matches!(command.name, "xread" | "xreadgroup") && waits(argv) {
        let name = command.name;
        return Err(Fault::text(format!(
            "ERR {name} command is not allowed with BLOCK option from scripts"
        )));
    }
    access::door::admit_in_script(node, session, named, argv)?;
    if node.replication.is_replica()
        && session.door != Door::Leader
        && !session.config().replica_serve_stale_data
        && !command.flags.contains(Flags::STALE)
        && !node.replication.is_connected()
    {
        return Err(Fault::new("ERR Can not execute the command on a stale replica"));
    }
    Ok(command)
}

/// Whether a read of streams has the option to wait.
pub(super) fn waits(argv: Argv<'_>) -> bool {
    let mut options = argv.iter().take_while(|word| !word.eq_ignore_ascii_case(b"STREAMS"));
    options.any(|word| word.eq_ignore_ascii_case(b"BLOCK"))
}

/// Asks whether a script may write here.
///
/// # Errors
/// When this is a replica that takes no writes.
pub(super) fn admit_write(node: &Node, session: &mut Session) -> Result<(), Fault> {
    if session.door != Door::Leader {
        enough::admit(node)?;
    }
    if node.replication.is_fenced() && !node.replication.is_replica() {
        return Err(FENCED);
    }
    let replica = node.replication.is_replica() && session.door != Door::Leader;
    if replica && session.config().replica_read_only { Err(READ_ONLY) } else { Ok(()) }
}

/// Asks again once the locks are held: a node that begins to follow may have let a writer in just
/// before. What its writes come to is decided under the locks, by what their effects begin as.
///
/// # Errors
/// When the log has become another node's.
#[cold]
pub(super) fn admit_late(session: &mut Session, writes: bool) -> Result<(), Fault> {
    let refused = writes && session.door != Door::Leader && session.config().replica_read_only;
    if refused { Err(READ_ONLY) } else { Ok(()) }
}

/// Whether a command tells other nodes something though it writes nothing: a script that only
/// reads may not call it.
pub(super) fn may_replicate(command: &Command) -> bool {
    matches!(command.run, command::Run::Remember(_))
        || matches!(command.name, "publish" | "spublish")
}

/// Whether a script of this session would be let run this; nothing if it is no command.
pub(super) fn may_call(node: &Node, session: &mut Session, argv: Argv<'_>) -> Option<bool> {
    let named = find_both(argv).ok()?;
    Some(access::door::would_admit(node, session, named, argv))
}

const UNKNOWN_IN_SCRIPT: Fault = Fault::new("ERR Unknown Redis command called from script");

#[cold]
fn in_script_words(argv: Argv<'_>, fault: &Fault) -> Fault {
    let arity = match fault {
        Fault::Text(text) => text.starts_with("ERR wrong number of arguments"),
        Fault::Contended | Fault::Wait(_) | Fault::Elsewhere => false,
    };
    if arity && command::lookup(argv[0]).is_some() {
        return Fault::new("ERR Wrong number of args calling Redis command from script");
    }
    UNKNOWN_IN_SCRIPT
}

/// Whether `argv` names `command`, which has no subcommands, with a fitting arity.
#[inline]
fn is_again(command: &Command, argv: Argv<'_>) -> bool {
    argv[0].eq_ignore_ascii_case(command.name.as_bytes())
        && command.subcommands.is_empty()
        && command.takes(argv.len())
}

/// Finds the row that `argv` names, down to the subcommand, and checks its arity.
///
/// # Errors
/// Unknown command, unknown subcommand, wrong number of arguments.
#[inline]
pub(super) fn find(argv: Argv<'_>) -> Result<&'static Command, Fault> {
    find_both(argv).map(|(_, command)| command)
}

/// Finds the row that `argv` names, with its container, and checks its arity.
///
/// # Errors
/// As [`find`].
fn find_both(argv: Argv<'_>) -> Result<Named, Fault> {
    let ((container, command), _) = find_numbered(argv)?;
    if command.takes(argv.len()) {
        return Ok((container, command));
    }
    Err(Fault::arity(&command::full_name(container, command)))
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
    if command::later::is_known(argv[0]) {
        return Fault::text(format!("ERR command '{}' is not available yet", shown(argv[0], 128)));
    }
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

/// What Upstash says where Redis finds no row, or finds the arguments wrong.
#[cold]
fn in_rest_words(argv: Argv<'_>, fault: Fault) -> Fault {
    let name = argv.first().copied().unwrap_or_default();
    match command::lookup(name) {
        // That it is not for REST comes before its number of arguments.
        Some(command) if command.flags.contains(Flags::NO_REST) => not_over_rest(argv),
        Some(_) => fault,
        None => {
            let yet = if command::later::is_known(name) { " yet" } else { "" };
            Fault::text(format!(
                "ERR Command is not available{yet}: '{}'. See docs/commands.md",
                shown(name, 128)
            ))
        }
    }
}

#[cold]
fn not_over_rest(argv: Argv<'_>) -> Fault {
    let name = shown(argv[0], 128).to_ascii_uppercase();
    Fault::text(format!(
        "ERR Command \"{name}\" is not allowed in REST or it has a special context path"
    ))
}
