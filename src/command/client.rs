//! CLIENT: what is known of connections.

use super::args::{integer, is};
use super::connection::row;
use super::{Argv, Command, Flags, client_others, help, tracking};
use crate::fault::{Fault, Outcome, shown};
use crate::limits::CLIENT_WORD_BYTES;
use crate::node::Node;
use crate::resp::Reply;
use crate::session::Session;
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
    client_others::INFO,
    client_others::LIST,
    client_others::KILL,
    client_others::PAUSE,
    client_others::UNPAUSE,
    client_others::REPLY,
    client_others::NO_EVICT,
    client_others::NO_TOUCH,
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
            ("GETNAME", "Return the name of this connection."),
            ("ID", "Return the ID of this connection."),
            ("INFO", "Return what LIST says of this connection."),
            ("KILL <ip:port>", "End the connection that was made from <ip:port>."),
            (
                "KILL <option> <value> [<option> <value> [...]]",
                "End every connection that all options fit:\n\
                 * ADDR <ip:port>, LADDR <ip:port>: its two ends.\n\
                 * ID <client-id>, USER <username>, MAXAGE <seconds>.\n\
                 * TYPE (NORMAL|MASTER|REPLICA|PUBSUB).\n\
                 * SKIPME (YES|NO): whether this one is left out (default: yes).",
            ),
            (
                "LIST [options ...]",
                "Return a line for each connection. Options:\n\
                 * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)\n\
                 * ID <client-id> [<client-id> ...]",
            ),
            ("NO-EVICT (ON|OFF)", "Protect this connection from maxmemory-clients."),
            ("NO-TOUCH (ON|OFF)", "Let commands of this connection be no use of keys."),
            ("PAUSE <timeout> [WRITE|ALL]", "Hold writes, or all commands, for <timeout> ms."),
            ("REPLY (ON|OFF|SKIP)", "Leave out replies of this connection."),
            ("SETINFO <option> <value>", "Say what library this is: LIB-NAME, LIB-VER."),
            ("SETNAME <name>", "Name this connection."),
            (
                "UNBLOCK <clientid> [TIMEOUT|ERROR]",
                "Unblock the specified blocked client, with its timeout's answer or with an error.",
            ),
            ("UNPAUSE", "End the pause."),
        ],
        reply,
    );
    Ok(())
}
