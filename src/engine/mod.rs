//! The one way in: every request of every door is executed here.
//!
//! Gate (is it a command, may this session ask it now), lock (the keys that its row declares),
//! run, log its effects while still locked, unlock. A handler never locks anything itself, so
//! it can neither deadlock nor forget. When a lock is busy for longer than a moment, `execute`
//! answers `Contended` and nothing has happened: the door yields to the runtime and asks again.

pub mod elsewhere;
mod gate;
mod native;
pub mod room;
mod script;
mod transaction;
mod waits;
mod watch;

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::command::{Argv, Command, Control, Flags, Keys, Run, WriteRun};
use crate::fault::{Fault, Outcome};
use crate::keyspace::locks::Contended;
use crate::keyspace::usage::Tick;
use crate::keyspace::view::{BEFORE_ALL, Surroundings};
use crate::keyspace::{Access, Effects, Entry, LockSet, ReadView, Wanted, WriteView};
use crate::node::Node;
use crate::rare::Rare;
use crate::resp::Reply;
use crate::session::{Door, Named, Session, Settings};
use crate::table::Table;

pub use elsewhere::Elsewhere;
pub use transaction::{execute_all, forget_orphans, forget_watches};
pub use waits::{forget_wait, resume, serve_late};

/// Executes one request and writes its answer into `reply`.
///
/// # Errors
/// When a shard is busy: nothing has happened, nothing was answered; ask again later.
#[inline]
pub fn execute(
    node: &Node,
    session: &mut Session,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Result<(), Contended> {
    let admitted = gate::admit(node, session, argv);
    let ran = admitted.is_ok();
    let outcome = match admitted {
        Ok(command) if (node.rare.get() | session.rare).is_empty() => {
            run_or_queue(node, session, command, argv, reply)
        }
        Ok(command) => watch::run(node, session, command, argv, reply),
        Err(fault) => Err(transaction::refused(node, session, argv, fault)),
    };
    let outcome = match outcome {
        Err(Fault::Wait(wait)) => waits::wait(node, session, argv, wait, reply),
        Err(Fault::Elsewhere) => elsewhere::leave(node, session, argv, reply),
        outcome => outcome,
    };
    match outcome {
        Ok(()) | Err(Fault::Wait(_)) => {}
        Err(fault) => {
            let Some(text) = told(node, session, argv, fault) else { return Err(Contended) };
            let number = session.last.is_some().then_some(session.number);
            watch::failed(node, session, &text, number, ran);
            reply.error(&text);
        }
    }
    session.tally.commands += 1;
    Ok(())
}

/// What a client is told of a failure; nothing if it is to ask again.
#[cold]
fn told(
    node: &Node,
    session: &mut Session,
    argv: Argv<'_>,
    fault: Fault,
) -> Option<Cow<'static, str>> {
    if session.rare.contains(Rare::ELSEWHERE) {
        // What came before is answered first.
        session.held = true;
        return None;
    }
    let fault = match fault {
        Fault::Contended => transaction::refused(node, session, argv, busy(node, session)?),
        fault => fault,
    };
    match fault {
        Fault::Text(text) => Some(text),
        Fault::Contended | Fault::Wait(_) | Fault::Elsewhere => None,
    }
}

/// Why a client does not get what it wants, if a script has held it for too long.
#[cold]
fn busy(node: &Node, session: &Session) -> Option<Fault> {
    let reason = node.scripts.busy.reason()?;
    let patient = |(_, command): Named| command.flags.contains(Flags::ALLOW_BUSY);
    let waits = session.door == Door::Leader || session.last.is_some_and(patient);
    (!waits).then_some(reason)
}

#[inline]
fn run_or_queue(
    node: &Node,
    session: &mut Session,
    command: &'static Command,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    if session.queue.is_some() && !command.flags.contains(Flags::NOT_QUEUED) {
        return transaction::enqueue(session, argv, reply);
    }
    let (number, start) = (session.number, session.stamp);
    let outcome = run_alone(node, session, command, argv, reply);
    if outcome != Err(Fault::Contended) {
        watch::ended(node, session, number, start, argv);
    }
    outcome
}

/// Runs a command that is no part of a transaction.
#[inline]
fn run_alone(
    node: &Node,
    session: &mut Session,
    command: &'static Command,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    match command.run {
        Run::Read(run) => {
            let locks = lock(node, session.db, command, argv)?;
            let around = surroundings(&mut session.config, session.door, session.rare, session.now);
            let view = ReadView::new(&locks, session.db, around);
            let outcome = run(&view, argv, reply);
            session.tally.count(view.lookups());
            node.announce(view.missed());
            if session.tracking.is_some() {
                node.tracking.remember(node, session, command, argv);
            }
            outcome
        }
        Run::Write(run) | Run::Remember(run) => {
            let mut locks = lock(node, session.db, command, argv)?;
            // Whoever pauses takes every lock once, so nothing slips through behind its answer.
            if node.rare.get().contains(Rare::HOLDS_WRITES) {
                return Err(watch::hold(session));
            }
            if locks.is_awaited() {
                return waits::write_awaited(node, session, command, argv, locks, reply);
            }
            let db = session.db;
            let effects = &mut session.effects;
            node.begin(effects);
            if effects.is_foreign() {
                gate::admit_late(session, command.writes())?;
            }
            let effects = &mut session.effects;
            let around = surroundings(&mut session.config, session.door, session.rare, session.now);
            let mut view = WriteView::new(&mut locks, db, around, effects);
            let outcome = write(run, command, &mut view, argv, reply);
            effects.settle(db, argv);
            // The locks of what was changed are still held: the log has the order of changes.
            node.record(effects);
            if effects.tracked && command.reads() {
                node.tracking.remember(node, session, command, argv);
            }
            drop(locks);
            finish(session);
            outcome
        }
        Run::Session(run) => run(node, session, argv, reply),
        Run::Script(script) => script::run(node, session, script, argv, reply),
        Run::Transaction(control) => transaction::control(node, session, control, argv, reply),
        // The gate names subcommands, so this is a container without one.
        Run::Container => Err(Fault::arity(command.name)),
    }
}

/// Locks what a command declares.
#[inline]
fn lock<'k>(
    node: &'k Node,
    db: usize,
    command: &Command,
    argv: Argv<'_>,
) -> Result<LockSet<'k>, Contended> {
    let access = command.access();
    match command.keys {
        Keys::At { first, last, .. } if last == first as isize => {
            LockSet::key(&node.keyspace, db, argv[first], access)
        }
        Keys::Roaming | Keys::None => Ok(LockSet::roaming(&node.keyspace)),
        Keys::Everything => LockSet::everything(&node.keyspace, &mut SmallVec::new()),
        _ => {
            let mut wanted = SmallVec::new();
            want(node, db, command, argv, &mut wanted);
            LockSet::all(&node.keyspace, &mut wanted)
        }
    }
}

/// Adds the locks that a command declares to those that are wanted.
fn want(
    node: &Node,
    db: usize,
    command: &Command,
    argv: Argv<'_>,
    wanted: &mut SmallVec<[Wanted; 8]>,
) {
    let access = command.access();
    match command.keys {
        Keys::None => {}
        Keys::At { .. } | Keys::Found { .. } => {
            let positions = command.keys.positions(argv);
            wanted.extend(positions.map(|at| Wanted::key(db, argv[at], access)));
        }
        Keys::Within(part) => wanted.push(Wanted::key(db, part(argv[1]), access)),
        Keys::Reaching { beyond, .. } => {
            let positions = command.keys.positions(argv);
            wanted.extend(positions.map(|at| Wanted::key(db, argv[at], access)));
            if beyond(argv) {
                // Only read, whatever the command does to the keys that it names.
                wanted.extend(Wanted::database(db, Access::Shared));
            }
        }
        Keys::Across { other, .. } => {
            let other = other(argv).filter(|other| *other < node.keyspace.databases());
            for at in command.keys.positions(argv) {
                wanted.push(Wanted::key(db, argv[at], access));
                wanted.extend(other.map(|other| Wanted::key(other, argv[at], access)));
            }
        }
        Keys::Databases(databases) => {
            let named = databases(argv).into_iter().flatten();
            let named = named.filter(|db| *db < node.keyspace.databases());
            wanted.extend(named.flat_map(|db| Wanted::database(db, access)));
        }
        Keys::Roaming | Keys::Database => wanted.extend(Wanted::database(db, access)),
        // The locks themselves say which databases there are: `LockSet::everything`.
        Keys::Everything => {}
    }
}

/// Runs a writer; of several keys, those that are due are gone before it sees them.
#[inline]
pub(crate) fn write(
    run: WriteRun,
    command: &Command,
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    match command.keys {
        // What becomes of a single key is the writer's own to say.
        Keys::At { first, last, .. } if last == first as isize => {}
        Keys::Within(_) => {}
        _ => remove_due(command, view, argv),
    }
    run(view, argv, reply)
}

/// Removes the declared keys that are due, and says so in the log. A writer takes a source that
/// is due for absent, but a replica, where only the log removes keys, still has it and would
/// make something else of the same command.
fn remove_due(command: &Command, view: &mut WriteView<'_, '_>, argv: Argv<'_>) {
    // PFCOUNT: what is due on a replica its leader still has.
    if view.asked_on_replica() {
        return;
    }
    let here = view.db();
    let beyond = match command.keys {
        Keys::Across { other, .. } => other(argv).filter(|other| *other < view.databases()),
        _ => None,
    };
    for db in [Some(here), beyond].into_iter().flatten() {
        view.select(db);
        command.keys.positions(argv).for_each(|at| view.remove_if_due(argv[at]));
    }
    view.select(here);
}

/// What a handler needs to know besides its keys. It borrows of the session only the
/// directives, so that the rest can change meanwhile.
#[inline]
fn surroundings(settings: &mut Settings, door: Door, rare: Rare, now: u64) -> Surroundings<'_> {
    let config = settings.load();
    let mut tick = Tick::new(now, config.usage_noted());
    if rare.contains(Rare::NO_TOUCH) {
        tick = tick.unnoted();
    }
    let now = if door == Door::Leader { BEFORE_ALL } else { now };
    Surroundings { now, tick, config }
}

/// Counts what a command has done besides its effects, and frees what it has taken out, after
/// the locks are gone.
#[inline]
fn finish(session: &mut Session) {
    let effects = &mut session.effects;
    let tally = &mut session.tally;
    tally.expired += std::mem::take(&mut effects.expired);
    tally.allowed += std::mem::take(&mut effects.allowed);
    tally.refused += std::mem::take(&mut effects.refused);
    if !effects.garbage.is_empty() || !effects.bulky.is_empty() {
        free(std::mem::take(&mut effects.garbage), std::mem::take(&mut effects.bulky));
    }
    effects.shrink();
}

/// Frees in a thread of its own what would hold up a worker.
pub(crate) fn free(garbage: Vec<Table<Entry>>, bulky: Vec<Entry>) {
    let keys: usize = garbage.iter().map(Table::len).sum();
    if keys < 10_000 && bulky.is_empty() {
        return;
    }
    let thread = std::thread::Builder::new().name("free".into());
    // Without a thread, the closure is dropped here, and the garbage with it.
    let _ = thread.spawn(move || drop((garbage, bulky)));
}

/// Executes from inside the engine: what a transaction has queued.
fn run_locked(
    node: &Node,
    session: &mut Session,
    command: &'static Command,
    argv: Argv<'_>,
    locks: &mut LockSet<'_>,
    effects: &mut Effects,
    reply: &mut dyn Reply,
) -> Outcome {
    let outcome = match command.run {
        Run::Read(run) => {
            let around = surroundings(&mut session.config, session.door, session.rare, session.now);
            let view = ReadView::new(locks, session.db, around);
            let outcome = run(&view, argv, reply);
            session.tally.count(view.lookups());
            effects.events.extend(view.missed());
            if session.tracking.is_some() {
                // What the transaction has written before takes its note first: this one stays.
                node.invalidate(effects);
                node.tracking.remember(node, session, command, argv);
            }
            outcome
        }
        Run::Write(run) | Run::Remember(run) => {
            let around = surroundings(&mut session.config, session.door, session.rare, session.now);
            let mut view = WriteView::new(locks, session.db, around, effects);
            let outcome = write(run, command, &mut view, argv, reply);
            effects.settle(session.db, argv);
            if effects.tracked && command.reads() {
                node.tracking.remember(node, session, command, argv);
            }
            outcome
        }
        Run::Session(run) => run(node, session, argv, reply),
        Run::Script(script) => {
            script::run_within(node, session, script, argv, locks, effects, reply)
        }
        Run::Transaction(Control::Unwatch) => {
            reply.ok();
            Ok(())
        }
        Run::Transaction(_) | Run::Container => Err(Fault::SYNTAX),
    };
    match outcome {
        // Nobody waits in the middle of a transaction.
        Err(Fault::Wait(wait)) => {
            wait.form.answer_nothing(reply);
            Ok(())
        }
        outcome => outcome,
    }
}
