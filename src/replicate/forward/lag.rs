//! How old the data of a replica is at most.
//!
//! The leader is asked every now and then where it is in its history. Once this node has applied
//! that far it has everything that was written before the question was sent: so its data is no
//! older than that moment. Only this node's own clock is read, and a slow answer makes the bound
//! larger, never too small.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::clock;
use crate::node::Replication;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Answers that may wait to be applied; until then no more is asked.
const PROBES: usize = 64;

/// Milliseconds between two questions when nothing depends on them.
const PERIOD_MS: u64 = 500;

/// Fewest milliseconds between two questions.
const SHORTEST_MS: u64 = 20;

/// See the module's description.
#[derive(Debug, Default)]
pub struct Lag {
    probes: Mutex<VecDeque<Probe>>,
    /// Monotonic milliseconds at which this node had everything; 0 = it is not known to have had.
    fresh_ms: AtomicU64,
}

/// Where the leader was.
#[derive(Clone, Copy, Debug)]
struct Probe {
    offset: u64,
    /// When it was asked, less what it was behind its own leader.
    at_ms: u64,
}

impl Lag {
    /// Notes where the leader was when it was asked at `asked_ms`.
    pub(super) fn leader_was_at(&self, offset: i64, behind_ms: i64, asked_ms: u64) {
        let (Ok(offset), Ok(behind_ms)) = (u64::try_from(offset), u64::try_from(behind_ms)) else {
            return;
        };
        let mut probes = self.probes.lock();
        if probes.len() < PROBES {
            probes.push_back(Probe { offset, at_ms: asked_ms.saturating_sub(behind_ms) });
        }
    }

    /// Notes how far this node is.
    pub(super) fn applied(&self, offset: u64) {
        let mut probes = self.probes.lock();
        while let Some(probe) = probes.front().copied()
            && probe.offset <= offset
        {
            probes.pop_front();
            self.fresh_ms.fetch_max(probe.at_ms, Ordering::Relaxed);
        }
    }

    /// Whether the leader may be asked again.
    pub(super) fn may_probe(&self) -> bool {
        self.probes.lock().len() < PROBES
    }

    /// Milliseconds between two questions, when the data may be `most_ms` old; 0 = as old as it is.
    pub(super) fn period_ms(&self, most_ms: u64) -> u64 {
        if most_ms == 0 { PERIOD_MS } else { (most_ms / 4).clamp(SHORTEST_MS, PERIOD_MS) }
    }

    /// Forgets all, since another is followed.
    pub(super) fn forget(&self) {
        self.probes.lock().clear();
        self.fresh_ms.store(0, Ordering::Relaxed);
    }
}

impl Replication {
    /// How old the data of this replica is at most, in milliseconds; `None` while that is not
    /// known. Of a leader that is not asked where it is, as a redis-server, it counts when it was
    /// heard last.
    pub fn staleness_ms(&self) -> Option<u64> {
        match self.lag.fresh_ms.load(Ordering::Relaxed) {
            0 if self.forwarding.is_offered() => None,
            0 => {
                let status = self.status.lock();
                let status = status.as_ref()?;
                let up = status.state == eave_replication::status::LinkState::Connected;
                up.then_some(status.heard_ago_ms)
            }
            fresh_ms => Some(clock::monotonic_ms().saturating_sub(fresh_ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh_ms(lag: &Lag) -> u64 {
        lag.fresh_ms.load(Ordering::Relaxed)
    }

    #[test]
    fn data_is_as_old_as_the_last_question_whose_answer_is_applied() {
        let lag = Lag::default();
        lag.leader_was_at(100, 0, 1_000);
        lag.leader_was_at(150, 30, 1_100);
        lag.applied(99);
        assert_eq!(fresh_ms(&lag), 0);
        lag.applied(120);
        assert_eq!(fresh_ms(&lag), 1_000);
        lag.applied(150);
        assert_eq!(fresh_ms(&lag), 1_070);
        // An answer that was on its way for long tells of the time when it was asked for.
        lag.leader_was_at(150, 0, 900);
        lag.applied(150);
        assert_eq!(fresh_ms(&lag), 1_070);
        lag.leader_was_at(-1, 0, 2_000);
        lag.applied(u64::MAX);
        assert_eq!(fresh_ms(&lag), 1_070);
    }

    #[test]
    fn a_leader_far_ahead_is_not_asked_for_ever() {
        let lag = Lag::default();
        for n in 0..100 {
            lag.leader_was_at(1_000 + n, 0, 10);
        }
        assert!(!lag.may_probe());
        assert_eq!(lag.probes.lock().len(), PROBES);
        lag.applied(1_000);
        assert!(lag.may_probe());
        assert_eq!([lag.period_ms(0), lag.period_ms(40), lag.period_ms(9_000)], [500, 20, 500]);
    }
}
