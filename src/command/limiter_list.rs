//! RL.LIST: who is turned away and who passes, by value or by network.

use super::args::{Moment, at_least, expiry_option, is};
use super::limiter_rule::{WRITES, change, row};
use super::{Argv, Command, Flags, Run, help};
use crate::fault::{Fault, Outcome};
use crate::limits::LIST_VALUE_BYTES;
use crate::node::Node;
use crate::resp::Reply;
use crate::rules::list::{Side, check_networks};
use crate::rules::{self, Change, FOREVER};
use crate::session::Session;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[Command {
    complexity: "Depends on subcommand.",
    subcommands: SUBCOMMANDS,
    run: Run::Container,
    ..row("rl.list", "", "A container for the commands of deny and allow lists.", -2, check)
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        flags: WRITES.union(Flags::DENYOOM),
        complexity: "O(N) where N is the number of values.",
        ..row(
            "add",
            "name DENY | ALLOW value [value ...] [EX seconds | PX milliseconds | EXAT \
             unix-time-seconds | PXAT unix-time-milliseconds]",
            "Adds values or networks to a list.",
            -5,
            add,
        )
    },
    Command {
        flags: WRITES,
        complexity: "O(N) where N is the number of values.",
        ..row(
            "del",
            "name DENY | ALLOW [value [value ...]]",
            "Removes values or networks from a list, or all of one side.",
            -4,
            del,
        )
    },
    Command {
        complexity: "O(N) where N is the number of values.",
        ..row(
            "check",
            "name DENY | ALLOW value [value ...]",
            "Tells which values a list has, or a network of it.",
            -5,
            check,
        )
    },
    Command {
        complexity: "O(N) where N is the number of values returned.",
        ..row(
            "scan",
            "name DENY | ALLOW cursor [COUNT count]",
            "Returns the values of a list, page by page.",
            -5,
            scan,
        )
    },
    Command {
        flags: Flags::LOADING.union(Flags::STALE),
        ..row("help", "", "Returns helpful text about the different subcommands.", 2, show_help)
    },
];

/// Values of one side of a list.
pub(super) struct Values<'a> {
    name: &'a [u8],
    side: Side,
    values: Argv<'a>,
    expires_at: u64,
}

impl<'a> Values<'a> {
    /// Reads `name DENY|ALLOW value [value ...]`, with a time at the end if there is one.
    pub(super) fn read(argv: Argv<'a>, now: u64) -> Result<Values<'a>, Fault> {
        let (name, side) = side(argv)?;
        let (mut values, mut expires_at) = (&argv[4..], FOREVER);
        if let [rest @ .., word, time] = values
            && let (Some(moment), false) = (Moment::option(word), rest.is_empty())
        {
            expires_at = expiry_option(moment, time, now, "rl.list|add")?;
            values = rest;
        }
        Ok(Values { name, side, values, expires_at })
    }

    /// Adds them; answers how many are new.
    pub(super) fn add(&self, change: &Change<'_>, now: u64) -> Result<usize, Fault> {
        change.list_add(self.name, self.side, self.values, self.expires_at, now)
    }
}

/// The list and the side that arguments name.
fn side(argv: Argv<'_>) -> Result<(&[u8], Side), Fault> {
    rules::check_name(argv[2])?;
    let side = [Side::Deny, Side::Allow].into_iter().find(|side| is(argv[3], side.word()));
    Ok((argv[2], side.ok_or(Fault::SYNTAX)?))
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn add(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let now = session.now;
    let values = Values::read(argv, now)?;
    check_networks(values.values)?;
    let digits = values.expires_at.to_string();
    let mut words = argv[..4 + values.values.len()].to_vec();
    if values.expires_at != FOREVER {
        words.extend([&b"PXAT"[..], digits.as_bytes()]);
    }
    let added = change(node, session, &words, |change| Ok((values.add(change, now)?, true)))?;
    reply.integer(number(added));
    Ok(())
}

fn del(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let now = session.now;
    let (name, side) = side(argv)?;
    let removed = change(node, session, argv, |change| {
        let removed = change.list_remove(name, side, &argv[4..], now);
        Ok((removed, removed > 0))
    })?;
    reply.integer(number(removed));
    Ok(())
}

fn check(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (name, side) = side(argv)?;
    let list = node.keyspace.rules.list(name);
    reply.array(argv.len() - 4);
    for value in &argv[4..] {
        let has = list.as_ref().is_some_and(|list| {
            value.len() <= LIST_VALUE_BYTES && list.has(side, value, session.now)
        });
        reply.integer(has.into());
    }
    Ok(())
}

/// Values of a page unless COUNT says how many.
const PAGE: usize = 10;

fn scan(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (name, side) = side(argv)?;
    let cursor = super::scan::cursor(argv[4])?;
    let count = match &argv[5..] {
        [] => PAGE,
        [word, count] if is(word, "COUNT") => at_least(1, count, "ERR syntax error")?,
        _ => return Err(Fault::SYNTAX),
    };
    let list = node.keyspace.rules.list(name);
    let page = list.map(|list| list.scan(side, cursor, count, session.now));
    let (next, values) = page.unwrap_or_default();
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.array(values.len());
    values.iter().for_each(|(value, _)| reply.bulk(value));
    Ok(())
}

fn show_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    help(
        "RL.LIST",
        &[
            ("ADD <name> DENY|ALLOW <value> [<value> ...] [EX <seconds>]", "Add values."),
            ("DEL <name> DENY|ALLOW [<value> ...]", "Remove values, or all of a side."),
            ("CHECK <name> DENY|ALLOW <value> [<value> ...]", "Return which values it has."),
            ("SCAN <name> DENY|ALLOW <cursor> [COUNT <count>]", "Return values, page by page."),
        ],
        reply,
    );
    Ok(())
}
