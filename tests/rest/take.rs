//! Rate limits over HTTP.

use serde_json::json;

use crate::client::{Http, Response, bare, once};
use crate::start;
use crate::support::server::REST_TOKEN;

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
        (r#"{"limits":[{"key":"k","rule":"9/1h"},{"key":"text","rule":"9/1h"}]}"#, "WRONGTYPE"),
        (r#"{"limits":[{"key":"k","rule":"9/1h"},{"key":"l","rule":"@nobody"}]}"#, "NORULE"),
        (r#"{"limits":[]}"#, "ERR limits must not be empty"),
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

#[test]
fn several_limits_are_all_or_nothing() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    http.ask("GET", "/rl.rule/set/burst/2%2F1s", "", b"");
    let two = r#"{"limits":[{"key":"a","rule":"@burst"},{"key":"a:day","rule":"3/1d","cost":2}]}"#;
    let taken = http.post("/v1/take", two);
    assert_eq!(taken.status, 200, "{taken:?}");
    let body = taken.json();
    assert_eq!((&body["allowed"], &body["retryAfterMs"]), (&json!(true), &json!(0)));
    assert_eq!(body["limits"][0]["remaining"], 1);
    let second = (&body["limits"][1]["key"], &body["limits"][1]["remaining"]);
    assert_eq!(second, (&json!("a:day"), &json!(1)));
    let policies = taken.header("ratelimit-policy");
    assert_eq!(policies, Some("\"burst\";q=2;w=1, \"3/1d\";q=3;w=86400"));
    let rate = taken.header("ratelimit").unwrap_or_default();
    assert!(rate.starts_with("\"burst\";r=1;t=") && rate.contains(", \"3/1d\";r=1;t="), "{rate}");
    let refused = http.post("/v1/take", two);
    assert_eq!(refused.status, 429, "{refused:?}");
    let body = refused.json();
    assert_eq!(body["violated-policies"], json!(["3/1d"]));
    assert_eq!((&body["allowed"], &body["limits"][0]["remaining"]), (&json!(false), &json!(1)));
    assert_eq!(body["retryAfterMs"], body["limits"][1]["retryAfterMs"]);
    assert!(refused.header("retry-after").is_some());
    let given = http.post("/v1/give", r#"{"limits":[{"key":"a:day","rule":"3/1d","cost":2}]}"#);
    assert_eq!((given.status, &given.json()["limits"][0]["remaining"]), (200, &json!(3)));
    let peeked = http.post("/v1/peek", two);
    assert_eq!((peeked.status, &peeked.json()["allowed"]), (200, &json!(true)));
    let reset = http.post("/v1/reset", r#"{"keys":["a","a:day","other"]}"#);
    assert!(
        reset.json() == json!({"reset": 1}) || reset.json() == json!({"reset": 0}),
        "{reset:?}"
    );
}

#[test]
fn a_hold_is_settled() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    let held = http.post("/v1/hold", r#"{"key":"k","rule":"10/1h","cost":6,"ttlMs":60000}"#);
    assert_eq!((held.status, &held.json()["remaining"]), (200, &json!(4)), "{held:?}");
    let id = held.json()["id"].as_str().unwrap_or_default().to_owned();
    assert!(id.ends_with("@k"), "{id}");
    let refused = http.post("/v1/take", r#"{"key":"k","rule":"10/1h","cost":5}"#);
    assert_eq!(refused.status, 429);
    let settled = http.post("/v1/settle", &json!({"id": id, "actual": 1}).to_string());
    assert_eq!((settled.status, &settled.json()["remaining"]), (200, &json!(9)), "{settled:?}");
    let again = http.post("/v1/settle", &json!({"id": id, "actual": 1}).to_string());
    assert_eq!(again.status, 400);
    assert!(again.text().contains("NOHOLD"), "{again:?}");
    let slot = r#"{"key":"c","rule":"1/conc","ttlMs":60000,"id":"worker"}"#;
    let held = http.post("/v1/hold", slot);
    let policy = held.header("ratelimit-policy");
    assert_eq!(policy, Some("\"default\";q=1;qu=\"concurrent-requests\""));
    let two = r#"{"holds":[{"id":"worker@c","actual":1}]}"#;
    let settled = http.post("/v1/settle", two);
    assert_eq!((settled.status, &settled.json()["limits"][0]["remaining"]), (200, &json!(1)));
}

/// What nginx, Traefik and Caddy ask.
#[test]
fn the_gate_answers_proxies() {
    let server = start(&["--rest-x-ratelimit", "delta"]);
    let mut http = Http::open(&server);
    http.ask("GET", "/rl.rule/set/pro/1%2F1h/DENY/bad", "", b"");
    http.ask("GET", "/rl.list/add/bad/DENY/10.0.0.0%2F8", "", b"");
    let mut ask = |path: &str, headers: &str| http.ask("GET", path, headers, b"");
    let by_address = "/v1/gate/pro?key=pro:{x-real-ip}";
    let passed = ask(by_address, "X-Real-IP: 1.2.3.4\r\n");
    assert_eq!((passed.status, &*passed.body), (204, &b""[..]));
    assert_eq!(passed.header("ratelimit-policy"), Some("\"pro\";q=1;w=3600"));
    assert_eq!(passed.header("x-ratelimit-remaining"), Some("0"));
    let refused = ask(by_address, "X-Real-IP: 1.2.3.4\r\n");
    assert_eq!((refused.status, &refused.json()["violated-policies"]), (429, &json!(["pro"])));
    assert!(refused.header("retry-after").is_some());
    let other = ask(by_address, "X-Real-IP: 1.2.3.5\r\n");
    assert_eq!(other.status, 204);
    for (deny, status) in [("401", 401), ("403", 403), ("429", 429), ("503", 503)] {
        let path = format!("{by_address}&deny={deny}");
        assert_eq!(ask(&path, "X-Real-IP: 1.2.3.4\r\n").status, status);
    }
    let denied = ask(by_address, "X-Real-IP: 10.9.9.9\r\n");
    assert_eq!((denied.status, &denied.json()["denied"]), (403, &json!(true)));
    let denied = ask("/v1/gate/pro?key=all&for={x-real-ip}", "X-Real-IP: 10.9.9.9\r\n");
    assert_eq!(denied.status, 403);
    assert_eq!(ask("/v1/gate/5/1h?key=k&cost=5", "").status, 204);
    assert_eq!(ask("/v1/gate/5%2F1h?key=k", "").status, 429);
    for (path, error) in [
        ("/v1/gate/pro", "ERR key is missing"),
        ("/v1/gate/nobody?key=k", "NORULE"),
        ("/v1/gate/pro?key=k&cost=x", "ERR value"),
        ("/v1/gate/pro?key=k&deny=404", "ERR deny"),
        ("/v1/gate/pro?key={x-nobody}", "ERR header x-nobody is missing"),
    ] {
        let response = ask(path, "");
        assert_eq!(response.status, 400, "{path}");
        let text = response.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(text.starts_with(error), "{path}: {text}");
    }
}

/// What Traefik's forwardAuth and Caddy's forward_auth send: a GET about somebody else's request, with what
/// that was in headers of theirs, and the token in the address, for neither adds a header of its own.
#[test]
fn the_gate_answers_what_proxies_forward() {
    let server = start(&["--rest-x-ratelimit", "delta"]);
    let path = format!(
        "/v1/gate/2%2F1h?key=site:{{x-forwarded-for:first}}:{{x-forwarded-method}}&_token={REST_TOKEN}"
    );
    let ask = |headers: &str| {
        let mut http = Http::open(&server);
        http.send(&bare("GET", &path, headers, b""));
        http.read("GET")
    };
    let traefik = "X-Forwarded-For: 203.0.113.7, 10.0.0.2\r\nX-Forwarded-Host: shop.example\r\n\
                   X-Forwarded-Method: POST\r\nX-Forwarded-Proto: https\r\n\
                   X-Forwarded-Uri: /login?next=%2F\r\n";
    let caddy = "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Host: shop.example\r\n\
                 X-Forwarded-Method: POST\r\nX-Forwarded-Proto: https\r\n\
                 X-Forwarded-Uri: /login?next=%2F\r\n";
    // The same visitor by either.
    for (headers, left) in [(traefik, "1"), (caddy, "0")] {
        let passed = ask(headers);
        assert_eq!((passed.status, &*passed.body), (204, &b""[..]));
        // Headers that they are told to copy onto the answer.
        assert_eq!(passed.header("x-ratelimit-remaining"), Some(left));
        assert!(passed.header("ratelimit").is_some());
    }
    for headers in [traefik, caddy] {
        // Which the visitor gets as it is.
        let refused = ask(headers);
        assert_eq!(refused.status, 429);
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
        assert!(refused.header("retry-after").is_some());
    }
    assert_eq!(ask(&caddy.replace("POST", "PUT")).status, 204);
}
