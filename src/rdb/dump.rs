//! DUMP payloads: one value alone, with a version and a checksum.
//!
//! A type byte, the value, two bytes of version, and the CRC-64 of all that. Unlike a file's,
//! this checksum cannot be switched off.

use super::code;
use super::cursor::{Cursor, Stop};
use super::error::{Error, ErrorKind};
use super::value::{Decoded, Decoder, Limits, Value};
use super::write::{Compression, Encode, Writer};
use super::{Checksum, NEWEST_VERSION, WRITTEN_VERSION};

/// Version and checksum.
const FOOTER: usize = 2 + 8;

/// Appends the payload of a value.
pub fn write<V: Encode>(out: &mut Vec<u8>, value: V, compression: Compression) {
    let start = out.len();
    let version = value.version();
    out.push(value.type_byte());
    value.encode(out, compression);
    out.extend_from_slice(&version.to_le_bytes());
    let checksum = Checksum::of(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// Appends the payload of function libraries, which are given by their code.
pub fn write_libraries<'c>(out: &mut Vec<u8>, codes: impl Iterator<Item = &'c [u8]>) {
    let start = out.len();
    for code in codes {
        Writer::new(out, Compression::Lzf).function(code);
    }
    out.extend_from_slice(&WRITTEN_VERSION.to_le_bytes());
    let checksum = Checksum::of(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// Reads what the footer of a payload of function libraries vouches for: their code.
///
/// # Errors
///
/// Anything in it that is not as it should be.
pub fn libraries(body: &[u8], limits: &Limits) -> Result<Vec<Vec<u8>>, Error> {
    let end = body.len() as u64;
    let mut cursor = Cursor::new(body, 0);
    let mut codes = Vec::new();
    while cursor.offset() < end {
        let code = library(&mut cursor, limits).map_err(|stop| match stop {
            Stop::More => Error::new(end, ErrorKind::Truncated),
            Stop::Bad(error) => error,
        })?;
        codes.push(code);
    }
    Ok(codes)
}

fn library(cursor: &mut Cursor<'_>, limits: &Limits) -> Result<Vec<u8>, Stop> {
    let at = cursor.offset();
    if cursor.byte()? != code::OP_FUNCTION2 {
        return Err(Stop::Bad(Error::expected(at, "a function library")));
    }
    Ok(cursor.string(limits)?.into_vec()?)
}

/// Reads a payload.
///
/// # Errors
///
/// A version that is not read, a wrong checksum, or anything in the value that is not as it
/// should be: an unsupported type, a limit exceeded, bytes missing or left over, a collection
/// without elements.
pub fn read(payload: &[u8], limits: &Limits) -> Result<Value, Error> {
    value(verify(payload)?, limits)
}

/// The part of a payload that `value` reads, if the payload's footer fits it.
///
/// # Errors
///
/// A version that is not read, or a wrong checksum.
pub fn verify(payload: &[u8]) -> Result<&[u8], Error> {
    let end = payload.len() as u64;
    let truncated = Error::new(end, ErrorKind::Truncated);
    let (body, footer) = payload.split_last_chunk::<FOOTER>().ok_or_else(|| truncated.clone())?;
    let [v0, v1, sum @ ..] = *footer;
    let found = u16::from_le_bytes([v0, v1]);
    if !(1..=NEWEST_VERSION).contains(&found) {
        return Err(Error::new(body.len() as u64, ErrorKind::Version { found }));
    }
    let stored = u64::from_le_bytes(sum);
    let computed = Checksum::of(&payload[..payload.len() - sum.len()]);
    if stored != computed {
        return Err(Error::new(end, ErrorKind::Checksum { computed, stored }));
    }
    Ok(body)
}

/// Likewise, whatever the checksum is.
///
/// # Errors
///
/// A version that is not read, or no footer.
pub fn unverified(payload: &[u8]) -> Result<&[u8], Error> {
    match verify(payload) {
        Err(error) if matches!(error.kind, ErrorKind::Checksum { .. }) => {
            Ok(&payload[..payload.len() - FOOTER])
        }
        verified => verified,
    }
}

/// Reads what a payload's footer vouches for: a type byte and a value.
///
/// # Errors
///
/// Anything in it that is not as it should be: see `read`.
pub fn value(body: &[u8], limits: &Limits) -> Result<Value, Error> {
    let end = body.len() as u64;
    let mut cursor = Cursor::new(body, 0);
    match whole_value(&mut cursor, limits) {
        Err(Stop::More) => Err(Error::new(end, ErrorKind::Truncated)),
        Err(Stop::Bad(error)) => Err(error),
        Ok(_) if cursor.offset() != end => {
            Err(Error::expected(cursor.offset(), "nothing after the value"))
        }
        Ok(Decoded::Value(value)) => Ok(value),
        Ok(Decoded::Skipped(_)) => {
            // `whole_value` has read the type byte.
            let (byte, name) = (body[0], code::type_name(body[0]));
            Err(match byte {
                code::TYPE_MODULE_2 => Error::new(0, ErrorKind::Type { byte, name }),
                _ => Error::expected(1, "a collection with elements"),
            })
        }
    }
}

fn whole_value(cursor: &mut Cursor<'_>, limits: &Limits) -> Result<Decoded, Stop> {
    let byte = cursor.byte()?;
    Decoder::new(byte, 0)?.step(cursor, limits)
}
