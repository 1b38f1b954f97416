//! LCS: the longest common subsequence of two strings.

use super::Argv;
use super::args::{integer, is, next};
use super::string::with_bytes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Entry, ReadView};
use crate::resp::Reply;
use crate::value::lcs;

/// What LCS is to answer.
struct LcsOptions {
    length: bool,
    indexes: bool,
    shortest: usize,
    match_lengths: bool,
}

/// LCS: see its row.
pub(super) fn lcs(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let mut options =
        LcsOptions { length: false, indexes: false, shortest: 0, match_lengths: false };
    let strings = [lcs_text(view, argv[1])?, lcs_text(view, argv[2])?];
    let mut at = 3;
    while let Some(word) = argv.get(at) {
        if is(word, "IDX") {
            options.indexes = true;
        } else if is(word, "LEN") {
            options.length = true;
        } else if is(word, "WITHMATCHLEN") {
            options.match_lengths = true;
        } else if is(word, "MINMATCHLEN") {
            let shortest = integer(next(argv, &mut at)?)?;
            options.shortest = usize::try_from(shortest).unwrap_or(0);
        } else {
            return Err(Fault::SYNTAX);
        }
        at += 1;
    }
    if options.length && options.indexes {
        return Err(Fault::new(
            "ERR If you want both the length and indexes, please just use IDX.",
        ));
    }
    answer_lcs(&strings[0], &strings[1], &options, view.around.config.string_bytes(), reply)
}

fn lcs_text(view: &ReadView<'_, '_>, key: &[u8]) -> Result<Vec<u8>, Fault> {
    match view.get(key).map(Entry::as_string) {
        None => Ok(Vec::new()),
        Some(Some(value)) => Ok(with_bytes(value, <[u8]>::to_vec)),
        Some(None) => Err(Fault::new("ERR The specified keys must contain string values")),
    }
}

fn answer_lcs(
    a: &[u8],
    b: &[u8],
    options: &LcsOptions,
    limit: usize,
    reply: &mut dyn Reply,
) -> Outcome {
    let limit = limit as u64;
    let fault = |error: lcs::LcsError| Fault::text(error.to_string());
    if options.length {
        reply.integer(lcs::length(a, b, limit).map_err(fault)? as i64);
        return Ok(());
    }
    if !options.indexes {
        reply.bulk(&lcs::sequence(a, b, limit).map_err(fault)?);
        return Ok(());
    }
    let (mut matches, total) = lcs::matches(a, b, limit).map_err(fault)?;
    matches.retain(|found| found.len >= options.shortest);
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(matches.len());
    for found in matches {
        reply.array(if options.match_lengths { 3 } else { 2 });
        for (start, end) in [found.a, found.b] {
            reply.array(2);
            reply.integer(start as i64);
            reply.integer(end as i64);
        }
        if options.match_lengths {
            reply.integer(found.len as i64);
        }
    }
    reply.bulk(b"len");
    reply.integer(total as i64);
    Ok(())
}
