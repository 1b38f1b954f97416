//! CONFIG: the directives, while the server runs.

use super::server::row;
use super::{Argv, Command, Flags, Run, help};
use crate::fault::{Fault, Outcome, shown};
use crate::net::tls::TlsError;
use crate::node::Node;
use crate::resp::Reply;
use crate::session::Session;
use crate::value::glob;

/// The subcommands.
pub const SUBCOMMANDS: &[Command] = &[
    Command {
        flags: OPERATOR,
        run: Run::Session(get),
        complexity: "O(N) when N is the number of configuration parameters provided",
        ..row(
            "get",
            "parameter [parameter ...]",
            "Returns the effective values of configuration parameters.",
            "2.0.0",
            -3,
        )
    },
    Command {
        flags: OPERATOR,
        run: Run::Session(set),
        complexity: "O(N) when N is the number of configuration parameters provided",
        ..row(
            "set",
            "parameter value [parameter value ...]",
            "Sets configuration parameters in-flight.",
            "2.0.0",
            -4,
        )
    },
    Command {
        flags: OPERATOR,
        run: Run::Session(resetstat),
        ..row("resetstat", "", "Resets the server's statistics.", "2.0.0", 2)
    },
    Command {
        flags: OPERATOR,
        run: Run::Session(rewrite),
        ..row("rewrite", "", "Persists the effective configuration to file.", "2.8.0", 2)
    },
    Command {
        flags: STATE,
        run: Run::Session(show_help),
        ..row("help", "", "Returns helpful text about the different subcommands.", "5.0.0", 2)
    },
];

const STATE: Flags = Flags::LOADING.union(Flags::STALE);
const OPERATOR: Flags = STATE.union(Flags::ADMIN).union(Flags::NOSCRIPT);

fn get(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let found = node.config.load().get_matching(&argv[2..], glob::matches);
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(name.as_bytes());
        reply.bulk(&value);
    }
    Ok(())
}

fn set(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (pairs, rest) = argv[2..].as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Fault::SYNTAX);
    }
    let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|[name, value]| (*name, *value)).collect();
    // The same name again is how certificates are read anew.
    let tls = pairs.iter().find(|(name, _)| {
        let name = name.to_ascii_lowercase();
        name.starts_with(b"tls-") || name.starts_with(b"rest-tls-")
    });
    node.configure(|config| {
        config.set_many(&pairs).map_err(|error| Fault::text(error.to_string()))?;
        match tls {
            Some((name, _)) => node.tls.load(&config.tls).map_err(|error| refused(name, &error)),
            None => Ok(()),
        }
    })?;
    reply.ok();
    Ok(())
}

/// Why certificates were not taken: the files are named in the log, as by Redis.
#[cold]
fn refused(name: &[u8], error: &TlsError) -> Fault {
    tracing::warn!("TLS stays as it was: {error}");
    Fault::text(format!(
        "ERR CONFIG SET failed (possibly related to argument '{}') - Unable to update TLS \
         configuration. Check server logs.",
        shown(name, usize::MAX)
    ))
}

fn resetstat(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    node.stats.reset();
    node.observer.reset();
    reply.ok();
    Ok(())
}

fn rewrite(node: &Node, session: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    rewrite_file(node)?;
    tracing::info!("client {}: CONFIG REWRITE", session.client.id);
    reply.ok();
    Ok(())
}

/// Writes the settings as they are into the file that was read at start.
///
/// # Errors
/// When there is none, or it cannot be written; it is then as it was.
pub fn rewrite_file(node: &Node) -> Outcome {
    let config = node.config.load();
    if config.config_file.is_none() {
        return Err(Fault::new("ERR The server is running without a config file"));
    }
    config.rewrite().map_err(|error| {
        tracing::warn!("CONFIG REWRITE failed: {error}");
        Fault::text(format!("ERR Rewriting config file: {error}"))
    })
}

fn show_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    help(
        "CONFIG",
        &[
            (
                "GET <pattern>",
                "Return parameters matching the glob-like <pattern> and their values.",
            ),
            ("SET <directive> <value>", "Set the configuration <directive> to <value>."),
            ("RESETSTAT", "Reset statistics reported by the INFO command."),
            ("REWRITE", "Write the settings into the configuration file."),
        ],
        reply,
    );
    Ok(())
}
