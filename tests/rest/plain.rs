//! Requests that are read without hyper, and those that hyper reads: nobody can tell which it was.

use std::time::Duration;

use serde_json::json;

use crate::client::{Http, Response, bare, request};
use crate::start;
use crate::support::server::{REST_TOKEN, Server, pause};

/// A header that says nothing here, but is left to hyper.
const HYPER: &str = "TE: trailers\r\n";

/// What a response says, without the time.
fn told(response: &Response) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let mut headers: Vec<_> =
        response.headers.iter().filter(|(name, _)| name != "date").cloned().collect();
    headers.sort();
    (response.status, headers, response.body.clone())
}

fn ask(server: &Server, bytes: &[u8]) -> Response {
    let mut http = Http::open(server);
    http.send(bytes);
    http.read("GET")
}

#[test]
fn both_readers_answer_alike() {
    let server = start(&["--rest-path-prefix", "/redis", "--rest-max-body", "1024"]);
    let mut http = Http::open(&server);
    http.ask("POST", "/set/text", "", "a \"b\"\n\u{e9}".as_bytes());
    http.ask("POST", "/set/bytes", "", b"\x00\xff");
    http.ask("POST", "/rpush/list/1/2/3", "", b"");
    let large = "x".repeat(1025);
    let base64 = "Upstash-Encoding: base64\r\n";
    let resp2 = "Upstash-Response-Format: resp2\r\n";
    for (method, path, headers, body) in [
        ("GET", "/get/text", "", ""),
        ("GET", "/redis/get/text", "", ""),
        ("GET", "/get/bytes", base64, ""),
        ("GET", "/get/bytes", "", ""),
        ("GET", "/get/text", resp2, ""),
        ("GET", "/get/text", "upstash-response-format: xml\r\n", ""),
        ("GET", "/get/text", "Upstash-Encoding: base64\r\nUpstash-Response-Format: resp2\r\n", ""),
        ("GET", "/get/none?", "", ""),
        ("GET", "/lrange/list/0/-1", "", ""),
        ("GET", "/lrange/list?0&-1", "", ""),
        ("GET", "/set/q/v%20%2F?EX=100&_token=wrong", "", ""),
        ("GET", "/get", "", ""),
        ("GET", "/nothing/at/all", "", ""),
        ("GET", "/incr/text", "", ""),
        ("GET", "/", "", ""),
        ("GET", "//", "", ""),
        ("GET", "/health", "", ""),
        ("GET", "/ready", "", ""),
        ("GET", "/v1/take", "", ""),
        ("GET", "/subscribe", "", ""),
        ("GET", "/blpop/none/0", "", ""),
        ("POST", "/", "", r#"["GET","text"]"#),
        ("POST", "/", "", r#"["GET","#),
        ("POST", "/", "", r#"[["GET","text"]]"#),
        ("POST", "/", "", ""),
        ("POST", "/", "", &large),
        ("POST", "/echo", "", "any\r\n\r\nbytes"),
        ("POST", "/metrics", "", ""),
        ("POST", "/pipeline", "", r#"[["GET","text"],["INCR"],["LRANGE","list",0,-1]]"#),
        ("POST", "/pipeline", base64, r#"[["GET","bytes"]]"#),
        ("POST", "/pipeline", "", "{}"),
        ("POST", "/multi-exec", "", r#"[["GET","text"],["GET","none"]]"#),
        ("POST", "/multi-exec", "", r#"[["GET","text"],["INCR"]]"#),
        ("POST", "/v1/peek", "", r#"{"key":"l","rule":"5/60s"}"#),
        ("POST", "/v1/peek", "", r#"{"key":"l"}"#),
        ("POST", "/v1/gate/5%2F60s", "", ""),
    ] {
        let plain = ask(&server, &request(method, path, headers, body.as_bytes()));
        let headers = format!("{headers}{HYPER}");
        let hyper = ask(&server, &request(method, path, &headers, body.as_bytes()));
        assert_eq!(told(&plain), told(&hyper), "{method} {path} {headers} {body}");
        assert!(plain.header("date").is_some(), "{method} {path}");
    }
    for token in ["", "Authorization: Bearer wrong\r\n", "Authorization: \r\n"] {
        let plain = ask(&server, &bare("GET", "/get/text", token, b""));
        let hyper = ask(&server, &bare("GET", "/get/text", &format!("{token}{HYPER}"), b""));
        assert_eq!((plain.status, told(&plain)), (401, told(&hyper)), "{token}");
    }
}

/// Requests of both kinds on one connection, sent at once, are answered in their order.
#[test]
fn a_connection_goes_from_one_reader_to_the_other() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    for round in 0..3 {
        let chunked = format!(
            "POST /echo HTTP/1.1\r\nHost: x\r\nAuthorization: {REST_TOKEN}\r\n\
             Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        );
        let parts = [
            request("GET", "/incr/n", "", b""),
            request("POST", "/", "", br#"["INCR","n"]"#),
            chunked.into_bytes(),
            request("GET", "/incr/n", "", b""),
            request("PUT", "/incr/n", "", b""),
            request("POST", "/", "", br#"["INCR","n"]"#),
        ];
        http.send(&parts.concat());
        let mut next = round * 5;
        for at in 0..parts.len() {
            let json = http.read("GET").json();
            if at == 2 {
                assert_eq!(json, json!({ "result": "abc" }));
                continue;
            }
            next += 1;
            assert_eq!(json, json!({ "result": next }));
        }
        // A while of silence, after which requests are read as at first.
        pause(Duration::from_millis(1200));
    }
}

/// A head, and a body that comes behind it, whole or byte by byte.
#[test]
fn a_body_may_come_behind_its_head() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    let all = request("POST", "/", "", br#"["INCR","n"]"#);
    let (head, body) = all.split_at(all.len() - 12);
    for (round, size) in [12, 6, 4, 1].into_iter().enumerate() {
        http.send(head);
        for piece in body.chunks(size) {
            pause(Duration::from_millis(20));
            http.send(piece);
        }
        assert_eq!(http.read("POST").json(), json!({ "result": round + 1 }));
    }
    // Two and a half requests, and then the rest.
    http.send(&[&all[..], &all, head].concat());
    assert_eq!(http.read("POST").json(), json!({ "result": 5 }));
    assert_eq!(http.read("POST").json(), json!({ "result": 6 }));
    http.send(body);
    assert_eq!(http.read("POST").json(), json!({ "result": 7 }));
}

/// Whoever is killed while plain requests are being answered is gone.
#[test]
fn who_is_killed_is_gone() {
    let server = start(&[]);
    let mut operator = server.connect().unwrap();
    let mut http = Http::open(&server);
    assert_eq!(http.ask("GET", "/ping", "", b"").status, 200);
    operator.call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).unwrap();
    assert!(http.is_closed());
}

/// An answer that does not fit the socket at once comes whole.
#[test]
fn a_large_answer_comes_whole() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    let big = vec![b'y'; 4 << 20];
    assert_eq!(http.ask("POST", "/set/big", "", &big).status, 200);
    pause(Duration::from_millis(1200));
    let get = request("GET", "/get/big", "", b"");
    http.send(&get.repeat(3));
    pause(Duration::from_millis(100));
    for _ in 0..3 {
        assert_eq!(http.read("GET").body.len(), big.len() + 13);
    }
    assert_eq!(http.ask("GET", "/ping", "", b"").status, 200);
}
