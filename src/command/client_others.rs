//! CLIENT as operators use it: who is connected, ending connections, holding them for a while.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::args::{integer, is};
use super::{Argv, Command, Flags, connection::row};
use crate::clients::{Client, Role};
use crate::fault::{Fault, Outcome, shown};
use crate::keyspace::LockSet;
use crate::node::Node;
use crate::pause::{Holds, Pause};
use crate::rare::Rare;
use crate::resp::Reply;
use crate::session::{Door, Session};

/// The rows of the subcommands.
pub const INFO: Command = Command {
    flags: OWN,
    ..row("info", "", "Returns information about the connection.", "6.2.0", 2, info)
};
/// See [`INFO`].
pub const LIST: Command = Command {
    flags: ADMIN,
    complexity: CLIENTS,
    ..row(
        "list",
        "[TYPE NORMAL | MASTER | REPLICA | PUBSUB] [ID client-id [client-id ...]]",
        "Lists open connections.",
        "2.4.0",
        -2,
        list,
    )
};
/// See [`INFO`].
pub const KILL: Command = Command {
    flags: ADMIN,
    complexity: CLIENTS,
    ..row(
        "kill",
        "ip:port | [ID client-id] [TYPE NORMAL | MASTER | REPLICA | PUBSUB] [USER username] \
         [ADDR ip:port] [LADDR ip:port] [SKIPME YES | NO] [MAXAGE maxage]",
        "Terminates open connections.",
        "2.4.0",
        -3,
        kill,
    )
};
/// See [`INFO`].
pub const PAUSE: Command = Command {
    flags: ADMIN,
    ..row("pause", "timeout [WRITE | ALL]", "Suspends commands processing.", "3.0.0", -3, pause)
};
/// See [`INFO`].
pub const UNPAUSE: Command = Command {
    flags: ADMIN,
    complexity: "O(N) where N is the number of clients that wait",
    ..row("unpause", "", "Resumes processing commands of paused clients.", "6.2.0", 2, unpause)
};
/// See [`INFO`].
pub const REPLY: Command = Command {
    flags: OWN.union(Flags::NO_REST),
    ..row(
        "reply",
        "ON | OFF | SKIP",
        "Instructs the server whether to reply to commands.",
        "3.2.0",
        3,
        answer,
    )
};
/// See [`INFO`].
pub const NO_EVICT: Command = Command {
    flags: ADMIN,
    ..row(
        "no-evict",
        "ON | OFF",
        "Sets the client eviction mode of the connection.",
        "7.0.0",
        3,
        keep,
    )
};
/// See [`INFO`].
pub const NO_TOUCH: Command = Command {
    flags: OWN,
    ..row(
        "no-touch",
        "ON | OFF",
        "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
        "7.2.0",
        3,
        touch_not,
    )
};

const OWN: Flags = Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE);
const ADMIN: Flags = OWN.union(Flags::ADMIN);
const CLIENTS: &str = "O(N) where N is the number of client connections";

fn info(_: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    session.publish();
    let line = session.client.line(session.now, Some(argv)) + "\n";
    reply.verbatim(&line);
    Ok(())
}

fn list(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    session.publish();
    let mut clients = node.clients.list();
    match &argv[2..] {
        [] => {}
        [word, kind] if is(word, "TYPE") => {
            let role = role(kind)?;
            clients.retain(|client| Some(client.role()) == role);
        }
        [word, ids @ ..] if is(word, "ID") && !ids.is_empty() => {
            let id = |id: &&[u8]| integer(id).map_err(|_| Fault::new("ERR Invalid client ID"));
            let ids: Vec<i64> = ids.iter().map(id).collect::<Result<_, _>>()?;
            clients.retain(|client| ids.iter().any(|id| u64::try_from(*id) == Ok(client.id)));
        }
        _ => return Err(Fault::SYNTAX),
    }
    // A REST session is a request, and not a connection that others could find again.
    debug_assert!(session.door != Door::Leader);
    let mut text = String::new();
    for client in clients {
        let own = client.id == session.client.id;
        text += &client.line(session.now, own.then_some(argv));
        text.push('\n');
    }
    reply.verbatim(&text);
    Ok(())
}

/// The kind of client that a word names; none is a client's that follows nobody here: MASTER.
fn role(kind: &[u8]) -> Result<Option<Role>, Fault> {
    let roles = [
        ("NORMAL", Some(Role::Normal)),
        ("SLAVE", Some(Role::Replica)),
        ("REPLICA", Some(Role::Replica)),
        ("PUBSUB", Some(Role::Listener)),
        ("MASTER", None),
    ];
    let found = roles.iter().find(|(name, _)| is(kind, name)).map(|(_, role)| *role);
    found.ok_or_else(|| {
        Fault::text(format!("ERR Unknown client type '{}'", shown(kind, usize::MAX)))
    })
}

/// Which clients CLIENT KILL ends.
#[derive(Debug, Default)]
struct Doomed {
    id: Option<u64>,
    role: Option<Option<Role>>,
    user: Option<String>,
    peer: Option<Vec<u8>>,
    local: Option<Vec<u8>>,
    seconds: Option<u64>,
    oneself: bool,
}

impl Doomed {
    fn parse(node: &Node, options: Argv<'_>) -> Result<Doomed, Fault> {
        let mut doomed = Doomed::default();
        let (pairs, rest) = options.as_chunks::<2>();
        for [word, value] in pairs {
            doomed.option(node, word, value)?;
        }
        if rest.is_empty() { Ok(doomed) } else { Err(Fault::SYNTAX) }
    }

    fn option(&mut self, node: &Node, word: &[u8], value: &[u8]) -> Outcome {
        if is(word, "ID") {
            self.id = Some(positive(value, "ERR client-id should be greater than 0")?);
        } else if is(word, "TYPE") {
            self.role = Some(role(value)?);
        } else if is(word, "ADDR") {
            self.peer = Some(value.to_vec());
        } else if is(word, "LADDR") {
            self.local = Some(value.to_vec());
        } else if is(word, "USER") {
            self.user = Some(user(node, value)?);
        } else if is(word, "MAXAGE") {
            self.seconds = Some(positive(value, "ERR maxage should be greater than 0")?);
        } else if is(word, "SKIPME") && (is(value, "YES") || is(value, "NO")) {
            self.oneself = is(value, "NO");
        } else {
            return Err(Fault::SYNTAX);
        }
        Ok(())
    }

    fn is(&self, client: &Client, now: u64) -> bool {
        let peer = |address: &Vec<u8>| *address == client.peer.as_bytes();
        let local = |address: &Vec<u8>| *address == client.local.as_bytes();
        self.id.is_none_or(|id| id == client.id)
            && self.role.is_none_or(|role| role == Some(client.role()))
            && self.peer.as_ref().is_none_or(peer)
            && self.local.as_ref().is_none_or(local)
            && self.user.as_ref().is_none_or(|user| *user == client.user())
            && self.seconds.is_none_or(|seconds| now.saturating_sub(client.since) / 1000 >= seconds)
    }
}

fn positive(value: &[u8], text: &'static str) -> Result<u64, Fault> {
    let number = integer(value).ok().and_then(|number| u64::try_from(number).ok());
    number.filter(|number| *number > 0).ok_or(Fault::new(text))
}

/// The name of a user that there is.
fn user(_: &Node, name: &[u8]) -> Result<String, Fault> {
    if name == b"default" {
        return Ok("default".to_owned());
    }
    Err(Fault::text(format!("ERR No such user '{}'", shown(name, usize::MAX))))
}

fn kill(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    if let [_, _, address] = argv {
        let doomed = Doomed { peer: Some(address.to_vec()), oneself: true, ..Doomed::default() };
        if end(node, session, &doomed) == 0 {
            return Err(Fault::new("ERR No such client"));
        }
        reply.ok();
        return Ok(());
    }
    let doomed = Doomed::parse(node, &argv[2..])?;
    reply.integer(end(node, session, &doomed) as i64);
    Ok(())
}

/// Ends the connections of those who are meant, and answers how many.
fn end(node: &Node, session: &mut Session, doomed: &Doomed) -> usize {
    let me = session.client.id;
    let mut clients = node.clients.list();
    clients.retain(|client| doomed.is(client, session.now) && (doomed.oneself || client.id != me));
    for client in &clients {
        if client.id == me {
            // It gets its answer first.
            session.closing = true;
        } else {
            client.close();
        }
    }
    clients.len()
}

fn pause(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let holds = match argv.get(3) {
        None => Holds::All,
        Some(mode) if is(mode, "ALL") => Holds::All,
        Some(mode) if is(mode, "WRITE") => Holds::Writes,
        Some(_) => return Err(Fault::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let millis = integer(argv[2])
        .map_err(|_| Fault::new("ERR timeout is not an integer or out of range"))?;
    let millis = u64::try_from(millis).map_err(|_| Fault::new("ERR timeout is negative"))?;
    if argv.len() > 4 {
        return Err(Fault::SYNTAX);
    }
    Pause::begin(node, holds, session.now.saturating_add(millis));
    // Writers that were not asked hold their locks now: with all of them taken once, whoever
    // writes has seen the pause. In a transaction all who write are waited for anyhow.
    if session.executing.is_none() {
        drop(LockSet::everything(&node.keyspace, &mut smallvec::SmallVec::new())?);
    }
    reply.ok();
    Ok(())
}

fn unpause(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    Pause::end(node);
    reply.ok();
    Ok(())
}

fn answer(_: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let mode = argv[2];
    if is(mode, "ON") {
        session.rare.remove(Rare::SILENT);
        reply.ok();
    } else if is(mode, "OFF") {
        session.rare.insert(Rare::REPLY_OFF);
    } else if is(mode, "SKIP") {
        if !session.rare.contains(Rare::REPLY_OFF) {
            session.rare.insert(Rare::REPLY_SKIP_NEXT);
        }
    } else {
        return Err(Fault::SYNTAX);
    }
    Ok(())
}

fn on_off(argument: &[u8]) -> Result<bool, Fault> {
    let on = is(argument, "ON");
    if on || is(argument, "OFF") { Ok(on) } else { Err(Fault::SYNTAX) }
}

fn keep(_: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    session.client.kept.store(on_off(argv[2])?, Ordering::Relaxed);
    reply.ok();
    Ok(())
}

fn touch_not(_: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let on = on_off(argv[2])?;
    session.rare.set(Rare::NO_TOUCH, on);
    session.client.touches_not.store(on, Ordering::Relaxed);
    reply.ok();
    Ok(())
}

/// The clients that take the most memory, the greatest first, as long as all together take more
/// than `most`; whoever has said NO-EVICT, and replicas, are counted and not chosen.
pub fn too_large(clients: &[Arc<Client>], most: u64) -> Vec<Arc<Client>> {
    let mut sized: Vec<(u64, &Arc<Client>)> =
        clients.iter().map(|client| (client.memory() as u64, client)).collect();
    let mut total: u64 = sized.iter().map(|(bytes, _)| bytes).sum();
    sized.retain(|(_, client)| {
        !client.kept.load(Ordering::Relaxed) && client.role() != Role::Replica
    });
    sized.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    let chosen = sized.into_iter().take_while(|(bytes, _)| {
        let more = total > most;
        total = total.saturating_sub(*bytes);
        more
    });
    chosen.map(|(_, client)| Arc::clone(client)).collect()
}
