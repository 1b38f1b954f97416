//! One RESP connection: read, execute all that was read, write once.
//!
//! A connection is polled by whichever worker sees its socket ready, and that worker executes
//! what it reads. Input and output go through buffers of the worker's own, so a connection
//! that waits for nothing holds no buffer: it keeps bytes only of a request that is not whole
//! yet, or of replies that its client has not taken. As long as there are such replies, nothing
//! more is read from it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};

use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock;
use crate::engine;
use crate::keyspace::locks::Contended;
use crate::limits::{FLUSH_BYTES, OUTPUT_BYTES_BEFORE_AUTH, READ_BYTES};
use crate::node::Node;
use crate::observe::{commands, stats};
use crate::rare::Rare;
use crate::resp::request::Decoded;
use crate::resp::{ProtocolError, Reply, RequestDecoder, RequestLimits, RespReply};
use crate::session::Session;

thread_local! {
    /// Where a worker reads into: what a connection leaves of it is copied to its own buffer.
    static INPUT: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
    /// Where a worker gathers replies until they are written.
    static OUTPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Buffers that are larger than this are not kept for the next connection.
const KEPT_BYTES: usize = 1024 * 1024;

/// Why a connection ends.
#[derive(Debug)]
pub enum End {
    /// The client has gone, asked to go, or has broken the protocol; it has its answer.
    Closed,
    /// The socket failed.
    Io(io::Error),
    /// The client turns into a replica: the rest of its bytes belong to that conversation.
    Follow(Vec<u8>),
}

/// A connection and its session.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    node: Arc<Node>,
    session: Session,
    decoder: RequestDecoder,
    /// Bytes read and not executed yet, from `taken` on.
    input: Vec<u8>,
    taken: usize,
    /// Replies not written yet, from `written` on.
    output: Vec<u8>,
    written: usize,
    /// Whether `input` may hold a whole request.
    more: bool,
    /// Whether the next request waits until the client is woken.
    held: bool,
    /// Whether a reply was larger than the client may leave unread: it is cut, not answered.
    overflown: bool,
    /// What wakes this connection from outside, as last registered. A wake takes it off the
    /// client, which is enough for `close`; who listens registers anew each time.
    waker: Option<Waker>,
}

/// Why execution of what was read stopped.
#[derive(Clone, Copy)]
enum Stop {
    /// All requests that are whole have been executed.
    Drained,
    /// A shard is busy.
    Contended,
    /// The next command has to wait until the client is woken.
    Held,
    /// Replies are to be written before more is executed.
    OutputFull,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection that has just been accepted.
    pub fn new(stream: S, node: Arc<Node>, session: Session) -> Self {
        Connection {
            stream,
            node,
            session,
            decoder: RequestDecoder::default(),
            input: Vec::new(),
            taken: 0,
            output: Vec::new(),
            written: 0,
            more: false,
            held: false,
            overflown: false,
            waker: None,
        }
    }

    /// Serves the client until it goes, or until the node stops.
    pub async fn run(mut self) -> (S, Session, End) {
        let end = poll_fn(|context| self.poll(context)).await;
        engine::forget_watches(&self.node, &mut self.session);
        self.session.forget_subscriptions(&self.node);
        self.session.watch_no_more(&self.node);
        (self.stream, self.session, end)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.session.client.register(context.waker());
            self.waker = Some(context.waker().clone());
        }
        loop {
            self.take_messages(context);
            match self.poll_flush(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(End::Io(error)),
                // Who is cut for its silence gets nothing more; a node that stops lets the
                // client have its answers, as long as it drains.
                Poll::Pending if self.is_cut() => return Poll::Ready(End::Closed),
                Poll::Pending => return Poll::Pending,
            }
            // A node that stops still answers what it has read; who is cut is answered no more.
            if self.session.closing || self.is_cut() || (self.session.client.is_closing() && (!self.more || self.held)) {
                return Poll::Ready(self.end());
            }
            if self.more {
                if self.held {
                    // Before the command is tried again, or a wake in between would be lost.
                    self.session.client.register(context.waker());
                }
                let input = std::mem::take(&mut self.input);
                let stop = self.execute_from(&input, self.taken);
                self.keep(input);
                ready!(self.after(stop, context));
                continue;
            }
            match ready!(self.poll_read(context)) {
                Ok(0) => return Poll::Ready(End::Closed),
                Ok(_) => {}
                Err(error) => return Poll::Ready(End::Io(error)),
            }
        }
    }

    /// Takes what has been published to the client, behind its replies.
    fn take_messages(&mut self, context: &mut Context<'_>) {
        if self.session.subscriptions.is_some() || self.session.rare.contains(Rare::MONITORS) {
            // A wake takes the registration off: it is made anew before the outbox is looked at.
            self.session.client.register(context.waker());
            self.session.client.take_messages(&mut self.output);
        }
    }

    fn is_cut(&self) -> bool {
        self.session.client.is_closing() && !self.node.shutdown.is_cancelled()
    }

    fn end(&mut self) -> End {
        if self.session.client.follower.load(Ordering::Relaxed) {
            let rest = self.input.split_off(self.taken.min(self.input.len()));
            return End::Follow(rest);
        }
        End::Closed
    }

    /// Yields when a shard was busy; the task is woken at once, behind the others.
    fn after(&mut self, stop: Stop, context: &mut Context<'_>) -> Poll<()> {
        self.more = !matches!(stop, Stop::Drained);
        let again = std::mem::replace(&mut self.held, matches!(stop, Stop::Held));
        match stop {
            Stop::Contended if self.output.is_empty() => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            // The first time, the command is tried once more with the waker registered.
            Stop::Held if again && self.output.is_empty() => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }

    /// Reads once, and executes what came.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        INPUT.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            let read = buffer.filled();
            if read.is_empty() {
                return Poll::Ready(Ok(0));
            }
            stats::add(&self.node.stats.input_bytes, read.len() as u64);
            commands::read();
            let stop = if self.input.is_empty() {
                let stop = self.execute_from(read, 0);
                self.input.extend_from_slice(&read[self.taken..]);
                self.taken = 0;
                stop
            } else {
                self.input.extend_from_slice(read);
                let input = std::mem::take(&mut self.input);
                let stop = self.execute_from(&input, self.taken);
                self.keep(input);
                stop
            };
            self.session.client.query_bytes.store(self.input.len(), Ordering::Relaxed);
            let read = read.len();
            ready!(self.after(stop, context));
            Poll::Ready(Ok(read))
        })
    }

    /// Puts the input back, without what has been executed.
    fn keep(&mut self, mut input: Vec<u8>) {
        if self.taken == input.len() {
            // Nothing waits: an idle connection holds no buffer, least of all a large one.
            input = Vec::new();
            self.taken = 0;
        } else if self.taken > input.len() / 2 {
            input.drain(..self.taken);
            self.taken = 0;
        }
        self.input = input;
    }

    /// Executes the whole requests of `input` from `from` on, and leaves in `taken` how far it
    /// came. Replies gather in the worker's buffer and are written at the end, once.
    fn execute_from(&mut self, input: &[u8], from: usize) -> Stop {
        OUTPUT.with_borrow_mut(|output| {
            output.clear();
            let stop = self.execute(input, from, output);
            self.session.publish();
            self.node.stats.add(&mut self.session.tally);
            if output.len() > KEPT_BYTES || !self.output.is_empty() {
                self.output.append(output);
                *output = Vec::new();
            } else if !output.is_empty() {
                self.write_now(output);
            }
            stop
        })
    }

    /// Tries to write at once, without a buffer of the connection's own.
    fn write_now(&mut self, output: &[u8]) {
        let waker = Waker::noop();
        let mut context = Context::from_waker(waker);
        let written = match Pin::new(&mut self.stream).poll_write(&mut context, output) {
            Poll::Ready(Ok(written)) => written,
            // A failure shows again when the rest is written by `poll_flush`.
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        stats::add(&self.node.stats.output_bytes, written as u64);
        commands::wrote();
        self.output.extend_from_slice(&output[written..]);
    }

    fn execute(&mut self, input: &[u8], from: usize, output: &mut Vec<u8>) -> Stop {
        self.session.begin(&self.node);
        let mut limits = self.request_limits();
        let most = self.unread_limit();
        self.taken = from;
        let mut since_clock = 0;
        loop {
            let rest = &input[self.taken..];
            let mut argv: SmallVec<[&[u8]; 16]> = SmallVec::new();
            let consumed = match self.decoder.whole(rest, &limits, &mut argv) {
                Some(consumed) => consumed,
                None => match self.decoder.decode(rest, &limits) {
                    Ok(Decoded::Request(consumed)) => {
                        argv.extend(self.decoder.arguments(rest));
                        consumed
                    }
                    Ok(Decoded::Nothing(consumed)) => {
                        self.taken += consumed;
                        continue;
                    }
                    Ok(Decoded::Incomplete(_)) => return Stop::Drained,
                    Err(error) => {
                        drop(argv);
                        self.refuse(&error, output);
                        return Stop::Drained;
                    }
                },
            };
            let start = output.len();
            let mut reply = RespReply::bounded(output, self.session.protocol, most);
            if let Err(Contended) =
                engine::execute(&self.node, &mut self.session, &argv, &mut reply)
            {
                let held = std::mem::take(&mut self.session.held);
                return if held { Stop::Held } else { Stop::Contended };
            }
            if reply.is_cut() {
                self.taken += consumed;
                self.overflown = true;
                return Stop::Drained;
            }
            if self.session.rare.intersects(Rare::SILENT) {
                output.truncate(self.session.leave_out(start, output.len()));
            }
            drop(argv);
            self.decoder.shrink();
            self.taken += consumed;
            if self.session.closing {
                return Stop::Drained;
            }
            // AUTH and RESET change what the next request may be.
            if limits.before_auth == self.session.authenticated {
                limits = self.request_limits();
            }
            if output.len() >= FLUSH_BYTES {
                return Stop::OutputFull;
            }
            // The clock is read again after a few commands, so that none sees an old time.
            since_clock += 1;
            if since_clock == 16 {
                since_clock = 0;
                self.session.now = clock::unix_ms();
            }
        }
    }

    /// Answers bytes that are no request, and ends the connection.
    fn refuse(&mut self, error: &ProtocolError, output: &mut Vec<u8>) {
        self.session.closing = true;
        if *error == ProtocolError::Http {
            // As Redis does: a page in a browser may have sent it, so it learns nothing.
            tracing::warn!("client {}: {error}", self.session.client.id);
            return;
        }
        RespReply::new(output, self.session.protocol)
            .error(&format!("ERR Protocol error: {error}"));
    }

    fn request_limits(&mut self) -> RequestLimits {
        if !self.session.authenticated {
            return RequestLimits::BEFORE_AUTH;
        }
        let config = self.session.config();
        RequestLimits {
            arguments: crate::limits::ARGUMENTS,
            argument_bytes: usize::try_from(config.proto_max_bulk_len).unwrap_or(usize::MAX),
            request_bytes: usize::try_from(config.client_query_buffer_limit).unwrap_or(usize::MAX),
            before_auth: false,
        }
    }

    /// Writes what the client has not taken yet.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.overflown {
            stats::add(&self.node.stats.output_cut, 1);
            return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
        }
        while self.written < self.output.len() {
            if self.too_much_output() {
                stats::add(&self.node.stats.output_cut, 1);
                return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
            }
            let rest = &self.output[self.written..];
            self.session.client.output_bytes.store(rest.len(), Ordering::Relaxed);
            let stream = Pin::new(&mut self.stream);
            let written = ready!(stream.poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            stats::add(&self.node.stats.output_bytes, written as u64);
            self.written += written;
        }
        if self.written > 0 {
            self.output = Vec::new();
            self.written = 0;
            self.session.client.output_bytes.store(0, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the client has left more unread than it may.
    fn too_much_output(&mut self) -> bool {
        self.output.len() - self.written > self.output_limit()
    }

    /// Bytes that the client may leave unread.
    fn output_limit(&mut self) -> usize {
        if !self.session.authenticated {
            return OUTPUT_BYTES_BEFORE_AUTH;
        }
        self.unread_limit()
    }

    /// Likewise, once it is authenticated.
    fn unread_limit(&mut self) -> usize {
        let listens = self.session.subscriptions.is_some();
        let limits = self.session.config().client_output_buffer_limit;
        match if listens { limits.pubsub.hard } else { limits.normal.hard } {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        }
    }
}
