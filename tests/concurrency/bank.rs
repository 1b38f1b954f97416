//! Sums that must not move: transactions, WATCH, counters.

use crate::support::reply::Reply;
use crate::support::resp::Connection;
use crate::{Failure, Outcome, Random, call, integer, nothing, number, start, together};

const CLIENTS: usize = 8;
const ACCOUNTS: usize = 12;
const EACH: i64 = 1000;
const TRANSFERS: usize = 400;

fn account(at: usize) -> String {
    format!("account:{at}")
}

fn sum(reply: &Reply) -> Result<i64, String> {
    match reply {
        Reply::Array(balances) => balances.iter().map(number).sum(),
        other => Err(format!("no balances: {other}")),
    }
}

/// Moves money from one account to another, if it is there; tries again when either has changed
/// meanwhile.
fn transfer(client: &mut Connection, from: &str, to: &str, amount: i64) -> Result<(), String> {
    loop {
        call(client, &["WATCH", from, to])?;
        let (left, right) =
            (number(&call(client, &["GET", from])?)?, number(&call(client, &["GET", to])?)?);
        if left < amount {
            call(client, &["UNWATCH"])?;
            return Ok(());
        }
        call(client, &["MULTI"])?;
        // Written, not added: a lost change of another client would be seen in the sum.
        call(client, &["SET", from, &(left - amount).to_string()])?;
        call(client, &["SET", to, &(right + amount).to_string()])?;
        if call(client, &["EXEC"])? != Reply::NilArray {
            return Ok(());
        }
    }
}

#[test]
fn the_sum_of_a_bank_never_moves() -> Outcome {
    let server = start()?;
    let names: Vec<String> = (0..ACCOUNTS).map(account).collect();
    let mut client = server.connect()?;
    for name in &names {
        call(&mut client, &["SET", name, &EACH.to_string()])?;
    }
    let mget: Vec<&str> = std::iter::once("MGET").chain(names.iter().map(String::as_str)).collect();
    let whole = EACH * ACCOUNTS as i64;
    let check = |reply: &Reply, how: &str| match sum(reply)? {
        found if found == whole => Ok(()),
        found => Err(format!("{how} sees {found} instead of {whole}: {reply}")),
    };
    together(
        &server,
        CLIENTS,
        |number, client| {
            let mut random = Random::of(number);
            for _ in 0..TRANSFERS {
                let (from, to) = (random.below(ACCOUNTS), random.below(ACCOUNTS));
                if from != to {
                    let amount = 1 + random.below(300) as i64;
                    transfer(client, &account(from), &account(to), amount)?;
                }
            }
            Ok(())
        },
        |client, done| {
            let mut looks = 0;
            while !done() || looks == 0 {
                check(&call(client, &mget)?, "MGET")?;
                call(client, &["MULTI"])?;
                names.iter().try_for_each(|name| call(client, &["GET", name]).map(drop))?;
                call(client, &mget)?;
                let Reply::Array(mut seen) = call(client, &["EXEC"])? else {
                    return Err("EXEC answered no array".to_owned());
                };
                check(&seen.pop().unwrap_or(Reply::Nil), "MGET in a transaction")?;
                check(&Reply::Array(seen), "a transaction")?;
                looks += 1;
            }
            Ok(())
        },
    )?;
    check(&call(&mut client, &mget)?, "MGET at the end")?;
    Ok(())
}

#[test]
fn no_increment_is_lost() -> Outcome {
    const EACH: usize = 1000;
    const COUNTERS: usize = 16;
    let server = start()?;
    together(
        &server,
        COUNTERS,
        |number, client| {
            let (mut last, own) = (0, format!("own:{number}"));
            for _ in 0..EACH {
                let now = integer(client, &["INCR", "all"])?;
                if now <= last {
                    return Err(format!("INCR answered {now} after {last}"));
                }
                last = now;
                integer(client, &["INCRBY", &own, "3"])?;
                integer(client, &["HINCRBY", "hash", &own, "2"])?;
            }
            Ok(())
        },
        nothing,
    )?;
    let mut client = server.connect()?;
    let all = number(&call(&mut client, &["GET", "all"])?)?;
    let mut found = vec![all];
    for counter in 0..COUNTERS {
        let own = format!("own:{counter}");
        found.push(number(&call(&mut client, &["GET", &own])?)?);
        found.push(number(&call(&mut client, &["HGET", "hash", &own])?)?);
    }
    let each = EACH as i64;
    let wanted: Vec<i64> = std::iter::once(each * COUNTERS as i64)
        .chain((0..COUNTERS).flat_map(|_| [each * 3, each * 2]))
        .collect();
    if found == wanted { Ok(()) } else { Err(Failure(format!("counted {found:?}"))) }
}

/// A counter by WATCH, GET, MULTI, SET, EXEC: as many EXECs succeed as it counts.
#[test]
fn watched_counters_count_what_succeeded() -> Outcome {
    const EACH: usize = 150;
    let server = start()?;
    together(
        &server,
        CLIENTS,
        |_, client| {
            for _ in 0..EACH {
                loop {
                    call(client, &["WATCH", "counter"])?;
                    let next = number(&call(client, &["GET", "counter"])?)? + 1;
                    call(client, &["MULTI"])?;
                    call(client, &["SET", "counter", &next.to_string()])?;
                    if call(client, &["EXEC"])? != Reply::NilArray {
                        break;
                    }
                }
            }
            Ok(())
        },
        nothing,
    )?;
    let counted = number(&call(&mut server.connect()?, &["GET", "counter"])?)?;
    let wanted = (EACH * CLIENTS) as i64;
    if counted == wanted { Ok(()) } else { Err(Failure(format!("{counted}, not {wanted}"))) }
}
