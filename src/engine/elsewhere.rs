//! What a replica does not run itself: writes of clients, which are its leader's to do, and reads
//! that have to see what this node has not applied yet.
//!
//! The gate says `Fault::Elsewhere`, and nothing has happened. Then the request is written down
//! in the session, for the door that has it to carry it to the leader once no lock is held
//! (`replicate::forward`); the door answers its client with what comes back. Several writes of a
//! pipeline travel together. Whatever comes behind them waits until they are answered.
//!
//! A session remembers where in the history its last write is (`mark`). A read that comes behind
//! waits until this node has applied that much, for `sync-wait-ms` at most, and is then asked of
//! the leader. All of this costs a session that forwards nothing one bit among the rare ones.

use super::gate;
use crate::command::forward::may_be_forwarded;
use crate::command::limiter_region;
use crate::command::{Argv, Command, Control, Flags, Run, Script};
use crate::config::{StaleReads, Writes};
use crate::fault::{Fault, Outcome};
use crate::node::Node;
use crate::rare::Rare;
use crate::replicate::forward::{self, Behalf, Carried, Errand, Route};
use crate::resp::Reply;
use crate::script::registry;
use crate::session::{Door, Session};

/// What a session waits for that is not on this node.
#[derive(Debug)]
pub enum Elsewhere {
    /// Requests for the leader: they are done with here, and their replies are to come.
    Errand(Errand),
    /// That the log is applied up to an offset. The request has not happened; it is asked again.
    Applied(u64),
}

/// Whether this node hands writes of a session on to its leader.
pub(super) fn forwards(node: &Node, session: &mut Session) -> bool {
    let may_leave = session.may_leave;
    let config = session.config();
    may_leave
        && config.replica_read_only
        && config.replica_writes == Writes::Forward
        && session.door != Door::Leader
        && node.replication.is_replica()
        && node.replication.forwarding.is_offered()
}

/// What becomes of a write on a replica.
///
/// # Errors
/// That it is refused, or is the leader's to do; within MULTI that is seen at EXEC.
pub(super) fn admit_write(node: &Node, session: &mut Session) -> Outcome {
    if !forwards(node, session) {
        return Err(gate::READ_ONLY);
    }
    if session.queue.is_some() { Ok(()) } else { Err(Fault::Elsewhere) }
}

/// What a command is told that a replica refuses: what nodes share is decided here, by `leave`.
#[cold]
pub(super) fn or_here(node: &Node, session: &Session, command: &Command, fault: Fault) -> Fault {
    let refused = fault == gate::READ_ONLY && session.queue.is_none();
    if refused && limiter_region::is_shared(node, command) { Fault::Elsewhere } else { fault }
}

/// What becomes of a read on a replica whose data may be older than `replica-max-lag-ms`.
///
/// # Errors
/// That it is refused, or is for the leader.
pub(super) fn admit_read(node: &Node, session: &mut Session, command: &Command) -> Outcome {
    let most = session.config().replica_max_lag_ms;
    if most == 0 || !sees_data(command) {
        return Ok(());
    }
    // What is queued is asked at EXEC.
    let queues = session.queue.is_some() && !command.flags.contains(Flags::NOT_QUEUED);
    if queues || node.replication.staleness_ms().is_some_and(|lag| lag <= most) {
        return Ok(());
    }
    let refuses = session.config().replica_stale_reads == StaleReads::Refuse;
    let leaves = session.may_leave && node.replication.forwarding.is_offered();
    if refuses || !leaves { Err(TOO_OLD) } else { Err(Fault::Elsewhere) }
}

const TOO_OLD: Fault =
    Fault::new("MASTERDOWN The data of this replica is older than replica-max-lag-ms allows");

/// Whether what a command answers depends on the data.
fn sees_data(command: &Command) -> bool {
    match command.run {
        Run::Read(_) | Run::Remember(_) | Run::Script(_) => true,
        Run::Transaction(control) => control == Control::Execute,
        Run::Write(_) | Run::Session(_) | Run::Container => false,
    }
}

/// Asks, before a command of a session that has something elsewhere, whether it may be run now.
///
/// # Errors
/// That it has to wait, or is for the leader.
#[cold]
pub(super) fn before(node: &Node, session: &mut Session, command: &Command) -> Outcome {
    if session.elsewhere.is_some() {
        return Err(super::watch::hold(session));
    }
    if !session.rare.contains(Rare::BEHIND) {
        return Ok(());
    }
    let replica = node.replication.is_replica();
    let known = !session.rare.contains(Rare::MARK_UNKNOWN);
    if !replica || (known && node.log.offset() >= session.mark) {
        session.rare.remove(Rare::BEHIND | Rare::TO_LEADER | Rare::MARK_UNKNOWN);
        return Ok(());
    }
    let queues = session.queue.is_some() && !command.flags.contains(Flags::NOT_QUEUED);
    if queues || !sees_data(command) {
        return Ok(());
    }
    if session.rare.intersects(Rare::TO_LEADER.union(Rare::MARK_UNKNOWN)) {
        return if node.replication.forwarding.is_offered() {
            Err(Fault::Elsewhere)
        } else {
            Err(NOT_HERE)
        };
    }
    put(session, Elsewhere::Applied(session.mark));
    Err(super::watch::hold(session))
}

const NOT_HERE: Fault = Fault::new(
    "MASTERDOWN This replica has not applied what you have seen before, and its leader does not \
     answer for it",
);

fn put(session: &mut Session, elsewhere: Elsewhere) {
    session.elsewhere = Some(Box::new(elsewhere));
    session.rare.insert(Rare::ELSEWHERE);
}

/// Writes a request down for the leader.
///
/// # Errors
/// That it cannot be forwarded, or that it has to wait until what is under way is answered.
#[cold]
pub(super) fn leave(
    node: &Node,
    session: &mut Session,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let Some((_, command)) = session.last else { return Err(gate::READ_ONLY) };
    if limiter_region::is_shared(node, command) {
        if session.elsewhere.is_some() {
            // What came before is answered first.
            return Err(super::watch::hold(session));
        }
        if super::watch::holds(node, session, command) {
            return Err(super::watch::hold(session));
        }
        session.held = false;
        if limiter_region::here(node, session, command, argv, reply) {
            super::watch::ended(node, session, session.number, session.stamp, argv);
            super::watch::tell(node, session, command, argv);
            return Ok(());
        }
        if !forwards(node, session) {
            return Err(gate::READ_ONLY);
        }
    }
    let route = route(session, command, argv);
    if let Some(elsewhere) = &session.elsewhere {
        let joins = matches!(&**elsewhere, Elsewhere::Errand(errand) if !errand.is_full());
        if !joins || route != Route::Shared || matches!(command.run, Run::Transaction(_)) {
            return Err(super::watch::hold(session));
        }
    }
    if matches!(command.run, Run::Transaction(Control::Execute)) {
        return leave_transaction(node, session);
    }
    let behalf = (session.identity.name().to_vec(), session.db, session.protocol);
    let behalf = Behalf { user: &behalf.0, db: behalf.1, protocol: behalf.2 };
    let text = script_text(node, command, argv);
    let with_text: Vec<&[u8]>;
    let argv = match &text {
        Some(script) => {
            with_text = [b"EVAL".as_slice(), &script.text]
                .into_iter()
                .chain(argv.iter().skip(2).copied())
                .collect();
            &with_text
        }
        None => argv,
    };
    let waits_over_rest = command.flags.contains(Flags::BLOCKING) && session.door == Door::Rest;
    if session.elsewhere.is_none() {
        let own = session.own_link.take();
        put(session, Elsewhere::Errand(Errand::new(behalf.protocol, route, own)));
    }
    if let Some(Elsewhere::Errand(errand)) = session.elsewhere.as_deref_mut() {
        if waits_over_rest {
            errand.ask_without_waiting(behalf, argv);
        } else {
            errand.ask(behalf, argv);
        }
    }
    Ok(())
}

/// The script that is named by its digest, which the leader need not know.
fn script_text(
    node: &Node,
    command: &Command,
    argv: Argv<'_>,
) -> Option<std::sync::Arc<registry::Script>> {
    if !matches!(command.name, "evalsha") {
        return None;
    }
    node.scripts.registry.get(&registry::parse(argv.get(1)?)?)
}

/// By which link a command goes.
fn route(session: &Session, command: &Command, argv: Argv<'_>) -> Route {
    match command.run {
        Run::Transaction(Control::Watch) => Route::Kept,
        Run::Transaction(_) if session.own_link.is_some() => Route::Alone,
        _ if session.own_link.is_some() && session.door == Door::Resp => Route::Kept,
        _ if session.door == Door::Rest => Route::Shared,
        _ if matches!(command.name, "xread" | "xreadgroup") && !gate::waits(argv) => Route::Shared,
        _ if command.flags.contains(Flags::BLOCKING) => Route::Alone,
        _ => Route::Shared,
    }
}

/// Writes the session's transaction down for the leader.
fn leave_transaction(node: &Node, session: &mut Session) -> Outcome {
    let Some(queue) = session.queue.take() else { return Err(Fault::SYNTAX) };
    let borrowed: Vec<Vec<&[u8]>> =
        queue.commands.iter().map(|argv| argv.iter().map(|a| &**a).collect()).collect();
    let commands: Vec<Argv<'_>> = borrowed.iter().map(Vec::as_slice).collect();
    if !session.watches.keys.is_empty() {
        super::forget_watches(node, session);
        return Err(Fault::new(
            "EXECABORT Transaction discarded because of: this node has become a replica since \
             keys were watched",
        ));
    }
    match errand_of(node, session, &commands) {
        Ok(errand) => {
            put(session, Elsewhere::Errand(errand));
            Ok(())
        }
        Err(fault) => {
            session.own_link = None;
            Err(fault)
        }
    }
}

/// Writes a transaction down that came as one request.
pub(super) fn leave_all(node: &Node, session: &mut Session, commands: &[Argv<'_>]) -> Outcome {
    let errand = errand_of(node, session, commands)?;
    put(session, Elsewhere::Errand(errand));
    Ok(())
}

fn errand_of(node: &Node, session: &mut Session, commands: &[Argv<'_>]) -> Result<Errand, Fault> {
    let free = session.identity.is_free(node.access.generation());
    let mut texts = Vec::with_capacity(commands.len());
    for argv in commands {
        let command = gate::find(argv)?;
        if !may_be_forwarded(command) {
            return Err(Fault::text(format!(
                "EXECABORT Transaction discarded because of: '{}' cannot be forwarded to the \
                 leader, which the writes of this transaction are for",
                command.name
            )));
        }
        if !free && let Err(Fault::Text(why)) = gate::admit_queued(node, session, argv) {
            return Err(super::transaction::abort(&why));
        }
        texts.push(script_text(node, command, argv));
    }
    let with_texts: Vec<Vec<&[u8]>> = commands
        .iter()
        .zip(&texts)
        .map(|(argv, text)| match text {
            Some(script) => {
                let head = [b"EVAL".as_slice(), &script.text];
                head.into_iter().chain(argv.iter().skip(2).copied()).collect()
            }
            None => argv.to_vec(),
        })
        .collect();
    let user = session.identity.name().to_vec();
    let behalf = Behalf { user: &user, db: session.db, protocol: session.protocol };
    let own = session.own_link.take();
    let route = if own.is_some() { Route::Alone } else { Route::Shared };
    let mut errand = Errand::new(behalf.protocol, route, own);
    errand.ask_all(behalf, with_texts.iter().map(Vec::as_slice));
    Ok(errand)
}

/// Whether EXEC of these commands is for the leader, though none of them need write.
pub(super) fn concerns_leader(
    node: &Node,
    session: &mut Session,
    rows: &[&'static Command],
) -> bool {
    if session.own_link.is_some() {
        return true;
    }
    let may_write =
        |row: &&Command| matches!(row.run, Run::Script(Script { read_only: false, .. }));
    node.replication.is_replica() && rows.iter().any(may_write) && forwards(node, session)
}

/// Takes what a session has for its door to do elsewhere, if it has something.
pub fn take(session: &mut Session) -> Option<Elsewhere> {
    let elsewhere = session.elsewhere.take()?;
    session.rare.remove(Rare::ELSEWHERE);
    Some(*elsewhere)
}

/// Does it. Nothing is locked meanwhile.
pub async fn visit(node: &Node, elsewhere: Elsewhere) -> Visited {
    match elsewhere {
        Elsewhere::Errand(errand) => Visited::Carried(forward::carry(node, errand).await),
        Elsewhere::Applied(offset) => {
            Visited::Waited { applied: forward::reach(node, offset).await }
        }
    }
}

/// What has come of it.
#[derive(Debug)]
pub enum Visited {
    /// The leader was asked.
    Carried(Carried),
    /// The log was waited for.
    Waited {
        /// Whether it has come so far in time.
        applied: bool,
    },
}

/// Notes in the session what has come of it; answers the replies of the requests that are done.
pub fn settle(session: &mut Session, visited: Visited) -> Vec<u8> {
    match visited {
        Visited::Waited { applied: true } => Vec::new(),
        Visited::Waited { applied: false } => {
            session.rare.insert(Rare::TO_LEADER);
            Vec::new()
        }
        Visited::Carried(Carried { replies, place, own, sent }) => {
            session.own_link = own;
            match place {
                Some(place) => {
                    session.mark = place.offset;
                    session.db = place.db.unwrap_or(session.db);
                    session.rare.remove(Rare::MARK_UNKNOWN);
                    session.rare.insert(Rare::BEHIND);
                }
                // Whether something was done, and where, the leader says with the next read.
                None if sent => session.rare.insert(Rare::BEHIND | Rare::MARK_UNKNOWN),
                None => {}
            }
            replies
        }
    }
}

/// Has reads of a session see at least what the history has up to `offset`, of which somebody
/// has told who was there.
pub fn behind(session: &mut Session, offset: u64) {
    session.mark = session.mark.max(offset);
    session.rare.insert(Rare::BEHIND);
}

/// Has reads of a session go to the leader until this node has come to its mark.
pub fn only_leader_knows(session: &mut Session) {
    session.rare.insert(Rare::BEHIND | Rare::MARK_UNKNOWN);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Leader};
    use crate::engine::execute;
    use crate::resp::RespReply;

    #[test]
    fn an_exec_that_cannot_be_asked_of_the_leader_ends_its_transaction() {
        let leader = Leader { host: "127.0.0.1".into(), port: 1 };
        let mut config = Config::default();
        config.replicaof = Some(leader);
        let node = Node::new(config);
        let client = node.clients.add("here".into(), String::new(), 0);
        let mut session = Session::new(client, Door::Resp, &node);
        let ask = |session: &mut Session, line: &str| {
            let argv: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let mut out = Vec::new();
            let mut reply = RespReply::new(&mut out, session.protocol);
            execute(&node, session, &argv, &mut reply).expect("nobody else is here");
            String::from_utf8(out).expect("text")
        };
        assert_eq!(ask(&mut session, "MULTI"), "+OK\r\n");
        assert_eq!(ask(&mut session, "GET a"), "+QUEUED\r\n");
        // A link broke over which the session may have written.
        only_leader_knows(&mut session);
        let refused = ask(&mut session, "EXEC");
        assert!(refused.starts_with("-EXECABORT"), "{refused}");
        assert_eq!(ask(&mut session, "PING"), "+PONG\r\n");
    }
}
