//! The connection: who the client is, how it is answered, which database it uses.

use std::sync::atomic::Ordering;

use super::args::{self, integer, is};
use super::{Argv, Command, Family, Flags, Group, Keys, Run, SessionRun, client};
use crate::access::door::{authenticate, identify};
use crate::access::user::DEFAULT;
use crate::engine;
use crate::fault::{Fault, Outcome, shown};
use crate::node::Node;
use crate::rare::Rare;
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::session::{Door, Session};

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        flags: Flags::FAST,
        ..row("ping", "[message]", "Returns the server's liveliness response.", "1.0.0", -1, ping)
    },
    Command {
        flags: Flags::FAST.union(Flags::LOADING).union(Flags::STALE),
        ..row("echo", "message", "Returns the given string.", "1.0.0", 2, echo)
    },
    Command {
        flags: Flags::FAST.union(Flags::LOADING).union(Flags::STALE),
        ..row("select", "index", "Changes the selected database.", "1.0.0", 2, select)
    },
    Command {
        flags: HELLO,
        ..row("auth", "[username] password", "Authenticates the connection.", "1.0.0", -2, auth)
    },
    Command {
        flags: HELLO,
        ..row(
            "hello",
            "[protover [AUTH username password] [SETNAME clientname]]",
            "Handshakes with the Redis server.",
            "6.0.0",
            -1,
            hello,
        )
    },
    Command {
        flags: HELLO.union(Flags::NOT_QUEUED),
        ..row("quit", "", "Closes the connection.", "1.0.0", -1, quit)
    },
    Command {
        flags: HELLO.union(Flags::NOT_QUEUED),
        ..row("reset", "", "Resets the connection.", "6.2.0", 1, reset)
    },
    Command {
        run: Run::Container,
        flags: Flags::empty(),
        subcommands: client::SUBCOMMANDS,
        ..row("client", "", "A container for client connection commands.", "2.4.0", -2, quit)
    },
];

const HELLO: Flags = Flags::NOSCRIPT
    .union(Flags::LOADING)
    .union(Flags::STALE)
    .union(Flags::FAST)
    .union(Flags::NO_AUTH)
    .union(Flags::ALLOW_BUSY)
    .union(Flags::NO_REST);

/// A row of this family.
pub const fn row(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    since: &'static str,
    arity: isize,
    run: SessionRun,
) -> Command {
    let (family, flags) = (Family::new(Group::Connection), Flags::empty());
    let row = family.row(name, syntax, summary, since, arity, flags, Run::Session(run));
    Command { keys: Keys::None, ..row }
}

fn ping(_: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let listens = session.subscriptions.is_some() && reply.protocol() == Protocol::V2;
    match argv {
        [_] | [_, _] if listens => {
            reply.bulks(&[b"pong", argv.get(1).copied().unwrap_or_default()]);
        }
        [_] => reply.status("PONG"),
        [_, message] => reply.bulk(message),
        _ => return Err(Fault::arity("ping")),
    }
    Ok(())
}

fn echo(_: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.bulk(argv[1]);
    Ok(())
}

fn select(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let databases = node.keyspace.databases();
    if integer(argv[1]).is_ok_and(|index| i32::try_from(index).is_err()) {
        return Err(Fault::new(
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        ));
    }
    let db = args::database(argv[1], databases)?;
    // Upstash has one database, and a REST request would not remember another.
    if session.door == Door::Rest && db != 0 {
        return Err(Fault::new("ERR only database 0 is available over REST"));
    }
    session.db = db;
    reply.ok();
    Ok(())
}

fn auth(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    match argv {
        [word, password] => {
            let open = node.access.users().default().no_password;
            if open && !node.token.matches(password) {
                return Err(Fault::new(
                    "ERR AUTH <password> called without any password configured for the default \
                     user. Are you sure your configuration is correct?",
                ));
            }
            authenticate(node, session, word, DEFAULT, password)?;
        }
        [word, user, password] => authenticate(node, session, word, user, password)?,
        _ => return Err(Fault::SYNTAX),
    }
    reply.ok();
    Ok(())
}

fn hello(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let mut protocol = session.protocol;
    if let Some(version) = argv.get(1) {
        protocol = match integer(version) {
            Ok(2) => Protocol::V2,
            Ok(3) => Protocol::V3,
            Ok(_) => return Err(Fault::new("NOPROTO unsupported protocol version")),
            Err(_) => {
                return Err(Fault::new("ERR Protocol version is not an integer or out of range"));
            }
        };
    }
    let mut name = None;
    let mut rest = argv.get(2..).unwrap_or_default();
    while let [word, tail @ ..] = rest {
        rest = match tail {
            [user, password, tail @ ..] if is(word, "AUTH") => {
                authenticate(node, session, argv[0], user, password)?;
                tail
            }
            [value, tail @ ..] if is(word, "SETNAME") => {
                name = Some(client::valid_name(value)?);
                tail
            }
            _ => {
                let word = shown(word, usize::MAX);
                return Err(Fault::text(format!("ERR Syntax error in HELLO option '{word}'")));
            }
        };
    }
    if identify(node, session).is_err() {
        return Err(Fault::new(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        session.client.words.lock().name = name;
    }
    session.protocol = protocol;
    let version = if protocol == Protocol::V3 { 3 } else { 2 };
    session.client.protocol.store(version, Ordering::Relaxed);
    reply.set_protocol(protocol);
    answer_hello(node, session, i64::from(version), reply);
    Ok(())
}

fn answer_hello(node: &Node, session: &Session, version: i64, reply: &mut dyn Reply) {
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(crate::observe::info::REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(version);
    reply.bulk(b"id");
    reply.integer(i64::try_from(session.client.id).unwrap_or(i64::MAX));
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(if node.replication.is_replica() { b"replica" } else { b"master" });
    reply.bulk(b"modules");
    reply.array(0);
}

fn quit(_: &Node, session: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    session.closing = true;
    reply.ok();
    Ok(())
}

fn reset(node: &Node, session: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    session.queue = None;
    engine::forget_watches(node, session);
    session.forget_subscriptions(node);
    session.watch_no_more(node);
    session.rare = Rare::empty();
    session.client.kept.store(false, Ordering::Relaxed);
    session.client.touches_not.store(false, Ordering::Relaxed);
    node.tracking.disable(session);
    session.db = 0;
    session.protocol = Protocol::V2;
    session.forget_user(node);
    session.client.words.lock().name.clear();
    session.client.protocol.store(2, Ordering::Relaxed);
    reply.set_protocol(Protocol::V2);
    reply.status("RESET");
    Ok(())
}
