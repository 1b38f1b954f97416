//! HyperLogLogs: how many different elements there were, in strings of a few KiB.
//!
//! PFCOUNT keeps its result in the value, as in Redis, so that counting again costs nothing.
//! It still counts as a reader: a replica answers it, without keeping anything of its own.

use super::args::is;
use super::string::string_of;
use super::{Argv, Command, Family, Flags, Group, Keys, Run};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Entry, NEVER, ReadView, StrRef, Value, WriteView};
use crate::node::Node;
use crate::resp::Reply;
use crate::session::Session;
use crate::value::hyperloglog::{self, Corrupted, Disagreement, Encoding, Registers};

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        complexity: "O(1) to add every element.",
        ..HYPERLOGLOG.row(
            "pfadd",
            "key [element [element ...]]",
            "Adds elements to a HyperLogLog key. Creates the key if it doesn't exist.",
            "2.8.9",
            -2,
            Flags::DENYOOM.union(Flags::FAST),
            Run::Write(pfadd),
        )
    },
    Command {
        complexity: "O(1) with a very small average constant time when called with a single key. O(N) with N being the number of keys, and much bigger constant times, when called with multiple keys.",
        keys: Keys::ALL,
        ..HYPERLOGLOG.row(
            "pfcount",
            "key [key ...]",
            "Returns the approximated cardinality of the set(s) observed by the HyperLogLog key(s).",
            "2.8.9",
            -2,
            Flags::empty(),
            Run::Remember(pfcount),
        )
    },
    Command {
        complexity: "O(N) to merge N HyperLogLogs, but with high constant times.",
        keys: Keys::ALL,
        ..HYPERLOGLOG.row(
            "pfmerge",
            "destkey [sourcekey [sourcekey ...]]",
            "Merges one or more HyperLogLog values into a single key.",
            "2.8.9",
            -2,
            Flags::DENYOOM,
            Run::Write(pfmerge),
        )
    },
    Command {
        keys: Keys::At { first: 2, last: 2, step: 1 },
        ..HYPERLOGLOG.row(
            "pfdebug",
            "<GETREG | DECODE | ENCODING | TODENSE> key",
            "Internal commands for debugging HyperLogLog values.",
            "2.8.9",
            3,
            Flags::DENYOOM.union(Flags::ADMIN),
            Run::Write(pfdebug),
        )
    },
    Command {
        keys: Keys::None,
        ..HYPERLOGLOG.row(
            "pfselftest",
            "",
            "An internal command for testing HyperLogLog values.",
            "2.8.9",
            1,
            Flags::ADMIN,
            Run::Session(pfselftest),
        )
    },
];

/// What the rows of this family have in common.
const HYPERLOGLOG: Family = Family { group: Group::HyperLogLog, complexity: "N/A" };

const NOT_ONE: Fault = Fault::new("WRONGTYPE Key is not a valid HyperLogLog string value.");

impl From<Corrupted> for Fault {
    fn from(corrupted: Corrupted) -> Fault {
        Fault::text(format!("INVALIDOBJ {corrupted}"))
    }
}

/// The HyperLogLog under a key and how it keeps its registers; `None` when there is no key.
fn find<'a>(view: &ReadView<'a, '_>, key: &[u8]) -> Result<Option<(&'a [u8], Encoding)>, Fault> {
    let Some(entry) = view.get(key) else { return Ok(None) };
    let StrRef::Bytes(bytes) = string_of(entry)? else { return Err(NOT_ONE) };
    Ok(Some((bytes, hyperloglog::encoding(bytes).ok_or(NOT_ONE)?)))
}

/// Puts an empty HyperLogLog under a key that is absent.
fn create(view: &mut WriteView<'_, '_>, key: &[u8]) {
    view.insert(key, Entry::object(key, Value::String(hyperloglog::empty()), NEVER));
}

/// Changes the HyperLogLog under a key that is there.
fn change<R>(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    change: impl FnOnce(&mut Vec<u8>) -> Result<R, Corrupted>,
) -> Result<R, Fault> {
    let changed = view.change(key, |entry| change(entry.string_mut()));
    Ok(changed.ok_or(Fault::NO_KEY)??)
}

/// Says that a HyperLogLog has changed.
fn changed(view: &mut WriteView<'_, '_>, key: &[u8]) {
    view.modified(key);
    view.notify(Classes::STRING, "pfadd", key);
}

fn pfadd(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, elements) = (argv[1], &argv[2..]);
    let limits = view.around.config.encodings.hyperloglog;
    // The log must know when the key is due.
    view.exists(key);
    let fresh = match find(&view.as_read(), key)? {
        Some((bytes, _)) => {
            hyperloglog::check(bytes)?;
            false
        }
        None => true,
    };
    if fresh {
        create(view, key);
    }
    let raised = change(view, key, |bytes| {
        let mut raised = false;
        for element in elements {
            raised |= hyperloglog::add(bytes, element, limits)?;
        }
        if raised || fresh {
            hyperloglog::forget(bytes);
        }
        Ok(raised)
    })?;
    if raised || fresh {
        changed(view, key);
    }
    reply.integer(i64::from(raised || fresh));
    Ok(())
}

fn pfcount(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    // As a reader, so that a replica frees nothing that its leader still has.
    let read = view.as_read();
    let [key] = &argv[1..] else {
        let mut registers = Registers::new();
        for key in &argv[1..] {
            if let Some((bytes, _)) = find(&read, key)? {
                registers.merge(bytes)?;
            }
        }
        reply.integer(registers.estimate() as i64);
        return Ok(());
    };
    let Some((bytes, _)) = find(&read, key)? else {
        reply.integer(0);
        return Ok(());
    };
    let estimate = match hyperloglog::remembered(bytes) {
        Some(estimate) => estimate,
        None => {
            let estimate = hyperloglog::estimate(bytes)?;
            remember(view, key, estimate);
            estimate
        }
    };
    reply.integer(estimate as i64);
    Ok(())
}

/// Keeps an estimate in the value. On a replica only its leader's stream says so, which has
/// all that has changed.
fn remember(view: &mut WriteView<'_, '_>, key: &[u8], estimate: u64) {
    if view.asked_on_replica() {
        return;
    }
    view.change(key, |entry| hyperloglog::remember(entry.string_mut(), estimate));
    view.modified(key);
}

fn pfmerge(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let target = argv[1];
    let limits = view.around.config.encodings.hyperloglog;
    let mut registers = Registers::new();
    let mut dense = false;
    for key in &argv[1..] {
        if let Some((bytes, encoding)) = find(&view.as_read(), key)? {
            dense |= encoding == Encoding::Dense;
            registers.merge(bytes)?;
        }
    }
    if !view.exists(target) {
        create(view, target);
    }
    change(view, target, |bytes| {
        if dense {
            hyperloglog::make_dense(bytes)?;
        }
        hyperloglog::raise_all(bytes, &registers, limits)
    })?;
    changed(view, target);
    reply.ok();
    Ok(())
}

fn pfdebug(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (word, key) = (argv[1], argv[2]);
    let Some((bytes, encoding)) = find(&view.as_read(), key)? else {
        return Err(Fault::new("ERR The specified key does not exist"));
    };
    if is(word, "GETREG") {
        let mut registers = Registers::new();
        registers.merge(bytes)?;
        make_dense(view, key)?;
        let values: Vec<i64> = registers.values().iter().map(|value| i64::from(*value)).collect();
        reply.integers(&values);
    } else if is(word, "DECODE") {
        if encoding == Encoding::Dense {
            return Err(Fault::new("ERR HLL encoding is not sparse"));
        }
        reply.bulk(hyperloglog::describe(bytes).as_bytes());
    } else if is(word, "ENCODING") {
        reply.status(match encoding {
            Encoding::Dense => "dense",
            Encoding::Sparse => "sparse",
        });
    } else if is(word, "TODENSE") {
        let made = make_dense(view, key)?;
        reply.integer(i64::from(made));
    } else {
        let word = String::from_utf8_lossy(word);
        return Err(Fault::text(format!("ERR Unknown PFDEBUG subcommand '{word}'")));
    }
    Ok(())
}

fn make_dense(view: &mut WriteView<'_, '_>, key: &[u8]) -> Result<bool, Fault> {
    let made = change(view, key, hyperloglog::make_dense)?;
    if made {
        view.modified(key);
    }
    Ok(made)
}

fn pfselftest(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    match hyperloglog::self_test() {
        Ok(()) => reply.ok(),
        Err(Disagreement { count, estimate }) => {
            return Err(Fault::text(format!("TESTFAILED {count} elements counted as {estimate}")));
        }
    }
    Ok(())
}
