//! Users as lines: `user` in a redis.conf, and the file that `aclfile` names.
//!
//! A file is read as a whole or not at all, with the errors of every line; it is written beside
//! the old one and then takes its place.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::selector::RuleError;
use super::user::{DEFAULT, NewChannels, User, is_name, join_selectors};
use super::users::{Access, READ_ONLY, Users};
use crate::config::{Config, Secret};
use crate::limits::ACL_FILE_BYTES;

/// A `user` line of a redis.conf. Its rules may hold passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLine {
    /// The user's name.
    pub name: Vec<u8>,
    rules: Vec<Secret>,
}

impl UserLine {
    /// Reads what stands behind `user`, and tries every rule.
    ///
    /// # Errors
    /// What is wrong, without the rule if it could be a password.
    pub fn parse(words: &[Vec<u8>]) -> Result<UserLine, &'static str> {
        let Some((name, rules)) = words.split_first() else { return Err("expected a name") };
        if !is_name(name) {
            return Err("a name has no spaces");
        }
        let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
        let rules = join_selectors(&rules).map_err(|_| "a parenthesis is not closed")?;
        let rules = rules.into_iter().map(|rule| Secret::new(rule.into_owned())).collect();
        let line = UserLine { name: name.clone(), rules };
        line.make(0, NewChannels::None).map_err(|error| match error {
            RuleError::Unknown => "no command or category is called so",
            RuleError::Hash => "a hash has 64 lower-case hexadecimal digits",
            RuleError::AllKeys | RuleError::AllChannels => "a pattern behind the one for all",
            RuleError::NoPassword => "there is no such password to remove",
            _ => "a rule is none",
        })?;
        Ok(line)
    }

    /// The user that it describes.
    ///
    /// # Errors
    /// A rule that is none.
    pub fn make(&self, id: u64, channels: NewChannels) -> Result<User, RuleError> {
        let mut user = new_user(id, &self.name, channels)?;
        self.rules.iter().try_for_each(|rule| user.apply(rule.reveal(), channels))?;
        Ok(user)
    }
}

/// The user of a `user` line before its rules; the default user forgets what it was, and as in
/// Redis that shows in its flags.
fn new_user(id: u64, name: &[u8], channels: NewChannels) -> Result<User, RuleError> {
    if name == DEFAULT {
        let mut user = User::new(0, name, channels);
        user.apply(b"reset", channels)?;
        return Ok(user);
    }
    Ok(User::new(id, name, channels))
}

/// Reads the users of the file at `path` and puts them in the place of all others, if every line
/// is right.
///
/// # Errors
/// What is wrong with the file or with its lines, in Redis' words.
pub fn load(access: &Access, config: &Config, path: &Path) -> Result<(), String> {
    let text = read(path).map_err(|error| {
        format!("Error loading ACLs, opening file '{}': {}", path.display(), reason(&error))
    })?;
    let users = parse(access, config, path, &text)?;
    access.change(|all| *all = users);
    Ok(())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(ACL_FILE_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > ACL_FILE_BYTES {
        return Err(io::Error::other("File too large"));
    }
    Ok(text)
}

/// What the system says, without the number that Rust puts behind it.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn parse(access: &Access, config: &Config, path: &Path, text: &[u8]) -> Result<Users, String> {
    let (path, channels) = (path.display(), config.acl_pubsub_default);
    let mut users = Users::new(User::open_default(0));
    users.insert_all(access.built_in(config));
    let mut seen = std::collections::BTreeSet::new();
    let mut errors = String::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        // Writing to a String does not fail.
        let _ = match words.as_slice() {
            [b"user", name, rules @ ..] if is_name(name) => {
                if !seen.insert(*name) {
                    let name = String::from_utf8_lossy(name);
                    write!(errors, "WARNING: Duplicate user '{name}' found on line {number}. ")
                } else {
                    match user(&format!("{path}:{number}"), access.new_id(), name, rules, channels)
                    {
                        Ok(user) => {
                            users.insert(user);
                            Ok(())
                        }
                        Err(why) => write!(errors, "{why}"),
                    }
                }
            }
            [b"user", _, ..] => {
                write!(errors, "{path}:{number}: username contains invalid characters. ")
            }
            _ => write!(
                errors,
                "{path}:{number} should start with user keyword followed by the username. "
            ),
        };
    }
    if errors.is_empty() {
        return Ok(users);
    }
    errors += "WARNING: ACL errors detected, no change to the previously active ACL rules was \
               performed";
    Err(errors)
}

/// The user of the line `at`, or all that is wrong with it, each with the end that Redis gives it.
fn user(
    at: &str,
    id: u64,
    name: &[u8],
    rules: &[&[u8]],
    channels: NewChannels,
) -> Result<User, String> {
    let rules = join_selectors(rules)
        .map_err(|_| format!("{at}: Unmatched parenthesis in selector definition."))?;
    let mut user = User::new(if name == DEFAULT { 0 } else { id }, name, channels);
    let mut errors = String::new();
    for rule in &rules {
        // Writing to a String does not fail.
        let _ = match user.apply(rule.trim_ascii(), channels) {
            Ok(()) => Ok(()),
            // The name of a command is no secret; any other rule could be.
            Err(error @ RuleError::Unknown) => {
                let rule = String::from_utf8_lossy(rule);
                write!(errors, "{at}: Error in applying operation '{rule}': {error}. ")
            }
            Err(error) => write!(errors, "{at}: {error}. "),
        };
    }
    if errors.is_empty() { Ok(user) } else { Err(errors) }
}

/// Writes all users into the file at `path`: into another one beside it first, so that there is a
/// whole file at every moment. The user of the read-only token is made from settings at every
/// start, and not written.
///
/// # Errors
/// What the system says.
pub fn save(access: &Access, config: &Config, path: &Path) -> io::Result<()> {
    let made = access.built_in(config).is_some();
    let users = access.users();
    let mut text = Vec::new();
    for user in users.iter().filter(|user| !made || *user.name != *READ_ONLY) {
        text.extend_from_slice(&user.line());
        text.push(b'\n');
    }
    let beside = beside(path);
    let written = write(&beside, &text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What is left of it is nobody's.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// A name beside `path` that nobody else uses.
fn beside(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.{:x}.tmp", std::process::id(), crate::clock::random()));
    name.into()
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    // Hashes of passwords are for nobody else to read.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}
