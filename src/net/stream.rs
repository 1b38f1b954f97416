//! The bytes of a connection, whatever carries them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio_rustls::TlsStream;

use super::socket::TcpStream;

/// The name of HTTP/2 in the handshake of TLS.
pub const HTTP_2: &[u8] = b"h2";

/// A connection of any door.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS over TCP. It is large, and rare.
    Tls(Box<TlsStream<TcpStream>>),
    /// The socket of this machine.
    Unix(UnixStream),
}

impl Stream {
    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// Whether the handshake of TLS has agreed on HTTP/2.
    pub fn is_http2(&self) -> bool {
        match self {
            Stream::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(HTTP_2),
            _ => false,
        }
    }

    /// Ready when there is something to read, or the end. What had to be read to find out is
    /// answered: a byte, of a stream that has to be deciphered.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        match self {
            Stream::Tcp(stream) => {
                // A new socket is said to be ready whether it is or not; a look decides.
                let mut byte = [0];
                let mut buffer = ReadBuf::new(&mut byte);
                stream.poll_peek(context, &mut buffer).map_ok(|_| Vec::new())
            }
            Stream::Unix(stream) => stream.poll_read_ready(context).map_ok(|()| Vec::new()),
            Stream::Tls(stream) => {
                let mut byte = [0];
                let mut buffer = ReadBuf::new(&mut byte);
                ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
                Poll::Ready(Ok(buffer.filled().to_vec()))
            }
        }
    }
}

/// Asks the same of each kind.
macro_rules! each {
    ($stream:expr, $inner:ident => $asked:expr) => {
        match $stream {
            Stream::Tcp($inner) => $asked,
            Stream::Tls($inner) => $asked,
            Stream::Unix($inner) => $asked,
        }
    };
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        // Nearly always there is room: nobody has to be told of it first.
        if let Stream::Tcp(tcp) = stream {
            match tcp.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
        each!(stream, inner => Pin::new(inner).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, inner => inner.is_write_vectored())
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_shutdown(context))
    }
}
