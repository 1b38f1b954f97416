//! How a replica introduces itself, until the leader says what it will send.
//!
//! Three rounds, as Redis makes them: PING; AUTH and REPLCONF together; PSYNC. A leader that
//! knows less than we say is followed all the same.
//!
//! Left out: SYNC, for leaders older than Redis 2.8.

use std::collections::VecDeque;
use std::fmt;

use crate::greeting::Greeting;
use crate::id::{Position, ReplicationId};
use crate::replica::LinkError;
use crate::wire::{self, LineReader, Reply, WireError};

/// What a replica tells its leader about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introduction {
    /// The port on which this node listens (`replica-announce-port`, else `port`).
    pub listening_port: u16,
    /// The address under which it can be reached, if not the connection's
    /// (`replica-announce-ip`).
    pub ip_address: Option<String>,
    /// What it tells a leader that is an Eave node.
    pub greeting: Option<Greeting>,
    /// Whether it asks to be led by a node that does not lead yet (FAILOVER).
    pub failover: bool,
    /// With what it authenticates, if at all.
    pub credentials: Option<Credentials>,
}

/// `masteruser` and `masterauth`. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user; the default one if none.
    pub user: Option<String>,
    /// The password.
    pub password: String,
}

impl Credentials {
    /// The request that authenticates.
    pub fn request(&self) -> Vec<u8> {
        let user = self.user.as_ref().map(String::as_bytes);
        let argv = [Some(b"AUTH".as_slice()), user, Some(self.password.as_bytes())];
        wire::command(&argv.into_iter().flatten().collect::<Vec<_>>())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// A request whose answer is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Ping,
    Auth,
    /// An option that the leader may refuse.
    Replconf,
    /// What only an Eave node answers.
    Greet,
    /// Asked to go on from a place, or for everything.
    Psync(Option<Position>),
}

/// What an answer leads to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The next round; awaits answers.
    Send(Vec<u8>),
    /// A snapshot of this place follows.
    FullResync(Position),
    /// The stream follows.
    Continue(Position),
}

/// A handshake under way.
#[derive(Debug)]
pub(crate) struct Handshake {
    awaited: VecDeque<Step>,
    failover: bool,
    lines: LineReader,
    /// What the leader told of itself.
    pub(crate) greeting: Option<Greeting>,
}

impl Handshake {
    /// The handshake after its first request, [`wire::PING`], was sent.
    pub(crate) fn after_ping() -> Self {
        Self {
            awaited: [Step::Ping].into(),
            failover: false,
            lines: LineReader::default(),
            greeting: None,
        }
    }

    /// Whether PSYNC is out, so that from here on the leader decides.
    pub(crate) fn awaits_psync(&self) -> bool {
        matches!(self.awaited.front(), Some(Step::Psync(_)))
    }

    /// Takes answers from `input` up to one that leads on; `None` once all is taken. `from`
    /// is the place to go on from.
    pub(crate) fn next(
        &mut self,
        input: &mut &[u8],
        introduction: &Introduction,
        from: Option<Position>,
    ) -> Result<Option<Outcome>, LinkError> {
        while let Some(line) = self.lines.next(input)? {
            let reply = Reply::parse(&line)?;
            if reply == Reply::Heartbeat {
                continue;
            }
            let unexpected = || WireError::UnexpectedLine(wire::shorten(&line));
            let step = self.awaited.pop_front().ok_or_else(unexpected)?;
            match (step, reply) {
                (Step::Ping, Reply::Status(_)) => {
                    return Ok(Some(self.introduce(introduction)));
                }
                // The leader wants AUTH first, which comes next.
                (Step::Ping, Reply::Error(text)) if wants_auth(&text) => {
                    return Ok(Some(self.introduce(introduction)));
                }
                (Step::Auth, Reply::Status(_)) => {}
                (Step::Auth, Reply::Error(text)) => return Err(LinkError::Denied(text)),
                (Step::Replconf, Reply::Status(_) | Reply::Error(_)) => {}
                (Step::Greet, Reply::Status(text)) => self.greeting = Greeting::of_answer(&text),
                (Step::Greet, Reply::Error(_)) => {}
                // What it is by now, in front of what it answers.
                (Step::Psync(from), Reply::Status(text)) if is_greeting(&text) => {
                    let before = self.greeting.take().and_then(|greeting| greeting.region);
                    self.greeting = Greeting::of_answer(&text).map(|mut greeting| {
                        // It does not say again what it is called.
                        greeting.region = greeting.region.or(before);
                        greeting
                    });
                    self.awaited.push_front(Step::Psync(from));
                }
                (Step::Psync(_), Reply::FullResync(at)) => {
                    return Ok(Some(Outcome::FullResync(at)));
                }
                (Step::Psync(Some(from)), Reply::Continue(id)) => {
                    return Ok(Some(Outcome::Continue(continued(from, id))));
                }
                (_, Reply::Error(text)) => return Err(LinkError::Refused(text)),
                _ => return Err(unexpected().into()),
            }
            if self.awaited.is_empty() {
                self.awaited.push_back(Step::Psync(from));
                return Ok(Some(Outcome::Send(wire::psync(from, self.failover))));
            }
        }
        Ok(None)
    }

    fn introduce(&mut self, introduction: &Introduction) -> Outcome {
        let mut bytes = Vec::new();
        self.failover = introduction.failover;
        if let Some(credentials) = &introduction.credentials {
            bytes.extend(credentials.request());
            self.awaited.push_back(Step::Auth);
        }
        bytes.extend(wire::replconf("listening-port", &introduction.listening_port.to_string()));
        if let Some(address) = &introduction.ip_address {
            bytes.extend(wire::replconf("ip-address", address));
            self.awaited.push_back(Step::Replconf);
        }
        let capabilities = [b"eof".as_slice(), b"psync2", b"eave"];
        let options = capabilities.into_iter().flat_map(|word| [b"capa".as_slice(), word]);
        let argv: Vec<&[u8]> = std::iter::once(b"REPLCONF".as_slice()).chain(options).collect();
        bytes.extend(wire::command(&argv));
        self.awaited.extend([Step::Replconf, Step::Replconf]);
        if let Some(greeting) = &introduction.greeting {
            bytes.extend(greeting.request());
            self.awaited.push_back(Step::Greet);
        }
        Outcome::Send(bytes)
    }
}

/// The errors of a leader that does not answer PING before AUTH, as Redis knows them.
fn wants_auth(text: &str) -> bool {
    ["NOAUTH", "NOPERM", "ERR operation not permitted"].iter().any(|start| text.starts_with(start))
}

fn is_greeting(text: &str) -> bool {
    Greeting::of_answer(text).is_some()
}

fn continued(from: Position, id: Option<ReplicationId>) -> Position {
    Position { id: id.unwrap_or(from.id), offset: from.offset }
}
