//! The soft limits of `client-output-buffer-limit`: who leaves too much unread for too long.
//!
//! The hard limits act where bytes are added. Time passes without anything being added, so this
//! looks at everybody once a second.

use std::sync::atomic::Ordering;

use eave_replication::leader::FollowerId;

use crate::clients::Client;
use crate::clock;
use crate::config::{OutputLimit, OutputLimits};
use crate::node::Node;
use crate::observe::stats;

/// Closes those who have left more unread than the soft limit of their class for longer than it
/// allows.
pub fn close_slow(node: &Node) {
    let limits = node.config.load().client_output_buffer_limit;
    let now = clock::unix_ms();
    if limits.normal.soft > 0 || limits.pubsub.soft > 0 {
        for client in node.clients.list() {
            if !client.follower.load(Ordering::Relaxed) {
                judge(node, &client, client.unread(), class(&client, &limits), now);
            }
        }
    }
    if limits.replica.soft > 0 {
        for (id, unread) in behind(node) {
            if let Some(client) = node.clients.get(id.0) {
                judge(node, &client, unread, limits.replica, now);
            }
        }
    }
}

fn class(client: &Client, limits: &OutputLimits) -> OutputLimit {
    if client.is_listening() { limits.pubsub } else { limits.normal }
}

fn judge(node: &Node, client: &Client, unread: u64, limit: OutputLimit, now: u64) {
    if client.is_over(unread, limit, now) {
        stats::add(&node.stats.output_cut, 1);
        tracing::warn!("client {} is cut: it does not take what it is sent", client.id);
        client.close();
    }
}

/// Bytes of the stream that each follower has not taken yet.
fn behind(node: &Node) -> Vec<(FollowerId, u64)> {
    let leader = node.replication.leader.lock();
    let status = leader.status(node.log.lock().backlog(), clock::monotonic_ms());
    let end = status.position.offset;
    status.followers.iter().map(|one| (one.id, end.saturating_sub(one.sent))).collect()
}
