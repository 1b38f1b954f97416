//! How much memory there is, and what goes when it is full.

use super::{INT, put, row};
use crate::config::kind::Reason;
use crate::config::table::Directive;
use crate::config::table::Group::Memory;
use crate::config::value::{EvictionPolicy, Share};

/// The rows.
pub(in crate::config) const ROWS: &[Directive] =
    &[
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
        row(Memory, "lfu-log-factor", "How slowly a key's frequency grows; 0 = by one a use")
            .number(0, INT, |c| c.lfu_log_factor.into(), |c, v| put(&mut c.lfu_log_factor, v)),
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
    ];
