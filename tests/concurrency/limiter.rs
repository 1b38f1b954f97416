//! Rate limits under many takers: exactly the limit is admitted.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::support::reply::Reply;
use crate::{Failure, Outcome, call, nothing, start, together};

/// More than the cores by far.
const TAKERS: usize = 64;

/// Rules that give nothing back while the test runs: a day's.
fn admits_exactly(rule: &str, limit: i64) -> Outcome {
    let server = start()?;
    let admitted = AtomicI64::new(0);
    let each = (limit as usize).div_ceil(TAKERS) + 10;
    together(
        &server,
        TAKERS,
        |_, client| {
            for _ in 0..each {
                let Reply::Array(decision) = call(client, &["RL.TAKE", "key", rule])? else {
                    return Err("no decision".to_owned());
                };
                if decision.first() == Some(&Reply::Integer(1)) {
                    admitted.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        },
        nothing,
    )?;
    let admitted = admitted.into_inner();
    if admitted == limit {
        return Ok(());
    }
    Err(Failure(format!("{rule}: {admitted} admitted instead of {limit}")))
}

#[test]
fn gcra_admits_exactly_the_limit() -> Outcome {
    // A token comes back every day: none while the test runs.
    admits_exactly("500/500d:gcra", 500)
}

#[test]
fn fixed_admits_exactly_the_limit() -> Outcome {
    admits_exactly("500/3650d:fixed", 500)
}

#[test]
fn sliding_admits_exactly_the_limit() -> Outcome {
    admits_exactly("500/3650d:sliding", 500)
}

#[test]
fn a_thousand_keys_admit_exactly_their_limits() -> Outcome {
    const KEYS: usize = 1000;
    const LIMIT: usize = 5;
    let server = start()?;
    let admitted: Vec<AtomicI64> = (0..KEYS).map(|_| AtomicI64::new(0)).collect();
    together(
        &server,
        LIMIT + 3,
        |taker, client| {
            for step in 0..KEYS {
                // Each begins elsewhere, all come to every key.
                let key = (step + taker * 97) % KEYS;
                let rule = ["5/3650d:sliding", "5/3650d:fixed", "5/100d:gcra"][key % 3];
                let reply = call(client, &["RL.TAKE", &format!("key:{key}"), rule])?;
                let Reply::Array(decision) = reply else { return Err("no decision".to_owned()) };
                if decision.first() == Some(&Reply::Integer(1)) {
                    admitted[key].fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        },
        nothing,
    )?;
    let wrong = admitted.iter().position(|count| count.load(Ordering::Relaxed) != LIMIT as i64);
    match wrong {
        None => Ok(()),
        Some(key) => Err(Failure(format!("key:{key} admitted {:?}", admitted[key]))),
    }
}
