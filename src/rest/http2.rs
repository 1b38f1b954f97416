//! One HTTP/2 connection, where the handshake of TLS has agreed on it.
//!
//! Its streams are tasks of their own, and each that runs has a caller of its own: a session is
//! one client's, and knows no two requests at once. A stream that its client resets is dropped
//! with what it was doing; hyper counts resets and ends a connection that does little else
//! (CVE-2023-44487).
//!
//! Answers wait inside of hyper until the client's windows let them go. What waits there is
//! counted, since a client could ask for much and take nothing: with too much of it no further
//! request is begun, and when none of it moves for as long as a connection may be silent, the
//! connection is cut.

use std::convert::Infallible;
use std::future::Future as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::CONTENT_LENGTH;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

use super::answer::{self, Answer, Content};
use super::caller::Caller;
use super::load::Busy;
use super::pulse::Patience;
use super::refusal::Refusal;
use crate::clients::Client;
use crate::clock;
use crate::limits::{REST_HEAD_BYTES, REST_STREAMS, REST_UNTAKEN_BYTES};
use crate::net::stream::Stream;
use crate::node::Node;
use crate::observe::stats;

/// Time between two questions whether the client is there, and how long it has to answer.
const PING: Duration = Duration::from_secs(20);

/// Bytes that may be on their way to us without an answer, for a stream and for all of them.
const WINDOW: u32 = 256 * 1024;

/// Serves a client until it goes, falls silent, or the node stops.
pub(super) async fn serve(node: Arc<Node>, stream: Stream, client: Arc<Client>) {
    let streams = Arc::new(Streams::new(&node, &client));
    let service = {
        let streams = Arc::clone(&streams);
        service_fn(move |request| {
            let streams = Arc::clone(&streams);
            async move { Ok::<_, Infallible>(streams.answer(request).await) }
        })
    };
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(REST_STREAMS)
        // Beyond this, h2 itself refuses a head, and its refusals have no body.
        .max_header_list_size(4 * REST_HEAD_BYTES as u32)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * 4)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut watch = Watch::new(Patience::of(&node));
    let mut announced = false;
    std::future::poll_fn(|context| {
        client.register(context.waker());
        if node.shutdown.is_cancelled() && !announced {
            announced = true;
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(end) = connection.as_mut().poll(context) {
            if let Err(error) = end {
                tracing::debug!("client {}: {error}", client.id);
            }
            return Poll::Ready(());
        }
        // Whoever is killed is cut; a node that stops lets requests end.
        let idle = streams.beat().open == 0;
        if client.is_closing() && (idle || !announced) {
            return Poll::Ready(());
        }
        watch.poll(&streams, context)
    })
    .await;
}

/// What the streams of a connection share.
#[derive(Debug)]
struct Streams {
    node: Arc<Node>,
    client: Arc<Client>,
    /// Callers without a request.
    callers: Mutex<Vec<Arc<Caller>>>,
    open: AtomicUsize,
    /// Answered ones.
    ended: AtomicU64,
    /// Bytes of answers that the client has not taken.
    untaken: AtomicUsize,
    taken: Notify,
}

/// What the watch compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Beat {
    open: usize,
    ended: u64,
    untaken: usize,
}

impl Streams {
    fn new(node: &Arc<Node>, client: &Arc<Client>) -> Streams {
        Streams {
            node: Arc::clone(node),
            client: Arc::clone(client),
            callers: Mutex::default(),
            open: AtomicUsize::new(0),
            ended: AtomicU64::new(0),
            untaken: AtomicUsize::new(0),
            taken: Notify::new(),
        }
    }

    fn beat(&self) -> Beat {
        Beat {
            open: self.open.load(Ordering::Relaxed),
            ended: self.ended.load(Ordering::Relaxed),
            untaken: self.untaken.load(Ordering::Relaxed),
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let open = Open::new(Arc::clone(&self));
        let most = self.node.config.load().rest_max_requests as usize;
        let Some(_busy) = Busy::new(&self.node, most) else {
            return answer::refuse(&Refusal::BUSY);
        };
        if head_bytes(&request) > REST_HEAD_BYTES {
            return answer::refuse(&Refusal::HEAD);
        }
        self.room().await;
        let without_body = request.method() == Method::HEAD;
        let caller = self.callers.lock().pop();
        let caller = caller.unwrap_or_else(|| {
            Arc::new(Caller::new(Arc::clone(&self.node), Arc::clone(&self.client), true))
        });
        let mut answer = caller.answer(request).await;
        // One that is still at work for a request that may not be cut off is not used again.
        if Arc::strong_count(&caller) == 1 {
            self.callers.lock().push(caller);
        }
        match answer.body_mut() {
            Content::Events(events) => events.keep(Box::new(open)),
            Content::Whole(body) => {
                let bytes = answer::bytes_of(body).await;
                *body = Full::default();
                if without_body {
                    // hyper leaves the body out by itself in HTTP/1.1 only.
                    answer.headers_mut().insert(CONTENT_LENGTH, bytes.len().into());
                } else if !bytes.is_empty() {
                    let bytes = Bytes::from_owner(Untaken::new(bytes, self));
                    *body = Full::new(bytes);
                }
            }
        }
        answer
    }

    /// Waits until the client has taken enough of what it has asked for.
    async fn room(&self) {
        loop {
            let taken = self.taken.notified();
            if self.untaken.load(Ordering::Relaxed) < REST_UNTAKEN_BYTES {
                return;
            }
            taken.await;
        }
    }
}

/// Bytes of a head, as HTTP/2 counts them (RFC 9113), without the pseudo-headers that are short.
fn head_bytes(request: &Request<Incoming>) -> usize {
    const EACH: usize = 32;
    let path = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    let headers = request.headers().iter();
    path + headers.map(|(name, value)| name.as_str().len() + value.len() + EACH).sum::<usize>()
}

/// A stream that is being answered.
#[derive(Debug)]
struct Open(Arc<Streams>);

impl Open {
    fn new(streams: Arc<Streams>) -> Open {
        streams.open.fetch_add(1, Ordering::Relaxed);
        Open(streams)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        // The connection's task looks again.
        self.0.client.wake();
        if std::thread::panicking() {
            stats::add(&self.0.node.stats.panics, 1);
            tracing::error!("client {}: a request ended by a bug in this server", self.0.client.id);
        }
    }
}

/// Bytes of an answer, until hyper has handed them on.
#[derive(Debug)]
struct Untaken {
    bytes: Bytes,
    streams: Arc<Streams>,
}

impl Untaken {
    fn new(bytes: Bytes, streams: Arc<Streams>) -> Untaken {
        streams.untaken.fetch_add(bytes.len(), Ordering::Relaxed);
        Untaken { bytes, streams }
    }
}

impl AsRef<[u8]> for Untaken {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Untaken {
    fn drop(&mut self) {
        let length = self.bytes.len();
        self.streams.untaken.fetch_sub(length, Ordering::Relaxed);
        stats::add(&self.streams.node.stats.output_bytes, length as u64);
        self.streams.taken.notify_waiters();
        self.streams.client.wake();
    }
}

/// Ends a connection that asks for nothing, or takes nothing of what it has asked for.
#[derive(Debug)]
struct Watch {
    patience: Patience,
    seen: Option<Beat>,
    since: Instant,
    armed: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Watch {
    fn new(patience: Patience) -> Watch {
        let now = Instant::from_std(clock::instant());
        let armed = now + patience.head;
        Watch { patience, seen: None, since: now, armed, timer: Box::pin(sleep_until(armed)) }
    }

    fn poll(&mut self, streams: &Streams, context: &mut Context<'_>) -> Poll<()> {
        let beat = streams.beat();
        if self.seen != Some(beat) {
            self.seen = Some(beat);
            self.since = Instant::from_std(clock::instant());
        }
        let patience = match beat {
            Beat { open: 0, ended: 0, .. } => self.patience.head,
            Beat { open: 0, .. } | Beat { untaken: 1.., .. } => self.patience.idle,
            // It waits for its own command, or listens.
            _ => return Poll::Pending,
        };
        let deadline = self.since + patience;
        loop {
            if deadline < self.armed {
                self.arm(deadline);
            }
            ready!(self.timer.as_mut().poll(context));
            if deadline <= self.armed {
                return Poll::Ready(());
            }
            self.arm(deadline);
        }
    }

    fn arm(&mut self, at: Instant) {
        self.armed = at;
        self.timer.as_mut().reset(at);
    }
}
