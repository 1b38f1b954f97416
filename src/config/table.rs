//! The directives: one row each, and everything else is derived from the rows.
//!
//! Sorted by group and then by name. Left out on purpose: defaults, which stand in
//! [`Config::default`] with their reasons, and parsing, which a row's [`Kind`] does.

use super::Config;
use super::inert::INERT;
use super::kind::{Kind, Reason, Stage};
use super::source::split_words;
use super::value::{
    BindAddress, DebugAccess, EvictionPolicy, KeyspaceEvents, Leader, LogLevel, SavePoint,
};

/// One directive.
#[derive(Clone, Copy, Debug)]
pub struct Directive {
    /// Its name in redis.conf, lower case.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// The heading under which `--help` shows it.
    pub group: Group,
    /// When it can be set.
    pub when: When,
    /// One line for `--help`.
    pub help: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// The headings of `--help`, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The Redis port and its connections.
    Network,
    /// The REST door.
    Rest,
    /// Who may do what.
    Access,
    /// Leader and replicas.
    Replication,
    /// Memory, expiry and eviction.
    Memory,
    /// Bounds on one client.
    Limits,
    /// Databases and data types.
    Data,
    /// Logs and measurements.
    Observation,
    /// Process and files.
    Process,
    /// Known to Redis, without effect here.
    Inert,
}

impl Group {
    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Network => "Network",
            Self::Rest => "REST",
            Self::Access => "Access",
            Self::Replication => "Replication",
            Self::Memory => "Memory, expiry and eviction",
            Self::Limits => "Limits of one client",
            Self::Data => "Databases and data types",
            Self::Observation => "Logs and measurements",
            Self::Process => "Process and files",
            Self::Inert => "Accepted without effect",
        }
    }
}

/// When a directive can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At start and by CONFIG SET.
    Runtime,
    /// At start only.
    Start,
    /// At start only, because CONFIG SET of it has been used to attack Redis servers.
    Protected,
}

impl Directive {
    /// The name of its variable, such as `EAVE_REST_PORT`.
    pub fn variable(&self) -> String {
        format!("EAVE_{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// Its value in `config`, as CONFIG GET shows it.
    pub fn get(&self, config: &Config) -> Vec<u8> {
        self.kind.get(self.name, config)
    }

    /// Gives it the value `words` in `config`, all or nothing.
    ///
    /// # Errors
    /// Why the words are not a value of this directive.
    pub fn set(&self, config: &mut Config, words: &[Vec<u8>], stage: Stage) -> Result<(), Reason> {
        // `save "3600 1"` and `bind "127.0.0.1 ::1"` are common, also in Redis' own examples.
        match words {
            [only] if self.kind.takes_words() && only.contains(&b' ') => {
                self.kind.set(self.name, config, &self.words_of(only), stage)
            }
            words => self.kind.set(self.name, config, words, stage),
        }
    }

    /// A value that came as one string, cut into words if the directive takes several.
    pub(super) fn words_of(&self, value: &[u8]) -> Vec<Vec<u8>> {
        let words = self.kind.takes_words().then(|| split_words(value)).flatten();
        words.unwrap_or_else(|| vec![value.to_vec()])
    }

    const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
}

/// The directive called `name`, or with that alias, in any case.
pub fn find(name: &str) -> Option<&'static Directive> {
    names().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, directive)| directive)
}

/// Every directive.
pub(super) fn directives() -> impl Iterator<Item = &'static Directive> {
    TABLE.iter().chain(INERT)
}

/// Every name and alias with its directive.
pub(super) fn names() -> impl Iterator<Item = (&'static str, &'static Directive)> {
    directives().flat_map(|directive| {
        std::iter::once(directive.name)
            .chain(directive.aliases.iter().copied())
            .map(move |name| (name, directive))
    })
}

/// The known name that is most like `name`, if any is like it at all.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    // Longer input is no slip of the finger, and the distance costs its square.
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_ascii_lowercase().replace('_', "-");
    names()
        .map(|(known, _)| (strsim::damerau_levenshtein(&name, known), known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .map(|(_, known)| known)
}

const fn row(
    group: Group,
    when: When,
    name: &'static str,
    help: &'static str,
    kind: Kind,
) -> Directive {
    Directive { name, aliases: &[], group, when, help, kind }
}

pub(super) const fn inert(
    name: &'static str,
    aliases: &'static [&'static str],
    default: &'static str,
) -> Directive {
    let help = "Accepted for compatibility, without effect.";
    row(Group::Inert, When::Runtime, name, help, Kind::Inert { default }).alias(aliases)
}

/// Stores a number that a row's bounds have already been held against.
fn put<T: TryFrom<N>, N>(field: &mut T, number: N) -> bool {
    T::try_from(number).map(|number| *field = number).is_ok()
}

/// The text of a list.
fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// For fields of a width that the compiler does not convert by itself; what does not fit cannot
/// have been set through the table.
fn wide<T: TryInto<N>, N: From<u32>>(field: T, most: N) -> N {
    field.try_into().unwrap_or(most)
}

const INT: i64 = i32::MAX as i64;
const UINT: i64 = u32::MAX as i64;
const LONG: i64 = i64::MAX;
const BYTES: u64 = i64::MAX as u64;
const MIB: u64 = 1 << 20;

use Group::{Access, Data, Limits, Memory, Network, Observation, Process, Replication, Rest};
use When::{Protected, Runtime, Start};

/// The directives that act, sorted by group and name.
pub const TABLE: &[Directive] = &[
    row(
        Network,
        Start,
        "bind",
        "Addresses to listen on; a leading - means: if the machine has it",
        Kind::Words {
            shape: "<address>...",
            get: |c| join(&c.bind),
            set: |c, words, _| {
                c.bind = BindAddress::parse_all(words)?;
                Ok(())
            },
        },
    ),
    row(
        Network,
        Runtime,
        "maxclients",
        "Connected clients at most",
        Kind::Number {
            min: 1,
            max: UINT,
            get: |c| i64::from(c.maxclients),
            set: |c, v| put(&mut c.maxclients, v),
        },
    ),
    row(
        Network,
        Start,
        "port",
        "TCP port of the Redis protocol; 0 = off",
        Kind::Number {
            min: 0,
            max: 65535,
            get: |c| i64::from(c.port),
            set: |c, v| put(&mut c.port, v),
        },
    ),
    row(
        Network,
        Start,
        "tcp-backlog",
        "Connections that may wait to be accepted",
        Kind::Number {
            min: 0,
            max: INT,
            get: |c| i64::from(c.tcp_backlog),
            set: |c, v| put(&mut c.tcp_backlog, v),
        },
    ),
    row(
        Network,
        Runtime,
        "tcp-keepalive",
        "Seconds between probes of a silent connection; 0 = none",
        Kind::Number {
            min: 0,
            max: INT,
            get: |c| i64::from(c.tcp_keepalive),
            set: |c, v| put(&mut c.tcp_keepalive, v),
        },
    ),
    row(
        Network,
        Runtime,
        "timeout",
        "Seconds after which an idle client is closed; 0 = never",
        Kind::Number {
            min: 0,
            max: INT,
            get: |c| i64::from(c.timeout),
            set: |c, v| put(&mut c.timeout, v),
        },
    ),
    row(
        Network,
        Runtime,
        "tls-port",
        "TCP port for TLS; not available yet",
        Kind::Fixed { value: "0", why: "TLS is not available yet" },
    ),
    row(
        Network,
        Start,
        "unixsocket",
        "Path of a Unix socket; not available yet",
        Kind::Fixed { value: "", why: "Unix sockets are not available yet" },
    ),
    row(
        Rest,
        Start,
        "rest-bind",
        "Addresses of the REST port; empty = those of bind",
        Kind::Words {
            shape: "<address>...",
            get: |c| join(&c.rest_bind),
            set: |c, words, _| {
                c.rest_bind = BindAddress::parse_all(words)?;
                Ok(())
            },
        },
    ),
    row(
        Rest,
        Runtime,
        "rest-cors",
        "Let browsers call from pages of other origins",
        Kind::YesNo { get: |c| c.rest_cors, set: |c, v| c.rest_cors = v },
    ),
    row(
        Rest,
        Runtime,
        "rest-header-timeout-ms",
        "Milliseconds in which the head of a request must arrive",
        Kind::Number {
            min: 1,
            max: INT,
            get: |c| wide(c.rest_header_timeout_ms, INT),
            set: |c, v| put(&mut c.rest_header_timeout_ms, v),
        },
    ),
    row(
        Rest,
        Runtime,
        "rest-idle-timeout",
        "Seconds that a connection may stay open between requests",
        Kind::Number {
            min: 1,
            max: INT,
            get: |c| i64::from(c.rest_idle_timeout),
            set: |c, v| put(&mut c.rest_idle_timeout, v),
        },
    ),
    row(
        Rest,
        Runtime,
        "rest-max-body",
        "Largest body of a request",
        Kind::Bytes {
            min: 1024,
            max: BYTES,
            get: |c| c.rest_max_body,
            set: |c, v| put(&mut c.rest_max_body, v),
        },
    ),
    row(
        Rest,
        Runtime,
        "rest-max-connections",
        "HTTP connections at once",
        Kind::Number {
            min: 1,
            max: UINT,
            get: |c| i64::from(c.rest_max_connections),
            set: |c, v| put(&mut c.rest_max_connections, v),
        },
    ),
    row(
        Rest,
        Runtime,
        "rest-max-pipeline",
        "Commands in one pipeline or transaction",
        Kind::Number {
            min: 1,
            max: UINT,
            get: |c| i64::from(c.rest_max_pipeline),
            set: |c, v| put(&mut c.rest_max_pipeline, v),
        },
    ),
    row(
        Rest,
        Start,
        "rest-port",
        "TCP port of the REST API; 0 = off",
        Kind::Number {
            min: 0,
            max: 65535,
            get: |c| i64::from(c.rest_port),
            set: |c, v| put(&mut c.rest_port, v),
        },
    ),
    row(
        Rest,
        Start,
        "rest-token",
        "Token for REST; empty = a random one, printed at start",
        Kind::Secret { get: |c| &c.rest_token, set: |c, v| c.rest_token = v },
    ),
    row(
        Rest,
        Start,
        "rest-token-readonly",
        "Token for REST that may only read; empty = none",
        Kind::Secret { get: |c| &c.rest_token_readonly, set: |c, v| c.rest_token_readonly = v },
    ),
    row(
        Access,
        Start,
        "aclfile",
        "File of users; not available yet",
        Kind::Fixed { value: "", why: "ACL users are not available yet" },
    ),
    row(
        Access,
        Start,
        "enable-debug-command",
        "Who may use DEBUG; local = connections from this machine",
        Kind::Choice {
            names: &DebugAccess::NAMES,
            get: |c| c.enable_debug_command as usize,
            set: |c, index| c.enable_debug_command = DebugAccess::ALL[index],
        },
    ),
    row(
        Access,
        Start,
        "enable-module-command",
        "Modules are not available",
        Kind::Fixed { value: "no", why: "there are no modules" },
    ),
    row(
        Access,
        Start,
        "enable-protected-configs",
        "Protected directives are set at start only",
        Kind::Fixed { value: "no", why: "protected directives are set at start only" },
    ),
    row(
        Access,
        Runtime,
        "protected-mode",
        "Serve only this machine while no password is set",
        Kind::YesNo { get: |c| c.protected_mode, set: |c, v| c.protected_mode = v },
    ),
    row(
        Access,
        Runtime,
        "requirepass",
        "Password of the default user; empty = none",
        Kind::Secret { get: |c| &c.requirepass, set: |c, v| c.requirepass = v },
    ),
    row(
        Replication,
        Runtime,
        "masterauth",
        "Password towards the leader",
        Kind::Secret { get: |c| &c.masterauth, set: |c, v| c.masterauth = v },
    ),
    row(
        Replication,
        Runtime,
        "masteruser",
        "User name towards the leader",
        Kind::Text { get: |c| &c.masteruser, set: |c, v| c.masteruser = v },
    ),
    row(
        Replication,
        Runtime,
        "min-replicas-to-write",
        "Replicas without which writes are refused; not available yet",
        Kind::Fixed { value: "0", why: "not available yet" },
    )
    .alias(&["min-slaves-to-write"]),
    row(
        Replication,
        Runtime,
        "repl-backlog-size",
        "Recent writes kept for replicas that reconnect",
        Kind::Bytes {
            min: 1,
            max: BYTES,
            get: |c| c.repl_backlog_size,
            set: |c, v| put(&mut c.repl_backlog_size, v),
        },
    ),
    row(
        Replication,
        Runtime,
        "repl-diskless-sync",
        "Send full copies straight to the socket",
        Kind::YesNo { get: |c| c.repl_diskless_sync, set: |c, v| c.repl_diskless_sync = v },
    ),
    row(
        Replication,
        Runtime,
        "repl-ping-replica-period",
        "Seconds between pings to replicas",
        Kind::Number {
            min: 1,
            max: INT,
            get: |c| i64::from(c.repl_ping_replica_period),
            set: |c, v| put(&mut c.repl_ping_replica_period, v),
        },
    )
    .alias(&["repl-ping-slave-period"]),
    row(
        Replication,
        Runtime,
        "repl-timeout",
        "Seconds of silence after which a link is given up",
        Kind::Number {
            min: 1,
            max: INT,
            get: |c| i64::from(c.repl_timeout),
            set: |c, v| put(&mut c.repl_timeout, v),
        },
    ),
    row(
        Replication,
        Runtime,
        "replica-read-only",
        "Refuse writes of clients on a replica",
        Kind::YesNo { get: |c| c.replica_read_only, set: |c, v| c.replica_read_only = v },
    )
    .alias(&["slave-read-only"]),
    row(
        Replication,
        Runtime,
        "replica-serve-stale-data",
        "Answer reads on a replica whose link is down",
        Kind::YesNo {
            get: |c| c.replica_serve_stale_data,
            set: |c, v| c.replica_serve_stale_data = v,
        },
    )
    .alias(&["slave-serve-stale-data"]),
    row(
        Replication,
        Start,
        "replicaof",
        "Follow this leader; no one = lead",
        Kind::Words {
            shape: "<host> <port>",
            get: |c| c.replicaof.as_ref().map(Leader::to_string).unwrap_or_default(),
            set: |c, words, _| {
                c.replicaof = Leader::parse(words)?;
                Ok(())
            },
        },
    )
    .alias(&["slaveof"]),
    row(
        Memory,
        Runtime,
        "active-expire-effort",
        "How hard to look for expired keys, 1 to 10",
        Kind::Number {
            min: 1,
            max: 10,
            get: |c| i64::from(c.active_expire_effort),
            set: |c, v| put(&mut c.active_expire_effort, v),
        },
    ),
    row(
        Memory,
        Runtime,
        "lfu-decay-time",
        "Minutes until a key's frequency is halved; 0 = never",
        Kind::Number {
            min: 0,
            max: INT,
            get: |c| i64::from(c.lfu_decay_time),
            set: |c, v| put(&mut c.lfu_decay_time, v),
        },
    ),
    row(
        Memory,
        Runtime,
        "lfu-log-factor",
        "How slowly a key's frequency grows",
        Kind::Number {
            min: 0,
            max: INT,
            get: |c| i64::from(c.lfu_log_factor),
            set: |c, v| put(&mut c.lfu_log_factor, v),
        },
    ),
    row(
        Memory,
        Runtime,
        "maxmemory",
        "Memory for data; 0 = no bound",
        Kind::Bytes {
            min: 0,
            max: u64::MAX,
            get: |c| c.maxmemory,
            set: |c, v| put(&mut c.maxmemory, v),
        },
    ),
    row(
        Memory,
        Runtime,
        "maxmemory-policy",
        "What to evict at maxmemory; only noeviction acts yet",
        Kind::Choice {
            names: &EvictionPolicy::NAMES,
            get: |c| c.maxmemory_policy as usize,
            set: |c, index| c.maxmemory_policy = EvictionPolicy::ALL[index],
        },
    ),
    row(
        Memory,
        Runtime,
        "maxmemory-samples",
        "Keys looked at for one eviction",
        Kind::Number {
            min: 1,
            max: INT,
            get: |c| i64::from(c.maxmemory_samples),
            set: |c, v| put(&mut c.maxmemory_samples, v),
        },
    ),
    row(
        Limits,
        Runtime,
        "client-output-buffer-limit",
        "Unsent replies: class hard soft seconds, for normal, replica, pubsub",
        Kind::Words {
            shape: "<class> <hard> <soft> <seconds>...",
            get: |c| c.client_output_buffer_limit.to_string(),
            set: |c, words, _| c.client_output_buffer_limit.update(words),
        },
    ),
    row(
        Limits,
        Runtime,
        "client-query-buffer-limit",
        "Requests read but not yet executed",
        Kind::Bytes {
            min: MIB,
            max: BYTES,
            get: |c| c.client_query_buffer_limit,
            set: |c, v| put(&mut c.client_query_buffer_limit, v),
        },
    ),
    row(
        Limits,
        Runtime,
        "proto-max-bulk-len",
        "Largest argument of a command",
        Kind::Bytes {
            min: MIB,
            max: BYTES,
            get: |c| c.proto_max_bulk_len,
            set: |c, v| put(&mut c.proto_max_bulk_len, v),
        },
    ),
    row(
        Data,
        Start,
        "cluster-enabled",
        "Cluster mode is not available",
        Kind::Fixed { value: "no", why: "there is no cluster mode" },
    ),
    row(
        Data,
        Start,
        "databases",
        "Databases that SELECT reaches",
        Kind::Number {
            min: 1,
            max: INT,
            get: |c| i64::from(c.databases),
            set: |c, v| put(&mut c.databases, v),
        },
    ),
    row(
        Data,
        Runtime,
        "hash-max-listpack-entries",
        "Fields up to which a hash stays compact",
        Kind::Number {
            min: 0,
            max: LONG,
            get: |c| wide(c.hash_max_listpack_entries, LONG),
            set: |c, v| put(&mut c.hash_max_listpack_entries, v),
        },
    )
    .alias(&["hash-max-ziplist-entries"]),
    row(
        Data,
        Runtime,
        "hash-max-listpack-value",
        "Largest field or value of a compact hash",
        Kind::Bytes {
            min: 0,
            max: BYTES,
            get: |c| wide(c.hash_max_listpack_value, u64::MAX),
            set: |c, v| put(&mut c.hash_max_listpack_value, v),
        },
    )
    .alias(&["hash-max-ziplist-value"]),
    row(
        Data,
        Runtime,
        "notify-keyspace-events",
        "Events to publish, letters of Ag$lshzxeKEtmdn; empty = none",
        Kind::Words {
            shape: "<letters>",
            get: |c| c.notify_keyspace_events.to_string(),
            set: |c, words, _| {
                let [letters] = words else { return Err(Reason::Count(words.len())) };
                c.notify_keyspace_events = KeyspaceEvents::parse(letters)?;
                Ok(())
            },
        },
    ),
    row(
        Observation,
        Runtime,
        "latency-monitor-threshold",
        "Milliseconds from which LATENCY records an event; 0 = off",
        Kind::Number {
            min: 0,
            max: LONG,
            get: |c| wide(c.latency_monitor_threshold, LONG),
            set: |c, v| put(&mut c.latency_monitor_threshold, v),
        },
    ),
    row(
        Observation,
        Start,
        "logfile",
        "Path of the log; empty = standard output",
        Kind::Text { get: |c| &c.logfile, set: |c, v| c.logfile = v },
    ),
    row(
        Observation,
        Runtime,
        "loglevel",
        "How much is logged",
        Kind::Choice {
            names: &LogLevel::NAMES,
            get: |c| c.loglevel as usize,
            set: |c, index| c.loglevel = LogLevel::ALL[index],
        },
    ),
    row(
        Observation,
        Runtime,
        "slowlog-log-slower-than",
        "Microseconds from which SLOWLOG keeps a command; -1 = off",
        Kind::Number {
            min: -1,
            max: LONG,
            get: |c| c.slowlog_log_slower_than,
            set: |c, v| put(&mut c.slowlog_log_slower_than, v),
        },
    ),
    row(
        Observation,
        Runtime,
        "slowlog-max-len",
        "Entries of SLOWLOG",
        Kind::Number {
            min: 0,
            max: LONG,
            get: |c| wide(c.slowlog_max_len, LONG),
            set: |c, v| put(&mut c.slowlog_max_len, v),
        },
    ),
    row(
        Process,
        Runtime,
        "appendonly",
        "Append-only file; not available yet",
        Kind::Fixed { value: "no", why: "persistence is not available yet" },
    ),
    row(
        Process,
        Start,
        "daemonize",
        "Always in the foreground",
        Kind::Fixed { value: "no", why: "run it under systemd, a container or nohup" },
    ),
    row(
        Process,
        Protected,
        "dbfilename",
        "File name of snapshots; no effect yet",
        Kind::Inert { default: "dump.rdb" },
    ),
    row(
        Process,
        Protected,
        "dir",
        "Folder of data files; no effect yet",
        Kind::Inert { default: "." },
    ),
    row(
        Process,
        Runtime,
        "hz",
        "Rounds of background work a second, 1 to 500",
        Kind::Number {
            min: 0,
            max: INT,
            get: |c| i64::from(c.hz),
            set: |c, v| put(&mut c.hz, v.clamp(1, 500)),
        },
    ),
    row(
        Process,
        Start,
        "io-threads",
        "Worker threads; 0 = one a core, at least two",
        Kind::Number {
            min: 0,
            max: 128,
            get: |c| i64::from(c.io_threads),
            set: |c, v| put(&mut c.io_threads, v),
        },
    ),
    row(
        Process,
        Runtime,
        "save",
        "Snapshot rules; accepted, but persistence is not available yet",
        Kind::Words {
            shape: "<seconds> <changes>...",
            get: |c| join(&c.save),
            set: |c, words, stage| {
                let points = SavePoint::parse_all(words)?;
                if points.is_empty() || stage == Stage::Replacing {
                    c.save.clear();
                }
                c.save.extend(points);
                Ok(())
            },
        },
    ),
];
