//! COMMAND: the table, as clients ask for it.

use std::ops::Range;

use super::args::is;
use super::arguments::{self, Argument, Kind};
use super::key_specs::{self, Begin, Find, Touched, Use};
use super::server::row;
use super::{Argv, Command, Flags, Group, Run};
use super::{all as all_commands, full_name, help, history, lookup, tips};
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
        "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
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
        "getkeysandflags",
        "command [arg [arg ...]]",
        "Extracts the key names and access flags for an arbitrary command.",
        "7.0.0",
        -4,
        Run::Session(getkeysandflags),
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
    key_specifications(container, command, reply);
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
        (Flags::NO_MANDATORY_KEYS, "no_mandatory_keys"),
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
    } else if flags.contains(Flags::CONNECTION) && command.group == Group::Generic {
        // WAIT is about no key.
    } else if !matches!(command.run, Run::Container) {
        categories.extend(command.group.category());
    }
    let admin = flags.intersects(Flags::ADMIN | Flags::OPERATORS);
    let extra = [
        (flags.contains(Flags::KEYSPACE), "@keyspace"),
        (flags.contains(Flags::CONNECTION), "@connection"),
        (command.writes(), "@write"),
        (command.reads() && command.group != Group::Scripting, "@read"),
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

/// Where the keys are, and what is done to them, in the form that Redis 7 added beside first,
/// last and step.
fn key_specifications(container: Option<&Command>, command: &Command, reply: &mut dyn Reply) {
    let specs = key_specs::of(&full_name(container, command));
    reply.array(specs.len());
    for spec in specs {
        reply.map(3);
        reply.bulk(b"flags");
        flags(spec.uses, reply);
        reply.bulk(b"begin_search");
        match spec.begin {
            Begin::Index(index) => part("index", &[("index", index as i64)], reply),
            Begin::Unknown => part("unknown", &[], reply),
            Begin::Keyword(word, from) => {
                typed("keyword", 2, reply);
                reply.bulk(b"keyword");
                reply.bulk(word.as_bytes());
                reply.bulk(b"startfrom");
                reply.integer(from as i64);
            }
        }
        reply.bulk(b"find_keys");
        match spec.find {
            Find::Range { last, step, limit } => {
                let fields =
                    [("lastkey", last as i64), ("keystep", step as i64), ("limit", limit as i64)];
                part("range", &fields, reply);
            }
            Find::Counted { step } => {
                let fields = [("keynumidx", 0), ("firstkey", 1), ("keystep", step as i64)];
                part("keynum", &fields, reply);
            }
            Find::Unknown => part("unknown", &[], reply),
        }
    }
}

/// What is done to a key, in words.
fn flags(uses: Use, reply: &mut dyn Reply) {
    reply.set(uses.names().count());
    uses.names().for_each(|name| reply.status(name));
}

/// The head of one of the two parts of a key specification.
fn typed(kind: &str, fields: usize, reply: &mut dyn Reply) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(fields);
}

fn part(kind: &str, fields: &[(&str, i64)], reply: &mut dyn Reply) {
    typed(kind, fields.len(), reply);
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.integer(*value);
    }
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
    let name = full_name(container, command);
    reply.bulk(name.as_bytes());
    let is_container = !command.subcommands.is_empty();
    let arguments = arguments::of(&name, command.syntax);
    let (flag, old, changes) = (history::flag(&name), history::old(&name), history::changes(&name));
    let more = [
        flag.is_some(),
        old.is_some(),
        old.is_some(),
        changes.len() > 0,
        !arguments.is_empty(),
        is_container,
    ];
    reply.map(4 + more.into_iter().filter(|is_there| *is_there).count());
    for (name, value) in [
        ("summary", command.summary),
        ("since", command.since),
        ("group", command.group.name()),
        ("complexity", command.complexity),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    if let Some(flag) = flag {
        reply.bulk(b"doc_flags");
        reply.set(1);
        reply.status(flag);
    }
    if let Some((since, instead)) = old {
        for (name, value) in [("deprecated_since", since), ("replaced_by", instead)] {
            reply.bulk(name.as_bytes());
            reply.bulk(value.as_bytes());
        }
    }
    if changes.len() > 0 {
        reply.bulk(b"history");
        reply.set(changes.len());
        for (since, what) in changes {
            reply.array(2);
            reply.bulk(since.as_bytes());
            reply.bulk(what.as_bytes());
        }
    }
    if !arguments.is_empty() {
        let specs = key_specs::of(&name).len();
        reply.bulk(b"arguments");
        describe_arguments(&arguments, &mut (0..specs), reply);
    }
    if is_container {
        reply.bulk(b"subcommands");
        reply.map(command.subcommands.len());
        for sub in command.subcommands {
            document(Some(command), sub, reply);
        }
    }
}

/// Describes arguments; keys take the command's key specifications in turn, and share the last.
fn describe_arguments(arguments: &[Argument], specs: &mut Range<usize>, reply: &mut dyn Reply) {
    reply.array(arguments.len());
    for argument in arguments {
        let Argument { name, kind, token, parts, .. } = argument;
        let flags = [
            ("optional", argument.optional),
            ("multiple", argument.multiple),
            ("multiple_token", argument.multiple_token),
        ];
        let flags = || flags.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| *flag);
        let spec = match kind {
            Kind::Key if specs.end > 0 => Some(specs.next().unwrap_or(specs.end - 1)),
            _ => None,
        };
        let fields = [spec.is_some(), token.is_some(), flags().next().is_some(), !parts.is_empty()];
        reply.map(2 + fields.into_iter().filter(|is_there| *is_there).count());
        reply.bulk(b"name");
        reply.bulk(name.as_bytes());
        reply.bulk(b"type");
        reply.bulk(kind.name().as_bytes());
        if let Some(spec) = spec {
            reply.bulk(b"key_spec_index");
            reply.integer(spec as i64);
        }
        if let Some(token) = token {
            reply.bulk(b"token");
            reply.bulk(token.as_bytes());
        }
        if flags().next().is_some() {
            reply.bulk(b"flags");
            reply.set(flags().count());
            flags().for_each(|flag| reply.status(flag));
        }
        if !parts.is_empty() {
            reply.bulk(b"arguments");
            describe_arguments(parts, specs, reply);
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
    let (command, keys) = keys_of(&argv[2..])?;
    let keys: Vec<&[u8]> = keys.iter().map(|(at, _)| command.keys.key_in(argv[at + 2])).collect();
    reply.bulks(&keys);
    Ok(())
}

fn getkeysandflags(_: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (command, keys) = keys_of(&argv[2..])?;
    reply.array(keys.len());
    for (at, uses) in keys {
        reply.array(2);
        reply.bulk(command.keys.key_in(argv[at + 2]));
        flags(uses, reply);
    }
    Ok(())
}

/// The keys of a whole command, and what it does to each.
fn keys_of(argv: Argv<'_>) -> Result<(&'static Command, Touched), Fault> {
    let invalid = Fault::new("ERR Invalid command specified");
    let Some((mut container, mut command)) = find(argv[0]) else { return Err(invalid) };
    if let Some(sub) = argv.get(1).and_then(|word| super::subcommand(command, word)) {
        (container, command) = (Some(command), sub);
    }
    let specs = key_specs::of(&full_name(container, command));
    if command.keys.is_none() || specs.iter().all(|spec| spec.uses.contains(Use::NOT_KEY)) {
        return Err(Fault::new("ERR The command has no key arguments"));
    }
    if !command.takes(argv.len()) {
        return Err(Fault::new("ERR Invalid number of arguments specified for command"));
    }
    if !key_specs::is_readable(specs, argv) {
        return Err(Fault::new("ERR Invalid arguments specified for command"));
    }
    Ok((command, key_specs::touched(specs, command, argv)))
}

fn show_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    help(
        "COMMAND",
        &[
            ("(no subcommand)", "Return details about all commands."),
            ("COUNT", "Return the total number of commands in this server."),
            ("DOCS [<command-name> ...]", "Return documentation details about multiple commands."),
            ("GETKEYS <full-command>", "Return the keys from a full command."),
            (
                "GETKEYSANDFLAGS <full-command>",
                "Return the keys from a full command, and what it does to each.",
            ),
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
