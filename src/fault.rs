//! Why a command fails, in Redis' words.

use std::borrow::Cow;

use crate::command::waiting::Wait;
use crate::keyspace::locks::Contended;

/// A command's failure. A handler that fails has changed nothing and answered nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A shard is busy: yield to the runtime and run the command again. No client sees this.
    Contended,
    /// There is nothing to give as yet: let the client wait, or tell it so. No client sees this.
    Wait(Wait),
    /// This replica does not run it, its leader does. No client sees this.
    Elsewhere,
    /// What the client is told.
    Text(Cow<'static, str>),
}

/// What a handler comes to.
pub type Outcome = Result<(), Fault>;

impl Fault {
    /// The key holds another kind of value.
    pub const WRONG_TYPE: Fault =
        Fault::new("WRONGTYPE Operation against a key holding the wrong kind of value");
    /// The arguments do not fit the syntax.
    pub const SYNTAX: Fault = Fault::new("ERR syntax error");
    /// An argument or a value is no 64-bit integer.
    pub const NOT_INTEGER: Fault = Fault::new("ERR value is not an integer or out of range");
    /// A hash field is no 64-bit integer.
    pub const HASH_NOT_INTEGER: Fault = Fault::new("ERR hash value is not an integer");
    /// A hash field is no number.
    pub const HASH_NOT_FLOAT: Fault = Fault::new("ERR hash value is not a float");
    /// An argument or a value is no number.
    pub const NOT_FLOAT: Fault = Fault::new("ERR value is not a valid float");
    /// An addition leaves the 64-bit integers.
    pub const OVERFLOW: Fault = Fault::new("ERR increment or decrement would overflow");
    /// An addition leaves the numbers.
    pub const NOT_FINITE: Fault = Fault::new("ERR increment would produce NaN or Infinity");
    /// The key is not there, and the command needs it.
    pub const NO_KEY: Fault = Fault::new("ERR no such key");
    /// A string would outgrow its limit.
    pub const STRING_TOO_LONG: Fault =
        Fault::new("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    /// An offset before the first byte.
    pub const OFFSET: Fault = Fault::new("ERR offset is out of range");
    /// A database that is not there.
    pub const DB_RANGE: Fault = Fault::new("ERR DB index is out of range");

    /// A number that 32 bits do not hold.
    pub const INT_RANGE: Fault =
        Fault::new("ERR value is out of range, value must between -2147483648 and 2147483647");
    /// A key that is to become itself.
    pub const SAME_OBJECT: Fault = Fault::new("ERR source and destination objects are the same");

    /// A failure with a fixed text.
    pub const fn new(text: &'static str) -> Fault {
        Fault::Text(Cow::Borrowed(text))
    }

    /// A failure with a text of its own.
    pub fn text(text: impl Into<Cow<'static, str>>) -> Fault {
        Fault::Text(text.into())
    }

    /// A wrong number of arguments, found by the handler of `name`.
    pub fn arity(name: &str) -> Fault {
        Fault::text(format!("ERR wrong number of arguments for '{name}' command"))
    }

    /// An expiry time that is not positive, or beyond what can be kept.
    pub fn expiry(name: &str) -> Fault {
        Fault::text(format!("ERR invalid expire time in '{name}' command"))
    }
}

/// At most `most` bytes of an argument, as text for an error; like Redis, not beyond a zero
/// byte.
pub fn shown(argument: &[u8], most: usize) -> Cow<'_, str> {
    let argument = argument.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(&argument[..argument.len().min(most)])
}

impl From<Contended> for Fault {
    fn from(_: Contended) -> Fault {
        Fault::Contended
    }
}
