//! Bytes in, bytes out: a socket without a client library in between.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::reply::quoted;
use crate::support::resp::{ANSWER_TIMEOUT, is_closed, is_timeout};

/// A command that shows that everything before it has been answered.
pub(crate) const SENTINEL: &[u8] = b"*2\r\n$4\r\nECHO\r\n$8\r\nsentinel\r\n";
const SENTINEL_REPLY: &[u8] = b"$8\r\nsentinel\r\n";

/// How the bytes are handed to the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    AtOnce,
    ByteByByte,
}

/// What the server did with the connection afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It answered the next command.
    Open,
    Closed,
}

/// A connection without protocol.
pub(crate) fn open(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(address).map_err(|e| format!("connect: {e}"))?;
    stream
        .set_nodelay(true)
        .and_then(|()| stream.set_read_timeout(Some(ANSWER_TIMEOUT)))
        .and_then(|()| stream.set_write_timeout(Some(ANSWER_TIMEOUT)))
        .map_err(|e| format!("socket options: {e}"))?;
    Ok(stream)
}

/// Sends the bytes and returns what came back until the server closed, or until it answered the
/// sentinel (whose reply is left out).
///
/// The sentinel goes out only when the connection is to stay open: bytes behind an error could
/// make the kernel throw the error away.
pub(crate) fn ask(
    address: SocketAddr,
    bytes: &[u8],
    pace: Pace,
    end: End,
) -> Result<(Vec<u8>, End), String> {
    let mut stream = open(address)?;
    send(&mut stream, bytes, pace)?;
    if end == End::Open {
        send(&mut stream, SENTINEL, Pace::AtOnce)?;
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok((answer, End::Closed)),
            Ok(length) => answer.extend_from_slice(&buffer[..length]),
            Err(error) if is_closed(&error) => return Ok((answer, End::Closed)),
            Err(error) if is_timeout(&error) => {
                return Err(format!("neither an answer nor an end after {}", quoted(&answer)));
            }
            Err(error) => return Err(format!("receive: {error}")),
        }
        if let Some(before) = answer.strip_suffix(SENTINEL_REPLY) {
            return Ok((before.to_vec(), End::Open));
        }
    }
}

/// A server that has closed already is no failure here: what it said is still to be read.
fn send(stream: &mut TcpStream, bytes: &[u8], pace: Pace) -> Result<(), String> {
    let width = match pace {
        Pace::AtOnce => bytes.len().max(1),
        Pace::ByteByByte => 1,
    };
    for part in bytes.chunks(width) {
        match stream.write_all(part) {
            Ok(()) => {}
            Err(error) if is_closed(&error) => return Ok(()),
            Err(error) => return Err(format!("send: {error}")),
        }
    }
    Ok(())
}
