//! The functions behind `redis` in scripts.
//!
//! A function that can fail answers two values, what it answers and why it has failed, and the
//! prelude raises the second: an error that Rust raised itself would reach the script as an
//! object of this side's.

use std::rc::Rc;

use mlua::{Lua, MultiValue, Table, Value};
use smallvec::SmallVec;

use super::host::{Answered, HOST};
use super::library::{self, Described};
use super::reply::{LuaReply, failure};
use super::shebang::{self, ScriptFlags};
use super::vm::{Registered, Shared, is_prelude, shortly, unbounded};
use super::{answer, cjson, cmsgpack, packed, pattern, registry, source};
use crate::fault::Fault;
use crate::resp::reply::Protocol;
use crate::value::number::format_double;

/// What `redis.REDIS_VERSION` says: the version whose scripts these are.
const VERSION: &str = "7.0.15";
const VERSION_NUMBER: i64 = 0x0007_000f;

/// A value, or nothing and why.
type Checked = (Value, Value);

/// All that the prelude makes a script's world of.
pub(super) fn functions(lua: &Lua, shared: &Rc<Shared>) -> mlua::Result<Table> {
    let raw = lua.create_table()?;
    let with = |run: fn(&Lua, &Shared, MultiValue) -> mlua::Result<Checked>| {
        let shared = Rc::clone(shared);
        lua.create_function(move |lua, arguments| run(lua, &shared, arguments))
    };
    raw.set("call", with(call)?)?;
    raw.set("log", with(log)?)?;
    raw.set("sha1hex", with(sha1hex)?)?;
    raw.set("setresp", with(setresp)?)?;
    raw.set("set_repl", with(set_repl)?)?;
    raw.set("acl_check_cmd", with(acl_check_cmd)?)?;
    let one = |run: fn(&Lua, &Shared, MultiValue) -> mlua::Result<Value>| {
        let shared = Rc::clone(shared);
        lua.create_function(move |lua, arguments| run(lua, &shared, arguments))
    };
    raw.set("error_reply", one(error_reply)?)?;
    raw.set("status_reply", one(status_reply)?)?;
    raw.set("explain", one(explain)?)?;
    raw.set("text", one(as_text)?)?;
    raw.set("foreign", one(foreign)?)?;
    raw.set("register_function", one(register_function)?)?;
    raw.set("clock", lua.create_function(|_, ()| Ok(processor_seconds()))?)?;
    raw.set("version", VERSION)?;
    raw.set("version_number", VERSION_NUMBER)?;
    raw.set("cjson", cjson::functions(lua, shared)?)?;
    raw.set("cmsgpack", cmsgpack::functions(lua)?)?;
    raw.set("struct", packed::functions(lua)?)?;
    raw.set("search", pattern::function(lua, shared)?)?;
    Ok(raw)
}

/// Seconds since some moment, as `os.clock` is used: to measure.
fn processor_seconds() -> f64 {
    crate::clock::monotonic_ms() as f64 / 1000.0
}

fn fail(lua: &Lua, shared: &Shared, text: &str) -> mlua::Result<Checked> {
    Ok((Value::Nil, Value::Table(failure(lua, &shared.names, text, false)?)))
}

/// One argument of a command, as its bytes.
enum Argument {
    Text(mlua::BorrowedBytes),
    Number(SmallVec<[u8; 24]>),
}

impl Argument {
    fn bytes(&self) -> &[u8] {
        match self {
            Argument::Text(text) => text,
            Argument::Number(digits) => digits,
        }
    }
}

/// The arguments of a command, or why they are none.
fn arguments(values: &MultiValue) -> Result<SmallVec<[Argument; 8]>, &'static str> {
    if values.is_empty() {
        return Err("ERR Please specify at least one argument for this redis lib call");
    }
    let argument = |value: &Value| match value {
        Value::String(text) => Some(Argument::Text(text.as_bytes())),
        Value::Integer(number) => Some(Argument::Number(digits(*number as f64))),
        Value::Number(number) => Some(Argument::Number(digits(*number))),
        _ => None,
    };
    let arguments = values.iter().map(argument).collect::<Option<_>>();
    arguments.ok_or("ERR Lua redis lib command arguments must be strings or integers")
}

/// A number as C's `%.17g` writes it, which is what commands get.
fn digits(number: f64) -> SmallVec<[u8; 24]> {
    // Up to here all digits of a whole number are written, and -0 keeps its sign.
    const PLAIN: f64 = 1e17;
    if number.trunc() == number
        && number.abs() < PLAIN
        && (number != 0.0 || number.is_sign_positive())
    {
        return itoa::Buffer::new().format(number as i64).as_bytes().into();
    }
    if number.is_nan() {
        return if number.is_sign_negative() { b"-nan"[..].into() } else { b"nan"[..].into() };
    }
    format_double(number).as_bytes().into()
}

/// A number as Lua itself makes a string of it: C's `%.14g`.
pub(super) fn short_number(number: f64) -> String {
    if number.is_nan() {
        return if number.is_sign_negative() { "-nan".to_owned() } else { "nan".to_owned() };
    }
    super::cjson::general(number, 14)
}

/// Runs a command: `redis.call` and `redis.pcall`.
fn call(lua: &Lua, shared: &Shared, values: MultiValue) -> mlua::Result<Checked> {
    unbounded(lua, || run(lua, shared, &values))
}

fn run(lua: &Lua, shared: &Shared, values: &MultiValue) -> mlua::Result<Checked> {
    let arguments = match arguments(values) {
        Ok(arguments) => arguments,
        Err(why) => return fail(lua, shared, why),
    };
    let argv: SmallVec<[&[u8]; 8]> = arguments.iter().map(Argument::bytes).collect();
    let mut reply = LuaReply::new(lua, &shared.names, shared.protocol.get());
    shared.calling.set(true);
    let answered = HOST.with(|host| host.0.call(&argv, &mut reply));
    shared.calling.set(false);
    match answered {
        Answered::Yes => match reply.finish()? {
            Value::Table(table) if is_failure(shared, &table)? => {
                Ok((Value::Nil, Value::Table(table)))
            }
            value => Ok((value, Value::Nil)),
        },
        Answered::Failed(Fault::Text(text)) => {
            let failure = failure(lua, &shared.names, &text, true)?;
            Ok((Value::Nil, Value::Table(failure)))
        }
        Answered::Failed(Fault::Contended | Fault::Wait(_) | Fault::Elsewhere) => {
            fail(lua, shared, "BUSY a key that the script has not declared stays locked")
        }
        // The hook finds out at the next instruction.
        Answered::Killed => fail(lua, shared, "ERR Script killed by user with SCRIPT KILL..."),
    }
}

fn is_failure(shared: &Shared, table: &Table) -> mlua::Result<bool> {
    Ok(!table.raw_get::<Value>(&shared.names.counted)?.is_nil())
}

fn error_reply(lua: &Lua, shared: &Shared, values: MultiValue) -> mlua::Result<Value> {
    let text = match values.as_slices().0 {
        [Value::String(text)] => text.to_string_lossy(),
        _ => "ERR wrong number or type of arguments".to_owned(),
    };
    // Without a code it gets the common one; a dash in front says that there is one.
    let text = match text.strip_prefix('-') {
        Some(text) => text.to_owned(),
        None if text.contains(' ') => text,
        None => format!("ERR {text}"),
    };
    Ok(Value::Table(failure(lua, &shared.names, &text, false)?))
}

fn status_reply(lua: &Lua, shared: &Shared, values: MultiValue) -> mlua::Result<Value> {
    let text = match values.as_slices().0 {
        [Value::String(text)] => text.clone(),
        _ => {
            let text = "ERR wrong number or type of arguments";
            return Ok(Value::Table(failure(lua, &shared.names, text, false)?));
        }
    };
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(&shared.names.ok, text)?;
    Ok(Value::Table(table))
}

fn log(lua: &Lua, shared: &Shared, values: MultiValue) -> mlua::Result<Checked> {
    if values.len() < 2 {
        return fail(lua, shared, "ERR redis.log() requires two arguments or more.");
    }
    let level = match values.front() {
        Some(Value::Integer(level)) => *level,
        Some(Value::Number(level)) => *level as i64,
        _ => return fail(lua, shared, "ERR First argument must be a number (log level)."),
    };
    if !(0..=3).contains(&level) {
        return fail(lua, shared, "ERR Invalid debug level.");
    }
    let words: Vec<String> = values.iter().skip(1).filter_map(answer::text).collect();
    let text = words.join(" ");
    // A line of the log is one line.
    let text = text.escape_debug();
    match level {
        0 => tracing::trace!("script: {text}"),
        1 => tracing::debug!("script: {text}"),
        2 => tracing::info!("script: {text}"),
        _ => tracing::warn!("script: {text}"),
    }
    Ok((Value::Nil, Value::Nil))
}

fn sha1hex(lua: &Lua, shared: &Shared, values: MultiValue) -> mlua::Result<Checked> {
    let digest = match values.as_slices().0 {
        [Value::String(text)] => registry::digest(&text.as_bytes()),
        [value] => registry::digest(answer::text(value).unwrap_or_default().as_bytes()),
        _ => return fail(lua, shared, "ERR wrong number of arguments"),
    };
    Ok((Value::String(lua.create_string(registry::hex(&digest))?), Value::Nil))
}

fn setresp(lua: &Lua, shared: &Shared, values: MultiValue) -> mlua::Result<Checked> {
    let [version] = values.as_slices().0 else {
        return fail(lua, shared, "ERR redis.setresp() requires one argument.");
    };
    let version = match version {
        Value::Integer(version) => Some(*version),
        Value::Number(version) => Some(*version as i64),
        Value::String(text) => text.to_string_lossy().trim().parse().ok(),
        _ => None,
    };
    match version {
        Some(2) => shared.protocol.set(Protocol::V2),
        Some(3) => shared.protocol.set(Protocol::V3),
        _ => return fail(lua, shared, "ERR RESP version must be 2 or 3."),
    }
    Ok((Value::Nil, Value::Nil))
}

/// What a script says of its replication is checked and then not heeded: effects are always
/// replicated.
fn set_repl(lua: &Lua, shared: &Shared, values: MultiValue) -> mlua::Result<Checked> {
    match values.as_slices().0 {
        [Value::Integer(0..=3)] => Ok((Value::Nil, Value::Nil)),
        [_] => {
            let why = "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or \
                       REPL_NONE.";
            fail(lua, shared, why)
        }
        _ => fail(lua, shared, "ERR redis.set_repl() requires two arguments."),
    }
}

fn acl_check_cmd(lua: &Lua, shared: &Shared, values: MultiValue) -> mlua::Result<Checked> {
    let arguments = match arguments(&values) {
        Ok(arguments) => arguments,
        Err(why) => return fail(lua, shared, why),
    };
    let argv: SmallVec<[&[u8]; 8]> = arguments.iter().map(Argument::bytes).collect();
    match HOST.with(|host| host.0.may_call(&argv)) {
        Some(may) => Ok((Value::Boolean(may), Value::Nil)),
        None => fail(lua, shared, "ERR Invalid command passed to redis.acl_check_cmd()"),
    }
}

/// Says where an error that nobody has caught comes from.
fn explain(lua: &Lua, shared: &Shared, values: MultiValue) -> mlua::Result<Value> {
    let error = values.into_iter().next().unwrap_or(Value::Nil);
    let table = match error {
        Value::Table(table) => table,
        Value::Error(error) => {
            failure(lua, &shared.names, &format!("ERR {}", shortly(&error)), false)?
        }
        other => {
            let text = match &other {
                Value::String(text) => text.to_string_lossy(),
                Value::Nil => "nil".to_owned(),
                Value::Boolean(value) => value.to_string(),
                other => answer::text(other).unwrap_or_else(|| other.type_name().to_owned()),
            };
            failure(lua, &shared.names, &format!("ERR {text}"), false)?
        }
    };
    if let Some((source, line)) = place(lua) {
        table.raw_set(&shared.names.source, source)?;
        table.raw_set(&shared.names.line, line)?;
    }
    Ok(Value::Table(table))
}

/// The innermost place of a script's own text.
fn place(lua: &Lua) -> Option<(String, usize)> {
    for level in 1.. {
        let found = lua.inspect_stack(level, |frame| {
            let source = frame.source();
            if source.what == "C" || is_prelude(source.source.as_deref()) {
                return None;
            }
            Some((source.source?.into_owned(), frame.current_line()?))
        })?;
        if found.is_some() {
            return found;
        }
    }
    None
}

/// What is wrong with a text that Lua 5.1 would not take, and LuaJIT does.
fn foreign(lua: &Lua, _: &Shared, values: MultiValue) -> mlua::Result<Value> {
    let Some(Value::String(text)) = values.front() else { return Ok(Value::Nil) };
    match source::foreign(&text.as_bytes()) {
        Some(why) => lua.create_string(why).map(Value::String),
        None => Ok(Value::Nil),
    }
}

/// Takes a function of the library that is being loaded; answers what is wrong with it.
fn register_function(lua: &Lua, shared: &Shared, values: MultiValue) -> mlua::Result<Value> {
    match register(shared, values.as_slices().0) {
        Ok(()) => Ok(Value::Nil),
        Err(why) => lua.create_string(why).map(Value::String),
    }
}

fn register(shared: &Shared, values: &[Value]) -> Result<(), String> {
    let function = match values {
        [name, callback] => {
            let name = answer::text(name)
                .ok_or("first argument to redis.register_function must be a string")?;
            let Value::Function(callback) = callback else {
                return Err(
                    "second argument to redis.register_function must be a function".to_owned()
                );
            };
            let about = Described { name, description: None, flags: ScriptFlags::empty() };
            Registered { about, callback: callback.clone() }
        }
        [Value::Table(named)] => registered(named)?,
        [_] => {
            return Err("calling redis.register_function with a single argument is only \
                        applicable to Lua table (representing named arguments)."
                .to_owned());
        }
        _ => return Err("wrong number of arguments to redis.register_function".to_owned()),
    };
    library::check_name(function.about.name.as_bytes()).map_err(|fault| match fault {
        Fault::Text(text) => text.trim_start_matches("ERR ").to_owned(),
        Fault::Contended | Fault::Wait(_) | Fault::Elsewhere => String::new(),
    })?;
    let mut registered = shared.registered.borrow_mut();
    if registered.iter().any(|other| other.about.name.eq_ignore_ascii_case(&function.about.name)) {
        return Err("Function already exists in the library".to_owned());
    }
    registered.push(function);
    Ok(())
}

/// A function whose parts have names.
fn registered(named: &Table) -> Result<Registered, String> {
    const UNKNOWN: &str = "unknown argument given to redis.register_function";
    let (mut name, mut callback, mut description) = (None, None, None);
    let mut flags = ScriptFlags::empty();
    for pair in named.pairs::<Value, Value>() {
        let (key, value) = pair.map_err(|error| shortly(&error))?;
        let Value::String(key) = key else { return Err(UNKNOWN.to_owned()) };
        match &*key.as_bytes() {
            b"function_name" => {
                name = Some(answer::text(&value).ok_or(
                    "function_name argument given to redis.register_function must be a string",
                )?);
            }
            b"description" => {
                description = Some(answer::text(&value).ok_or(
                    "description argument given to redis.register_function must be a string",
                )?);
            }
            b"callback" => {
                let Value::Function(function) = value else {
                    return Err("callback argument given to redis.register_function must be a \
                                function"
                        .to_owned());
                };
                callback = Some(function);
            }
            b"flags" => {
                let Value::Table(names) = value else {
                    return Err("flags argument to redis.register_function must be a table \
                                representing function flags"
                        .to_owned());
                };
                for name in names.sequence_values::<Value>() {
                    let name = name.ok().as_ref().and_then(answer::text).unwrap_or_default();
                    flags |= shebang::named(name.as_bytes()).ok_or("unknown flag given")?;
                }
            }
            _ => return Err(UNKNOWN.to_owned()),
        }
    }
    let name = name.ok_or("redis.register_function must get a function name argument")?;
    let callback = callback.ok_or("redis.register_function must get a callback argument")?;
    Ok(Registered { about: Described { name, description, flags }, callback })
}

fn as_text(lua: &Lua, _: &Shared, values: MultiValue) -> mlua::Result<Value> {
    let text = values.front().and_then(answer::text);
    text.map_or(Ok(Value::Nil), |text| lua.create_string(text).map(Value::String))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_arguments_as_redis_writes_them() {
        for (number, text) in [
            (1.0, "1"),
            (-1.0, "-1"),
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.10000000000000001"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (1e300, "1.0000000000000001e+300"),
            (f64::INFINITY, "inf"),
            (-f64::NAN, "-nan"),
        ] {
            assert_eq!(digits(number).as_slice(), text.as_bytes(), "{number}");
        }
    }
}
