//! docs/commands.md is the table of commands, written down.
//!
//! After a change of the table: `EAVE_BLESS=1 cargo test --test commands_md` writes it anew.

use std::fmt::Write as _;
use std::fs;

use eave::command::{Command, FAMILIES, Flags, full_name};

const HEAD: &str = "# Commands

What this version of Eave answers. The columns are those of COMMAND DOCS; a command that is not
here is refused as unknown. This page is written from the table of commands by a test, which
`tests/commands_md.rs` describes.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut group = "";
    for command in FAMILIES.iter().flat_map(|family| family.iter()) {
        if command.flags.contains(Flags::INTERNAL) {
            continue;
        }
        if command.group.name() != group {
            group = command.group.name();
            write!(page, "\n## {group}\n\n| command | what it does | cost |\n|---|---|---|\n")
                .unwrap();
        }
        row(&mut page, None, command);
        command.subcommands.iter().for_each(|sub| row(&mut page, Some(command), sub));
    }
    page
}

fn row(page: &mut String, container: Option<&Command>, command: &Command) {
    let name = full_name(container, command).replace('|', " ").to_ascii_uppercase();
    let syntax = format!("{name} {}", command.syntax).replace('|', "\\|");
    let over_rest = if command.flags.contains(Flags::NO_REST) { " Not over REST." } else { "" };
    let (summary, cost) = (command.summary, command.complexity);
    writeln!(page, "| `{}` | {summary}{over_rest} | {cost} |", syntax.trim_end()).unwrap();
}

#[test]
fn the_page_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md");
    let page = page();
    if std::env::var_os("EAVE_BLESS").is_some() {
        fs::write(path, &page).unwrap();
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "docs/commands.md is old: see tests/commands_md.rs");
}
