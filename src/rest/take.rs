//! Rate limits over HTTP: `POST /v1/take` and `POST /v1/peek`, with 200 or 429 and the headers
//! that say how much is left.
//!
//! The command is the one that RESP has; here is only its form in HTTP. The headers follow
//! draft-ietf-httpapi-ratelimit-headers-11, which is no standard yet, so `headers` is the one
//! place that knows their syntax. Left out on purpose, for now: several limits in one call.

use std::borrow::Cow;
use std::io::Write as _;

use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::error::Category;

use super::access::Sender;
use super::answer::{self, Answer, JSON, PROBLEM};
use super::asked::Asked;
use super::caller::{Caller, stays};
use super::path;
use super::refusal::Refusal;
use super::reply::write_string;
use crate::command::Argv;
use crate::engine;
use crate::keyspace::locks::Contended;
use crate::patience::Patience;
use crate::resp::Reply;
use crate::resp::answer::relay;

/// What is asked of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// Consume, or be refused.
    Take,
    /// Look, and consume nothing.
    Peek,
}

impl Verb {
    fn command(self) -> &'static [u8] {
        match self {
            Verb::Take => b"RL.TAKE",
            Verb::Peek => b"RL.PEEK",
        }
    }
}

/// The body of a request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Demand<'b> {
    #[serde(borrow)]
    key: Option<Cow<'b, str>>,
    #[serde(borrow)]
    rule: Option<Cow<'b, str>>,
    #[serde(borrow)]
    limits: Option<Vec<Limit<'b>>>,
    cost: Option<i64>,
}

/// A key and its rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit<'b> {
    #[serde(borrow)]
    key: Cow<'b, str>,
    #[serde(borrow)]
    rule: Cow<'b, str>,
}

/// The one name by which headers speak of a rule that has none.
const POLICY: &str = "default";

/// Answers a request.
///
/// # Errors
/// When it is malformed, or the limiter refuses its rule or its key.
pub(super) async fn answer(
    caller: &Caller,
    sender: &Sender,
    verb: Verb,
    head: &Parts,
    asked: &Asked<'_>,
    body: &[u8],
) -> Result<Answer, Refusal> {
    if head.method != Method::POST {
        return Err(Refusal::METHOD);
    }
    let (limit, cost) = demand(body)?;
    let mut digits = itoa::Buffer::new();
    let argv: Argv<'_> = &[
        verb.command(),
        limit.key.as_bytes(),
        limit.rule.as_bytes(),
        b"COST",
        digits.format(cost).as_bytes(),
    ];
    let status = caller.decide(sender, argv).await?;
    let forced = path::parameter(asked.query, "status").is_some_and(|code| *code == *b"200");
    let mut answer = match (status.allowed(), forced) {
        (false, false) => problem(&status, &limit.rule),
        _ => answer::with_body(StatusCode::OK, JSON, status.body(&limit.rule).into()),
    };
    headers(&mut answer, &status, &limit.rule);
    Ok(answer)
}

/// The one limit of a request, and what is to be taken from it.
fn demand(body: &[u8]) -> Result<(Limit<'_>, i64), Refusal> {
    let demand: Demand<'_> = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    let limit = match demand {
        Demand { key: Some(key), rule: Some(rule), limits: None, .. } => Limit { key, rule },
        Demand { key: None, rule: None, limits: Some(mut limits), .. } => {
            // All or nothing needs one lock over all of them; half of it would be worse than none.
            if limits.len() > 1 {
                return Err(Refusal::bad_request(
                    "ERR several limits in one call are not available yet",
                ));
            }
            limits.pop().ok_or_else(|| Refusal::bad_request("ERR limits must not be empty"))?
        }
        _ => {
            return Err(Refusal::bad_request(
                "ERR give either \"key\" and \"rule\", or \"limits\": [{\"key\", \"rule\"}]",
            ));
        }
    };
    Ok((limit, demand.cost.unwrap_or(1)))
}

/// The longest error text, in characters: it may repeat what was sent.
const ERROR_CHARS: usize = 200;

#[cold]
fn unreadable(error: &serde_json::Error) -> Refusal {
    let what = match error.classify() {
        Category::Data => "request",
        _ => "JSON",
    };
    let why: String = error.to_string().chars().take(ERROR_CHARS).collect();
    Refusal::bad_request(format!("ERR invalid {what}: {why}"))
}

impl Caller {
    /// Has the limiter decide.
    async fn decide(&self, sender: &Sender, argv: Argv<'_>) -> Result<Status, Refusal> {
        let mut patience = Patience::default();
        loop {
            if let Ok(status) = self.try_decide(sender, argv) {
                return status;
            }
            if let Some(replies) = self.wait(&mut patience).await {
                let mut collected = Collected::default();
                relay(&replies, &mut collected);
                return collected.status();
            }
        }
    }

    fn try_decide(
        &self,
        sender: &Sender,
        argv: Argv<'_>,
    ) -> Result<Result<Status, Refusal>, Contended> {
        let mut desk = self.desk.lock();
        let session = desk.open(&self.node, sender);
        let mut collected = Collected::default();
        let ran = engine::execute(&self.node, session, argv, &mut collected);
        stays(session, ran)?;
        desk.close(&self.node);
        Ok(collected.status())
    }
}

/// What the limiter says of a limit. See the commands' own description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Status {
    allowed: i64,
    limit: i64,
    remaining: i64,
    /// Milliseconds; 0 if allowed, -1 if it can never be.
    retry_after: i64,
    /// Milliseconds.
    reset_after: i64,
}

impl Status {
    fn allowed(&self) -> bool {
        self.allowed != 0
    }

    /// Seconds after which there is more to take, rounded up; at most those of `Retry-After`.
    fn seconds(&self) -> i64 {
        let millis = if self.retry_after > 0 { self.retry_after } else { self.reset_after };
        up_to_seconds(millis)
    }

    fn body(&self, rule: &str) -> Vec<u8> {
        let mut body = Vec::with_capacity(160);
        body.push(b'{');
        self.members(&mut body, rule);
        body.push(b'}');
        body
    }

    fn members(&self, body: &mut Vec<u8>, rule: &str) {
        // Writing to a Vec does not fail.
        let _ = write!(
            body,
            "\"allowed\":{},\"limit\":{},\"remaining\":{},\"retryAfterMs\":{},\"resetAfterMs\":{},\
             \"rule\":",
            self.allowed(),
            self.limit,
            self.remaining,
            self.retry_after,
            self.reset_after,
        );
        write_string(body, rule.as_bytes());
    }
}

/// A refusal as RFC 9457 and the draft of the headers describe it, with the status in it.
fn problem(status: &Status, rule: &str) -> Answer {
    let mut body = Vec::with_capacity(400);
    // Writing to a Vec does not fail.
    let _ = write!(
        body,
        "{{\"type\":\"https://iana.org/assignments/http-problem-types#quota-exceeded\",\
         \"title\":\"Request cannot be satisfied as assigned quota has been exceeded\",\
         \"status\":429,\"violated-policies\":[\"{POLICY}\"],"
    );
    status.members(&mut body, rule);
    body.push(b'}');
    answer::with_body(StatusCode::TOO_MANY_REQUESTS, PROBLEM, body.into())
}

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The largest integer of structured fields (RFC 9651): 15 digits.
const LARGEST: i64 = 999_999_999_999_999;

fn headers(answer: &mut Answer, status: &Status, rule: &str) {
    let headers = answer.headers_mut();
    let mut insert = |name: HeaderName, text: String| {
        // Digits and the name of a policy make a header.
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    };
    let (quota, left) = (status.limit.min(LARGEST), status.remaining.clamp(0, LARGEST));
    let window = eave_ratelimit::Rule::parse(rule.as_bytes())
        .map(|rule| format!(";w={}", rule.window_ms().div_ceil(1000)))
        .unwrap_or_default();
    insert(RATE_LIMIT_POLICY, format!("\"{POLICY}\";q={quota}{window}"));
    insert(RATE_LIMIT, format!("\"{POLICY}\";r={left};t={}", status.seconds()));
    if !status.allowed() && status.retry_after >= 0 {
        insert(RETRY_AFTER, up_to_seconds(status.retry_after).to_string());
    }
}

fn up_to_seconds(millis: i64) -> i64 {
    let millis = millis.max(0);
    millis / 1000 + i64::from(millis % 1000 > 0)
}

/// Takes the limiter's answer apart.
#[derive(Debug, Default)]
struct Collected {
    numbers: [i64; 5],
    count: usize,
    error: Option<String>,
}

impl Collected {
    fn status(self) -> Result<Status, Refusal> {
        match (self.error, self.numbers) {
            (Some(text), _) => Err(Refusal::bad_request(text)),
            (None, [allowed, limit, remaining, retry_after, reset_after]) if self.count == 5 => {
                Ok(Status { allowed, limit, remaining, retry_after, reset_after })
            }
            _ => Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "ERR internal error: the limiter answered in another form",
            )),
        }
    }
}

impl Reply for Collected {
    fn integer(&mut self, value: i64) {
        if let Some(slot) = self.numbers.get_mut(self.count) {
            *slot = value;
        }
        self.count += 1;
    }

    fn error(&mut self, text: &str) {
        self.error.get_or_insert_with(|| text.to_owned());
    }

    fn status(&mut self, _: &str) {}
    fn bulk(&mut self, _: &[u8]) {}
    fn null(&mut self) {}
    fn null_array(&mut self) {}
    fn array(&mut self, _: usize) {}
    fn map(&mut self, _: usize) {}
    fn set(&mut self, _: usize) {}
    fn double(&mut self, _: f64) {}
    fn verbatim(&mut self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Status =
        Status { allowed: 0, limit: 100, remaining: 0, retry_after: 29_001, reset_after: 60_000 };

    fn header(answer: &Answer, name: &str) -> Option<String> {
        answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn demands() {
        let read = |text: &'static str| demand(text.as_bytes());
        let (limit, cost) = read(r#"{"key":"a\"b","rule":"1/1s","cost":3}"#).unwrap();
        assert_eq!((&*limit.key, &*limit.rule, cost), ("a\"b", "1/1s", 3));
        let (limit, cost) = read(r#"{"limits":[{"key":"k","rule":"r"}]}"#).unwrap();
        assert_eq!((&*limit.key, &*limit.rule, cost), ("k", "r", 1));
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"key":"k"}"#,
            r#"{"key":"k","rule":"r","limits":[]}"#,
            r#"{"limits":[]}"#,
            r#"{"limits":[{"key":"k","rule":"r"},{"key":"k","rule":"r"}]}"#,
            r#"{"key":"k","rule":"r","cost":1.5}"#,
            r#"{"key":"k","rule":"r","cost":99999999999999999999}"#,
            r#"{"key":"k","rule":"r","costs":1}"#,
            r#"{"key":"k","rule":"r"} x"#,
        ] {
            let refusal = read(bad).unwrap_err();
            assert!(refusal.text.starts_with("ERR "), "{bad}: {refusal:?}");
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
        }
        let long = format!(r#"{{"key":"k","rule":"r","cost":"{}"}}"#, "x".repeat(100_000));
        assert!(demand(long.as_bytes()).unwrap_err().text.len() < 1000);
    }

    #[test]
    fn a_refusal_says_when_to_come_again() {
        let mut answer = problem(&REFUSED, "100/60s");
        headers(&mut answer, &REFUSED, "100/60s");
        assert_eq!(answer.status(), 429);
        assert_eq!(header(&answer, "ratelimit").as_deref(), Some("\"default\";r=0;t=30"));
        let policy = header(&answer, "ratelimit-policy");
        assert_eq!(policy.as_deref(), Some("\"default\";q=100;w=60"));
        assert_eq!(header(&answer, "retry-after").as_deref(), Some("30"));
        assert_eq!(header(&answer, "content-type").as_deref(), Some("application/problem+json"));
    }

    #[test]
    fn what_can_never_fit_has_no_time_to_come_again() {
        let never = Status { retry_after: -1, ..REFUSED };
        let mut answer = problem(&never, "@named");
        headers(&mut answer, &never, "@named");
        assert_eq!(header(&answer, "retry-after"), None);
        assert_eq!(header(&answer, "ratelimit").as_deref(), Some("\"default\";r=0;t=60"));
        assert_eq!(header(&answer, "ratelimit-policy").as_deref(), Some("\"default\";q=100"));
    }

    #[test]
    fn bodies_are_json() {
        let body: serde_json::Value = serde_json::from_slice(&REFUSED.body("a\"b")).unwrap();
        let wanted = serde_json::json!({
            "allowed": false, "limit": 100, "remaining": 0, "retryAfterMs": 29_001,
            "resetAfterMs": 60_000, "rule": "a\"b",
        });
        assert_eq!(body, wanted);
    }

    #[test]
    fn an_answer_in_another_form_is_no_status() {
        let mut collected = Collected::default();
        collected.integer(1);
        assert_eq!(collected.status().unwrap_err().status, 500);
        let mut collected = Collected::default();
        for n in 0..6 {
            collected.integer(n);
        }
        assert_eq!(collected.status().unwrap_err().status, 500);
    }
}
