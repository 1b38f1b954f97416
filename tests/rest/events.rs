//! Messages as server-sent events.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::client::{Http, request};
use crate::start;
use crate::support::reply::Reply;
use crate::support::resp::ANSWER_TIMEOUT;
use crate::support::server::{Server, pause};

/// A stream of events.
pub(crate) struct Stream {
    stream: BufReader<TcpStream>,
    pub(crate) head: String,
}

impl Stream {
    pub(crate) fn open(server: &Server, method: &str, path: &str, body: &[u8]) -> Stream {
        let mut socket = TcpStream::connect(server.rest.unwrap()).unwrap();
        socket.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
        let accept = "Accept: text/event-stream\r\nUpstash-Encoding: base64\r\n";
        socket.write_all(&request(method, path, accept, body)).unwrap();
        let mut stream = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).unwrap(), 0, "{head}");
        }
        Stream { stream, head }
    }

    /// The next chunk; nothing at the end.
    pub(crate) fn chunk(&mut self) -> String {
        let mut length = String::new();
        self.stream.read_line(&mut length).unwrap();
        let length = usize::from_str_radix(length.trim_end(), 16).unwrap_or(0);
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes.truncate(length);
        String::from_utf8(bytes).unwrap()
    }

    /// Chunks until they end with `end`.
    pub(crate) fn until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            let chunk = self.chunk();
            assert!(!chunk.is_empty(), "the end, behind {text}");
            text += &chunk;
        }
        text
    }
}

#[test]
fn a_channel_and_a_pattern() {
    let server = start(&[]);
    let mut channel = Stream::open(&server, "POST", "/subscribe/chat", b"[]");
    assert!(channel.head.starts_with("HTTP/1.1 200 OK\r\n"), "{}", channel.head);
    let head = channel.head.to_ascii_lowercase();
    assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("cache-control: no-cache\r\n"), "{head}");
    assert_eq!(channel.chunk(), "data: subscribe,chat,1\n\n");
    let mut pattern = Stream::open(&server, "GET", "/psubscribe/ch*", b"");
    assert_eq!(pattern.chunk(), "data: psubscribe,ch*,1\n\n");
    let mut speaker = server.connect().unwrap();
    assert_eq!(speaker.call(&["PUBLISH", "chat", "hello, you"]), Ok(Reply::Integer(2)));
    assert_eq!(channel.chunk(), "data: message,chat,hello, you\n\n");
    assert_eq!(pattern.chunk(), "data: pmessage,ch*,chat,hello, you\n\n");
    assert_eq!(speaker.call(&["PUBLISH", "chat", "one\ntwo\n"]), Ok(Reply::Integer(2)));
    assert_eq!(channel.chunk(), "data: message,chat,one\ndata: two\ndata: \n\n");
    for n in 0..1000 {
        speaker.call(&["PUBLISH", "chat", &n.to_string()]).unwrap();
    }
    let all = channel.until("data: message,chat,999\n\n");
    let wanted: String = (0..1000).map(|n| format!("data: message,chat,{n}\n\n")).collect();
    assert_eq!(all, wanted);
}

#[test]
fn names_are_taken_as_they_are() {
    let server = start(&[]);
    for (path, name) in [
        ("/subscribe/a/b", "a/b"),
        ("/subscribe/a%20b", "a b"),
        ("/subscribe/100%", "100%"),
        ("/SUBSCRIBE/x", "x"),
    ] {
        let mut stream = Stream::open(&server, "POST", path, b"[]");
        assert_eq!(stream.chunk(), format!("data: subscribe,{name},1\n\n"));
        let mut speaker = server.connect().unwrap();
        assert_eq!(speaker.call(&["PUBLISH", name, "hi"]), Ok(Reply::Integer(1)), "{name}");
        assert_eq!(stream.chunk(), format!("data: message,{name},hi\n\n"));
    }
}

#[test]
fn who_has_gone_listens_no_more() {
    let server = start(&[]);
    let mut speaker = server.connect().unwrap();
    for _ in 0..20 {
        let mut stream = Stream::open(&server, "POST", "/subscribe/c", b"[]");
        stream.chunk();
        drop(stream);
    }
    let mut left = i64::MAX;
    for _ in 0..1000 {
        let Ok(Reply::Array(parts)) = speaker.call(&["PUBSUB", "NUMSUB", "c"]) else { panic!() };
        let Reply::Integer(count) = parts[1] else { panic!("{parts:?}") };
        left = count;
        if left == 0 {
            return;
        }
        pause(Duration::from_millis(5));
    }
    panic!("{left} are still counted");
}

#[test]
fn what_cannot_be_listened_to_is_refused() {
    let server = start(&["--rest-token-readonly", "only-reads-tokens-are-long"]);
    let mut http = Http::open(&server);
    let refused = http.ask("POST", "/subscribe", "", b"[]");
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("wrong number of arguments"), "{}", refused.text());
    let refused = http.post("/", "[\"SUBSCRIBE\",\"c\"]");
    assert!(refused.text().contains("special context path"), "{}", refused.text());
    let bare = crate::client::bare("POST", "/subscribe/c", "", b"[]");
    assert_eq!(crate::client::once(&server, &bare).status, 401);
}

#[test]
fn users_listen_to_what_they_may() {
    let server = start(&[]);
    let mut operator = server.connect().unwrap();
    let rules = ["ACL", "SETUSER", "ann", "on", ">long-enough-password", "+@all", "&news*"];
    assert_eq!(operator.call(&rules), Ok(Reply::Status("OK".into())));
    let token = ["ACL", "RESTTOKEN", "ann", "long-enough-password"];
    let token = operator.call(&token).unwrap().text().unwrap();
    let ask = |path: &str| {
        let header = format!("Authorization: Bearer {token}\r\n");
        crate::client::bare("POST", path, &header, b"[]")
    };
    let refused = crate::client::once(&server, &ask("/subscribe/secret"));
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("NOPERM"), "{}", refused.text());
    let mut socket = TcpStream::connect(server.rest.unwrap()).unwrap();
    socket.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
    socket.write_all(&ask("/subscribe/news:1")).unwrap();
    let mut heard = String::new();
    while !heard.contains("data: subscribe,news:1,1\n\n") {
        let mut bytes = [0; 4096];
        let length = socket.read(&mut bytes).unwrap();
        assert_ne!(length, 0, "{heard}");
        heard += std::str::from_utf8(&bytes[..length]).unwrap();
    }
}

#[test]
fn a_node_that_stops_ends_them() {
    let mut server = start(&[]);
    let mut stream = Stream::open(&server, "POST", "/subscribe/c", b"[]");
    stream.chunk();
    let id = server.process_id().to_string();
    assert!(std::process::Command::new("kill").arg(id).status().unwrap().success());
    assert_eq!(stream.chunk(), "");
    for _ in 0..1000 {
        if !server.is_running() {
            assert_eq!(server.exit_code(), Some(0));
            return;
        }
        pause(Duration::from_millis(5));
    }
    panic!("it does not stop");
}
