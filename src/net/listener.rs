//! Sockets that accept, and the loop that does.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::socket::{self, TcpListener, TcpStream};
use crate::config::BindAddress;

/// Opens the listeners of one door.
///
/// # Errors
/// When an address cannot be used that is not optional (`-` before it makes it so), or when
/// none can be used at all.
pub fn open(addresses: &[BindAddress], port: u16, backlog: u32) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    let mut last = None;
    for address in addresses {
        match socket::listen(SocketAddr::new(address.ip, port), backlog) {
            Ok(listener) => listeners.push(listener),
            Err(error) if address.optional => last = Some(error),
            Err(error) => {
                return Err(io::Error::new(
                    error.kind(),
                    format!("{}:{port}: {error}", address.ip),
                ));
            }
        }
    }
    match (listeners.is_empty(), last) {
        (true, Some(error)) => Err(error),
        _ => Ok(listeners),
    }
}

/// Accepts until the node stops; `serve` gets each connection, configured. `keepalive_seconds`
/// is asked for each of them, since it may change.
pub async fn accept(
    listener: TcpListener,
    shutdown: CancellationToken,
    keepalive_seconds: impl Fn() -> u32,
    mut serve: impl FnMut(TcpStream, SocketAddr),
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                prepare(&stream, keepalive_seconds());
                serve(stream, peer);
            }
            Err(error) => rest_after(&error).await,
        }
    }
}

/// Waits after a connection could not be accepted: out of file descriptors, mostly, and waiting is
/// what helps.
pub(super) async fn rest_after(error: &io::Error) {
    tracing::warn!("cannot accept a connection: {error}");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Settings of an accepted socket. That one of them fails is no reason to refuse a client.
fn prepare(stream: &TcpStream, keepalive_seconds: u32) {
    let _ = stream.set_nodelay(true);
    if keepalive_seconds > 0 {
        let idle = Duration::from_secs(u64::from(keepalive_seconds));
        socket::keep_alive(stream, idle, idle / 3);
    }
}
