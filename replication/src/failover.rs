//! Handing over in order: when a leader may yield to one of its replicas.
//!
//! A failover begins with writes held. Once the replica that is meant, or any, has acknowledged
//! the whole log, the leader follows it, and says so in its PSYNC; the replica leads from then on.
//! So nothing is lost. If the time is over before that, it is given up, or done all the same if
//! that was asked for.
//!
//! Left out: holding writes, and the PSYNC itself.

use crate::follower::FollowerState;
use crate::status::FollowerStatus;

/// How far a failover is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// There is none.
    #[default]
    None,
    /// A replica has to catch up.
    WaitingForSync,
    /// This node asks the replica to lead.
    InProgress,
}

impl State {
    /// The state as INFO prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "no-failover",
            Self::WaitingForSync => "waiting-for-sync",
            Self::InProgress => "failover-in-progress",
        }
    }
}

/// Where a replica is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As announced, or its connection's.
    pub host: String,
    /// The port that it has told.
    pub port: u16,
}

impl Target {
    fn of(follower: &FollowerStatus) -> Self {
        Self { host: follower.address.clone(), port: follower.port }
    }

    fn is(&self, follower: &FollowerStatus) -> bool {
        self.port == follower.port && self.host.eq_ignore_ascii_case(&follower.address)
    }
}

/// Why a failover cannot begin. The texts are replies to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another is under way.
    #[error("FAILOVER already in progress.")]
    UnderWay,
    /// Nobody follows.
    #[error("FAILOVER requires connected replicas.")]
    NoReplicas,
    /// Force needs to know whom and when.
    #[error("FAILOVER with force option requires both a timeout and target HOST and IP.")]
    Incomplete,
    /// Nobody who follows is reached there.
    #[error("FAILOVER target HOST and PORT is not a replica.")]
    Unknown,
    /// It does not follow the stream yet.
    #[error("FAILOVER target replica is not online.")]
    NotOnline,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing.
    Wait,
    /// Follow this node, and ask it to lead.
    HandOver {
        /// The node.
        to: Target,
        /// It has not acknowledged everything.
        forced: bool,
    },
    /// Give up: nobody has caught up in time.
    GiveUp,
}

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The replica that is to lead; any if none is named.
    pub to: Option<Target>,
    /// Do it at the end of the time all the same.
    pub force: bool,
    /// Milliseconds after which it is given up, or forced.
    pub timeout_ms: Option<u64>,
}

/// The failover of a node, if one is under way.
#[derive(Clone, Debug, Default)]
pub struct Failover {
    state: State,
    to: Option<Target>,
    force: bool,
    deadline_ms: Option<u64>,
}

impl Failover {
    /// How far it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whom it is for, if that is known.
    pub fn target(&self) -> Option<&Target> {
        self.to.as_ref()
    }

    /// Begins one. From here on the log must not grow.
    ///
    /// # Errors
    /// Why it cannot; nothing has begun then.
    pub fn begin(
        &mut self,
        wish: Wish,
        followers: &[FollowerStatus],
        now_ms: u64,
    ) -> Result<(), Refused> {
        if self.state != State::None {
            return Err(Refused::UnderWay);
        }
        if followers.is_empty() {
            return Err(Refused::NoReplicas);
        }
        if wish.force && (wish.timeout_ms.is_none() || wish.to.is_none()) {
            return Err(Refused::Incomplete);
        }
        if let Some(to) = &wish.to {
            let found = followers.iter().find(|follower| to.is(follower));
            let found = found.ok_or(Refused::Unknown)?;
            if !matches!(found.state, FollowerState::Loading | FollowerState::Streaming) {
                return Err(Refused::NotOnline);
            }
        }
        *self = Self {
            state: State::WaitingForSync,
            to: wish.to,
            force: wish.force,
            deadline_ms: wish.timeout_ms.map(|ms| now_ms.saturating_add(ms)),
        };
        Ok(())
    }

    /// Looks how far the replicas are; the log ends at `offset`.
    pub fn look(&mut self, followers: &[FollowerStatus], offset: u64, now_ms: u64) -> Look {
        if self.state != State::WaitingForSync {
            return Look::Wait;
        }
        if self.deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms) {
            return match self.to.clone().filter(|_| self.force) {
                Some(to) => self.hand_over(to, true),
                None => Look::GiveUp,
            };
        }
        let has_all = |follower: &&FollowerStatus| {
            follower.state == FollowerState::Streaming && follower.acked == offset
        };
        let meant = |follower: &&FollowerStatus| match &self.to {
            Some(to) => to.is(follower),
            // Who has told no port cannot be reached.
            None => follower.port != 0,
        };
        match followers.iter().filter(meant).find(has_all).map(Target::of) {
            Some(to) => self.hand_over(to, false),
            None => Look::Wait,
        }
    }

    fn hand_over(&mut self, to: Target, forced: bool) -> Look {
        self.state = State::InProgress;
        self.to = Some(to.clone());
        Look::HandOver { to, forced }
    }

    /// Ends it, done or given up; answers how far it was.
    pub fn end(&mut self) -> State {
        std::mem::take(self).state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::follower::FollowerId;

    fn follower(port: u16, state: FollowerState, acked: u64) -> FollowerStatus {
        FollowerStatus {
            id: FollowerId(u64::from(port)),
            address: "10.0.0.1".into(),
            port,
            state,
            acked,
            sent: acked,
            lag_ms: 0,
            greeting: None,
        }
    }

    fn to(port: u16) -> Option<Target> {
        Some(Target { host: "10.0.0.1".into(), port })
    }

    #[test]
    fn it_begins_only_when_it_can_end() {
        let online = [follower(1, FollowerState::Streaming, 5)];
        let copying = [follower(1, FollowerState::WaitingSnapshot, 0)];
        let mut failover = Failover::default();
        let forced = |to, timeout_ms| Wish { to, force: true, timeout_ms };
        for (wish, followers, refused) in [
            (Wish::default(), [].as_slice(), Refused::NoReplicas),
            (forced(None, Some(1)), &online, Refused::Incomplete),
            (forced(to(1), None), &online, Refused::Incomplete),
            (Wish { to: to(2), ..Wish::default() }, &online, Refused::Unknown),
            (Wish { to: to(1), ..Wish::default() }, &copying, Refused::NotOnline),
        ] {
            assert_eq!(failover.begin(wish, followers, 0), Err(refused));
            assert_eq!(failover.state(), State::None);
        }
        assert_eq!(failover.begin(Wish::default(), &online, 0), Ok(()));
        assert_eq!(failover.begin(Wish::default(), &online, 0), Err(Refused::UnderWay));
    }

    #[test]
    fn it_waits_for_whoever_has_everything() {
        let mut failover = Failover::default();
        let mut followers =
            [follower(0, FollowerState::Streaming, 9), follower(2, FollowerState::Streaming, 8)];
        failover.begin(Wish::default(), &followers, 0).unwrap();
        assert_eq!(failover.look(&followers, 9, 0), Look::Wait, "nobody knows its port");
        followers[1].acked = 9;
        let over = Look::HandOver { to: to(2).unwrap(), forced: false };
        assert_eq!(failover.look(&followers, 9, 0), over);
        assert_eq!(failover.look(&followers, 9, 0), Look::Wait);
        assert_eq!((failover.state(), failover.target()), (State::InProgress, to(2).as_ref()));
        assert_eq!((failover.end(), failover.end()), (State::InProgress, State::None));
    }

    #[test]
    fn it_waits_for_whom_it_is_meant_and_no_longer_than_told() {
        let followers =
            [follower(1, FollowerState::Streaming, 9), follower(2, FollowerState::Streaming, 8)];
        for force in [false, true] {
            let mut failover = Failover::default();
            let wish = Wish { to: to(2), force, timeout_ms: Some(50) };
            failover.begin(wish, &followers, 100).unwrap();
            assert_eq!(failover.look(&followers, 9, 149), Look::Wait);
            let late = match force {
                true => Look::HandOver { to: to(2).unwrap(), forced: true },
                false => Look::GiveUp,
            };
            assert_eq!(failover.look(&followers, 9, 150), late);
        }
    }
}
