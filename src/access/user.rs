//! A user: passwords, and what may be asked. A snapshot never changes; rules make a new one.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroize;

use super::selector::{RuleError, Selector, has_spaces};
use crate::config::split_words;

/// The user that every connection starts as.
pub const DEFAULT: &[u8] = b"default";

/// The SHA-256 of a password. Never printed by `Debug`, compared in constant time, wiped when
/// dropped: who has it can try passwords as fast as he likes.
#[derive(Clone)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of a password.
    pub fn of(password: &[u8]) -> Hash {
        Hash(Sha256::digest(password).into())
    }

    /// Reads 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// When they are something else.
    pub fn parse(digits: &[u8]) -> Result<Hash, RuleError> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(RuleError::Hash),
        };
        let (pairs, rest) = digits.as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(RuleError::Hash);
        }
        let mut hash = [0; 32];
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Hash(hash))
    }

    /// The digits.
    pub fn digits(&self) -> String {
        let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
        self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }

    /// Whether two are the same.
    pub fn matches(&self, other: &Hash) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl Drop for Hash {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(hidden)")
    }
}

/// Whether the payload of a RESTORE is looked at closely. Here it always is; Redis has the rule,
/// and shows it once it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sanitize {
    /// `sanitize-payload`.
    Yes,
    /// `skip-sanitize-payload`.
    Skip,
}

/// What `acl-pubsub-default` gives to new users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NewChannels {
    /// All channels.
    All,
    /// None.
    #[default]
    None,
}

/// See the module's description.
#[derive(Clone, Debug)]
pub struct User {
    /// Never used twice in the life of a process: a user made anew under an old name is another.
    pub id: u64,
    /// Without spaces.
    pub name: Box<[u8]>,
    /// Whether it may authenticate.
    pub enabled: bool,
    /// Whether any password will do.
    pub no_password: bool,
    /// See there.
    pub sanitize: Option<Sanitize>,
    /// The hashes of its passwords.
    pub passwords: Vec<Hash>,
    /// What it may ask; one of them has to allow a request. The first one is changed by rules
    /// outside of parentheses.
    pub selectors: Vec<Selector>,
}

/// Passwords and selectors that one user may have each.
const MOST: usize = 1_000;

impl User {
    /// A new user: off, and nothing is allowed but perhaps channels.
    pub fn new(id: u64, name: &[u8], channels: NewChannels) -> User {
        let root = Selector { all_channels: channels == NewChannels::All, ..Selector::NOTHING };
        User {
            id,
            name: name.into(),
            enabled: false,
            no_password: false,
            sanitize: None,
            passwords: Vec::new(),
            selectors: vec![root],
        }
    }

    /// The default user as it is until somebody changes it: no password, everything allowed.
    pub fn open_default(id: u64) -> User {
        let mut user = User::new(id, DEFAULT, NewChannels::All);
        user.enabled = true;
        user.no_password = true;
        user.root().all_keys = true;
        user.root().reset_commands(true);
        user
    }

    /// Gives the user this password and no other; an empty one means that none is asked for.
    pub fn set_password(&mut self, password: &[u8]) {
        self.passwords.clear();
        self.no_password = password.is_empty();
        if !password.is_empty() {
            self.passwords.push(Hash::of(password));
        }
    }

    /// Whether everything is allowed.
    pub fn is_unrestricted(&self) -> bool {
        self.selectors.iter().any(Selector::is_unrestricted)
    }

    /// Whether connections may use it without a word.
    pub fn is_open(&self) -> bool {
        self.enabled && self.no_password
    }

    /// Whether this is one of its passwords. How long it takes tells nothing but their number.
    pub fn has_password(&self, password: &[u8]) -> bool {
        let hash = Hash::of(password);
        let found =
            self.passwords.iter().fold(Choice::from(0), |found, own| found | own.matches(&hash));
        found.into()
    }

    fn root(&mut self) -> &mut Selector {
        if self.selectors.is_empty() {
            self.selectors.push(Selector::NOTHING);
        }
        &mut self.selectors[0]
    }

    /// Applies a rule.
    ///
    /// # Errors
    /// When it is none. The user may have changed in part, and is to be thrown away.
    pub fn apply(&mut self, rule: &[u8], channels: NewChannels) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            [] => {}
            _ if is("on") => self.enabled = true,
            _ if is("off") => self.enabled = false,
            _ if is("nopass") => self.reset_passwords(true),
            _ if is("resetpass") => self.reset_passwords(false),
            _ if is("skip-sanitize-payload") => self.sanitize = Some(Sanitize::Skip),
            _ if is("sanitize-payload") => self.sanitize = Some(Sanitize::Yes),
            [b'>', password @ ..] => self.add_password(Hash::of(password))?,
            [b'#', digits @ ..] => self.add_password(Hash::parse(digits)?)?,
            [b'<', password @ ..] => self.remove_password(&Hash::of(password))?,
            [b'!', digits @ ..] => self.remove_password(&Hash::parse(digits)?)?,
            [b'(', rules @ .., b')'] => {
                let selector = selector(rules, channels)?;
                if self.selectors.len() >= MOST {
                    return Err(RuleError::TooMany);
                }
                self.selectors.push(selector);
            }
            _ if is("clearselectors") => self.selectors.truncate(1),
            _ if is("reset") => {
                let fresh = User::new(self.id, &self.name, channels);
                *self = User { sanitize: Some(Sanitize::Yes), ..fresh };
            }
            _ => self.root().apply(rule)?,
        }
        Ok(())
    }

    fn reset_passwords(&mut self, none_needed: bool) {
        self.no_password = none_needed;
        self.passwords.clear();
    }

    fn position(&self, hash: &Hash) -> Option<usize> {
        self.passwords.iter().position(|own| own.matches(hash).into())
    }

    fn add_password(&mut self, hash: Hash) -> Result<(), RuleError> {
        if self.position(&hash).is_none() {
            if self.passwords.len() >= MOST {
                return Err(RuleError::TooMany);
            }
            self.passwords.push(hash);
        }
        self.no_password = false;
        Ok(())
    }

    fn remove_password(&mut self, hash: &Hash) -> Result<(), RuleError> {
        let at = self.position(hash).ok_or(RuleError::NoPassword)?;
        self.passwords.remove(at);
        Ok(())
    }
}

/// What stands between a selector's parentheses.
fn selector(rules: &[u8], channels: NewChannels) -> Result<Selector, RuleError> {
    let mut selector = Selector { all_channels: channels == NewChannels::All, ..Selector::NOTHING };
    let words = split_words(rules).ok_or(RuleError::Syntax)?;
    words.iter().try_for_each(|rule| selector.apply(rule))?;
    Ok(selector)
}

/// Whether a user may be called this.
pub fn is_name(name: &[u8]) -> bool {
    !has_spaces(name)
}

/// Puts the words of each selector together, which may come in several arguments.
///
/// # Errors
/// The word with the parenthesis that nothing closes.
pub fn join_selectors<'a>(rules: &[&'a [u8]]) -> Result<Vec<std::borrow::Cow<'a, [u8]>>, &'a [u8]> {
    let mut joined: Vec<std::borrow::Cow<'a, [u8]>> = Vec::with_capacity(rules.len());
    let mut open: Option<(&'a [u8], Vec<u8>)> = None;
    for rule in rules {
        open = match open.take() {
            None if rule.starts_with(b"(") && !rule.ends_with(b")") => Some((rule, rule.to_vec())),
            None => {
                joined.push((*rule).into());
                None
            }
            Some((first, mut text)) => {
                text.push(b' ');
                text.extend_from_slice(rule);
                if rule.ends_with(b")") {
                    joined.push(text.into());
                    None
                } else {
                    Some((first, text))
                }
            }
        };
    }
    match open {
        Some((first, _)) => Err(first),
        None => Ok(joined),
    }
}
