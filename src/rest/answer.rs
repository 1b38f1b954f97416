//! Responses: bodies, and the headers that every one of them has.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW,
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, VARY,
    WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};

use super::events::Events;
use super::refusal::Refusal;

/// A response of this door.
pub(super) type Answer = Response<Content>;

/// The body of a response.
#[derive(Debug)]
pub(super) enum Content {
    /// All of it.
    Whole(Full<Bytes>),
    /// What comes, as it comes.
    Events(Box<Events>),
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Content::Whole(body) => Pin::new(body).poll_frame(context),
            Content::Events(events) => {
                events.poll(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        match self {
            Content::Whole(body) => body.is_end_stream(),
            Content::Events(_) => false,
        }
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match self {
            Content::Whole(body) => body.size_hint(),
            Content::Events(_) => SizeHint::default(),
        }
    }
}

/// `application/json`, in which the clients expect the character set.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
/// What Prometheus reads.
pub(super) const METRICS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
/// The Redis protocol.
pub(super) const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// An error in the sense of RFC 9457.
pub(super) const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Names a state of the keyspace. Clients send it back, and a replica will wait for it.
pub(super) const SYNC_TOKEN: HeaderName = HeaderName::from_static("upstash-sync-token");

/// How old a replica's data is at most, in milliseconds.
pub(super) const STALENESS: HeaderName = HeaderName::from_static("eave-staleness-ms");

/// Headers of a common answer: type, sync token, date and length (hyper's), and one to spare.
const HEADERS: usize = 5;

/// A response with a body.
pub(super) fn with_body(status: StatusCode, kind: HeaderValue, body: Bytes) -> Answer {
    let mut answer = Response::new(Content::Whole(Full::new(body)));
    *answer.status_mut() = status;
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(CONTENT_TYPE, kind);
    *answer.headers_mut() = headers;
    answer
}

/// A response that goes on until its client has enough.
pub(super) fn with_events(events: Events) -> Answer {
    let mut answer = Response::new(Content::Events(Box::new(events)));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies of the nginx kind gather answers otherwise.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}

/// A response without one.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Content::Whole(Full::default()));
    *answer.status_mut() = status;
    answer
}

/// A refusal as a response.
pub(super) fn refuse(refusal: &Refusal) -> Answer {
    let mut answer = match refusal.body() {
        body if body.is_empty() => empty(refusal.status),
        body => with_body(refusal.status, JSON, body.into()),
    };
    let headers = answer.headers_mut();
    if let Some(seconds) = refusal.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    match refusal.status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, OPTIONS"));
        }
        _ => {}
    }
    answer
}

/// The bytes of a body that is whole; it stays as it is.
pub(super) async fn bytes_of(body: &mut Full<Bytes>) -> Bytes {
    // It cannot fail, and has one frame.
    let frame = std::mem::take(body).frame().await.map(|frame| frame.map(Frame::into_data));
    let bytes = match frame {
        Some(Ok(Ok(bytes))) => bytes,
        _ => Bytes::new(),
    };
    *body = Full::new(bytes.clone());
    bytes
}

/// Lets the page at `origin` read an answer.
pub(super) fn allow_origin(answer: &mut Answer, origin: &[u8]) {
    // It was one of a header.
    let Ok(origin) = HeaderValue::from_bytes(origin) else { return };
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
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

const EXPOSED: HeaderValue = HeaderValue::from_static(
    "upstash-sync-token, eave-staleness-ms, ratelimit, ratelimit-policy, retry-after, \
     idempotency-replayed",
);

/// What `@upstash/redis` sends. With credentials allowed, `*` would not be a wildcard.
const ALLOWED: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, upstash-encoding, upstash-response-format, upstash-sync-token, \
     upstash-telemetry-sdk, upstash-telemetry-runtime, upstash-telemetry-platform, \
     upstash-telemetry-retry, idempotency-key",
);
