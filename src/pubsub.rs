//! Publish and subscribe: who listens to what, and how a message gets to them.
//!
//! A publisher puts the message into the outbox of every client that listens, and wakes it;
//! the client's own connection writes it out. So a publisher never waits for a subscriber, and
//! one publisher's messages reach each subscriber in their order. A subscriber that does not
//! take its messages is cut at the bounds of `client-output-buffer-limit pubsub`.
//!
//! Keyspace notifications are messages too: see [`Hub::announce`]. Left out on purpose: what
//! was published while nobody listened.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::clients::Client;
use crate::config::{Classes, OutputLimit};
use crate::keyspace::Event;
use crate::resp::reply::Protocol;
use crate::resp::{Reply, RespReply};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::value::glob;

/// What a client can listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// A channel, by its name: SUBSCRIBE.
    Channel,
    /// Every channel whose name a pattern matches: PSUBSCRIBE.
    Pattern,
    /// A channel of one shard of a cluster; here there is one shard: SSUBSCRIBE.
    Shard,
}

/// The clients that listen, by their ids, and so in the order in which they came.
type Listeners = BTreeMap<u64, Arc<Client>>;

/// Who listens to what.
#[derive(Debug, Default)]
pub struct Hub {
    topics: RwLock<Topics>,
    /// Names of all topics, so that nobody takes the lock when nobody listens.
    names: AtomicUsize,
}

#[derive(Debug, Default)]
struct Topics {
    channels: HashMap<Box<[u8]>, Listeners>,
    patterns: BTreeMap<Box<[u8]>, Listeners>,
    shards: HashMap<Box<[u8]>, Listeners>,
}

/// What one client listens to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    channels: BTreeSet<Box<[u8]>>,
    patterns: BTreeSet<Box<[u8]>>,
    shards: BTreeSet<Box<[u8]>>,
    /// Bytes of all names.
    pub bytes: usize,
}

impl Subscriptions {
    /// The names of one kind.
    pub fn of(&self, topic: Topic) -> &BTreeSet<Box<[u8]>> {
        match topic {
            Topic::Channel => &self.channels,
            Topic::Pattern => &self.patterns,
            Topic::Shard => &self.shards,
        }
    }

    fn of_mut(&mut self, topic: Topic) -> &mut BTreeSet<Box<[u8]>> {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
            Topic::Shard => &mut self.shards,
        }
    }

    /// How many names a reply counts: channels and patterns together, shard channels alone.
    pub fn count(&self, topic: Topic) -> usize {
        match topic {
            Topic::Channel | Topic::Pattern => self.channels.len() + self.patterns.len(),
            Topic::Shard => self.shards.len(),
        }
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.channels.len() + self.patterns.len() + self.shards.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Hub {
    /// Has `client` listen to a name, if it does not yet.
    pub fn subscribe(
        &self,
        client: &Arc<Client>,
        mine: &mut Subscriptions,
        topic: Topic,
        name: &[u8],
    ) {
        if !mine.of_mut(topic).insert(name.into()) {
            return;
        }
        mine.bytes += name.len();
        client.subscribed(mine);
        let mut topics = self.topics.write();
        let listeners = match topic {
            Topic::Channel => topics.channels.entry(name.into()).or_default(),
            Topic::Pattern => topics.patterns.entry(name.into()).or_default(),
            Topic::Shard => topics.shards.entry(name.into()).or_default(),
        };
        listeners.insert(client.id, Arc::clone(client));
        self.recount(&topics);
    }

    /// Has `client` listen to a name no more.
    pub fn unsubscribe(
        &self,
        client: &Arc<Client>,
        mine: &mut Subscriptions,
        topic: Topic,
        name: &[u8],
    ) {
        if !mine.of_mut(topic).remove(name) {
            return;
        }
        mine.bytes -= name.len();
        client.subscribed(mine);
        let mut topics = self.topics.write();
        topics.remove(topic, name, client.id);
        self.recount(&topics);
    }

    /// Has `client` listen to nothing.
    pub fn leave(&self, client: &Arc<Client>, mine: &mut Subscriptions) {
        let mut topics = self.topics.write();
        for topic in [Topic::Channel, Topic::Pattern, Topic::Shard] {
            for name in std::mem::take(mine.of_mut(topic)) {
                topics.remove(topic, &name, client.id);
            }
        }
        mine.bytes = 0;
        client.subscribed(mine);
        self.recount(&topics);
    }

    fn recount(&self, topics: &Topics) {
        let names = topics.channels.len() + topics.patterns.len() + topics.shards.len();
        self.names.store(names, Ordering::Release);
    }

    /// Sends a message to all who listen to `channel`; answers how many they are. A client is
    /// counted once for its channel and once for each of its patterns that matches, and gets
    /// the message as often.
    pub fn publish(&self, channel: &[u8], message: &[u8], limit: OutputLimit, now: u64) -> usize {
        if self.names.load(Ordering::Acquire) == 0 {
            return 0;
        }
        let topics = self.topics.read();
        let mut receivers = 0;
        if let Some(listeners) = topics.channels.get(channel) {
            receivers += send(listeners, &[b"message", channel, message], limit, now);
        }
        for (pattern, listeners) in &topics.patterns {
            if glob::matches(pattern, channel) {
                let words: [&[u8]; 4] = [b"pmessage", pattern, channel, message];
                receivers += send(listeners, &words, limit, now);
            }
        }
        receivers
    }

    /// Sends a message to all who listen to the shard channel `channel`; answers how many.
    pub fn publish_to_shard(
        &self,
        channel: &[u8],
        message: &[u8],
        limit: OutputLimit,
        now: u64,
    ) -> usize {
        let topics = self.topics.read();
        topics
            .shards
            .get(channel)
            .map_or(0, |listeners| send(listeners, &[b"smessage", channel, message], limit, now))
    }

    /// Publishes what has happened to keys, to the channels that `wanted` names.
    pub fn announce(&self, events: Vec<Event>, wanted: Classes, limit: OutputLimit, now: u64) {
        for event in events {
            let Event { db, name, key, .. } = event;
            // Writing to a String does not fail.
            if wanted.contains(Classes::KEYSPACE) {
                let mut channel = format!("__keyspace@{db}__:").into_bytes();
                channel.extend_from_slice(&key);
                self.publish(&channel, name.as_bytes(), limit, now);
            }
            if wanted.contains(Classes::KEYEVENT) {
                let mut channel = String::from("__keyevent@");
                let _ = write!(channel, "{db}__:{name}");
                self.publish(channel.as_bytes(), &key, limit, now);
            }
        }
    }

    /// Shows everyone who listens to something, once for each name.
    pub fn each(&self, mut show: impl FnMut(Topic, &[u8], &Arc<Client>)) {
        let topics = self.topics.read();
        let channels = topics.channels.iter().map(|found| (Topic::Channel, found));
        let patterns = topics.patterns.iter().map(|found| (Topic::Pattern, found));
        let shards = topics.shards.iter().map(|found| (Topic::Shard, found));
        for (topic, (name, listeners)) in channels.chain(patterns).chain(shards) {
            listeners.values().for_each(|client| show(topic, name, client));
        }
    }

    /// The names of channels that somebody listens to, in no order.
    pub fn channels(&self, topic: Topic) -> Vec<Box<[u8]>> {
        let topics = self.topics.read();
        match topic {
            Topic::Channel => topics.channels.keys().cloned().collect(),
            Topic::Pattern => topics.patterns.keys().cloned().collect(),
            Topic::Shard => topics.shards.keys().cloned().collect(),
        }
    }

    /// How many clients listen to a name.
    pub fn listeners(&self, topic: Topic, name: &[u8]) -> usize {
        let topics = self.topics.read();
        let listeners = match topic {
            Topic::Channel => topics.channels.get(name),
            Topic::Pattern => topics.patterns.get(name),
            Topic::Shard => topics.shards.get(name),
        };
        listeners.map_or(0, Listeners::len)
    }

    /// How many names of one kind somebody listens to.
    pub fn count(&self, topic: Topic) -> usize {
        let topics = self.topics.read();
        match topic {
            Topic::Channel => topics.channels.len(),
            Topic::Pattern => topics.patterns.len(),
            Topic::Shard => topics.shards.len(),
        }
    }
}

impl Topics {
    fn remove(&mut self, topic: Topic, name: &[u8], id: u64) {
        match topic {
            Topic::Channel => forget(&mut self.channels, name, id),
            Topic::Shard => forget(&mut self.shards, name, id),
            Topic::Pattern => {
                if let Some(listeners) = self.patterns.get_mut(name) {
                    listeners.remove(&id);
                    if listeners.is_empty() {
                        self.patterns.remove(name);
                    }
                }
            }
        }
    }
}

fn forget(names: &mut HashMap<Box<[u8]>, Listeners>, name: &[u8], id: u64) {
    if let Some(listeners) = names.get_mut(name) {
        listeners.remove(&id);
        if listeners.is_empty() {
            names.remove(name);
        }
    }
}

/// Puts a message into the outboxes; encoded once for each protocol that is spoken.
fn send(listeners: &Listeners, words: &[&[u8]], limit: OutputLimit, now: u64) -> usize {
    let (mut v2, mut v3) = (Vec::new(), Vec::new());
    for client in listeners.values() {
        let (bytes, protocol) = match client.protocol.load(Ordering::Relaxed) {
            3 => (&mut v3, Protocol::V3),
            _ => (&mut v2, Protocol::V2),
        };
        if bytes.is_empty() {
            let mut reply = RespReply::new(bytes, protocol);
            reply.push(words.len());
            words.iter().for_each(|word| reply.bulk(word));
        }
        client.send(bytes, limit, now);
    }
    listeners.len()
}
