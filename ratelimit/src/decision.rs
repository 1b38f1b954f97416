//! What a call answers: the decision for the client, the change for the store.

use crate::rule::Rule;

/// What the client is told. Every number is in `0..=i64::MAX`, except that
/// `retry_after_ms` may be -1, so that all of them fit an integer reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the cost fits (and, for a take, was consumed).
    pub allowed: bool,
    /// The rule's limit.
    pub limit: i64,
    /// What could still be taken at this moment, after this call. It counts
    /// down from the limit, under `gcra` from the burst.
    pub remaining: i64,
    /// 0 if allowed, -1 if the cost can never fit the rule, else the smallest
    /// number of milliseconds after which this call succeeds absent others.
    pub retry_after_ms: i64,
    /// Milliseconds until the full quota is back absent other calls.
    pub reset_after_ms: i64,
}

impl Decision {
    /// The five integers in the order of the status array.
    #[must_use]
    pub fn status(&self) -> [i64; 5] {
        [
            i64::from(self.allowed),
            self.limit,
            self.remaining,
            self.retry_after_ms,
            self.reset_after_ms,
        ]
    }

    /// An allowed call that leaves `remaining`, full again after `reset_after` ms.
    pub(crate) fn allowed(rule: &Rule, remaining: u64, reset_after: u64) -> Self {
        Self {
            allowed: true,
            limit: reply(rule.limit()),
            remaining: reply(remaining),
            retry_after_ms: 0,
            reset_after_ms: reply(reset_after),
        }
    }

    /// A refused call; `retry_after` is `None` if it can never succeed.
    pub(crate) fn refused(
        rule: &Rule,
        remaining: u64,
        retry_after: Option<u64>,
        reset_after: u64,
    ) -> Self {
        Self {
            allowed: false,
            retry_after_ms: retry_after.map_or(-1, reply),
            ..Self::allowed(rule, remaining, reset_after)
        }
    }
}

/// What has to happen to the stored state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: keep the state and its expiry as they are.
    Keep,
    /// Replace the state by the bytes in `next`, to expire at this time.
    Store {
        /// Unix milliseconds at which the full quota is back, so that the
        /// state says nothing any more.
        expires_at_ms: u64,
    },
    /// Drop the state: the full quota is back.
    Remove,
}

/// A decision and the change that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// For the client.
    pub decision: Decision,
    /// For the store.
    pub change: Change,
}

impl Outcome {
    /// An answer that leaves the state alone.
    pub(crate) fn keep(decision: Decision) -> Self {
        Self { decision, change: Change::Keep }
    }
}

/// A number as a reply carries it. Every caller is below the bound already;
/// only a corrupt state could come near it.
fn reply(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
