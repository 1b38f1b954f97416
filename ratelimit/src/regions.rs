//! Counts that regions share: each decides at once, by what it has admitted and what it last heard
//! of the others.
//!
//! A limit has two grow-only counters a node and bucket of time: what that node has taken, and
//! what was given back of it (the CRDT crate's vector clock, which is such a set of counters). A
//! node adds to its own, tells the others what it knows, and takes the larger of two numbers where
//! it hears of one. Reports may be lost, repeated and come in any order. Two that give the same
//! back at once have given it back once, so nothing is ever handed out that was not taken.
//!
//! Who counts is a node and not a place: two nodes of one region would otherwise write the same
//! counter, and the smaller of the two would be lost. Its number is new with every start, since
//! after one it does not know what it has told before.
//!
//! A window is cut into buckets that begin at multiples of their length: `fixed` has one, the
//! window itself; `sliding` has ten and counts the oldest in full, so it may wait a tenth of
//! a window too long and never lets a window have more than the limit. The others keep what does
//! not add up: `gcra` a moment, `log` each admission, `conc` holds.
//!
//! *Bound*: with R nodes, a limit of L, and reports that are at most d old, one window admits at
//! most `L + (R - 1) * min(L, A(d))`, where A(d) is what one node admits within d. The one
//! that admits last has, by then, counted all that the others had admitted d before; what they
//! have admitted since is A(d) each, and no node goes beyond L on its own. Cut off from each
//! other, all of them together admit R * L. `tests/regions.rs` holds it in a simulated network.
//! Clocks are taken to agree: what one is ahead by counts as if reports were as late.
//!
//! Left out on purpose: sending, clocks, and shares that are leased, which would admit no more
//! than L.

use crdts::{CmRDT, Dot, VClock};

use crate::decision::Decision;
use crate::rule::{Algorithm, MAX_WINDOW_MS, Rule};

/// One that decides, by a number that is its own for as long as it runs.
pub type Node = u64;

/// Nodes that one bucket has counters of.
pub const MAX_NODES: usize = 64;

/// Buckets that a window of `sliding` is cut into.
const PARTS: u64 = 10;

/// How a window is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    bucket_ms: u64,
    /// Buckets that count at one time, the present one among them.
    buckets: u64,
}

impl Span {
    /// How the window of a rule is cut; `None` where there is nothing to share counts by.
    pub fn of(rule: &Rule) -> Option<Span> {
        let window_ms = rule.window_ms();
        match rule.algorithm() {
            // Months are not of one length.
            _ if rule.is_calendar() => None,
            Algorithm::Fixed => Some(Span { bucket_ms: window_ms, buckets: 1 }),
            Algorithm::Sliding => {
                let bucket_ms = window_ms.div_ceil(PARTS).max(1);
                Some(Span { bucket_ms, buckets: window_ms.div_ceil(bucket_ms) + 1 })
            }
            _ => None,
        }
    }

    /// A span from its parts, as another node says them; `None` if there is no such one.
    pub fn new(bucket_ms: u64, buckets: u64) -> Option<Span> {
        let fits = (1..=MAX_WINDOW_MS).contains(&bucket_ms) && (1..=PARTS + 1).contains(&buckets);
        fits.then_some(Span { bucket_ms, buckets })
    }

    /// Milliseconds of one bucket, and how many count.
    pub fn parts(&self) -> (u64, u64) {
        (self.bucket_ms, self.buckets)
    }

    fn bucket(&self, now_ms: u64) -> u64 {
        now_ms / self.bucket_ms
    }

    /// The first bucket that counts in that of the present.
    fn first(&self, present: u64) -> u64 {
        present.saturating_sub(self.buckets - 1)
    }

    /// When a bucket does not count any longer.
    fn end(&self, number: u64) -> u64 {
        number.saturating_add(self.buckets).saturating_mul(self.bucket_ms)
    }
}

/// What is known of one bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Bucket {
    taken: VClock<Node>,
    /// At most what was taken, node by node.
    returned: VClock<Node>,
}

impl Bucket {
    fn used_by(&self, node: Node) -> u64 {
        self.taken.get(&node).saturating_sub(self.returned.get(&node))
    }

    fn used(&self) -> u64 {
        let each = self.taken.dots.keys().map(|node| self.used_by(*node));
        each.fold(0, u64::saturating_add)
    }

    /// Gives back up to `amount` of what a node has taken; answers how much that was.
    fn give(&mut self, node: Node, amount: u64) -> u64 {
        let given = self.used_by(node).min(amount);
        if given > 0 {
            let returned = self.returned.get(&node).saturating_add(given);
            self.returned.apply(Dot::new(node, returned));
        }
        given
    }

    /// Takes the larger of two numbers; answers whether that changed one.
    fn raise(clock: &mut VClock<Node>, node: Node, count: u64) -> bool {
        let known = clock.dots.contains_key(&node);
        let higher = count > clock.get(&node) && (known || clock.dots.len() < MAX_NODES);
        if higher {
            clock.apply(Dot::new(node, count));
        }
        higher
    }
}

/// One number that a node tells of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Which bucket: its beginning by its length.
    pub bucket: u64,
    /// Whose it is.
    pub node: Node,
    /// What that node has taken.
    pub taken: u64,
    /// What was given back of it.
    pub returned: u64,
}

/// What is known of one limit, bucket by bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By their numbers, in order: mostly there are one to some ten.
    buckets: Vec<(u64, Bucket)>,
    /// The last bucket that was decided in: time does not go back behind it.
    latest: u64,
}

impl Counts {
    /// Takes `cost` as `me`, if that is within the limit by what is known.
    pub fn take(
        &mut self,
        me: Node,
        (rule, span): (&Rule, Span),
        cost: u64,
        now_ms: u64,
    ) -> Decision {
        self.forget(span, now_ms);
        let decision = self.peek((rule, span), cost, now_ms);
        if !decision.allowed || cost == 0 {
            return decision;
        }
        self.latest = self.present(span, now_ms);
        let bucket = self.bucket_mut(self.latest);
        let own = bucket.taken.get(&me).saturating_add(cost);
        // The own counter has a place whoever else was heard of.
        bucket.taken.apply(Dot::new(me, own));
        self.peek((rule, span), 0, now_ms)
    }

    /// What a take would answer.
    pub fn peek(&self, (rule, span): (&Rule, Span), cost: u64, now_ms: u64) -> Decision {
        let used = self.used(span, now_ms);
        let remaining = rule.limit().saturating_sub(used);
        let reset_after = self.reset_after(span, now_ms);
        if cost == 0 || cost <= remaining {
            return Decision::allowed(rule, remaining, reset_after);
        }
        let retry_after = (cost <= rule.limit()).then(|| {
            let mut left = used;
            let mut ends = self.counting(span, now_ms).map(|(number, bucket)| {
                left = left.saturating_sub(bucket.used());
                (left, span.end(number).saturating_sub(now_ms))
            });
            let room = rule.limit() - cost;
            ends.find(|(left, _)| *left <= room).map_or(reset_after, |(_, after)| after)
        });
        Decision::refused(rule, remaining, retry_after, reset_after)
    }

    /// Gives back up to `amount`: what `me` has taken first, the latest first.
    pub fn give(
        &mut self,
        me: Node,
        (rule, span): (&Rule, Span),
        amount: u64,
        now_ms: u64,
    ) -> Decision {
        self.forget(span, now_ms);
        let mut left = amount;
        for (_, bucket) in self.buckets.iter_mut().rev() {
            left -= bucket.give(me, left);
        }
        for (_, bucket) in self.buckets.iter_mut().rev() {
            let others: Vec<Node> = bucket.taken.dots.keys().copied().collect();
            for node in others {
                left -= bucket.give(node, left);
            }
        }
        self.peek((rule, span), 0, now_ms)
    }

    /// Gives all back that is known to have been taken; answers whether there was something.
    pub fn reset(&mut self) -> bool {
        let mut given = 0u64;
        for (_, bucket) in &mut self.buckets {
            let nodes: Vec<Node> = bucket.taken.dots.keys().copied().collect();
            for node in nodes {
                given = given.saturating_add(bucket.give(node, u64::MAX));
            }
        }
        given > 0
    }

    /// What all have admitted that counts now, as far as it is known here.
    pub fn used(&self, span: Span, now_ms: u64) -> u64 {
        let counting = self.counting(span, now_ms);
        counting.fold(0, |sum, (_, bucket)| sum.saturating_add(bucket.used()))
    }

    /// All that is known.
    pub fn all(&self) -> impl Iterator<Item = Count> + '_ {
        self.buckets.iter().flat_map(|(number, bucket)| {
            bucket.taken.dots.iter().map(|(node, taken)| Count {
                bucket: *number,
                node: *node,
                taken: *taken,
                returned: bucket.returned.get(node),
            })
        })
    }

    /// Takes what another node has told, which may be anything; answers whether it was news.
    ///
    /// Buckets that are over, or further ahead than a window, are not kept, nor nodes beyond
    /// [`MAX_NODES`], so nothing that is told makes this grow without bound. What `me` has taken
    /// nobody else knows better.
    pub fn hear(&mut self, me: Node, span: Span, told: Count, now_ms: u64) -> bool {
        let present = self.present(span, now_ms);
        let first = span.first(present);
        if !(first..=present.saturating_add(span.buckets)).contains(&told.bucket) {
            return false;
        }
        let known = self.place(told.bucket).is_ok();
        if told.taken == 0 || (told.node == me && !known) {
            return false;
        }
        let bucket = self.bucket_mut(told.bucket);
        let taken = told.node != me && Bucket::raise(&mut bucket.taken, told.node, told.taken);
        let most = bucket.taken.get(&told.node);
        let returned = told.returned.min(most);
        Bucket::raise(&mut bucket.returned, told.node, returned) || taken
    }

    /// Drops the buckets that are over.
    pub fn forget(&mut self, span: Span, now_ms: u64) {
        let first = span.first(self.present(span, now_ms));
        let over = self.buckets.partition_point(|(number, _)| *number < first);
        self.buckets.drain(..over);
    }

    /// Whether nothing of it counts any longer.
    pub fn is_over(&self, span: Span, now_ms: u64) -> bool {
        let first = span.first(self.present(span, now_ms));
        self.buckets.last().is_none_or(|(number, _)| *number < first)
    }

    /// The bucket of the present: never before one that was decided in.
    fn present(&self, span: Span, now_ms: u64) -> u64 {
        span.bucket(now_ms).max(self.latest)
    }

    /// The buckets that count, and those of clocks that are ahead.
    fn counting(&self, span: Span, now_ms: u64) -> impl Iterator<Item = (u64, &Bucket)> {
        let first = span.first(self.present(span, now_ms));
        let over = self.buckets.partition_point(|(number, _)| *number < first);
        self.buckets[over..].iter().map(|(number, bucket)| (*number, bucket))
    }

    fn place(&self, number: u64) -> Result<usize, usize> {
        self.buckets.binary_search_by_key(&number, |(number, _)| *number)
    }

    fn bucket_mut(&mut self, number: u64) -> &mut Bucket {
        let at = self.place(number).unwrap_or_else(|at| {
            if self.buckets.is_empty() {
                // Most have one.
                self.buckets.reserve_exact(1);
            }
            self.buckets.insert(at, (number, Bucket::default()));
            at
        });
        &mut self.buckets[at].1
    }

    fn reset_after(&self, span: Span, now_ms: u64) -> u64 {
        let used = self.counting(span, now_ms).filter(|(_, bucket)| bucket.used() > 0);
        used.last().map_or(0, |(number, _)| span.end(number).saturating_sub(now_ms))
    }
}

/// The most that `nodes` admit in one window of `limit`, where one of them admits `within` in
/// the time that reports are late.
pub fn bound(limit: u64, nodes: u64, within: u64) -> u64 {
    let beyond = nodes.saturating_sub(1).saturating_mul(within.min(limit));
    limit.saturating_add(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(token: &str) -> (Rule, Span) {
        let rule = Rule::parse(token.as_bytes()).expect("a rule");
        (rule, Span::of(&rule).expect("that can be shared"))
    }

    fn tell(from: &Counts, to: &mut Counts, me: Node, span: Span, now_ms: u64) -> bool {
        let mut news = false;
        for count in from.all() {
            news |= to.hear(me, span, count, now_ms);
        }
        news
    }

    #[test]
    fn what_was_heard_counts_once_however_often_it_is_told() {
        let (rule, span) = shared("10/1s:fixed");
        let rule = (&rule, span);
        let (mut one, mut other) = (Counts::default(), Counts::default());
        assert!(one.take(1, rule, 6, 0).allowed && other.take(2, rule, 3, 0).allowed);
        let report = other.clone();
        assert!(tell(&report, &mut one, 1, span, 10));
        assert!(!tell(&report, &mut one, 1, span, 10));
        assert_eq!((one.used(span, 10), other.used(span, 10)), (9, 3));
        assert!(!one.take(1, rule, 2, 10).allowed && one.take(1, rule, 1, 10).allowed);
        // An older report takes nothing back.
        other.take(2, rule, 1, 11);
        tell(&other, &mut one, 1, span, 13);
        tell(&report, &mut one, 1, span, 14);
        assert_eq!(one.used(span, 14), 11);
        // What a third has heard is passed on.
        let mut third = Counts::default();
        tell(&one, &mut third, 3, span, 20);
        assert_eq!(third.used(span, 20), 11);
    }

    #[test]
    fn it_says_when_to_come_back() {
        let (rule, span) = shared("10/1s:fixed");
        let mut counts = Counts::default();
        assert_eq!(counts.take(1, (&rule, span), 10, 1_200).status(), [1, 10, 0, 0, 800]);
        assert_eq!(counts.take(1, (&rule, span), 1, 1_999).status(), [0, 10, 0, 1, 1]);
        assert_eq!(counts.take(1, (&rule, span), 11, 1_999).status(), [0, 10, 0, -1, 1]);
        assert_eq!(counts.take(1, (&rule, span), 1, 2_000).status(), [1, 10, 9, 0, 1000]);
        // Time that goes back hands nothing out twice.
        assert_eq!(counts.take(1, (&rule, span), 10, 1_000).status(), [0, 10, 9, 2000, 2000]);
        let (rule, span) = shared("10/1s");
        let mut counts = Counts::default();
        for (cost, now_ms) in [(4, 1_050), (4, 1_250), (2, 1_950)] {
            assert!(counts.take(1, (&rule, span), cost, now_ms).allowed);
        }
        let refused = counts.take(1, (&rule, span), 5, 1_960);
        assert_eq!(refused.status(), [0, 10, 0, 2_300 - 1_960, 3_000 - 1_960]);
        let peeked = counts.peek((&rule, span), 5, 2_299);
        assert_eq!(peeked.retry_after_ms, 1);
        assert!(counts.take(1, (&rule, span), 5, 2_300).allowed);
    }

    #[test]
    fn what_is_given_back_is_given_back_once() {
        let (rule, span) = shared("10/1s");
        let rule = (&rule, span);
        let (mut one, mut other) = (Counts::default(), Counts::default());
        one.take(1, rule, 4, 0);
        other.take(2, rule, 4, 0);
        tell(&one.clone(), &mut other, 2, span, 1);
        tell(&other.clone(), &mut one, 1, span, 1);
        // Each gives back what the other has taken too.
        assert_eq!(one.give(1, rule, 5, 2).remaining, 7);
        assert_eq!(other.give(2, rule, 5, 2).remaining, 7);
        tell(&one.clone(), &mut other, 2, span, 3);
        tell(&other.clone(), &mut one, 1, span, 3);
        assert_eq!((one.used(span, 3), other.used(span, 3)), (0, 0));
        assert_eq!(one.give(1, rule, u64::MAX, 3).remaining, 10);
        one.take(1, rule, 10, 4);
        assert!(one.reset() && !one.reset());
        tell(&other.clone(), &mut one, 1, span, 5);
        assert_eq!(one.used(span, 5), 0);
        assert!(tell(&one.clone(), &mut other, 2, span, 5));
        assert_eq!(other.used(span, 5), 0);
    }

    #[test]
    fn a_window_that_is_over_is_forgotten() {
        for (token, ends) in [("1/1s:fixed", 2_000), ("1/1s", 3_000)] {
            let (rule, span) = shared(token);
            let mut one = Counts::default();
            assert!(one.take(1, (&rule, span), 1, 1_999).allowed);
            assert!(!one.take(1, (&rule, span), 1, ends - 1).allowed);
            assert!(!one.is_over(span, ends - 1) && one.is_over(span, ends));
            assert!(one.take(1, (&rule, span), 1, ends).allowed);
            assert_eq!(one.buckets.len(), 1);
        }
        for token in ["5/1s:gcra", "5/1s:log", "5/conc"] {
            assert_eq!(Span::of(&Rule::parse(token.as_bytes()).expect("a rule")), None);
        }
        assert_eq!(shared("5/3ms").1.parts(), (1, 4));
        assert_eq!(shared("5/1s").1.parts(), (100, 11));
    }

    #[test]
    fn strange_reports_do_not_grow_it_or_overflow() {
        let (rule, span) = shared("100/1s");
        let rule = (&rule, span);
        let mut one = Counts::default();
        one.take(1, rule, 7, 5_000);
        for node in 0..1000 {
            for bucket in [0, 39, 40, 45, 50, 51, 61, 62, u64::MAX] {
                let told = Count { bucket, node, taken: u64::MAX, returned: u64::MAX - 1 };
                one.hear(1, span, told, 5_000);
            }
        }
        let numbers: Vec<u64> = one.buckets.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [40, 45, 50, 51, 61]);
        let most = one.buckets.iter().map(|(_, bucket)| bucket.taken.dots.len()).max();
        assert_eq!(most, Some(MAX_NODES));
        // Its own counter is its own.
        assert_eq!(one.buckets[2].1.taken.get(&1), 7);
        assert!(!one.take(1, rule, 1, 5_000).allowed);
        let told = Count { bucket: 50, node: 2, taken: u64::MAX, returned: 0 };
        let mut other = Counts::default();
        other.hear(3, span, told, 5_000);
        other.hear(3, span, Count { node: 4, ..told }, 5_000);
        assert_eq!(other.used(span, 5_000), u64::MAX);
        assert_eq!(other.peek(rule, 1, 5_000).retry_after_ms, 1_100);
        for (bucket_ms, buckets) in [(0, 1), (1, 0), (1, 12), (u64::MAX, 1)] {
            assert_eq!(Span::new(bucket_ms, buckets), None);
        }
        assert_eq!(bound(u64::MAX, 5, u64::MAX), u64::MAX);
    }
}
