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
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;
use mlua::{Function, HookTriggers, Lua, LuaOptions, LuaString, StdLib, Table, Value, VmState};

use super::busy::{Kind, Verdict};
use super::host::{Answered, HOST, Host, Lent};
use super::library::{self, Described, Library};
use super::native::{self, Native};
use super::registry::{self, Origin, Script, Sha};
use super::shebang::ScriptFlags;
use super::{Scripts, Share, answer, api, source};
use crate::clock;
use crate::command::Argv;
use crate::fault::Fault;
use crate::limits::{COMPILED_SCRIPTS, LIBRARY_LOAD_MS, SCRIPT_MEMORY, SCRIPT_STEPS};
use crate::resp::Reply;
use crate::resp::reply::Protocol;

const PRELUDE: &str = include_str!("prelude.lua");

/// Bytes that a VM may keep without looking for what nobody needs any more.
pub(super) const KEPT_BYTES: usize = 16 * 1024 * 1024;

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
    /// The functions of the library that is being loaded.
    pub(super) registered: RefCell<Vec<Registered>>,
    /// What the script has set of cjson.
    pub(super) json: Cell<super::cjson::Settings>,
}

/// A script or a function in the form of one VM.
#[derive(Debug)]
pub struct Compiled {
    /// What it is.
    pub kind: Kind,
    /// The digest of a script, or the name of a function: what errors call it.
    pub name: String,
    /// What it may do.
    pub flags: ScriptFlags,
    /// Its native form, if it is a script that has one.
    pub native: Option<&'static Native>,
    /// The script, if it is one.
    script: Option<Arc<Script>>,
    pub(super) function: Function,
}

impl Compiled {
    /// Whether the node still knows it.
    fn is_listed(&self) -> bool {
        self.script.as_ref().is_some_and(|script| script.is_listed())
    }
}

/// A function that a library has registered.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) about: Described,
    pub(super) callback: Function,
}

/// A library whose code this VM has run.
#[derive(Debug)]
struct Loaded {
    library: Arc<Library>,
    /// By name in lower case.
    functions: HashMap<String, Rc<Compiled>, RandomState>,
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
    pub(super) lua: Lua,
    pub(super) shared: Rc<Shared>,
    compile: Function,
    pub(super) run: Function,
    pub(super) invoke: Function,
    /// What the node's scripts were called when this VM was made.
    generation: u64,
    by_text: RefCell<HashMap<ByText, Rc<Compiled>, RandomState>>,
    by_sha: RefCell<HashMap<Sha, Rc<Compiled>, RandomState>>,
    load_library: Function,
    loaded: RefCell<HashMap<String, Loaded, RandomState>>,
    /// What the node's libraries were called when `loaded` was looked through.
    libraries: Cell<u64>,
    /// What it says of its memory.
    share: Share,
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
            let vm = Rc::new(Vm::new(scripts, generation).map_err(|error| broken(&error))?);
            *mine = Some(Rc::clone(&vm));
            Ok(vm)
        })
    }

    fn new(scripts: &Scripts, generation: u64) -> mlua::Result<Vm> {
        let libraries = StdLib::STRING | StdLib::TABLE | StdLib::MATH | StdLib::BIT;
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        let shared = Rc::new(Shared {
            names: Names::new(&lua)?,
            protocol: Cell::new(Protocol::V2),
            killed: Cell::new(None),
            calling: Cell::new(false),
            registered: RefCell::default(),
            json: Cell::default(),
        });
        let raw = api::functions(&lua, &shared)?;
        let (compile, run, invoke, load_library) = lua
            .load(PRELUDE)
            .set_name(PRELUDE_NAME)
            .call::<(Function, Function, Function, Function)>(raw)?;
        look_every(&lua, &shared, SCRIPT_STEPS)?;
        lua.set_memory_limit(SCRIPT_MEMORY)?;
        let share = Share::of(&scripts.vm_bytes);
        share.set(lua.used_memory());
        Ok(Vm {
            lua,
            shared,
            compile,
            run,
            invoke,
            generation,
            by_text: RefCell::default(),
            by_sha: RefCell::default(),
            load_library,
            loaded: RefCell::default(),
            libraries: Cell::new(0),
            share,
        })
    }

    /// The function of a name, if a library has it.
    ///
    /// # Errors
    /// When there is none, or its library cannot be loaded any more.
    pub fn of_function(scripts: &Scripts, name: &[u8]) -> Result<(Rc<Vm>, Rc<Compiled>), Fault> {
        const NOT_FOUND: Fault = Fault::new("ERR Function not found");
        let vm = Vm::of(scripts)?;
        let generation = scripts.libraries.generation();
        let set = scripts.libraries.set();
        if vm.libraries.replace(generation) != generation {
            let current = |loaded: &Loaded| {
                let known = set.libraries.get(&loaded.library.name);
                known.is_some_and(|known| Arc::ptr_eq(known, &loaded.library))
            };
            vm.loaded.borrow_mut().retain(|_, loaded| current(loaded));
        }
        let library = set.of_function(name).ok_or(NOT_FOUND)?;
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if !vm.loaded.borrow().contains_key(&library.name) {
            let registered = vm.load(&library.code)?.1;
            vm.keep(library, registered);
        }
        let loaded = vm.loaded.borrow();
        let found = loaded.get(&library.name).and_then(|loaded| loaded.functions.get(&name));
        let function = found.cloned().ok_or(NOT_FOUND)?;
        drop(loaded);
        Ok((vm, function))
    }

    /// Makes a library of its code, by running it once.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn library(scripts: &Scripts, code: &[u8]) -> Result<Library, Fault> {
        let vm = Vm::of(scripts)?;
        let (name, registered) = vm.load(code)?;
        let functions = registered.into_iter().map(|function| function.about).collect();
        Ok(Library { name, code: code.into(), functions })
    }

    /// Runs the code of a library; answers its name and its functions.
    fn load(&self, code: &[u8]) -> Result<(String, Vec<Registered>), Fault> {
        let head = library::head(code)?;
        let program = self.program(&code[head.start..], "user_function", "function")?;
        self.shared.registered.borrow_mut().clear();
        let mut host = Loading { start: clock::instant() };
        let guard = Spoilt(self);
        let ran =
            HOST.set(Lent(&mut host), || self.load_library.call::<(bool, bool, Value)>(program));
        std::mem::forget(guard);
        let registered = std::mem::take(&mut *self.shared.registered.borrow_mut());
        let timeout = self.shared.killed.take().is_some();
        if timeout {
            let _ = look_every(&self.lua, &self.shared, SCRIPT_STEPS);
        }
        let why = match ran {
            _ if timeout => "ERR FUNCTION LOAD timeout".to_owned(),
            Ok((true, true, _)) if registered.is_empty() => {
                return Err(Fault::new("ERR No functions registered"));
            }
            Ok((true, true, _)) => return Ok((head.name, registered)),
            Ok((false, _, why)) => {
                let why = answer::text(&why).unwrap_or_default();
                return Err(Fault::text(format!("ERR Error compiling function: {why}")));
            }
            Ok((true, false, Value::Table(failure))) => {
                let text = failure.raw_get::<Value>(&self.shared.names.err).ok();
                text.as_ref().and_then(answer::text).unwrap_or_default()
            }
            Ok((true, false, other)) => answer::text(&other).unwrap_or_default(),
            Err(error) => format!("ERR {}", shortly(&error)),
        };
        Err(Fault::text(format!("ERR Error registering functions: {why}")))
    }

    fn keep(&self, library: &Arc<Library>, registered: Vec<Registered>) {
        let functions = registered.into_iter().map(|function| {
            let Registered { about, callback } = function;
            let compiled = Compiled {
                kind: Kind::Function,
                name: about.name.clone(),
                flags: about.flags,
                native: None,
                script: None,
                function: callback,
            };
            (about.name.to_ascii_lowercase(), Rc::new(compiled))
        });
        let loaded = Loaded { library: Arc::clone(library), functions: functions.collect() };
        self.loaded.borrow_mut().insert(library.name.clone(), loaded);
        self.share.set(self.lua.used_memory());
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
                && compiled.is_listed()
            {
                return Ok((vm, compiled));
            }
        }
        let sha = registry::digest(text);
        let script = match scripts.registry.get(&sha) {
            Some(script) => script,
            None => Arc::new(Script::new(sha, text)?),
        };
        let mut compiled = vm.compiled(Arc::clone(&script))?;
        let known = scripts.registry.add(Arc::clone(&script), origin)?;
        if !Arc::ptr_eq(&known, &script) {
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
        let sha = registry::parse(hex).ok_or(registry::NO_SCRIPT)?;
        let vm = Vm::of(scripts)?;
        let known = vm.by_sha.borrow().get(&sha).cloned();
        if let Some(compiled) = known
            && compiled.is_listed()
        {
            return Ok((vm, compiled));
        }
        let script = scripts.registry.get(&sha).ok_or(registry::NO_SCRIPT)?;
        let compiled = vm.compiled(script)?;
        Ok((vm, compiled))
    }

    /// A script in this VM's form.
    fn compiled(&self, script: Arc<Script>) -> Result<Rc<Compiled>, Fault> {
        let function = self.compile(&script.text[script.start..])?;
        let compiled = Rc::new(Compiled {
            kind: Kind::Script,
            name: registry::hex(&script.sha),
            flags: script.flags,
            native: native::find(&script.sha),
            script: Some(Arc::clone(&script)),
            function,
        });
        let (mut by_text, mut by_sha) = (self.by_text.borrow_mut(), self.by_sha.borrow_mut());
        if by_sha.len() >= COMPILED_SCRIPTS {
            by_text.clear();
            by_sha.clear();
        }
        by_sha.insert(script.sha, Rc::clone(&compiled));
        // The key as well as the value is the new one: it may be that of another registration.
        by_text.remove(&*script.text);
        by_text.insert(ByText(script), Rc::clone(&compiled));
        self.share.set(self.lua.used_memory());
        Ok(compiled)
    }

    fn compile(&self, program: &[u8]) -> Result<Function, Fault> {
        let program = self.program(program, "user_script", "script (new function)")?;
        let (function, why) = self
            .compile
            .call::<(Option<Function>, Option<LuaString>)>(program)
            .map_err(|error| broken(&error))?;
        function.ok_or_else(|| {
            let why = why.map(|why| why.to_string_lossy()).unwrap_or_default();
            Fault::text(format!("ERR Error compiling script (new function): {why}"))
        })
    }

    /// The text of a program in the form in which it is compiled.
    fn program(&self, text: &[u8], chunk: &str, what: &str) -> Result<LuaString, Fault> {
        if let Some(why) = source::foreign(text) {
            return Err(Fault::text(format!("ERR Error compiling {what}: {chunk}:{why}")));
        }
        let changed = source::without_tail_calls(text);
        self.lua.create_string(changed.as_deref().unwrap_or(text)).map_err(|error| broken(&error))
    }

    pub(super) fn texts(&self, texts: &[&[u8]]) -> mlua::Result<Table> {
        self.lua.create_sequence_from(texts.iter().map(LuaString::wrap))
    }
}

/// What the code of a library is run with: no commands, and a time by which it has to end.
struct Loading {
    start: Instant,
}

impl Host for Loading {
    fn call(&mut self, _: Argv<'_>, _: &mut dyn Reply) -> Answered {
        Answered::Failed(Fault::new("ERR no commands while a library is loaded"))
    }

    fn may_call(&mut self, _: Argv<'_>) -> Option<bool> {
        Some(false)
    }

    fn look(&mut self) -> Verdict {
        let late = self.start.elapsed() > Duration::from_millis(LIBRARY_LOAD_MS);
        if late { Verdict::Killed } else { Verdict::Goes }
    }
}

/// Has the hook called every so many instructions.
pub(super) fn look_every(lua: &Lua, shared: &Rc<Shared>, steps: u32) -> mlua::Result<()> {
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

/// Throws the VM of this thread away unless it is forgotten: after a panic nobody knows what
/// state it is in.
pub(super) struct Spoilt<'v>(pub(super) &'v Vm);

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

/// Makes Lua values outside of the bound of memory: inside, mlua has to expect that every one of
/// them fails, which costs several times as much. Whatever goes beyond is noticed by the next
/// allocation of the script's own.
pub(super) fn unbounded<R>(lua: &Lua, make: impl FnOnce() -> R) -> R {
    // Only a VM without an allocator of mlua's refuses a bound, and none is.
    let _ = lua.set_memory_limit(0);
    let made = make();
    let _ = lua.set_memory_limit(SCRIPT_MEMORY);
    made
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
