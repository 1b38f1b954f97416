//! How much the door has to do at once: connections, those of each address, requests that wait
//! for their bodies, and bytes of those.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::once::Remembered;
use super::refusal::Refusal;
use crate::node::Node;

/// What all connections of the door share.
#[derive(Debug, Default)]
pub struct Load {
    connections: AtomicUsize,
    /// How many connections each address has. An IPv6 address counts with its /64, which is what
    /// one customer gets.
    addresses: Mutex<HashMap<IpAddr, usize>>,
    requests: AtomicUsize,
    gathered: AtomicUsize,
    /// Answers to requests that may come again.
    pub(super) remembered: Remembered,
}

/// How many HTTP connections there may be.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// In total.
    pub total: usize,
    /// Of one address; 0 = any number.
    pub of_address: usize,
}

impl Load {
    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// How many requests wait for their bodies, or are streams of HTTP/2.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// How many answers are kept for requests that may come again, and their bytes.
    pub fn idempotent(&self) -> (usize, usize) {
        self.remembered.size()
    }

    /// Bytes of bodies that have come in part.
    pub fn gathered(&self) -> usize {
        self.gathered.load(Ordering::Relaxed)
    }
}

/// A connection's place, given back when it ends.
#[derive(Debug)]
pub struct Place {
    node: Arc<Node>,
    address: IpAddr,
}

impl Place {
    /// A place for one more connection from `address`, unless there are `most` already.
    pub fn take(node: &Arc<Node>, address: IpAddr, most: Most) -> Option<Place> {
        let address = network(address);
        let place = Place { node: Arc::clone(node), address };
        let load = &node.rest;
        // Counted before it is compared: the place itself takes the count back.
        let before = load.connections.fetch_add(1, Ordering::Relaxed);
        let of_address = {
            let mut addresses = load.addresses.lock();
            let count = addresses.entry(address).or_default();
            *count += 1;
            *count
        };
        let fits = before < most.total && (most.of_address == 0 || of_address <= most.of_address);
        fits.then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let load = &self.node.rest;
        load.connections.fetch_sub(1, Ordering::Relaxed);
        let mut addresses = load.addresses.lock();
        if let Some(count) = addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

/// What counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        address => address,
    }
}

/// A request that is under way for longer than one step.
#[derive(Debug)]
pub(super) struct Busy {
    node: Arc<Node>,
    bytes: usize,
}

impl Busy {
    /// A place for one more, unless there are `most` already.
    pub(super) fn new(node: &Arc<Node>, most: usize) -> Option<Busy> {
        let busy = Busy { node: Arc::clone(node), bytes: 0 };
        (node.rest.requests.fetch_add(1, Ordering::Relaxed) < most).then_some(busy)
    }

    /// Counts bytes of its body.
    ///
    /// # Errors
    /// When all bodies together have more than they may.
    pub(super) fn gather(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes += bytes;
        let before = self.node.rest.gathered.fetch_add(bytes, Ordering::Relaxed);
        let most = self.node.config.load().rest_max_gathered;
        if (before + bytes) as u64 > most { Err(Refusal::BUSY) } else { Ok(()) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.node.rest.requests.fetch_sub(1, Ordering::Relaxed);
        self.node.rest.gathered.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn places_are_counted_for_each_address_and_given_back() {
        let node = Node::new(Config::default());
        let most = Most { total: 3, of_address: 2 };
        let take = |address: &str| Place::take(&node, address.parse().unwrap(), most);
        let one = take("10.0.0.1");
        let mapped = take("::ffff:10.0.0.1");
        assert!(one.is_some() && mapped.is_some() && take("10.0.0.1").is_none());
        let other = take("2001:db8::1");
        assert!(other.is_some() && take("10.0.0.2").is_none(), "three in total");
        drop(one);
        assert!(take("2001:db8::2").is_some() && take("2001:db8:0:1::2").is_some());
        drop((mapped, other));
        assert_eq!(node.rest.connections(), 0);
        assert!(node.rest.addresses.lock().is_empty());
    }

    #[test]
    fn requests_and_their_bytes_are_bounded() {
        let mut config = Config::default();
        config.rest_max_gathered = 2000;
        let node = Node::new(config);
        let mut one = Busy::new(&node, 2).unwrap();
        let mut two = Busy::new(&node, 2).unwrap();
        assert!(Busy::new(&node, 2).is_none());
        assert!(one.gather(1500).is_ok() && two.gather(501).is_err());
        drop((one, two));
        assert_eq!((node.rest.requests(), node.rest.gathered()), (0, 0));
    }
}
