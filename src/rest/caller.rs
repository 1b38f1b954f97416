//! One HTTP client: its requests, from head to answer.
//!
//! The requests of a connection come one after the other, so they share a session and a buffer.
//! What their paths ask for says `route`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::access::{self, Sender};
use super::answer::{self, Answer, JSON, OCTETS, SYNC_TOKEN};
use super::asked::{Asked, Format};
use super::body::{self, BodyLimits};
use super::elsewhere::SyncToken;
use super::events::{Events, Subject};
use super::once::{self, Remembered, Turn};
use super::refusal::Refusal;
use super::reply::{JsonReply, TOO_LARGE};
use super::route::{Listened, Route, arguments};
use super::{elsewhere, health, limits, metrics, path};
use crate::clients::Client;
use crate::command::Argv;
use crate::config::BigIntegers;
use crate::engine::{self, Elsewhere};
use crate::fault::Fault;
use crate::keyspace::locks::Contended;
use crate::limits::REST_KEPT_BYTES;
use crate::node::Node;
use crate::observe::stats;
use crate::patience::Patience;
use crate::rare::Rare;
use crate::resp::reply::Protocol;
use crate::resp::{Reply as _, RespReply};
use crate::session::{Door, Session};

/// Time between two attempts of a command that is held.
const HELD: Duration = Duration::from_millis(10);

/// Bytes of a sync token at most.
const SYNC_TOKEN_BYTES: usize = 22;

/// The client at the other end of a connection.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) node: Arc<Node>,
    pub(super) client: Arc<Client>,
    /// Whether the connection has other requests at the same time.
    shared: bool,
    /// Locked while a command runs, and never while something is waited for.
    pub(super) desk: Mutex<Desk>,
}

/// What the requests of a connection share.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) session: Session,
    /// Where answers are written.
    pub(super) out: Vec<u8>,
    /// The place that the last answer named, and its text.
    sync: (Option<SyncToken>, HeaderValue),
}

impl Caller {
    /// A client that has just connected.
    pub(super) fn new(node: Arc<Node>, client: Arc<Client>, shared: bool) -> Caller {
        let session = Session::new(Arc::clone(&client), Door::Rest, &node);
        let sync = (None, HeaderValue::from_static(""));
        Caller { node, client, shared, desk: Mutex::new(Desk { session, out: Vec::new(), sync }) }
    }

    /// Answers a request.
    pub(super) async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Answer {
        stats::add(&self.node.stats.rest_requests, 1);
        let (head, body) = request.into_parts();
        let asked = self.asked(&head);
        let mut answer = match self.route(&head, &asked, body).await {
            Ok(answer) => answer,
            Err(refusal) => answer::refuse(&refusal),
        };
        if let Some(origin) = asked.origin
            && self.node.config.load().rest_cors
        {
            answer::allow_origin(&mut answer, origin);
            if asked.method == Method::OPTIONS {
                answer::allow_requests(&mut answer);
            }
        }
        answer
    }

    /// Reads the head of a request.
    fn asked<'r>(&self, head: &'r Parts) -> Asked<'r> {
        let mut asked = Asked::of(head);
        let config = self.node.config.load();
        if !config.rest_path_prefix.is_empty() {
            asked.strip(&config.rest_path_prefix);
        }
        asked
    }

    /// What needs no token, and then the rest.
    async fn route(
        self: &Arc<Self>,
        head: &Parts,
        asked: &Asked<'_>,
        body: Incoming,
    ) -> Result<Answer, Refusal> {
        match asked.method {
            Method::GET | Method::HEAD | Method::POST | Method::PUT => {}
            Method::OPTIONS => return Ok(answer::empty(StatusCode::OK)),
            _ => return Err(Refusal::METHOD),
        }
        match asked.path {
            "/health" => return Ok(health::alive()),
            "/ready" => return Ok(health::ready(&self.node)),
            _ => {}
        }
        let sender = access::sender(&self.node, &self.client, asked)?;
        self.catch_up(asked.sync_token);
        let mut answer = match self.dispatch(head, asked, body, &sender).await {
            Ok(answer) => answer,
            Err(refusal) => answer::refuse(&refusal),
        };
        self.tell_state(asked, &mut answer);
        Ok(answer)
    }

    /// Says with an answer what its client has seen by it.
    pub(super) fn tell_state(&self, asked: &Asked<'_>, answer: &mut Answer) {
        answer.headers_mut().insert(SYNC_TOKEN, self.sync_token());
        if self.node.replication.is_replica() {
            let own = asked.sync_token.and_then(|token| HeaderValue::from_bytes(token).ok());
            if let (Some(token), true) = (own, self.knows_less()) {
                answer.headers_mut().insert(SYNC_TOKEN, token);
            }
            self.tell_staleness(answer);
        }
    }

    /// Who asks may ask; now for what.
    async fn dispatch(
        self: &Arc<Self>,
        head: &Parts,
        asked: &Asked<'_>,
        body: Incoming,
        sender: &Sender,
    ) -> Result<Answer, Refusal> {
        let body = match asked.method {
            Method::POST | Method::PUT => body::read(&self.node, body, self.body_limits()).await?,
            _ => Bytes::new(),
        };
        if asked.method != Method::HEAD
            && let Some(listened) = Listened::of(asked.path)
        {
            return self.listen(sender, listened, asked.path);
        }
        match asked.idempotency_key {
            Some(key) if self.node.config.load().rest_idempotency_window > 0 => {
                self.once(head, asked, body, sender, key).await
            }
            _ => self.run(asked, &body, sender).await,
        }
    }

    /// Runs what a request asks for.
    pub(super) async fn run(
        &self,
        asked: &Asked<'_>,
        body: &[u8],
        sender: &Sender,
    ) -> Result<Answer, Refusal> {
        match Route::of(asked) {
            Route::Command => {
                let arguments = arguments(asked, body)?;
                let argv: SmallVec<[&[u8]; 8]> = arguments.iter().map(AsRef::as_ref).collect();
                Ok(self.command(sender, &argv, asked.format()?).await)
            }
            Route::Pipeline => self.pipeline(sender, body, asked.format()?).await,
            Route::Transaction => self.transaction(sender, body, asked.encoding).await,
            Route::Metrics => self.metrics(sender),
            Route::Limits(verb) => limits::answer(self, sender, verb, asked, body).await,
        }
    }

    /// Runs what a request with a key asks for, unless that was done before. It is run by a task
    /// of its own: a client that goes must not leave half of it done.
    #[cold]
    async fn once(
        self: &Arc<Self>,
        head: &Parts,
        asked: &Asked<'_>,
        body: Bytes,
        sender: &Sender,
        key: &[u8],
    ) -> Result<Answer, Refusal> {
        let name = once::name(sender.name(), key)?;
        let form = format!("{:?}", asked.format()?);
        let query: Vec<_> = path::arguments(asked.query).collect();
        let parts =
            [head.method.as_str().as_bytes(), asked.path.as_bytes(), form.as_bytes(), &body];
        let print = once::print(parts.into_iter().chain(query.iter().map(AsRef::as_ref)));
        loop {
            match Remembered::turn(&self.node, &name, print)? {
                Turn::First(first) => {
                    let (caller, head, sender) = (Arc::clone(self), head.clone(), sender.clone());
                    let task = tokio::spawn(async move {
                        let asked = caller.asked(&head);
                        let answer = caller.run(&asked, &body, &sender).await?;
                        Ok(first.answered(answer).await)
                    });
                    return task.await.unwrap_or(Err(Refusal::BUG));
                }
                Turn::Known(answer) => return Ok(answer),
                Turn::Wait(mut ended) => {
                    let patience = self.body_limits().patience;
                    let waited = tokio::time::timeout(patience, ended.changed()).await;
                    waited.map_err(|_| Refusal::KEY_BUSY)?.unwrap_or_default();
                }
            }
        }
    }

    /// What INFO says, for Prometheus, to those who may ask for INFO.
    fn metrics(&self, sender: &Sender) -> Result<Answer, Refusal> {
        let mut desk = self.desk.lock();
        let session = desk.open(&self.node, sender);
        access::may_ask(&self.node, session, &[b"info"]).map_err(refusal)?;
        Ok(metrics::answer(&self.node))
    }

    /// Tells what comes, as it comes: of what the path names, or every command. A slash in the
    /// name is the name's own.
    fn listen(&self, sender: &Sender, listened: Listened, path: &str) -> Result<Answer, Refusal> {
        let segments: Vec<_> = path::segments(path).skip(1).collect();
        let name = segments.join(&b'/');
        let command = listened.command().as_bytes();
        let (argv, subject): (&[&[u8]], _) = match listened {
            Listened::Topic(_) if segments.is_empty() => {
                return Err(refusal(Fault::arity(listened.command())));
            }
            Listened::Topic(topic) => (&[command, &name], Subject::Topic(topic, &name)),
            Listened::Commands => (&[command], Subject::Commands),
        };
        let mut desk = self.desk.lock();
        let session = desk.open(&self.node, sender);
        access::may_ask(&self.node, session, argv).map_err(refusal)?;
        let (node, client) = (Arc::clone(&self.node), Arc::clone(&self.client));
        Ok(answer::with_events(Events::listen(node, client, self.shared, subject)))
    }

    /// Runs one command. A busy shard is waited for by letting others run.
    async fn command(&self, sender: &Sender, argv: Argv<'_>, format: Format) -> Answer {
        if argv.is_empty() {
            return answer::refuse(&Refusal::EMPTY_COMMAND);
        }
        let mut patience = Patience::default();
        loop {
            let (ran, elsewhere) = {
                let mut desk = self.desk.lock();
                let ran = desk.command(&self.node, sender, argv, format);
                (ran, desk.leaving())
            };
            if let Ok(answer) = ran {
                return answer;
            }
            if let Some(replies) = self.wait(&mut patience, elsewhere).await {
                return elsewhere::answer(&replies, format);
            }
        }
    }

    /// Lets others run before a command is tried again. One that a pause holds is tried a
    /// hundred times a second: a request over HTTP has nobody to wake it. Answers the replies, if
    /// it is the leader that has done it.
    pub(super) async fn wait(
        &self,
        patience: &mut Patience,
        elsewhere: Option<Elsewhere>,
    ) -> Option<Vec<u8>> {
        let held = std::mem::take(&mut self.desk.lock().session.held);
        if let Some(elsewhere) = elsewhere {
            return self.visit(elsewhere).await;
        }
        if held {
            tokio::time::sleep(HELD).await;
        } else {
            patience.wait().await;
        }
        None
    }

    fn body_limits(&self) -> BodyLimits {
        let config = self.node.config.load();
        BodyLimits {
            bytes: config.rest_max_body,
            patience: Duration::from_millis(config.rest_header_timeout_ms),
        }
    }

    /// Names the present state of the keyspace. The text is made anew when that has moved.
    fn sync_token(&self) -> HeaderValue {
        let mut desk = self.desk.lock();
        let seen = desk.seen(&self.node);
        if desk.sync.0 != Some(seen) {
            let mut text = Vec::with_capacity(SYNC_TOKEN_BYTES);
            seen.write(&mut text);
            // Digits and letters make a header.
            let value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("0"));
            desk.sync = (Some(seen), value);
        }
        desk.sync.1.clone()
    }
}

fn refusal(fault: Fault) -> Refusal {
    match fault {
        Fault::Text(text) => Refusal::bad_request(text),
        // Nothing is locked and nothing waited for when rights are asked for.
        _ => Refusal::EMPTY_COMMAND,
    }
}

impl Desk {
    /// Makes known what the session has done since it was opened.
    pub(super) fn close(&mut self, node: &Node) {
        node.stats.add(&mut self.session.tally);
        self.session.publish();
    }

    /// Takes what the session has for others to do. Under the lock under which it came about, or
    /// another request of the connection would take it.
    pub(super) fn leaving(&mut self) -> Option<Elsewhere> {
        engine::elsewhere::take(&mut self.session)
    }

    /// Makes the session ready for commands of this moment.
    pub(super) fn open(&mut self, node: &Node, sender: &Sender) -> &mut Session {
        self.session.begin(node);
        sender.take_over(node, &mut self.session);
        &mut self.session
    }

    fn command(
        &mut self,
        node: &Node,
        sender: &Sender,
        argv: Argv<'_>,
        format: Format,
    ) -> Result<Answer, Contended> {
        let (status, kind) = self.run(node, sender, argv, format)?;
        Ok(answer::with_body(status, kind, take_bytes(&mut self.out)))
    }

    /// Runs a command, and leaves its answer in `out`.
    ///
    /// # Errors
    /// When it has to be tried again, or somebody else has to run it.
    pub(super) fn run(
        &mut self,
        node: &Node,
        sender: &Sender,
        argv: Argv<'_>,
        format: Format,
    ) -> Result<(StatusCode, HeaderValue), Contended> {
        self.open(node, sender);
        let Desk { session, out, .. } = self;
        // An attempt that met a busy shard has left nothing worth keeping.
        out.clear();
        let (failed, kind) = match format {
            Format::Json(encoding) => {
                let mut reply = Bounds::of(session).json(JsonReply::new(out, encoding));
                engine::execute(node, session, argv, &mut reply)?;
                (reply.failed(), JSON)
            }
            Format::Resp => {
                let most = Bounds::of(session).bytes;
                resp_reply(out, most, |reply| engine::execute(node, session, argv, reply))?;
                (out.first() == Some(&b'-'), OCTETS)
            }
        };
        stays(session, Ok(()))?;
        let status = if failed { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        self.close(node);
        Ok((status, kind))
    }
}

/// Whether a command has been run here: one that is for the leader is not done yet.
pub(super) fn stays(session: &Session, ran: Result<(), Contended>) -> Result<(), Contended> {
    if session.rare.contains(Rare::ELSEWHERE) { Err(Contended) } else { ran }
}

/// Has one reply written in the Redis protocol; one that takes the buffer beyond `most` bytes
/// becomes an error.
pub(super) fn resp_reply(
    out: &mut Vec<u8>,
    most: usize,
    run: impl FnOnce(&mut RespReply<'_>) -> Result<(), Contended>,
) -> Result<(), Contended> {
    let start = out.len();
    let mut reply = RespReply::bounded(out, Protocol::V2, most);
    run(&mut reply)?;
    if reply.is_cut() {
        out.truncate(start);
        RespReply::new(out, Protocol::V2).error(TOO_LARGE);
    }
    Ok(())
}

/// What the settings say of answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// How large one may be: as large as what a RESP client may leave unread.
    pub(super) bytes: usize,
    big: BigIntegers,
}

impl Bounds {
    pub(super) fn of(session: &mut Session) -> Bounds {
        let config = session.config();
        let bytes = match config.client_output_buffer_limit.normal.hard {
            0 => usize::MAX,
            most => usize::try_from(most).unwrap_or(usize::MAX),
        };
        Bounds { bytes, big: config.rest_big_integers }
    }

    pub(super) fn json(self, reply: JsonReply<'_>) -> JsonReply<'_> {
        reply.bounded(self.bytes).big_integers(self.big)
    }
}

/// The bytes of an answer. A small one is copied out, and its buffer serves the next; a large
/// one leaves with its buffer.
pub(super) fn take_bytes(out: &mut Vec<u8>) -> Bytes {
    if out.capacity() <= REST_KEPT_BYTES {
        Bytes::copy_from_slice(out)
    } else {
        std::mem::take(out).into()
    }
}
