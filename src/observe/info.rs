//! INFO: sections of `name:value` lines, with Redis' names for what Redis has too.
//!
//! Lines of what does not exist here (forks, modules, defragmentation) are left out, but for
//! those that monitoring agents read without asking whether they are there.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use super::footprint::Footprint;
use super::stats::get;
use super::{commands, memory};
use crate::clients::Role;
use crate::clock;
use crate::command::{Argv, full_name, numbered};
use crate::node::Node;
use crate::pubsub::Topic;
use crate::replicate;
use crate::rules::keep;

/// The version of Redis whose commands and words are spoken.
pub const REDIS_VERSION: &str = "7.0.15";

type Section = fn(&Node, &mut Lines);

/// When a section is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// Without being asked for.
    Always,
    /// When it is named, or `all` is.
    Asked,
}

/// The sections in their order.
const SECTIONS: &[(&str, Shown, Section)] = &[
    ("Server", Shown::Always, server),
    ("Clients", Shown::Always, clients),
    ("Memory", Shown::Always, used_memory),
    ("Persistence", Shown::Always, persistence),
    ("Stats", Shown::Always, stats),
    ("Replication", Shown::Always, replication),
    ("CPU", Shown::Always, cpu),
    ("Modules", Shown::Always, |_, _| {}),
    ("Commandstats", Shown::Asked, commandstats),
    ("Errorstats", Shown::Always, errorstats),
    ("Latencystats", Shown::Asked, latencystats),
    ("Cluster", Shown::Always, |_, lines| lines.put("cluster_enabled", 0)),
    ("Regions", Shown::Always, regions),
    ("Keyspace", Shown::Always, keyspace),
];

/// Lines of one section.
#[derive(Debug, Default)]
struct Lines(String);

impl Lines {
    fn put(&mut self, name: &str, value: impl std::fmt::Display) {
        // Writing to a String does not fail.
        let _ = write!(self.0, "{name}:{value}\r\n");
    }

    /// Several lines that are 0 here: of what there is not.
    fn zeros(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.put(name, 0));
    }

    /// Bytes, and again in the form for people.
    fn bytes(&mut self, name: &str, bytes: u64) {
        self.put(name, bytes);
        self.put(&format!("{name}_human"), human(bytes));
    }
}

/// The text of INFO for the sections asked for.
pub fn text(node: &Node, wanted: Argv<'_>) -> String {
    let says = |word: &str| wanted.iter().any(|said| said.eq_ignore_ascii_case(word.as_bytes()));
    let all = says("all") || says("everything");
    let usual = all || wanted.is_empty() || says("default");
    let mut text = String::new();
    for (name, shown, section) in SECTIONS {
        if all || (usual && *shown == Shown::Always) || says(name) {
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
    lines.put("redis_git_sha1", "00000000");
    lines.put("redis_git_dirty", 0);
    lines.put("redis_build_id", "0");
    lines.put("redis_mode", "standalone");
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    lines.put("os", format_args!("Linux {} {}", release.trim(), std::env::consts::ARCH));
    lines.put("arch_bits", usize::BITS);
    lines.put("monotonic_clock", "processor counter");
    lines.put("multiplexing_api", "tokio");
    lines.put("process_id", std::process::id());
    lines.put("process_supervised", "no");
    lines.put("run_id", &node.run_id);
    lines.put("tcp_port", if config.port == 0 { config.tls.port } else { config.port });
    lines.put("rest_port", config.rest_port);
    lines.put("server_time_usec", clock::unix_us());
    lines.put("uptime_in_seconds", uptime);
    lines.put("uptime_in_days", uptime / 86_400);
    lines.put("hz", config.hz);
    lines.put("configured_hz", config.hz);
    lines.put("lru_clock", (clock::unix_ms() / 1000) & 0xff_ffff);
    let path = |path: Option<std::path::PathBuf>| {
        path.map(|path| path.display().to_string()).unwrap_or_default()
    };
    lines.put("executable", path(std::env::current_exe().ok()));
    lines.put("config_file", path(config.config_file.clone()));
    lines.put("io_threads_active", u8::from(config.io_threads != 1));
}

fn clients(node: &Node, lines: &mut Lines) {
    let clients = node.clients.list();
    let followers = clients.iter().filter(|client| client.role() == Role::Replica).count();
    let most = |count: fn(&crate::clients::Client) -> usize| {
        clients.iter().map(|client| count(client)).max().unwrap_or(0)
    };
    lines.put("connected_clients", clients.len() - followers);
    lines.put("cluster_connections", 0);
    lines.put("maxclients", node.config.load().maxclients);
    let input = most(|client| client.query_bytes.load(Ordering::Relaxed));
    lines.put("client_recent_max_input_buffer", input);
    let output = most(|client| client.output_bytes.load(Ordering::Relaxed));
    lines.put("client_recent_max_output_buffer", output);
    lines.put("blocked_clients", node.waits.count());
    lines.put("tracking_clients", node.tracking.clients());
    lines.put("clients_in_timeout_table", 0);
    lines.put("monitoring_clients", node.observer.monitors.len());
}

fn used_memory(node: &Node, lines: &mut Lines) {
    let print = Footprint::of(node);
    let config = node.config.load();
    lines.bytes("used_memory", print.used);
    lines.bytes("used_memory_rss", print.rss);
    lines.bytes("used_memory_peak", print.peak);
    lines.put("used_memory_peak_perc", format_args!("{:.2}%", print.peak_percent()));
    lines.put("used_memory_overhead", print.overhead());
    lines.put("used_memory_startup", print.startup);
    lines.put("used_memory_dataset", print.dataset());
    lines.put("used_memory_dataset_perc", format_args!("{:.2}%", print.dataset_percent()));
    lines.put("allocator_allocated", print.heap.allocated);
    lines.put("allocator_active", print.heap.active);
    lines.put("allocator_resident", print.heap.resident);
    lines.bytes("total_system_memory", memory::machine_bytes());
    // A worker has one VM for scripts and functions.
    lines.put("used_memory_lua", print.vms);
    lines.put("used_memory_vm_eval", print.vms);
    lines.put("used_memory_lua_human", human(print.vms));
    lines.put("used_memory_scripts_eval", print.scripts);
    lines.put("number_of_cached_scripts", print.script_count);
    let libraries = node.scripts.libraries.set();
    lines.put("number_of_functions", libraries.functions());
    lines.put("number_of_libraries", libraries.libraries.len());
    lines.put("used_memory_vm_functions", 0);
    lines.bytes("used_memory_vm_total", print.vms);
    lines.put("used_memory_functions", print.functions);
    lines.bytes("used_memory_scripts", print.scripts + print.functions);
    lines.bytes("maxmemory", config.maxmemory);
    lines.put("maxmemory_policy", config.maxmemory_policy.name());
    let names = ["allocator_frag", "allocator_rss", "rss_overhead"];
    for (name, (_, part, whole)) in names.into_iter().zip(print.ratios()) {
        let ratio = part as f64 / whole.max(1) as f64;
        lines.put(&format!("{name}_ratio"), format_args!("{ratio:.2}"));
        lines.put(&format!("{name}_bytes"), part as i64 - whole as i64);
    }
    lines.put("mem_fragmentation_ratio", format_args!("{:.2}", print.fragmentation()));
    lines.put("mem_fragmentation_bytes", print.rss as i64 - print.used as i64);
    lines.put("mem_not_counted_for_evict", node.memory.apart());
    lines.put("mem_replication_backlog", print.backlog);
    lines.put("mem_total_replication_buffers", print.backlog + print.replicas);
    lines.put("mem_clients_slaves", print.replicas);
    lines.put("mem_clients_normal", print.clients);
    lines.zeros(&["mem_cluster_links", "mem_aof_buffer"]);
    lines.put("mem_allocator", "jemalloc-5.3");
    lines.zeros(&["active_defrag_running", "lazyfree_pending_objects", "lazyfreed_objects"]);
}

fn persistence(node: &Node, lines: &mut Lines) {
    // No data is persisted yet; tools look for these.
    lines.put("loading", u8::from(node.replication.is_loading()));
    lines.zeros(&["async_loading", "current_cow_peak", "current_cow_size"]);
    lines.zeros(&["rdb_changes_since_last_save", "rdb_bgsave_in_progress"]);
    lines.put("rdb_last_save_time", node.started / 1000);
    lines.put("rdb_last_bgsave_status", "ok");
    lines.put("rdb_last_bgsave_time_sec", -1);
    lines.put("rdb_current_bgsave_time_sec", -1);
    lines.zeros(&["rdb_saves", "rdb_last_cow_size"]);
    lines.zeros(&["aof_enabled", "aof_rewrite_in_progress", "aof_rewrite_scheduled"]);
    lines.put("aof_last_rewrite_time_sec", -1);
    lines.put("aof_current_rewrite_time_sec", -1);
    lines.put("aof_last_bgrewrite_status", "ok");
    lines.put("aof_last_write_status", "ok");
    let rules = keep::status(node);
    lines.put("rules_file_enabled", u8::from(rules.enabled));
    lines.put("rules_changes_since_last_save", rules.unsaved);
    lines.put("rules_last_save_time", rules.saved_at / 1000);
    lines.put("rules_last_save_status", if rules.failing { "err" } else { "ok" });
    lines.put("rules_saves", rules.saves);
    lines.put("rules_save_failures", rules.failures);
}

fn stats(node: &Node, lines: &mut Lines) {
    let stats = &node.stats;
    let rates = &node.observer.rates;
    let kbps = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    lines.put("total_connections_received", get(&stats.connections));
    lines.put("total_commands_processed", get(&stats.commands));
    lines.put("instantaneous_ops_per_sec", rates.commands.get());
    lines.put("total_net_input_bytes", get(&stats.input_bytes));
    lines.put("total_net_output_bytes", get(&stats.output_bytes));
    lines.zeros(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"]);
    lines.put("instantaneous_input_kbps", kbps(rates.input.get()));
    lines.put("instantaneous_output_kbps", kbps(rates.output.get()));
    lines.put("instantaneous_input_repl_kbps", "0.00");
    lines.put("instantaneous_output_repl_kbps", "0.00");
    lines.put("rejected_connections", get(&stats.rejected));
    let counters = node.replication.leader.lock().status(node.log.lock().backlog(), 0).counters;
    lines.put("sync_full", counters.full);
    lines.put("sync_partial_ok", counters.partial_ok);
    lines.put("sync_partial_err", counters.partial_err);
    lines.put("expired_keys", get(&stats.expired));
    // Keys that are due and still in memory: the sweep passes every key in turn.
    lines.put("expired_stale_perc", "0.00");
    lines.put("expired_time_cap_reached_count", get(&stats.sweeps_cut));
    lines.put("expire_cycle_cpu_milliseconds", get(&stats.sweep_us) / 1000);
    lines.put("evicted_keys", get(&stats.evicted));
    lines.put("evicted_clients", get(&stats.evicted_clients));
    lines.put("total_eviction_exceeded_time", get(&stats.full_ms));
    lines.put("current_eviction_exceeded_time", 0);
    lines.put("keyspace_hits", get(&stats.hits));
    lines.put("keyspace_misses", get(&stats.misses));
    lines.put("pubsub_channels", node.hub.count(Topic::Channel));
    lines.put("pubsub_patterns", node.hub.count(Topic::Pattern));
    lines.put("pubsubshard_channels", node.hub.count(Topic::Shard));
    lines.zeros(&["latest_fork_usec", "total_forks", "migrate_cached_sockets"]);
    lines.zeros(&["slave_expires_tracked_keys", "active_defrag_hits", "active_defrag_misses"]);
    lines.zeros(&["active_defrag_key_hits", "active_defrag_key_misses"]);
    lines.put("tracking_total_keys", node.tracking.keys());
    lines.put("tracking_total_items", node.tracking.items());
    lines.put("tracking_total_prefixes", node.tracking.prefixes());
    lines.put("unexpected_error_replies", 0);
    lines.put("total_error_replies", get(&stats.errors));
    lines.put("dump_payload_sanitizations", 0);
    let (reads, writes) = commands::sockets();
    lines.put("total_reads_processed", reads);
    lines.put("total_writes_processed", writes);
    lines.zeros(&["io_threaded_reads_processed", "io_threaded_writes_processed"]);
    lines.zeros(&["reply_buffer_shrinks", "reply_buffer_expands"]);
    lines.put("client_output_buffer_limit_disconnections", get(&stats.output_cut));
    lines.put("acl_access_denied_auth", get(&stats.auth_failures));
    lines.put("rest_requests", get(&stats.rest_requests));
    lines.put("rest_connections", node.rest.connections());
    lines.put("rest_requests_waiting", node.rest.requests());
    lines.put("rest_gathered_bytes", node.rest.gathered());
    let (answers, bytes) = node.rest.idempotent();
    lines.put("rest_idempotent_answers", answers);
    lines.put("rest_idempotent_bytes", bytes);
    lines.put("ratelimit_allowed", get(&stats.limits_allowed));
    lines.put("ratelimit_refused", get(&stats.limits_refused));
    lines.put("connection_panics", get(&stats.panics));
}

fn replication(node: &Node, lines: &mut Lines) {
    for (name, value) in replicate::status::info_lines(node) {
        lines.put(&name, value);
    }
}

fn regions(node: &Node, lines: &mut Lines) {
    replicate::regions::info_lines(node, |name, value| lines.put(name, value));
}

fn cpu(_: &Node, lines: &mut Lines) {
    let [user, sys] = cpu_seconds("/proc/self/stat");
    lines.put("used_cpu_sys", format_args!("{sys:.6}"));
    lines.put("used_cpu_user", format_args!("{user:.6}"));
    lines.put("used_cpu_sys_children", "0.000000");
    lines.put("used_cpu_user_children", "0.000000");
    let [user, sys] = cpu_seconds(&format!("/proc/self/task/{}/stat", std::process::id()));
    lines.put("used_cpu_sys_main_thread", format_args!("{sys:.6}"));
    lines.put("used_cpu_user_main_thread", format_args!("{user:.6}"));
}

/// Seconds of user and of system time in a line such as that of the process.
fn cpu_seconds(file: &str) -> [f64; 2] {
    // Fields 14 and 15, in ticks of 10 ms; see proc(5). The name in parentheses may hold
    // blanks, so counting starts behind it.
    let line = std::fs::read_to_string(file).unwrap_or_default();
    let fields = line.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    [11, 12].map(|at| {
        let ticks = fields.split_whitespace().nth(at).and_then(|text| text.parse::<f64>().ok());
        ticks.unwrap_or(0.0) / 100.0
    })
}

fn commandstats(node: &Node, lines: &mut Lines) {
    for (number, sums) in node.observer.commands.all() {
        let (container, command) = numbered(number);
        let micros = sums.nanos / 1000;
        let each =
            if sums.calls == 0 { 0.0 } else { sums.nanos as f64 / 1000.0 / sums.calls as f64 };
        lines.put(
            &format!("cmdstat_{}", full_name(container, command)),
            format_args!(
                "calls={},usec={micros},usec_per_call={each:.2},rejected_calls={},failed_calls={}",
                sums.calls, sums.rejected, sums.failed
            ),
        );
    }
}

fn errorstats(node: &Node, lines: &mut Lines) {
    for (code, count) in node.observer.errors.all() {
        lines.put(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

fn latencystats(node: &Node, lines: &mut Lines) {
    let config = node.config.load();
    if !config.latency_tracking {
        return;
    }
    for (number, sums) in node.observer.commands.all() {
        if sums.times.total() == 0 {
            continue;
        }
        let (container, command) = numbered(number);
        let of = |percent: &f64| {
            format!("p{percent}={:.3}", sums.times.percentile(*percent) as f64 / 1000.0)
        };
        let values: Vec<String> = config.latency_percentiles.iter().map(of).collect();
        let name = full_name(container, command);
        lines.put(&format!("latency_percentiles_usec_{name}"), values.join(","));
    }
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
