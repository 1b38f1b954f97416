//! LuaJIT with its compiler off, one VM a worker thread: made at the thread's first script.
//!
//! A VM keeps the scripts that it has compiled, by text and by digest, and starts anew when the
//! node's scripts are flushed. Its memory is bounded, and a hook looks at the time every so many
//! instructions; once a script has been ended the hook fails at every one, so that no `pcall` of
//! the script's can go on. Libraries that reach outside (`io`, `os`, `debug`, `ffi`, `jit`,
//! `package`) are not loaded at all.

use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

use foldhash::quality::RandomState;
use mlua::{Function, HookTriggers, Lua, LuaOptions, LuaString, StdLib, Table, Value, VmState};

use super::busy::Verdict;
use super::host::{HOST, Host, Lent};
use super::registry::{self, Origin, Script, Sha};
use super::{Scripts, answer, api, source};
use crate::fault::{Fault, Outcome};
use crate::limits::{COMPILED_SCRIPTS, SCRIPT_MEMORY, SCRIPT_STEPS};
use crate::resp::Reply;
use crate::resp::reply::Protocol;

const PRELUDE: &str = include_str!("prelude.lua");

/// What frames of the prelude are called, so that errors pass over them.
pub(super) const PRELUDE_NAME: &str = "=prelude";

/// The words that tables of answers are made of, made once.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) err: LuaString,
    pub(super) ok: LuaString,
    pub(super) double: LuaString,
    pub(super) map: LuaString,
    pub(super) set: LuaString,
    pub(super) big_number: LuaString,
    pub(super) verbatim_string: LuaString,
    pub(super) format: LuaString,
    pub(super) string: LuaString,
    pub(super) counted: LuaString,
    pub(super) source: LuaString,
    pub(super) line: LuaString,
}

impl Names {
    fn new(lua: &Lua) -> mlua::Result<Names> {
        let name = |text: &str| lua.create_string(text);
        Ok(Names {
            err: name("err")?,
            ok: name("ok")?,
            double: name("double")?,
            map: name("map")?,
            set: name("set")?,
            big_number: name("big_number")?,
            verbatim_string: name("verbatim_string")?,
            format: name("format")?,
            string: name("string")?,
            counted: name("ignore_error_stats_update")?,
            source: name("source")?,
            line: name("line")?,
        })
    }
}

/// What the functions of a VM share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) names: Names,
    /// What `redis.setresp` has chosen.
    pub(super) protocol: Cell<Protocol>,
    /// The line at which the script was ended, if it was.
    pub(super) killed: Cell<Option<usize>>,
    /// Whether a call of the engine's has begun and not ended.
    pub(super) calling: Cell<bool>,
    /// What the script has set of cjson.
    pub(super) json: Cell<super::cjson::Settings>,
}

/// A script in the form of one VM.
#[derive(Debug)]
pub struct Compiled {
    /// The script.
    pub script: Arc<Script>,
    /// Its digest, as errors show it.
    pub name: String,
    function: Function,
}

/// A script by its text.
#[derive(Debug)]
struct ByText(Arc<Script>);

impl Borrow<[u8]> for ByText {
    fn borrow(&self) -> &[u8] {
        &self.0.text
    }
}

impl Hash for ByText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl PartialEq for ByText {
    fn eq(&self, other: &ByText) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for ByText {}

/// See the module's description.
#[derive(Debug)]
pub struct Vm {
    lua: Lua,
    shared: Rc<Shared>,
    compile: Function,
    run: Function,
    invoke: Function,
    /// What the node's scripts were called when this VM was made.
    generation: u64,
    by_text: RefCell<HashMap<ByText, Rc<Compiled>, RandomState>>,
    by_sha: RefCell<HashMap<Sha, Rc<Compiled>, RandomState>>,
}

thread_local! {
    static VM: RefCell<Option<Rc<Vm>>> = const { RefCell::new(None) };
}

/// A failure of Lua's own, in place of which a script cannot be run at all.
pub(super) fn broken(error: &mlua::Error) -> Fault {
    tracing::warn!("a Lua VM failed: {error}");
    Fault::new("ERR not enough memory to run a script")
}

impl Vm {
    /// This thread's VM for the scripts of a node.
    fn of(scripts: &Scripts) -> Result<Rc<Vm>, Fault> {
        let generation = scripts.registry.generation();
        VM.with_borrow_mut(|mine| {
            if let Some(vm) = mine
                && vm.generation == generation
            {
                return Ok(Rc::clone(vm));
            }
            let vm = Rc::new(Vm::new(generation).map_err(|error| broken(&error))?);
            *mine = Some(Rc::clone(&vm));
            Ok(vm)
        })
    }

    fn new(generation: u64) -> mlua::Result<Vm> {
        let libraries = StdLib::STRING | StdLib::TABLE | StdLib::MATH | StdLib::BIT;
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        let shared = Rc::new(Shared {
            names: Names::new(&lua)?,
            protocol: Cell::new(Protocol::V2),
            killed: Cell::new(None),
            calling: Cell::new(false),
            json: Cell::default(),
        });
        let raw = api::functions(&lua, &shared)?;
        let (compile, run, invoke) =
            lua.load(PRELUDE).set_name(PRELUDE_NAME).call::<(Function, Function, Function)>(raw)?;
        look_every(&lua, &shared, SCRIPT_STEPS)?;
        lua.set_memory_limit(SCRIPT_MEMORY)?;
        Ok(Vm {
            lua,
            shared,
            compile,
            run,
            invoke,
            generation,
            by_text: RefCell::default(),
            by_sha: RefCell::default(),
        })
    }

    /// The script of a text, which from now on the node knows.
    ///
    /// # Errors
    /// When it does not compile.
    pub fn of_text(
        scripts: &Scripts,
        text: &[u8],
        origin: Origin,
    ) -> Result<(Rc<Vm>, Rc<Compiled>), Fault> {
        let vm = Vm::of(scripts)?;
        if origin == Origin::Eval {
            let known = vm.by_text.borrow().get(text).cloned();
            if let Some(compiled) = known
                && compiled.script.is_listed()
            {
                return Ok((vm, compiled));
            }
        }
        let sha = registry::digest(text);
        let script = match scripts.registry.get(&sha) {
            Some(script) => script,
            None => Arc::new(Script::new(sha, text)?),
        };
        let mut compiled = vm.compiled(script)?;
        let known = scripts.registry.add(Arc::clone(&compiled.script), origin)?;
        if !Arc::ptr_eq(&known, &compiled.script) {
            // Another worker was quicker: its text is the node's.
            compiled = vm.compiled(known)?;
        }
        Ok((vm, compiled))
    }

    /// The script of a digest, if the node knows it.
    ///
    /// # Errors
    /// `NOSCRIPT`.
    pub fn of_digest(scripts: &Scripts, hex: &[u8]) -> Result<(Rc<Vm>, Rc<Compiled>), Fault> {
        const NO_SCRIPT: Fault = Fault::new("NOSCRIPT No matching script. Please use EVAL.");
        let sha = registry::parse(hex).ok_or(NO_SCRIPT)?;
        let vm = Vm::of(scripts)?;
        let known = vm.by_sha.borrow().get(&sha).cloned();
        if let Some(compiled) = known
            && compiled.script.is_listed()
        {
            return Ok((vm, compiled));
        }
        let script = scripts.registry.get(&sha).ok_or(NO_SCRIPT)?;
        let compiled = vm.compiled(script)?;
        Ok((vm, compiled))
    }

    /// A script in this VM's form.
    fn compiled(&self, script: Arc<Script>) -> Result<Rc<Compiled>, Fault> {
        let function = self.compile(&script.text[script.start..])?;
        let name = registry::hex(&script.sha);
        let compiled = Rc::new(Compiled { script: Arc::clone(&script), name, function });
        let (mut by_text, mut by_sha) = (self.by_text.borrow_mut(), self.by_sha.borrow_mut());
        if by_sha.len() >= COMPILED_SCRIPTS {
            by_text.clear();
            by_sha.clear();
        }
        by_sha.insert(script.sha, Rc::clone(&compiled));
        // The key as well as the value is the new one: it may be that of another registration.
        by_text.remove(&*script.text);
        by_text.insert(ByText(script), Rc::clone(&compiled));
        Ok(compiled)
    }

    fn compile(&self, program: &[u8]) -> Result<Function, Fault> {
        let changed = source::without_tail_calls(program);
        let program = changed.as_deref().unwrap_or(program);
        let program = self.lua.create_string(program).map_err(|error| broken(&error))?;
        let (function, why) = self
            .compile
            .call::<(Option<Function>, Option<LuaString>)>(program)
            .map_err(|error| broken(&error))?;
        function.ok_or_else(|| {
            let why = why.map(|why| why.to_string_lossy()).unwrap_or_default();
            Fault::text(format!("ERR Error compiling script (new function): {why}"))
        })
    }

    fn texts(&self, texts: &[&[u8]]) -> mlua::Result<Table> {
        let table = self.lua.create_table_with_capacity(texts.len(), 0)?;
        for (index, text) in texts.iter().enumerate() {
            table.raw_set(index + 1, self.lua.create_string(text)?)?;
        }
        Ok(table)
    }
}

/// Has the hook called every so many instructions.
fn look_every(lua: &Lua, shared: &Rc<Shared>, steps: u32) -> mlua::Result<()> {
    let shared = Rc::clone(shared);
    let triggers = HookTriggers::new().every_nth_instruction(steps);
    lua.set_global_hook(triggers, move |lua, debug| {
        if shared.killed.get().is_none() {
            if !HOST.is_set() || HOST.with(|host| host.0.look()) == Verdict::Goes {
                return Ok(VmState::Continue);
            }
            let line =
                debug.current_line().filter(|_| !is_prelude(debug.source().source.as_deref()));
            shared.killed.set(Some(line.unwrap_or(0)));
            // From now on at every instruction: outside of a `pcall` too.
            look_every(lua, &shared, 1)?;
        }
        Err(mlua::Error::runtime("Script killed by user with SCRIPT KILL..."))
    })
}

pub(super) fn is_prelude(source: Option<&str>) -> bool {
    source == Some(PRELUDE_NAME)
}

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
        let (keys, arguments) = (vm.texts(keys)?, vm.texts(arguments)?);
        vm.run.call((&compiled.function, keys, arguments))
    });
    let outcome = vm.conclude(ran, &compiled.name, reply);
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
        name: &str,
        reply: &mut dyn Reply,
    ) -> Outcome {
        let protocol = self.shared.protocol.replace(Protocol::V2);
        self.shared.json.take();
        if self.shared.calling.replace(false) {
            // A panic that the script has caught: it ends this connection all the same.
            std::panic::resume_unwind(Box::new("a command that a script called has panicked"));
        }
        if let Some(line) = self.shared.killed.take() {
            let _ = look_every(&self.lua, &self.shared, SCRIPT_STEPS);
            let place = if line == 0 { String::new() } else { place(name, "@user_script", line) };
            return Err(Fault::text(format!(
                "ERR Script killed by user with SCRIPT KILL...{place}"
            )));
        }
        match ran {
            Ok((true, value)) => answer::write(&self.shared.names, value, protocol, reply),
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

/// An error of mlua's without the trace of Rust and Lua calls that it carries.
pub(super) fn shortly(error: &mlua::Error) -> String {
    let text = match error {
        mlua::Error::CallbackError { cause, .. } => shortly(cause),
        mlua::Error::MemoryError(_) => "not enough memory".to_owned(),
        mlua::Error::RuntimeError(text) => text.clone(),
        other => other.to_string(),
    };
    text.split('\n').next().unwrap_or_default().to_owned()
}

/// Throws the VM of this thread away unless it is forgotten: after a panic nobody knows what
/// state it is in.
struct Spoilt<'v>(&'v Rc<Vm>);

impl Drop for Spoilt<'_> {
    fn drop(&mut self) {
        self.0.shared.calling.set(false);
        VM.with(|mine| {
            if let Ok(mut mine) = mine.try_borrow_mut() {
                *mine = None;
            }
        });
    }
}
