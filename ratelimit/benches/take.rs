//! What one call costs: `cargo bench -p eave-ratelimit`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use eave_ratelimit::{Change, Hold, Rule, hold, peek, settle, take};

const START: u64 = 1_700_000_000_000;

/// An identifier that calls every `gap` ms, in steady state: the stored state
/// is replaced at each admission, as a keyspace does it.
fn steady(c: &mut Criterion) {
    let mut group = c.benchmark_group("take");
    for (text, gap) in [
        ("1000000/60s", 0),
        ("1000000/60s", 1000),
        ("100/60s", 1000),
        ("100/60s", 100),
        ("1000000000/1h", 700),
        ("100/60s:fixed", 1000),
        ("100/60s:gcra", 1000),
        ("100/60s:log", 1000),
        ("1000/60s:log", 100),
    ] {
        let rule = Rule::parse(text.as_bytes()).expect("a rule");
        let (mut state, mut next, mut now) = (Vec::new(), Vec::new(), START);
        group.bench_function(BenchmarkId::new(text, format!("every {gap} ms")), |b| {
            b.iter(|| {
                now += gap;
                let outcome = take(&state, &rule, 1, black_box(now), &mut next).expect("own");
                if let Change::Store { .. } = outcome.change {
                    state.clear();
                    state.extend_from_slice(&next);
                }
                outcome.decision.status()
            });
        });
    }
    group.finish();
}

/// A refusal has to look for the time at which enough has left the window.
fn refused(c: &mut Criterion) {
    let rule = Rule::parse(b"60/60s").expect("a rule");
    let (mut state, mut next) = (Vec::new(), Vec::new());
    for second in 0..60 {
        take(&state, &rule, 1, START + 1000 * second, &mut next).expect("own");
        state.clone_from(&next);
    }
    for cost in [1, 60] {
        c.bench_function(&format!("refuse/60 buckets, cost {cost}"), |b| {
            b.iter(|| peek(&state, &rule, black_box(cost), START + 59_500).expect("own"));
        });
    }
}

fn parse(c: &mut Criterion) {
    for text in ["100/60s", "10/1s:gcra:20"] {
        c.bench_function(&format!("parse/{text}"), |b| {
            b.iter(|| Rule::parse(black_box(text.as_bytes())).expect("a rule"));
        });
    }
}

fn slot(id: &[u8]) -> Hold<'_> {
    Hold { id, label: b"1024/conc", amount: 1, ttl_ms: 60_000 }
}

/// A slot that is taken and let go while others are held.
fn slots(c: &mut Criterion) {
    let rule = Rule::parse(b"1024/conc").expect("a rule");
    for others in [0u32, 10, 1000] {
        let (mut state, mut next) = (Vec::new(), Vec::new());
        for other in 0..others {
            hold(&state, &rule, &slot(&other.to_le_bytes()), START, &mut next).expect("own");
            state.clone_from(&next);
        }
        c.bench_function(&format!("hold and settle/{others} others"), |b| {
            b.iter(|| {
                hold(&state, &rule, &slot(b"mine"), START, &mut next).expect("own");
                let held = std::mem::take(&mut next);
                let settled = settle(&held, &rule, b"mine", 1, black_box(START), &mut next);
                next = held;
                settled.expect("own").map(|outcome| outcome.decision.status())
            });
        });
    }
}

criterion_group!(benches, steady, refused, parse, slots);
criterion_main!(benches);
