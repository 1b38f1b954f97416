//! The link to the node that this one follows.
//!
//! One task connects, copies, follows, and starts again, as the replica's machine says. When
//! REPLICAOF names another node the present link is dropped where it waits; what it has
//! applied by then is in `Term`, where the next link finds it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use eave_replication::Replica;
use eave_replication::failover::State;
use eave_replication::greeting::Greeting;
use eave_replication::replica::{
    Action, Credentials, Event, Introduction, LinkError, ReplicaConfig,
};
use eave_replication::{Position, payload::Framing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::MissedTickBehavior;

use super::apply::{Applier, Stop, Superseded};
use super::load::{Loaded, Loader};
use super::packing::Unpacker;
use super::{Term, alone, epochs, failover, outlet};
use crate::clock;
use crate::config::{self, Config};
use crate::engine;
use crate::keyspace::Staging;
use crate::limits::READ_BYTES;
use crate::net::socket::TcpStream;
use crate::net::stream::Stream;
use crate::node::Node;
use crate::patience::Patience;
use crate::pause::Pause;
use crate::rules::Rules;
use crate::script::Vm;
use crate::script::library::{Replace, Set};

/// Time between two looks at the clock.
const TICK: Duration = Duration::from_millis(100);

/// Time between two looks whether a pause of clients is over, which holds the stream too.
const HELD: Duration = Duration::from_millis(10);

/// Milliseconds before a leader is tried again whose stream was not understood.
const BROKEN_PAUSE_MS: u64 = 5000;

/// Follows whomever the node is told to follow, until the node stops.
pub(super) async fn run(node: Arc<Node>) {
    let mut target = node.replication.target.watch();
    let mut applier = Applier::new(&node);
    loop {
        tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return,
            () = settle(&node) => {}
        }
        let link = {
            // Target and term change together, under this lock.
            let term = node.replication.term.lock();
            let leader = target.look();
            leader.map(|leader| (leader, term.number, term.position))
        };
        let following = async {
            match link {
                None => std::future::pending().await,
                Some((leader, number, position)) => {
                    applier.forget();
                    let config = replica_config(&node.config.load());
                    let replica = Replica::new(config, position, clock::monotonic_ms());
                    let link = Link::new(&node, leader, number, replica, &mut applier);
                    let Superseded = link.follow().await;
                }
            }
        };
        tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return,
            () = target.changed() => {}
            // The change that ended it may have been seen already.
            () = following => {}
        }
    }
}

/// Has a node that led until now take its place in its own history, once nobody is under way any
/// more who was let in to write while it led.
async fn settle(node: &Node) {
    let mut patience = Patience::default();
    while !try_to_settle(node, &mut node.replication.term.lock()) {
        patience.wait().await;
    }
}

fn try_to_settle(node: &Node, term: &mut Term) -> bool {
    if !term.unsettled {
        return true;
    }
    let settled = node.keyspace.standstill(|| {
        term.position = Some(node.log.lock().backlog().position());
        term.unsettled = false;
        node.log.follow(true);
    });
    settled.is_ok()
}

pub(super) fn replica_config(config: &Config) -> ReplicaConfig {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let credentials = (!config.masterauth.is_empty()).then(|| Credentials {
        user: (!config.masteruser.is_empty()).then(|| config.masteruser.clone()),
        password: text(config.masterauth.reveal()),
    });
    ReplicaConfig {
        introduction: Introduction {
            listening_port: match config.replica_announce_port {
                // Where a leader dials that becomes a replica, as it does here.
                0 if config.tls.replication && config.tls.port != 0 => config.tls.port,
                0 => config.port,
                port => port,
            },
            ip_address: (!config.replica_announce_ip.is_empty())
                .then(|| config.replica_announce_ip.clone()),
            credentials,
            ..Introduction::default()
        },
        timeout_ms: timeout_ms(config),
        ..ReplicaConfig::default()
    }
}

fn timeout_ms(config: &Config) -> u64 {
    u64::from(config.repl_timeout) * 1000
}

struct Link<'a> {
    node: &'a Node,
    leader: config::Leader,
    /// The term in which this link is wanted.
    number: u64,
    replica: Replica,
    applier: &'a mut Applier,
    stream: Option<Stream>,
    /// Unpacks what comes, once the leader packs it.
    unpacker: Option<Unpacker>,
    loader: Option<Loading>,
    /// What the system or TLS said when the connection failed last.
    cause: Option<io::Error>,
}

/// A full copy on its way in.
struct Loading {
    loader: Loader,
    position: Position,
    since_ms: u64,
    bytes: u64,
}

impl<'a> Link<'a> {
    fn new(
        node: &'a Node,
        leader: config::Leader,
        number: u64,
        replica: Replica,
        applier: &'a mut Applier,
    ) -> Self {
        Link {
            node,
            leader,
            number,
            replica,
            applier,
            stream: None,
            unpacker: None,
            loader: None,
            cause: None,
        }
    }

    /// Follows until the term is over.
    async fn follow(mut self) -> Superseded {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let done = tokio::select! {
                biased;
                _ = tick.tick() => self.tell(Event::Tick).await,
                read = read(self.stream.as_mut(), &mut buffer) => match read {
                    Ok(1..) if self.stream.is_none() => Ok(()),
                    Ok(length @ 1..) => self.receive(&buffer[..length]).await,
                    Ok(0) => self.tell(Event::Closed).await,
                    Err(error) => {
                        self.cause = Some(error);
                        self.tell(Event::Closed).await
                    }
                },
            };
            if let Err(superseded) = done.and_then(|()| self.publish()) {
                return superseded;
            }
        }
    }

    /// Says how the link is.
    fn publish(&self) -> Result<(), Superseded> {
        let term = self.node.replication.term.lock();
        if term.number != self.number {
            return Err(Superseded);
        }
        let status = self.replica.status(clock::monotonic_ms());
        *self.node.replication.status.lock() = Some(status);
        Ok(())
    }

    async fn tell(&mut self, event: Event) -> Result<(), Superseded> {
        let actions = self.replica.step(event, clock::monotonic_ms());
        self.perform(actions).await
    }

    async fn receive(&mut self, input: &[u8]) -> Result<(), Superseded> {
        let packed = match self.unpacker {
            Some(_) => input,
            None => self.take(input).await?,
        };
        let Some(unpacker) = &mut self.unpacker else { return Ok(()) };
        unpacker.push(packed);
        self.node.replication.packed.received(0, packed.len());
        let mut piece = Vec::new();
        // The link may end on the way.
        while let Some(unpacker) = &mut self.unpacker {
            match unpacker.next(&mut piece) {
                Ok(true) => {
                    self.node.replication.packed.received(piece.len(), 0);
                    self.take(&piece).await?;
                }
                Ok(false) => return Ok(()),
                Err(error) => {
                    self.cause = Some(error);
                    return self.tell(Event::Closed).await;
                }
            }
        }
        Ok(())
    }

    /// Takes what the leader says, as it is; answers what of it is packed, and not taken.
    async fn take<'b>(&mut self, mut input: &'b [u8]) -> Result<&'b [u8], Superseded> {
        let unpacked = self.unpacker.is_some();
        while !input.is_empty() && self.stream.is_some() && self.unpacker.is_some() == unpacked {
            let mut actions = Vec::new();
            let taken = self.replica.receive(input, clock::monotonic_ms(), &mut actions);
            input = &input[taken..];
            self.perform(actions).await?;
        }
        Ok(input)
    }

    /// Does what the machine says, and what it says to what comes of that.
    async fn perform(&mut self, actions: Vec<Action<'_>>) -> Result<(), Superseded> {
        let mut queue = VecDeque::from(actions);
        while let Some(action) = queue.pop_front() {
            let event = match action {
                Action::Connect => Some(self.connect().await),
                Action::Send(bytes) => self.send(&bytes).await,
                Action::Unpack(packing) => {
                    self.unpacker = Some(Unpacker::new(packing));
                    None
                }
                Action::BeginLoad { position, framing } => {
                    failover::done(self.node);
                    alone::keep(self.node, self.replica.greeting()).await;
                    self.begin_load(position, framing);
                    None
                }
                Action::Load(bytes) => self.load(&bytes),
                Action::Install => {
                    let event = self.install().await?;
                    if event == Event::Installed {
                        epochs::followed(self.node, self.replica.greeting());
                    }
                    Some(event)
                }
                Action::DiscardLoad => {
                    self.loader = None;
                    None
                }
                Action::Resumed(position) => {
                    self.resume(position)?;
                    epochs::followed(self.node, self.replica.greeting());
                    failover::done(self.node);
                    None
                }
                Action::Apply(bytes) => {
                    queue.extend(self.apply(bytes).await?);
                    None
                }
                Action::Close(error) => {
                    self.close(&error);
                    // What came before the end, and was not applied, is forgotten.
                    queue.clear();
                    None
                }
            };
            if let Some(event) = event {
                queue.extend(self.replica.step(event, clock::monotonic_ms()));
            }
        }
        Ok(())
    }

    async fn connect(&mut self) -> Event {
        let config = self.node.config.load_full();
        let mut told = replica_config(&config);
        let packing = config.repl_compression;
        told.introduction.greeting = Some(Greeting { packing, ..epochs::greeting(self.node) });
        told.introduction.failover = failover::state(self.node) == State::InProgress;
        self.replica.configure(told);
        let address = (self.leader.host.as_str(), self.leader.port);
        let patience = Duration::from_millis(timeout_ms(&config));
        let opening = open(self.node, address, config.tls.replication);
        match tokio::time::timeout(patience, opening).await {
            Ok(Ok(stream)) => {
                self.stream = Some(stream);
                tracing::info!("connected to the leader {}", self.leader);
                Event::Connected
            }
            Ok(Err(error)) => {
                self.cause = Some(error);
                Event::ConnectFailed
            }
            Err(_) => Event::ConnectFailed,
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Option<Event> {
        let stream = self.stream.as_mut()?;
        let patience = Duration::from_millis(timeout_ms(&self.node.config.load()));
        let write = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        match tokio::time::timeout(patience, write).await {
            Ok(Ok(())) => None,
            _ => Some(Event::Closed),
        }
    }

    fn begin_load(&mut self, position: Position, framing: Framing) {
        let config = self.node.config.load();
        let loader = Loader::new(self.node.keyspace.databases(), config.encodings);
        let since_ms = clock::monotonic_ms();
        self.loader = Some(Loading { loader, position, since_ms, bytes: 0 });
        let size = match framing {
            Framing::Length(bytes) => format!("{bytes} bytes"),
            Framing::EofMark(_) => "sent as it is made".to_owned(),
        };
        tracing::info!(
            "full copy of {} begins ({size}), offset {} of history {}",
            self.leader,
            position.offset,
            position.id
        );
    }

    fn load(&mut self, bytes: &[u8]) -> Option<Event> {
        let loading = self.loader.as_mut()?;
        loading.bytes += bytes.len() as u64;
        let error = loading.loader.feed(bytes).err()?;
        tracing::error!("the full copy of {} cannot be loaded: {error}", self.leader);
        Some(Event::Closed)
    }

    /// Puts the full copy in the place of the data.
    async fn install(&mut self) -> Result<Event, Superseded> {
        let Some(loading) = self.loader.take() else { return Ok(Event::InstallFailed) };
        let Loading { loader, position, since_ms, bytes } = loading;
        let Loaded { mut staged, functions, rules, stream_db } = match loader.finish() {
            Ok(finished) => finished,
            Err(error) => {
                tracing::error!("the full copy of {} is not whole: {error}", self.leader);
                return Ok(Event::InstallFailed);
            }
        };
        let keys = staged.keys();
        let mut patience = Patience::default();
        let libraries = self.libraries(&functions);
        while !self.replace(&mut staged, &libraries, &rules, position, stream_db)? {
            patience.wait().await;
        }
        self.applier.restart(stream_db);
        let took = clock::monotonic_ms().saturating_sub(since_ms);
        tracing::info!("full copy of {} done: {keys} keys, {bytes} bytes, {took} ms", self.leader);
        Ok(Event::Installed)
    }

    /// The function libraries of this code; what cannot be loaded here is left out.
    fn libraries(&self, functions: &[Vec<u8>]) -> Set {
        let mut set = Set::default();
        for code in functions {
            let added = Vm::library(&self.node.scripts, code)
                .and_then(|library| set.add(Arc::new(library), Replace::Yes));
            if let Err(fault) = added {
                tracing::warn!("a function library of {} is left out: {fault:?}", self.leader);
            }
        }
        set
    }

    /// Tries once to replace the data; answers whether it did.
    fn replace(
        &self,
        staged: &mut Staging,
        libraries: &Set,
        rules: &Rules,
        position: Position,
        db: usize,
    ) -> Result<bool, Superseded> {
        let mut term = self.node.replication.term.lock();
        if term.number != self.number {
            return Err(Superseded);
        }
        let log = &self.node.log;
        let from = self.replica.greeting().and_then(|greeting| greeting.from);
        let replaced = self.node.keyspace.replace(staged, || {
            outlet::replace_history(self.node, || {
                log.reset(position);
                log.inherit_second(from);
                log.follow(true);
            });
            // Kept from here on, so that others can resume from this node once it leads.
            log.activate();
            self.node.tracking.flush(self.node);
            let mut change = self.node.scripts.libraries.change();
            change.set = libraries.clone();
            change.commit();
            self.node.keyspace.rules.replace(rules);
        });
        let Ok(garbage) = replaced else { return Ok(false) };
        (term.position, term.db) = (Some(position), db);
        drop(term);
        engine::free(garbage, Vec::new());
        Ok(true)
    }

    /// The stream goes on where it broke off, perhaps under another name.
    fn resume(&self, position: Position) -> Result<(), Superseded> {
        let mut term = self.node.replication.term.lock();
        if term.number != self.number {
            return Err(Superseded);
        }
        term.position = Some(position);
        let id = self.node.log.lock().backlog().id();
        let from = self.replica.greeting().and_then(|greeting| greeting.from);
        if id != position.id {
            // Who follows this node learns the new name when it asks to go on.
            outlet::replace_history(self.node, || {
                self.node.log.change_id(position.id);
                self.node.log.inherit_second(from);
            });
        }
        tracing::info!("resumed from {} at offset {}", self.leader, position.offset);
        Ok(())
    }

    async fn apply(&mut self, bytes: &[u8]) -> Result<Vec<Action<'static>>, Superseded> {
        let mut actions = Vec::new();
        self.applier.push(bytes);
        let mut patience = Patience::default();
        loop {
            let (applied, stop) = self.applier.run(self.node, self.number)?;
            let now_ms = clock::monotonic_ms();
            self.replica.step(Event::Applied(applied), now_ms);
            match stop {
                Stop::Drained => return Ok(actions),
                Stop::Contended if Pause::lasts(self.node) => tokio::time::sleep(HELD).await,
                Stop::Contended => {
                    if applied > 0 {
                        patience.renew();
                    }
                    patience.wait().await;
                }
                Stop::AckRequested => {
                    actions.extend(self.replica.step(Event::AckRequested, now_ms));
                }
                Stop::Broken(error) => {
                    tracing::error!("the stream of {} is not understood: {error}", self.leader);
                    self.start_over()?;
                    return Ok(vec![Action::Close(LinkError::Closed)]);
                }
            }
        }
    }

    /// Gives up the place in the history: whatever led here would lead here again.
    fn start_over(&mut self) -> Result<(), Superseded> {
        let mut term = self.node.replication.term.lock();
        if term.number != self.number {
            return Err(Superseded);
        }
        term.position = None;
        let config = replica_config(&self.node.config.load());
        let later_ms = clock::monotonic_ms() + BROKEN_PAUSE_MS;
        self.replica = Replica::new(config, None, later_ms);
        Ok(())
    }

    fn close(&mut self, error: &LinkError) {
        self.stream = None;
        self.unpacker = None;
        self.loader = None;
        self.applier.forget();
        let status = self.replica.status(clock::monotonic_ms());
        let retry_ms = status.retry_in_ms.unwrap_or(0);
        let cause = self.cause.take().map(|cause| format!(" ({cause})")).unwrap_or_default();
        tracing::warn!(
            "no link to the leader {}: {error}{cause}; next try in {retry_ms} ms",
            self.leader
        );
        let refused = matches!(error, LinkError::Refused(_) | LinkError::Denied(_));
        if refused && failover::state(self.node) == State::InProgress {
            failover::abort(self.node, "Failover target rejected psync request");
        }
    }
}

/// Connects to another node.
pub(super) async fn open(node: &Node, address: (&str, u16), secret: bool) -> io::Result<Stream> {
    let stream = TcpStream::connect(address).await?;
    // Acknowledgements should not wait for each other.
    let _ = stream.set_nodelay(true);
    if secret { node.tls.connect(address.0, stream).await } else { Ok(Stream::Tcp(stream)) }
}

/// Reads what has come; without a connection, nothing ever comes.
async fn read(stream: Option<&mut Stream>, buffer: &mut [u8]) -> io::Result<usize> {
    match stream {
        Some(stream) => stream.read(buffer).await,
        None => std::future::pending().await,
    }
}
