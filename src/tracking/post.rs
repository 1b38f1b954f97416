//! The messages of client-side caching, and where each of them goes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{CHANNEL, Mode};
use crate::clients::Client;
use crate::clock;
use crate::config::OutputLimit;
use crate::node::Node;
use crate::resp::reply::Protocol;
use crate::resp::{Reply, RespReply};

/// Sends what one command has changed.
#[derive(Debug)]
pub(super) struct Post<'a> {
    node: &'a Node,
    /// Whose command it is; 0 is nobody's.
    author: u64,
    /// What a client may leave unread: these are messages, like those of a channel.
    limit: OutputLimit,
    now: u64,
}

/// What a message says.
#[derive(Clone, Copy)]
enum Word<'a> {
    /// These keys have changed.
    Keys(&'a [&'a [u8]]),
    /// Everything has; the null is of the protocol of the client that tracks.
    Everything(Protocol),
}

impl<'a> Post<'a> {
    pub(super) fn new(node: &'a Node, author: u64) -> Post<'a> {
        let limit = node.config.load().client_output_buffer_limit.pubsub;
        Post { node, author, limit, now: clock::unix_ms() }
    }

    /// Tells a client that a key which it has read is another one.
    pub(super) fn invalidate(&self, id: u64, key: &[u8]) {
        let Some(client) = self.node.clients.get(id) else { return };
        let mode = client.tracking.mode();
        // It may have turned to broadcast mode since.
        if mode.contains(Mode::ON) && !mode.contains(Mode::BROADCAST) && !self.is_own(&client) {
            self.send(&client, Word::Keys(&[key]));
        }
    }

    /// Tells a client of keys below its prefix.
    pub(super) fn broadcast(&self, id: u64, keys: &[&[u8]]) {
        if let Some(client) = self.node.clients.get(id)
            && !self.is_own(&client)
        {
            self.send(&client, Word::Keys(keys));
        }
    }

    /// Tells every client that tracks that nothing is as it was.
    pub(super) fn flushed(&self) {
        for client in self.node.clients.list() {
            if client.tracking.mode().contains(Mode::ON) {
                self.send(&client, Word::Everything(protocol(&client)));
            }
        }
    }

    fn is_own(&self, client: &Client) -> bool {
        client.id == self.author && client.tracking.mode().contains(Mode::NO_LOOP)
    }

    /// Sends a message to a client that tracks, or to the one that hears in its place.
    fn send(&self, client: &Arc<Client>, word: Word<'_>) {
        let redirect = client.tracking.redirect();
        if redirect == 0 {
            if protocol(client) == Protocol::V3 {
                self.push(client, word);
            }
            return;
        }
        match self.node.clients.get(redirect) {
            Some(other) if protocol(&other) == Protocol::V3 => self.push(&other, word),
            Some(other) if other.is_listening() => self.publish(&other, word),
            // RESP2 has no messages but those of channels.
            Some(_) => {}
            None => self.break_redirection(client, redirect),
        }
    }

    fn push(&self, client: &Client, word: Word<'_>) {
        let mut bytes = Vec::new();
        let mut reply = RespReply::new(&mut bytes, Protocol::V3);
        reply.push(2);
        reply.bulk(b"invalidate");
        word.write(&mut bytes, Protocol::V3);
        client.send(&bytes, self.limit, self.now);
    }

    fn publish(&self, client: &Client, word: Word<'_>) {
        let mut bytes = Vec::new();
        let mut reply = RespReply::new(&mut bytes, Protocol::V2);
        reply.push(3);
        reply.bulk(b"message");
        reply.bulk(CHANNEL);
        word.write(&mut bytes, Protocol::V2);
        client.send(&bytes, self.limit, self.now);
    }

    /// Tells a client that the one it has named has gone.
    fn break_redirection(&self, client: &Client, redirect: u64) {
        client.tracking.set_broken();
        if protocol(client) == Protocol::V3 {
            let mut bytes = Vec::new();
            let mut reply = RespReply::new(&mut bytes, Protocol::V3);
            reply.push(2);
            reply.bulk(b"tracking-redir-broken");
            reply.integer(i64::try_from(redirect).unwrap_or(i64::MAX));
            client.send(&bytes, self.limit, self.now);
        }
    }
}

impl Word<'_> {
    fn write(self, bytes: &mut Vec<u8>, protocol: Protocol) {
        match self {
            Word::Keys(keys) => RespReply::new(bytes, protocol).bulks(keys),
            // As Redis does, even where the hearer speaks the other protocol.
            Word::Everything(protocol) => RespReply::new(bytes, protocol).null(),
        }
    }
}

fn protocol(client: &Client) -> Protocol {
    if client.protocol.load(Ordering::Relaxed) == 3 { Protocol::V3 } else { Protocol::V2 }
}
