//! Connections: kept alive, pipelined, cut off when they are silent, refused when they are many.

use std::time::Duration;

use serde_json::json;

use crate::client::{Http, bare, request};
use crate::start;
use crate::support::server::{REST_TOKEN, pause};

#[test]
fn requests_of_one_connection_are_answered_in_order() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    let all: Vec<u8> =
        (0..100).flat_map(|n| request("GET", &format!("/echo/{n}"), "", b"")).collect();
    http.send(&all);
    for n in 0..100 {
        assert_eq!(http.read("GET").json(), json!({ "result": n.to_string() }));
    }
    // Byte by byte.
    for byte in request("POST", "/", "", br#"["ECHO","slow"]"#) {
        http.send(&[byte]);
    }
    assert_eq!(http.read("POST").json(), json!({ "result": "slow" }));
    // The client's wish to end is respected.
    assert_eq!(http.ask("GET", "/ping", "Connection: close\r\n", b"").status, 200);
    assert!(http.is_closed());
}

#[test]
fn whoever_stays_silent_is_cut_off() {
    let server = start(&["--rest-header-timeout-ms", "200"]);
    let promise = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {REST_TOKEN}\r\nContent-Length: 99\r\n\r\n"
    );
    for half in ["", "G", "GET /ping HTTP/1.1\r\nHost: x\r\nAuthor"] {
        let mut http = Http::open(&server);
        http.send(half.as_bytes());
        assert!(http.is_closed(), "{half:?}");
    }
    for half in [&*promise, &format!("{promise}[\"PING\"")] {
        let mut http = Http::open(&server);
        http.send(half.as_bytes());
        let response = http.read("POST");
        assert_eq!((response.status, response.json()["error"].is_string()), (408, true));
        assert!(http.is_closed());
    }
    // A half head behind an answered request.
    let mut http = Http::open(&server);
    assert_eq!(http.ask("GET", "/ping", "", b"").status, 200);
    http.send(b"GET /ping HT");
    assert!(http.is_closed());
}

#[test]
fn who_waits_between_requests_is_not() {
    let server = start(&["--rest-header-timeout-ms", "100"]);
    let mut http = Http::open(&server);
    assert_eq!(http.ask("GET", "/ping", "", b"").status, 200);
    pause(Duration::from_millis(500));
    assert_eq!(http.ask("GET", "/ping", "", b"").status, 200);
    // Unless it waits too long.
    let server = start(&["--rest-idle-timeout", "1"]);
    let mut http = Http::open(&server);
    assert_eq!(http.ask("GET", "/ping", "", b"").status, 200);
    assert!(http.is_closed());
}

#[test]
fn a_body_beyond_the_limit_is_refused_with_words() {
    let server = start(&["--rest-max-body", "1024"]);
    let mut http = Http::open(&server);
    let text = "ERR max request size exceeded. Limit: 1024 bytes, Actual: 1025 bytes.";
    assert_eq!(http.ask("POST", "/set/k", "", &[b'x'; 1024]).status, 200);
    let response = http.ask("POST", "/set/k", "", &[b'x'; 1025]);
    assert_eq!((response.status, response.json()), (400, json!({ "error": text })));
    // It was read to its end, so the connection goes on.
    assert_eq!(http.ask("GET", "/strlen/k", "", b"").json(), json!({ "result": 1024 }));
    // One that is far too large is not.
    http.send(
        format!(
            "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {REST_TOKEN}\r\n\
         Content-Length: 99999999999\r\n\r\n["
        )
        .as_bytes(),
    );
    assert_eq!(http.read("POST").status, 400);
    assert!(http.is_closed());
    // Without an announced length, it is what has come that counts.
    let mut http = Http::open(&server);
    http.send(
        format!(
            "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {REST_TOKEN}\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
        )
        .as_bytes(),
    );
    for _ in 0..50 {
        http.send(&[b"64\r\n", &[b'x'; 100][..], b"\r\n"].concat());
    }
    let response = http.read("POST");
    assert_eq!(response.status, 400);
    assert!(response.text().contains("max request size exceeded"), "{response:?}");
}

#[test]
fn heads_beyond_the_limit_are_refused() {
    let server = start(&[]);
    for head in [
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000)),
        format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000)),
        format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(200)),
    ] {
        let mut http = Http::open(&server);
        http.send(head.as_bytes());
        let status = http.read("GET").status;
        assert!([414, 431].contains(&status), "{status}");
        assert!(http.is_closed());
    }
    let fits = format!("X: {}\r\n", "x".repeat(8000));
    assert_eq!(Http::open(&server).ask("GET", "/ping", &fits, b"").status, 200);
}

/// A proxy in front that reads a request's length in another way must not be able to hide a
/// second request in the first.
#[test]
fn lengths_that_can_be_read_in_two_ways_end_the_connection() {
    let server = start(&[]);
    let hidden = String::from_utf8(request("GET", "/set/hidden/1", "", b"")).unwrap();
    for headers in [
        "Content-Length: 0\r\nContent-Length: 5\r\n",
        "Content-Length: +0\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x0\r\n",
        "Content-Length: 0, 5\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Content-Length : 0\r\n",
        "Content-Length: 0\r\n X: y\r\n",
    ] {
        let mut http = Http::open(&server);
        http.send(
            format!("POST /ping HTTP/1.1\r\nHost: x\r\nAuthorization: {REST_TOKEN}\r\n{headers}\r\n{hidden}")
                .as_bytes(),
        );
        let status = http.read("POST").status;
        assert_eq!(status, 400, "{headers:?}");
        assert!(http.is_closed(), "{headers:?}");
    }
    // Both headers: the chunks count, and nothing behind them is read.
    for headers in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
    ] {
        let mut http = Http::open(&server);
        http.send(
            format!(
                "POST /echo HTTP/1.1\r\nHost: x\r\nAuthorization: {REST_TOKEN}\r\n{headers}\r\n\
                     3\r\nabc\r\n0\r\n\r\n{hidden}"
            )
            .as_bytes(),
        );
        assert_eq!(http.read("POST").json(), json!({ "result": "abc" }));
        assert!(http.is_closed(), "{headers:?}");
    }
    let mut http = Http::open(&server);
    assert_eq!(http.ask("GET", "/get/hidden", "", b"").json(), json!({ "result": null }));
}

#[test]
fn beyond_the_most_connections_there_is_a_refusal() {
    let server = start(&["--rest-max-connections", "2"]);
    // The connection that waited for the server to start may not have gone yet.
    let mut held: Vec<Http> = Vec::new();
    while held.len() < 2 {
        let mut http = Http::open(&server);
        http.send(&request("GET", "/ping", "", b""));
        match http.read("GET").status {
            200 => held.push(http),
            status => assert_eq!(status, 503),
        }
    }
    let mut third = Http::open(&server);
    let refusal = third.read("GET");
    assert_eq!(refusal.status, 503);
    assert_eq!(refusal.json(), json!({ "error": "ERR max concurrent connections exceeded" }));
    assert!(third.is_closed());
    assert_eq!(held[0].ask("GET", "/ping", "", b"").status, 200);
    drop(held);
    loop {
        let mut http = Http::open(&server);
        http.send(&bare("GET", "/health", "", b""));
        if http.read("GET").status == 200 {
            break;
        }
    }
}

/// A client that asks for more than it takes is held back, and not at the cost of memory.
#[test]
fn whoever_does_not_read_is_held_back() {
    let server = start(&[]);
    let mut other = Http::open(&server);
    other.ask("POST", "/set/big", "", &vec![b'x'; 1 << 20]);
    let before = server.resident_bytes().unwrap();
    let mut deaf = Http::open(&server);
    deaf.send(&request("GET", "/get/big", "", b"").repeat(100));
    for _ in 0..50 {
        assert_eq!(other.ask("GET", "/ping", "", b"").status, 200);
    }
    let grown = server.resident_bytes().unwrap().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes for answers that nobody reads");
    for _ in 0..100 {
        assert_eq!(deaf.read("GET").body.len(), (1 << 20) + 13);
    }
}

/// Who is being answered when the node stops learns that the connection ends behind the answer.
#[test]
fn a_stop_lets_a_request_end_and_says_so() {
    let mut server = start(&[]);
    let mut operator = server.connect().unwrap();
    operator.call(&["CLIENT", "PAUSE", "1000", "WRITE"]).unwrap();
    let mut held = Http::open(&server);
    held.send(&request("GET", "/incr/n", "", b"").repeat(2));
    pause(Duration::from_millis(100));
    let killed = std::process::Command::new("kill").arg(server.process_id().to_string()).status();
    assert!(killed.unwrap().success());
    let answer = held.read("GET");
    assert_eq!((answer.status, answer.json()), (200, json!({ "result": 1 })));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(held.is_closed());
    let ended = (0..200).any(|_| {
        pause(Duration::from_millis(50));
        !server.is_running()
    });
    assert!(ended, "{}", server.log_tail());
}

/// As many connections as this machine lets one have, up to ten thousand: each costs little, and
/// who asks is answered.
#[test]
fn ten_thousand_may_be_silent() {
    let most = open_files() / 2;
    let count = most.saturating_sub(200).min(10_000);
    let many = count.to_string();
    let server = start(&[
        "--rest-max-connections-per-address",
        "0",
        "--rest-max-connections",
        "20000",
        "--maxclients",
        "20000",
        "--rest-header-timeout-ms",
        "100000",
    ]);
    let mut used: Vec<Http> = (0..100).map(|_| Http::open(&server)).collect();
    used.iter_mut().for_each(|http| assert_eq!(http.ask("GET", "/ping", "", b"").status, 200));
    let mut client = server.connect().unwrap();
    // What the allocator has given out: what it keeps for later is no connection's.
    let mut used_memory = || -> u64 {
        let info = client.call(&["INFO", "memory"]).unwrap().text().unwrap();
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        line.trim().parse().unwrap()
    };
    let before = used_memory();
    let mut silent = Vec::new();
    for at in 0..count {
        let mut http = Http::open(&server);
        // Some have said half a head, some have been answered before.
        match at % 10 {
            0 => http.send(b"GET /get/k HTTP/1.1\r\nHost: x\r\nAuth"),
            1..=5 => assert_eq!(http.ask("GET", "/ping", "", b"").status, 200),
            _ => {}
        }
        silent.push(http);
    }
    // A tenth of them are in the middle of a head, which takes hyper's buffers; the others put
    // theirs away after a second.
    let mut each = u64::MAX;
    for _ in 0..100 {
        each = used_memory().saturating_sub(before) / count as u64;
        if each < 8 * 1024 {
            break;
        }
        pause(Duration::from_millis(200));
    }
    assert!(each < 8 * 1024, "{each} bytes for one of {many}");
    let info = client.call(&["INFO", "stats"]).unwrap().text().unwrap();
    let line = format!("rest_connections:{}", count + used.len());
    assert!(info.contains(&line), "{line} is not in {info}");
    used.iter_mut().for_each(|http| assert_eq!(http.ask("GET", "/ping", "", b"").status, 200));
    println!("{each} bytes for one of {many} connections");
}

/// Files that this process may have open.
fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    soft.unwrap_or(1024)
}

#[test]
fn a_stop_answers_what_was_asked_and_ends() {
    let mut server = start(&[]);
    let mut idle = Http::open(&server);
    assert_eq!(idle.ask("GET", "/ping", "", b"").status, 200);
    let mut half = Http::open(&server);
    half.send(b"GET /ping HTTP/1.1\r\n");
    let mut asked = Http::open(&server);
    let body = format!("[{}[\"INCR\",\"n\"]]", "[\"INCR\",\"n\"],".repeat(4999));
    asked.send(&request("POST", "/pipeline", "", body.as_bytes()));
    // The first byte of the answer shows that the request has been read whole.
    let answer = asked.read("POST");
    assert_eq!(answer.json().as_array().map(Vec::len), Some(5000));
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &server.process_id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    assert!(idle.is_closed() && half.is_closed() && asked.is_closed());
    let ended = (0..200).any(|_| {
        pause(Duration::from_millis(50));
        !server.is_running()
    });
    assert!(ended, "{}", server.log_tail());
}
