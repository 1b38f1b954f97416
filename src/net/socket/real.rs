//! Sockets of the system.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
pub use tokio::net::{TcpListener, TcpStream};

/// Opens a listener.
///
/// # Errors
/// When the address cannot be used.
pub fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // 0.0.0.0 and :: are two addresses, and each is bound when it is named.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(511))?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Has the kernel find out that the other side is gone without a word: it asks after `idle`, then
/// each `interval`, and gives up when three questions have no answer.
pub fn keep_alive(stream: &TcpStream, idle: Duration, interval: Duration) {
    let probes = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(3);
    let _ = SockRef::from(stream).set_tcp_keepalive(&probes);
}
