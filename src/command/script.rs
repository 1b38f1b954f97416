//! Scripts: EVAL and its kin, which the engine runs, and the cache of their texts.

use super::args::is;
use super::{Argv, Command, Flags, Group, Keys, Run, Script, ScriptBy, counted, help};
use crate::fault::{Fault, Outcome};
use crate::node::Node;
use crate::resp::Reply;
use crate::script::busy::Kind;
use crate::script::{Origin, Vm, registry};
use crate::session::Session;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    eval(
        "eval",
        "script numkeys [key ...] [arg ...]",
        "Executes a server-side Lua script.",
        "2.6.0",
        Script { by: ScriptBy::Text, read_only: false },
    ),
    eval(
        "evalsha",
        "sha1 numkeys [key ...] [arg ...]",
        "Executes a server-side Lua script by its digest.",
        "2.6.0",
        Script { by: ScriptBy::Digest, read_only: false },
    ),
    eval(
        "eval_ro",
        "script numkeys [key ...] [arg ...]",
        "Executes a server-side Lua script that writes nothing.",
        "7.0.0",
        Script { by: ScriptBy::Text, read_only: true },
    ),
    eval(
        "evalsha_ro",
        "sha1 numkeys [key ...] [arg ...]",
        "Executes a server-side Lua script that writes nothing, by its digest.",
        "7.0.0",
        Script { by: ScriptBy::Digest, read_only: true },
    ),
    Command {
        complexity: "Depends on subcommand.",
        subcommands: SUBCOMMANDS,
        ..row(
            "script",
            "",
            "A container for the commands of the script cache.",
            "2.6.0",
            -2,
            Run::Container,
        )
    },
];

const SUBCOMMANDS: &[Command] = &[
    Command {
        flags: Flags::NOSCRIPT.union(Flags::STALE),
        complexity: "O(N) with N being the length in bytes of the script body.",
        ..row(
            "load",
            "script",
            "Puts a script into the cache without running it.",
            "2.6.0",
            3,
            Run::Session(load),
        )
    },
    Command {
        flags: Flags::NOSCRIPT,
        complexity: "O(N) with N being the number of scripts to check.",
        ..row(
            "exists",
            "sha1 [sha1 ...]",
            "Tells which scripts are in the cache.",
            "2.6.0",
            -3,
            Run::Session(exists),
        )
    },
    Command {
        flags: Flags::NOSCRIPT,
        complexity: "O(N) with N being the number of scripts in cache",
        ..row(
            "flush",
            "[ASYNC | SYNC]",
            "Takes all scripts out of the cache.",
            "2.6.0",
            -2,
            Run::Session(flush),
        )
    },
    Command {
        flags: Flags::NOSCRIPT.union(Flags::ALLOW_BUSY),
        complexity: "O(1)",
        ..row(
            "kill",
            "",
            "Ends the script that is running, if it has written nothing.",
            "2.6.0",
            2,
            Run::Session(kill),
        )
    },
    Command {
        flags: Flags::NOSCRIPT,
        complexity: "O(1)",
        ..row(
            "debug",
            "YES | SYNC | NO",
            "Sets the debug mode of scripts, which is off and stays so.",
            "3.2.0",
            3,
            Run::Session(debug),
        )
    },
    Command {
        flags: Flags::LOADING.union(Flags::STALE),
        complexity: "O(1)",
        ..row(
            "help",
            "",
            "Returns helpful text about the different subcommands.",
            "5.0.0",
            2,
            Run::Session(show_help),
        )
    },
];

const fn eval(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    since: &'static str,
    script: Script,
) -> Command {
    Command {
        keys: Keys::Found { range: (0, 0, 0), find: |argv| counted(argv, 2) },
        flags: Flags::NOSCRIPT
            .union(Flags::STALE)
            .union(Flags::SKIP_MONITOR)
            .union(Flags::NO_MANDATORY_KEYS)
            .union(Flags::MOVABLE_KEYS),
        ..row(name, syntax, summary, since, -3, Run::Script(script))
    }
}

const fn row(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    since: &'static str,
    arity: isize,
    run: Run,
) -> Command {
    Command {
        name,
        syntax,
        summary,
        since,
        complexity: "Depends on the script that is executed.",
        group: Group::Scripting,
        arity,
        keys: Keys::None,
        flags: Flags::empty(),
        run,
        subcommands: &[],
    }
}

fn load(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (_, compiled) = Vm::of_text(&node.scripts, argv[2], Origin::Load)?;
    reply.bulk(compiled.name.as_bytes());
    Ok(())
}

fn exists(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.array(argv.len() - 2);
    for hex in &argv[2..] {
        let sha = registry::parse(hex);
        let known = sha.is_some_and(|sha| node.scripts.registry.get(&sha).is_some());
        reply.integer(known.into());
    }
    Ok(())
}

fn flush(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    match &argv[2..] {
        [] => {}
        [mode] if is(mode, "ASYNC") || is(mode, "SYNC") => {}
        _ => return Err(Fault::new("ERR SCRIPT FLUSH only support SYNC|ASYNC option")),
    }
    node.scripts.registry.flush();
    reply.ok();
    Ok(())
}

fn kill(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    node.scripts.busy.kill(Kind::Script)?;
    reply.ok();
    Ok(())
}

fn debug(_: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    if is(argv[2], "NO") {
        reply.ok();
        return Ok(());
    }
    if is(argv[2], "YES") || is(argv[2], "SYNC") {
        return Err(Fault::new("ERR the debugger of scripts is not available"));
    }
    Err(Fault::new("ERR Use SCRIPT DEBUG YES/SYNC/NO"))
}

fn show_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    help(
        "SCRIPT",
        &[
            ("DEBUG (YES|SYNC|NO)", "Set the debug mode for subsequent scripts executed."),
            (
                "EXISTS <sha1> [<sha1> ...]",
                "Return information about the existence of the scripts in the script cache.",
            ),
            ("FLUSH [ASYNC|SYNC]", "Flush the Lua scripts cache. Very dangerous on replicas."),
            ("KILL", "Kill the currently executing Lua script."),
            ("LOAD <script>", "Load a script into the scripts cache without executing it."),
        ],
        reply,
    );
    Ok(())
}
