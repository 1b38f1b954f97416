//! FAILOVER: this node hands over to one of its replicas, without loss.
//!
//! Writes are held until a replica has acknowledged the whole log. Then, with no writer under way,
//! this node follows it, and its PSYNC asks the replica to lead. When that is answered, the clients
//! who were held go on, and learn that this is a replica now. If it is refused, this node leads
//! again.

use eave_replication::failover::{Look, State, Target, Wish};

use super::{aim, set_leader, status};
use crate::clock;
use crate::config;
use crate::fault::Fault;
use crate::keyspace::locks::Contended;
use crate::node::Node;
use crate::pause::Pause;

/// Begins.
///
/// # Errors
/// What the client is told if that is not possible now.
pub fn begin(node: &Node, wish: Wish) -> Result<(), Fault> {
    let refused = |why| Fault::text(format!("ERR {why}"));
    let mut failover = node.replication.failover.lock();
    if failover.state() == State::None && node.replication.is_replica() {
        return Err(Fault::new("ERR FAILOVER is not valid when server is a replica."));
    }
    let followers = status::leader_status(node).followers;
    failover.begin(wish, &followers, clock::monotonic_ms()).map_err(refused)?;
    tracing::info!("FAILOVER requested{}", to(failover.target()));
    Pause::hold_for_failover(node);
    node.replication.leader.lock().be_quiet(true);
    // So that nobody has to wait for the next time that replicas tell how far they are.
    node.log.ask_how_far();
    Ok(())
}

/// Gives it up, as FAILOVER ABORT asks; answers whether one was under way.
pub fn abort(node: &Node, why: &str) -> bool {
    let (state, target) = {
        let mut failover = node.replication.failover.lock();
        let target = failover.target().cloned();
        (failover.end(), target)
    };
    match state {
        State::None => return false,
        State::WaitingForSync => node.replication.leader.lock().be_quiet(false),
        State::InProgress => {
            set_leader(node, None);
            super::follow(node, None);
        }
    }
    tracing::warn!("failover{} is given up while {}: {why}", to(target.as_ref()), state.name());
    Pause::release_failover(node);
    true
}

/// How far it is.
pub fn state(node: &Node) -> State {
    node.replication.failover.lock().state()
}

/// The node that was asked to lead does so.
pub(super) fn done(node: &Node) {
    if node.replication.failover.lock().end() != State::None {
        Pause::release_failover(node);
    }
}

/// Looks whether it can go on.
pub(super) fn look(node: &Node) {
    if state(node) != State::WaitingForSync {
        return;
    }
    match hand_over(node) {
        Ok(Look::GiveUp) => _ = abort(node, "Replica never caught up before timeout"),
        Ok(Look::HandOver { .. }) => super::end_waits(node),
        // Somebody still writes who was let in before: later.
        Ok(Look::Wait) | Err(Contended) => {}
    }
}

/// Follows the replica if it is time, in an instant in which nobody writes.
fn hand_over(node: &Node) -> Result<Look, Contended> {
    let mut term = node.replication.term.lock();
    node.keyspace.standstill(|| {
        let followers = status::leader_status(node).followers;
        let position = node.log.lock().backlog().position();
        let mut failover = node.replication.failover.lock();
        let look = failover.look(&followers, position.offset, clock::monotonic_ms());
        if let Look::HandOver { to, forced } = &look {
            let leader = config::Leader { host: to.host.clone(), port: to.port };
            if *forced {
                tracing::warn!("failover to {leader}: the time is over, it has not caught up");
            } else {
                tracing::info!("failover to {leader}: it has everything, handing over");
            }
            set_leader(node, Some(leader.clone()));
            aim(node, &mut term, Some(leader));
            (term.position, term.unsettled) = (Some(position), false);
            node.log.follow(true);
        }
        look
    })
}

fn to(target: Option<&Target>) -> String {
    target.map_or_else(String::new, |target| format!(" to {}:{}", target.host, target.port))
}
