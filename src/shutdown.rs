//! Stopping in order: nothing is written any more, replicas get what was written, then the node
//! ends. SHUTDOWN and the signals come here; what the doors do then is `server`'s.

use std::sync::Arc;
use std::time::Duration;

use eave_replication::leader::FollowerState;
use parking_lot::Mutex;

use crate::clock;
use crate::node::Node;
use crate::pause::{Holds, Pause};
use crate::replicate::status::leader_status;

/// Time between two looks how far replicas are.
const LOOK: Duration = Duration::from_millis(50);

/// The stop that is under way, if one is: the unix millisecond at which it waits no more.
#[derive(Debug, Default)]
pub struct Shutting(Mutex<Option<u64>>);

impl Shutting {
    /// Begins to stop: at once if nobody has to be waited for, or `now` says not to wait.
    pub fn begin(node: &Node, now: bool) {
        let seconds = u64::from(node.config.load().shutdown_timeout);
        if now || seconds == 0 || !is_behind(node) {
            node.shutdown.cancel();
            return;
        }
        let until = clock::unix_ms() + seconds * 1000;
        *node.shutting.0.lock() = Some(until);
        Pause::begin(node, Holds::Writes, until + 1000);
    }

    /// Whether a stop is under way.
    pub fn is_on(node: &Node) -> bool {
        node.shutting.0.lock().is_some()
    }

    /// Gives the stop up; answers whether one was under way.
    pub fn abort(node: &Node) -> bool {
        let was = node.shutting.0.lock().take().is_some();
        if was {
            // Wakes those who wait for the end, too.
            Pause::end(node);
        }
        was
    }

    /// Ends the node if a stop is under way and there is no more to wait for.
    fn look(node: &Node) {
        let Some(until) = *node.shutting.0.lock() else { return };
        let late = clock::unix_ms() >= until;
        if late {
            tracing::warn!("replicas have not got everything within shutdown-timeout");
        }
        if late || !is_behind(node) {
            node.shutdown.cancel();
        }
    }
}

/// Whether a replica that follows has not got everything.
fn is_behind(node: &Node) -> bool {
    let status = leader_status(node);
    let behind = |acked: u64| acked < status.position.offset;
    let mut followers = status.followers.iter();
    followers.any(|follower| follower.state == FollowerState::Streaming && behind(follower.acked))
}

/// Looks whether a stop that is under way can end, until it does.
pub async fn run(node: Arc<Node>) {
    loop {
        tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK) => Shutting::look(&node),
        }
    }
}
