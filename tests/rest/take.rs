//! Rate limits over HTTP.

use serde_json::json;

use crate::client::{Http, Response, bare, once};
use crate::start;

fn numbers(response: &Response) -> [i64; 4] {
    let body = response.json();
    ["limit", "remaining", "retryAfterMs", "resetAfterMs"].map(|name| body[name].as_i64().unwrap())
}

#[test]
fn allowed_up_to_the_limit_and_then_not() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    let demand = r#"{"key":"user:1","rule":"2/1h"}"#;
    for remaining in [1, 0] {
        let response = http.post("/v1/take", demand);
        assert_eq!(response.status, 200, "{response:?}");
        let body = response.json();
        assert_eq!((&body["allowed"], &body["rule"]), (&json!(true), &json!("2/1h")));
        let [limit, left, retry, reset] = numbers(&response);
        assert_eq!((limit, left, retry), (2, remaining, 0));
        assert!((1..=3_700_000).contains(&reset), "{reset}");
        assert_eq!(response.header("ratelimit-policy"), Some("\"default\";q=2;w=3600"));
        let rate = response.header("ratelimit").unwrap_or_default();
        assert!(rate.starts_with(&format!("\"default\";r={remaining};t=")), "{rate}");
        assert_eq!(response.header("retry-after"), None);
        assert!(response.header("upstash-sync-token").is_some());
    }
    let refused = http.post("/v1/take", demand);
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    let body = refused.json();
    assert_eq!(body["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(body["allowed"], false);
    let [_, left, retry, _] = numbers(&refused);
    assert_eq!(left, 0);
    let seconds = (retry + 999) / 1000;
    assert_eq!(refused.header("retry-after"), Some(&*seconds.to_string()));
    assert_eq!(refused.header("ratelimit"), Some(&*format!("\"default\";r=0;t={seconds}")));
    let forced = http.post("/v1/take?status=200", demand);
    assert_eq!((forced.status, &forced.json()["allowed"]), (200, &json!(false)));
}

#[test]
fn a_peek_takes_nothing_and_a_reader_may() {
    let server = start(&["--rest-token-readonly", "reader"]);
    let mut http = Http::open(&server);
    let demand = br#"{"limits":[{"key":"k","rule":"1/1h"}],"cost":1}"#;
    let reader = "Authorization: Bearer reader\r\n";
    for _ in 0..3 {
        let peeked = once(&server, &bare("POST", "/v1/peek", reader, demand));
        assert_eq!((peeked.status, &peeked.json()["allowed"]), (200, &json!(true)));
    }
    let refused = once(&server, &bare("POST", "/v1/take", reader, demand));
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("NOPERM"), "{refused:?}");
    assert_eq!(http.ask("POST", "/v1/take", "", demand).status, 200);
    let peeked = http.ask("POST", "/v1/peek", "", demand);
    assert_eq!((peeked.status, &peeked.json()["allowed"]), (429, &json!(false)));
}

#[test]
fn bad_demands_take_nothing() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    http.ask("GET", "/set/text/x", "", b"");
    for (demand, error) in [
        ("", "ERR invalid JSON"),
        ("[]", "ERR "),
        ("{}", "ERR give either"),
        (r#"{"key":"k"}"#, "ERR give either"),
        (r#"{"key":"k","rule":"many/1h"}"#, "ERR invalid rule"),
        (r#"{"key":"k","rule":"9/1h","cost":-1}"#, "ERR "),
        (r#"{"key":"k","rule":"9/1h","cost":"2"}"#, "ERR invalid request"),
        (r#"{"key":"text","rule":"9/1h"}"#, "WRONGTYPE"),
        (r#"{"limits":[{"key":"k","rule":"9/1h"},{"key":"l","rule":"9/1h"}]}"#, "ERR several"),
    ] {
        let response = http.post("/v1/take", demand);
        assert_eq!(response.status, 400, "{demand}");
        let text = response.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(text.starts_with(error), "{demand}: {text}");
    }
    assert_eq!(http.ask("GET", "/exists/k/l", "", b"").json(), json!({ "result": 0 }));
    assert_eq!(http.ask("GET", "/v1/take", "", b"").status, 405);
    assert_eq!(http.ask("GET", "/v1/nosuch", "", b"").status, 400);
}

#[test]
fn no_more_than_the_limit_gets_through_at_once() {
    let server = start(&[]);
    let admitted: usize = std::thread::scope(|threads| {
        let client = || {
            let mut http = Http::open(&server);
            let take = || http.post("/v1/take", r#"{"key":"k","rule":"50/1h"}"#).status;
            std::iter::repeat_with(take).take(50).filter(|status| *status == 200).count()
        };
        let clients: Vec<_> = (0..4).map(|_| threads.spawn(client)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(admitted, 50);
}
