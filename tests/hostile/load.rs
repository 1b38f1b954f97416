//! Clients that ask for too much, or for nothing: what they cost, and that nobody else pays.
//!
//! Bounds on memory are generous: they tell a bounded server from one that grows with what it is
//! sent, and not a good allocator from a better one.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::Failure;
use crate::raw::open;
use crate::support::reply::{Reply, quoted};
use crate::support::resp::{encode, is_closed, is_timeout};
use crate::support::server::{Program, Server, pause};

const MIB: u64 = 1024 * 1024;

/// How often something is asked for that comes in its own time; a tenth of a second apart.
const ATTEMPTS: usize = 600;

fn start(program: Program, options: &[&str]) -> Result<Server, Failure> {
    let options: Vec<String> = options.iter().map(ToString::to_string).collect();
    Ok(Server::start(program, &options)?)
}

/// Another client sets and gets: the server lives and serves.
fn still_serves(server: &Server) -> Result<(), Failure> {
    let mut client = server.connect()?;
    let set = client.call(&["SET", "still", "here"])?;
    let get = client.call(&["GET", "still"])?;
    if (set, get) == (Reply::Status("OK".to_owned()), Reply::Bulk(b"here".to_vec())) {
        Ok(())
    } else {
        Err(Failure(format!("the server does not serve:\n{}", server.log_tail())))
    }
}

/// How much more memory the server holds after `act` than before.
fn growth(server: &Server, act: impl FnOnce() -> Result<(), Failure>) -> Result<u64, Failure> {
    let before = server.resident_bytes()?;
    act()?;
    Ok(server.resident_bytes()?.saturating_sub(before))
}

fn must_be_below(grown: u64, limit: u64, what: &str) -> Result<(), Failure> {
    if grown < limit {
        return Ok(());
    }
    Err(Failure(format!(
        "{what} grew the server by {} MiB, {} are too many",
        grown / MIB,
        limit / MIB
    )))
}

/// Writes on a thread while the caller reads; a server that closes is for the reader to notice.
fn write_meanwhile(stream: &TcpStream, bytes: Vec<u8>) -> Result<(), Failure> {
    let mut stream = stream.try_clone().map_err(|e| format!("clone: {e}"))?;
    std::thread::spawn(move || stream.write_all(&bytes));
    Ok(())
}

fn huge_pipeline(program: Program) -> Result<(), Failure> {
    const PINGS: usize = 100_000;
    let server = start(program, &[])?;
    let stream = open(server.resp)?;
    write_meanwhile(&stream, encode(&["PING"]).repeat(PINGS))?;
    let mut answers = vec![0; PINGS * b"+PONG\r\n".len()];
    BufReader::new(stream).read_exact(&mut answers).map_err(|e| format!("answers: {e}"))?;
    if answers.chunks(7).any(|answer| answer != b"+PONG\r\n") {
        return Err(Failure("an answer in the middle is another".to_owned()));
    }
    still_serves(&server)
}

fn a_million_arguments(program: Program) -> Result<(), Failure> {
    let server = start(program, &[])?;
    let mut request = b"*1000001\r\n$3\r\nDEL\r\n".to_vec();
    request.extend_from_slice(&b"$1\r\nk\r\n".repeat(1_000_000));
    let grown = growth(&server, || {
        let mut stream = open(server.resp)?;
        write_meanwhile(&stream, request)?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).map_err(|e| format!("answer: {e}"))?;
        // Both are right: to take it, or to have a limit and to say so.
        let answers = [&b":0\r\n"[..], b"-ERR Protocol error: invalid multibulk length\r\n"];
        if answers.contains(&&answer[..length]) {
            return Ok(());
        }
        Err(Failure(format!("answered {}", quoted(&answer[..length]))))
    })?;
    must_be_below(grown, 256 * MIB, "a request of 7 MB")?;
    still_serves(&server)
}

fn promises_cost_nothing(program: Program) -> Result<(), Failure> {
    let server = start(program, &[])?;
    let promises: [&[u8]; 3] =
        [b"*1000000\r\n", b"*2\r\n$3\r\nGET\r\n$30000000\r\n", b"*1000000\r\n$30000000\r\nab"];
    let mut held = Vec::new();
    let grown = growth(&server, || {
        for promise in promises.iter().cycle().take(300) {
            let mut stream = open(server.resp)?;
            stream.write_all(promise).map_err(|e| format!("send: {e}"))?;
            held.push(stream);
        }
        // When a later client is answered, the promises have been read.
        still_serves(&server)
    })?;
    must_be_below(grown, 64 * MIB, "300 lengths without content")?;
    still_serves(&server)
}

fn silent_and_half_said(program: Program) -> Result<(), Failure> {
    let server = start(program, &[])?;
    let halves: [&[u8]; 8] = [
        b"",
        b"P",
        b"*",
        b"*2\r\n$3\r\nGE",
        b"*2\r\n$3\r\nGET\r\n$",
        b"*2\r\n$3\r\nGET\r\n$1\r",
        b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r",
        b"*2\r\n$3\r\nGET\r\n$100000\r\nxxxx",
    ];
    let mut held = Vec::new();
    for half in halves.iter().cycle().take(200) {
        let mut stream = open(server.resp)?;
        stream.write_all(half).map_err(|e| format!("send: {e}"))?;
        held.push(stream);
        if held.len() % 20 == 0 {
            still_serves(&server)?;
        }
    }
    still_serves(&server)
}

fn abandoned_requests(program: Program) -> Result<(), Failure> {
    let server = start(program, &[])?;
    for _ in 0..500 {
        let mut stream = open(server.resp)?;
        // Gone before the answer, and in the middle of the next request.
        stream.write_all(b"PING\r\n*2\r\n$3\r\nGET\r\n$100\r\nhalf").map_err(|e| e.to_string())?;
    }
    let mut client = server.connect()?;
    wait_for(|| Ok(client_list(&mut client)?.lines().count() <= 1), "abandoned connections stay")?;
    still_serves(&server)
}

fn unknown_commands(program: Program) -> Result<(), Failure> {
    const COMMANDS: usize = 200_000;
    let server = start(program, &[])?;
    let request: String = (0..COMMANDS).map(|n| format!("nosuchcommand{n} a b\r\n")).collect();
    let grown = growth(&server, || {
        let stream = open(server.resp)?;
        write_meanwhile(&stream, format!("{request}QUIT\r\n").into_bytes())?;
        let mut answers = Vec::new();
        BufReader::new(stream).read_to_end(&mut answers).map_err(|e| format!("answers: {e}"))?;
        let count = answers.split(|byte| *byte == b'\n').count() - 1;
        if count != COMMANDS + 1 || !answers.ends_with(b"+OK\r\n") {
            return Err(Failure(format!("{count} answers for {} commands", COMMANDS + 1)));
        }
        Ok(())
    })?;
    must_be_below(grown, 64 * MIB, "as many names of commands that there are not")?;
    still_serves(&server)
}

/// An answer that its client never takes must not stay: 128 MiB for four bytes of a key's name.
/// redis-server has no limit unless told.
fn a_big_reply_never_read(program: Program) -> Result<(), Failure> {
    let limit = ["--client-output-buffer-limit", "normal", "8mb", "0", "0"];
    let server = match program {
        Program::Redis => start(program, &limit)?,
        Program::Eave => start(program, &[])?,
    };
    let mut client = server.connect()?;
    client.call(&["SETRANGE", "big", "4194303", "x"])?;
    let mut greedy = server.connect()?;
    greedy.call(&["CLIENT", "SETNAME", "greedy"])?;
    let request = encode(&[&["MGET"][..], &["big"; 32][..]].concat());
    let grown = growth(&server, || {
        for _ in 0..4 {
            // From the second on it may be cut already.
            let _ = greedy.send_raw(&request);
        }
        let cut = || Ok(!client_list(&mut client)?.contains("name=greedy"));
        wait_for(cut, "a client that never reads is not cut")
    })?;
    must_be_below(grown, 256 * MIB, "a reply that nobody reads")?;
    still_serves(&server)
}

/// Errors that an unauthenticated client never reads must not pile up (CVE-2025-21605): the
/// server stops reading, or cuts.
fn noauth_never_read(program: Program) -> Result<(), Failure> {
    let server = start(program, &["--requirepass", "foobared"])?;
    let mut held = Vec::new();
    let grown = growth(&server, || {
        for _ in 0..8 {
            let mut stream = open(server.resp)?;
            stream
                .set_write_timeout(Some(Duration::from_secs(2)))
                .map_err(|e| format!("timeout: {e}"))?;
            send_until_stopped(&mut stream, &b"GET k\r\n".repeat(10_000), 300)?;
            held.push(stream);
        }
        Ok(())
    })?;
    must_be_below(grown, 64 * MIB, "NOAUTH errors that nobody reads")?;
    still_serves(&server)
}

/// Sends the bytes so many times, or until the server takes no more of them.
fn send_until_stopped(stream: &mut TcpStream, bytes: &[u8], times: usize) -> Result<(), Failure> {
    for _ in 0..times {
        match stream.write_all(bytes) {
            Ok(()) => {}
            Err(error) if is_closed(&error) || is_timeout(&error) => return Ok(()),
            Err(error) => return Err(Failure(format!("send: {error}"))),
        }
    }
    Ok(())
}

fn client_list(client: &mut crate::support::resp::Connection) -> Result<String, Failure> {
    match client.call(&["CLIENT", "LIST"])? {
        Reply::Bulk(list) => Ok(String::from_utf8_lossy(&list).into_owned()),
        other => Err(Failure(format!("CLIENT LIST answered {other}"))),
    }
}

fn wait_for(
    mut holds: impl FnMut() -> Result<bool, Failure>,
    otherwise: &str,
) -> Result<(), Failure> {
    for _ in 0..ATTEMPTS {
        if holds()? {
            return Ok(());
        }
        pause(Duration::from_millis(100));
    }
    Err(Failure(otherwise.to_owned()))
}

macro_rules! on_both {
    ($($name:ident)*) => {
        mod redis {
            use super::{Failure, Program};
            $(#[test] fn $name() -> Result<(), Failure> { super::$name(Program::Redis) })*
        }
        mod eave {
            use super::{Failure, Program};
            $(#[test] fn $name() -> Result<(), Failure> { super::$name(Program::Eave) })*
        }
    };
}

on_both! {
    huge_pipeline
    a_million_arguments
    promises_cost_nothing
    silent_and_half_said
    abandoned_requests
    unknown_commands
    a_big_reply_never_read
    noauth_never_read
}
