//! Epochs: telling an old leader that another node leads, and hearing it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use eave_replication::epoch::Notice;
use eave_replication::greeting::Greeting;
use eave_replication::wire::{self, LineReader, Reply};
use eave_replication::{Position, ReplicationId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::link;
use crate::config;
use crate::node::Node;

/// Time between two attempts to reach the old leader: it comes back once.
const AGAIN: Duration = Duration::from_secs(1);

/// How long an attempt may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What this node tells others of itself.
pub fn greeting(node: &Node) -> Greeting {
    let (at, from) = {
        let mut log = node.log.lock();
        (log.backlog().position(), log.backlog().second())
    };
    let region = node.config.load().region.clone();
    let region = (!region.is_empty()).then_some(region);
    Greeting { region, ..node.replication.reign.lock().greeting(at, from) }
}

/// Answers another node's greeting. If it says that this leader has been superseded, it is from
/// here on.
pub fn answer(node: &Node, heard: &Greeting) -> Greeting {
    let mut told = greeting(node);
    if heard.fence.is_some() {
        // While this is held nobody changes which history this node has, or whether it leads.
        let term = node.replication.term.lock();
        let at = node.log.lock().backlog().position();
        let fenced =
            !node.replication.is_replica() && node.replication.reign.lock().heard(heard, at);
        told.fenced = Some(fenced);
        if fenced && !node.replication.is_fenced() {
            node.replication.fence(true);
            let from = heard.fence.map_or(at.offset, |from| from.offset);
            tracing::error!(
                "another node leads since epoch {}: no writes are taken until this node follows it \
                 (REPLICAOF) or is told to lead (REPLICAOF NO ONE); {} bytes of the log were \
                 written here alone",
                heard.epoch.unwrap_or(0),
                at.offset.saturating_sub(from),
            );
        }
        drop(term);
    }
    told
}

/// This node leads from now on, under this id. Its caller holds the term.
pub(super) fn promoted(node: &Node, id: ReplicationId, position: Option<Position>) {
    let orphaned = !node.replication.is_connected();
    let old = node.log.lock().backlog().position();
    let leader = node.replication.target.get();
    let mut reign = node.replication.reign.lock();
    // Without a history of the leader's there is nothing to have taken over.
    reign.promoted(old, id, orphaned && position.is_some_and(|at| at.id == old.id));
    node.replication.fence(false);
    let epoch = reign.epoch();
    tracing::info!("epoch {} begins: this node leads history {id}", epoch);
    node.replication.owed.send_replace(leader.zip(reign.notice()));
    drop(reign);
    node.replication.leader.lock().tell_epoch(epoch);
}

/// This node follows another from now on.
pub(super) fn follows(node: &Node) {
    node.replication.reign.lock().follows();
    node.replication.owed.send_replace(None);
}

/// This node holds what its leader has.
pub(super) fn followed(node: &Node, leader: Option<&Greeting>) {
    let epoch = {
        let mut reign = node.replication.reign.lock();
        reign.followed(leader);
        reign.epoch()
    };
    node.replication.fence(false);
    node.replication.leader.lock().tell_epoch(epoch);
}

/// This node, which is fenced, is told to lead.
pub fn lead(node: &Node) {
    let mut reign = node.replication.reign.lock();
    reign.lead();
    node.replication.fence(false);
    let epoch = reign.epoch();
    tracing::warn!("told to lead: epoch {epoch} begins");
    drop(reign);
    node.replication.leader.lock().tell_epoch(epoch);
}

/// The lines of INFO.
pub(super) fn info_lines(node: &Node, mut put: impl FnMut(&str, String)) {
    let reign = node.replication.reign.lock();
    put("eave_epoch", reign.epoch().to_string());
    put("eave_fenced_by_epoch", reign.fence().map_or(0, |fence| fence.epoch).to_string());
    put("eave_old_leader_to_tell", u8::from(reign.notice().is_some()).to_string());
    drop(reign);
    node.replication.alone.lock().info_lines(put);
}

/// Tells old leaders, until the node stops.
pub(super) async fn run(node: Arc<Node>) {
    let mut owed = node.replication.owed.subscribe();
    loop {
        let now = owed.borrow_and_update().clone();
        let telling = async {
            match now {
                Some((leader, notice)) => tell_until_heard(&node, &leader, notice).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return,
            changed = owed.changed() => if changed.is_err() { return },
            () = telling => {}
        }
    }
}

async fn tell_until_heard(node: &Node, leader: &config::Leader, notice: Notice) {
    let fenced = loop {
        match tokio::time::timeout(PATIENCE, tell(node, leader, notice)).await {
            Ok(Ok(fenced)) => break fenced,
            Ok(Err(error)) => tracing::debug!("old leader {leader} not told yet: {error}"),
            Err(_) => {}
        }
        tokio::time::sleep(AGAIN).await;
    };
    node.replication.reign.lock().told(notice);
    if fenced {
        tracing::warn!("old leader {leader} is told: it takes no more writes of its own");
    } else {
        tracing::info!("old leader {leader} is back, and does not lead that history any longer");
    }
    node.replication.owed.send_if_modified(|owed| {
        let told = owed.as_ref().is_some_and(|(_, other)| *other == notice);
        if told {
            *owed = None;
        }
        told
    });
}

/// Tells once; answers whether the old leader is fenced now.
async fn tell(node: &Node, leader: &config::Leader, notice: Notice) -> io::Result<bool> {
    let config = node.config.load_full();
    let address = (leader.host.as_str(), leader.port);
    let mut stream = link::open(node, address, config.tls.replication).await?;
    let mut request = Vec::new();
    let mut answers = 1;
    if let Some(credentials) = link::replica_config(&config).introduction.credentials {
        request.extend(credentials.request());
        answers += 1;
    }
    request.extend(notice.greeting().request());
    stream.write_all(&request).await?;
    stream.flush().await?;
    let mut lines = LineReader::default();
    let mut buffer = [0; 1024];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut input = &buffer[..length];
        while let Some(line) = lines.next(&mut input).map_err(io::Error::other)? {
            let reply = Reply::parse(&line).map_err(io::Error::other)?;
            answers -= 1;
            match reply {
                Reply::Error(text) if wire::is_temporary(&text) => {
                    return Err(io::Error::other(text));
                }
                Reply::Status(text) if answers == 0 => {
                    let told = Greeting::of_answer(&text);
                    return Ok(told.and_then(|told| told.fenced).unwrap_or(false));
                }
                // A redis-server, or one that does not let us in.
                Reply::Error(_) if answers == 0 => return Ok(false),
                _ => {}
            }
        }
    }
}
