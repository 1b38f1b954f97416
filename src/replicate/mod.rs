//! Replication with sockets: this node's followers, and the link to the node it follows.
//!
//! The protocol is decided in `eave_replication`, whose machines take events and answer what
//! to do; here it is done. Towards followers: a connection that says PSYNC becomes a
//! `follower`, which reads acknowledgements and writes what its `outlet` is ordered to write:
//! lines, the `snapshot` of a full copy, the stream. Towards the leader: `link` connects and
//! reads; a full copy goes through `load` into a staged data set that replaces the keyspace
//! once it is whole, and the stream goes through `apply` into the engine. `status` tells INFO
//! and ROLE.
//!
//! Locks are taken in this order: term, shards (by try only), acknowledgements, leader, outlets, log. No lock is
//! held across an `await`.
//!
//! *Invariant*: a replica's log is a prefix of its leader's, byte for byte, and the keyspace
//! is what that prefix makes of it: `Term` guards both, and ends with REPLICAOF.
//!
//! A redis-server that follows gets everything that Redis has a type for. Rate limits are left
//! out of its full copies, and it logs RL.STATE in the stream as an unknown command and goes
//! on. Left out on purpose for now: chains (a replica answers PSYNC with NOMASTERLINK, since
//! the pings of its log must be its leader's), failover, and resuming after a restart.

pub mod acknowledgements;
mod apply;
pub(crate) mod enough;
pub mod follower;
pub mod forward;
mod link;
mod load;
mod outlet;
mod snapshot;
pub mod status;

use std::sync::Arc;
use std::time::Duration;

use eave_replication::leader::Event;
use eave_replication::{Position, ReplicationId};
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::config;
use crate::node::Node;
use crate::waiter::Ending;
pub use acknowledgements::Acknowledgements;
pub use outlet::Outlets;

/// Time between two looks at the clocks of the protocol.
const TICK: Duration = Duration::from_millis(100);

/// The time during which this node follows one other, or none.
///
/// Its lock is held while the leader's stream is applied, so whoever ends a term knows that
/// nothing more of it will be applied.
#[derive(Debug, Default)]
pub struct Term {
    /// Counts terms.
    pub number: u64,
    /// The prefix of the leader's history that the keyspace holds, if it holds one.
    pub position: Option<Position>,
}

/// Starts the tasks of replication.
pub fn start(node: &Arc<Node>, tasks: &TaskTracker) {
    enough::look(node);
    tasks.spawn(tick(Arc::clone(node)));
    tasks.spawn(snapshot::run(Arc::clone(node)));
    tasks.spawn(link::run(Arc::clone(node)));
    tasks.spawn(forward::run(Arc::clone(node)));
}

/// Tells the leader's machine the time: pings, timeouts.
async fn tick(node: Arc<Node>) {
    loop {
        tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
        outlet::step(&node, Event::Tick);
        enough::look(&node);
    }
}

/// Follows another node from now on, or leads.
pub fn follow(node: &Node, leader: Option<config::Leader>) {
    let follows = leader.is_some();
    {
        let mut term = node.replication.term.lock();
        term.number += 1;
        if !follows && node.replication.is_replica() {
            // From here on the bytes of this history differ from the old leader's.
            node.log.change_id(new_id());
        }
        if !follows || !node.replication.is_replica() {
            // What a leader writes no other has; so it is copied again should it follow.
            term.position = None;
        }
        *node.replication.status.lock() = None;
        node.replication.aim(leader);
    }
    enough::look(node);
    if follows {
        outlet::step(node, Event::HistoryReplaced);
        // What they wait for comes from elsewhere now, if at all.
        for client in node.clients.list() {
            if let Some(waiter) = client.waiter() {
                waiter.end(Ending::Demoted);
            }
        }
    }
}

/// A name for a new history.
fn new_id() -> ReplicationId {
    let mut random = [0; 20];
    clock::secret_bytes(&mut random);
    ReplicationId::from_random(random)
}
