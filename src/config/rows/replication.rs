//! Leaders and replicas.

use eave_replication::greeting::{Packing, is_region};

use super::{BYTES, INT, put, row, wide};
use crate::config::DISKLESS_LOADS;
use crate::config::kind::Reason;
use crate::config::replicas::{StaleReads, Writes};
use crate::config::table::Directive;
use crate::config::table::Group::Replication;
use crate::config::value::Leader;

/// The rows.
pub(in crate::config) const ROWS: &[Directive] = &[
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
    row(Replication, "region", "Name of the region that this node is in").words(
        "up to 32 letters, digits, - _ and .",
        |c| c.region.clone(),
        |c, words, _| {
            let [name] = words else { return Err(Reason::Count(words.len())) };
            if !name.is_empty() && !is_region(name.as_bytes()) {
                return Err(Reason::Shape("up to 32 letters, digits, -, _ and ."));
            }
            c.region = (*name).to_owned();
            Ok(())
        },
    ),
    row(
        Replication,
        "region-exchange-ms",
        "Milliseconds between two exchanges of what regions have taken of limits that they share",
    )
    .number(
        5,
        60_000,
        |c| wide(c.region_exchange_ms, INT),
        |c, v| put(&mut c.region_exchange_ms, v),
    ),
    row(
        Replication,
        "region-limits",
        "Shared limits that are counted at one time; beyond that the leader decides",
    )
    .number(0, 10_000_000, |c| wide(c.region_limits, INT), |c, v| put(&mut c.region_limits, v)),
    row(Replication, "repl-backlog-size", "Recent writes kept for replicas that reconnect").bytes(
        1,
        BYTES,
        |c| c.repl_backlog_size,
        |c, v| put(&mut c.repl_backlog_size, v),
    ),
    row(
        Replication,
        "repl-compression",
        "How a leader that is an Eave node is asked to compress what it sends to this one",
    )
    .choice(
        &["no", "lz4"],
        |c| usize::from(c.repl_compression.is_some()),
        |c, index| c.repl_compression = (index == 1).then_some(Packing::Lz4),
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
];
