//! Replication: whom to follow, who follows, and how a replica introduces itself.

use std::sync::atomic::Ordering;

use eave_replication::Position;
use eave_replication::failover::{State, Target, Wish};
use eave_replication::wire::{Replconf, Request};

use super::args::{integer, is};
use super::server::row;
use super::stream::read::block;
use super::{Argv, Command, Flags, Group, Run, SessionRun};
use crate::config::Leader;
use crate::fault::{Fault, Outcome};
use crate::keyspace::NEVER;
use crate::node::Node;
use crate::replicate::{self, acknowledgements};
use crate::resp::Reply;
use crate::session::{Door, Session};

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    following("replicaof", "5.0.0"),
    following("slaveof", "1.0.0"),
    Command {
        flags: OPERATOR.union(Flags::STALE),
        run: Run::Session(failover),
        ..row(
            "failover",
            "[TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]",
            "Starts a coordinated failover from a server to one of its replicas.",
            "6.2.0",
            -1,
        )
    },
    Command {
        flags: Flags::NOSCRIPT
            .union(Flags::LOADING)
            .union(Flags::STALE)
            .union(Flags::FAST)
            .union(Flags::OPERATORS),
        run: Run::Session(role),
        ..row("role", "", "Returns the replication role.", "2.8.12", 1)
    },
    Command {
        flags: LINK.union(Flags::LOADING).union(Flags::STALE).union(Flags::ALLOW_BUSY),
        run: Run::Session(replconf),
        ..row(
            "replconf",
            "",
            "An internal command for configuring the replication stream.",
            "3.0.0",
            -1,
        )
    },
    joining(
        "psync",
        "replicationid offset",
        "An internal command used in replication.",
        "2.8.0",
        -3,
        psync,
    ),
    joining("sync", "", "An internal command used in replication.", "1.0.0", 1, sync),
    Command {
        flags: Flags::NOSCRIPT.union(Flags::CONNECTION),
        group: Group::Generic,
        run: Run::Session(wait),
        ..row(
            "wait",
            "numreplicas timeout",
            "Waits until so many replicas have acknowledged the writes so far, and answers how many have.",
            "3.0.0",
            3,
        )
    },
];

const OPERATOR: Flags = Flags::ADMIN.union(Flags::NOSCRIPT);

/// About the connection itself, which REST does not have.
const LINK: Flags = OPERATOR.union(Flags::NO_REST);

const fn following(name: &'static str, since: &'static str) -> Command {
    Command {
        flags: OPERATOR.union(Flags::STALE).union(Flags::NO_ASYNC_LOADING),
        run: Run::Session(replicaof),
        ..row(
            name,
            "host port | NO ONE",
            "Configures a server as replica of another, or promotes it to a master.",
            since,
            3,
        )
    }
}

const fn joining(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    since: &'static str,
    arity: isize,
    run: SessionRun,
) -> Command {
    Command {
        flags: LINK.union(Flags::NO_ASYNC_LOADING).union(Flags::NO_MULTI),
        run: Run::Session(run),
        ..row(name, syntax, summary, since, arity)
    }
}

fn replicaof(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let leader = match argv {
        [_, no, one] if is(no, "NO") && is(one, "ONE") => None,
        [_, host, port] => Some(leader(host, port)?),
        _ => return Err(Fault::SYNTAX),
    };
    if replicate::failover::state(node) != State::None {
        return Err(Fault::new("ERR REPLICAOF not allowed while failing over."));
    }
    if leader.is_some() && node.replication.target.get() == leader {
        reply.status("OK Already connected to specified master");
        return Ok(());
    }
    replicate::set_leader(node, leader.clone());
    // A leader that is told to lead goes on with its history, whatever it has heard.
    if leader.is_none() && node.replication.is_fenced() {
        replicate::epochs::lead(node);
    }
    if leader.is_some() || node.replication.is_replica() {
        match &leader {
            Some(leader) => tracing::info!("told to follow {leader}"),
            None => tracing::info!("told to lead"),
        }
        replicate::follow(node, leader);
    }
    reply.ok();
    Ok(())
}

fn leader(host: &[u8], port: &[u8]) -> Result<Leader, Fault> {
    const PORT: Fault = Fault::new("ERR Invalid master port");
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let port = text(port).and_then(|port| port.parse::<u16>().ok()).filter(|port| *port > 0);
    let host = text(host).filter(|host| !host.is_empty());
    let host = host.ok_or(Fault::new("ERR Invalid master host"))?.to_owned();
    Ok(Leader { host, port: port.ok_or(PORT)? })
}

fn failover(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    if let [_, word] = argv
        && is(word, "ABORT")
    {
        if !replicate::failover::abort(node, "Failover manually aborted") {
            return Err(Fault::new("ERR No failover in progress."));
        }
        reply.ok();
        return Ok(());
    }
    replicate::failover::begin(node, wish(&argv[1..])?)?;
    reply.ok();
    Ok(())
}

fn wish(mut words: Argv<'_>) -> Result<Wish, Fault> {
    const TIMEOUT: Fault = Fault::new("ERR FAILOVER timeout must be greater than 0");
    let mut wish = Wish::default();
    while let [word, rest @ ..] = words {
        words = match rest {
            [millis, rest @ ..] if is(word, "TIMEOUT") && wish.timeout_ms.is_none() => {
                let millis = u64::try_from(integer(millis)?).ok().filter(|ms| *ms > 0);
                wish.timeout_ms = Some(millis.ok_or(TIMEOUT)?);
                rest
            }
            [host, port, rest @ ..] if is(word, "TO") && wish.to.is_none() => {
                // Nobody has told port 0: whoever is meant there is not known.
                let port = u16::try_from(integer(port)?).unwrap_or(0);
                let host = String::from_utf8_lossy(host).into_owned();
                wish.to = Some(Target { host, port });
                rest
            }
            rest if is(word, "FORCE") && !wish.force => {
                wish.force = true;
                rest
            }
            _ => return Err(Fault::SYNTAX),
        };
    }
    Ok(wish)
}

fn role(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    replicate::status::answer_role(node, reply);
    Ok(())
}

fn replconf(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let options = match Request::parse(argv) {
        Some(Ok(Request::Replconf(options))) => options,
        // Redis takes REPLCONF without options.
        _ if argv.len() == 1 => Replconf::default(),
        Some(Err(error)) => return Err(Fault::text(error.to_string())),
        _ => return Err(Fault::SYNTAX),
    };
    // Neither is answered: they belong into a stream.
    if options.ack.is_some() || options.getack {
        return Ok(());
    }
    let greeting = options.greeting.clone();
    session.introduction.get_or_insert_default().options.merge(options);
    match greeting {
        Some(greeting) => reply.status(&replicate::epochs::answer(node, &greeting).answer()),
        None => reply.ok(),
    }
    Ok(())
}

fn psync(node: &Node, session: &mut Session, argv: Argv<'_>, _: &mut dyn Reply) -> Outcome {
    join(node, session, argv)
}

fn sync(node: &Node, session: &mut Session, argv: Argv<'_>, _: &mut dyn Reply) -> Outcome {
    join(node, session, argv)
}

fn wait(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    if node.replication.is_replica() {
        return Err(Fault::new(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.",
        ));
    }
    let count = usize::try_from(integer(argv[1])?).unwrap_or(0);
    let until = match block(argv[2])? {
        0 => NEVER,
        millis => session.now.saturating_add(millis),
    };
    let may_wait = session.door == Door::Resp && session.executing.is_none();
    let acknowledged = if may_wait {
        acknowledgements::wait(node, session, count, until)
    } else {
        Some(node.replication.acknowledged(node.log.offset()))
    };
    if let Some(acknowledged) = acknowledged {
        reply.integer(acknowledged as i64);
    }
    Ok(())
}

/// Turns the connection into a follower's: it has no answer but the stream.
fn join(node: &Node, session: &mut Session, argv: Argv<'_>) -> Outcome {
    let request = match Request::parse(argv) {
        Some(Ok(request)) => request,
        Some(Err(error)) => return Err(Fault::text(error.to_string())),
        None => return Err(Fault::SYNTAX),
    };
    if let Request::Psync { from, failover: true } = &request {
        take_over(node, session, *from)?;
    }
    if replicate::failover::state(node) != State::None {
        return Err(Fault::new("NOMASTERLINK Can't SYNC while failing over"));
    }
    if node.replication.is_replica() && !node.replication.is_connected() {
        return Err(Fault::new("NOMASTERLINK Can't SYNC while not connected with my master"));
    }
    session.introduction.get_or_insert_default().request = Some(request);
    session.client.follower.store(true, Ordering::Relaxed);
    session.closing = true;
    Ok(())
}

/// Leads from now on, as this node's leader asks who wants to follow it.
fn take_over(node: &Node, session: &Session, from: Option<Position>) -> Outcome {
    if !node.replication.is_replica() {
        return Err(Fault::new("ERR PSYNC FAILOVER can't be sent to a master."));
    }
    let id = node.log.lock().backlog().id();
    if from.is_none_or(|from| from.id != id) {
        return Err(Fault::new("ERR PSYNC FAILOVER replid must match my replid."));
    }
    tracing::info!("failover: {} hands over, this node leads now", session.client.peer);
    replicate::set_leader(node, None);
    replicate::follow(node, None);
    Ok(())
}
