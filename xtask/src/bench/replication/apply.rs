//! How quickly a replica applies: this process acts as its leader, with an empty data set, and
//! sends a stream that is ready in memory as quickly as it is taken.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::super::cpu;
use super::{Cores, Subject, row};
use crate::process;

/// An RDB file without a key; its checksum of zeros says that there is none.
const EMPTY: &[u8] = b"REDIS0009\xff\0\0\0\0\0\0\0\0";

/// The name of the history.
const HISTORY: &str = "0123456789abcdef0123456789abcdef01234567";

/// Asks how far a replica is.
const GETACK: &[u8] = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";

/// Different keys of the stream.
const KEYS: u64 = 100_000;

/// One round's figures.
pub(super) struct Sample {
    /// Thousands of writes applied in a second.
    rate: f64,
    /// The replica's CPU for one, in microseconds.
    cpu_us: f64,
}

/// Measures one replica with so many writes.
#[expect(clippy::cast_precision_loss, reason = "writes and nanoseconds stay far below 2^53")]
pub(super) fn sample(subject: &Subject, cores: &Cores, writes: u64) -> Result<Sample> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port().to_string();
    let (sender, links) = mpsc::channel();
    std::thread::spawn(move || accept(&listener, &sender));
    let replica = subject.start_with(cores, &["--replicaof", "127.0.0.1", &port])?;
    let mut link = links.recv_timeout(Duration::from_secs(30)).context("nobody follows")?;
    let stream = stream(writes);
    // Loaded, and every key is there.
    let warm = stream_of(0..KEYS);
    link.send(&warm)?;
    let before = cpu::nanoseconds(replica.pid())?;
    let begun = process::now();
    link.send(&stream)?;
    let seconds = begun.elapsed().as_secs_f64();
    let spent = cpu::nanoseconds(replica.pid())?.saturating_sub(before);
    Ok(Sample {
        rate: writes as f64 / seconds / 1000.0,
        cpu_us: spent as f64 / 1000.0 / writes as f64,
    })
}

fn stream(writes: u64) -> Vec<u8> {
    // A stride that meets every key in an order that no cache foresees.
    stream_of((0..writes).map(|number| number * 7919 % KEYS))
}

fn stream_of(keys: impl Iterator<Item = u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for key in keys {
        let value = format!("{key:032x}");
        bytes.extend_from_slice(
            format!("*3\r\n$3\r\nSET\r\n$16\r\nkey:{key:012}\r\n$32\r\n{value}\r\n").as_bytes(),
        );
    }
    bytes
}

/// The connection that a replica's stream goes over.
struct Link {
    replies: BufReader<TcpStream>,
    offset: u64,
}

impl Link {
    /// Sends a part of the stream, and waits until it is applied.
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.offset += bytes.len() as u64;
        let wanted = self.offset;
        self.replies.get_mut().write_all(bytes)?;
        self.replies.get_mut().write_all(GETACK)?;
        self.offset += GETACK.len() as u64;
        loop {
            let words = request(&mut self.replies)?.context("the replica hung up")?;
            let [name, option, offset] = &words[..] else { continue };
            let ack = name.eq_ignore_ascii_case("REPLCONF") && option.eq_ignore_ascii_case("ACK");
            if ack && offset.parse::<u64>()? >= wanted {
                return Ok(());
            }
        }
    }
}

/// Takes connections until one asks for the stream; others are told that they are not understood.
fn accept(listener: &TcpListener, links: &mpsc::Sender<Link>) {
    for stream in listener.incoming() {
        let (Ok(stream), links) = (stream, links.clone()) else { return };
        std::thread::spawn(move || {
            // Whoever hangs up has not asked for the stream.
            if let Ok(Some(link)) = introduce(stream) {
                let _ = links.send(link);
            }
        });
    }
}

fn introduce(stream: TcpStream) -> Result<Option<Link>> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let mut replies = BufReader::new(stream);
    while let Some(words) = request(&mut replies)? {
        let name = words.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        let eave = words.get(1).is_some_and(|option| option == "eave");
        let answer = match name.as_str() {
            "PING" => "+PONG\r\n",
            "REPLCONF" if !eave => "+OK\r\n",
            "PSYNC" => {
                let header = format!("+FULLRESYNC {HISTORY} 0\r\n${}\r\n", EMPTY.len());
                replies.get_mut().write_all(header.as_bytes())?;
                replies.get_mut().write_all(EMPTY)?;
                return Ok(Some(Link { replies, offset: 0 }));
            }
            _ => "-ERR unknown command\r\n",
        };
        replies.get_mut().write_all(answer.as_bytes())?;
    }
    Ok(None)
}

/// The next request; nothing at the end.
fn request(reader: &mut BufReader<TcpStream>) -> Result<Option<Vec<String>>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let Some(count) = line.trim().strip_prefix('*') else {
        return Ok(Some(line.split_whitespace().map(str::to_owned).collect()));
    };
    let mut words = Vec::new();
    for _ in 0..count.parse::<u8>()? {
        line.clear();
        reader.read_line(&mut line)?;
        let length = line.trim().strip_prefix('$').context("a length")?.parse::<u16>()?;
        let mut word = vec![0; usize::from(length) + 2];
        reader.read_exact(&mut word)?;
        word.truncate(usize::from(length));
        words.push(String::from_utf8(word)?);
    }
    if words.is_empty() {
        bail!("a request without a word");
    }
    Ok(Some(words))
}

/// The figures as rows.
pub(super) fn rows(ours: &[Sample], theirs: &[Sample]) -> String {
    let rate = |sample: &Sample| sample.rate;
    row("a replica applies SETs, thousands/s", ours, theirs, rate, "at least 1.5")
        + &row("its CPU, µs/write", ours, theirs, |sample| sample.cpu_us, "")
}
