//! What the server says of itself: statistics, INFO, the slow log, MONITOR.

pub mod commands;
pub mod errors;
pub mod footprint;
pub mod histogram;
pub mod info;
pub mod latency;
pub mod memory;
pub mod metrics;
pub mod monitors;
pub mod rates;
pub mod redact;
pub mod slowlog;
pub mod stats;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{self, Stopwatch};
use crate::config::Config;
pub use stats::Stats;

/// What is noted while commands run.
#[derive(Debug, Default)]
pub struct Observer {
    /// Measures commands.
    pub stopwatch: Stopwatch,
    /// From so many nanoseconds on, a command is looked at: the slow log or LATENCY wants it.
    alarm_ns: AtomicU64,
    /// `latency-monitor-threshold`.
    late_ms: AtomicU64,
    /// Whether times are kept as histograms.
    tracked: AtomicBool,
    /// What was counted of commands before the last reset.
    pub commands: commands::Counted,
    /// Slow commands.
    pub slowlog: slowlog::SlowLog,
    /// Events that took long.
    pub latency: latency::Latency,
    /// Kinds of errors.
    pub errors: errors::Errors,
    /// Who watches.
    pub monitors: monitors::Monitors,
    /// How much happens a second.
    pub rates: rates::Rates,
}

impl Observer {
    /// With what the settings say.
    pub fn new(config: &Config) -> Observer {
        let observer = Observer::default();
        observer.configure(config);
        observer
    }

    /// Takes over settings.
    pub fn configure(&self, config: &Config) {
        let slow = u64::try_from(config.slowlog_log_slower_than).ok();
        let slow = slow.map_or(u64::MAX, |micros| micros.saturating_mul(1000));
        let late = match config.latency_monitor_threshold {
            0 => u64::MAX,
            millis => millis.saturating_mul(1_000_000),
        };
        self.alarm_ns.store(slow.min(late), Ordering::Relaxed);
        self.late_ms.store(config.latency_monitor_threshold, Ordering::Relaxed);
        self.tracked.store(config.latency_tracking, Ordering::Relaxed);
    }

    /// From so many nanoseconds on, a command is looked at.
    #[inline]
    pub fn alarm_ns(&self) -> u64 {
        self.alarm_ns.load(Ordering::Relaxed)
    }

    /// Whether times are kept as histograms.
    #[inline]
    pub fn tracks(&self) -> bool {
        self.tracked.load(Ordering::Relaxed)
    }

    /// Notes an event that has just ended, if it took long enough for LATENCY.
    pub fn happened(&self, event: latency::Happening, took: Duration) {
        let from = self.late_ms.load(Ordering::Relaxed);
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if from > 0 && millis >= from {
            self.latency.add(event, clock::unix_ms() / 1000, millis);
        }
    }

    /// Starts to count anew: CONFIG RESETSTAT.
    pub fn reset(&self) {
        self.commands.reset();
        self.errors.reset();
    }
}
