//! FORWARD: a replica asks on behalf of its client.
//!
//! The replica is trusted, as it holds a copy of all data anyway, and so is what it says of who
//! asks: whoever may use this command may act as any user. What that user may not do here is
//! refused here too. Without arguments it answers where this node is in its history, which
//! database is selected on the link, and how far this node's data may be behind, in milliseconds.
//!
//! What the reply looks like is the client's affair: its protocol comes with the request.

use std::sync::Arc;

use super::args::database;
use super::server::row;
use super::{Argv, Command, Flags, Run, lookup, subcommand};
use crate::access::User;
use crate::access::identity::Identity;
use crate::engine;
use crate::fault::{Fault, Outcome, shown};
use crate::node::Node;
use crate::replicate::forward;
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::session::Session;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[Command {
    flags: Flags::ADMIN
        .union(Flags::NOSCRIPT)
        .union(Flags::NO_REST)
        .union(Flags::STALE)
        .union(Flags::LOADING)
        .union(Flags::NOT_QUEUED)
        .union(Flags::ALLOW_BUSY)
        .union(Flags::SKIP_SLOWLOG)
        .union(Flags::SKIP_MONITOR),
    run: Run::Session(forward),
    ..row(
        "forward",
        "[username db protocol command [arg ...]]",
        "An internal command: a replica asks on behalf of a client of its own.",
        "0.3.0",
        -1,
    )
}];

/// Commands about no key that may stand in a transaction which is forwarded.
const ALLOWED: &[&str] = &["ping", "echo", "select", "time", "publish", "spublish", "lolwut"];

/// Whether a replica may ask for this on behalf of a client: nothing that is about a connection,
/// or about this server.
pub fn may_be_forwarded(command: &Command) -> bool {
    match command.run {
        Run::Read(_) | Run::Write(_) | Run::Remember(_) | Run::Script(_) | Run::Transaction(_) => {
            true
        }
        Run::Session(_) => command.flags.contains(Flags::WRITES) || ALLOWED.contains(&command.name),
        Run::Container => false,
    }
}

fn forward(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (user, db, protocol, asked) = match argv {
        [_] => return position(node, session, reply),
        [_, user, db, protocol, asked @ ..] if !asked.is_empty() => (user, db, protocol, asked),
        _ => return Err(Fault::SYNTAX),
    };
    let db = database(db, node.keyspace.databases())?;
    let protocol = match *protocol {
        b"2" => Protocol::V2,
        b"3" => Protocol::V3,
        _ => return Err(Fault::new("NOPROTO unsupported protocol version")),
    };
    let row = lookup(asked[0]);
    let row = match (row, asked.get(1)) {
        (Some(row), Some(word)) if !row.subcommands.is_empty() => subcommand(row, word),
        (row, _) => row,
    };
    // What is no command at all is told in the words of the engine.
    if row.is_some_and(|row| !may_be_forwarded(row)) {
        let name = shown(asked[0], 128);
        return Err(Fault::text(format!("ERR '{name}' cannot be forwarded to the leader")));
    }
    let user = user_of(node, user, row)?;
    act(node, session, user, (db, protocol), asked, reply)
}

fn position(node: &Node, session: &mut Session, reply: &mut dyn Reply) -> Outcome {
    let (offset, behind_ms) = forward::position(node);
    let offset = offset.max(session.mark);
    reply.array(3);
    for number in [offset, session.db as u64, behind_ms] {
        reply.integer(i64::try_from(number).unwrap_or(i64::MAX));
    }
    Ok(())
}

/// The user called `name`; nobody, if there is none and nothing is to be written: the replica has
/// asked whether it may read there.
fn user_of(
    node: &Node,
    name: &[u8],
    row: Option<&'static Command>,
) -> Result<Option<Arc<User>>, Fault> {
    let harmless = row.is_none_or(|row| row.reads() || matches!(row.run, Run::Transaction(_)));
    match node.access.users().get(name) {
        Some(user) if user.enabled => Ok(Some(Arc::clone(user))),
        Some(_) => {
            Err(Fault::text(format!("NOPERM user '{}' is off on the leader", shown(name, 128))))
        }
        None if harmless => Ok(None),
        None => Err(Fault::text(format!(
            "NOPERM user '{}' is not known to the leader",
            shown(name, 128)
        ))),
    }
}

/// Runs a command as another user.
fn act(
    node: &Node,
    session: &mut Session,
    user: Option<Arc<User>>,
    (db, protocol): (usize, Protocol),
    asked: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let own = session.protocol;
    let identity = user.map(|user| std::mem::replace(&mut session.identity, Identity::of(user)));
    (session.db, session.protocol) = (db, protocol);
    reply.set_protocol(protocol);
    let ran = engine::execute(node, session, asked, reply);
    if let Some(identity) = identity {
        session.identity = identity;
        session.authenticated = true;
    }
    session.protocol = own;
    reply.set_protocol(own);
    ran.map_err(Fault::from)
}
