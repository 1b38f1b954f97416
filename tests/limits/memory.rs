//! `maxmemory`, and what idle clients cost.

use crate::support::reply::Reply;
use crate::support::resp::encode;
use crate::{Failure, Outcome, must_be, ok, start, wait_for};

const MIB: u64 = 1024 * 1024;

/// With `noeviction`, what makes data grow is refused; what reads or frees goes on.
#[test]
fn full_memory_refuses_growth_and_nothing_else() -> Outcome {
    let server = start(&["--maxmemory", "40mb", "--maxmemory-policy", "noeviction"])?;
    let mut client = server.connect()?;
    let value = "x".repeat(1_000_000);
    let full = Reply::Error("OOM command not allowed when used memory > 'maxmemory'.".to_owned());
    must_be(&client.call(&["HSET", "hash", "f", "1"])?, &Reply::Integer(1), "HSET")?;
    let mut next = 0;
    wait_for("memory never fills", || {
        next += 1;
        let reply = client.call(&["SET", &format!("key:{next}"), &value])?;
        if next > 400 {
            return Err(Failure("ten times maxmemory was taken".to_owned()));
        }
        Ok(reply == full)
    })?;
    // What a large request itself takes is free again when the next one comes.
    let (small, mut refused) = ("x".repeat(1000), 0);
    while refused < 100 {
        next += 1;
        let reply = client.call(&["SET", &format!("key:{next}"), &small])?;
        refused = if reply == full { refused + 1 } else { 0 };
        if next > 100_000 {
            return Err(Failure("memory never fills to the brim".to_owned()));
        }
    }
    for growth in [
        &["SET", "a", "1"][..],
        &["INCR", "n"],
        &["APPEND", "key:1", "x"],
        &["HSET", "hash", "g", "1"],
        &["MSET", "a", "1", "b", "2"],
        &["COPY", "key:1", "copy"],
        &["RL.TAKE", "limit", "5/1s"],
        &["SETRANGE", "key:1", "0", "x"],
    ] {
        must_be(&client.call(growth)?, &full, &format!("{growth:?}"))?;
    }
    for (other, wanted) in [
        (&["HGET", "hash", "f"][..], Reply::Bulk(b"1".to_vec())),
        (&["EXISTS", "key:1"], Reply::Integer(1)),
        (&["EXPIRE", "key:1", "1000"], Reply::Integer(1)),
        (&["RENAME", "key:1", "key:one"], ok()),
        (&["HDEL", "hash", "f"], Reply::Integer(1)),
        (&["GETDEL", "missing"], Reply::Nil),
        (&["MULTI"], ok()),
        (&["DBSIZE"], Reply::Status("QUEUED".to_owned())),
        (&["DISCARD"], ok()),
        (&["DEL", "key:2"], Reply::Integer(1)),
    ] {
        must_be(&client.call(other)?, &wanted, &format!("{other:?}"))?;
    }
    must_be(&client.call(&["FLUSHALL"])?, &ok(), "FLUSHALL")?;
    wait_for("memory stays full", || Ok(client.call(&["SET", "a", "1"])? == ok()))
}

/// Large requests leave nothing with the connections that sent them.
#[test]
fn idle_connections_hold_no_buffers() -> Outcome {
    let server = start(&[])?;
    let before = server.resident_bytes()?;
    let long = "x".repeat(8_000_000);
    let many = encode(&[&["EXISTS"][..], &["k"; 999_999]].concat());
    let mut held = Vec::new();
    for _ in 0..24 {
        let mut client = server.connect()?;
        client.call(&["ECHO", &long])?;
        client.send_raw(&many).map_err(|e| e.to_string())?;
        must_be(&client.receive()?, &Reply::Integer(0), "EXISTS")?;
        held.push(client);
    }
    // The allocator gives memory back some seconds after it was freed. 24 clients' would be 500
    // MiB and more.
    wait_for("idle connections keep their buffers", || {
        Ok(server.resident_bytes()?.saturating_sub(before) < 150 * MIB)
    })?;
    for mut client in held {
        must_be(&client.call(&["PING"])?, &Reply::Status("PONG".to_owned()), "PING")?;
    }
    Ok(())
}

/// What a connection that waits for nothing costs; `cargo xtask bench --sessions` measures it for
/// ten thousand.
#[test]
fn idle_connections_cost_little() -> Outcome {
    const COUNT: u64 = 800;
    let server = start(&[])?;
    let mut held = Vec::new();
    let mut grow = |count: u64| -> Result<u64, Failure> {
        for _ in 0..count {
            let mut client = server.connect()?;
            must_be(&client.call(&["PING"])?, &Reply::Status("PONG".to_owned()), "PING")?;
            must_be(&client.call(&["SET", "k", "v"])?, &ok(), "SET")?;
            held.push(client);
        }
        Ok(server.resident_bytes()?)
    };
    // The first ones make the server set up what is not a connection's own.
    let before = grow(100)?;
    let each = grow(COUNT)?.saturating_sub(before) / COUNT;
    if each > 4096 {
        return Err(Failure(format!("{each} bytes each")));
    }
    Ok(())
}

/// What is asked for many times over is not gathered first: gigabytes, from kilobytes.
#[test]
fn replies_beyond_the_limit_are_cut_while_they_grow() -> Outcome {
    let server = start(&[])?;
    let mut client = server.connect()?;
    client.call(&["SETRANGE", "big", "3999999", "x"])?;
    let before = server.resident_bytes()?;
    let mut greedy = server.connect()?;
    let reply = greedy.call(&[&["MGET"][..], &["big"; 1000]].concat())?;
    must_be(&reply, &Reply::Closed, "MGET")?;
    let mut greedy = server.connect()?;
    must_be(&greedy.call(&["MULTI"])?, &ok(), "MULTI")?;
    for _ in 0..1000 {
        greedy.call(&["GET", "big"])?;
    }
    greedy.call(&["INCR", "done"])?;
    must_be(&greedy.call(&["EXEC"])?, &Reply::Closed, "EXEC")?;
    let grown = server.resident_bytes()?.saturating_sub(before);
    if grown > 400 * MIB {
        return Err(Failure(format!("grew by {} MiB", grown / MIB)));
    }
    // What was done is done.
    must_be(&client.call(&["GET", "done"])?, &Reply::Bulk(b"1".to_vec()), "GET")
}
