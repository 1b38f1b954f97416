//! The reply sink of scripts: answers become Lua values, with no tree in between.
//!
//! A status is a table with the field `ok`, an error one with `err`; null is false, and in RESP3
//! nil. RESP3's other types are tables that name themselves, as Redis has them.

use mlua::{IntoLua, Lua, LuaString, Table, Value};
use smallvec::SmallVec;

use super::vm::Names;
use crate::resp::Reply;
use crate::resp::reply::Protocol;

/// An aggregate that still expects some of its parts.
#[derive(Debug)]
struct Open {
    table: Table,
    left: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A list, with the index of its next element.
    List(usize),
    /// A map, with a key that waits for its value.
    Map(Option<Value>),
    /// A set.
    Set,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct LuaReply<'l> {
    lua: &'l Lua,
    names: &'l Names,
    protocol: Protocol,
    open: SmallVec<[Open; 2]>,
    value: Value,
    failure: Option<mlua::Error>,
}

impl<'l> LuaReply<'l> {
    pub(super) fn new(lua: &'l Lua, names: &'l Names, protocol: Protocol) -> LuaReply<'l> {
        LuaReply { lua, names, protocol, open: SmallVec::new(), value: Value::Nil, failure: None }
    }

    /// What has been answered.
    ///
    /// # Errors
    /// When Lua had no memory for it.
    pub(super) fn finish(self) -> mlua::Result<Value> {
        match self.failure {
            None => Ok(self.value),
            Some(failure) => Err(failure),
        }
    }

    fn give(&mut self, value: mlua::Result<Value>) {
        if let Err(failure) = value.and_then(|value| self.insert(value)) {
            self.failure.get_or_insert(failure);
        }
        self.close();
    }

    /// Puts a value where it belongs.
    fn insert(&mut self, value: Value) -> mlua::Result<()> {
        let Some(open) = self.open.last_mut() else {
            self.value = value;
            return Ok(());
        };
        open.left = open.left.saturating_sub(1);
        match &mut open.kind {
            Kind::List(next) => {
                let index = *next;
                *next += 1;
                open.table.raw_set(index, value)
            }
            Kind::Map(key @ None) => {
                *key = Some(value);
                Ok(())
            }
            // Nil is no key in Lua, and no answer has one.
            Kind::Map(key) => match key.take() {
                Some(key) if !key.is_nil() => open.table.raw_set(key, value),
                _ => Ok(()),
            },
            Kind::Set if !value.is_nil() => open.table.raw_set(value, true),
            Kind::Set => Ok(()),
        }
    }

    /// Closes what has all of its parts.
    fn close(&mut self) {
        while self.open.last().is_some_and(|open| open.left == 0) {
            self.open.pop();
        }
    }

    /// Opens a list of so many elements.
    fn list(&mut self, length: usize) {
        let table = self.lua.create_table_with_capacity(length, 0);
        self.begin(table.map(|table| (table.clone(), table)), length, Kind::List(1));
    }

    /// Opens an aggregate: the value that it is, and the table that its parts go into.
    fn begin(&mut self, tables: mlua::Result<(Table, Table)>, left: usize, kind: Kind) {
        let inserted = tables.and_then(|(outer, table)| {
            self.insert(Value::Table(outer))?;
            self.open.push(Open { table, left, kind });
            Ok(())
        });
        if let Err(failure) = inserted {
            self.failure.get_or_insert(failure);
        }
        self.close();
    }

    /// A table of `capacity` that stands in one that names it.
    fn within(&self, name: &LuaString, capacity: usize) -> mlua::Result<(Table, Table)> {
        let inner = self.lua.create_table_with_capacity(0, capacity)?;
        Ok((self.named(name, inner.clone())?, inner))
    }

    fn named(&self, name: &LuaString, value: impl IntoLua) -> mlua::Result<Table> {
        let table = self.lua.create_table_with_capacity(0, 1)?;
        table.raw_set(name, value)?;
        Ok(table)
    }
}

impl Reply for LuaReply<'_> {
    fn status(&mut self, text: &str) {
        let table = self.lua.create_string(text).and_then(|text| self.named(&self.names.ok, text));
        self.give(table.map(Value::Table));
    }

    fn error(&mut self, text: &str) {
        let table = failure(self.lua, self.names, text, true);
        self.give(table.map(Value::Table));
    }

    fn integer(&mut self, value: i64) {
        self.give(Ok(Value::Integer(value)));
    }

    fn bulk(&mut self, bytes: &[u8]) {
        self.give(self.lua.create_string(bytes).map(Value::String));
    }

    fn null(&mut self) {
        self.give(Ok(match self.protocol {
            Protocol::V2 => Value::Boolean(false),
            Protocol::V3 => Value::Nil,
        }));
    }

    fn null_array(&mut self) {
        self.null();
    }

    fn array(&mut self, length: usize) {
        self.list(length);
    }

    fn map(&mut self, pairs: usize) {
        if self.protocol == Protocol::V2 {
            return self.list(pairs * 2);
        }
        self.begin(self.within(&self.names.map, pairs), pairs * 2, Kind::Map(None));
    }

    fn set(&mut self, length: usize) {
        if self.protocol == Protocol::V2 {
            return self.list(length);
        }
        self.begin(self.within(&self.names.set, length), length, Kind::Set);
    }

    fn double(&mut self, value: f64) {
        if self.protocol == Protocol::V2 {
            return self.bulk(crate::value::number::format_double(value).as_bytes());
        }
        let table = self.named(&self.names.double, value);
        self.give(table.map(Value::Table));
    }

    fn decimal(&mut self, text: &str) {
        match text.parse() {
            Ok(value) if self.protocol == Protocol::V3 => self.double(value),
            _ => self.bulk(text.as_bytes()),
        }
    }

    fn verbatim(&mut self, text: &str) {
        self.verbatim_as(b"txt", text.as_bytes());
    }

    fn verbatim_as(&mut self, format: &[u8], bytes: &[u8]) {
        if self.protocol == Protocol::V2 {
            return self.bulk(bytes);
        }
        let table = (|| {
            let inner = self.lua.create_table_with_capacity(0, 2)?;
            inner.raw_set(&self.names.format, self.lua.create_string(format)?)?;
            inner.raw_set(&self.names.string, self.lua.create_string(bytes)?)?;
            self.named(&self.names.verbatim_string, inner)
        })();
        self.give(table.map(Value::Table));
    }

    fn boolean(&mut self, value: bool) {
        self.give(Ok(match self.protocol {
            Protocol::V2 => Value::Integer(value.into()),
            Protocol::V3 => Value::Boolean(value),
        }));
    }

    fn protocol(&self) -> Protocol {
        self.protocol
    }
}

/// The table that stands for an error. `counted` says that the node has counted it.
pub(super) fn failure(lua: &Lua, names: &Names, text: &str, counted: bool) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(0, 2)?;
    table.raw_set(&names.err, lua.create_string(text.trim_end_matches(['\r', '\n']))?)?;
    if counted {
        table.raw_set(&names.counted, true)?;
    }
    Ok(table)
}
