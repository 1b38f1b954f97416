//! What INFO and ROLE tell of replication, in Redis' names.

use eave_replication::greeting::Greeting;
use eave_replication::leader::FollowerState;
use eave_replication::status::{FollowerStatus, LeaderStatus, LinkState, ReplicaStatus};

use crate::clock;
use crate::config;
use crate::node::Node;
use crate::resp::Reply;

/// `master_replid2` while there is none.
const NO_ID: &str = "0000000000000000000000000000000000000000";

/// The lines of INFO's replication section, names and values, in Redis' order.
pub fn info_lines(node: &Node) -> Vec<(String, String)> {
    let mut lines = Lines(Vec::new());
    let leader = node.replication.target.get();
    lines.put("role", if leader.is_some() { "slave" } else { "master" });
    if let Some(leader) = leader {
        let status = node.replication.status.lock().clone();
        replica_lines(node, &leader, status.as_ref(), &mut lines);
    }
    leader_lines(node, &leader_status(node), &mut lines);
    // What Redis does not have stands behind what it has.
    lines.put("eave_region", &node.config.load().region);
    let packed = node.replication.packed.lines().into_iter();
    packed.for_each(|(name, value)| lines.put(name, value));
    let copying = node.replication.copying.lines().into_iter();
    copying.for_each(|(name, value)| lines.put(name, value));
    if node.replication.is_replica() {
        let status = node.replication.status.lock();
        let greeting = status.as_ref().and_then(|status| status.greeting.as_ref());
        lines.put("eave_leader_region", region(greeting).unwrap_or_default());
        let packing = greeting.and_then(|greeting| greeting.packing);
        drop(status);
        lines.put("master_link_compression", packing.map_or("no", |packing| packing.name()));
        let own = super::forward::info_lines(node).into_iter();
        own.for_each(|(name, value)| lines.put(name, value));
    }
    lines.0
}

/// How this node's followers are, and its log.
pub fn leader_status(node: &Node) -> LeaderStatus {
    let leader = node.replication.leader.lock();
    leader.status(node.log.lock().backlog(), clock::monotonic_ms())
}

struct Lines(Vec<(String, String)>);

impl Lines {
    fn put(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.push((name.to_owned(), format!("{value}")));
    }
}

fn replica_lines(
    node: &Node,
    leader: &config::Leader,
    status: Option<&ReplicaStatus>,
    lines: &mut Lines,
) {
    let state = status.map_or(LinkState::Connect, |status| status.state);
    let up = state == LinkState::Connected;
    lines.put("master_host", &leader.host);
    lines.put("master_port", leader.port);
    lines.put("master_link_status", if up { "up" } else { "down" });
    let heard = status.filter(|_| up).map(|status| status.heard_ago_ms / 1000);
    lines.put("master_last_io_seconds_ago", or_minus_one(heard));
    lines.put("master_sync_in_progress", u8::from(state == LinkState::Sync));
    let applied = node.log.offset();
    let received = status.map_or(0, |status| status.received).max(applied);
    lines.put("slave_read_repl_offset", received);
    lines.put("slave_repl_offset", applied);
    if let Some(status) = status {
        if state == LinkState::Sync {
            sync_lines(status, lines);
        }
        if !up {
            let since = status.down_for_ms.map(|age| age / 1000);
            lines.put("master_link_down_since_seconds", or_minus_one(since));
        }
    }
    lines.put("slave_priority", node.config.load().replica_priority);
    lines.put("slave_read_only", u8::from(node.config.load().replica_read_only));
    lines.put("replica_announced", u8::from(node.config.load().replica_announced));
}

fn sync_lines(status: &ReplicaStatus, lines: &mut Lines) {
    let progress = status.payload.unwrap_or_default();
    let total = progress.total.unwrap_or(0);
    lines.put("master_sync_total_bytes", total);
    lines.put("master_sync_read_bytes", progress.received);
    lines.put("master_sync_left_bytes", i128::from(total) - i128::from(progress.received));
    let share = if total == 0 { 0.0 } else { progress.received as f64 / total as f64 * 100.0 };
    lines.put("master_sync_perc", format!("{share:.2}"));
    lines.put("master_sync_last_io_seconds_ago", status.heard_ago_ms / 1000);
}

fn leader_lines(node: &Node, status: &LeaderStatus, lines: &mut Lines) {
    lines.put("connected_slaves", status.followers.len());
    if let Some(good) = super::enough::good(&node.config.load(), status) {
        lines.put("min_slaves_good_slaves", good);
    }
    for (index, follower) in status.followers.iter().enumerate() {
        let FollowerStatus { address, port, state, acked, lag_ms, greeting, .. } = follower;
        let (state, lag) = (state.name(), lag_ms / 1000);
        let mut value = format!("ip={address},port={port},state={state},offset={acked},lag={lag}");
        if let Some(region) = region(greeting.as_ref()) {
            // Behind all that others look for: Redis itself adds fields there.
            value.push_str(",region=");
            value.push_str(region);
        }
        lines.put(&format!("slave{index}"), value);
    }
    lines.put("master_failover_state", super::failover::state(node).name());
    lines.put("master_replid", status.position.id);
    match status.second {
        Some(second) => lines.put("master_replid2", second.id),
        None => lines.put("master_replid2", NO_ID),
    }
    lines.put("master_repl_offset", status.position.offset);
    // The wire counts bytes from one.
    let second = status.second.map(|second| second.offset.saturating_add(1));
    lines.put("second_repl_offset", or_minus_one(second));
    lines.put("repl_backlog_active", u8::from(status.backlog_start.is_some()));
    lines.put("repl_backlog_size", status.backlog_size);
    let first = status.backlog_start.map_or(0, |start| start.saturating_add(1));
    lines.put("repl_backlog_first_byte_offset", first);
    lines.put("repl_backlog_histlen", status.backlog_len());
    super::epochs::info_lines(node, |name, value| lines.put(name, value));
}

/// The region that another node says it is in.
fn region(greeting: Option<&Greeting>) -> Option<&str> {
    greeting?.region.as_deref()
}

fn or_minus_one(number: Option<u64>) -> String {
    number.map_or_else(|| "-1".to_owned(), |number| number.to_string())
}

/// Answers ROLE.
pub fn answer_role(node: &Node, reply: &mut dyn Reply) {
    let leader = node.replication.target.get();
    match leader {
        Some(leader) => answer_replica(node, &leader, reply),
        None => answer_leader(&leader_status(node), reply),
    }
}

fn answer_leader(status: &LeaderStatus, reply: &mut dyn Reply) {
    let online = |follower: &&FollowerStatus| {
        matches!(follower.state, FollowerState::Loading | FollowerState::Streaming)
    };
    let followers: Vec<&FollowerStatus> = status.followers.iter().filter(online).collect();
    reply.array(3);
    reply.bulk(b"master");
    reply.integer(signed(status.position.offset));
    reply.array(followers.len());
    for follower in followers {
        reply.array(3);
        reply.bulk(follower.address.as_bytes());
        reply.bulk(follower.port.to_string().as_bytes());
        reply.bulk(follower.acked.to_string().as_bytes());
    }
}

fn answer_replica(node: &Node, leader: &config::Leader, reply: &mut dyn Reply) {
    let status = node.replication.status.lock().clone();
    let state = status.as_ref().map_or(LinkState::Connect, |status| status.state);
    reply.array(5);
    reply.bulk(b"slave");
    reply.bulk(leader.host.as_bytes());
    reply.integer(i64::from(leader.port));
    reply.bulk(state.name().as_bytes());
    let position = status.and_then(|status| status.position);
    reply.integer(position.map_or(-1, |at| signed(at.offset)));
}

fn signed(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}
