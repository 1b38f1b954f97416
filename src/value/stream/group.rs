//! Consumer groups: how far a group has read, and what its consumers have not acknowledged.
//!
//! What is pending is kept by the group, with its one consumer; each consumer has the ids of
//! its own besides. Only `assign`, `acknowledge` and `remove_consumer` change either, so they
//! agree. Left out on purpose: the entries themselves. An entry may be deleted while pending.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;

use super::id::Id;

/// Readers who share the entries of a stream among them.
#[derive(Debug, Clone, Default)]
pub struct Group {
    last: Id,
    read: Option<u64>,
    pending: BTreeMap<Id, Pending>,
    names: BTreeMap<Box<[u8]>, ConsumerId>,
    /// By `ConsumerId`.
    consumers: Vec<Option<Consumer>>,
    vacant: Vec<ConsumerId>,
}

/// A consumer within its group, as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConsumerId(u32);

/// One reader of a group.
#[derive(Debug, Clone)]
pub struct Consumer {
    name: Box<[u8]>,
    seen_at: u64,
    pending: BTreeSet<Id>,
}

/// An entry that was delivered and not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// When it was delivered last, in unix milliseconds.
    pub delivered_at: u64,
    /// How often it was delivered.
    pub deliveries: u64,
    /// To whom.
    pub consumer: ConsumerId,
}

impl Pending {
    /// The largest count of deliveries, which is what the commands can say.
    pub const MOST: u64 = i64::MAX as u64;

    /// The same, delivered once more.
    pub fn again(self, delivered_at: u64) -> Pending {
        let deliveries = self.deliveries.saturating_add(1).min(Pending::MOST);
        Pending { delivered_at, deliveries, ..self }
    }
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// When it was last heard of, in unix milliseconds; 0 if that is not known.
    pub fn seen_at(&self) -> u64 {
        self.seen_at
    }

    /// How much it has not acknowledged.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }
}

impl Group {
    /// A group that has read up to `last`, which were so many entries, if that is known.
    pub fn new(last: Id, read: Option<u64>) -> Group {
        Group { last, read, ..Group::default() }
    }

    /// The last id that was delivered.
    pub fn last(&self) -> Id {
        self.last
    }

    /// How many entries there were up to that one, if it is known.
    pub fn read(&self) -> Option<u64> {
        self.read
    }

    /// Says how far the group has read.
    pub fn advance(&mut self, last: Id, read: Option<u64>) {
        (self.last, self.read) = (last, read);
    }

    /// What is pending at an id.
    pub fn pending(&self, id: Id) -> Option<&Pending> {
        self.pending.get(&id)
    }

    /// How much is pending.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// What is pending, in the order of the ids.
    pub fn pending_in(
        &self,
        ids: impl RangeBounds<Id>,
    ) -> impl DoubleEndedIterator<Item = (Id, &Pending)> {
        self.pending.range(ids).map(|(id, pending)| (*id, pending))
    }

    /// What is pending for one consumer, in the order of the ids.
    pub fn pending_of(
        &self,
        consumer: ConsumerId,
        ids: impl RangeBounds<Id>,
    ) -> impl Iterator<Item = (Id, &Pending)> {
        let own = self
            .consumer(consumer)
            .into_iter()
            .flat_map(move |own| own.pending.range(ids_of(&ids)));
        own.filter_map(|id| Some((*id, self.pending.get(id)?)))
    }

    /// The consumer of a name.
    pub fn find(&self, name: &[u8]) -> Option<ConsumerId> {
        self.names.get(name).copied()
    }

    /// A consumer.
    pub fn consumer(&self, id: ConsumerId) -> Option<&Consumer> {
        self.consumers.get(id.0 as usize)?.as_ref()
    }

    /// Every consumer, in the order of their names.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (ConsumerId, &Consumer)> {
        self.names.values().map(|id| match self.consumer(*id) {
            Some(consumer) => (*id, consumer),
            None => unreachable!("a name is that of a consumer"),
        })
    }

    /// Adds a consumer, whose name is not there.
    pub fn create(&mut self, name: &[u8], seen_at: u64) -> ConsumerId {
        debug_assert!(self.find(name).is_none());
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.consumers.push(None);
            // A consumer takes more than a byte: there are not 2^32 of them.
            ConsumerId((self.consumers.len() - 1) as u32)
        });
        let consumer = Consumer { name: name.into(), seen_at, pending: BTreeSet::new() };
        self.consumers[id.0 as usize] = Some(consumer);
        self.names.insert(name.into(), id);
        id
    }

    /// Notes that a consumer was heard of.
    pub fn see(&mut self, consumer: ConsumerId, now: u64) {
        if let Some(Some(consumer)) = self.consumers.get_mut(consumer.0 as usize) {
            consumer.seen_at = consumer.seen_at.max(now);
        }
    }

    /// Takes a consumer out, with what is pending for it; answers how much that was.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.names.remove(name)?;
        let consumer = self.consumers.get_mut(id.0 as usize)?.take()?;
        self.vacant.push(id);
        for id in &consumer.pending {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    /// Makes an entry pending for a consumer, whoever it was pending for.
    pub fn assign(&mut self, id: Id, pending: Pending) {
        debug_assert!(self.consumer(pending.consumer).is_some());
        if let Some(old) = self.pending.insert(id, pending) {
            if old.consumer == pending.consumer {
                return;
            }
            self.own(old.consumer, |ids| ids.remove(&id));
        }
        self.own(pending.consumer, |ids| ids.insert(id));
    }

    /// Makes an entry pending no longer; answers whether it was.
    pub fn acknowledge(&mut self, id: Id) -> bool {
        let Some(old) = self.pending.remove(&id) else { return false };
        self.own(old.consumer, |ids| ids.remove(&id));
        true
    }

    fn own(&mut self, consumer: ConsumerId, change: impl FnOnce(&mut BTreeSet<Id>) -> bool) {
        let consumer = self.consumers.get_mut(consumer.0 as usize).and_then(Option::as_mut);
        let changed = consumer.is_some_and(|consumer| change(&mut consumer.pending));
        debug_assert!(changed, "group and consumer agree");
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        let names: usize = self.names.keys().map(|name| name.len() * 2 + PER_CONSUMER).sum();
        names + self.pending.len() * PER_PENDING
    }
}

/// Bytes of a consumer without its name, and of what is pending, with the trees' slack.
const PER_CONSUMER: usize = size_of::<Option<Consumer>>() + 40;
const PER_PENDING: usize = (size_of::<Id>() * 2 + size_of::<Pending>()) * 3 / 2;

/// The bounds of a range by value, so that they can be used again.
fn ids_of(ids: &impl RangeBounds<Id>) -> (std::ops::Bound<Id>, std::ops::Bound<Id>) {
    (ids.start_bound().cloned(), ids.end_bound().cloned())
}
