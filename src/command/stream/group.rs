//! XGROUP and XACK: groups come and go, and what their consumers have done is forgotten.

use super::super::args::{integer, is, next};
use super::super::{Argv, Command, Flags, Keys, Run};
use super::{bound, change, id, ids, make, regrouped, stream, sub};
use crate::config::Classes;
use crate::fault::{Fault, Outcome, shown};
use crate::keyspace::WriteView;
use crate::node::Node;
use crate::resp::Reply;
use crate::session::Session;
use crate::value::stream::{Group, Id, Stream};

/// The subcommands of XGROUP.
pub const SUBCOMMANDS: &[Command] = &[
    sub(
        "create",
        "key groupname id|$ [MKSTREAM] [ENTRIESREAD entries_read]",
        "Create a consumer group.",
        "5.0.0",
        -5,
        Flags::DENYOOM,
        Run::Write(create),
    ),
    sub(
        "setid",
        "key groupname id|$ [ENTRIESREAD entries_read]",
        "Set a consumer group to an arbitrary last delivered ID value.",
        "5.0.0",
        -5,
        Flags::empty(),
        Run::Write(set_id),
    ),
    Command {
        complexity: "O(N) where N is the number of entries in the group's pending entries list (PEL).",
        ..sub(
            "destroy",
            "key groupname",
            "Destroy a consumer group.",
            "5.0.0",
            4,
            Flags::empty(),
            Run::Write(destroy),
        )
    },
    sub(
        "createconsumer",
        "key groupname consumername",
        "Create a consumer in a consumer group.",
        "6.2.0",
        5,
        Flags::DENYOOM,
        Run::Write(create_consumer),
    ),
    sub(
        "delconsumer",
        "key groupname consumername",
        "Delete a consumer from a consumer group.",
        "5.0.0",
        5,
        Flags::empty(),
        Run::Write(delete_consumer),
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

const NO_STREAM: Fault = Fault::new(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
);

/// A group's name that is not there.
pub(super) fn unknown_group(key: &[u8], group: &[u8]) -> Fault {
    let (key, group) = (shown(key, usize::MAX), shown(group, usize::MAX));
    Fault::text(format!("NOGROUP No such consumer group '{group}' for key name '{key}'"))
}

/// A subcommand with arguments that it does not take.
pub(super) fn unknown(container: &str, word: &[u8]) -> Fault {
    let word = shown(word, usize::MAX);
    Fault::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{word}'. Try {container} HELP."
    ))
}

/// Where CREATE and SETID put a group.
#[derive(Debug, Clone, Copy)]
struct Start {
    /// `None` for the last id of the stream.
    id: Option<Id>,
    read: Option<u64>,
    make: bool,
}

impl Start {
    /// Reads the options, which both have in any order, and then the id.
    fn parse(argv: Argv<'_>, may_make: bool) -> Result<Start, Fault> {
        let mut start = Start { id: None, read: None, make: false };
        let mut at = 5;
        while at < argv.len() {
            if may_make && is(argv[at], "MKSTREAM") {
                start.make = true;
            } else if is(argv[at], "ENTRIESREAD") && at + 1 < argv.len() {
                let read = integer(next(argv, &mut at)?)?;
                if read < -1 {
                    return Err(Fault::new("ERR value for ENTRIESREAD must be positive or -1"));
                }
                start.read = u64::try_from(read).ok();
            } else {
                return Err(unknown("XGROUP", argv[1]));
            }
            at += 1;
        }
        Ok(start)
    }

    /// Reads the id: for SETID, as Redis has it, also one of the ends of an interval.
    fn with_id(
        self,
        argument: &[u8],
        read: fn(&[u8]) -> Result<Id, Fault>,
    ) -> Result<Start, Fault> {
        let id = if argument == b"$" { None } else { Some(read(argument)?) };
        Ok(Start { id, ..self })
    }

    fn id(self, stream: &Stream) -> Id {
        self.id.unwrap_or(stream.past().last)
    }
}

/// An option may be repeated, as long as there are no more arguments than with each once: Redis
/// counts them last.
fn at_most(argv: Argv<'_>, most: usize) -> Result<(), Fault> {
    if argv.len() > most { Err(unknown("XGROUP", argv[1])) } else { Ok(()) }
}

/// What XGROUP asks before it looks at its arguments: that the key holds a stream.
fn present(view: &WriteView<'_, '_>, key: &[u8]) -> Result<bool, Fault> {
    Ok(stream(&view.as_read(), key)?.is_some())
}

fn create(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, name) = (argv[2], argv[3]);
    let start = Start::parse(argv, true)?;
    if !present(view, key)? && !start.make {
        return Err(NO_STREAM);
    }
    at_most(argv, 8)?;
    let start = start.with_id(argv[4], id)?;
    make(view, key, |stream| {
        let group = Group::new(start.id(stream), start.read);
        match stream.add_group(name, group) {
            true => Ok(()),
            false => Err(Fault::new("BUSYGROUP Consumer Group name already exists")),
        }
    })?;
    regrouped(view);
    view.notify(Classes::STREAM, "xgroup-create", key);
    reply.ok();
    Ok(())
}

/// Changes a group that has to be there.
fn change_group<R>(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    name: &[u8],
    edit: impl FnOnce(&mut Group) -> R,
) -> Result<R, Fault> {
    let changed = change(view, key, |stream| {
        stream.group_mut(name).map(edit).ok_or_else(|| unknown_group(key, name))
    })?;
    changed.ok_or(NO_STREAM)
}

fn set_id(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, name) = (argv[2], argv[3]);
    let start = Start::parse(argv, false)?;
    let id = {
        let read = view.as_read();
        let stream = stream(&read, key)?.ok_or(NO_STREAM)?;
        stream.group(name).ok_or_else(|| unknown_group(key, name))?;
        at_most(argv, 7)?;
        start.with_id(argv[4], |id| bound(id, 0))?.id(stream)
    };
    change_group(view, key, name, |group| group.advance(id, start.read))?;
    regrouped(view);
    view.notify(Classes::STREAM, "xgroup-setid", key);
    reply.ok();
    Ok(())
}

fn destroy(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let key = argv[2];
    let removed = change(view, key, |stream| Ok(stream.remove_group(argv[3])))?;
    let removed = removed.ok_or(NO_STREAM)?.is_some();
    if removed {
        regrouped(view);
        // Who waits for the group learns that there is none.
        view.awaken(key);
        view.notify(Classes::STREAM, "xgroup-destroy", key);
    }
    reply.integer(i64::from(removed));
    Ok(())
}

fn create_consumer(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, name) = (argv[2], argv[4]);
    let now = view.around.now;
    let created = change_group(view, key, argv[3], |group| {
        let fresh = group.find(name).is_none();
        if fresh {
            group.create(name, now);
        }
        fresh
    })?;
    if created {
        regrouped(view);
        view.notify(Classes::STREAM, "xgroup-createconsumer", key);
    }
    reply.integer(i64::from(created));
    Ok(())
}

fn delete_consumer(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let key = argv[2];
    let removed = change_group(view, key, argv[3], |group| group.remove_consumer(argv[4]))?;
    if removed.is_some() {
        regrouped(view);
        view.notify(Classes::STREAM, "xgroup-delconsumer", key);
    }
    reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

pub(super) fn xack(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, name) = (argv[1], argv[2]);
    // As Redis does, answer for a group that is not there whatever the ids.
    if stream(&view.as_read(), key)?.and_then(|stream| stream.group(name)).is_none() {
        reply.integer(0);
        return Ok(());
    }
    let ids = ids(&argv[3..])?;
    let count = change_group(view, key, name, |group| {
        ids.iter().filter(|id| group.acknowledge(**id)).count()
    })?;
    if count > 0 {
        regrouped(view);
    }
    reply.integer(count as i64);
    Ok(())
}

fn show_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let lines = [
        "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CREATE <key> <groupname> <id|$> [option]",
        "    Make a consumer group, which has read up to the ID. Options are:",
        "    * MKSTREAM",
        "      Make an empty stream if there is no such key.",
        "    * ENTRIESREAD entries_read",
        "      Say how many entries the group has read (internal use).",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Make a consumer in the group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove a consumer, with what is pending for it.",
        "DESTROY <key> <groupname>",
        "    Remove the group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Say up to which ID the group has read, and how many entries that was.",
        "HELP",
        "    Print this help.",
    ];
    reply.array(lines.len());
    lines.iter().for_each(|line| reply.status(line));
    Ok(())
}
