//! Strings compared with what a client expects of them: DIGEST, DELEX, and the conditions of SET.
//!
//! Redis 8.4 has these. A digest is XXH3 of the value, 64 bits as 16 hexadecimal digits.

use xxhash_rust::xxh3::xxh3_64;

use super::Argv;
use super::args::is;
use super::string::{string_of, take_away, with_bytes};
use crate::fault::{Fault, Outcome};
use crate::keyspace::{ReadView, StrRef, WriteView};
use crate::resp::Reply;

/// What a string is to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected<'a> {
    /// IFEQ: this value.
    Value(&'a [u8]),
    /// IFNE: another value.
    Another(&'a [u8]),
    /// IFDEQ: a value of this digest.
    Digest(&'a [u8]),
    /// IFDNE: a value of another digest.
    AnotherDigest(&'a [u8]),
}

/// Makes an expectation of the argument behind an option.
type Make<'a> = fn(&'a [u8]) -> Expected<'a>;

impl<'a> Expected<'a> {
    /// What an option expects of the value, made of the argument behind it.
    pub(super) fn option(word: &[u8]) -> Option<Make<'a>> {
        let options: [(&str, Make<'a>); 4] = [
            ("IFEQ", Expected::Value),
            ("IFNE", Expected::Another),
            ("IFDEQ", Expected::Digest),
            ("IFDNE", Expected::AnotherDigest),
        ];
        options.into_iter().find(|(name, _)| is(word, name)).map(|(_, expected)| expected)
    }

    /// Whether a value is as expected.
    ///
    /// # Errors
    /// When a digest is none.
    pub(super) fn holds(self, value: StrRef<'_>) -> Result<bool, Fault> {
        let equal = |expected: &[u8]| with_bytes(value, |bytes| bytes == expected);
        let same = |digest| parse_digest(digest).map(|digest| digest == digest_of(value));
        match self {
            Expected::Value(expected) => Ok(equal(expected)),
            Expected::Another(expected) => Ok(!equal(expected)),
            Expected::Digest(digest) => same(digest),
            Expected::AnotherDigest(digest) => same(digest).map(|same| !same),
        }
    }

    /// Whether another value is expected than the one that was given.
    pub(super) fn is_another(self) -> bool {
        matches!(self, Expected::Another(_) | Expected::AnotherDigest(_))
    }
}

fn digest_of(value: StrRef<'_>) -> u64 {
    with_bytes(value, xxh3_64)
}

/// Sixteen hexadecimal digits, in either case.
fn parse_digest(text: &[u8]) -> Result<u64, Fault> {
    let digits = (text.len() == 16 && text.iter().all(u8::is_ascii_hexdigit)).then_some(text);
    let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    digits
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or(Fault::new("ERR must be exactly 16 hexadecimal characters"))
}

pub(super) fn digest(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    match view.get(argv[1]) {
        Some(entry) => reply.bulk(format!("{:016x}", digest_of(string_of(entry)?)).as_bytes()),
        None => reply.null(),
    }
    Ok(())
}

pub(super) fn delex(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let key = argv[1];
    let wanted = match &argv[2..] {
        [] => view.exists(key),
        [word, expected] => match view.get(key) {
            Some(entry) => {
                let value = entry.as_string().ok_or(Fault::new(
                    "ERR Key should be of string type if conditions are specified",
                ))?;
                let option = Expected::option(word)
                    .ok_or(Fault::new("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"))?;
                option(expected).holds(value)?
            }
            None => false,
        },
        _ => return Err(Fault::arity("delex")),
    };
    if wanted {
        take_away(view, key);
    }
    reply.integer(i64::from(wanted));
    Ok(())
}
