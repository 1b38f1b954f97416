//! Which clients have read a key, in stripes, so that readers of different keys do not wait for
//! each other.
//!
//! Ids of clients that have gone stay until the key changes, as in Redis; a key with many of
//! them is gone through whenever their number has doubled.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::hashing::hash_bytes;

/// Stripes: several for each core that may read at once.
const STRIPES: usize = 64;

/// Readers of one key from which on those who have gone are looked for.
const MANY: usize = 64;

/// Ids of clients, in their order.
pub(super) type Readers = SmallVec<[u64; 2]>;

type Stripe = HashMap<Box<[u8]>, Readers, RandomState>;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Notes {
    stripes: Box<[CachePadded<Mutex<Stripe>>]>,
    keys: AtomicUsize,
    items: AtomicUsize,
    /// The stripe from which the next note is given up.
    next: AtomicUsize,
}

impl Default for Notes {
    fn default() -> Notes {
        Notes {
            stripes: (0..STRIPES).map(|_| CachePadded::default()).collect(),
            keys: AtomicUsize::new(0),
            items: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
        }
    }
}

impl Notes {
    fn stripe(&self, key: &[u8]) -> &Mutex<Stripe> {
        // Other bits than those that choose the shard and the place in it.
        &self.stripes[(hash_bytes(key) >> 48) as usize % STRIPES]
    }

    /// Keys that are noted.
    pub(super) fn keys(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    /// Readers that are noted, of all keys.
    pub(super) fn items(&self) -> usize {
        self.items.load(Ordering::Relaxed)
    }

    /// Notes that the client `id` has read `key`; `lives` tells whether a client is there.
    pub(super) fn add(&self, key: &[u8], id: u64, lives: impl Fn(u64) -> bool) {
        let mut stripe = self.stripe(key).lock();
        let Some(readers) = stripe.get_mut(key) else {
            stripe.insert(key.into(), smallvec::smallvec![id]);
            self.keys.fetch_add(1, Ordering::Relaxed);
            self.items.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let Err(at) = readers.binary_search(&id) else { return };
        readers.insert(at, id);
        self.items.fetch_add(1, Ordering::Relaxed);
        if readers.len() >= MANY && readers.len().is_power_of_two() {
            let before = readers.len();
            readers.retain(|id| lives(*id));
            self.items.fetch_sub(before - readers.len(), Ordering::Relaxed);
        }
    }

    /// Takes the note of a key out; answers its readers.
    pub(super) fn take(&self, key: &[u8]) -> Readers {
        if self.keys() == 0 {
            return Readers::new();
        }
        let readers = self.stripe(key).lock().remove(key).unwrap_or_default();
        self.forget(&readers);
        readers
    }

    /// Takes any note out.
    pub(super) fn take_any(&self) -> Option<(Box<[u8]>, Readers)> {
        for _ in 0..STRIPES {
            let at = self.next.fetch_add(1, Ordering::Relaxed) % STRIPES;
            let mut stripe = self.stripes[at].lock();
            if let Some(key) = stripe.keys().next().cloned() {
                let readers = stripe.remove(&key).unwrap_or_default();
                drop(stripe);
                self.forget(&readers);
                return Some((key, readers));
            }
        }
        None
    }

    /// Takes every note out.
    pub(super) fn clear(&self) {
        for stripe in &self.stripes {
            let notes = std::mem::take(&mut *stripe.lock());
            notes.values().for_each(|readers| self.forget(readers));
        }
    }

    /// Counts a note that was taken out.
    fn forget(&self, readers: &Readers) {
        if !readers.is_empty() {
            self.keys.fetch_sub(1, Ordering::Relaxed);
            self.items.fetch_sub(readers.len(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(notes: &Notes) -> (usize, usize) {
        (notes.keys(), notes.items())
    }

    #[test]
    fn notes_are_counted_and_taken_once() {
        let notes = Notes::default();
        for id in [3, 1, 2, 1] {
            notes.add(b"a", id, |_| true);
        }
        notes.add(b"b", 1, |_| true);
        assert_eq!(figures(&notes), (2, 4));
        assert_eq!(notes.take(b"a").as_slice(), [1, 2, 3]);
        assert_eq!(notes.take(b"a").as_slice(), [0; 0]);
        assert_eq!(figures(&notes), (1, 1));
        let (key, readers) = notes.take_any().expect("there is one");
        assert_eq!((&*key, readers.as_slice()), (&b"b"[..], &[1][..]));
        assert_eq!((figures(&notes), notes.take_any()), ((0, 0), None));
        notes.add(b"c", 1, |_| true);
        notes.clear();
        assert_eq!(figures(&notes), (0, 0));
    }

    /// A key that a million clients read, one after the other, keeps those that are there.
    #[test]
    fn readers_that_have_gone_do_not_gather() {
        let notes = Notes::default();
        for id in 1..=100_000 {
            notes.add(b"a", id, |other| other == id);
        }
        assert!(notes.items() < 2 * MANY, "{} are kept", notes.items());
    }
}
