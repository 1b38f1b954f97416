//! A selector: which commands, on which keys, on which channels. A user has at least one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bitflags::bitflags;

use super::catalog::{catalog, category};
use crate::command::key_specs::Use;
use crate::limits::PATTERN_BYTES;
use crate::value::glob;

/// How many commands the table may have, subcommands included. Redis: `USER_COMMAND_BITS_COUNT`.
pub const COMMANDS: usize = 1024;

bitflags! {
    /// What a pattern of keys allows.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Permission: u8 {
        /// Values may reach the client.
        const READ = 1;
        /// Values may change.
        const WRITE = 1 << 1;
    }
}

impl Permission {
    /// What it takes to do this to a key. Its mere existence and length are open to everyone
    /// who may do anything with it.
    pub fn needed(uses: Use) -> Permission {
        let mut needed = Permission::empty();
        needed.set(Permission::READ, uses.contains(Use::ACCESS));
        let writes = Use::INSERT.union(Use::DELETE).union(Use::UPDATE);
        needed.set(Permission::WRITE, uses.intersects(writes));
        needed
    }
}

/// A set of commands, by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set([u64; COMMANDS / 64]);

impl Set {
    /// Every command, those of later versions included.
    pub const ALL: Set = Set([u64::MAX; COMMANDS / 64]);
    /// None.
    pub const NONE: Set = Set([0; COMMANDS / 64]);

    /// Whether a command is in it.
    pub fn has(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Whether commands that the table does not have yet are in it.
    pub fn has_future(&self) -> bool {
        self.has(COMMANDS - 1)
    }

    fn put(&mut self, number: usize, allowed: bool) {
        if let Some(word) = self.0.get_mut(number / 64) {
            let bit = 1 << (number % 64);
            *word = if allowed { *word | bit } else { *word & !bit };
        }
    }
}

/// A pattern of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    /// The glob.
    pub pattern: Box<[u8]>,
    /// What is allowed on keys that match.
    pub permission: Permission,
}

/// Why a rule is none, in Redis' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// No such command or category.
    #[error("Unknown command or category name in ACL")]
    Unknown,
    /// Not a rule.
    #[error("Syntax error")]
    Syntax,
    /// All keys are allowed already.
    #[error(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not \
         have any effect. Try 'resetkeys' to start with an empty list of patterns"
    )]
    AllKeys,
    /// All channels are allowed already.
    #[error(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does \
         not have any effect. Try 'resetchannels' to start with an empty list of channels"
    )]
    AllChannels,
    /// The password to remove is not there.
    #[error("The password you are trying to remove from the user does not exist")]
    NoPassword,
    /// Not 64 lower-case hexadecimal digits.
    #[error(
        "The password hash must be exactly 64 characters and contain only lowercase hexadecimal \
         characters"
    )]
    Hash,
    /// `+container|subcommand|argument`.
    #[error("Allowing first-arg of a subcommand is not supported")]
    FirstArgument,
    /// More than a user may have, or longer than a pattern may be.
    #[error("Too many rules for one user, or one that is too long")]
    TooMany,
}

/// See the module's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The commands that are allowed.
    pub commands: Set,
    /// Whether all commands are allowed, and none was ever taken away.
    pub all_commands: bool,
    /// Whether all keys are allowed.
    pub all_keys: bool,
    /// Whether all channels are allowed.
    pub all_channels: bool,
    /// The keys, if not all.
    pub keys: Vec<KeyPattern>,
    /// The channels, if not all.
    pub channels: Vec<Box<[u8]>>,
    /// First arguments with which a command is allowed that is not allowed as such.
    pub first_arguments: BTreeMap<usize, Vec<Box<[u8]>>>,
}

/// Patterns of keys, of channels, and first arguments, that one selector may have each.
const MOST: usize = 10_000;

impl Selector {
    /// One that allows nothing.
    pub const NOTHING: Selector = Selector {
        commands: Set::NONE,
        all_commands: false,
        all_keys: false,
        all_channels: false,
        keys: Vec::new(),
        channels: Vec::new(),
        first_arguments: BTreeMap::new(),
    };

    /// Whether it allows everything.
    pub fn is_unrestricted(&self) -> bool {
        self.all_commands && self.all_keys && self.all_channels
    }

    /// Applies a rule.
    ///
    /// # Errors
    /// When it is none; nothing is changed then.
    pub fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            _ if is("allkeys") || is("~*") => self.reset_keys(true),
            _ if is("resetkeys") => self.reset_keys(false),
            _ if is("allchannels") || is("&*") => self.reset_channels(true),
            _ if is("resetchannels") => self.reset_channels(false),
            _ if is("allcommands") || is("+@all") => self.reset_commands(true),
            _ if is("nocommands") || is("-@all") => self.reset_commands(false),
            [b'~', pattern @ ..] => return self.add_key(pattern, Permission::all()),
            [b'%', rest @ ..] => {
                if self.all_keys {
                    return Err(RuleError::AllKeys);
                }
                let (permission, pattern) = permission(rest)?;
                return self.add_key(pattern, permission);
            }
            [b'&', pattern @ ..] => return self.add_channel(pattern),
            [sign @ (b'+' | b'-'), b'@', name @ ..] => {
                let bit = category(text(name)?).ok_or(RuleError::Unknown)?;
                self.set_category(bit, *sign == b'+');
            }
            [b'+', name @ ..] => return self.allow(text(name)?),
            [b'-', name @ ..] => {
                let number = catalog().find(text(name)?).ok_or(RuleError::Unknown)?;
                self.set_command(number, false);
            }
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    fn reset_keys(&mut self, all: bool) {
        self.all_keys = all;
        self.keys.clear();
    }

    fn reset_channels(&mut self, all: bool) {
        self.all_channels = all;
        self.channels.clear();
    }

    pub(super) fn reset_commands(&mut self, all: bool) {
        self.commands = if all { Set::ALL } else { Set::NONE };
        self.all_commands = all;
        self.first_arguments.clear();
    }

    fn add_key(&mut self, pattern: &[u8], permission: Permission) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::AllKeys);
        }
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        if let Some(known) = self.keys.iter_mut().find(|known| *known.pattern == *pattern) {
            known.permission |= permission;
        } else if self.keys.len() >= MOST || pattern.len() > PATTERN_BYTES {
            return Err(RuleError::TooMany);
        } else {
            self.keys.push(KeyPattern { pattern: pattern.into(), permission });
        }
        Ok(())
    }

    fn add_channel(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::AllChannels);
        }
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| **known == *pattern) {
            if self.channels.len() >= MOST || pattern.len() > PATTERN_BYTES {
                return Err(RuleError::TooMany);
            }
            self.channels.push(pattern.into());
        }
        Ok(())
    }

    /// `+name`, `+container|name`, or `+name|argument`.
    fn allow(&mut self, name: &str) -> Result<(), RuleError> {
        let Some((name_of, argument)) = name.rsplit_once('|') else {
            let number = catalog().find(name).ok_or(RuleError::Unknown)?;
            self.set_command(number, true);
            return Ok(());
        };
        let number = catalog().find(name_of).ok_or(RuleError::Unknown)?;
        let known = &catalog().all()[number];
        if known.container.is_some() {
            return Err(RuleError::FirstArgument);
        }
        if argument.is_empty() {
            return Err(RuleError::Syntax);
        }
        if known.subcommands > 0 {
            let number = catalog().find(name).ok_or(RuleError::Unknown)?;
            self.set_command(number, true);
            return Ok(());
        }
        let known = self.first_arguments.entry(number).or_default();
        if !known.iter().any(|known| known.eq_ignore_ascii_case(argument.as_bytes())) {
            if known.len() >= MOST {
                return Err(RuleError::TooMany);
            }
            known.push(argument.as_bytes().into());
        }
        Ok(())
    }

    /// Allows or forbids a command, with its subcommands.
    pub(super) fn set_command(&mut self, number: usize, allowed: bool) {
        let subcommands = catalog().all().get(number).map_or(0, |known| known.subcommands);
        (number..=number + subcommands).for_each(|number| self.commands.put(number, allowed));
        if !allowed {
            self.all_commands = false;
        }
        self.first_arguments.remove(&number);
    }

    /// Allows or forbids the commands of a category. A container takes its subcommands along,
    /// as in Redis.
    pub(super) fn set_category(&mut self, bit: u32, allowed: bool) {
        for (number, known) in catalog().all().iter().enumerate() {
            if known.categories & bit != 0 {
                self.set_command(number, allowed);
            }
        }
    }

    /// Whether it allows this use of a key.
    pub fn allows_key(&self, key: &[u8], uses: Use) -> bool {
        let needed = Permission::needed(uses);
        self.all_keys
            || self.keys.iter().any(|known| {
                known.permission.contains(needed) && glob::matches(&known.pattern, key)
            })
    }

    /// Whether it allows every key to be read.
    pub fn reads_all_keys(&self) -> bool {
        let all = |known: &KeyPattern| {
            known.permission.contains(Permission::READ) && *known.pattern == *b"*"
        };
        self.all_keys || self.keys.iter().any(all)
    }

    /// Whether it allows a channel.
    pub fn allows_channel(&self, channel: &[u8]) -> bool {
        self.all_channels || self.channels.iter().any(|known| glob::matches(known, channel))
    }

    /// Whether it allows to listen to this pattern: only if it was given exactly that one.
    pub fn allows_channel_pattern(&self, pattern: &[u8]) -> bool {
        self.all_channels || self.channels.iter().any(|known| **known == *pattern)
    }
}

/// `R~`, `W~`, `RW~` or `WR~`, and what follows. As in Redis, the tilde may be missing at the
/// end.
fn permission(rule: &[u8]) -> Result<(Permission, &[u8]), RuleError> {
    let mut found = Permission::empty();
    let mut rest = rule;
    while let [letter, after @ ..] = rest {
        let one = match letter.to_ascii_uppercase() {
            b'R' if !found.contains(Permission::READ) => Permission::READ,
            b'W' if !found.contains(Permission::WRITE) => Permission::WRITE,
            b'~' if !found.is_empty() => return Ok((found, after)),
            _ => return Err(RuleError::Syntax),
        };
        found |= one;
        rest = after;
    }
    if found.is_empty() { Err(RuleError::Syntax) } else { Ok((found, rest)) }
}

/// Whether a text could not stand in a line of a file of users.
pub fn has_spaces(text: &[u8]) -> bool {
    text.iter().any(|byte| byte.is_ascii_whitespace() || *byte == 0x0b || *byte == 0)
}

/// Names of commands are ASCII.
fn text(name: &[u8]) -> Result<&str, RuleError> {
    std::str::from_utf8(name).map_err(|_| RuleError::Unknown)
}

/// A pattern as a line shows it.
pub(super) fn shown_key(known: &KeyPattern) -> Vec<u8> {
    let sign: Cow<'_, str> = match known.permission {
        Permission::READ => "%R~".into(),
        Permission::WRITE => "%W~".into(),
        _ => "~".into(),
    };
    [sign.as_bytes(), &known.pattern].concat()
}
