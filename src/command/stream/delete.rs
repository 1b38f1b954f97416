//! XDEL, and XDELEX and XACKDEL, which ask what groups have made of an entry.

use super::super::Argv;
use super::super::args::{integer, is};
use super::add::references;
use super::{change, ids, stream};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::WriteView;
use crate::resp::Reply;
use crate::value::stream::{Id, References, Stream};

pub(super) fn xdel(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let key = argv[1];
    // Redis looks for the key first, and answers for one that is not there whatever the ids.
    if stream(&view.as_read(), key)?.is_none() {
        reply.integer(0);
        return Ok(());
    }
    let ids = ids(&argv[2..])?;
    let removed =
        change(view, key, |stream| Ok(ids.iter().filter(|id| stream.remove(**id)).count()))?;
    let removed = removed.unwrap_or(0);
    if removed > 0 {
        deleted(view, key);
    }
    reply.integer(removed as i64);
    Ok(())
}

fn deleted(view: &mut WriteView<'_, '_>, key: &[u8]) {
    view.modified(key);
    view.notify(Classes::STREAM, "xdel", key);
}

/// Ids, and what becomes of those who refer to them.
fn asked(arguments: &[&[u8]]) -> Result<(References, Vec<Id>), Fault> {
    let (mut kept, mut found) = (None, None);
    let mut at = 0;
    while let Some(word) = arguments.get(at) {
        if let Some(references) = references(word) {
            if kept.replace(references).is_some() {
                return Err(Fault::SYNTAX);
            }
        } else if is(word, "IDS") && found.is_none() && at + 1 < arguments.len() {
            let count = integer(arguments[at + 1]).ok().and_then(|n| usize::try_from(n).ok());
            let count = count.filter(|count| *count > 0);
            let count = count.ok_or(Fault::new("ERR Number of IDs must be a positive integer"))?;
            let rest = &arguments[at + 2..];
            let texts = rest.get(..count).ok_or(Fault::new(
                "ERR The `numids` parameter must match the number of arguments",
            ))?;
            found = Some(texts);
            at += 1 + count;
        } else {
            return Err(Fault::SYNTAX);
        }
        at += 1;
    }
    let texts = found.ok_or(Fault::SYNTAX)?;
    Ok((kept.unwrap_or_default(), ids(texts)?))
}

/// Deletes an entry if what refers to it allows that: 1 if so, 2 if not, -1 if it is not there.
fn delete(stream: &mut Stream, id: Id, references: References) -> i64 {
    if !stream.contains(id) {
        return -1;
    }
    match references {
        References::Keep => {}
        References::Drop => stream.drop_references(id),
        References::Acknowledged if stream.is_acknowledged(id) => {}
        References::Acknowledged => return 2,
    }
    stream.remove(id);
    1
}

pub(super) fn xdelex(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let key = argv[1];
    let (references, ids) = asked(&argv[2..])?;
    let results = change(view, key, |stream| {
        Ok(ids.iter().map(|id| delete(stream, *id, references)).collect::<Vec<_>>())
    })?;
    let results = results.unwrap_or_else(|| vec![-1; ids.len()]);
    if results.contains(&1) {
        deleted(view, key);
    }
    reply.integers(&results);
    Ok(())
}

pub(super) fn xackdel(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let (key, group) = (argv[1], argv[2]);
    let (references, ids) = asked(&argv[3..])?;
    let results = change(view, key, |stream| {
        let acknowledge = |id: &Id| acknowledge(stream, group, *id, references);
        Ok(ids.iter().map(acknowledge).collect::<Vec<_>>())
    })?;
    let results: Vec<(i64, bool)> = results.unwrap_or_else(|| vec![(-1, false); ids.len()]);
    if results.iter().any(|(_, deletes)| *deletes) {
        deleted(view, key);
    } else if results.iter().any(|(result, _)| *result != -1) {
        super::regrouped(view);
    }
    let results: Vec<i64> = results.into_iter().map(|(result, _)| result).collect();
    reply.integers(&results);
    Ok(())
}

/// Acknowledges, and then deletes as above; an entry that is gone already counts as deleted.
/// Answers too whether an entry was deleted.
fn acknowledge(stream: &mut Stream, group: &[u8], id: Id, references: References) -> (i64, bool) {
    let pending = stream.group_mut(group).is_some_and(|group| group.acknowledge(id));
    if !pending {
        return (-1, false);
    }
    match delete(stream, id, references) {
        -1 => (1, false),
        result => (result, result == 1),
    }
}
