//! A blocking RESP client: one connection, RESP2 and RESP3 replies.
//!
//! Written for tests and not for speed: a reply is read into a tree. Left out on purpose:
//! pipelines (tests that need them write bytes themselves) and streamed aggregates, which no
//! server sends.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::reply::Reply;

/// A server that has not answered for so long does not answer.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Deeper replies are refused: nothing here answers with them, and reading recurses.
const DEPTH_LIMIT: usize = 64;

/// The version of the protocol in which a connection's replies arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Resp2,
    Resp3,
}

/// One connection to a server.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    protocol: Protocol,
}

impl Connection {
    /// Connects; the connection speaks RESP2.
    pub(crate) fn open(address: SocketAddr) -> Result<Connection, String> {
        let stream = TcpStream::connect(address).map_err(|e| format!("connect {address}: {e}"))?;
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(ANSWER_TIMEOUT)))
            .and_then(|()| stream.set_write_timeout(Some(ANSWER_TIMEOUT)))
            .map_err(|e| format!("socket options: {e}"))?;
        Ok(Connection { stream: BufReader::new(stream), protocol: Protocol::Resp2 })
    }

    /// The protocol that the last HELLO or RESET left.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The socket itself, for tests that send bytes of their own.
    pub(crate) fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Sends a command and waits for its reply.
    pub(crate) fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Reply, String> {
        if let Err(error) = self.send_raw(&encode(args)) {
            // What the server said before it closed may still be there to be read.
            return if is_closed(&error) { self.receive() } else { Err(format!("send: {error}")) };
        }
        let reply = self.receive()?;
        self.note_protocol(args, &reply);
        Ok(reply)
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Waits for one reply; a closed connection is `Reply::Closed`.
    pub(crate) fn receive(&mut self) -> Result<Reply, String> {
        self.read_reply(0)
    }

    fn note_protocol<A: AsRef<[u8]>>(&mut self, args: &[A], reply: &Reply) {
        let arg = |at: usize| args.get(at).map_or(&b""[..], AsRef::as_ref);
        if matches!(reply, Reply::Error(_)) {
            return;
        }
        if arg(0).eq_ignore_ascii_case(b"hello") {
            match arg(1) {
                b"2" => self.protocol = Protocol::Resp2,
                b"3" => self.protocol = Protocol::Resp3,
                _ => {}
            }
        } else if arg(0).eq_ignore_ascii_case(b"reset") {
            self.protocol = Protocol::Resp2;
        }
    }

    /// One line without its end, or `None` when the connection is closed.
    fn read_line(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) if is_closed(&error) => return Ok(None),
            Err(error) if is_timeout(&error) => {
                return Err(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()));
            }
            Err(error) => return Err(format!("receive: {error}")),
        }
        match line.strip_suffix(b"\r\n") {
            Some(content) => Ok(Some(content.to_vec())),
            None => Err(format!("a reply's line has no end: {}", super::reply::quoted(&line))),
        }
    }

    fn read_reply(&mut self, depth: usize) -> Result<Reply, String> {
        if depth > DEPTH_LIMIT {
            return Err(format!("a reply is nested deeper than {DEPTH_LIMIT}"));
        }
        let Some(line) = self.read_line()? else { return Ok(Reply::Closed) };
        let (kind, rest) = line.split_first().ok_or("an empty line where a reply starts")?;
        let text = String::from_utf8_lossy(rest).into_owned();
        match kind {
            b'+' => Ok(Reply::Status(text)),
            b'-' => Ok(Reply::Error(text)),
            b':' => Ok(Reply::Integer(number(&text)?)),
            b',' => Ok(Reply::Double(text)),
            b'_' => Ok(Reply::Nil),
            b'#' => Ok(Reply::Bool(text == "t")),
            b'$' if text == "-1" => Ok(Reply::Nil),
            b'$' => Ok(Reply::Bulk(self.read_body(&text)?)),
            b'=' => {
                let body = self.read_body(&text)?;
                Ok(Reply::Verbatim(body.get(4..).ok_or("a verbatim string is too short")?.to_vec()))
            }
            b'*' if text == "-1" => Ok(Reply::NilArray),
            b'*' => Ok(Reply::Array(self.read_items(number(&text)?, depth)?)),
            b'~' => Ok(Reply::Set(self.read_items(number(&text)?, depth)?)),
            b'>' => Ok(Reply::Push(self.read_items(number(&text)?, depth)?)),
            b'%' => Ok(Reply::Map(self.read_items(2 * number(&text)?, depth)?)),
            _ => Err(format!("no reply starts like this: {}", super::reply::quoted(&line))),
        }
    }

    fn read_items(&mut self, count: i64, depth: usize) -> Result<Vec<Reply>, String> {
        (0..count).map(|_| self.read_reply(depth + 1)).collect()
    }

    fn read_body(&mut self, length: &str) -> Result<Vec<u8>, String> {
        let length = usize::try_from(number(length)?).map_err(|_| "a negative length")?;
        let mut body = vec![0; length + 2];
        self.stream.read_exact(&mut body).map_err(|e| format!("inside a string: {e}"))?;
        if !body.ends_with(b"\r\n") {
            return Err("a string does not end where its length says".to_owned());
        }
        body.truncate(length);
        Ok(body)
    }
}

/// The request for a command: an array of bulk strings.
pub(crate) fn encode<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.as_ref().len()).as_bytes());
        out.extend_from_slice(arg.as_ref());
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("no number where one belongs: {text}"))
}

/// Whether the other side has gone.
pub(crate) fn is_closed(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected
    )
}

/// Whether the other side is there and says nothing.
pub(crate) fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
