//! What the rows of one family have in common.

use super::{Command, Flags, Group, Keys, Run};

/// What is true of every row of a family that does not say otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name.
    pub group: Group,
    /// What its commands cost.
    pub complexity: &'static str,
}

impl Family {
    /// A family whose commands look at one place.
    pub const fn new(group: Group) -> Family {
        Family { group, complexity: "O(1)" }
    }

    /// A row of it: a command on the key right behind its name.
    #[expect(clippy::too_many_arguments, reason = "the cells of a row, each of another kind")]
    pub const fn row(
        self,
        name: &'static str,
        syntax: &'static str,
        summary: &'static str,
        since: &'static str,
        arity: isize,
        flags: Flags,
        run: Run,
    ) -> Command {
        Command {
            name,
            syntax,
            summary,
            since,
            complexity: self.complexity,
            group: self.group,
            arity,
            keys: Keys::FIRST,
            flags,
            run,
            subcommands: &[],
        }
    }
}
