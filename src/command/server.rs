//! The server: its data as a whole, its settings, its state.

use super::args::is;
use super::introspect;
use super::{Argv, Command, Family, Flags, Group, Keys, Run, help};
use crate::clock;
use crate::fault::{Fault, Outcome, shown};
use crate::keyspace::{ReadView, WriteView};
use crate::net::tls::TlsError;
use crate::node::Node;
use crate::observe::info;
use crate::resp::Reply;
use crate::session::Session;
use crate::value::glob;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        flags: Flags::FAST.union(Flags::KEYSPACE),
        run: Run::Read(dbsize),
        ..row("dbsize", "", "Returns the number of keys in the database.", "1.0.0", 1)
    },
    Command {
        keys: Keys::Database,
        run: Run::Write(flushdb),
        complexity: "O(N) where N is the number of keys in the selected database",
        ..flush("flushdb", "Remove all keys from the current database.")
    },
    Command {
        keys: Keys::Everything,
        run: Run::Write(flushall),
        complexity: "O(N) where N is the total number of keys in all databases",
        ..flush("flushall", "Removes all keys from all databases.")
    },
    Command {
        flags: STATE.union(Flags::FAST),
        run: Run::Session(time),
        ..row("time", "", "Returns the server time.", "2.6.0", 1)
    },
    Command {
        flags: STATE.union(Flags::DANGEROUS),
        run: Run::Session(information),
        ..row(
            "info",
            "[section [section ...]]",
            "Returns information and statistics about the server.",
            "1.0.0",
            -1,
        )
    },
    Command {
        run: Run::Container,
        subcommands: CONFIG,
        ..row("config", "", "A container for server configuration commands.", "2.0.0", -2)
    },
    Command {
        flags: STATE.union(Flags::CONNECTION),
        run: Run::Session(introspect::all),
        subcommands: introspect::SUBCOMMANDS,
        ..row("command", "", "Returns detailed information about all commands.", "2.8.13", -1)
    },
];

const STATE: Flags = Flags::LOADING.union(Flags::STALE);

const CONFIG: &[Command] = &[
    Command {
        flags: OPERATOR,
        run: Run::Session(config_get),
        ..row(
            "get",
            "parameter [parameter ...]",
            "Returns the effective values of configuration parameters.",
            "2.0.0",
            -3,
        )
    },
    Command {
        flags: OPERATOR,
        run: Run::Session(config_set),
        ..row(
            "set",
            "parameter value [parameter value ...]",
            "Sets configuration parameters in-flight.",
            "2.0.0",
            -4,
        )
    },
    Command {
        flags: OPERATOR,
        run: Run::Session(config_resetstat),
        ..row("resetstat", "", "Resets the server's statistics.", "2.0.0", 2)
    },
    Command {
        flags: STATE,
        run: Run::Session(config_help),
        ..row("help", "", "Returns helpful text about the different subcommands.", "5.0.0", 2)
    },
];

const OPERATOR: Flags = STATE.union(Flags::ADMIN).union(Flags::NOSCRIPT);

/// A row of this family.
pub const fn row(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    since: &'static str,
    arity: isize,
) -> Command {
    let (family, flags) = (Family::new(Group::Server), Flags::empty());
    let row = family.row(name, syntax, summary, since, arity, flags, Run::Container);
    Command { keys: Keys::None, ..row }
}

const fn flush(name: &'static str, summary: &'static str) -> Command {
    Command {
        flags: Flags::KEYSPACE.union(Flags::DANGEROUS),
        ..row(name, "[ASYNC | SYNC]", summary, "1.0.0", -1)
    }
}

fn dbsize(view: &ReadView<'_, '_>, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.integer(i64::try_from(view.count().keys).unwrap_or(i64::MAX));
    Ok(())
}

/// Whether the option of FLUSHDB and FLUSHALL is one. Large ones are freed beside the clients'
/// work either way.
fn flush_option(argv: Argv<'_>) -> Outcome {
    match argv {
        [_] => Ok(()),
        [_, option] if is(option, "ASYNC") || is(option, "SYNC") => Ok(()),
        _ => Err(Fault::SYNTAX),
    }
}

fn flushdb(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    flush_option(argv)?;
    let db = view.db();
    view.clear(db);
    view.effects.touch_everything();
    // Logged even when there was nothing, as Redis does.
    view.effects.changed();
    reply.ok();
    Ok(())
}

fn flushall(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    flush_option(argv)?;
    for db in 0..view.databases() {
        view.clear(db);
    }
    view.effects.touch_everything();
    view.effects.changed();
    reply.ok();
    Ok(())
}

fn time(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let now = clock::unix_us();
    reply.array(2);
    reply.bulk((now / 1_000_000).to_string().as_bytes());
    reply.bulk((now % 1_000_000).to_string().as_bytes());
    Ok(())
}

fn information(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.verbatim(&info::text(node, &argv[1..]));
    Ok(())
}

fn config_get(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let found = node.config.load().get_matching(&argv[2..], glob::matches);
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(name.as_bytes());
        reply.bulk(&value);
    }
    Ok(())
}

fn config_set(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (pairs, rest) = argv[2..].as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Fault::SYNTAX);
    }
    let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|[name, value]| (*name, *value)).collect();
    // The same name again is how certificates are read anew.
    let tls = pairs.iter().find(|(name, _)| {
        let name = name.to_ascii_lowercase();
        name.starts_with(b"tls-") || name.starts_with(b"rest-tls-")
    });
    node.configure(|config| {
        config.set_many(&pairs).map_err(|error| Fault::text(error.to_string()))?;
        match tls {
            Some((name, _)) => node.tls.load(&config.tls).map_err(|error| refused(name, &error)),
            None => Ok(()),
        }
    })?;
    reply.ok();
    Ok(())
}

/// Why certificates were not taken: the files are named in the log, as by Redis.
#[cold]
fn refused(name: &[u8], error: &TlsError) -> Fault {
    tracing::warn!("TLS stays as it was: {error}");
    Fault::text(format!(
        "ERR CONFIG SET failed (possibly related to argument '{}') - Unable to update TLS \
         configuration. Check server logs.",
        shown(name, usize::MAX)
    ))
}

fn config_resetstat(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    node.stats.reset();
    reply.ok();
    Ok(())
}

fn config_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    help(
        "CONFIG",
        &[
            (
                "GET <pattern>",
                "Return parameters matching the glob-like <pattern> and their values.",
            ),
            ("SET <directive> <value>", "Set the configuration <directive> to <value>."),
            ("RESETSTAT", "Reset statistics reported by the INFO command."),
        ],
        reply,
    );
    Ok(())
}
