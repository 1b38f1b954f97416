//! Broadcast mode: prefixes of keys, and the clients that hear of every change below them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

use super::post::Post;
use crate::keyspace::effects::Touched;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    all: RwLock<BTreeMap<Box<[u8]>, BTreeSet<u64>>>,
    /// How many there are, so that nobody takes the lock when there is none.
    count: AtomicUsize,
}

impl Prefixes {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Lets the client `id` hear of what begins with `prefix`.
    pub(super) fn add(&self, prefix: &[u8], id: u64) {
        let mut all = self.all.write();
        all.entry(prefix.into()).or_default().insert(id);
        self.count.store(all.len(), Ordering::Release);
    }

    /// Lets the client `id` hear of it no more.
    pub(super) fn remove(&self, prefix: &[u8], id: u64) {
        let mut all = self.all.write();
        if let Some(clients) = all.get_mut(prefix) {
            clients.remove(&id);
            if clients.is_empty() {
                all.remove(prefix);
            }
        }
        self.count.store(all.len(), Ordering::Release);
    }

    /// Sends the keys among `touched` to those who hear of them: one message for each prefix.
    pub(super) fn broadcast(&self, post: &Post<'_>, touched: &[Touched]) {
        if self.len() == 0 {
            return;
        }
        let keys: BTreeSet<&[u8]> = touched
            .iter()
            .filter_map(|touched| match touched {
                Touched::Key(key) => Some(&**key),
                Touched::Everything => None,
            })
            .collect();
        for (prefix, clients) in &*self.all.read() {
            // They are in order, so those with the prefix stand together.
            let keys: Vec<&[u8]> = keys
                .range::<[u8], _>((Bound::Included(&**prefix), Bound::Unbounded))
                .copied()
                .take_while(|key| key.starts_with(prefix))
                .collect();
            if !keys.is_empty() {
                clients.iter().for_each(|id| post.broadcast(*id, &keys));
            }
        }
    }
}
