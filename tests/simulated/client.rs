//! A client of Redis' protocol on a simulated host.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use eave::resp::reply::encode_command;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use turmoil::net::TcpStream;

use crate::reply::Reply;

/// The port of every node.
pub(crate) const PORT: u16 = 6379;

/// How long a client waits for an answer, as impatient clients do.
const PATIENCE: Duration = Duration::from_secs(8);

/// A connection to a node.
pub(crate) struct Connection {
    stream: TcpStream,
    incoming: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(node: IpAddr) -> io::Result<Connection> {
        let stream = timeout(PATIENCE, TcpStream::connect((node, PORT))).await??;
        Ok(Connection { stream, incoming: Vec::new() })
    }

    /// Sends commands together and takes their replies. After an error nobody knows what has come
    /// of them, and the connection is of no use any more.
    pub(crate) async fn call(&mut self, commands: &[Vec<String>]) -> io::Result<Vec<Reply>> {
        timeout(PATIENCE, self.exchange(commands)).await?
    }

    /// Sends one command and takes its reply.
    pub(crate) async fn one(&mut self, words: &[&str]) -> io::Result<Reply> {
        Ok(self.call(&[command(words)]).await?.remove(0))
    }

    async fn exchange(&mut self, commands: &[Vec<String>]) -> io::Result<Vec<Reply>> {
        let mut request = Vec::new();
        for words in commands {
            let argv: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            encode_command(&mut request, &argv);
        }
        self.stream.write_all(&request).await?;
        let mut replies = Vec::new();
        while replies.len() < commands.len() {
            match Reply::first(&self.incoming) {
                Some((reply, length)) => {
                    self.incoming.drain(..length);
                    replies.push(reply);
                }
                None if self.stream.read_buf(&mut self.incoming).await? == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                None => {}
            }
        }
        Ok(replies)
    }
}

/// A command of these words.
pub(crate) fn command(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
