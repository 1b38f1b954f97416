//! Bounds: connections of an address, bodies at once, and what the settings say of forms.

use std::time::Duration;

use serde_json::json;

use crate::client::{Http, bare, once, request};
use crate::start;
use crate::support::server::{REST_TOKEN, pause};

#[test]
fn an_address_has_its_share_of_connections() {
    let server = start(&["--rest-max-connections-per-address", "3"]);
    let mut held: Vec<Http> = Vec::new();
    while held.len() < 3 {
        let mut http = Http::open(&server);
        http.send(&request("GET", "/ping", "", b""));
        if http.read("GET").status == 200 {
            held.push(http);
        }
    }
    let refused = Http::open(&server).read("GET");
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json(), json!({ "error": "ERR max concurrent connections exceeded" }));
    let mut client = server.connect().unwrap();
    let set = ["CONFIG", "SET", "rest-max-connections-per-address", "0"];
    client.call(&set).unwrap();
    assert_eq!(Http::open(&server).ask("GET", "/ping", "", b"").status, 200);
}

/// A body of which a part has come, and the connection that sends it.
fn half_a_body(server: &crate::support::server::Server, bytes: usize) -> Http {
    let mut http = Http::open(server);
    let head = format!(
        "POST /set/k HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {REST_TOKEN}\r\n\
         Content-Length: {}\r\n\r\n",
        bytes + 1
    );
    http.send(head.as_bytes());
    http.send(&vec![b'x'; bytes]);
    http
}

#[test]
fn bodies_at_once_are_bounded() {
    let server = start(&["--rest-max-gathered", "100kb", "--rest-max-requests", "3"]);
    let mut client = server.connect().unwrap();
    let mut info = |name: &str| -> u64 {
        let text = client.call(&["INFO", "stats"]).unwrap().text().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').parse().unwrap()
    };
    let mut first = half_a_body(&server, 60_000);
    while info("rest_gathered_bytes") < 60_000 {
        pause(Duration::from_millis(5));
    }
    let mut second = half_a_body(&server, 60_000);
    let refused = second.read("POST");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.json(), json!({ "error": "ERR max concurrent requests exceeded" }));
    first.send(b"x");
    assert_eq!(first.read("POST").status, 200);
    while info("rest_requests_waiting") > 0 {
        pause(Duration::from_millis(5));
    }
    let held: Vec<Http> = (0..3).map(|_| half_a_body(&server, 10)).collect();
    while info("rest_requests_waiting") < 3 {
        pause(Duration::from_millis(5));
    }
    assert_eq!(half_a_body(&server, 10).read("POST").status, 503);
    // What comes at once is no burden.
    assert_eq!(once(&server, &request("POST", "/set/k", "", b"v")).status, 200);
    drop(held);
    while info("rest_requests_waiting") > 0 || info("rest_gathered_bytes") > 0 {
        pause(Duration::from_millis(5));
    }
}

#[test]
fn a_prefix_may_stand_before_every_path() {
    let server = start(&["--rest-path-prefix", "/redis/eu"]);
    let mut http = Http::open(&server);
    for prefix in ["/redis/eu", ""] {
        assert_eq!(http.ask("GET", &format!("{prefix}/set/k/v"), "", b"").status, 200);
        let answer = http.post(&format!("{prefix}/pipeline"), r#"[["GET","k"]]"#);
        assert_eq!(answer.json(), json!([{ "result": "v" }]));
        let answer = http.post(&format!("{prefix}/"), r#"["GET","k"]"#);
        assert_eq!(answer.json(), json!({ "result": "v" }));
        assert_eq!(once(&server, &bare("GET", &format!("{prefix}/health"), "", b"")).status, 200);
    }
    assert_eq!(http.post("/redis/eu", r#"["GET","k"]"#).json(), json!({ "result": "v" }));
    assert_eq!(http.ask("GET", "/other/get/k", "", b"").status, 400);
}

#[test]
fn big_integers_are_strings_unless_told() {
    let big = i64::MAX;
    for (setting, wanted, encoded) in [
        ("string", json!(big.to_string()), json!("OTIyMzM3MjAzNjg1NDc3NTgwNw==")),
        ("number", json!(big), json!(big)),
    ] {
        let server = start(&["--rest-big-integers", setting]);
        let mut http = Http::open(&server);
        http.ask("GET", &format!("/set/n/{}", big - 1), "", b"");
        assert_eq!(http.post("/", r#"["INCR","n"]"#).json(), json!({ "result": wanted }));
        let base64 = "Upstash-Encoding: base64\r\n";
        let piped = http.ask("POST", "/pipeline", base64, br#"[["INCRBY","n",0]]"#);
        assert_eq!(piped.json(), json!([{ "result": encoded }]));
        let all = http.ask("POST", "/multi-exec", "", br#"[["INCRBY","n",0]]"#);
        assert_eq!(all.json(), json!([{ "result": wanted }]));
        http.ask("GET", "/set/n/9007199254740991", "", b"");
        assert_eq!(
            http.post("/", r#"["INCRBY","n",0]"#).json()["result"],
            9_007_199_254_740_991_i64
        );
    }
}

#[test]
fn what_is_planned_says_so() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    for (name, yet) in [
        ("SEARCH.QUERY", " yet"),
        ("vector.create", " yet"),
        ("ARSET", " yet"),
        ("ARCHIVE", ""),
        ("NOSUCH", ""),
    ] {
        let answer = http.post("/", &format!("[\"{name}\",\"k\"]"));
        let wanted = format!("ERR Command is not available{yet}: '{name}'. See docs/commands.md");
        assert_eq!((answer.status, answer.json()), (400, json!({ "error": wanted })));
    }
}

#[test]
fn answers_say_what_may_be_done_instead() {
    let server = start(&[]);
    let refused = once(&server, &request("DELETE", "/get/k", "", b""));
    assert_eq!((refused.status, refused.body.len()), (405, 0));
    assert_eq!(refused.header("allow"), Some("GET, HEAD, POST, PUT, OPTIONS"));
    let refused = once(&server, &bare("GET", "/get/k", "", b""));
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
}

/// A connection that has been silent is put away, and goes on as if it had not been.
#[test]
fn the_silent_go_on_where_they_were() {
    let server = start(&[]);
    let mut all: Vec<Http> = (0..10).map(|_| Http::open(&server)).collect();
    for round in 0..3 {
        for (at, http) in all.iter_mut().enumerate() {
            let echo = http.ask("GET", &format!("/echo/{at}.{round}"), "", b"");
            assert_eq!(echo.json(), json!({ "result": format!("{at}.{round}") }));
        }
        pause(Duration::from_millis(1200));
    }
    // In pieces, with silence in between.
    let bytes = request("POST", "/", "", br#"["ECHO","slow"]"#);
    let (head, tail) = bytes.split_at(40);
    all[0].send(head);
    pause(Duration::from_millis(1200));
    all[0].send(tail);
    assert_eq!(all[0].read("POST").json(), json!({ "result": "slow" }));
}
