//! Replication: whom to follow, who follows, and how a replica introduces itself.

use std::sync::atomic::Ordering;

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
    if leader.is_some() && *node.replication.target.borrow() == leader {
        reply.status("OK Already connected to specified master");
        return Ok(());
    }
    let _ = node.configure(|config| {
        config.replicaof.clone_from(&leader);
        Ok::<(), std::convert::Infallible>(())
    });
    // A leader that is told to lead goes on with its history.
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

fn role(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    replicate::status::answer_role(node, reply);
    Ok(())
}

fn replconf(_: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
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
    session.introduction.get_or_insert_default().options.merge(options);
    reply.ok();
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
    if node.replication.is_replica() {
        return Err(Fault::new("NOMASTERLINK Can't SYNC while not connected with my master"));
    }
    let request = match Request::parse(argv) {
        Some(Ok(request)) => request,
        Some(Err(error)) => return Err(Fault::text(error.to_string())),
        None => return Err(Fault::SYNTAX),
    };
    session.introduction.get_or_insert_default().request = Some(request);
    session.client.follower.store(true, Ordering::Relaxed);
    session.closing = true;
    Ok(())
}
