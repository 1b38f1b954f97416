//! LSET, LINSERT, LREM, LTRIM: what changes a list elsewhere than at its ends.

use super::Argv;
use super::args::{integer, is};
use super::list::{at, range, taken};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::WriteView;
use crate::resp::Reply;
use crate::value::list::{End, List};

/// LSET: see its row.
pub(super) fn lset(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let key = argv[1];
    let limits = view.around.config.encodings.list;
    let edited = view.edit_present(key, |list: &mut List| {
        let index = at(integer(argv[2])?, list.as_ref().len());
        list.set(index.ok_or(Fault::new("ERR index out of range"))?, argv[3], limits);
        Ok(())
    })?;
    edited.ok_or(Fault::NO_KEY)?;
    view.modified(key);
    view.notify(Classes::LIST, "lset", key);
    reply.ok();
    Ok(())
}

/// LINSERT: see its row.
pub(super) fn linsert(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let [_, key, side, pivot, element] = argv else { return Err(Fault::arity("linsert")) };
    let behind = match () {
        () if is(side, "BEFORE") => 0,
        () if is(side, "AFTER") => 1,
        () => return Err(Fault::SYNTAX),
    };
    let limits = view.around.config.encodings.list;
    let edited = view.edit_present(key, |list: &mut List| {
        let found = list.as_ref().positions(pivot, End::Front, usize::MAX).next();
        Ok(found.map(|index| {
            list.insert(index + behind, element, limits);
            list.as_ref().len()
        }))
    })?;
    let length = match edited.map(|edited| edited.result) {
        None => 0,
        Some(None) => -1,
        Some(Some(length)) => {
            view.modified(key);
            view.notify(Classes::LIST, "linsert", key);
            length as i64
        }
    };
    reply.integer(length);
    Ok(())
}

/// LREM: see its row.
pub(super) fn lrem(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, element) = (argv[1], argv[3]);
    let (from, most) = match integer(argv[2])? {
        0 => (End::Front, usize::MAX),
        count => {
            let most = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
            (if count < 0 { End::Back } else { End::Front }, most)
        }
    };
    let edited =
        view.edit_present(key, |list: &mut List| Ok(list.remove_equal(from, element, most)))?;
    let mut removed = 0;
    if let Some(edited) = edited.filter(|edited| edited.result > 0) {
        removed = edited.result;
        taken(view, key, "lrem", edited.emptied);
    }
    reply.integer(removed as i64);
    Ok(())
}

/// LTRIM: see its row.
pub(super) fn ltrim(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let key = argv[1];
    let (start, stop) = (integer(argv[2])?, integer(argv[3])?);
    let edited = view.edit_present(key, |list: &mut List| {
        let len = list.as_ref().len();
        let (first, count) = range(start, stop, len);
        // What is to be emptied is taken away as a whole, below.
        if count > 0 {
            list.cut(End::Back, len - first - count);
            list.cut(End::Front, first);
        }
        Ok((count, len))
    })?;
    match edited.map(|edited| edited.result) {
        None => {}
        Some((0, _)) => {
            view.discard(key);
            taken(view, key, "ltrim", true);
        }
        Some((count, len)) if count < len => taken(view, key, "ltrim", false),
        Some(_) => {
            view.touch(key);
            view.notify(Classes::LIST, "ltrim", key);
        }
    }
    reply.ok();
    Ok(())
}
