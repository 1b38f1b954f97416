//! Makes an answer of what a script has returned.
//!
//! The rules are Redis': a number loses its fraction, true is 1, false and nil are null, a list
//! ends before its first nil, and a table with a field `err`, `ok`, `double`, `map`, `set`,
//! `big_number` or `verbatim_string` is what that field says. Tables within tables are walked by a
//! loop, not by recursion.

use mlua::{LuaString, Table, Value};
use smallvec::SmallVec;

use super::vm::{Names, broken};
use crate::fault::Outcome;
use crate::limits::SCRIPT_DEPTH;
use crate::resp::Reply;
use crate::resp::reply::Protocol;

/// A list or a map of which so much has been answered.
struct Open {
    /// What is left of it, the next value last.
    rest: Vec<Value>,
}

/// Writes what a script has returned; `protocol` is what it has chosen by `redis.setresp`.
pub(super) fn write(
    names: &Names,
    value: Value,
    protocol: Protocol,
    reply: &mut dyn Reply,
) -> Outcome {
    let mut open: SmallVec<[Open; 4]> = SmallVec::new();
    let mut next = Some(value);
    loop {
        let Some(value) = next.take().or_else(|| open.last_mut()?.rest.pop()) else {
            if open.pop().is_none() {
                return Ok(());
            }
            continue;
        };
        match value {
            Value::Table(table) if open.len() >= SCRIPT_DEPTH => {
                drop(table);
                reply.error("ERR reached lua stack limit");
            }
            Value::Table(table) => match write_table(names, &table, reply) {
                Ok(Some(rest)) => open.push(Open { rest }),
                Ok(None) => {}
                // Lua has no memory for as much as a reference.
                Err(error) => match open.is_empty() {
                    true => return Err(broken(&error)),
                    false => reply.null(),
                },
            },
            value => write_plain(&value, protocol, reply),
        }
    }
}

fn write_plain(value: &Value, protocol: Protocol, reply: &mut dyn Reply) {
    match value {
        Value::String(text) => reply.bulk(&text.as_bytes()),
        Value::Integer(number) => reply.integer(*number),
        Value::Number(number) => reply.integer(truncated(*number)),
        Value::Boolean(value) if protocol == Protocol::V3 => reply.boolean(*value),
        Value::Boolean(true) => reply.integer(1),
        _ => reply.null(),
    }
}

/// A number without its fraction; what 64 bits do not hold is what x86 makes of it.
pub(super) fn truncated(number: f64) -> i64 {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if (-BOUND..BOUND).contains(&number) { number as i64 } else { i64::MIN }
}

/// Begins a table; answers what is in it, the first value last, if it has parts.
fn write_table(
    names: &Names,
    table: &Table,
    reply: &mut dyn Reply,
) -> mlua::Result<Option<Vec<Value>>> {
    let field = |name: &LuaString| table.raw_get::<Value>(name);
    if let Value::String(text) = field(&names.err)? {
        reply.error(&line(&text));
        return Ok(None);
    }
    if let Value::String(text) = field(&names.ok)? {
        reply.status(&line(&text));
        return Ok(None);
    }
    match field(&names.double)? {
        Value::Integer(number) => {
            reply.double(number as f64);
            return Ok(None);
        }
        Value::Number(number) => {
            reply.double(number);
            return Ok(None);
        }
        _ => {}
    }
    if let Value::Table(map) = field(&names.map)? {
        let mut parts = Vec::new();
        for pair in map.pairs::<Value, Value>() {
            let (key, value) = pair?;
            parts.extend([key, value]);
        }
        parts.reverse();
        reply.map(parts.len() / 2);
        return Ok(Some(parts));
    }
    if let Value::Table(set) = field(&names.set)? {
        let members = set.pairs::<Value, Value>().map(|pair| pair.map(|(member, _)| member));
        let mut members = members.collect::<mlua::Result<Vec<Value>>>()?;
        members.reverse();
        reply.set(members.len());
        return Ok(Some(members));
    }
    if let Value::String(number) = field(&names.big_number)? {
        reply.big_number(&line(&number));
        return Ok(None);
    }
    if let Value::Table(verbatim) = field(&names.verbatim_string)?
        && let Value::String(text) = verbatim.raw_get::<Value>(&names.string)?
        && let Value::String(format) = verbatim.raw_get::<Value>(&names.format)?
    {
        reply.verbatim_as(&format.as_bytes(), &text.as_bytes());
        return Ok(None);
    }
    write_list(table, reply).map(Some)
}

/// A text that has to be one line, whatever the door: a break in it could pass for the end of the
/// reply.
fn line(text: &LuaString) -> String {
    let text = text.to_string_lossy();
    text.trim_end_matches(['\r', '\n']).replace(['\r', '\n'], " ")
}

fn write_list(table: &Table, reply: &mut dyn Reply) -> mlua::Result<Vec<Value>> {
    let mut values = Vec::new();
    loop {
        let value = table.raw_get::<Value>(values.len() + 1)?;
        if value.is_nil() {
            break;
        }
        values.push(value);
    }
    values.reverse();
    reply.array(values.len());
    Ok(values)
}

/// A string or a number as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.to_string_lossy()),
        Value::Integer(number) if number.unsigned_abs() < 100_000_000_000_000 => {
            Some(number.to_string())
        }
        Value::Integer(number) => Some(super::api::short_number(*number as f64)),
        Value::Number(number) => Some(super::api::short_number(*number)),
        _ => None,
    }
}
