//! A replica as a server would drive it: one task, a loader, and an applier that lags.

use eave_replication::greeting::{Greeting, Packing};
use eave_replication::payload::Framing;
use eave_replication::replica::{Action, Event, Introduction, LinkError, Replica, ReplicaConfig};
use eave_replication::{Position, ReplicationId};

use crate::Tally;
use crate::network::Link;
use crate::packing;
use crate::rng::Rng;

fn config(packs: bool) -> ReplicaConfig {
    let packing = packs.then_some(Packing::Lz4);
    let greeting = Some(Greeting { packing, ..Greeting::default() });
    ReplicaConfig {
        introduction: Introduction { greeting, ..Introduction::default() },
        timeout_ms: 3000,
        ack_period_ms: 300,
        retry_min_ms: 20,
        retry_max_ms: 500,
    }
}

/// What the replica wants of the network.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Connect,
    Close,
}

pub(crate) struct ReplicaNode {
    pub(crate) replica: Replica,
    /// The data set; stands for the replica's position.
    pub(crate) data: Vec<u8>,
    /// Whether it can find an end mark.
    pub(crate) capable: bool,
    /// Whether it asks its leader to pack.
    pub(crate) packs: bool,
    /// Whether what comes is packed.
    unpacks: bool,
    /// The history it last followed.
    known_as: Option<ReplicationId>,
    /// Received and not applied.
    pending: Vec<u8>,
    /// Received, and not taken while a snapshot is installed.
    held: Vec<u8>,
    loading: Option<Vec<u8>>,
    install_ms: Option<u64>,
    pub(crate) paused_until_ms: u64,
    out: Vec<u8>,
    wishes: Vec<Wish>,
}

impl ReplicaNode {
    pub(crate) fn new(
        data: Vec<u8>,
        position: Option<Position>,
        (capable, packs): (bool, bool),
        now_ms: u64,
    ) -> Self {
        Self {
            replica: Replica::new(config(packs), position, now_ms),
            data,
            capable,
            packs,
            unpacks: false,
            known_as: position.map(|at| at.id),
            pending: Vec::new(),
            held: Vec::new(),
            loading: None,
            install_ms: None,
            paused_until_ms: 0,
            out: Vec::new(),
            wishes: Vec::new(),
        }
    }

    pub(crate) fn take_wishes(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.wishes)
    }

    /// Reports something, and carries out what follows.
    pub(crate) fn step(&mut self, event: Event, now_ms: u64, tally: &mut Tally) {
        for action in self.replica.step(event, now_ms) {
            self.carry_out(action, now_ms, tally);
        }
    }

    /// Reads from its link.
    pub(crate) fn receive(
        &mut self,
        link: &mut Link,
        now_ms: u64,
        rng: &mut Rng,
        tally: &mut Tally,
    ) {
        if self.paused_until_ms > now_ms || self.install_ms.is_some() || self.pending.len() > 2000 {
            return;
        }
        let mut bytes = std::mem::take(&mut self.held);
        let mut arrived = link.to_replica.receive(now_ms, rng);
        if self.unpacks {
            packing::invert(&mut arrived);
        }
        let unpacked = self.unpacks;
        bytes.extend(arrived);
        let mut actions = Vec::new();
        let taken = self.replica.receive(&bytes, now_ms, &mut actions);
        for action in actions {
            self.carry_out(action, now_ms, tally);
        }
        if self.install_ms == Some(0) {
            self.install_ms = Some(now_ms + 1 + rng.below(500));
        }
        let begins = self.unpacks && !unpacked;
        let reason = self.install_ms.is_some() || begins;
        assert!(taken == bytes.len() || reason, "stopped without reason");
        self.held = bytes.split_off(taken);
        if begins {
            packing::invert(&mut self.held);
        }
    }

    /// Applies some of what it received, or installs what it loaded.
    pub(crate) fn work(&mut self, now_ms: u64, rng: &mut Rng, tally: &mut Tally) {
        if self.paused_until_ms > now_ms {
            return;
        }
        if self.install_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.install_ms = None;
            let Some(data) = self.loading.take() else { return };
            if rng.once_in(30) {
                *tally.entry("installation failed").or_default() += 1;
                return self.step(Event::InstallFailed, now_ms, tally);
            }
            *tally.entry("full resync").or_default() += 1;
            self.data = data;
            self.step(Event::Installed, now_ms, tally);
            self.known_as = self.replica.position().map(|at| at.id);
        }
        let ready = rng.size(self.pending.len());
        if ready > 0 {
            if self.paused_until_ms > 0 {
                *tally.entry("applied after a pause").or_default() += 1;
            }
            self.data.extend(self.pending.drain(..ready));
            self.step(Event::Applied(ready as u64), now_ms, tally);
        }
        if rng.once_in(50) {
            self.step(Event::AckRequested, now_ms, tally);
        }
    }

    pub(crate) fn flush(&mut self, link: &mut Link, now_ms: u64, rng: &mut Rng) {
        let sent = link.to_leader.send(&self.out, now_ms, rng);
        self.out.drain(..sent);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.held.is_empty()
    }

    fn carry_out(&mut self, action: Action<'_>, now_ms: u64, tally: &mut Tally) {
        match action {
            Action::Connect => self.wishes.push(Wish::Connect),
            Action::Send(bytes) => self.out.extend(bytes),
            Action::Unpack(packing) => {
                assert_eq!((self.packs, packing), (true, Packing::Lz4));
                assert!(!std::mem::replace(&mut self.unpacks, true));
                *tally.entry("packed").or_default() += 1;
            }
            Action::BeginLoad { framing, .. } => {
                assert!(self.loading.replace(Vec::new()).is_none());
                let name = match framing {
                    Framing::Length(_) => "counted payload",
                    Framing::EofMark(_) => "marked payload",
                };
                *tally.entry(name).or_default() += 1;
            }
            Action::Load(bytes) => self.loading.as_mut().unwrap().extend_from_slice(&bytes),
            Action::Install => self.install_ms = Some(0),
            Action::DiscardLoad => {
                if self.loading.take().is_some() {
                    *tally.entry("broke inside a snapshot").or_default() += 1;
                }
                self.install_ms = None;
            }
            Action::Resumed(at) => {
                assert_eq!(self.replica.position(), Some(at));
                if self.known_as.replace(at.id).is_some_and(|id| id != at.id) {
                    *tally.entry("resumed under a new id").or_default() += 1;
                }
                *tally.entry("partial resync").or_default() += 1;
            }
            Action::Apply(bytes) => self.pending.extend_from_slice(bytes),
            Action::Close(error) => self.close(&error, now_ms, tally),
        }
    }

    fn close(&mut self, error: &LinkError, _now_ms: u64, tally: &mut Tally) {
        assert!(!matches!(error, LinkError::Protocol(_)), "{error}");
        if *error == LinkError::Timeout {
            *tally.entry("replica noticed silence").or_default() += 1;
        }
        if !self.pending.is_empty() {
            *tally.entry("received bytes came again").or_default() += 1;
        }
        self.pending.clear();
        self.held.clear();
        self.unpacks = false;
        self.out.clear();
        self.install_ms = None;
        self.wishes.push(Wish::Close);
    }
}
