//! Whether the server lives, and whether it can serve: for orchestrators, without a token.
//!
//! Alive is whoever answers. Ready is a node that does not stop and, if it follows another, has a
//! link to it: before that it may have no data, and a load balancer should ask another.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;

use super::answer::{self, Answer, JSON};
use crate::node::Node;

/// How long a step of the check may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// `GET /health`.
pub(super) fn alive() -> Answer {
    status(StatusCode::OK, "{\"status\":\"ok\"}")
}

/// `GET /ready`.
pub(super) fn ready(node: &Node) -> Answer {
    if node.shutdown.is_cancelled() {
        status(StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"stopping\"}")
    } else if node.replication.is_replica() && !node.replication.is_connected() {
        status(StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"not connected to the leader\"}")
    } else if node.replication.is_fenced() {
        status(StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"another node leads now\"}")
    } else {
        status(StatusCode::OK, "{\"status\":\"ok\"}")
    }
}

fn status(code: StatusCode, body: &'static str) -> Answer {
    answer::with_body(code, JSON, Bytes::from_static(body.as_bytes()))
}

/// Asks a server for `/health`, as a container's health check does; whether it said 200.
pub fn check(server: SocketAddr) -> bool {
    ask(server).is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200 "))
}

fn ask(server: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let head = format!("GET /health HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    // More than this is no answer of ours.
    stream.take(4096).read_to_end(&mut answer)?;
    Ok(answer)
}
