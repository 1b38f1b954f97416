//! ACL: users and their rights, as commands. What they mean is in `crate::access`.

use std::path::Path;

use super::args::{integer, is};
use super::{Argv, Command, Flags, Group, Run, SessionRun, full_name, help};
use crate::access::catalog::{CATEGORIES, catalog, category};
use crate::access::selector::Selector;
use crate::access::user::{DEFAULT, User, is_name, join_selectors};
use crate::access::{door, file, token};
use crate::clock;
use crate::fault::{Fault, Outcome, shown};
use crate::node::Node;
use crate::resp::Reply;
use crate::session::{Named, Session};

/// The rows of this family.
pub const COMMANDS: &[Command] = &[Command {
    run: Run::Container,
    subcommands: SUBCOMMANDS,
    complexity: "Depends on subcommand.",
    ..super::server::row("acl", "", "A container for Access List Control commands.", "6.0.0", -2)
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        complexity: "O(1) since the categories and commands are a fixed set.",
        ..all(
            "cat",
            "[category]",
            "Lists the ACL categories, or the commands inside a category.",
            -2,
            cat,
        )
    },
    Command {
        complexity: "O(1) amortized time considering the typical user.",
        ..admin(
            "deluser",
            "username [username ...]",
            "Deletes ACL users, and terminates their connections.",
            -3,
            deluser,
        )
    },
    Command {
        since: "7.0.0",
        ..admin(
            "dryrun",
            "username command [arg [arg ...]]",
            "Simulates the execution of a command by a user, without executing the command.",
            -4,
            dryrun,
        )
    },
    all(
        "genpass",
        "[bits]",
        "Generates a pseudorandom, secure password that can be used to identify ACL users.",
        -2,
        genpass,
    ),
    Command {
        flags: ADMIN.union(Flags::SKIP_SLOWLOG).union(Flags::SKIP_MONITOR),
        since: "1.0.0",
        ..admin(
            "gentoken",
            "username [password]",
            "Generates a token to be given to a user as a password; REST takes it as a bearer token.",
            -3,
            gentoken,
        )
    },
    Command {
        complexity: "O(N). Where N is the number of password, command and pattern rules that the user has.",
        ..admin("getuser", "username", "Lists the ACL rules of a user.", 3, getuser)
    },
    Command {
        flags: Flags::LOADING.union(Flags::STALE),
        ..all("help", "", "Returns helpful text about the different subcommands.", 2, show_help)
    },
    Command {
        complexity: USERS,
        ..admin("list", "", "Dumps the effective rules in ACL file format.", 2, list)
    },
    Command {
        complexity: USERS,
        ..admin("load", "", "Reloads the rules from the configured ACL file.", 2, load)
    },
    Command {
        complexity: "O(N) with N being the number of entries shown.",
        ..admin(
            "log",
            "[count | RESET]",
            "Lists recent security events generated due to ACL rules.",
            -2,
            log,
        )
    },
    Command {
        flags: ALL.union(Flags::SKIP_SLOWLOG).union(Flags::SKIP_MONITOR),
        since: "1.0.0",
        ..all(
            "resttoken",
            "username password",
            "Returns the bearer token by which REST knows a user.",
            4,
            resttoken,
        )
    },
    Command {
        complexity: USERS,
        ..admin("save", "", "Saves the effective ACL rules in the configured ACL file.", 2, save)
    },
    Command {
        complexity: "O(N). Where N is the number of rules provided.",
        ..admin(
            "setuser",
            "username [rule [rule ...]]",
            "Creates and modifies an ACL user and its rules.",
            -3,
            setuser,
        )
    },
    Command { complexity: USERS, ..admin("users", "", "Lists all ACL users.", 2, users) },
    all("whoami", "", "Returns the authenticated username of the current connection.", 2, whoami),
];

const USERS: &str = "O(N). Where N is the number of configured users.";
const ALL: Flags = Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE);
const ADMIN: Flags = ALL.union(Flags::ADMIN);

/// A row for everybody.
const fn all(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    arity: isize,
    run: SessionRun,
) -> Command {
    Command {
        flags: ALL,
        group: Group::Server,
        run: Run::Session(run),
        ..super::server::row(name, syntax, summary, "6.0.0", arity)
    }
}

/// A row for operators.
const fn admin(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    arity: isize,
    run: SessionRun,
) -> Command {
    Command { flags: ADMIN, ..all(name, syntax, summary, arity, run) }
}

/// What a subcommand says that got more arguments than it has a meaning for.
fn wrong_arguments(word: &[u8]) -> Fault {
    Fault::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{}'. Try ACL HELP.",
        shown(word, 128)
    ))
}

fn cat(_: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let names: Vec<&str> = match argv {
        [_, _] => CATEGORIES.to_vec(),
        [_, _, name] => {
            let bit = std::str::from_utf8(name).ok().and_then(category).ok_or_else(|| {
                Fault::text(format!("ERR Unknown category '{}'", shown(name, 128)))
            })?;
            let commands = catalog().all().iter().filter(|known| known.categories & bit != 0);
            commands.map(|known| known.name.as_str()).collect()
        }
        _ => return Err(wrong_arguments(argv[1])),
    };
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name.as_bytes()));
    Ok(())
}

fn deluser(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let names = &argv[2..];
    if names.contains(&DEFAULT) {
        return Err(Fault::new("ERR The 'default' user cannot be removed"));
    }
    let removed = node.access.remove(names);
    door::close_clients(node, session, |name| removed.iter().any(|user| *user.name == *name));
    reply.integer(removed.len() as i64);
    Ok(())
}

fn dryrun(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let users = node.access.users();
    let user = users.get(argv[2]).ok_or_else(|| {
        Fault::text(format!("ERR User '{}' not found", shown(argv[2], usize::MAX)))
    })?;
    let argv = &argv[3..];
    let named = find(argv)?;
    match user.check(named, argv) {
        Ok(()) => reply.ok(),
        Err(denial) => reply.bulk(&denial.in_words(&full_name(named.0, named.1), argv)),
    }
    Ok(())
}

/// The command that DRYRUN is asked about.
fn find(argv: Argv<'_>) -> Result<Named, Fault> {
    let unknown = || Fault::text(format!("ERR Command '{}' not found", shown(argv[0], usize::MAX)));
    let command = super::lookup(argv[0]).filter(|row| !row.flags.contains(Flags::INTERNAL));
    let command = command.ok_or_else(unknown)?;
    let named = match argv.get(1) {
        Some(word) if !command.subcommands.is_empty() => {
            (Some(command), super::subcommand(command, word).ok_or_else(unknown)?)
        }
        _ => (None, command),
    };
    if !named.1.takes(argv.len()) {
        return Err(Fault::arity(&full_name(named.0, named.1)));
    }
    Ok(named)
}

const BITS: Fault = Fault::new(
    "ERR ACL GENPASS argument must be the number of bits for the output password, a positive \
     number up to 4096",
);

fn genpass(_: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let bits = match argv {
        [_, _] => 256,
        [_, _, bits] => {
            let bits = usize::try_from(integer(bits)?).ok();
            bits.filter(|bits| (1..=4096).contains(bits)).ok_or(BITS)?
        }
        _ => return Err(wrong_arguments(argv[1])),
    };
    let mut digits = clock::secret_hex(bits.div_ceil(8)).into_bytes();
    digits.truncate(bits.div_ceil(4));
    reply.bulk(&digits);
    Ok(())
}

fn gentoken(_: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (name, password) = match argv {
        [_, _, name] => (name, None),
        [_, _, name, password] => (name, Some(*password)),
        _ => return Err(wrong_arguments(argv[1])),
    };
    valid_name(name)?;
    let token = token::generate(name, password).map_err(|_| {
        Fault::new("ERR the password is too easy to guess, make it longer or leave it out")
    })?;
    reply.bulk(token.as_bytes());
    Ok(())
}

fn resttoken(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (name, password) = (argv[2], argv[3]);
    let token = door::token_of(node, session, argv[1], name, password)?;
    reply.bulk(token.as_bytes());
    Ok(())
}

fn getuser(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let users = node.access.users();
    let Some(user) = users.get(argv[2]) else {
        reply.null();
        return Ok(());
    };
    reply.map(6);
    reply.bulk(b"flags");
    let flags = user.flags();
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(user.passwords.len());
    user.passwords.iter().for_each(|hash| reply.bulk(hash.digits().as_bytes()));
    let selectors = user.selectors.iter();
    selectors.clone().take(1).for_each(|root| selector(root, reply));
    reply.bulk(b"selectors");
    reply.array(user.selectors.len().saturating_sub(1));
    for other in selectors.skip(1) {
        reply.map(3);
        selector(other, reply);
    }
    Ok(())
}

/// What GETUSER says of a selector.
fn selector(selector: &Selector, reply: &mut dyn Reply) {
    reply.bulk(b"commands");
    reply.bulk(selector.command_rules().as_bytes());
    reply.bulk(b"keys");
    reply.bulk(&selector.key_rules());
    reply.bulk(b"channels");
    reply.bulk(&selector.channel_rules());
}

fn list(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let users = node.access.users();
    let lines: Vec<Vec<u8>> = users.iter().map(|user| user.line()).collect();
    reply.array(lines.len());
    lines.iter().for_each(|line| reply.bulk(line));
    Ok(())
}

const NO_FILE: Fault = Fault::new(
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users \
     via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis \
     configuration file set) in order to store users in the Redis configuration.",
);

fn load(node: &Node, session: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let config = node.config.load();
    if config.aclfile.is_empty() {
        return Err(NO_FILE);
    }
    file::load(&node.access, &config, Path::new(&config.aclfile))
        .map_err(|why| Fault::text(format!("ERR {why}")))?;
    // As in Redis 7.0, all of them, whether their users have changed or not.
    door::close_clients(node, session, |name| name != DEFAULT);
    reply.ok();
    Ok(())
}

fn save(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let config = node.config.load();
    if config.aclfile.is_empty() {
        return Err(NO_FILE);
    }
    file::save(&node.access, &config, Path::new(&config.aclfile)).map_err(|error| {
        tracing::warn!("cannot write the users to {}: {error}", config.aclfile);
        Fault::new(
            "ERR There was an error trying to save the ACLs. Please check the server logs for \
             more information",
        )
    })?;
    reply.ok();
    Ok(())
}

fn log(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let count = match argv {
        [_, _] => 10,
        [_, _, word] if is(word, "RESET") => {
            node.access.log.lock().clear();
            reply.ok();
            return Ok(());
        }
        [_, _, count] => usize::try_from(integer(count)?).unwrap_or(0),
        _ => return Err(wrong_arguments(argv[1])),
    };
    let log = node.access.log.lock();
    let entries = log.latest(count);
    reply.array(entries.len());
    for entry in entries {
        reply.map(7);
        reply.bulk(b"count");
        reply.integer(i64::try_from(entry.count).unwrap_or(i64::MAX));
        for (name, value) in [
            ("reason", entry.reason.as_bytes()),
            ("context", entry.context.as_bytes()),
            ("object", &entry.object),
            ("username", &entry.user),
        ] {
            reply.bulk(name.as_bytes());
            reply.bulk(value);
        }
        reply.bulk(b"age-seconds");
        reply.double(session.now.saturating_sub(entry.at) as f64 / 1000.0);
        reply.bulk(b"client-info");
        reply.bulk(entry.client.as_bytes());
    }
    Ok(())
}

/// Whether a user may be called this.
fn valid_name(name: &[u8]) -> Outcome {
    if is_name(name) {
        return Ok(());
    }
    Err(Fault::new("ERR Usernames can't contain spaces or null characters"))
}

fn setuser(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let name = argv[2];
    valid_name(name)?;
    let rules = join_selectors(&argv[3..]).map_err(|word| {
        Fault::text(format!(
            "ERR Unmatched parenthesis in acl selector starting at '{}'.",
            shown(word, usize::MAX)
        ))
    })?;
    let channels = node.config.load().acl_pubsub_default;
    let changed = node.access.try_change(|users| {
        let mut user = match users.get(name) {
            Some(user) => User::clone(user),
            None => User::new(node.access.new_id(), name, channels),
        };
        for rule in &rules {
            user.apply(rule, channels).map_err(|error| {
                Fault::text(format!(
                    "ERR Error in ACL SETUSER modifier '{}': {error}",
                    shown(rule, usize::MAX)
                ))
            })?;
        }
        users.insert(user.clone());
        Ok::<_, Fault>(user)
    })?;
    door::close_listeners(node, &changed);
    reply.ok();
    Ok(())
}

fn users(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let users = node.access.users();
    let names: Vec<&[u8]> = users.iter().map(|user| &*user.name).collect();
    reply.bulks(&names);
    Ok(())
}

fn whoami(_: &Node, session: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.bulk(session.identity.name());
    Ok(())
}

fn show_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    help(
        "ACL",
        &[
            (
                "CAT [<category>]",
                "Show the commands of <category>, or the names of all categories.",
            ),
            ("DELUSER <username> [<username> ...]", "Remove users and close their connections."),
            (
                "DRYRUN <username> <command> [<arg> ...]",
                "Tell whether the user may run the command, without running it.",
            ),
            ("GENPASS [<bits>]", "Make a password of 256 bits, or of so many."),
            (
                "GENTOKEN <username> [<password>]",
                "Make a token to be given to the user as a password.",
            ),
            ("GETUSER <username>", "Show the rules of a user."),
            ("LIST", "Show all users as lines of a file of users."),
            ("LOAD", "Read the users from the file again."),
            ("LOG [<count> | RESET]", "Show what was refused lately, or forget it."),
            (
                "RESTTOKEN <username> <password>",
                "Show the token with which the user comes in over REST.",
            ),
            ("SAVE", "Write the users to the file."),
            ("SETUSER <username> [<rule> ...]", "Make a user, or apply rules to it."),
            ("USERS", "Show the names of all users."),
            ("WHOAMI", "Show the name of the connection's user."),
        ],
        reply,
    );
    Ok(())
}
