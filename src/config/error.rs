//! What is wrong with a setting, said in one sentence that names the culprit.
//!
//! Left out on purpose: the values of secrets, and values of directives that do not exist (a
//! misspelt `requirepass` must not print a password into a log).

use std::fmt;
use std::io;

/// Why the start, or a CONFIG SET, was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A directive with a value that it does not take.
    #[error("{origin}: '{shown}': {reason}")]
    Value {
        /// Where it was written.
        origin: Origin,
        /// The directive with its values, shortened, secrets hidden.
        shown: String,
        /// What was expected.
        reason: String,
    },
    /// A name that is no directive.
    #[error("{origin}: no directive is called '{name}'{}", Hint(*.nearest))]
    Unknown {
        /// Where it was written.
        origin: Origin,
        /// The name.
        name: String,
        /// A directive with a similar name.
        nearest: Option<&'static str>,
    },
    /// A line that cannot be split into words.
    #[error("{origin}: {reason}")]
    Syntax {
        /// Where it is.
        origin: Origin,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that cannot be read.
    #[error("{origin}: cannot read {path}: {source}")]
    Read {
        /// What named the file.
        origin: Origin,
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// CONFIG SET of a name that is no directive; the text is Redis'.
    #[error("ERR Unknown option or number of arguments for CONFIG SET - '{name}'")]
    SetUnknown {
        /// The name as it was sent.
        name: String,
    },
    /// CONFIG SET of a value that is refused; the text is Redis'.
    #[error("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")]
    Set {
        /// The name as it was sent.
        name: String,
        /// What was expected.
        reason: String,
    },
}

struct Hint(Option<&'static str>);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "; did you mean '{name}'?"),
            None => f.write_str("; --help lists them"),
        }
    }
}

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A line of a file, counted from 1.
    Line {
        /// The file, or `standard input`.
        file: String,
        /// The line.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// An option of the command line, without its dashes.
    Option(String),
    /// The command line as a whole.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(f, "{file} line {line}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Option(name) => write!(f, "option --{name}"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// `text` fit for one line of a log: control characters escaped, at most 80 characters.
pub(super) fn printable(text: &[u8]) -> String {
    const MOST: usize = 80;
    let mut shown = String::new();
    for (count, letter) in String::from_utf8_lossy(text).chars().enumerate() {
        if count == MOST {
            shown.push_str("...");
            break;
        }
        if letter.is_control() {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}
