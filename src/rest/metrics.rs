//! `/metrics`: with a token at the REST door, or without one at an address of its own.
//!
//! That address answers one question and knows one client, so it reads its requests itself: a
//! bounded head in a bounded time, one answer, the end.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::answer::{self, Answer, METRICS};
use crate::limits::{METRICS_CONNECTIONS, METRICS_HEAD_BYTES};
use crate::net::listener;
use crate::net::socket::{TcpListener, TcpStream};
use crate::node::Node;
use crate::observe::metrics;

/// How long a scraper has, for its question and to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What INFO says, as Prometheus reads it.
pub(super) fn answer(node: &Node) -> Answer {
    answer::with_body(StatusCode::OK, METRICS, metrics::text(node).into())
}

/// Tells those who ask at an address of its own.
pub async fn accept(node: Arc<Node>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(METRICS_CONNECTIONS));
    let shutdown = node.shutdown.clone();
    let serve = |stream, _| {
        // Who comes when there is no place is turned away.
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let node = Arc::clone(&node);
            tokio::spawn(async move {
                let _place = place;
                // Who does not ask in time, or leaves, is told nothing.
                let _ = timeout(PATIENCE, tell(&node, stream)).await;
            });
        }
    };
    listener::accept(listener, shutdown, || 0, serve).await;
}

async fn tell(node: &Node, mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= METRICS_HEAD_BYTES || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let (status, body) = match (method, path) {
        (b"GET", b"/metrics" | b"/") => ("200 OK", metrics::text(node)),
        (b"GET", _) => ("404 Not Found", "only /metrics is here\n".to_owned()),
        _ => ("405 Method Not Allowed", "only GET is answered\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}
