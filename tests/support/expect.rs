//! The reply that a script expects: an exact one, or as exact as a volatile one can be.
//!
//! An expectation is written in RESP3's types. Over RESP2 it is what RESP2 makes of them (a map
//! is a flat array, a double a string, ...), over REST what JSON makes of that.
//!
//! Left out on purpose: the best assignment of patterns in any order; the first element that
//! fits is taken.

use std::fmt;

use regex_lite::Regex;

use super::notation::Cursor;
use super::reply::Reply;
use super::resp::Protocol;

/// In which types a reply arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Resp(Protocol),
    /// JSON: no difference between statuses and strings, nor between nulls.
    Rest,
}

/// The largest integer that every JSON reader keeps exact; larger ones may arrive as strings.
const JSON_EXACT: u64 = (1 << 53) - 1;

/// What a reply is compared with, and how the script writes it.
#[derive(Clone, Debug)]
pub(crate) struct Expect {
    source: String,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    Exact(Reply),
    /// `/regex/`: the text of any reply that has one.
    Pattern(Regex),
    /// `!/regex/`: an error.
    ErrorPattern(Regex),
    /// `1..9`: an integer, both ends included.
    Range(i64, i64),
    /// `*`: whatever it is.
    Any,
    /// `...` inside of brackets: whatever follows.
    Rest,
    /// `a | b`.
    Either(Vec<Shape>),
    List {
        kind: Kind,
        items: Vec<Shape>,
        order: Order,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Array,
    Set,
    Map,
    Push,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    AsWritten,
    /// `~[a b]`.
    Any,
    /// `~2[k v k v]`: pairs in any order.
    AnyOfPairs,
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl Expect {
    /// Reads the text after a command.
    pub(crate) fn parse(text: &str) -> Result<Expect, String> {
        let source = text.trim().to_owned();
        if let Some(shape) = whole_line(&source) {
            return Ok(Expect { shape, source });
        }
        let mut cursor = Cursor::new(&source);
        let shape = alternatives(&mut cursor)?;
        cursor.skip_space();
        if !cursor.is_at_end() {
            return Err(format!("after the reply stands more: {}", cursor.rest()));
        }
        Ok(Expect { shape, source })
    }

    /// Whether the reply is the expected one.
    pub(crate) fn matches(&self, reply: &Reply, dialect: Dialect) -> bool {
        fits(&self.shape, reply, dialect)
    }
}

/// An error or a status that takes the whole line, spaces included.
fn whole_line(source: &str) -> Option<Shape> {
    if let Some(text) = source.strip_prefix('!') {
        let exact = !text.starts_with(['/', '"']);
        return exact.then(|| Shape::Exact(Reply::Error(text.to_owned())));
    }
    let is_status = source.starts_with(|c: char| c.is_ascii_alphabetic())
        && !source.contains(['[', '|'])
        && !["nil", "nil-array", "true", "false", "closed"].contains(&source);
    is_status.then(|| Shape::Exact(Reply::Status(source.to_owned())))
}

fn alternatives(cursor: &mut Cursor<'_>) -> Result<Shape, String> {
    let mut shapes = vec![one(cursor)?];
    loop {
        cursor.skip_space();
        if !cursor.take("|") {
            break;
        }
        shapes.push(one(cursor)?);
    }
    match shapes.len() {
        1 => Ok(shapes.remove(0)),
        _ => Ok(Shape::Either(shapes)),
    }
}

fn one(cursor: &mut Cursor<'_>) -> Result<Shape, String> {
    cursor.skip_space();
    let order = match (cursor.take("~2"), cursor.take("~")) {
        (true, _) => Order::AnyOfPairs,
        (_, true) => Order::Any,
        _ => Order::AsWritten,
    };
    for (open, close, kind) in [
        ("[", "]", Kind::Array),
        ("<", ">", Kind::Set),
        ("{", "}", Kind::Map),
        ("push[", "]", Kind::Push),
    ] {
        if cursor.take(open) {
            let items = items(cursor, close)?;
            let open_ended = usize::from(matches!(items.last(), Some(Shape::Rest)));
            if kind == Kind::Map && (items.len() - open_ended) % 2 != 0 {
                return Err("a map has a key without a value".to_owned());
            }
            return Ok(Shape::List { kind, items, order });
        }
    }
    if order != Order::AsWritten {
        return Err("~ stands before a list".to_owned());
    }
    scalar(cursor)
}

fn items(cursor: &mut Cursor<'_>, close: &str) -> Result<Vec<Shape>, String> {
    let mut items = Vec::new();
    loop {
        cursor.skip_space();
        if cursor.take(close) {
            return Ok(items);
        }
        if cursor.is_at_end() {
            return Err(format!("{close} is missing"));
        }
        items.push(alternatives(cursor)?);
    }
}

fn scalar(cursor: &mut Cursor<'_>) -> Result<Shape, String> {
    if cursor.rest().starts_with('"') {
        return Ok(Shape::Exact(Reply::Bulk(cursor.take_quoted()?)));
    }
    if cursor.take("=") {
        return Ok(Shape::Exact(Reply::Verbatim(cursor.take_quoted()?)));
    }
    if cursor.take("+") {
        return Ok(Shape::Exact(Reply::Status(text(cursor)?)));
    }
    if cursor.take("!/") {
        return Ok(Shape::ErrorPattern(pattern(cursor)?));
    }
    if cursor.take("!") {
        return Ok(Shape::Exact(Reply::Error(text(cursor)?)));
    }
    if cursor.take("/") {
        return Ok(Shape::Pattern(pattern(cursor)?));
    }
    if cursor.take("...") {
        return Ok(Shape::Rest);
    }
    word(cursor.take_until(|c| c.is_whitespace() || "[]<>{}|".contains(c)))
}

fn text(cursor: &mut Cursor<'_>) -> Result<String, String> {
    String::from_utf8(cursor.take_quoted()?).map_err(|_| "statuses and errors are text".to_owned())
}

/// The pattern up to its closing slash; it must fit the whole text.
fn pattern(cursor: &mut Cursor<'_>) -> Result<Regex, String> {
    let source = cursor.take_until(|c| c == '/');
    if !cursor.take("/") {
        return Err("a pattern has no closing /".to_owned());
    }
    Regex::new(&format!("^(?s:{source})$")).map_err(|e| format!("/{source}/: {e}"))
}

fn word(word: &str) -> Result<Shape, String> {
    let exact = match word {
        "" => return Err("a reply belongs here".to_owned()),
        "*" => return Ok(Shape::Any),
        "nil" => Reply::Nil,
        "nil-array" => Reply::NilArray,
        "true" => Reply::Bool(true),
        "false" => Reply::Bool(false),
        "closed" => Reply::Closed,
        _ => {
            if let Some((low, high)) = word.split_once("..") {
                let end = |text: &str| text.parse().map_err(|_| format!("{word} is no range"));
                return Ok(Shape::Range(end(low)?, end(high)?));
            }
            if let Some(digits) = word.strip_prefix(',') {
                Reply::Double(digits.to_owned())
            } else if let Ok(number) = word.parse() {
                Reply::Integer(number)
            } else if word.starts_with(|c: char| c.is_ascii_alphabetic()) {
                Reply::Status(word.to_owned())
            } else {
                return Err(format!("{word} is no reply"));
            }
        }
    };
    Ok(Shape::Exact(exact))
}

fn fits(shape: &Shape, reply: &Reply, dialect: Dialect) -> bool {
    match shape {
        Shape::Any | Shape::Rest => !matches!(reply, Reply::Closed),
        Shape::Either(shapes) => shapes.iter().any(|shape| fits(shape, reply, dialect)),
        Shape::Pattern(pattern) => reply.text().is_some_and(|text| pattern.is_match(&text)),
        Shape::ErrorPattern(pattern) => {
            matches!(reply, Reply::Error(text) if pattern.is_match(text))
        }
        Shape::Range(low, high) => {
            integer(reply, dialect).is_some_and(|number| (*low..=*high).contains(&number))
        }
        Shape::Exact(exact) => same(exact, reply, dialect),
        Shape::List { kind, items, order } => match list_items(*kind, reply, dialect) {
            Some(replies) => fits_items(items, replies, *kind, *order, dialect),
            None => false,
        },
    }
}

/// The number of an integer reply; over REST a large one may arrive in digits.
fn integer(reply: &Reply, dialect: Dialect) -> Option<i64> {
    match (reply, dialect) {
        (Reply::Integer(number), _) => Some(*number),
        (Reply::Bulk(digits), Dialect::Rest) => {
            let number: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
            (number.unsigned_abs() > JSON_EXACT).then_some(number)
        }
        _ => None,
    }
}

/// The items of a reply that is a list of this kind in this dialect.
fn list_items(kind: Kind, reply: &Reply, dialect: Dialect) -> Option<&[Reply]> {
    match (kind, reply, dialect) {
        (Kind::Array, Reply::Array(items), _)
        | (Kind::Set, Reply::Set(items), Dialect::Resp(Protocol::Resp3))
        | (Kind::Map, Reply::Map(items), Dialect::Resp(Protocol::Resp3))
        | (Kind::Push, Reply::Push(items), Dialect::Resp(Protocol::Resp3))
        | (_, Reply::Array(items), Dialect::Resp(Protocol::Resp2) | Dialect::Rest) => Some(items),
        _ => None,
    }
}

fn fits_items(
    shapes: &[Shape],
    replies: &[Reply],
    kind: Kind,
    order: Order,
    dialect: Dialect,
) -> bool {
    let (shapes, open_ended) = match shapes.split_last() {
        Some((Shape::Rest, before)) => (before, true),
        _ => (shapes, false),
    };
    if replies.len() < shapes.len() || (replies.len() > shapes.len() && !open_ended) {
        return false;
    }
    let pair_fits = |(shape, reply): (&Shape, &Reply)| -> bool { fits(shape, reply, dialect) };
    if order == Order::AsWritten {
        return shapes.iter().zip(replies).all(pair_fits);
    }
    // A map's key keeps its value, whatever the order.
    let width = if kind == Kind::Map || order == Order::AnyOfPairs { 2 } else { 1 };
    let mut left: Vec<&[Reply]> = replies.chunks(width).collect();
    shapes.chunks(width).all(|wanted| {
        let found = left.iter().position(|got| {
            got.len() == wanted.len() && wanted.iter().zip(got.iter()).all(pair_fits)
        });
        found.map(|at| left.swap_remove(at)).is_some()
    })
}

fn same(exact: &Reply, reply: &Reply, dialect: Dialect) -> bool {
    match dialect {
        Dialect::Resp(Protocol::Resp3) => {
            exact == reply || matches!((exact, reply), (Reply::NilArray, Reply::Nil))
        }
        Dialect::Resp(Protocol::Resp2) => exact.lowered() == *reply,
        Dialect::Rest => in_json(&exact.lowered()) == in_json(reply),
    }
}

/// The reply without what JSON does not tell apart.
fn in_json(reply: &Reply) -> Reply {
    match reply {
        Reply::Status(text) => Reply::Bulk(text.clone().into_bytes()),
        Reply::NilArray => Reply::Nil,
        Reply::Integer(number) if number.unsigned_abs() > JSON_EXACT => {
            Reply::Bulk(number.to_string().into_bytes())
        }
        other => other.clone(),
    }
}
