//! Transactions: the rows. The engine does what they say, since it holds the locks.

use super::{Command, Control, Family, Flags, Group, Keys, Run};

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row("multi", "", "Starts a transaction.", "1.2.0", 1, Control::Begin),
    Command {
        flags: flags()
            .difference(Flags::FAST)
            .difference(Flags::ALLOW_BUSY)
            .union(Flags::SKIP_SLOWLOG),
        complexity: "Depends on commands in the transaction",
        ..row("exec", "", "Executes all commands in a transaction.", "1.2.0", 1, Control::Execute)
    },
    row("discard", "", "Discards a transaction.", "2.0.0", 1, Control::Discard),
    Command {
        keys: Keys::ALL,
        ..row(
            "watch",
            "key [key ...]",
            "Monitors changes to keys to determine the execution of a transaction.",
            "2.2.0",
            -2,
            Control::Watch,
        )
    },
    Command {
        // Inside MULTI it is queued, and then does nothing: EXEC has forgotten the keys.
        flags: flags().difference(Flags::NOT_QUEUED),
        ..row(
            "unwatch",
            "",
            "Forgets about watched keys of a transaction.",
            "2.2.0",
            1,
            Control::Unwatch,
        )
    },
];

const fn flags() -> Flags {
    Flags::NOSCRIPT
        .union(Flags::LOADING)
        .union(Flags::STALE)
        .union(Flags::FAST)
        .union(Flags::ALLOW_BUSY)
        .union(Flags::NO_REST)
        .union(Flags::NOT_QUEUED)
}

const fn row(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    since: &'static str,
    arity: isize,
    control: Control,
) -> Command {
    let family = Family::new(Group::Transactions);
    let run = Run::Transaction(control);
    Command { keys: Keys::None, ..family.row(name, syntax, summary, since, arity, flags(), run) }
}
