//! Plain requests, answered without hyper.
//!
//! A GET of a path, or a POST of a small body, that has come as a whole, is nearly all that clients
//! of the dialect send. hyper takes some nine thousand instructions for one, which is several times
//! what the command itself takes, so those are read here (`read`) and answered here (`answer`,
//! `write`), by the same functions that answer hyper's requests. Everything else, up to the first
//! byte that is not as expected, goes to hyper as it came, and so does the connection, until it
//! falls silent for a second.
//!
//! *Invariant*: a request that is handed over has not happened, and none of its bytes is missing.

mod answer;
mod read;
mod write;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite as _;

use self::read::Found;
use self::write::Output;
use super::connection::Driver;
use super::wire::Wire;
use crate::limits::REST_PLAIN_BYTES;

/// How many times more of a request may be waited for: most come as a whole, others in two
/// pieces, a head and a body.
const PIECES: u32 = 4;

/// What comes behind plain requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// Nothing: the connection has ended.
    End,
    /// Nothing: the client knows that the last answer was the last.
    Last,
    /// Nothing for a while.
    Silence,
    /// What hyper has to read; the wire has it.
    Other,
}

/// What a look at the socket comes to.
enum News {
    Bytes(usize),
    /// Its client has gone.
    End,
    /// The connection is to end.
    Closing,
    Silence,
}

impl Driver {
    /// Answers plain requests as long as there is nothing else.
    pub(super) async fn plain(&mut self, wire: &mut Wire) -> Behind {
        let mut work = Work { buffer: vec![0; REST_PLAIN_BYTES], ..Work::default() };
        self.watch.begin_quiet(0);
        let behind = loop {
            let news = poll_fn(|context| self.poll_news(wire, &mut work, context)).await;
            match news {
                News::Bytes(bytes) => work.filled += bytes,
                // What has come in part is hyper's to judge.
                _ if work.filled > 0 => break Behind::Other,
                News::End | News::Closing => break Behind::End,
                News::Silence => break Behind::Silence,
            }
            if let Some(behind) = self.answer_plain(wire, &mut work).await {
                break behind;
            }
        };
        self.pulse.add_answered(work.answered);
        match behind {
            Behind::Other => wire.unread(&work.buffer[..work.filled]),
            Behind::Silence => self.watch.end_quiet(&self.pulse),
            Behind::End | Behind::Last => {}
        }
        behind
    }

    fn poll_news(
        &mut self,
        wire: &mut Wire,
        work: &mut Work,
        context: &mut Context<'_>,
    ) -> Poll<News> {
        match wire.poll_take(context, &mut work.buffer[work.filled..]) {
            Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(News::End),
            Poll::Ready(Ok(bytes)) => return Poll::Ready(News::Bytes(bytes)),
            Poll::Pending => {}
        }
        self.client.register(context.waker());
        if self.client.is_closing() {
            return Poll::Ready(News::Closing);
        }
        self.watch.poll_quiet(work.answered, context).map(|()| News::Silence)
    }

    /// Answers what the buffer has, and moves what is left to its beginning. Tells what comes
    /// behind if that is not another plain request.
    async fn answer_plain(&mut self, wire: &mut Wire, work: &mut Work) -> Option<Behind> {
        let mut at = 0;
        let mut behind = None;
        while behind.is_none() && at < work.filled {
            match read::read(&work.buffer[at..work.filled], work.buffer.len()) {
                Found::Plain(plain) => {
                    work.output.is_last = self.client.is_closing();
                    let length = plain.length;
                    if !self.caller.answer_plain(plain, &mut work.output).await {
                        behind = Some(Behind::Other);
                        break;
                    }
                    at += length;
                    work.answered += 1;
                    work.pieces = 0;
                    if work.output.is_last {
                        behind = Some(Behind::Last);
                    }
                    if work.output.is_full() && !self.send(wire, work).await {
                        return Some(Behind::End);
                    }
                }
                Found::Part => {
                    work.pieces += 1;
                    behind = (work.pieces > PIECES).then_some(Behind::Other);
                    break;
                }
                Found::Other => behind = Some(Behind::Other),
            }
        }
        if at > 0 {
            wire.took(at);
            work.buffer.copy_within(at..work.filled, 0);
            work.filled -= at;
            if !self.send(wire, work).await {
                return Some(Behind::End);
            }
        }
        behind
    }

    /// Sends the answers that there are. No if the client does not take them.
    async fn send(&mut self, wire: &mut Wire, work: &mut Work) -> bool {
        let large = work.output.large.take();
        let mut parts = [&*work.output.bytes, large.as_deref().unwrap_or_default()];
        let mut waited = false;
        let sent = poll_fn(|context| self.poll_send(wire, &mut parts, &mut waited, context)).await;
        if waited {
            self.watch.begin_quiet(work.answered);
        }
        work.output.clear();
        sent
    }

    fn poll_send(
        &mut self,
        wire: &mut Wire,
        parts: &mut [&[u8]],
        waited: &mut bool,
        context: &mut Context<'_>,
    ) -> Poll<bool> {
        loop {
            let Some(part) = parts.iter_mut().find(|part| !part.is_empty()) else {
                // TLS gathers what it is given.
                match Pin::new(&mut *wire).poll_flush(context) {
                    Poll::Ready(flushed) => return Poll::Ready(flushed.is_ok()),
                    Poll::Pending => break,
                }
            };
            match wire.poll_send(context, part) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(false),
                Poll::Ready(Ok(written)) => *part = &part[written..],
                Poll::Pending => break,
            }
        }
        *waited = true;
        self.client.register(context.waker());
        // Whoever is killed is cut; a node that stops lets answers be taken.
        if self.client.is_closing() && !self.node.shutdown.is_cancelled() {
            return Poll::Ready(false);
        }
        self.watch.poll(&self.pulse, true, context).map(|_| false)
    }
}

/// What there is as long as requests are plain.
#[derive(Debug, Default)]
struct Work {
    /// What was read.
    buffer: Vec<u8>,
    /// So much of it, and not answered yet.
    filled: usize,
    /// How many times the request at its beginning has been found to have come in part.
    pieces: u32,
    /// Requests answered.
    answered: u64,
    output: Output,
}
