//! Function libraries: what FUNCTION LOAD has made known, node-wide.
//!
//! The set is replaced as a whole when it changes, so who calls a function reads it without a
//! lock. Each worker's VM runs the code of a library once, when one of its functions is first called
//! there; what the code keeps in variables of its own is therefore a worker's.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};

use super::shebang::ScriptFlags;
use crate::fault::{Fault, shown};
use crate::limits::LIBRARY_BYTES;

/// What a library says of one of its functions.
#[derive(Clone, Debug)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// What it does, if the library says so.
    pub description: Option<String>,
    /// What it may do.
    pub flags: ScriptFlags,
}

/// A library.
#[derive(Debug)]
pub struct Library {
    /// Its name.
    pub name: String,
    /// Its code, the first line included.
    pub code: Box<[u8]>,
    /// Its functions.
    pub functions: Vec<Described>,
}

/// All libraries of a node.
#[derive(Clone, Debug, Default)]
pub struct Set {
    /// By name.
    pub libraries: BTreeMap<String, Arc<Library>>,
    /// The library of each function, by the function's name in lower case.
    functions: HashMap<String, Arc<Library>>,
}

impl Set {
    /// The library that has a function, whose name may be in any case.
    pub fn of_function(&self, name: &[u8]) -> Option<&Arc<Library>> {
        self.functions.get(&key(&String::from_utf8_lossy(name)))
    }

    /// How many functions there are.
    pub fn functions(&self) -> usize {
        self.functions.len()
    }

    /// Bytes of their code.
    pub fn bytes(&self) -> usize {
        self.libraries.values().map(|library| library.code.len()).sum()
    }

    /// Adds a library, in the place of the one of its name if `replace` says so.
    ///
    /// # Errors
    /// When its name or one of its functions is there already; nothing has changed then.
    pub fn add(&mut self, library: Arc<Library>, replace: Replace) -> Result<(), Fault> {
        let old = self.libraries.get(&library.name).cloned();
        if let (Some(_), Replace::No { text }) = (&old, replace) {
            return Err(Fault::text(text.replace("{}", &library.name)));
        }
        for function in &library.functions {
            let other = self.functions.get(&key(&function.name));
            if other.is_some_and(|other| other.name != library.name) {
                return Err(Fault::text(format!("ERR Function {} already exists", function.name)));
            }
        }
        let old_bytes = old.as_ref().map_or(0, |old| old.code.len());
        let bytes: usize = self.libraries.values().map(|library| library.code.len()).sum();
        if bytes - old_bytes + library.code.len() > LIBRARY_BYTES {
            return Err(Fault::new("ERR too many function libraries"));
        }
        if let Some(old) = old {
            self.remove(&old.name);
        }
        for function in &library.functions {
            self.functions.insert(key(&function.name), Arc::clone(&library));
        }
        self.libraries.insert(library.name.clone(), library);
        Ok(())
    }

    /// Removes a library; answers whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let Some(library) = self.libraries.remove(name) else { return false };
        self.functions.retain(|_, of| !Arc::ptr_eq(of, &library));
        true
    }
}

/// Whether a library may take the place of another of its name.
#[derive(Clone, Copy, Debug)]
pub enum Replace {
    /// It may.
    Yes,
    /// It may not, and this is said then.
    No {
        /// With `{}` for the name.
        text: &'static str,
    },
}

fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct Libraries {
    set: ArcSwap<Set>,
    generation: AtomicU64,
    changing: Mutex<()>,
}

/// A change of the set that is under way: of two at once, neither may start from what was before
/// the other.
#[derive(Debug)]
pub struct Change<'l> {
    libraries: &'l Libraries,
    /// The set as it will be.
    pub set: Set,
    _changing: MutexGuard<'l, ()>,
}

impl Change<'_> {
    /// Makes it so.
    pub fn commit(self) {
        self.libraries.set.store(Arc::new(self.set));
        self.libraries.generation.fetch_add(1, Ordering::Release);
    }
}

impl Libraries {
    /// The libraries as they are now.
    pub fn set(&self) -> Arc<Set> {
        self.set.load_full()
    }

    /// What VMs compare to find out that the set has changed.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Begins a change.
    pub fn change(&self) -> Change<'_> {
        let changing = self.changing.lock();
        Change { libraries: self, set: Set::clone(&self.set.load()), _changing: changing }
    }
}

/// What the first line of a library says.
#[derive(Debug)]
pub struct Head {
    /// The library's name.
    pub name: String,
    /// Where the program begins: at the end of that line.
    pub start: usize,
}

/// Reads the first line of a library: `#!lua name=mylib`.
///
/// # Errors
/// What the client is told of one that nobody understands.
pub fn head(code: &[u8]) -> Result<Head, Fault> {
    if !code.starts_with(b"#!") {
        return Err(Fault::new("ERR Missing library metadata"));
    }
    let start = memchr::memchr(b'\n', code);
    let start = start.ok_or(Fault::new("ERR Invalid library metadata"))?;
    let line = code[2..start].strip_suffix(b"\r").unwrap_or(&code[2..start]);
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let engine = words.next().unwrap_or_default();
    let mut name = None;
    for word in words {
        let value = match word.get(..5) {
            Some(key) if key.eq_ignore_ascii_case(b"name=") => &word[5..],
            _ => {
                return Err(Fault::text(format!(
                    "ERR Invalid metadata value given: {}",
                    shown(word, 128)
                )));
            }
        };
        if name.replace(value).is_some() {
            return Err(Fault::new(
                "ERR Invalid metadata value, name argument was given multiple times",
            ));
        }
    }
    let name = name.ok_or(Fault::new("ERR Library name was not given"))?;
    check_name(name)?;
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err(Fault::text(format!("ERR Engine '{}' not found", shown(engine, 128))));
    }
    Ok(Head { name: String::from_utf8_lossy(name).into_owned(), start })
}

/// Checks the name of a library or of a function.
///
/// # Errors
/// When it has other characters than letters, digits and underscores.
pub fn check_name(name: &[u8]) -> Result<(), Fault> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if !name.is_empty() && name.iter().all(fits) {
        return Ok(());
    }
    Err(Fault::new(
        "ERR Library names can only contain letters, numbers, or underscores(_) and must be at \
         least one character long",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(name: &str, functions: &[&str]) -> Arc<Library> {
        let describe = |name: &&str| Described {
            name: (*name).to_owned(),
            description: None,
            flags: ScriptFlags::empty(),
        };
        let functions = functions.iter().map(describe).collect();
        Arc::new(Library { name: name.to_owned(), code: Box::from(*b"x"), functions })
    }

    const NO: Replace = Replace::No { text: "ERR {} is there" };

    #[test]
    fn a_function_has_one_library() {
        let mut set = Set::default();
        set.add(library("a", &["one", "two"]), NO).unwrap();
        assert_eq!(set.add(library("a", &["x"]), NO), Err(Fault::new("ERR a is there")));
        assert!(set.add(library("b", &["TWO"]), NO).is_err());
        assert!(set.of_function(b"ONE").is_some());
        set.add(library("a", &["two", "three"]), Replace::Yes).unwrap();
        assert!(set.of_function(b"one").is_none() && set.of_function(b"three").is_some());
        assert_eq!(set.functions(), 2);
        assert!(set.remove("a") && !set.remove("a"));
        assert_eq!(set.functions(), 0);
    }

    #[test]
    fn the_first_line_names_the_library() {
        let found = head(b"#!LUA  NAME=mylib \nx").unwrap();
        assert_eq!((found.name.as_str(), found.start), ("mylib", 18));
        for wrong in [
            &b"x"[..],
            b"#!lua",
            b"#!lua\nx",
            b"#!js name=a\nx",
            b"#!lua name=a-b\nx",
            b"#!lua x\n",
        ] {
            assert!(head(wrong).is_err());
        }
    }
}
