//! Regions that share a limit, in a simulated network: what they admit beyond it, and that it is
//! never beyond what is promised.
//!
//! `cargo test -p eave-ratelimit --test regions -- --nocapture` prints the table of
//! docs/ratelimit.md. Every run has a seed of its own; `EAVE_SEED=n` repeats one.

use std::collections::BTreeMap;

use eave_ratelimit::Rule;
use eave_ratelimit::regions::{Counts, Node, Span, bound};

const LIMIT: u64 = 1000;
const WINDOW_MS: u64 = 10_000;
/// Both algorithms whose counts add up.
const RULES: [&str; 2] = ["1000/10s:fixed", "1000/10s"];
const WINDOWS: u64 = 6;
/// A region tells the others at least so often.
const EVERY_MS: u64 = 100;
/// And sooner, once it has admitted so much since.
const SOONER: u64 = LIMIT / 20;

/// Random numbers, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// What one tells another.
#[derive(Clone)]
struct Report {
    from: usize,
    at_ms: u64,
    counts: Counts,
}

/// What is asked, and by what network.
#[derive(Clone, Copy)]
struct World {
    name: &'static str,
    regions: u16,
    /// Requests of all regions together for each that the limit admits, in percent.
    traffic: u64,
    /// How many times as many requests the first region has as the last.
    skew: u64,
    /// Of a hundred reports, how many are lost.
    loss: u64,
    /// For how much of the time, in percent, one region is cut off.
    cut: u64,
    /// Whether requests come at once as a window begins.
    burst: bool,
}

/// What came of it.
struct Told {
    /// The most that one window has admitted.
    most: u64,
    /// The oldest that something was by which a request was admitted.
    staleness_ms: u64,
    /// The most that one region has admitted within that time.
    within: u64,
}

fn run(world: World, token: &str, seed: u64) -> Told {
    let mut dice = Dice(seed);
    let rule = Rule::parse(token.as_bytes()).expect("a rule");
    let span = Span::of(&rule).expect("that can be shared");
    let mut regions = vec![Counts::default(); world.regions.into()];
    // When each has said what each of the others has heard last; who has heard nothing yet has
    // been waiting since the start.
    let mut heard = vec![vec![0u64; regions.len()]; regions.len()];
    let weights: Vec<u64> = (0..u64::from(world.regions))
        .map(|at| {
            1 + (world.skew - 1) * (u64::from(world.regions) - 1 - at)
                / (u64::from(world.regions) - 1)
        })
        .collect();
    let weight: u64 = weights.iter().sum();
    let mut under_way: BTreeMap<u64, Vec<(usize, Report)>> = BTreeMap::new();
    let mut admitted: Vec<Vec<u64>> = vec![Vec::new(); regions.len()];
    let mut unsaid = vec![0u64; regions.len()];
    let mut said_at = vec![0u64; regions.len()];
    let mut staleness_ms = 0;
    let mut cut_off: Option<usize> = None;
    for now in 0..WINDOW_MS * WINDOWS {
        if now % 2000 == 0 {
            let cut = dice.below(100) < world.cut;
            cut_off = cut.then(|| dice.below(regions.len() as u64) as usize);
        }
        for (to, report) in under_way.remove(&now).unwrap_or_default() {
            for count in report.counts.all() {
                regions[to].hear(to as Node, span, count, now);
            }
            heard[to][report.from] = heard[to][report.from].max(report.at_ms);
        }
        for at in 0..regions.len() {
            for _ in 0..requests(&world, &mut dice, now, weights[at], weight) {
                if !regions[at].take(at as Node, (&rule, span), 1, now).allowed {
                    continue;
                }
                admitted[at].push(now);
                unsaid[at] += 1;
                let others = (0..heard.len()).filter(|other| *other != at);
                let oldest = others.map(|other| heard[at][other]).min().unwrap_or(0);
                staleness_ms = staleness_ms.max(now - oldest);
            }
            if now - said_at[at] < EVERY_MS && unsaid[at] < SOONER {
                continue;
            }
            (said_at[at], unsaid[at]) = (now, 0);
            for to in (0..regions.len()).filter(|to| *to != at) {
                let severed = cut_off.is_some_and(|cut| cut == at || cut == to);
                if severed || dice.below(100) < world.loss {
                    continue;
                }
                let arrives = now + 20 + dice.below(181);
                let report = Report { from: at, at_ms: now, counts: regions[at].clone() };
                under_way.entry(arrives).or_default().push((to, report));
            }
        }
    }
    let mut all: Vec<u64> = admitted.iter().flatten().copied().collect();
    all.sort_unstable();
    let most = if span.parts().1 == 1 {
        all.chunk_by(|a, b| a / WINDOW_MS == b / WINDOW_MS).map(|one| one.len() as u64).max()
    } else {
        // Any window at all.
        Some(within_any(&all, WINDOW_MS - 1))
    };
    let within = admitted.iter().map(|times| within_any(times, staleness_ms)).max().unwrap_or(0);
    Told { most: most.unwrap_or(0), staleness_ms, within }
}

/// Requests of one region in one millisecond.
fn requests(world: &World, dice: &mut Dice, now: u64, share: u64, all: u64) -> u64 {
    // In thousandths of a request.
    let steady = LIMIT * world.traffic * 10 * share / (all * WINDOW_MS);
    let rate = match (world.burst, now % WINDOW_MS < 50) {
        (true, true) => steady * WINDOW_MS / 50,
        (true, false) => 0,
        (false, _) => steady,
    };
    rate / 1000 + u64::from(dice.below(1000) < rate % 1000)
}

/// The most that fall into any span of `span` milliseconds, both ends in it.
fn within_any(times: &[u64], span: u64) -> u64 {
    let mut first = 0;
    let mut most = 0;
    for (at, time) in times.iter().enumerate() {
        while times[first] + span < *time {
            first += 1;
        }
        most = most.max(at - first + 1);
    }
    most as u64
}

const CALM: World = World {
    name: "steady, 1.5 of the limit",
    regions: 3,
    traffic: 150,
    skew: 1,
    loss: 0,
    cut: 0,
    burst: false,
};

fn worlds() -> Vec<World> {
    let three = [
        CALM,
        World { name: "5 of the limit", traffic: 500, ..CALM },
        World { name: "5 of the limit, skewed 10 to 1", traffic: 500, skew: 10, ..CALM },
        World { name: "the same, 30 % of reports lost", traffic: 500, skew: 10, loss: 30, ..CALM },
        World {
            name: "the same, a region cut off half the time",
            traffic: 500,
            skew: 10,
            loss: 30,
            cut: 50,
            ..CALM
        },
        World { name: "all at once, 5 of the limit in 50 ms", traffic: 500, burst: true, ..CALM },
        World { name: "never a report", traffic: 900, loss: 100, ..CALM },
    ];
    let five = three.iter().map(|world| World { regions: 5, ..*world });
    three.iter().copied().chain(five).collect()
}

fn seeds() -> Vec<u64> {
    match std::env::var("EAVE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (1..=2).collect(),
    }
}

#[test]
fn regions_never_admit_more_than_is_promised() {
    println!("| regions | rule | traffic | reports late by, ms | most admitted | promised |");
    println!("|---|---|---|---|---|---|");
    let cases = worlds().into_iter().flat_map(|world| RULES.map(|token| (world, token)));
    for (world, token) in cases {
        let (mut shown, mut most) = (None, 0);
        for seed in seeds() {
            let told = run(world, token, seed);
            let bound = bound(LIMIT, world.regions.into(), told.within);
            assert!(
                told.most <= bound,
                "{} in a window, {bound} promised: {} regions, {token}, {}, EAVE_SEED={seed}",
                told.most,
                world.regions,
                world.name
            );
            if told.most >= most {
                most = told.most;
                shown = Some((told.staleness_ms, bound));
            }
        }
        let (staleness_ms, bound) = shown.expect("there is a seed");
        let algorithm = if token.ends_with("fixed") { "fixed" } else { "sliding" };
        let World { regions, name, .. } = world;
        println!("| {regions} | {algorithm} | {name} | {staleness_ms} | {most} | {bound} |");
        assert!(most >= LIMIT, "{}: too little was admitted", world.name);
        assert!(most <= LIMIT * u64::from(world.regions));
    }
}

#[test]
fn cut_off_from_each_other_each_has_the_limit_to_itself() {
    for token in RULES {
        let told = run(World { traffic: 900, loss: 100, ..CALM }, token, 1);
        assert_eq!(told.most, 3 * LIMIT);
        assert_eq!(bound(LIMIT, 3, told.within), 3 * LIMIT);
    }
}
