//! The node that keys are written to: requests in batches, replies as they come.
//!
//! What is sent and not answered is bounded in requests and bytes, so a slow target slows the
//! source down. A database is asked for, and its answer awaited, before anything goes into it.

use std::collections::{BTreeSet, VecDeque};

use tokio::io::{AsyncReadExt, AsyncWriteExt, WriteHalf};

use super::ImportError;
use super::peer::{Leaves, Peer, SILENCE};
use super::tally::Tally;
use crate::limits::{IMPORT_BATCH_BYTES, IMPORT_PIPELINE};
use crate::net::stream::Stream;
use crate::resp::reply::encode_command;

/// What a reply is an answer to.
#[derive(Debug)]
pub(super) enum Awaited {
    Key {
        name: Vec<u8>,
        kind: &'static str,
        /// Whether its time had come when it was sent.
        expired: bool,
    },
    Function,
    Rule,
    /// A command of the source's stream.
    Command(Vec<u8>),
}

/// A request that was sent, and how many bytes of the source's history it ends.
#[derive(Debug)]
struct Sent {
    what: Awaited,
    history: u64,
}

/// A node that is written to.
pub(super) struct Target {
    pub(super) peer: Peer,
    outgoing: Vec<u8>,
    awaited: VecDeque<Sent>,
    selected: u32,
    /// Databases that it has.
    known: BTreeSet<u32>,
    /// Bytes of the source's history whose effects are there, not yet collected.
    applied: u64,
}

impl Target {
    /// Writes over this connection, which has selected database 0.
    pub(super) fn new(peer: Peer) -> Target {
        Target {
            peer,
            outgoing: Vec::new(),
            awaited: VecDeque::new(),
            selected: 0,
            known: BTreeSet::from([0]),
            applied: 0,
        }
    }

    /// Selects a database for what follows.
    pub(super) async fn select(&mut self, db: u32, tally: &mut Tally) -> Result<(), ImportError> {
        if db == self.selected {
            return Ok(());
        }
        if !self.known.contains(&db) {
            self.settle(tally).await?;
        }
        let digits = db.to_string();
        let argv: [&[u8]; 2] = [b"SELECT", digits.as_bytes()];
        let reply = match self.known.contains(&db) {
            true => {
                self.push(&argv, Awaited::Command(b"SELECT".to_vec()), tally).await?;
                tally.commands = tally.commands.saturating_sub(1);
                None
            }
            false => Some(self.peer.ask(&argv).await?),
        };
        if let Some(why) = reply.as_ref().and_then(Leaves::error_text) {
            let why = format!("database {db}: {why} (its directive 'databases')");
            return Err(ImportError::Target(self.peer.name.clone(), why));
        }
        self.known.insert(db);
        self.selected = db;
        Ok(())
    }

    /// Makes sure that a database is there, without selecting it for what follows.
    pub(super) async fn check(&mut self, db: u32, tally: &mut Tally) -> Result<(), ImportError> {
        if self.known.contains(&db) {
            return Ok(());
        }
        let before = self.selected;
        self.select(db, tally).await?;
        self.select(before, tally).await
    }

    /// The database of what follows is another one, by what was pushed.
    pub(super) fn selected(&mut self, db: u32) {
        self.selected = db;
    }

    /// Sends a request, later.
    pub(super) async fn push(
        &mut self,
        argv: &[&[u8]],
        what: Awaited,
        tally: &mut Tally,
    ) -> Result<(), ImportError> {
        encode_command(&mut self.outgoing, argv);
        self.sent(what, 0);
        self.pace(tally).await
    }

    /// Sends requests that are encoded already, one for each of `names`, later. They end so many
    /// bytes of history.
    pub(super) async fn push_unit(
        &mut self,
        bytes: &[u8],
        names: Vec<Vec<u8>>,
        history: u64,
        tally: &mut Tally,
    ) -> Result<(), ImportError> {
        self.outgoing.extend_from_slice(bytes);
        for name in names {
            self.sent(Awaited::Command(name), 0);
        }
        self.pass(history);
        self.pace(tally).await
    }

    /// So many bytes of history are of no concern here, once what was sent is there.
    pub(super) fn pass(&mut self, history: u64) {
        match self.awaited.back_mut() {
            Some(last) => last.history += history,
            None => self.applied += history,
        }
    }

    /// Bytes of history that are applied, since this was asked last.
    pub(super) fn take_applied(&mut self) -> u64 {
        std::mem::take(&mut self.applied)
    }

    fn sent(&mut self, what: Awaited, history: u64) {
        self.awaited.push_back(Sent { what, history });
    }

    async fn pace(&mut self, tally: &mut Tally) -> Result<(), ImportError> {
        if self.outgoing.len() < IMPORT_BATCH_BYTES && self.awaited.len() < IMPORT_PIPELINE {
            return Ok(());
        }
        // The target works on one half while the other is put together.
        self.flush(IMPORT_PIPELINE / 2, tally).await
    }

    /// Sends everything and waits until everything is answered.
    pub(super) async fn settle(&mut self, tally: &mut Tally) -> Result<(), ImportError> {
        self.flush(0, tally).await
    }

    /// Sends everything, and waits until at most `left` replies are awaited.
    async fn flush(&mut self, left: usize, tally: &mut Tally) -> Result<(), ImportError> {
        let (mut written, mut flushed) = (0, self.outgoing.is_empty());
        while !flushed || self.awaited.len() > left {
            let unsent = &self.outgoing[written..];
            let Peer { reader, writer, incoming, .. } = &mut self.peer;
            // Reading while it writes: a target that cannot answer does not read.
            let happened = tokio::select! {
                wrote = write(writer, unsent), if !flushed => wrote.map(|wrote| (wrote, 0)),
                read = reader.read_buf(incoming) => match read {
                    Ok(0) => Err(std::io::ErrorKind::UnexpectedEof.into()),
                    read => read.map(|read| (Some(0), read)),
                },
                () = tokio::time::sleep(SILENCE) => Err(std::io::ErrorKind::TimedOut.into()),
            };
            let (wrote, read) = happened.map_err(|error| self.peer.lost(error))?;
            flushed |= wrote.is_none();
            written += wrote.unwrap_or(0);
            if read > 0 {
                self.take_replies(tally)?;
            }
        }
        self.outgoing.clear();
        self.outgoing.shrink_to(IMPORT_BATCH_BYTES);
        Ok(())
    }

    fn take_replies(&mut self, tally: &mut Tally) -> Result<(), ImportError> {
        while let Some(reply) = self.peer.take()? {
            let Some(Sent { what, history }) = self.awaited.pop_front() else {
                return Err(self.peer.lost(std::io::Error::other("a reply to no request")));
            };
            judge(&what, reply.error_text(), tally)
                .map_err(|why| ImportError::Target(self.peer.name.clone(), why))?;
            self.applied += history;
        }
        Ok(())
    }
}

/// Writes some of `bytes`; `None` if there were none and all has left: TLS may keep some.
async fn write(writer: &mut WriteHalf<Stream>, bytes: &[u8]) -> std::io::Result<Option<usize>> {
    if bytes.is_empty() {
        writer.flush().await?;
        return Ok(None);
    }
    match writer.write(bytes).await? {
        0 => Err(std::io::ErrorKind::WriteZero.into()),
        written => Ok(Some(written)),
    }
}

/// Counts what has come of a request; an error says that there is no use in going on.
fn judge(what: &Awaited, error: Option<&str>, tally: &mut Tally) -> Result<(), String> {
    if let Some(why) = error
        && is_final(why, what)
    {
        return Err(why.to_owned());
    }
    match (what, error) {
        (Awaited::Key { expired: true, .. }, None) => tally.expired += 1,
        (Awaited::Key { kind, .. }, None) => tally.copied(kind),
        (Awaited::Key { .. }, Some(why)) if why.starts_with("BUSYKEY") => tally.present += 1,
        (Awaited::Key { name, .. }, Some(why)) => tally.refused(name, why),
        (Awaited::Function, None) => tally.functions += 1,
        (Awaited::Function, Some(why)) if why.contains("already exists") => {
            tally.functions_present += 1;
        }
        (Awaited::Function, Some(why)) => tally.refused(b"function library", why),
        (Awaited::Rule, None) => tally.rules += 1,
        (Awaited::Rule, Some(why)) => tally.refused(b"rule of rate limits", why),
        (Awaited::Command(_), None) => tally.commands += 1,
        (Awaited::Command(name), Some(why)) => tally.command_refused(name, why),
    }
    Ok(())
}

/// Whether every further request would fail as well.
fn is_final(why: &str, what: &Awaited) -> bool {
    let codes = [
        "OOM",
        "NOAUTH",
        "NOPERM",
        "READONLY",
        "MASTERDOWN",
        "MISCONF",
        "LOADING",
        "NOREPLICAS",
        "UNCERTAIN",
        "EXECABORT OOM",
    ];
    let code = why.split(' ').next().unwrap_or_default();
    codes.contains(&code)
        || matches!(what, Awaited::Key { .. }) && why.starts_with("ERR unknown command")
}
