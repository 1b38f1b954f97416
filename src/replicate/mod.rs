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
//! on. A replica may be followed itself, as long as its own link stands: its log is its leader's,
//! so whoever follows it gets the same history under the same name. Left out on purpose for now:
//! resuming after a restart.

pub mod acknowledgements;
mod alone;
mod apply;
mod copying;
pub(crate) mod enough;
pub mod epochs;
pub mod failover;
pub mod follower;
pub mod forward;
mod link;
mod load;
mod outlet;
mod packing;
pub mod regions;
mod snapshot;
pub mod status;
mod target;

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
pub use alone::Alone;
pub use copying::Copying;
pub use outlet::Outlets;
pub use packing::Packed;
pub use target::Target;

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
    /// The database that the leader's stream is in.
    pub db: usize,
    /// This node led until now, and writers whom it let in then may still be under way: what it
    /// holds is not known yet.
    pub unsettled: bool,
}

/// Starts the tasks of replication.
pub fn start(node: &Arc<Node>, tasks: &TaskTracker) {
    enough::look(node);
    tasks.spawn(tick(Arc::clone(node)));
    tasks.spawn(snapshot::run(Arc::clone(node)));
    tasks.spawn(link::run(Arc::clone(node)));
    tasks.spawn(forward::run(Arc::clone(node)));
    tasks.spawn(epochs::run(Arc::clone(node)));
    tasks.spawn(regions::keep(Arc::clone(node)));
    tasks.spawn(regions::run(Arc::clone(node)));
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
        failover::look(&node);
    }
}

/// Follows another node from now on, or leads.
pub fn follow(node: &Node, leader: Option<config::Leader>) {
    let follows = leader.is_some();
    aim(node, &mut node.replication.term.lock(), leader);
    enough::look(node);
    if follows {
        end_waits(node);
    }
}

/// Writes down whom this node is to follow.
pub fn set_leader(node: &Node, leader: Option<config::Leader>) {
    let _ = node.configure(|config| {
        config.replicaof = leader;
        Ok::<(), std::convert::Infallible>(())
    });
}

/// Begins another term.
fn aim(node: &Node, term: &mut Term, leader: Option<config::Leader>) {
    let (follows, followed) = (leader.is_some(), node.replication.is_replica());
    term.number += 1;
    if followed && !follows {
        // From here on the bytes of this history differ from the old leader's; who follows this
        // node learns its new name when it asks to go on.
        let id = new_id();
        epochs::promoted(node, id, term.position);
        outlet::replace_history(node, || {
            node.log.change_id(id);
            node.log.follow(false);
        });
        (term.position, term.unsettled) = (None, false);
    }
    if follows && !followed {
        // Whoever has been promoted may have all of it, and can go on from there.
        term.unsettled = true;
    }
    if follows {
        epochs::follows(node);
    }
    node.replication.leader.lock().be_quiet(follows);
    *node.replication.status.lock() = None;
    node.replication.aim(leader);
}

/// Lets those go who wait for keys or followers: what they wait for comes from elsewhere now, if
/// at all.
fn end_waits(node: &Node) {
    for client in node.clients.list() {
        if let Some(waiter) = client.waiter() {
            waiter.end(Ending::Demoted);
        }
    }
}

/// A name for a new history.
fn new_id() -> ReplicationId {
    let mut random = [0; 20];
    clock::secret_bytes(&mut random);
    ReplicationId::from_random(random)
}
