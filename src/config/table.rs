//! The directives: one row each, and everything else is derived from the rows.
//!
//! Left out on purpose: the rows themselves ([`super::rows`]), and parsing, which a row's [`Kind`]
//! does.

use super::Config;
use super::kind::{Kind, Reason, Stage};
use super::rows::{INERT, TABLE};
use super::source::split_words;

/// One directive.
#[derive(Clone, Copy, Debug)]
pub struct Directive {
    /// Its name in redis.conf, lower case.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// The heading under which `--help` shows it.
    pub group: Group,
    /// When it can be set.
    pub when: When,
    /// One line for `--help`.
    pub help: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// The headings of `--help`, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The Redis port and its connections.
    Network,
    /// The REST door.
    Rest,
    /// Who may do what.
    Access,
    /// Leader and replicas.
    Replication,
    /// Memory, expiry and eviction.
    Memory,
    /// Bounds on one client.
    Limits,
    /// Databases and data types.
    Data,
    /// Logs and measurements.
    Observation,
    /// Process and files.
    Process,
    /// The doors with TLS.
    Tls,
    /// Known to Redis, without effect here.
    Inert,
}

impl Group {
    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Network => "Network",
            Self::Rest => "REST",
            Self::Access => "Access",
            Self::Replication => "Replication",
            Self::Memory => "Memory, expiry and eviction",
            Self::Limits => "Limits of one client",
            Self::Data => "Databases and data types",
            Self::Observation => "Logs and measurements",
            Self::Process => "Process and files",
            Self::Tls => "TLS",
            Self::Inert => "Accepted without effect",
        }
    }
}

/// When a directive can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At start and by CONFIG SET.
    Runtime,
    /// At start only.
    Start,
    /// At start only, because CONFIG SET of it has been used to attack Redis servers.
    Protected,
}

impl Directive {
    /// The name of its variable, such as `EAVE_REST_PORT`.
    pub fn variable(&self) -> String {
        format!("EAVE_{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// Its value in `config`, as CONFIG GET shows it.
    pub fn get(&self, config: &Config) -> Vec<u8> {
        self.kind.get(self.name, config)
    }

    /// Gives it the value `words` in `config`, all or nothing.
    ///
    /// # Errors
    /// Why the words are not a value of this directive.
    pub fn set(&self, config: &mut Config, words: &[Vec<u8>], stage: Stage) -> Result<(), Reason> {
        // `save "3600 1"` and `bind "127.0.0.1 ::1"` are common, also in Redis' own examples.
        match words {
            [only] if self.kind.takes_words() && only.contains(&b' ') => {
                self.kind.set(self.name, config, &self.words_of(only), stage)
            }
            words => self.kind.set(self.name, config, words, stage),
        }
    }

    /// A value that came as one string, cut into words if the directive takes several.
    pub(super) fn words_of(&self, value: &[u8]) -> Vec<Vec<u8>> {
        let words = self.kind.takes_words().then(|| split_words(value)).flatten();
        words.unwrap_or_else(|| vec![value.to_vec()])
    }
}

/// The directive called `name`, or with that alias, in any case.
pub fn find(name: &str) -> Option<&'static Directive> {
    names().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, directive)| directive)
}

/// The directives that act.
pub(super) fn acting() -> impl Iterator<Item = &'static Directive> {
    TABLE.iter().copied().flatten()
}

/// Every directive.
pub(super) fn directives() -> impl Iterator<Item = &'static Directive> {
    acting().chain(INERT)
}

/// Every name and alias with its directive.
pub(super) fn names() -> impl Iterator<Item = (&'static str, &'static Directive)> {
    directives().flat_map(|directive| {
        std::iter::once(directive.name)
            .chain(directive.aliases.iter().copied())
            .map(move |name| (name, directive))
    })
}

/// The known name that is most like `name`, if any is like it at all.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    // Longer input is no slip of the finger, and the distance costs its square.
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_ascii_lowercase().replace('_', "-");
    names()
        .map(|(known, _)| (strsim::damerau_levenshtein(&name, known), known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .map(|(_, known)| known)
}
