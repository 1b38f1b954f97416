//! Whether enough replicas follow for writes to be taken: `min-replicas-to-write`.
//!
//! It is looked at ten times a second, when a replica acknowledges something and when settings
//! change; commands see one bit among the rare ones.

use eave_replication::leader::FollowerState;
use eave_replication::status::{FollowerStatus, LeaderStatus};

use crate::config::Config;
use crate::fault::Fault;
use crate::node::Node;
use crate::rare::Rare;

/// What a writer is told if they are too few.
pub(crate) const TOO_FEW: Fault = Fault::new("NOREPLICAS Not enough good replicas to write.");

/// Whether the settings ask for replicas.
fn asks(config: &Config) -> bool {
    config.min_replicas_to_write > 0 && config.min_replicas_max_lag > 0
}

/// How many replicas follow and were heard lately; nothing if it does not matter.
pub(super) fn good(config: &Config, status: &LeaderStatus) -> Option<usize> {
    let most_ms = u64::from(config.min_replicas_max_lag) * 1000;
    let is_good = |follower: &&FollowerStatus| {
        follower.state == FollowerState::Streaming && follower.lag_ms <= most_ms
    };
    asks(config).then(|| status.followers.iter().filter(is_good).count())
}

/// Looks whether they are enough.
pub(crate) fn look(node: &Node) {
    let config = node.config.load();
    let few = asks(&config)
        && !node.replication.is_replica()
        && good(&config, &super::status::leader_status(node))
            .is_some_and(|good| good < config.min_replicas_to_write as usize);
    if few == node.rare.get().contains(Rare::FEW_REPLICAS) {
        return;
    }
    if few {
        node.rare.set(Rare::FEW_REPLICAS);
    } else {
        node.rare.clear(Rare::FEW_REPLICAS);
    }
}

/// Asks whether there are enough for a write.
///
/// # Errors
/// That they are too few.
#[inline]
pub(crate) fn admit(node: &Node) -> Result<(), Fault> {
    if node.rare.get().contains(Rare::FEW_REPLICAS) { Err(TOO_FEW) } else { Ok(()) }
}
