//! One RESP connection: read, execute all that was read, write once.
//!
//! A connection is polled by whichever worker sees its socket ready, and that worker executes
//! what it reads. Input and output go through buffers of the worker's own, so a connection
//! that waits for nothing holds no buffer: it keeps bytes only of a request that is not whole
//! yet, or of replies that its client has not taken. As long as there are such replies, nothing
//! more is read from it.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::clock;
use crate::engine::elsewhere::Visited;
use crate::engine::{self, Elsewhere};
use crate::keyspace::NEVER;
use crate::keyspace::locks::Contended;
use crate::keyspace::warm;
use crate::limits::{FLUSH_BYTES, OUTPUT_BYTES_BEFORE_AUTH, READ_BYTES};
use crate::node::Node;
use crate::observe::{commands, stats};
use crate::patience::Patience;
use crate::rare::Rare;
use crate::resp::request::Decoded;
use crate::resp::{ProtocolError, Reply, RequestDecoder, RequestLimits, RespReply};
use crate::session::Session;
use crate::waiter::Ending;

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
    /// What wakes this connection from outside, as last registered with the client.
    waker: Option<Waker>,
    /// The end of the present wait, if it has one.
    timer: Option<Pin<Box<Sleep>>>,
    /// What is being done elsewhere.
    visit: Option<Visit>,
    /// For how long to leave a busy shard alone.
    patience: Patience,
}

/// What a session has elsewhere, while it is done there.
struct Visit(Pin<Box<dyn Future<Output = Visited> + Send>>);

impl std::fmt::Debug for Visit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Visit(..)")
    }
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
    /// The client waits: what it has asked behind that waits too.
    Waiting,
    /// No more can go to the leader before that has answered.
    Elsewhere,
}

/// The arguments of one request.
type Arguments<'a> = SmallVec<[&'a [u8]; 16]>;

/// Requests that are decoded and not executed yet, each with the bytes that it takes.
type Ahead<'a> = SmallVec<[(Arguments<'a>, usize); warm::TOGETHER]>;

/// What has become of a request.
enum Ran {
    /// It is answered.
    Done,
    /// A shard is busy: nothing has happened.
    Contended,
    /// It has to wait until the client is woken: nothing has happened.
    Held,
    /// Its answer was larger than the client may leave unread.
    Cut,
    /// It is on its way to the leader, and its answer is to come.
    Elsewhere,
}

fn run(
    node: &Node,
    session: &mut Session,
    argv: &[&[u8]],
    most: usize,
    output: &mut Vec<u8>,
) -> Ran {
    let start = output.len();
    let mut reply = RespReply::bounded(output, session.protocol, most);
    let ran = match engine::execute(node, session, argv, &mut reply) {
        Err(Contended) if std::mem::take(&mut session.held) => Ran::Held,
        Err(Contended) => Ran::Contended,
        Ok(()) if reply.is_cut() => Ran::Cut,
        Ok(()) => Ran::Done,
    };
    if session.rare.intersects(Rare::SILENT.union(Rare::ELSEWHERE)) && matches!(ran, Ran::Done) {
        return unusual(session, start, output);
    }
    ran
}

/// What has become of a request whose reply is left out, or is to come from elsewhere.
#[cold]
fn unusual(session: &mut Session, start: usize, output: &mut Vec<u8>) -> Ran {
    let silent = session.rare.intersects(Rare::SILENT);
    if !session.rare.contains(Rare::ELSEWHERE) {
        output.truncate(session.leave_out(start, output.len()));
        return Ran::Done;
    }
    let left_out = silent && session.leave_out(0, 1) == 0;
    if let (true, Some(Elsewhere::Errand(errand))) = (left_out, session.elsewhere.as_deref_mut()) {
        errand.silence_last();
    }
    Ran::Elsewhere
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection that has just been accepted.
    pub fn new(stream: S, node: Arc<Node>, mut session: Session) -> Self {
        session.may_leave = true;
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
            timer: None,
            visit: None,
            patience: Patience::default(),
        }
    }

    /// Serves the client until it goes, or until the node stops.
    pub async fn run(&mut self) -> End {
        let end = poll_fn(|context| self.poll(context)).await;
        engine::forget_watches(&self.node, &mut self.session);
        engine::forget_wait(&self.node, &mut self.session);
        self.session.forget_subscriptions(&self.node);
        self.session.watch_no_more(&self.node);
        self.node.tracking.disable(&mut self.session);
        end
    }

    /// What is left of a connection that has ended.
    pub fn into_parts(self) -> (S, Session) {
        (self.stream, self.session)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.session.client.register(context.waker());
            self.waker = Some(context.waker().clone());
        }
        loop {
            self.take_messages();
            match self.poll_flush(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(End::Io(error)),
                // Who is cut for its silence gets nothing more; a node that stops lets the
                // client have its answers, as long as it drains.
                Poll::Pending if self.is_cut() => return Poll::Ready(End::Closed),
                Poll::Pending => return Poll::Pending,
            }
            // A node that stops still answers what it has read; who is cut is answered no more.
            let done = (!self.more || self.held) && self.visit.is_none();
            let ends = self.session.client.is_closing() && done;
            if self.session.closing || self.is_cut() || ends {
                return Poll::Ready(self.end());
            }
            if self.session.waiting.is_some() {
                if let Some(end) = ready!(self.poll_waiting(context)) {
                    return Poll::Ready(end);
                }
                continue;
            }
            if self.visit.is_some() || self.session.elsewhere.is_some() {
                if let Some(end) = ready!(self.poll_elsewhere(context)) {
                    return Poll::Ready(end);
                }
                continue;
            }
            if self.more {
                ready!(self.patience.poll(context));
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
    fn take_messages(&mut self) {
        if self.session.client.has_messages() {
            self.session.client.take_messages(&mut self.output);
        }
    }

    /// Takes what a command of a client that tracks has sent to itself, right behind its reply.
    #[cold]
    fn take_invalidations(&mut self, output: &mut Vec<u8>) {
        self.session.forget_caching();
        if self.session.client.has_messages() {
            self.session.client.take_messages(output);
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

    /// Yields when a shard was busy.
    fn after(&mut self, stop: Stop, context: &mut Context<'_>) -> Poll<()> {
        self.more = !matches!(stop, Stop::Drained | Stop::Waiting);
        let again = std::mem::replace(&mut self.held, matches!(stop, Stop::Held));
        match stop {
            Stop::Contended if self.output.is_empty() => {
                self.patience.disappoint(context);
                Poll::Pending
            }
            // The first time, the command is tried once more: the pause may just have ended.
            Stop::Held if again && self.output.is_empty() => Poll::Pending,
            _ => {
                self.patience.renew();
                Poll::Ready(())
            }
        }
    }

    /// Ends when what the client waits for has come, or has not come in time: then its answer
    /// is among the replies. Ends with the connection if that ends before.
    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<Option<End>> {
        self.poll_timer(context);
        if engine::resume(&self.node, &mut self.session, &mut self.output) {
            self.timer = None;
            self.more = !self.input.is_empty();
            return Poll::Ready(None);
        }
        let end = ready!(self.poll_ahead(context));
        // Who was served in this very moment still gets it: it may only have stopped to ask.
        let abandoned = self.session.waiting.as_ref().is_none_or(|waiting| waiting.0.abandon());
        Poll::Ready(abandoned.then_some(end))
    }

    /// Whether nothing more can go to the leader with what is on its way.
    #[cold]
    fn is_full(&self) -> bool {
        match self.session.elsewhere.as_deref() {
            Some(Elsewhere::Errand(errand)) => errand.is_full(),
            _ => true,
        }
    }

    /// Ends when what the session has elsewhere is done: then its replies are among the replies.
    /// Ends with the connection if that ends before.
    #[cold]
    fn poll_elsewhere(&mut self, context: &mut Context<'_>) -> Poll<Option<End>> {
        if self.visit.is_none() {
            let Some(elsewhere) = engine::elsewhere::take(&mut self.session) else {
                return Poll::Ready(None);
            };
            let node = Arc::clone(&self.node);
            let visit = async move { engine::elsewhere::visit(&node, elsewhere).await };
            self.visit = Some(Visit(Box::pin(visit)));
        }
        if let Some(visit) = &mut self.visit
            && let Poll::Ready(visited) = visit.0.as_mut().poll(context)
        {
            self.visit = None;
            let mut replies = engine::elsewhere::settle(&mut self.session, visited);
            self.output.append(&mut replies);
            self.held = false;
            self.more = !self.input.is_empty();
            return Poll::Ready(None);
        }
        self.poll_ahead(context).map(Some)
    }

    /// Ends the wait when its time is over.
    fn poll_timer(&mut self, context: &mut Context<'_>) {
        let Some(waiting) = &self.session.waiting else { return };
        if waiting.0.until == NEVER {
            return;
        }
        let timer = self.timer.get_or_insert_with(|| {
            let left = waiting.0.until.saturating_sub(clock::unix_ms());
            Box::pin(tokio::time::sleep(Duration::from_millis(left)))
        });
        if timer.as_mut().poll(context).is_ready() {
            waiting.0.end(Ending::TimedOut);
        }
    }

    /// Reads what a client that waits asks meanwhile, without executing it, so that its end is
    /// noticed. Ready only when the connection ends.
    fn poll_ahead(&mut self, context: &mut Context<'_>) -> Poll<End> {
        let most = self.request_limits().request_bytes;
        INPUT.with_borrow_mut(|buffer| {
            loop {
                let mut buffer = ReadBuf::new(buffer);
                match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                    Ok(()) if buffer.filled().is_empty() => return Poll::Ready(End::Closed),
                    Ok(()) => {}
                    Err(error) => return Poll::Ready(End::Io(error)),
                }
                let read = buffer.filled();
                stats::add(&self.node.stats.input_bytes, read.len() as u64);
                self.input.extend_from_slice(read);
                self.session.client.query_bytes.store(self.input.len(), Ordering::Relaxed);
                if self.input.len() > most {
                    tracing::warn!(
                        "client {} is cut: it asks too much while it waits",
                        self.session.client.id
                    );
                    return Poll::Ready(End::Closed);
                }
            }
        })
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
        if self.session.client.has_messages() {
            // What was sent before these requests came is heard before their replies.
            self.session.client.take_messages(&mut self.output);
        }
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
        // TLS keeps what the socket does not take; `poll_flush` asks again.
        let _ = Pin::new(&mut self.stream).poll_flush(&mut context);
        commands::wrote();
        self.output.extend_from_slice(&output[written..]);
    }

    fn execute(&mut self, input: &[u8], from: usize, output: &mut Vec<u8>) -> Stop {
        self.taken = from;
        self.session.begin(&self.node);
        loop {
            let limits = self.request_limits();
            let most = self.unread_limit();
            let mut argv = Arguments::new();
            let stop = match self.decoder.whole(&input[self.taken..], &limits, &mut argv) {
                Some(consumed) if self.taken + consumed == input.len() || limits.before_auth => {
                    let ran = run(&self.node, &mut self.session, &argv, most, output);
                    self.after_request(&ran, consumed, output)
                }
                Some(_) => self.execute_several(input, &limits, most, output),
                None => self.execute_unusual(input, &limits, most, output),
            };
            match stop {
                Some(stop) => return stop,
                None if self.taken == input.len() => return Stop::Drained,
                // Read again every few requests, so that none sees an old time.
                None => self.session.now = clock::unix_ms(),
            }
        }
    }

    /// Executes the next few requests. Kept out of the way of single ones, which need not the
    /// room for several.
    #[inline(never)]
    fn execute_several(
        &mut self,
        input: &[u8],
        limits: &RequestLimits,
        most: usize,
        output: &mut Vec<u8>,
    ) -> Option<Stop> {
        let mut ahead = Ahead::new();
        self.look_ahead(&input[self.taken..], limits, &mut ahead);
        for (argv, consumed) in &ahead {
            let ran = run(&self.node, &mut self.session, argv, most, output);
            let stop = self.after_request(&ran, *consumed, output);
            // RESET changes what the next request may be.
            if stop.is_some() || !self.session.authenticated {
                return stop;
            }
        }
        None
    }

    /// Decodes the next few requests, as far as they are whole and plain, and has the keyspace
    /// look at their keys together.
    #[inline]
    fn look_ahead<'a>(&self, input: &'a [u8], limits: &RequestLimits, ahead: &mut Ahead<'a>) {
        let mut from = 0;
        while from < input.len() && ahead.len() < warm::TOGETHER {
            let mut argv = SmallVec::new();
            let Some(consumed) = self.decoder.whole(&input[from..], limits, &mut argv) else {
                break;
            };
            from += consumed;
            ahead.push((argv, consumed));
        }
        if ahead.len() > 1 {
            // Where a first argument is no key, nothing is found there.
            let keys = ahead.iter().filter_map(|(argv, _)| argv.get(1).copied());
            self.node.keyspace.warm(self.session.db, keys);
        }
    }

    /// Executes a request that came in parts, is inline, or is none.
    fn execute_unusual(
        &mut self,
        input: &[u8],
        limits: &RequestLimits,
        most: usize,
        output: &mut Vec<u8>,
    ) -> Option<Stop> {
        let rest = &input[self.taken..];
        let consumed = match self.decoder.decode(rest, limits) {
            Ok(Decoded::Request(consumed)) => consumed,
            Ok(Decoded::Nothing(consumed)) => {
                self.taken += consumed;
                return None;
            }
            Ok(Decoded::Incomplete(_)) => return Some(Stop::Drained),
            // What is under way is answered first.
            Err(_) if self.session.elsewhere.is_some() => return Some(Stop::Elsewhere),
            Err(error) => {
                self.refuse(&error, output);
                return Some(Stop::Drained);
            }
        };
        let argv: Arguments<'_> = self.decoder.arguments(rest).collect();
        let ran = run(&self.node, &mut self.session, &argv, most, output);
        drop(argv);
        if !matches!(ran, Ran::Contended | Ran::Held) {
            self.decoder.shrink();
        }
        self.after_request(&ran, consumed, output)
    }

    /// Goes on behind a request, unless something says to stop.
    #[inline]
    fn after_request(&mut self, ran: &Ran, consumed: usize, output: &mut Vec<u8>) -> Option<Stop> {
        match ran {
            Ran::Contended => return Some(Stop::Contended),
            Ran::Held => return Some(Stop::Held),
            Ran::Elsewhere => {
                self.taken += consumed;
                return self.is_full().then_some(Stop::Elsewhere);
            }
            Ran::Done | Ran::Cut => {}
        }
        self.taken += consumed;
        if self.session.tracking.is_some() {
            self.take_invalidations(output);
        }
        self.overflown |= matches!(ran, Ran::Cut);
        if self.overflown || self.session.closing {
            return Some(Stop::Drained);
        }
        if self.session.waiting.is_some() {
            return Some(Stop::Waiting);
        }
        (output.len() >= FLUSH_BYTES).then_some(Stop::OutputFull)
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
        // Does nothing but for TLS, which may have kept something.
        Pin::new(&mut self.stream).poll_flush(context)
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
