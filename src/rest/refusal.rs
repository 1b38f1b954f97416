//! Why a request is not answered with a result: a status code and an error in JSON.

use std::borrow::Cow;

use hyper::StatusCode;

use super::reply::write_error;

/// What is told of a head beyond the limit.
pub(super) const LARGE_HEAD: &str =
    "ERR the head of the request is too large, or has too many headers";

const UNCERTAIN: &str = "UNCERTAIN ";

/// Whether an error says how this node and its leader are at the moment, and nothing of the request.
pub(crate) fn passes(error: &str) -> bool {
    const CODES: [&str; 7] =
        ["MASTERDOWN ", "READONLY ", UNCERTAIN, "NOREPLICAS ", "LOADING ", "BUSY ", "OOM "];
    CODES.iter().any(|code| error.starts_with(code))
}

/// A refusal of a whole request. Its text never repeats a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The status code.
    pub(super) status: StatusCode,
    /// The text of the error; empty = no body.
    pub(super) text: Cow<'static, str>,
    /// Seconds after which it may be tried again.
    pub(super) retry_after: Option<u64>,
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

    /// A head beyond the limit.
    pub(super) const HEAD: Refusal =
        Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, LARGE_HEAD);

    /// More at once than the settings allow.
    pub(super) const BUSY: Refusal =
        Refusal::later(StatusCode::SERVICE_UNAVAILABLE, "ERR max concurrent requests exceeded");
    /// An `Idempotency-Key` that is none.
    pub(super) const KEY_INVALID: Refusal =
        Refusal::new(StatusCode::BAD_REQUEST, "ERR Idempotency-Key must have 1 to 255 bytes");
    /// One that has come with another request.
    pub(super) const KEY_REUSED: Refusal = Refusal::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "ERR Idempotency-Key was used before for another request",
    );
    /// One whose request takes longer than the second was to wait.
    pub(super) const KEY_BUSY: Refusal = Refusal::later(
        StatusCode::CONFLICT,
        "ERR a request with this Idempotency-Key is still being run",
    );
    /// Instead of an answer that was too large to be kept.
    pub(super) const ANSWER_NOT_KEPT: Refusal = Refusal::new(
        StatusCode::CONFLICT,
        "ERR the request with this Idempotency-Key was run, its answer was too large to be kept",
    );
    /// A request that a bug of ours has ended.
    pub(super) const BUG: Refusal = Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "ERR the request ended by a bug in this server",
    );

    /// Too many failed attempts from this address; the next one may come in so many milliseconds.
    pub(super) fn guessed_too_often(wait_ms: u64) -> Refusal {
        let seconds = wait_ms.div_ceil(1000);
        let text = format!(
            "ERR too many failed attempts to authenticate from this address, try again in \
             {seconds} seconds"
        );
        Refusal {
            status: StatusCode::TOO_MANY_REQUESTS,
            text: text.into(),
            retry_after: Some(seconds),
        }
    }

    /// A refusal with a fixed text.
    pub(super) const fn new(status: StatusCode, text: &'static str) -> Refusal {
        Refusal { status, text: Cow::Borrowed(text), retry_after: None }
    }

    /// Likewise, of what may be tried again in a second.
    const fn later(status: StatusCode, text: &'static str) -> Refusal {
        Refusal { status, text: Cow::Borrowed(text), retry_after: Some(1) }
    }

    /// What is wrong with the request.
    pub(super) fn bad_request(text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { status: StatusCode::BAD_REQUEST, text: text.into(), retry_after: None }
    }

    /// What a limiter could not decide: a fault of the request, or one of this node and its leader, which
    /// passes. A proxy lets its client try again then, or another node decide.
    pub(super) fn of_limiter(text: impl Into<Cow<'static, str>>) -> Refusal {
        let text = text.into();
        match passes(&text) {
            false => Refusal::bad_request(text),
            // Whether it was run is not known: who repeats it may take twice.
            true if text.starts_with(UNCERTAIN) => {
                Refusal { status: StatusCode::SERVICE_UNAVAILABLE, text, retry_after: None }
            }
            true => Refusal { status: StatusCode::SERVICE_UNAVAILABLE, text, retry_after: Some(1) },
        }
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
