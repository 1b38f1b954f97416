//! `cmsgpack` of scripts: MessagePack to Lua values and back, as lua-cmsgpack 0.4 has it.
//!
//! Tables within tables are walked by loops. Left out on purpose: types that Lua has no value
//! for (extensions, dates, and binary texts of the newer format), which are refused.

use mlua::{Lua, MultiValue, Table, Value};

use super::cjson::Wrong;
use crate::limits::SCRIPT_DEPTH;

/// Tables within tables that are packed; deeper ones become nil. lua-cmsgpack: 16.
const PACKED_DEPTH: usize = 16;

type Run = fn(&Lua, &[Value]) -> Result<Vec<Value>, Wrong>;

/// The library. A function answers a reason first, nil when there is none, and values then.
pub(super) fn functions(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let all: [(&str, Run); 4] = [
        ("pack", pack),
        ("unpack", unpack),
        ("unpack_one", unpack_one),
        ("unpack_limit", unpack_limit),
    ];
    for (name, run) in all {
        table.set(name, several(lua, run)?)?;
    }
    table.set("_NAME", "cmsgpack")?;
    table.set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.set("_DESCRIPTION", "MessagePack for Lua")?;
    table.set("_COPYRIGHT", "")?;
    Ok(table)
}

/// A function that answers several values, as the prelude expects it.
pub(super) fn several(lua: &Lua, run: Run) -> mlua::Result<mlua::Function> {
    lua.create_function(move |lua, values: MultiValue| {
        let values: Vec<Value> = values.into_iter().collect();
        match run(lua, &values) {
            Ok(mut results) => {
                results.insert(0, Value::Nil);
                Ok(MultiValue::from_vec(results))
            }
            Err(Wrong::Text(text)) => {
                Ok(MultiValue::from_vec(vec![Value::String(lua.create_string(text)?)]))
            }
            Err(Wrong::Lua(error)) => Err(error),
        }
    })
}

fn pack(lua: &Lua, values: &[Value]) -> Result<Vec<Value>, Wrong> {
    if values.is_empty() {
        return Err(Wrong::text("bad argument #0 to 'pack' (MessagePack pack needs input.)"));
    }
    let mut packer = Packer { out: Vec::new(), open: Vec::new() };
    for value in values {
        packer.pack(value.clone())?;
    }
    Ok(vec![Value::String(lua.create_string(&packer.out)?)])
}

/// What is left of a table that is being packed, the next value last.
struct Packer {
    out: Vec<u8>,
    open: Vec<Vec<Value>>,
}

impl Packer {
    fn pack(&mut self, value: Value) -> Result<(), Wrong> {
        self.value(value)?;
        while let Some(rest) = self.open.last_mut() {
            match rest.pop() {
                Some(value) => self.value(value)?,
                None => _ = self.open.pop(),
            }
        }
        Ok(())
    }

    fn value(&mut self, value: Value) -> Result<(), Wrong> {
        match value {
            Value::String(text) => self.text(&text.as_bytes()),
            Value::Boolean(value) => self.out.push(if value { 0xc3 } else { 0xc2 }),
            Value::Integer(number) => self.integer(number),
            Value::Number(number) => self.number(number),
            Value::Table(table) if self.open.len() < PACKED_DEPTH => return self.table(&table),
            // What MessagePack has no form for, and what lies too deep, is nil.
            _ => self.out.push(0xc0),
        }
        Ok(())
    }

    fn integer(&mut self, number: i64) {
        let out = &mut self.out;
        match number {
            0..=0x7f => out.push(number as u8),
            0x80..=0xff => out.extend_from_slice(&[0xcc, number as u8]),
            0x100..=0xffff => {
                out.push(0xcd);
                out.extend_from_slice(&(number as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                out.push(0xce);
                out.extend_from_slice(&(number as u32).to_be_bytes());
            }
            0x1_0000_0000.. => {
                out.push(0xcf);
                out.extend_from_slice(&number.to_be_bytes());
            }
            -32..0 => out.push(number as i8 as u8),
            -128..-32 => out.extend_from_slice(&[0xd0, number as i8 as u8]),
            -0x8000..-128 => {
                out.push(0xd1);
                out.extend_from_slice(&(number as i16).to_be_bytes());
            }
            -0x8000_0000..-0x8000 => {
                out.push(0xd2);
                out.extend_from_slice(&(number as i32).to_be_bytes());
            }
            _ => {
                out.push(0xd3);
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
    }

    fn number(&mut self, number: f64) {
        // A number that is whole is packed as one, as far as 64 bits go.
        if number.trunc() == number && number.abs() < 9.2e18 {
            return self.integer(number as i64);
        }
        let short = number as f32;
        if f64::from(short) == number {
            self.out.push(0xca);
            self.out.extend_from_slice(&short.to_be_bytes());
        } else {
            self.out.push(0xcb);
            self.out.extend_from_slice(&number.to_be_bytes());
        }
    }

    fn text(&mut self, text: &[u8]) {
        match text.len() {
            length @ 0..32 => self.out.push(0xa0 | length as u8),
            length @ 32..=0xff => self.out.extend_from_slice(&[0xd9, length as u8]),
            length @ 0x100..=0xffff => {
                self.out.push(0xda);
                self.out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                self.out.push(0xdb);
                self.out.extend_from_slice(&(length as u32).to_be_bytes());
            }
        }
        self.out.extend_from_slice(text);
    }

    fn header(&mut self, short: u8, long: u8, length: usize) {
        match length {
            0..16 => self.out.push(short | length as u8),
            16..=0xffff => {
                self.out.push(long);
                self.out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                self.out.push(long + 1);
                self.out.extend_from_slice(&(length as u32).to_be_bytes());
            }
        }
    }

    fn table(&mut self, table: &Table) -> Result<(), Wrong> {
        let mut values = Vec::new();
        let (mut list, mut most, mut count) = (true, 0i64, 0i64);
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            match key {
                Value::Integer(index) if index > 0 => {
                    most = most.max(index);
                    count += 1;
                }
                _ => list = false,
            }
            values.extend([value, key]);
        }
        if list && most == count {
            let length = values.len() / 2;
            self.header(0x90, 0xdc, length);
            let mut values = Vec::with_capacity(length);
            for index in (1..=length).rev() {
                values.push(table.raw_get::<Value>(index)?);
            }
            self.open.push(values);
        } else {
            self.header(0x80, 0xde, values.len() / 2);
            // Pairs in the order of the table, each key before its value.
            let pairs: Vec<Value> = values.rchunks(2).flat_map(<[Value]>::to_vec).collect();
            self.open.push(pairs);
        }
        Ok(())
    }
}

fn unpack(lua: &Lua, values: &[Value]) -> Result<Vec<Value>, Wrong> {
    let text = text(values, "unpack")?;
    let mut reader = Reader { lua, text: &text, at: 0 };
    let mut results = Vec::new();
    while reader.at < reader.text.len() {
        results.push(reader.read()?);
    }
    Ok(results)
}

fn unpack_one(lua: &Lua, values: &[Value]) -> Result<Vec<Value>, Wrong> {
    some(lua, values, 1, integer(values, 1)?.unwrap_or(0))
}

fn unpack_limit(lua: &Lua, values: &[Value]) -> Result<Vec<Value>, Wrong> {
    let limit = integer(values, 1)?;
    let limit = limit.ok_or(Wrong::text("bad argument #2 to 'unpack_limit' (number expected)"))?;
    some(lua, values, limit, integer(values, 2)?.unwrap_or(0))
}

/// At most `limit` values from `offset` on, behind the offset of the next one, or -1.
fn some(lua: &Lua, values: &[Value], limit: i64, offset: i64) -> Result<Vec<Value>, Wrong> {
    let text = text(values, "unpack")?;
    if limit < 0 || offset < 0 {
        return Err(Wrong::text(format!(
            "Invalid request to unpack with offset of {offset} and limit of {}.",
            text.len()
        )));
    }
    let at = usize::try_from(offset).unwrap_or(usize::MAX);
    if at > text.len() {
        return Err(Wrong::text(format!(
            "Start offset {offset} greater than input length {}.",
            text.len()
        )));
    }
    let limit = if limit == 0 { i64::from(i32::MAX) } else { limit };
    let mut reader = Reader { lua, text: &text, at };
    let mut results = vec![Value::Integer(-1)];
    while reader.at < reader.text.len() && (results.len() as i64) <= limit {
        results.push(reader.read()?);
    }
    if reader.at < reader.text.len() {
        results[0] = Value::Integer(reader.at as i64);
    }
    Ok(results)
}

fn text(values: &[Value], name: &str) -> Result<mlua::BorrowedBytes, Wrong> {
    match values.first() {
        Some(Value::String(text)) => Ok(text.as_bytes()),
        other => Err(Wrong::text(format!(
            "bad argument #1 to '{name}' (string expected, got {})",
            other.map_or("no value", |value| value.type_name())
        ))),
    }
}

fn integer(values: &[Value], at: usize) -> Result<Option<i64>, Wrong> {
    match values.get(at) {
        None | Some(Value::Nil) => Ok(None),
        Some(Value::Integer(number)) => Ok(Some(*number)),
        Some(Value::Number(number)) => Ok(Some(*number as i64)),
        Some(_) => Err(Wrong::text(format!("bad argument #{} (number expected)", at + 1))),
    }
}

struct Reader<'l, 't> {
    lua: &'l Lua,
    text: &'t [u8],
    at: usize,
}

/// A table that is being filled.
struct Open {
    table: Table,
    left: usize,
    /// The next index of a list; none for a map.
    index: Option<usize>,
    key: Option<Value>,
}

/// What stands at a place: a value, or the beginning of a list or of a map.
enum Begun {
    Value(Value),
    List(usize),
    Map(usize),
}

impl Reader<'_, '_> {
    fn read(&mut self) -> Result<Value, Wrong> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            let mut value = match self.begin()? {
                Begun::Value(value) => value,
                begun => {
                    if open.len() >= SCRIPT_DEPTH {
                        return Err(Wrong::text("Too many nested data structures."));
                    }
                    let table = self.lua.create_table()?;
                    let (left, index) = match begun {
                        Begun::List(length) => (length, Some(1)),
                        Begun::Map(pairs) => (pairs.saturating_mul(2), None),
                        Begun::Value(_) => (0, None),
                    };
                    if left > 0 {
                        open.push(Open { table, left, index, key: None });
                        continue;
                    }
                    Value::Table(table)
                }
            };
            loop {
                let Some(top) = open.last_mut() else { return Ok(value) };
                top.left -= 1;
                match (&mut top.index, top.key.take()) {
                    (Some(index), _) => {
                        top.table.raw_set(*index, value)?;
                        *index += 1;
                    }
                    (None, None) => top.key = Some(value),
                    (None, Some(key)) => {
                        if key.is_nil() {
                            return Err(Wrong::text("table index is nil"));
                        }
                        if key.as_number().is_some_and(f64::is_nan) {
                            return Err(Wrong::text("table index is NaN"));
                        }
                        top.table.raw_set(key, value)?;
                    }
                }
                if top.left > 0 {
                    break;
                }
                value = open.pop().map_or(Value::Nil, |done| Value::Table(done.table));
            }
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        let bytes = self.text.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let bytes = bytes.ok_or(Wrong::text("Missing bytes in input."))?;
        self.at += N;
        Ok(*bytes)
    }

    fn string(&mut self, length: usize) -> Result<Begun, Wrong> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.text.len());
        let end = end.ok_or(Wrong::text("Missing bytes in input."))?;
        let text = self.lua.create_string(&self.text[self.at..end])?;
        self.at = end;
        Ok(Begun::Value(Value::String(text)))
    }

    fn begin(&mut self) -> Result<Begun, Wrong> {
        let [byte] = self.take()?;
        let number = |number: f64| Ok(Begun::Value(Value::Number(number)));
        match byte {
            0..=0x7f => number(f64::from(byte)),
            0xe0..=0xff => number(f64::from(byte as i8)),
            0x80..=0x8f => Ok(Begun::Map(usize::from(byte & 15))),
            0x90..=0x9f => Ok(Begun::List(usize::from(byte & 15))),
            0xa0..=0xbf => self.string(usize::from(byte & 31)),
            0xc0 => Ok(Begun::Value(Value::Nil)),
            0xc2 => Ok(Begun::Value(Value::Boolean(false))),
            0xc3 => Ok(Begun::Value(Value::Boolean(true))),
            0xca => number(f32::from_be_bytes(self.take()?).into()),
            0xcb => number(f64::from_be_bytes(self.take()?)),
            0xcc => number(u8::from_be_bytes(self.take()?).into()),
            0xcd => number(u16::from_be_bytes(self.take()?).into()),
            0xce => number(u32::from_be_bytes(self.take()?).into()),
            0xcf => number(u64::from_be_bytes(self.take()?) as f64),
            0xd0 => number(i8::from_be_bytes(self.take()?).into()),
            0xd1 => number(i16::from_be_bytes(self.take()?).into()),
            0xd2 => number(i32::from_be_bytes(self.take()?).into()),
            0xd3 => number(i64::from_be_bytes(self.take()?) as f64),
            0xd9 => {
                let length = u8::from_be_bytes(self.take()?);
                self.string(length.into())
            }
            0xda => {
                let length = u16::from_be_bytes(self.take()?);
                self.string(length.into())
            }
            0xdb => {
                let length = u32::from_be_bytes(self.take()?);
                self.string(length as usize)
            }
            0xdc => Ok(Begun::List(u16::from_be_bytes(self.take()?).into())),
            0xdd => Ok(Begun::List(u32::from_be_bytes(self.take()?) as usize)),
            0xde => Ok(Begun::Map(u16::from_be_bytes(self.take()?).into())),
            0xdf => Ok(Begun::Map(u32::from_be_bytes(self.take()?) as usize)),
            _ => Err(Wrong::text("Bad data format in input.")),
        }
    }
}
