//! Writes answers to plain requests, as hyper writes those to all others.

use std::io::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue};

use crate::limits::REST_KEPT_BYTES;

/// Answers that are to be sent.
#[derive(Debug, Default)]
pub(in super::super) struct Output {
    /// Heads and bodies.
    pub(super) bytes: Vec<u8>,
    /// A large body, which comes behind and is not copied.
    pub(super) large: Option<Bytes>,
    /// Whether the present answer is the last: its head then says so.
    pub(super) is_last: bool,
    date: Date,
}

/// The present second, as heads have it.
#[derive(Debug, Default)]
struct Date {
    second: u64,
    text: String,
}

impl Output {
    /// Whether it is time to send what there is.
    pub(super) fn is_full(&self) -> bool {
        self.large.is_some() || self.bytes.len() >= REST_KEPT_BYTES
    }

    /// Makes ready for what comes next, with no more memory than a connection keeps.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(REST_KEPT_BYTES);
    }

    /// Begins a head. Its headers follow, and then its end.
    pub(super) fn begin(&mut self, status: StatusCode) {
        if status == StatusCode::OK {
            self.bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
            return;
        }
        let reason = status.canonical_reason().unwrap_or_default();
        // Writing to a Vec does not fail.
        let _ = write!(self.bytes, "HTTP/1.1 {} {reason}\r\n", status.as_str());
    }

    /// What the body is made of.
    pub(super) fn kind(&mut self, kind: &HeaderValue) {
        self.bytes.extend_from_slice(b"content-type: ");
        self.bytes.extend_from_slice(kind.as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// All headers of an answer.
    pub(super) fn headers(&mut self, headers: &HeaderMap) {
        for (name, value) in headers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                self.bytes.extend_from_slice(part);
            }
        }
    }

    /// Ends a head before a body of `length` bytes, at a unix millisecond.
    pub(super) fn end(&mut self, length: usize, now: u64) {
        let second = now / 1000;
        if self.date.second != second {
            self.date = Date::of(second);
        }
        self.bytes.extend_from_slice(b"content-length: ");
        self.bytes.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
        self.bytes.extend_from_slice(b"\r\ndate: ");
        self.bytes.extend_from_slice(self.date.text.as_bytes());
        if self.is_last {
            self.bytes.extend_from_slice(b"\r\nconnection: close");
        }
        self.bytes.extend_from_slice(b"\r\n\r\n");
    }

    /// A body.
    pub(super) fn body(&mut self, body: Bytes) {
        if body.len() <= REST_KEPT_BYTES {
            self.bytes.extend_from_slice(&body);
        } else {
            self.large = Some(body);
        }
    }
}

impl Date {
    #[cold]
    fn of(second: u64) -> Date {
        let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
        Date { second, text }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::RETRY_AFTER;

    use super::*;

    #[test]
    fn a_head_is_that_of_http() {
        let mut output = Output::default();
        output.begin(StatusCode::OK);
        output.kind(&HeaderValue::from_static("text/plain"));
        output.end(2, 1_000_000_000_999);
        output.body(Bytes::from_static(b"hi"));
        output.is_last = true;
        output.begin(StatusCode::TOO_MANY_REQUESTS);
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, 7_u16.into());
        output.headers(&headers);
        output.end(0, 1_000_000_001_000);
        let text = String::from_utf8(output.bytes).unwrap();
        let wanted = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\
            date: Sun, 09 Sep 2001 01:46:40 GMT\r\n\r\nhi\
            HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 0\r\n\
            date: Sun, 09 Sep 2001 01:46:41 GMT\r\nconnection: close\r\n\r\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_large_body_is_not_copied() {
        let mut output = Output::default();
        output.body(vec![b'x'; REST_KEPT_BYTES].into());
        assert!(output.large.is_none() && output.is_full());
        output.clear();
        output.body(vec![b'x'; REST_KEPT_BYTES + 1].into());
        assert!(output.large.is_some() && output.bytes.is_empty() && output.is_full());
    }
}
