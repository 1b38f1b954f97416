//! Who else decides, and how old what is known of each is.
//!
//! Ages are taken by this node's own clock, from the moment at which a question was sent whose
//! answer had everything; so a slow answer makes an age larger, never too small.

use std::collections::BTreeMap;

use eave_ratelimit::regions::{MAX_NODES, Node};

use crate::limits::REGION_FORGOTTEN_MS;

/// Milliseconds for which the oldest age is remembered, and again as long.
const PEAK_MS: u64 = 60_000;

/// Another node that decides.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its region, or what it is called if that has no name.
    pub region: String,
    /// Monotonic milliseconds up to which all that it has admitted is known here.
    pub fresh_ms: Option<u64>,
    /// When it was first heard of.
    since_ms: u64,
    /// The oldest age that it has seen itself of late, if it has told.
    worst_ms: u64,
}

impl Peer {
    /// How old what is known of it is.
    pub fn staleness_ms(&self, now_ms: u64) -> Option<u64> {
        Some(now_ms.saturating_sub(self.fresh_ms?))
    }

    fn is_gone(&self, now_ms: u64) -> bool {
        let heard = self.fresh_ms.unwrap_or(self.since_ms);
        now_ms.saturating_sub(heard) > REGION_FORGOTTEN_MS
    }
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct Peers {
    known: BTreeMap<Node, Peer>,
    /// The oldest age of late, of the time before, and since when.
    peak: (u64, u64, u64),
}

impl Peers {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (Node, &Peer)> {
        self.known.iter().map(|(id, peer)| (*id, peer))
    }

    /// How many decide, this node among them.
    pub fn nodes(&self) -> u64 {
        self.known.len() as u64 + 1
    }

    /// Notes what a node says of itself, and up to when all is known of it.
    pub fn heard(
        &mut self,
        id: Node,
        region: &str,
        fresh_ms: Option<u64>,
        worst_ms: u64,
        now_ms: u64,
    ) {
        self.heard_of(id, region, fresh_ms, now_ms);
        if let Some(peer) = self.known.get_mut(&id) {
            peer.worst_ms = worst_ms.min(REGION_FORGOTTEN_MS);
        }
    }

    /// Notes that a node is there, and up to when all is known of it.
    pub fn heard_of(&mut self, id: Node, region: &str, fresh_ms: Option<u64>, now_ms: u64) {
        if fresh_ms.is_some_and(|fresh| now_ms.saturating_sub(fresh) > REGION_FORGOTTEN_MS) {
            return;
        }
        if !self.known.contains_key(&id) && self.known.len() + 1 >= MAX_NODES {
            return;
        }
        let new = || Peer { region: String::new(), fresh_ms: None, since_ms: now_ms, worst_ms: 0 };
        let peer = self.known.entry(id).or_insert_with(new);
        if peer.region != region {
            peer.region = region.to_owned();
        }
        peer.fresh_ms = peer.fresh_ms.max(fresh_ms.map(|fresh| fresh.min(now_ms)));
    }

    /// Forgets who has not been heard for long; remembers the oldest age.
    pub fn look(&mut self, now_ms: u64) {
        self.known.retain(|_, peer| !peer.is_gone(now_ms));
        if now_ms.saturating_sub(self.peak.2) > PEAK_MS {
            self.peak = (0, self.peak.0, now_ms);
        }
        self.peak.0 = self.peak.0.max(self.staleness_ms(now_ms).unwrap_or(0));
    }

    /// How old the oldest of what is known is; `None` while nothing is known of one of them.
    pub fn staleness_ms(&self, now_ms: u64) -> Option<u64> {
        let mut ages = self.known.values().map(|peer| peer.staleness_ms(now_ms));
        ages.try_fold(0, |oldest, age| Some(oldest.max(age?)))
    }

    /// The oldest of late, here.
    pub fn peak_ms(&self) -> u64 {
        self.peak.0.max(self.peak.1)
    }

    /// The oldest of late, on any node.
    pub fn worst_ms(&self) -> u64 {
        self.known.values().map(|peer| peer.worst_ms).fold(self.peak_ms(), u64::max)
    }
}
