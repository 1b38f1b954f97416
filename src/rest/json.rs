//! Requests as JSON: one command, or an array of them.
//!
//! An argument is a string, a number, `true` or `false`. A number is taken as it was written:
//! parsed and printed again, `1e+21` and `1.0` would be other arguments. What borrows from the
//! body is not copied; only strings with escapes are.
//!
//! Left out on purpose: limits on the body as a whole, which `body` keeps.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::Deserializer as JsonDeserializer;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::refusal::Refusal;
use crate::command::Argv;
use crate::limits;

/// An argument, borrowed from the body where it stands there as it is.
pub(super) type Argument<'b> = Cow<'b, [u8]>;

/// The commands of one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Commands<'b> {
    arguments: Vec<Argument<'b>>,
    commands: Vec<Parsed>,
}

/// One command of a request.
#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    /// Its arguments' places.
    Command(Range<usize>),
    /// What is wrong with one of them.
    Refused(&'static str),
}

/// What is asked for beyond the JSON itself.
const NULL: &str = "ERR null args are not supported";
const ARRAY: &str = "ERR unsupported arg type: \"[\": json.Delim";
const OBJECT: &str = "ERR unsupported arg type: \"{\": json.Delim";
const NOT_TEXT: &str = "ERR a string argument is no JSON string";
const TOO_MANY: &str = "ERR max number of arguments exceeded";

impl<'b> Commands<'b> {
    /// How many commands there are.
    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// All arguments of all commands, in order.
    pub(super) fn arguments(&self) -> Vec<&[u8]> {
        self.arguments.iter().map(AsRef::as_ref).collect()
    }

    /// Each command with its share of `arguments`, which are those of [`Commands::arguments`]; or
    /// what is wrong with it.
    pub(super) fn split<'a>(
        &self,
        arguments: &'a [&'a [u8]],
    ) -> Vec<Result<Argv<'a>, &'static str>> {
        self.commands
            .iter()
            .map(|parsed| match parsed {
                Parsed::Command(places) => Ok(&arguments[places.clone()]),
                Parsed::Refused(why) => Err(*why),
            })
            .collect()
    }
}

/// The arguments of the one command in `body`.
///
/// # Errors
/// When it is no JSON array of arguments, or an empty one.
pub(super) fn command(body: &[u8]) -> Result<Vec<Argument<'_>>, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Refusal::EMPTY_COMMAND);
    }
    let mut arguments = Vec::with_capacity(8);
    let mut refused = None;
    let seed = Arguments { into: &mut arguments, refused: &mut refused };
    parse(body, seed).map_err(|error| unreadable("command", "a JSON array", &error))?;
    match refused {
        Some(why) => Err(Refusal::bad_request(why)),
        None if arguments.is_empty() => Err(Refusal::EMPTY_COMMAND),
        None => Ok(arguments),
    }
}

/// The commands in `body`, at most `most`.
///
/// # Errors
/// When it is no JSON array of arrays, when one of them is empty, or when there are none or too
/// many. An argument that is none is that command's failure alone.
pub(super) fn commands(body: &[u8], most: usize) -> Result<Commands<'_>, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Refusal::bad_request("ERR empty pipeline request"));
    }
    let mut found = Commands::default();
    let mut stop = None;
    let seed = Pipeline { into: &mut found, most, stop: &mut stop };
    let parsed = parse(body, seed);
    match (stop, parsed) {
        (Some(refusal), _) => Err(refusal),
        (None, Err(error)) => Err(unreadable("pipeline request", "a JSON array of arrays", &error)),
        (None, Ok(())) if found.is_empty() => {
            Err(Refusal::bad_request("ERR empty pipeline request"))
        }
        (None, Ok(())) => Ok(found),
    }
}

fn parse<'b, S: DeserializeSeed<'b, Value = ()>>(
    body: &'b [u8],
    seed: S,
) -> Result<(), serde_json::Error> {
    let mut json = JsonDeserializer::from_slice(body);
    seed.deserialize(&mut json)?;
    json.end()
}

/// Names the place of a syntax error. An error about a wrong type would repeat the value, which
/// can be as long as the body; so that one names only what is wanted.
#[cold]
fn unreadable(what: &str, wanted: &str, error: &serde_json::Error) -> Refusal {
    match error.classify() {
        Category::Data => {
            Refusal::bad_request(format!("ERR failed to parse {what}: expected {wanted}"))
        }
        _ => Refusal::bad_request(format!("ERR failed to parse {what}: {error}")),
    }
}

/// Reads one array of arguments.
struct Arguments<'a, 'b> {
    into: &'a mut Vec<Argument<'b>>,
    /// The first argument that is none, told by what is wrong with it.
    refused: &'a mut Option<&'static str>,
}

impl<'b> DeserializeSeed<'b> for Arguments<'_, 'b> {
    type Value = ();

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'b> Visitor<'b> for Arguments<'_, 'b> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(raw) = items.next_element::<&RawValue>()? {
            if self.into.len() >= limits::ARGUMENTS {
                self.refused.get_or_insert(TOO_MANY);
                while items.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(());
            }
            match argument(raw.get()) {
                Ok(argument) => self.into.push(argument),
                Err(why) => {
                    self.refused.get_or_insert(why);
                }
            }
        }
        Ok(())
    }
}

/// An argument from its JSON text, which has no blanks around it.
#[inline]
fn argument(text: &str) -> Result<Argument<'_>, &'static str> {
    match text.as_bytes() {
        [b'"', inside @ .., b'"'] => {
            if memchr::memchr(b'\\', inside).is_none() {
                return Ok(Cow::Borrowed(inside));
            }
            Ok(Cow::Owned(unescaped(text)?))
        }
        [b'n', ..] => Err(NULL),
        [b'[', ..] => Err(ARRAY),
        [b'{', ..] => Err(OBJECT),
        literal => Ok(Cow::Borrowed(literal)),
    }
}

/// The bytes of a JSON string that has escapes. Half of a surrogate pair becomes U+FFFD, as in
/// Upstash: JavaScript sends one where it cuts a string within an emoji.
fn unescaped(text: &str) -> Result<Vec<u8>, &'static str> {
    struct Bytes;

    impl Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }
    }

    let mut json = JsonDeserializer::from_str(text);
    let mut bytes = json.deserialize_bytes(Bytes).map_err(|_| NOT_TEXT)?;
    // Such a half is three bytes here, which begin as nothing else in UTF-8 does.
    let mut from = 0;
    while let Some(found) = memchr::memchr(0xed, &bytes[from..]) {
        let at = from + found;
        if matches!(bytes[at..], [_, 0xa0..=0xbf, _, ..]) {
            bytes[at..at + 3].copy_from_slice("\u{fffd}".as_bytes());
        }
        from = at + 1;
    }
    Ok(bytes)
}

/// Reads an array of arrays of arguments.
struct Pipeline<'a, 'b> {
    into: &'a mut Commands<'b>,
    most: usize,
    /// Why the request is refused as a whole.
    stop: &'a mut Option<Refusal>,
}

impl<'b> DeserializeSeed<'b> for Pipeline<'_, 'b> {
    type Value = ();

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'b> Visitor<'b> for Pipeline<'_, 'b> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of arrays")
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut items: A) -> Result<(), A::Error> {
        loop {
            let start = self.into.arguments.len();
            let mut refused = None;
            let seed = Arguments { into: &mut self.into.arguments, refused: &mut refused };
            if items.next_element_seed(seed)?.is_none() {
                return Ok(());
            }
            let refusal = if self.into.len() == self.most {
                let most = self.most;
                Some(Refusal::bad_request(format!(
                    "ERR max pipeline length exceeded. Limit: {most} commands"
                )))
            } else if refused == Some(TOO_MANY) {
                Some(Refusal::bad_request(TOO_MANY))
            } else if refused.is_none() && self.into.arguments.len() == start {
                Some(Refusal::bad_request("ERR empty pipeline command"))
            } else {
                None
            };
            if let Some(refusal) = refusal {
                *self.stop = Some(refusal);
                return Err(A::Error::custom("refused"));
            }
            self.into.commands.push(match refused {
                Some(why) => Parsed::Refused(why),
                None => Parsed::Command(start..self.into.arguments.len()),
            });
        }
    }
}

#[cfg(test)]
mod tests;
