//! One element from a list to another, or to the other end of the same: LMOVE, RPOPLPUSH, and
//! the forms that wait.
//!
//! Left out on purpose: the waiting itself, see `waiting`.

use smallvec::SmallVec;

use super::Argv;
use super::args::timeout;
use super::list::{pushed, taken};
use super::list_pop::{name, side_end};
use super::waiting::{Form, Wait};
use crate::fault::{Fault, Outcome};
use crate::keyspace::WriteView;
use crate::resp::Reply;
use crate::value::list::{End, List};

/// From where to where an element goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way<'a> {
    /// The key of the list that it leaves.
    pub source: &'a [u8],
    /// At which end.
    pub from: End,
    /// The key of the list that it comes to, which may be the same.
    pub destination: &'a [u8],
    /// At which end.
    pub to: End,
}

/// Moves an element and answers it; answers whether there was one.
///
/// # Errors
/// `WRONGTYPE`.
pub fn serve(
    view: &mut WriteView<'_, '_>,
    way: Way<'_>,
    reply: &mut dyn Reply,
) -> Result<bool, Fault> {
    let Way { source, from, destination, to } = way;
    let Some(entry) = view.get(source) else { return Ok(false) };
    let list = entry.as_list().ok_or(Fault::WRONG_TYPE)?;
    let Some(element) = list.from(from).next() else { return Ok(false) };
    let element: SmallVec<[u8; 128]> = SmallVec::from_slice(&element.text());
    let limits = view.around.config.encodings.list;
    // Pushed first, so that a list that passes an element to itself is never empty.
    view.edit(destination, |list: &mut List| {
        list.push(to, &[&element], limits);
        Ok(())
    })?;
    pushed(view, destination, to);
    let edited = view.edit_present(source, |list: &mut List| {
        list.cut(from, 1);
        Ok(())
    })?;
    taken(view, source, name(from), edited.is_some_and(|edited| edited.emptied));
    reply.bulk(&element);
    Ok(true)
}

fn serve_or_null(view: &mut WriteView<'_, '_>, way: Way<'_>, reply: &mut dyn Reply) -> Outcome {
    if !serve(view, way, reply)? {
        reply.null();
    }
    Ok(())
}

fn serve_or_wait(
    view: &mut WriteView<'_, '_>,
    way: Way<'_>,
    until: u64,
    reply: &mut dyn Reply,
) -> Outcome {
    if serve(view, way, reply)? { Ok(()) } else { Err(Wait::fault(until, Form::Move)) }
}

/// The way that LMOVE and BLMOVE are given.
fn way<'a>(argv: Argv<'a>) -> Result<Way<'a>, Fault> {
    let (from, to) = (side_end(argv[3])?, side_end(argv[4])?);
    Ok(Way { source: argv[1], from, destination: argv[2], to })
}

/// The way that RPOPLPUSH and BRPOPLPUSH mean.
fn back_to_front<'a>(argv: Argv<'a>) -> Way<'a> {
    Way { source: argv[1], from: End::Back, destination: argv[2], to: End::Front }
}

/// LMOVE.
pub(super) fn lmove(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let way = way(argv)?;
    serve_or_null(view, way, reply)
}

/// RPOPLPUSH.
pub(super) fn rpoplpush(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    serve_or_null(view, back_to_front(argv), reply)
}

/// BLMOVE.
pub(super) fn blmove(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let way = way(argv)?;
    let until = timeout(argv[5], view.around.now)?;
    serve_or_wait(view, way, until, reply)?;
    view.reword(&[b"LMOVE", argv[1], argv[2], argv[3], argv[4]]);
    Ok(())
}

/// BRPOPLPUSH.
pub(super) fn brpoplpush(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let until = timeout(argv[3], view.around.now)?;
    serve_or_wait(view, back_to_front(argv), until, reply)?;
    view.reword(&[b"RPOPLPUSH", argv[1], argv[2]]);
    Ok(())
}
