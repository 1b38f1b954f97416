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
