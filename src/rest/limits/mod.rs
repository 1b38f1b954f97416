//! Rate limits over HTTP: `POST /v1/take`, `peek`, `give`, `hold`, `settle` and `reset`, and the gate
//! for proxies.
//!
//! The commands are those that RESP has; here is only their form in HTTP: 200 or 429 (403 where a
//! list turns somebody away), the statuses as JSON, and the `headers` that say how much is left.
//! `?status=200` makes every verdict a 200. Left out on purpose: the syntax of headers, which
//! `headers` alone knows.

mod demand;
mod gate;
pub mod headers;
pub(crate) mod status;

use std::io::Write as _;

use hyper::{Method, StatusCode};
use smallvec::SmallVec;

use self::demand::Commands;
use self::headers::Policy;
use self::status::{Collected, Status};
use super::access::Sender;
use super::answer::{self, Answer, JSON, PROBLEM};
use super::asked::Asked;
use super::caller::{Caller, stays};
use super::path;
use super::refusal::Refusal;
use super::reply::write_string;
use crate::clock;
use crate::command::Argv;
use crate::engine::{self, Elsewhere};
use crate::fault::{Fault, Outcome};
use crate::patience::Patience;
use crate::resp::answer::{error_text, relay};

/// What is asked of limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// Consume, or be refused.
    Take,
    /// Look, and consume nothing.
    Peek,
    /// Give back.
    Give,
    /// Reserve.
    Hold,
    /// End a reservation.
    Settle,
    /// Forget what was consumed.
    Reset,
    /// Consume, and answer a proxy.
    Gate,
}

/// What a path asks for, if it is one of these.
pub(super) fn verb(path: &str) -> Option<Verb> {
    Some(match path.strip_prefix("/v1/")? {
        "take" => Verb::Take,
        "peek" => Verb::Peek,
        "give" => Verb::Give,
        "hold" => Verb::Hold,
        "settle" => Verb::Settle,
        "reset" => Verb::Reset,
        rest if rest.starts_with("gate/") => Verb::Gate,
        _ => return None,
    })
}

/// Answers a request.
///
/// # Errors
/// When it is malformed, or the limiter refuses its rule or its key.
pub(super) async fn answer(
    caller: &Caller,
    sender: &Sender,
    verb: Verb,
    asked: &Asked<'_>,
    body: &[u8],
) -> Result<Answer, Refusal> {
    if verb == Verb::Gate {
        return gate::answer(caller, sender, asked).await;
    }
    if asked.method != Method::POST {
        return Err(Refusal::METHOD);
    }
    let commands = Commands::read(verb, body)?;
    let collected = commands.run(caller, sender).await?;
    if verb == Verb::Reset {
        let text = format!("{{\"reset\":{}}}", collected.number()?);
        return Ok(answer::with_body(StatusCode::OK, JSON, text.into()));
    }
    let forced = path::parameter(asked.query, "status").is_some_and(|code| *code == *b"200");
    let before = if commands.is_many_taken() { 2 } else { 0 };
    let statuses = collected.statuses(before, commands.limits.len())?;
    Ok(verdict(caller, &commands, &statuses, collected.text.as_deref(), forced))
}

impl Caller {
    /// Has the limiter decide, all commands under the same locks.
    async fn collect(&self, sender: &Sender, commands: &[Argv<'_>]) -> Result<Collected, Refusal> {
        let mut patience = Patience::default();
        loop {
            let mut collected = Collected::default();
            let (ran, elsewhere) = self.try_collect(sender, commands, &mut collected);
            match ran {
                Ok(()) => return Ok(collected),
                Err(Fault::Text(text)) => return Err(Refusal::of_limiter(text)),
                Err(Fault::Contended | Fault::Wait(_) | Fault::Elsewhere) => {}
            }
            if let Some(replies) = self.wait(&mut patience, elsewhere).await {
                if let (2.., Some(text)) = (commands.len(), error_text(&replies)) {
                    return Err(Refusal::of_limiter(text.into_owned()));
                }
                let mut collected = Collected::default();
                relay(&replies, &mut collected);
                return Ok(collected);
            }
        }
    }

    fn try_collect(
        &self,
        sender: &Sender,
        commands: &[Argv<'_>],
        collected: &mut Collected,
    ) -> (Outcome, Option<Elsewhere>) {
        let mut desk = self.desk.lock();
        let session = desk.open(&self.node, sender);
        let ran = match commands {
            [argv] => engine::execute(&self.node, session, argv, collected).map_err(Fault::from),
            _ => engine::execute_all(&self.node, session, commands, collected),
        };
        let ran = ran.and_then(|()| Ok(stays(session, Ok(()))?));
        if ran.is_ok() {
            desk.close(&self.node);
        }
        (ran, desk.leaving())
    }

    /// How headers name the limit of a rule: by its name, or else as `default` if it is the only one.
    fn policy(&self, rule: &str, is_only: bool) -> Policy {
        let name = match rule.strip_prefix('@') {
            Some(name) => name,
            None if is_only => DEFAULT,
            None => rule,
        };
        let rules = &self.node.keyspace.rules;
        let window =
            rules.with(rule.as_bytes(), clock::unix_ms(), |known| Ok(known.rule().window_ms()));
        Policy { name: name.to_owned(), window_ms: window.unwrap_or(0) }
    }

    /// Writes what headers say of limits.
    fn write_headers(&self, answer: &mut Answer, limits: &[(Policy, Status)]) {
        let x = self.node.config.load().rest_x_ratelimit;
        headers::write(answer.headers_mut(), limits, x, clock::unix_ms());
    }
}

/// The name by which headers speak of a rule that has none.
const DEFAULT: &str = "default";

/// The answer that says what came of a request.
fn verdict(
    caller: &Caller,
    commands: &Commands<'_>,
    statuses: &[Status],
    hold: Option<&[u8]>,
    forced: bool,
) -> Answer {
    let is_only = statuses.len() == 1;
    let named = commands.limits.iter().zip(statuses).filter_map(|(limit, status)| {
        limit.rule.as_deref().map(|rule| (caller.policy(rule, is_only), *status))
    });
    let limits: SmallVec<[(Policy, Status); 1]> = named.collect();
    let mut body = Vec::with_capacity(160);
    body.push(b'{');
    let refused = statuses.iter().any(|status| !status.allowed());
    let status = match forced || !refused {
        true => StatusCode::OK,
        false => problem(&mut body, &limits),
    };
    match (statuses, commands.is_many) {
        ([one], false) => {
            one.members(&mut body, commands.limits[0].rule.as_deref());
            if let Some(hold) = hold {
                body.extend_from_slice(b",\"id\":");
                write_string(&mut body, hold);
            }
        }
        _ => members_of_many(&mut body, commands, statuses, &limits),
    }
    body.push(b'}');
    let kind = if status == StatusCode::OK { JSON } else { PROBLEM };
    let mut answer = answer::with_body(status, kind, body.into());
    if !limits.is_empty() {
        caller.write_headers(&mut answer, &limits);
    }
    answer
}

/// Several limits: whether all let it pass, when they would, and what each says.
fn members_of_many(
    body: &mut Vec<u8>,
    commands: &Commands<'_>,
    statuses: &[Status],
    limits: &[(Policy, Status)],
) {
    let allowed = statuses.iter().all(Status::allowed);
    let wait = if allowed { 0 } else { headers::retry_after(limits).unwrap_or(-1) };
    // Writing to a Vec does not fail.
    let _ = write!(body, "\"allowed\":{allowed},\"retryAfterMs\":{wait},\"limits\":[");
    for (at, (limit, status)) in commands.limits.iter().zip(statuses).enumerate() {
        body.extend_from_slice(if at == 0 { b"{\"key\":" } else { b",{\"key\":" });
        write_string(body, limit.key.as_bytes());
        body.push(b',');
        status.members(body, limit.rule.as_deref());
        body.push(b'}');
    }
    body.push(b']');
}

/// Writes the members of a problem (RFC 9457): which policies were violated, or that somebody is
/// turned away.
fn problem(body: &mut Vec<u8>, limits: &[(Policy, Status)]) -> StatusCode {
    let denied = limits.iter().any(|(_, status)| status.denied());
    let (code, name, title) = if denied {
        (StatusCode::FORBIDDEN, "abnormal-usage-detected", "Request is denied by a list")
    } else {
        (
            StatusCode::TOO_MANY_REQUESTS,
            "quota-exceeded",
            "Request cannot be satisfied as assigned quota has been exceeded",
        )
    };
    // Writing to a Vec does not fail.
    let _ = write!(
        body,
        "\"type\":\"https://iana.org/assignments/http-problem-types#{name}\",\"title\":\"{title}\",\
         \"status\":{},\"violated-policies\":[",
        code.as_u16()
    );
    let violated = limits.iter().filter(|(_, status)| !status.allowed());
    for (at, (policy, _)) in violated.enumerate() {
        if at > 0 {
            body.push(b',');
        }
        write_string(body, policy.name.as_bytes());
    }
    body.extend_from_slice(b"],");
    code
}
