//! The replica's side: connect, introduce, copy, follow, and start again when the link breaks.
//!
//! [`Replica::step`] takes what happened to the link, to the loader or to the clock;
//! [`Replica::receive`] takes the leader's bytes. Both return what the server has to do, in
//! order. The server decodes and applies the stream itself, and reports how far it got by
//! [`Event::Applied`]: only that moves the offset from which the replica goes on. Bytes that
//! it received and did not apply (half a command, an open transaction) are forgotten with the
//! link and come again.
//!
//! A full sync counts when the server reports [`Event::Installed`]. One that breaks off is
//! discarded, and the next try asks for everything.
//!
//! Left out on purpose: which leader to follow (a new one is a new [`Replica`] that starts at
//! the old one's [`Replica::position`]), and how stale reads may be.

use std::borrow::Cow;

use crate::greeting::{Greeting, Packing};
pub use crate::handshake::{Credentials, Introduction};
use crate::handshake::{Handshake, Outcome};
use crate::id::Position;
use crate::payload::{Framing, PayloadEvent, PayloadReader};
use crate::status::{LinkState, PayloadProgress, ReplicaStatus};
use crate::wire::{self, WireError};

/// The replica's directives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaConfig {
    /// What to tell the leader.
    pub introduction: Introduction,
    /// Milliseconds of silence after which the leader is gone (`repl-timeout`).
    pub timeout_ms: u64,
    /// Milliseconds between two acknowledgements.
    pub ack_period_ms: u64,
    /// Milliseconds before the first new try; each one that fails doubles them.
    pub retry_min_ms: u64,
    /// Milliseconds between two tries at most.
    pub retry_max_ms: u64,
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        Self {
            introduction: Introduction::default(),
            timeout_ms: 60_000,
            ack_period_ms: 1000,
            retry_min_ms: 100,
            retry_max_ms: 5000,
        }
    }
}

/// What happened to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The connection asked for is there.
    Connected,
    /// The connection asked for could not be made.
    ConnectFailed,
    /// The connection ended, or could not be written to. All that was applied before has been
    /// reported.
    Closed,
    /// This many more bytes of the stream are applied, counted at the ends of commands, and of
    /// transactions as a whole. PING and REPLCONF count as well.
    Applied(u64),
    /// The stream holds REPLCONF GETACK, and what came before it is applied and reported.
    AckRequested,
    /// The snapshot is the data set now. The stream begins with no database selected but 0,
    /// and no open transaction; after a partial resync both go on as they were applied.
    Installed,
    /// The snapshot was not understood, or did not fit.
    InstallFailed,
    /// Time passed; several times a second.
    Tick,
}

/// What the server has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Connect to the leader, then report [`Event::Connected`] or [`Event::ConnectFailed`].
    Connect,
    /// Write bytes to the leader.
    Send(Vec<u8>),
    /// What the leader sends behind this is packed: unpack it before it is offered to
    /// [`Replica::receive`], beginning with what that has not taken.
    Unpack(Packing),
    /// A snapshot begins that stands for this place.
    BeginLoad {
        /// The place.
        position: Position,
        /// Its length, if the leader told it.
        framing: Framing,
    },
    /// The snapshot's next bytes.
    Load(Cow<'a, [u8]>),
    /// The snapshot is complete: make it the data set, then report [`Event::Installed`] or
    /// [`Event::InstallFailed`].
    Install,
    /// The snapshot breaks off: forget it, if one began.
    DiscardLoad,
    /// The stream goes on at the applied offset, in the history of this id: a node with
    /// followers of its own hands it to [`Backlog::change_id`](crate::Backlog::change_id) if
    /// it is new.
    Resumed(Position),
    /// The stream's next bytes, cut anywhere.
    Apply(&'a [u8]),
    /// The link is over: close the connection if there still is one, and forget what was not
    /// applied. A [`Action::Connect`] follows in due time.
    Close(LinkError),
}

/// Why the link to the leader broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Nobody answered at the leader's address.
    #[error("connection to the leader failed")]
    ConnectFailed,
    /// The leader, or the network, hung up.
    #[error("connection closed")]
    Closed,
    /// The leader was silent for too long.
    #[error("leader timed out")]
    Timeout,
    /// The leader refused our password.
    #[error("leader refused authentication: {0}")]
    Denied(String),
    /// The leader does not want to be followed, or not now: LOADING, NOMASTERLINK, NOAUTH...
    #[error("leader refused: {0}")]
    Refused(String),
    /// What the leader said is not this protocol.
    #[error("protocol error: {0}")]
    Protocol(#[from] WireError),
    /// The snapshot could not be loaded.
    #[error("snapshot could not be loaded")]
    InstallFailed,
}

/// A replica's link to its leader.
#[derive(Debug)]
pub struct Replica {
    config: ReplicaConfig,
    state: State,
    /// The applied prefix; `None` while the data set is of no history that goes on.
    position: Option<Position>,
    /// Offset after the last byte of the stream handed to the server.
    received: u64,
    heard_ms: u64,
    told_ms: u64,
    down_since_ms: Option<u64>,
    failures: u32,
    last_error: Option<LinkError>,
    greeting: Option<Greeting>,
}

#[derive(Debug)]
enum State {
    Waiting { until_ms: u64 },
    Connecting,
    Handshaking(Handshake),
    Receiving { target: Position, reader: PayloadReader, progress: PayloadProgress },
    Installing { target: Position },
    Streaming,
}

/// Whether more can be made of the input.
#[derive(PartialEq, Eq)]
enum Flow {
    Again,
    Enough,
}

impl Replica {
    /// A replica that will connect at its next tick. With a position, it holds that data
    /// already and first asks to go on from there.
    pub fn new(config: ReplicaConfig, position: Option<Position>, now_ms: u64) -> Self {
        Self {
            config,
            state: State::Waiting { until_ms: now_ms },
            position,
            received: position.map_or(0, |at| at.offset),
            heard_ms: now_ms,
            told_ms: now_ms,
            down_since_ms: Some(now_ms),
            failures: 0,
            last_error: None,
            greeting: None,
        }
    }

    /// Changes the directives (CONFIG SET); what was told to the leader stays told until the
    /// next connection.
    pub fn configure(&mut self, config: ReplicaConfig) {
        self.config = config;
    }

    /// Takes an event at `now_ms`, milliseconds on any clock that never goes back, and
    /// returns what to do about it. An event that does not fit the state is ignored.
    pub fn step(&mut self, event: Event, now_ms: u64) -> Vec<Action<'static>> {
        let mut actions = Vec::new();
        match event {
            Event::Connected if matches!(self.state, State::Connecting) => {
                self.heard_ms = now_ms;
                self.state = State::Handshaking(Handshake::after_ping());
                actions.push(Action::Send(wire::PING.to_vec()));
            }
            Event::ConnectFailed if matches!(self.state, State::Connecting) => {
                self.fail(LinkError::ConnectFailed, now_ms, &mut actions);
            }
            Event::Closed => self.fail(LinkError::Closed, now_ms, &mut actions),
            Event::Applied(bytes) => self.applied(bytes),
            Event::AckRequested => self.acknowledge(now_ms, &mut actions),
            Event::Installed => self.installed(now_ms, &mut actions),
            Event::InstallFailed if matches!(self.state, State::Installing { .. }) => {
                self.fail(LinkError::InstallFailed, now_ms, &mut actions);
            }
            Event::Tick => self.tick(now_ms, &mut actions),
            Event::Connected | Event::ConnectFailed | Event::InstallFailed => {}
        }
        actions
    }

    /// Takes bytes from the leader, adds what to do with them to `actions`, and returns how
    /// many it took. It takes less than all only after [`Action::Unpack`], and after
    /// [`Action::Install`]: offer the rest again, unpacked or once the copy is installed and
    /// that is reported, and read no more until then.
    pub fn receive<'a>(
        &mut self,
        input: &'a [u8],
        now_ms: u64,
        actions: &mut Vec<Action<'a>>,
    ) -> usize {
        let mut rest = input;
        if !input.is_empty() {
            self.heard_ms = now_ms;
        }
        loop {
            match self.take(&mut rest, now_ms, actions) {
                Ok(Flow::Again) => {}
                Ok(Flow::Enough) => return input.len() - rest.len(),
                Err(error) => {
                    self.fail(error, now_ms, actions);
                    return input.len();
                }
            }
        }
    }

    /// The place up to which the leader's history is applied; `None` until a full sync is
    /// installed, and again while another one replaces it.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// What the leader told of itself in the last handshake; nothing if it is no Eave node.
    pub fn greeting(&self) -> Option<&Greeting> {
        self.greeting.as_ref()
    }

    /// The replica's part of INFO and ROLE.
    pub fn status(&self, now_ms: u64) -> ReplicaStatus {
        let age = |since_ms: u64| now_ms.saturating_sub(since_ms);
        ReplicaStatus {
            state: self.link_state(),
            position: self.position,
            received: self.received,
            heard_ago_ms: age(self.heard_ms),
            down_for_ms: self.down_since_ms.map(age),
            payload: match &self.state {
                State::Receiving { progress, .. } => Some(*progress),
                _ => None,
            },
            retry_in_ms: match self.state {
                State::Waiting { until_ms } => Some(until_ms.saturating_sub(now_ms)),
                _ => None,
            },
            last_error: self.last_error.clone(),
            greeting: self.greeting.clone(),
        }
    }

    fn link_state(&self) -> LinkState {
        match &self.state {
            State::Waiting { .. } => LinkState::Connect,
            State::Connecting => LinkState::Connecting,
            State::Handshaking(handshake) if !handshake.awaits_psync() => LinkState::Handshake,
            State::Handshaking(_) | State::Receiving { .. } | State::Installing { .. } => {
                LinkState::Sync
            }
            State::Streaming => LinkState::Connected,
        }
    }

    fn take<'a>(
        &mut self,
        input: &mut &'a [u8],
        now_ms: u64,
        actions: &mut Vec<Action<'a>>,
    ) -> Result<Flow, LinkError> {
        match &mut self.state {
            State::Handshaking(handshake) => {
                let introduction = &self.config.introduction;
                let Some(outcome) = handshake.next(input, introduction, self.position)? else {
                    return Ok(Flow::Enough);
                };
                if matches!(outcome, Outcome::Send(_)) {
                    self.proceed(outcome, now_ms, actions);
                    return Ok(Flow::Again);
                }
                self.greeting = handshake.greeting.take();
                let packing = self.greeting.as_ref().and_then(|greeting| greeting.packing);
                actions.extend(packing.map(Action::Unpack));
                self.proceed(outcome, now_ms, actions);
                Ok(if packing.is_some() { Flow::Enough } else { Flow::Again })
            }
            State::Receiving { target, reader, progress } => {
                let Some(event) = reader.next(input)? else { return Ok(Flow::Enough) };
                match event {
                    PayloadEvent::Begin(framing) => {
                        if let Framing::Length(total) = framing {
                            progress.total = Some(total);
                        }
                        actions.push(Action::BeginLoad { position: *target, framing });
                    }
                    PayloadEvent::Data(data) => {
                        progress.received = progress.received.saturating_add(data.len() as u64);
                        actions.push(Action::Load(data));
                    }
                    PayloadEvent::End => {
                        actions.push(Action::Install);
                        self.state = State::Installing { target: *target };
                    }
                }
                Ok(Flow::Again)
            }
            State::Streaming => {
                self.stream(std::mem::take(input), actions);
                Ok(Flow::Enough)
            }
            State::Installing { .. } => Ok(Flow::Enough),
            // No link: what a closed connection still had in store.
            State::Waiting { .. } | State::Connecting => {
                *input = &[];
                Ok(Flow::Enough)
            }
        }
    }

    fn proceed(&mut self, outcome: Outcome, now_ms: u64, actions: &mut Vec<Action<'_>>) {
        match outcome {
            Outcome::Send(bytes) => actions.push(Action::Send(bytes)),
            Outcome::FullResync(target) => {
                // What we hold is of no history that goes on, even if this sync breaks off.
                self.position = None;
                self.state = State::Receiving {
                    target,
                    reader: PayloadReader::default(),
                    progress: PayloadProgress::default(),
                };
            }
            Outcome::Continue(at) => {
                self.enter_stream(at);
                actions.push(Action::Resumed(at));
                self.acknowledge(now_ms, actions);
            }
        }
    }

    fn stream<'a>(&mut self, bytes: &'a [u8], actions: &mut Vec<Action<'a>>) {
        if !bytes.is_empty() {
            self.failures = 0;
            self.received = self.received.saturating_add(bytes.len() as u64);
            actions.push(Action::Apply(bytes));
        }
    }

    fn enter_stream(&mut self, at: Position) {
        self.position = Some(at);
        self.received = at.offset;
        self.state = State::Streaming;
        self.down_since_ms = None;
        self.last_error = None;
    }

    fn installed(&mut self, now_ms: u64, actions: &mut Vec<Action<'_>>) {
        if let State::Installing { target } = self.state {
            self.enter_stream(target);
            // Installing took its time, in which nothing was read.
            self.heard_ms = now_ms;
            // A leader that sent a marked payload waits for this before it streams.
            self.acknowledge(now_ms, actions);
        }
    }

    fn applied(&mut self, bytes: u64) {
        if let Some(position) = &mut self.position {
            let offset = position.offset.saturating_add(bytes);
            debug_assert!(offset <= self.received, "applied what was not received");
            position.offset = offset.min(self.received);
        }
    }

    fn acknowledge(&mut self, now_ms: u64, actions: &mut Vec<Action<'_>>) {
        if let (State::Streaming, Some(at)) = (&self.state, self.position) {
            self.told_ms = now_ms;
            actions.push(Action::Send(wire::ack(at.offset)));
        }
    }

    fn tick(&mut self, now_ms: u64, actions: &mut Vec<Action<'_>>) {
        let silent = now_ms.saturating_sub(self.heard_ms) > self.config.timeout_ms;
        let quiet = now_ms.saturating_sub(self.told_ms) >= self.config.ack_period_ms;
        match self.state {
            State::Waiting { until_ms } if until_ms <= now_ms => {
                self.state = State::Connecting;
                self.heard_ms = now_ms;
                actions.push(Action::Connect);
            }
            // While it installs it reads nothing, so the leader's silence is its own doing.
            State::Waiting { .. } => {}
            State::Installing { .. } => {}
            _ if silent => return self.fail(LinkError::Timeout, now_ms, actions),
            State::Streaming if quiet => self.acknowledge(now_ms, actions),
            _ => {}
        }
        if quiet && matches!(self.state, State::Receiving { .. } | State::Installing { .. }) {
            self.told_ms = now_ms;
            actions.push(Action::Send(wire::HEARTBEAT.to_vec()));
        }
    }

    fn fail(&mut self, error: LinkError, now_ms: u64, actions: &mut Vec<Action<'_>>) {
        match self.state {
            State::Waiting { .. } => return,
            State::Receiving { .. } | State::Installing { .. } => actions.push(Action::DiscardLoad),
            _ => {}
        }
        let factor = 1_u64 << self.failures.min(20);
        let delay_ms = self.config.retry_min_ms.saturating_mul(factor);
        let until_ms = now_ms.saturating_add(delay_ms.min(self.config.retry_max_ms));
        self.failures = self.failures.saturating_add(1);
        self.received = self.position.map_or(0, |at| at.offset);
        self.state = State::Waiting { until_ms };
        self.down_since_ms.get_or_insert(now_ms);
        self.last_error = Some(error.clone());
        actions.push(Action::Close(error));
    }
}
