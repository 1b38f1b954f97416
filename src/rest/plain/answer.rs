//! Answers to plain requests. What a request means, and who may ask it, is the caller's to say, as
//! it is for hyper's.

use smallvec::SmallVec;

use super::super::access::{self, Sender};
use super::super::answer::{self, Answer, Content};
use super::super::asked::{Asked, Format};
use super::super::caller::{Caller, Desk};
use super::super::elsewhere;
use super::super::limits::Verb;
use super::super::refusal::Refusal;
use super::super::route::{Listened, Route, arguments};
use super::read::Plain;
use super::write::Output;
use crate::clock;
use crate::command::Argv;
use crate::limits::REST_KEPT_BYTES;
use crate::node::Node;
use crate::observe::stats;
use crate::patience::Patience;
use crate::rare::Rare;

impl Caller {
    /// Answers a plain request. No if it is one for hyper: then nothing has happened.
    pub(super) async fn answer_plain(&self, plain: Plain<'_>, output: &mut Output) -> bool {
        let Plain { mut asked, body, .. } = plain;
        {
            let config = self.node.config.load();
            if body.len() as u64 > config.rest_max_body {
                return false;
            }
            if !config.rest_path_prefix.is_empty() {
                asked.strip(&config.rest_path_prefix);
            }
        }
        let Some(route) = self.route_plain(&asked) else { return false };
        stats::add(&self.node.stats.rest_requests, 1);
        let sender = match access::sender(&self.node, &self.client, &asked) {
            Ok(sender) => sender,
            Err(refusal) => {
                output.answer(answer::refuse(&refusal)).await;
                return true;
            }
        };
        let ran = match route {
            Route::Command => self.command_plain(&sender, &asked, body, output).await,
            _ => {
                self.catch_up(asked.sync_token);
                self.run(&asked, body, &sender).await.map(Some)
            }
        };
        let mut answer = match ran {
            // It stands there already.
            Ok(None) => return true,
            Ok(Some(answer)) => answer,
            Err(refusal) => answer::refuse(&refusal),
        };
        self.tell_state(&asked, &mut answer);
        output.answer(answer).await;
        true
    }

    /// What a request asks for, unless its answer is no head and body, or needs more of the
    /// request than is kept.
    fn route_plain(&self, asked: &Asked<'_>) -> Option<Route> {
        // Hyper notices when the client of a command goes that is held.
        let held = Rare::HOLDS_WRITES | Rare::HOLDS_ALL;
        if self.node.rare.get().intersects(held) || matches!(asked.path, "/health" | "/ready") {
            return None;
        }
        match Route::of(asked) {
            Route::Metrics | Route::Limits(Verb::Gate) => None,
            Route::Command if Listened::of(asked.path).is_some() => None,
            route => Some(route),
        }
    }

    /// Runs one command, and writes its answer; or hands it out, if it came from elsewhere.
    async fn command_plain(
        &self,
        sender: &Sender,
        asked: &Asked<'_>,
        body: &[u8],
        output: &mut Output,
    ) -> Result<Option<Answer>, Refusal> {
        let found = arguments(asked, body);
        let (arguments, format) = match found.and_then(|found| Ok((found, asked.format()?))) {
            Ok(both) => both,
            Err(refusal) => {
                self.catch_up(asked.sync_token);
                return Err(refusal);
            }
        };
        let argv: SmallVec<[&[u8]; 8]> = arguments.iter().map(AsRef::as_ref).collect();
        if argv.is_empty() {
            self.catch_up(asked.sync_token);
            return Err(Refusal::EMPTY_COMMAND);
        }
        let mut patience = None;
        loop {
            let elsewhere = {
                let mut desk = self.desk.lock();
                if patience.is_none() {
                    desk.catch_up(&self.node, asked.sync_token);
                }
                if desk.answer_plain(&self.node, sender, &argv, format, asked, output) {
                    return Ok(None);
                }
                desk.leaving()
            };
            let patience = patience.get_or_insert_with(Patience::default);
            if let Some(replies) = self.wait(patience, elsewhere).await {
                return Ok(Some(elsewhere::answer(&replies, format)));
            }
        }
    }
}

impl Desk {
    /// Runs a command, and writes its answer. No if it is to be tried again.
    fn answer_plain(
        &mut self,
        node: &Node,
        sender: &Sender,
        argv: Argv<'_>,
        format: Format,
        asked: &Asked<'_>,
        output: &mut Output,
    ) -> bool {
        let Ok((status, kind)) = self.run(node, sender, argv, format) else { return false };
        output.begin(status);
        output.kind(&kind);
        self.write_state(node, asked, &mut output.bytes);
        output.end(self.out.len(), self.session.now);
        if self.out.capacity() <= REST_KEPT_BYTES {
            output.bytes.extend_from_slice(&self.out);
        } else {
            output.body(std::mem::take(&mut self.out).into());
        }
        true
    }

    /// Writes what a client has seen by an answer, as `Caller::tell_state` has it.
    fn write_state(&self, node: &Node, asked: &Asked<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"upstash-sync-token: ");
        if !node.replication.is_replica() {
            self.seen(node).write(out);
            out.extend_from_slice(b"\r\n");
            return;
        }
        match asked.sync_token {
            Some(token) if self.session.rare.contains(Rare::MARK_UNKNOWN) => {
                out.extend_from_slice(token);
            }
            _ => self.seen(node).write(out),
        }
        out.extend_from_slice(b"\r\n");
        if let Some(staleness_ms) = node.replication.staleness_ms() {
            out.extend_from_slice(b"eave-staleness-ms: ");
            out.extend_from_slice(itoa::Buffer::new().format(staleness_ms).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl Output {
    /// Writes an answer that is one of hyper's kind.
    pub(super) async fn answer(&mut self, mut answer: Answer) {
        let Content::Whole(body) = answer.body_mut() else { return };
        let body = answer::bytes_of(body).await;
        self.begin(answer.status());
        self.headers(answer.headers());
        self.end(body.len(), clock::unix_ms());
        self.body(body);
    }
}
