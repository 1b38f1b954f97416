//! `cjson.encode`.

use mlua::{Lua, Table, Value};

use super::{Invalid, Settings, Wrong, general};
use crate::script::vm::Shared;

/// A table that is being written.
enum Open {
    /// Its elements, the next one's index, and the last one's.
    List(Table, i64, i64),
    /// What is left of its pairs, the next one last.
    Object(Vec<(Value, Value)>),
}

pub(super) fn run(lua: &Lua, shared: &Shared, values: &[Value]) -> Result<Value, Wrong> {
    let [value] = values else {
        return Err(Wrong::text("bad argument #1 to 'encode' (expected 1 argument)"));
    };
    let mut writer = Writer { settings: shared.json.get(), out: Vec::new(), open: Vec::new() };
    writer.write(value.clone())?;
    Ok(Value::String(lua.create_string(&writer.out)?))
}

struct Writer {
    settings: Settings,
    out: Vec<u8>,
    open: Vec<Open>,
}

impl Writer {
    fn write(&mut self, value: Value) -> Result<(), Wrong> {
        self.value(value)?;
        loop {
            match self.open.last_mut() {
                None => return Ok(()),
                Some(Open::List(_, next, last)) if *next > *last => {
                    self.out.push(b']');
                    self.open.pop();
                }
                Some(Open::List(table, next, _)) => {
                    if *next > 1 {
                        self.out.push(b',');
                    }
                    let value = table.raw_get::<Value>(*next)?;
                    *next += 1;
                    self.value(value)?;
                }
                Some(Open::Object(rest)) => match rest.pop() {
                    None => {
                        self.out.push(b'}');
                        self.open.pop();
                    }
                    Some((key, value)) => {
                        if self.out.last() != Some(&b'{') {
                            self.out.push(b',');
                        }
                        self.key(&key)?;
                        self.out.push(b':');
                        self.value(value)?;
                    }
                },
            }
        }
    }

    fn value(&mut self, value: Value) -> Result<(), Wrong> {
        match value {
            Value::String(text) => self.text(&text.as_bytes()),
            Value::Integer(number) => return self.number(number as f64),
            Value::Number(number) => return self.number(number),
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::LightUserData(pointer) if pointer.0.is_null() => {
                self.out.extend_from_slice(b"null");
            }
            Value::Table(table) => return self.begin(table),
            other => {
                return Err(Wrong::text(format!(
                    "Cannot serialise {}: type not supported",
                    other.type_name()
                )));
            }
        }
        Ok(())
    }

    fn number(&mut self, number: f64) -> Result<(), Wrong> {
        if number.is_finite() {
            self.out.extend_from_slice(general(number, self.settings.precision).as_bytes());
            return Ok(());
        }
        match self.settings.encode_invalid {
            Invalid::Refused => {
                return Err(Wrong::text("Cannot serialise number: must not be NaN or Inf"));
            }
            Invalid::Null => self.out.extend_from_slice(b"null"),
            Invalid::Written => {
                self.out.extend_from_slice(general(number, self.settings.precision).as_bytes());
            }
        }
        Ok(())
    }

    fn begin(&mut self, table: Table) -> Result<(), Wrong> {
        let depth = self.open.len() + 1;
        if depth > self.settings.encode_depth {
            return Err(Wrong::text(format!("Cannot serialise, excessive nesting ({depth})")));
        }
        match self.length(&table)? {
            Some(length) if length > 0 => {
                self.out.push(b'[');
                self.open.push(Open::List(table, 1, length));
            }
            _ => {
                let pairs = table.pairs::<Value, Value>();
                let mut pairs = pairs.collect::<mlua::Result<Vec<_>>>()?;
                pairs.reverse();
                self.out.push(b'{');
                self.open.push(Open::Object(pairs));
            }
        }
        Ok(())
    }

    /// The length of a list; `None` for a table that is none.
    fn length(&self, table: &Table) -> Result<Option<i64>, Wrong> {
        let (mut most, mut count) = (0, 0);
        for pair in table.pairs::<Value, Value>() {
            match pair?.0 {
                Value::Integer(index) if index > 0 => {
                    most = most.max(index);
                    count += 1;
                }
                _ => return Ok(None),
            }
        }
        let Settings { convert_sparse, sparse_ratio, sparse_safe, .. } = self.settings;
        if sparse_ratio > 0
            && most > sparse_safe
            && i128::from(most) > i128::from(count) * i128::from(sparse_ratio)
        {
            if !convert_sparse {
                return Err(Wrong::text("Cannot serialise table: excessively sparse array"));
            }
            return Ok(None);
        }
        Ok(Some(most))
    }

    fn key(&mut self, key: &Value) -> Result<(), Wrong> {
        let number = match key {
            Value::String(text) => {
                self.text(&text.as_bytes());
                return Ok(());
            }
            Value::Integer(number) => *number as f64,
            Value::Number(number) => *number,
            other => {
                return Err(Wrong::text(format!(
                    "Cannot serialise {}: table key must be a number or string",
                    other.type_name()
                )));
            }
        };
        self.out.push(b'"');
        self.number(number)?;
        self.out.push(b'"');
        Ok(())
    }

    fn text(&mut self, text: &[u8]) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        self.out.reserve(text.len() + 2);
        self.out.push(b'"');
        for byte in text {
            let short = match byte {
                b'"' | b'\\' | b'/' => *byte,
                0x08 => b'b',
                0x0c => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                0..0x20 | 0x7f => {
                    let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                    self.out.extend_from_slice(b"\\u00");
                    self.out.extend_from_slice(&digits);
                    continue;
                }
                _ => {
                    self.out.push(*byte);
                    continue;
                }
            };
            self.out.extend_from_slice(&[b'\\', short]);
        }
        self.out.push(b'"');
    }
}
