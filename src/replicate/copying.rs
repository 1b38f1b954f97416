//! How far the full copy is that goes out, for INFO.

use crate::keyspace::cut::Cut;
use crate::sync::atomic::{AtomicU64, Ordering};

/// See the module's description.
#[derive(Debug, Default)]
pub struct Copying {
    /// Shards that are copied, and how many there are; equal when no copy is under way.
    step: AtomicU64,
    steps: AtomicU64,
    sent_bytes: AtomicU64,
    held_bytes: AtomicU64,
    peak_bytes: AtomicU64,
    too_slow: AtomicU64,
}

impl Copying {
    /// Notes how far a copy is.
    pub(super) fn now(&self, cut: &Cut, step: usize, sent: u64) {
        let (held, peak) = cut.held();
        self.step.store(step as u64, Ordering::Relaxed);
        self.steps.store(cut.steps() as u64, Ordering::Relaxed);
        self.sent_bytes.store(sent, Ordering::Relaxed);
        self.held_bytes.store(held, Ordering::Relaxed);
        self.peak_bytes.fetch_max(peak, Ordering::Relaxed);
    }

    /// Notes that the copy has ended, however it did.
    pub(super) fn ended(&self) {
        self.step.store(self.steps.load(Ordering::Relaxed), Ordering::Relaxed);
        self.held_bytes.store(0, Ordering::Relaxed);
    }

    /// Counts a replica that was cut off because it held up writers.
    pub(super) fn too_slow(&self) {
        self.too_slow.fetch_add(1, Ordering::Relaxed);
    }

    /// The lines of INFO replication.
    pub(super) fn lines(&self) -> [(&'static str, String); 6] {
        let [step, steps] = [&self.step, &self.steps].map(|count| count.load(Ordering::Relaxed));
        let share = if steps == 0 { 100.0 } else { step as f64 / steps as f64 * 100.0 };
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed).to_string();
        [
            ("repl_snapshot_in_progress", u8::from(step < steps).to_string()),
            ("repl_snapshot_perc", format!("{share:.2}")),
            ("repl_snapshot_sent_bytes", number(&self.sent_bytes)),
            ("repl_snapshot_held_bytes", number(&self.held_bytes)),
            ("repl_snapshot_peak_held_bytes", number(&self.peak_bytes)),
            ("repl_snapshot_too_slow_replicas", number(&self.too_slow)),
        ]
    }
}
