//! One node: everything that its connections share.
//!
//! Doors, the engine and the background tasks all get a reference to it; whatever is in here
//! can be used from every worker at once.

use std::sync::Arc;

use arc_swap::ArcSwap;
use eave_replication::epoch::{Notice, Reign};
use eave_replication::failover::Failover;
use eave_replication::leader::{Leader, LeaderConfig};
use eave_replication::status::{LinkState, ReplicaStatus};
use eave_replication::{Backlog, BacklogConfig, Position, ReplicationId};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::clients::Clients;
use crate::clock;
use crate::config::{self, Config, Secret};
use crate::keyspace::effects::Logging;
use crate::keyspace::evict::Evictor;
use crate::keyspace::shard::WatchFlag;
use crate::keyspace::{Effects, Event, Keyspace};
use crate::log::Log;
use crate::net::tls::Tls;
use crate::observe::memory::Memory;
use crate::observe::{Observer, Stats};
use crate::pause::Pause;
use crate::pubsub::Hub;
use crate::rare::RareCell;
use crate::replicate::forward::{Forwarding, Lag};
use crate::replicate::regions::Exchanges;
use crate::replicate::{Acknowledgements, Alone, Copying, Outlets, Packed, Target, Term};
use crate::rest::load::Load;
use crate::rules::keep::Kept;
use crate::script::Scripts;
use crate::shutdown::Shutting;
use crate::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use crate::tracking::Tracking;
use crate::waiter::Waits;

/// A watched key with its database, and whose watch it was.
pub type Orphan = (usize, Box<[u8]>, WatchFlag);

/// See the module's description.
#[derive(Debug)]
pub struct Node {
    /// The data.
    pub keyspace: Keyspace,
    /// The settings.
    pub config: Arc<ArcSwap<Config>>,
    /// The effects.
    pub log: Log,
    /// Who may ask for what.
    pub access: Access,
    /// Who is connected.
    pub clients: Clients,
    /// Who listens to what.
    pub hub: Hub,
    /// Who waits.
    pub waits: Waits,
    /// Certificates.
    pub tls: Tls,
    /// The file of named rules and lists.
    pub rules_kept: Kept,
    /// The scripts that clients have sent.
    pub scripts: Scripts,
    /// Who keeps copies of what.
    pub tracking: Tracking,
    /// What has happened.
    pub stats: Stats,
    /// What is noted while commands run.
    pub observer: Observer,
    /// What makes every command take the long way.
    pub rare: RareCell,
    /// CLIENT PAUSE.
    pub pause: Pause,
    /// The stop that is under way.
    pub shutting: Shutting,
    /// What is in use.
    pub memory: Arc<Memory>,
    /// What is evicted next.
    pub evictor: Mutex<Evictor>,
    /// Who follows, and whom this node follows.
    pub replication: Replication,
    /// How much the REST door has to do.
    pub rest: Load,
    /// The credential of the REST door.
    pub token: Secret,
    /// When the node started, in unix milliseconds.
    pub started: u64,
    /// Names this run of the process: 40 hex digits.
    pub run_id: String,
    /// Cancelled when the node stops.
    pub shutdown: CancellationToken,
    /// Keys that sessions have stopped watching while these were busy: the upkeep takes them off
    /// the lists of watchers.
    pub orphans: Mutex<Vec<Orphan>>,
    /// DEBUG SET-ACTIVE-EXPIRE 0.
    pub sweepless: AtomicBool,
    /// DEBUG PAUSE-CRON 1.
    pub cronless: AtomicBool,
    /// Held while settings are changed.
    configuring: Mutex<()>,
}

/// The node's place among others.
#[derive(Debug)]
pub struct Replication {
    /// The side towards followers.
    pub leader: Mutex<Leader>,
    /// The connections of those who follow.
    pub outlets: Outlets,
    /// Its epoch.
    pub reign: Mutex<Reign>,
    /// The old leader that has to be told who took over, and what.
    pub owed: watch::Sender<Option<(config::Leader, Notice)>>,
    /// What this node did alone and gave up for another history.
    pub alone: Mutex<Alone>,
    /// The failover that is under way.
    pub failover: Mutex<Failover>,
    /// Who waits for them.
    pub acknowledgements: Acknowledgements,
    /// Whom to follow; the task that does so watches it.
    pub target: Target,
    /// What that task has applied, and whether it still may.
    pub term: Mutex<Term>,
    /// What links have packed.
    pub packed: Packed,
    /// How far the full copy is that goes out.
    pub copying: Copying,
    /// What is handed on to the leader.
    pub forwarding: Forwarding,
    /// How old this node's data is.
    pub lag: Lag,
    /// What was told of limits that nodes share.
    pub exchanges: Exchanges,
    /// What that task says of itself.
    pub status: Mutex<Option<ReplicaStatus>>,
    /// Why this node takes no writes of clients: [`FOLLOWS`], [`FENCED`].
    limits: AtomicU8,
}

/// This node follows another.
const FOLLOWS: u8 = 1;

/// This node led an epoch that is over.
const FENCED: u8 = 2;

impl Replication {
    /// Whether this node follows another.
    #[inline]
    pub fn is_replica(&self) -> bool {
        self.limits.load(Ordering::Relaxed) & FOLLOWS != 0
    }

    /// Whether there may be commands that this node refuses because of its place among others.
    #[inline]
    pub fn is_limited(&self) -> bool {
        self.limits.load(Ordering::Relaxed) != 0
    }

    /// Whether this node leads an epoch that is over, and takes no writes.
    #[inline]
    pub fn is_fenced(&self) -> bool {
        self.limits.load(Ordering::Relaxed) & FENCED != 0
    }

    /// Says whether the epoch that this node leads is over.
    pub(crate) fn fence(&self, fenced: bool) {
        if fenced {
            self.limits.fetch_or(FENCED, Ordering::SeqCst);
        } else {
            self.limits.fetch_and(!FENCED, Ordering::SeqCst);
        }
    }

    /// Whether a full copy from the leader is under way.
    pub fn is_loading(&self) -> bool {
        self.status.lock().as_ref().is_some_and(|status| status.state == LinkState::Sync)
    }

    /// Whether the link to the leader stands.
    pub fn is_connected(&self) -> bool {
        self.status.lock().as_ref().is_some_and(|status| status.state == LinkState::Connected)
    }

    /// Names whom to follow; see [`crate::replicate::follow`] for what else a change takes.
    pub(crate) fn aim(&self, target: Option<config::Leader>) {
        if target.is_some() {
            self.limits.fetch_or(FOLLOWS, Ordering::SeqCst);
        } else {
            self.limits.fetch_and(!FOLLOWS, Ordering::SeqCst);
        }
        self.target.set(target);
    }
}

impl Node {
    /// A node with these settings, without data and without connections.
    pub fn new(config: Config) -> Arc<Node> {
        let token = if config.rest_token.is_empty() {
            Secret::new(clock::secret_hex(32))
        } else {
            config.rest_token.clone()
        };
        let mut id = [0; 20];
        clock::secret_bytes(&mut id);
        let position = Position { id: ReplicationId::from_random(id), offset: 0 };
        let history = backlog_config(&config);
        let replication = Replication {
            leader: Mutex::new(Leader::new(leader_config(&config))),
            outlets: Outlets::default(),
            failover: Mutex::default(),
            acknowledgements: Acknowledgements::default(),
            target: Target::default(),
            term: Mutex::default(),
            packed: Packed::default(),
            copying: Copying::default(),
            forwarding: Forwarding::default(),
            lag: Lag::default(),
            exchanges: Exchanges::default(),
            status: Mutex::new(None),
            reign: Mutex::default(),
            owed: watch::channel(None).0,
            alone: Mutex::default(),
            limits: AtomicU8::new(0),
        };
        replication.aim(config.replicaof.clone());
        replication.leader.lock().be_quiet(config.replicaof.is_some());
        Arc::new(Node {
            keyspace: Keyspace::new(config.databases as usize),
            log: Log::new(Backlog::new(history, position)),
            access: Access::new(&config),
            clients: Clients::default(),
            hub: Hub::default(),
            waits: Waits::default(),
            tls: Tls::default(),
            rules_kept: Kept::default(),
            scripts: Scripts::default(),
            tracking: Tracking::default(),
            stats: Stats::default(),
            observer: Observer::new(&config),
            rare: RareCell::default(),
            pause: Pause::default(),
            shutting: Shutting::default(),
            memory: Arc::default(),
            evictor: Mutex::default(),
            replication,
            rest: Load::default(),
            token,
            started: clock::unix_ms(),
            run_id: clock::secret_hex(20),
            shutdown: CancellationToken::new(),
            orphans: Mutex::default(),
            sweepless: AtomicBool::new(false),
            cronless: AtomicBool::new(false),
            configuring: Mutex::new(()),
            config: Arc::new(ArcSwap::from_pointee(config)),
        })
    }

    /// Whether effects have to be written down. A replica's log is its leader's, byte for byte.
    #[inline]
    pub fn logging(&self) -> Logging {
        if self.replication.is_replica() { Logging::Foreign } else { self.log.logging() }
    }

    /// Writes down what a command or a transaction has changed, and publishes it. The caller
    /// still holds the locks of what was changed, so that both have the order of the changes.
    #[inline]
    pub fn record(&self, effects: &mut Effects) {
        self.log.append(effects);
        if effects.has_news() {
            self.tell(effects);
        }
    }

    #[cold]
    fn tell(&self, effects: &mut Effects) {
        self.invalidate(effects);
        self.announce(std::mem::take(&mut effects.events));
    }

    /// Tells those who track of what was touched so far.
    pub fn invalidate(&self, effects: &mut Effects) {
        let touched = effects.take_touched();
        if !touched.is_empty() {
            self.tracking.invalidate(self, effects.author, &touched);
        }
    }

    /// Starts to collect what a command changes. The caller holds the locks of its keys.
    #[inline]
    pub fn begin(&self, effects: &mut Effects) {
        effects.begin(self.logging());
        effects.tracked = self.tracking.is_on();
    }

    /// Likewise, for what this node does of its own.
    pub fn effects(&self) -> Effects {
        let mut effects = Effects::new(self.logging());
        effects.tracked = self.tracking.is_on();
        effects
    }

    /// Publishes what has happened to keys.
    #[inline]
    pub fn announce(&self, events: Vec<Event>) {
        if !events.is_empty() {
            self.announce_all(events);
        }
    }

    #[cold]
    fn announce_all(&self, events: Vec<Event>) {
        let config = self.config.load();
        let limit = config.client_output_buffer_limit.pubsub;
        self.hub.announce(events, config.notify_keyspace_events, limit, clock::unix_ms());
    }

    /// Reads the files of certificates again, as SIGHUP asks.
    pub fn reload_certificates(&self) {
        match self.tls.load(&self.config.load().tls) {
            Ok(()) => tracing::info!("SIGHUP: certificates are read again"),
            Err(error) => tracing::warn!("SIGHUP: TLS stays as it was: {error}"),
        }
    }

    /// Whether due keys are freed though nobody asks for them: DEBUG SET-ACTIVE-EXPIRE.
    pub fn sweeps(&self) -> bool {
        !self.sweepless.load(Ordering::Relaxed)
    }

    /// Changes settings.
    ///
    /// # Errors
    /// What `change` refuses; nothing is changed then.
    pub fn configure<E>(&self, change: impl FnOnce(&mut Config) -> Result<(), E>) -> Result<(), E> {
        // Of two changes at once, neither may start from what was before the other.
        let _configuring = self.configuring.lock();
        let mut next = Config::clone(&self.config.load());
        change(&mut next)?;
        if next.requirepass != self.config.load().requirepass {
            self.access.require_password(next.requirepass.reveal());
        }
        self.replication.leader.lock().configure(leader_config(&next));
        self.log.lock().backlog().configure(backlog_config(&next));
        self.observer.configure(&next);
        crate::banner::set_level(next.loglevel);
        self.config.store(Arc::new(next));
        crate::replicate::enough::look(self);
        Ok(())
    }
}

fn backlog_config(config: &Config) -> BacklogConfig {
    let limit = match config.client_output_buffer_limit.replica.hard {
        0 => u64::MAX,
        limit => limit,
    };
    BacklogConfig { size: config.repl_backlog_size, limit }
}

fn leader_config(config: &Config) -> LeaderConfig {
    LeaderConfig {
        ping_period_ms: u64::from(config.repl_ping_replica_period) * 1000,
        timeout_ms: u64::from(config.repl_timeout) * 1000,
        snapshot_delay_ms: u64::from(config.repl_diskless_sync_delay) * 1000,
    }
}
