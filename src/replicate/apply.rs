//! The leader's stream, applied to the keyspace command by command.
//!
//! The offset moves behind a command once it is applied, and behind a transaction once all of
//! it is; then the same bytes go into this node's own log. What was not applied when the link
//! broke is forgotten and comes again.

use eave_replication::Position;
use smallvec::SmallVec;

use crate::clock;
use crate::engine;
use crate::limits::READ_BYTES;
use crate::node::Node;
use crate::resp::reply::Silent;
use crate::resp::request::{Decoded, ProtocolError};
use crate::resp::{RequestDecoder, RequestLimits};
use crate::session::{Door, Session};

/// What the leader has done its replica must be able to do, so only what the protocol itself
/// bounds is bounded here.
pub(super) const LIMITS: RequestLimits = RequestLimits {
    arguments: i32::MAX as usize,
    argument_bytes: u32::MAX as usize,
    request_bytes: usize::MAX / 2,
    before_auth: false,
};

/// What a link that is no longer wanted comes to.
#[derive(Debug)]
pub(super) struct Superseded;

/// Why applying stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Everything that is whole has been applied.
    Drained,
    /// A shard is busy: yield, and go on.
    Contended,
    /// The leader asks how far this node got.
    AckRequested,
    /// The bytes are no commands.
    Broken(ProtocolError),
}

/// What applies the stream. It outlives links, since the selected database goes on with the
/// history.
#[derive(Debug)]
pub(super) struct Applier {
    session: Session,
    decoder: RequestDecoder,
    /// Bytes received and not counted as applied.
    buffer: Vec<u8>,
    /// How many of these have been executed: they belong to an open transaction.
    executed: usize,
    /// Commands that failed here and not on the leader.
    failed: u64,
}

impl Applier {
    pub(super) fn new(node: &Node) -> Applier {
        let client = node.clients.add("leader".into(), String::new(), clock::unix_ms());
        // It is nobody that CLIENT LIST could show or CLIENT KILL could end.
        node.clients.remove(client.id);
        Applier {
            session: Session::new(client, Door::Leader, node),
            decoder: RequestDecoder::default(),
            buffer: Vec::new(),
            executed: 0,
            failed: 0,
        }
    }

    /// Forgets what was not applied.
    pub(super) fn forget(&mut self) {
        self.decoder = RequestDecoder::default();
        self.buffer = Vec::new();
        self.executed = 0;
        self.session.queue = None;
    }

    /// Starts where a full copy leaves off, with the database that the stream goes on in.
    pub(super) fn restart(&mut self, db: usize) {
        self.forget();
        self.session.db = db;
    }

    /// Takes the next bytes of the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Applies what is whole; answers how many bytes of history that was.
    ///
    /// # Errors
    /// When the term is over: nothing was applied.
    pub(super) fn run(&mut self, node: &Node, number: u64) -> Result<(u64, Stop), Superseded> {
        // Held throughout: whoever ends the term waits for what is being applied.
        let mut term = node.replication.term.lock();
        if term.number != number {
            return Err(Superseded);
        }
        let (applied, stop) = self.execute(node);
        node.log.append_raw(&self.buffer[..applied]);
        let bytes = applied as u64;
        term.position = term.position.map(|at| Position { offset: at.offset + bytes, ..at });
        term.db = self.session.db;
        drop(term);
        self.buffer.drain(..applied);
        self.executed -= applied;
        if self.buffer.is_empty() && self.buffer.capacity() > READ_BYTES {
            self.buffer = Vec::new();
        }
        node.stats.add(&mut self.session.tally);
        Ok((bytes, stop))
    }

    /// Executes from where it stopped; answers up to where everything is applied.
    fn execute(&mut self, node: &Node) -> (usize, Stop) {
        let mut applied = 0;
        self.session.begin(node);
        loop {
            let rest = &self.buffer[self.executed..];
            let consumed = match self.decoder.decode(rest, &LIMITS) {
                Ok(Decoded::Incomplete(_)) => return (applied, Stop::Drained),
                Ok(Decoded::Nothing(consumed)) => consumed,
                Ok(Decoded::Request(consumed)) => {
                    let argv: SmallVec<[&[u8]; 16]> = self.decoder.arguments(rest).collect();
                    if asks_for_ack(&argv) {
                        self.executed += consumed;
                        if self.session.queue.is_none() {
                            applied = self.executed;
                        }
                        return (applied, Stop::AckRequested);
                    }
                    let mut reply = Silent::default();
                    if !is_ping(&argv)
                        && engine::execute(node, &mut self.session, &argv, &mut reply).is_err()
                    {
                        return (applied, Stop::Contended);
                    }
                    if let Some(error) = reply.error {
                        self.failed += 1;
                        report(self.failed, &argv, &error);
                    }
                    consumed
                }
                Err(error) => return (applied, Stop::Broken(error)),
            };
            self.executed += consumed;
            if self.session.queue.is_none() {
                applied = self.executed;
            }
        }
    }
}

/// A sign of life, which may also stand inside a transaction that is being sent in pieces.
fn is_ping(argv: &[&[u8]]) -> bool {
    matches!(argv, [name] if name.eq_ignore_ascii_case(b"PING"))
}

fn asks_for_ack(argv: &[&[u8]]) -> bool {
    matches!(argv, [name, option, _] if name.eq_ignore_ascii_case(b"REPLCONF")
        && option.eq_ignore_ascii_case(b"GETACK"))
}

/// Warns of the first failures, and then of ever fewer: a leader that has what this node has
/// not would fill the log.
fn report(count: u64, argv: &[&[u8]], error: &str) {
    if count.is_power_of_two() {
        let name = argv.first().map(|name| name[..name.len().min(64)].escape_ascii().to_string());
        let name = name.unwrap_or_default();
        tracing::warn!("'{name}' of the leader's stream failed here ({count} so far): {error}");
    }
}
