//! The registry of clients: what CLIENT LIST shows of them, and how they are reached from
//! outside their own task.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Weak};
use std::task::Waker;

use parking_lot::{Mutex, RwLock};

use crate::access::user::DEFAULT;
use crate::command::Argv;
use crate::config::OutputLimit;
use crate::net::connection::Connection;
use crate::net::socket::TcpStream;
use crate::pubsub::{Subscriptions, Topic};
use crate::session::Session;
use crate::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use crate::tracking::{self, Standing};
use crate::waiter::Waiter;

/// One client, as others see it.
#[derive(Debug)]
pub struct Client {
    /// Never used twice in the life of a process.
    pub id: u64,
    /// Its address, `ip:port`.
    pub peer: String,
    /// Our address, `ip:port`.
    pub local: String,
    /// When it came, in unix milliseconds.
    pub since: u64,
    /// When it last asked for something, in unix milliseconds.
    pub active: AtomicU64,
    /// The selected database.
    pub db: AtomicUsize,
    /// 2 or 3.
    pub protocol: AtomicU8,
    /// Commands in its transaction, or -1.
    pub queued: AtomicI64,
    /// Bytes of those commands.
    pub queued_bytes: AtomicUsize,
    /// Whether it watches by MONITOR.
    pub monitors: AtomicBool,
    /// CLIENT NO-EVICT.
    pub kept: AtomicBool,
    /// CLIENT NO-TOUCH.
    pub touches_not: AtomicBool,
    /// Keys that it watches.
    pub watched: AtomicUsize,
    /// Bytes of its next request that have come so far.
    pub query_bytes: AtomicUsize,
    /// Bytes of replies that it has not taken yet.
    pub output_bytes: AtomicUsize,
    /// Its last command: the container, or nothing, and the name.
    pub last: Mutex<(&'static str, &'static str)>,
    /// What it has said of itself.
    pub words: Mutex<Words>,
    /// The name of its user.
    pub user: Mutex<Box<[u8]>>,
    /// Whether it is this node's replica.
    pub follower: AtomicBool,
    /// Channels, patterns and shard channels that it listens to.
    pub listening: [AtomicUsize; 3],
    /// How it tracks, if it does.
    pub tracking: Standing,
    /// Messages that its connection has not taken yet.
    outbox: Mutex<Outbox>,
    /// What it waits for.
    waiter: Mutex<Weak<Waiter>>,
    /// Whether there are such messages.
    mail: AtomicBool,
    closing: AtomicBool,
    /// The task that `wake` wakes. It stays: whoever is woken need not say again whom to wake.
    waker: Mutex<Option<Waker>>,
}

/// Messages on their way to a client.
#[derive(Debug, Default)]
struct Outbox {
    bytes: Vec<u8>,
    /// Since when there has been more than the soft limit, in unix milliseconds.
    over_since: Option<u64>,
}

/// What a client has said of itself.
#[derive(Debug, Default, Clone)]
pub struct Words {
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME.
    pub library: Vec<u8>,
    /// CLIENT SETINFO LIB-VER.
    pub version: Vec<u8>,
}

impl Client {
    /// Asks the client's task to end, and wakes it.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake();
    }

    /// Wakes the client's task, which then looks what there is to do.
    pub fn wake(&self) {
        if let Some(waker) = &*self.waker.lock() {
            waker.wake_by_ref();
        }
    }

    /// Shows others what it waits for.
    pub fn waits(&self, waiter: &Arc<Waiter>) {
        *self.waiter.lock() = Arc::downgrade(waiter);
    }

    /// What it waits for, as long as it does.
    pub fn waiter(&self) -> Option<Arc<Waiter>> {
        self.waiter.lock().upgrade().filter(|waiter| waiter.is_waiting())
    }

    /// Whether the task has been asked to end.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Puts a message into the outbox, and wakes the client's task to write it. A client that
    /// has more unread than `limit` allows is closed.
    pub fn send(&self, message: &[u8], limit: OutputLimit, now: u64) {
        let mut outbox = self.outbox.lock();
        if self.is_closing() {
            return;
        }
        let waiting = !outbox.bytes.is_empty();
        outbox.bytes.extend_from_slice(message);
        self.mail.store(true, Ordering::Release);
        let unread = outbox.bytes.len() + self.output_bytes.load(Ordering::Relaxed);
        if limit.is_exceeded(unread as u64, &mut outbox.over_since, now) {
            outbox.bytes = Vec::new();
            drop(outbox);
            tracing::warn!("client {} is cut: it does not take its messages", self.id);
            self.close();
        } else if !waiting {
            drop(outbox);
            self.wake();
        }
    }

    /// Takes the messages out of the outbox, behind `output`.
    pub fn take_messages(&self, output: &mut Vec<u8>) {
        let mut outbox = self.outbox.lock();
        self.mail.store(false, Ordering::Relaxed);
        if output.is_empty() {
            *output = std::mem::take(&mut outbox.bytes);
        } else {
            output.append(&mut outbox.bytes);
        }
    }

    /// Bytes that it has not taken yet, of replies and of messages.
    pub fn unread(&self) -> u64 {
        let replies = self.output_bytes.load(Ordering::Relaxed);
        let messages = if self.has_messages() { self.outbox.lock().bytes.len() } else { 0 };
        replies.saturating_add(messages) as u64
    }

    /// Whether that is more than `limit` allows.
    pub fn is_over(&self, unread: u64, limit: OutputLimit, now: u64) -> bool {
        limit.is_exceeded(unread, &mut self.outbox.lock().over_since, now)
    }

    /// Whether there are messages to be taken.
    #[inline]
    pub fn has_messages(&self) -> bool {
        self.mail.load(Ordering::Acquire)
    }

    /// Whether it listens to anything.
    pub fn is_listening(&self) -> bool {
        self.listening.iter().any(|count| count.load(Ordering::Relaxed) > 0)
    }

    /// Shows others how much it listens to.
    pub fn subscribed(&self, mine: &Subscriptions) {
        let topics = [Topic::Channel, Topic::Pattern, Topic::Shard];
        for (shown, topic) in self.listening.iter().zip(topics) {
            shown.store(mine.of(topic).len(), Ordering::Relaxed);
        }
    }

    /// Has the present task woken by `close`, by a message or by the end of a wait, from now on.
    pub fn register(&self, waker: &Waker) {
        let mut mine = self.waker.lock();
        if !mine.as_ref().is_some_and(|mine| mine.will_wake(waker)) {
            let before = mine.replace(waker.clone());
            drop(mine);
            // What the last task leaves is not ended under the lock.
            drop(before);
        }
    }

    /// The name of the user as which it is logged in.
    pub fn user(&self) -> String {
        String::from_utf8_lossy(&self.user.lock()).into_owned()
    }

    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        // A Unix socket's address is its path.
        let address = self.peer.parse::<std::net::SocketAddr>();
        address.map_or(self.peer.starts_with('/'), |peer| peer.ip().to_canonical().is_loopback())
    }

    /// What kind of client it is, as CLIENT LIST TYPE and CLIENT KILL TYPE ask.
    pub fn role(&self) -> Role {
        let listens = self.listening.iter().any(|count| count.load(Ordering::Relaxed) > 0);
        match self.follower.load(Ordering::Relaxed) {
            true => Role::Replica,
            false if listens => Role::Listener,
            false => Role::Normal,
        }
    }

    /// Bytes of messages that it has not taken.
    pub fn waiting_bytes(&self) -> usize {
        self.outbox.lock().bytes.len()
    }

    /// Bytes that it takes: requests that are not whole, a transaction that waits, replies and
    /// messages that it has not read, and what there is of any client.
    pub fn memory(&self) -> usize {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        CLIENT_BYTES
            + read(&self.query_bytes)
            + read(&self.queued_bytes)
            + read(&self.output_bytes)
            + self.waiting_bytes()
    }

    /// The letters of CLIENT LIST.
    fn flags(&self) -> String {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        let letters = [
            (is(&self.monitors), 'O'),
            (self.role() == Role::Replica, 'S'),
            (self.role() == Role::Listener, 'P'),
            (self.queued.load(Ordering::Relaxed) >= 0, 'x'),
            (self.is_closing(), 'A'),
            (is(&self.kept), 'e'),
            (is(&self.touches_not), 'T'),
            (self.waiter().is_some(), 'b'),
            // A socket of this machine: its file has no port.
            (self.peer.ends_with(":0"), 'U'),
        ];
        let flags: String =
            letters.iter().filter(|(holds, _)| *holds).map(|(_, letter)| *letter).collect();
        let flags = flags + tracking::letters(self);
        if flags.is_empty() { "N".to_owned() } else { flags }
    }

    /// The client's line of CLIENT LIST, without its end. Who asks gives the request itself,
    /// which is in nobody else's view.
    pub fn line(&self, now: u64, request: Option<Argv<'_>>) -> String {
        let words = self.words.lock().clone();
        let seconds = |since: u64| now.saturating_sub(since) / 1000;
        let queued = self.queued.load(Ordering::Relaxed);
        let [channels, patterns, shards] =
            [0, 1, 2].map(|at| self.listening[at].load(Ordering::Relaxed));
        let flags = self.flags();
        let argv = request.unwrap_or_default();
        let arguments: usize = argv.iter().map(|argument| argument.len()).sum();
        let output = self.output_bytes.load(Ordering::Relaxed) + self.waiting_bytes();
        let command = match *self.last.lock() {
            ("", "") => "NULL".to_owned(),
            ("", name) => name.to_owned(),
            (container, name) => format!("{container}|{name}"),
        };
        let mut line = format!("id={} addr={} laddr={} fd=0", self.id, self.peer, self.local);
        // Writing to a String does not fail.
        let _ = write!(
            line,
            " name={} age={} idle={} flags={flags} db={} sub={channels} psub={patterns} ssub={shards} multi={queued} \
             watch={} qbuf={} qbuf-free=0 argv-mem={arguments} multi-mem={} rbs=0 rbp=0 obl=0 \
             oll={} omem={output} tot-mem={} events={} cmd={command} user={} redir={} resp={} \
             lib-name={} lib-ver={}",
            words.name.escape_ascii(),
            seconds(self.since),
            seconds(self.active.load(Ordering::Relaxed)),
            self.db.load(Ordering::Relaxed),
            self.watched.load(Ordering::Relaxed),
            self.query_bytes.load(Ordering::Relaxed) + request.map_or(0, encoded_bytes),
            self.queued_bytes.load(Ordering::Relaxed),
            usize::from(output > 0),
            self.memory() + arguments,
            if output > 0 { "rw" } else { "r" },
            self.user.lock().escape_ascii(),
            tracking::shown_redirect(self),
            self.protocol.load(Ordering::Relaxed),
            words.library.escape_ascii(),
            words.version.escape_ascii(),
        );
        line
    }
}

/// What kind of client it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// One that sends commands.
    Normal,
    /// One that follows this node.
    Replica,
    /// One that listens to channels.
    Listener,
}

/// Bytes of any client: what is known of it, its session and its connection.
const CLIENT_BYTES: usize =
    size_of::<Client>() + size_of::<Session>() + size_of::<Connection<TcpStream>>();

/// Bytes of a request as it is sent.
fn encoded_bytes(argv: Argv<'_>) -> usize {
    let header = |length: usize| 3 + length.checked_ilog10().unwrap_or(0) as usize + 1;
    let argument = |bytes: &&[u8]| header(bytes.len()) + bytes.len() + 2;
    header(argv.len()) + argv.iter().map(argument).sum::<usize>()
}

/// All clients of a node.
#[derive(Debug, Default)]
pub struct Clients {
    next: AtomicU64,
    all: RwLock<BTreeMap<u64, Arc<Client>>>,
}

impl Clients {
    /// Adds a client.
    pub fn add(&self, peer: String, local: String, now: u64) -> Arc<Client> {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Arc::new(Client {
            id,
            peer,
            local,
            since: now,
            active: AtomicU64::new(now),
            db: AtomicUsize::new(0),
            protocol: AtomicU8::new(2),
            queued: AtomicI64::new(-1),
            queued_bytes: AtomicUsize::new(0),
            monitors: AtomicBool::new(false),
            kept: AtomicBool::new(false),
            touches_not: AtomicBool::new(false),
            watched: AtomicUsize::new(0),
            query_bytes: AtomicUsize::new(0),
            output_bytes: AtomicUsize::new(0),
            last: Mutex::default(),
            words: Mutex::default(),
            user: Mutex::new(DEFAULT.into()),
            follower: AtomicBool::new(false),
            listening: [const { AtomicUsize::new(0) }; 3],
            tracking: Standing::default(),
            outbox: Mutex::default(),
            waiter: Mutex::default(),
            mail: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            waker: Mutex::default(),
        });
        self.all.write().insert(id, Arc::clone(&client));
        client
    }

    /// Takes a client out.
    pub fn remove(&self, id: u64) {
        self.all.write().remove(&id);
    }

    /// All clients, the oldest first.
    pub fn list(&self) -> Vec<Arc<Client>> {
        self.all.read().values().cloned().collect()
    }

    /// The client `id`.
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.all.read().get(&id).cloned()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.read().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
