//! `sliding`: never more than the limit in any window, in bounded memory.
//!
//! Time is cut into epoch-aligned spans of `ceil(window / 60)` ms. What is
//! admitted within one span is one bucket: the tick of its newest admission and
//! how much it holds. A bucket counts in full until its newest tick has left
//! the window, so the count is never too low; and as no admission in it is more
//! than a span older than the newest, it is too high only by what was admitted
//! in the span before the window. A refusal is therefore always justified by
//! the exact log of a window that is one span (a sixtieth) longer. Windows of
//! up to 60 ms are exact.
//!
//! A window of consecutive ticks touches at most 61 spans and empty ones are
//! not stored. One hit under `100/60s` takes 11 bytes. The bound is
//! `7 + c + 61 * (t + c)` bytes, with `c` the width of the limit (1, 2, 4 or 8)
//! and `t` that of the window in milliseconds (2, 4 or 6): 191 bytes under
//! `100/60s`, 499 under `1000000/1h`, 869 at the very most.
//!
//! Layout: tag (4 * tick code + count code), newest tick (6 bytes), total, then
//! the buckets from the oldest: the low bytes of its tick, its count. All
//! stored ticks lie within one window of the newest, so their low bytes are
//! enough, and a bucket never has to be rewritten because time went on.
//!
//! Left out on purpose: interpolating the oldest bucket, as others do. It would
//! make the count a guess, and the guess can be too low.

use crate::decision::{Change, Decision, Outcome};
use crate::rule::{Algorithm, MAX_AMOUNT, Rule};
use crate::state::{self, StateError, TICK_BYTES};

/// Spans in a window.
const SPANS: u64 = 60;

/// Buckets in a state: the spans that one window can touch.
const MAX_BUCKETS: usize = SPANS as usize + 1;

const TICK_WIDTHS: [usize; 3] = [2, 4, TICK_BYTES];
const COUNT_WIDTHS: [usize; 4] = [1, 2, 4, 8];

/// The widths of a bucket's two fields, as codes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Layout {
    tick_code: u8,
    count_code: u8,
}

impl Layout {
    /// Wide enough for every tick within a window and every count within a limit.
    #[inline]
    fn of(rule: &Rule) -> Self {
        Self::up_to(rule, rule.limit())
    }

    /// Wide enough for a total of `most`.
    #[inline]
    fn up_to(rule: &Rule, most: u64) -> Self {
        let tick_code = match rule.window_ms() {
            0..=0x1_0000 => 0,
            0x1_0001..=0x1_0000_0000 => 1,
            _ => 2,
        };
        Self { tick_code, count_code: state::count_code(most) }
    }

    fn from_tag(tag: u8) -> Result<Self, StateError> {
        let (tick_code, count_code) = (tag >> 2 & 3, tag & 3);
        if usize::from(tick_code) >= TICK_WIDTHS.len() {
            return Err(StateError::UnknownFormat(tag));
        }
        Ok(Self { tick_code, count_code })
    }

    fn tag(self) -> u8 {
        state::tag(Algorithm::Sliding, self.tick_code << 2 | self.count_code)
    }

    /// As wide as the wider one, field by field.
    #[inline]
    fn widest(self, other: Self) -> Self {
        Self {
            tick_code: self.tick_code.max(other.tick_code),
            count_code: self.count_code.max(other.count_code),
        }
    }

    #[inline]
    fn tick_bytes(self) -> usize {
        TICK_WIDTHS[usize::from(self.tick_code)]
    }

    #[inline]
    fn count_bytes(self) -> usize {
        COUNT_WIDTHS[usize::from(self.count_code)]
    }

    #[inline]
    fn bucket_bytes(self) -> usize {
        self.tick_bytes() + self.count_bytes()
    }
}

/// What was admitted in one span.
#[derive(Clone, Copy)]
struct Bucket {
    /// Milliseconds from its newest admission to the newest of all.
    age: u64,
    count: u64,
}

/// A decoded state, or the part of it that is still in the window.
#[derive(Clone, Copy)]
struct Log<'a> {
    layout: Layout,
    /// Tick of the newest admission.
    newest: u64,
    /// Sum of the buckets' counts.
    total: u64,
    /// Oldest first, each `layout.bucket_bytes()` long.
    buckets: &'a [u8],
}

impl<'a> Log<'a> {
    fn empty(rule: &Rule) -> Self {
        Self { layout: Layout::of(rule), newest: 0, total: 0, buckets: &[] }
    }

    /// Reads the head of a state that is not empty; buckets are read when needed.
    #[inline]
    fn decode(bytes: &'a [u8]) -> Result<Self, StateError> {
        let (&tag, rest) = bytes.split_first().ok_or(StateError::Length)?;
        let layout = Layout::from_tag(tag)?;
        let (newest, rest) = state::split(rest, TICK_BYTES)?;
        let (total, buckets) = state::split(rest, layout.count_bytes())?;
        Ok(Self { layout, newest, total, buckets })
    }

    /// Reads a bucket's bytes. The age is modulo the tick's width, which no
    /// stored tick exceeds.
    #[inline]
    fn bucket(&self, bytes: &[u8]) -> Bucket {
        let width = self.layout.tick_bytes();
        let (tick, count) = bytes.split_at(width.min(bytes.len()));
        let mask = u64::MAX >> (64 - 8 * width);
        Bucket {
            age: self.newest.wrapping_sub(state::load(tick)) & mask,
            count: state::load(count),
        }
    }

    /// Reads a bucket's count alone.
    #[inline]
    fn count(&self, bytes: &[u8]) -> u64 {
        bytes.get(self.layout.tick_bytes()..).map_or(0, state::load)
    }

    #[inline]
    fn buckets(&self) -> impl Iterator<Item = Bucket> {
        self.buckets.chunks_exact(self.layout.bucket_bytes()).map(|bytes| self.bucket(bytes))
    }

    /// Drops the oldest bucket.
    #[inline]
    fn pop(&mut self, bucket: Bucket) {
        self.total = self.total.saturating_sub(bucket.count);
        self.buckets = self.buckets.get(self.layout.bucket_bytes()..).unwrap_or_default();
    }

    /// The oldest bucket, if there is one.
    #[inline]
    fn oldest(&self) -> Option<Bucket> {
        self.buckets.get(..self.layout.bucket_bytes()).map(|bytes| self.bucket(bytes))
    }
}

/// What a rule sees of a log at one time.
struct Quota<'a> {
    rule: &'a Rule,
    log: Log<'a>,
    /// The caller's time.
    now: u64,
    /// The time that counts: never before the newest admission.
    at: u64,
}

impl<'a> Quota<'a> {
    fn new(state: &'a [u8], rule: &'a Rule, now: u64) -> Result<Self, StateError> {
        if state.is_empty() {
            return Ok(Self { rule, log: Log::empty(rule), now, at: now });
        }
        let mut log = Log::decode(state)?;
        let at = now.max(log.newest);
        // In the window is what is younger than this, seen from the newest tick.
        let horizon = rule.window_ms().saturating_sub(at - log.newest);
        if horizon == 0 {
            return Ok(Self { rule, log: Log::empty(rule), now, at });
        }
        while let Some(bucket) = log.oldest().filter(|bucket| bucket.age >= horizon) {
            log.pop(bucket);
        }
        Ok(Self { rule, log, now, at })
    }

    fn remaining(&self) -> u64 {
        self.rule.limit().saturating_sub(self.log.total)
    }

    /// The time at which the newest admission leaves the window.
    fn end(&self) -> u64 {
        self.log.newest + self.rule.window_ms()
    }

    fn reset_after(&self) -> u64 {
        if self.log.total == 0 { 0 } else { self.end() - self.now }
    }

    fn fits(&self, cost: u64) -> bool {
        cost == 0 || cost <= self.remaining()
    }

    fn decide(&self, cost: u64) -> Decision {
        if self.fits(cost) {
            Decision::allowed(self.rule, self.remaining(), self.reset_after())
        } else {
            let retry_after = self.retry_after(cost);
            Decision::refused(self.rule, self.remaining(), retry_after, self.reset_after())
        }
    }

    /// When enough of the oldest buckets will have left the window.
    fn retry_after(&self, cost: u64) -> Option<u64> {
        let keep = self.rule.limit().checked_sub(cost)?;
        let mut total = self.log.total;
        for bytes in self.log.buckets.chunks_exact(self.log.layout.bucket_bytes()) {
            total = total.saturating_sub(self.log.count(bytes));
            if total <= keep {
                let age = self.log.bucket(bytes).age;
                return Some((self.end() - self.now).saturating_sub(age));
            }
        }
        Some(self.reset_after())
    }

    /// First tick of the span that `tick` lies in.
    fn span_start(&self, tick: u64) -> u64 {
        tick - tick % self.rule.window_ms().div_ceil(SPANS)
    }

    /// Encodes the log with `cost` (at least 1) admitted at `at`.
    fn admit(&self, cost: u64, next: &mut Vec<u8>) {
        let Log { layout, newest, total, buckets } = self.log;
        let most = self.rule.limit().max(total + cost);
        let wide = layout.widest(Layout::up_to(self.rule, most));
        let stride = wide.bucket_bytes();
        let joins = !buckets.is_empty() && newest >= self.span_start(self.at);
        next.clear();
        encode_head(next, wide, self.at, total + cost);
        if wide == layout && (joins || buckets.len() < MAX_BUCKETS * stride) {
            next.extend_from_slice(buckets);
        } else {
            self.merge(wide, next);
        }
        let last = next.len().saturating_sub(stride);
        if joins {
            let (tick, count) = next[last..].split_at_mut(wide.tick_bytes());
            state::store(tick, self.at);
            let sum = state::load(count).saturating_add(cost);
            state::store(count, sum);
        } else {
            state::append(next, self.at, wide.tick_bytes());
            state::append(next, cost, wide.count_bytes());
        }
    }

    /// Admits `cost`, and says what that leads to.
    #[inline]
    fn charged(&self, cost: u64, next: &mut Vec<u8>) -> Outcome {
        self.admit(cost, next);
        let end = self.at + self.rule.window_ms();
        let remaining = self.remaining().saturating_sub(cost);
        Outcome {
            decision: Decision::allowed(self.rule, remaining, end - self.now),
            change: Change::Store { expires_at_ms: end },
        }
    }

    /// Encodes the buckets in other widths, those of one span as one. Needed
    /// only after the rule has changed: under one rule widths stay, and 61
    /// buckets include the current span's. A merged bucket keeps its newest
    /// tick, so it counts for longer, never for less.
    fn merge(&self, wide: Layout, next: &mut Vec<u8>) {
        let first = next.len();
        let mut previous_start = None;
        for bucket in self.log.buckets() {
            let tick = self.log.newest.saturating_sub(bucket.age);
            let start = self.span_start(tick);
            let mut count = bucket.count;
            if previous_start == Some(start) {
                let last = next.len() - wide.bucket_bytes();
                count = count.saturating_add(state::load(&next[last + wide.tick_bytes()..]));
                next.truncate(last.max(first));
            }
            state::append(next, tick, wide.tick_bytes());
            state::append(next, count, wide.count_bytes());
            previous_start = Some(start);
        }
    }
}

fn encode_head(next: &mut Vec<u8>, layout: Layout, newest: u64, total: u64) {
    next.push(layout.tag());
    state::append(next, newest, TICK_BYTES);
    state::append(next, total, layout.count_bytes());
}

pub(crate) fn take(
    state: &[u8],
    rule: &Rule,
    cost: u64,
    now: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    let quota = Quota::new(state, rule, now)?;
    if cost == 0 || !quota.fits(cost) {
        return Ok(Outcome::keep(quota.decide(cost)));
    }
    Ok(quota.charged(cost, next))
}

/// Admits `amount` whether or not it fits.
pub(crate) fn charge(
    state: &[u8],
    rule: &Rule,
    amount: u64,
    now: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    let quota = Quota::new(state, rule, now)?;
    let room = MAX_AMOUNT.saturating_sub(quota.log.total);
    if room == 0 {
        // As much as a state can say has been used already.
        return Ok(Outcome::keep(quota.decide(0)));
    }
    Ok(quota.charged(amount.min(room), next))
}

pub(crate) fn peek(state: &[u8], rule: &Rule, cost: u64, now: u64) -> Result<Decision, StateError> {
    Ok(Quota::new(state, rule, now)?.decide(cost))
}

/// Takes `amount` out of the oldest buckets. Whichever take is meant, what is
/// left for any later window is at least what was admitted in it less what was
/// given back, so the promise holds; giving to the newest would not keep it.
pub(crate) fn give(
    state: &[u8],
    rule: &Rule,
    amount: u64,
    now: u64,
    next: &mut Vec<u8>,
) -> Result<Outcome, StateError> {
    let mut quota = Quota::new(state, rule, now)?;
    if amount == 0 || quota.log.total == 0 {
        return Ok(Outcome::keep(quota.decide(0)));
    }
    let keep = quota.log.total.saturating_sub(amount);
    while let Some(bucket) = quota.log.oldest() {
        if quota.log.total.saturating_sub(bucket.count) < keep {
            break;
        }
        quota.log.pop(bucket);
    }
    let Some(oldest) = quota.log.oldest() else {
        quota.log.total = 0;
        return Ok(Outcome { decision: quota.decide(0), change: Change::Remove });
    };
    let Log { layout, newest, total, buckets } = quota.log;
    next.clear();
    encode_head(next, layout, newest, keep);
    let count = next.len() + layout.tick_bytes()..next.len() + layout.bucket_bytes();
    next.extend_from_slice(buckets);
    state::store(&mut next[count], oldest.count.saturating_sub(total - keep));
    quota.log.total = keep;
    let change = Change::Store { expires_at_ms: quota.end() };
    Ok(Outcome { decision: quota.decide(0), change })
}

/// Counts at least 1 that add up, ticks that rise to the newest, none too many.
pub(crate) fn validate(state: &[u8]) -> Result<(), StateError> {
    let log = Log::decode(state)?;
    let stride = log.layout.bucket_bytes();
    if log.buckets.is_empty() || !log.buckets.len().is_multiple_of(stride) {
        return Err(StateError::Length);
    }
    if log.buckets.len() / stride > MAX_BUCKETS {
        return Err(StateError::Inconsistent("more buckets than a window has"));
    }
    let mut sum = 0u64;
    let mut younger_than = log.newest.saturating_add(1);
    for bucket in log.buckets() {
        if bucket.count == 0 || bucket.age >= younger_than {
            return Err(StateError::Inconsistent("buckets must be in order and not empty"));
        }
        younger_than = bucket.age;
        sum = sum.checked_add(bucket.count).ok_or(StateError::Inconsistent("count too large"))?;
    }
    if younger_than != 0 {
        return Err(StateError::Inconsistent("the newest tick has no bucket"));
    }
    if sum != log.total || sum > MAX_AMOUNT {
        return Err(StateError::Inconsistent("total is not the sum of the buckets"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(log: &Log<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_head(&mut bytes, log.layout, log.newest, log.total);
        for bucket in log.buckets() {
            state::append(&mut bytes, log.newest - bucket.age, log.layout.tick_bytes());
            state::append(&mut bytes, bucket.count, log.layout.count_bytes());
        }
        bytes
    }

    proptest! {
        #[test]
        fn what_is_accepted_encodes_to_itself(
            limit in 1..=MAX_AMOUNT, window in 1..200_000u64,
            hits in prop::collection::vec((0..4_000u64, any::<u64>()), 1..90)
        ) {
            let rule = Rule::new(limit, window, Algorithm::Sliding, None).expect("in range");
            let (mut state, mut next, mut now) = (Vec::new(), Vec::new(), 1 << 40);
            for (gap, cost) in hits {
                now += gap;
                let cost = cost % limit / 8 + 1;
                let outcome = take(&state, &rule, cost, now, &mut next).expect("own state");
                if outcome.decision.allowed {
                    state.clone_from(&next);
                }
                prop_assert_eq!(validate(&state), Ok(()));
                prop_assert_eq!(&encode(&Log::decode(&state).expect("valid")), &state);
            }
        }
    }
}
