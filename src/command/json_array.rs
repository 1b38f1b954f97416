//! What is done to the arrays of JSON documents.

use super::Argv;
use super::args::integer;
use super::json::{answer_count, answer_each, at_most, change_each, path, values};
use crate::fault::{Fault, Outcome};
use crate::keyspace::WriteView;
use crate::resp::Reply;
use crate::value::json::edit::Change;
use crate::value::json::print::print;

/// What a path in the older form misses.
const NO_ARRAY: &str = "not an array";

/// JSON.ARRAPPEND.
pub(super) fn append(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let (path, inserted) = (path(argv.get(2))?, values(&argv[3..])?);
    let said = change_each(view, argv[1], &path, "json.arrappend", |node| {
        Ok(node.as_array().map(|array| {
            let change = Change::Splice { at: array.count, removed: 0, inserted: &inserted };
            (Some(change), array.count + inserted.len())
        }))
    })?;
    answer_each(&path, &said, NO_ARRAY, reply, answer_count)
}

/// JSON.ARRINSERT: before the value at the index; the length of an array is an index too.
pub(super) fn insert(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    const RANGE: Fault = Fault::new("ERR index out of bounds");
    let (path, index) = (path(argv.get(2))?, integer(argv[3])?);
    let inserted = values(&argv[4..])?;
    let said = change_each(view, argv[1], &path, "json.arrinsert", |node| {
        let Some(array) = node.as_array() else { return Ok(None) };
        let behind = usize::try_from(index) == Ok(array.count);
        let at = if behind { array.count } else { array.place(index).ok_or(RANGE)? };
        let change = Change::Splice { at, removed: 0, inserted: &inserted };
        Ok(Some((Some(change), array.count + inserted.len())))
    })?;
    answer_each(&path, &said, NO_ARRAY, reply, answer_count)
}

/// JSON.ARRPOP: an index beyond either end means that end.
pub(super) fn pop(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    at_most(4, argv, "json.arrpop")?;
    let path = path(argv.get(2))?;
    let index = argv.get(3).map_or(Ok(-1), |index| integer(index))?;
    let said = change_each(view, argv[1], &path, "json.arrpop", |node| {
        let Some(array) = node.as_array() else { return Ok(None) };
        let Some(last) = array.count.checked_sub(1) else { return Ok(Some((None, None))) };
        let at = array.place(index).unwrap_or(if index < 0 { 0 } else { last });
        let popped = array.values().nth(at).map(print).transpose()?;
        Ok(Some((Some(Change::Splice { at, removed: 1, inserted: &[] }), popped)))
    })?;
    answer_each(&path, &said, NO_ARRAY, reply, |popped, reply| match popped {
        Some(text) => reply.bulk(text),
        None => reply.null(),
    })
}

/// JSON.ARRTRIM: from the first index to the last one, both included.
pub(super) fn trim(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let path = path(argv.get(2))?;
    let (start, stop) = (integer(argv[3])?, integer(argv[4])?);
    let said = change_each(view, argv[1], &path, "json.arrtrim", |node| {
        let Some(array) = node.as_array() else { return Ok(None) };
        let (from, to) = range(start, stop.saturating_add(1), stop == -1, array.count);
        let stays = to.saturating_sub(from);
        let change = (stays < array.count).then_some(Change::Keep { from, to });
        Ok(Some((change, stays)))
    })?;
    answer_each(&path, &said, NO_ARRAY, reply, answer_count)
}

/// The places from one index to before another, either counted from the end if negative; `whole`
/// says that the second is the end itself.
pub(super) fn range(start: i64, stop: i64, whole: bool, count: usize) -> (usize, usize) {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let place = |index: i64| {
        let place = if index < 0 { index.saturating_add(count) } else { index };
        // Between 0 and a count.
        usize::try_from(place.clamp(0, count)).unwrap_or(0)
    };
    let to = if whole { place(count) } else { place(stop) };
    (place(start).min(to), to)
}
