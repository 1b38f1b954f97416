//! docs/commands.md is the table of commands, written out.
//!
//! After a change of the table, `EAVE_BLESS=1 cargo test --test docs` writes it anew. Left out on
//! purpose: what single options of a command do, which its script in tests/commands shows.

use std::fmt::Write as _;

use eave::command::{self, Command, Flags, Group};

const PATH: &str = "docs/commands.md";

/// The groups in the order of the page, each with its heading.
const GROUPS: [(Group, &str); 17] = [
    (Group::String, "Strings"),
    (Group::Bitmap, "Bitmaps"),
    (Group::HyperLogLog, "HyperLogLogs"),
    (Group::Hash, "Hashes"),
    (Group::List, "Lists"),
    (Group::Set, "Sets"),
    (Group::SortedSet, "Sorted sets"),
    (Group::Geo, "Geography"),
    (Group::Stream, "Streams"),
    (Group::Json, "JSON documents"),
    (Group::Generic, "Keys"),
    (Group::RateLimit, "Rate limits"),
    (Group::PubSub, "Publish and subscribe"),
    (Group::Scripting, "Scripts"),
    (Group::Transactions, "Transactions"),
    (Group::Connection, "Connection"),
    (Group::Server, "Server and replication"),
];

const HEAD: &str = "\
# Commands

What clients can ask, made from the table of commands (`EAVE_BLESS=1 cargo test --test docs`). Words,
order, rounding and errors are those of Redis 7.0.15 where Redis has the command; each has a script in
[tests/commands](../tests/commands), which marks what differs on purpose. A command that is not here is
answered with `ERR unknown command`.

*reads* and *writes* say what a command does to its keys: a replica refuses what writes, a read-only
REST token may only ask what reads given keys (see [rest.md](rest.md)). *REST: no* is about a connection
and refused over HTTP. *since* is the version of Redis that first had it; for
JSON documents, of RedisJSON; for rate limits, of Eave.
";

#[test]
fn the_page_of_commands_is_the_table() {
    let page = page();
    if std::env::var_os("EAVE_BLESS").is_some() {
        std::fs::write(PATH, &page).expect("docs/ can be written");
        return;
    }
    let stored = std::fs::read_to_string(PATH).unwrap_or_default();
    let differs = stored.lines().zip(page.lines()).find(|(stored, made)| stored != made);
    assert!(
        stored == page,
        "{PATH} is not what the table says (first: {differs:?}); \
         EAVE_BLESS=1 cargo test --test docs writes it anew"
    );
}

#[test]
fn every_group_has_its_place() {
    let listed: usize = GROUPS.iter().map(|(group, _)| of_group(*group).count()).sum();
    assert_eq!(listed, command::all().count());
}

fn of_group(group: Group) -> impl Iterator<Item = &'static Command> {
    command::all().filter(move |command| command.group == group)
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (group, title) in GROUPS {
        if of_group(group).next().is_none() {
            continue;
        }
        // Writing to a String does not fail, here and below.
        let _ = write!(page, "\n## {title}\n\n");
        page.push_str(
            "| command | | keys | complexity | REST | since |\n|---|---|---|---|---|---|\n",
        );
        let mut commands: Vec<_> = of_group(group).collect();
        commands.sort_by_key(|command| command.name);
        for command in commands {
            row(&mut page, None, command);
            for subcommand in command.subcommands {
                row(&mut page, Some(command), subcommand);
            }
        }
    }
    page
}

fn row(page: &mut String, container: Option<&Command>, command: &Command) {
    if matches!(command.run, command::Run::Container) {
        return;
    }
    let name = command::full_name(container, command).replace('|', " ").to_uppercase();
    let syntax = format!("{name} {}", command.syntax);
    let keys = match (command.reads(), command.writes()) {
        (true, _) => "reads",
        (_, true) => "writes",
        _ => "",
    };
    let flags = container.map_or(command.flags, |container| container.flags | command.flags);
    let rest = if flags.contains(Flags::NO_REST) { "no" } else { "" };
    let cell = |text: &str| text.trim_end_matches('.').replace('|', "\\|");
    let _ = writeln!(
        page,
        "| `{}` | {}. | {keys} | {} | {rest} | {} |",
        cell(syntax.trim_end()),
        cell(command.summary),
        cell(command.complexity),
        command.since,
    );
}
