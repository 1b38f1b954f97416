//! CLIENT: what is known of connections.

use std::sync::atomic::Ordering;

use super::args::{integer, is};
use super::connection::row;
use super::{Argv, Command, Flags, help, tracking};
use crate::fault::{Fault, Outcome, shown};
use crate::limits::CLIENT_WORD_BYTES;
use crate::node::Node;
use crate::resp::Reply;
use crate::session::{Door, Session};
use crate::waiter::Ending;

/// The subcommands.
pub const SUBCOMMANDS: &[Command] = &[
    Command {
        flags: OWN,
        ..row("id", "", "Returns the unique client ID of the connection.", "5.0.0", 2, id)
    },
    Command {
        flags: OWN,
        ..row("getname", "", "Returns the name of the connection.", "2.6.9", 2, getname)
    },
    Command {
        flags: OWN,
        ..row("setname", "connection-name", "Sets the connection name.", "2.6.9", 3, setname)
    },
    Command {
        flags: OWN,
        ..row(
            "setinfo",
            "LIB-NAME libname | LIB-VER libver",
            "Sets information specific to the client or connection.",
            "7.2.0",
            4,
            setinfo,
        )
    },
    Command {
        flags: OWN,
        ..row("info", "", "Returns information about the connection.", "6.2.0", 2, info)
    },
    Command {
        flags: OWN.union(Flags::ADMIN),
        complexity: "O(N) where N is the number of client connections",
        ..row(
            "list",
            "[TYPE NORMAL | MASTER | REPLICA | PUBSUB] [ID client-id [client-id ...]]",
            "Lists open connections.",
            "2.4.0",
            -2,
            list,
        )
    },
    tracking::CACHING,
    tracking::GETREDIR,
    tracking::TRACKING,
    tracking::TRACKINGINFO,
    Command {
        flags: OWN.union(Flags::ADMIN),
        complexity: "O(log N) where N is the number of client connections",
        ..row(
            "unblock",
            "client-id [TIMEOUT | ERROR]",
            "Unblocks a client that waits in a blocking command.",
            "5.0.0",
            -3,
            unblock,
        )
    },
    Command {
        flags: Flags::LOADING.union(Flags::STALE),
        ..row(
            "help",
            "",
            "Returns helpful text about the different subcommands.",
            "5.0.0",
            2,
            show_help,
        )
    },
];

const OWN: Flags = Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE);

fn id(_: &Node, session: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.integer(i64::try_from(session.client.id).unwrap_or(i64::MAX));
    Ok(())
}

fn getname(_: &Node, session: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let words = session.client.words.lock();
    if words.name.is_empty() {
        reply.null();
    } else {
        reply.bulk(&words.name);
    }
    Ok(())
}

/// A name that fits into a line of CLIENT LIST.
///
/// # Errors
/// When it is too long, or holds blanks, line ends or other special characters.
pub fn valid_name(name: &[u8]) -> Result<Vec<u8>, Fault> {
    if name.len() > CLIENT_WORD_BYTES {
        return Err(too_long("Client names"));
    }
    if plain(name) {
        return Ok(name.to_vec());
    }
    Err(Fault::new("ERR Client names cannot contain spaces, newlines or special characters."))
}

fn too_long(what: &str) -> Fault {
    Fault::text(format!("ERR {what} cannot be longer than {CLIENT_WORD_BYTES} bytes."))
}

fn plain(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

fn setname(_: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    session.client.words.lock().name = valid_name(argv[2])?;
    reply.ok();
    Ok(())
}

fn setinfo(_: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (attribute, value) = (argv[2], argv[3]);
    let library = is(attribute, "LIB-NAME");
    if !library && !is(attribute, "LIB-VER") {
        let attribute = shown(attribute, usize::MAX);
        return Err(Fault::text(format!("ERR Unrecognized option '{attribute}'")));
    }
    let name = if library { "lib-name" } else { "lib-ver" };
    if value.len() > CLIENT_WORD_BYTES {
        return Err(too_long(name));
    }
    if !plain(value) {
        return Err(Fault::text(format!(
            "ERR {name} cannot contain spaces, newlines or special characters."
        )));
    }
    let mut words = session.client.words.lock();
    let word = if library { &mut words.library } else { &mut words.version };
    *word = value.to_vec();
    reply.ok();
    Ok(())
}

fn info(_: &Node, session: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    session.publish();
    let line = session.client.line(session.now) + "\n";
    reply.verbatim(&line);
    Ok(())
}

fn list(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    session.publish();
    let mut clients = node.clients.list();
    match &argv[2..] {
        [] => {}
        [word, kind] if is(word, "TYPE") => {
            let followers = is(kind, "REPLICA") || is(kind, "SLAVE");
            if followers || is(kind, "NORMAL") {
                clients.retain(|client| client.follower.load(Ordering::Relaxed) == followers);
            } else if is(kind, "PUBSUB") || is(kind, "MASTER") {
                clients.clear();
            } else {
                let kind = shown(kind, usize::MAX);
                return Err(Fault::text(format!("ERR Unknown client type '{kind}'")));
            }
        }
        [word, ids @ ..] if is(word, "ID") && !ids.is_empty() => {
            let ids: Vec<i64> = ids
                .iter()
                .map(|id| integer(id).map_err(|_| Fault::new("ERR Invalid client ID")))
                .collect::<Result<_, _>>()?;
            clients.retain(|client| ids.iter().any(|id| u64::try_from(*id) == Ok(client.id)));
        }
        _ => return Err(Fault::SYNTAX),
    }
    // A REST session is a request, and not a connection that others could find again.
    debug_assert!(session.door != Door::Leader);
    let mut text = String::new();
    for client in clients {
        text += &client.line(session.now);
        text.push('\n');
    }
    reply.verbatim(&text);
    Ok(())
}

fn unblock(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let ending = match &argv[3..] {
        [] => Ending::TimedOut,
        [reason] if is(reason, "TIMEOUT") => Ending::TimedOut,
        [reason] if is(reason, "ERROR") => Ending::Unblocked,
        [_] => return Err(Fault::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        _ => {
            let word = shown(argv[1], 128);
            return Err(Fault::text(format!(
                "ERR unknown subcommand or wrong number of arguments for '{word}'. Try CLIENT HELP."
            )));
        }
    };
    let client = u64::try_from(integer(argv[2])?).ok().and_then(|id| node.clients.get(id));
    let waiter = client.and_then(|client| client.waiter());
    let ended = waiter.is_some_and(|waiter| waiter.end(ending));
    reply.integer(i64::from(ended));
    Ok(())
}

fn show_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    help(
        "CLIENT",
        &[
            ("GETNAME", "Return the name of the current connection."),
            ("ID", "Return the ID of the current connection."),
            ("INFO", "Return information about the current client connection."),
            (
                "LIST [options ...]",
                "Return information about client connections. Options: TYPE (NORMAL|MASTER|REPLICA|PUBSUB), ID id [id ...].",
            ),
            ("SETINFO <option> <value>", "Set client meta attr. Options: LIB-NAME, LIB-VER."),
            ("SETNAME <name>", "Assign the name <name> to the current connection."),
            (
                "UNBLOCK <clientid> [TIMEOUT|ERROR]",
                "Unblock the specified blocked client, with its timeout's answer or with an error.",
            ),
        ],
        reply,
    );
    Ok(())
}
