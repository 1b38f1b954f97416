//! Lists of who is turned away and who passes: exact values, and networks of addresses.
//!
//! A value that is an address or a network (`10.0.0.0/8`) holds every address in it; any other holds
//! itself. A list has two sides, and each side its own values with times of their own.

use std::collections::BTreeMap;

use parking_lot::RwLock;
use xxhash_rust::xxh3::xxh3_64;

use super::FOREVER;
use super::network::{Network, Networks};
use crate::fault::Fault;
use crate::limits::{LIST_VALUE_BYTES, LIST_VALUES};

/// What a list says of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// They are turned away.
    Deny,
    /// They pass and are not counted.
    Allow,
}

impl Side {
    /// The word of the commands.
    pub fn word(self) -> &'static str {
        match self {
            Side::Deny => "DENY",
            Side::Allow => "ALLOW",
        }
    }
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct List {
    deny: RwLock<Values>,
    allow: RwLock<Values>,
}

/// The values of a side.
#[derive(Debug)]
struct Values {
    /// By a hash that is the same on every node and in every run, which orders a scan: until when each
    /// is in.
    by_hash: BTreeMap<u64, Vec<Timed>>,
    networks: Networks,
    count: usize,
    /// No value is due before.
    soonest: u64,
}

impl Default for Values {
    fn default() -> Values {
        Values {
            by_hash: BTreeMap::new(),
            networks: Networks::default(),
            count: 0,
            soonest: FOREVER,
        }
    }
}

/// A value, and until when it is in.
pub type Timed = (Box<[u8]>, u64);

/// A page of a scan: where the next begins (0 after the last), and values with their times.
pub type Page = (u64, Vec<Timed>);

/// Checks values that are to be added to `all` there are.
///
/// # Errors
/// When one is empty or too long, or they are too many.
pub(super) fn check(all: usize, values: &[&[u8]]) -> Result<(), Fault> {
    if values.iter().any(|value| !(1..=LIST_VALUE_BYTES).contains(&value.len())) {
        return Err(Fault::text(format!(
            "ERR a value of a list must have from 1 to {LIST_VALUE_BYTES} bytes"
        )));
    }
    if all + values.len() > LIST_VALUES {
        return Err(Fault::new("ERR too many values in lists"));
    }
    Ok(())
}

impl List {
    fn side(&self, side: Side) -> &RwLock<Values> {
        match side {
            Side::Deny => &self.deny,
            Side::Allow => &self.allow,
        }
    }

    /// Whether a value is on a side, or an address in a network of it.
    pub fn has(&self, side: Side, value: &[u8], now: u64) -> bool {
        self.has_any(side, &[value], now)
    }

    /// Whether one of these values is.
    pub fn has_any(&self, side: Side, values: &[&[u8]], now: u64) -> bool {
        let side = self.side(side).read();
        side.count > 0 && values.iter().any(|value| side.has(value, now))
    }

    /// Values of both sides, due ones that nobody has removed included.
    pub fn len(&self) -> usize {
        self.deny.read().count + self.allow.read().count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn add(&self, side: Side, values: &[&[u8]], until: u64, now: u64) -> usize {
        let mut side = self.side(side).write();
        side.remove_due(now);
        values.iter().filter(|value| side.insert(value, until)).count()
    }

    pub(super) fn remove(&self, side: Side, values: &[&[u8]], now: u64) -> usize {
        let mut side = self.side(side).write();
        side.remove_due(now);
        if values.is_empty() {
            return std::mem::take(&mut *side).count;
        }
        values.iter().filter(|value| side.remove(value)).count()
    }

    /// At least `count` values from `cursor` on, if there are so many. Who is in from the first page to the
    /// last is found once.
    pub fn scan(&self, side: Side, cursor: u64, count: usize, now: u64) -> Page {
        let values = self.side(side).read();
        let mut found = Vec::new();
        for (hash, alike) in values.by_hash.range(cursor..) {
            if found.len() >= count {
                return (*hash, found);
            }
            found.extend(alike.iter().filter(|(_, until)| *until > now).cloned());
        }
        (0, found)
    }
}

/// The form in which a value is kept, and its network if it has one.
fn canonical(value: &[u8]) -> (Box<[u8]>, Option<Network>) {
    match Network::parse(value) {
        Some(network) => (network.to_string().into_bytes().into(), Some(network)),
        None => (value.into(), None),
    }
}

/// 0 is a cursor's beginning and its end.
fn hash(value: &[u8]) -> u64 {
    xxh3_64(value).max(1)
}

impl Values {
    fn has(&self, value: &[u8], now: u64) -> bool {
        if let Some(network) = Network::parse(value) {
            return self.networks.hold(network, now);
        }
        let alike = self.by_hash.get(&hash(value));
        alike.is_some_and(|alike| alike.iter().any(|(v, until)| **v == *value && *until > now))
    }

    fn insert(&mut self, value: &[u8], until: u64) -> bool {
        let (value, network) = canonical(value);
        if let Some(network) = network {
            self.networks.insert(network, until);
        }
        self.soonest = self.soonest.min(until);
        let alike = self.by_hash.entry(hash(&value)).or_default();
        if let Some((_, known)) = alike.iter_mut().find(|(known, _)| *known == value) {
            *known = until;
            return false;
        }
        alike.push((value, until));
        self.count += 1;
        true
    }

    fn remove(&mut self, value: &[u8]) -> bool {
        let (value, network) = canonical(value);
        if let Some(network) = network {
            self.networks.remove(network);
        }
        let hash = hash(&value);
        let Some(alike) = self.by_hash.get_mut(&hash) else { return false };
        let before = alike.len();
        alike.retain(|(known, _)| *known != value);
        let removed = before > alike.len();
        if alike.is_empty() {
            self.by_hash.remove(&hash);
        }
        self.count -= usize::from(removed);
        removed
    }

    fn remove_due(&mut self, now: u64) {
        if self.soonest > now {
            return;
        }
        let all = self.by_hash.values().flatten();
        let due: Vec<Box<[u8]>> =
            all.filter(|(_, until)| *until <= now).map(|(value, _)| value.clone()).collect();
        for value in due {
            self.remove(&value);
        }
        let all = self.by_hash.values().flatten();
        self.soonest = all.map(|(_, until)| *until).min().unwrap_or(FOREVER);
    }
}
