//! Headers: tokens, encodings, formats, sync tokens, CORS.

use serde_json::json;

use crate::client::{Http, bare, once};
use crate::start;
use crate::support::server::REST_TOKEN;

#[test]
fn a_wrong_token_is_refused_without_a_hint() {
    let server = start(&[]);
    let wrong = "x".repeat(REST_TOKEN.len());
    let mut bodies = Vec::new();
    for authorization in [
        String::new(),
        "Authorization: \r\n".to_owned(),
        "Authorization: Bearer\r\n".to_owned(),
        "Authorization: Bearer \r\n".to_owned(),
        format!("Authorization: Bearer {wrong}\r\n"),
        format!("Authorization: Bearer {REST_TOKEN}x\r\n"),
        format!("Authorization: Basic {REST_TOKEN}\r\n"),
        format!("X-Authorization: Bearer {REST_TOKEN}\r\n"),
    ] {
        for (method, path) in [("GET", "/echo/x"), ("POST", "/pipeline"), ("POST", "/v1/take")] {
            let response = once(&server, &bare(method, path, &authorization, b""));
            assert_eq!(response.status, 401, "{authorization}");
            assert_eq!(response.header("upstash-sync-token"), None);
            bodies.push(response.text());
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert!(bodies[0].starts_with(r#"{"error":"WRONGPASS "#), "{bodies:?}");
    assert!(!server.log_tail().contains(&wrong));
}

#[test]
fn a_right_token_comes_in_many_ways() {
    let server = start(&[]);
    for (path, authorization, status) in [
        ("/echo/x", format!("Bearer {REST_TOKEN}"), 200),
        ("/echo/x", format!("bEARER {REST_TOKEN}"), 200),
        ("/echo/x", REST_TOKEN.to_owned(), 200),
        ("/echo/x?_token=secret-test-token", "Bearer wrong".to_owned(), 200),
        ("/echo/x?_token=secret%2Dtest%2dtoken", "Bearer wrong".to_owned(), 200),
        ("/echo/x?_token=wrong", format!("Bearer {REST_TOKEN}"), 401),
        ("/echo/x?_token=", format!("Bearer {REST_TOKEN}"), 401),
    ] {
        let headers = format!("Authorization: {authorization}\r\n");
        let response = once(&server, &bare("GET", path, &headers, b""));
        assert_eq!(response.status, status, "{path} {authorization}");
    }
}

#[test]
fn a_reading_token_reads() {
    let server = start(&["--rest-token-readonly", "reader"]);
    let mut http = Http::open(&server);
    http.ask("GET", "/set/k/v", "", b"");
    for (path, body, status) in [
        ("/get/k", "", 200),
        ("/mget/k/x", "", 200),
        ("/ping", "", 200),
        ("/echo/x", "", 200),
        ("/client/setinfo/LIB-NAME/x", "", 200),
        ("/set/k/w", "", 400),
        ("/getdel/k", "", 400),
        ("/flushall", "", 400),
        ("/config/get/rest-token", "", 400),
        ("/config/set/maxmemory/1", "", 400),
        ("/client/list", "", 400),
        ("/info", "", 400),
        ("/pipeline", r#"[["GET","k"]]"#, 200),
        ("/multi-exec", r#"[["GET","k"],["SET","k","w"]]"#, 400),
        ("/multi-exec", r#"[["GET","k"]]"#, 200),
    ] {
        http.send(&bare("POST", path, "Authorization: Bearer reader\r\n", body.as_bytes()));
        let response = http.read("POST");
        assert_eq!(response.status, status, "{path} {body}: {}", response.text());
        if status == 400 {
            assert!(response.text().contains("NOPERM "), "{path}: {}", response.text());
        }
    }
    http.send(&bare(
        "POST",
        "/pipeline",
        "Authorization: reader\r\n",
        br#"[["DEL","k"],["SET","k","w"],["GET","k"]]"#,
    ));
    let items = http.read("POST").json();
    assert!(items[1]["error"].as_str().unwrap_or_default().starts_with("NOPERM "), "{items}");
    assert_eq!(items[2], json!({ "result": "v" }));
    // Rights are those of the request, not of the connection.
    assert_eq!(http.ask("GET", "/set/k/w", "", b"").status, 200);
}

#[test]
fn encodings_and_formats() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    let base64 = "Upstash-Encoding: base64\r\n";
    let resp = "Upstash-Response-Format: resp2\r\n";
    let both = format!("{base64}{resp}");
    for (path, headers, status, body) in [
        ("/set/k/OK", base64, 200, r#"{"result":"OK"}"#),
        ("/get/k", base64, 200, r#"{"result":"T0s="}"#),
        ("/ping", base64, 200, r#"{"result":"UE9ORw=="}"#),
        ("/mget/k/none", base64, 200, r#"{"result":["T0s=",null]}"#),
        ("/strlen/k", base64, 200, r#"{"result":2}"#),
        ("/incr/k", base64, 400, r#"{"error":"ERR value is not an integer or out of range"}"#),
        ("/set/n/9223372036854775806", "", 200, r#"{"result":"OK"}"#),
        ("/incr/n", "", 200, r#"{"result":"9223372036854775807"}"#),
        ("/decr/n", base64, 200, r#"{"result":"OTIyMzM3MjAzNjg1NDc3NTgwNg=="}"#),
        ("/set/n/9007199254740990", "", 200, r#"{"result":"OK"}"#),
        ("/incr/n", "", 200, r#"{"result":9007199254740991}"#),
        ("/incr/n", "", 200, r#"{"result":"9007199254740992"}"#),
        ("/get/k", resp, 200, "$2\r\nOK\r\n"),
        ("/get/none", resp, 200, "$-1\r\n"),
        ("/incr/k", resp, 400, "-ERR value is not an integer or out of range\r\n"),
        ("/get/k", "Upstash-Response-Format: JSON\r\n", 200, r#"{"result":"OK"}"#),
        ("/get/k", &both, 400, ""),
        ("/get/k", "Upstash-Response-Format: resp3\r\n", 400, ""),
    ] {
        let response = http.ask("GET", path, headers, b"");
        assert_eq!(response.status, status, "{path} {headers}");
        let is_resp = headers == resp;
        let kind =
            if is_resp { "application/octet-stream" } else { "application/json; charset=utf-8" };
        assert_eq!(response.header("content-type"), Some(kind), "{path}");
        if body.is_empty() {
            assert!(response.json()["error"].is_string());
        } else {
            assert_eq!(response.text(), body, "{path} {headers}");
        }
    }
    let commands = br#"[["GET","k"],["INCR","k"],["GET",null]]"#;
    let pipeline = http.ask("POST", "/pipeline", resp, commands);
    assert_eq!(
        pipeline.text(),
        "$2\r\nOK\r\n-ERR value is not an integer or out of range\r\n\
         -ERR null args are not supported\r\n"
    );
    let transaction = http.ask("POST", "/multi-exec", resp, br#"[["GET","k"]]"#);
    assert_eq!(transaction.text(), r#"[{"result":"OK"}]"#);
    let transaction = http.ask("POST", "/multi-exec", base64, br#"[["SET","k","OK"],["GET","k"]]"#);
    assert_eq!(transaction.text(), r#"[{"result":"OK"},{"result":"T0s="}]"#);
}

#[test]
fn a_sync_token_names_a_state() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    let mut token = |method: &str, path: &str, body: &str| {
        let response =
            http.ask(method, path, "upstash-sync-token: my-new-sync-token\r\n", body.as_bytes());
        response.header("upstash-sync-token").unwrap().to_owned()
    };
    let mut tokens = vec![
        token("GET", "/set/k/same", ""),
        token("GET", "/set/k/same", ""),
        token("POST", "/pipeline", r#"[["SET","k","same"]]"#),
        token("POST", "/multi-exec", r#"[["SET","k","same"],["SET","k","same"]]"#),
        token("GET", "/incr/n", ""),
    ];
    let last = tokens[4].clone();
    assert_eq!(token("GET", "/get/k", ""), last);
    assert_eq!(token("GET", "/nosuch", ""), last);
    assert_eq!(token("POST", "/pipeline", "nonsense"), last);
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 5, "{tokens:?}");
    assert!(tokens.iter().all(|token| !token.is_empty()));
}

#[test]
fn pages_of_other_origins() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    let origin = "Origin: https://app.example\r\n";
    http.send(&bare("OPTIONS", "/pipeline", origin, b""));
    let preflight = http.read("OPTIONS");
    assert_eq!(preflight.status, 200);
    let allowed = preflight.header("access-control-allow-headers").unwrap_or_default();
    for name in ["authorization", "content-type", "upstash-encoding", "upstash-sync-token"] {
        assert!(allowed.contains(name), "{name} in {allowed}");
    }
    assert!(preflight.header("access-control-allow-methods").unwrap_or_default().contains("POST"));
    // Errors too, or the page could not read them.
    for path in ["/ping", "/nosuch"] {
        let response = http.ask("GET", path, origin, b"");
        let header = |name| response.header(name);
        assert_eq!(header("access-control-allow-origin"), Some("https://app.example"));
        assert_eq!(header("access-control-allow-credentials"), Some("true"));
        let exposed = header("access-control-expose-headers").unwrap_or_default();
        assert!(exposed.contains("upstash-sync-token"));
    }
    let plain = http.ask("GET", "/ping", "", b"");
    assert_eq!(plain.header("access-control-allow-origin"), None);

    let closed = start(&["--rest-cors", "no"]);
    let response = Http::open(&closed).ask("GET", "/ping", origin, b"");
    assert_eq!(response.header("access-control-allow-origin"), None);
}

#[test]
fn health_needs_no_token() {
    let server = start(&[]);
    for path in ["/health", "/ready"] {
        let response = once(&server, &bare("GET", path, "", b""));
        assert_eq!((response.status, response.text()), (200, r#"{"status":"ok"}"#.to_owned()));
    }
    assert!(eave::rest::health::check(server.rest.unwrap()));
    assert!(!eave::rest::health::check(server.resp), "RESP is no HTTP");
}
