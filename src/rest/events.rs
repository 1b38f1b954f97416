//! `/subscribe/<channel>`, `/psubscribe/<pattern>` and `/monitor`: messages as server-sent events.
//!
//! The client's outbox takes messages in the Redis protocol, as those of every listener; here each
//! becomes `data: message,<channel>,<payload>` and a blank line. A payload of several lines has a
//! `data:` before each, which is how the format keeps them. A comment now and then keeps proxies
//! from taking the silence for the end.
//!
//! A connection that has several requests at once has one outbox and several listeners, so there
//! each listener is a client of its own.
//!
//! Left out on purpose: what was published before somebody listened.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::clients::Client;
use crate::clock;
use crate::limits;
use crate::node::Node;
use crate::observe::monitors::Monitors;
use crate::pubsub::{Subscriptions, Topic};
use crate::resp::request::Decoded;
use crate::resp::{RequestDecoder, RequestLimits};

/// Time between two comments. Proxies close what has been silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A comment: clients pass it over.
const COMMENT: &[u8] = b": keepalive\n\n";

/// Messages are our own, so nothing in them is beyond these.
const LIMITS: RequestLimits = RequestLimits {
    arguments: limits::ARGUMENTS,
    argument_bytes: usize::MAX,
    request_bytes: usize::MAX,
    before_auth: false,
};

/// What is listened to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    /// A channel, or those that a pattern matches.
    Topic(Topic, &'a [u8]),
    /// Every command.
    Commands,
}

/// What one client hears; it listens as long as this lives.
#[derive(Debug)]
pub(super) struct Events {
    node: Arc<Node>,
    client: Arc<Client>,
    /// Whether the client is there for this alone.
    own: bool,
    /// Nothing, if it hears of every command.
    mine: Option<Subscriptions>,
    /// What is to be sent next.
    next: Vec<u8>,
    heartbeat: Pin<Box<Sleep>>,
    /// Tells the connection that a request is still being answered, until it is dropped.
    streaming: Option<Box<dyn Debug + Send + Sync>>,
}

impl Events {
    /// Has a client listen; one of its own if its connection is `shared`.
    pub(super) fn listen(
        node: Arc<Node>,
        client: Arc<Client>,
        shared: bool,
        subject: Subject<'_>,
    ) -> Events {
        let client = if shared { another(&node, &client) } else { client };
        let mut next = Vec::new();
        let mine = match subject {
            Subject::Topic(topic, name) => {
                let mut mine = Subscriptions::default();
                let kind: &[u8] =
                    if topic == Topic::Pattern { b"psubscribe" } else { b"subscribe" };
                write(&mut next, &[kind, name, b"1"]);
                node.hub.subscribe(&client, &mut mine, topic, name);
                Some(mine)
            }
            Subject::Commands => {
                write(&mut next, &[b"\"OK\""]);
                client.monitors.store(true, Ordering::Relaxed);
                Monitors::add(&node, &client);
                None
            }
        };
        let heartbeat = Box::pin(sleep_until(later()));
        Events { node, client, own: shared, mine, next, heartbeat, streaming: None }
    }

    /// Keeps what tells the connection that this goes on.
    pub(super) fn keep(&mut self, streaming: Box<dyn Debug + Send + Sync>) {
        self.streaming = Some(streaming);
    }

    /// The next bytes; nothing at the end, which comes when the client is closed or the node
    /// stops. The task is polled when there are messages.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.own {
            // The connection's task does so for its own client.
            self.client.register(context.waker());
        }
        if self.client.is_closing() || self.node.shutdown.is_cancelled() {
            return Poll::Ready(None);
        }
        if self.client.has_messages() {
            let mut messages = Vec::new();
            self.client.take_messages(&mut messages);
            match self.mine {
                Some(_) => translate(&messages, &mut self.next),
                None => translate_lines(&messages, &mut self.next),
            }
        }
        if self.next.is_empty() && self.heartbeat.as_mut().poll(context).is_ready() {
            self.next.extend_from_slice(COMMENT);
        }
        if self.next.is_empty() {
            return Poll::Pending;
        }
        self.heartbeat.as_mut().reset(later());
        Poll::Ready(Some(std::mem::take(&mut self.next).into()))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        match &mut self.mine {
            Some(mine) => self.node.hub.leave(&self.client, mine),
            None => {
                self.client.monitors.store(false, Ordering::Relaxed);
                Monitors::remove(&self.node, &self.client);
            }
        }
        // What has come meanwhile is for nobody.
        self.client.take_messages(&mut Vec::new());
        if self.own {
            self.node.clients.remove(self.client.id);
        }
    }
}

/// A further client at the same address, of the same user.
fn another(node: &Node, client: &Client) -> Arc<Client> {
    let other = node.clients.add(client.peer.clone(), client.local.clone(), clock::unix_ms());
    let user = client.user.lock().clone();
    *other.user.lock() = user;
    other
}

fn later() -> Instant {
    Instant::from_std(clock::instant()) + HEARTBEAT
}

/// Turns messages of the Redis protocol into events. Each is a flat array of strings, which is
/// the form of a request too.
fn translate(mut messages: &[u8], events: &mut Vec<u8>) {
    let mut decoder = RequestDecoder::default();
    while let Ok(Decoded::Request(length)) = decoder.decode(messages, &LIMITS) {
        let words: Vec<&[u8]> = decoder.arguments(messages).collect();
        write(events, &words);
        messages = &messages[length..];
    }
}

/// Turns lines of MONITOR into events.
fn translate_lines(lines: &[u8], events: &mut Vec<u8>) {
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // Each is a status of the Redis protocol; line breaks inside of it are escaped.
        if let Some(line) = line.strip_prefix(b"+") {
            write(events, &[line]);
        }
    }
}

/// Writes words as one event, with commas between them. What is no UTF-8 is replaced: an event is
/// text.
fn write(events: &mut Vec<u8>, words: &[&[u8]]) {
    let text = words.join(&b',');
    let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
    for line in text.split(['\n', '\r']) {
        events.extend_from_slice(b"data: ");
        events.extend_from_slice(line.as_bytes());
        events.push(b'\n');
    }
    events.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(words: &[&[u8]]) -> String {
        let mut messages = Vec::new();
        for _ in 0..2 {
            crate::resp::reply::encode_command(&mut messages, words);
        }
        let mut events = Vec::new();
        translate(&messages, &mut events);
        String::from_utf8(events).expect("events are text")
    }

    #[test]
    fn a_message_is_an_event() {
        let one = "data: message,c,a,b\n\n";
        assert_eq!(events(&[b"message", b"c", b"a,b"]), one.repeat(2));
        let one = "data: pmessage,c*,ch,\n\n";
        assert_eq!(events(&[b"pmessage", b"c*", b"ch", b""]), one.repeat(2));
    }

    #[test]
    fn a_line_of_monitor_is_an_event() {
        let mut events = Vec::new();
        translate_lines(b"+1.5 [0 x] \"GET\" \"k\"\r\n+2 \"PING\"\r\n", &mut events);
        let wanted = "data: 1.5 [0 x] \"GET\" \"k\"\n\ndata: 2 \"PING\"\n\n";
        assert_eq!(String::from_utf8_lossy(&events), wanted);
    }

    #[test]
    fn line_breaks_do_not_end_an_event() {
        let one = "data: message,c,one\ndata: two\ndata: \ndata: four\n\n";
        assert_eq!(events(&[b"message", b"c", b"one\r\ntwo\n\rfour"]), one.repeat(2));
        let one = "data: message,c,\u{fffd}\n\n";
        assert_eq!(events(&[b"message", b"c", b"\xff"]), one.repeat(2));
    }
}
