//! CLIENT TRACKING and its kin: what a client keeps copies of.

use super::args::{integer, is};
use super::connection::row;
use super::{Argv, Command, Flags};
use crate::fault::{Fault, Outcome, shown};
use crate::limits::{TRACKING_PREFIX_BYTES, TRACKING_PREFIXES};
use crate::node::Node;
use crate::resp::Reply;
use crate::session::Session;
use crate::tracking::{Mode, shown_redirect};

const OWN: Flags = Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE).union(Flags::NO_REST);

/// CLIENT CACHING.
pub const CACHING: Command = Command {
    flags: OWN,
    ..row(
        "caching",
        "YES | NO",
        "Instructs the server whether to track the keys in the next request.",
        "6.0.0",
        3,
        caching,
    )
};

/// CLIENT GETREDIR.
pub const GETREDIR: Command = Command {
    flags: OWN,
    ..row(
        "getredir",
        "",
        "Returns the client ID to which the connection's tracking notifications are redirected.",
        "6.0.0",
        2,
        getredir,
    )
};

/// CLIENT TRACKING.
pub const TRACKING: Command = Command {
    flags: OWN,
    complexity: "O(1). Some options may introduce additional complexity.",
    ..row(
        "tracking",
        "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
        "Controls server-assisted client-side caching for the connection.",
        "6.0.0",
        -3,
        tracking,
    )
};

/// CLIENT TRACKINGINFO.
pub const TRACKINGINFO: Command = Command {
    flags: OWN,
    ..row(
        "trackinginfo",
        "",
        "Returns information about server-assisted client-side caching for the connection.",
        "6.2.0",
        2,
        trackinginfo,
    )
};

fn caching(_: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let mode = session.client.tracking.mode();
    let Some(interest) = &mut session.tracking else {
        return Err(Fault::new(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with \
             OPTIN or OPTOUT mode enabled",
        ));
    };
    if is(argv[2], "YES") {
        if !mode.contains(Mode::OPT_IN) {
            return Err(Fault::new(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ));
        }
    } else if is(argv[2], "NO") {
        if !mode.contains(Mode::OPT_OUT) {
            return Err(Fault::new(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ));
        }
    } else {
        return Err(Fault::SYNTAX);
    }
    interest.caching = true;
    reply.ok();
    Ok(())
}

fn getredir(_: &Node, session: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.integer(shown_redirect(&session.client));
    Ok(())
}

/// The options of CLIENT TRACKING.
#[derive(Default)]
struct Options<'a> {
    mode: Mode,
    redirect: u64,
    prefixes: Vec<&'a [u8]>,
}

fn tracking(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let mut options = options(node, &argv[3..])?;
    if is(argv[2], "ON") {
        check(session, &options)?;
        if options.mode.contains(Mode::BROADCAST) && options.prefixes.is_empty() {
            options.prefixes.push(b"");
        }
        node.tracking.enable(session, options.mode, options.redirect, &options.prefixes);
    } else if is(argv[2], "OFF") {
        node.tracking.disable(session);
    } else {
        return Err(Fault::SYNTAX);
    }
    reply.ok();
    Ok(())
}

fn options<'a>(node: &Node, mut words: Argv<'a>) -> Result<Options<'a>, Fault> {
    let mut options = Options::default();
    let mut redirected = false;
    while let [word, tail @ ..] = words {
        words = match tail {
            [id, tail @ ..] if is(word, "REDIRECT") => {
                if redirected {
                    return Err(Fault::new(
                        "ERR A client can only redirect to a single other client",
                    ));
                }
                let id = u64::try_from(integer(id)?).ok();
                let id = id.filter(|id| node.clients.get(*id).is_some());
                options.redirect =
                    id.ok_or(Fault::new("ERR The client ID you want redirect to does not exist"))?;
                redirected = true;
                tail
            }
            [prefix, tail @ ..] if is(word, "PREFIX") => {
                options.prefixes.push(prefix);
                tail
            }
            _ => {
                options.mode |= mode(word)?;
                tail
            }
        };
    }
    Ok(options)
}

fn mode(word: &[u8]) -> Result<Mode, Fault> {
    let modes = [
        ("BCAST", Mode::BROADCAST),
        ("OPTIN", Mode::OPT_IN),
        ("OPTOUT", Mode::OPT_OUT),
        ("NOLOOP", Mode::NO_LOOP),
    ];
    let found = modes.into_iter().find(|(name, _)| is(word, name));
    found.map(|(_, mode)| mode).ok_or(Fault::SYNTAX)
}

/// Whether the options go together, and with what the client has asked for before.
fn check(session: &Session, options: &Options<'_>) -> Result<(), Fault> {
    let (next, now) = (options.mode, session.client.tracking.mode());
    let either = Mode::OPT_IN.union(Mode::OPT_OUT);
    let broadcasts = next.contains(Mode::BROADCAST);
    let refusal = if !broadcasts && !options.prefixes.is_empty() {
        "ERR PREFIX option requires BCAST mode to be enabled"
    } else if now.contains(Mode::ON) && now.contains(Mode::BROADCAST) != broadcasts {
        "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and \
         then re-enabling it with a different mode."
    } else if broadcasts && next.intersects(either) {
        "ERR OPTIN and OPTOUT are not compatible with BCAST"
    } else if next.contains(either) {
        "ERR You can't specify both OPTIN mode and OPTOUT mode"
    } else if (next | now).contains(either) {
        "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and \
         then re-enabling it with a different mode."
    } else {
        return check_prefixes(session, &options.prefixes);
    };
    Err(Fault::new(refusal))
}

/// Whether no prefix is a part of another: a key would be told of twice.
fn check_prefixes(session: &Session, prefixes: &[&[u8]]) -> Result<(), Fault> {
    let known = session.tracking.as_ref().map(|interest| &interest.prefixes);
    let (count, bytes) = known
        .into_iter()
        .flatten()
        .fold((0, 0), |(count, bytes), prefix| (count + 1, bytes + prefix.len()));
    if count + prefixes.len() > TRACKING_PREFIXES
        || bytes + prefixes.iter().map(|prefix| prefix.len()).sum::<usize>() > TRACKING_PREFIX_BYTES
    {
        return Err(Fault::new("ERR too many prefixes"));
    }
    for (at, prefix) in prefixes.iter().enumerate() {
        let overlaps = |other: &&[u8]| prefix.starts_with(other) || other.starts_with(prefix);
        let known = known.into_iter().flatten().map(|other| &**other).find(overlaps);
        let given = prefixes[at + 1..].iter().copied().find(overlaps);
        let (other, which) = match (known, given) {
            (Some(other), _) => (other, "an existing"),
            (None, Some(other)) => (other, "another provided"),
            (None, None) => continue,
        };
        return Err(Fault::text(format!(
            "ERR Prefix '{}' overlaps with {which} prefix '{}'. Prefixes for a single client \
             must not overlap.",
            shown(prefix, usize::MAX),
            shown(other, usize::MAX),
        )));
    }
    Ok(())
}

fn trackinginfo(_: &Node, session: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let mode = session.client.tracking.mode();
    let caching = session.tracking.as_ref().is_some_and(|interest| interest.caching);
    let flags = [
        (!mode.contains(Mode::ON), "off"),
        (mode.contains(Mode::ON), "on"),
        (mode.contains(Mode::BROADCAST), "bcast"),
        (mode.contains(Mode::OPT_IN), "optin"),
        (mode.contains(Mode::OPT_IN) && caching, "caching-yes"),
        (mode.contains(Mode::OPT_OUT), "optout"),
        (mode.contains(Mode::OPT_OUT) && caching, "caching-no"),
        (mode.contains(Mode::NO_LOOP), "noloop"),
        (mode.contains(Mode::BROKEN), "broken_redirect"),
    ];
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.iter().filter(|(set, _)| *set).count());
    for (_, name) in flags.iter().filter(|(set, _)| *set) {
        reply.bulk(name.as_bytes());
    }
    reply.bulk(b"redirect");
    reply.integer(shown_redirect(&session.client));
    reply.bulk(b"prefixes");
    let prefixes = session.tracking.as_ref().map(|interest| &interest.prefixes);
    reply.array(prefixes.map_or(0, |prefixes| prefixes.len()));
    for prefix in prefixes.into_iter().flatten() {
        reply.bulk(prefix);
    }
    Ok(())
}
