//! Responses: bodies, and the headers that every one of them has.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, VARY,
};
use hyper::{Response, StatusCode};

use super::refusal::Refusal;

/// A response of this door; its body is known when its head is sent.
pub(super) type Answer = Response<Full<Bytes>>;

/// `application/json`, in which the clients expect the character set.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
/// The Redis protocol.
pub(super) const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// An error in the sense of RFC 9457.
pub(super) const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Names a state of the keyspace. Clients send it back, and a replica will wait for it.
pub(super) const SYNC_TOKEN: HeaderName = HeaderName::from_static("upstash-sync-token");

/// Headers of a common answer: type, sync token, date and length (hyper's), and one to spare.
const HEADERS: usize = 5;

/// A response with a body.
pub(super) fn with_body(status: StatusCode, kind: HeaderValue, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(CONTENT_TYPE, kind);
    *answer.headers_mut() = headers;
    answer
}

/// A response without one.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// A refusal as a response.
pub(super) fn refuse(refusal: &Refusal) -> Answer {
    match refusal.body() {
        body if body.is_empty() => empty(refusal.status),
        body => with_body(refusal.status, JSON, body.into()),
    }
}

/// Lets the page at `origin` read an answer.
pub(super) fn allow_origin(answer: &mut Answer, origin: &HeaderValue) {
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.insert(VARY, HeaderValue::from_static("origin"));
}

/// Tells a browser what a page may send.
pub(super) fn allow_requests(answer: &mut Answer) {
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, PUT"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED);
    // A day; browsers cap it at two hours or less.
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
}

const EXPOSED: HeaderValue =
    HeaderValue::from_static("upstash-sync-token, ratelimit, ratelimit-policy, retry-after");

/// What `@upstash/redis` sends. With credentials allowed, `*` would not be a wildcard.
const ALLOWED: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, upstash-encoding, upstash-response-format, upstash-sync-token, \
     upstash-telemetry-sdk, upstash-telemetry-runtime, upstash-telemetry-platform, \
     upstash-telemetry-retry, idempotency-key",
);
