//! What is noted of commands.

use super::{LONG, join, percentiles, put, row, wide};
use crate::config::table::Directive;
use crate::config::table::Group::Observation;
use crate::config::value::LogLevel;

/// The rows.
pub(in crate::config) const ROWS: &[Directive] = &[
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
];
