//! Why a request is not answered with a result: a status code and an error in JSON.

use std::borrow::Cow;

use hyper::StatusCode;

use super::reply::write_error;

/// A refusal of a whole request. Its text never repeats a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The status code.
    pub(super) status: StatusCode,
    /// The text of the error; empty = no body.
    pub(super) text: Cow<'static, str>,
}

impl Refusal {
    /// No token, or one that is not known; nobody is told which.
    pub(super) const UNAUTHORIZED: Refusal =
        Refusal::new(StatusCode::UNAUTHORIZED, "WRONGPASS invalid or missing auth token");
    /// A request without a command.
    pub(super) const EMPTY_COMMAND: Refusal =
        Refusal::new(StatusCode::BAD_REQUEST, "ERR empty command");
    /// A method that is not answered; like Upstash's, this answer has no body.
    pub(super) const METHOD: Refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "");
    /// A body that did not come in time.
    pub(super) const SLOW_BODY: Refusal = Refusal::new(
        StatusCode::REQUEST_TIMEOUT,
        "ERR the body of the request did not arrive in time",
    );
    /// A body that broke off, or whose chunks are none.
    pub(super) const BROKEN_BODY: Refusal =
        Refusal::new(StatusCode::BAD_REQUEST, "ERR the body of the request cannot be read");

    /// Too many failed attempts from this address; the next one may come in so many milliseconds.
    pub(super) fn guessed_too_often(wait_ms: u64) -> Refusal {
        let seconds = wait_ms.div_ceil(1000);
        let text = format!(
            "ERR too many failed attempts to authenticate from this address, try again in \
             {seconds} seconds"
        );
        Refusal { status: StatusCode::TOO_MANY_REQUESTS, text: text.into() }
    }

    /// A refusal with a fixed text.
    pub(super) const fn new(status: StatusCode, text: &'static str) -> Refusal {
        Refusal { status, text: Cow::Borrowed(text) }
    }

    /// What is wrong with the request.
    pub(super) fn bad_request(text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { status: StatusCode::BAD_REQUEST, text: text.into() }
    }

    /// A body beyond the limit, of which `actual` bytes are announced or have come.
    pub(super) fn too_large(limit: u64, actual: u64) -> Refusal {
        Refusal::bad_request(format!(
            "ERR max request size exceeded. Limit: {limit} bytes, Actual: {actual} bytes."
        ))
    }

    /// The error as JSON.
    pub(super) fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        if !self.text.is_empty() {
            write_error(&mut body, &self.text);
        }
        body
    }
}
