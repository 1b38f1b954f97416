//! What the server was told to do: one table of directives behind every way of telling it.
//!
//! A directive is one row of the table in `rows`. The same row reads redis.conf lines, options
//! (`--port 7000`), variables (`EAVE_PORT=7000`) and CONFIG SET, prints CONFIG GET, and is explained
//! by `--help`. To add one: a field of [`Config`], its default, a row.
//!
//! Later sources win: defaults, the file, the environment, the command line.
//!
//! Left out on purpose: what a value means (each module reads its fields), when a changed value
//! takes effect, CONFIG REWRITE, and any I/O but reading the files that the user names.

mod classes;
mod error;
mod help;
mod kind;
mod replicas;
mod rewrite;
mod rows;
mod source;
mod table;
mod tls;
mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;

use eave_ratelimit::{Algorithm, Rule};
use eave_replication::greeting::Packing;

use crate::access::file::UserLine;
use crate::access::user::NewChannels;
use crate::keyspace::usage::{Noted, Scale};
use crate::limits::STRING_BYTES;
use crate::rest::limits::headers::XRateLimit;
use crate::value::limits::Limits;

pub use classes::Classes;
pub use error::{ConfigError, Origin};
pub use kind::parse_bytes as bytes;
pub use kind::{Kind, Reason, Stage};
pub use replicas::{StaleReads, Writes};
pub use rewrite::push_word;
pub use source::{Start, split_words};
pub use table::{Directive, Group, When, find};
pub use tls::{ClientAuth, TlsSettings};
pub use value::{
    BigIntegers, BindAddress, DebugAccess, EvictionPolicy, Leader, LogLevel, OutputLimit,
    OutputLimits, SavePoint, Secret, Share,
};

/// Every setting, typed. The names are those of the directives; the table has their bounds.
///
/// Cloned and swapped as a whole when CONFIG SET changes it, so a reader always sees one
/// consistent state.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file that was read at start, for INFO and CONFIG REWRITE.
    pub config_file: Option<PathBuf>,

    /// TCP port of the Redis protocol; 0 = off.
    pub port: u16,
    /// Addresses of the Redis port; none = off.
    pub bind: Vec<BindAddress>,
    /// Length of the kernel's queue of connections that wait to be accepted.
    pub tcp_backlog: u32,
    /// Seconds between keep-alive probes of a silent connection; 0 = none.
    pub tcp_keepalive: u32,
    /// Seconds after which an idle client is closed; 0 = never.
    pub timeout: u32,
    /// Worker threads; 0 = one a core.
    pub io_threads: u32,
    /// Connected clients, both doors together.
    pub maxclients: u32,

    /// Path of a socket for clients of this machine; empty = none.
    pub unixsocket: String,
    /// Permissions of that socket; 0 = as the umask says.
    pub unixsocketperm: u32,
    /// The doors with TLS.
    pub tls: TlsSettings,

    /// TCP port of the REST door; 0 = off.
    pub rest_port: u16,
    /// Addresses of the REST door; none = those of `bind`. See [`Config::rest_addresses`].
    pub rest_bind: Vec<BindAddress>,
    /// The token that may do everything; empty = made at random at start.
    pub rest_token: Secret,
    /// A token that may only read; empty = none.
    pub rest_token_readonly: Secret,
    /// How integers are written that JavaScript would round.
    pub rest_big_integers: BigIntegers,
    /// What may stand before every path.
    pub rest_path_prefix: String,
    /// Seconds for which a request with an idempotency key is not run again; 0 = keys are ignored.
    pub rest_idempotency_window: u32,
    /// Bytes of the answers that are kept for that.
    pub rest_idempotency_bytes: u64,
    /// Bytes of a request's body.
    pub rest_max_body: u64,
    /// Bytes of all bodies that have come in part.
    pub rest_max_gathered: u64,
    /// Requests at once that wait for their bodies or for their turn.
    pub rest_max_requests: u32,
    /// HTTP connections of one address at once; 0 = any number.
    pub rest_max_connections_per_address: u32,
    /// TCP port of `/metrics` without a token; 0 = off.
    pub rest_metrics_port: u16,
    /// Port of Envoy's rate limit service; 0 = off.
    pub rls_port: u16,
    /// Its addresses; none = this machine's.
    pub rls_bind: Vec<BindAddress>,
    /// Addresses of that port; none = those of this machine alone.
    pub rest_metrics_bind: Vec<BindAddress>,
    /// Commands of one `/pipeline` or `/multi-exec`.
    pub rest_max_pipeline: u32,
    /// HTTP connections at once.
    pub rest_max_connections: u32,
    /// Milliseconds that a client may take to send a request's head.
    pub rest_header_timeout_ms: u64,
    /// Seconds that a connection may stay open between two requests.
    pub rest_idle_timeout: u32,
    /// Whether browsers of other origins may call.
    pub rest_cors: bool,
    /// Which headers of limits are written besides those of the draft.
    pub rest_x_ratelimit: XRateLimit,

    /// Refuse clients from elsewhere while no password is set.
    pub protected_mode: bool,
    /// Password of the default user; empty = none.
    pub requirepass: Secret,
    /// File of users; empty = none.
    pub aclfile: String,
    /// Users of the configuration itself.
    pub users: Vec<UserLine>,
    /// What channels new users have.
    pub acl_pubsub_default: NewChannels,
    /// Entries of ACL LOG.
    pub acllog_max_len: u64,
    /// How many failed attempts to authenticate an address has; `None` = any number.
    pub auth_failures: Option<Rule>,
    /// Who may use DEBUG.
    pub enable_debug_command: DebugAccess,

    /// The node to follow; `None` = this one leads.
    pub replicaof: Option<Leader>,
    /// User name towards the leader; empty = `default`.
    pub masteruser: String,
    /// Password towards the leader; empty = none.
    pub masterauth: Secret,
    /// Whether a replica answers reads while its link is down.
    pub replica_serve_stale_data: bool,
    /// Whether a replica refuses writes of clients.
    pub replica_read_only: bool,
    /// Bytes of a full copy that may be held back for replicas that take it slowly.
    pub repl_snapshot_memory: u64,
    /// Replicas without which writes are refused; 0 = none.
    pub min_replicas_to_write: u32,
    /// Seconds since the last sign of life of a replica that counts for that.
    pub min_replicas_max_lag: u32,
    /// What becomes of writes that clients ask of a replica.
    pub replica_writes: Writes,
    /// How old, in milliseconds, the data of a replica may be that answers reads; 0 = any age.
    pub replica_max_lag_ms: u64,
    /// What becomes of reads when it is older.
    pub replica_stale_reads: StaleReads,
    /// Milliseconds that a read waits until what its client has seen is applied.
    pub sync_wait_ms: u64,
    /// What this node's region is called; empty = it has no name.
    pub region: String,
    /// Milliseconds between two exchanges of what was taken from limits that regions share.
    pub region_exchange_ms: u64,
    /// Such limits that are counted at one time.
    pub region_limits: u64,
    /// Bytes of recent writes kept for replicas that reconnect.
    pub repl_backlog_size: u64,
    /// Seconds without a sign of life after which a link is given up.
    pub repl_timeout: u32,
    /// Seconds between the leader's pings.
    pub repl_ping_replica_period: u32,
    /// Whether full copies go straight to the socket.
    pub repl_diskless_sync: bool,
    /// Seconds before a full copy begins, so that others can share it.
    pub repl_diskless_sync_delay: u32,
    /// How the leader is asked to compress what it sends here.
    pub repl_compression: Option<Packing>,
    /// How a full copy is loaded: an index into [`DISKLESS_LOADS`].
    pub repl_diskless_load: usize,
    /// Under which address the leader is to know this node; empty = the connection's.
    pub replica_announce_ip: String,
    /// Under which port the leader is to know this node; 0 = `port`.
    pub replica_announce_port: u16,
    /// Whether the leader's supervisors are to know of this node.
    pub replica_announced: bool,
    /// Which replica a supervisor promotes first: the lowest; 0 = never this one.
    pub replica_priority: u32,

    /// Bytes that data may take; 0 = no bound.
    pub maxmemory: u64,
    /// What all clients together may take.
    pub maxmemory_clients: Share,
    /// What happens at `maxmemory`.
    pub maxmemory_policy: EvictionPolicy,
    /// Milliseconds after which those who wait for a script are told so; 0 = never.
    pub busy_reply_threshold: u64,
    /// Whether scripts that are known are run without Lua.
    pub native_scripts: bool,
    /// Keys looked at for each eviction.
    pub maxmemory_samples: u32,
    /// How slowly the frequency counter of a key grows.
    pub lfu_log_factor: u32,
    /// Minutes without a use after which the frequency counter of a key falls by one; 0 = never.
    pub lfu_decay_time: u32,
    /// How hard expired keys are looked for, 1 to 10.
    pub active_expire_effort: u32,

    /// Bytes of one argument of a command.
    pub proto_max_bulk_len: u64,
    /// Bytes of requests of one client that are read but not executed.
    pub client_query_buffer_limit: u64,
    /// Keys remembered for clients that keep copies of what they read; 0 = no bound.
    pub tracking_table_max_keys: u64,
    /// Named rules whose counts `/metrics` shows, by name.
    pub metrics_rules: u64,
    /// The file that named rules and lists are kept in; empty = none.
    pub rules_file: String,
    /// Bytes of replies of one client that are not yet sent.
    pub client_output_buffer_limit: OutputLimits,

    /// Number of databases that SELECT reaches.
    pub databases: u32,
    /// Up to where collections stay in their small forms.
    pub encodings: Limits,
    /// Which keyspace events are published.
    pub notify_keyspace_events: Classes,

    /// How much is logged.
    pub loglevel: LogLevel,
    /// Path of the log; empty = standard output.
    pub logfile: String,
    /// Microseconds from which a command enters the slow log; 0 = all, -1 = none.
    pub slowlog_log_slower_than: i64,
    /// Entries of the slow log.
    pub slowlog_max_len: u64,
    /// Whether the times of commands are kept as histograms.
    pub latency_tracking: bool,
    /// Which percentiles of them INFO shows.
    pub latency_percentiles: Vec<f64>,
    /// Milliseconds from which an event is sampled for LATENCY; 0 = off.
    pub latency_monitor_threshold: u64,

    /// Folder of files that the server writes.
    pub dir: String,
    /// Seconds that a stop waits for replicas at most.
    pub shutdown_timeout: u32,
    /// Whether the checksums of payloads are passed over: DEBUG, no directive.
    pub skip_checksums: bool,
    /// Background work runs so many times a second.
    pub hz: u32,
    /// Snapshot rules. Kept only: persistence is not available yet.
    pub save: Vec<SavePoint>,

    /// Values of directives that have no effect, for CONFIG GET.
    inert: BTreeMap<&'static str, Vec<u8>>,
}

const MIB: u64 = 1 << 20;

/// The words of `repl-diskless-load`. With each of them the present data is served until the copy
/// is whole, which is what Redis does with the last one.
pub const DISKLESS_LOADS: [&str; 3] = ["disabled", "on-empty-db", "swapdb"];

impl Default for Config {
    /// The settings of a start without file, variables and options. `--help` prints these.
    fn default() -> Self {
        Self {
            config_file: None,

            port: 6379,
            // Only this machine: protection does not depend on a password being set.
            bind: vec![
                BindAddress { ip: std::net::Ipv4Addr::LOCALHOST.into(), optional: false },
                BindAddress { ip: std::net::Ipv6Addr::LOCALHOST.into(), optional: true },
            ],
            tcp_backlog: 511,
            tcp_keepalive: 300,
            timeout: 0,
            io_threads: 0,
            maxclients: 10_000,
            unixsocket: String::new(),
            unixsocketperm: 0,
            tls: TlsSettings::default(),

            rest_port: 8079,
            rest_bind: Vec::new(),
            rest_token: Secret::default(),
            rest_token_readonly: Secret::default(),
            rest_big_integers: BigIntegers::String,
            rest_path_prefix: String::new(),
            // Longer than all retries of the SDKs take together.
            rest_idempotency_window: 300,
            rest_idempotency_bytes: 16 * MIB,
            rest_max_body: 10 * MIB,
            rest_max_gathered: 256 * MIB,
            rest_max_requests: 4096,
            // Functions at the edge come from few addresses.
            rest_max_connections_per_address: 4096,
            rest_metrics_port: 0,
            rls_port: 0,
            rls_bind: Vec::new(),
            rest_metrics_bind: Vec::new(),
            rest_max_pipeline: 10_000,
            rest_max_connections: 10_000,
            rest_header_timeout_ms: 10_000,
            // Longer than the 60 s after which common proxies close, so that they close first and
            // never send a request into a closing connection.
            rest_idle_timeout: 75,
            rest_cors: true,
            rest_x_ratelimit: XRateLimit::No,

            protected_mode: true,
            requirepass: Secret::default(),
            aclfile: String::new(),
            users: Vec::new(),
            acl_pubsub_default: NewChannels::None,
            acllog_max_len: 128,
            // Far more than a person or a misconfigured fleet needs, far less than guessing does.
            auth_failures: Rule::new(600, 60_000, Algorithm::Gcra, Some(300)).ok(),
            enable_debug_command: DebugAccess::No,

            replicaof: None,
            masteruser: String::new(),
            masterauth: Secret::default(),
            replica_serve_stale_data: true,
            replica_read_only: true,
            // What one slow replica may cost in the stream as well.
            repl_snapshot_memory: 256 * MIB,
            min_replicas_to_write: 0,
            min_replicas_max_lag: 10,
            replica_writes: Writes::Forward,
            replica_max_lag_ms: 0,
            replica_stale_reads: StaleReads::Forward,
            // Longer than a round trip around the earth, shorter than a client's patience.
            sync_wait_ms: 1000,
            region: String::new(),
            region_exchange_ms: 100,
            region_limits: 200_000,
            repl_backlog_size: MIB,
            repl_timeout: 60,
            repl_ping_replica_period: 10,
            repl_diskless_sync: true,
            repl_diskless_sync_delay: 0,
            repl_compression: None,
            repl_diskless_load: 0,
            replica_announce_ip: String::new(),
            replica_announce_port: 0,
            replica_announced: true,
            replica_priority: 100,

            maxmemory: 0,
            maxmemory_clients: Share::Bytes(0),
            maxmemory_policy: EvictionPolicy::NoEviction,
            busy_reply_threshold: 5000,
            native_scripts: true,
            maxmemory_samples: 5,
            lfu_log_factor: 10,
            lfu_decay_time: 1,
            active_expire_effort: 1,

            // Redis: 512 MiB and 1 GiB. An edge cache holds small values, and a low bound is what
            // keeps one client from taking the memory of all.
            proto_max_bulk_len: 32 * MIB,
            client_query_buffer_limit: 64 * MIB,
            tracking_table_max_keys: 1_000_000,
            metrics_rules: 100,
            rules_file: String::new(),
            client_output_buffer_limit: OutputLimits {
                // Redis has no bound here, so a client that never reads can fill the memory
                // (CVE-2025-21605).
                normal: OutputLimit { hard: 64 * MIB, soft: 0, soft_seconds: 0 },
                replica: OutputLimit { hard: 256 * MIB, soft: 64 * MIB, soft_seconds: 60 },
                pubsub: OutputLimit { hard: 32 * MIB, soft: 8 * MIB, soft_seconds: 60 },
            },

            databases: 16,
            encodings: Limits::default(),
            notify_keyspace_events: Classes::default(),

            loglevel: LogLevel::Notice,
            logfile: String::new(),
            slowlog_log_slower_than: 10_000,
            slowlog_max_len: 128,
            latency_tracking: true,
            latency_percentiles: vec![50.0, 99.0, 99.9],
            latency_monitor_threshold: 0,

            dir: ".".to_owned(),
            shutdown_timeout: 10,
            skip_checksums: false,
            hz: 10,
            save: Vec::new(),

            inert: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Bytes that a string value may grow to.
    pub fn string_bytes(&self) -> usize {
        STRING_BYTES.min(usize::try_from(self.proto_max_bulk_len).unwrap_or(0))
    }

    /// How uses of keys are counted.
    pub fn usage_scale(&self) -> Scale {
        Scale { log_factor: self.lfu_log_factor, decay_minutes: self.lfu_decay_time }
    }

    /// What of the uses of keys is noted.
    #[inline]
    pub fn usage_noted(&self) -> Noted {
        if self.maxmemory_policy.is_lfu() { Noted::Count } else { Noted::Last }
    }

    /// Where metrics are told without a token: `rest-metrics-bind`, or else this machine alone.
    pub fn metrics_addresses(&self) -> Vec<BindAddress> {
        if self.rest_metrics_bind.is_empty() {
            return Config::default().bind;
        }
        self.rest_metrics_bind.clone()
    }

    /// Where Envoy's rate limit service is: `rls-bind`, or else this machine alone.
    pub fn rls_addresses(&self) -> Vec<BindAddress> {
        if self.rls_bind.is_empty() { Config::default().bind } else { self.rls_bind.clone() }
    }

    /// Where the REST door listens: `rest-bind`, or else `bind`.
    pub fn rest_addresses(&self) -> &[BindAddress] {
        if self.rest_bind.is_empty() { &self.bind } else { &self.rest_bind }
    }

    /// The value of the directive `name` (or its alias) as CONFIG GET shows it.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        find(name).map(|directive| directive.get(self))
    }

    /// What CONFIG GET answers: name and value of every directive that one of `patterns` names.
    ///
    /// As in Redis, a pattern without special characters is looked up and echoed as written, any
    /// other is given in lower case to `glob(pattern, name)`, aliases are directives of their own,
    /// and each is answered once. Secrets are shown, as Redis does: who may use CONFIG may change
    /// them as well.
    pub fn get_matching(
        &self,
        patterns: &[&[u8]],
        glob: impl Fn(&[u8], &[u8]) -> bool,
    ) -> Vec<(String, Vec<u8>)> {
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        let mut add = |shown: &str, directive: &Directive| {
            if !found.iter().any(|(name, _)| name.eq_ignore_ascii_case(shown)) {
                found.push((shown.to_owned(), directive.get(self)));
            }
        };
        for pattern in patterns {
            if pattern.iter().any(|byte| b"*?[".contains(byte)) {
                let pattern = pattern.to_ascii_lowercase();
                for (name, directive) in table::names() {
                    if glob(&pattern, name.as_bytes()) {
                        add(name, directive);
                    }
                }
            } else if let Some(name) = std::str::from_utf8(pattern).ok()
                && let Some(directive) = find(name)
            {
                add(name, directive);
            }
        }
        found
    }

    /// Whether a directive of this name is a secret.
    pub fn is_secret(name: &[u8]) -> bool {
        let directive = std::str::from_utf8(name).ok().and_then(find);
        directive.is_some_and(|directive| matches!(directive.kind, Kind::Secret { .. }))
    }

    /// Changes several settings as CONFIG SET does: all of `pairs` (name, value) or, on the first
    /// error, none. The error's text is Redis', `ERR` included.
    ///
    /// # Errors
    /// An unknown name, a directive that can only be set at start, the same name twice, or a value
    /// that the directive refuses.
    pub fn set_many(&mut self, pairs: &[(&[u8], &[u8])]) -> Result<(), ConfigError> {
        let mut changes: Vec<(&[u8], &Directive, &[u8])> = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            let shown = || String::from_utf8_lossy(name).into_owned();
            let directive = std::str::from_utf8(name)
                .ok()
                .and_then(find)
                .ok_or_else(|| ConfigError::SetUnknown { name: shown() })?;
            let refuse = |reason| ConfigError::Set { name: shown(), reason };
            match directive.when {
                When::Runtime => {}
                When::Start => return Err(refuse("can't set immutable config".to_owned())),
                When::Protected => return Err(refuse("can't set protected config".to_owned())),
            }
            // An alias beside its directive is accepted, as in Redis: the last one counts.
            if changes.iter().any(|(earlier, ..)| earlier.eq_ignore_ascii_case(name)) {
                return Err(refuse("duplicate parameter".to_owned()));
            }
            changes.push((name, directive, value));
        }
        let mut next = self.clone();
        for (name, directive, value) in changes {
            directive.set(&mut next, &directive.words_of(value), Stage::Replacing).map_err(
                |reason| ConfigError::Set {
                    name: String::from_utf8_lossy(name).into_owned(),
                    reason: reason.redis(),
                },
            )?;
        }
        *self = next;
        Ok(())
    }

    /// What the operator should be told at start: settings that are accepted but do not act yet.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        if !self.save.is_empty() {
            notices.push(
                "save: persistence is not available yet, data lives in memory and on replicas only"
                    .to_owned(),
            );
        }
        // Not an error: Debian's redis.conf says yes, and its service then says no.
        if self.inert.get("daemonize").is_some_and(|value| value.eq_ignore_ascii_case(b"yes")) {
            notices.push("daemonize yes: the server stays in the foreground".to_owned());
        }
        notices
    }
}

#[cfg(test)]
mod tests;
