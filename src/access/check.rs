//! Whether a user may ask for something. One function for every door: see [`User::check`].

use super::catalog::{Channels, Known, catalog};
use super::selector::Selector;
use super::user::User;
use crate::command::key_specs::{self, Touched};
use crate::command::{Argv, Flags, sort};
use crate::fault::Fault;
use crate::session::Named;

/// Why a user may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// The command.
    Command,
    /// The key at this position.
    Key(usize),
    /// The channel at this position.
    Channel(usize),
}

impl Denial {
    /// What a client is told that asks for `name`.
    pub fn fault(self, name: &str) -> Fault {
        Fault::text(match self {
            Denial::Command => {
                format!("NOPERM this user has no permissions to run the '{name}' command")
            }
            Denial::Key(_) => "NOPERM this user has no permissions to access one of the keys used \
                               as arguments"
                .to_owned(),
            Denial::Channel(_) => "NOPERM this user has no permissions to access one of the \
                                   channels used as arguments"
                .to_owned(),
        })
    }

    /// What EXEC answers in place of a command that was allowed when it was queued.
    pub fn at_exec(self) -> Fault {
        let why = match self {
            Denial::Command => "no permission to execute the command or subcommand",
            Denial::Key(_) => "no permission to touch the specified keys",
            Denial::Channel(_) => "no permission to access one of the channels used as arguments",
        };
        Fault::text(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the \
             EXEC call. This command is no longer allowed for the following reason: {why}"
        ))
    }

    /// What a script is told.
    pub fn in_script(self) -> &'static str {
        match self {
            Denial::Command => "The user executing the script can't run this command or subcommand",
            Denial::Key(_) => {
                "The user executing the script can't access at least one of the keys mentioned in \
                 the command arguments"
            }
            Denial::Channel(_) => {
                "The user executing the script can't publish to the channel mentioned in the \
                 command"
            }
        }
    }

    /// What ACL DRYRUN answers, in full.
    pub fn in_words(self, name: &str, argv: Argv<'_>) -> Vec<u8> {
        let (before, what, after): (_, &[u8], _) = match self {
            Denial::Command => ("run the '", name.as_bytes(), "' command"),
            Denial::Key(at) => ("access the '", argv[at], "' key"),
            Denial::Channel(at) => ("access the '", argv[at], "' channel"),
        };
        let before = format!("This user has no permissions to {before}");
        [before.as_bytes(), what, after.as_bytes()].concat()
    }
}

impl User {
    /// Whether it may run a command of the table with these arguments. What the table does not
    /// have for clients is nobody's to run.
    ///
    /// # Errors
    /// What it may not. Of several selectors, the one that came furthest says it, as in Redis.
    pub fn check(&self, named: Named, argv: Argv<'_>) -> Result<(), Denial> {
        let Some((number, known)) = catalog().get(named) else { return Err(Denial::Command) };
        let mut keys = None;
        let mut furthest = Denial::Command;
        for selector in &self.selectors {
            match selector.check(number, known, argv, &mut keys) {
                Ok(()) => return Ok(()),
                Err(denial) => furthest = furthest.max(denial),
            }
        }
        Err(furthest)
    }

    /// What SORT is told that would read keys by a pattern, unless the user may read every key.
    pub fn check_sort(&self, named: Named, argv: Argv<'_>) -> Result<(), Fault> {
        let Some(option) = sort::reaches(argv) else { return Ok(()) };
        let Some((number, known)) = catalog().get(named) else { return Ok(()) };
        let mut keys = None;
        let reads_all = self.selectors.iter().any(|selector| {
            selector.reads_all_keys() && selector.check(number, known, argv, &mut keys).is_ok()
        });
        if reads_all {
            return Ok(());
        }
        Err(Fault::text(format!(
            "ERR {option} option of SORT denied due to insufficient ACL permissions."
        )))
    }

    /// Whether it may listen to a channel, or to a pattern of channels.
    pub fn may_listen(&self, name: &[u8], is_pattern: bool) -> bool {
        self.selectors.iter().any(|selector| {
            if is_pattern {
                selector.allows_channel_pattern(name)
            } else {
                selector.allows_channel(name)
            }
        })
    }
}

impl Selector {
    fn check(
        &self,
        number: usize,
        known: &Known,
        argv: Argv<'_>,
        keys: &mut Option<Touched>,
    ) -> Result<(), Denial> {
        if !self.allows_command(number, known, argv) {
            return Err(Denial::Command);
        }
        if !self.all_keys {
            let keys =
                keys.get_or_insert_with(|| key_specs::touched(known.keys, known.command, argv));
            let denied = keys.iter().find(|(at, uses)| {
                let key = argv.get(*at).map(|argument| known.command.keys.key_in(argument));
                !key.is_some_and(|key| self.allows_key(key, *uses))
            });
            if let Some((at, _)) = denied {
                return Err(Denial::Key(*at));
            }
        }
        if !self.all_channels {
            let (last, allows): (_, fn(&Selector, &[u8]) -> bool) = match known.channels {
                Channels::None => (0, Selector::allows_channel),
                Channels::Publish => (1, Selector::allows_channel),
                Channels::Listen => (argv.len() - 1, Selector::allows_channel),
                Channels::ListenToPatterns => (argv.len() - 1, Selector::allows_channel_pattern),
            };
            let denied = (1..=last).find(|at| !allows(self, argv[*at]));
            if let Some(at) = denied {
                return Err(Denial::Channel(at));
            }
        }
        Ok(())
    }

    fn allows_command(&self, number: usize, known: &Known, argv: Argv<'_>) -> bool {
        if self.all_commands || known.command.flags.contains(Flags::NO_AUTH) {
            return true;
        }
        if self.commands.has(number) {
            return true;
        }
        let words = self.first_arguments.get(&number);
        words.is_some_and(|words| {
            argv.get(1).is_some_and(|argument| {
                words.iter().any(|word| word.eq_ignore_ascii_case(argument))
            })
        })
    }
}
