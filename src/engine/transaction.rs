//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! Queued commands wait in the session. EXEC locks the union of what they declare, asks whether
//! a watched key has changed, and runs them one after the other under those locks: nobody sees
//! a part of it.

use smallvec::SmallVec;

use super::{elsewhere, finish, gate, run_locked, waits, want, watch};
use crate::command::args::is;
use crate::command::{self, Argv, Command, Control, Keys, Run};
use crate::fault::{Fault, Outcome};
use crate::keyspace::locks::Contended;
use crate::keyspace::shard::WatchFlag;
use crate::keyspace::{Access, Effects, LockSet, Place, Wanted, WriteView};
use crate::limits;
use crate::node::Node;
use crate::rare::Rare;
use crate::replicate::enough;
use crate::resp::Reply;
use crate::session::{Door, Queue, Session};
use crate::sync::atomic::Ordering;

/// Does what a transaction command says.
pub(super) fn control(
    node: &Node,
    session: &mut Session,
    control: Control,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    match control {
        Control::Begin => {
            if session.queue.is_some() {
                return Err(Fault::new("ERR MULTI calls can not be nested"));
            }
            session.queue = Some(Queue::default());
            reply.ok();
        }
        Control::Discard => {
            if session.queue.take().is_none() {
                return Err(Fault::new("ERR DISCARD without MULTI"));
            }
            forget_watches(node, session);
            reply.ok();
        }
        Control::Watch => {
            if session.queue.is_some() {
                return Err(Fault::new("ERR WATCH inside MULTI is not allowed"));
            }
            if node.replication.is_replica() && elsewhere::forwards(node, session) {
                // What changes keys is the leader's, and so is who watches them.
                return Err(Fault::Elsewhere);
            }
            watch(node, session, &argv[1..])?;
            reply.ok();
        }
        Control::Unwatch => {
            forget_watches(node, session);
            reply.ok();
        }
        Control::Execute => return exec(node, session, reply),
    }
    Ok(())
}

/// Keeps a command for EXEC.
pub(super) fn enqueue(session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let Some(queue) = &mut session.queue else { return Ok(()) };
    // What keeps an argument counts too, or a million empty ones would be nothing.
    let bytes = size_of::<Vec<Box<[u8]>>>()
        + argv.iter().map(|argument| argument.len() + size_of::<Box<[u8]>>()).sum::<usize>();
    let too_large = queue.commands.len() >= limits::QUEUED_COMMANDS
        || queue.bytes.saturating_add(bytes) > limits::QUEUED_BYTES;
    // What the leader has done its replica must be able to do.
    if too_large && session.door != Door::Leader {
        queue.broken = true;
        return Err(Fault::new("ERR transaction is too large, send several smaller ones"));
    }
    queue.bytes += bytes;
    queue.commands.push(argv.iter().map(|argument| Box::from(*argument)).collect());
    reply.status("QUEUED");
    Ok(())
}

/// Notes that the gate has refused a request: EXEC will refuse the transaction, and if this was
/// EXEC itself, the transaction ends here.
#[cold]
pub(super) fn refused(node: &Node, session: &mut Session, argv: Argv<'_>, fault: Fault) -> Fault {
    if fault == Fault::Elsewhere {
        return fault;
    }
    if let Some(queue) = &mut session.queue {
        queue.broken = true;
    }
    match fault {
        Fault::Text(text) if argv.first().is_some_and(|name| is(name, "EXEC")) => {
            session.queue = None;
            forget_watches(node, session);
            abort(&text)
        }
        fault => fault,
    }
}

/// Redis keeps the code of an error here, but for the common one.
#[cold]
pub(super) fn abort(why: &str) -> Fault {
    let why = why.strip_prefix("ERR ").unwrap_or(why);
    Fault::text(format!("EXECABORT Transaction discarded because of: {why}"))
}

fn watch(node: &Node, session: &mut Session, keys: Argv<'_>) -> Outcome {
    let bytes: usize = keys.iter().map(|key| key.len()).sum();
    if session.watches.keys.len() + keys.len() > limits::WATCHED_KEYS
        || session.watches.bytes + bytes > limits::WATCHED_BYTES
    {
        return Err(Fault::new("ERR too many watched keys"));
    }
    let db = session.db;
    let mut wanted: SmallVec<[Wanted; 8]> =
        keys.iter().map(|key| Wanted::key(db, key, Access::Exclusive)).collect();
    let mut locks = LockSet::all(&node.keyspace, &mut wanted)?;
    let mut around =
        super::surroundings(&mut session.config, session.door, session.rare, session.now);
    // To watch a key is no use of it.
    around.tick = around.tick.unnoted();
    node.begin(&mut session.effects);
    // A key that is due is gone before it is watched: its removal later is no change.
    let mut view = WriteView::new(&mut locks, db, around, &mut session.effects);
    for key in keys {
        view.exists(key);
    }
    node.record(&mut session.effects);
    for key in keys {
        let shard = locks.held_mut(db, Place::of(key).shard);
        if shard.watch(key, &session.watches.flag) {
            session.watches.keys.push((db, Box::from(*key)));
            session.watches.bytes += key.len();
        }
    }
    drop(locks);
    finish(session);
    Ok(())
}

/// Stops watching. What cannot be locked at once is left to the upkeep: a script may hold it, and
/// nobody waits for what the session has forgotten.
pub fn forget_watches(node: &Node, session: &mut Session) {
    // With the link, the leader forgets what it watches for this session.
    session.own_link = None;
    if session.watches.keys.is_empty() && !session.watches.broken() {
        return;
    }
    let (flag, keys) = session.watches.take();
    for (db, key) in keys {
        if !unwatch(node, db, &key, &flag) {
            node.orphans.lock().push((db, key, flag.clone()));
        }
    }
}

fn unwatch(node: &Node, db: usize, key: &[u8], flag: &WatchFlag) -> bool {
    let wanted = Wanted::key(db, key, Access::Exclusive);
    let Ok(mut locks) = LockSet::one(&node.keyspace, wanted) else { return false };
    locks.held_mut(db, wanted.shard).unwatch(key, flag);
    true
}

/// Takes keys off the lists of their watchers that were busy when these stopped watching.
pub fn forget_orphans(node: &Node) {
    let orphans = std::mem::take(&mut *node.orphans.lock());
    for (db, key, flag) in orphans {
        if !unwatch(node, db, &key, &flag) {
            node.orphans.lock().push((db, key, flag));
        }
    }
}

fn exec(node: &Node, session: &mut Session, reply: &mut dyn Reply) -> Outcome {
    let Some(queue) = session.queue.take() else {
        return Err(Fault::new("ERR EXEC without MULTI"));
    };
    if queue.broken {
        forget_watches(node, session);
        return Err(Fault::new("EXECABORT Transaction discarded because of previous errors."));
    }
    let borrowed: Vec<SmallVec<[&[u8]; 8]>> =
        queue.commands.iter().map(|argv| argv.iter().map(|a| &**a).collect()).collect();
    let commands: Vec<Argv<'_>> = borrowed.iter().map(SmallVec::as_slice).collect();
    let rows = rows(&commands)?;
    // What was allowed when it was queued need not be now: memory fills, leaders step down.
    let refusal = rows.iter().find_map(|row| gate::admit_now(node, session, row).err());
    if refusal == Some(Fault::Elsewhere) || elsewhere::concerns_leader(node, session, &rows) {
        drop(borrowed);
        session.queue = Some(queue);
        return Err(Fault::Elsewhere);
    }
    if let Some(Fault::Text(why)) = refusal {
        forget_watches(node, session);
        return Err(abort(&why));
    }
    session.executing = Some(commands.len());
    let outcome = run_all(node, session, &commands, &rows, reply);
    session.executing = None;
    if outcome == Err(Fault::Contended) {
        // Nothing has happened: keep the queue for the next attempt.
        drop(borrowed);
        session.queue = Some(queue);
        return outcome;
    }
    forget_watches(node, session);
    outcome
}

/// Executes commands as one transaction: an array of their answers, or one error and nothing
/// done when one of them could never be run.
///
/// # Errors
/// The first refusal at the gate, or that a shard is busy.
pub fn execute_all(
    node: &Node,
    session: &mut Session,
    commands: &[Argv<'_>],
    reply: &mut dyn Reply,
) -> Outcome {
    let mut rows = Vec::with_capacity(commands.len());
    let mut leaves = false;
    for argv in commands {
        match gate::admit(node, session, argv) {
            Ok(row) => rows.push(row),
            Err(Fault::Elsewhere) => leaves = true,
            Err(fault) => return Err(fault),
        }
    }
    if leaves || elsewhere::concerns_leader(node, session, &rows) {
        return elsewhere::leave_all(node, session, commands);
    }
    session.executing = Some(commands.len());
    let outcome = run_all(node, session, commands, &rows, reply);
    session.executing = None;
    match outcome {
        Err(Fault::Contended) => Err(super::busy(node, session).unwrap_or(Fault::Contended)),
        outcome => outcome,
    }
}

/// The rows of commands that the gate has let in before.
fn rows(commands: &[Argv<'_>]) -> Result<Vec<&'static Command>, Fault> {
    commands.iter().map(|argv| gate::find(argv)).collect()
}

fn run_all(
    node: &Node,
    session: &mut Session,
    commands: &[Argv<'_>],
    rows: &[&'static Command],
    reply: &mut dyn Reply,
) -> Outcome {
    let scripts = rows.iter().any(|row| matches!(row.run, Run::Script(_)));
    // Scripts may want further locks: see `script`.
    let _turn = if scripts { Some(node.scripts.busy.turn()?) } else { None };
    let mut wanted = SmallVec::new();
    want_all(node, session, commands, rows, &mut wanted);
    if scripts {
        wanted.iter_mut().for_each(|wanted| wanted.access = Access::Exclusive);
    }
    let everything = rows.iter().any(|row| matches!(row.keys, Keys::Everything));
    let mut locks = if everything {
        LockSet::everything(&node.keyspace, &mut wanted)?
    } else {
        LockSet::all(&node.keyspace, &mut wanted)?
    };
    if session.door != Door::Leader && rows.iter().any(|row| row.writes()) {
        enough::admit(node)?;
    }
    if node.rare.get().contains(Rare::HOLDS_WRITES) && rows.iter().any(|row| row.writes()) {
        return Err(watch::hold(session));
    }
    if locks.is_awaited() && !everything {
        drop(locks);
        locks = lock_with_served(node, session, commands, rows, &mut wanted)?;
    }
    // Taken out, since the commands get the session as well.
    let mut effects = std::mem::take(&mut session.effects);
    node.begin(&mut effects);
    if effects.is_foreign() {
        gate::admit_late(session, rows.iter().any(|row| row.writes()))?;
    }
    let changed = watched_changed(session, &mut locks, &mut effects);
    if changed {
        reply.null_array();
    } else {
        run_each(node, session, commands, rows, &mut locks, &mut effects, reply);
    }
    node.record(&mut effects);
    if scripts {
        waits::serve_after_script(node, session, &mut locks, &mut effects);
    } else {
        waits::serve(node, waits::around_of(session), &mut locks, &mut effects);
    }
    drop(locks);
    session.effects = effects;
    finish(session);
    Ok(())
}

/// Locks what commands want, and what those may touch who wait for the keys that they change.
#[cold]
fn lock_with_served<'k>(
    node: &'k Node,
    session: &Session,
    commands: &[Argv<'_>],
    rows: &[&'static Command],
    wanted: &mut SmallVec<[Wanted; 8]>,
) -> Result<LockSet<'k>, Contended> {
    let mut keys = Vec::new();
    for (db, command, argv) in placed(node, session, commands, rows) {
        waits::name_keys(node, db, command, argv, &mut keys);
    }
    waits::lock_with_served(node, wanted, &keys)
}

/// Commands with the databases in which they will run.
fn placed<'a>(
    node: &Node,
    session: &Session,
    commands: &'a [Argv<'a>],
    rows: &'a [&'static Command],
) -> impl Iterator<Item = (usize, &'static Command, Argv<'a>)> {
    let (mut db, databases) = (session.db, node.keyspace.databases());
    commands.iter().zip(rows).map(move |(argv, command)| {
        if command.name == "select" {
            db = crate::command::args::database(argv[1], databases).unwrap_or(db);
        }
        (db, *command, *argv)
    })
}

fn run_each(
    node: &Node,
    session: &mut Session,
    commands: &[Argv<'_>],
    rows: &[&'static Command],
    locks: &mut LockSet<'_>,
    effects: &mut Effects,
    reply: &mut dyn Reply,
) {
    reply.array(commands.len());
    for (argv, command) in commands.iter().zip(rows) {
        let (number, start) = (command::number(command), session.stamp);
        let may = if session.identity.is_free(node.access.generation()) {
            Ok(())
        } else {
            gate::admit_queued(node, session, argv)
        };
        let ran =
            may.and_then(|()| run_locked(node, session, command, argv, locks, effects, reply));
        session.tally.commands += 1;
        watch::ended(node, session, number, start, argv);
        if let Err(fault) = ran {
            let text = match &fault {
                Fault::Text(text) => text,
                // Every lock that a command may want is held.
                Fault::Contended | Fault::Wait(_) | Fault::Elsewhere => {
                    "ERR internal error: a lock was missing in a transaction"
                }
            };
            watch::failed(node, session, text, Some(number), true);
            reply.error(text);
        }
        if !node.rare.get().is_empty() {
            watch::tell(node, session, command, argv);
        }
    }
}

/// Adds the locks of every command, following SELECT, and those of the watched keys.
fn want_all(
    node: &Node,
    session: &Session,
    commands: &[Argv<'_>],
    rows: &[&'static Command],
    wanted: &mut SmallVec<[Wanted; 8]>,
) {
    for (db, command, argv) in placed(node, session, commands, rows) {
        want(node, db, command, argv, wanted);
        debug_assert!(!matches!(command.run, Run::Container));
    }
    for (db, key) in &session.watches.keys {
        wanted.push(Wanted::key(*db, key, Access::Exclusive));
    }
}

/// Whether a watched key has changed since it was watched, its becoming due included.
fn watched_changed(session: &mut Session, locks: &mut LockSet<'_>, effects: &mut Effects) -> bool {
    let mut around =
        super::surroundings(&mut session.config, session.door, session.rare, session.now);
    around.tick = around.tick.unnoted();
    for (db, key) in &session.watches.keys {
        WriteView::new(locks, *db, around, effects).exists(key);
    }
    session.watches.flag.load(Ordering::Relaxed)
}
