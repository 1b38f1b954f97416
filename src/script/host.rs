//! What a running script asks of the engine, and how it is found from inside of Lua.
//!
//! Functions that Lua calls are made once a VM and cannot carry what one script runs with, so
//! that lies in a place of the thread as long as the script runs.

use scoped_tls_hkt::{ReborrowMut, scoped_thread_local};

use super::busy::Verdict;
use crate::command::Argv;
use crate::fault::Fault;
use crate::resp::Reply;

/// What came of a command that a script has called.
#[derive(Debug)]
pub enum Answered {
    /// It was run, and has answered.
    Yes,
    /// It was refused, or has failed.
    Failed(Fault),
    /// The script has been ended.
    Killed,
}

/// What a running script asks of the engine.
pub trait Host {
    /// Runs a command.
    fn call(&mut self, argv: Argv<'_>, reply: &mut dyn Reply) -> Answered;

    /// Whether the user may run a command; `None` when there is no such command.
    fn may_call(&mut self, argv: Argv<'_>) -> Option<bool>;

    /// Looks at the time, and whether the script has been ended.
    fn look(&mut self) -> Verdict;
}

/// A host for as long as it is lent.
pub(super) struct Lent<'a>(pub(super) &'a mut (dyn Host + 'a));

impl<'a, 'b: 'a> ReborrowMut<'a> for Lent<'b> {
    type Result = Lent<'a>;
    fn reborrow_mut(&'a mut self) -> Lent<'a> {
        Lent(&mut *self.0)
    }
}

scoped_thread_local!(pub(super) static mut HOST: for<'a> Lent<'a>);
