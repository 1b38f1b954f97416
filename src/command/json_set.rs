//! JSON.SET, JSON.MSET, JSON.MERGE and JSON.DEL: values that come and go.

use std::collections::HashMap;

use super::Argv;
use super::args::is;
use super::json::{at_most, document_of, path, put, remove};
use crate::fault::{Fault, Outcome};
use crate::keyspace::WriteView;
use crate::resp::Reply;
use crate::value::json::edit::{self, Change, Edit, Edits};
use crate::value::json::path::Last;
use crate::value::json::{self, Node, Path, Value};

const NEW_AT_ROOT: Fault = Fault::new("ERR new objects must be created at the root");
const NOT_STATIC: Fault = Fault::new("ERR wrong static path");
const INDEX_RANGE: Fault = Fault::new("ERR array index out of range");

/// What has to be there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Condition {
    /// Nothing.
    #[default]
    Always,
    /// NX: no such value.
    Absent,
    /// XX: such a value.
    Present,
}

/// JSON.SET.
pub(super) fn set(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, path) = (argv[1], path(argv.get(2))?);
    let condition = match &argv[4..] {
        [] => Condition::Always,
        [word] if is(word, "NX") => Condition::Absent,
        [word] if is(word, "XX") => Condition::Present,
        _ => return Err(Fault::SYNTAX),
    };
    let value = json::parse(argv[3])?;
    let document = view.get(key).map(document_of).transpose()?;
    match with_value(document, &path, &value, condition)? {
        Some(changed) => {
            put(view, key, &changed, "json.set");
            reply.ok();
        }
        None => reply.null(),
    }
    Ok(())
}

/// JSON.MSET: all or nothing, though what comes first is there for what comes later.
pub(super) fn mset(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (triples, rest) = argv[1..].as_chunks::<3>();
    if !rest.is_empty() {
        return Err(Fault::arity("json.mset"));
    }
    let mut documents: HashMap<&[u8], Vec<u8>> = HashMap::new();
    let mut order: Vec<&[u8]> = Vec::new();
    for [key, at, value] in triples {
        let (path, value) = (path(Some(at))?, json::parse(value)?);
        let present = view.get(key).map(document_of).transpose()?;
        let document = documents.get(key).map(Vec::as_slice).or(present);
        let Some(changed) = with_value(document, &path, &value, Condition::Always)? else {
            continue;
        };
        if documents.insert(key, changed).is_none() {
            order.push(key);
        }
    }
    for key in order {
        if let Some(document) = documents.get(key) {
            put(view, key, document, "json.mset");
        }
    }
    reply.ok();
    Ok(())
}

/// A document with a value set at a path; nothing if there is no place for it.
fn with_value(
    document: Option<&[u8]>,
    path: &Path,
    value: &[u8],
    condition: Condition,
) -> Result<Option<Vec<u8>>, Fault> {
    let Some(document) = document else {
        return match condition {
            _ if !path.is_root() => Err(NEW_AT_ROOT),
            Condition::Present => Ok(None),
            _ => Ok(Some(value.to_vec())),
        };
    };
    if path.is_root() {
        return Ok((condition != Condition::Absent).then(|| value.to_vec()));
    }
    let found = edit::outermost(document, path.find(document)?);
    if condition == Condition::Absent && !found.is_empty() {
        return Ok(None);
    }
    let change = |at| Edit { at, change: Change::ReplaceShared(value) };
    let mut edits: Vec<Edit<'_>> = found.into_iter().map(change).collect();
    if condition != Condition::Present {
        edits.extend(additions(document, path, value, edits.is_empty())?);
    }
    if edits.is_empty() {
        return Ok(None);
    }
    Ok(Some(edit::apply(document, edits)?))
}

/// What a path adds to a document, given whether it matches nothing there. A key that is looked
/// for at any depth is added where the search began, as Upstash does.
fn additions<'a>(
    document: &[u8],
    path: &'a Path,
    value: &'a [u8],
    nothing: bool,
) -> Result<Vec<Edit<'a>>, Fault> {
    let key = match path.last() {
        Last::DeepName(key) => key,
        _ if !nothing => return Ok(Vec::new()),
        Last::Name(key) if path.is_parent_static() => key,
        Last::Index => return Err(INDEX_RANGE),
        _ => return Err(NOT_STATIC),
    };
    let lacks = |at: &usize| {
        Node::at(document, *at).as_object().is_some_and(|object| object.get(key).is_none())
    };
    let parents = path.find_parents(document)?.into_iter().filter(lacks);
    Ok(parents.map(|at| Edit { at, change: Change::Add { key, value } }).collect())
}

/// JSON.MERGE.
pub(super) fn merge(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let (key, path) = (argv[1], path(argv.get(2))?);
    let patch = json::parse(argv[3])?;
    let document = view.get(key).map(document_of).transpose()?;
    match merged(document, &path, Node::root(&patch))? {
        Merged::Nowhere => {
            reply.null();
            return Ok(());
        }
        Merged::Same => {}
        Merged::Gone => remove(view, key, "json.merge"),
        Merged::Document(changed) => put(view, key, &changed, "json.merge"),
    }
    reply.ok();
    Ok(())
}

/// What a document becomes by a merge.
enum Merged {
    /// There is no place to merge into.
    Nowhere,
    /// What it was.
    Same,
    /// Nothing: null was merged into the root.
    Gone,
    /// Another.
    Document(Vec<u8>),
}

fn merged(document: Option<&[u8]>, path: &Path, patch: Node<'_>) -> Result<Merged, Fault> {
    let removes = patch.value() == Value::Null;
    let Some(document) = document else {
        return match removes {
            _ if !path.is_root() => Err(NEW_AT_ROOT),
            true => Ok(Merged::Same),
            false => Ok(Merged::Document(json::merge::merge(None, patch)?)),
        };
    };
    if path.is_root() {
        let root = Some(Node::root(document));
        return Ok(match removes {
            true => Merged::Gone,
            false => Merged::Document(json::merge::merge(root, patch)?),
        });
    }
    let found = edit::outermost(document, path.find(document)?);
    let added;
    let mut gathered = Edits::default();
    for at in &found {
        let change = match removes {
            true => Change::Remove,
            false => Change::Replace(json::merge::merge(Some(Node::at(document, *at)), patch)?),
        };
        gathered.push(*at, change)?;
    }
    let mut edits = gathered.into_vec();
    if found.is_empty() {
        added = json::merge::merge(None, patch)?;
        edits = additions(document, path, &added, true)?;
        if edits.is_empty() {
            return Ok(Merged::Nowhere);
        }
        if removes {
            return Ok(Merged::Same);
        }
    }
    Ok(Merged::Document(edit::apply(document, edits)?))
}

/// JSON.DEL and JSON.FORGET: of values within one another only the outer one counts.
pub(super) fn del(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    at_most(3, argv, &String::from_utf8_lossy(argv[0]).to_ascii_lowercase())?;
    let (key, path) = (argv[1], path(argv.get(2))?);
    let Some(document) = view.get(key).map(document_of).transpose()? else {
        reply.integer(0);
        return Ok(());
    };
    let found = edit::outermost(document, path.find(document)?);
    let count = found.len();
    if found.first() == Some(&0) {
        remove(view, key, "json.del");
    } else if count > 0 {
        let edits = found.into_iter().map(|at| Edit { at, change: Change::Remove });
        let changed = edit::apply(document, edits.collect())?;
        put(view, key, &changed, "json.del");
    }
    reply.integer(count as i64);
    Ok(())
}
