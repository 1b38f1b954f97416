//! XINFO: what is known of a stream, its groups and its consumers.

use super::super::args::{integer, is};
use super::super::{Argv, Command, Flags, Keys, Run, help};
use super::group::{unknown, unknown_group};
use super::{answer_entries, answer_entry, answer_id, stream, sub};
use crate::fault::{Fault, Outcome};
use crate::keyspace::ReadView;
use crate::node::Node;
use crate::resp::Reply;
use crate::session::Session;
use crate::value::stream::{Consumer, Group, Id, Stream};

/// The subcommands of XINFO.
pub const SUBCOMMANDS: &[Command] = &[
    sub(
        "stream",
        "key [FULL [COUNT count]]",
        "Get information about a stream",
        "5.0.0",
        -3,
        Flags::empty(),
        Run::Read(of_stream),
    ),
    sub(
        "groups",
        "key",
        "List the consumer groups of a stream",
        "5.0.0",
        3,
        Flags::empty(),
        Run::Read(of_groups),
    ),
    sub(
        "consumers",
        "key groupname",
        "List the consumers in a consumer group",
        "5.0.0",
        4,
        Flags::empty(),
        Run::Read(of_consumers),
    ),
    Command {
        keys: Keys::None,
        ..sub(
            "help",
            "",
            "Show helpful text about the different subcommands",
            "5.0.0",
            2,
            Flags::LOADING.union(Flags::STALE),
            Run::Session(show_help),
        )
    },
];

/// Entries, and pending entries, that FULL shows of each.
const SHOWN: usize = 10;

fn of_stream(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let stream = stream(view, argv[2])?.ok_or(Fault::NO_KEY)?;
    match full(argv)? {
        None => {
            reply.map(10);
            answer_basics(stream, reply);
            name("groups", reply);
            reply.integer(stream.groups().len() as i64);
            name("first-entry", reply);
            answer_edge(stream, stream.first_id(), reply);
            name("last-entry", reply);
            answer_edge(stream, stream.last_entry_id(), reply);
        }
        Some(count) => {
            reply.map(9);
            answer_basics(stream, reply);
            name("entries", reply);
            let entries = || stream.entries(Id::MIN, Id::MAX).take(count);
            answer_entries(|| Box::new(entries()), reply);
            name("groups", reply);
            reply.array(stream.groups().len());
            for (group_name, group) in stream.groups() {
                answer_full_group(stream, group_name, group, count, reply);
            }
        }
    }
    Ok(())
}

/// Reads FULL and its COUNT; `None` when it is not asked for.
fn full(argv: Argv<'_>) -> Result<Option<usize>, Fault> {
    let wrong = || unknown("XINFO", argv[1]);
    match &argv[3..] {
        [] => Ok(None),
        [word] if is(word, "FULL") => Ok(Some(SHOWN)),
        [word, count, number] if is(word, "FULL") && is(count, "COUNT") => {
            Ok(Some(match usize::try_from(integer(number)?) {
                Ok(0) => usize::MAX,
                Ok(count) => count,
                Err(_) => SHOWN,
            }))
        }
        _ => Err(wrong()),
    }
}

fn name(name: &str, reply: &mut dyn Reply) {
    reply.bulk(name.as_bytes());
}

fn answer_basics(stream: &Stream, reply: &mut dyn Reply) {
    let past = stream.past();
    name("length", reply);
    reply.integer(stream.len() as i64);
    name("radix-tree-keys", reply);
    reply.integer(stream.nodes() as i64);
    name("radix-tree-nodes", reply);
    reply.integer(stream.radix_nodes() as i64);
    name("last-generated-id", reply);
    answer_id(past.last, reply);
    name("max-deleted-entry-id", reply);
    answer_id(past.max_deleted, reply);
    name("entries-added", reply);
    reply.integer(past.added as i64);
    name("recorded-first-entry-id", reply);
    answer_id(stream.first_id(), reply);
}

fn answer_edge(stream: &Stream, id: Id, reply: &mut dyn Reply) {
    match stream.get(id) {
        Some(entry) => answer_entry(entry, reply),
        None => reply.null(),
    }
}

/// Answers how many entries a group has read, and how many it has yet to read.
fn answer_progress(stream: &Stream, group: &Group, reply: &mut dyn Reply) {
    name("entries-read", reply);
    match group.read() {
        Some(read) => reply.integer(read as i64),
        None => reply.null(),
    }
    name("lag", reply);
    match stream.lag(group) {
        Some(lag) => reply.integer(lag),
        None => reply.null(),
    }
}

fn answer_full_group(
    stream: &Stream,
    group_name: &[u8],
    group: &Group,
    count: usize,
    reply: &mut dyn Reply,
) {
    reply.map(7);
    name("name", reply);
    reply.bulk(group_name);
    name("last-delivered-id", reply);
    answer_id(group.last(), reply);
    answer_progress(stream, group, reply);
    name("pel-count", reply);
    reply.integer(group.pending_len() as i64);
    name("pending", reply);
    reply.array(group.pending_len().min(count));
    for (id, pending) in group.pending_in(..).take(count) {
        reply.array(4);
        answer_id(id, reply);
        reply.bulk(group.consumer(pending.consumer).map_or(b"", Consumer::name));
        reply.integer(pending.delivered_at as i64);
        reply.integer(pending.deliveries as i64);
    }
    name("consumers", reply);
    reply.array(group.consumers().len());
    for (id, consumer) in group.consumers() {
        reply.map(4);
        name("name", reply);
        reply.bulk(consumer.name());
        name("seen-time", reply);
        reply.integer(consumer.seen_at() as i64);
        name("pel-count", reply);
        reply.integer(consumer.pending_len() as i64);
        name("pending", reply);
        reply.array(consumer.pending_len().min(count));
        for (id, pending) in group.pending_of(id, ..).take(count) {
            reply.array(3);
            answer_id(id, reply);
            reply.integer(pending.delivered_at as i64);
            reply.integer(pending.deliveries as i64);
        }
    }
}

fn of_groups(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let stream = stream(view, argv[2])?.ok_or(Fault::NO_KEY)?;
    reply.array(stream.groups().len());
    for (group_name, group) in stream.groups() {
        reply.map(6);
        name("name", reply);
        reply.bulk(group_name);
        name("consumers", reply);
        reply.integer(group.consumers().len() as i64);
        name("pending", reply);
        reply.integer(group.pending_len() as i64);
        name("last-delivered-id", reply);
        answer_id(group.last(), reply);
        answer_progress(stream, group, reply);
    }
    Ok(())
}

fn of_consumers(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let stream = stream(view, argv[2])?.ok_or(Fault::NO_KEY)?;
    let group = stream.group(argv[3]).ok_or_else(|| unknown_group(argv[2], argv[3]))?;
    reply.array(group.consumers().len());
    for (_, consumer) in group.consumers() {
        reply.map(3);
        name("name", reply);
        reply.bulk(consumer.name());
        name("pending", reply);
        reply.integer(consumer.pending_len() as i64);
        name("idle", reply);
        // A replica is not told when a consumer was made that has been given nothing yet.
        let idle = match consumer.seen_at() {
            0 => 0,
            at => view.around.now.saturating_sub(at),
        };
        reply.integer(idle as i64);
    }
    Ok(())
}

fn show_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    help(
        "XINFO",
        &[
            ("CONSUMERS <key> <groupname>", "List the consumers of the group."),
            ("GROUPS <key>", "List the groups of the stream."),
            ("STREAM <key> [FULL [COUNT <count>]]", "Tell about the stream."),
        ],
        reply,
    );
    Ok(())
}
