//! Rules and lists on their way to a replica, in a full copy.
//!
//! A copy begins with facts about itself, pairs of a name and a value, and who does not know a name
//! passes it over, redis-server too. So each rule, and each some hundred values of a list, is such a
//! fact: the command that makes it, its arguments one behind the other with their lengths.

use std::collections::BTreeMap;

use super::list::Side;
use super::{FOREVER, Named, Regions, Rules};
use crate::fault::Fault;

/// The name of these facts.
pub const FACT: &[u8] = b"eave-limits";

/// Values of a list that one fact has.
const VALUES: usize = 512;

/// Every rule and list, as commands.
pub fn facts(rules: &Rules, now: u64) -> Vec<Vec<u8>> {
    let mut facts = Vec::new();
    for named in rules.all(now) {
        facts.push(encode(&set(&named)));
        for (id, rule, expires_at) in named.overrides.all(now) {
            let (rule, until) = (rule.to_string(), expires_at.to_string());
            let mut words: Vec<&[u8]> =
                vec![b"RL.RULE", b"SET", &named.name, rule.as_bytes(), b"FOR", &id];
            if expires_at != FOREVER {
                words.extend([&b"PXAT"[..], until.as_bytes()]);
            }
            facts.push(encode(&words));
        }
    }
    for name in rules.table.load().lists.keys() {
        for side in [Side::Deny, Side::Allow] {
            facts.extend(values(rules, name, side, now));
        }
    }
    facts
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

/// The commands that fill a side of a list: values of one time together.
fn values(rules: &Rules, name: &[u8], side: Side, now: u64) -> Vec<Vec<u8>> {
    let Some(list) = rules.list(name) else { return Vec::new() };
    let (_, all) = list.scan(side, 0, usize::MAX, now);
    let mut by_time: BTreeMap<u64, Vec<Box<[u8]>>> = BTreeMap::new();
    for (value, until) in all {
        by_time.entry(until).or_default().push(value);
    }
    let mut facts = Vec::new();
    for (until, values) in &by_time {
        let digits = until.to_string();
        for some in values.chunks(VALUES) {
            let mut words: Vec<&[u8]> = vec![b"RL.LIST", b"ADD", name, side.word().as_bytes()];
            words.extend(some.iter().map(|value| &**value));
            if *until != FOREVER {
                words.extend([&b"PXAT"[..], digits.as_bytes()]);
            }
            facts.push(encode(&words));
        }
    }
    facts
}

fn encode<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in words {
        let word = word.as_ref();
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
