//! Scripts: Lua that runs inside the node, atomically.
//!
//! `vm` is LuaJIT with the world that `prelude.lua` makes of it, one a worker; `host` is what a
//! running script asks of the engine; `api` the functions of `redis`; `reply` makes Lua values of
//! answers and `answer` answers of Lua values. `registry` has the texts of the whole node, and
//! `busy` those scripts that take long.
//!
//! What a script may touch and how it is locked is the engine's: see `engine::script`. Left out on
//! purpose: the debugger (SCRIPT DEBUG).

mod answer;
#[expect(clippy::needless_pass_by_value, reason = "mlua hands arguments over by value")]
mod api;
pub mod busy;
mod cjson;
mod cmsgpack;
mod host;
pub mod library;
pub mod native;
mod packed;
mod pattern;
pub mod registry;
mod reply;
mod run;
pub mod shebang;
mod source;
mod vm;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use host::{Answered, Host};
pub use registry::{Origin, Script};
pub use run::{Ran, run};
pub use shebang::ScriptFlags;
pub use vm::{Compiled, Vm};

/// The scripts of a node.
#[derive(Debug, Default)]
pub struct Scripts {
    /// Their texts.
    pub registry: registry::Registry,
    /// The function libraries.
    pub libraries: library::Libraries,
    /// Those that take long.
    pub busy: busy::Busy,
    /// Bytes of the workers' VMs, as of when each has last compiled something.
    pub vm_bytes: Arc<AtomicU64>,
}

/// A VM's share of `vm_bytes`.
#[derive(Debug)]
struct Share {
    all: Arc<AtomicU64>,
    mine: Cell<u64>,
}

impl Share {
    fn of(all: &Arc<AtomicU64>) -> Share {
        Share { all: Arc::clone(all), mine: Cell::new(0) }
    }

    /// Makes it as large as this.
    fn set(&self, bytes: usize) {
        let bytes = bytes as u64;
        let before = self.mine.replace(bytes);
        // What is taken away was added before, so the sum never falls below 0.
        self.all.fetch_add(bytes.wrapping_sub(before), Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}
