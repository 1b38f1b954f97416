//! Paths into documents: JSONPath behind `$`, and the older form without it.
//!
//! `$.a["b"][0]`, `..name` at any depth, `*`, slices `[1:-1:2]`, unions `[0,"a"]`, filters
//! `[?(@.price < 10 && @.tags)]`. The older form (`.a.b`, `a.b`, `.`) says the same of one value.
//! `read` makes a path of text, `find` looks for what it matches, `filter` decides about one value.
//!
//! A path is an own small language because the crates for it work on trees of serde_json and
//! call themselves as deep as a path says.

mod filter;
mod find;
mod read;

use self::filter::Filter;
use super::JsonError;

/// Bytes of a path: it bounds the steps, unions and filters in it.
const PATH_BYTES: usize = 16 * 1024;

/// A path, read.
#[derive(Debug)]
pub struct Path {
    steps: Vec<Step>,
    legacy: bool,
    text: String,
}

/// One step: what to take of each value that the steps before have come to.
#[derive(Debug)]
struct Step {
    /// Of that value and of all that it holds.
    deep: bool,
    selectors: Vec<Selector>,
}

/// What to take of one value.
#[derive(Debug)]
enum Selector {
    /// The value under a key.
    Name(Box<[u8]>),
    /// The value at an index, from the end if negative.
    Index(i64),
    /// The values of a range.
    Slice(Slice),
    /// All of them.
    All,
    /// Those that a condition holds for.
    Filter(Filter),
}

/// A range of indices, as in Python.
#[derive(Clone, Copy, Debug)]
struct Slice {
    from: Option<i64>,
    to: Option<i64>,
    step: i64,
}

/// What a path ends with, for who adds what is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last<'a> {
    /// A key of one value.
    Name(&'a [u8]),
    /// A key at any depth.
    DeepName(&'a [u8]),
    /// An index.
    Index,
    /// Something that does not say what to add.
    Other,
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// When it does not read, or is too long.
    pub fn parse(text: &[u8]) -> Result<Path, JsonError> {
        read::path(text)
    }

    /// Whether it is of the older form, whose answer is one value instead of an array.
    pub fn is_legacy(&self) -> bool {
        self.legacy
    }

    /// Whether it is the whole document.
    pub fn is_root(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether it names one place.
    pub fn is_static(&self) -> bool {
        self.steps.iter().all(Step::is_static)
    }

    /// The path as errors show it, from `$` on.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its last step.
    pub fn last(&self) -> Last<'_> {
        let Some(step) = self.steps.last() else { return Last::Other };
        match step.selectors.as_slice() {
            [Selector::Name(name)] if step.deep => Last::DeepName(name),
            [Selector::Name(name)] => Last::Name(name),
            [Selector::Index(_)] if !step.deep => Last::Index,
            _ => Last::Other,
        }
    }

    /// Whether it names one place up to its last step.
    pub fn is_parent_static(&self) -> bool {
        let before = self.steps.len().saturating_sub(1);
        self.steps[..before].iter().all(Step::is_static)
    }

    /// Where the values begin that it matches, in its order: at any depth, what lies deeper comes
    /// first, as Upstash answers.
    ///
    /// # Errors
    /// When it matches, or looks at, more than the document lets be expected.
    pub fn find(&self, document: &[u8]) -> Result<Vec<usize>, JsonError> {
        find::find(document, &self.steps)
    }

    /// Likewise of the path without its last step.
    ///
    /// # Errors
    /// As `find`.
    pub fn find_parents(&self, document: &[u8]) -> Result<Vec<usize>, JsonError> {
        find::find(document, &self.steps[..self.steps.len().saturating_sub(1)])
    }
}

impl Step {
    fn is_static(&self) -> bool {
        !self.deep && matches!(self.selectors.as_slice(), [Selector::Name(_) | Selector::Index(_)])
    }
}
