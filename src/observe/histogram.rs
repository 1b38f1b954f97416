//! How long commands have taken, in buckets that grow with the time.
//!
//! Each power of two is cut into 32 buckets, so a time is known to three hundredths. One thread
//! counts into a histogram, so that counting is two plain moves; any other may read it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bits of a power of two's buckets.
const BITS: u32 = 5;
/// Times below this have a bucket of their own each.
const FINE: u64 = 1 << (BITS + 1);
/// Longer times count as this: one second, as in Redis.
const MOST_NS: u64 = 1_000_000_000;
/// Buckets: those of times below `FINE`, and 32 for each power of two from there to `MOST_NS`.
const BUCKETS: usize = bucket(MOST_NS) + 1;

/// The bucket of a time.
#[inline]
const fn bucket(ns: u64) -> usize {
    let shift = 63 - BITS - (ns | (FINE - 1)).leading_zeros();
    ((shift as u64) << BITS) as usize + (ns >> shift) as usize
}

/// The longest time of a bucket.
const fn longest(bucket: usize) -> u64 {
    let at = bucket as u64;
    if at < FINE {
        return at;
    }
    let shift = (at >> BITS) - 1;
    let start = at - (shift << BITS);
    ((start + 1) << shift) - 1
}

/// A histogram that one thread counts into.
#[derive(Debug)]
pub struct Histogram([AtomicU64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Histogram([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl Histogram {
    /// Counts a time. Only one thread may: others' counts would be lost, though nothing else.
    #[inline]
    pub fn count(&self, ns: u64) {
        let count = &self.0[bucket(ns.min(MOST_NS))];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

/// The sum of several histograms, less what they held before. Without a bucket it is empty.
#[derive(Clone, Debug, Default)]
pub struct Distribution(Vec<u64>);

impl Distribution {
    /// Adds what a histogram holds.
    pub fn add(&mut self, histogram: &Histogram) {
        self.0.resize(BUCKETS, 0);
        for (sum, count) in self.0.iter_mut().zip(&histogram.0) {
            *sum += count.load(Ordering::Relaxed);
        }
    }

    /// Takes away what there was before.
    pub fn subtract(&mut self, before: &Distribution) {
        for (sum, count) in self.0.iter_mut().zip(&before.0) {
            *sum = sum.saturating_sub(*count);
        }
    }

    /// How many times there are.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The nanoseconds that `percent` in a hundred do not exceed.
    pub fn percentile(&self, percent: f64) -> u64 {
        let total = self.total();
        // As HdrHistogram does: rounded to the nearest count, and at least one.
        let wanted = ((percent.min(100.0) / 100.0 * total as f64 + 0.5) as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.0.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return longest(bucket);
            }
        }
        0
    }

    /// Microseconds, about doubling from line to line, and how many did not take longer; lines
    /// that say nothing new are left out. The microseconds are those that Redis shows.
    pub fn cumulated(&self) -> Vec<(u64, u64)> {
        let total = self.total();
        let (mut seen, mut next) = (0, 0);
        let mut lines = Vec::new();
        for level in 0.. {
            if seen == total {
                break;
            }
            let from = 1024u64 << level;
            let end = bucket(from.min(MOST_NS));
            let before = seen;
            seen += self.0[next..=end].iter().sum::<u64>();
            next = end + 1;
            if seen > before {
                // HdrHistogram's two digits: the end of one of 128 parts of this power of two.
                lines.push(((from | ((8 << level) - 1)) / 1000, seen));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other() {
        let mut last = 0;
        for ns in (0..100_000).chain((100_000..MOST_NS).step_by(99_991)) {
            let at = bucket(ns);
            assert!(at == last || at == last + 1 || ns > 100_000, "{ns}");
            assert!(longest(at) >= ns && longest(at) - ns <= ns / 32, "{ns}");
            assert_eq!(bucket(longest(at)), at, "{ns}");
            last = at;
        }
        assert_eq!(bucket(MOST_NS), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_those_of_a_sorted_list() {
        let histogram = Histogram::default();
        (1..=1000).for_each(|us| histogram.count(us * 1000));
        histogram.count(u64::MAX);
        let mut sum = Distribution::default();
        sum.add(&histogram);
        assert_eq!(sum.total(), 1001);
        for (percent, us) in [(0.0, 1), (50.0, 501), (99.0, 991), (99.9, 1000)] {
            let found = sum.percentile(percent) / 1000;
            assert!(found >= us && found <= us + us / 30, "{percent}: {found}");
        }
        assert!(sum.percentile(100.0) >= MOST_NS);
        let before = sum.clone();
        sum.subtract(&before);
        assert_eq!((sum.total(), sum.percentile(50.0), sum.cumulated()), (0, 0, Vec::new()));
    }

    /// What redis-server shows for one command of each of these microseconds.
    #[test]
    fn lines_double() {
        let histogram = Histogram::default();
        for us in [1, 2, 3, 7, 12, 30, 50, 100, 200] {
            histogram.count(us * 1000);
        }
        let mut sum = Distribution::default();
        sum.add(&histogram);
        let lines = [(1, 1), (2, 2), (4, 3), (8, 4), (16, 5), (33, 6), (66, 7), (132, 8), (264, 9)];
        assert_eq!(sum.cumulated(), lines);
    }
}
