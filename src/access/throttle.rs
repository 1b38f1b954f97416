//! Who guesses passwords and tokens is slowed down: each address has a limit of failed attempts,
//! kept by the limiter's own algorithm. An attempt beyond it is refused unseen, whether it
//! would have been right or not, or a guess that is right would pass.
//!
//! An IPv6 address counts with all others of its /64, which is what one customer gets. Who is
//! remembered is bounded; when there is no more room, those go first whose failures are
//! forgiven anyway, and then any.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use eave_ratelimit::{Change, Rule};
use parking_lot::Mutex;

use crate::clock;
use crate::limits::GUESSERS;
use crate::node::Node;

/// What counts as one guesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4(u32),
    V6(u64),
    /// A client of this machine that has no address, such as one on a Unix socket.
    Local,
}

impl Source {
    fn of(peer: &str) -> Source {
        match peer.parse().map(|address: SocketAddr| address.ip().to_canonical()) {
            Ok(IpAddr::V4(address)) => Source::V4(address.to_bits()),
            Ok(IpAddr::V6(address)) => Source::V6((address.to_bits() >> 64) as u64),
            Err(_) => Source::Local,
        }
    }
}

/// The state of one limit, and when it says nothing any more, in unix milliseconds.
#[derive(Debug, Default)]
struct Record {
    state: Vec<u8>,
    expires: u64,
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct Throttle {
    records: Mutex<HashMap<Source, Record>>,
    /// How many there are, so that nobody takes the lock when there is none.
    count: AtomicUsize,
}

impl Throttle {
    /// How many milliseconds the client at `peer` has to wait before it may try again, if it
    /// has to.
    pub fn wait(&self, peer: &str, rule: Option<&Rule>, now: u64) -> Option<u64> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let records = self.records.lock();
        let record = records.get(&Source::of(peer)).filter(|record| record.expires > now)?;
        let decision = eave_ratelimit::peek(&record.state, rule?, 1, now).ok()?;
        (!decision.allowed).then(|| u64::try_from(decision.retry_after_ms).unwrap_or(0).max(1))
    }

    /// Likewise, by the node's settings and of now; the clock is read only if anybody has failed.
    pub fn wait_of(&self, node: &Node, peer: &str) -> Option<u64> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.wait(peer, node.config.load().auth_failures.as_ref(), clock::unix_ms())
    }

    /// Counts a failure of the client at `peer`.
    pub fn failed(&self, peer: &str, rule: Option<&Rule>, now: u64) {
        let Some(rule) = rule else { return };
        let mut records = self.records.lock();
        let source = Source::of(peer);
        if records.len() >= GUESSERS && !records.contains_key(&source) {
            make_room(&mut records, now);
        }
        let record = records.entry(source).or_default();
        let mut next = Vec::new();
        // A state of another rule starts afresh; what is none of ours cannot be here.
        if let Ok(outcome) = eave_ratelimit::take(&record.state, rule, 1, now, &mut next)
            && let Change::Store { expires_at_ms } = outcome.change
        {
            *record = Record { state: next, expires: expires_at_ms };
        }
        self.count.store(records.len(), Ordering::Relaxed);
    }
}

#[cold]
fn make_room(records: &mut HashMap<Source, Record>, now: u64) {
    records.retain(|_, record| record.expires > now);
    if records.len() >= GUESSERS {
        // Any: the order of this map is different in each process.
        let any = records.keys().next().copied();
        any.and_then(|any| records.remove(&any));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Rule {
        Rule::parse(b"3/60s").unwrap()
    }

    #[test]
    fn failures_are_counted_for_each_address() {
        let (throttle, rule) = (Throttle::default(), rule());
        let now = 1_000_000;
        for _ in 0..3 {
            assert_eq!(throttle.wait("10.0.0.1:5", Some(&rule), now), None);
            throttle.failed("10.0.0.1:5", Some(&rule), now);
        }
        assert!(throttle.wait("10.0.0.1:9", Some(&rule), now).is_some(), "another port");
        assert_eq!(throttle.wait("10.0.0.2:5", Some(&rule), now), None, "another address");
        assert_eq!(throttle.wait("10.0.0.1:5", None, now), None, "turned off");
        assert_eq!(throttle.wait("10.0.0.1:5", Some(&rule), now + 200_000), None, "forgiven");
    }

    #[test]
    fn a_network_of_ipv6_is_one_guesser() {
        let (throttle, rule) = (Throttle::default(), rule());
        for host in 1..=3 {
            throttle.failed(&format!("[2001:db8::{host}]:1"), Some(&rule), 1_000_000);
        }
        assert!(throttle.wait("[2001:db8::ffff]:1", Some(&rule), 1_000_000).is_some());
        assert_eq!(throttle.wait("[2001:db8:0:1::1]:1", Some(&rule), 1_000_000), None);
    }

    #[test]
    fn who_is_remembered_is_bounded() {
        let (throttle, rule) = (Throttle::default(), rule());
        for address in 0..GUESSERS as u32 + 10 {
            let peer = format!("{}:1", std::net::Ipv4Addr::from_bits(address));
            throttle.failed(&peer, Some(&rule), 1_000_000);
        }
        assert_eq!(throttle.records.lock().len(), GUESSERS);
        throttle.failed("[2001:db8::1]:1", Some(&rule), 2_000_000_000);
        assert_eq!(throttle.records.lock().len(), 1, "all others are forgiven");
    }
}
