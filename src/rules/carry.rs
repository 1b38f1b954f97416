//! Rules and lists on their way to a replica, in a full copy, and into a file: as the commands that make
//! them.
//!
//! A copy begins with facts about itself, pairs of a name and a value, and who does not know a name
//! passes it over, redis-server too. So each rule, and each some hundred values of a list, is such a
//! fact: the command that makes it, its arguments one behind the other with their lengths.

use std::collections::BTreeMap;
use std::convert::Infallible;

use super::list::{Side, Timed};
use super::{FOREVER, Named, Regions, Rules};
use crate::command::args::Moment;
use crate::fault::Fault;

/// The name of these facts.
pub const FACT: &[u8] = b"eave-limits";

/// Values of a list that one fact has.
const VALUES: usize = 512;

/// Values of a list that are read under one lock.
const PAGE: usize = 512;

/// Every rule and list, as facts of a full copy.
pub fn facts(rules: &Rules, now: u64) -> Vec<Vec<u8>> {
    let mut facts = Vec::new();
    let Ok(()) = commands(rules, now, VALUES, |words| {
        facts.push(encode(words));
        Ok::<(), Infallible>(())
    });
    facts
}

/// Tells every rule and list, those that are over left out, as the commands that make them: a rule before
/// those of its identifiers, and at most `at_once` values of a list in one command. No lock is held while
/// it is told.
///
/// # Errors
/// What `tell` answers; nothing more is told then.
pub fn commands<E>(
    rules: &Rules,
    now: u64,
    at_once: usize,
    mut tell: impl FnMut(&[&[u8]]) -> Result<(), E>,
) -> Result<(), E> {
    for named in rules.all(now) {
        tell(&set(&named).iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        for (id, rule, expires_at) in named.overrides.all(now) {
            let (rule, until) = (rule.to_string(), expires_at.to_string());
            let mut words: Vec<&[u8]> =
                vec![b"RL.RULE", b"SET", &named.name, rule.as_bytes(), b"FOR", &id];
            if expires_at != FOREVER {
                words.extend([&b"PXAT"[..], until.as_bytes()]);
            }
            tell(&words)?;
        }
    }
    for name in rules.lists() {
        for side in [Side::Deny, Side::Allow] {
            let mut cursor = 0;
            // It may be gone by the next page, with its last value.
            while let Some(list) = rules.list(&name) {
                let (next, page) = list.scan(side, cursor, PAGE, now);
                values(&name, side, page, at_once, &mut tell)?;
                if next == 0 {
                    break;
                }
                cursor = next;
            }
        }
    }
    Ok(())
}

/// The command that makes a rule.
fn set(named: &Named) -> Vec<Vec<u8>> {
    let spec = &named.spec;
    let mut words: Vec<Vec<u8>> = vec![
        b"RL.RULE".to_vec(),
        b"SET".to_vec(),
        named.name.to_vec(),
        spec.rule.to_string().into_bytes(),
    ];
    for (word, list) in [("DENY", &spec.deny), ("ALLOW", &spec.allow)] {
        if let Some(list) = list {
            words.extend([word.as_bytes().to_vec(), list.to_vec()]);
        }
    }
    if spec.regions != Regions::Leader {
        words.extend([b"REGIONS".to_vec(), spec.regions.word().as_bytes().to_vec()]);
    }
    if spec.expires_at != FOREVER {
        words.extend([b"PXAT".to_vec(), spec.expires_at.to_string().into_bytes()]);
    }
    words
}

/// Tells the commands that add values: those of one time together.
fn values<E>(
    name: &[u8],
    side: Side,
    page: Vec<Timed>,
    at_once: usize,
    tell: &mut impl FnMut(&[&[u8]]) -> Result<(), E>,
) -> Result<(), E> {
    let mut by_time: BTreeMap<u64, Vec<Box<[u8]>>> = BTreeMap::new();
    for (value, until) in page {
        by_time.entry(until).or_default().push(value);
    }
    for (until, mut values) in by_time {
        let digits = until.to_string();
        // `a EX 5` would be one value and a time: a value that is such a word stands alone.
        values.sort_by_key(|value| Moment::option(value).is_none());
        let alone = values.iter().take_while(|value| Moment::option(value).is_some()).count();
        let (alone, others) = values.split_at(alone);
        for some in alone.chunks(1).chain(others.chunks(at_once)) {
            let mut words: Vec<&[u8]> = vec![b"RL.LIST", b"ADD", name, side.word().as_bytes()];
            words.extend(some.iter().map(|value| &**value));
            if until != FOREVER {
                words.extend([&b"PXAT"[..], digits.as_bytes()]);
            }
            tell(&words)?;
        }
    }
    Ok(())
}

fn encode(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in words {
        // A name, a value or a number: far below 4 GiB.
        bytes.extend_from_slice(&u32::try_from(word.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(word);
    }
    bytes
}

/// The arguments of a fact.
///
/// # Errors
/// When lengths and bytes do not agree.
pub fn decode(mut bytes: &[u8]) -> Result<Vec<&[u8]>, Fault> {
    const BROKEN: Fault = Fault::new("ERR a rule of the full copy is broken");
    let mut words = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or(BROKEN)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| BROKEN)?;
        let (word, rest) = rest.split_at_checked(length).ok_or(BROKEN)?;
        words.push(word);
        bytes = rest;
    }
    Ok(words)
}
