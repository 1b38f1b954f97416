//! The scripts that a node knows, by the digest of their text.
//!
//! Texts that came with EVAL make room for newer ones; those of SCRIPT LOAD stay until SCRIPT
//! FLUSH, as clients rely on. The compiled form is each worker's own: see `vm`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use sha1::{Digest as _, Sha1};

use super::shebang::{self, ScriptFlags};
use crate::fault::Fault;
use crate::limits::{SCRIPT_BYTES, SCRIPTS_OF_EVAL};

/// The SHA-1 of a text.
pub type Sha = [u8; 20];

/// The digest of a script's text.
pub fn digest(text: &[u8]) -> Sha {
    Sha1::digest(text).into()
}

/// Reads a digest as clients write it: 40 hex digits in either case.
pub fn parse(hex: &[u8]) -> Option<Sha> {
    if hex.len() != 40 {
        return None;
    }
    let mut sha = [0; 20];
    for (byte, pair) in sha.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(sha)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// What is answered for a digest that is not known.
pub const NO_SCRIPT: Fault = Fault::new("NOSCRIPT No matching script. Please use EVAL.");

/// A digest in 40 lower-case hex digits.
pub fn hex(sha: &Sha) -> String {
    use std::fmt::Write as _;
    sha.iter().fold(String::with_capacity(40), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// One script.
#[derive(Debug)]
pub struct Script {
    /// The digest of its text.
    pub sha: Sha,
    /// Its text.
    pub text: Box<[u8]>,
    /// What its first line says.
    pub flags: ScriptFlags,
    /// Where its program begins in the text.
    pub start: usize,
    /// Whether the registry still has it.
    listed: AtomicBool,
}

impl Script {
    /// A script of this text, in no registry yet.
    ///
    /// # Errors
    /// When its first line is wrong.
    pub fn new(sha: Sha, text: &[u8]) -> Result<Script, Fault> {
        let (flags, start) = shebang::read(text)?;
        Ok(Script { sha, text: text.into(), flags, start, listed: AtomicBool::new(false) })
    }

    /// Whether the registry still has it.
    pub fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Relaxed)
    }
}

/// What a script came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// EVAL: it may make room for others.
    Eval,
    /// SCRIPT LOAD: it stays.
    Load,
}

#[derive(Debug)]
struct Known {
    script: Arc<Script>,
    stays: bool,
}

#[derive(Debug, Default)]
struct Inner {
    all: HashMap<Sha, Known>,
    /// Those that do not stay, the oldest first.
    passing: VecDeque<Sha>,
    bytes: usize,
}

/// See the module's description.
#[derive(Debug)]
pub struct Registry {
    inner: Mutex<Inner>,
    /// Names what there is between two flushes, different in every registry of the process.
    generation: AtomicU64,
}

impl Default for Registry {
    fn default() -> Registry {
        Registry { inner: Mutex::default(), generation: AtomicU64::new(next_generation()) }
    }
}

fn next_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Registry {
    /// What VMs compare to find out that the registry was emptied.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The script of a digest.
    pub fn get(&self, sha: &Sha) -> Option<Arc<Script>> {
        self.inner.lock().all.get(sha).map(|known| Arc::clone(&known.script))
    }

    /// Adds a script that compiles; answers the one that is known from now on.
    ///
    /// # Errors
    /// When scripts that stay have used up the room.
    pub fn add(&self, script: Arc<Script>, origin: Origin) -> Result<Arc<Script>, Fault> {
        let mut inner = self.inner.lock();
        let stays = origin == Origin::Load;
        if let Some(known) = inner.all.get_mut(&script.sha) {
            known.stays |= stays;
            return Ok(Arc::clone(&known.script));
        }
        let bytes = script.text.len();
        while inner.passing.len() >= SCRIPTS_OF_EVAL
            || inner.bytes.saturating_add(bytes) > SCRIPT_BYTES
        {
            let Some(oldest) = inner.passing.pop_front() else {
                return Err(Fault::new("ERR too many scripts, SCRIPT FLUSH makes room"));
            };
            inner.forget(&oldest);
        }
        inner.bytes += bytes;
        script.listed.store(true, Ordering::Relaxed);
        if !stays {
            inner.passing.push_back(script.sha);
        }
        inner.all.insert(script.sha, Known { script: Arc::clone(&script), stays });
        Ok(script)
    }

    /// Forgets all scripts.
    pub fn flush(&self) {
        let mut inner = self.inner.lock();
        for known in inner.all.values() {
            known.script.listed.store(false, Ordering::Relaxed);
        }
        *inner = Inner::default();
        self.generation.store(next_generation(), Ordering::Release);
    }

    /// How many scripts there are, and how long their texts are together.
    pub fn size(&self) -> (usize, usize) {
        let inner = self.inner.lock();
        (inner.all.len(), inner.bytes)
    }
}

impl Inner {
    /// Forgets a script that came with EVAL, unless SCRIPT LOAD has made it stay.
    fn forget(&mut self, sha: &Sha) {
        if self.all.get(sha).is_some_and(|known| known.stays) {
            return;
        }
        if let Some(known) = self.all.remove(sha) {
            known.script.listed.store(false, Ordering::Relaxed);
            self.bytes -= known.script.text.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Arc<Script> {
        Arc::new(Script::new(digest(text.as_bytes()), text.as_bytes()).unwrap())
    }

    #[test]
    fn digests_are_read_in_either_case() {
        let sha = digest(b"return 1");
        assert_eq!(hex(&sha), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        assert_eq!(parse(hex(&sha).to_ascii_uppercase().as_bytes()), Some(sha));
        assert_eq!(parse(b"e0"), None);
        assert_eq!(parse(&[b'x'; 40]), None);
    }

    #[test]
    fn texts_of_eval_make_room_and_loaded_ones_stay() {
        let registry = Registry::default();
        let loaded = registry.add(script("loaded"), Origin::Load).unwrap();
        let first = registry.add(script("first"), Origin::Eval).unwrap();
        for number in 0..SCRIPTS_OF_EVAL {
            registry.add(script(&number.to_string()), Origin::Eval).unwrap();
        }
        assert!(loaded.is_listed() && registry.get(&loaded.sha).is_some());
        assert!(!first.is_listed() && registry.get(&first.sha).is_none());
        assert_eq!(registry.size().0, SCRIPTS_OF_EVAL + 1);
        let generation = registry.generation();
        registry.flush();
        assert_eq!(registry.size(), (0, 0));
        assert!(!loaded.is_listed() && generation != registry.generation());
    }
}
