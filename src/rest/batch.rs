//! Several commands in one request: `/pipeline`, in order, and `/multi-exec`, all at once.

use bytes::Bytes;
use hyper::StatusCode;

use super::access::Sender;
use super::answer::{self, Answer, JSON, OCTETS};
use super::asked::Format;
use super::caller::{Bounds, Caller, Desk, resp_reply, stays};
use super::elsewhere;
use super::json;
use super::refusal::Refusal;
use super::reply::{Encoding, JsonReply};
use crate::command::Argv;
use crate::engine;
use crate::fault::Fault;
use crate::keyspace::locks::Contended;
use crate::limits::REST_TURN;
use crate::node::Node;
use crate::patience::Patience;
use crate::resp::Reply;
use crate::resp::answer::Measure;
use crate::session::Session;

/// Bytes that an answer's buffer starts with for each command: a status, a number, a small value.
const ANSWER_BYTES: usize = 32;

const ANSWER_TOO_LARGE: &str = "ERR max response size exceeded, the command was not run";

impl Caller {
    /// Runs commands in order. Others may run in between; one that fails does not stop the rest.
    pub(super) async fn pipeline(
        &self,
        sender: &Sender,
        body: &[u8],
        format: Format,
    ) -> Result<Answer, Refusal> {
        let commands = json::commands(body, self.longest_pipeline())?;
        let arguments = commands.arguments();
        let commands = commands.split(&arguments);
        let mut pipeline = Pipeline::new(&commands, format);
        let (mut patience, mut before) = (Patience::default(), 0);
        loop {
            let (progress, elsewhere) = {
                let mut desk = self.desk.lock();
                let progress = desk.run_some(&self.node, sender, &mut pipeline);
                (progress, desk.leaving())
            };
            if progress == Progress::Done {
                break;
            }
            if pipeline.next > before {
                patience.renew();
            }
            before = pipeline.next;
            if let Some(replies) = self.wait(&mut patience, elsewhere).await {
                pipeline.take(&replies);
            }
        }
        let kind = if format == Format::Resp { OCTETS } else { JSON };
        Ok(answer::with_body(StatusCode::OK, kind, pipeline.finish()))
    }

    /// Runs commands as one transaction, or none of them.
    pub(super) async fn transaction(
        &self,
        sender: &Sender,
        body: &[u8],
        encoding: Encoding,
    ) -> Result<Answer, Refusal> {
        let commands = json::commands(body, self.longest_pipeline())?;
        let arguments = commands.arguments();
        let argvs: Vec<Argv<'_>> = commands
            .split(&arguments)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(Refusal::bad_request)?;
        let mut patience = Patience::default();
        loop {
            let (ran, elsewhere) = {
                let mut desk = self.desk.lock();
                let ran = desk.run_all(&self.node, sender, &argvs, encoding);
                (ran, desk.leaving())
            };
            match ran {
                Ok(body) => return Ok(answer::with_body(StatusCode::OK, JSON, body)),
                Err(Fault::Text(text)) => return Err(Refusal::bad_request(text)),
                Err(Fault::Contended | Fault::Wait(_) | Fault::Elsewhere) => {}
            }
            if let Some(replies) = self.wait(&mut patience, elsewhere).await {
                let body = super::elsewhere::items(&replies, encoding)?;
                return Ok(answer::with_body(StatusCode::OK, JSON, body.into()));
            }
        }
    }

    fn longest_pipeline(&self) -> usize {
        self.node.config.load().rest_max_pipeline as usize
    }
}

/// How far a pipeline has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Done,
    More,
}

/// A pipeline that is being run.
#[derive(Debug)]
struct Pipeline<'b> {
    commands: &'b [Result<Argv<'b>, &'static str>],
    format: Format,
    next: usize,
    /// How many of those before it are on their way to the leader.
    away: usize,
    out: Vec<u8>,
    /// Bytes of the last answer.
    last: usize,
}

impl<'b> Pipeline<'b> {
    fn new(commands: &'b [Result<Argv<'b>, &'static str>], format: Format) -> Pipeline<'b> {
        let out = Vec::with_capacity(2 + commands.len() * ANSWER_BYTES);
        Pipeline { commands, format, next: 0, away: 0, out, last: 0 }
    }

    /// Makes room for what is to come, if it is as long as what has come: a buffer that doubles
    /// again and again copies it all, and ends up twice as large. Never beyond four times of what
    /// there is, since what is to come may be short.
    #[cold]
    fn grow(&mut self, most: usize) {
        let written = self.out.len();
        let each = written / self.next.max(1) + 1;
        let left = self.commands.len() - self.next;
        // An eighth of what there is to spare, or the last few would each have it all copied.
        let spare = written / 8 + self.last + ANSWER_BYTES;
        let wanted = each.saturating_mul(left).saturating_add(spare);
        self.out.reserve_exact(wanted.min(written.saturating_mul(3)).min(most));
    }

    /// Runs the next command.
    fn step(
        &mut self,
        node: &Node,
        session: &mut Session,
        bounds: Bounds,
    ) -> Result<(), Contended> {
        let start = self.out.len();
        let most = bounds.bytes;
        if self.out.capacity() - start < self.last + ANSWER_BYTES {
            self.grow(most);
        }
        let ran = match self.format {
            Format::Json(encoding) => {
                self.out.push(if self.out.is_empty() { b'[' } else { b',' });
                let mut reply = bounds.json(JsonReply::new(&mut self.out, encoding));
                run(node, session, self.commands[self.next], start < most, &mut reply)
            }
            Format::Resp => resp_reply(&mut self.out, most, |reply| {
                run(node, session, self.commands[self.next], start < most, reply)
            }),
        };
        let away = elsewhere::away(session);
        if away > self.away {
            // What comes behind may travel with it.
            self.out.truncate(start);
            (self.away, self.next) = (away, self.next + 1);
            return Ok(());
        }
        match ran {
            Ok(()) => (self.next, self.last) = (self.next + 1, self.out.len() - start),
            Err(Contended) => self.out.truncate(start),
        }
        ran
    }

    /// Writes the answers that have come from the leader.
    fn take(&mut self, replies: &[u8]) {
        let mut rest = replies;
        while let Ok(Some(length)) = Measure::default().end(rest) {
            let (reply, behind) = rest.split_at(length);
            match self.format {
                Format::Json(encoding) => {
                    self.out.push(if self.out.is_empty() { b'[' } else { b',' });
                    self.out.extend_from_slice(&elsewhere::json(reply, encoding));
                }
                Format::Resp => self.out.extend_from_slice(reply),
            }
            rest = behind;
        }
        self.away = 0;
    }

    fn finish(mut self) -> Bytes {
        if self.format != Format::Resp {
            if self.out.is_empty() {
                self.out.push(b'[');
            }
            self.out.push(b']');
        }
        self.out.into()
    }
}

/// Runs one command of a pipeline, unless it is none, or there is no more room for answers.
fn run(
    node: &Node,
    session: &mut Session,
    command: Result<Argv<'_>, &'static str>,
    has_room: bool,
    reply: &mut dyn Reply,
) -> Result<(), Contended> {
    match command {
        Ok(argv) if has_room => return engine::execute(node, session, argv, reply),
        Ok(_) => reply.error(ANSWER_TOO_LARGE),
        Err(why) => reply.error(why),
    }
    session.tally.errors += 1;
    Ok(())
}

impl Desk {
    /// Runs commands until the pipeline is done, or others should have their turn.
    fn run_some(&mut self, node: &Node, sender: &Sender, pipeline: &mut Pipeline<'_>) -> Progress {
        let session = self.open(node, sender);
        let bounds = Bounds::of(session);
        let end = pipeline.commands.len().min(pipeline.next + REST_TURN);
        while pipeline.next < end && pipeline.step(node, session, bounds).is_ok() {}
        self.close(node);
        let done = pipeline.next == pipeline.commands.len() && pipeline.away == 0;
        if done { Progress::Done } else { Progress::More }
    }

    fn run_all(
        &mut self,
        node: &Node,
        sender: &Sender,
        commands: &[Argv<'_>],
        encoding: Encoding,
    ) -> Result<Bytes, Fault> {
        let session = self.open(node, sender);
        let mut out = Vec::with_capacity(2 + commands.len() * ANSWER_BYTES);
        let mut reply = Bounds::of(session).json(JsonReply::items(&mut out, encoding));
        let ran = engine::execute_all(node, session, commands, &mut reply);
        let ran = ran.and_then(|()| Ok(stays(session, Ok(()))?));
        self.close(node);
        ran.map(|()| out.into())
    }
}
