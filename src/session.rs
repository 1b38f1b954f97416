//! What one client has: its database, its protocol, its transaction, its name.

use std::sync::Arc;

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;
use eave_replication::wire::{Replconf, Request};

use crate::access::User;
use crate::access::identity::{Identity, Standing};
use crate::clients::Client;
use crate::clock;
use crate::command::{Command, Number};
use crate::config::Config;
use crate::engine::Elsewhere;
use crate::keyspace::Effects;
use crate::keyspace::shard::WatchFlag;
use crate::keyspace::view::Lookups;
use crate::node::Node;
use crate::observe::monitors::Monitors;
use crate::pubsub::Subscriptions;
use crate::rare::Rare;
use crate::replicate::forward::OwnLink;
use crate::resp::reply::Protocol;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::tracking::Interest;
use crate::waiter::Waiting;

/// By which door a session came in: it decides what it may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// A RESP connection.
    Resp,
    /// A REST request, or several of one connection.
    Rest,
    /// The stream of this replica's leader: it may write, and nothing expires for it.
    Leader,
}

/// See the module's description.
#[derive(Debug)]
pub struct Session {
    /// What others may see of it.
    pub client: Arc<Client>,
    /// Where it came in.
    pub door: Door,
    /// The selected database.
    pub db: usize,
    /// How it is answered.
    pub protocol: Protocol,
    /// Who it is, and with that what it may ask.
    pub identity: Identity,
    /// Whether it has said who it is, or need not: as of the last request.
    pub authenticated: bool,
    /// The time of the present command, in unix milliseconds.
    pub now: u64,
    /// The last command, with its container if it is a subcommand.
    pub last: Option<Named>,
    /// Its row's number.
    pub number: Number,
    /// When the last command ended, in ticks of the node's stopwatch.
    pub stamp: u64,
    /// What makes its commands take the long way.
    pub rare: Rare,
    /// Whether the present command has to wait until the session is woken.
    pub held: bool,
    /// Whether it has said SHUTDOWN and waits for the end.
    pub waits_for_end: bool,
    /// The unix millisecond until which DEBUG SLEEP sleeps.
    pub sleeps_until: Option<u64>,
    /// The one that others have been shown.
    shown: Option<Named>,
    /// Commands waiting for EXEC.
    pub queue: Option<Queue>,
    /// How many commands the EXEC that is running has.
    pub executing: Option<usize>,
    /// Watched keys.
    pub watches: Watches,
    /// What it waits for: nothing more is executed until that has come.
    pub waiting: Option<Waiting>,
    /// Whether its door can have things done elsewhere.
    pub may_leave: bool,
    /// What it has elsewhere, as long as its door has not taken it there.
    pub elsewhere: Option<Box<Elsewhere>>,
    /// The link to the leader that it keeps, which watches keys for it there.
    pub own_link: Option<Box<OwnLink>>,
    /// Up to where in the history its reads have to see.
    pub mark: u64,
    /// What it listens to, if anything.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// What it keeps copies of, if anything.
    pub tracking: Option<Box<Interest>>,
    /// Whether the connection ends after the present reply.
    pub closing: bool,
    /// What a client has said of itself that may become this node's replica.
    pub introduction: Option<Box<Introduction>>,
    /// Counts of the present batch, which the door adds to the node's.
    pub tally: Tally,
    /// What the present command has changed.
    pub effects: Effects,
    /// The settings, looked up once a command.
    pub(crate) config: Settings,
}

/// The settings of the node, looked up without touching a count that others touch.
pub type Settings = Cache<Arc<ArcSwap<Config>>, Arc<Config>>;

/// A command, with its container if it is a subcommand.
pub type Named = (Option<&'static Command>, &'static Command);

/// REPLCONF, and what came of it.
#[derive(Debug, Default)]
pub struct Introduction {
    /// Every REPLCONF so far, as one.
    pub options: Replconf,
    /// PSYNC or SYNC, with which the connection becomes a replica's.
    pub request: Option<Request>,
}

/// Commands that wait for EXEC.
#[derive(Debug, Default)]
pub struct Queue {
    /// Each with its arguments.
    pub commands: Vec<Vec<Box<[u8]>>>,
    /// Bytes of all arguments, with what keeps them.
    pub bytes: usize,
    /// Whether one of them was refused: EXEC then refuses all.
    pub broken: bool,
}

/// A watched key, with its database.
pub type Watched = (usize, Box<[u8]>);

/// Keys that a session watches.
#[derive(Debug, Default)]
pub struct Watches {
    /// Set when one of them has changed.
    pub flag: WatchFlag,
    /// The keys.
    pub keys: Vec<Watched>,
    /// Bytes of the keys.
    pub bytes: usize,
}

impl Watches {
    /// Whether a watched key has changed.
    pub fn broken(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// Takes all keys out, with the flag they were watched by; a new flag takes its place.
    pub fn take(&mut self) -> (WatchFlag, Vec<Watched>) {
        self.bytes = 0;
        let flag = std::mem::replace(&mut self.flag, Arc::new(AtomicBool::new(false)));
        (flag, std::mem::take(&mut self.keys))
    }
}

/// Counts that are gathered without touching what other workers touch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Commands run.
    pub commands: u64,
    /// Commands that failed.
    pub errors: u64,
    /// Due keys that were removed on the way.
    pub expired: u64,
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Rate-limit decisions that admitted.
    pub allowed: u64,
    /// Rate-limit decisions that refused.
    pub refused: u64,
}

impl Tally {
    /// Adds a reader's lookups.
    #[inline]
    pub fn count(&mut self, lookups: Lookups) {
        self.hits += lookups.hits;
        self.misses += lookups.misses;
    }
}

impl Session {
    /// A new client's session.
    pub fn new(client: Arc<Client>, door: Door, node: &Node) -> Session {
        let mut identity = Identity::new(&node.access, door);
        let standing = identity.refresh(&node.access);
        let mut effects = Effects::default();
        effects.author = client.id;
        Session {
            client,
            door,
            db: 0,
            protocol: Protocol::V2,
            identity,
            authenticated: standing == Standing::Known,
            now: 0,
            last: None,
            number: 0,
            stamp: 0,
            rare: Rare::empty(),
            held: false,
            waits_for_end: false,
            sleeps_until: None,
            shown: None,
            queue: None,
            executing: None,
            watches: Watches::default(),
            waiting: None,
            may_leave: false,
            elsewhere: None,
            own_link: None,
            mark: 0,
            subscriptions: None,
            tracking: None,
            closing: false,
            introduction: None,
            tally: Tally::default(),
            effects,
            config: Cache::new(Arc::clone(&node.config)),
        }
    }

    /// Makes it another user, who has said a password or a token.
    pub fn become_user(&mut self, user: Arc<User>) {
        *self.client.user.lock() = user.name.clone();
        self.identity.become_user(user);
        self.authenticated = true;
    }

    /// Makes it what it was when it came.
    pub fn forget_user(&mut self, node: &Node) {
        self.identity.reset(&node.access);
        self.authenticated = self.identity.refresh(&node.access) == Standing::Known;
        *self.client.user.lock() = self.identity.name().into();
    }

    /// Starts to run what was read at this moment.
    pub fn begin(&mut self, node: &Node) {
        self.now = clock::unix_ms();
        self.stamp = node.observer.stopwatch.ticks();
    }

    /// Shows others what has changed since the last request.
    pub fn publish(&mut self) {
        let client = &self.client;
        client.active.store(self.now, Ordering::Relaxed);
        client.db.store(self.db, Ordering::Relaxed);
        let queued = self.queue.as_ref().map(|queue| queue.commands.len()).or(self.executing);
        client.queued.store(queued.map_or(-1, |count| count as i64), Ordering::Relaxed);
        let queued_bytes = self.queue.as_ref().map_or(0, |queue| queue.bytes);
        client.queued_bytes.store(queued_bytes, Ordering::Relaxed);
        client.watched.store(self.watches.keys.len(), Ordering::Relaxed);
        let row = |named: Option<Named>| named.map(|(_, command)| std::ptr::from_ref(command));
        if row(self.last) != row(self.shown) {
            self.shown = self.last;
            *client.last.lock() = self.last.map_or(("", ""), |(container, command)| {
                (container.map_or("", |container| container.name), command.name)
            });
        }
    }

    /// What is to be left of the output when a reply was written from `start` to `end`, and
    /// CLIENT REPLY has been said.
    #[cold]
    pub fn leave_out(&mut self, start: usize, end: usize) -> usize {
        let silent = self.rare.intersects(Rare::REPLY_OFF | Rare::REPLY_SKIP);
        let next = self.rare.contains(Rare::REPLY_SKIP_NEXT);
        self.rare.remove(Rare::REPLY_SKIP_NEXT | Rare::REPLY_SKIP);
        // The reply of SKIP itself is left out, and then the next one.
        self.rare.set(Rare::REPLY_SKIP, next);
        if silent || next { start } else { end }
    }

    /// Watches by MONITOR.
    pub fn watch_all(&mut self, node: &Node) {
        if !self.rare.contains(Rare::MONITORS) {
            self.rare.insert(Rare::MONITORS);
            self.client.monitors.store(true, Ordering::Relaxed);
            Monitors::add(node, &self.client);
        }
    }

    /// Watches no more.
    pub fn watch_no_more(&mut self, node: &Node) {
        if self.rare.contains(Rare::MONITORS) {
            self.rare.remove(Rare::MONITORS);
            self.client.monitors.store(false, Ordering::Relaxed);
            Monitors::remove(node, &self.client);
        }
    }

    /// Listens to nothing any more.
    pub fn forget_subscriptions(&mut self, node: &Node) {
        if let Some(mut mine) = self.subscriptions.take() {
            node.hub.leave(&self.client, &mut mine);
        }
    }

    /// Ends what CLIENT CACHING has said, after the command of which it was said; a transaction
    /// counts as one.
    pub fn forget_caching(&mut self) {
        let said = matches!(self.last, Some((Some(container), _)) if container.name == "client");
        if let (Some(interest), None, false) = (&mut self.tracking, &self.queue, said) {
            interest.caching = false;
        }
    }

    /// The settings as they are now.
    #[inline]
    pub fn config(&mut self) -> &Config {
        self.config.load()
    }
}
