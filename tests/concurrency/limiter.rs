//! Rate limits under many takers: exactly the limit is admitted.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::support::reply::Reply;
use crate::support::server::{Server, pause};
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

#[test]
fn log_admits_exactly_the_limit() -> Outcome {
    admits_exactly("500/3650d:log", 500)
}

/// Pairs of limits by many at once, in either order: each pair takes from both or from neither.
#[test]
fn takes_of_several_are_never_half_done() -> Outcome {
    let server = start()?;
    let taken = AtomicI64::new(0);
    together(
        &server,
        TAKERS,
        |taker, client| {
            for step in 0..40 {
                // The one that is scarce comes first or last; each third asks for it twice.
                let (scarce, plenty) = (["scarce", "300/3650d"], ["plenty", "100000/3650d:fixed"]);
                let mut args = match (taker + step) % 3 {
                    0 => [["RL.MTAKE", "2"], scarce, plenty].concat(),
                    1 => [["RL.MTAKE", "2"], plenty, scarce].concat(),
                    _ => [["RL.MTAKE", "4"], scarce, plenty, scarce, plenty].concat(),
                };
                args.extend(["COST", "1"]);
                let Reply::Array(answer) = call(client, &args)? else {
                    return Err("no answer".to_owned());
                };
                if answer.first() == Some(&Reply::Integer(1)) {
                    taken.fetch_add(if args[1] == "4" { 2 } else { 1 }, Ordering::Relaxed);
                }
            }
            Ok(())
        },
        nothing,
    )?;
    let taken = taken.into_inner();
    for (key, rule, limit) in
        [("scarce", "300/3650d", 300), ("plenty", "100000/3650d:fixed", 100_000)]
    {
        let used = limit - left(&server, key, rule)?;
        if used != taken {
            return Err(Failure(format!("{key}: {used} used, {taken} taken")));
        }
    }
    // Who asks for two at the end may leave one.
    if (299..=300).contains(&taken) { Ok(()) } else { Err(Failure(format!("{taken} taken"))) }
}

/// What is left of a limit.
fn left(server: &Server, key: &str, rule: &str) -> Result<i64, String> {
    match call(&mut server.connect()?, &["RL.PEEK", key, rule])? {
        Reply::Array(status) => match status.get(2) {
            Some(Reply::Integer(number)) => Ok(*number),
            other => Err(format!("no number: {other:?}")),
        },
        other => Err(format!("no status: {other}")),
    }
}

/// Slots by many clients, of which every other one dies with its slot: never more at once than
/// there are, and none is lost.
#[test]
fn slots_never_leak() -> Outcome {
    const SLOTS: i64 = 5;
    let server = start()?;
    let held = AtomicI64::new(0);
    let most = AtomicI64::new(0);
    together(
        &server,
        TAKERS,
        |taker, client| {
            for step in 0..30 {
                // Whoever dies leaves its slot to the clock; who lives lets go long before.
                let dies = (taker + step) % 2 == 0;
                let ttl = if dies { "1" } else { "600000" };
                let args = ["RL.HOLD", "slots", "5/conc", "1", "TTL", ttl];
                let Reply::Array(status) = call(client, &args)? else {
                    return Err("no status".to_owned());
                };
                let (Reply::Bulk(id), false) = (&status[5], dies) else { continue };
                let now = held.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                let id = String::from_utf8_lossy(id).into_owned();
                held.fetch_sub(1, Ordering::SeqCst);
                call(client, &["RL.SETTLE", &id, "1"])?;
            }
            Ok(())
        },
        nothing,
    )?;
    // Those of the dead are over a millisecond after the last.
    pause(Duration::from_millis(20));
    let left = left(&server, "slots", "5/conc")?;
    if left != SLOTS {
        return Err(Failure(format!("{left} slots are left of {SLOTS}")));
    }
    let most = most.into_inner();
    if (1..=SLOTS).contains(&most) { Ok(()) } else { Err(Failure(format!("{most} at once"))) }
}
