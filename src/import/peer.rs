//! A connection that asks: requests out, replies in.

use std::time::Duration;

use crate::net::socket::TcpStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::ImportError;
use super::address::Address;
use super::tls::{self, Files};
use crate::limits::IMPORT_REPLY_BYTES;
use crate::net::stream::Stream;
use crate::resp::Reply;
use crate::resp::answer::{Measure, relay};
use crate::resp::reply::encode_command;

/// How long a node may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a node may be silent that owes a reply: a large key takes its time.
pub(super) const SILENCE: Duration = Duration::from_secs(120);

/// A value of a reply; arrays are told by their elements alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    Status,
    Error(String),
    Integer(i64),
    Bytes(Vec<u8>),
    Null,
}

/// The values of a reply, in order.
#[derive(Debug, Default)]
pub(super) struct Leaves(pub(super) Vec<Leaf>);

impl Reply for Leaves {
    fn status(&mut self, _: &str) {
        self.0.push(Leaf::Status);
    }
    fn error(&mut self, text: &str) {
        self.0.push(Leaf::Error(text.to_owned()));
    }
    fn integer(&mut self, value: i64) {
        self.0.push(Leaf::Integer(value));
    }
    fn bulk(&mut self, bytes: &[u8]) {
        self.0.push(Leaf::Bytes(bytes.to_vec()));
    }
    fn null(&mut self) {
        self.0.push(Leaf::Null);
    }
    fn null_array(&mut self) {
        self.0.push(Leaf::Null);
    }
    fn array(&mut self, _: usize) {}
    fn map(&mut self, _: usize) {}
    fn set(&mut self, _: usize) {}
    fn double(&mut self, value: f64) {
        self.0.push(Leaf::Bytes(value.to_string().into_bytes()));
    }
    fn verbatim(&mut self, text: &str) {
        self.bulk(text.as_bytes());
    }
}

impl Leaves {
    /// The first error in it.
    pub(super) fn error_text(&self) -> Option<&str> {
        self.0.iter().find_map(|leaf| match leaf {
            Leaf::Error(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// What came as the only bulk string.
    pub(super) fn text(&self) -> Option<String> {
        match self.0.as_slice() {
            [Leaf::Bytes(bytes)] => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }
}

/// Connects, with TLS if the address says so.
pub(super) async fn dial(address: &Address, files: &Files) -> Result<Stream, ImportError> {
    let opened = tokio::time::timeout(CONNECT, async {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        let _ = stream.set_nodelay(true);
        match address.tls {
            true => tls::connect(files, &address.host, stream).await,
            false => Ok(Stream::Tcp(stream)),
        }
    });
    let refuse = |error: std::io::Error| ImportError::Connect(address.to_string(), error);
    opened.await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())).map_err(refuse)
}

/// A connection to a node.
pub(super) struct Peer {
    /// Of whom, for errors.
    pub(super) name: String,
    pub(super) reader: ReadHalf<Stream>,
    pub(super) writer: WriteHalf<Stream>,
    pub(super) incoming: Vec<u8>,
    taken: usize,
    measure: Measure,
}

impl Peer {
    /// Connects and authenticates.
    pub(super) async fn open(address: &Address, files: &Files) -> Result<Peer, ImportError> {
        let (reader, writer) = tokio::io::split(dial(address, files).await?);
        let name = address.to_string();
        let (incoming, measure) = (Vec::new(), Measure::default());
        let mut peer = Peer { name, reader, writer, incoming, taken: 0, measure };
        if let Some(auth) = address.auth() {
            let reply = peer.ask(&auth).await?;
            if let Some(why) = reply.error_text() {
                return Err(ImportError::Denied(address.to_string(), why.to_owned()));
            }
        }
        Ok(peer)
    }

    /// Asks for one thing.
    pub(super) async fn ask(&mut self, argv: &[&[u8]]) -> Result<Leaves, ImportError> {
        let mut bytes = Vec::new();
        encode_command(&mut bytes, argv);
        self.send(&bytes).await?;
        self.receive().await
    }

    /// Sends requests that are encoded already.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        self.writer.write_all(bytes).await.map_err(|error| self.lost(error))?;
        self.writer.flush().await.map_err(|error| self.lost(error))
    }

    /// The next reply.
    pub(super) async fn receive(&mut self) -> Result<Leaves, ImportError> {
        loop {
            match self.take()? {
                Some(reply) => return Ok(reply),
                None => self.fill().await?,
            }
        }
    }

    /// Waits for more bytes.
    async fn fill(&mut self) -> Result<(), ImportError> {
        let read = tokio::time::timeout(SILENCE, self.reader.read_buf(&mut self.incoming)).await;
        match read {
            Ok(Ok(1..)) => Ok(()),
            Ok(Ok(0)) => Err(self.lost(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(Err(error)) => Err(self.lost(error)),
            Err(_) => Err(self.lost(std::io::ErrorKind::TimedOut.into())),
        }
    }

    /// The next reply, if all of it has come.
    pub(super) fn take(&mut self) -> Result<Option<Leaves>, ImportError> {
        let rest = &self.incoming[self.taken..];
        let length = self.measure.end(rest);
        let Some(length) = length.map_err(|error| self.lost(std::io::Error::other(error)))? else {
            if rest.len() > IMPORT_REPLY_BYTES {
                return Err(self.lost(std::io::Error::other("a reply is too large")));
            }
            self.incoming.drain(..self.taken);
            self.taken = 0;
            return Ok(None);
        };
        let mut leaves = Leaves::default();
        relay(&rest[..length], &mut leaves);
        self.taken += length;
        self.measure = Measure::default();
        Ok(Some(leaves))
    }

    /// The connection is of no more use.
    pub(super) fn lost(&self, error: std::io::Error) -> ImportError {
        ImportError::Lost(self.name.clone(), error)
    }

    /// Keys in all databases, by INFO; `None` when it does not say.
    pub(super) async fn keyspace(&mut self) -> Result<Option<Vec<(u32, u64)>>, ImportError> {
        let text = self.ask(&[b"INFO", b"keyspace"]).await?.text();
        Ok(text.map(|text| text.lines().filter_map(database).collect()))
    }

    /// A field of a section of INFO.
    pub(super) async fn info(
        &mut self,
        section: &str,
        field: &str,
    ) -> Result<Option<String>, ImportError> {
        let text = self.ask(&[b"INFO", section.as_bytes()]).await?.text().unwrap_or_default();
        let found = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(found.map(str::to_owned))
    }
}

/// `db3:keys=7,expires=1,avg_ttl=5` as 3 and 7.
fn database(line: &str) -> Option<(u32, u64)> {
    let (number, facts) = line.strip_prefix("db")?.split_once(':')?;
    let keys = facts.strip_prefix("keys=")?.split(',').next()?;
    Some((number.parse().ok()?, keys.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_read_from_info() {
        assert_eq!(database("db3:keys=7,expires=1,avg_ttl=5"), Some((3, 7)));
        assert_eq!(database("# Keyspace"), None);
        assert_eq!(database("db3:keys=x"), None);
    }
}
