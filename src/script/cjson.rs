//! `cjson` of scripts: JSON to Lua values and back, in the words of lua-cjson 2.1, which Redis has.
//!
//! Tables within tables are walked by loops, up to a depth. Settings hold for one script. Left
//! out on purpose: `encode_keep_buffer`, which is checked and has no effect.

mod decode;
mod encode;

use std::rc::Rc;

use mlua::{Lua, MultiValue, Table, Value};

use super::vm::Shared;
use crate::limits::SCRIPT_DEPTH;

/// What a script may set, as it is before it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    convert_sparse: bool,
    sparse_ratio: i64,
    sparse_safe: i64,
    encode_depth: usize,
    decode_depth: usize,
    precision: usize,
    encode_invalid: Invalid,
    decode_invalid: bool,
}

/// What becomes of numbers that JSON does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Invalid {
    Refused,
    Written,
    Null,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            convert_sparse: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth: SCRIPT_DEPTH,
            decode_depth: SCRIPT_DEPTH,
            precision: 14,
            encode_invalid: Invalid::Refused,
            decode_invalid: true,
        }
    }
}

/// Why something is no JSON, or cannot become it.
pub(super) enum Wrong {
    /// What the script is told.
    Text(String),
    /// Lua has failed.
    Lua(mlua::Error),
}

impl From<mlua::Error> for Wrong {
    fn from(error: mlua::Error) -> Wrong {
        Wrong::Lua(error)
    }
}

impl Wrong {
    pub(super) fn text(text: impl Into<String>) -> Wrong {
        Wrong::Text(text.into())
    }
}

/// Makes of a result what the prelude expects: a value, or nothing and why.
pub(super) fn checked(lua: &Lua, result: Result<Value, Wrong>) -> mlua::Result<(Value, Value)> {
    match result {
        Ok(value) => Ok((value, Value::Nil)),
        Err(Wrong::Text(text)) => Ok((Value::Nil, Value::String(lua.create_string(text)?))),
        Err(Wrong::Lua(error)) => Err(error),
    }
}

type Run = fn(&Lua, &Shared, &[Value]) -> Result<Value, Wrong>;

/// The library.
pub(super) fn functions(lua: &Lua, shared: &Rc<Shared>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let all: [(&str, Run); 9] = [
        ("encode", encode::run),
        ("decode", decode::run),
        ("encode_sparse_array", encode_sparse_array),
        ("encode_max_depth", encode_max_depth),
        ("decode_max_depth", decode_max_depth),
        ("encode_number_precision", encode_number_precision),
        ("encode_keep_buffer", encode_keep_buffer),
        ("encode_invalid_numbers", encode_invalid_numbers),
        ("decode_invalid_numbers", decode_invalid_numbers),
    ];
    for (name, run) in all {
        let shared = Rc::clone(shared);
        let function = lua.create_function(move |lua, values: MultiValue| {
            let values: Vec<Value> = values.into_iter().collect();
            checked(lua, run(lua, &shared, &values))
        })?;
        table.set(name, function)?;
    }
    table.set("null", Value::NULL)?;
    table.set("_NAME", "cjson")?;
    table.set("_VERSION", "2.1.0")?;
    Ok(table)
}

/// A whole number as an argument, within bounds, if there is one.
fn number(
    name: &str,
    values: &[Value],
    at: usize,
    range: std::ops::RangeInclusive<i64>,
) -> Result<Option<i64>, Wrong> {
    let number = match values.get(at) {
        None | Some(Value::Nil) => return Ok(None),
        Some(Value::Integer(number)) => *number,
        Some(Value::Number(number)) => *number as i64,
        Some(other) => {
            return Err(Wrong::text(format!(
                "bad argument #{} to '{name}' (number expected, got {})",
                at + 1,
                other.type_name()
            )));
        }
    };
    if !range.contains(&number) {
        return Err(Wrong::text(format!(
            "bad argument #{} to '{name}' (expected integer between {} and {})",
            at + 1,
            range.start(),
            range.end()
        )));
    }
    Ok(Some(number))
}

/// Changes a setting if an argument says so, and answers what it is now.
fn set<T: Copy>(shared: &Shared, given: Option<T>, place: fn(&mut Settings) -> &mut T) -> T {
    let mut settings = shared.json.get();
    if let Some(given) = given {
        *place(&mut settings) = given;
        shared.json.set(settings);
    }
    *place(&mut settings)
}

fn truth(values: &[Value], at: usize) -> Option<bool> {
    match values.get(at) {
        None | Some(Value::Nil) => None,
        Some(Value::Boolean(value)) => Some(*value),
        Some(_) => Some(true),
    }
}

fn encode_sparse_array(_: &Lua, shared: &Shared, values: &[Value]) -> Result<Value, Wrong> {
    let ratio = number("encode_sparse_array", values, 1, 0..=i64::from(i32::MAX))?;
    let safe = number("encode_sparse_array", values, 2, 0..=i64::from(i32::MAX))?;
    set(shared, ratio, |settings| &mut settings.sparse_ratio);
    set(shared, safe, |settings| &mut settings.sparse_safe);
    Ok(Value::Boolean(set(shared, truth(values, 0), |settings| &mut settings.convert_sparse)))
}

/// A depth that a script asks for: never beyond what the node bears.
fn depth(name: &str, values: &[Value]) -> Result<Option<usize>, Wrong> {
    let depth = number(name, values, 0, 1..=i64::from(i32::MAX))?;
    Ok(depth.map(|depth| usize::try_from(depth).unwrap_or(SCRIPT_DEPTH).min(SCRIPT_DEPTH)))
}

fn encode_max_depth(_: &Lua, shared: &Shared, values: &[Value]) -> Result<Value, Wrong> {
    let depth =
        set(shared, depth("encode_max_depth", values)?, |settings| &mut settings.encode_depth);
    Ok(Value::Integer(depth as i64))
}

fn decode_max_depth(_: &Lua, shared: &Shared, values: &[Value]) -> Result<Value, Wrong> {
    let depth =
        set(shared, depth("decode_max_depth", values)?, |settings| &mut settings.decode_depth);
    Ok(Value::Integer(depth as i64))
}

fn encode_number_precision(_: &Lua, shared: &Shared, values: &[Value]) -> Result<Value, Wrong> {
    let digits = number("encode_number_precision", values, 0, 1..=14)?
        .and_then(|digits| usize::try_from(digits).ok());
    let digits = set(shared, digits, |settings| &mut settings.precision);
    Ok(Value::Integer(digits as i64))
}

fn encode_keep_buffer(_: &Lua, _: &Shared, values: &[Value]) -> Result<Value, Wrong> {
    Ok(Value::Boolean(truth(values, 0).unwrap_or(true)))
}

fn encode_invalid_numbers(lua: &Lua, shared: &Shared, values: &[Value]) -> Result<Value, Wrong> {
    let given = match values.first() {
        Some(Value::String(text)) if *text == "null" => Some(Invalid::Null),
        _ => truth(values, 0).map(|on| if on { Invalid::Written } else { Invalid::Refused }),
    };
    Ok(match set(shared, given, |settings| &mut settings.encode_invalid) {
        Invalid::Refused => Value::Boolean(false),
        Invalid::Written => Value::Boolean(true),
        Invalid::Null => Value::String(lua.create_string("null")?),
    })
}

fn decode_invalid_numbers(_: &Lua, shared: &Shared, values: &[Value]) -> Result<Value, Wrong> {
    let on = set(shared, truth(values, 0), |settings| &mut settings.decode_invalid);
    Ok(Value::Boolean(on))
}

/// A number as C's `%.<digits>g` writes it.
pub(super) fn general(number: f64, digits: usize) -> String {
    if !number.is_finite() {
        return match (number.is_nan(), number.is_sign_negative()) {
            (true, false) => "nan",
            (true, true) => "-nan",
            (false, false) => "inf",
            (false, true) => "-inf",
        }
        .to_owned();
    }
    let digits = digits.max(1);
    // Rounded to so many digits, it says which power of ten leads.
    let scientific = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| -> String {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.unsigned_abs());
    }
    let decimals = usize::try_from(digits as i32 - 1 - exponent).unwrap_or(0);
    trim(&format!("{number:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::general;

    #[test]
    fn numbers_are_written_as_c_does() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (100.0, "100"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.33333333333333"),
            (1e20, "1e+20"),
            (1e14, "1e+14"),
            (99_999_999_999_999.0, "99999999999999"),
            (123_456_789_012_345.0, "1.2345678901234e+14"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e100, "1e+100"),
            (-2.5, "-2.5"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(general(number, 14), text, "{number}");
        }
    }
}
