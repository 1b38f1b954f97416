//! How many clients there may be, and how long they may be silent.

use std::io::Write;

use crate::support::reply::Reply;
use crate::support::resp::{Connection, encode};
use crate::support::server::Server;
use crate::{Failure, Outcome, must_be, ok, start, text, wait_for};

/// Connections of a name, as another client sees them.
fn named(watcher: &mut Connection, name: &str) -> Result<usize, Failure> {
    let list = text(watcher, &["CLIENT", "LIST"])?;
    Ok(list.lines().filter(|line| line.contains(&format!(" name={name} "))).count())
}

fn connect_as(server: &Server, name: &str) -> Result<Connection, Failure> {
    let mut client = server.connect()?;
    must_be(&client.call(&["CLIENT", "SETNAME", name])?, &ok(), "SETNAME")?;
    Ok(client)
}

#[test]
fn no_more_clients_than_maxclients() -> Outcome {
    let server = start(&["--maxclients", "3"])?;
    let mut held = Vec::new();
    // The start of the server has looked whether the port is open: that client may linger.
    wait_for("three clients have no place", || {
        while held.len() < 3 {
            let mut client = server.connect()?;
            if client.call(&["PING"])? != Reply::Status("PONG".to_owned()) {
                return Ok(false);
            }
            held.push(client);
        }
        Ok(true)
    })?;
    let refused = Reply::Error("ERR max number of clients reached".to_owned());
    for _ in 0..5 {
        let mut one_more = server.connect()?;
        must_be(&one_more.receive()?, &refused, "a fourth client")?;
        must_be(&one_more.receive()?, &Reply::Closed, "a fourth client")?;
    }
    let stats = text(&mut held[0], &["INFO", "stats"])?;
    if !stats.contains("rejected_connections:") || stats.contains("rejected_connections:0") {
        return Err(Failure(format!("refusals are not counted: {stats}")));
    }
    held.pop();
    wait_for("a place that is free again is not given", || {
        Ok(server.connect()?.call(&["PING"])? == Reply::Status("PONG".to_owned()))
    })
}

#[test]
fn silent_clients_are_closed_after_timeout() -> Outcome {
    let server = start(&["--timeout", "1"])?;
    let mut watcher = server.connect()?;
    let silent = connect_as(&server, "silent")?;
    // Bytes that are no whole request are not a sign of life.
    let mut half = connect_as(&server, "half")?;
    half.send_raw(b"*2\r\n$3\r\nGET\r\n$1").map_err(|e| e.to_string())?;
    wait_for("silent clients stay", || {
        half.send_raw(b"").map_err(|e| e.to_string())?;
        Ok(named(&mut watcher, "silent")? + named(&mut watcher, "half")? == 0)
    })?;
    let mut silent = silent;
    must_be(&silent.receive()?, &Reply::Closed, "the silent client")?;
    // Who has asked all the while is still there.
    must_be(&watcher.call(&["PING"])?, &Reply::Status("PONG".to_owned()), "the watcher")
}

/// What it does not take does not keep it alive.
#[test]
fn silent_clients_with_answers_unread_are_closed_too() -> Outcome {
    let server = start(&["--timeout", "1"])?;
    let mut watcher = server.connect()?;
    must_be(
        &watcher.call(&["SETRANGE", "big", "29999999", "x"])?,
        &Reply::Integer(30_000_000),
        "",
    )?;
    let mut deaf = connect_as(&server, "deaf")?;
    deaf.send_raw(&encode(&["GET", "big"])).map_err(|e| e.to_string())?;
    wait_for("a client that takes nothing stays", || Ok(named(&mut watcher, "deaf")? == 0))
}

#[test]
fn timeout_and_keepalive_change_while_it_runs() -> Outcome {
    let server = start(&["--tcp-keepalive", "60"])?;
    let mut watcher = server.connect()?;
    let _silent = connect_as(&server, "silent")?;
    must_be(
        &watcher.call(&["CONFIG", "SET", "timeout", "1", "tcp-keepalive", "7"])?,
        &ok(),
        "set",
    )?;
    wait_for("timeout is not heeded", || Ok(named(&mut watcher, "silent")? == 0))?;
    wait_for("new connections are not probed", || {
        let _client = server.connect()?;
        Ok(probed(server.resp.port())?.contains(&7))
    })
}

/// Seconds until the next probe of each connection that the server holds, as the kernel has them.
fn probed(port: u16) -> Result<Vec<u64>, Failure> {
    let table = std::fs::read_to_string("/proc/net/tcp").map_err(|e| e.to_string())?;
    let local = format!(":{port:04X}");
    let seconds = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Timer 2 is keepalive; its time is in ticks of 10 ms.
        let timer = fields.get(5)?.strip_prefix("02:")?;
        let ticks = u64::from_str_radix(timer, 16).ok()?;
        fields.get(1)?.ends_with(&local).then_some(ticks.div_ceil(100))
    });
    Ok(seconds.collect())
}

/// Only this machine may come in without a password, whatever address is listened on.
#[test]
fn protected_mode_keeps_others_out() -> Outcome {
    let Some(other) = own_address() else {
        return Err(Failure("could not run: this machine has no address but loopback".to_owned()));
    };
    let bind = ["--bind", "127.0.0.1", &other];
    let server = start(&bind)?;
    let outside = std::net::SocketAddr::new(other.parse().expect("it is one"), server.resp.port());
    let mut refused = Connection::open(outside)?;
    match refused.receive()? {
        Reply::Error(why) if why.starts_with("DENIED ") => {}
        reply => return Err(Failure(format!("from {other}: {reply}"))),
    }
    must_be(&refused.receive()?, &Reply::Closed, "a client from outside")?;
    let mut inside = server.connect()?;
    must_be(&inside.call(&["CONFIG", "SET", "requirepass", "long-enough"])?, &ok(), "set")?;
    let mut client = Connection::open(outside)?;
    must_be(&client.call(&["AUTH", "long-enough"])?, &ok(), "with a password")?;
    must_be(&inside.call(&["CONFIG", "SET", "requirepass", ""])?, &ok(), "set")?;
    must_be(&inside.call(&["CONFIG", "SET", "protected-mode", "no"])?, &ok(), "set")?;
    let mut client = Connection::open(outside)?;
    must_be(&client.call(&["PING"])?, &Reply::Status("PONG".to_owned()), "unprotected")
}

/// The address by which this machine would reach others; nothing is sent.
fn own_address() -> Option<String> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then(|| ip.to_string())
}

/// A client that goes while it watches leaves nothing behind; nor does one that is closed.
#[test]
fn watches_go_with_their_client() -> Outcome {
    let server = start(&[])?;
    let mut watcher = server.connect()?;
    for round in 0..50 {
        let mut client = connect_as(&server, "watching")?;
        must_be(&client.call(&["WATCH", "a", "b"])?, &ok(), "WATCH")?;
        must_be(&watcher.call(&["SET", "a", &round.to_string()])?, &ok(), "SET")?;
        client.socket().flush().map_err(|e| e.to_string())?;
    }
    wait_for("clients stay", || Ok(named(&mut watcher, "watching")? == 0))?;
    must_be(&watcher.call(&["WATCH", "a"])?, &ok(), "WATCH")?;
    must_be(&watcher.call(&["MULTI"])?, &ok(), "MULTI")?;
    watcher.call(&["GET", "a"])?;
    let wanted = Reply::Array(vec![Reply::Bulk(b"49".to_vec())]);
    must_be(&watcher.call(&["EXEC"])?, &wanted, "EXEC of a key that nobody changed")
}
