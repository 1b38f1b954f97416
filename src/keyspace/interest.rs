//! Who is to be told when a key of a shard changes: those who watch it, and those who wait for
//! it to have something.
//!
//! Waiters stand in queues, one for each kind of value that serves them, in the order in which
//! they came. Left out on purpose: serving them, which takes the locks of other keys too.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Kind;
use crate::command::waiting::Form;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::waiter::{Ending, Waiter};

/// Set when a watched key changes; EXEC looks at it.
pub type WatchFlag = Arc<AtomicBool>;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Interest {
    watchers: HashMap<Box<[u8]>, Vec<WatchFlag>>,
    queues: HashMap<Box<[u8]>, Queues>,
}

/// Waiters by their tickets.
type Queue = BTreeMap<u64, Arc<Waiter>>;

/// Those who wait for one key.
#[derive(Debug, Default)]
struct Queues {
    lists: Queue,
    sorted_sets: Queue,
    streams: Queue,
}

impl Queues {
    fn of(&self, kind: Kind) -> Option<&Queue> {
        match kind {
            Kind::List => Some(&self.lists),
            Kind::SortedSet => Some(&self.sorted_sets),
            Kind::Stream => Some(&self.streams),
            _ => None,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> Option<&mut Queue> {
        match kind {
            Kind::List => Some(&mut self.lists),
            Kind::SortedSet => Some(&mut self.sorted_sets),
            Kind::Stream => Some(&mut self.streams),
            _ => None,
        }
    }

    fn is_empty(&self) -> bool {
        self.lists.is_empty() && self.sorted_sets.is_empty() && self.streams.is_empty()
    }
}

impl Interest {
    pub(super) fn is_empty(&self) -> bool {
        self.watchers.is_empty() && self.queues.is_empty()
    }

    /// Whether somebody waits.
    pub(super) fn is_awaited(&self) -> bool {
        !self.queues.is_empty()
    }

    /// Tells those who watch a key; answers whether somebody waits for it.
    #[cold]
    pub(super) fn touch(&self, key: &[u8]) -> bool {
        self.raise(key);
        self.queues.contains_key(key)
    }

    /// Tells those who watch a key.
    pub(super) fn raise(&self, key: &[u8]) {
        for flag in self.watchers.get(key).into_iter().flatten() {
            flag.store(true, Ordering::Relaxed);
        }
    }

    /// The keys that somebody watches.
    pub(super) fn watched(&self) -> impl Iterator<Item = &[u8]> {
        self.watchers.keys().map(|key| &**key)
    }

    /// The keys that somebody waits for.
    pub(super) fn awaited(&self) -> impl Iterator<Item = &[u8]> {
        self.queues.keys().map(|key| &**key)
    }

    /// Adds a watcher of a key; answers whether it did not watch that key before.
    pub(super) fn watch(&mut self, key: &[u8], flag: &WatchFlag) -> bool {
        let flags = self.watchers.entry(key.into()).or_default();
        let fresh = !flags.iter().any(|other| Arc::ptr_eq(other, flag));
        if fresh {
            flags.push(Arc::clone(flag));
        }
        fresh
    }

    /// Takes a watcher off a key.
    pub(super) fn unwatch(&mut self, key: &[u8], flag: &WatchFlag) {
        if let Some(flags) = self.watchers.get_mut(key) {
            flags.retain(|other| !Arc::ptr_eq(other, flag));
            if flags.is_empty() {
                self.watchers.remove(key);
            }
        }
    }

    /// Puts a waiter into the queue of a key, behind those who came before.
    pub(super) fn enqueue(&mut self, key: &[u8], kind: Kind, waiter: &Arc<Waiter>) {
        let queues = self.queues.entry(key.into()).or_default();
        if let Some(queue) = queues.of_mut(kind) {
            queue.insert(waiter.ticket, Arc::clone(waiter));
        }
    }

    /// Takes a waiter out of the queue of a key.
    pub(super) fn dequeue(&mut self, key: &[u8], kind: Kind, ticket: u64) {
        let Some(queues) = self.queues.get_mut(key) else { return };
        if let Some(queue) = queues.of_mut(kind) {
            queue.remove(&ticket);
        }
        if queues.is_empty() {
            self.queues.remove(key);
        }
    }

    /// The first waiter of a kind for a key, from a ticket on.
    pub(super) fn next(&self, key: &[u8], kind: Kind, from: u64) -> Option<&Arc<Waiter>> {
        let queue = self.queues.get(key)?.of(kind)?;
        queue.range(from..).next().map(|(_, waiter)| waiter)
    }

    /// The keys to which those who wait for a list at `key` will move its elements.
    pub(super) fn destinations(&self, key: &[u8]) -> impl Iterator<Item = &[u8]> {
        let lists = self.queues.get(key).map(|queues| &queues.lists);
        lists.into_iter().flat_map(|queue| queue.values()).filter_map(|waiter| waiter.destination())
    }

    /// Ends the waiting of those who want to read a group of the stream at `key`, which is no
    /// longer there.
    pub(super) fn end_group_readers(&mut self, key: &[u8]) {
        let Some(queues) = self.queues.get_mut(key) else { return };
        queues.streams.retain(|_, waiter| {
            let reads = waiter.request().is_some_and(|asked| asked.form == Form::GroupRead);
            if reads {
                waiter.end(Ending::StreamGone);
            }
            !reads
        });
        if queues.is_empty() {
            self.queues.remove(key);
        }
    }
}
