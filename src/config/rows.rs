//! The rows of the table.
//!
//! Those of TLS are in `tls`.
//!
//! Left out on purpose: defaults, which stand in [`Config::default`] with their reasons.

mod tls;

use eave_ratelimit::Rule;
pub(super) use tls::TLS;

use super::classes::Classes;
use super::kind::{Kind, Reason, Stage};
use super::replicas::{StaleReads, Writes};
use super::table::Group::{
    self, Access, Data, Limits, Memory, Network, Observation, Process, Replication, Rest,
};
use super::table::{Directive, When};
use super::value::{
    BigIntegers, BindAddress, DebugAccess, EvictionPolicy, Leader, LogLevel, SavePoint, Secret,
    Share,
};
use super::{Config, DISKLESS_LOADS};
use crate::access::user::NewChannels;
use crate::rest::limits::headers::XRateLimit;

const INT: i64 = i32::MAX as i64;
const UINT: i64 = u32::MAX as i64;
const LONG: i64 = i64::MAX;
const BYTES: u64 = i64::MAX as u64;
const MIB: u64 = 1 << 20;

/// The directives that act, sorted by group and name.
pub const TABLE: &[Directive] = &[
    row(Network, "bind", "Addresses to listen on; a leading - means: if the machine has it")
        .at_start()
        .words(
            "<address>...",
            |c| join(&c.bind),
            |c, words, _| {
                c.bind = BindAddress::parse_all(words)?;
                Ok(())
            },
        ),
    row(Network, "maxclients", "Connected clients at most").number(
        1,
        UINT,
        |c| c.maxclients.into(),
        |c, v| put(&mut c.maxclients, v),
    ),
    row(Network, "port", "TCP port of the Redis protocol; 0 = off").at_start().number(
        0,
        65535,
        |c| c.port.into(),
        |c, v| put(&mut c.port, v),
    ),
    row(Network, "tcp-backlog", "Connections that may wait to be accepted").at_start().number(
        0,
        INT,
        |c| c.tcp_backlog.into(),
        |c, v| put(&mut c.tcp_backlog, v),
    ),
    row(
        Network,
        "tcp-keepalive",
        "Seconds between probes of a silent connection, read at start; 0 = none",
    )
    .number(0, INT, |c| c.tcp_keepalive.into(), |c, v| put(&mut c.tcp_keepalive, v)),
    row(Network, "timeout", "Seconds after which an idle client is closed; 0 = never").number(
        0,
        INT,
        |c| c.timeout.into(),
        |c, v| put(&mut c.timeout, v),
    ),
    row(Network, "unixsocket", "Path of a socket for clients of this machine; empty = none")
        .at_start()
        .text(|c| &c.unixsocket, |c, v| c.unixsocket = v),
    row(Network, "unixsocketperm", "Permissions of that socket, octal; 0 = as the umask says")
        .at_start()
        .words(
            "<octal>",
            |c| format!("{:o}", c.unixsocketperm),
            |c, words, _| {
                let [word] = words else { return Err(Reason::Count(words.len())) };
                let mode = u32::from_str_radix(word, 8).ok().filter(|mode| *mode <= 0o777);
                c.unixsocketperm =
                    mode.ok_or(Reason::Other("argument must be an octal number up to 777"))?;
                Ok(())
            },
        ),
    row(
        Rest,
        "rest-big-integers",
        "How integers beyond 2^53 - 1 are written: as strings, which JavaScript does not round",
    )
    .choice(
        &["string", "number"],
        |c| usize::from(c.rest_big_integers == BigIntegers::Number),
        |c, index| c.rest_big_integers = [BigIntegers::String, BigIntegers::Number][index],
    ),
    row(Rest, "rest-bind", "Addresses of the REST port; empty = those of bind").at_start().words(
        "<address>...",
        |c| join(&c.rest_bind),
        |c, words, _| {
            c.rest_bind = BindAddress::parse_all(words)?;
            Ok(())
        },
    ),
    row(Rest, "rest-cors", "Let browsers call from pages of other origins")
        .yes_no(|c| c.rest_cors, |c, v| c.rest_cors = v),
    row(Rest, "rest-header-timeout-ms", "Milliseconds in which the head of a request must arrive")
        .number(
            1,
            INT,
            |c| wide(c.rest_header_timeout_ms, INT),
            |c, v| put(&mut c.rest_header_timeout_ms, v),
        ),
    row(Rest, "rest-idempotency-bytes", "Bytes of answers kept for requests that are sent again")
        .bytes(
            0,
            BYTES,
            |c| c.rest_idempotency_bytes,
            |c, v| put(&mut c.rest_idempotency_bytes, v),
        ),
    row(
        Rest,
        "rest-idempotency-window",
        "Seconds that a request with an Idempotency-Key is not run again; 0 = keys are ignored",
    )
    .number(
        0,
        UINT,
        |c| c.rest_idempotency_window.into(),
        |c, v| put(&mut c.rest_idempotency_window, v),
    ),
    row(Rest, "rest-idle-timeout", "Seconds that a connection may stay open between requests")
        .number(1, INT, |c| c.rest_idle_timeout.into(), |c, v| put(&mut c.rest_idle_timeout, v)),
    row(Rest, "rest-max-body", "Largest body of a request").bytes(
        1024,
        BYTES,
        |c| c.rest_max_body,
        |c, v| put(&mut c.rest_max_body, v),
    ),
    row(Rest, "rest-max-connections", "HTTP connections at once").number(
        1,
        UINT,
        |c| c.rest_max_connections.into(),
        |c, v| put(&mut c.rest_max_connections, v),
    ),
    row(
        Rest,
        "rest-max-connections-per-address",
        "HTTP connections of one address at once; 0 = as many as there may be of all",
    )
    .number(
        0,
        UINT,
        |c| c.rest_max_connections_per_address.into(),
        |c, v| put(&mut c.rest_max_connections_per_address, v),
    ),
    row(Rest, "rest-max-gathered", "Bytes of all bodies that have come in part").bytes(
        1024,
        BYTES,
        |c| c.rest_max_gathered,
        |c, v| put(&mut c.rest_max_gathered, v),
    ),
    row(Rest, "rest-max-pipeline", "Commands in one pipeline or transaction").number(
        1,
        UINT,
        |c| c.rest_max_pipeline.into(),
        |c, v| put(&mut c.rest_max_pipeline, v),
    ),
    row(Rest, "rest-max-requests", "Requests at once that wait for their bodies or their turn")
        .number(1, UINT, |c| c.rest_max_requests.into(), |c, v| put(&mut c.rest_max_requests, v)),
    row(Rest, "rest-metrics-bind", "Addresses of the port for metrics; empty = this machine's")
        .at_start()
        .words(
            "<address>...",
            |c| join(&c.rest_metrics_bind),
            |c, words, _| {
                c.rest_metrics_bind = BindAddress::parse_all(words)?;
                Ok(())
            },
        ),
    row(Rest, "rest-metrics-port", "TCP port of /metrics without a token; 0 = off")
        .at_start()
        .number(0, 65535, |c| c.rest_metrics_port.into(), |c, v| put(&mut c.rest_metrics_port, v)),
    row(Rest, "rest-path-prefix", "What may stand before every path, such as /redis")
        .text(|c| &c.rest_path_prefix, |c, v| c.rest_path_prefix = v),
    row(Rest, "rest-port", "TCP port of the REST API; 0 = off").at_start().number(
        0,
        65535,
        |c| c.rest_port.into(),
        |c, v| put(&mut c.rest_port, v),
    ),
    row(Rest, "rest-token", "Token for REST; empty = a random one, printed at start")
        .at_start()
        .secret(|c| &c.rest_token, |c, v| c.rest_token = v),
    row(Rest, "rest-token-readonly", "Token for REST that may only read; empty = none")
        .at_start()
        .secret(|c| &c.rest_token_readonly, |c, v| c.rest_token_readonly = v),
    row(Rest, "rest-x-ratelimit", "X-RateLimit-* headers, with Reset as a time or as a span")
        .choice(
            XRateLimit::NAMES,
            |c| c.rest_x_ratelimit as usize,
            |c, index| {
                let all = [XRateLimit::No, XRateLimit::Epoch, XRateLimit::Delta];
                c.rest_x_ratelimit = all.get(index).copied().unwrap_or_default();
            },
        ),
    row(Rest, "rls-bind", "Addresses of Envoy's rate limit service; empty = this machine's")
        .at_start()
        .words(
            "<address>...",
            |c| join(&c.rls_bind),
            |c, words, _| {
                c.rls_bind = BindAddress::parse_all(words)?;
                Ok(())
            },
        ),
    row(Rest, "rls-port", "TCP port of Envoy's rate limit service v3 (gRPC, /json); 0 = off")
        .at_start()
        .number(0, 65535, |c| c.rls_port.into(), |c, v| put(&mut c.rls_port, v)),
    row(Access, "acl-pubsub-default", "Channels of new users: none, or all of them").choice(
        &["allchannels", "resetchannels"],
        |c| usize::from(c.acl_pubsub_default == NewChannels::None),
        |c, index| {
            c.acl_pubsub_default = if index == 0 { NewChannels::All } else { NewChannels::None };
        },
    ),
    row(Access, "aclfile", "File of users, for ACL LOAD and ACL SAVE; read at start")
        .at_start()
        .text(|c| &c.aclfile, |c, v| c.aclfile = v),
    row(Access, "acllog-max-len", "Entries of ACL LOG").number(
        0,
        LONG,
        |c| wide(c.acllog_max_len, LONG),
        |c, v| put(&mut c.acllog_max_len, v),
    ),
    row(
        Access,
        "auth-failures",
        "Failed attempts to authenticate an address has; off = any number",
    )
    .words(
        "<rule>, or off",
        |c| c.auth_failures.map_or("off".to_owned(), |rule| rule.to_string()),
        |c, words, _| {
            c.auth_failures = match words {
                [off] if off.eq_ignore_ascii_case("off") => None,
                [rule] => Some(
                    Rule::parse(rule.as_bytes())
                        .map_err(|_| Reason::Shape("a rule such as 100/60s, or off"))?,
                ),
                _ => return Err(Reason::Count(words.len())),
            };
            Ok(())
        },
    ),
    row(
        Access,
        "enable-debug-command",
        "Who may use DEBUG: no, local (connections of this machine) or yes",
    )
    .at_start()
    .choice(
        &DebugAccess::NAMES,
        |c| c.enable_debug_command as usize,
        |c, index| c.enable_debug_command = DebugAccess::ALL[index],
    ),
    row(Access, "enable-module-command", "Modules are not available")
        .at_start()
        .fixed("no", "there are no modules"),
    row(Access, "enable-protected-configs", "Protected directives are set at start only")
        .at_start()
        .fixed("no", "protected directives are set at start only"),
    row(Access, "protected-mode", "Serve only this machine while no password is set")
        .yes_no(|c| c.protected_mode, |c, v| c.protected_mode = v),
    row(Access, "requirepass", "Password of the default user; empty = none")
        .secret(|c| &c.requirepass, |c, v| c.requirepass = v),
    row(Replication, "masterauth", "Password towards the leader")
        .secret(|c| &c.masterauth, |c, v| c.masterauth = v),
    row(Replication, "masteruser", "User name towards the leader")
        .text(|c| &c.masteruser, |c, v| c.masteruser = v),
    row(
        Replication,
        "min-replicas-max-lag",
        "Seconds since the last sign of life of a replica that counts for min-replicas-to-write",
    )
    .alias(&["min-slaves-max-lag"])
    .number(
        0,
        INT,
        |c| c.min_replicas_max_lag.into(),
        |c, v| put(&mut c.min_replicas_max_lag, v),
    ),
    row(
        Replication,
        "min-replicas-to-write",
        "Replicas without which writes are refused; 0 = none",
    )
    .alias(&["min-slaves-to-write"])
    .number(
        0,
        INT,
        |c| c.min_replicas_to_write.into(),
        |c, v| put(&mut c.min_replicas_to_write, v),
    ),
    row(Replication, "repl-backlog-size", "Recent writes kept for replicas that reconnect").bytes(
        1,
        BYTES,
        |c| c.repl_backlog_size,
        |c, v| put(&mut c.repl_backlog_size, v),
    ),
    row(
        Replication,
        "repl-diskless-load",
        "Accepted; the old data is always served until a full copy is whole, as with swapdb",
    )
    .choice(&DISKLESS_LOADS, |c| c.repl_diskless_load, |c, index| c.repl_diskless_load = index),
    row(
        Replication,
        "repl-diskless-sync",
        "Accepted; full copies always go straight to the socket",
    )
    .yes_no(|c| c.repl_diskless_sync, |c, v| c.repl_diskless_sync = v),
    row(
        Replication,
        "repl-diskless-sync-delay",
        "Seconds before a full copy begins, so that other replicas can share it",
    )
    .number(
        0,
        INT,
        |c| c.repl_diskless_sync_delay.into(),
        |c, v| put(&mut c.repl_diskless_sync_delay, v),
    ),
    row(Replication, "repl-ping-replica-period", "Seconds between pings to replicas")
        .alias(&["repl-ping-slave-period"])
        .number(
            1,
            INT,
            |c| c.repl_ping_replica_period.into(),
            |c, v| put(&mut c.repl_ping_replica_period, v),
        ),
    row(
        Replication,
        "repl-snapshot-memory",
        "Bytes of a full copy that may be held back while replicas take it",
    )
    .bytes(1, BYTES, |c| c.repl_snapshot_memory, |c, v| put(&mut c.repl_snapshot_memory, v)),
    row(Replication, "repl-timeout", "Seconds of silence after which a link is given up").number(
        1,
        INT,
        |c| c.repl_timeout.into(),
        |c, v| put(&mut c.repl_timeout, v),
    ),
    row(Replication, "replica-announce-ip", "Address that the leader is to tell of this node")
        .alias(&["slave-announce-ip"])
        .text(|c| &c.replica_announce_ip, |c, v| c.replica_announce_ip = v),
    row(Replication, "replica-announce-port", "Port that the leader is to tell of this node")
        .alias(&["slave-announce-port"])
        .number(
            0,
            65535,
            |c| c.replica_announce_port.into(),
            |c, v| put(&mut c.replica_announce_port, v),
        ),
    row(Replication, "replica-announced", "Let supervisors know of this replica")
        .yes_no(|c| c.replica_announced, |c, v| c.replica_announced = v),
    row(
        Replication,
        "replica-max-lag-ms",
        "Age in milliseconds that the data of a replica may have which answers reads; 0 = any",
    )
    .number(
        0,
        INT,
        |c| wide(c.replica_max_lag_ms, INT),
        |c, v| put(&mut c.replica_max_lag_ms, v),
    ),
    row(Replication, "replica-priority", "Which replica is promoted first: the lowest; 0 = never")
        .alias(&["slave-priority"])
        .number(0, INT, |c| c.replica_priority.into(), |c, v| put(&mut c.replica_priority, v)),
    row(Replication, "replica-read-only", "Refuse writes of clients on a replica")
        .alias(&["slave-read-only"])
        .yes_no(|c| c.replica_read_only, |c, v| c.replica_read_only = v),
    row(Replication, "replica-serve-stale-data", "Answer reads on a replica whose link is down")
        .alias(&["slave-serve-stale-data"])
        .yes_no(|c| c.replica_serve_stale_data, |c, v| c.replica_serve_stale_data = v),
    row(
        Replication,
        "replica-stale-reads",
        "Reads on a replica whose data is older: forward them to the leader, or refuse",
    )
    .choice(
        &StaleReads::NAMES,
        |c| c.replica_stale_reads as usize,
        |c, index| c.replica_stale_reads = StaleReads::ALL[index],
    ),
    row(
        Replication,
        "replica-writes",
        "Writes of a replica's clients: forward them to a leader that takes them, or reject",
    )
    .choice(
        &Writes::NAMES,
        |c| c.replica_writes as usize,
        |c, index| c.replica_writes = Writes::ALL[index],
    ),
    row(Replication, "replicaof", "Follow this leader; no one = lead")
        .alias(&["slaveof"])
        .at_start()
        .words(
            "<host> <port>",
            |c| c.replicaof.as_ref().map(Leader::to_string).unwrap_or_default(),
            |c, words, _| {
                c.replicaof = Leader::parse(words)?;
                Ok(())
            },
        ),
    row(
        Replication,
        "sync-wait-ms",
        "Milliseconds that a read waits on a replica for what its client has seen elsewhere",
    )
    .number(0, INT, |c| wide(c.sync_wait_ms, INT), |c, v| put(&mut c.sync_wait_ms, v)),
    row(
        Memory,
        "active-expire-effort",
        "How hard to look for expired keys, 1 to 10; no effect yet",
    )
    .number(
        1,
        10,
        |c| c.active_expire_effort.into(),
        |c, v| put(&mut c.active_expire_effort, v),
    ),
    row(
        Memory,
        "lfu-decay-time",
        "Minutes unused after which a key's frequency falls by one; 0 = never",
    )
    .number(0, INT, |c| c.lfu_decay_time.into(), |c, v| put(&mut c.lfu_decay_time, v)),
    row(Memory, "lfu-log-factor", "How slowly a key's frequency grows; 0 = by one a use").number(
        0,
        INT,
        |c| c.lfu_log_factor.into(),
        |c, v| put(&mut c.lfu_log_factor, v),
    ),
    row(Memory, "maxmemory", "Memory for data; 0 = no bound").bytes(
        0,
        u64::MAX,
        |c| c.maxmemory,
        |c, v| put(&mut c.maxmemory, v),
    ),
    row(
        Memory,
        "maxmemory-clients",
        "Memory of all clients, bytes or a part of maxmemory such as 5%; 0 = no bound",
    )
    .words(
        "<bytes>|<percent>%",
        |c| c.maxmemory_clients.to_string(),
        |c, words, _| {
            let [word] = words else { return Err(Reason::Count(words.len())) };
            c.maxmemory_clients = Share::parse(word)?;
            Ok(())
        },
    ),
    row(Memory, "maxmemory-policy", "What to evict at maxmemory").choice(
        &EvictionPolicy::NAMES,
        |c| c.maxmemory_policy as usize,
        |c, index| c.maxmemory_policy = EvictionPolicy::ALL[index],
    ),
    row(Memory, "maxmemory-samples", "Keys looked at for one eviction").number(
        1,
        INT,
        |c| c.maxmemory_samples.into(),
        |c, v| put(&mut c.maxmemory_samples, v),
    ),
    row(
        Limits,
        "busy-reply-threshold",
        "Milliseconds of a script after which who waits for it is told BUSY; 0 = never",
    )
    .alias(&["lua-time-limit"])
    .number(
        0,
        LONG,
        |c| wide(c.busy_reply_threshold, LONG),
        |c, v| put(&mut c.busy_reply_threshold, v),
    ),
    row(
        Limits,
        "client-output-buffer-limit",
        "Unsent replies: class hard soft seconds, for normal, replica and pubsub",
    )
    .words(
        "<class> <hard> <soft> <seconds>...",
        |c| c.client_output_buffer_limit.to_string(),
        |c, words, _| c.client_output_buffer_limit.update(words),
    ),
    row(Limits, "client-query-buffer-limit", "Requests read but not yet executed").bytes(
        MIB,
        BYTES,
        |c| c.client_query_buffer_limit,
        |c, v| put(&mut c.client_query_buffer_limit, v),
    ),
    row(Limits, "proto-max-bulk-len", "Largest argument of a command").bytes(
        MIB,
        BYTES,
        |c| c.proto_max_bulk_len,
        |c, v| put(&mut c.proto_max_bulk_len, v),
    ),
    row(
        Limits,
        "tracking-table-max-keys",
        "Keys remembered for clients that keep copies; 0 = no bound",
    )
    .number(
        0,
        LONG,
        |c| wide(c.tracking_table_max_keys, LONG),
        |c, v| put(&mut c.tracking_table_max_keys, v),
    ),
    row(Data, "cluster-enabled", "Cluster mode is not available")
        .at_start()
        .fixed("no", "there is no cluster mode"),
    row(Data, "databases", "Databases that SELECT reaches").at_start().number(
        1,
        INT,
        |c| c.databases.into(),
        |c, v| put(&mut c.databases, v),
    ),
    row(Data, "hash-max-listpack-entries", "Fields up to which a hash stays compact")
        .alias(&["hash-max-ziplist-entries"])
        .number(
            0,
            LONG,
            |c| wide(c.encodings.hash.entries, LONG),
            |c, v| put(&mut c.encodings.hash.entries, v),
        ),
    row(Data, "hash-max-listpack-value", "Largest field or value of a compact hash")
        .alias(&["hash-max-ziplist-value"])
        .bytes(
            0,
            BYTES,
            |c| wide(c.encodings.hash.value_bytes, u64::MAX),
            |c, v| put(&mut c.encodings.hash.value_bytes, v),
        ),
    row(Data, "hll-sparse-max-bytes", "Bytes up to which a HyperLogLog stays sparse").bytes(
        0,
        BYTES,
        |c| wide(c.encodings.hyperloglog.sparse_bytes, u64::MAX),
        |c, v| put(&mut c.encodings.hyperloglog.sparse_bytes, v),
    ),
    row(
        Data,
        "list-max-listpack-size",
        "Elements of one node of a list; -1 to -5 = 4, 8, 16, 32, 64 KiB",
    )
    .alias(&["list-max-ziplist-size"])
    .number(
        i32::MIN as i64,
        INT,
        |c| c.encodings.list.fill.into(),
        |c, v| put(&mut c.encodings.list.fill, v),
    ),
    row(Data, "native-scripts", "Run the scripts of known rate-limit libraries without Lua")
        .yes_no(|c| c.native_scripts, |c, v| c.native_scripts = v),
    row(Data, "notify-keyspace-events", "Keyspace events to publish, letters of Ag$lshzxeKEtmdn")
        .words(
            "<letters>",
            |c| c.notify_keyspace_events.to_string(),
            |c, words, _| {
                let [letters] = words else { return Err(Reason::Count(words.len())) };
                c.notify_keyspace_events = Classes::parse(letters)?;
                Ok(())
            },
        ),
    row(Data, "set-max-intset-entries", "Members up to which a set of integers stays compact")
        .number(
            0,
            LONG,
            |c| wide(c.encodings.set.intset_entries, LONG),
            |c, v| put(&mut c.encodings.set.intset_entries, v),
        ),
    row(Data, "set-max-listpack-entries", "Members up to which any other set stays compact")
        .number(
            0,
            LONG,
            |c| wide(c.encodings.set.entries, LONG),
            |c, v| put(&mut c.encodings.set.entries, v),
        ),
    row(Data, "set-max-listpack-value", "Largest member of a compact set, integers aside").bytes(
        0,
        BYTES,
        |c| wide(c.encodings.set.value_bytes, u64::MAX),
        |c, v| put(&mut c.encodings.set.value_bytes, v),
    ),
    row(Data, "stream-node-max-bytes", "Bytes of one node of a stream; 0 = no bound").bytes(
        0,
        BYTES,
        |c| wide(c.encodings.stream.node_bytes, u64::MAX),
        |c, v| put(&mut c.encodings.stream.node_bytes, v),
    ),
    row(Data, "stream-node-max-entries", "Entries of one node of a stream; 0 = no bound").number(
        0,
        LONG,
        |c| wide(c.encodings.stream.node_entries, LONG),
        |c, v| put(&mut c.encodings.stream.node_entries, v),
    ),
    row(Data, "zset-max-listpack-entries", "Members up to which a sorted set stays compact")
        .alias(&["zset-max-ziplist-entries"])
        .number(
            0,
            LONG,
            |c| wide(c.encodings.sorted_set.entries, LONG),
            |c, v| put(&mut c.encodings.sorted_set.entries, v),
        ),
    row(Data, "zset-max-listpack-value", "Largest member of a compact sorted set")
        .alias(&["zset-max-ziplist-value"])
        .bytes(
            0,
            BYTES,
            |c| wide(c.encodings.sorted_set.value_bytes, u64::MAX),
            |c, v| put(&mut c.encodings.sorted_set.value_bytes, v),
        ),
    row(
        Observation,
        "latency-monitor-threshold",
        "Milliseconds from which LATENCY records an event; 0 = never",
    )
    .number(
        0,
        LONG,
        |c| wide(c.latency_monitor_threshold, LONG),
        |c, v| put(&mut c.latency_monitor_threshold, v),
    ),
    row(Observation, "latency-tracking", "Keep the times of commands as histograms")
        .yes_no(|c| c.latency_tracking, |c, v| c.latency_tracking = v),
    row(
        Observation,
        "latency-tracking-info-percentiles",
        "Percentiles of them that INFO latencystats shows; empty = none",
    )
    .words(
        "<percentile>...",
        |c| join(&c.latency_percentiles),
        |c, words, _| {
            c.latency_percentiles = percentiles(words)?;
            Ok(())
        },
    ),
    row(Observation, "logfile", "Path of the log; empty = standard output")
        .at_start()
        .text(|c| &c.logfile, |c, v| c.logfile = v),
    row(Observation, "loglevel", "How much is logged, read at start").choice(
        &LogLevel::NAMES,
        |c| c.loglevel as usize,
        |c, index| c.loglevel = LogLevel::ALL[index],
    ),
    row(
        Observation,
        "slowlog-log-slower-than",
        "Microseconds from which SLOWLOG keeps a command; 0 = all, -1 = none",
    )
    .number(
        -1,
        LONG,
        |c| c.slowlog_log_slower_than,
        |c, v| put(&mut c.slowlog_log_slower_than, v),
    ),
    row(Observation, "slowlog-max-len", "Entries of SLOWLOG").number(
        0,
        LONG,
        |c| wide(c.slowlog_max_len, LONG),
        |c, v| put(&mut c.slowlog_max_len, v),
    ),
    row(Process, "appendonly", "Append-only file; not available yet")
        .fixed("no", "persistence is not available yet"),
    row(Process, "daemonize", "Accepted, but the server stays in the foreground")
        .at_start()
        .inert("no"),
    row(Process, "dbfilename", "File name of snapshots; no effect yet")
        .protected()
        .inert("dump.rdb"),
    row(Process, "dir", "Folder of files that the server writes")
        .protected()
        .text(|c| &c.dir, |c, v| c.dir = v),
    row(Process, "hz", "Rounds of background work a second, 1 to 500; always 10 as yet").number(
        0,
        INT,
        |c| c.hz.into(),
        |c, v| put(&mut c.hz, v.clamp(1, 500)),
    ),
    row(Process, "io-threads", "Worker threads; 0 = one a core").at_start().number(
        0,
        128,
        |c| c.io_threads.into(),
        |c, v| put(&mut c.io_threads, v),
    ),
    row(Process, "save", "Snapshot rules; accepted, but persistence is not available yet").words(
        "<seconds> <changes>...",
        |c| join(&c.save),
        |c, words, stage| {
            let points = SavePoint::parse_all(words)?;
            if points.is_empty() || stage == Stage::Replacing {
                c.save.clear();
            }
            c.save.extend(points);
            Ok(())
        },
    ),
    row(Process, "shutdown-timeout", "Seconds that a stop waits for replicas at most").number(
        0,
        INT,
        |c| c.shutdown_timeout.into(),
        |c, v| put(&mut c.shutdown_timeout, v),
    ),
];

/// The directives that Redis has and that change nothing here, sorted by name.
///
/// They are accepted, and their values kept for CONFIG GET, so that a redis.conf or a tool that
/// sets them does not break. What would break a promise when silently lost (persistence, ACL files) is not among them: those are fixed rows of [`TABLE`].
pub(super) const INERT: &[Directive] = &[
    inert("active-defrag-cycle-max", &[], "25"),
    inert("active-defrag-cycle-min", &[], "1"),
    inert("active-defrag-ignore-bytes", &[], "104857600"),
    inert("active-defrag-max-scan-fields", &[], "1000"),
    inert("active-defrag-threshold-lower", &[], "10"),
    inert("active-defrag-threshold-upper", &[], "100"),
    inert("activedefrag", &[], "no"),
    inert("activerehashing", &[], "yes"),
    inert("always-show-logo", &[], "no"),
    inert("aof-disable-auto-gc", &[], "no"),
    inert("aof-load-truncated", &[], "yes"),
    inert("aof-rewrite-incremental-fsync", &[], "yes"),
    inert("aof-timestamp-enabled", &[], "no"),
    inert("aof-use-rdb-preamble", &[], "yes"),
    inert("appenddirname", &[], "appendonlydir"),
    inert("appendfilename", &[], "appendonly.aof"),
    inert("appendfsync", &[], "everysec"),
    inert("auto-aof-rewrite-min-size", &[], "67108864"),
    inert("auto-aof-rewrite-percentage", &[], "100"),
    inert("crash-log-enabled", &[], "yes"),
    inert("crash-memcheck-enabled", &[], "yes"),
    inert("disable-thp", &[], "yes"),
    inert("dynamic-hz", &[], "yes"),
    inert("ignore-warnings", &[], ""),
    inert("io-threads-do-reads", &[], "no"),
    inert("jemalloc-bg-thread", &[], "yes"),
    inert("lazyfree-lazy-eviction", &[], "no"),
    inert("lazyfree-lazy-expire", &[], "no"),
    inert("lazyfree-lazy-server-del", &[], "no"),
    inert("lazyfree-lazy-user-del", &[], "no"),
    inert("lazyfree-lazy-user-flush", &[], "no"),
    inert("list-compress-depth", &[], "0"),
    inert("maxmemory-eviction-tenacity", &[], "10"),
    inert("no-appendfsync-on-rewrite", &[], "no"),
    inert("oom-score-adj", &[], "no"),
    inert("oom-score-adj-values", &[], "0 200 800"),
    inert("pidfile", &[], ""),
    inert("proc-title-template", &[], "{title} {listen-addr} {server-mode}"),
    inert("propagation-error-behavior", &[], "ignore"),
    inert("rdb-del-sync-files", &[], "no"),
    inert("rdb-save-incremental-fsync", &[], "yes"),
    inert("rdbchecksum", &[], "yes"),
    inert("rdbcompression", &[], "yes"),
    inert("repl-backlog-ttl", &[], "3600"),
    inert("repl-disable-tcp-nodelay", &[], "no"),
    inert("repl-diskless-sync-max-replicas", &[], "0"),
    inert("replica-ignore-disk-write-errors", &[], "no"),
    inert("replica-ignore-maxmemory", &["slave-ignore-maxmemory"], "yes"),
    inert("replica-lazy-flush", &["slave-lazy-flush"], "no"),
    inert("sanitize-dump-payload", &[], "no"),
    inert("set-proc-title", &[], "yes"),
    inert("shutdown-on-sigint", &[], "default"),
    inert("shutdown-on-sigterm", &[], "default"),
    inert("stop-writes-on-bgsave-error", &[], "yes"),
    inert("supervised", &[], "no"),
    inert("syslog-enabled", &[], "no"),
    inert("syslog-facility", &[], "local0"),
    inert("syslog-ident", &[], "eave"),
    inert("tls-dh-params-file", &[], ""),
    inert("tls-session-cache-timeout", &[], "300"),
];

/// A row before it is said what it holds.
struct Row {
    group: Group,
    when: When,
    name: &'static str,
    aliases: &'static [&'static str],
    help: &'static str,
}

const fn row(group: Group, name: &'static str, help: &'static str) -> Row {
    Row { group, when: When::Runtime, name, aliases: &[], help }
}

const fn inert(
    name: &'static str,
    aliases: &'static [&'static str],
    default: &'static str,
) -> Directive {
    row(Group::Inert, name, "Accepted for compatibility, without effect")
        .alias(aliases)
        .inert(default)
}

impl Row {
    const fn alias(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn at_start(self) -> Self {
        Self { when: When::Start, ..self }
    }

    const fn protected(self) -> Self {
        Self { when: When::Protected, ..self }
    }

    const fn holds(self, kind: Kind) -> Directive {
        let Self { group, when, name, aliases, help } = self;
        Directive { name, aliases, group, when, help, kind }
    }

    const fn number(
        self,
        min: i64,
        max: i64,
        get: fn(&Config) -> i64,
        set: fn(&mut Config, i64) -> bool,
    ) -> Directive {
        self.holds(Kind::Number { min, max, get, set })
    }

    const fn bytes(
        self,
        min: u64,
        max: u64,
        get: fn(&Config) -> u64,
        set: fn(&mut Config, u64) -> bool,
    ) -> Directive {
        self.holds(Kind::Bytes { min, max, get, set })
    }

    const fn yes_no(self, get: fn(&Config) -> bool, set: fn(&mut Config, bool)) -> Directive {
        self.holds(Kind::YesNo { get, set })
    }

    const fn choice(
        self,
        names: &'static [&'static str],
        get: fn(&Config) -> usize,
        set: fn(&mut Config, usize),
    ) -> Directive {
        self.holds(Kind::Choice { names, get, set })
    }

    const fn text(self, get: fn(&Config) -> &str, set: fn(&mut Config, String)) -> Directive {
        self.holds(Kind::Text { get, set })
    }

    const fn secret(self, get: fn(&Config) -> &Secret, set: fn(&mut Config, Secret)) -> Directive {
        self.holds(Kind::Secret { get, set })
    }

    const fn words(
        self,
        shape: &'static str,
        get: fn(&Config) -> String,
        set: fn(&mut Config, &[&str], Stage) -> Result<(), Reason>,
    ) -> Directive {
        self.holds(Kind::Words { shape, get, set })
    }

    const fn fixed(self, value: &'static str, why: &'static str) -> Directive {
        self.holds(Kind::Fixed { value, why })
    }

    const fn inert(self, default: &'static str) -> Directive {
        self.holds(Kind::Inert { default })
    }
}

/// Percentiles, each from 0 to 100; one empty word is none.
fn percentiles(words: &[&str]) -> Result<Vec<f64>, Reason> {
    if words == [""] {
        return Ok(Vec::new());
    }
    let parse = |word: &&str| {
        let percent = word.parse::<f64>();
        let percent = percent
            .map_err(|_| Reason::Other("Invalid latency-tracking-info-percentiles parameters"))?;
        let range = Reason::Other(
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
        );
        (0.0..=100.0).contains(&percent).then_some(percent).ok_or(range)
    };
    words.iter().map(parse).collect()
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
