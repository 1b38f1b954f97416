//! What INFO says, as Prometheus reads it: names by its conventions, seconds and bytes.
//!
//! Nothing is counted or computed here. INFO's lines are the source, and the table says which of
//! them is which metric; a test holds that each line it names exists. What INFO shows of each
//! command, kind of error and database gets labels. Only what came of named rules, which RL.STATS
//! tells, is not in INFO.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::info;
use crate::clock;
use crate::node::Node;

/// What a value does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

use Kind::{Counter, Gauge};

/// A metric: its name, INFO's name, what INFO's value is divided by, its kind, what it tells.
type Row = (&'static str, &'static str, f64, Kind, &'static str);

const TABLE: &[Row] = &[
    ("eave_uptime_seconds", "uptime_in_seconds", 1.0, Gauge, "Time since the start"),
    ("eave_connected_clients", "connected_clients", 1.0, Gauge, "Clients of both doors"),
    ("eave_max_clients", "maxclients", 1.0, Gauge, "Clients that may be connected"),
    ("eave_blocked_clients", "blocked_clients", 1.0, Gauge, "Clients that wait for keys"),
    ("eave_tracking_clients", "tracking_clients", 1.0, Gauge, "Clients that keep copies"),
    ("eave_monitoring_clients", "monitoring_clients", 1.0, Gauge, "Clients that watch by MONITOR"),
    ("eave_memory_used_bytes", "used_memory", 1.0, Gauge, "Bytes in use"),
    (
        "eave_memory_resident_bytes",
        "used_memory_rss",
        1.0,
        Gauge,
        "Bytes that the system has given",
    ),
    ("eave_memory_peak_bytes", "used_memory_peak", 1.0, Gauge, "The most bytes ever in use"),
    ("eave_memory_max_bytes", "maxmemory", 1.0, Gauge, "Bytes that may be in use; 0 = any number"),
    ("eave_memory_clients_bytes", "mem_clients_normal", 1.0, Gauge, "Bytes of clients"),
    ("eave_memory_fragmentation_ratio", "mem_fragmentation_ratio", 1.0, Gauge, "Resident to used"),
    ("eave_loading", "loading", 1.0, Gauge, "Whether a full copy is being read"),
    ("eave_connections_total", "total_connections_received", 1.0, Counter, "Connections"),
    (
        "eave_rejected_connections_total",
        "rejected_connections",
        1.0,
        Counter,
        "Refused connections",
    ),
    ("eave_commands_processed_total", "total_commands_processed", 1.0, Counter, "Commands run"),
    ("eave_error_replies_total", "total_error_replies", 1.0, Counter, "Commands that failed"),
    ("eave_net_input_bytes_total", "total_net_input_bytes", 1.0, Counter, "Bytes from clients"),
    ("eave_net_output_bytes_total", "total_net_output_bytes", 1.0, Counter, "Bytes to clients"),
    ("eave_expired_keys_total", "expired_keys", 1.0, Counter, "Keys removed because they were due"),
    ("eave_evicted_keys_total", "evicted_keys", 1.0, Counter, "Keys removed to make room"),
    ("eave_evicted_clients_total", "evicted_clients", 1.0, Counter, "Clients cut to make room"),
    ("eave_keyspace_hits_total", "keyspace_hits", 1.0, Counter, "Reads that found their key"),
    ("eave_keyspace_misses_total", "keyspace_misses", 1.0, Counter, "Reads that did not"),
    ("eave_pubsub_channels", "pubsub_channels", 1.0, Gauge, "Channels with listeners"),
    ("eave_pubsub_patterns", "pubsub_patterns", 1.0, Gauge, "Patterns with listeners"),
    (
        "eave_output_limit_disconnections_total",
        "client_output_buffer_limit_disconnections",
        1.0,
        Counter,
        "Clients cut because they did not take their replies",
    ),
    (
        "eave_auth_failures_total",
        "acl_access_denied_auth",
        1.0,
        Counter,
        "Wrong passwords and tokens",
    ),
    ("eave_rest_requests_total", "rest_requests", 1.0, Counter, "HTTP requests"),
    ("eave_rest_connections", "rest_connections", 1.0, Gauge, "HTTP connections"),
    ("eave_rest_requests_waiting", "rest_requests_waiting", 1.0, Gauge, "Requests under way"),
    ("eave_rest_gathered_bytes", "rest_gathered_bytes", 1.0, Gauge, "Bytes of bodies in part"),
    ("eave_rest_idempotent_answers", "rest_idempotent_answers", 1.0, Gauge, "Answers kept"),
    ("eave_rest_idempotent_bytes", "rest_idempotent_bytes", 1.0, Gauge, "Bytes of those"),
    ("eave_ratelimit_allowed_total", "ratelimit_allowed", 1.0, Counter, "Admitted by limits"),
    ("eave_ratelimit_refused_total", "ratelimit_refused", 1.0, Counter, "Refused by limits"),
    (
        "eave_rules_unsaved_changes",
        "rules_changes_since_last_save",
        1.0,
        Gauge,
        "Changes of named rules and lists that rules-file does not have yet",
    ),
    ("eave_rules_saves_total", "rules_saves", 1.0, Counter, "Writes of rules-file"),
    (
        "eave_rules_save_failures_total",
        "rules_save_failures",
        1.0,
        Counter,
        "Writes of rules-file that failed",
    ),
    (
        "eave_connection_panics_total",
        "connection_panics",
        1.0,
        Counter,
        "Connections ended by bugs",
    ),
    ("eave_connected_replicas", "connected_slaves", 1.0, Gauge, "Replicas that follow"),
    ("eave_replication_offset_bytes", "master_repl_offset", 1.0, Counter, "How far the log is"),
    ("eave_replication_full_syncs_total", "sync_full", 1.0, Counter, "Full copies sent"),
    (
        "eave_replication_partial_syncs_total",
        "sync_partial_ok",
        1.0,
        Counter,
        "Replicas that went on where they were",
    ),
    ("eave_region_nodes", "region_nodes", 1.0, Gauge, "Nodes that decide on shared limits"),
    (
        "eave_region_staleness_seconds",
        "region_staleness_ms",
        1000.0,
        Gauge,
        "Age of the oldest that is known of another node's counts, below 0 = nothing is",
    ),
    (
        "eave_region_staleness_peak_seconds",
        "region_staleness_peak_ms",
        1000.0,
        Gauge,
        "The oldest of late on any node",
    ),
    ("eave_region_limits", "region_limits", 1.0, Gauge, "Shared limits that are counted"),
    (
        "eave_region_reports_dropped_total",
        "region_reports_dropped",
        1.0,
        Counter,
        "Counts of other nodes that found no room",
    ),
    ("eave_region_exchanges_total", "region_exchange_done", 1.0, Counter, "Exchanges of counts"),
    (
        "eave_region_exchange_failures_total",
        "region_exchange_failed",
        1.0,
        Counter,
        "Exchanges that failed",
    ),
    ("eave_region_exchange_bytes_total", "region_exchange_bytes", 1.0, Counter, "Bytes of them"),
    ("eave_cpu_system_seconds_total", "used_cpu_sys", 1.0, Counter, "Time in the system"),
    ("eave_cpu_user_seconds_total", "used_cpu_user", 1.0, Counter, "Time in the process"),
];

/// What is shown of each of many: the metric, the field of INFO's line, what it is divided by,
/// its kind, what it tells.
type Field = (&'static str, &'static str, f64, Kind, &'static str);

/// Of each command. INFO has microseconds.
const COMMANDS: &[Field] = &[
    ("eave_command_calls_total", "calls", 1.0, Counter, "Calls of each command"),
    ("eave_command_seconds_total", "usec", 1e6, Counter, "Time of each command"),
    ("eave_command_rejected_total", "rejected_calls", 1.0, Counter, "Calls refused before"),
    ("eave_command_failed_total", "failed_calls", 1.0, Counter, "Calls that failed"),
];

/// Of each kind of error.
const ERRORS: &[Field] = &[("eave_errors_total", "count", 1.0, Counter, "Errors of each code")];

/// Of each database.
const DATABASES: &[Field] = &[
    ("eave_keys", "keys", 1.0, Gauge, "Keys of each database"),
    ("eave_expiring_keys", "expires", 1.0, Gauge, "Those with an expiry"),
];

/// Of each other node that decides on shared limits.
const PEERS: &[Field] = &[(
    "eave_region_peer_staleness_seconds",
    "staleness_ms",
    1000.0,
    Gauge,
    "Age of what is known of a node's counts, below 0 = nothing is",
)];

/// Of each rule that regions share.
const SHARED: &[Field] = &[
    ("eave_region_rule_limit", "limit", 1.0, Gauge, "The limit of a shared rule"),
    (
        "eave_region_rule_within",
        "within",
        1.0,
        Gauge,
        "The most that this node admits of one key while reports are late",
    ),
    (
        "eave_region_rule_bound",
        "bound",
        1.0,
        Gauge,
        "The most that all nodes together admit of one key in a window",
    ),
];

/// All metrics as text.
pub fn text(node: &Node) -> String {
    let info = info::text(node, &[b"everything"]);
    let lines: Vec<(&str, &str)> = info.lines().filter_map(|line| line.split_once(':')).collect();
    let values: HashMap<&str, &str> = lines.iter().copied().collect();
    let mut text = String::with_capacity(16 * 1024);
    let version = values.get("eave_version").copied().unwrap_or_default();
    let role = values.get("role").copied().unwrap_or_default();
    head(&mut text, "eave_info", Gauge, "What runs");
    let _ = writeln!(text, "eave_info{{version=\"{version}\",role=\"{role}\"}} 1");
    for (name, source, divisor, kind, help) in TABLE {
        if let Some(value) = values.get(source).and_then(|value| number(value, *divisor)) {
            head(&mut text, name, *kind, help);
            let _ = writeln!(text, "{name} {value}");
        }
    }
    // On a leader INFO has no such line.
    if let Some(up) = values.get("master_link_status") {
        head(&mut text, "eave_replication_link_up", Gauge, "Whether the link to the leader stands");
        let _ = writeln!(text, "eave_replication_link_up {}", u8::from(*up == "up"));
    }
    labelled(&mut text, &lines, "cmdstat_", "command", COMMANDS);
    labelled(&mut text, &lines, "errorstat_", "code", ERRORS);
    let databases: Vec<_> = lines
        .iter()
        .copied()
        .filter(|(name, _)| name.strip_prefix("db").is_some_and(|db| db.parse::<u32>().is_ok()))
        .collect();
    labelled(&mut text, &databases, "db", "db", DATABASES);
    let peers = named(&lines, "region_peer", ",id=");
    labelled(&mut text, &peers, "", "node", PEERS);
    labelled(&mut text, &named(&lines, "region_rule", ",name="), "", "rule", SHARED);
    rules(&mut text, node);
    text
}

/// What came of the requests by each named rule.
const DECISIONS: &str = "eave_ratelimit_rule_decisions_total";

/// Writes how many named rules there are, and what came of the first of them: as many as the
/// directive says, so that rules that clients make do not grow what others have to keep.
fn rules(text: &mut String, node: &Node) {
    let all = node.keyspace.rules.all(clock::unix_ms());
    head(text, "eave_ratelimit_rules", Gauge, "Named rules");
    let _ = writeln!(text, "eave_ratelimit_rules {}", all.len());
    let shown = usize::try_from(node.config.load().metrics_rules).unwrap_or(usize::MAX);
    if all.is_empty() || shown == 0 {
        return;
    }
    head(text, DECISIONS, Counter, "Decisions of each named rule; denied by a list");
    for named in all.iter().take(shown) {
        // Names are visible ASCII without quotes and backslashes.
        let name = String::from_utf8_lossy(&named.name);
        for (outcome, count) in ["allowed", "limited", "denied"].iter().zip(named.stats.ever()) {
            let _ = writeln!(text, "{DECISIONS}{{rule=\"{name}\",outcome=\"{outcome}\"}} {count}");
        }
    }
}

/// Lines of those that have a number in INFO, by the name at their end.
fn named<'t>(lines: &[(&'t str, &'t str)], prefix: &str, mark: &str) -> Vec<(&'t str, &'t str)> {
    let numbered =
        |name: &str| name.strip_prefix(prefix).is_some_and(|number| number.parse::<u32>().is_ok());
    let of = lines.iter().filter(|(name, _)| numbered(name));
    of.filter_map(|(_, value)| value.split_once(mark)).map(|(value, name)| (name, value)).collect()
}

/// What stands before the values of a metric.
fn head(text: &mut String, name: &str, kind: Kind, help: &str) {
    let kind = if kind == Counter { "counter" } else { "gauge" };
    // Writing to a String does not fail.
    let _ = write!(text, "# HELP {name} {help}.\n# TYPE {name} {kind}\n");
}

/// Writes the metrics of lines such as `cmdstat_get:calls=1,usec=2`.
fn labelled(
    text: &mut String,
    lines: &[(&str, &str)],
    prefix: &str,
    label: &str,
    fields: &[Field],
) {
    for (name, source, divisor, kind, help) in fields {
        let mut begun = false;
        for (line, value) in lines {
            let Some(of) = line.strip_prefix(prefix) else { continue };
            let field = value.split(',').filter_map(|pair| pair.split_once('='));
            let value = field.clone().find(|(field, _)| field == source);
            let Some(value) = value.and_then(|(_, value)| number(value, *divisor)) else {
                continue;
            };
            if !std::mem::replace(&mut begun, true) {
                head(text, name, *kind, help);
            }
            let of = of.replace('\\', "\\\\").replace('"', "\\\"");
            let _ = writeln!(text, "{name}{{{label}=\"{of}\"}} {value}");
        }
    }
}

/// A value of INFO as a number, divided.
fn number(value: &str, divisor: f64) -> Option<String> {
    if divisor == 1.0 {
        return value.parse::<f64>().is_ok().then(|| value.to_owned());
    }
    value.parse::<f64>().ok().map(|value| (value / divisor).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::rules::stats::Verdict::{Allowed, Denied, Limited};
    use crate::rules::{FOREVER, Regions, Spec};

    #[test]
    fn every_row_has_its_line_in_info() {
        let node = Node::new(Config::default());
        let text = text(&node);
        for (name, source, ..) in TABLE {
            let line = text.lines().find(|line| line.split(' ').next() == Some(name));
            let value = line.and_then(|line| line.split(' ').nth(1));
            let value = value.and_then(|value| value.parse::<f64>().ok());
            assert!(value.is_some(), "{name}: INFO has no number called {source}");
        }
    }

    #[test]
    fn names_follow_the_conventions() {
        let all = TABLE.iter().chain(COMMANDS).chain(ERRORS).chain(DATABASES);
        let all = all.chain(PEERS).chain(SHARED);
        let mut seen = std::collections::HashSet::new();
        for (name, _, _, kind, help) in all {
            assert!(seen.insert(name), "{name} is there twice");
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(name.starts_with("eave_") && name.bytes().all(plain), "{name}");
            let is_offset = *name == "eave_replication_offset_bytes";
            assert_eq!(name.ends_with("_total") || is_offset, *kind == Counter, "{name}");
            assert!(!help.ends_with('.') && !help.contains('\n'), "{name}");
        }
    }

    #[test]
    fn named_rules_are_told_by_name_and_no_more_than_that() {
        let mut config = Config::default();
        config.metrics_rules = 2;
        let node = Node::new(config);
        assert!(text(&node).contains("\neave_ratelimit_rules 0\n"));
        let rule = eave_ratelimit::Rule::parse(b"5/1s").unwrap();
        for name in [&b"c"[..], b"a", b"b"] {
            let regions = Regions::Leader;
            let spec = Spec { rule, deny: None, allow: None, regions, expires_at: FOREVER };
            node.keyspace.rules.change().set(name, spec, 0).unwrap();
        }
        let a = node.keyspace.rules.get(b"a", 0).unwrap();
        for (verdict, times) in [(Allowed, 3), (Limited, 2), (Denied, 1)] {
            (0..times).for_each(|_| a.stats.count(verdict, b"id", 60_000));
        }
        let text = text(&node);
        assert!(text.contains("\neave_ratelimit_rules 3\n"), "{text}");
        let of = |rule, outcome, count: u32| {
            format!("\n{DECISIONS}{{rule=\"{rule}\",outcome=\"{outcome}\"}} {count}\n")
        };
        for line in [of("a", "allowed", 3), of("a", "limited", 2), of("a", "denied", 1)] {
            assert!(text.contains(&line), "{text}");
        }
        assert!(text.contains(&of("b", "allowed", 0)), "{text}");
        assert!(!text.contains("rule=\"c\""), "{text}");
    }

    #[test]
    fn lines_of_many_get_labels() {
        let lines = [("cmdstat_get", "calls=3,usec=2500000,usec_per_call=1.00"), ("other", "1")];
        let mut text = String::new();
        labelled(&mut text, &lines, "cmdstat_", "command", COMMANDS);
        assert!(text.contains("\neave_command_calls_total{command=\"get\"} 3\n"), "{text}");
        assert!(text.contains("\neave_command_seconds_total{command=\"get\"} 2.5\n"), "{text}");
        assert!(!text.contains("failed"), "{text}");
        let lines = [("region_rule0", "limit=5,bound=7,name=a,b=c"), ("region_rules", "1,name=x")];
        let mut text = String::new();
        labelled(&mut text, &named(&lines, "region_rule", ",name="), "", "rule", SHARED);
        assert!(text.contains("\neave_region_rule_bound{rule=\"a,b=c\"} 7\n"), "{text}");
        assert!(!text.contains("x"), "{text}");
    }
}
