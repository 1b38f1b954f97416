//! Tokens: who asks.
//!
//! The standard token is the default user, the read-only token the user `default_ro`; other users
//! have tokens that name them. The two of the settings are both compared, whatever the first
//! comparison says, and all in constant time: how long an answer takes tells nothing about them.
//! Who is off has no token, and addresses that guess are slowed down.

use std::sync::Arc;

use super::asked::Asked;
use super::refusal::Refusal;
use crate::access::user::DEFAULT;
use crate::access::users::READ_ONLY;
use crate::access::{User, door, token};
use crate::clients::Client;
use crate::clock;
use crate::command::{self, Argv};
use crate::fault::Outcome;
use crate::node::Node;
use crate::observe::stats;
use crate::session::Session;

/// Who has sent a request: a user with a token of his own, or the default user.
#[derive(Clone, Debug)]
pub(super) struct Sender(Option<Arc<User>>);

impl Sender {
    /// The name of the user.
    pub(super) fn name(&self) -> &[u8] {
        self.0.as_ref().map_or(DEFAULT, |user| &user.name)
    }

    /// Has the session act for the sender. As long as it is the same, nothing is looked up.
    pub(super) fn take_over(&self, node: &Node, session: &mut Session) {
        let user = match &self.0 {
            Some(user) if session.identity.is(user) => return,
            Some(user) => Arc::clone(user),
            None if session.identity.name() == DEFAULT => return,
            None => Arc::clone(node.access.users().default()),
        };
        session.become_user(user);
    }
}

/// Whether a session may ask for `argv`, as the gate would ask.
///
/// # Errors
/// What the client is told if not.
pub(super) fn may_ask(node: &Node, session: &mut Session, argv: Argv<'_>) -> Outcome {
    let Some(command) = argv.first().and_then(|name| command::lookup(name)) else { return Ok(()) };
    if session.identity.is_free(node.access.generation()) {
        return Ok(());
    }
    door::identify(node, session)?;
    if session.identity.is_free(node.access.generation()) {
        return Ok(());
    }
    door::admit(node, session, (None, command), argv)
}

/// Who has sent a request.
///
/// # Errors
/// When it carries no token, or one that is not known, or there were too many of those from this
/// address.
pub(super) fn sender(node: &Node, client: &Client, asked: &Asked<'_>) -> Result<Sender, Refusal> {
    if let Some(wait) = node.access.throttle.wait_of(node, &client.peer) {
        return Err(Refusal::guessed_too_often(wait));
    }
    let token = asked.token();
    let token = token.as_deref().unwrap_or_default();
    let all = node.token.matches(token);
    let read = node.config.load().rest_token_readonly.matches(token);
    let users = node.access.users();
    let found = match (all, read) {
        (true, _) => users.default().enabled.then_some(Sender(None)),
        (false, true) => {
            let user = users.get(READ_ONLY).filter(|user| user.enabled);
            user.map(|user| Sender(Some(Arc::clone(user))))
        }
        (false, false) => token::user_of(&users, token).map(|user| Sender(Some(user))),
    };
    found.ok_or_else(|| {
        stats::add(&node.stats.auth_failures, 1);
        let rule = node.config.load().auth_failures;
        node.access.throttle.failed(&client.peer, rule.as_ref(), clock::unix_ms());
        Refusal::UNAUTHORIZED
    })
}
