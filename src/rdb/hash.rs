//! Hashes: as a table of strings, or packed as listpack, ziplist or zipmap.

use std::collections::HashSet;

use super::code;
use super::cursor::{Cursor, Stop};
use super::error::{Broken, Error, ErrorKind};
use super::listpack::{self, Listpack};
use super::packed::Element;
use super::string::write_string;
use super::value::{Decoded, Limits, Skipped, Value};
use super::write::{Compression, Encode, write_length};
use super::{NEWEST_VERSION, ziplist, zipmap};

/// Redis' last moment for a field: 48 bits of milliseconds since 1970.
const LAST_EXPIRY_MS: u64 = (1 << 48) - 1;
/// Up to here comparing every pair of fields is faster than hashing them.
const FEW: usize = 16;
/// Fields that memory is asked for before any has come; after that the vector doubles.
const FIRST_FIELDS: u64 = 64;

/// A field of a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashField {
    /// The name.
    pub field: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// When the field alone expires, in milliseconds since 1970; it may have passed.
    pub expire_at_ms: Option<u64>,
}

/// A hash value as a table, from an iterator over (field, value).
#[derive(Debug, Clone)]
pub struct HashTable<I>(
    /// The pairs; its `len` must be right, for it is written before them.
    pub I,
);

impl<I, F, V> Encode for HashTable<I>
where
    I: ExactSizeIterator<Item = (F, V)>,
    F: AsRef<[u8]>,
    V: AsRef<[u8]>,
{
    fn type_byte(&self) -> u8 {
        code::TYPE_HASH
    }

    fn encode(self, out: &mut Vec<u8>, compression: Compression) {
        write_length(out, self.0.len() as u64);
        for (field, value) in self.0 {
            write_string(out, field.as_ref(), compression);
            write_string(out, value.as_ref(), compression);
        }
    }
}

/// A hash value as a table whose fields may expire: Redis has it since 7.4.
#[derive(Debug, Clone)]
pub struct ExpiringHash<I> {
    /// The soonest of the expiries, in milliseconds since 1970.
    pub earliest_ms: u64,
    /// (Field, value, expiry), 0 for none; its `len` must be right, for it is written before.
    pub fields: I,
}

impl<I, F, V> Encode for ExpiringHash<I>
where
    I: ExactSizeIterator<Item = (F, V, u64)>,
    F: AsRef<[u8]>,
    V: AsRef<[u8]>,
{
    fn type_byte(&self) -> u8 {
        code::TYPE_HASH_METADATA
    }

    fn version(&self) -> u16 {
        NEWEST_VERSION
    }

    fn encode(self, out: &mut Vec<u8>, compression: Compression) {
        out.extend_from_slice(&self.earliest_ms.to_le_bytes());
        write_length(out, self.fields.len() as u64);
        for (field, value, at) in self.fields {
            let distance = if at == 0 { 0 } else { at.saturating_sub(self.earliest_ms) + 1 };
            write_length(out, distance);
            write_string(out, field.as_ref(), compression);
            write_string(out, value.as_ref(), compression);
        }
    }
}

/// A hash value as a listpack of field, value, field, value and so on.
#[derive(Debug, Clone, Copy)]
pub struct HashListpack<'a>(
    /// The fields and values.
    pub &'a Listpack,
);

impl Encode for HashListpack<'_> {
    fn type_byte(&self) -> u8 {
        code::TYPE_HASH_LISTPACK
    }

    fn encode(self, out: &mut Vec<u8>, compression: Compression) {
        write_string(out, self.0.as_bytes(), compression);
    }
}

/// The fields of a whole hash as what the reader gives out.
pub(super) fn decoded(fields: Vec<HashField>) -> Decoded {
    if fields.is_empty() {
        return Decoded::Skipped(Skipped::Empty);
    }
    Decoded::Value(Value::Hash(fields))
}

/// A table of strings, field by field.
#[derive(Debug)]
pub(super) struct TableDecoder {
    layout: Layout,
    offset: u64,
    /// Fields still to come; `None` before the count.
    left: Option<u64>,
    fields: Vec<HashField>,
}

#[derive(Debug, Clone, Copy)]
enum Layout {
    Plain,
    /// Expiries are relative to the earliest of them, which stands in front.
    Expiries {
        earliest_ms: u64,
    },
}

impl TableDecoder {
    pub(super) fn plain() -> Self {
        Self { layout: Layout::Plain, offset: 0, left: None, fields: Vec::new() }
    }

    pub(super) fn with_expiries() -> Self {
        Self { layout: Layout::Expiries { earliest_ms: 0 }, ..Self::plain() }
    }

    /// Takes the fields that are there; the whole hash once all are.
    pub(super) fn step(
        &mut self,
        cursor: &mut Cursor<'_>,
        limits: &Limits,
    ) -> Result<Vec<HashField>, Stop> {
        let mut left = match self.left {
            Some(left) => left,
            None => self.begin(cursor, limits)?,
        };
        while left > 0 {
            let field = self.field(cursor, limits)?;
            self.fields.push(field);
            cursor.keep();
            left -= 1;
            self.left = Some(left);
        }
        let fields = std::mem::take(&mut self.fields);
        refuse_duplicates(&fields, self.offset)?;
        Ok(fields)
    }

    fn begin(&mut self, cursor: &mut Cursor<'_>, limits: &Limits) -> Result<u64, Stop> {
        self.offset = cursor.offset();
        if let Layout::Expiries { earliest_ms } = &mut self.layout {
            *earliest_ms = cursor.u64_le()?;
        }
        let left = cursor.limited("a hash", limits.elements)?;
        cursor.keep();
        self.left = Some(left);
        self.fields.reserve(left.min(FIRST_FIELDS) as usize);
        Ok(left)
    }

    fn field(&self, cursor: &mut Cursor<'_>, limits: &Limits) -> Result<HashField, Stop> {
        let expire_at_ms = match self.layout {
            Layout::Plain => None,
            Layout::Expiries { earliest_ms } => relative_expiry(cursor, earliest_ms)?,
        };
        let field = cursor.string(limits)?;
        let value = cursor.string(limits)?;
        // Only now that both are there is anything copied or expanded.
        Ok(HashField { field: field.into_vec()?, value: value.into_vec()?, expire_at_ms })
    }
}

/// Zero for none, otherwise the distance to the earliest expiry plus one.
fn relative_expiry(cursor: &mut Cursor<'_>, earliest_ms: u64) -> Result<Option<u64>, Stop> {
    let offset = cursor.offset();
    let Some(distance) = cursor.length()?.checked_sub(1) else { return Ok(None) };
    earliest_ms
        .checked_add(distance)
        .filter(|at| *at <= LAST_EXPIRY_MS)
        .map(Some)
        .ok_or_else(|| Error::expected(offset, "a field's expiry within 48 bits").into())
}

/// How a hash is packed into one string.
#[derive(Debug, Clone, Copy)]
pub(super) enum Packing {
    Zipmap,
    Ziplist,
    Listpack,
    ListpackWithExpiries,
}

impl Packing {
    /// Takes the whole packed hash.
    pub(super) fn decode(
        self,
        cursor: &mut Cursor<'_>,
        limits: &Limits,
    ) -> Result<Vec<HashField>, Stop> {
        if matches!(self, Self::ListpackWithExpiries) {
            // The earliest expiry, in front for readers that want only that.
            cursor.u64_le()?;
        }
        let offset = cursor.offset();
        let packed = cursor.string(limits)?.bytes()?;
        let within = |broken: Broken| broken.within(self.layout(), offset);
        let mut unpacker = Unpacker::new(self, &packed).map_err(within)?;
        let mut fields = Vec::new();
        while let Some(field) = unpacker.next().map_err(within)? {
            let (found, limit) = (fields.len() as u64 + 1, limits.elements);
            if found > limit {
                let kind = ErrorKind::Limit { what: "a hash", found, limit };
                return Err(Error::new(offset, kind).into());
            }
            fields.push(field);
        }
        refuse_duplicates(&fields, offset)?;
        Ok(fields)
    }

    fn layout(self) -> &'static str {
        match self {
            Self::Zipmap => "zipmap",
            Self::Ziplist => "ziplist",
            Self::Listpack | Self::ListpackWithExpiries => "listpack",
        }
    }
}

/// The fields of a packed hash, one by one.
enum Unpacker<'a> {
    Zipmap(zipmap::Pairs<'a>),
    Ziplist(ziplist::Elements<'a>),
    Listpack(listpack::Elements<'a>),
    ListpackWithExpiries(listpack::Elements<'a>),
}

impl<'a> Unpacker<'a> {
    fn new(packing: Packing, bytes: &'a [u8]) -> Result<Self, Broken> {
        Ok(match packing {
            Packing::Zipmap => Self::Zipmap(zipmap::Pairs::new(bytes)?),
            Packing::Ziplist => Self::Ziplist(ziplist::Elements::new(bytes)?),
            Packing::Listpack => Self::Listpack(listpack::Elements::new(bytes)?),
            Packing::ListpackWithExpiries => {
                Self::ListpackWithExpiries(listpack::Elements::new(bytes)?)
            }
        })
    }

    fn next(&mut self) -> Result<Option<HashField>, Broken> {
        match self {
            Self::Zipmap(pairs) => {
                Ok(pairs.next()?.map(|(field, value)| unpacked(field, value, None)))
            }
            Self::Ziplist(elements) => {
                let Some(field) = elements.next()? else { return Ok(None) };
                Ok(Some(unpacked(field, complete(elements.next()?)?, None)))
            }
            Self::Listpack(elements) => {
                let Some(field) = elements.next()? else { return Ok(None) };
                Ok(Some(unpacked(field, complete(elements.next()?)?, None)))
            }
            Self::ListpackWithExpiries(elements) => {
                let Some(field) = elements.next()? else { return Ok(None) };
                let value = complete(elements.next()?)?;
                let expire_at_ms = absolute_expiry(complete(elements.next()?)?)?;
                Ok(Some(unpacked(field, value, expire_at_ms)))
            }
        }
    }
}

fn unpacked(field: Element<'_>, value: Element<'_>, expire_at_ms: Option<u64>) -> HashField {
    HashField { field: field.to_vec(), value: value.to_vec(), expire_at_ms }
}

/// A field's value or expiry must not be missing at the end.
fn complete(element: Option<Element<'_>>) -> Result<Element<'_>, Broken> {
    element.ok_or(Broken { at: 0, expected: "no field without its value" })
}

/// Zero for none, otherwise milliseconds since 1970.
fn absolute_expiry(element: Element<'_>) -> Result<Option<u64>, Broken> {
    const BROKEN: Broken = Broken { at: 0, expected: "a field's expiry within 48 bits" };
    let Element::Number(at) = element else { return Err(BROKEN) };
    let at = u64::try_from(at).map_err(|_| BROKEN)?;
    if at > LAST_EXPIRY_MS {
        return Err(BROKEN);
    }
    Ok((at > 0).then_some(at))
}

fn refuse_duplicates(fields: &[HashField], offset: u64) -> Result<(), Error> {
    let duplicate = if fields.len() <= FEW {
        (1..fields.len()).any(|i| fields[..i].iter().any(|old| old.field == fields[i].field))
    } else {
        // Keyed by the process, not by the input: fields made to collide do not.
        let mut seen = HashSet::with_capacity(fields.len());
        !fields.iter().all(|field| seen.insert(field.field.as_slice()))
    };
    if duplicate { Err(Error::new(offset, ErrorKind::DuplicateField)) } else { Ok(()) }
}
