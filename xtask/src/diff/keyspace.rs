//! Compares everything that two servers hold, and lets each load what the other has dumped.
//!
//! Left out on purpose: databases beyond the second; nothing is put there.

use anyhow::Result;

use super::grammar::{How, Line, Step};
use super::pair::{Pair, Side};
use super::play::{Difference, Tally, play};
use super::reply::{self, Reply};

/// A slow server may be this late, in milliseconds.
const LATE_MS: i64 = 30_000;

/// Commands that are sent before their replies are read.
const BATCH: usize = 256;

/// Whether small hashes must have the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Kept,
    /// They came out of dumps, of which each server wrote its own.
    Lost,
}

/// Compares both databases, key by key; leaves the connections at database 0.
///
/// # Errors
/// When a server sends no RESP.
pub(super) fn compare(pair: &mut Pair, steps: usize) -> Result<Option<Difference>> {
    compare_with(pair, steps, Order::Kept)
}

fn compare_with(pair: &mut Pair, steps: usize, order: Order) -> Result<Option<Difference>> {
    for database in ["1", "0"] {
        let select = [b"SELECT".as_slice(), database.as_bytes()];
        let keys = Line { how: How::Unordered, ..Line::exact([b"KEYS", b"*"]) };
        let opening = vec![Line::exact(select), Line::exact([b"DBSIZE"]), keys];
        if let Some(difference) = quietly(pair, &opening, steps)? {
            return Ok(Some(difference));
        }
        let names = names(pair)?;
        if let Some(difference) = quietly(pair, &outlines(&names), steps)? {
            return Ok(Some(difference));
        }
        let contents = contents(pair, &names, order)?;
        if let Some(difference) = quietly(pair, &contents, steps)? {
            return Ok(Some(difference));
        }
    }
    Ok(None)
}

/// Lines that are no part of the run: they are not counted.
fn quietly(pair: &mut Pair, lines: &[Line], steps: usize) -> Result<Option<Difference>> {
    // A question for the encoding belongs to the reply before it.
    let belongs = |_: &Line, next: &Line| next.name() == "OBJECT";
    let asked: Vec<Step> =
        lines.chunk_by(belongs).map(|lines| Step { lines: lines.to_vec() }).collect();
    let difference = play(pair, &asked, BATCH, &mut Tally::default())?;
    Ok(difference.map(|difference| Difference { steps, ..difference }))
}

/// The keys of redis-server; Eave's are the same, as was just seen.
fn names(pair: &mut Pair) -> Result<Vec<Vec<u8>>> {
    let Reply::Array(all) = pair.redis.ask(&["KEYS", "*"])? else { return Ok(Vec::new()) };
    let text = |reply| if let Reply::Text(text) = reply { Some(text) } else { None };
    Ok(all.into_iter().filter_map(text).collect())
}

/// Type, time to live and encoding of each key.
fn outlines(names: &[Vec<u8>]) -> Vec<Line> {
    let each = |name: &Vec<u8>| {
        let pttl = Line { how: How::Near(LATE_MS), ..Line::exact([b"PTTL", name]) };
        [Line::exact([b"TYPE", name]), pttl, Line::exact([b"OBJECT", b"ENCODING", name])]
    };
    names.iter().flat_map(each).collect()
}

/// What each key holds, asked in the way of its type.
fn contents(pair: &mut Pair, names: &[Vec<u8>], order: Order) -> Result<Vec<Line>> {
    let mut request = Vec::new();
    for name in names {
        reply::encode(&[b"TYPE", name.as_slice()], &mut request);
    }
    pair.redis.send(&request);
    let mut lines = Vec::new();
    for name in names {
        let kind = pair.redis.receive()?.unwrap_or_default();
        let how = |how, line| Line { how, ..line };
        let probe = Line::exact([b"OBJECT", b"ENCODING", name]);
        match kind.as_slice() {
            b"+string\r\n" => lines.push(Line::exact([b"GET", name])),
            b"+list\r\n" => lines.push(Line::exact([b"LRANGE", name, b"0", b"-1"])),
            b"+hash\r\n" if order == Order::Lost => {
                lines.push(how(How::Pairs, Line::exact([b"HGETALL", name])));
            }
            b"+hash\r\n" => {
                lines.push(how(How::PairsByEncoding, Line::exact([b"HGETALL", name])));
                lines.push(probe);
            }
            b"+set\r\n" => {
                lines.push(how(How::ByEncoding, Line::exact([b"SMEMBERS", name])));
                lines.push(probe);
            }
            b"+zset\r\n" => {
                lines.push(Line::exact([b"ZRANGE", name, b"0", b"-1", b"WITHSCORES"]));
            }
            b"+stream\r\n" => {
                let full = [b"XINFO".as_slice(), b"STREAM", name, b"FULL", b"COUNT", b"0"];
                lines.push(how(How::Times, Line::exact(full)));
            }
            _ => {}
        }
    }
    Ok(lines)
}

/// Dumps every key of both, empties both, and restores each one's keys on the other, which
/// must then again be the same.
///
/// # Errors
/// When a server sends no RESP.
pub(super) fn swap(pair: &mut Pair, steps: usize) -> Result<Option<Difference>> {
    if !["DUMP", "RESTORE"].iter().all(|name| pair.commands().contains(*name)) {
        return Ok(None);
    }
    let names = names(pair)?;
    let mut dumps = Vec::new();
    for name in &names {
        let dump = [b"DUMP".as_slice(), name];
        dumps.push((pair.redis.ask(&dump)?, pair.eave.ask(&dump)?));
    }
    // With limits that were lowered meanwhile, the layout inside of a payload would decide
    // about the encoding, and each server has layouts of its own.
    pair.empty()?;
    for (name, dumps) in names.iter().zip(dumps) {
        let (Reply::Text(redis), Reply::Text(eave)) = dumps else { continue };
        let restore = |dump| [b"RESTORE".as_slice(), name, b"0", dump];
        let redis_says = pair.redis.ask(&restore(&eave))?;
        let eave_says = pair.eave.ask(&restore(&redis))?;
        if redis_says != eave_says {
            let line = Line::exact([b"RESTORE", name, b"0", b"(the other's DUMP of it)"]);
            let (redis, eave) = (Some(shown(&redis_says)), Some(shown(&eave_says)));
            return Ok(Some(Difference { steps, line, redis, eave }));
        }
    }
    let difference = compare_with(pair, steps, Order::Lost)?;
    Ok(difference.map(|mut difference| {
        difference.line.arguments.push(b"(after each has restored the other's DUMP)".to_vec());
        difference
    }))
}

fn shown(reply: &Reply) -> Vec<u8> {
    match reply {
        Reply::Status(text) => [b"+", text.as_slice(), b"\r\n"].concat(),
        Reply::Error(text) => [b"-", text.as_slice(), b"\r\n"].concat(),
        other => format!("+{other:?}\r\n").into_bytes(),
    }
}

/// Whether a server has a stream that it counts another number of entries in than it tells.
///
/// # Errors
/// When the server sends no RESP.
pub(super) fn is_damaged(side: &mut Side) -> Result<bool> {
    // What the difference has left unread belongs to the connection.
    side.renew(false)?;
    let Reply::Array(keys) = side.ask(&["KEYS", "*"])? else { return Ok(false) };
    for key in keys {
        let Reply::Text(key) = key else { continue };
        let told = side.ask(&[&b"XRANGE"[..], &key, b"-", b"+"])?;
        let counted = side.ask(&[&b"XLEN"[..], &key])?;
        if let (Reply::Array(told), Reply::Integer(counted)) = (told, counted)
            && i64::try_from(told.len()) != Ok(counted)
        {
            return Ok(true);
        }
    }
    Ok(false)
}
