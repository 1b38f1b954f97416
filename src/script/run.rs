//! Runs what a VM has compiled, and says what came of it: an answer, an error in Redis' words,
//! or that it was ended.

use std::rc::Rc;

use mlua::{LuaString, Value};

use super::answer;
use super::busy::Kind;
use super::host::{HOST, Host, Lent};
use super::vm::{Compiled, KEPT_BYTES, Spoilt, Vm, look_every, shortly, unbounded};
use crate::fault::{Fault, Outcome};
use crate::limits::SCRIPT_STEPS;
use crate::resp::Reply;
use crate::resp::reply::Protocol;

/// What came of a script.
#[derive(Debug)]
pub enum Ran {
    /// It has answered.
    Answered,
    /// It has failed, or was ended.
    Failed(Fault),
}

/// Runs a script: `keys` and `arguments` are what it finds in KEYS and ARGV.
pub fn run(
    vm: &Rc<Vm>,
    compiled: &Compiled,
    keys: &[&[u8]],
    arguments: &[&[u8]],
    host: &mut dyn Host,
    reply: &mut dyn Reply,
) -> Ran {
    let guard = Spoilt(vm);
    let ran = HOST.set(Lent(host), || -> mlua::Result<(bool, Value)> {
        let (keys, arguments) =
            unbounded(&vm.lua, || Ok::<_, mlua::Error>((vm.texts(keys)?, vm.texts(arguments)?)))?;
        let run = if compiled.kind == Kind::Script { &vm.run } else { &vm.invoke };
        run.call((&compiled.function, keys, arguments))
    });
    let outcome = vm.conclude(ran, compiled, reply);
    std::mem::forget(guard);
    match outcome {
        Ok(()) => Ran::Answered,
        Err(fault) => Ran::Failed(fault),
    }
}

impl Vm {
    /// Answers what a script has come to, and makes the VM ready for the next one.
    fn conclude(
        &self,
        ran: mlua::Result<(bool, Value)>,
        compiled: &Compiled,
        reply: &mut dyn Reply,
    ) -> Outcome {
        let name = compiled.name.as_str();
        let protocol = self.shared.protocol.replace(Protocol::V2);
        self.shared.json.take();
        if self.shared.calling.replace(false) {
            // A panic that the script has caught: it ends this connection all the same.
            std::panic::resume_unwind(Box::new("a command that a script called has panicked"));
        }
        if let Some(line) = self.shared.killed.take() {
            let _ = look_every(&self.lua, &self.shared, SCRIPT_STEPS);
            let place =
                if line == 0 { String::new() } else { place(name, compiled.kind.source(), line) };
            return Err(Fault::text(format!(
                "ERR Script killed by user with SCRIPT KILL...{place}"
            )));
        }
        let outcome = self.answer(ran, compiled, protocol, reply);
        if self.lua.used_memory() > KEPT_BYTES {
            // What one script has needed is not kept from the next.
            let _ = self.lua.gc_collect();
        }
        outcome
    }

    fn answer(
        &self,
        ran: mlua::Result<(bool, Value)>,
        compiled: &Compiled,
        protocol: Protocol,
        reply: &mut dyn Reply,
    ) -> Outcome {
        let name = compiled.name.as_str();
        match ran {
            Ok((true, value)) => {
                unbounded(&self.lua, || answer::write(&self.shared.names, value, protocol, reply))
            }
            Ok((false, error)) => Err(self.failure(&error, name)),
            Err(error) => Err(Fault::text(format!("ERR {}", shortly(&error)))),
        }
    }

    /// What to tell of an error that a script has not caught: a table, as `explain` leaves it.
    fn failure(&self, error: &Value, name: &str) -> Fault {
        let names = &self.shared.names;
        let Value::Table(error) = error else {
            let text = answer::text(error).unwrap_or_else(|| "execution failure".to_owned());
            return Fault::text(format!("ERR Error running script {name}, {text}"));
        };
        let field = |name: &LuaString| error.raw_get::<Value>(name).ok();
        let text = field(&names.err).as_ref().and_then(answer::text);
        let text = text.unwrap_or_else(|| "ERR unknown error".to_owned());
        let source = field(&names.source).as_ref().and_then(answer::text);
        let line = field(&names.line).and_then(|line| line.as_usize());
        match (source, line) {
            (Some(source), Some(line)) => {
                Fault::text(format!("{text}{}", place(name, &source, line)))
            }
            _ => Fault::text(text),
        }
    }
}

fn place(name: &str, source: &str, line: usize) -> String {
    format!(" script: {name}, on {source}:{line}.")
}
