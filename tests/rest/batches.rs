//! Pipelines and transactions.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::client::Http;
use crate::start;

#[test]
fn a_pipeline_answers_each_command_in_order() {
    let server = start(&["--rest-max-pipeline", "1000"]);
    let mut http = Http::open(&server);
    let body =
        r#"[["SET","k","x"],["INCR","k"],["GET","k"],["GET",null],["GET","none"],["NOSUCH"]]"#;
    let response = http.post("/pipeline", body);
    assert_eq!(response.status, 200);
    let items = response.json();
    assert_eq!(items[0], json!({ "result": "OK" }));
    assert_eq!(items[1], json!({ "error": "ERR value is not an integer or out of range" }));
    assert_eq!(items[2], json!({ "result": "x" }));
    assert_eq!(items[3], json!({ "error": "ERR null args are not supported" }));
    assert_eq!(items[4], json!({ "result": null }));
    assert!(items[5]["error"].is_string());
    // More than one turn.
    let commands = vec![json!(["INCR", "n"]); 1000];
    let items = http.post("/pipeline", &Value::from(commands.clone()).to_string()).json();
    let wanted: Vec<Value> = (1..=1000).map(|n| json!({ "result": n })).collect();
    assert_eq!(items, Value::from(wanted));
    let more = [commands, vec![json!(["INCR", "n"])]].concat();
    let response = http.post("/pipeline", &Value::from(more).to_string());
    assert_eq!((response.status, response.json()["error"].is_string()), (400, true));
    assert_eq!(http.post("/", r#"["GET","n"]"#).json(), json!({ "result": "1000" }));
}

/// A request that waited would hold its connection, and the pipeline behind it.
#[test]
fn answers_of_any_size_stand_in_their_order() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    let sizes = [0, 40_000, 1, 2, 3, 100_000, 10, 5000, 5000, 0, 0, 0, 30_000];
    let texts: Vec<String> = (0..130).map(|at| "x".repeat(sizes[at % sizes.len()])).collect();
    let commands: Vec<_> = texts.iter().map(|text| json!(["ECHO", text])).collect();
    let answer = http.post("/pipeline", &json!(commands).to_string()).json();
    let wanted: Vec<_> = texts.iter().map(|text| json!({ "result": text })).collect();
    assert_eq!(answer, json!(wanted));
}

#[test]
fn nobody_waits_over_http() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    let commands = [
        r#"["BLPOP","k","l","0"]"#,
        r#"["BLMOVE","k","l","LEFT","LEFT","0"]"#,
        r#"["BLMPOP","0","1","k","LEFT"]"#,
        r#"["BZPOPMAX","k","0"]"#,
        r#"["BZMPOP","0","1","k","MIN"]"#,
        r#"["XREAD","BLOCK","0","STREAMS","s","$"]"#,
    ];
    for command in commands {
        assert_eq!(http.post("/", command).json(), json!({ "result": null }), "{command}");
    }
    let body = format!("[{}]", commands.join(","));
    let nothing = Value::from(vec![json!({ "result": null }); commands.len()]);
    for path in ["/pipeline", "/multi-exec"] {
        assert_eq!(http.post(path, &body).json(), nothing, "{path}");
    }
    assert_eq!(http.post("/", r#"["WAIT","1","0"]"#).json(), json!({ "result": 0 }));
    // What is pushed by HTTP serves those who wait elsewhere.
    let mut taker = server.connect().expect("the server answers");
    let id = taker.call(&["CLIENT", "ID"]).expect("the server answers");
    taker.send_raw(b"BLPOP k 0\r\n").expect("the server answers");
    let unblock = format!(r#"["CLIENT","LIST","ID","{id}"]"#);
    while !http.post("/", &unblock).text().contains("flags=b") {
        std::thread::yield_now();
    }
    let body = r#"[["RPUSH","k","a"],["LLEN","k"]]"#;
    let items = http.post("/multi-exec", body).json();
    assert_eq!(items, json!([{ "result": 1 }, { "result": 1 }]));
    let taken = taker.receive().expect("the server answers").to_string();
    assert_eq!(taken, r#"["k" "a"]"#);
}

#[test]
fn what_is_no_pipeline_does_nothing() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    for path in ["/pipeline", "/multi-exec"] {
        for body in [
            "",
            "[]",
            "{}",
            "nonsense",
            r#"["SET","k","v"]"#,
            r#"[["SET","k","v"],[]]"#,
            r#"[["SET","k","v"]"#,
            r#"[["SET","k","v"],1]"#,
        ] {
            let response = http.post(path, body);
            assert_eq!(response.status, 400, "{path} {body}");
            assert!(response.json()["error"].is_string());
        }
    }
    assert_eq!(http.post("/", r#"["GET","k"]"#).json(), json!({ "result": null }));
}

#[test]
fn a_transaction_runs_as_a_whole_or_not_at_all() {
    let server = start(&[]);
    let mut http = Http::open(&server);
    let response = http.post("/multi-exec", r#"[["SET","k","x"],["INCR","k"],["GET","k"]]"#);
    assert_eq!(response.status, 200);
    assert_eq!(
        response.text(),
        r#"[{"result":"OK"},{"error":"ERR value is not an integer or out of range"},{"result":"x"}]"#
    );
    for bad in
        [r#"["NOSUCH"]"#, r#"["GET"]"#, r#"["WATCH","k"]"#, r#"["MULTI"]"#, r#"["GET",null]"#]
    {
        let response = http.post("/multi-exec", &format!(r#"[["SET","k","y"],{bad}]"#));
        assert_eq!(response.status, 400, "{bad}");
        assert!(response.json()["error"].is_string());
    }
    assert_eq!(http.post("/", r#"["GET","k"]"#).json(), json!({ "result": "x" }));
}

/// Writers keep two keys equal, readers never see them differ.
#[test]
fn nobody_sees_a_part_of_a_transaction() {
    const ROUNDS: usize = 300;
    let server = start(&[]);
    let done = AtomicBool::new(false);
    let writer = || {
        let mut http = Http::open(&server);
        for _ in 0..ROUNDS {
            let response = http.post("/multi-exec", r#"[["INCR","a"],["INCR","b"]]"#);
            assert_eq!(response.status, 200);
        }
    };
    let reader = |path: &'static str, body: &'static str| {
        let mut http = Http::open(&server);
        let mut last = 0;
        while !done.load(Ordering::Relaxed) {
            let seen = http.post(path, body).json();
            let seen = if path == "/" {
                seen["result"].clone()
            } else {
                json!([seen[0]["result"], seen[1]["result"]])
            };
            assert_eq!(seen[0], seen[1]);
            let now = seen[0].as_str().map_or(0, |n| n.parse().unwrap());
            assert!(now >= last, "{now} after {last}");
            last = now;
        }
    };
    std::thread::scope(|threads| {
        threads.spawn(|| reader("/multi-exec", r#"[["GET","a"],["GET","b"]]"#));
        threads.spawn(|| reader("/", r#"["MGET","a","b"]"#));
        let writers: Vec<_> = (0..3).map(|_| threads.spawn(writer)).collect();
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        // Readers end before a failed writer is reported, or they would never.
        done.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok));
    });
    let mut http = Http::open(&server);
    let total = (3 * ROUNDS).to_string();
    assert_eq!(http.post("/", r#"["GET","a"]"#).json(), json!({ "result": total }));
}

#[test]
fn answers_beyond_the_limit_are_errors() {
    let server = start(&["--client-output-buffer-limit", "normal 1mb 0 0"]);
    let mut http = Http::open(&server);
    http.ask("POST", "/set/k", "", &vec![b'x'; 400_000]);
    let four = http.post("/", r#"["MGET","k","k","k","k"]"#);
    assert_eq!((four.status, four.json()["error"].is_string()), (400, true));
    let get = vec![json!(["GET", "k"]); 5];
    for path in ["/pipeline", "/multi-exec"] {
        let items = http.post(path, &Value::from(get.clone()).to_string()).json();
        let fits: Vec<bool> = (0..5).map(|n| items[n]["result"].is_string()).collect();
        assert_eq!(fits, [true, true, false, false, false], "{path}");
        assert!((2..5).all(|n| items[n]["error"].is_string()), "{path}");
    }
    assert_eq!(http.post("/", r#"["STRLEN","k"]"#).json(), json!({ "result": 400_000 }));
}
