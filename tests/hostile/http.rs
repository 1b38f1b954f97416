//! The REST door under bad requests: an error in JSON or an orderly close, nobody disturbed.
//!
//! redis-server has no such door; the status codes are those of the REST dialect's
//! specification.

use std::io::{Read, Write};

use crate::Failure;
use crate::raw::open;
use crate::support::http::Client;
use crate::support::reply::{Reply, quoted};
use crate::support::resp::{is_closed, is_timeout};
use crate::support::server::{Program, REST_TOKEN, Server};

/// A request, and the status codes that answer it rightly; 0 is a close without an answer.
struct Row {
    bytes: Vec<u8>,
    codes: &'static [u16],
}

/// `POST /` with the right token.
fn post(body: impl AsRef<[u8]>, codes: &'static [u16]) -> Row {
    let body = body.as_ref();
    let mut bytes = head("POST", &format!("Content-Length: {}\r\n", body.len())).into_bytes();
    bytes.extend_from_slice(body);
    Row { bytes, codes }
}

fn raw(bytes: impl AsRef<[u8]>, codes: &'static [u16]) -> Row {
    Row { bytes: bytes.as_ref().to_vec(), codes }
}

/// A request's head with the right token; the connection ends after it.
fn head(method: &str, headers: &str) -> String {
    format!(
        "{method} / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {REST_TOKEN}\r\n\
         Connection: close\r\n{headers}\r\n"
    )
}

fn rows() -> Vec<Row> {
    let with_token = |authorization: &str| {
        let body = "[\"PING\"]";
        let length = body.len();
        format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{authorization}\
             Content-Length: {length}\r\n\r\n{body}"
        )
    };
    vec![
        post("[\"PING\"]", &[200]),
        // Tokens.
        raw(with_token(""), &[401]),
        raw(with_token("Authorization: Bearer wrong\r\n"), &[401]),
        raw(with_token("Authorization: Bearer \r\n"), &[401]),
        raw(with_token("Authorization: Basic c2VjcmV0\r\n"), &[401]),
        raw(with_token(&format!("Authorization: Bearer {}\r\n", "x".repeat(10_000))), &[401, 431]),
        // Bodies.
        post("", &[400]),
        post("{", &[400]),
        post("[", &[400]),
        post("[]", &[400]),
        post("[\"GET\"", &[400]),
        post("[\"PING\"]]", &[400]),
        post("\"PING\"", &[400]),
        post("{\"command\": \"PING\"}", &[400]),
        post("null", &[400]),
        post("[null]", &[400]),
        post("[\"GET\", null]", &[400]),
        post("[\"GET\", [\"k\"]]", &[400]),
        post("[\"GET\", {}]", &[400]),
        post("[\"ECHO\", \"\\ud80\"]", &[400]),
        post(b"[\"ECHO\", \"\xff\xfe\"]", &[400]),
        post(b"\xff\xfe\x00", &[400]),
        post("[".repeat(100_000), &[400]),
        post("[\"NOSUCHCOMMAND\"]", &[400]),
        post("[\"GET\"]", &[400]),
        post("[\"\"]", &[400]),
        // Methods and lengths.
        raw(head("DELETE", "Content-Length: 0\r\n"), &[405]),
        raw(head("PATCH", "Content-Length: 0\r\n"), &[405]),
        raw(head("GET", ""), &[400]),
        raw(head("POST", "Content-Length: 99999999999999\r\n"), &[0, 400, 413]),
        raw(head("POST", "Content-Length: -1\r\n"), &[0, 400]),
        raw(head("POST", "Content-Length: 5\r\nContent-Length: 6\r\n"), &[0, 400]),
        raw(head("POST", "Transfer-Encoding: chunked\r\n") + "zz\r\n", &[0, 400]),
        raw(head("GET", &format!("X: {}\r\n", "x".repeat(1_000_000))), &[0, 400, 431]),
        raw(head("GET", &"X: y\r\n".repeat(10_000)), &[0, 400, 431]),
        raw(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1_000_000)), &[0, 400, 414, 431]),
        // No HTTP at all.
        raw("*1\r\n$4\r\nPING\r\n\r\n\r\n", &[0, 400]),
        raw(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", &[0, 400]),
        raw("\x00\r\n\r\n", &[0, 400]),
        raw("POST / HTTP/9.9\r\n\r\n", &[0, 400, 505]),
    ]
}

#[test]
fn bad_requests() -> Result<(), Failure> {
    let mut server = Server::start(Program::Eave, &[])?;
    let rest = server.rest.ok_or_else(|| "no REST door".to_owned())?;
    let mut neighbour = Client::new(rest, REST_TOKEN);
    let mut failures = Vec::new();
    for row in rows() {
        if let Err(why) = hold(&row, rest) {
            failures.push(why);
        }
        let pong = Reply::Bulk(b"PONG".to_vec());
        match neighbour.call(&["PING"]) {
            Ok(reply) if reply == pong => {}
            other => failures.push(format!("the neighbour got {other:?} after {}", name(&row))),
        }
    }
    if !server.is_running() {
        failures.push(format!("the server has ended:\n{}", server.log_tail()));
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure(failures.join("\n"))) }
}

#[test]
fn silent_and_half_said() -> Result<(), Failure> {
    let server = Server::start(Program::Eave, &[])?;
    let rest = server.rest.ok_or_else(|| "no REST door".to_owned())?;
    let promise = head("POST", "Content-Length: 1000\r\n") + "[\"SET\",";
    let halves = ["", "P", "POST / HTTP/1.1\r\nHost: loc", promise.as_str()];
    let mut held = Vec::new();
    let mut neighbour = Client::new(rest, REST_TOKEN);
    for half in halves.iter().cycle().take(200) {
        let mut stream = open(rest)?;
        stream.write_all(half.as_bytes()).map_err(|e| format!("send: {e}"))?;
        held.push(stream);
        if held.len() % 20 == 0 {
            neighbour.call(&["PING"])?;
        }
    }
    match Client::new(rest, REST_TOKEN).call(&["SET", "k", "v"])? {
        Reply::Status(_) => Ok(()),
        other => Err(Failure(format!("a later client got {other}"))),
    }
}

/// Sends a row and checks code and body of its answer.
fn hold(row: &Row, rest: std::net::SocketAddr) -> Result<(), String> {
    let failed = |why: String| format!("{}: {why}", name(row));
    let mut stream = open(rest)?;
    match stream.write_all(&row.bytes) {
        Ok(()) => {}
        // It may have answered and closed before it has read all.
        Err(error) if is_closed(&error) => {}
        Err(error) => return Err(failed(format!("send: {error}"))),
    }
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if is_closed(&error) => {}
        Err(error) if is_timeout(&error) => {
            return Err(failed(format!("does not end after {}", quoted(&answer))));
        }
        Err(error) => return Err(failed(format!("receive: {error}"))),
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    let code = text.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
    if !row.codes.contains(&code) {
        return Err(failed(format!("expected one of {:?}, got {}", row.codes, quoted(&answer))));
    }
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let is_error_in_json = body.starts_with("{\"error\":\"") && body.ends_with("\"}");
    if code >= 400 && code != 405 && !is_error_in_json {
        return Err(failed(format!("the body is no JSON error: {}", quoted(body.as_bytes()))));
    }
    Ok(())
}

fn name(row: &Row) -> String {
    let shown = &row.bytes[..row.bytes.len().min(200)];
    format!("{} ({} bytes)", quoted(shown), row.bytes.len())
}
