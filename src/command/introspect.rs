//! COMMAND: the table, as clients ask for it.

use super::args::is;
use super::server::row;
use super::{Argv, Command, Flags, Group, Run, all as all_commands, full_name, help, lookup, tips};
use crate::fault::{Fault, Outcome};
use crate::node::Node;
use crate::resp::Reply;
use crate::session::Session;
use crate::value::glob;

/// The subcommands.
pub const SUBCOMMANDS: &[Command] = &[
    sub("count", "", "Returns a count of commands.", "2.8.13", 2, Run::Session(count)),
    sub(
        "info",
        "[command-name [command-name ...]]",
        "Returns information about one, multiple or all commands.",
        "2.8.13",
        -2,
        Run::Session(info),
    ),
    sub(
        "docs",
        "[command-name [command-name ...]]",
        "Returns documentary information about one, multiple or all commands.",
        "7.0.0",
        -2,
        Run::Session(docs),
    ),
    sub(
        "list",
        "[FILTERBY MODULE module-name | ACLCAT category | PATTERN pattern]",
        "Returns a list of command names.",
        "7.0.0",
        -2,
        Run::Session(list),
    ),
    sub(
        "getkeys",
        "command [arg [arg ...]]",
        "Extracts the key names from an arbitrary command.",
        "2.8.13",
        -4,
        Run::Session(getkeys),
    ),
    sub(
        "help",
        "",
        "Returns helpful text about the different subcommands.",
        "5.0.0",
        2,
        Run::Session(show_help),
    ),
];

const fn sub(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    since: &'static str,
    arity: isize,
    run: Run,
) -> Command {
    let flags = Flags::LOADING.union(Flags::STALE).union(Flags::CONNECTION);
    Command { flags, run, ..row(name, syntax, summary, since, arity) }
}

/// COMMAND without a subcommand.
pub fn all(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.array(all_commands().count());
    for command in all_commands() {
        describe(None, command, reply);
    }
    Ok(())
}

fn count(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.integer(all_commands().count() as i64);
    Ok(())
}

/// A command by `name` or `container|name`.
fn find(name: &[u8]) -> Option<(Option<&'static Command>, &'static Command)> {
    match name.iter().position(|byte| *byte == b'|') {
        None => lookup(name)
            .filter(|found| !found.flags.contains(Flags::INTERNAL))
            .map(|found| (None, found)),
        Some(at) => {
            let container = lookup(&name[..at])?;
            Some((Some(container), super::subcommand(container, &name[at + 1..])?))
        }
    }
}

fn info(_: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    if argv.len() == 2 {
        reply.array(all_commands().count());
        all_commands().for_each(|command| describe(None, command, reply));
        return Ok(());
    }
    reply.array(argv.len() - 2);
    for name in &argv[2..] {
        match find(name) {
            Some((container, command)) => describe(container, command, reply),
            None => reply.null(),
        }
    }
    Ok(())
}

/// One command as COMMAND INFO shows it.
fn describe(container: Option<&Command>, command: &Command, reply: &mut dyn Reply) {
    let (first, last, step) = command.keys.range();
    reply.array(10);
    reply.bulk(full_name(container, command).as_bytes());
    reply.integer(command.arity as i64);
    let flags = flag_names(command);
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.status(flag));
    reply.integer(first as i64);
    reply.integer(last as i64);
    reply.integer(if first == 0 { 0 } else { step as i64 });
    let categories = categories(command);
    reply.set(categories.len());
    categories.iter().for_each(|category| reply.status(category));
    let tips = tips::of(&full_name(container, command));
    reply.array(tips.len());
    tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    key_specifications(command, reply);
    reply.array(command.subcommands.len());
    for sub in command.subcommands {
        describe(Some(command), sub, reply);
    }
}

/// The flags as COMMAND INFO names them.
pub(super) fn flag_names(command: &Command) -> Vec<&'static str> {
    let named = [
        (Flags::DENYOOM, "denyoom"),
        (Flags::ADMIN, "admin"),
        (Flags::PUBSUB, "pubsub"),
        (Flags::NOSCRIPT, "noscript"),
        (Flags::BLOCKING, "blocking"),
        (Flags::LOADING, "loading"),
        (Flags::STALE, "stale"),
        (Flags::SKIP_MONITOR, "skip_monitor"),
        (Flags::SKIP_SLOWLOG, "skip_slowlog"),
        (Flags::FAST, "fast"),
        (Flags::NO_AUTH, "no_auth"),
        (Flags::NO_MULTI, "no_multi"),
        (Flags::MOVABLE_KEYS, "movablekeys"),
        (Flags::ALLOW_BUSY, "allow_busy"),
        (Flags::NO_ASYNC_LOADING, "no_async_loading"),
    ];
    let kind = command.writes().then_some("write").or(command.reads().then_some("readonly"));
    let flags = named.into_iter().filter(|(flag, _)| command.flags.contains(*flag));
    kind.into_iter().chain(flags.map(|(_, name)| name)).collect()
}

/// The ACL categories, by the rules by which Redis derives them.
pub fn categories(command: &Command) -> Vec<&'static str> {
    let flags = command.flags;
    let mut categories = Vec::new();
    // A container does nothing: its subcommands have a category.
    if flags.contains(Flags::COLLECTIONS) {
        let kinds = [Group::List, Group::Set, Group::SortedSet];
        categories.extend(kinds.into_iter().filter_map(Group::category));
    } else if !matches!(command.run, Run::Container) {
        categories.extend(command.group.category());
    }
    let admin = flags.intersects(Flags::ADMIN | Flags::OPERATORS);
    let extra = [
        (flags.contains(Flags::KEYSPACE), "@keyspace"),
        (flags.contains(Flags::CONNECTION), "@connection"),
        (command.writes(), "@write"),
        (command.reads(), "@read"),
        (admin, "@admin"),
        (admin || flags.contains(Flags::DANGEROUS), "@dangerous"),
        (flags.contains(Flags::PUBSUB), "@pubsub"),
        (flags.contains(Flags::BLOCKING), "@blocking"),
        (flags.contains(Flags::FAST), "@fast"),
        (!flags.contains(Flags::FAST), "@slow"),
    ];
    categories.extend(extra.into_iter().filter(|(holds, _)| *holds).map(|(_, name)| name));
    categories
}

/// Where the keys are, in the form that Redis 7 added beside first, last and step.
fn key_specifications(command: &Command, reply: &mut dyn Reply) {
    let (first, last, step) = command.keys.range();
    if first == 0 {
        reply.array(0);
        return;
    }
    reply.array(1);
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(2);
    reply.status(if command.writes() { "RW" } else { "RO" });
    reply.status("ACCESS");
    reply.bulk(b"begin_search");
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(b"index");
    reply.bulk(b"spec");
    reply.map(1);
    reply.bulk(b"index");
    reply.integer(first as i64);
    reply.bulk(b"find_keys");
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(b"range");
    reply.bulk(b"spec");
    reply.map(3);
    reply.bulk(b"lastkey");
    // Counted from the first key, not from the name.
    reply.integer(if last < 0 { last as i64 } else { last as i64 - first as i64 });
    reply.bulk(b"keystep");
    reply.integer(step as i64);
    reply.bulk(b"limit");
    reply.integer(0);
}

fn docs(_: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let found: Vec<_> = if argv.len() == 2 {
        all_commands().map(|command| (None, command)).collect()
    } else {
        argv[2..].iter().filter_map(|name| find(name)).collect()
    };
    reply.map(found.len());
    for (container, command) in found {
        document(container, command, reply);
    }
    Ok(())
}

fn document(container: Option<&Command>, command: &Command, reply: &mut dyn Reply) {
    reply.bulk(full_name(container, command).as_bytes());
    let container = !command.subcommands.is_empty();
    reply.map(4 + usize::from(container));
    for (name, value) in [
        ("summary", command.summary),
        ("since", command.since),
        ("group", command.group.name()),
        ("complexity", command.complexity),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    if container {
        reply.bulk(b"subcommands");
        reply.map(command.subcommands.len());
        for sub in command.subcommands {
            document(Some(command), sub, reply);
        }
    }
}

fn list(_: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    type Wanted = Box<dyn Fn(&str, &Command) -> bool>;
    let wanted: Wanted = match &argv[2..] {
        [] => Box::new(|_, _| true),
        [by, kind, value] if is(by, "FILTERBY") => {
            let value = value.to_ascii_lowercase();
            if is(kind, "PATTERN") {
                Box::new(move |name, _| glob::matches(&value, name.as_bytes()))
            } else if is(kind, "ACLCAT") {
                let named = move |name: &&str| name.as_bytes()[1..] == *value;
                Box::new(move |_, command| categories(command).iter().any(&named))
            } else if is(kind, "MODULE") {
                Box::new(|_, _| false)
            } else {
                return Err(Fault::SYNTAX);
            }
        }
        _ => return Err(Fault::SYNTAX),
    };
    let names: Vec<String> = all_commands()
        .flat_map(|command| {
            let subcommands = command.subcommands.iter().map(move |sub| (Some(command), sub));
            std::iter::once((None, command)).chain(subcommands)
        })
        .map(|(container, command)| (full_name(container, command), command))
        .filter(|(name, command)| wanted(name, command))
        .map(|(name, _)| name)
        .collect();
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name.as_bytes()));
    Ok(())
}

fn getkeys(_: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let inner = &argv[2..];
    let Some((_, mut command)) = find(inner[0]) else {
        return Err(Fault::new("ERR Invalid command specified"));
    };
    if let Some(sub) = inner.get(1).and_then(|word| super::subcommand(command, word)) {
        command = sub;
    }
    if command.keys.is_none() {
        return Err(Fault::new("ERR The command has no key arguments"));
    }
    if !command.takes(inner.len()) {
        return Err(Fault::new("ERR Invalid number of arguments specified for command"));
    }
    let keys: Vec<&[u8]> = command.keys.positions(inner).map(|at| inner[at]).collect();
    reply.bulks(&keys);
    Ok(())
}

fn show_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    help(
        "COMMAND",
        &[
            ("(no subcommand)", "Return details about all commands."),
            ("COUNT", "Return the total number of commands in this server."),
            ("DOCS [<command-name> ...]", "Return documentation details about multiple commands."),
            ("GETKEYS <full-command>", "Return the keys from a full command."),
            ("INFO [<command-name> ...]", "Return details about multiple commands."),
            (
                "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
                "Return a list of all commands.",
            ),
        ],
        reply,
    );
    Ok(())
}
