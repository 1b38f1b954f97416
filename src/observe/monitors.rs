//! MONITOR: every command that is run, told to those who watch.
//!
//! A line goes into the outbox of every client that watches, so one that does not read is cut
//! at the bounds of its class and never holds up a command. While nobody watches, `Rare` says
//! so, and nothing here is asked.

use std::sync::Arc;

use parking_lot::RwLock;

use super::redact;
use crate::clients::Client;
use crate::clock;
use crate::command::Argv;
use crate::node::Node;
use crate::rare::Rare;

/// The clients that watch.
#[derive(Debug, Default)]
pub struct Monitors(RwLock<Vec<Arc<Client>>>);

impl Monitors {
    /// Has a client watch.
    pub fn add(node: &Node, client: &Arc<Client>) {
        let mut all = node.observer.monitors.0.write();
        all.push(Arc::clone(client));
        node.rare.set(Rare::MONITORED);
    }

    /// Has a client watch no more.
    pub fn remove(node: &Node, client: &Client) {
        let mut all = node.observer.monitors.0.write();
        all.retain(|other| other.id != client.id);
        if all.is_empty() {
            node.rare.clear(Rare::MONITORED);
        }
    }

    /// How many watch.
    pub fn len(&self) -> usize {
        self.0.read().len()
    }

    /// Whether nobody watches.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells of a command that `from` has run: an address, or `lua`.
    pub fn tell(node: &Node, db: usize, from: &str, argv: Argv<'_>) {
        let now = clock::unix_us();
        let line = format!("+{}.{:06} [{db} {from}]", now / 1_000_000, now % 1_000_000);
        let mut line = line.into_bytes();
        for argument in redact::shown(argv) {
            line.push(b' ');
            redact::quote(&argument, &mut line);
        }
        line.extend(b"\r\n");
        let limit = node.config.load().client_output_buffer_limit.normal;
        for client in node.observer.monitors.0.read().iter() {
            client.send(&line, limit, now / 1000);
        }
    }
}
