//! Counters of the whole node. Doors add what they have gathered once a batch, so that
//! workers do not fight over them with every command.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::session::Tally;

/// Counters since the start, or since CONFIG RESETSTAT.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections accepted, both doors.
    pub connections: AtomicU64,
    /// Connections refused for `maxclients`.
    pub rejected: AtomicU64,
    /// Commands run.
    pub commands: AtomicU64,
    /// Commands that failed.
    pub errors: AtomicU64,
    /// Bytes read from clients.
    pub input_bytes: AtomicU64,
    /// Bytes written to clients.
    pub output_bytes: AtomicU64,
    /// Keys removed because they were due.
    pub expired: AtomicU64,
    /// Keys evicted.
    pub evicted: AtomicU64,
    /// Clients cut because all together took more than `maxmemory-clients`.
    pub evicted_clients: AtomicU64,
    /// Microseconds spent on freeing due keys.
    pub sweep_us: AtomicU64,
    /// Rounds of that which ran out of time.
    pub sweeps_cut: AtomicU64,
    /// Milliseconds for which more than `maxmemory` was in use.
    pub full_ms: AtomicU64,
    /// Reads that found their key.
    pub hits: AtomicU64,
    /// Reads that did not.
    pub misses: AtomicU64,
    /// Connections that ended by a panic of ours.
    pub panics: AtomicU64,
    /// Connections cut because they did not take their replies.
    pub output_cut: AtomicU64,
    /// Failed attempts to authenticate.
    pub auth_failures: AtomicU64,
    /// REST requests.
    pub rest_requests: AtomicU64,
    /// Rate-limit decisions that admitted.
    pub limits_allowed: AtomicU64,
    /// Rate-limit decisions that refused.
    pub limits_refused: AtomicU64,
}

impl Stats {
    /// Starts to count anew.
    pub fn reset(&self) {
        let Stats {
            connections,
            rejected,
            commands,
            errors,
            input_bytes,
            output_bytes,
            expired,
            evicted,
            evicted_clients,
            sweep_us,
            sweeps_cut,
            full_ms,
            hits,
            misses,
            panics,
            output_cut,
            auth_failures,
            rest_requests,
            limits_allowed,
            limits_refused,
        } = self;
        let all = [
            connections,
            rejected,
            commands,
            errors,
            input_bytes,
            output_bytes,
            expired,
            evicted,
            evicted_clients,
            sweep_us,
            sweeps_cut,
            full_ms,
            hits,
            misses,
            panics,
            output_cut,
            auth_failures,
            rest_requests,
            limits_allowed,
            limits_refused,
        ];
        all.into_iter().for_each(|counter| counter.store(0, Ordering::Relaxed));
    }

    /// Adds what a session has gathered, and empties it.
    pub fn add(&self, tally: &mut Tally) {
        let Tally { commands, errors, expired, hits, misses, allowed, refused } =
            std::mem::take(tally);
        add(&self.commands, commands);
        add(&self.errors, errors);
        add(&self.expired, expired);
        add(&self.hits, hits);
        add(&self.misses, misses);
        add(&self.limits_allowed, allowed);
        add(&self.limits_refused, refused);
    }
}

/// Adds to a counter; nothing costs nothing.
pub fn add(counter: &AtomicU64, amount: u64) {
    if amount > 0 {
        counter.fetch_add(amount, Ordering::Relaxed);
    }
}

/// Reads a counter.
pub fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
