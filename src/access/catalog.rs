//! The commands as rules see them: each with a number, its categories, and what it does to its
//! keys and channels.
//!
//! All of it is derived from the table once, at the first use. The numbers are positions in the
//! order of the table, a container before its subcommands, and hold for one process only.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::command::introspect::categories;
use crate::command::key_specs::{self, KeySpec};
use crate::command::{self, Command};
use crate::session::Named;

/// The categories in the order in which ACL CAT names them, without their `@`.
pub const CATEGORIES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
    "ratelimit",
    "json",
];

/// Which arguments of a command are channels, and what it does with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// None, or it only stops listening.
    None,
    /// The first one: a message goes there.
    Publish,
    /// All of them: it listens to them.
    Listen,
    /// All of them, as patterns.
    ListenToPatterns,
}

/// A command with what rules need to know of it.
#[derive(Debug)]
pub struct Known {
    /// Its name, a subcommand's behind its container's and a bar.
    pub name: String,
    /// Its row.
    pub command: &'static Command,
    /// Its container's row.
    pub container: Option<&'static Command>,
    /// How many subcommands follow it.
    pub subcommands: usize,
    /// A bit for each of [`CATEGORIES`] that it is in.
    pub categories: u32,
    /// What it does to its keys.
    pub keys: &'static [KeySpec],
    /// What it does to channels.
    pub channels: Channels,
}

/// See the module's description.
#[derive(Debug)]
pub struct Catalog {
    all: Vec<Known>,
    /// Commands that are no subcommands, by name.
    numbers: HashMap<&'static str, usize, foldhash::fast::RandomState>,
}

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::new);

/// The catalog of this process.
pub fn catalog() -> &'static Catalog {
    &CATALOG
}

impl Catalog {
    fn new() -> Catalog {
        let mut catalog = Catalog { all: Vec::new(), numbers: HashMap::default() };
        for command in command::all() {
            catalog.numbers.insert(command.name, catalog.all.len());
            catalog.all.push(Known::new(None, command));
            let subcommands = command.subcommands.iter();
            catalog.all.extend(subcommands.map(|sub| Known::new(Some(command), sub)));
        }
        catalog
    }

    /// All commands, in the order of their numbers.
    pub fn all(&self) -> &[Known] {
        &self.all
    }

    /// The number of a command of the table.
    pub fn number(&self, (container, command): Named) -> Option<usize> {
        let Some(container) = container else { return self.numbers.get(command.name).copied() };
        let first = self.numbers.get(container.name)? + 1;
        let at = container.subcommands.iter().position(|sub| sub.name == command.name)?;
        Some(first + at)
    }

    /// A command of the table.
    pub fn get(&self, named: Named) -> Option<(usize, &Known)> {
        let number = self.number(named)?;
        Some((number, &self.all[number]))
    }

    /// The number that a rule means by `name`, or by `container|name`, in any case.
    pub fn find(&self, name: &str) -> Option<usize> {
        let lower = name.to_ascii_lowercase();
        match lower.split_once('|') {
            None => self.numbers.get(lower.as_str()).copied(),
            Some((container, _)) => {
                let first = *self.numbers.get(container)?;
                let last = first + self.all[first].subcommands;
                (first..=last).find(|number| self.all[*number].name == lower)
            }
        }
    }
}

impl Known {
    fn new(container: Option<&'static Command>, command: &'static Command) -> Known {
        let name = command::full_name(container, command);
        let bit = |category: &&str| CATEGORIES.iter().position(|known| *known == &category[1..]);
        let bits = categories(command).iter().filter_map(bit).fold(0, |bits, at| bits | 1 << at);
        let channels = match name.as_str() {
            "publish" | "spublish" => Channels::Publish,
            "subscribe" | "ssubscribe" => Channels::Listen,
            "psubscribe" => Channels::ListenToPatterns,
            _ => Channels::None,
        };
        Known {
            command,
            container,
            subcommands: command.subcommands.len(),
            categories: bits,
            keys: key_specs::of(&name),
            channels,
            name,
        }
    }
}

/// The bit of a category, by its name without `@`, in any case.
pub fn category(name: &str) -> Option<u32> {
    let at = CATEGORIES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
    Some(1 << at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::selector::COMMANDS;

    #[test]
    fn numbers_find_their_commands_again() {
        let catalog = catalog();
        for (number, known) in catalog.all().iter().enumerate() {
            assert_eq!(catalog.number((known.container, known.command)), Some(number));
            assert_eq!(catalog.find(&known.name.to_ascii_uppercase()), Some(number));
        }
        assert_eq!(catalog.find("config|nothing"), None);
        assert_eq!(catalog.find("get|config"), None);
    }

    #[test]
    fn there_is_room_for_every_command() {
        assert!(catalog().all().len() < COMMANDS);
        assert!(CATEGORIES.len() <= 32);
    }

    #[test]
    fn every_category_of_a_row_is_known() {
        for known in catalog().all() {
            for category in categories(known.command) {
                assert!(super::category(&category[1..]).is_some(), "{category} of {}", known.name);
            }
        }
    }
}
