//! INFO: what was counted.

use crate::support::server::Program;
use crate::talk::Talk;

/// The value of a line, without what differs from run to run.
fn line(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let parts = line.split(',').filter(|part| !part.starts_with("usec"));
    Some(parts.collect::<Vec<_>>().join(","))
}

fn counts(program: Program) -> Vec<Option<String>> {
    let mut talk = Talk::with(program, &[]);
    talk.ask(0, "SET before 1");
    talk.ask(0, "CONFIG RESETSTAT");
    for request in [
        "SET k v",
        "SET k v",
        "GET k",
        "GET",
        "INCR k",
        "HGET k f",
        "CONFIG GET port",
        "CONFIG SET timeout x",
        "CONFIG nonsense",
        "MULTI",
        "SET a 1",
        "INCR k",
        "GET",
        "EXEC",
        "MULTI",
        "SET a 1",
        "LPUSH k x",
        "EXEC",
        "EXEC",
        "nonsense",
    ] {
        talk.ask(0, request);
    }
    let text = talk.ask(0, "INFO everything").text().expect("a text");
    let names = [
        "cmdstat_set:",
        "cmdstat_get:",
        "cmdstat_incr:",
        "cmdstat_hget:",
        "cmdstat_lpush:",
        "cmdstat_multi:",
        "cmdstat_exec:",
        "cmdstat_config|get:",
        "cmdstat_config|set:",
        "cmdstat_config:",
        "errorstat_ERR:",
        "errorstat_WRONGTYPE:",
        "errorstat_EXECABORT:",
        "total_error_replies:",
    ];
    let mut counts: Vec<_> = names.iter().map(|name| line(&text, name)).collect();
    for name in ["latency_percentiles_usec_set:p50=", "latency_percentiles_usec_get:p50="] {
        counts.push(Some(text.contains(name).to_string()));
    }
    // Redis knows no regions.
    let is_of_redis = |line: &&str| line.starts_with("# ") && *line != "# Regions";
    let sections: Vec<&str> = text.lines().filter(is_of_redis).collect();
    counts.push(Some(sections.join(" ")));
    talk.ask(0, "CONFIG RESETSTAT");
    let text = talk.ask(0, "INFO commandstats errorstats").text().expect("a text");
    counts.push(line(&text, "cmdstat_set:"));
    counts.push(line(&text, "errorstat_ERR:"));
    counts
}

#[test]
fn calls_and_failures_are_counted_as_redis_counts_them() {
    for (ours, theirs) in counts(Program::Eave).iter().zip(&counts(Program::Redis)) {
        assert_eq!(ours, theirs);
    }
}

#[test]
fn every_line_that_agents_read_is_there() {
    let [ours, theirs] = Talk::both(&[]).map(|(_, mut talk)| {
        let text = talk.ask(0, "INFO").text().expect("a text");
        text.lines()
            .filter_map(|line| Some(line.split_once(':')?.0.to_owned()))
            .collect::<Vec<String>>()
    });
    // What does not exist here: see docs/operations.md.
    const LEFT_OUT: &[&str] = &[
        "atomicvar_api",
        "gcc_version",
        "current_cow_size_age",
        "current_fork_perc",
        "current_save_keys_processed",
        "current_save_keys_total",
        "rdb_last_load_keys_expired",
        "rdb_last_load_keys_loaded",
        "aof_rewrites",
        "aof_rewrites_consecutive_failures",
        "aof_last_cow_size",
        "module_fork_in_progress",
        "module_fork_last_cow_size",
        "total_active_defrag_time",
        "current_active_defrag_time",
    ];
    let missing: Vec<&String> = theirs
        .iter()
        .filter(|name| !ours.contains(name) && !LEFT_OUT.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
