//! The connections of followers, as the leader's machine reaches them.
//!
//! A follower's task owns its socket; the machine's actions reach it as orders, in the order
//! of the events that caused them. The queue of orders is bounded: a follower that causes
//! orders and does not take them is cut.

use std::collections::BTreeMap;

use eave_replication::Leader;
use eave_replication::greeting::Packing;
use eave_replication::leader::{Action, CloseReason, Event, FollowerId, SnapshotId, Transfer};
use eave_replication::wire::Capabilities;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use super::snapshot::{Form, Part};
use crate::clock;
use crate::node::Node;

/// Orders that may wait for a follower: each is a line at most.
const ORDERS: usize = 1024;

/// Parts of a snapshot that may wait for a follower; a part is some 256 KiB.
const PARTS: usize = 4;

/// What a follower's task is to do, one after the other.
#[derive(Debug)]
pub(super) enum Order {
    /// Write a line.
    Send(Vec<u8>),
    /// Pack what is written from now on.
    Pack(Packing),
    /// Write a snapshot.
    Snapshot(Transfer, mpsc::Receiver<Part>),
    /// Write the stream from now on.
    Stream,
}

/// Where a snapshot's parts go, and in which form.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) follower: FollowerId,
    pub(super) form: Form,
    pub(super) parts: mpsc::Sender<Part>,
}

#[derive(Debug)]
struct Outlet {
    orders: mpsc::Sender<Order>,
    cut: oneshot::Sender<CloseReason>,
}

/// All of them, and the snapshot that is wanted.
#[derive(Debug)]
pub struct Outlets {
    all: Mutex<BTreeMap<FollowerId, Outlet>>,
    snapshot: watch::Sender<Option<SnapshotId>>,
}

impl Default for Outlets {
    fn default() -> Self {
        Outlets { all: Mutex::default(), snapshot: watch::channel(None).0 }
    }
}

impl Outlets {
    /// Adds a follower; answers where its orders come, and the end of its connection.
    pub(super) fn add(
        &self,
        id: FollowerId,
    ) -> (mpsc::Receiver<Order>, oneshot::Receiver<CloseReason>) {
        let (orders, receiver) = mpsc::channel(ORDERS);
        let (cut, ending) = oneshot::channel();
        self.all.lock().insert(id, Outlet { orders, cut });
        (receiver, ending)
    }

    /// Takes a follower out.
    pub(super) fn remove(&self, id: FollowerId) {
        self.all.lock().remove(&id);
    }

    /// The newest snapshot that was asked for, as it changes.
    pub(super) fn wanted_snapshot(&self) -> watch::Receiver<Option<SnapshotId>> {
        self.snapshot.subscribe()
    }

    fn order(&self, id: FollowerId, order: Order) {
        let mut all = self.all.lock();
        let full = all.get(&id).is_some_and(|outlet| outlet.orders.try_send(order).is_err());
        if full && let Some(outlet) = all.remove(&id) {
            let _ = outlet.cut.send(CloseReason::TooSlow);
        }
    }

    pub(super) fn close(&self, id: FollowerId, reason: CloseReason) {
        if let Some(outlet) = self.all.lock().remove(&id) {
            // Its task may have ended already.
            let _ = outlet.cut.send(reason);
        }
    }

    fn send_snapshot(&self, id: FollowerId, transfer: Transfer, to: Capabilities) -> Receiver {
        let (parts, receiver) = mpsc::channel(PARTS);
        self.order(id, Order::Snapshot(transfer, receiver));
        Receiver { follower: id, form: Form::of(to), parts }
    }
}

/// Tells the leader's machine what has happened, and does what it says. Answers who is to be
/// sent a snapshot that was cut.
pub(super) fn step(node: &Node, event: Event) -> Vec<Receiver> {
    // The machine stays locked until its orders are given, so they are given in its order.
    let mut leader = node.replication.leader.lock();
    perform(node, &mut leader, event)
}

/// Changes which history the log is, and cuts all who follow the old one: none of them gets a byte
/// of the new one, nor is let in to the old one in between.
pub(super) fn replace_history(node: &Node, change: impl FnOnce()) {
    let mut leader = node.replication.leader.lock();
    change();
    perform(node, &mut leader, Event::HistoryReplaced);
}

fn perform(node: &Node, leader: &mut Leader, event: Event) -> Vec<Receiver> {
    let actions = leader.step(event, node.log.lock().backlog(), clock::monotonic_ms());
    let outlets = &node.replication.outlets;
    let mut receivers = Vec::new();
    for action in actions {
        match action {
            Action::Send { follower, bytes } => outlets.order(follower, Order::Send(bytes)),
            Action::Pack { follower, packing } => outlets.order(follower, Order::Pack(packing)),
            Action::Stream(follower) => outlets.order(follower, Order::Stream),
            Action::Close { follower, reason } => outlets.close(follower, reason),
            Action::StartSnapshot(id) => _ = outlets.snapshot.send_replace(Some(id)),
            Action::SendSnapshot { follower, transfer, capabilities, .. } => {
                receivers.push(outlets.send_snapshot(follower, transfer, capabilities));
            }
            // Its task sees that nobody takes its parts any longer.
            Action::ReleaseSnapshot(_) => {}
        }
    }
    receivers
}
