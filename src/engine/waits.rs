//! Those who wait for keys: how they come to wait, and how a write serves them.
//!
//! A client that finds nothing waits in queues beside the keys, put there under the locks under
//! which it found nothing. Whoever changes such a key serves its queue, first come first, with
//! all locks still held and before they are let go: so nobody comes in between. Who is served
//! may write to another key (BLMOVE), for which others wait; the locks of those keys are taken
//! before the command runs, since none can be waited for once something has changed.
//!
//! Writers on shards where nobody waits see one branch of this. Left out on purpose: timers and
//! sockets, which are the connection's.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::{finish, lock, surroundings, want, write};
use crate::clock;
use crate::command::waiting::{Form, Wait};
use crate::command::{Argv, Command, Flags, Keys, Run};
use crate::fault::{Fault, Outcome};
use crate::keyspace::locks::Contended;
use crate::keyspace::usage::Tick;
use crate::keyspace::view::Surroundings;
use crate::keyspace::{Access, Effects, Kind, LockSet, Place, ReadView, Wanted, WriteView};
use crate::limits::SCRIPT_PATIENCE_MS;
use crate::node::Node;
use crate::resp::{Reply, RespReply};
use crate::session::{Door, Session};
use crate::waiter::{Ending, Goal, Request, Served, Waiter, Waiting};

/// A key with its database.
type Placed<'a> = (usize, &'a [u8]);

/// Runs a command that has found nothing once more, under locks under which it can wait.
#[cold]
pub(super) fn wait(
    node: &Node,
    session: &mut Session,
    argv: Argv<'_>,
    wait: Wait,
    reply: &mut dyn Reply,
) -> Outcome {
    match session.last {
        Some((_, command)) if session.door == Door::Resp => {
            let locks = lock_for(node, session.db, command, argv)?;
            run(node, session, command, argv, locks, reply)
        }
        _ => {
            wait.form.answer_nothing(reply);
            Ok(())
        }
    }
}

/// Runs a writer on keys for which somebody waits.
#[cold]
pub(super) fn write_awaited<'k>(
    node: &'k Node,
    session: &mut Session,
    command: &'static Command,
    argv: Argv<'_>,
    locks: LockSet<'k>,
    reply: &mut dyn Reply,
) -> Outcome {
    let mut keys = Vec::new();
    name_keys(node, session.db, command, argv, &mut keys);
    let locks = if destinations_missing(&locks, &keys).is_empty() {
        locks
    } else {
        drop(locks);
        lock_for(node, session.db, command, argv)?
    };
    run(node, session, command, argv, locks, reply)
}

/// Runs a command on keys for which somebody waits, or may wait when it has run.
fn run<'k>(
    node: &'k Node,
    session: &mut Session,
    command: &'static Command,
    argv: Argv<'_>,
    mut locks: LockSet<'k>,
    reply: &mut dyn Reply,
) -> Outcome {
    let mut effects = std::mem::take(&mut session.effects);
    node.begin(&mut effects);
    if effects.is_foreign() {
        super::gate::admit_late(session, command.writes())?;
    }
    let around = surroundings(&mut session.config, session.door, session.rare, session.now);
    let outcome = run_on(command, session.db, argv, around, &mut locks, &mut effects, reply);
    effects.settle(session.db, argv);
    node.record(&mut effects);
    if session.tracking.is_some() {
        node.tracking.remember(node, session, command, argv);
    }
    let outcome = match outcome {
        Err(Fault::Wait(wait)) if session.door == Door::Resp => {
            enqueue(node, session, command, argv, wait, &mut locks)
        }
        Err(Fault::Wait(wait)) => {
            wait.form.answer_nothing(reply);
            Ok(())
        }
        outcome => outcome,
    };
    serve(node, around_of(session), &mut locks, &mut effects);
    drop(locks);
    session.effects = effects;
    finish(session);
    outcome
}

/// What a session's present command sees around it.
pub(super) fn around_of(session: &mut Session) -> Surroundings<'_> {
    surroundings(&mut session.config, session.door, session.rare, session.now)
}

/// Runs a command on locks that are held.
fn run_on(
    command: &Command,
    db: usize,
    argv: Argv<'_>,
    around: Surroundings<'_>,
    locks: &mut LockSet<'_>,
    effects: &mut Effects,
    reply: &mut dyn Reply,
) -> Outcome {
    match command.run {
        Run::Read(run) => {
            // That keys are missing was told when it was asked for the first time.
            run(&ReadView::new(locks, db, around), argv, reply)
        }
        Run::Write(run) | Run::Remember(run) => {
            let mut view = WriteView::new(locks, db, around, effects);
            write(run, command, &mut view, argv, reply)
        }
        Run::Session(_) | Run::Transaction(_) | Run::Script(_) | Run::Container => {
            Err(Fault::SYNTAX)
        }
    }
}

/// Locks what a command may touch, and what those may touch whom it serves.
fn lock_for<'k>(
    node: &'k Node,
    db: usize,
    command: &Command,
    argv: Argv<'_>,
) -> Result<LockSet<'k>, Contended> {
    if is_whole(command) {
        return lock(node, db, command, argv);
    }
    let mut wanted = SmallVec::new();
    want(node, db, command, argv, &mut wanted);
    if command.flags.contains(Flags::BLOCKING) {
        // To wait in a queue is to change the shard, for those who only read too.
        wanted.iter_mut().for_each(|wanted| wanted.access = Access::Exclusive);
    }
    let mut keys = Vec::new();
    name_keys(node, db, command, argv, &mut keys);
    lock_with_served(node, &mut wanted, &keys)
}

/// Whether a command has whole databases locked, and with them whatever its waiters may touch.
fn is_whole(command: &Command) -> bool {
    matches!(
        command.keys,
        Keys::None | Keys::Roaming | Keys::Database | Keys::Databases(_) | Keys::Everything
    )
}

/// Adds the keys that a command may change to `keys`.
pub(super) fn name_keys<'a>(
    node: &Node,
    db: usize,
    command: &Command,
    argv: Argv<'a>,
    keys: &mut Vec<Placed<'a>>,
) {
    if is_whole(command) {
        return;
    }
    let other = match command.keys {
        Keys::Across { other, .. } => other(argv).filter(|db| *db < node.keyspace.databases()),
        _ => None,
    };
    for at in command.keys.positions(argv) {
        let key = command.keys.key_in(argv[at]);
        keys.push((db, key));
        keys.extend(other.map(|other| (other, key)));
    }
}

/// Takes the locks that are `wanted`, and those of whatever may be written to when those are
/// served who wait for `keys`.
pub(super) fn lock_with_served<'k>(
    node: &'k Node,
    wanted: &mut SmallVec<[Wanted; 8]>,
    keys: &[Placed<'_>],
) -> Result<LockSet<'k>, Contended> {
    loop {
        let locks = LockSet::all(&node.keyspace, wanted)?;
        let missing = destinations_missing(&locks, keys);
        if missing.is_empty() {
            return Ok(locks);
        }
        // Locks are taken in order, so all of them anew. Who waits may change meanwhile, which
        // the next round sees; each adds a shard, so there is a last one.
        drop(locks);
        wanted.extend(missing);
    }
}

/// The locks of keys that are not held, and that waiters would write to when `keys` change.
fn destinations_missing(locks: &LockSet<'_>, keys: &[Placed<'_>]) -> Vec<Wanted> {
    let mut missing = Vec::new();
    let mut known: HashSet<Placed<'_>> = HashSet::new();
    let mut reached: SmallVec<[Placed<'_>; 8]> = SmallVec::from_slice(keys);
    while let Some((db, key)) = reached.pop() {
        let wanted = Wanted::key(db, key, Access::Exclusive);
        let Some(shard) = locks.held_exclusively(db, wanted.shard) else {
            missing.push(wanted);
            continue;
        };
        let fresh =
            shard.destinations(key).map(|to| (db, to)).filter(|placed| known.insert(*placed));
        reached.extend(fresh);
    }
    missing
}

/// Has a session wait for the keys of a command, whose locks are held.
fn enqueue(
    node: &Node,
    session: &mut Session,
    command: &'static Command,
    argv: Argv<'_>,
    wait: Wait,
    locks: &mut LockSet<'_>,
) -> Outcome {
    let (db, Wait { until, form }) = (session.db, wait);
    let kept = form.keep(&ReadView::new(locks, db, around_of(session)), argv);
    let goal = Goal::Keys(Request { db, command, form, argv: kept });
    let waiter = node.waits.waiter(&session.client, session.protocol, until, goal);
    let waiting = Waiting(waiter);
    // A node that begins to follow sets this before it looks who waits.
    if command.writes() && node.replication.is_replica() && session.config().replica_read_only {
        return Err(super::gate::READ_ONLY);
    }
    for at in form.awaited(command.keys.positions(argv)) {
        let shard = locks.held_mut(db, Place::of(argv[at]).shard);
        shard.enqueue(argv[at], form.kind(), &waiting.0);
    }
    session.waiting = Some(waiting);
    Ok(())
}

/// Serves those who wait for what has changed, with all locks still held. Their effects come
/// into the log behind those that are there.
#[inline]
pub(super) fn serve(
    node: &Node,
    around: Surroundings<'_>,
    locks: &mut LockSet<'_>,
    effects: &mut Effects,
) {
    if effects.has_ready() {
        serve_all(node, around, locks, effects);
    }
}

/// Serves likewise after scripts. They may have changed keys that they did not declare, so where
/// those lead who wait for them is locked only now, by the turn that such scripts hold. What
/// stays busy for too long is served by [`serve_late`].
pub(super) fn serve_after_script(
    node: &Node,
    session: &mut Session,
    locks: &mut LockSet<'_>,
    effects: &mut Effects,
) {
    if !effects.has_ready() {
        return;
    }
    let start = clock::instant();
    loop {
        let ready = effects.ready();
        let keys: Vec<Placed<'_>> = ready.iter().map(|(db, key)| (*db, &**key)).collect();
        let mut missing = SmallVec::from_vec(destinations_missing(locks, &keys));
        if missing.is_empty() {
            return serve_all(node, around_of(session), locks, effects);
        }
        if locks.extend(&mut missing).is_err() {
            if start.elapsed() > Duration::from_millis(SCRIPT_PATIENCE_MS) {
                node.waits.postpone(ready);
                effects.forget_ready();
                return;
            }
            crate::sync::yield_now();
        }
    }
}

/// Serves those who had to be left waiting, and takes those out of their queues who have left
/// them while these were busy.
pub fn serve_late(node: &Node) {
    for waiter in node.waits.take_gone() {
        leave(node, &waiter, false);
    }
    let config = node.config.load();
    for (db, key) in node.waits.take_postponed() {
        let mut wanted = smallvec::smallvec![Wanted::key(db, &key, Access::Exclusive)];
        let Ok(mut locks) = lock_with_served(node, &mut wanted, &[(db, &key)]) else {
            node.waits.postpone(vec![(db, key)]);
            continue;
        };
        let now = clock::unix_ms();
        let tick = Tick::new(now, config.usage_noted());
        let mut effects = node.effects();
        effects.is_ready(db, &key);
        serve_all(node, Surroundings { now, tick, config: &config }, &mut locks, &mut effects);
    }
}

#[cold]
fn serve_all(
    node: &Node,
    around: Surroundings<'_>,
    locks: &mut LockSet<'_>,
    effects: &mut Effects,
) {
    while let Some((db, key)) = effects.next_ready() {
        let kind = kind_at(locks, db, &key, around.now);
        if let Some(kind) = kind {
            serve_queue(node, around, locks, effects, (db, &key), kind);
        }
        if kind != Some(Kind::Stream) {
            locks.held_mut(db, Place::of(&key).shard).end_group_readers(&key);
        }
    }
}

/// What kind of value a key holds.
fn kind_at(locks: &LockSet<'_>, db: usize, key: &[u8], now: u64) -> Option<Kind> {
    let place = Place::of(key);
    let shard = locks.held(db, place.shard);
    let entry = shard.at(shard.find(place.hash, key)?);
    (!entry.is_expired(now)).then(|| entry.kind())
}

/// Serves the queue of one key from its front, as long as the key holds what they want.
fn serve_queue(
    node: &Node,
    around: Surroundings<'_>,
    locks: &mut LockSet<'_>,
    effects: &mut Effects,
    (db, key): Placed<'_>,
    kind: Kind,
) {
    let shard = Place::of(key).shard;
    let mut from = 0;
    while let Some(waiter) = locks.held(db, shard).next_waiter(key, kind, from).cloned() {
        from = waiter.ticket + 1;
        let served = serve_one(node, around, locks, effects, key, &waiter);
        if served != Served::NotYet {
            locks.held_mut(db, shard).dequeue(key, kind, waiter.ticket);
        }
        if kind_at(locks, db, key, around.now) != Some(kind) {
            return;
        }
    }
}

/// Asks the request of one waiter again, of the key that has changed.
fn serve_one(
    node: &Node,
    around: Surroundings<'_>,
    locks: &mut LockSet<'_>,
    effects: &mut Effects,
    key: &[u8],
    waiter: &Waiter,
) -> Served {
    let Some(request) = waiter.request() else { return Served::Gone };
    let argv: SmallVec<[&[u8]; 8]> = request.argv.iter().map(|argument| &**argument).collect();
    let argv = request.form.of_key(&argv, key);
    // Under the same locks, and so for the same log: a node that has just been told to follow
    // finishes what it let in.
    effects.begin_next();
    let author = std::mem::replace(&mut effects.author, waiter.client.id);
    let served = waiter.serve(|| {
        let mut answer = Vec::new();
        let most = match around.config.client_output_buffer_limit.normal.hard {
            0 => usize::MAX,
            most => usize::try_from(most).unwrap_or(usize::MAX),
        };
        let mut reply = RespReply::bounded(&mut answer, waiter.protocol, most);
        match run_on(request.command, request.db, &argv, around, locks, effects, &mut reply) {
            Ok(()) => {}
            Err(Fault::Wait(_) | Fault::Contended | Fault::Elsewhere) => return None,
            Err(Fault::Text(text)) => reply.error(in_its_words(request.form, &text)),
        }
        if reply.is_cut() {
            waiter.client.close();
            answer.clear();
        }
        Some(answer)
    });
    effects.settle(request.db, &argv);
    node.record(effects);
    effects.author = author;
    served
}

/// What one who has waited is told when it cannot be served.
fn in_its_words(form: Form, text: &str) -> &str {
    match form {
        Form::GroupRead if text.starts_with("NOGROUP") => {
            "NOGROUP the consumer group this client was blocked on no longer exists"
        }
        _ => text,
    }
}

/// Answers a session whose wait has ended; answers whether it had.
pub fn resume(node: &Node, session: &mut Session, out: &mut Vec<u8>) -> bool {
    let Some(ending) = session.waiting.as_ref().and_then(|waiting| waiting.0.ending()) else {
        return false;
    };
    let Some(waiting) = session.waiting.take() else { return false };
    let waiter = &waiting.0;
    let mut reply = RespReply::new(out, waiter.protocol);
    let served = matches!(ending, Ending::Answered(_));
    match ending {
        Ending::Answered(answer) => out.extend_from_slice(&answer),
        Ending::TimedOut => match waiter.goal {
            Goal::Keys(_) => reply.null_array(),
            Goal::Followers { offset, .. } => {
                reply.integer(node.replication.acknowledged(offset) as i64);
            }
        },
        Ending::Unblocked => reply.error("UNBLOCKED client unblocked via CLIENT UNBLOCK"),
        Ending::StreamGone => reply.error("UNBLOCKED the stream key no longer exists"),
        Ending::Demoted => {
            reply.error(
                "UNBLOCKED force unblock from blocking operation, instance state changed \
                 (master -> replica?)",
            );
            session.closing = true;
        }
    }
    leave(node, waiter, served);
    true
}

/// Ends the wait of a session whose connection ends.
pub fn forget_wait(node: &Node, session: &mut Session) {
    if let Some(waiting) = session.waiting.take() {
        waiting.0.abandon();
        leave(node, &waiting.0, false);
    }
}

/// Takes a waiter out of its queues. A script may keep a shard for long; what cannot be locked is
/// left to [`serve_late`], since an entry of one who is gone does no harm.
fn leave(node: &Node, waiter: &Arc<Waiter>, served: bool) {
    let Some(Request { db, command, form, argv }) = waiter.request() else {
        node.replication.forget_wait(waiter);
        return;
    };
    let argv: SmallVec<[&[u8]; 8]> = argv.iter().map(|argument| &**argument).collect();
    let keys: Vec<usize> = form.awaited(command.keys.positions(&argv)).collect();
    // Who has served it has taken it out of that queue.
    if served && keys.len() == 1 {
        return;
    }
    for at in keys {
        let wanted = Wanted::key(*db, argv[at], Access::Exclusive);
        let Ok(mut locks) = LockSet::one(&node.keyspace, wanted) else {
            node.waits.left(waiter);
            return;
        };
        locks.held_mut(*db, wanted.shard).dequeue(argv[at], form.kind(), waiter.ticket);
    }
}
