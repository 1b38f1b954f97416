//! The forms of a request: paths, queries, bodies, methods.

use serde_json::json;

use crate::client::Http;
use crate::start;

#[test]
fn a_path_is_a_command() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    for (method, path, body, result) in [
        ("GET", "/set/k/v", "", json!("OK")),
        ("GET", "/GeT/k", "", json!("v")),
        ("GET", "/get/k/", "", json!("v")),
        ("GET", "/get/none", "", json!(null)),
        ("POST", "/incr/n", "", json!(1)),
        ("PUT", "/incr/n", "", json!(2)),
        ("GET", "/mget/k/none/n", "", json!(["v", null, "2"])),
        ("GET", "/set/a%2Fb/c%20d%25", "", json!("OK")),
        ("POST", "/", r#"["GET","a/b"]"#, json!("c d%")),
        ("GET", "/set/k/100%zz%", "", json!("OK")),
        ("GET", "/get/k", "", json!("100%zz%")),
        ("GET", "/set/plus/1+1", "", json!("OK")),
        ("GET", "/get/plus", "", json!("1+1")),
        ("POST", "/set/k?PX=100000", "a/b ?&=\n", json!("OK")),
        ("GET", "/getdel/k", "", json!("a/b ?&=\n")),
        ("GET", "/set/k/v?NX&GET", "", json!(null)),
        ("GET", "/set/form?_token=secret-test-token&a+b%2B=", "", json!(null)),
        ("GET", "/echo/x?_token=secret-test-token", "", json!("x")),
        ("GET", "http://somewhere/echo/x", "", json!("x")),
        ("GET", "/echo/%C3%A9%E2%9C%93", "", json!("é✓")),
        ("GET", "/echo/%ff", "", json!("\u{fffd}")),
        // A client whose base address ends with a slash.
        ("POST", "//", r#"["ECHO","x"]"#, json!("x")),
        ("POST", "/", r#"["ECHO","cut \ud83d"]"#, json!("cut \u{fffd}")),
    ] {
        let response = http.ask(method, path, "", body.as_bytes());
        // The one that ends in a syntax error shows that its query was taken apart.
        let wanted = match path.starts_with("/set/form") {
            true => json!({ "error": "ERR syntax error" }),
            false => json!({ "result": result }),
        };
        assert_eq!(response.json(), wanted, "{method} {path}");
    }
}

#[test]
fn slashes_around_a_path_count_for_nothing() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    for path in ["/pipeline", "//pipeline", "/pipeline/", "//multi-exec//", "/multi-exec?a=b"] {
        let response = http.ask("POST", path, "", br#"[["PING"]]"#);
        assert_eq!(response.json(), json!([{ "result": "PONG" }]), "{path}");
    }
    let metrics = http.ask("GET", "/metrics/", "", b"");
    assert!(metrics.text().contains("eave_"), "{}", metrics.text());
}

#[test]
fn a_body_is_an_argument_of_any_bytes() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(http.ask("POST", "/set/k", "", &bytes).text(), r#"{"result":"OK"}"#);
    let resp = http.ask("GET", "/get/k", "Upstash-Response-Format: resp2\r\n", b"");
    assert_eq!(resp.body, [b"$256\r\n", &*bytes, b"\r\n"].concat());
    // A large one comes in many pieces.
    let large = vec![b'x'; 3 << 20];
    assert_eq!(http.ask("PUT", "/set/large", "", &large).status, 200);
    assert_eq!(http.ask("GET", "/strlen/large", "", b"").json(), json!({ "result": 3 << 20 }));
    assert_eq!(http.ask("GET", "/get/large", "", b"").body.len(), (3 << 20) + 13);
}

#[test]
fn chunked_bodies_are_bodies() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    http.send(
        b"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: secret-test-token\r\n\
          Transfer-Encoding: chunked\r\n\r\n6\r\n[\"ECHO\r\n6;x=y\r\n\",\"a\"]\r\n0\r\n\r\n",
    );
    assert_eq!(http.read("POST").json(), json!({ "result": "a" }));
}

#[test]
fn methods() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    http.ask("GET", "/set/k/value", "", b"");
    for method in ["DELETE", "PATCH", "TRACE", "FOO"] {
        for path in ["/get/k", "/pipeline", "/"] {
            let response = http.ask(method, path, "", b"");
            assert_eq!((response.status, response.text()), (405, String::new()), "{method} {path}");
        }
    }
    let head = http.ask("HEAD", "/get/k", "", b"");
    assert_eq!((head.status, head.text()), (200, String::new()));
    assert_eq!(http.ask("HEAD", "/incr/k", "", b"").status, 400);
    // The connection is still in step.
    assert_eq!(http.ask("GET", "/get/k", "", b"").json(), json!({ "result": "value" }));
    let options = http.ask("OPTIONS", "/pipeline", "", b"");
    assert_eq!((options.status, options.text()), (200, String::new()));
}

#[test]
fn what_is_no_command_is_told_so() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    let not_over_rest = "is not allowed in REST or it has a special context path";
    for (method, path, body, error) in [
        ("GET", "/", "", "ERR empty command"),
        ("GET", "//", "", "ERR empty command"),
        ("POST", "/", "", "ERR empty command"),
        ("POST", "/", "[]", "ERR empty command"),
        ("POST", "/", "{}", "ERR failed to parse command: expected a JSON array"),
        ("GET", "/nosuch/x", "", "ERR Command is not available: 'nosuch'. See "),
        ("GET", "/a%0d%0ab", "", "ERR Command is not available: 'a\r\nb'. See "),
        ("GET", "/get", "", "ERR wrong number of arguments for 'get' command"),
        ("GET", "/multi/3", "", &format!("ERR Command \"MULTI\" {not_over_rest}")),
        (
            "POST",
            "/",
            "[\"SUBSCRIBE\",\"c\"]",
            &format!("ERR Command \"SUBSCRIBE\" {not_over_rest}"),
        ),
        ("GET", "/hello", "", &format!("ERR Command \"HELLO\" {not_over_rest}")),
        ("GET", "/client/nosuch", "", "ERR unknown subcommand 'nosuch'"),
        ("GET", "/select/1", "", "ERR only database 0"),
        ("GET", "/pipeline", "", "ERR empty pipeline request"),
    ] {
        let response = http.ask(method, path, "", body.as_bytes());
        assert_eq!(response.status, 400, "{path}");
        let answer = response.json();
        let text = answer["error"].as_str().unwrap_or_default();
        assert!(text.starts_with(error), "{path} {body}: {text}");
        assert_eq!(answer.as_object().map(serde_json::Map::len), Some(1));
    }
    let setinfo = http.ask("GET", "/client/setinfo/LIB-NAME/x", "", b"");
    assert_eq!(setinfo.text(), r#"{"result":"OK"}"#);
}
