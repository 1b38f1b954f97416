//! Module values: Eave's limiter state, documents of RedisJSON, and skipping what other modules
//! left.
//!
//! Redis has no type for limiter state, so it travels as the value of a module type of Eave's
//! own: 64 bits of identity, one string, an end mark. Eave nodes read it. A redis-server
//! without that module refuses such a file, so whoever writes for one leaves these keys out.
//!
//! A document is what RedisJSON 2 writes, the text as one string, so payloads go between the two.
//!
//! Module values of the second kind (since version 8) say of each part what it is; hence the
//! values of unknown modules can be skipped.
//!
//! Left out on purpose: module values of the first kind, which cannot be skipped.

use super::code;
use super::cursor::{Cursor, Stop};
use super::error::Error;
use super::string::write_plain;
use super::value::{Decoded, Limits, Skipped, Value};
use super::write::{Compression, Encode, write_length};

/// The 64 characters that module type names are made of, six bits each.
const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const NAME: &[u8; 9] = b"eave-rate";
/// Low bits of an identity: the encoding version.
const VERSION_BITS: u32 = 10;
const LIMITER_ID: u64 = identity(NAME, LimiterState::VERSION);
/// RedisJSON's type in its third encoding.
const JSON_ID: u64 = identity(b"ReJSON-RL", 3);

/// Limiter state: a value of Eave alone, opaque to this module.
#[derive(Debug, Clone, Copy)]
pub struct LimiterState<'a>(
    /// The state as the limiter encodes it.
    pub &'a [u8],
);

impl LimiterState<'_> {
    /// The version of the encoding inside; a reader skips, and reports, any other. 0 to 1023.
    pub const VERSION: u16 = 1;
}

impl Encode for LimiterState<'_> {
    fn type_byte(&self) -> u8 {
        code::TYPE_MODULE_2
    }

    fn encode(self, out: &mut Vec<u8>, _: Compression) {
        encode(LIMITER_ID, self.0, out);
    }
}

/// A document of RedisJSON.
#[derive(Debug, Clone, Copy)]
pub struct JsonText<'a>(
    /// The document as JSON.
    pub &'a [u8],
);

impl Encode for JsonText<'_> {
    fn type_byte(&self) -> u8 {
        code::TYPE_MODULE_2
    }

    fn encode(self, out: &mut Vec<u8>, _: Compression) {
        encode(JSON_ID, self.0, out);
    }
}

/// Writes a value that is one string.
fn encode(id: u64, string: &[u8], out: &mut Vec<u8>) {
    write_length(out, id);
    write_length(out, code::MODULE_STRING);
    write_plain(out, string);
    write_length(out, code::MODULE_EOF);
}

/// Nine characters and a version as the 64 bits that stand in files.
const fn identity(name: &[u8; 9], version: u16) -> u64 {
    let mut id: u64 = 0;
    let mut i = 0;
    while i < name.len() {
        let mut digit = 0;
        while CHARACTERS[digit] != name[i] {
            digit += 1;
        }
        id = id << 6 | digit as u64;
        i += 1;
    }
    id << VERSION_BITS | version as u64
}

/// What a reader reports of a module it does not have.
fn skipped(id: u64) -> Skipped {
    let digits = (0..9).rev().map(|i| id >> (VERSION_BITS + 6 * i) & 0x3f);
    let name = digits.map(|digit| char::from(CHARACTERS[digit as usize])).collect();
    Skipped::Module { name, version: (id & ((1 << VERSION_BITS) - 1)) as u16 }
}

/// A module value on its way in.
#[derive(Debug)]
pub(super) struct Decoder {
    kind: Kind,
    /// Known once its first bytes have come.
    id: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// The value of a key.
    Value,
    /// Data of no key: it says first when it was saved.
    Aux,
}

impl Decoder {
    pub(super) fn value() -> Self {
        Self { kind: Kind::Value, id: None }
    }

    pub(super) fn aux() -> Self {
        Self { kind: Kind::Aux, id: None }
    }

    pub(super) fn step(
        &mut self,
        cursor: &mut Cursor<'_>,
        limits: &Limits,
    ) -> Result<Decoded, Stop> {
        let id = match self.id {
            Some(id) => id,
            None => self.begin(cursor)?,
        };
        let value = match (self.kind, id) {
            (Kind::Value, LIMITER_ID) => string(cursor, limits).map(Value::Limiter),
            (Kind::Value, JSON_ID) => string(cursor, limits).map(Value::Json),
            _ => {
                while skip_part(cursor, limits)? {}
                return Ok(Decoded::Skipped(skipped(id)));
            }
        };
        value.map(Decoded::Value)
    }

    fn begin(&mut self, cursor: &mut Cursor<'_>) -> Result<u64, Stop> {
        let id = cursor.length()?;
        if let Kind::Aux = self.kind {
            expect(cursor, code::MODULE_UINT, "the moment of module data")?;
            cursor.length()?;
        }
        cursor.keep();
        self.id = Some(id);
        Ok(id)
    }
}

fn expect(cursor: &mut Cursor<'_>, wanted: u64, expected: &'static str) -> Result<(), Stop> {
    let offset = cursor.offset();
    if cursor.length()? != wanted {
        return Err(Error::expected(offset, expected).into());
    }
    Ok(())
}

/// A value that is one string.
fn string(cursor: &mut Cursor<'_>, limits: &Limits) -> Result<Vec<u8>, Stop> {
    expect(cursor, code::MODULE_STRING, "a module value as a string")?;
    let string = cursor.string(limits)?;
    expect(cursor, code::MODULE_EOF, "the end of a module value")?;
    Ok(string.into_vec()?)
}

/// Skips one part; `false` if it was the end mark.
fn skip_part(cursor: &mut Cursor<'_>, limits: &Limits) -> Result<bool, Stop> {
    let offset = cursor.offset();
    match cursor.length()? {
        code::MODULE_EOF => return Ok(false),
        code::MODULE_SINT | code::MODULE_UINT => drop(cursor.length()?),
        code::MODULE_FLOAT => drop(cursor.take(4)?),
        code::MODULE_DOUBLE => drop(cursor.take(8)?),
        code::MODULE_STRING => drop(cursor.string(limits)?),
        _ => return Err(Error::expected(offset, "a part of a module value").into()),
    }
    cursor.keep();
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identities_are_pinned() {
        // It stands in files: changing it orphans every stored limiter.
        assert_eq!(LIMITER_ID, 0x79ab_defa_b6ad_7801);
        let expected = Skipped::Module { name: "eave-rate".to_owned(), version: 1 };
        assert_eq!(skipped(LIMITER_ID), expected);
        let expected = Skipped::Module { name: "ReJSON-RL".to_owned(), version: 3 };
        assert_eq!(skipped(JSON_ID), expected);
    }
}
