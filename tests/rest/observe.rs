//! What the door tells of the server: commands as they are run, metrics, whether it is ready.

use serde_json::json;

use crate::client::{Http, bare, once};
use crate::events::Stream;
use crate::start;
use crate::support::reply::Reply;
use crate::support::server::free_address;

#[test]
fn commands_are_told_as_they_are_run() {
    let server = start(&[]);
    let mut stream = Stream::open(&server, "POST", "/monitor", b"");
    assert!(stream.head.starts_with("HTTP/1.1 200 OK\r\n"), "{}", stream.head);
    assert_eq!(stream.chunk(), "data: \"OK\"\n\n");
    let mut client = server.connect().unwrap();
    client.call(&["SET", "k", "a \"quoted\"\r\nline"]).unwrap();
    let line = stream.chunk();
    assert!(line.starts_with("data: 1") && line.ends_with("\n\n"), "{line}");
    assert!(line.contains("[0 127.0.0.1:"), "{line}");
    assert!(line.contains(r#"] "SET" "k" "a \"quoted\"\r\nline""#), "{line}");
    // What comes by REST is told as well, and no secret is.
    let mut http = Http::open(&server);
    http.ask("GET", "/get/k", "", b"");
    assert!(stream.chunk().ends_with("] \"get\" \"k\"\n\n"));
    client.call(&["AUTH", "hunter2"]).unwrap();
    client.call(&["ACL", "SETUSER", "ann", ">hunter2"]).unwrap();
    client.call(&["PING"]).unwrap();
    let lines = stream.until("\"PING\"\n\n");
    assert!(lines.contains("(redacted)") && !lines.contains("hunter2"), "{lines}");
    let info = client.call(&["INFO", "clients"]).unwrap().text().unwrap();
    assert!(info.contains("monitoring_clients:1"), "{info}");
}

#[test]
fn who_has_gone_watches_no_more() {
    let server = start(&[]);
    let mut client = server.connect().unwrap();
    for _ in 0..5 {
        Stream::open(&server, "GET", "/Monitor", b"").chunk();
    }
    for _ in 0..1000 {
        let Ok(Reply::Bulk(info)) = client.call(&["INFO", "clients"]) else { panic!() };
        if String::from_utf8_lossy(&info).contains("monitoring_clients:0") {
            return;
        }
        crate::support::server::pause(std::time::Duration::from_millis(5));
    }
    panic!("somebody still watches");
}

#[test]
fn watching_and_metrics_take_a_right() {
    let server = start(&["--rest-token-readonly", "reader"]);
    let with = |token: &str| format!("Authorization: Bearer {token}\r\n");
    for (method, path) in [("POST", "/monitor"), ("GET", "/metrics")] {
        assert_eq!(once(&server, &bare(method, path, "", b"")).status, 401, "{path}");
        let refused = once(&server, &bare(method, path, &with("reader"), b""));
        assert_eq!(refused.status, 400, "{path}");
        assert!(refused.text().contains("NOPERM"), "{}", refused.text());
    }
    // Over REST these two are paths of their own.
    let mut http = Http::open(&server);
    let refused = http.post("/", "[\"MONITOR\"]");
    assert!(refused.text().contains("special context path"), "{}", refused.text());
    assert_eq!(http.ask("POST", "/metrics", "", b"").status, 400);
}

#[test]
fn metrics_are_those_of_info() {
    let address = free_address();
    let server = start(&["--rest-metrics-port", &address.port().to_string()]);
    let mut http = Http::open(&server);
    http.ask("GET", "/set/k/v", "", b"");
    http.ask("GET", "/get/k", "", b"");
    http.ask("GET", "/get/none", "", b"");
    http.ask("GET", "/incr/k", "", b"");
    let response = http.ask("GET", "/metrics", "", b"");
    assert_eq!(response.status, 200);
    let kind = response.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let text = response.text();
    for line in [
        "# TYPE eave_keyspace_hits_total counter",
        "eave_keyspace_hits_total 1",
        "eave_keyspace_misses_total 1",
        "eave_command_calls_total{command=\"get\"} 2",
        "eave_command_failed_total{command=\"incr\"} 1",
        "eave_errors_total{code=\"ERR\"} 1",
        "eave_keys{db=\"0\"} 1",
        "# TYPE eave_memory_used_bytes gauge",
        "eave_rest_connections 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("eave_info{version=\"") && text.contains("role=\"master\"} 1\n"));
    // Every line is a comment, or a name with labels and a number.
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("eave_") && value.parse::<f64>().is_ok(), "{line}");
    }
    // At an address of its own it takes no token, and nothing else is there.
    let ask = |head: &str| {
        let mut http = Http::at(address);
        http.send(head.as_bytes());
        let response = http.read("GET");
        assert!(http.is_closed());
        response
    };
    let open = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(open.status == 200 && open.text().contains("eave_keyspace_hits_total 1\n"));
    assert_eq!(ask("GET /get/k HTTP/1.1\r\n\r\n").status, 404);
    assert_eq!(ask("POST /metrics HTTP/1.1\r\n\r\n").status, 405);
    let mut long = Http::at(address);
    long.send(&vec![b'x'; 20_000]);
    assert!(long.is_closed());
}

#[test]
fn who_follows_nobody_it_reaches_is_alive_and_not_ready() {
    let server = start(&[]);
    let ask = |path: &str| once(&server, &bare("GET", path, "", b""));
    assert_eq!((ask("/health").status, ask("/ready").status), (200, 200));
    // Nobody listens on this port: it was just free, and is nobody's.
    let port = free_address().port();
    let mut client = server.connect().unwrap();
    client.call(&["REPLICAOF", "127.0.0.1", &port.to_string()]).unwrap();
    assert_eq!(ask("/health").status, 200);
    let unready = ask("/ready");
    assert_eq!(unready.status, 503);
    assert!(unready.json()["status"].is_string());
    client.call(&["REPLICAOF", "NO", "ONE"]).unwrap();
    assert_eq!(ask("/ready").json(), json!({ "status": "ok" }));
}
