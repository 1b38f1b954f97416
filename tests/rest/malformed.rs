//! Requests that are broken at random: whatever comes is answered in JSON with a right status or
//! not at all, and nobody else notices.
//!
//! Left out on purpose: a search for coverage, which the fuzz entries of the parsers have.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use serde_json::Value;

use crate::client::{Http, bare, once, request};
use crate::start;
use crate::support::resp::{ANSWER_TIMEOUT, is_closed};
use crate::support::server::{Server, pause};

/// How many are sent.
const REQUESTS: u64 = 4000;

/// Numbers by chance, the same in every run (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % most.max(1) as u64).unwrap()
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

/// What is put in somewhere.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b"/",
    b"//",
    b"%",
    b"%2",
    b"%zz",
    b"%00",
    b"?",
    b"&",
    b"=",
    b"#",
    b"+",
    b"\"",
    b"\\",
    b"[",
    b"]",
    b"{",
    b"}",
    b"null",
    b"true",
    b"1e999",
    b"-0",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\xc3\x28",
    b"\xf0\x9f\x98\x80",
    b"[[[[[[[[",
    b"Content-Length: 5\r\n",
    b"Content-Length: -1\r\n",
    b"Content-Length: 99999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"0\r\n\r\n",
    b"5\r\nabcde\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: h2c\r\n",
    b"Host: y\r\n",
    b" folded\r\n",
    b"Upstash-Encoding: base64\r\n",
    b"Upstash-Response-Format: resp9\r\n",
    b"Idempotency-Key: k\r\n",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"HTTP/9.9",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET ",
    b"PATCH ",
    b"/pipeline",
    b"/multi-exec",
    b"/v1/take",
    b"/metrics",
    b"_token=",
    b"*1\r\n$4\r\nPING\r\n",
];

fn seeds() -> Vec<Vec<u8>> {
    let headers = "Upstash-Encoding: base64\r\nUpstash-Sync-Token: x\r\n";
    let chunked = "Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n";
    let mut chunks = request("POST", "/", chunked, b"");
    let text = String::from_utf8(chunks).unwrap().replace("Content-Length: 0\r\n", "");
    chunks = [text.as_bytes(), b"8\r\n[\"PING\"]\r\n0\r\n\r\n"].concat();
    vec![
        request("GET", "/get/key?_token=secret-test-token", headers, b""),
        request("POST", "/", headers, br#"["SET","key","value","EX",100]"#),
        request("POST", "/pipeline", headers, br#"[["GET","key"],["INCR","n"],["LPUSH","l",1]]"#),
        request("POST", "/multi-exec", "", br#"[["SET","a",1],["GET","a"]]"#),
        request("PUT", "/set/key", "Idempotency-Key: abc\r\n", b"a body of any bytes"),
        request("POST", "/v1/take", "", br#"{"key":"k","rule":"100000/60s","cost":1}"#),
        bare("GET", "/health", "", b""),
        chunks,
    ]
}

fn broken(chance: &mut Chance, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[chance.below(seeds.len())].clone();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len());
        let length = chance.below(24).min(bytes.len() - at);
        match chance.below(7) {
            0 => bytes[at] ^= 1 << chance.below(8),
            1 => drop(bytes.drain(at..at + length)),
            2 => bytes.truncate(at),
            3 => {
                let again = bytes[at..at + length].to_vec();
                drop(bytes.splice(at..at, again));
            }
            4 => {
                let other = &seeds[chance.below(seeds.len())];
                let from = chance.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            5 => {
                let piece = chance.of(PIECES).repeat(1 + chance.below(400));
                drop(bytes.splice(at..at, piece));
            }
            _ => drop(bytes.splice(at..at, chance.of(PIECES).iter().copied())),
        }
        if bytes.is_empty() {
            bytes.push(b'G');
        }
    }
    bytes
}

/// What came back until the end.
fn answer(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.rest.unwrap()).unwrap();
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
    let mut answer = Vec::new();
    // It may close before it has read all.
    let sent = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    match sent.and_then(|()| stream.read_to_end(&mut answer)) {
        Ok(_) => {}
        Err(error) if is_closed(&error) => {}
        Err(error) => panic!("{error} after {}", bytes.escape_ascii()),
    }
    answer
}

/// Takes an answer apart; what is wrong with it.
fn check(mut answer: &[u8]) -> Result<(), String> {
    while !answer.is_empty() {
        let end = answer.windows(4).position(|end| end == b"\r\n\r\n").ok_or("no head")?;
        let head = std::str::from_utf8(&answer[..end]).map_err(|e| e.to_string())?;
        let head = head.to_ascii_lowercase();
        let status: u16 = head.get(9..12).and_then(|code| code.parse().ok()).ok_or("no status")?;
        answer = &answer[end + 4..];
        let header =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        if status == 100 {
            continue;
        }
        if header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return Ok(());
        }
        let length = header("content-length").and_then(|length| length.parse().ok());
        let length: usize = length.ok_or("no length")?;
        // It may be cut short where the client has gone.
        let Some((body, rest)) = answer.split_at_checked(length) else { return Ok(()) };
        answer = rest;
        let kind = header("content-type").unwrap_or_default();
        match status {
            405 if body.is_empty() => {}
            200 if kind.starts_with("text/plain") || kind.starts_with("application/octet") => {}
            200 if body.is_empty() => {}
            200 | 429 => {
                serde_json::from_slice::<Value>(body).map_err(|e| format!("{status}: {e}"))?;
            }
            400 | 401 | 408 | 409 | 414 | 422 | 431 | 503 => {
                let json: Value =
                    serde_json::from_slice(body).map_err(|e| format!("{status}: {e}: {head}"))?;
                let text = json["error"].as_str().ok_or("no error")?;
                if json.as_object().map(serde_json::Map::len) != Some(1) || text.is_empty() {
                    return Err(format!("{status}: {json}"));
                }
                if !kind.starts_with("application/json") {
                    return Err(format!("{status}: {kind}"));
                }
            }
            _ => return Err(format!("status {status}")),
        }
    }
    Ok(())
}

#[test]
fn what_is_broken_is_answered_in_json() {
    let server = start(&["--rest-header-timeout-ms", "500", "--auth-failures", "off"]);
    let seeds = seeds();
    for seed in &seeds {
        assert_eq!(once(&server, seed).status, 200, "{}", seed.escape_ascii());
    }
    let mut neighbour = Http::open(&server);
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut statuses = std::collections::BTreeMap::new();
    let mut before = 0;
    for round in 0..REQUESTS {
        let bytes = broken(&mut chance, &seeds);
        let said = answer(&server, &bytes);
        if let Err(why) = check(&said) {
            panic!("{why}:\n{}\nafter\n{}", said.escape_ascii(), bytes.escape_ascii());
        }
        let status = String::from_utf8_lossy(said.get(9..12).unwrap_or_default()).into_owned();
        *statuses.entry(status).or_insert(0) += 1;
        if round % 500 == 0 {
            assert_eq!(neighbour.ask("GET", "/ping", "", b"").status, 200);
        }
        if round == REQUESTS / 4 {
            before = server.resident_bytes().unwrap();
        }
    }
    // The generator reaches what it is there for.
    for status in ["200", "400", "401", "405", "431"] {
        assert!(statuses.contains_key(status), "{statuses:?}");
    }
    let grown = server.resident_bytes().unwrap().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes");
    let mut client = server.connect().unwrap();
    let info = client.call(&["INFO", "stats"]).unwrap().text().unwrap();
    assert!(info.contains("connection_panics:0"), "{info}");
}

/// Who splits a request in any way is understood in the same way.
#[test]
fn pieces_make_no_difference() {
    let server = start(&[]);
    for seed in seeds() {
        let whole = once(&server, &seed);
        for split in (1..seed.len()).step_by(seed.len() / 12 + 1) {
            let mut http = Http::open(&server);
            http.send(&seed[..split]);
            http.send(&seed[split..]);
            assert_eq!(http.read("POST").status, whole.status, "{}", seed.escape_ascii());
        }
    }
}

/// Refusals that the HTTP library writes itself say in JSON what they mean.
#[test]
fn heads_that_are_none_are_refused_in_json() {
    let server = start(&[]);
    for (head, status) in [
        ("GARBAGE\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400),
        ("GET /\u{7f} HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), 400),
        ("\0\0\0\0\r\n\r\n".to_owned(), 400),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(15_000)), 401),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000)), 431),
        (format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000)), 431),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(101)), 431),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(), 400),
    ] {
        let said = answer(&server, head.as_bytes());
        let shown = &head[..head.len().min(60)];
        assert_eq!(check(&said), Ok(()), "{shown:?}");
        let code = format!("HTTP/1.1 {status} ");
        assert!(said.starts_with(code.as_bytes()), "{shown:?}: {}", said.escape_ascii());
        assert!(said.ends_with(b"\"}"), "{shown:?}: {}", said.escape_ascii());
    }
    // Behind requests that are answered, on the same connection.
    let all = [&request("GET", "/echo/x", "", b"")[..], b"GARBAGE\r\n\r\n"].concat();
    let said = String::from_utf8(answer(&server, &all)).unwrap();
    assert!(said.contains("{\"result\":\"x\"}HTTP/1.1 400 Bad Request"), "{said}");
    assert!(said.ends_with("{\"error\":\"ERR the head of the request cannot be read\"}"), "{said}");
}

/// A client that is still writing when it is refused reads why: it is not cut off in mid-sentence.
#[test]
fn a_refusal_reaches_who_is_still_writing() {
    let server = start(&[]);
    for begin in [
        "GET / HTTP/1.1\r\nX: ".to_owned(),
        format!("GET /{}", "x".repeat(70_000)),
        "POST /set/key HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n".to_owned(),
        "POST /set/key HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n".to_owned(),
    ] {
        let mut stream = TcpStream::connect(server.rest.unwrap()).unwrap();
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
        stream.write_all(begin.as_bytes()).unwrap();
        for _ in 0..20 {
            stream.write_all(&[b'x'; 4000]).unwrap();
            pause(std::time::Duration::from_millis(5));
        }
        stream.shutdown(Shutdown::Write).unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        assert_eq!(check(&said), Ok(()), "{}", said.escape_ascii());
        assert!(said.starts_with(b"HTTP/1.1 4"), "{}", said.escape_ascii());
    }
}
