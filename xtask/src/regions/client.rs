//! A client of one node: asks, and reads the answer.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Far above what any answer takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of an answer: INFO has some thousand.
const LARGEST: usize = 1 << 20;

/// A connection.
pub(super) struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects to a node of this machine.
    pub(super) fn connect(port: u16) -> Result<Client> {
        let stream = TcpStream::connect(("127.0.0.1", port)).context("connecting")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Client(BufReader::new(stream)))
    }

    /// Asks; answers the text of the reply, with its code if it is an error. Nothing is empty.
    pub(super) fn ask(&mut self, words: &[&str]) -> Result<String> {
        let mut bytes = format!("*{}\r\n", words.len());
        for word in words {
            bytes += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.0.get_mut().write_all(bytes.as_bytes())?;
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            bail!("the server has closed the connection");
        }
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1).unwrap_or_default();
        match kind {
            "+" | "-" | ":" => Ok(rest.to_owned()),
            "$" if rest == "-1" => Ok(String::new()),
            "$" => {
                let length: usize = rest.parse().context("a length")?;
                if length > LARGEST {
                    bail!("an answer of {length} bytes");
                }
                let mut body = vec![0; length + 2];
                self.0.read_exact(&mut body)?;
                body.truncate(length);
                Ok(String::from_utf8_lossy(&body).into_owned())
            }
            _ => bail!("an answer that was not expected: {line}"),
        }
    }

    /// The fields of INFO about replication.
    pub(super) fn replication(&mut self) -> Result<BTreeMap<String, String>> {
        let text = self.ask(&["INFO", "replication"])?;
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
    }
}
