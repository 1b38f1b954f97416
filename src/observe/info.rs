//! INFO: sections of `name:value` lines, with Redis' names for what Redis has too.

use std::fmt::Write as _;

use super::stats::get;
use crate::clock;
use crate::command::Argv;
use crate::node::Node;
use crate::pubsub::Topic;
use crate::replicate;

/// The version of Redis whose commands and words are spoken.
pub const REDIS_VERSION: &str = "7.0.15";

type Section = fn(&Node, &mut Lines);

/// The sections in their order.
const SECTIONS: &[(&str, Section)] = &[
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("CPU", cpu),
    ("Modules", |_, _| {}),
    ("Cluster", |_, lines| lines.put("cluster_enabled", 0)),
    ("Keyspace", keyspace),
];

/// Lines of one section.
#[derive(Debug, Default)]
struct Lines(String);

impl Lines {
    fn put(&mut self, name: &str, value: impl std::fmt::Display) {
        // Writing to a String does not fail.
        let _ = write!(self.0, "{name}:{value}\r\n");
    }
}

/// The text of INFO for the sections asked for; without any, for all.
pub fn text(node: &Node, wanted: Argv<'_>) -> String {
    let everything = |word: &&[u8]| {
        ["all", "default", "everything"].iter().any(|all| word.eq_ignore_ascii_case(all.as_bytes()))
    };
    let all = wanted.is_empty() || wanted.iter().any(everything);
    let mut text = String::new();
    for (name, section) in SECTIONS {
        let asked = wanted.iter().any(|word| word.eq_ignore_ascii_case(name.as_bytes()));
        if all || asked {
            let mut lines = Lines::default();
            section(node, &mut lines);
            let gap = if text.is_empty() { "" } else { "\r\n" };
            let _ = write!(text, "{gap}# {name}\r\n{}", lines.0);
        }
    }
    text
}

fn server(node: &Node, lines: &mut Lines) {
    let config = node.config.load();
    let uptime = clock::unix_ms().saturating_sub(node.started) / 1000;
    lines.put("redis_version", REDIS_VERSION);
    lines.put("eave_version", env!("CARGO_PKG_VERSION"));
    lines.put("redis_mode", "standalone");
    lines.put("os", format_args!("{} {}", std::env::consts::OS, std::env::consts::ARCH));
    lines.put("arch_bits", usize::BITS);
    lines.put("multiplexing_api", "tokio");
    lines.put("process_id", std::process::id());
    lines.put("run_id", &node.run_id);
    lines.put("tcp_port", if config.port == 0 { config.tls.port } else { config.port });
    lines.put("rest_port", config.rest_port);
    lines.put("server_time_usec", clock::unix_us());
    lines.put("uptime_in_seconds", uptime);
    lines.put("uptime_in_days", uptime / 86_400);
    lines.put("hz", config.hz);
    let file = config.config_file.as_ref().map(|path| path.display().to_string());
    lines.put("config_file", file.unwrap_or_default());
}

fn clients(node: &Node, lines: &mut Lines) {
    use std::sync::atomic::Ordering;
    let clients = node.clients.list();
    let followers = clients.iter().filter(|c| c.follower.load(Ordering::Relaxed)).count();
    lines.put("connected_clients", clients.len() - followers);
    lines.put("maxclients", node.config.load().maxclients);
    lines.put("blocked_clients", node.waits.count());
    lines.put("tracking_clients", node.tracking.clients());
}

fn memory(node: &Node, lines: &mut Lines) {
    node.memory.refresh();
    let config = node.config.load();
    let used = node.memory.used();
    lines.put("used_memory", used);
    lines.put("used_memory_human", human(used));
    lines.put("used_memory_rss", node.memory.resident());
    lines.put("used_memory_rss_human", human(node.memory.resident()));
    lines.put("used_memory_peak", node.memory.peak());
    lines.put("used_memory_peak_human", human(node.memory.peak()));
    lines.put("maxmemory", config.maxmemory);
    lines.put("maxmemory_human", human(config.maxmemory));
    lines.put("maxmemory_policy", config.maxmemory_policy.name());
    lines.put("mem_not_counted_for_evict", node.memory.apart());
    let ratio = node.memory.resident() as f64 / used.max(1) as f64;
    lines.put("mem_fragmentation_ratio", format_args!("{ratio:.2}"));
    lines.put("mem_allocator", "jemalloc");
}

fn persistence(node: &Node, lines: &mut Lines) {
    // Nothing is persisted yet; tools look for these.
    lines.put("loading", u8::from(node.replication.is_loading()));
    lines.put("rdb_bgsave_in_progress", 0);
    lines.put("aof_enabled", 0);
}

fn stats(node: &Node, lines: &mut Lines) {
    let stats = &node.stats;
    lines.put("total_connections_received", get(&stats.connections));
    lines.put("total_commands_processed", get(&stats.commands));
    lines.put("total_net_input_bytes", get(&stats.input_bytes));
    lines.put("total_net_output_bytes", get(&stats.output_bytes));
    lines.put("rejected_connections", get(&stats.rejected));
    let counters = node.replication.leader.lock().status(node.log.lock().backlog(), 0).counters;
    lines.put("sync_full", counters.full);
    lines.put("sync_partial_ok", counters.partial_ok);
    lines.put("sync_partial_err", counters.partial_err);
    lines.put("expired_keys", get(&stats.expired));
    lines.put("evicted_keys", get(&stats.evicted));
    lines.put("keyspace_hits", get(&stats.hits));
    lines.put("keyspace_misses", get(&stats.misses));
    lines.put("pubsub_channels", node.hub.count(Topic::Channel));
    lines.put("pubsub_patterns", node.hub.count(Topic::Pattern));
    lines.put("pubsubshard_channels", node.hub.count(Topic::Shard));
    lines.put("tracking_total_keys", node.tracking.keys());
    lines.put("tracking_total_items", node.tracking.items());
    lines.put("tracking_total_prefixes", node.tracking.prefixes());
    lines.put("total_error_replies", get(&stats.errors));
    lines.put("client_output_buffer_limit_disconnections", get(&stats.output_cut));
    lines.put("acl_access_denied_auth", get(&stats.auth_failures));
    lines.put("rest_requests", get(&stats.rest_requests));
    lines.put("ratelimit_allowed", get(&stats.limits_allowed));
    lines.put("ratelimit_refused", get(&stats.limits_refused));
    lines.put("connection_panics", get(&stats.panics));
}

fn replication(node: &Node, lines: &mut Lines) {
    for (name, value) in replicate::status::info_lines(node) {
        lines.put(&name, value);
    }
}

fn cpu(_: &Node, lines: &mut Lines) {
    // Fields 14 and 15 of the process's line, in ticks of 10 ms; see proc(5). The name in
    // parentheses may hold blanks, so counting starts behind it.
    let line = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = line.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks = |at: usize| {
        fields.split_whitespace().nth(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0)
    };
    lines.put("used_cpu_sys", format_args!("{:.6}", ticks(12) / 100.0));
    lines.put("used_cpu_user", format_args!("{:.6}", ticks(11) / 100.0));
}

fn keyspace(node: &Node, lines: &mut Lines) {
    for db in 0..node.keyspace.databases() {
        let count = node.keyspace.count(db);
        if count.keys > 0 {
            let value = format_args!("keys={},expires={},avg_ttl=0", count.keys, count.expiring);
            lines.put(&format!("db{db}"), value);
        }
    }
}

/// Bytes as Redis shows them to people: `1.50M`.
fn human(bytes: u64) -> String {
    let units = [(1u64 << 40, 'T'), (1 << 30, 'G'), (1 << 20, 'M'), (1 << 10, 'K')];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, letter)) => format!("{:.2}{letter}", bytes as f64 / *unit as f64),
        None => format!("{bytes}B"),
    }
}
