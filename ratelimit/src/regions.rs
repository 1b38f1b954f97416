//! Counts that regions share: each decides at once, by what it has admitted and what it last heard
//! of the others.
//!
//! A limit has a grow-only counter a region and window. A region adds to its own, tells the
//! others what it knows, and takes the larger of two numbers where it hears of one (the CRDT crate's
//! vector clock, which is such a set of counters). Reports may be lost, repeated and come in any
//! order.
//!
//! *Bound*: with R regions, a limit of L, and reports that are at most d old, one window admits at
//! most `L + (R - 1) * min(L, A(d))`, where A(d) is what one region admits within d. The region
//! that admits last has, by then, counted all that the others had admitted d before; what they
//! have admitted since is A(d) each, and no region goes beyond L on its own. Cut off from each
//! other, all of them together admit R * L. `tests/regions.rs` holds it in a simulated network.
//!
//! Left out on purpose: sending, clocks, and shares that are leased, which would admit no more
//! than L.

use std::collections::BTreeMap;

use crdts::{CmRDT, CvRDT, Dot, VClock};

/// A region, by a number that is its own.
pub type Region = u16;

/// Regions that a limit hears of.
pub const MAX_REGIONS: usize = 64;

/// What a region tells the others of a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who says so.
    pub from: Region,
    /// When, in its unix milliseconds.
    pub at_ms: u64,
    /// What it knows, window by window.
    pub windows: BTreeMap<u64, VClock<Region>>,
}

/// What one region knows of a limit.
#[derive(Clone, Debug)]
pub struct Regional {
    me: Region,
    limit: u64,
    window_ms: u64,
    /// By the number of the window; those that are over are dropped.
    windows: BTreeMap<u64, VClock<Region>>,
    /// What others have said last, by when they said it.
    heard: BTreeMap<Region, u64>,
}

impl Regional {
    /// Nothing admitted and nothing heard. Windows begin at multiples of `window_ms`, 1 or more.
    pub fn new(me: Region, limit: u64, window_ms: u64) -> Regional {
        let window_ms = window_ms.max(1);
        Regional { me, limit, window_ms, windows: BTreeMap::new(), heard: BTreeMap::new() }
    }

    /// Admits `cost`, if that is within the limit by what is known here.
    pub fn take(&mut self, cost: u64, now_ms: u64) -> bool {
        self.forget(now_ms);
        let used = self.used(now_ms);
        let fits = used.checked_add(cost).is_some_and(|sum| sum <= self.limit);
        if fits && cost > 0 {
            let counts = self.windows.entry(now_ms / self.window_ms).or_default();
            let own = counts.get(&self.me).saturating_add(cost);
            counts.apply(Dot::new(self.me, own));
        }
        fits
    }

    /// What all regions have admitted in the present window, as far as it is known here.
    pub fn used(&self, now_ms: u64) -> u64 {
        let counts = self.windows.get(&(now_ms / self.window_ms));
        let each = counts.into_iter().flat_map(|counts| counts.dots.values());
        each.fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// What to tell the others.
    pub fn report(&self, now_ms: u64) -> Report {
        Report { from: self.me, at_ms: now_ms, windows: self.windows.clone() }
    }

    /// Takes what another has told. Windows other than the present one and its neighbours are not
    /// kept, nor regions beyond [`MAX_REGIONS`], so no report makes this grow without bound.
    pub fn hear(&mut self, report: &Report, now_ms: u64) {
        self.forget(now_ms);
        let present = now_ms / self.window_ms;
        for (number, counts) in &report.windows {
            if number.abs_diff(present) <= 1 && counts.dots.len() <= MAX_REGIONS {
                self.merge(*number, counts);
            }
        }
        if self.heard.contains_key(&report.from) || self.heard.len() < MAX_REGIONS {
            let last = self.heard.entry(report.from).or_default();
            *last = report.at_ms.max(*last);
        }
    }

    fn merge(&mut self, window: u64, counts: &VClock<Region>) {
        let mine = self.windows.entry(window).or_default();
        let known = mine.dots.len();
        let new = counts.dots.keys().filter(|region| !mine.dots.contains_key(region)).count();
        if known + new <= MAX_REGIONS {
            mine.merge(counts.clone());
        }
    }

    /// How old the oldest of what `others` have said last is, in milliseconds; `None` if one of
    /// them has said nothing yet.
    pub fn staleness_ms(&self, others: &[Region], now_ms: u64) -> Option<u64> {
        let mut ages =
            others.iter().map(|other| Some(now_ms.saturating_sub(*self.heard.get(other)?)));
        ages.try_fold(0, |oldest, age| Some(oldest.max(age?)))
    }

    /// Drops the windows that are over, but for the last one: reports of it may still be under way.
    fn forget(&mut self, now_ms: u64) {
        let present = now_ms / self.window_ms;
        while self.windows.first_key_value().is_some_and(|(number, _)| *number + 1 < present) {
            self.windows.pop_first();
        }
    }
}

/// The most that `regions` admit in one window of `limit`, where one of them admits `within` in
/// the time that reports are late.
pub fn bound(limit: u64, regions: u64, within: u64) -> u64 {
    let beyond = regions.saturating_sub(1).saturating_mul(within.min(limit));
    limit.saturating_add(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_counts_once_however_often_it_is_told() {
        let (mut one, mut other) = (Regional::new(1, 10, 1000), Regional::new(2, 10, 1000));
        assert!(one.take(6, 0) && other.take(3, 0));
        let report = other.report(5);
        for _ in 0..3 {
            one.hear(&report, 10);
        }
        assert_eq!((one.used(10), other.used(10)), (9, 3));
        assert!(!one.take(2, 10) && one.take(1, 10) && one.take(0, 10));
        // An older report takes nothing back.
        other.take(1, 11);
        one.hear(&other.report(12), 13);
        one.hear(&report, 14);
        assert_eq!(one.used(14), 11);
        assert_eq!(one.staleness_ms(&[2], 20), Some(8));
        assert_eq!(one.staleness_ms(&[2, 3], 20), None);
    }

    #[test]
    fn what_a_third_has_heard_is_passed_on() {
        let mut regions = [1, 2, 3].map(|me| Regional::new(me, 10, 1000));
        regions[0].take(4, 0);
        let report = regions[0].report(0);
        regions[1].hear(&report, 1);
        let report = regions[1].report(1);
        regions[2].hear(&report, 2);
        assert_eq!(regions[2].used(2), 4);
    }

    #[test]
    fn a_window_that_is_over_is_forgotten() {
        let mut one = Regional::new(1, 1, 1000);
        assert!(one.take(1, 999) && !one.take(1, 999) && one.take(1, 1000));
        assert!(one.take(1, 2000));
        assert_eq!(one.report(2000).windows.len(), 2);
        assert!(one.take(1, 1_000_000));
        assert_eq!(one.report(1_000_000).windows.len(), 1);
    }

    #[test]
    fn strange_reports_do_not_grow_it_or_overflow() {
        let mut one = Regional::new(1, u64::MAX, 1);
        assert!(one.take(u64::MAX, 5) && !one.take(1, 5));
        let mut counts = VClock::<Region>::new();
        for region in 0..1000 {
            counts.apply(Dot::new(region, u64::MAX));
        }
        let windows =
            BTreeMap::from([(5, counts.clone()), (0, counts.clone()), (u64::MAX, counts)]);
        for from in 0..1000 {
            one.hear(&Report { from, at_ms: u64::MAX, windows: windows.clone() }, 5);
        }
        let mut many = VClock::<Region>::new();
        for region in 0..60 {
            many.apply(Dot::new(region, u64::MAX));
        }
        one.hear(&Report { from: 1, at_ms: 0, windows: BTreeMap::from([(5, many)]) }, 5);
        assert_eq!((one.used(5), one.windows.len(), one.heard.len()), (u64::MAX, 1, MAX_REGIONS));
        assert_eq!(one.staleness_ms(&[2], 5), Some(0));
        assert_eq!(bound(u64::MAX, 5, u64::MAX), u64::MAX);
    }
}
