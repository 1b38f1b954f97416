//! A source that is followed as a replica follows its leader: a copy of one instant, and then,
//! if wanted, everything that is written from then on.
//!
//! What to say to the source and when is the business of `eave_replication::Replica`; here are the
//! socket and what becomes of the bytes. A link that breaks after the copy is made again and goes
//! on where the target is; a source that no longer knows that place would have to be copied anew,
//! and that is left to whoever asks for it.

use std::collections::VecDeque;
use std::time::Duration;

use eave_replication::Replica;
use eave_replication::payload::Framing;
use eave_replication::replica::{
    Action, Credentials, Event, Introduction, LinkError, ReplicaConfig,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use super::ImportError;
use super::address::Address;
use super::delivery::Delivery;
use super::history::{History, Next};
use super::peer::{Peer, dial};
use super::progress::Total;
use super::tally::{count, size};
use super::tls::Files;
use crate::clock;
use crate::limits::IMPORT_STREAM_BYTES;
use crate::net::stream::Stream;
use crate::rdb::{Limits, Reader};

/// Time between two looks at the clock.
const TICK: Duration = Duration::from_millis(100);

/// Milliseconds for which the end waits until what the source had written is there.
const CATCH_UP_MS: u64 = 60_000;

/// Milliseconds between two questions where the source is.
const PROBE_MS: u64 = 1000;

/// How long the source may take to say where it is.
const PROBE: Duration = Duration::from_secs(5);

/// How it ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Everything is there that was to be.
    Done,
    /// The source lets nobody follow it, in these words.
    Refused(String),
}

/// Whether the stream behind the copy is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    Copied,
    /// SIGINT or SIGTERM.
    Told,
}

/// Copies, and follows.
pub(super) async fn run(
    address: &Address,
    files: &Files,
    until: Until,
    delivery: &mut Delivery,
) -> Result<Ended, ImportError> {
    let credentials = (!address.password.is_empty()).then(|| Credentials {
        user: address.user.clone(),
        password: String::from_utf8_lossy(address.password.reveal()).into_owned(),
    });
    let introduction = Introduction { credentials, ..Introduction::default() };
    let config = ReplicaConfig { introduction, ..ReplicaConfig::default() };
    let follow = Follow {
        address,
        files,
        until,
        replica: Replica::new(config, None, clock::monotonic_ms()),
        stream: None,
        reader: None,
        db: 0,
        stage: Stage::Before,
        history: History::default(),
        probe: None,
        probed_ms: 0,
        source_at: None,
        goal: None,
        delivery,
    };
    follow.run().await
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Before,
    Copying,
    /// The copy is there.
    Copied,
}

/// Where the source was when the end was asked for.
#[derive(Clone, Copy, Debug)]
struct Goal {
    offset: Option<u64>,
    deadline_ms: u64,
}

struct Follow<'a> {
    address: &'a Address,
    files: &'a Files,
    until: Until,
    replica: Replica,
    stream: Option<Stream>,
    reader: Option<Reader>,
    /// The database that the stream goes on in.
    db: u32,
    stage: Stage,
    history: History,
    /// For asking where the source is.
    probe: Option<Peer>,
    probed_ms: u64,
    source_at: Option<u64>,
    goal: Option<Goal>,
    delivery: &'a mut Delivery,
}

impl Follow<'_> {
    async fn run(mut self) -> Result<Ended, ImportError> {
        let mut told = match self.until {
            Until::Copied => None,
            Until::Told => Some(Told::new().map_err(ImportError::Read)?),
        };
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = vec![0; IMPORT_STREAM_BYTES];
        loop {
            let ended = tokio::select! {
                _ = tick.tick() => match self.tell(Event::Tick).await? {
                    None => self.look_around().await?,
                    ended => ended,
                },
                read = read(self.stream.as_mut(), &mut buffer) => match read {
                    Ok(length @ 1..) => self.receive(&buffer[..length]).await?,
                    Ok(0) | Err(_) => self.tell(Event::Closed).await?,
                },
                () = Told::wait(told.as_mut()) => self.end().await?,
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    async fn tell(&mut self, event: Event) -> Result<Option<Ended>, ImportError> {
        if event == Event::Closed {
            // What was sent before counts, and is reported first.
            self.settle().await?;
        }
        let actions = self.replica.step(event, clock::monotonic_ms());
        self.perform(actions).await
    }

    async fn receive(&mut self, mut input: &[u8]) -> Result<Option<Ended>, ImportError> {
        while !input.is_empty() && self.stream.is_some() {
            let mut actions = Vec::new();
            let taken = self.replica.receive(input, clock::monotonic_ms(), &mut actions);
            input = &input[taken..];
            if let Some(ended) = self.perform(actions).await? {
                return Ok(Some(ended));
            }
        }
        Ok(None)
    }

    /// Does what the replica's machine says, and what it says to what comes of that.
    async fn perform(&mut self, actions: Vec<Action<'_>>) -> Result<Option<Ended>, ImportError> {
        let mut queue = VecDeque::from(actions);
        while let Some(action) = queue.pop_front() {
            let event = match action {
                Action::Connect => Some(self.connect().await?),
                Action::Send(bytes) => self.send(&bytes).await,
                Action::BeginLoad { framing, .. } => {
                    self.begin(framing)?;
                    None
                }
                Action::Load(bytes) => {
                    self.load(&bytes).await?;
                    None
                }
                Action::Install => {
                    if let Some(ended) = self.install().await? {
                        return Ok(Some(ended));
                    }
                    Some(Event::Installed)
                }
                // Nothing is ever packed: it was not asked for.
                Action::DiscardLoad | Action::Resumed(_) | Action::Unpack(_) => None,
                Action::Apply(bytes) => {
                    queue.extend(self.apply(bytes).await?);
                    None
                }
                Action::Close(error) => {
                    if let Some(ended) = self.close(&error)? {
                        return Ok(Some(ended));
                    }
                    queue.clear();
                    None
                }
            };
            if let Some(event) = event {
                if event == Event::Closed {
                    self.settle().await?;
                }
                queue.extend(self.replica.step(event, clock::monotonic_ms()));
            }
        }
        Ok(None)
    }

    async fn connect(&mut self) -> Result<Event, ImportError> {
        match dial(self.address, self.files).await {
            Ok(stream) => {
                self.stream = Some(stream);
                Ok(Event::Connected)
            }
            // Once it follows, a source that is away for a while is waited for.
            Err(error) if self.stage == Stage::Before => Err(error),
            Err(_) => Ok(Event::ConnectFailed),
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Option<Event> {
        let stream = self.stream.as_mut()?;
        let write = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        let patience = Duration::from_secs(60);
        match tokio::time::timeout(patience, write).await {
            Ok(Ok(())) => None,
            _ => Some(Event::Closed),
        }
    }

    fn begin(&mut self, framing: Framing) -> Result<(), ImportError> {
        if self.stage != Stage::Before {
            let why = "it does not know any more what came after the copy: the link was away for \
                       longer than its repl-backlog-size lasts. Start again with --replace";
            return Err(self.source(why));
        }
        self.stage = Stage::Copying;
        self.reader = Some(Reader::new(Limits::default()));
        if let Framing::Length(bytes) = framing {
            self.delivery.progress.total = Total::Bytes(bytes);
        }
        Ok(())
    }

    async fn load(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        self.delivery.read(bytes.len());
        reader.feed(bytes);
        while let Some(item) = reader.next_item()? {
            if let crate::rdb::Item::Aux { name, value } = &item
                && name == b"repl-stream-db"
            {
                let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                self.db = number.unwrap_or(0);
            }
            self.delivery.item(item).await?;
        }
        Ok(())
    }

    /// The copy is whole.
    async fn install(&mut self) -> Result<Option<Ended>, ImportError> {
        if let Some(reader) = self.reader.take() {
            reader.finish()?;
        }
        self.delivery.settle().await?;
        self.stage = Stage::Copied;
        if self.until == Until::Copied {
            return Ok(Some(Ended::Done));
        }
        if let Some((target, tally)) = self.delivery.target() {
            target.select(self.db, tally).await?;
        }
        let keys = count(self.delivery.tally.keys(), "key");
        let line = format!("copied {keys}; following {} until Ctrl-C", self.address);
        self.delivery.progress.say(&line);
        Ok(None)
    }

    /// Applies the stream, and answers what the replica's machine says to that.
    async fn apply(&mut self, bytes: &[u8]) -> Result<Vec<Action<'static>>, ImportError> {
        let mut actions = Vec::new();
        self.delivery.tally.bytes += bytes.len() as u64;
        self.history.feed(bytes);
        loop {
            let next = self.history.next().map_err(|why| self.source(&why))?;
            let Some((target, tally)) = self.delivery.target() else { return Ok(actions) };
            match next {
                Next::Nothing => break,
                Next::Quiet(bytes) => target.pass(bytes),
                Next::Select(db, bytes) => {
                    target.select(db, tally).await?;
                    target.pass(bytes);
                }
                Next::Ack(bytes) => {
                    target.settle(tally).await?;
                    target.pass(bytes);
                    self.report(&mut actions);
                    actions.extend(self.replica.step(Event::AckRequested, clock::monotonic_ms()));
                }
                Next::Unit(unit) => {
                    for db in &unit.selects {
                        target.check(*db, tally).await?;
                    }
                    let last = unit.selects.last().copied();
                    target.push_unit(&unit.bytes, unit.names, unit.history, tally).await?;
                    if let Some(db) = last {
                        target.selected(db);
                    }
                }
            }
        }
        // What has come is passed on at once: nobody knows when more does.
        self.delivery.settle().await?;
        self.report(&mut actions);
        Ok(actions)
    }

    /// Waits until what was passed on is there, and tells the replica's machine.
    async fn settle(&mut self) -> Result<(), ImportError> {
        self.delivery.settle().await?;
        let mut none = Vec::new();
        self.report(&mut none);
        Ok(())
    }

    fn report(&mut self, actions: &mut Vec<Action<'static>>) {
        let applied = self.delivery.target().map_or(0, |(target, _)| target.take_applied());
        if applied > 0 {
            let event = Event::Applied(applied);
            actions.extend(self.replica.step(event, clock::monotonic_ms()));
        }
    }

    fn close(&mut self, error: &LinkError) -> Result<Option<Ended>, ImportError> {
        self.stream = None;
        self.history.forget();
        match (self.stage, error) {
            (_, LinkError::Denied(why)) => {
                Err(ImportError::Denied(self.address.to_string(), why.clone()))
            }
            (Stage::Before, LinkError::Refused(why)) if may_come_later(why) => {
                Err(self.source(why))
            }
            (Stage::Before, LinkError::Refused(why)) => Ok(Some(Ended::Refused(why.clone()))),
            (Stage::Before, LinkError::Closed) => {
                Ok(Some(Ended::Refused("it has closed the connection".to_owned())))
            }
            (Stage::Before | Stage::Copying, error) => {
                Err(self.source(&format!("the copy broke off: {error}")))
            }
            (Stage::Copied, error) => {
                let line = format!("{}: {error}; trying again", self.address);
                self.delivery.progress.say(&line);
                Ok(None)
            }
        }
    }

    fn source(&self, why: &str) -> ImportError {
        ImportError::Source(self.address.to_string(), why.to_owned())
    }

    /// What is to be looked at from time to time.
    async fn look_around(&mut self) -> Result<Option<Ended>, ImportError> {
        if self.stage != Stage::Copied {
            // A source may take its time before it begins.
            self.delivery.read(0);
            return Ok(None);
        }
        if let Some(goal) = self.goal {
            return self.is_reached(goal);
        }
        let now = clock::monotonic_ms();
        if now.saturating_sub(self.probed_ms) >= PROBE_MS {
            self.probed_ms = now;
            self.source_at = self.ask_offset().await;
        }
        if self.delivery.progress.is_due() {
            let line = self.line();
            self.delivery.progress.show(&line);
        }
        Ok(None)
    }

    fn line(&self) -> String {
        let status = self.replica.status(clock::monotonic_ms());
        let at = self.offset();
        let lag = match self.source_at {
            _ if status.down_for_ms.is_some() => "not connected".to_owned(),
            Some(source) => format!("{} behind", size(source.saturating_sub(at))),
            None => format!("last heard {} ms ago", status.heard_ago_ms),
        };
        let commands = count(self.delivery.tally.commands, "command");
        format!("following: offset {at}, {lag}, {commands} applied")
    }

    fn offset(&self) -> u64 {
        self.replica.position().map_or(0, |at| at.offset)
    }

    /// Where the source is; `None` if it does not say.
    async fn ask_offset(&mut self) -> Option<u64> {
        let asked = tokio::time::timeout(PROBE, async {
            // The connection of the last time may be gone since.
            if let Some(peer) = self.probe.take()
                && let Some(offset) = self.ask_offset_of(peer).await
            {
                return Some(offset);
            }
            let peer = Peer::open(self.address, self.files).await.ok()?;
            self.ask_offset_of(peer).await
        });
        asked.await.ok().flatten()
    }

    async fn ask_offset_of(&mut self, mut peer: Peer) -> Option<u64> {
        let offset = peer.info("replication", "master_repl_offset").await.ok()?;
        self.probe = Some(peer);
        offset?.trim().parse().ok()
    }

    /// The end is asked for: what the source has written by now is still to come.
    async fn end(&mut self) -> Result<Option<Ended>, ImportError> {
        if self.stage != Stage::Copied {
            return Err(ImportError::Interrupted("the copy was not complete"));
        }
        if self.goal.is_some() {
            return Err(ImportError::Interrupted("what the source wrote last may be missing"));
        }
        let offset = self.ask_offset().await;
        let deadline_ms = clock::monotonic_ms().saturating_add(CATCH_UP_MS);
        let goal = Goal { offset, deadline_ms };
        self.goal = Some(goal);
        self.is_reached(goal)
    }

    fn is_reached(&mut self, goal: Goal) -> Result<Option<Ended>, ImportError> {
        let Some(offset) = goal.offset else {
            return Err(ImportError::Interrupted(
                "the source does not say where it is (INFO), so whether everything is there is \
                 not known",
            ));
        };
        if self.offset() >= offset {
            let line = format!("at offset {offset}, where the source was when asked to end");
            self.delivery.progress.say(&line);
            return Ok(Some(Ended::Done));
        }
        if clock::monotonic_ms() > goal.deadline_ms {
            return Err(ImportError::Interrupted(
                "what the source wrote last did not come in time",
            ));
        }
        Ok(None)
    }
}

/// Whether a source that refuses may do so only now.
fn may_come_later(why: &str) -> bool {
    ["LOADING", "NOMASTERLINK", "MASTERDOWN", "BUSY"].iter().any(|code| why.starts_with(code))
}

async fn read(stream: Option<&mut Stream>, buffer: &mut [u8]) -> std::io::Result<usize> {
    match stream {
        Some(stream) => stream.read(buffer).await,
        None => std::future::pending().await,
    }
}

/// The signals that ask for an end.
struct Told {
    interrupt: Signal,
    terminate: Signal,
}

impl Told {
    fn new() -> std::io::Result<Told> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Told { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn wait(told: Option<&mut Told>) {
        match told {
            Some(Told { interrupt, terminate }) => tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            },
            None => std::future::pending().await,
        }
    }
}
