//! What is done to numbers, strings and truths of JSON documents, and JSON.CLEAR.

use super::Argv;
use super::json::{
    NO_DOCUMENT, answer_count, answer_each, at_most, change_each, document_of, missing_or, path,
    put, unexpected,
};
use crate::fault::{Fault, Outcome};
use crate::keyspace::WriteView;
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::value::json::build::Builder;
use crate::value::json::edit::{self, Change, Edit};
use crate::value::json::print::{Layout, Printer, print};
use crate::value::json::{self, JsonError, Node, Value};

/// JSON.CLEAR.
pub(super) fn clear(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    at_most(3, argv, "json.clear")?;
    let (key, path) = (argv[1], path(argv.get(2))?);
    let document = document_of(view.get(key).ok_or(NO_DOCUMENT)?)?;
    let mut edits = Vec::new();
    for at in edit::outermost(document, path.find(document)?) {
        if let Some(cleared) = cleared(Node::at(document, at)) {
            edits.push(Edit { at, change: Change::Replace(cleared?) });
        }
    }
    let count = edits.len();
    if count > 0 {
        let changed = edit::apply(document, edits)?;
        put(view, key, &changed, "json.clear");
    }
    reply.integer(count as i64);
    Ok(())
}

/// What a value is when it is cleared; nothing if it is already, or has no such form.
fn cleared(node: Node<'_>) -> Option<Result<Vec<u8>, JsonError>> {
    let empty = match node.value() {
        Value::Array(content) if content.count > 0 => json::parse(b"[]"),
        Value::Object(content) if content.count > 0 => json::parse(b"{}"),
        Value::Integer(1.. | ..=-1) | Value::Unsigned(_) => json::parse(b"0"),
        Value::Float(number) if number != 0.0 => json::parse(b"0"),
        _ => return None,
    };
    Some(empty)
}

/// JSON.STRAPPEND.
pub(super) fn strappend(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    at_most(4, argv, "json.strappend")?;
    let (at, value) = match argv {
        [_, _, value] => (None, value),
        _ => (argv.get(2), &argv[3]),
    };
    let path = path(at)?;
    let value = json::parse(value)?;
    let value = Node::root(&value);
    let suffix = value.as_string().ok_or_else(|| unexpected("string", value))?;
    let said = change_each(view, argv[1], &path, "json.strappend", |node| {
        let Some(text) = node.as_string() else { return Ok(None) };
        let text = [text, suffix].concat();
        let mut builder = Builder::new();
        builder.string(&text);
        Ok(Some((Some(Change::Replace(builder.finish()?)), text.len())))
    })?;
    answer_each(&path, &said, "not a string", reply, answer_count)
}

/// JSON.TOGGLE.
pub(super) fn toggle(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let path = path(argv.get(2))?;
    let said = change_each(view, argv[1], &path, "json.toggle", |node| {
        let Value::Boolean(was) = node.value() else { return Ok(None) };
        let mut builder = Builder::new();
        builder.boolean(!was);
        Ok(Some((Some(Change::Replace(builder.finish()?)), !was)))
    })?;
    let legacy = path.is_legacy();
    answer_each(&path, &said, "not a bool", reply, |is, reply| match legacy {
        true => reply.bulk(if *is { b"true" } else { b"false" }),
        false => reply.integer(i64::from(*is)),
    })
}

/// JSON.NUMINCRBY.
pub(super) fn numincrby(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let sum = Arithmetic { integers: i128::checked_add, floats: |one, two| one + two };
    compute(view, argv, "json.numincrby", sum, reply)
}

/// JSON.NUMMULTBY.
pub(super) fn nummultby(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let product = Arithmetic { integers: i128::checked_mul, floats: |one, two| one * two };
    compute(view, argv, "json.nummultby", product, reply)
}

/// An operation on two numbers.
#[derive(Clone, Copy)]
struct Arithmetic {
    integers: fn(i128, i128) -> Option<i128>,
    floats: fn(f64, f64) -> f64,
}

/// A number of a document.
#[derive(Clone, Copy)]
enum Number {
    Integer(i128),
    Float(f64),
}

impl Number {
    fn of(node: Node<'_>) -> Option<Number> {
        match node.value() {
            Value::Integer(number) => Some(Number::Integer(number.into())),
            Value::Unsigned(number) => Some(Number::Integer(number.into())),
            Value::Float(number) => Some(Number::Float(number)),
            _ => None,
        }
    }

    fn float(self) -> f64 {
        match self {
            Number::Integer(number) => number as f64,
            Number::Float(number) => number,
        }
    }
}

impl Arithmetic {
    /// The result as a document: an integer of two integers as long as 64 bits hold it, else
    /// a float.
    fn of(self, one: Number, two: Number) -> Result<Vec<u8>, Fault> {
        let mut builder = Builder::new();
        if let (Number::Integer(one), Number::Integer(two)) = (one, two)
            && let Some(exact) = (self.integers)(one, two)
        {
            if let Ok(exact) = i64::try_from(exact) {
                builder.integer(exact);
                return Ok(builder.finish()?);
            }
            if let Ok(exact) = u64::try_from(exact) {
                builder.unsigned(exact);
                return Ok(builder.finish()?);
            }
        }
        let float = (self.floats)(one.float(), two.float());
        if !float.is_finite() {
            return Err(Fault::new("ERR result is not a number"));
        }
        builder.float(float);
        Ok(builder.finish()?)
    }
}

fn compute(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    event: &'static str,
    arithmetic: Arithmetic,
    reply: &mut dyn Reply,
) -> Outcome {
    let path = path(argv.get(2))?;
    let operand = json::parse(argv[3])?;
    let operand = Number::of(Node::root(&operand));
    let operand = operand.ok_or(Fault::new("ERR expected value to be a number"))?;
    // Written as it comes, so that an answer which is too long changes nothing.
    let mut printer = Printer::new(Layout::default());
    printer.open(b'[');
    let said = change_each(view, argv[1], &path, event, |node| {
        let Some(number) = Number::of(node) else {
            printer.null();
            return Ok(None);
        };
        let result = arithmetic.of(number, operand)?;
        printer.value(Node::root(&result))?;
        Ok(Some((Some(Change::Replace(result.clone())), result)))
    })?;
    if reply.protocol() == Protocol::V3 {
        answer_numbers(&said, reply);
        return Ok(());
    }
    if path.is_legacy() {
        let last = said.iter().rev().find_map(Option::as_ref);
        let last = last.ok_or_else(|| missing_or(&path, "does not contains a number"))?;
        reply.bulk(&print(Node::root(last))?);
        return Ok(());
    }
    printer.close(b']');
    reply.bulk(&printer.finish());
    Ok(())
}

/// Over RESP3 numbers are numbers, in an array whatever the path.
fn answer_numbers(said: &[Option<Vec<u8>>], reply: &mut dyn Reply) {
    reply.array(said.len());
    for told in said {
        match told.as_deref().map(|number| Node::root(number).value()) {
            Some(Value::Integer(number)) => reply.integer(number),
            Some(Value::Unsigned(number)) => reply.decimal(&number.to_string()),
            Some(Value::Float(number)) => reply.double(number),
            _ => reply.null(),
        }
    }
}
