//! Lists of who is turned away and who passes: exact values, and networks of addresses.
//!
//! A value that is an address or a network (`10.0.0.0/8`) holds every address in it; any other holds
//! itself. A list has two sides, and each side its own values with times of their own.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::RwLock;
use xxhash_rust::xxh3::xxh3_64;

use super::network::{self, Network, Networks};
use super::{FOREVER, shown};
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

/// Values that are over and that one change of a side frees: they are not seen any more, and freeing many
/// at once would hold up who asks.
const FREED: usize = 1024;

/// The values of a side.
#[derive(Debug, Default)]
struct Values {
    /// By a hash that is the same on every node and in every run, which orders a scan: until when each
    /// is in.
    by_hash: BTreeMap<u64, Vec<Timed>>,
    networks: Networks,
    count: usize,
    /// When values end, by time, with their hashes.
    ends: BTreeSet<(u64, u64)>,
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

/// Checks that none of these values seems to be a network and is none: it would turn nobody away.
///
/// # Errors
/// The first that is so.
pub fn check_networks(values: &[&[u8]]) -> Result<(), Fault> {
    match values.iter().find(|value| network::is_misspelt(value)) {
        None => Ok(()),
        Some(value) => Err(Fault::text(format!("ERR invalid network {}", shown(value)))),
    }
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
        side.remove_due(now, FREED);
        values.iter().filter(|value| side.insert(value, until, now)).count()
    }

    pub(super) fn remove(&self, side: Side, values: &[&[u8]], now: u64) -> usize {
        let mut side = self.side(side).write();
        if values.is_empty() {
            let old = std::mem::take(&mut *side);
            // Who asks need not wait until they are counted and freed.
            drop(side);
            let all = old.by_hash.values().flatten();
            return all.filter(|(_, until)| *until > now).count();
        }
        side.remove_due(now, FREED);
        values.iter().filter(|value| side.remove(value).is_some_and(|until| until > now)).count()
    }

    /// Frees every value that is over.
    pub(super) fn remove_due(&self, now: u64) {
        for side in [&self.deny, &self.allow] {
            side.write().remove_due(now, usize::MAX);
        }
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

    /// Whether it is new: one that is over is not in.
    fn insert(&mut self, value: &[u8], until: u64, now: u64) -> bool {
        let (value, network) = canonical(value);
        if let Some(network) = network {
            self.networks.insert(network, until);
        }
        let hash = hash(&value);
        let alike = self.by_hash.entry(hash).or_default();
        let before = match alike.iter_mut().find(|(known, _)| *known == value) {
            Some((_, known)) => Some(std::mem::replace(known, until)),
            None => {
                alike.push((value, until));
                self.count += 1;
                None
            }
        };
        if let Some(before) = before {
            self.forget_end(before, hash);
        }
        if until != FOREVER {
            self.ends.insert((until, hash));
        }
        before.is_none_or(|before| before <= now)
    }

    /// Answers until when it was in.
    fn remove(&mut self, value: &[u8]) -> Option<u64> {
        let (value, network) = canonical(value);
        if let Some(network) = network {
            self.networks.remove(network);
        }
        let hash = hash(&value);
        let alike = self.by_hash.get_mut(&hash)?;
        let at = alike.iter().position(|(known, _)| *known == value)?;
        let (_, until) = alike.swap_remove(at);
        if alike.is_empty() {
            self.by_hash.remove(&hash);
        }
        self.count -= 1;
        self.forget_end(until, hash);
        Some(until)
    }

    /// Forgets that a value ends then, unless another of the same hash does.
    fn forget_end(&mut self, until: u64, hash: u64) {
        let alike = self.by_hash.get(&hash);
        if !alike.is_some_and(|alike| alike.iter().any(|(_, other)| *other == until)) {
            self.ends.remove(&(until, hash));
        }
    }

    /// Frees values that are over, those of at most so many ends.
    fn remove_due(&mut self, now: u64, most: usize) {
        for _ in 0..most {
            let Some((_, hash)) = self.ends.first().copied().filter(|(until, _)| *until <= now)
            else {
                return;
            };
            let alike = self.by_hash.get(&hash).into_iter().flatten();
            let due: Vec<Box<[u8]>> =
                alike.filter(|(_, until)| *until <= now).map(|(value, _)| value.clone()).collect();
            due.iter().for_each(|value| {
                self.remove(value);
            });
        }
    }
}
