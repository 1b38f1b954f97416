//! STRLEN, APPEND, GETRANGE, SETRANGE: how long strings are, and parts of them.

use super::Argv;
use super::args::integer;
use super::string::{string_of, with_bytes};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Entry, NEVER, ReadView, WriteView};
use crate::resp::Reply;

pub(super) fn strlen(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let length = match view.get(argv[1]) {
        Some(entry) => with_bytes(string_of(entry)?, <[u8]>::len),
        None => 0,
    };
    reply.integer(length as i64);
    Ok(())
}

pub(super) fn append(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let (key, tail) = (argv[1], argv[2]);
    let Some(old) = view.get(key) else {
        view.put_string(key, tail, NEVER);
        view.modified(key);
        view.notify(Classes::STRING, "append", key);
        reply.integer(tail.len() as i64);
        return Ok(());
    };
    let length = with_bytes(string_of(old)?, <[u8]>::len) + tail.len();
    if length > view.around.config.string_bytes() {
        return Err(Fault::STRING_TOO_LONG);
    }
    view.change(key, |entry| entry.string_mut().extend_from_slice(tail));
    view.modified(key);
    view.notify(Classes::STRING, "append", key);
    reply.integer(length as i64);
    Ok(())
}

/// The part of `length` elements that `start` and `end` name, negative ones from the end.
fn range(start: i64, end: i64, length: usize) -> std::ops::Range<usize> {
    let total = i64::try_from(length).unwrap_or(i64::MAX);
    let from_end = |at: i64| if at < 0 { at.saturating_add(total).max(0) } else { at };
    let past = (start < 0 && end < 0 && start > end) || total == 0;
    let (start, end) = (from_end(start), from_end(end).min(total - 1));
    if past || start > end {
        return 0..0;
    }
    // Both lie within the length now.
    start as usize..end as usize + 1
}

pub(super) fn getrange(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (start, end) = (integer(argv[2])?, integer(argv[3])?);
    match view.get(argv[1]) {
        Some(entry) => {
            with_bytes(string_of(entry)?, |bytes| {
                reply.bulk(&bytes[range(start, end, bytes.len())]);
            });
        }
        None => reply.bulk(b""),
    }
    Ok(())
}

pub(super) fn setrange(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let (key, value) = (argv[1], argv[3]);
    let offset = usize::try_from(integer(argv[2])?).map_err(|_| Fault::OFFSET)?;
    let length = match view.get(key) {
        Some(entry) => with_bytes(string_of(entry)?, <[u8]>::len),
        None => 0,
    };
    if value.is_empty() {
        reply.integer(length as i64);
        return Ok(());
    }
    let end =
        offset.checked_add(value.len()).filter(|end| *end <= view.around.config.string_bytes());
    let Some(end) = end else { return Err(Fault::STRING_TOO_LONG) };
    if !view.exists(key) {
        view.insert(key, Entry::string(key, b"", NEVER));
    }
    view.change(key, |entry| {
        let bytes = entry.string_mut();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset..end].copy_from_slice(value);
    });
    view.modified(key);
    view.notify(Classes::STRING, "setrange", key);
    reply.integer(length.max(end) as i64);
    Ok(())
}
