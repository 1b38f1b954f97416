//! One HTTP connection: hyper drives it, a watch ends it when its client falls silent.
//!
//! By HTTP/1.1 here, and by HTTP/2 (`http2`) where that was agreed on during the handshake of
//! TLS. There is no guessing by the first bytes: a client that sends none could not be timed.
//!
//! Over HTTP/1.1 most requests never come to hyper: see `plain`.
//!
//! hyper keeps some 16 KiB for each connection, and most connections are silent most of the
//! time. So there is none of it before the first byte, and after a second of silence it is put
//! away until there are bytes again.

use std::convert::Infallible;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::answer::Content;
use super::caller::Caller;
use super::http2;
use super::plain::Behind;
use super::pulse::{Patience, Pulse, Streaming, Verdict, Watch};
use super::wire::Wire;
use crate::clients::Client;
use crate::limits::REST_HEAD_BYTES;
use crate::net::stream::Stream;
use crate::node::Node;

/// How long what a client still sends is read after the last answer.
const LINGER: Duration = Duration::from_secs(2);

/// Serves a client until it goes, falls silent, or the node stops.
pub async fn serve(node: Arc<Node>, stream: Stream, client: Arc<Client>) {
    if stream.is_http2() {
        return Box::pin(http2::serve(node, stream, client)).await;
    }
    let pulse = Arc::new(Pulse::default());
    let wire = Wire::new(stream, Arc::clone(&pulse), Arc::clone(&node));
    let caller = Arc::new(Caller::new(Arc::clone(&node), Arc::clone(&client), false));
    let watch = Watch::new(Patience::of(&node));
    let mut driver = Driver { node, client, caller, pulse, watch };
    let mut next = driver.wait(wire).await;
    while let Some(mut wire) = next {
        // In a place of its own, which a silent connection does not have: gone before the wait.
        let silent = match Box::pin(driver.plain(&mut wire)).await {
            Behind::End => None,
            Behind::Last => Box::pin(driver.end(wire)).await,
            Behind::Silence => Some(wire),
            Behind::Other => Box::pin(driver.drive(wire)).await,
        };
        next = match silent {
            Some(wire) => driver.wait(wire).await,
            None => None,
        };
    }
}

/// What a connection has all the time.
pub(super) struct Driver {
    pub(super) node: Arc<Node>,
    pub(super) client: Arc<Client>,
    pub(super) caller: Arc<Caller>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) watch: Watch,
}

impl Driver {
    /// Waits until the client says something; nothing if it is to end before that.
    async fn wait(&mut self, wire: Wire) -> Option<Wire> {
        let mut wire = Some(wire);
        std::future::poll_fn(|context| {
            self.client.register(context.waker());
            if self.is_closing() {
                return Poll::Ready(None);
            }
            match wire.as_mut().map(|wire| wire.poll_readable(context)) {
                Some(Poll::Ready(Ok(()))) => return Poll::Ready(wire.take()),
                Some(Poll::Ready(Err(_))) | None => return Poll::Ready(None),
                Some(Poll::Pending) => {}
            }
            self.watch.poll(&self.pulse, true, context).map(|_| None)
        })
        .await
    }

    fn is_closing(&self) -> bool {
        self.client.is_closing() || self.node.shutdown.is_cancelled()
    }

    /// Answers requests until the connection ends, or is silent: then it comes back.
    async fn drive(&mut self, wire: Wire) -> Option<Wire> {
        let service = service_fn(|request| {
            let (caller, pulse) = (Arc::clone(&self.caller), Arc::clone(&self.pulse));
            async move {
                let busy = pulse.begin();
                let mut answer = caller.answer(request).await;
                drop(busy);
                if let Content::Events(events) = answer.body_mut() {
                    events.keep(Box::new(Streaming::new(pulse)));
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let mut connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(REST_HEAD_BYTES)
            // Not `pipeline_flush`: with it, hyper keeps its answer to a broken head to itself.
            .serve_connection(TokioIo::new(wire), service);
        let (client, node, pulse) = (&self.client, &self.node, &self.pulse);
        let watch = &mut self.watch;
        let (mut leaving, mut ended) = (Leaving::No, false);
        let end = std::future::poll_fn(|context| {
            client.register(context.waker());
            let closing = client.is_closing() || node.shutdown.is_cancelled();
            if closing && leaving == Leaving::No {
                leaving = Leaving::Announced;
                Pin::new(&mut connection).graceful_shutdown();
            }
            if let Poll::Ready(end) = Pin::new(&mut connection).poll(context) {
                if let Err(error) = end {
                    tracing::debug!("client {}: {error}", client.id);
                }
                ended = true;
                return Poll::Ready(Verdict::Cut);
            }
            // What is neither asking nor being answered has nothing to wait for.
            if closing && pulse.is_idle() {
                return Poll::Ready(Verdict::Cut);
            }
            watch.poll(pulse, closing, context)
        })
        .await;
        if end == Verdict::Cut && !ended {
            return None;
        }
        let parts = connection.into_parts();
        let mut wire = parts.io.into_inner();
        if ended {
            return self.end(wire).await;
        }
        wire.unread(&parts.read_buf);
        Some(wire)
    }

    /// Ends a connection after its last answer.
    async fn end(&mut self, wire: Wire) -> Option<Wire> {
        tokio::select! {
            () = linger(wire) => {}
            () = self.node.shutdown.cancelled() => {}
        }
        None
    }
}

/// Ends a connection after its last answer, which may have been given before all of the request
/// was read: a socket that is closed with bytes unread is reset, and its client, still writing,
/// would see that instead of the answer.
async fn linger(mut wire: Wire) {
    let mut unread = [0; 1024];
    let drain = async {
        if wire.shutdown().await.is_ok() {
            while wire.read(&mut unread).await.is_ok_and(|bytes| bytes > 0) {}
        }
    };
    // Who keeps on sending has had its time.
    let _ = tokio::time::timeout(LINGER, drain).await;
}

/// Whether hyper knows that the connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    Announced,
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::config::Config;
    use crate::session::Session;

    /// What a silent connection has, besides its client's entry in the registry and its timer.
    #[tokio::test]
    async fn a_silent_connection_is_small() {
        let node = Node::new(Config::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there are ports");
        let address = listener.local_addr().expect("it has one");
        let stream = Stream::Tcp(TcpStream::connect(address).await.expect("it listens"));
        let client = node.clients.add(String::new(), String::new(), 0);
        let task = size_of_val(&serve(Arc::clone(&node), stream, client));
        println!(
            "task {task}, caller {}, session {}, client {}, driver {}, wire {}",
            size_of::<Caller>(),
            size_of::<Session>(),
            size_of::<Client>(),
            size_of::<Driver>(),
            size_of::<Wire>()
        );
        assert!(task < 2048 && size_of::<Caller>() < 4096, "{task} {}", size_of::<Caller>());
    }
}
