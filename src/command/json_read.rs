//! What is read of JSON documents.

use super::args::{integer, is};
use super::json::{NO_DOCUMENT, at_most, document, matched, missing, missing_or, path, unexpected};
use super::json_array::range;
use super::{Argv, help};
use crate::fault::{Fault, Outcome};
use crate::keyspace::ReadView;
use crate::node::Node as Server;
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::session::Session;
use crate::value::json::print::{Layout, Printer, float};
use crate::value::json::{self, JsonError, Node, Path, TEXT_BYTES, Value};

/// JSON.GET.
pub(super) fn get(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (layout, names) = layout(&argv[2..])?;
    let paths = names.iter().map(|name| path(Some(name))).collect::<Result<Vec<_>, _>>()?;
    let Some(document) = document(view, argv[1])? else {
        reply.null();
        return Ok(());
    };
    let mut printer = Printer::new(layout);
    match paths.as_slice() {
        [] => printer.behind_key(Node::root(document))?,
        [path] => print_matches(&mut printer, document, path, path.is_legacy())?,
        paths => {
            // With one path of the newer form, all answer as it does.
            let legacy = paths.iter().all(Path::is_legacy);
            printer.open(b'{');
            for (at, path) in paths.iter().enumerate() {
                if !names[..at].contains(&names[at]) {
                    printer.key(String::from_utf8_lossy(names[at]).as_bytes());
                    print_matches(&mut printer, document, path, legacy)?;
                }
            }
            printer.close(b'}');
        }
    }
    reply.bulk(&printer.finish());
    Ok(())
}

/// Reads the options of JSON.GET; what is none is a path.
fn layout<'a>(words: &'a [&'a [u8]]) -> Result<(Layout<'a>, Vec<&'a [u8]>), Fault> {
    let (mut layout, mut paths) = (Layout::default(), Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut next = || words.next().copied().ok_or_else(|| Fault::arity("json.get"));
        if is(word, "INDENT") {
            layout.indent = next()?;
        } else if is(word, "NEWLINE") {
            layout.newline = next()?;
        } else if is(word, "SPACE") {
            layout.space = next()?;
        } else if is(word, "FORMAT") {
            if !is(next()?, "STRING") {
                return Err(Fault::SYNTAX);
            }
        } else if !is(word, "NOESCAPE") {
            paths.push(*word);
        }
    }
    Ok((layout, paths))
}

/// Writes what a path matches: an array, or in the older form the first.
fn print_matches(printer: &mut Printer<'_>, document: &[u8], path: &Path, legacy: bool) -> Outcome {
    let mut found = matched(document, path)?;
    if legacy {
        printer.behind_key(found.next().ok_or_else(|| missing(path))?)?;
        return Ok(());
    }
    printer.open(b'[');
    found.try_for_each(|node| printer.value(node))?;
    printer.close(b']');
    Ok(())
}

/// JSON.MGET: null for what is no document.
pub(super) fn mget(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (keys, path) = (&argv[1..argv.len() - 1], path(argv.last())?);
    let (mut texts, mut bytes) = (Vec::with_capacity(keys.len()), 0usize);
    for key in keys {
        let document = view.get(key).and_then(|entry| entry.as_json());
        let mut printer = Printer::new(Layout::default());
        let printed = match document {
            None => false,
            Some(document) if path.is_legacy() => match matched(document, &path)?.next() {
                None => false,
                Some(node) => {
                    printer.behind_key(node)?;
                    true
                }
            },
            Some(document) => {
                print_matches(&mut printer, document, &path, false)?;
                true
            }
        };
        let text = printed.then(|| printer.finish());
        // A key may be named a thousand times.
        bytes = bytes.saturating_add(text.as_ref().map_or(0, Vec::len));
        if bytes > TEXT_BYTES {
            return Err(JsonError::TextSize.into());
        }
        texts.push(text);
    }
    reply.array(texts.len());
    for text in texts {
        match text {
            Some(text) => reply.bulk(&text),
            None => reply.null(),
        }
    }
    Ok(())
}

/// JSON.TYPE.
pub(super) fn kind(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    at_most(3, argv, "json.type")?;
    let path = path(argv.get(2))?;
    let found = document(view, argv[1])?.map(|document| matched(document, &path)).transpose()?;
    // Over RESP3 in an array of its own.
    if reply.protocol() == Protocol::V3 {
        reply.array(1);
    }
    match found {
        None => reply.null(),
        Some(mut found) if path.is_legacy() => match found.next() {
            Some(node) => reply.bulk(node.kind().name().as_bytes()),
            None => reply.null(),
        },
        Some(found) => {
            reply.array(found.len());
            found.for_each(|node| reply.bulk(node.kind().name().as_bytes()));
        }
    }
    Ok(())
}

/// Answers something of each match, null where there is none.
fn answer_all<'a, T>(
    document: &'a [u8],
    path: &Path,
    reply: &mut dyn Reply,
    of: impl Fn(Node<'a>) -> Option<T>,
    answer: impl Fn(T, &mut dyn Reply),
) -> Outcome {
    let found = matched(document, path)?;
    reply.array(found.len());
    for node in found {
        match of(node) {
            Some(told) => answer(told, reply),
            None => reply.null(),
        }
    }
    Ok(())
}

fn answer_length(length: usize, reply: &mut dyn Reply) {
    reply.integer(length as i64);
}

/// The first match of a path in the older form.
fn first<'a>(document: &'a [u8], path: &Path) -> Result<Option<Node<'a>>, Fault> {
    Ok(matched(document, path)?.next())
}

/// JSON.STRLEN: bytes, as RedisJSON counts.
pub(super) fn strlen(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    at_most(3, argv, "json.strlen")?;
    let path = path(argv.get(2))?;
    let length = |node: Node<'_>| node.as_string().map(<[u8]>::len);
    match document(view, argv[1])? {
        Some(document) if path.is_legacy() => {
            let node = first(document, &path)?.ok_or_else(|| missing(&path))?;
            answer_length(length(node).ok_or_else(|| unexpected("string", node))?, reply);
            Ok(())
        }
        Some(document) => answer_all(document, &path, reply, length, answer_length),
        None => answer_absent(&path, NO_DOCUMENT, reply),
    }
}

/// Where there is no key: null in the older form, else an error.
fn answer_absent(path: &Path, fault: Fault, reply: &mut dyn Reply) -> Outcome {
    if !path.is_legacy() {
        return Err(fault);
    }
    reply.null();
    Ok(())
}

/// JSON.ARRLEN.
pub(super) fn arrlen(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    at_most(3, argv, "json.arrlen")?;
    let path = path(argv.get(2))?;
    let length = |node: Node<'_>| node.as_array().map(|array| array.count);
    match document(view, argv[1])? {
        Some(document) if path.is_legacy() => {
            let found = first(document, &path)?.and_then(length);
            let found = found.ok_or_else(|| missing_or(&path, "not an array"))?;
            answer_length(found, reply);
            Ok(())
        }
        Some(document) => answer_all(document, &path, reply, length, answer_length),
        None => answer_absent(&path, NO_DOCUMENT, reply),
    }
}

/// JSON.OBJLEN.
pub(super) fn objlen(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    at_most(3, argv, "json.objlen")?;
    let path = path(argv.get(2))?;
    let length = |node: Node<'_>| node.as_object().map(|object| object.count);
    match document(view, argv[1])? {
        Some(document) if path.is_legacy() => {
            match first(document, &path)? {
                Some(node) => {
                    answer_length(length(node).ok_or_else(|| unexpected("object", node))?, reply);
                }
                None => reply.null(),
            }
            Ok(())
        }
        Some(document) => answer_all(document, &path, reply, length, answer_length),
        None => answer_absent(&path, missing_or(&path, "not an object"), reply),
    }
}

/// JSON.OBJKEYS.
pub(super) fn objkeys(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    at_most(3, argv, "json.objkeys")?;
    let path = path(argv.get(2))?;
    let answer = |object: json::document::Content<'_>, reply: &mut dyn Reply| {
        reply.array(object.count);
        object.members().for_each(|(key, _)| reply.bulk(key));
    };
    match document(view, argv[1])? {
        Some(document) if path.is_legacy() => {
            match first(document, &path)? {
                Some(node) => {
                    let object = node.as_object();
                    let object = object.ok_or_else(|| missing_or(&path, "not an object"))?;
                    answer(object, reply);
                }
                None => reply.null(),
            }
            Ok(())
        }
        Some(document) => answer_all(document, &path, reply, Node::as_object, answer),
        None => answer_absent(&path, NO_DOCUMENT, reply),
    }
}

/// JSON.ARRINDEX.
pub(super) fn arrindex(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    at_most(6, argv, "json.arrindex")?;
    let path = path(argv.get(2))?;
    let wanted = json::parse(argv[3])?;
    let wanted = Node::root(&wanted);
    let start = argv.get(4).map_or(Ok(0), |start| integer(start))?;
    let stop = argv.get(5).map_or(Ok(0), |stop| integer(stop))?;
    let index = |node: Node<'_>| {
        let array = node.as_array()?;
        // Before the second index, of which 0 means the end.
        let (from, to) = range(start, stop, stop == 0, array.count);
        let mut values = array.values().take(to).enumerate().skip(from);
        let found = values.find(|(_, value)| value.equals(wanted));
        Some(found.map_or(-1, |(at, _)| at as i64))
    };
    let document = document(view, argv[1])?.ok_or_else(|| missing(&path))?;
    if path.is_legacy() {
        let node = first(document, &path)?.ok_or_else(|| missing(&path))?;
        reply.integer(index(node).ok_or_else(|| unexpected("array", node))?);
        return Ok(());
    }
    answer_all(document, &path, reply, index, |at, reply| reply.integer(at))
}

/// JSON.RESP.
pub(super) fn resp(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    at_most(3, argv, "json.resp")?;
    let path = path(argv.get(2))?;
    match document(view, argv[1])? {
        None => reply.null(),
        Some(document) if path.is_legacy() => {
            answer_value(first(document, &path)?.ok_or_else(|| missing(&path))?, reply);
        }
        Some(document) => {
            let found = matched(document, &path)?;
            reply.array(found.len());
            found.for_each(|node| answer_value(node, reply));
        }
    }
    Ok(())
}

/// A value in the types of the protocol: a container begins with its bracket.
fn answer_value(node: Node<'_>, reply: &mut dyn Reply) {
    let document = node.document();
    // The objects and arrays that are open: where each ends, and whether it has keys.
    let mut open: Vec<(usize, bool)> = Vec::new();
    let (mut at, end) = (node.offset(), node.end());
    while at < end {
        while open.last().is_some_and(|(end, _)| at >= *end) {
            open.pop();
        }
        if let Some((_, true)) = open.last() {
            let key = Node::at(document, at);
            reply.bulk(key.text());
            at = key.end();
        }
        let node = Node::at(document, at);
        at = match node.value() {
            Value::Array(content) => {
                reply.array(1 + content.count);
                reply.status("[");
                open.push((content.end, false));
                content.start
            }
            Value::Object(content) => {
                reply.array(1 + 2 * content.count);
                reply.status("{");
                open.push((content.end, true));
                content.start
            }
            scalar => {
                answer_scalar(scalar, reply);
                node.end()
            }
        };
    }
}

fn answer_scalar(value: Value<'_>, reply: &mut dyn Reply) {
    match value {
        Value::Boolean(true) => reply.status("true"),
        Value::Boolean(false) => reply.status("false"),
        Value::Integer(number) => reply.integer(number),
        Value::Unsigned(number) => reply.decimal(&number.to_string()),
        Value::Float(number) => reply.decimal(&float(number)),
        Value::String(text) => reply.bulk(text),
        Value::Null | Value::Array(_) | Value::Object(_) => reply.null(),
    }
}

/// JSON.DEBUG MEMORY: bytes of each match as they are kept.
pub(super) fn memory(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    at_most(4, argv, "json.debug|memory")?;
    let path = path(argv.get(3))?;
    let document = document(view, argv[2])?;
    let bytes = |node: Node<'_>| Some(node.end() - node.offset());
    match document {
        None if path.is_legacy() => reply.integer(0),
        None => reply.array(0),
        Some(document) if path.is_legacy() => {
            let found = first(document, &path)?.and_then(bytes);
            answer_length(found.ok_or_else(|| missing(&path))?, reply);
        }
        Some(document) => answer_all(document, &path, reply, bytes, answer_length)?,
    }
    Ok(())
}

/// JSON.DEBUG HELP.
pub(super) fn show_help(
    _: &Server,
    _: &mut Session,
    _: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    help("JSON.DEBUG", &[("MEMORY <key> [path]", "Return the bytes that values take.")], reply);
    Ok(())
}
