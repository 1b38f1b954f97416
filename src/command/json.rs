//! JSON documents: the commands of RedisJSON.
//!
//! A path with `$` in front answers for every value that it matches, in an array; the older form
//! answers one value, or an error. Readers are in `json_read`, those that change values in
//! `json_change`, what is done to arrays in `json_array`; here is what they share. A document
//! is changed as a whole: its bytes are made anew (`value::json::edit`) and then take the place
//! of the old ones, so what fails has changed nothing. Commands are deterministic, and logged
//! as they were sent.

use super::{
    Argv, Command, Family, Flags, Group, Keys, Run, json_array, json_change, json_read, json_set,
};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Entry, ReadView, WriteView};
use crate::resp::Reply;
use crate::value::json::edit::{self, Change, Edits};
use crate::value::json::{JsonError, Node, Path};

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        complexity: SET,
        ..JSON.row(
            "json.set",
            "key path value [NX | XX]",
            "Sets or updates the JSON value at a path.",
            "1.0.0",
            -4,
            Flags::DENYOOM,
            Run::Write(json_set::set),
        )
    },
    Command {
        keys: Keys::At { first: 1, last: -1, step: 3 },
        complexity: "O(K*(M+N)) where K is the number of keys in the command, M the size of the new values and N that of the keys' documents.",
        ..JSON.row(
            "json.mset",
            "key path value [key path value ...]",
            "Sets or updates the JSON values of one or more keys.",
            "2.6.0",
            -4,
            Flags::DENYOOM,
            Run::Write(json_set::mset),
        )
    },
    Command {
        complexity: SET,
        ..JSON.row(
            "json.merge",
            "key path value",
            "Merges a given JSON value into matching paths.",
            "2.6.0",
            4,
            Flags::DENYOOM,
            Run::Write(json_set::merge),
        )
    },
    JSON.row(
        "json.get",
        "key [INDENT indent] [NEWLINE newline] [SPACE space] [path [path ...]]",
        "Gets the value at one or more paths in JSON serialized form.",
        "1.0.0",
        -2,
        Flags::empty(),
        Run::Read(json_read::get),
    ),
    Command {
        keys: Keys::At { first: 1, last: -2, step: 1 },
        complexity: "O(M*N) where M is the number of keys and N the size of their documents.",
        ..JSON.row(
            "json.mget",
            "key [key ...] path",
            "Returns the values at a path from one or more keys.",
            "1.0.0",
            -3,
            Flags::empty(),
            Run::Read(json_read::mget),
        )
    },
    JSON.row(
        "json.del",
        "key [path]",
        "Deletes a value.",
        "1.0.0",
        -2,
        Flags::empty(),
        Run::Write(json_set::del),
    ),
    JSON.row(
        "json.forget",
        "key [path]",
        "Deletes a value.",
        "1.0.0",
        -2,
        Flags::empty(),
        Run::Write(json_set::del),
    ),
    JSON.row(
        "json.clear",
        "key [path]",
        "Clears all values from an array or an object and sets numeric values at `0`.",
        "2.0.0",
        -2,
        Flags::empty(),
        Run::Write(json_change::clear),
    ),
    JSON.row(
        "json.type",
        "key [path]",
        "Returns the type of the JSON value at path.",
        "1.0.0",
        -2,
        Flags::empty(),
        Run::Read(json_read::kind),
    ),
    JSON.row(
        "json.strlen",
        "key [path]",
        "Returns the length of the JSON String at path in key.",
        "1.0.0",
        -2,
        Flags::empty(),
        Run::Read(json_read::strlen),
    ),
    JSON.row(
        "json.strappend",
        "key [path] value",
        "Appends a string to a JSON string value at path.",
        "1.0.0",
        -3,
        Flags::DENYOOM,
        Run::Write(json_change::strappend),
    ),
    JSON.row(
        "json.numincrby",
        "key path value",
        "Increments the numeric value at path by a value.",
        "1.0.0",
        4,
        Flags::DENYOOM,
        Run::Write(json_change::numincrby),
    ),
    JSON.row(
        "json.nummultby",
        "key path value",
        "Multiplies the numeric value at path by a value.",
        "1.0.0",
        4,
        Flags::DENYOOM,
        Run::Write(json_change::nummultby),
    ),
    JSON.row(
        "json.toggle",
        "key path",
        "Toggles a boolean value.",
        "2.0.0",
        3,
        Flags::DENYOOM,
        Run::Write(json_change::toggle),
    ),
    JSON.row(
        "json.arrappend",
        "key path value [value ...]",
        "Appends one or more JSON values into the array at path after the last element in it.",
        "1.0.0",
        -4,
        Flags::DENYOOM,
        Run::Write(json_array::append),
    ),
    JSON.row(
        "json.arrindex",
        "key path value [start [stop]]",
        "Returns the index of the first occurrence of a JSON scalar value in the array at path.",
        "1.0.0",
        -4,
        Flags::empty(),
        Run::Read(json_read::arrindex),
    ),
    JSON.row(
        "json.arrinsert",
        "key path index value [value ...]",
        "Inserts the JSON scalar(s) value at the specified index in the array at path.",
        "1.0.0",
        -5,
        Flags::DENYOOM,
        Run::Write(json_array::insert),
    ),
    JSON.row(
        "json.arrlen",
        "key [path]",
        "Returns the length of the array at path.",
        "1.0.0",
        -2,
        Flags::empty(),
        Run::Read(json_read::arrlen),
    ),
    JSON.row(
        "json.arrpop",
        "key [path [index]]",
        "Removes and returns the element at the specified index in the array at path.",
        "1.0.0",
        -2,
        Flags::empty(),
        Run::Write(json_array::pop),
    ),
    JSON.row(
        "json.arrtrim",
        "key path start stop",
        "Trims the array at path to contain only the specified inclusive range of indices from start to stop.",
        "1.0.0",
        5,
        Flags::empty(),
        Run::Write(json_array::trim),
    ),
    JSON.row(
        "json.objkeys",
        "key [path]",
        "Returns the JSON keys of the object at path.",
        "1.0.0",
        -2,
        Flags::empty(),
        Run::Read(json_read::objkeys),
    ),
    JSON.row(
        "json.objlen",
        "key [path]",
        "Returns the number of keys of the object at path.",
        "1.0.0",
        -2,
        Flags::empty(),
        Run::Read(json_read::objlen),
    ),
    JSON.row(
        "json.resp",
        "key [path]",
        "Returns the JSON value at path in Redis Serialization Protocol (RESP).",
        "1.0.0",
        -2,
        Flags::empty(),
        Run::Read(json_read::resp),
    ),
    Command {
        keys: Keys::None,
        run: Run::Container,
        complexity: "Depends on subcommand.",
        subcommands: DEBUG,
        ..JSON.row(
            "json.debug",
            "",
            "Debugging container command.",
            "1.0.0",
            -2,
            Flags::empty(),
            Run::Container,
        )
    },
];

const DEBUG: &[Command] = &[
    Command {
        keys: Keys::At { first: 2, last: 2, step: 1 },
        ..JSON.row(
            "memory",
            "key [path]",
            "Reports the size in bytes of a key.",
            "1.0.0",
            -3,
            Flags::empty(),
            Run::Read(json_read::memory),
        )
    },
    Command {
        keys: Keys::None,
        complexity: "O(1)",
        ..JSON.row(
            "help",
            "",
            "Shows helpful information.",
            "1.0.0",
            2,
            Flags::LOADING.union(Flags::STALE),
            Run::Session(json_read::show_help),
        )
    },
];

const SET: &str = "O(M+N) where M is the size of the new value and N the size of the document.";

/// What the rows of this family have in common.
const JSON: Family =
    Family { group: Group::Json, complexity: "O(N) where N is the size of the document." };

/// Who changes a document needs one.
pub(super) const NO_DOCUMENT: Fault =
    Fault::new("ERR could not perform this operation on a key that doesn't exist");

impl From<JsonError> for Fault {
    fn from(error: JsonError) -> Fault {
        Fault::text(format!("ERR {error}"))
    }
}

/// The path that an argument is; the root, in the older form, without one.
pub(super) fn path(argument: Option<&&[u8]>) -> Result<Path, Fault> {
    Ok(Path::parse(argument.copied().unwrap_or(b"."))?)
}

/// The documents that arguments are.
pub(super) fn values(arguments: Argv<'_>) -> Result<Vec<Vec<u8>>, Fault> {
    let parsed = arguments.iter().map(|text| crate::value::json::parse(text));
    Ok(parsed.collect::<Result<_, _>>()?)
}

/// No more than `most` arguments, where a row only says how many there are at least.
pub(super) fn at_most(most: usize, argv: Argv<'_>, name: &str) -> Outcome {
    if argv.len() > most { Err(Fault::arity(name)) } else { Ok(()) }
}

/// That a path in the older form matches nothing.
pub(super) fn missing(path: &Path) -> Fault {
    Fault::text(format!("ERR Path '{}' does not exist", path.text()))
}

/// Likewise, or nothing of the kind that is wanted.
pub(super) fn missing_or(path: &Path, or: &str) -> Fault {
    Fault::text(format!("ERR Path '{}' does not exist or {or}", path.text()))
}

/// That what a path in the older form matches is of another kind.
pub(super) fn unexpected(expected: &str, found: Node<'_>) -> Fault {
    let found = found.kind().name();
    Fault::text(format!(
        "WRONGTYPE wrong type of path value - expected {expected} but found {found}"
    ))
}

/// The document that an entry is.
pub(super) fn document_of(entry: &Entry) -> Result<&[u8], Fault> {
    entry.as_json().ok_or(Fault::WRONG_TYPE)
}

/// The document under a key.
pub(super) fn document<'a>(view: &ReadView<'a, '_>, key: &[u8]) -> Result<Option<&'a [u8]>, Fault> {
    view.get(key).map(document_of).transpose()
}

/// The values that a path matches.
pub(super) fn matched<'a>(
    document: &'a [u8],
    path: &Path,
) -> Result<impl ExactSizeIterator<Item = Node<'a>> + use<'a>, Fault> {
    let found = path.find(document)?;
    Ok(found.into_iter().map(move |at| Node::at(document, at)))
}

/// What becomes of one value that a path matches, and what is said of it; nothing where it is
/// of another kind.
pub(super) type Done<'a, T> = Option<(Option<Change<'a>>, T)>;

/// Changes the values that a path matches, each as `change` says; answers what it said of each.
///
/// # Errors
/// When there is no document, what `change` answers, or a document that cannot be kept: nothing
/// has changed then.
pub(super) fn change_each<'c, T>(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    path: &Path,
    event: &'static str,
    mut change: impl FnMut(Node<'_>) -> Result<Done<'c, T>, Fault>,
) -> Result<Vec<Option<T>>, Fault> {
    let document = document_of(view.get(key).ok_or(NO_DOCUMENT)?)?;
    let mut edits = Edits::default();
    let mut said = Vec::new();
    for node in matched(document, path)? {
        let Some((change, told)) = change(node)? else {
            said.push(None);
            continue;
        };
        said.push(Some(told));
        if let Some(change) = change {
            edits.push(node.offset(), change)?;
        }
    }
    if !edits.is_empty() {
        let changed = edit::apply(document, edits.into_vec())?;
        put(view, key, &changed, event);
    }
    Ok(said)
}

/// Makes a document the value of a key; one that is there keeps its expiry.
pub(super) fn put(view: &mut WriteView<'_, '_>, key: &[u8], document: &[u8], event: &'static str) {
    view.put_json(key, document);
    view.modified(key);
    view.notify(Classes::MODULE, event, key);
}

/// Takes a document away with its key.
pub(super) fn remove(view: &mut WriteView<'_, '_>, key: &[u8], event: &'static str) {
    if view.discard(key) {
        view.modified(key);
        view.notify(Classes::MODULE, event, key);
    }
}

/// Answers what was said of each match: an array, or of a path in the older form the last.
///
/// # Errors
/// When nothing was said of any, and the path is in the older form: that there is nothing there,
/// or nothing that is `wanted`.
pub(super) fn answer_each<T>(
    path: &Path,
    said: &[Option<T>],
    wanted: &str,
    reply: &mut dyn Reply,
    answer: impl Fn(&T, &mut dyn Reply),
) -> Outcome {
    if path.is_legacy() {
        let last = said.iter().rev().find_map(Option::as_ref);
        answer(last.ok_or_else(|| missing_or(path, wanted))?, reply);
        return Ok(());
    }
    reply.array(said.len());
    for told in said {
        match told {
            Some(told) => answer(told, reply),
            None => reply.null(),
        }
    }
    Ok(())
}

/// Answers a number of things.
pub(super) fn answer_count(count: &usize, reply: &mut dyn Reply) {
    reply.integer(*count as i64);
}
