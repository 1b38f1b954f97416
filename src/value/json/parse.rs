//! Reads JSON text into a document.
//!
//! serde_json reads; what it finds goes straight into a `Builder`, so there is no tree between.
//! The builder refuses what lies too deep, and that bounds how deep this calls itself. Errors are
//! serde_json's own words with line and column, which are RedisJSON's too. Where a key comes
//! twice, the last value stands in the first one's place, as there.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use super::build::Builder;
use super::document::{Node, Value};
use super::{JsonError, TEXT_BYTES};
use crate::hashing::hash_bytes;

/// The document that `text` says.
///
/// # Errors
/// When it is no JSON, or too deep or too large.
pub fn parse(text: &[u8]) -> Result<Vec<u8>, JsonError> {
    if text.len() > TEXT_BYTES {
        return Err(JsonError::TextSize);
    }
    let text = std::str::from_utf8(text)
        .map_err(|_| JsonError::Text("Couldn't parse as UTF-8 string".to_owned()))?;
    let mut reading = Reading { builder: Builder::new(), hashes: Vec::new(), repeats: false };
    let mut json = serde_json::Deserializer::from_str(text);
    // The builder counts instead.
    json.disable_recursion_limit();
    (&mut reading)
        .deserialize(&mut json)
        .and_then(|()| json.end())
        .map_err(|error| JsonError::Text(error.to_string()))?;
    let document = reading.builder.finish()?;
    if reading.repeats { without_repeats(&document) } else { Ok(document) }
}

/// A document in the making, and what is known of its keys.
#[derive(Debug)]
struct Reading {
    builder: Builder,
    /// The hashes of the keys of the objects that are open.
    hashes: Vec<u64>,
    /// Whether an object seems to have a key twice.
    repeats: bool,
}

impl Reading {
    /// Ends an object whose keys are behind `first`; notes whether one comes twice.
    fn close_object(&mut self, first: usize) {
        let keys = &mut self.hashes[first..];
        keys.sort_unstable();
        self.repeats |= keys.windows(2).any(|pair| pair[0] == pair[1]);
        self.hashes.truncate(first);
        self.builder.close();
    }
}

impl<'de> DeserializeSeed<'de> for &mut Reading {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

/// A key, which is a string.
struct Key<'a>(&'a mut Reading);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        self.0.hashes.push(hash_bytes(key.as_bytes()));
        self.0.builder.key(key.as_bytes());
        Ok(())
    }
}

impl<'de> Visitor<'de> for &mut Reading {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.builder.null();
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.builder.boolean(value);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.builder.integer(value);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.builder.unsigned(value);
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.builder.float(value);
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.builder.string(text.as_bytes());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        self.builder.open_array().map_err(A::Error::custom)?;
        while values.next_element_seed(&mut *self)?.is_some() {}
        self.builder.close();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.builder.open_object().map_err(A::Error::custom)?;
        let first = self.hashes.len();
        while members.next_key_seed(Key(self))?.is_some() {
            members.next_value_seed(&mut *self)?;
        }
        self.close_object(first);
        Ok(())
    }
}

/// The same document with each key of an object once.
#[cold]
fn without_repeats(document: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut builder = Builder::new();
    write_once(Node::root(document), &mut builder)?;
    builder.finish()
}

/// Goes down as deep as documents are.
fn write_once(node: Node<'_>, builder: &mut Builder) -> Result<(), JsonError> {
    match node.value() {
        Value::Array(content) => {
            builder.open_array()?;
            content.values().try_for_each(|value| write_once(value, builder))?;
            builder.close();
        }
        Value::Object(content) => {
            builder.open_object()?;
            let members: Vec<_> = content.members().collect();
            for (key, value) in once(&members) {
                builder.key(key);
                write_once(value, builder)?;
            }
            builder.close();
        }
        _ => builder.copy(node.bytes(), 1),
    }
    Ok(())
}

/// Members with each key once: the last value in the first one's place.
fn once<'a>(members: &[(&'a [u8], Node<'a>)]) -> Vec<(&'a [u8], Node<'a>)> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|place| members[*place].0);
    let mut kept: Vec<(usize, usize)> = Vec::with_capacity(order.len());
    for same in order.chunk_by(|one, two| members[*one].0 == members[*two].0) {
        // The sort is stable: the first comes first.
        if let (Some(first), Some(last)) = (same.first(), same.last()) {
            kept.push((*first, *last));
        }
    }
    kept.sort_unstable();
    kept.into_iter().map(|(first, last)| (members[first].0, members[last].1)).collect()
}
