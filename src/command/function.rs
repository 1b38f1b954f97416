//! Functions: FCALL, which the engine runs, and the libraries that they come from.

use super::args::is;
use super::{Argv, Command, Flags, Group, Keys, Run, Script, ScriptBy, SessionRun, counted, help};
use crate::fault::{Fault, Outcome, shown};
use crate::keyspace::{Access, LockSet, Wanted};
use crate::limits::PATTERN_BYTES;
use crate::node::Node;
use crate::rdb::{self, Limits};
use crate::resp::Reply;
use crate::script::Vm;
use crate::script::busy::Kind;
use crate::script::library::{Library, Replace, Set};
use crate::script::shebang::NAMES;
use crate::session::Session;
use crate::value::glob;
use std::sync::Arc;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    call("fcall", "Invokes a function.", false),
    call("fcall_ro", "Invokes a function that writes nothing.", true),
    Command {
        complexity: "Depends on subcommand.",
        subcommands: SUBCOMMANDS,
        run: Run::Container,
        ..row("function", "", "A container for the commands of functions.", -2, stats)
    },
];

const SUBCOMMANDS: &[Command] = &[
    Command {
        flags: WRITES.union(Flags::DENYOOM),
        complexity: "O(1), considering compilation time is redundant",
        ..row("load", "[REPLACE] function-code", "Makes a library known.", -3, load)
    },
    Command {
        flags: WRITES,
        complexity: "O(1)",
        ..row("delete", "library-name", "Deletes a library and its functions.", 3, delete)
    },
    Command {
        flags: WRITES,
        complexity: "O(N) with N being the number of functions",
        ..row("flush", "[ASYNC | SYNC]", "Deletes all libraries.", -2, flush)
    },
    Command {
        complexity: "O(N) with N being the number of functions",
        ..row(
            "list",
            "[LIBRARYNAME library-name-pattern] [WITHCODE]",
            "Tells which libraries there are, and what is in them.",
            -2,
            list,
        )
    },
    Command {
        complexity: "O(N) with N being the number of functions",
        ..row("dump", "", "Writes all libraries into one payload.", 2, dump)
    },
    Command {
        flags: WRITES.union(Flags::DENYOOM),
        complexity: "O(N) with N being the number of functions on the payload",
        ..row(
            "restore",
            "serialized-value [FLUSH | APPEND | REPLACE]",
            "Makes the libraries of a payload known.",
            -3,
            restore,
        )
    },
    Command {
        flags: Flags::NOSCRIPT.union(Flags::ALLOW_BUSY),
        complexity: "O(1)",
        ..row("stats", "", "Tells which function is running.", 2, stats)
    },
    Command {
        flags: Flags::NOSCRIPT.union(Flags::ALLOW_BUSY),
        complexity: "O(1)",
        ..row("kill", "", "Ends the function that is running, if it has written nothing.", 2, kill)
    },
    Command {
        flags: Flags::LOADING.union(Flags::STALE),
        complexity: "O(1)",
        ..row("help", "", "Returns helpful text about the different subcommands.", 2, show_help)
    },
];

const WRITES: Flags = Flags::NOSCRIPT.union(Flags::WRITES);

const fn call(name: &'static str, summary: &'static str, read_only: bool) -> Command {
    Command {
        keys: Keys::Found { range: (0, 0, 0), find: |argv| counted(argv, 2) },
        flags: Flags::NOSCRIPT
            .union(Flags::STALE)
            .union(Flags::SKIP_MONITOR)
            .union(Flags::NO_MANDATORY_KEYS)
            .union(Flags::MOVABLE_KEYS),
        run: Run::Script(Script { by: ScriptBy::Function, read_only }),
        complexity: "Depends on the function that is executed.",
        ..row(name, "function numkeys [key ...] [arg ...]", summary, -3, stats)
    }
}

const fn row(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    arity: isize,
    run: SessionRun,
) -> Command {
    Command {
        name,
        syntax,
        summary,
        since: "7.0.0",
        complexity: "O(1)",
        group: Group::Scripting,
        arity,
        // In a transaction, so that no copy of the data is cut in between.
        keys: Keys::Databases(|_| [Some(0), None]),
        flags: Flags::NOSCRIPT,
        run: Run::Session(run),
        subcommands: &[],
    }
}

/// Changes the set of libraries, and says so in the log.
///
/// A copy of the data is cut in an instant in which every shard is locked. One of them is locked
/// here, so the copy and the place in the log that belongs to it are both before the change, or both
/// behind it. In a transaction they are locked already.
fn change(
    node: &Node,
    session: &Session,
    argv: Argv<'_>,
    apply: impl FnOnce(&mut Set) -> Outcome,
) -> Outcome {
    let shard = Wanted { db: 0, shard: 0, access: Access::Exclusive };
    let _lock = match session.executing {
        Some(_) => None,
        None => Some(LockSet::one(&node.keyspace, shard)?),
    };
    let mut change = node.scripts.libraries.change();
    apply(&mut change.set)?;
    let mut effects = node.effects();
    effects.append(session.db, argv);
    change.commit();
    node.record(&mut effects);
    Ok(())
}

fn load(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (code, options) = argv[2..].split_last().ok_or(Fault::SYNTAX)?;
    let mut replace = Replace::No { text: "ERR Library '{}' already exists" };
    for option in options {
        if !is(option, "REPLACE") {
            return Err(Fault::text(format!("ERR Unknown option given: {}", shown(option, 128))));
        }
        replace = Replace::Yes;
    }
    // That its name is taken is said before its code is run.
    let head = crate::script::library::head(code)?;
    if let (Replace::No { text }, true) =
        (replace, node.scripts.libraries.set().libraries.contains_key(&head.name))
    {
        return Err(Fault::text(text.replace("{}", &head.name)));
    }
    let library = Arc::new(Vm::library(&node.scripts, code)?);
    change(node, session, argv, |set| set.add(library, replace))?;
    reply.bulk(head.name.as_bytes());
    Ok(())
}

fn delete(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let name = String::from_utf8_lossy(argv[2]);
    change(node, session, argv, |set| {
        if set.remove(&name) { Ok(()) } else { Err(Fault::new("ERR Library not found")) }
    })?;
    reply.ok();
    Ok(())
}

fn flush(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    match &argv[2..] {
        [] => {}
        [mode] if is(mode, "ASYNC") || is(mode, "SYNC") => {}
        [_] => return Err(Fault::new("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")),
        _ => return Err(too_many(argv[1])),
    }
    change(node, session, argv, |set| {
        *set = Set::default();
        Ok(())
    })?;
    reply.ok();
    Ok(())
}

fn too_many(name: &[u8]) -> Fault {
    let name = shown(name, 128);
    Fault::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{name}'. Try FUNCTION HELP."
    ))
}

fn list(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (mut pattern, mut with_code) = (None, false);
    let mut rest = &argv[2..];
    while let [word, tail @ ..] = rest {
        rest = tail;
        if !with_code && is(word, "WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && is(word, "LIBRARYNAME") {
            let [name, tail @ ..] = tail else {
                return Err(Fault::new("ERR library name argument was not given"));
            };
            if name.len() > PATTERN_BYTES {
                return Err(Fault::new("ERR pattern is too long"));
            }
            pattern = Some(name.to_ascii_lowercase());
            rest = tail;
        } else {
            return Err(Fault::text(format!("ERR Unknown argument {}", shown(word, 128))));
        }
    }
    let set = node.scripts.libraries.set();
    let wanted = |library: &&Arc<Library>| {
        let name = library.name.to_ascii_lowercase();
        pattern.as_ref().is_none_or(|pattern| glob::matches(pattern, name.as_bytes()))
    };
    let libraries: Vec<_> = set.libraries.values().filter(wanted).collect();
    reply.array(libraries.len());
    for library in libraries {
        describe(library, with_code, reply);
    }
    Ok(())
}

fn describe(library: &Library, with_code: bool, reply: &mut dyn Reply) {
    reply.map(3 + usize::from(with_code));
    reply.bulk(b"library_name");
    reply.bulk(library.name.as_bytes());
    reply.bulk(b"engine");
    reply.bulk(b"LUA");
    reply.bulk(b"functions");
    reply.array(library.functions.len());
    for function in &library.functions {
        reply.map(3);
        reply.bulk(b"name");
        reply.bulk(function.name.as_bytes());
        reply.bulk(b"description");
        match &function.description {
            Some(description) => reply.bulk(description.as_bytes()),
            None => reply.null(),
        }
        reply.bulk(b"flags");
        let flags = NAMES.iter().filter(|(_, flag)| function.flags.contains(*flag));
        let flags: Vec<&str> = flags.map(|(name, _)| *name).collect();
        reply.set(flags.len());
        flags.iter().for_each(|name| reply.status(name));
    }
    if with_code {
        reply.bulk(b"library_code");
        reply.bulk(&library.code);
    }
}

fn dump(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let set = node.scripts.libraries.set();
    let mut payload = Vec::new();
    rdb::dump::write_libraries(&mut payload, set.libraries.values().map(|library| &*library.code));
    reply.bulk(&payload);
    Ok(())
}

fn restore(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let policy = match &argv[3..] {
        [] => &b"APPEND"[..],
        [policy] => policy,
        _ => return Err(too_many(argv[1])),
    };
    let replace = match policy {
        _ if is(policy, "REPLACE") => Replace::Yes,
        _ if is(policy, "APPEND") || is(policy, "FLUSH") => {
            Replace::No { text: "ERR Library {} already exists" }
        }
        _ => {
            return Err(Fault::new(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
    };
    let payload = rdb::dump::verify(argv[2]);
    let payload =
        payload.map_err(|_| Fault::new("ERR DUMP payload version or checksum are wrong"))?;
    let codes = rdb::dump::libraries(payload, &Limits::default());
    let codes = codes.map_err(|_| Fault::new("ERR failed loading functions"))?;
    let mut libraries = Vec::with_capacity(codes.len());
    for code in &codes {
        libraries.push(Arc::new(Vm::library(&node.scripts, code)?));
    }
    change(node, session, argv, |set| {
        if is(policy, "FLUSH") {
            *set = Set::default();
        }
        libraries.into_iter().try_for_each(|library| set.add(library, replace))
    })?;
    reply.ok();
    Ok(())
}

fn stats(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let running = node.scripts.busy.longest();
    if running.as_ref().is_some_and(|running| running.kind == Kind::Script) {
        return Err(Kind::Script.busy());
    }
    let set = node.scripts.libraries.set();
    reply.map(2);
    reply.bulk(b"running_script");
    match running {
        None => reply.null(),
        Some(running) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(running.name.as_bytes());
            reply.bulk(b"command");
            reply.array(running.command.len());
            running.command.iter().for_each(|argument| reply.bulk(argument));
            reply.bulk(b"duration_ms");
            let lasted = running.since.elapsed().as_millis();
            reply.integer(i64::try_from(lasted).unwrap_or(i64::MAX));
        }
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.integer(set.libraries.len() as i64);
    reply.bulk(b"functions_count");
    reply.integer(set.functions() as i64);
    Ok(())
}

fn kill(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    node.scripts.busy.kill(Kind::Function)?;
    reply.ok();
    Ok(())
}

fn show_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    help(
        "FUNCTION",
        &[
            ("LOAD [REPLACE] <FUNCTION CODE>", "Create a library of this code, named by it."),
            ("DELETE <LIBRARY NAME>", "Delete a library."),
            ("LIST [LIBRARYNAME PATTERN] [WITHCODE]", "Tell which libraries there are."),
            ("STATS", "Tell which function is running, and how many there are."),
            ("KILL", "End the function that is running."),
            ("FLUSH [ASYNC|SYNC]", "Delete all libraries."),
            ("DUMP", "Write all libraries into a payload for FUNCTION RESTORE."),
            (
                "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
                "Create the libraries of a payload; those that are there are deleted first, make \
                 it fail, or are replaced.",
            ),
        ],
        reply,
    );
    Ok(())
}
