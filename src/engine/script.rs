//! Runs scripts: EVAL and its kin.
//!
//! A script is one request. Its declared keys are locked at first, and every command that it
//! calls runs under the same locks, by the same handlers, into the same effects, so nobody sees
//! its middle and its effects are in the log together; time stands still in it.
//!
//! A key that it did not declare is locked when it is wanted, with the others still held, if the
//! script holds the node's one turn to do so. A script with `allow-key-locking` is refused
//! such keys, takes no turn, and so runs beside others.
//!
//! *Why this cannot deadlock*: everybody else takes locks by try and holds none while they wait.
//! Scripts without a turn never take a second round of locks, so they end by themselves. Those
//! with a turn are one at a time. A script that waits for a lock therefore waits for something
//! that does not wait for it; how long is bounded, since that may be another script.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use smallvec::SmallVec;

use super::room::{self, Room};
use super::{elsewhere, finish, gate, native, run_locked, waits, want, watch};
use crate::clock;
use crate::command::args::integer;
use crate::command::{self, Argv, Command, Flags, Keys, Script, ScriptBy};
use crate::fault::{Fault, Outcome, shown};
use crate::keyspace::{Access, Effects, LockSet, Wanted};
use crate::limits::SCRIPT_PATIENCE_MS;
use crate::node::Node;
use crate::rare::Rare;
use crate::replicate::enough;
use crate::resp::{Reply, RespReply, answer};
use crate::script::busy::{Pace, Verdict};
use crate::script::native::{Native, Work};
use crate::script::{Answered, Compiled, Host, Origin, Ran, ScriptFlags, Vm, registry};
use crate::session::{Door, Session};

/// What a script is run with.
struct Call<'a> {
    argv: Argv<'a>,
    keys: &'a [&'a [u8]],
    arguments: &'a [&'a [u8]],
}

impl<'a> Call<'a> {
    /// Reads the number of keys.
    fn read(argv: Argv<'a>, by: ScriptBy) -> Result<Call<'a>, Fault> {
        // Redis says so of what cannot be a digest before it counts keys.
        if by == ScriptBy::Digest && argv[1].len() != 40 {
            return Err(registry::NO_SCRIPT);
        }
        let keys = integer(argv[2]).map_err(|fault| match by {
            ScriptBy::Function => Fault::new("ERR Bad number of keys provided"),
            _ => fault,
        })?;
        if keys > (argv.len() - 3) as i64 {
            return Err(Fault::new("ERR Number of keys can't be greater than number of args"));
        }
        let keys = usize::try_from(keys)
            .map_err(|_| Fault::new("ERR Number of keys can't be negative"))?;
        let (keys, arguments) = argv[3..].split_at(keys);
        Ok(Call { argv, keys, arguments })
    }
}

/// What a script may do.
#[derive(Clone, Copy)]
struct Rules {
    read_only: bool,
    flags: ScriptFlags,
}

impl Rules {
    /// The rules of a script.
    ///
    /// # Errors
    /// Why it may not run now.
    fn of(
        node: &Node,
        session: &mut Session,
        script: Script,
        flags: ScriptFlags,
    ) -> Result<Rules, Fault> {
        let plain = flags.contains(ScriptFlags::PLAIN);
        let writes = !flags.contains(ScriptFlags::NO_WRITES);
        if node.replication.is_replica() && session.door != Door::Leader {
            let stale =
                !session.config().replica_serve_stale_data && !node.replication.is_connected();
            if stale && !flags.contains(ScriptFlags::ALLOW_STALE) {
                return Err(if plain { gate::STALE } else { STALE });
            }
            if !plain && writes && session.config().replica_read_only {
                if session.executing.is_none() && elsewhere::forwards(node, session) {
                    return Err(Fault::Elsewhere);
                }
                return Err(Fault::new(
                    "READONLY Can not run script with write flag on readonly replica.",
                ));
            }
        }
        if !plain && writes && session.door != Door::Leader {
            enough::admit(node)?;
        }
        if !plain && writes && script.read_only {
            return Err(Fault::new(
                "ERR Can not execute a script with write flag using *_ro command.",
            ));
        }
        Ok(Rules { read_only: script.read_only || (!plain && !writes), flags })
    }

    /// Whether the script keeps to the keys that it is given.
    fn keeps_to_keys(self) -> bool {
        self.flags.contains(ScriptFlags::ALLOW_KEY_LOCKING)
    }
}

const STALE: Fault = Fault::new(
    "MASTERDOWN Link with MASTER is down, replica-serve-stale-data is set to 'no' and \
     'allow-stale' flag is not set on the script.",
);

/// Runs a script as a request of its own.
pub(super) fn run(
    node: &Node,
    session: &mut Session,
    script: Script,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let found = find(node, script, argv, |native, work| {
        native::run(node, session, native, work, argv, reply)
    })?;
    let Found::Lua(call, vm, compiled) = found else { return Ok(()) };
    let rules = Rules::of(node, session, script, compiled.flags)?;
    let full = is_full(node, session, rules)?;
    let _turn = match rules.keeps_to_keys() {
        true => None,
        false => Some(node.scripts.busy.turn()?),
    };
    let access = access(rules);
    let mut wanted: SmallVec<[Wanted; 8]> =
        call.keys.iter().map(|key| Wanted::key(session.db, key, access)).collect();
    let mut locks = LockSet::all(&node.keyspace, &mut wanted)?;
    if locks.is_awaited() && !rules.read_only {
        drop(locks);
        let keys: Vec<_> = call.keys.iter().map(|key| (session.db, *key)).collect();
        locks = waits::lock_with_served(node, &mut wanted, &keys)?;
    }
    // Taken out, since the commands get the session as well.
    let mut effects = std::mem::take(&mut session.effects);
    node.begin(&mut effects);
    watch::tell_of(node, session, argv);
    let may_leave = !rules.read_only && elsewhere::forwards(node, session);
    let stage = Stage::new(node, session, &call, &compiled, rules, full, &mut locks, &mut effects);
    let outcome = if may_leave {
        perform_or_leave(stage, &vm, &compiled, reply)
    } else {
        perform(stage, &vm, &compiled, reply)
    };
    // The locks of what was changed are still held: the log has the order of changes.
    node.record(&mut effects);
    waits::serve_after_script(node, session, &mut locks, &mut effects);
    drop(locks);
    session.effects = effects;
    finish(session);
    outcome
}

/// Runs a script within a transaction, which holds the turn, and every lock for writing.
pub(super) fn run_within(
    node: &Node,
    session: &mut Session,
    script: Script,
    argv: Argv<'_>,
    locks: &mut LockSet<'_>,
    effects: &mut Effects,
    reply: &mut dyn Reply,
) -> Outcome {
    let found = find(node, script, argv, |native, work| {
        native::run_within(node, session, native, work, argv, (locks, effects), reply)
    })?;
    let Found::Lua(call, vm, compiled) = found else { return Ok(()) };
    let rules = Rules::of(node, session, script, compiled.flags)?;
    let config = session.config();
    let full = config.maxmemory > 0 && node.memory.counted() > config.maxmemory;
    let full = full && config.maxmemory_policy == crate::config::EvictionPolicy::NoEviction;
    watch::tell_of(node, session, argv);
    let stage = Stage::new(node, session, &call, &compiled, rules, full, locks, effects);
    perform(stage, &vm, &compiled, reply)
}

/// A script that was found.
enum Found<'a> {
    /// It has a native form, and that has run.
    Done,
    /// It is to be run by Lua.
    Lua(Call<'a>, Rc<Vm>, Rc<Compiled>),
}

/// Finds a script by what names it, and has `run` run its native form if there is one. By its
/// digest that needs no text, so a node knows it before anybody has loaded it.
fn find<'a>(
    node: &Node,
    script: Script,
    argv: Argv<'a>,
    run: impl FnOnce(&Native, Work<'a>) -> Result<native::Ran, Fault>,
) -> Result<Found<'a>, Fault> {
    if script.by == ScriptBy::Function {
        // Redis looks for the function first.
        let (vm, compiled) = Vm::of_function(&node.scripts, argv[1])?;
        return Ok(Found::Lua(Call::read(argv, script.by)?, vm, compiled));
    }
    let call = Call::read(argv, script.by)?;
    let work = Work { keys: call.keys, arguments: call.arguments };
    if script.by == ScriptBy::Digest {
        let native = registry::parse(argv[1]).and_then(|sha| crate::script::native::find(&sha));
        if let Some(native) = native.filter(|_| !script.read_only)
            && run(native, work)? == native::Ran::Answered
        {
            return Ok(Found::Done);
        }
        let (vm, compiled) = Vm::of_digest(&node.scripts, argv[1])?;
        return Ok(Found::Lua(call, vm, compiled));
    }
    let (vm, compiled) = Vm::of_text(&node.scripts, argv[1], Origin::Eval)?;
    if let Some(native) = compiled.native.filter(|_| !script.read_only)
        && run(native, work)? == native::Ran::Answered
    {
        return Ok(Found::Done);
    }
    Ok(Found::Lua(call, vm, compiled))
}

/// Whether memory is full.
///
/// # Errors
/// When it is, and the script does not run then.
fn is_full(node: &Node, session: &mut Session, rules: Rules) -> Result<bool, Fault> {
    let config = session.config();
    if config.maxmemory == 0 || room::make(node, config) != Room::Full {
        return Ok(false);
    }
    let allowed = ScriptFlags::PLAIN | ScriptFlags::ALLOW_OOM | ScriptFlags::NO_WRITES;
    if !rules.flags.intersects(allowed) {
        return Err(Fault::new(
            "OOM allow-oom flag is not set on the script, can not run it when used memory > \
             'maxmemory'",
        ));
    }
    Ok(!rules.flags.contains(ScriptFlags::ALLOW_OOM))
}

/// How the keys of a script are locked: those of one that may write for writing, all of them,
/// since a lock to read cannot become one to write.
fn access(rules: Rules) -> Access {
    if rules.read_only { Access::Shared } else { Access::Exclusive }
}

fn perform(
    mut stage: Stage<'_, '_>,
    vm: &Rc<Vm>,
    compiled: &Compiled,
    reply: &mut dyn Reply,
) -> Outcome {
    let (keys, arguments) = (stage.call.keys, stage.call.arguments);
    let db = stage.session.db;
    let ran = crate::script::run(vm, compiled, keys, arguments, &mut stage, reply);
    // A script may select a database; its caller's stays.
    stage.session.db = db;
    match ran {
        Ran::Answered => Ok(()),
        Ran::Failed(fault) => Err(fault),
    }
}

/// Runs a script of which only its running tells whether it writes, on a replica that hands
/// writes on. What it has answered counts only if it has not wanted to.
#[cold]
fn perform_or_leave(
    mut stage: Stage<'_, '_>,
    vm: &Rc<Vm>,
    compiled: &Compiled,
    reply: &mut dyn Reply,
) -> Outcome {
    let (mut answer, leaves) = (Vec::new(), Rc::new(Cell::new(false)));
    let most = match stage.session.config().client_output_buffer_limit.normal.hard {
        0 => usize::MAX,
        most => usize::try_from(most).unwrap_or(usize::MAX),
    };
    let mut kept = RespReply::bounded(&mut answer, reply.protocol(), most);
    stage.leaves = Some(Rc::clone(&leaves));
    let outcome = perform(stage, vm, compiled, &mut kept);
    if leaves.get() {
        return Err(Fault::Elsewhere);
    }
    if kept.is_cut() {
        return Err(Fault::new("ERR the answer of the script is too large to be sent"));
    }
    if outcome.is_ok() {
        answer::relay(&answer, reply);
    }
    outcome
}

/// What a running script's commands work on.
struct Stage<'a, 'k> {
    node: &'a Node,
    session: &'a mut Session,
    call: &'a Call<'a>,
    name: &'a str,
    rules: Rules,
    /// Whether memory was full when the script started.
    full: bool,
    locks: &'a mut LockSet<'k>,
    effects: &'a mut Effects,
    pace: Pace<'a>,
    calls: u32,
    /// Set when the script wants to write, where its leader is to do that.
    leaves: Option<Rc<Cell<bool>>>,
}

/// Calls between two looks at the time: a command may take long.
const LOOK_EVERY: u32 = 64;

impl<'a, 'k> Stage<'a, 'k> {
    #[expect(clippy::too_many_arguments, reason = "it is all that a stage is made of")]
    fn new(
        node: &'a Node,
        session: &'a mut Session,
        call: &'a Call<'a>,
        compiled: &'a Compiled,
        rules: Rules,
        full: bool,
        locks: &'a mut LockSet<'k>,
        effects: &'a mut Effects,
    ) -> Stage<'a, 'k> {
        let pace = Pace::new(node, compiled.kind);
        Stage {
            node,
            session,
            call,
            name: &compiled.name,
            rules,
            full,
            locks,
            effects,
            pace,
            calls: 0,
            leaves: None,
        }
    }

    /// Asks whether the script may call a command now.
    fn admit(&mut self, argv: Argv<'_>) -> Result<&'static Command, Fault> {
        let command = gate::admit_in_script(self.node, self.session, argv)?;
        if self.rules.read_only && (command.writes() || gate::may_replicate(command)) {
            return Err(Fault::new("ERR Write commands are not allowed from read-only scripts."));
        }
        // What it publishes is heard once, from where it writes.
        if let Some(leaves) = &self.leaves
            && (command.writes() || matches!(command.name, "publish" | "spublish"))
        {
            leaves.set(true);
            return Err(gate::READ_ONLY);
        }
        if command.writes() {
            self.admit_write()?;
        }
        // In the middle of a change, stopping would be worse.
        if self.full && command.flags.contains(Flags::DENYOOM) && !self.pace.has_written() {
            return Err(gate::OUT_OF_MEMORY);
        }
        Ok(command)
    }

    /// Asks whether the script may write. With locks held that is decided: a node that begins to
    /// follow lets those end who write.
    fn admit_write(&mut self) -> Result<(), Fault> {
        match (self.locks.is_empty(), self.effects.is_foreign()) {
            (true, _) => gate::admit_write(self.node, self.session),
            (false, true) => gate::admit_late(self.session, true),
            (false, false) => Ok(()),
        }
    }

    /// Locks what a command wants and the script has not.
    fn reach(&mut self, command: &Command, argv: Argv<'_>) -> Result<(), Fault> {
        let (db, access) = (self.session.db, access(self.rules));
        match command.keys {
            Keys::None => return Ok(()),
            Keys::At { first, last, .. } if last == first as isize => {
                if self.rules.keeps_to_keys() {
                    self.keep_to_keys(argv[first])?;
                }
                let wanted = Wanted::key(db, argv[first], access);
                if self.locks.holds(wanted) {
                    return Ok(());
                }
            }
            Keys::Roaming | Keys::Database if self.locks.holds_database(db) => return Ok(()),
            _ => {}
        }
        self.reach_further(command, argv)
    }

    #[cold]
    fn reach_further(&mut self, command: &Command, argv: Argv<'_>) -> Result<(), Fault> {
        let (db, access) = (self.session.db, access(self.rules));
        let mut wanted: SmallVec<[Wanted; 8]> = SmallVec::new();
        want(self.node, db, command, argv, &mut wanted);
        if matches!(command.keys, Keys::Everything) {
            let databases = 0..self.node.keyspace.databases();
            wanted.extend(databases.flat_map(|db| Wanted::database(db, access)));
        }
        if self.rules.keeps_to_keys() {
            let keys = SmallVec::<[usize; 8]>::from_iter(command.keys.positions(argv));
            if wanted.len() > keys.len() {
                return Err(Fault::new(
                    "ERR This Redis command is not allowed in Lua scripts when \
                     'allow-key-locking' flag is set",
                ));
            }
            for at in keys {
                self.keep_to_keys(command.keys.key_in(argv[at]))?;
            }
        }
        wanted.iter_mut().for_each(|wanted| wanted.access = access);
        let bare = self.locks.is_empty();
        let start = clock::instant();
        while self.locks.extend(&mut wanted).is_err() {
            let waited = start.elapsed();
            if waited > Duration::from_millis(SCRIPT_PATIENCE_MS) {
                return Err(Fault::Contended);
            }
            if self.look() == Verdict::Killed {
                return Err(Fault::Contended);
            }
            std::thread::yield_now();
        }
        if bare {
            // Whether there is a log to write is sure only as long as something is locked.
            self.node.begin(self.effects);
            if command.writes() {
                self.admit_write()?;
            }
        }
        Ok(())
    }

    /// Refuses a key that the script was not given.
    fn keep_to_keys(&self, key: &[u8]) -> Result<(), Fault> {
        if self.call.keys.contains(&key) {
            return Ok(());
        }
        Err(Fault::text(format!(
            "ERR Dynamic keys are not allowed in Lua scripts when 'allow-key-locking' flag is \
             set. Key was: {}",
            shown(key, 128)
        )))
    }

    /// Whether the script is for the leader.
    fn has_left(&self) -> bool {
        self.leaves.as_ref().is_some_and(|leaves| leaves.get())
    }

    fn try_call(&mut self, argv: Argv<'_>, reply: &mut dyn Reply) -> Result<(), Fault> {
        let command = self.admit(argv)?;
        self.reach(command, argv)?;
        if command.writes() && self.pace.writes() == Verdict::Killed {
            return Err(Fault::Contended);
        }
        self.session.tally.commands += 1;
        if self.node.rare.get().contains(Rare::MONITORED) {
            watch::tell_of_script(self.node, self.session.db, command, argv);
        }
        let start = self.session.stamp;
        let outcome =
            run_locked(self.node, self.session, command, argv, self.locks, self.effects, reply);
        watch::ended(self.node, self.session, command::number(command), start, argv);
        outcome
    }
}

impl Host for Stage<'_, '_> {
    fn call(&mut self, argv: Argv<'_>, reply: &mut dyn Reply) -> Answered {
        self.calls = self.calls.wrapping_add(1);
        if self.calls.is_multiple_of(LOOK_EVERY) && self.look() == Verdict::Killed {
            return Answered::Killed;
        }
        match self.try_call(argv, reply) {
            _ if self.has_left() => Answered::Killed,
            Ok(()) => Answered::Yes,
            Err(Fault::Contended) if self.pace.verdict() == Verdict::Killed => Answered::Killed,
            Err(fault) => {
                self.session.tally.errors += 1;
                Answered::Failed(fault)
            }
        }
    }

    fn may_call(&mut self, argv: Argv<'_>) -> Option<bool> {
        gate::may_call(self.node, self.session, argv)
    }

    fn look(&mut self) -> Verdict {
        if self.has_left() {
            return Verdict::Killed;
        }
        self.pace.look(self.call.argv, self.name)
    }
}
