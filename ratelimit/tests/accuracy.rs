//! How much less than the exact log `sliding` admits. Seeded, so always the same.
//!
//! `cargo test -p eave-ratelimit --test accuracy -- --nocapture` prints the table.

mod support;

use std::collections::VecDeque;

use eave_ratelimit::Rule;
use support::{Key, Random};

const LIMIT: u64 = 100;
const WINDOW: u64 = 60_000;
const SPAN: u64 = WINDOW / 60;
const WINDOWS: u64 = 400;

/// Every admission of the last window, one by one.
#[derive(Default)]
struct ExactLog(VecDeque<u64>);

impl ExactLog {
    fn take(&mut self, now: u64) -> bool {
        while self.0.front().is_some_and(|at| at + WINDOW <= now) {
            self.0.pop_front();
        }
        let fits = (self.0.len() as u64) < LIMIT;
        if fits {
            self.0.push_back(now);
        }
        fits
    }
}

/// Ticks at which a source with `rate(t)` calls a window (times the limit) calls.
fn poisson(seed: u64, rate: impl Fn(u64) -> f64) -> Vec<u64> {
    let (mut random, mut time, mut ticks) = (Random(seed), 0.0, Vec::new());
    while time < (WINDOWS * WINDOW) as f64 {
        let here = rate(time as u64);
        time -= random.unit().ln() * WINDOW as f64 / LIMIT as f64 / here;
        ticks.push(time as u64);
    }
    ticks
}

/// The limit at once just before an edge of the minute and again just after.
fn edge_attack() -> Vec<u64> {
    (1..WINDOWS)
        .flat_map(|n| [n * WINDOW - 1, n * WINDOW, n * WINDOW + 1])
        .flat_map(|at| std::iter::repeat_n(at, LIMIT as usize))
        .collect()
}

/// A call every millisecond, for ever.
fn flood() -> Vec<u64> {
    (0..40 * WINDOW).collect()
}

/// What an algorithm has done with some traffic.
#[derive(Default)]
struct Tally {
    admitted: u64,
    /// Admissions while the limit had been admitted in the window before.
    over: u64,
    /// The most in any window.
    most: u64,
}

fn drive(rule: &str, ticks: &[u64]) -> Tally {
    let rule = Rule::parse(rule.as_bytes()).expect("a rule");
    let (mut key, mut window, mut tally) = (Key::default(), VecDeque::new(), Tally::default());
    for &now in ticks {
        if !key.take(&rule, 1, now).allowed {
            continue;
        }
        while window.front().is_some_and(|at| at + WINDOW <= now) {
            window.pop_front();
        }
        tally.over += u64::from(window.len() as u64 >= LIMIT);
        window.push_back(now);
        tally.admitted += 1;
        tally.most = tally.most.max(window.len() as u64);
    }
    tally
}

/// The table of docs/ratelimit.md: what each algorithm admits, and how much of it beyond the limit.
#[test]
fn what_each_admits() {
    let on_off = |t: u64| if (t / 45_000).is_multiple_of(2) { 5.0 } else { 0.01 };
    let traffics = [
        ("Poisson 0.8", poisson(1, |_| 0.8)),
        ("Poisson 1.0", poisson(2, |_| 1.0)),
        ("Poisson 1.5", poisson(3, |_| 1.5)),
        ("on/off 5.0", poisson(4, on_off)),
        ("edge attack", edge_attack()),
        ("flood", flood()),
    ];
    println!("| traffic | fixed | gcra | sliding | log |");
    for (name, ticks) in &traffics {
        let rules = ["100/60s:fixed", "100/60s:gcra", "100/60s", "100/60s:log"];
        let [fixed, gcra, sliding, log] = rules.map(|rule| drive(rule, ticks));
        let cell = |tally: &Tally| {
            let over = 100.0 * tally.over as f64 / tally.admitted as f64;
            format!("{over:.1} %, most {}, {}", tally.most, tally.admitted)
        };
        let cells = [&fixed, &gcra, &sliding, &log].map(cell).join(" | ");
        println!("| {name} | {cells} |");
        assert!(sliding.over == 0 && log.over == 0, "{name}");
        assert!(sliding.most <= LIMIT && log.most <= LIMIT, "{name}");
        assert!(fixed.most <= 2 * LIMIT && gcra.most <= 2 * LIMIT, "{name}");
        assert!(sliding.admitted <= log.admitted, "{name}");
        let exact = ticks.iter().fold((ExactLog::default(), 0), |(mut log, count), now| {
            let taken = log.take(*now);
            (log, count + u64::from(taken))
        });
        assert_eq!(log.admitted, exact.1, "{name}");
    }
    let most = |rule, at: usize| drive(rule, &traffics[at].1).most;
    assert_eq!((most("100/60s:fixed", 4), most("100/60s", 4)), (200, 100), "the edge attack");
    // The burst, and what comes back in less than a minute: the last of it comes with its end.
    assert_eq!((most("100/60s:gcra", 5), most("100/60s:log", 5)), (199, 100), "the flood");
}

#[test]
fn admits_at_most_a_sixtieth_less_than_the_exact_log() {
    let rule =
        Rule::new(LIMIT, WINDOW, eave_ratelimit::Algorithm::Sliding, None).expect("in range");
    let on_off = |t: u64| if (t / 20_000).is_multiple_of(5) { 5.0 } else { 0.01 };
    println!("| traffic | calls | exact log | sliding | less | most in a window |");
    for (name, ticks) in [
        ("Poisson 0.8", poisson(1, |_| 0.8)),
        ("Poisson 1.0", poisson(2, |_| 1.0)),
        ("Poisson 1.5", poisson(3, |_| 1.5)),
        ("on/off 5.0", poisson(4, on_off)),
        ("edge attack", edge_attack()),
        ("flood", flood()),
    ] {
        let (mut key, mut exact) = (Key::default(), ExactLog::default());
        let mut admitted = VecDeque::new();
        let (mut ours, mut theirs, mut most) = (0u64, 0u64, 0);
        for &now in &ticks {
            theirs += u64::from(exact.take(now));
            if key.take(&rule, 1, now).allowed {
                ours += 1;
                admitted.push_back(now);
                while admitted.front().is_some_and(|at| at + WINDOW <= now) {
                    admitted.pop_front();
                }
                most = most.max(admitted.len() as u64);
            }
        }
        let less = 1.0 - ours as f64 / theirs as f64;
        println!(
            "| {name} | {} | {theirs} | {ours} | {:.2} % | {most} |",
            ticks.len(),
            100.0 * less
        );
        assert!(most <= LIMIT, "{name}");
        // A window that is at most a span longer: the fraction is span / (window + span).
        assert!(less <= SPAN as f64 / (WINDOW + SPAN) as f64, "{name}: {less}");
    }
}
