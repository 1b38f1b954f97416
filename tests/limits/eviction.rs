//! Which keys go when memory is full, and that they do go.
//!
//! Each test fills a server several times over. What is in use is what the allocator says, since
//! INFO asks it.

use std::time::Duration;

use crate::support::reply::Reply;
use crate::support::resp::{Connection, encode};
use crate::support::server::{Server, pause};
use crate::{Failure, Outcome, must_be, ok, start, text};

const LIMIT: u64 = 24 << 20;

/// Keys of a kilobyte: three times what fits.
const KEYS: usize = 72_000;

/// Commands that are sent at once.
const BATCH: usize = 200;

fn full_server(policy: &str) -> Result<Server, Failure> {
    start(&["--maxmemory", "24mb", "--maxmemory-policy", policy])
}

/// Sends all of `commands`, in batches; answers how many of the replies are errors.
fn send_all(client: &mut Connection, commands: &[Vec<String>]) -> Result<usize, Failure> {
    let mut errors = 0;
    for batch in commands.chunks(BATCH) {
        let mut bytes = Vec::new();
        for command in batch {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            bytes.extend_from_slice(&encode(&words));
        }
        client.send_raw(&bytes).map_err(|error| error.to_string())?;
        for _ in batch {
            errors += usize::from(matches!(client.receive()?, Reply::Error(_)));
        }
    }
    Ok(errors)
}

fn command(words: &str) -> Vec<String> {
    words.split(' ').map(String::from).collect()
}

/// Writes the keys `prefix:from` to `prefix:to - 1` of a kilobyte each; `options` says how.
fn fill(
    client: &mut Connection,
    prefix: &str,
    keys: std::ops::Range<usize>,
    options: impl Fn(usize) -> String,
) -> Result<usize, Failure> {
    let value = "v".repeat(1000);
    let commands: Vec<_> =
        keys.map(|n| command(format!("SET {prefix}:{n} {value} {}", options(n)).trim())).collect();
    send_all(client, &commands)
}

fn info(client: &mut Connection, name: &str) -> Result<u64, Failure> {
    let info = text(client, &["INFO"])?;
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let value = line.and_then(|value| value.trim().parse().ok());
    value.ok_or_else(|| Failure(format!("INFO has no number {name}")))
}

fn number(client: &mut Connection, args: &[&str]) -> Result<i64, Failure> {
    match client.call(args)? {
        Reply::Integer(number) => Ok(number),
        other => Err(Failure(format!("{args:?} answered {other}"))),
    }
}

/// How many of the keys `prefix:from` to `prefix:to - 1` are there.
fn present(
    client: &mut Connection,
    prefix: &str,
    keys: std::ops::Range<usize>,
) -> Result<i64, Failure> {
    let names: Vec<String> = keys.map(|n| format!("{prefix}:{n}")).collect();
    let mut args = vec!["EXISTS"];
    args.extend(names.iter().map(String::as_str));
    number(client, &args)
}

/// Memory is where it should be: full, and not more than a tenth too full.
fn must_be_full(client: &mut Connection) -> Outcome {
    let used = info(client, "used_memory")?;
    if !(LIMIT / 10 * 9..=LIMIT / 10 * 11).contains(&used) {
        return Err(Failure(format!("{used} bytes are in use")));
    }
    Ok(())
}

/// No write is refused, memory stays where it should be, and what is gone was counted.
fn fill_and_watch(client: &mut Connection, options: impl Fn(usize) -> String + Copy) -> Outcome {
    let before = number(client, &["DBSIZE"])?;
    for part in 0..6 {
        let keys = part * KEYS / 6..(part + 1) * KEYS / 6;
        let errors = fill(client, "key", keys, options)?;
        if errors > 0 {
            return Err(Failure(format!("{errors} writes were refused")));
        }
        if part >= 2 {
            must_be_full(client)?;
        }
    }
    let (left, evicted) = (number(client, &["DBSIZE"])?, info(client, "evicted_keys")?);
    let written = before + KEYS as i64;
    if left + evicted as i64 != written || evicted < KEYS as u64 / 2 {
        return Err(Failure(format!("{written} keys, {left} left, {evicted} evicted")));
    }
    Ok(())
}

/// An expiry that never comes in the time of a test.
fn expiring(n: usize) -> String {
    format!("EX {}", 10_000 + n * 7919 % KEYS)
}

#[test]
fn the_least_recently_used_go_first() -> Outcome {
    for policy in ["allkeys-lru", "volatile-lru"] {
        let server = full_server(policy)?;
        let mut client = server.connect()?;
        fill(&mut client, "hot", 0..1000, expiring)?;
        fill(&mut client, "cold", 0..1000, expiring)?;
        let mut errors = fill(&mut client, "key", 0..18_000, expiring)?;
        // The clock of uses counts seconds.
        for part in 4..12 {
            pause(Duration::from_millis(1100));
            let reads: Vec<_> = (0..1000).map(|n| command(&format!("GET hot:{n}"))).collect();
            send_all(&mut client, &reads)?;
            errors += fill(&mut client, "key", part * 4500..(part + 1) * 4500, expiring)?;
        }
        must_be(&Reply::Integer(errors as i64), &Reply::Integer(0), policy)?;
        let hot = present(&mut client, "hot", 0..1000)?;
        let cold = present(&mut client, "cold", 0..1000)?;
        if hot < 950 || cold > 50 {
            return Err(Failure(format!("{policy}: {hot} used and {cold} unused are left")));
        }
        must_be_full(&mut client)?;
    }
    Ok(())
}

#[test]
fn the_least_frequently_used_go_first() -> Outcome {
    for policy in ["allkeys-lfu", "volatile-lfu"] {
        let server = full_server(policy)?;
        let mut client = server.connect()?;
        fill(&mut client, "hot", 0..500, expiring)?;
        let reads: Vec<_> =
            (0..500 * 60).map(|n| command(&format!("GET hot:{}", n % 500))).collect();
        send_all(&mut client, &reads)?;
        fill_and_watch(&mut client, expiring)?;
        let hot = present(&mut client, "hot", 0..500)?;
        if hot < 475 {
            return Err(Failure(format!("{policy}: {hot} of those used often are left")));
        }
    }
    Ok(())
}

#[test]
fn any_go_where_chance_decides() -> Outcome {
    for policy in ["allkeys-random", "volatile-random"] {
        let server = full_server(policy)?;
        let mut client = server.connect()?;
        fill_and_watch(&mut client, expiring)?;
        // A third of all is left, of the first as well as of the last: less of the first, since
        // they were there for longer, but some.
        let first = present(&mut client, "key", 0..KEYS / 2)?;
        if first == 0 {
            return Err(Failure(format!("{policy}: the older half is gone")));
        }
    }
    Ok(())
}

#[test]
fn the_soonest_to_expire_go_first() -> Outcome {
    let server = full_server("volatile-ttl")?;
    let mut client = server.connect()?;
    fill_and_watch(&mut client, expiring)?;
    let times: Vec<_> = (0..KEYS).map(|n| command(&format!("TTL key:{n}"))).collect();
    let (mut sum, mut left) = (0, 0);
    for batch in times.chunks(BATCH) {
        for time in batch {
            let words: Vec<&str> = time.iter().map(String::as_str).collect();
            client.send_raw(&encode(&words)).map_err(|error| error.to_string())?;
        }
        for _ in batch {
            match client.receive()? {
                Reply::Integer(seconds) if seconds > 0 => (sum, left) = (sum + seconds, left + 1),
                _ => {}
            }
        }
    }
    // All times together have a mean of 10000 + 72000 / 2; of the upper third, which is what
    // fits, it is 10000 + 60000.
    let mean = sum / left.max(1);
    if mean < 62_000 {
        return Err(Failure(format!("a mean of {mean} s is left of {left} keys")));
    }
    Ok(())
}

#[test]
fn keys_without_an_expiry_stay_under_a_volatile_policy() -> Outcome {
    for policy in ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"] {
        let server = full_server(policy)?;
        let mut client = server.connect()?;
        fill(&mut client, "kept", 0..5000, |_| String::new())?;
        fill_and_watch(&mut client, expiring)?;
        let kept = present(&mut client, "kept", 0..5000)?;
        must_be(&Reply::Integer(kept), &Reply::Integer(5000), policy)?;
        // When only such keys are left, nothing can go.
        let refused = fill(&mut client, "more", 0..KEYS, |_| String::new())?;
        let expiring = text(&mut client, &["INFO", "keyspace"])?;
        if refused == 0 || !expiring.contains("expires=0") {
            return Err(Failure(format!("{policy}: {refused} refused, {expiring}")));
        }
        must_be_full(&mut client)?;
        must_be(&client.call(&["GET", "kept:1"])?, &Reply::Bulk(vec![b'v'; 1000]), policy)?;
        let full = Reply::Error("OOM command not allowed when used memory > 'maxmemory'.".into());
        let value = "v".repeat(1000);
        let refused = (0..5000).any(|n| {
            client.call(&["SET", &format!("{policy}:{n}"), &value]).is_ok_and(|reply| reply == full)
        });
        must_be(&Reply::Bool(refused), &Reply::Bool(true), policy)?;
    }
    Ok(())
}

/// Data that no command has to grow: the limit comes down.
#[test]
fn a_lower_limit_is_reached_without_a_write() -> Outcome {
    let server = start(&["--maxmemory-policy", "allkeys-lru"])?;
    let mut client = server.connect()?;
    fill(&mut client, "key", 0..KEYS, |_| String::new())?;
    must_be(&client.call(&["CONFIG", "SET", "maxmemory", "24mb"])?, &ok(), "CONFIG SET")?;
    crate::wait_for("memory stays above the limit", || {
        Ok(info(&mut client, "used_memory")? <= LIMIT / 10 * 11)
    })?;
    must_be_full(&mut client)
}

/// Values of many parts are freed elsewhere, and count as gone at once: no more goes than has to.
#[test]
fn large_collections_go_one_at_a_time() -> Outcome {
    let server = full_server("allkeys-lru")?;
    let mut client = server.connect()?;
    for hash in 0..40 {
        let fields = (0..10_000).map(|n| format!(" f{n} {}", "v".repeat(60)));
        let errors = send_all(
            &mut client,
            &[command(&format!("HSET h:{hash}{}", fields.collect::<String>()))],
        )?;
        must_be(&Reply::Integer(errors as i64), &Reply::Integer(0), "HSET")?;
    }
    pause(Duration::from_millis(300));
    let used = info(&mut client, "used_memory")?;
    let left = number(&mut client, &["DBSIZE"])?;
    // Each is about one megabyte.
    if !(LIMIT / 2..=LIMIT / 10 * 11).contains(&used) || left < 8 {
        return Err(Failure(format!("{used} bytes in {left} hashes")));
    }
    Ok(())
}
