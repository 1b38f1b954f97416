//! A connection of this replica to its leader, over which it asks on behalf of clients.
//!
//! Requests go out in the order in which they come, as many as have come, and replies come back
//! in that order. What has been written when a link breaks may or may not have been run: nothing
//! is ever asked twice.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use super::errand::{Answer, POSITION};
use crate::clock;
use crate::config::{Config, Leader};
use crate::limits::{FORWARD_PIPELINE, FORWARD_REPLY_BYTES, FORWARD_SEND_BYTES, READ_BYTES};
use crate::net::socket::{TcpStream, keep_alive};
use crate::net::stream::Stream;
use crate::node::Node;
use crate::resp::answer::{self, Measure};
use crate::resp::reply::encode_command;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Time between two looks at the clock.
const TICK: Duration = Duration::from_millis(50);

/// Why there is no link.
#[derive(Debug)]
pub(super) enum NoLink {
    /// The leader cannot be reached, or is lost.
    Lost(io::Error),
    /// The leader lets nobody forward, in these words.
    NotOffered(String),
}

impl From<io::Error> for NoLink {
    fn from(error: io::Error) -> NoLink {
        NoLink::Lost(error)
    }
}

/// Connects, says who this node is, and asks whether the leader takes what is forwarded.
pub(super) async fn open(node: &Node, leader: &Leader) -> Result<Stream, NoLink> {
    let config = node.config.load_full();
    let patience = patience(&config);
    let opened = tokio::time::timeout(patience, async {
        let stream = TcpStream::connect((leader.host.as_str(), leader.port)).await?;
        let _ = stream.set_nodelay(true);
        // A leader that is gone without a word is found out by the kernel.
        keep_alive(&stream, Duration::from_secs(10), Duration::from_secs(5));
        let mut stream = match config.tls.replication {
            true => node.tls.connect(&leader.host, stream).await?,
            false => Stream::Tcp(stream),
        };
        greet(&mut stream, &config).await?;
        Ok(stream)
    });
    opened.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn patience(config: &Config) -> Duration {
    Duration::from_secs(u64::from(config.repl_timeout))
}

async fn greet(stream: &mut Stream, config: &Config) -> Result<(), NoLink> {
    let mut hello = Vec::new();
    let mut replies = 1;
    if !config.masterauth.is_empty() {
        let user = (!config.masteruser.is_empty()).then_some(config.masteruser.as_bytes());
        let password = config.masterauth.reveal();
        let argv = [Some(b"AUTH".as_slice()), user, Some(password)];
        encode_command(&mut hello, &argv.into_iter().flatten().collect::<Vec<_>>());
        replies += 1;
    }
    hello.extend_from_slice(POSITION);
    stream.write_all(&hello).await?;
    stream.flush().await?;
    let mut reader = BufReader::new(stream);
    for _ in 0..replies {
        let mut line = read_line(&mut reader).await?;
        match line.first() {
            Some(b'-') => {
                return Err(NoLink::NotOffered(String::from_utf8_lossy(&line[1..]).into_owned()));
            }
            Some(b'+') => continue,
            _ => {}
        }
        // The position: an array of three.
        for _ in 0..3 {
            line = read_line(&mut reader).await?;
            if line.first() != Some(&b':') {
                return Err(NoLink::NotOffered("ERR not a node that is forwarded to".to_owned()));
            }
        }
    }
    Ok(())
}

async fn read_line(reader: &mut BufReader<&mut Stream>) -> io::Result<Vec<u8>> {
    use tokio::io::AsyncBufReadExt as _;
    let mut line = Vec::new();
    let mut limited = reader.take(1024);
    limited.read_until(b'\n', &mut line).await?;
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.pop();
    Ok(line)
}

/// What is sent over a shared link, and where its answer goes.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) bytes: Vec<u8>,
    pub(super) replies: usize,
    /// Set once a part of it may have been written.
    pub(super) sent: Arc<AtomicBool>,
    pub(super) answer: oneshot::Sender<Answer>,
    /// The room that it takes in the queue.
    pub(super) room: OwnedSemaphorePermit,
}

/// Something that replies are awaited for.
struct Awaited {
    replies: usize,
    answer: Answer,
    since_ms: u64,
    to: For,
}

enum For {
    Client {
        to: oneshot::Sender<Answer>,
        _room: OwnedSemaphorePermit,
    },
    /// The leader was asked where it is.
    Probe,
}

/// A link that clients share.
pub(super) struct SharedLink<'a> {
    node: &'a Node,
    parcels: mpsc::Receiver<Parcel>,
    /// Parcels that were taken and not answered, for who chooses a link.
    load: &'a AtomicUsize,
    outgoing: Vec<u8>,
    sent: usize,
    flushed: bool,
    incoming: Vec<u8>,
    measure: Measure,
    awaited: VecDeque<Awaited>,
    /// Whether it asks the leader where it is.
    probes: bool,
    probed_ms: u64,
}

impl<'a> SharedLink<'a> {
    pub(super) fn new(
        node: &'a Node,
        parcels: mpsc::Receiver<Parcel>,
        load: &'a AtomicUsize,
        probes: bool,
    ) -> SharedLink<'a> {
        SharedLink {
            node,
            parcels,
            load,
            outgoing: Vec::new(),
            sent: 0,
            flushed: true,
            incoming: Vec::new(),
            measure: Measure::default(),
            awaited: VecDeque::new(),
            probes,
            probed_ms: 0,
        }
    }

    /// Carries parcels until the link breaks; answers why it does.
    pub(super) async fn serve(mut self, stream: Stream) -> io::Error {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let error = loop {
            if let Err(error) = self.turn(&mut reader, &mut writer, &mut tick).await {
                break error;
            }
        };
        self.parcels.close();
        for awaited in std::mem::take(&mut self.awaited) {
            // What has come of it still counts.
            if let For::Client { to, .. } = awaited.to {
                let _ = to.send(awaited.answer);
            }
        }
        error
    }

    async fn turn(
        &mut self,
        reader: &mut ReadHalf<Stream>,
        writer: &mut WriteHalf<Stream>,
        tick: &mut tokio::time::Interval,
    ) -> io::Result<()> {
        let may_take =
            self.outgoing.len() < FORWARD_SEND_BYTES && self.awaited.len() < FORWARD_PIPELINE;
        let unsent = self.sent < self.outgoing.len();
        tokio::select! {
            // What comes is bounded by what was asked, and what is taken by what may wait, so
            // nobody is kept waiting by who stands before.
            biased;
            _ = tick.tick() => self.look_at_clock()?,
            read = reader.read_buf(&mut self.incoming) => match read? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => self.take_replies()?,
            },
            written = push(writer, &self.outgoing[self.sent..]), if unsent || !self.flushed => {
                self.wrote(written?);
            }
            parcel = self.parcels.recv(), if may_take => match parcel {
                Some(parcel) => self.take_all(parcel),
                None => return Err(io::ErrorKind::ConnectionAborted.into()),
            },
        }
        Ok(())
    }

    /// Takes a parcel and those that wait behind it, so that one write sends them.
    fn take_all(&mut self, parcel: Parcel) {
        let now_ms = clock::monotonic_ms();
        let mut next = Some(parcel);
        while let Some(parcel) = next {
            let Parcel { bytes, replies, sent, answer, room } = parcel;
            sent.store(true, Ordering::Release);
            self.outgoing.extend_from_slice(&bytes);
            self.outgoing.extend_from_slice(POSITION);
            let to = For::Client { to: answer, _room: room };
            let replies = replies + 1;
            self.awaited.push_back(Awaited {
                replies,
                answer: Answer::default(),
                since_ms: now_ms,
                to,
            });
            let more =
                self.outgoing.len() < FORWARD_SEND_BYTES && self.awaited.len() < FORWARD_PIPELINE;
            next = if more { self.parcels.try_recv().ok() } else { None };
        }
    }

    fn wrote(&mut self, bytes: usize) {
        self.sent += bytes;
        self.flushed = bytes == 0;
        if self.sent == self.outgoing.len() {
            self.sent = 0;
            self.outgoing.clear();
            self.outgoing.shrink_to(READ_BYTES);
        }
    }

    fn take_replies(&mut self) -> io::Result<()> {
        let mut taken = 0;
        while taken < self.incoming.len() {
            let rest = &self.incoming[taken..];
            let Some(front) = self.awaited.front_mut() else {
                return Err(io::Error::other("the leader answers what was not asked"));
            };
            let Some(length) = self.measure.end(rest).map_err(io::Error::other)? else { break };
            self.measure = Measure::default();
            if front.answer.bytes.len().saturating_add(length) > FORWARD_REPLY_BYTES {
                return Err(io::Error::other("a reply is too large to be passed on"));
            }
            front.answer.push(&rest[..length]);
            taken += length;
            if front.answer.ends.len() == front.replies
                && let Some(done) = self.awaited.pop_front()
            {
                self.done(done);
            }
        }
        self.incoming.drain(..taken);
        if self.incoming.is_empty() {
            self.incoming.shrink_to(READ_BYTES);
        }
        if self.incoming.len() > FORWARD_REPLY_BYTES {
            return Err(io::Error::other("a reply is too large to be passed on"));
        }
        Ok(())
    }

    fn done(&mut self, awaited: Awaited) {
        match awaited.to {
            For::Client { to, .. } => {
                self.load.fetch_sub(1, Ordering::Relaxed);
                // Who has gone wants no answer.
                let _ = to.send(awaited.answer);
            }
            For::Probe => {
                if let Some([offset, _, behind_ms]) = answer::integers::<3>(&awaited.answer.bytes) {
                    let lag = &self.node.replication.lag;
                    lag.leader_was_at(offset, behind_ms, awaited.since_ms);
                }
            }
        }
    }

    fn look_at_clock(&mut self) -> io::Result<()> {
        let now_ms = clock::monotonic_ms();
        let config = self.node.config.load();
        let lag = &self.node.replication.lag;
        lag.applied(self.node.log.offset());
        if let Some(oldest) = self.awaited.front()
            && now_ms.saturating_sub(oldest.since_ms) > u64::from(config.repl_timeout) * 1000
        {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let period_ms = lag.period_ms(config.replica_max_lag_ms);
        let due = now_ms.saturating_sub(self.probed_ms) >= period_ms;
        if self.probes && due && lag.may_probe() && self.outgoing.is_empty() {
            self.probed_ms = now_ms;
            self.outgoing.extend_from_slice(POSITION);
            let answer = Answer::default();
            let to = For::Probe;
            self.awaited.push_back(Awaited { replies: 1, answer, since_ms: now_ms, to });
        }
        Ok(())
    }
}

/// Writes some of `bytes`; if there are none, has sent what was written: TLS may keep some.
async fn push(writer: &mut WriteHalf<Stream>, bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        writer.flush().await?;
        return Ok(0);
    }
    match writer.write(bytes).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        written => Ok(written),
    }
}

/// A link that one client has to itself.
#[derive(Debug)]
pub struct OwnLink {
    stream: Stream,
    /// Its share of how many there may be.
    _place: OwnedSemaphorePermit,
    /// Of which leader, counted.
    pub(super) term: u64,
    incoming: Vec<u8>,
}

impl OwnLink {
    pub(super) fn new(stream: Stream, place: OwnedSemaphorePermit, term: u64) -> OwnLink {
        OwnLink { stream, _place: place, term, incoming: Vec::new() }
    }

    /// Asks, and takes the replies as they come into `answer`. Whoever does not wait for the end
    /// has to drop the link, and with it what the leader does for it.
    pub(super) async fn ask(
        &mut self,
        bytes: &[u8],
        replies: usize,
        answer: &mut Answer,
    ) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.write_all(POSITION).await?;
        self.stream.flush().await?;
        let mut measure = Measure::default();
        while answer.ends.len() <= replies {
            if let Some(length) = measure.end(&self.incoming).map_err(io::Error::other)? {
                answer.push(&self.incoming[..length]);
                self.incoming.drain(..length);
                measure = Measure::default();
                continue;
            }
            if self.incoming.len() > FORWARD_REPLY_BYTES {
                return Err(io::Error::other("a reply is too large to be passed on"));
            }
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}
