//! A raw HTTP/1.1 client: what is sent is bytes, what comes back is taken apart.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::support::resp::{ANSWER_TIMEOUT, is_closed};
use crate::support::server::{REST_TOKEN, Server};

/// A connection to the REST door.
pub(crate) struct Http {
    stream: BufReader<TcpStream>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| &**value)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; a failing test shows what it was instead.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A request with the right token, and further header lines, each with its end.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let token = format!("Authorization: Bearer {REST_TOKEN}\r\n{headers}");
    bare(method, path, &token, body)
}

/// A request without a token of its own.
pub(crate) fn bare(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

impl Http {
    pub(crate) fn open(server: &Server) -> Http {
        Http::at(server.rest.unwrap())
    }

    pub(crate) fn at(address: SocketAddr) -> Http {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(ANSWER_TIMEOUT)).unwrap();
        Http { stream: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match self.stream.get_mut().write_all(bytes) {
            // It may have closed before it has read all; then its answer, or the end, is read.
            Err(error) if is_closed(&error) => {}
            sent => sent.unwrap(),
        }
    }

    /// Sends a request with the right token and reads its response.
    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Response {
        self.send(&request(method, path, headers, body));
        self.read(method)
    }

    /// `POST path` with a JSON body.
    pub(crate) fn post(&mut self, path: &str, body: &str) -> Response {
        self.ask("POST", path, "", body.as_bytes())
    }

    /// Reads the response to a request of that method.
    pub(crate) fn read(&mut self, method: &str) -> Response {
        let first = self.line();
        let status = first.get(9..12).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {first:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").unwrap();
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut response = Response { status, headers, body: Vec::new() };
        let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
        if method != "HEAD" {
            response.body.resize(length, 0);
            self.stream.read_exact(&mut response.body).unwrap();
        }
        response
    }

    /// Whether the server closes without another byte; a test that waits in vain fails.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => rest.is_empty(),
            Err(error) if is_closed(&error) => rest.is_empty(),
            Err(error) => panic!("neither closed nor answered: {error}"),
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end_matches(['\r', '\n']).to_owned()
    }
}

/// One request on a connection of its own.
pub(crate) fn once(server: &Server, bytes: &[u8]) -> Response {
    let mut http = Http::open(server);
    http.send(bytes);
    http.read("GET")
}
