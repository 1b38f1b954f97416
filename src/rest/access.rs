//! Tokens: who may ask, and what.
//!
//! Both tokens are compared, whatever the first comparison says, and in constant time: how long
//! an answer takes tells nothing about either. Left out on purpose, for now: users' own tokens,
//! and a brake on guessing.

use super::asked::Asked;
use super::refusal::Refusal;
use crate::node::Node;
use crate::observe::stats;
use crate::session::Rights;

/// What the sender of a request may do.
///
/// # Errors
/// When it carries no token, or one that is not known.
pub(super) fn rights(node: &Node, asked: &Asked<'_>) -> Result<Rights, Refusal> {
    let token = asked.token();
    let token = token.as_deref().unwrap_or_default();
    let all = node.token.matches(token);
    let read = node.config.load().rest_token_readonly.matches(token);
    match (all, read) {
        (true, _) => Ok(Rights::All),
        (false, true) => Ok(Rights::Read),
        (false, false) => {
            stats::add(&node.stats.auth_failures, 1);
            Err(Refusal::UNAUTHORIZED)
        }
    }
}
