//! Sockets of a simulated network.

use std::fmt;
use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub use turmoil::net::TcpStream;

/// A listener of the host that runs.
pub struct TcpListener(turmoil::net::TcpListener);

impl TcpListener {
    /// The next connection.
    ///
    /// # Errors
    /// None, in a simulation.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }

    /// Where it listens.
    ///
    /// # Errors
    /// None, in a simulation.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TcpListener").field(&self.0.local_addr().ok()).finish()
    }
}

/// Opens a listener; how many may wait there is the simulation's to say.
///
/// # Errors
/// When the address cannot be used.
pub fn listen(address: SocketAddr, _backlog: u32) -> io::Result<TcpListener> {
    let binding = pin!(turmoil::net::TcpListener::bind(address));
    match binding.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(bound) => bound.map(TcpListener),
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// Nobody asks: who is gone is found out by what Eave's own protocols say, or not at all.
pub fn keep_alive(_stream: &TcpStream, _idle: Duration, _interval: Duration) {}
