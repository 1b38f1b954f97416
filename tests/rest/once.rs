//! Requests with an `Idempotency-Key` are run once.

use std::time::Duration;

use serde_json::json;

use crate::client::{Http, Response, bare, once, request};
use crate::start;
use crate::support::server::{Server, pause};

fn keyed(http: &mut Http, key: &str, path: &str, body: &str) -> Response {
    http.ask("POST", path, &format!("Idempotency-Key: {key}\r\n"), body.as_bytes())
}

fn count(server: &Server, name: &str) -> String {
    let value = Http::open(server).ask("GET", &format!("/get/{name}"), "", b"").json();
    value["result"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_request_that_comes_again_is_answered_and_not_run() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    for (key, path, body) in [
        ("one", "/", r#"["INCR","n"]"#),
        ("two", "/pipeline", r#"[["INCR","n"],["INCR","n"]]"#),
        ("three", "/multi-exec", r#"[["INCR","n"],["GET","n"]]"#),
        ("four", "/incr/n", ""),
        ("five", "/v1/take", r#"{"key":"k","rule":"5/60s"}"#),
        ("six", "/", r#"["LPUSH","n","x"]"#),
        ("seven", "/append/bytes", "\u{1}\r\n"),
    ] {
        let first = keyed(&mut http, key, path, body);
        assert_eq!(first.header("idempotency-replayed"), None, "{path}");
        for _ in 0..3 {
            let again = keyed(&mut Http::open(&server), key, path, body);
            assert_eq!((again.status, &again.body), (first.status, &first.body), "{path}");
            assert_eq!(again.header("idempotency-replayed"), Some("true"), "{path}");
            assert_eq!(again.header("content-type"), first.header("content-type"));
            assert_eq!(again.header("ratelimit"), first.header("ratelimit"));
            assert!(again.header("upstash-sync-token").is_some());
        }
    }
    assert_eq!(count(&server, "n"), "5");
    // Without a key, and with an empty window, each is run.
    http.ask("POST", "/incr/m", "", b"");
    http.ask("POST", "/incr/m", "", b"");
    assert_eq!(count(&server, "m"), "2");
    let server = start(&["--rest-idempotency-window", "0"]);
    let mut http = Http::open(&server);
    keyed(&mut http, "one", "/incr/n", "");
    keyed(&mut http, "one", "/incr/n", "");
    assert_eq!(count(&server, "n"), "2");
}

#[test]
fn a_key_is_one_requests_and_one_users() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    keyed(&mut http, "k", "/", r#"["INCR","n"]"#);
    for (path, body) in
        [("/", r#"["INCR","m"]"#), ("/incr/n", ""), ("/pipeline", r#"[["INCR","n"]]"#)]
    {
        let refused = keyed(&mut http, "k", path, body);
        assert_eq!(refused.status, 422, "{path}");
        let error = refused.json()["error"].as_str().map(str::to_owned);
        assert_eq!(
            error.as_deref(),
            Some("ERR Idempotency-Key was used before for another request")
        );
    }
    // In another encoding it would be another answer.
    let other = "Idempotency-Key: k\r\nUpstash-Encoding: base64\r\n";
    assert_eq!(http.ask("POST", "/", other, br#"["INCR","n"]"#).status, 422);
    for bad in ["", "\"\"", &"x".repeat(256)] {
        assert_eq!(keyed(&mut http, bad, "/incr/n", "").status, 400, "{bad}");
    }
    let mut operator = server.connect().unwrap();
    let rules = ["ACL", "SETUSER", "ann", "on", ">long-enough-password", "+@all", "~*"];
    operator.call(&rules).unwrap();
    let token = ["ACL", "RESTTOKEN", "ann", "long-enough-password"];
    let token = operator.call(&token).unwrap().text().unwrap();
    let headers = format!("Authorization: Bearer {token}\r\nIdempotency-Key: k\r\n");
    let theirs = once(&server, &bare("POST", "/", &headers, br#"["INCR","n"]"#));
    assert_eq!(theirs.json(), json!({ "result": 2 }));
    // Without a token there is nothing to be learnt.
    let none = once(&server, &bare("POST", "/", "Idempotency-Key: k\r\n", br#"["INCR","n"]"#));
    assert_eq!(none.status, 401);
}

#[test]
fn what_is_not_run_is_not_remembered() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    assert_eq!(keyed(&mut http, "k", "/", "[").status, 400);
    assert_eq!(keyed(&mut http, "k", "/", r#"["INCR","n"]"#).json(), json!({ "result": 1 }));
    // What was run and has failed is.
    keyed(&mut http, "f", "/", r#"["LPUSH","n","x"]"#);
    http.ask("POST", "/del/n", "", b"");
    assert_eq!(keyed(&mut http, "f", "/", r#"["LPUSH","n","x"]"#).status, 400);
}

/// The client goes before its answer, and sends the same again.
#[test]
fn two_at_once_are_run_once() {
    let server = start(&[]);
    let mut operator = server.connect().unwrap();
    operator.call(&["CLIENT", "PAUSE", "60000", "WRITE"]).unwrap();
    let headers = "Idempotency-Key: k\r\n";
    let body = format!("[{}[\"INCR\",\"n\"]]", "[\"INCR\",\"n\"],".repeat(999));
    let bytes = request("POST", "/pipeline", headers, body.as_bytes());
    let mut gone = Http::open(&server);
    gone.send(&bytes);
    pause(Duration::from_millis(100));
    drop(gone);
    let mut others: Vec<Http> = (0..3).map(|_| Http::open(&server)).collect();
    others.iter_mut().for_each(|other| other.send(&bytes));
    pause(Duration::from_millis(100));
    operator.call(&["CLIENT", "UNPAUSE"]).unwrap();
    for other in &mut others {
        assert_eq!(other.read("POST").json().as_array().map(Vec::len), Some(1000));
    }
    assert_eq!(count(&server, "n"), "1000");
}

#[test]
fn who_waits_too_long_is_told() {
    let server = start(&["--rest-header-timeout-ms", "200"]);
    let mut operator = server.connect().unwrap();
    operator.call(&["CLIENT", "PAUSE", "60000", "WRITE"]).unwrap();
    let bytes = request("POST", "/incr/n", "Idempotency-Key: k\r\n", b"");
    let mut first = Http::open(&server);
    first.send(&bytes);
    pause(Duration::from_millis(50));
    let second = once(&server, &bytes);
    assert_eq!((second.status, second.header("retry-after")), (409, Some("1")));
    operator.call(&["CLIENT", "UNPAUSE"]).unwrap();
    assert_eq!(first.read("POST").json(), json!({ "result": 1 }));
}

#[test]
fn a_window_ends_and_memory_is_bounded() {
    let server = start(&["--rest-idempotency-window", "1", "--rest-idempotency-bytes", "65536"]);
    let mut http = Http::open(&server);
    keyed(&mut http, "k", "/incr/n", "");
    for _ in 0..1000 {
        if keyed(&mut http, "k", "/incr/n", "").header("idempotency-replayed").is_none() {
            break;
        }
        pause(Duration::from_millis(10));
    }
    assert_eq!(count(&server, "n"), "2");
    http.ask("POST", "/set/big", "", &[b'x'; 4000]);
    for n in 0..200 {
        keyed(&mut http, &format!("many:{n}"), "/get/big", "");
    }
    let mut operator = server.connect().unwrap();
    let info = operator.call(&["INFO", "stats"]).unwrap().text().unwrap();
    let of = |name: &str| -> u64 {
        let line = info.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').parse().unwrap()
    };
    assert!((1..=65_536).contains(&of("rest_idempotent_bytes")), "{info}");
    assert!((5..20).contains(&of("rest_idempotent_answers")), "{info}");
    // One that is too large to be kept is still not run again.
    http.ask("POST", "/set/huge", "", &[b'x'; 20_000]);
    assert_eq!(keyed(&mut http, "huge", "/append/huge", "x").status, 200);
    assert_eq!(keyed(&mut http, "large", "/get/huge", "").body.len(), 20_014);
    assert_eq!(keyed(&mut http, "large", "/get/huge", "").status, 409);
}
