//! HTTP/2 at the REST door: agreed on in the handshake of TLS, and held to its bounds.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use hyper::{HeaderMap, Request, StatusCode};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::authority::Authority;
use crate::support::reply::Reply;
use crate::support::resp::ANSWER_TIMEOUT;
use crate::support::server::free_address;
use crate::support::server::{Program, REST_TOKEN, Server};
use crate::talk::wait_for;

/// A server with TLS at its REST door.
struct Door {
    server: Server,
    authority: Authority,
    address: SocketAddr,
}

impl Door {
    fn open(more: &[&str]) -> Door {
        let authority = Authority::new();
        let files = authority.issue("server");
        let address = free_address();
        let port = address.port().to_string();
        let own = [
            "--rest-tls-port",
            &port,
            "--tls-cert-file",
            &files.certificate,
            "--tls-key-file",
            &files.key,
            "--tls-auth-clients",
            "no",
        ];
        let options: Vec<String> = own.iter().chain(more).map(|word| (*word).to_owned()).collect();
        let server = Server::start(Program::Eave, &options).expect("it starts");
        Door { server, authority, address }
    }

    async fn connect(&self, builder: &h2::client::Builder) -> Client {
        let config = Arc::new(self.authority.config(None, &["h2", "http/1.1"]));
        let socket = TcpStream::connect(self.address).await.expect("somebody listens");
        let name = ServerName::try_from("localhost").expect("it is a name");
        let stream = TlsConnector::from(config).connect(name, socket).await.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (send, connection) = builder.handshake(stream).await.expect("HTTP/2");
        let ended = tokio::spawn(async move { connection.await.err() });
        Client { send, ended }
    }
}

/// A client's end of a connection.
struct Client {
    send: SendRequest<Bytes>,
    ended: tokio::task::JoinHandle<Option<h2::Error>>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: RecvStream,
}

impl Answer {
    async fn text(mut self) -> String {
        let mut bytes = Vec::new();
        while let Some(piece) = self.body.data().await {
            let piece = piece.expect("the body comes");
            let _ = self.body.flow_control().release_capacity(piece.len());
            bytes.extend_from_slice(&piece);
        }
        String::from_utf8(bytes).expect("it is text")
    }
}

fn request(method: &str, path: &str) -> Request<()> {
    let builder = Request::builder().method(method).uri(format!("https://localhost{path}"));
    builder.header("authorization", format!("Bearer {REST_TOKEN}")).body(()).expect("it is right")
}

async fn answered(answer: ResponseFuture) -> Answer {
    let (head, body) = answer.await.expect("it is answered").into_parts();
    Answer { status: head.status, headers: head.headers, body }
}

impl Client {
    /// Begins a request; the body is sent as far as there is room.
    async fn begin(&mut self, request: Request<()>, body: &[u8]) -> ResponseFuture {
        let mut ready = self.send.clone().ready().await.expect("the connection stands");
        let (answer, mut stream) = ready.send_request(request, body.is_empty()).expect("it goes");
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body), true).expect("it goes");
        }
        answer
    }

    async fn ask(&mut self, method: &str, path: &str, body: &str) -> Answer {
        answered(self.begin(request(method, path), body.as_bytes()).await).await
    }
}

/// Runs a test with a deadline.
fn run(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("there are threads");
    runtime.block_on(async { tokio::time::timeout(ANSWER_TIMEOUT, test).await }).expect("in time");
}

#[test]
fn requests_are_answered() {
    let door = Door::open(&[]);
    run(async {
        let mut client = door.connect(&h2::client::Builder::new()).await;
        let set = client.ask("POST", "/set/k", "a value").await;
        assert_eq!(set.status, StatusCode::OK);
        assert_eq!(set.headers["content-type"], "application/json; charset=utf-8");
        assert!(set.headers.contains_key("upstash-sync-token"));
        assert_eq!(set.text().await, "{\"result\":\"OK\"}");
        let piped = client.ask("POST", "/pipeline", r#"[["GET","k"],["INCR","k"]]"#).await;
        let text = piped.text().await;
        assert!(text.starts_with(r#"[{"result":"a value"},{"error":"ERR value is not"#), "{text}");
        let refused = client.ask("GET", "/nosuch", "").await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.text().await.starts_with("{\"error\":\"ERR Command is not available"));
        let head = client.ask("HEAD", "/get/k", "").await;
        assert_eq!((head.status, head.text().await), (StatusCode::OK, String::new()));
        let mut unknown = request("GET", "/get/k");
        unknown.headers_mut().insert("authorization", "Bearer wrong".parse().expect("a value"));
        let refused = answered(client.begin(unknown, b"").await).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    });
}

#[test]
fn heads_beyond_the_limit_are_refused_in_json() {
    let door = Door::open(&[]);
    run(async {
        let mut client = door.connect(&h2::client::Builder::new()).await;
        for (bytes, status) in [(8_000, 200), (20_000, 431), (60_000, 431)] {
            let mut large = request("GET", "/ping");
            // Several: the library at this end bounds each.
            for _ in 0..bytes / 1000 {
                large.headers_mut().append("x-large", "y".repeat(1000).parse().expect("a value"));
            }
            let answer = answered(client.begin(large, b"").await).await;
            assert_eq!(answer.status.as_u16(), status, "{bytes}");
            let text = answer.text().await;
            let refused = text.starts_with("{\"error\":\"ERR the head of the request is too large");
            assert!(refused == (status == 431), "{bytes}: {text}");
        }
        assert_eq!(client.ask("GET", "/ping", "").await.text().await, "{\"result\":\"PONG\"}");
    });
}

#[test]
fn many_at_once_are_answered_each() {
    let door = Door::open(&[]);
    run(async {
        // What is not read yet must not keep back the rest.
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(1 << 20).initial_connection_window_size(64 << 20);
        let mut client = door.connect(&builder).await;
        let value = "x".repeat(200_000);
        assert_eq!(client.ask("POST", "/set/big", &value).await.status, StatusCode::OK);
        let mut begun = Vec::new();
        for n in 0..90 {
            let path = if n % 3 == 0 { "/get/big".to_owned() } else { format!("/echo/{n}") };
            begun.push((n, client.begin(request("GET", &path), b"").await));
        }
        for (n, answer) in begun {
            let text = answered(answer).await.text().await;
            let wanted = if n % 3 == 0 { value.clone() } else { n.to_string() };
            assert!(text == format!("{{\"result\":\"{wanted}\"}}"), "{n}: {}", text.len());
        }
    });
}

#[test]
fn several_listen_on_one_connection() {
    let door = Door::open(&[]);
    run(async {
        let mut client = door.connect(&h2::client::Builder::new()).await;
        let mut one = client.ask("POST", "/subscribe/one", "[]").await;
        let mut two = client.ask("POST", "/subscribe/two", "[]").await;
        let mut all = client.ask("POST", "/monitor", "").await;
        assert_eq!(one.headers["content-type"], "text/event-stream");
        for (stream, first) in [
            (&mut one, "data: subscribe,one,1\n\n"),
            (&mut two, "data: subscribe,two,1\n\n"),
            (&mut all, "data: \"OK\"\n\n"),
        ] {
            assert_eq!(stream.body.data().await.expect("it goes on").expect("it comes"), first);
        }
        assert_eq!(client.ask("GET", "/publish/two/hi", "").await.text().await, "{\"result\":1}");
        let heard = two.body.data().await.expect("it goes on").expect("it comes");
        assert_eq!(heard, "data: message,two,hi\n\n");
        let told = all.body.data().await.expect("it goes on").expect("it comes");
        assert!(told.ends_with(b"\"publish\" \"two\" \"hi\"\n\n"), "{told:?}");
        assert_eq!(client.ask("GET", "/publish/one/ho", "").await.text().await, "{\"result\":1}");
        let heard = one.body.data().await.expect("it goes on").expect("it comes");
        assert_eq!(heard, "data: message,one,ho\n\n");
        // Who resets a stream listens no more; the others do.
        drop(one);
        let mut speaker = door.server.connect().expect("the server answers");
        wait_for("it still listens", || {
            speaker.call(&["PUBLISH", "one", "x"]) == Ok(Reply::Integer(0))
        });
        assert_eq!(speaker.call(&["PUBLISH", "two", "x"]), Ok(Reply::Integer(1)));
    });
}

/// A request is dropped with its stream, and resets by the thousand end the connection.
#[test]
fn who_resets_streams_is_not_worked_for() {
    let door = Door::open(&[]);
    run(async {
        let mut operator = door.server.connect().expect("the server answers");
        operator.call(&["CLIENT", "PAUSE", "60000", "WRITE"]).expect("the server answers");
        let mut client = door.connect(&h2::client::Builder::new()).await;
        let mut begun = Vec::new();
        for _ in 0..50 {
            begun.push(client.begin(request("GET", "/incr/n"), b"").await);
        }
        assert_eq!(client.ask("GET", "/echo/x", "").await.status, StatusCode::OK);
        drop(begun);
        assert_eq!(client.ask("GET", "/echo/x", "").await.status, StatusCode::OK);
        // The resets have come; the requests are dropped by tasks of their own.
        wait_for("requests are dropped", || {
            let info = operator.call(&["INFO", "stats"]).ok().and_then(|info| info.text());
            info.is_some_and(|info| info.contains("rest_requests_waiting:0\r\n"))
        });
        operator.call(&["CLIENT", "UNPAUSE"]).expect("the server answers");
        assert_eq!(client.ask("GET", "/get/n", "").await.text().await, "{\"result\":null}");
        let rude = door.connect(&h2::client::Builder::new()).await;
        for _ in 0..20_000 {
            let Ok(mut ready) = rude.send.clone().ready().await else { break };
            let Ok((answer, mut stream)) = ready.send_request(request("GET", "/ping"), false)
            else {
                break;
            };
            stream.send_reset(Reason::CANCEL);
            drop(answer);
            tokio::task::yield_now().await;
        }
        drop(rude.send);
        // It may have kept up with them; what counts is that others are served.
        rude.ended.abort();
        assert_eq!(client.ask("GET", "/echo/x", "").await.status, StatusCode::OK);
    });
}

#[test]
fn heads_and_streams_are_bounded() {
    let door = Door::open(&["--rest-max-requests", "5"]);
    run(async {
        let mut client = door.connect(&h2::client::Builder::new()).await;
        let mut large = request("GET", "/echo/x");
        large.headers_mut().insert("x", "x".repeat(20_000).parse().expect("a value"));
        let refused = client.begin(large, b"").await.await;
        let status = refused.as_ref().map(hyper::Response::status).ok();
        assert!(
            status.is_none_or(|status| status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            "{refused:?}"
        );
        let mut client = door.connect(&h2::client::Builder::new()).await;
        let mut held = Vec::new();
        for n in 0..5 {
            held.push(client.ask("POST", &format!("/subscribe/{n}"), "[]").await);
        }
        // Those that listen are no burden; those that are waited for are.
        let mut operator = door.server.connect().expect("the server answers");
        operator.call(&["CLIENT", "PAUSE", "60000", "WRITE"]).expect("the server answers");
        let mut waiting = Vec::new();
        for _ in 0..6 {
            waiting.push(client.begin(request("GET", "/incr/n"), b"").await);
        }
        // Each is a task of its own, so it takes a moment until all five are at work.
        while client.ask("GET", "/echo/x", "").await.status == StatusCode::OK {}
        operator.call(&["CLIENT", "UNPAUSE"]).expect("the server answers");
        let mut statuses = Vec::new();
        for answer in waiting {
            statuses.push(answered(answer).await.status.as_u16());
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 200, 200, 200, 503]);
    });
}

/// A client that takes nothing of what it asks for is held back, and then cut.
#[test]
fn who_takes_nothing_is_cut() {
    let door = Door::open(&["--rest-idle-timeout", "2"]);
    run(async {
        let value = "x".repeat(4 << 20);
        let mut other = door.connect(&h2::client::Builder::new()).await;
        assert_eq!(other.ask("POST", "/set/big", &value).await.status, StatusCode::OK);
        let before = door.server.resident_bytes().expect("it runs");
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(1).initial_connection_window_size(65_535);
        let mut deaf = door.connect(&builder).await;
        let mut answers = Vec::new();
        for _ in 0..90 {
            answers.push(deaf.begin(request("GET", "/get/big"), b"").await);
        }
        let grown = door.server.resident_bytes().expect("it runs").saturating_sub(before);
        assert!(grown < 100 << 20, "{grown} bytes for answers that nobody takes");
        deaf.ended.await.expect("it ends");
    });
}

#[test]
fn the_silent_are_cut_and_a_stop_lets_requests_end() {
    let mut door = Door::open(&["--rest-header-timeout-ms", "300", "--rest-idle-timeout", "1"]);
    run(async {
        let silent = door.connect(&h2::client::Builder::new()).await;
        silent.ended.await.expect("it ends");
        let mut idle = door.connect(&h2::client::Builder::new()).await;
        assert_eq!(idle.ask("GET", "/ping", "").await.status, StatusCode::OK);
        idle.ended.await.expect("it ends");
        let mut client = door.connect(&h2::client::Builder::new()).await;
        let mut events = client.ask("POST", "/subscribe/c", "[]").await;
        assert!(events.body.data().await.is_some());
        let mut operator = door.server.connect().expect("the server answers");
        operator.call(&["CLIENT", "PAUSE", "1000", "WRITE"]).expect("the server answers");
        let held = client.begin(request("GET", "/incr/n"), b"").await;
        assert_eq!(client.ask("GET", "/ping", "").await.status, StatusCode::OK);
        let id = door.server.process_id().to_string();
        let killed = std::process::Command::new("kill").arg(id).status();
        assert!(killed.expect("there is kill").success());
        assert_eq!(answered(held).await.text().await, "{\"result\":1}");
        assert_eq!(events.text().await, "");
        client.ended.await.expect("it ends");
        tokio::time::sleep(Duration::from_millis(1)).await;
    });
    wait_for("it does not end", || !door.server.is_running());
    assert_eq!(door.server.exit_code(), Some(0));
}
