//! What is noted of commands, and what makes them take the long way: pauses, MONITOR.
//!
//! The common case is one question before a command (`Rare` is empty) and one reading of the
//! processor's counter behind it; the rest is here, and cold.

use super::{elsewhere, gate, run_or_queue, transaction};
use crate::clock;
use crate::command::{self, Argv, Command, Control, Flags, Number, Run};
use crate::fault::{Fault, Outcome};
use crate::node::Node;
use crate::observe::commands;
use crate::observe::latency::Happening;
use crate::observe::monitors::Monitors;
use crate::rare::Rare;
use crate::replicate::enough;
use crate::resp::Reply;
use crate::session::{Door, Session};

/// Runs a command that the gate has let in while something rare is the case.
#[cold]
pub(super) fn run(
    node: &Node,
    session: &mut Session,
    command: &'static Command,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    if session.rare.intersects(Rare::APART) {
        elsewhere::before(node, session, command).map_err(|fault| match fault {
            // An EXEC that is refused ends its transaction.
            Fault::Text(_) => transaction::refused(node, session, argv, fault),
            fault => fault,
        })?;
    }
    if session.door != Door::Leader && is_write(session, command) {
        enough::admit(node).map_err(|few| transaction::refused(node, session, argv, few))?;
    }
    if holds(node, session, command) {
        return Err(hold(session));
    }
    session.held = false;
    let touches = session.rare.contains(Rare::NO_TOUCH) && command.name == "touch";
    session.rare.set(Rare::NO_TOUCH, session.rare.contains(Rare::NO_TOUCH) && !touches);
    let queued = session.queue.is_some() && !command.flags.contains(Flags::NOT_QUEUED);
    let outcome = run_or_queue(node, session, command, argv, reply);
    session.rare.set(Rare::NO_TOUCH, session.rare.contains(Rare::NO_TOUCH) || touches);
    if !queued && outcome != Err(Fault::Contended) {
        tell(node, session, command, argv);
    }
    outcome
}

/// Tells those who watch of a command that was run.
pub(super) fn tell(node: &Node, session: &Session, command: &Command, argv: Argv<'_>) {
    // What operators ask is not shown, as in Redis; scripts are shown before what they call.
    let hidden = command.flags.intersects(Flags::SKIP_MONITOR | Flags::ADMIN)
        || matches!(command.run, Run::Script(_));
    if !hidden && node.rare.get().contains(Rare::MONITORED) && session.door != Door::Leader {
        Monitors::tell(node, session.db, &session.client.peer, argv);
    }
}

/// Tells them of a script that is about to run.
pub(super) fn tell_of(node: &Node, session: &Session, argv: Argv<'_>) {
    if node.rare.get().contains(Rare::MONITORED) && session.door != Door::Leader {
        Monitors::tell(node, session.db, &session.client.peer, argv);
    }
}

/// Tells them of a command that a script calls.
#[cold]
pub(super) fn tell_of_script(node: &Node, db: usize, command: &Command, argv: Argv<'_>) {
    if !command.flags.intersects(Flags::SKIP_MONITOR | Flags::ADMIN) {
        Monitors::tell(node, db, "lua", argv);
    }
}

/// Whether CLIENT PAUSE holds a command.
pub(super) fn holds(node: &Node, session: &Session, command: &Command) -> bool {
    let rare = node.rare.get();
    // Who watches counts as a replica, and those are never held.
    if !rare.contains(Rare::HOLDS_WRITES) || session.rare.contains(Rare::MONITORS) {
        return false;
    }
    rare.contains(Rare::HOLDS_ALL) || may_replicate(session, command)
}

/// Whether a command writes keys, or is the EXEC of one that does.
fn is_write(session: &Session, command: &Command) -> bool {
    match command.run {
        Run::Transaction(Control::Execute) => session.queue.as_ref().is_some_and(|queue| {
            let argvs = queue.commands.iter().map(|argv| argv.iter().map(|a| &**a).collect());
            argvs.into_iter().any(|argv: Vec<&[u8]>| gate::find(&argv).is_ok_and(Command::writes))
        }),
        _ => command.writes(),
    }
}

/// Whether a command may write, or have replicas do something.
fn may_replicate(session: &Session, command: &Command) -> bool {
    const MAY: [&str; 9] = [
        "publish",
        "spublish",
        "eval",
        "evalsha",
        "eval_ro",
        "evalsha_ro",
        "fcall",
        "fcall_ro",
        "pfcount",
    ];
    match command.run {
        Run::Write(_) | Run::Remember(_) => true,
        Run::Transaction(Control::Execute) => session.queue.as_ref().is_some_and(|queue| {
            let argvs = queue.commands.iter().map(|argv| argv.iter().map(|a| &**a).collect());
            argvs.into_iter().any(|argv: Vec<&[u8]>| {
                gate::find(&argv).is_ok_and(|command| may_replicate(session, command))
            })
        }),
        _ => MAY.contains(&command.name),
    }
}

/// Has a command wait: nothing has happened, and its connection sleeps until it is woken.
#[cold]
pub(super) fn hold(session: &mut Session) -> Fault {
    session.held = true;
    Fault::Contended
}

/// Notes that a command has ended which began at `start`.
#[inline]
pub(super) fn ended(
    node: &Node,
    session: &mut Session,
    number: Number,
    start: u64,
    argv: Argv<'_>,
) {
    let observer = &node.observer;
    let end = observer.stopwatch.ticks();
    let ns = observer.stopwatch.ns(start, end);
    session.stamp = end;
    commands::ran(number, ns, observer.tracks());
    if ns >= observer.alarm_ns() {
        slow(node, session, number, argv, ns);
    }
}

/// Keeps a command that took long.
#[cold]
fn slow(node: &Node, session: &mut Session, number: Number, argv: Argv<'_>, ns: u64) {
    let (_, command) = command::numbered(number);
    let now = clock::unix_ms() / 1000;
    let (micros, millis) = (ns / 1000, ns / 1_000_000);
    let config = session.config.load();
    let from = config.latency_monitor_threshold;
    if from > 0 && millis >= from {
        let fast = command.flags.contains(Flags::FAST);
        let event = if fast { Happening::FastCommand } else { Happening::Command };
        node.observer.latency.add(event, now, millis);
    }
    let slower = u64::try_from(config.slowlog_log_slower_than).unwrap_or(u64::MAX);
    if micros >= slower && !command.flags.contains(Flags::SKIP_SLOWLOG) {
        let most = usize::try_from(config.slowlog_max_len).unwrap_or(usize::MAX);
        node.observer.slowlog.add(&session.client, argv, now, micros, most);
    }
}

/// Counts an error, and whose it is: of a command that was run, or was refused before; of none,
/// if there is no such command.
#[cold]
pub(super) fn failed(
    node: &Node,
    session: &mut Session,
    text: &str,
    number: Option<Number>,
    ran: bool,
) {
    session.tally.errors += 1;
    node.observer.errors.count(text);
    match number {
        Some(number) if ran => commands::failed(number),
        Some(number) => commands::rejected(number),
        None => {}
    }
}
