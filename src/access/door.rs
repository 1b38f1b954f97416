//! What doors and the engine ask of users, on behalf of a session.

use std::sync::Arc;

use eave_ratelimit::Rule;
use zeroize::Zeroizing;

use super::check::Denial;
use super::identity::Standing;
use super::log::{Context, Entry};
use super::token;
use super::user::{DEFAULT, User};
use super::users::Users;
use crate::command::{Argv, Flags, full_name};
use crate::fault::{Fault, Outcome, shown};
use crate::node::Node;
use crate::observe::stats;
use crate::pubsub::Topic;
use crate::session::{Door, Named, Session};

/// What a session is told that has to authenticate first.
pub const NO_AUTH: Fault = Fault::new("NOAUTH Authentication required.");

const WRONG_PASS: Fault =
    Fault::new("WRONGPASS invalid username-password pair or user is disabled.");

/// Looks at the users as they are now: whether the session may ask at all.
///
/// # Errors
/// When it has to authenticate first. If its user is no more, the session ends.
pub fn identify(node: &Node, session: &mut Session) -> Outcome {
    let standing = session.identity.refresh(&node.access);
    session.authenticated = standing == Standing::Known;
    session.closing |= standing == Standing::Gone;
    if session.authenticated { Ok(()) } else { Err(NO_AUTH) }
}

/// Whether the session's user may ask this, and may have it run unless it is only queued.
///
/// # Errors
/// What the client is told if not. It is in ACL LOG then.
#[cold]
pub fn admit(node: &Node, session: &mut Session, named: Named, argv: Argv<'_>) -> Outcome {
    let queued = session.queue.is_some();
    let context = if queued { Context::Multi } else { Context::TopLevel };
    ask(node, session, named, argv, context)
        .map_err(|denial| denial.fault(&full_name(named.0, named.1)))?;
    if queued && !named.1.flags.contains(Flags::NOT_QUEUED) {
        return Ok(());
    }
    ask_sort(session, named, argv)
}

/// Likewise, of a command that EXEC is about to run.
///
/// # Errors
/// What stands in place of its answer.
#[cold]
pub fn admit_at_exec(node: &Node, session: &mut Session, named: Named, argv: Argv<'_>) -> Outcome {
    identify(node, session)?;
    ask(node, session, named, argv, Context::Multi).map_err(Denial::at_exec)?;
    ask_sort(session, named, argv)
}

/// Likewise, of a command that a script is about to run for the session. It costs one comparison
/// where everything is allowed.
///
/// # Errors
/// What the script is told.
#[inline]
pub fn admit_in_script(
    node: &Node,
    session: &mut Session,
    named: Named,
    argv: Argv<'_>,
) -> Outcome {
    if session.identity.is_free(node.access.generation()) {
        return Ok(());
    }
    ask_in_script(node, session, named, argv)
}

#[cold]
fn ask_in_script(node: &Node, session: &mut Session, named: Named, argv: Argv<'_>) -> Outcome {
    identify(node, session)?;
    ask(node, session, named, argv, Context::Lua)
        .map_err(|denial| Fault::text(format!("ERR {}", denial.in_script())))?;
    ask_sort(session, named, argv)
}

/// Whether a script would be let run a command, without a trace in ACL LOG:
/// `redis.acl_check_cmd`.
pub fn would_admit(node: &Node, session: &mut Session, named: Named, argv: Argv<'_>) -> bool {
    identify(node, session).is_ok()
        && session.identity.user().is_none_or(|user| user.check(named, argv).is_ok())
}

fn ask(
    node: &Node,
    session: &mut Session,
    named: Named,
    argv: Argv<'_>,
    context: Context,
) -> Result<(), Denial> {
    let Some(user) = session.identity.user() else { return Ok(()) };
    let Err(denial) = user.check(named, argv) else { return Ok(()) };
    let name = full_name(named.0, named.1);
    let (reason, object) = match denial {
        Denial::Command => ("command", name.as_bytes()),
        Denial::Key(at) => ("key", argv[at]),
        Denial::Channel(at) => ("channel", argv[at]),
    };
    let user = Arc::clone(user);
    log(node, session, reason, context, object, &user.name);
    Err(denial)
}

fn ask_sort(session: &Session, (container, command): Named, argv: Argv<'_>) -> Outcome {
    match session.identity.user() {
        Some(user) if matches!(command.name, "sort" | "sort_ro") => {
            user.check_sort((container, command), argv)
        }
        _ => Ok(()),
    }
}

/// Writes a refusal into ACL LOG.
fn log(
    node: &Node,
    session: &mut Session,
    reason: &'static str,
    context: Context,
    object: &[u8],
    user: &[u8],
) {
    let most = usize::try_from(session.config().acllog_max_len).unwrap_or(usize::MAX);
    session.publish();
    let line = session.client.line(session.now, None);
    let entry = Entry::new(reason, context, object, user, line, session.now);
    node.access.log.lock().add(entry, most);
}

/// Lets a session be `name`, who says `password`. The REST token is the default user's password
/// too: one credential opens both doors. `word` is the command that says so.
///
/// # Errors
/// `WRONGPASS`, or that there were too many failures from this address.
pub fn authenticate(
    node: &Node,
    session: &mut Session,
    word: &[u8],
    name: &[u8],
    password: &[u8],
) -> Outcome {
    let rule = may_try(node, session)?;
    if let Some(user) = find(&node.access.users(), node, name, password) {
        session.become_user(user);
        return Ok(());
    }
    failed(node, session, rule, word, name);
    Err(WRONG_PASS)
}

/// Whether the client's address may try a password; the rule that says so.
fn may_try(node: &Node, session: &mut Session) -> Result<Option<Rule>, Fault> {
    let rule = session.config().auth_failures;
    match node.access.throttle.wait(&session.client.peer, rule.as_ref(), session.now) {
        None => Ok(rule),
        Some(wait) => Err(Fault::text(format!(
            "ERR too many failed attempts to authenticate from this address, try again in {} \
             seconds",
            wait.div_ceil(1000)
        ))),
    }
}

/// Counts a failed attempt to be `name`.
fn failed(node: &Node, session: &mut Session, rule: Option<Rule>, word: &[u8], name: &[u8]) {
    stats::add(&node.stats.auth_failures, 1);
    node.access.throttle.failed(&session.client.peer, rule.as_ref(), session.now);
    let in_multi = session.queue.is_some() || session.executing.is_some();
    let context = if in_multi { Context::Multi } else { Context::TopLevel };
    log(node, session, "auth", context, word, name);
}

/// The user called `name`, if this is a password of his and he is on. A user that is not there
/// takes the same time.
fn find(users: &Users, node: &Node, name: &[u8], password: &[u8]) -> Option<Arc<User>> {
    let nobody = User::new(0, b"", super::user::NewChannels::None);
    let user = users.get(name);
    let right = user.map_or(&nobody, |user| user).has_password(password)
        | (name == DEFAULT && node.token.matches(password));
    user.filter(|user| user.enabled && (user.no_password || right)).cloned()
}

/// Closes the connections of users who are no more. The session that asks for it ends behind
/// its answer.
pub fn close_clients(node: &Node, session: &mut Session, is_gone: impl Fn(&[u8]) -> bool) {
    for client in node.clients.list() {
        if client.id != session.client.id && is_gone(&client.user.lock()) {
            client.close();
        }
    }
    session.closing |= session.door == Door::Resp && is_gone(session.identity.name());
}

/// Closes the connections of `user` that listen to what it may not listen to any more.
pub fn close_listeners(node: &Node, user: &User) {
    node.hub.each(|topic, name, client| {
        if *client.user.lock() == user.name && !user.may_listen(name, topic == Topic::Pattern) {
            client.close();
        }
    });
}

/// Looks again at a session that has just begun to listen: the right to do so may have gone
/// between the gate and now, after `close_listeners` had looked.
#[cold]
pub fn check_listener(node: &Node, session: &mut Session) {
    let known = identify(node, session).is_ok();
    let (Some(user), Some(mine)) = (session.identity.user(), &session.subscriptions) else {
        return;
    };
    let topics = [Topic::Channel, Topic::Pattern, Topic::Shard];
    let may = topics.into_iter().all(|topic| {
        mine.of(topic).iter().all(|name| user.may_listen(name, topic == Topic::Pattern))
    });
    session.closing |= !known || !may;
}

/// The token by which REST knows `name`, who says `password`.
///
/// # Errors
/// That there is no such user with this password, or too many failures from this address.
pub fn token_of(
    node: &Node,
    session: &mut Session,
    word: &[u8],
    name: &[u8],
    password: &[u8],
) -> Result<Zeroizing<String>, Fault> {
    let rule = may_try(node, session)?;
    let users = node.access.users();
    if let Some(found) = users.get(name).and_then(|user| token::of_user(user, password)) {
        return Ok(found);
    }
    failed(node, session, rule, word, name);
    let name = shown(name, 128);
    Err(Fault::text(format!("ERR Wrong password or user \"{name}\" does not exist")))
}
