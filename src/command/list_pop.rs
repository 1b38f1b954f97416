//! Elements taken off the ends of lists: LPOP, RPOP, LMPOP, and the forms that wait.
//!
//! Left out on purpose: the waiting itself, see `waiting`.

use super::args::{at_least, is, timeout};
use super::list::taken;
use super::waiting::{Form, Wait};
use super::{Argv, counted};
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Kind, WriteView};
use crate::resp::Reply;
use crate::value::list::{End, List, ListRef};

/// LPOP.
pub(super) fn lpop(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    pop(view, argv, End::Front, reply)
}

/// RPOP.
pub(super) fn rpop(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    pop(view, argv, End::Back, reply)
}

fn pop(view: &mut WriteView<'_, '_>, argv: Argv<'_>, end: End, reply: &mut dyn Reply) -> Outcome {
    let most = match argv {
        [_, _] => None,
        [_, _, most] => Some(at_least(0, most, "ERR value is out of range, must be positive")?),
        _ => return Err(Fault::arity(name(end))),
    };
    let Some(most) = most else {
        let popped = take(view, argv[1], end, 1, |list, _| answer(list, end, 1, reply))?;
        if popped.is_none() {
            reply.null();
        }
        return Ok(());
    };
    let popped = take(view, argv[1], end, most, |list, count| {
        reply.array(count);
        answer(list, end, count, reply);
    })?;
    if popped.is_none() {
        reply.null_array();
    }
    Ok(())
}

/// The command that takes elements off an end, and its event.
pub(super) fn name(end: End) -> &'static str {
    match end {
        End::Front => "lpop",
        End::Back => "rpop",
    }
}

/// Takes up to `most` elements off an end of the list under `key`; before they go, `answer` is
/// given the list and how many there are, and nothing fails after that. Answers that number, or
/// `None` when there is no list.
fn take(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    end: End,
    most: usize,
    answer: impl FnOnce(ListRef<'_>, usize),
) -> Result<Option<usize>, Fault> {
    let edited = view.edit_present(key, |list: &mut List| {
        let len = list.as_ref().len();
        let count = most.min(len);
        answer(list.as_ref(), count);
        if count < len {
            list.cut(end, count);
        }
        Ok((count, count == len))
    })?;
    let Some((count, emptied)) = edited.map(|edited| edited.result) else { return Ok(None) };
    if emptied {
        // As a whole, so that a long list is not freed under the locks.
        view.discard(key);
    }
    if count > 0 {
        taken(view, key, name(end), emptied);
    }
    Ok(Some(count))
}

/// Answers `count` elements from an end on.
fn answer(list: ListRef<'_>, end: End, count: usize, reply: &mut dyn Reply) {
    list.from(end).take(count).for_each(|element| reply.bulk(&element.text()));
}

/// What the commands that look at several keys want of the first that has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where to take elements off.
    pub end: End,
    /// How many at most, answered as an array; `None` for one, answered as such.
    pub most: Option<usize>,
}

/// Takes what is wanted off the list under `key`, and answers `[key, what]`; answers whether
/// there was such a list. In the log this is the command that does not wait.
///
/// # Errors
/// `WRONGTYPE`.
pub fn serve(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    wanted: Wanted,
    reply: &mut dyn Reply,
) -> Result<bool, Fault> {
    let Wanted { end, most } = wanted;
    let taken = take(view, key, end, most.unwrap_or(1), |list, count| {
        reply.array(2);
        reply.bulk(key);
        if most.is_some() {
            reply.array(count);
        }
        answer(list, end, count, reply);
    })?;
    let Some(count) = taken else { return Ok(false) };
    let word = name(end).to_ascii_uppercase();
    match most {
        None => view.reword(&[word.as_bytes(), key]),
        Some(_) => {
            let count = itoa::Buffer::new().format(count).to_owned();
            view.reword(&[word.as_bytes(), key, count.as_bytes()]);
        }
    }
    Ok(true)
}

/// Serves from the first key that has something; answers whether one had.
fn serve_first(
    view: &mut WriteView<'_, '_>,
    keys: Argv<'_>,
    wanted: Wanted,
    reply: &mut dyn Reply,
) -> Result<bool, Fault> {
    for key in keys {
        if serve(view, key, wanted, reply)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn serve_or_wait(
    view: &mut WriteView<'_, '_>,
    keys: Argv<'_>,
    wanted: Wanted,
    wait: Wait,
    reply: &mut dyn Reply,
) -> Outcome {
    if serve_first(view, keys, wanted, reply)? { Ok(()) } else { Err(Fault::Wait(wait)) }
}

/// LMPOP.
pub(super) fn lmpop(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let wanted = several(argv, 1)?;
    let keys: Vec<&[u8]> = counted(argv, 1).iter().map(|at| argv[*at]).collect();
    if !serve_first(view, &keys, wanted, reply)? {
        reply.null_array();
    }
    Ok(())
}

/// What stands behind the keys of LMPOP and BLMPOP, whose number stands at `at`.
fn several(argv: Argv<'_>, at: usize) -> Result<Wanted, Fault> {
    let keys = at_least(1, argv[at], "ERR numkeys should be greater than 0")?;
    let behind = at.saturating_add(1).saturating_add(keys);
    let [side, options @ ..] = argv.get(behind..).unwrap_or_default() else {
        return Err(Fault::SYNTAX);
    };
    let end = side_end(side)?;
    let most = match options {
        [] => 1,
        [word, most, rest @ ..] if is(word, "COUNT") => {
            let most = at_least(1, most, "ERR count should be greater than 0")?;
            if !rest.is_empty() {
                return Err(Fault::SYNTAX);
            }
            most
        }
        _ => return Err(Fault::SYNTAX),
    };
    Ok(Wanted { end, most: Some(most) })
}

/// The end that LEFT or RIGHT means.
pub(super) fn side_end(side: &[u8]) -> Result<End, Fault> {
    match () {
        () if is(side, "LEFT") => Ok(End::Front),
        () if is(side, "RIGHT") => Ok(End::Back),
        () => Err(Fault::SYNTAX),
    }
}

/// BLPOP.
pub(super) fn blpop(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    pop_or_wait(view, argv, End::Front, reply)
}

/// BRPOP.
pub(super) fn brpop(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    pop_or_wait(view, argv, End::Back, reply)
}

fn pop_or_wait(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    end: End,
    reply: &mut dyn Reply,
) -> Outcome {
    let [_, keys @ .., until] = argv else { return Err(Fault::arity("blpop")) };
    let until = timeout(until, view.around.now)?;
    let wait = Wait { until, form: Form::Pop(Kind::List) };
    serve_or_wait(view, keys, Wanted { end, most: None }, wait, reply)
}

/// BLMPOP.
pub(super) fn blmpop(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let wanted = several(argv, 2)?;
    let until = timeout(argv[1], view.around.now)?;
    let keys: Vec<&[u8]> = counted(argv, 2).iter().map(|at| argv[*at]).collect();
    let wait = Wait { until, form: Form::SeveralPop(Kind::List) };
    serve_or_wait(view, &keys, wanted, wait, reply)
}
