//! `struct` of scripts: values in binary layouts, as Roberto Ierusalimschy's library 0.2 has it.

use mlua::{Lua, Table, Value};

use super::cjson::Wrong;
use super::cmsgpack::several;

/// Bytes that one value of a layout may take.
const MOST_BYTES: usize = 32;

/// Bytes that `x` and alignment may add to one packed text.
const MOST_PADDING: usize = 1 << 20;

/// The library. A function answers a reason first, nil when there is none, and values then.
pub(super) fn functions(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("pack", several(lua, pack)?)?;
    table.set("unpack", several(lua, unpack)?)?;
    table.set("size", several(lua, size)?)?;
    Ok(table)
}

/// How what follows is laid out.
struct Layout<'f> {
    rest: &'f [u8],
    little: bool,
    align: usize,
}

/// One value of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Integer {
        bytes: usize,
        signed: bool,
    },
    Float,
    Double,
    /// A byte that is skipped.
    Padding,
    /// A text that ends with a zero byte.
    Ended,
    /// A text of so many bytes; of as many as the number before says, when 0.
    Text(usize),
}

impl Item {
    /// Bytes that it takes.
    fn size(self) -> usize {
        match self {
            Item::Integer { bytes, .. } => bytes,
            Item::Float => 4,
            Item::Double => 8,
            Item::Padding => 1,
            Item::Ended => 0,
            Item::Text(bytes) => bytes,
        }
    }
}

impl<'f> Layout<'f> {
    fn new(format: &'f [u8]) -> Layout<'f> {
        Layout { rest: format, little: true, align: 1 }
    }

    /// Reads a number behind a letter.
    fn number(&mut self) -> Result<Option<usize>, Wrong> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(None);
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let number = std::str::from_utf8(number).ok().and_then(|number| number.parse::<i32>().ok());
        let number = number.ok_or(Wrong::text("integral size overflow"))?;
        Ok(usize::try_from(number).ok())
    }

    fn integer(&mut self, standard: usize, signed: bool) -> Result<Option<Item>, Wrong> {
        let bytes = self.number()?.unwrap_or(standard);
        if bytes > MOST_BYTES {
            return Err(Wrong::text(format!(
                "integral size {bytes} is larger than limit of {MOST_BYTES}"
            )));
        }
        Ok(Some(Item::Integer { bytes, signed }))
    }

    /// The next value, past what only says how values are laid out.
    fn next(&mut self) -> Result<Option<Item>, Wrong> {
        while let Some((letter, rest)) = self.rest.split_first() {
            self.rest = rest;
            let item = match letter {
                b'b' | b'B' => Some(Item::Integer { bytes: 1, signed: *letter == b'b' }),
                b'h' | b'H' => Some(Item::Integer { bytes: 2, signed: *letter == b'h' }),
                b'l' | b'L' => Some(Item::Integer { bytes: 8, signed: *letter == b'l' }),
                b'T' => Some(Item::Integer { bytes: 8, signed: false }),
                b'i' | b'I' => self.integer(4, *letter == b'i')?,
                b'f' => Some(Item::Float),
                b'd' => Some(Item::Double),
                b'x' => Some(Item::Padding),
                b's' => Some(Item::Ended),
                b'c' => Some(Item::Text(self.number()?.unwrap_or(1))),
                b' ' => None,
                b'<' => {
                    self.little = true;
                    None
                }
                b'>' => {
                    self.little = false;
                    None
                }
                b'!' => {
                    let align = self.number()?.unwrap_or(8);
                    if align == 0 || !align.is_power_of_two() {
                        return Err(Wrong::text("alignment is not a power of 2"));
                    }
                    self.align = align;
                    None
                }
                _ => {
                    let letter = char::from(*letter);
                    return Err(Wrong::text(format!("invalid format option '{letter}'")));
                }
            };
            if item.is_some() {
                return Ok(item);
            }
        }
        Ok(None)
    }

    /// Bytes to skip before an item that would begin at `at`. Sizes that are no power of two give
    /// what they give in the library whose layouts these are.
    fn gap(&self, item: Item, at: usize) -> usize {
        let size = match item {
            Item::Text(_) => 0,
            item => item.size().min(self.align),
        };
        if size == 0 {
            return 0;
        }
        (size - (at & (size - 1))) & (size - 1)
    }
}

fn format(values: &[Value], name: &str) -> Result<Vec<u8>, Wrong> {
    text(values, 0, name)
}

/// A string, or a number as one.
fn text(values: &[Value], at: usize, name: &str) -> Result<Vec<u8>, Wrong> {
    match values.get(at) {
        Some(Value::String(text)) => Ok(text.as_bytes().to_vec()),
        Some(number @ (Value::Integer(_) | Value::Number(_))) => {
            Ok(super::answer::text(number).unwrap_or_default().into_bytes())
        }
        other => Err(expected("string", other, at, name)),
    }
}

fn expected(what: &str, got: Option<&Value>, at: usize, name: &str) -> Wrong {
    let got = got.map_or("no value", |value| match value {
        Value::Integer(_) => "number",
        value => value.type_name(),
    });
    Wrong::text(format!("bad argument #{} to '{name}' ({what} expected, got {got})", at + 1))
}

fn number(values: &[Value], at: usize, name: &str) -> Result<f64, Wrong> {
    match values.get(at) {
        Some(Value::Integer(number)) => Ok(*number as f64),
        Some(Value::Number(number)) => Ok(*number),
        Some(Value::String(text)) => {
            let number = text.to_string_lossy().trim().parse();
            number.map_err(|_| expected("number", values.get(at), at, name))
        }
        other => Err(expected("number", other, at, name)),
    }
}

fn pack(lua: &Lua, values: &[Value]) -> Result<Vec<Value>, Wrong> {
    let format = format(values, "pack")?;
    let mut layout = Layout::new(&format);
    let (mut out, mut at, mut padding) = (Vec::new(), 1, 0usize);
    while let Some(item) = layout.next()? {
        let gap = layout.gap(item, out.len());
        padding += gap + usize::from(item == Item::Padding);
        if padding > MOST_PADDING {
            return Err(Wrong::text("format result too large"));
        }
        out.resize(out.len() + gap, 0);
        match item {
            Item::Padding => {
                out.push(0);
                continue;
            }
            Item::Integer { bytes, signed } => {
                let number = number(values, at, "pack")?;
                out.extend(integer_bytes(number, bytes, signed, layout.little));
            }
            Item::Float => {
                let bytes = (number(values, at, "pack")? as f32).to_le_bytes();
                extend(&mut out, &bytes, layout.little);
            }
            Item::Double => {
                let bytes = number(values, at, "pack")?.to_le_bytes();
                extend(&mut out, &bytes, layout.little);
            }
            Item::Ended => {
                out.extend_from_slice(&text(values, at, "pack")?);
                out.push(0);
            }
            Item::Text(length) => {
                let text = text(values, at, "pack")?;
                let length = if length == 0 { text.len() } else { length };
                let text = text.get(..length).ok_or_else(|| {
                    Wrong::text(format!("bad argument #{} to 'pack' (string too short)", at + 2))
                })?;
                out.extend_from_slice(text);
            }
        }
        at += 1;
    }
    Ok(vec![Value::String(lua.create_string(&out)?)])
}

fn extend(out: &mut Vec<u8>, little_endian: &[u8], little: bool) {
    if little {
        out.extend_from_slice(little_endian);
    } else {
        out.extend(little_endian.iter().rev());
    }
}

/// The lowest bytes of a whole number; beyond 64 bits they are zero.
fn integer_bytes(number: f64, bytes: usize, _: bool, little: bool) -> Vec<u8> {
    let number = if number < 0.0 { number as i64 as u64 } else { number as u64 };
    let mut text: Vec<u8> = number.to_le_bytes().into_iter().take(bytes).collect();
    text.resize(bytes, 0);
    if !little {
        text.reverse();
    }
    text
}

fn unpack(lua: &Lua, values: &[Value]) -> Result<Vec<Value>, Wrong> {
    let format = format(values, "unpack")?;
    let data = text(values, 1, "unpack")?;
    let start = match values.get(2) {
        None | Some(Value::Nil) => 1.0,
        Some(_) => number(values, 2, "unpack")?,
    };
    if start < 1.0 {
        return Err(Wrong::text("bad argument #3 to 'unpack' (offset must be 1 or greater)"));
    }
    const SHORT: &str = "bad argument #2 to 'unpack' (data string too short)";
    let mut layout = Layout::new(&format);
    let mut at = start as usize - 1;
    let mut results: Vec<Value> = Vec::new();
    while let Some(item) = layout.next()? {
        at = at.saturating_add(layout.gap(item, at));
        let rest = data.get(at..).ok_or(Wrong::text(SHORT))?;
        let bytes = rest.get(..item.size()).ok_or(Wrong::text(SHORT))?;
        at += item.size();
        match item {
            Item::Padding => {}
            Item::Integer { signed, .. } => {
                results.push(Value::Number(integer_of(bytes, signed, layout.little)));
            }
            Item::Float => {
                let mut bytes = bytes.first_chunk::<4>().copied().unwrap_or_default();
                if !layout.little {
                    bytes.reverse();
                }
                results.push(Value::Number(f32::from_le_bytes(bytes).into()));
            }
            Item::Double => {
                let mut bytes = bytes.first_chunk::<8>().copied().unwrap_or_default();
                if !layout.little {
                    bytes.reverse();
                }
                results.push(Value::Number(f64::from_le_bytes(bytes)));
            }
            Item::Ended => {
                let end = memchr::memchr(0, rest);
                let end = end.ok_or(Wrong::text("unfinished string in data"))?;
                results.push(Value::String(lua.create_string(&rest[..end])?));
                at += end + 1;
            }
            Item::Text(0) => {
                // Its length is the number before it.
                let length = results.pop().and_then(|length| length.as_number());
                let length = length
                    .filter(|length| *length >= 0.0)
                    .ok_or(Wrong::text("format 'c0' needs a previous size"))?;
                let text = rest.get(..length as usize).ok_or(Wrong::text(SHORT))?;
                results.push(Value::String(lua.create_string(text)?));
                at += text.len();
            }
            Item::Text(_) => results.push(Value::String(lua.create_string(bytes)?)),
        }
    }
    results.push(Value::Integer((at + 1) as i64));
    Ok(results)
}

/// The whole number of some bytes, as 64 bits hold it.
fn integer_of(bytes: &[u8], signed: bool, little: bool) -> f64 {
    let mut number: u64 = 0;
    let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    number = if little {
        bytes.iter().rev().fold(number, fold)
    } else {
        bytes.iter().fold(number, fold)
    };
    if !signed {
        return number as f64;
    }
    let bits = bytes.len() * 8;
    if bits == 0 || bits >= 64 {
        return number as i64 as f64;
    }
    let shift = 64 - bits;
    ((number << shift) as i64 >> shift) as f64
}

fn size(_: &Lua, values: &[Value]) -> Result<Vec<Value>, Wrong> {
    let format = format(values, "size")?;
    let mut layout = Layout::new(&format);
    let mut size = 0usize;
    while let Some(item) = layout.next()? {
        let gap = layout.gap(item, size);
        match item {
            Item::Ended => {
                return Err(Wrong::text(
                    "bad argument #1 to 'size' (variable-size format in size)",
                ));
            }
            Item::Text(0) => {
                return Err(Wrong::text(
                    "bad argument #1 to 'size' (variable-length format in size)",
                ));
            }
            item => size = size.saturating_add(gap + item.size()),
        }
    }
    Ok(vec![Value::Integer(i64::try_from(size).unwrap_or(i64::MAX))])
}
