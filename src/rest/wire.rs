//! The socket of an HTTP/1.1 connection: writes down what passes, and has hyper's own refusals
//! say in JSON what they mean.
//!
//! hyper answers a head that it cannot read before anybody else sees the request, with a status
//! and no body. Clients of the dialect read JSON whatever the status is, so such an answer is
//! replaced on its way out. It is known by its form: a head alone, written at once, that has a
//! status of 4xx and neither a type nor an `allow`, which every answer of ours has.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pulse::{HEAD, IDLE, Pulse};
use super::refusal::LARGE_HEAD;
use super::reply::write_error;
use crate::net::stream::Stream;
use crate::node::Node;
use crate::observe::stats;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    pulse: Arc<Pulse>,
    node: Arc<Node>,
    /// What was read to find out whether there is something to read.
    early: Vec<u8>,
    /// A refusal that is being written instead of one of hyper's.
    refusal: Vec<u8>,
    /// Whether the last write took less than it was given: what follows is no beginning.
    partly: bool,
}

impl Wire {
    pub(super) fn new(stream: Stream, pulse: Arc<Pulse>, node: Arc<Node>) -> Wire {
        Wire { stream, pulse, node, early: Vec::new(), refusal: Vec::new(), partly: false }
    }

    /// Ready when there is something to read, or the end.
    pub(super) fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            self.early = ready!(self.stream.poll_readable(context))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Gives bytes back that were read and not used.
    pub(super) fn unread(&mut self, bytes: &[u8]) {
        self.early.splice(0..0, bytes.iter().copied());
    }

    /// Reads what is there, and does not count it: see `took`.
    pub(super) fn poll_take(
        &mut self,
        context: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(room);
        if self.early.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        } else {
            let bytes = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early[..bytes]);
            self.early.drain(..bytes);
        }
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Counts bytes of requests that were taken and not given back.
    pub(super) fn took(&self, bytes: usize) {
        stats::add(&self.node.stats.input_bytes, bytes as u64);
    }

    /// Writes answers, as they are.
    pub(super) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        match result {
            Poll::Ready(Ok(written)) if written == bytes.len() && !self.partly => {
                stats::add(&self.node.stats.output_bytes, written as u64);
            }
            _ => self.wrote(&result, bytes.len()),
        }
        result
    }

    fn read(&self, bytes: usize) {
        if bytes > 0 {
            stats::add(&self.node.stats.input_bytes, bytes as u64);
            if self.pulse.phase.load(Ordering::Relaxed) == IDLE {
                self.pulse.phase.store(HEAD, Ordering::Relaxed);
            }
        }
    }

    fn wrote(&mut self, result: &Poll<io::Result<usize>>, offered: usize) {
        let blocked = result.is_pending();
        self.pulse.blocked.store(blocked, Ordering::Relaxed);
        if let Poll::Ready(Ok(bytes)) = result {
            self.partly = *bytes < offered;
            self.pulse.written.fetch_add(*bytes as u64, Ordering::Relaxed);
            stats::add(&self.node.stats.output_bytes, *bytes as u64);
        }
    }

    /// Writes what is left of a refusal.
    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.refusal.is_empty() {
            let result = Pin::new(&mut self.stream).poll_write(context, &self.refusal);
            self.wrote(&result, self.refusal.len());
            match ready!(result)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => drop(self.refusal.drain(..written)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The longest head that may be one of hyper's refusals.
const REFUSAL_BYTES: usize = 256;

/// What hyper's refusal of a head is turned into, if `bytes` is one.
fn in_json(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() > REFUSAL_BYTES || !bytes.starts_with(b"HTTP/1.") {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let first = lines.next()?;
    let why = match first.get(9..12)? {
        "414" => "ERR the path of the request is too long",
        "431" => LARGE_HEAD,
        code if code.starts_with('4') => "ERR the head of the request cannot be read",
        _ => return None,
    };
    let mut answer = first.as_bytes().to_vec();
    for line in lines {
        let (name, _) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-type") || name.eq_ignore_ascii_case("allow") {
            return None;
        }
        if !name.eq_ignore_ascii_case("content-length") {
            answer.extend_from_slice(b"\r\n");
            answer.extend_from_slice(line.as_bytes());
        }
    }
    let mut body = Vec::new();
    write_error(&mut body, why);
    let length = body.len();
    answer.extend_from_slice(b"\r\ncontent-type: application/json; charset=utf-8\r\n");
    answer.extend_from_slice(format!("content-length: {length}\r\n\r\n").as_bytes());
    answer.append(&mut body);
    Some(answer)
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let bytes = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early[..bytes]);
            self.early.drain(..bytes);
            self.read(bytes);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.read(buffer.filled().len().saturating_sub(before));
        result
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_refusal(context))?;
        if !self.partly
            && let Some(refusal) = in_json(bytes)
        {
            self.refusal = refusal;
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(&result, bytes.len());
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [alone] = slices {
            return self.poll_write(context, alone);
        }
        ready!(self.poll_refusal(context))?;
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(&result, slices.iter().map(|slice| slice.len()).sum());
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(head: &str) -> Option<String> {
        in_json(head.as_bytes()).map(|bytes| String::from_utf8(bytes).expect("it is text"))
    }

    #[test]
    fn a_refusal_of_hypers_gets_a_body() {
        let date = "date: Sat, 21 Nov 2026 19:00:00 GMT";
        let bare = format!(
            "HTTP/1.1 431 Request Header Fields Too Large\r\n\
            connection: close\r\ncontent-length: 0\r\n{date}\r\n\r\n"
        );
        let answer = turned(&bare).expect("it is one");
        let (head, body) = answer.split_once("\r\n\r\n").expect("there is a body");
        let error = "ERR the head of the request is too large, or has too many headers";
        assert_eq!(body, format!("{{\"error\":\"{error}\"}}"));
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{head}");
        assert!(head.contains(&format!("\r\ncontent-length: {}", body.len())), "{head}");
        assert!(head.contains("\r\nconnection: close\r\n") && head.contains(date), "{head}");
    }

    #[test]
    fn what_is_none_stays_as_it_is() {
        for other in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 405 Method Not Allowed\r\nallow: GET\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 1\r\n\r\nx",
            "HTTP/1.1 400 Bad Request\r\nno header\r\n\r\n",
            "$26\r\nHTTP/1.1 400 Bad Request\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "",
        ] {
            assert_eq!(turned(other), None, "{other}");
        }
    }
}
