//! Publish and subscribe, as commands.
//!
//! Who listens is the hub's to know (`crate::pubsub`); here are the words. A PUBLISH goes into
//! the log, so that those who listen on a replica hear it too.

use super::args::is;
use super::{Argv, Command, Family, Flags, Group, Keys, Run, SessionRun, help, scan};
use crate::access;
use crate::fault::{Fault, Outcome};
use crate::limits::{SUBSCRIBED_BYTES, SUBSCRIPTIONS};
use crate::node::Node;
use crate::pubsub::{Subscriptions, Topic};
use crate::resp::Reply;
use crate::session::Session;
use crate::value::glob;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    listen(
        "subscribe",
        "channel [channel ...]",
        "Listens for messages published to channels.",
        "2.0.0",
        -2,
        subscribe,
    ),
    listen(
        "unsubscribe",
        "[channel [channel ...]]",
        "Stops listening to messages posted to channels.",
        "2.0.0",
        -1,
        unsubscribe,
    ),
    listen(
        "psubscribe",
        "pattern [pattern ...]",
        "Listens for messages published to channels that match one or more patterns.",
        "2.0.0",
        -2,
        psubscribe,
    ),
    listen(
        "punsubscribe",
        "[pattern [pattern ...]]",
        "Stops listening to messages published to channels that match one or more patterns.",
        "2.0.0",
        -1,
        punsubscribe,
    ),
    Command {
        keys: Keys::ALL,
        ..listen(
            "ssubscribe",
            "shardchannel [shardchannel ...]",
            "Listens for messages published to shard channels.",
            "7.0.0",
            -2,
            ssubscribe,
        )
    },
    Command {
        keys: Keys::ALL,
        ..listen(
            "sunsubscribe",
            "[shardchannel [shardchannel ...]]",
            "Stops listening to messages posted to shard channels.",
            "7.0.0",
            -1,
            sunsubscribe,
        )
    },
    Command {
        flags: SAY,
        complexity: "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of subscribed patterns (by any client).",
        ..row("publish", "channel message", "Posts a message to a channel.", "2.0.0", 3, publish)
    },
    Command {
        flags: SAY,
        keys: Keys::FIRST,
        complexity: "O(N) where N is the number of clients subscribed to the receiving shard channel.",
        ..row(
            "spublish",
            "shardchannel message",
            "Post a message to a shard channel",
            "7.0.0",
            3,
            spublish,
        )
    },
    Command {
        run: Run::Container,
        flags: Flags::empty(),
        complexity: "Depends on subcommand.",
        subcommands: SUBCOMMANDS,
        ..row("pubsub", "", "A container for Pub/Sub commands.", "2.8.0", -2, channels)
    },
];

const SUBCOMMANDS: &[Command] = &[
    Command {
        complexity: "O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively short channels and patterns)",
        ..row("channels", "[pattern]", "Returns the active channels.", "2.8.0", -2, channels)
    },
    Command {
        flags: Flags::LOADING.union(Flags::STALE),
        ..row(
            "help",
            "",
            "Returns helpful text about the different subcommands.",
            "6.2.0",
            2,
            show_help,
        )
    },
    row("numpat", "", "Returns a count of unique pattern subscriptions.", "2.8.0", 2, numpat),
    Command {
        complexity: "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
        ..row(
            "numsub",
            "[channel [channel ...]]",
            "Returns a count of subscribers to channels.",
            "2.8.0",
            -2,
            numsub,
        )
    },
    Command {
        complexity: "O(N) where N is the number of active shard channels, and assuming constant time pattern matching (relatively short shard channels).",
        ..row(
            "shardchannels",
            "[pattern]",
            "Returns the active shard channels.",
            "7.0.0",
            -2,
            shardchannels,
        )
    },
    Command {
        complexity: "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
        ..row(
            "shardnumsub",
            "[shardchannel [shardchannel ...]]",
            "Returns the count of subscribers of shard channels.",
            "7.0.0",
            -2,
            shardnumsub,
        )
    },
];

const SAY: Flags = Flags::PUBSUB.union(Flags::LOADING).union(Flags::STALE).union(Flags::FAST);

const fn row(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    since: &'static str,
    arity: isize,
    run: SessionRun,
) -> Command {
    let flags = Flags::PUBSUB.union(Flags::LOADING).union(Flags::STALE);
    let family = Family::new(Group::PubSub);
    let row = family.row(name, syntax, summary, since, arity, flags, Run::Session(run));
    Command { keys: Keys::None, ..row }
}

const fn listen(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    since: &'static str,
    arity: isize,
    run: SessionRun,
) -> Command {
    Command {
        complexity: "O(N) where N is the number of names.",
        flags: Flags::PUBSUB
            .union(Flags::NOSCRIPT)
            .union(Flags::LOADING)
            .union(Flags::STALE)
            .union(Flags::NO_REST),
        ..row(name, syntax, summary, since, arity, run)
    }
}

fn subscribe(n: &Node, s: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    begin(n, s, Topic::Channel, "subscribe", &argv[1..], reply)
}

fn unsubscribe(n: &Node, s: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    end(n, s, Topic::Channel, "unsubscribe", &argv[1..], reply)
}

fn psubscribe(n: &Node, s: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    for pattern in &argv[1..] {
        scan::pattern(pattern)?;
    }
    begin(n, s, Topic::Pattern, "psubscribe", &argv[1..], reply)
}

fn punsubscribe(n: &Node, s: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    end(n, s, Topic::Pattern, "punsubscribe", &argv[1..], reply)
}

fn ssubscribe(n: &Node, s: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    begin(n, s, Topic::Shard, "ssubscribe", &argv[1..], reply)
}

fn sunsubscribe(n: &Node, s: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    end(n, s, Topic::Shard, "sunsubscribe", &argv[1..], reply)
}

/// Subscribes to names; each has an answer of its own.
fn begin(
    node: &Node,
    session: &mut Session,
    topic: Topic,
    word: &str,
    names: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let mine = session.subscriptions.get_or_insert_default();
    let bytes: usize = names.iter().map(|name| name.len()).sum();
    if mine.len() + names.len() > SUBSCRIPTIONS || mine.bytes + bytes > SUBSCRIBED_BYTES {
        return Err(Fault::new("ERR too many subscriptions"));
    }
    for name in names {
        node.hub.subscribe(&session.client, mine, topic, name);
        answer(word, Some(name), mine.count(topic), reply);
    }
    if session.identity.is_old(&node.access) {
        access::door::check_listener(node, session);
    }
    Ok(())
}

/// Unsubscribes from names, or from all there are of this kind.
fn end(
    node: &Node,
    session: &mut Session,
    topic: Topic,
    word: &str,
    names: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let mut none = Box::<Subscriptions>::default();
    let mine = session.subscriptions.as_mut().unwrap_or(&mut none);
    let all: Vec<Box<[u8]>> = match names {
        [] => mine.of(topic).iter().cloned().collect(),
        _ => names.iter().map(|name| Box::from(*name)).collect(),
    };
    for name in &all {
        node.hub.unsubscribe(&session.client, mine, topic, name);
        answer(word, Some(name), mine.count(topic), reply);
    }
    if all.is_empty() {
        answer(word, None, mine.count(topic), reply);
    }
    if session.subscriptions.as_ref().is_some_and(|mine| mine.is_empty()) {
        session.subscriptions = None;
    }
    Ok(())
}

fn answer(word: &str, name: Option<&[u8]>, count: usize, reply: &mut dyn Reply) {
    reply.push(3);
    reply.bulk(word.as_bytes());
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.integer(count as i64);
}

fn publish(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let limit = session.config().client_output_buffer_limit.pubsub;
    let receivers = node.hub.publish(argv[1], argv[2], limit, session.now);
    repeat(node, session, argv);
    reply.integer(receivers as i64);
    Ok(())
}

fn spublish(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let limit = session.config().client_output_buffer_limit.pubsub;
    let receivers = node.hub.publish_to_shard(argv[1], argv[2], limit, session.now);
    repeat(node, session, argv);
    reply.integer(receivers as i64);
    Ok(())
}

/// Has replicas publish the message too.
fn repeat(node: &Node, session: &Session, argv: Argv<'_>) {
    // Only for those who follow: nothing has changed that a sync token would name.
    if node.log.is_active() {
        let mut effects = node.effects();
        effects.append(session.db, argv);
        node.log.append(&effects);
    }
}

fn channels(n: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    names(n, Topic::Channel, argv, reply)
}

fn shardchannels(n: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    names(n, Topic::Shard, argv, reply)
}

fn names(node: &Node, topic: Topic, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let pattern = match argv {
        [_, _] => None,
        [_, _, pattern] => Some(scan::pattern(pattern)?),
        _ => {
            let word = String::from_utf8_lossy(argv[1]).into_owned();
            return Err(Fault::text(format!(
                "ERR unknown subcommand or wrong number of arguments for '{word}'. Try PUBSUB HELP."
            )));
        }
    };
    let mut names = node.hub.channels(topic);
    names.retain(|name| pattern.is_none_or(|pattern| glob::matches(pattern, name)));
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name));
    Ok(())
}

fn numpat(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.integer(node.hub.count(Topic::Pattern) as i64);
    Ok(())
}

fn numsub(n: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    listeners(n, Topic::Channel, &argv[2..], reply)
}

fn shardnumsub(n: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    listeners(n, Topic::Shard, &argv[2..], reply)
}

fn listeners(node: &Node, topic: Topic, names: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.array(names.len() * 2);
    for name in names {
        reply.bulk(name);
        reply.integer(node.hub.listeners(topic, name) as i64);
    }
    Ok(())
}

fn show_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    help(
        "PUBSUB",
        &[
            (
                "CHANNELS [<pattern>]",
                "Return the channels that somebody listens to, or those that match <pattern>.",
            ),
            ("NUMPAT", "Return the number of patterns that clients listen to."),
            ("NUMSUB [<channel> ...]", "Return the number of listeners of each channel."),
            (
                "SHARDCHANNELS [<pattern>]",
                "Return the shard channels that somebody listens to, or those that match <pattern>.",
            ),
            (
                "SHARDNUMSUB [<shardchannel> ...]",
                "Return the number of listeners of each shard channel.",
            ),
        ],
        reply,
    );
    Ok(())
}

/// Whether a client that listens over RESP2 may ask this: the protocol has no other place for
/// its messages than between replies.
pub fn may_ask_meanwhile(command: &Command, name: &[u8]) -> bool {
    let subscribes =
        command.flags.contains(Flags::PUBSUB) && command.flags.contains(Flags::NOSCRIPT);
    subscribes || ["PING", "QUIT", "RESET"].iter().any(|word| is(name, word))
}
