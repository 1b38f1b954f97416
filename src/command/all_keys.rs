//! The commands that look at all keys of a database: KEYS, SCAN, RANDOMKEY.
//!
//! KEYS sees one moment of the whole database. The others lock one shard after the other, so
//! they hold nobody up; a busy shard makes them start over, which is why they answer at the
//! very end.

use super::Argv;
use super::args::is;
use super::scan::{self, Options, Subject};
use crate::clock::{random, random_below};
use crate::fault::{Fault, Outcome};
use crate::keyspace::locks::ShardRef;
use crate::keyspace::{Entry, ReadView};
use crate::limits::SHARDS;
use crate::resp::Reply;
use crate::value::glob;

/// How often RANDOMKEY picks before it takes the first key that is not due (Redis: `maxtries`).
const PICKS: usize = 100;

/// KEYS: see its row.
pub fn keys(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let pattern = scan::pattern(argv[1])?;
    let shards: Vec<ShardRef<'_>> =
        (0..SHARDS).map(|index| view.shard(index)).collect::<Result<_, _>>()?;
    let entries = shards.iter().flat_map(|shard| shard.table().iter());
    let found: Vec<&[u8]> = entries
        .filter(|entry| !entry.is_expired(view.around.now))
        .map(Entry::key)
        .filter(|key| glob::matches(pattern, key))
        .collect();
    reply.bulks(&found);
    Ok(())
}

/// SCAN: see its row.
pub fn scan(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let cursor = scan::cursor(argv[1])?;
    let options = Options::parse(&argv[2..], Subject::Keys)?;
    let mut found: Vec<(Box<[u8]>, &'static str)> = Vec::new();
    let next = walk(view, cursor, options.count, |entry| {
        let kind = entry.kind().name();
        // A type that does not exist is no error in Redis 7.0.
        let of_kind = options.kind.is_none_or(|wanted| is(wanted, kind));
        if of_kind && !entry.is_expired(view.around.now) && options.wants(entry.key()) {
            found.push((entry.key().into(), kind));
        }
    })?;
    let each = if options.with_kind { 2 } else { 1 };
    scan::answer(next, found.len() * each, reply);
    for (key, kind) in &found {
        reply.bulk(key);
        if options.with_kind {
            reply.bulk(kind.as_bytes());
        }
    }
    Ok(())
}

/// Visits `count` keys from `cursor` on, more only if their hashes are equal, and answers the
/// cursor to go on with, 0 at the end.
///
/// The cursor is the number of a shard above 32 bits of hash: what lies at or behind it is
/// still to come, whatever the sizes of the tables, so a key that is there throughout is
/// visited. It stays below 2^53, which is what a JSON client reads exactly, and means something
/// only to the process that made it: hashes are seeded.
fn walk(
    view: &ReadView<'_, '_>,
    cursor: u64,
    count: usize,
    mut visit: impl FnMut(&Entry),
) -> Result<u64, Fault> {
    let first = usize::try_from(cursor >> 32).unwrap_or(SHARDS);
    let mut from = cursor as u32;
    let mut visited = 0;
    for index in first..SHARDS {
        let shard = view.shard(index)?;
        let mut last = 0;
        for (hash, slot) in shard.table().scan(from) {
            if visited >= count && hash != last {
                return Ok((index as u64) << 32 | u64::from(hash));
            }
            visit(shard.at(slot));
            visited += 1;
            last = hash;
        }
        from = 0;
    }
    Ok(0)
}

/// RANDOMKEY: see its row.
pub fn randomkey(view: &ReadView<'_, '_>, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    match random_key(view)? {
        Some(key) => reply.bulk(&key),
        None => reply.null(),
    }
    Ok(())
}

/// A key, each as likely as the next: shards weigh as many keys as they hold.
fn random_key(view: &ReadView<'_, '_>) -> Result<Option<Box<[u8]>>, Fault> {
    let mut sizes = Vec::with_capacity(SHARDS);
    for index in 0..SHARDS {
        sizes.push(view.shard(index)?.len() as u64);
    }
    let total: u64 = sizes.iter().sum();
    for _ in 0..PICKS {
        let mut rest = random_below(total);
        let index = sizes.iter().position(|size| {
            let here = rest < *size;
            rest = rest.wrapping_sub(*size);
            here
        });
        let Some(index) = index else { return Ok(None) };
        let shard = view.shard(index)?;
        // It may have become empty since it was counted.
        let Some(slot) = shard.table().random(random) else { continue };
        let entry = shard.at(slot);
        if !entry.is_expired(view.around.now) {
            return Ok(Some(entry.key().into()));
        }
    }
    first_key(view)
}

/// Any key that is not due, from a shard by chance on: for a database where most are.
fn first_key(view: &ReadView<'_, '_>) -> Result<Option<Box<[u8]>>, Fault> {
    let start = random_below(SHARDS as u64) as usize;
    for offset in 0..SHARDS {
        let shard = view.shard((start + offset) % SHARDS)?;
        let mut present = shard.table().iter().filter(|entry| !entry.is_expired(view.around.now));
        if let Some(entry) = present.next() {
            return Ok(Some(entry.key().into()));
        }
    }
    Ok(None)
}
