//! What a path asks for. In this dialect the path *is* the command, so what looks like routing is one
//! `match` of a few fixed names; whatever is none of them is a command, known or not.

use hyper::Method;
use smallvec::SmallVec;

use super::asked::Asked;
use super::refusal::Refusal;
use super::{json, limits, path};
use crate::pubsub::Topic;

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// One command, in the path or in the body.
    Command,
    Pipeline,
    Transaction,
    Metrics,
    Limits(limits::Verb),
}

impl Route {
    /// By the path. Slashes around it count for nothing, as they do around a command: a client whose
    /// base address ends with one asks for `//pipeline`.
    pub(super) fn of(asked: &Asked<'_>) -> Route {
        match asked.path.trim_matches('/') {
            "pipeline" => Route::Pipeline,
            "multi-exec" => Route::Transaction,
            "metrics" if matches!(asked.method, Method::GET | Method::HEAD) => Route::Metrics,
            _ => limits::verb(asked.path).map_or(Route::Command, Route::Limits),
        }
    }
}

/// The arguments of the one command that a request is.
///
/// # Errors
/// When its body had to be one and is none.
pub(super) fn arguments<'r>(
    asked: &Asked<'r>,
    body: &'r [u8],
) -> Result<SmallVec<[json::Argument<'r>; 8]>, Refusal> {
    if asked.path.bytes().all(|byte| byte == b'/') {
        return Ok(json::command(body)?.into());
    }
    let mut arguments: SmallVec<[_; 8]> = path::segments(asked.path).collect();
    if !body.is_empty() {
        arguments.push(body.into());
    }
    arguments.extend(path::arguments(asked.query));
    Ok(arguments)
}

/// What a path has its client listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listened {
    Topic(Topic),
    /// Those that are run, all of them.
    Commands,
}

impl Listened {
    /// By the first segment of a path.
    pub(super) fn of(path: &str) -> Option<Listened> {
        let segment = path::first(path);
        let all = [Self::Topic(Topic::Channel), Self::Topic(Topic::Pattern), Self::Commands];
        all.into_iter().find(|listened| segment.eq_ignore_ascii_case(listened.command().as_bytes()))
    }

    /// The command that does so at the other door.
    pub(super) fn command(self) -> &'static str {
        match self {
            Listened::Topic(Topic::Pattern) => "psubscribe",
            Listened::Topic(_) => "subscribe",
            Listened::Commands => "monitor",
        }
    }
}
