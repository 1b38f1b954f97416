//! One HTTP connection: hyper drives it, a watch ends it when its client falls silent.
//!
//! hyper's own timer for heads also counts the time between two requests, sets up a timer for
//! each request, and knows nothing of clients that do not read. The watch here looks at the
//! connection after each step of hyper's: what is it waiting for, since when, and is that too
//! long. A connection that waits for nothing but its own command is left alone.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::answer::Content;
use super::caller::Caller;
use crate::clients::Client;
use crate::clock;
use crate::limits::REST_HEAD_BYTES;
use crate::net::stream::Stream;
use crate::node::Node;
use crate::observe::stats;

/// Serves a client until it goes, falls silent, or the node stops.
pub async fn serve(node: Arc<Node>, stream: Stream, client: Arc<Client>) {
    let patience = Patience::of(&node);
    let pulse = Arc::new(Pulse::default());
    let caller = Arc::new(Caller::new(Arc::clone(&node), Arc::clone(&client)));
    let stream = Watched { stream, pulse: Arc::clone(&pulse), node: Arc::clone(&node) };
    let service = service_fn(|request| {
        let (caller, pulse) = (Arc::clone(&caller), Arc::clone(&pulse));
        async move {
            let busy = pulse.begin();
            let mut answer = caller.answer(request).await;
            drop(busy);
            if let Content::Events(events) = answer.body_mut() {
                events.keep(Streaming::new(Arc::clone(&pulse)));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(REST_HEAD_BYTES)
        // Not `pipeline_flush`: with it, hyper keeps its answer to a broken head to itself.
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut watch = pin!(Watch::new(patience));
    let mut leaving = Leaving::No;
    std::future::poll_fn(|context| {
        client.register(context.waker());
        let closing = client.is_closing() || node.shutdown.is_cancelled();
        if closing && leaving == Leaving::No {
            leaving = Leaving::Announced;
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(end) = connection.as_mut().poll(context) {
            if let Err(error) = end {
                tracing::debug!("client {}: {error}", client.id);
            }
            return Poll::Ready(());
        }
        // What is neither asking nor being answered has nothing to wait for.
        if closing && pulse.is_idle() {
            return Poll::Ready(());
        }
        watch.as_mut().poll(&pulse, context)
    })
    .await;
}

/// Whether hyper knows that the connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    Announced,
}

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// For the head of a request, and for the first sign of the first one.
    head: Duration,
    /// Between two requests, and for taking any of an answer.
    idle: Duration,
}

impl Patience {
    fn of(node: &Node) -> Patience {
        let config = node.config.load();
        Patience {
            head: Duration::from_millis(config.rest_header_timeout_ms),
            idle: Duration::from_secs(u64::from(config.rest_idle_timeout)),
        }
    }
}

/// What a connection is doing. The stream and the requests write it down, the watch reads it;
/// all of them are one task.
#[derive(Debug, Default)]
struct Pulse {
    /// See `IDLE`, `HEAD` and `BUSY`.
    phase: AtomicU8,
    /// Requests answered.
    answered: AtomicU64,
    /// Bytes written.
    written: AtomicU64,
    /// Whether the client has left so much unread that nothing more can be written.
    blocked: AtomicBool,
}

/// Waiting for a request.
const IDLE: u8 = 0;
/// A part of its head has come.
const HEAD: u8 = 1;
/// It is being answered.
const BUSY: u8 = 2;

/// What the watch compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Beat {
    phase: u8,
    answered: u64,
    written: u64,
    blocked: bool,
}

impl Pulse {
    fn begin(&self) -> Busy<'_> {
        self.phase.store(BUSY, Ordering::Relaxed);
        Busy(self)
    }

    fn beat(&self) -> Beat {
        let blocked = self.blocked.load(Ordering::Relaxed);
        Beat {
            phase: self.phase.load(Ordering::Relaxed),
            answered: self.answered.load(Ordering::Relaxed),
            // As long as the client takes its answers, how much it takes is no news.
            written: if blocked { self.written.load(Ordering::Relaxed) } else { 0 },
            blocked,
        }
    }

    fn is_idle(&self) -> bool {
        let beat = self.beat();
        beat.phase != BUSY && !beat.blocked
    }
}

/// Marks a request as being answered, until it is dropped.
struct Busy<'a>(&'a Pulse);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.phase.store(IDLE, Ordering::Relaxed);
        self.0.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Marks an answer that goes on as one, until it is dropped.
#[derive(Debug)]
pub(super) struct Streaming(Arc<Pulse>);

impl Streaming {
    fn new(pulse: Arc<Pulse>) -> Streaming {
        pulse.phase.store(BUSY, Ordering::Relaxed);
        Streaming(pulse)
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.0.phase.store(IDLE, Ordering::Relaxed);
        self.0.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Ends a connection whose client takes too long.
#[derive(Debug)]
struct Watch {
    patience: Patience,
    seen: Option<Beat>,
    since: Instant,
    /// When the timer fires. It is moved forward only when it has fired, not with every request.
    armed: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Watch {
    fn new(patience: Patience) -> Watch {
        let now = Instant::from_std(clock::instant());
        let armed = now + patience.head;
        let timer = Box::pin(sleep_until(armed));
        Watch { patience, seen: None, since: now, armed, timer }
    }

    /// Ready when the client has taken too long.
    fn poll(mut self: Pin<&mut Self>, pulse: &Pulse, context: &mut Context<'_>) -> Poll<()> {
        let beat = pulse.beat();
        if self.seen != Some(beat) {
            self.seen = Some(beat);
            self.since = Instant::from_std(clock::instant());
        }
        let patience = match beat {
            Beat { blocked: true, .. } => self.patience.idle,
            Beat { phase: BUSY, .. } => return Poll::Pending,
            Beat { phase: HEAD, .. } | Beat { answered: 0, .. } => self.patience.head,
            _ => self.patience.idle,
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

/// A socket that writes down what passes.
#[derive(Debug)]
struct Watched {
    stream: Stream,
    pulse: Arc<Pulse>,
    node: Arc<Node>,
}

impl Watched {
    fn wrote(&self, result: &Poll<io::Result<usize>>) {
        let blocked = result.is_pending();
        self.pulse.blocked.store(blocked, Ordering::Relaxed);
        if let Poll::Ready(Ok(bytes)) = result {
            self.pulse.written.fetch_add(*bytes as u64, Ordering::Relaxed);
            stats::add(&self.node.stats.output_bytes, *bytes as u64);
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        let bytes = buffer.filled().len().saturating_sub(before);
        if bytes > 0 {
            stats::add(&self.node.stats.input_bytes, bytes as u64);
            if self.pulse.phase.load(Ordering::Relaxed) == IDLE {
                self.pulse.phase.store(HEAD, Ordering::Relaxed);
            }
        }
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
