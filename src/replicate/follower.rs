//! One follower's connection, from its PSYNC to its end.
//!
//! Two halves run side by side in one task: one reads what the follower says
//! (acknowledgements, mostly), the other writes what its outlet is ordered to write and, once
//! it streams, what the log has for it. A follower that takes nothing holds up neither
//! writers nor other followers: the log is copied from the backlog, which has its own bound.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll as Polled;
use std::time::Duration;

use eave_replication::leader::{Event, FollowerId, Poll, Transfer};
use eave_replication::payload::Framing;
use eave_replication::wire::{self, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::outlet::{self, Order};
use super::packing::Packer;
use super::snapshot::Part;
use super::{acknowledgements, failover};
use crate::clients::Client;
use crate::limits::READ_BYTES;
use crate::net::stream::Stream;
use crate::node::Node;
use crate::patience::Patience;
use crate::resp::request::Decoded;
use crate::resp::{RequestDecoder, RequestLimits};
use crate::session::Session;

/// Bytes of the stream that one write takes to a follower: the log is locked for one copy of
/// that many.
const STREAM_BYTES: usize = READ_BYTES;

/// Bytes that are packed before others may work: some 0.3 ms.
const PACKED_BYTES: usize = 64 * 1024;

/// A follower has nothing long to say.
const LIMITS: RequestLimits = RequestLimits {
    arguments: 16,
    argument_bytes: 1024,
    request_bytes: 16 * 1024,
    before_auth: false,
};

/// Time between two signs of life while a snapshot is put together.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long a follower may take for the stream's last bytes when the node stops.
const LAST_BYTES: Duration = Duration::from_secs(5);

/// Time between two looks at who is left when the node stops.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Serves a connection whose session has said PSYNC or SYNC; `rest` is what came behind that.
pub async fn serve(node: Arc<Node>, stream: Stream, mut session: Session, rest: Vec<u8>) {
    let Some(introduction) = session.introduction.take() else { return };
    let Some(request) = introduction.request else { return };
    let peer = session.client.peer.clone();
    let id = FollowerId(session.client.id);
    let (mut orders, cut) = node.replication.outlets.add(id);
    let _attached = Attached { node: &node, id };
    outlet::step(&node, Event::Accepted { follower: id, peer: address(&peer) });
    let told = Request::Replconf(introduction.options);
    outlet::step(&node, Event::Requested { follower: id, request: told });
    // That was answered when it was said.
    while orders.try_recv().is_ok() {}
    tracing::info!("replica {peer} asks to follow ({})", describe(&request));
    activate(&node).await;
    outlet::step(&node, Event::Requested { follower: id, request });
    let (reader, writer) = tokio::io::split(stream);
    let writer = Writer { node: &node, writer, packer: None };
    let why = tokio::select! {
        biased;
        reason = cut => reason.map_or_else(|_| "closed".into(), |reason| reason.to_string()),
        why = listen(&node, id, reader, rest) => why,
        why = feed(&node, id, writer, &mut orders) => why,
        () = closing(&node, &session.client) => "closed by this node".into(),
    };
    tracing::info!("replica {peer} does not follow any longer: {why}");
}

/// A follower in the machine and among the outlets: taken out however its task ends.
struct Attached<'a> {
    node: &'a Node,
    id: FollowerId,
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        self.node.replication.outlets.remove(self.id);
        outlet::step(self.node, Event::Closed(self.id));
    }
}

fn address(peer: &str) -> String {
    let ip = peer.parse().map(|peer: std::net::SocketAddr| peer.ip().to_canonical().to_string());
    ip.unwrap_or_else(|_| peer.to_owned())
}

fn describe(request: &Request) -> String {
    match request {
        Request::Psync { from: Some(at), .. } => {
            format!("from offset {} of history {}", at.offset, at.id)
        }
        _ => "from the beginning".to_owned(),
    }
}

/// Has the log kept before somebody asks for a part of it.
async fn activate(node: &Node) {
    let mut patience = Patience::default();
    while !node.log.is_active() {
        if node.keyspace.standstill(|| node.log.activate()).is_err() {
            patience.wait().await;
        }
    }
}

/// Ends when the client is asked to. A node that stops lets it have the stream's end first.
async fn closing(node: &Node, client: &Client) {
    poll_fn(|context| {
        client.register(context.waker());
        if client.is_closing() { Polled::Ready(()) } else { Polled::Pending }
    })
    .await;
    if node.shutdown.is_cancelled() {
        tokio::time::sleep(LAST_BYTES).await;
    }
}

/// Ends when the node stops and nobody is left who could write.
async fn written_out(node: &Node) {
    node.shutdown.cancelled().await;
    let is_follower = |client: &Arc<Client>| client.follower.load(Ordering::Relaxed);
    while !node.clients.list().iter().all(is_follower) {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Reads what a follower says until it has nothing more to say; answers why.
async fn listen(
    node: &Node,
    id: FollowerId,
    mut reader: ReadHalf<Stream>,
    rest: Vec<u8>,
) -> String {
    let mut decoder = RequestDecoder::default();
    let mut buffer = rest;
    loop {
        if let Err(error) = hear(node, id, &mut decoder, &mut buffer) {
            return error;
        }
        match reader.read_buf(&mut buffer).await {
            Ok(0) => return "it hung up".into(),
            Ok(_) => {}
            Err(error) => return error.to_string(),
        }
    }
}

/// Takes the whole requests out of `buffer`.
fn hear(
    node: &Node,
    id: FollowerId,
    decoder: &mut RequestDecoder,
    buffer: &mut Vec<u8>,
) -> Result<(), String> {
    let mut taken = 0;
    loop {
        let rest = &buffer[taken..];
        match decoder.decode(rest, &LIMITS).map_err(|error| error.to_string())? {
            Decoded::Incomplete(_) => break,
            Decoded::Nothing(consumed) => {
                outlet::step(node, Event::Heartbeat(id));
                taken += consumed;
            }
            Decoded::Request(consumed) => {
                let argv: Vec<&[u8]> = decoder.arguments(rest).collect();
                match Request::parse(&argv) {
                    Some(Ok(request)) => {
                        outlet::step(node, Event::Requested { follower: id, request });
                        acknowledgements::acknowledged(node);
                        super::enough::look(node);
                        failover::look(node);
                    }
                    // A reply would stand in the middle of the stream.
                    Some(Err(error)) => return Err(error.to_string()),
                    None => tracing::debug!("a replica's command was left out"),
                }
                taken += consumed;
            }
        }
    }
    buffer.drain(..taken);
    Ok(())
}

/// Writes what is ordered, and the stream; answers why it stops.
async fn feed(
    node: &Node,
    id: FollowerId,
    mut writer: Writer<'_>,
    orders: &mut mpsc::Receiver<Order>,
) -> String {
    loop {
        let done = match orders.recv().await {
            // The end of the connection is on its way by another path, with its reason.
            None => std::future::pending().await,
            Some(Order::Send(line)) => writer.send(&line).await,
            Some(Order::Pack(packing)) => {
                writer.packer = Some(Packer::new(packing));
                Ok(())
            }
            Some(Order::Snapshot(transfer, parts)) => {
                send_snapshot(node, id, &mut writer, transfer, parts).await
            }
            Some(Order::Stream) => return stream(node, id, writer).await,
        };
        if let Err(error) = done {
            return error.to_string();
        }
    }
}

/// Writes the log from where the follower is. Lines that are ordered from now on are dropped:
/// they would stand in the middle of a command.
async fn stream(node: &Node, id: FollowerId, mut writer: Writer<'_>) -> String {
    let mut buffer = Vec::with_capacity(STREAM_BYTES);
    let mut complete = false;
    loop {
        buffer.clear();
        let (poll, end) = {
            let mut leader = node.replication.leader.lock();
            let mut log = node.log.lock();
            let poll = leader.poll(id, log.backlog(), STREAM_BYTES, &mut buffer);
            (poll, log.backlog().offset())
        };
        match poll {
            Poll::Ready(_) => {
                if let Err(error) = writer.send(&buffer).await {
                    return error.to_string();
                }
            }
            Poll::CaughtUp if complete => return "this node stops".into(),
            Poll::CaughtUp => {
                tokio::select! {
                    biased;
                    () = node.log.appended_since(end) => {}
                    () = written_out(node) => complete = true,
                }
                // Whoever else has something to write does so first: one write to the socket
                // takes all of it, and would cost as much for the first few bytes.
                tokio::task::yield_now().await;
            }
            Poll::Cut(reason) => return reason.to_string(),
            // It was closed; the reason is on its way.
            Poll::NotStreaming => std::future::pending().await,
        }
    }
}

/// The way to a follower.
struct Writer<'a> {
    node: &'a Node,
    writer: WriteHalf<Stream>,
    /// Packs what is written, where the follower has asked for it.
    packer: Option<Packer>,
}

impl Writer<'_> {
    /// Writes bytes and has them sent: TLS may keep some.
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes).await?;
        self.writer.flush().await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(packer) = &mut self.packer else { return self.writer.write_all(bytes).await };
        for piece in bytes.chunks(PACKED_BYTES) {
            let packed = packer.pack(piece)?;
            self.node.replication.packed.sent(piece.len(), packed.len());
            self.writer.write_all(packed).await?;
            if piece.len() < bytes.len() {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}

/// Writes header, snapshot and mark.
async fn send_snapshot(
    node: &Node,
    id: FollowerId,
    writer: &mut Writer<'_>,
    transfer: Transfer,
    mut parts: mpsc::Receiver<Part>,
) -> io::Result<()> {
    match transfer {
        Transfer::EofMark(mark) => {
            writer.write(&Framing::EofMark(mark).header()).await?;
            while let Some(bytes) = next_part(&mut parts).await {
                writer.write(&bytes).await?;
                outlet::step(node, Event::SnapshotProgress(id));
            }
            writer.send(mark.as_bytes()).await?;
        }
        Transfer::Length => {
            let whole = gather(node, id, writer, parts).await?;
            let length: usize = whole.iter().map(|bytes| bytes.len()).sum();
            writer.write(&Framing::Length(length as u64).header()).await?;
            for bytes in whole {
                writer.send(&bytes).await?;
                outlet::step(node, Event::SnapshotProgress(id));
            }
        }
    }
    outlet::step(node, Event::SnapshotSent(id));
    Ok(())
}

/// All parts, for a follower that needs to know the length first; it is kept waiting meanwhile.
async fn gather(
    node: &Node,
    id: FollowerId,
    writer: &mut Writer<'_>,
    mut parts: mpsc::Receiver<Part>,
) -> io::Result<Vec<Arc<Vec<u8>>>> {
    let mut whole = Vec::new();
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    loop {
        tokio::select! {
            biased;
            _ = heartbeat.tick() => writer.send(wire::HEARTBEAT).await?,
            part = next_part(&mut parts) => match part {
                Some(bytes) => whole.push(bytes),
                None => return Ok(whole),
            },
        }
        outlet::step(node, Event::SnapshotProgress(id));
    }
}

/// The next bytes of a snapshot; `None` at its end. One that breaks off has no end: the
/// machine closes the connection then.
async fn next_part(parts: &mut mpsc::Receiver<Part>) -> Option<Arc<Vec<u8>>> {
    match parts.recv().await {
        Some(Part::Bytes(bytes)) => Some(bytes),
        Some(Part::End) => None,
        None => std::future::pending().await,
    }
}
