//! A blocking HTTP/1.1 client for the REST door: one connection that is kept, one command a
//! request.
//!
//! Replies are asked for in base64, so that every byte can be compared. Left out on purpose:
//! everything else of HTTP; the tests of the door itself bring a real client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::reply::Reply;
use super::resp::ANSWER_TIMEOUT;

/// A connection to the REST door.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    token: String,
    stream: Option<BufReader<TcpStream>>,
}

/// A whole HTTP response.
#[derive(Debug)]
struct Response {
    status: u16,
    body: Vec<u8>,
}

impl Client {
    /// A client that connects when it first asks.
    pub(crate) fn new(address: SocketAddr, token: &str) -> Client {
        Client { address, token: token.to_owned(), stream: None }
    }

    /// Sends a command as `POST /` and waits for its reply.
    ///
    /// Fails when an argument is no UTF-8 (JSON cannot carry it), and on any answer that is
    /// neither 200 with a result nor 400 with an error.
    pub(crate) fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Reply, String> {
        let args: Vec<&str> = args
            .iter()
            .map(|arg| std::str::from_utf8(arg.as_ref()))
            .collect::<Result<_, _>>()
            .map_err(|_| "JSON cannot carry bytes that are no UTF-8: mark the section @resp")?;
        let response = self.post(&Value::from(args).to_string())?;
        let body = String::from_utf8_lossy(&response.body).into_owned();
        let explain = |why: &str| format!("{why}: HTTP {} {body}", response.status);
        let Ok(Value::Object(members)) = serde_json::from_str(&body) else {
            return Err(explain("the answer is no JSON object"));
        };
        match (response.status, members.get("result"), members.get("error")) {
            (200, Some(result), None) => decode(result, Level::Top).map_err(|why| explain(&why)),
            (400, None, Some(Value::String(text))) => Ok(Reply::Error(text.clone())),
            _ => Err(explain("neither 200 with a result nor 400 with an error")),
        }
    }

    fn post(&mut self, body: &str) -> Result<Response, String> {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Upstash-Encoding: base64\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len(),
        );
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        stream.get_mut().write_all(request.as_bytes()).map_err(|e| format!("send: {e}"))?;
        let (response, keep) = read_response(&mut stream)?;
        if keep {
            self.stream = Some(stream);
        }
        Ok(response)
    }

    fn connect(&self) -> Result<BufReader<TcpStream>, String> {
        let stream = TcpStream::connect(self.address).map_err(|e| format!("connect: {e}"))?;
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(ANSWER_TIMEOUT)))
            .and_then(|()| stream.set_write_timeout(Some(ANSWER_TIMEOUT)))
            .map_err(|e| format!("socket options: {e}"))?;
        Ok(BufReader::new(stream))
    }
}

/// Sends one `POST path` with this token, and answers the body, whatever the status.
pub(crate) fn fetch(
    address: SocketAddr,
    token: &str,
    path: &str,
    body: &str,
) -> Result<String, String> {
    let mut stream = Client::new(address, token).connect()?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len(),
    );
    stream.get_mut().write_all(request.as_bytes()).map_err(|e| format!("send: {e}"))?;
    let (response, _) = read_response(&mut stream)?;
    Ok(String::from_utf8_lossy(&response.body).into_owned())
}

/// Reads a response, and whether the connection can carry another.
fn read_response(stream: &mut BufReader<TcpStream>) -> Result<(Response, bool), String> {
    let first = read_line(stream)?;
    let status = first
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| format!("no HTTP/1.1 status line: {first}"))?;
    let (mut length, mut chunked, mut keep) = (None, false, true);
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| format!("no header: {line}"))?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse::<usize>().ok(),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => keep = !value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let body = match length {
        Some(length) => read_exactly(stream, length)?,
        None if chunked => read_chunks(stream)?,
        None => return Err("a response without a length".to_owned()),
    };
    Ok((Response { status, body }, keep))
}

fn read_chunks(stream: &mut BufReader<TcpStream>) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream)?;
        let size = usize::from_str_radix(line.trim(), 16).map_err(|_| format!("chunk {line}"))?;
        body.extend(read_exactly(stream, size)?);
        read_line(stream)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn read_exactly(stream: &mut BufReader<TcpStream>, length: usize) -> Result<Vec<u8>, String> {
    let mut body = vec![0; length];
    stream.read_exact(&mut body).map_err(|e| format!("inside a body: {e}"))?;
    Ok(body)
}

fn read_line(stream: &mut BufReader<TcpStream>) -> Result<String, String> {
    let mut line = String::new();
    match stream.read_line(&mut line) {
        Ok(0) => Err("the server closed the connection".to_owned()),
        Ok(_) => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => Err(format!("receive: {error}")),
    }
}

/// Where in the result a value stands: only at the top is `OK` left unencoded.
#[derive(Clone, Copy)]
enum Level {
    Top,
    Inside,
}

/// A JSON result as a reply; every string but a top-level status `OK` is base64.
fn decode(value: &Value, level: Level) -> Result<Reply, String> {
    match (value, level) {
        (Value::Null, _) => Ok(Reply::Nil),
        (Value::Number(number), _) => number
            .as_i64()
            .map(Reply::Integer)
            .ok_or_else(|| format!("{number} in a result is no integer")),
        (Value::String(text), Level::Top) if text == "OK" => Ok(Reply::Status(text.clone())),
        (Value::String(text), _) => BASE64
            .decode(text)
            .map(Reply::Bulk)
            .map_err(|_| format!("{text:?} in a result is no base64")),
        (Value::Array(items), _) => items
            .iter()
            .map(|item| decode(item, Level::Inside))
            .collect::<Result<_, _>>()
            .map(Reply::Array),
        (Value::Bool(_) | Value::Object(_), _) => {
            Err("a result holds null, integers, strings and arrays only".to_owned())
        }
    }
}
