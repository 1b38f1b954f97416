//! Runs scripts that are known so well that they need no Lua: see `script::native`.
//!
//! They are requests like other scripts: their keys are locked together, what they do to them is
//! done by the handlers of the commands that they stand for, and its effects are in the log as
//! one. They take no turn, since they touch no key but those that they are given, and lock only
//! to read what they only read.
//!
//! A replica runs those that only read; it hands the others on to its leader, who need not have
//! their text either, or refuses them.
//!
//! Whatever is out of the ordinary is left to Lua, before anything has happened: a leader that may
//! not write, full memory, somebody who waits for a key of the same shard, a user who may not call one of the
//! commands. If the node has the script's text it runs that, and otherwise it says NOSCRIPT, as
//! Redis would have in the first place.

use std::sync::LazyLock;

use smallvec::SmallVec;

use super::room::{self, Room};
use super::{elsewhere, finish, gate, surroundings, watch, write};
use crate::command::{self, Argv, Number, Run, expire, hash, string_number};
use crate::fault::{Fault, Outcome};
use crate::keyspace::locks::Contended;
use crate::keyspace::view::Surroundings;
use crate::keyspace::{Access, Effects, Entry, LockSet, NEVER, Place, ReadView, StrRef, WriteView};
use crate::node::Node;
use crate::observe::commands;
use crate::rare::Rare;
use crate::resp::Reply;
use crate::resp::reply::Silent;
use crate::script::native::{self, Ground, Inner, KEYS, Native, Numbers, Pairs, Unsure, Work};
use crate::script::registry;
use crate::session::{Door, Session, Tally};
use crate::value::hash::Live;
use crate::value::set::Members;

/// What has come of a native script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ran {
    /// It has answered.
    Answered,
    /// Nothing has happened: Lua is asked.
    Not,
}

/// Runs a native script as a request of its own.
pub(super) fn run(
    node: &Node,
    session: &mut Session,
    native: &Native,
    work: Work<'_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Result<Ran, Fault> {
    if node.replication.is_replica() {
        admit_on_replica(node, session, native, argv)?;
    }
    if !is_ordinary(node, session, native, work.keys) {
        return Ok(Ran::Not);
    }
    let (mut sets, of) = lock(node, session.db, native, work.keys)?;
    if node.rare.get().contains(Rare::HOLDS_WRITES) {
        return Err(watch::hold(session));
    }
    if sets.iter().any(LockSet::is_awaited) {
        return Ok(Ran::Not);
    }
    // Taken out, since the commands get the session as well.
    let mut effects = std::mem::take(&mut session.effects);
    node.begin(&mut effects);
    // A node may have begun to follow just before the locks were taken.
    let ran = match effects.is_foreign() && native.writes.is_some() {
        true => Ran::Not,
        false => perform(node, session, native, work, argv, (&mut sets, of), &mut effects, reply),
    };
    if ran == Ran::Answered {
        // The locks of what was changed are still held: the log has the order of changes.
        node.record(&mut effects);
    }
    drop(sets);
    session.effects = effects;
    finish(session);
    Ok(ran)
}

/// Runs a native script within a transaction, which holds every lock for writing.
pub(super) fn run_within(
    node: &Node,
    session: &mut Session,
    native: &Native,
    work: Work<'_>,
    argv: Argv<'_>,
    (locks, effects): (&mut LockSet<'_>, &mut Effects),
    reply: &mut dyn Reply,
) -> Result<Ran, Fault> {
    if node.replication.is_replica() {
        admit_on_replica(node, session, native, argv)?;
    }
    let foreign = effects.is_foreign() && native.writes.is_some();
    if foreign || !is_ordinary(node, session, native, work.keys) {
        return Ok(Ran::Not);
    }
    let sets = (std::slice::from_mut(locks), [0; KEYS]);
    Ok(perform(node, session, native, work, argv, sets, effects, reply))
}

/// Says on a replica what becomes of a script that writes and whose text is not known here; of one that is,
/// its flags and its running say it.
///
/// # Errors
/// That it is for the leader, or refused.
#[cold]
fn admit_on_replica(
    node: &Node,
    session: &mut Session,
    native: &Native,
    argv: Argv<'_>,
) -> Outcome {
    let config = session.config();
    let acts = config.native_scripts && config.replica_read_only && session.door != Door::Leader;
    let sha = argv.get(1).and_then(|sha| registry::parse(sha));
    let unknown = sha.is_some_and(|sha| node.scripts.registry.get(&sha).is_none());
    if !acts || !unknown || native.writes.is_none() {
        return Ok(());
    }
    if session.executing.is_none() && elsewhere::forwards(node, session) {
        return Err(Fault::Elsewhere);
    }
    Err(gate::READ_ONLY)
}

/// Whether nothing is the case that Lua's way has to look at.
fn is_ordinary(node: &Node, session: &mut Session, native: &Native, keys: Argv<'_>) -> bool {
    if keys.is_empty()
        || keys.len() > KEYS
        || session.door == Door::Leader
        || native.writes.is_some() && !may_write(node, session)
        || is_stale(node, session)
        || !session.identity.is_free(node.access.generation())
            && !may_call_all(node, session, native, keys)
    {
        return false;
    }
    let config = session.config();
    config.native_scripts && (config.maxmemory == 0 || room::make(node, config) != Room::Full)
}

/// Whether this node takes writes, and has followers enough for them.
#[inline]
fn may_write(node: &Node, session: &mut Session) -> bool {
    !node.replication.is_replica()
        && gate::admit_write(node, session).is_ok()
        && !node.rare.get().contains(Rare::FEW_REPLICAS)
}

/// Whether this is a replica that is cut off and is not to answer then.
#[inline]
fn is_stale(node: &Node, session: &mut Session) -> bool {
    node.replication.is_replica()
        && !session.config().replica_serve_stale_data
        && !node.replication.is_connected()
}

/// Whether a user who may not do everything may call whatever the script does.
#[cold]
fn may_call_all(node: &Node, session: &mut Session, native: &Native, keys: Argv<'_>) -> bool {
    native.calls.iter().all(|call| {
        keys.iter().enumerate().all(|(at, key)| {
            let touches = !call.writes() || native.writes == Some(at);
            let argv = [call.name().as_bytes(), key, b"0", b"0"];
            let (_, row) = command::numbered(ROWS[*call as usize]);
            let few = row.arity.unsigned_abs().min(argv.len());
            !touches || gate::may_call(node, session, &argv[..few]) == Some(true)
        })
    })
}

/// Which set of locks has which key.
type Places = [u8; KEYS];

/// Locks the keys of a script: a set for each shard, which costs no allocation, in the order in
/// which everybody locks shards.
fn lock<'k>(
    node: &'k Node,
    db: usize,
    native: &Native,
    keys: Argv<'_>,
) -> Result<(SmallVec<[LockSet<'k>; KEYS]>, Places), Contended> {
    let mut order: SmallVec<[(usize, Access, usize); KEYS]> = SmallVec::new();
    for (at, key) in keys.iter().enumerate() {
        let writes = native.writes == Some(at);
        let access = if writes { Access::Exclusive } else { Access::Shared };
        order.push((Place::of(key).shard, access, at));
    }
    // Of a shard, the strongest wish comes first.
    order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    let mut sets: SmallVec<[LockSet<'k>; KEYS]> = SmallVec::new();
    let mut places = [0; KEYS];
    let mut last = None;
    for (shard, access, at) in order {
        if last != Some(shard) {
            sets.push(LockSet::key(&node.keyspace, db, keys[at], access)?);
            last = Some(shard);
        }
        places[at] = (sets.len() - 1) as u8;
    }
    Ok((sets, places))
}

#[expect(clippy::too_many_arguments, reason = "it is all that a script runs with")]
fn perform(
    node: &Node,
    session: &mut Session,
    native: &Native,
    work: Work<'_>,
    argv: Argv<'_>,
    (sets, of): (&mut [LockSet<'_>], Places),
    effects: &mut Effects,
    reply: &mut dyn Reply,
) -> Ran {
    let events = effects.events.len();
    let monitored = node.rare.get().contains(Rare::MONITORED);
    let mut stage = Stage {
        keys: work.keys,
        sets,
        of,
        effects,
        tally: &mut session.tally,
        db: session.db,
        around: surroundings(&mut session.config, session.door, session.rare, session.now),
        called: SmallVec::new(),
        told: monitored.then(Vec::new),
    };
    if (native.run)(&work, &mut stage, reply) == Err(Unsure) {
        // Nothing but reading has happened.
        effects.events.truncate(events);
        return Ran::Not;
    }
    let (called, told) = (stage.called, stage.told);
    if let Some(told) = told {
        tell(node, session, argv, &told);
    }
    if session.tracking.is_some() {
        remember(node, session, work.keys, &called, effects);
    }
    count(node, session, &called);
    Ran::Answered
}

/// Shows those who watch the script and what it has called.
#[cold]
fn tell(node: &Node, session: &Session, argv: Argv<'_>, told: &[Vec<Box<[u8]>>]) {
    watch::tell_of(node, session, argv);
    for words in told {
        let words: SmallVec<[&[u8]; 8]> = words.iter().map(|word| &**word).collect();
        if let Some(row) = command::lookup(words[0]) {
            watch::tell_of_script(node, session.db, row, &words);
        }
    }
}

/// Notes what a client that tracks has read.
#[cold]
fn remember(
    node: &Node,
    session: &Session,
    keys: Argv<'_>,
    called: &[(Inner, usize)],
    effects: &mut Effects,
) {
    // What the transaction has written before takes its note first: this one stays.
    node.invalidate(effects);
    for (call, key) in called.iter().filter(|(call, _)| !call.writes()) {
        let (_, row) = command::numbered(ROWS[*call as usize]);
        node.tracking.remember(node, session, row, &[row.name.as_bytes(), keys[*key], b""]);
    }
}

/// Counts the commands that a script stood for: each with its share of the time.
fn count(node: &Node, session: &mut Session, called: &[(Inner, usize)]) {
    let observer = &node.observer;
    let ns = observer.stopwatch.ns(session.stamp, observer.stopwatch.ticks());
    let share = ns / (called.len().max(1) as u64);
    session.tally.commands += called.len() as u64;
    for (call, _) in called {
        commands::ran(ROWS[*call as usize], share, observer.tracks());
    }
}

/// The numbers of the rows of [`Inner`], in its order.
static ROWS: LazyLock<[Number; Inner::COUNT]> = LazyLock::new(|| {
    Inner::NAMES.map(|name| command::lookup_numbered(name.as_bytes()).map_or(0, |found| found.1))
});

/// What a running script's commands work on.
struct Stage<'a, 'k> {
    keys: Argv<'a>,
    sets: &'a mut [LockSet<'k>],
    of: Places,
    effects: &'a mut Effects,
    tally: &'a mut Tally,
    db: usize,
    around: Surroundings<'a>,
    /// What it has called, on which key.
    called: SmallVec<[(Inner, usize); 8]>,
    /// The same in full, if somebody watches.
    told: Option<Vec<Vec<Box<[u8]>>>>,
}

impl<'k> Stage<'_, 'k> {
    /// Notes that a command was called.
    #[inline]
    fn called(&mut self, call: Inner, key: usize, more: &[&[u8]]) {
        self.called.push((call, key));
        if let Some(told) = &mut self.told {
            let words = [call.name().as_bytes(), self.keys[key]].into_iter();
            told.push(words.chain(more.iter().copied()).map(Box::from).collect());
        }
    }

    /// Reads a key.
    #[inline]
    fn read<R>(
        &mut self,
        key: usize,
        read: impl FnOnce(&ReadView<'_, 'k>, &[u8]) -> Result<R, Unsure>,
    ) -> Result<R, Unsure> {
        let locks = &self.sets[usize::from(self.of[key])];
        let view = ReadView::new(locks, self.db, self.around);
        let found = read(&view, self.keys[key])?;
        self.tally.count(view.lookups());
        self.effects.events.extend(view.missed());
        Ok(found)
    }

    /// Runs the handler of a command that writes.
    fn write(&mut self, call: Inner, key: usize, more: &[&[u8]]) -> Result<(), Unsure> {
        let (_, row) = command::numbered(ROWS[call as usize]);
        let Run::Write(run) = row.run else { return Err(Unsure) };
        let argv = [call.name().as_bytes(), self.keys[key]].into_iter();
        let argv: SmallVec<[&[u8]; 8]> = argv.chain(more.iter().copied()).collect();
        let locks = &mut self.sets[usize::from(self.of[key])];
        let mut view = WriteView::new(locks, self.db, self.around, self.effects);
        write(run, row, &mut view, &argv, &mut Silent::default()).map_err(|_| Unsure)?;
        self.effects.settle(self.db, &argv);
        self.called(call, key, more);
        Ok(())
    }
}

/// The number that an entry is.
#[inline]
fn number(entry: &Entry) -> Result<i64, Unsure> {
    match entry.as_string() {
        Some(StrRef::Integer(number)) if native::is_plain(number) => Ok(number),
        _ => Err(Unsure),
    }
}

impl Ground for Stage<'_, '_> {
    fn number(&mut self, key: usize) -> Result<Option<i64>, Unsure> {
        let found = self.read(key, |view, key| view.get(key).map(number).transpose())?;
        self.called(Inner::Get, key, &[]);
        Ok(found)
    }

    fn answer_text(&mut self, key: usize, reply: &mut dyn Reply) -> Result<(), Unsure> {
        self.read(key, |view, key| {
            match view.get(key).map(|entry| entry.as_string().ok_or(Unsure)).transpose()? {
                Some(StrRef::Bytes(bytes)) => reply.bulk(bytes),
                Some(StrRef::Integer(number)) => reply.bulk_integer(number),
                None => reply.integer(0),
            }
            Ok(())
        })?;
        self.called(Inner::Get, key, &[]);
        Ok(())
    }

    fn fields(&mut self, key: usize, names: &[&[u8]]) -> Result<Numbers, Unsure> {
        let found = self.read(key, |view, key| {
            let hash = hash::live(view, key).map_err(|_| Unsure)?;
            let values = names.iter().map(|name| hash.and_then(|hash| hash.get(name)));
            let read = |text: &[u8]| native::plain(text).ok_or(Unsure);
            values.map(|value| value.map(|text| read(&text)).transpose()).collect()
        })?;
        self.called(Inner::HMGet, key, names);
        Ok(found)
    }

    fn pairs(&mut self, key: usize) -> Result<Pairs, Unsure> {
        let found = self.read(key, |view, key| {
            let hash = hash::live(view, key).map_err(|_| Unsure)?;
            let mut pairs = Pairs::with_room(hash.map_or(0, Live::len));
            for (field, value) in hash.into_iter().flat_map(Live::iter) {
                pairs.push(&field, &value);
            }
            Ok(pairs)
        })?;
        self.called(Inner::HGetAll, key, &[]);
        Ok(found)
    }

    fn are_members(
        &mut self,
        key: usize,
        members: Argv<'_>,
    ) -> Result<SmallVec<[bool; 8]>, Unsure> {
        let found = self.read(key, |view, key| {
            let set = view.collection::<Members>(key).map_err(|_| Unsure)?;
            let has = |member: &&[u8]| set.is_some_and(|set| set.contains(member));
            Ok(members.iter().map(has).collect())
        })?;
        self.called(Inner::SMIsMember, key, members);
        Ok(found)
    }

    fn seconds_left(&mut self, key: usize) -> i64 {
        let now = self.around.now;
        let found = self.read(key, |view, key| Ok(view.peek(key).map(Entry::expires_at)));
        self.called(Inner::Ttl, key, &[]);
        match found {
            Ok(Some(NEVER)) => -1,
            Ok(Some(at)) => expire::seconds(at.saturating_sub(now)) as i64,
            _ => -2,
        }
    }

    fn add(&mut self, key: usize, amount: i64) -> Result<i64, Unsure> {
        let name = self.keys[key];
        let locks = &mut self.sets[usize::from(self.of[key])];
        let mut view = WriteView::new(locks, self.db, self.around, self.effects);
        let changed = view.change(name, |entry| {
            let sum = number(entry)? + amount;
            entry.put_integer(sum);
            Ok::<i64, Unsure>(sum)
        });
        let sum = match changed {
            Some(sum) => sum?,
            None => {
                view.insert(name, Entry::integer(name, amount, NEVER));
                amount
            }
        };
        string_number::tell_sum(&mut view, name);
        let mut digits = itoa::Buffer::new();
        let amount = digits.format(amount).as_bytes();
        self.effects.settle(self.db, &[b"INCRBY", name, amount]);
        self.called(Inner::IncrBy, key, &[amount]);
        Ok(sum)
    }

    fn set_fields(&mut self, key: usize, pairs: &[&[u8]]) -> Result<(), Unsure> {
        self.write(Inner::HSet, key, pairs)
    }

    fn expire(&mut self, key: usize, ms: i64) {
        // A window of moderate length is always taken.
        let _ = self.write(Inner::PExpire, key, &[itoa::Buffer::new().format(ms).as_bytes()]);
    }

    fn set_for(&mut self, key: usize, seconds: i64, value: &[u8]) {
        let seconds = itoa::Buffer::new().format(seconds).as_bytes().to_vec();
        // The time is positive.
        let _ = self.write(Inner::SetEx, key, &[&seconds, value]);
    }
}
