//! OBJECT: how a value is kept.
//!
//! Values are not shared here, but REFCOUNT says so of the small numbers that Redis shares.
//! To ask is no use of the key.

use super::keys::GENERIC;
use super::{Argv, Command, Flags, Keys, Run, help};
use crate::config::Config;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Entry, ReadView, StrRef};
use crate::node::Node;
use crate::resp::Reply;
use crate::session::Session;

/// The subcommands.
pub const SUBCOMMANDS: &[Command] = &[
    sub("encoding", "Returns the internal encoding of an object.", "2.2.3", encoding),
    sub("freq", "Returns the logarithmic access frequency counter of an object.", "4.0.0", freq),
    sub("idletime", "Returns the time since the last access to an object.", "2.2.3", idletime),
    sub("refcount", "Returns the reference count of a value of a key.", "2.2.3", refcount),
    Command {
        keys: Keys::None,
        flags: Flags::LOADING.union(Flags::STALE),
        run: Run::Session(show_help),
        arity: 2,
        syntax: "",
        ..sub("help", "Returns helpful text about the different subcommands.", "6.2.0", encoding)
    },
];

const NO_LFU: Fault = Fault::new(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
);

const NO_LRU: Fault = Fault::new(
    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
);

const fn sub(
    name: &'static str,
    summary: &'static str,
    since: &'static str,
    run: super::ReadRun,
) -> Command {
    let keys = Keys::At { first: 2, last: 2, step: 1 };
    Command { keys, ..GENERIC.row(name, "key", summary, since, 3, Flags::empty(), Run::Read(run)) }
}

/// Answers what `say` says of the entry, or null when there is no key.
fn of_entry(
    view: &ReadView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
    say: impl FnOnce(&Entry, &mut dyn Reply) -> Outcome,
) -> Outcome {
    match view.peek(argv[2]) {
        Some(entry) => say(entry, reply),
        None => {
            reply.null();
            Ok(())
        }
    }
}

fn encoding(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    of_entry(view, argv, reply, |entry, reply| {
        reply.bulk(entry.encoding().as_bytes());
        Ok(())
    })
}

fn freq(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    of_entry(view, argv, reply, |_, reply| {
        if !view.around.config.maxmemory_policy.is_lfu() {
            return Err(NO_LFU);
        }
        let usage = view.usage(argv[2]).unwrap_or_default();
        reply.integer(usage.frequency(view.around.tick, view.around.scale()).into());
        Ok(())
    })
}

fn idletime(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    of_entry(view, argv, reply, |_, reply| {
        if view.around.config.maxmemory_policy.is_lfu() {
            return Err(NO_LRU);
        }
        let usage = view.usage(argv[2]).unwrap_or_default();
        reply.integer(usage.idle_s(view.around.tick).into());
        Ok(())
    })
}

fn refcount(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    of_entry(view, argv, reply, |entry, reply| {
        reply.integer(if looks_shared(entry, view.around.config) {
            i64::from(i32::MAX)
        } else {
            1
        });
        Ok(())
    })
}

/// Whether the value is one that Redis keeps once for all keys, as long as it need not know
/// when each of them was used: clients know it by its count.
fn looks_shared(entry: &Entry, config: &Config) -> bool {
    let policy = config.maxmemory_policy;
    let apart = config.maxmemory > 0 && (policy.is_lru() || policy.is_lfu());
    !apart && matches!(entry.as_string(), Some(StrRef::Integer(0..=9999)))
}

fn show_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    help(
        "OBJECT",
        &[
            ("ENCODING <key>", "Return how the value of <key> is kept in memory."),
            ("FREQ <key>", "Return how often the <key> is accessed, on a logarithmic scale."),
            ("IDLETIME <key>", "Return the seconds since the <key> was last accessed."),
            ("REFCOUNT <key>", "Return the number of references to the value of <key>."),
        ],
        reply,
    );
    Ok(())
}
