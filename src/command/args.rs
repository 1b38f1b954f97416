//! Reads arguments: numbers, words, expiry options.

use super::Argv;
use crate::fault::Fault;
use crate::keyspace::NEVER;
use crate::value::long_double::LongDouble;
use crate::value::number::parse_integer;

/// An argument as a 64-bit integer.
///
/// # Errors
/// `ERR value is not an integer or out of range`.
pub fn integer(argument: &[u8]) -> Result<i64, Fault> {
    parse_integer(argument).ok_or(Fault::NOT_INTEGER)
}

/// An argument as a number of things that are `least` or more.
///
/// # Errors
/// `text`, whatever is wrong.
pub fn at_least(least: i64, argument: &[u8], text: &'static str) -> Result<usize, Fault> {
    let count = parse_integer(argument).filter(|count| *count >= least);
    count.and_then(|count| usize::try_from(count).ok()).ok_or(Fault::new(text))
}

/// How long a command may wait, in seconds with a fraction: the unix millisecond at which it
/// gives up, or `NEVER`.
///
/// # Errors
/// When it is no number, or negative, which redis-server 7.0 also says of one that is too large.
pub fn timeout(argument: &[u8], now: u64) -> Result<u64, Fault> {
    let seconds = LongDouble::parse(argument)
        .ok_or(Fault::new("ERR timeout is not a float or out of range"))?;
    let millis = i64::try_from(seconds.thousandfold()).ok();
    let millis = millis.and_then(|millis| u64::try_from(millis).ok());
    Ok(match millis.ok_or(Fault::new("ERR timeout is negative"))? {
        0 => NEVER,
        millis => now.saturating_add(millis),
    })
}

/// Whether an argument is `word`, in any case.
#[inline]
pub fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// The number of a database.
///
/// # Errors
/// `ERR invalid DB index`-like texts are the caller's; this one says that it is out of range.
pub fn database(argument: &[u8], databases: usize) -> Result<usize, Fault> {
    let index = integer(argument)?;
    usize::try_from(index).ok().filter(|index| *index < databases).ok_or(Fault::DB_RANGE)
}

/// The unit and the base of an expiry option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Seconds from now: EX, EXPIRE.
    InSeconds,
    /// Milliseconds from now: PX, PEXPIRE.
    InMillis,
    /// Unix seconds: EXAT, EXPIREAT.
    AtSeconds,
    /// Unix milliseconds: PXAT, PEXPIREAT.
    AtMillis,
}

impl Moment {
    /// The option of SET and GETEX that `word` is.
    pub fn option(word: &[u8]) -> Option<Moment> {
        [
            ("EX", Moment::InSeconds),
            ("PX", Moment::InMillis),
            ("EXAT", Moment::AtSeconds),
            ("PXAT", Moment::AtMillis),
        ]
        .into_iter()
        .find(|(name, _)| is(word, name))
        .map(|(_, moment)| moment)
    }

    /// The unix millisecond that `value` means at `now`; it may lie in the past.
    ///
    /// `None` when it is beyond what 64 bits can say.
    pub fn at(self, value: i64, now: u64) -> Option<i64> {
        let millis = match self {
            Moment::InSeconds | Moment::AtSeconds => value.checked_mul(1000)?,
            Moment::InMillis | Moment::AtMillis => value,
        };
        match self {
            Moment::InSeconds | Moment::InMillis => millis.checked_add(i64::try_from(now).ok()?),
            Moment::AtSeconds | Moment::AtMillis => Some(millis),
        }
    }
}

/// The expiry that an option of SET, GETEX, SETEX or PSETEX sets, in unix milliseconds.
///
/// # Errors
/// When the value is no integer, not positive, or too large; `name` is the command's.
pub fn expiry_option(moment: Moment, value: &[u8], now: u64, name: &str) -> Result<u64, Fault> {
    let value = integer(value)?;
    if value <= 0 {
        return Err(Fault::expiry(name));
    }
    let at = moment.at(value, now).and_then(|at| u64::try_from(at).ok());
    at.filter(|at| *at != NEVER).ok_or_else(|| Fault::expiry(name))
}

/// The argument behind position `at`.
///
/// # Errors
/// `ERR syntax error` when there is none.
pub fn next<'a>(argv: Argv<'a>, at: &mut usize) -> Result<&'a [u8], Fault> {
    *at += 1;
    argv.get(*at).copied().ok_or(Fault::SYNTAX)
}
