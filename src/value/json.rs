//! JSON documents, parsed and compact: one run of bytes, whatever is in them.
//!
//! A document is a value, and a value is a tag with what it needs behind it (`document`). Keys
//! and values of an object follow each other in the order in which they came; a container says
//! in front how many bytes and how many values it has, so that it is passed over in one step.
//! No value has an allocation of its own: a document is copied, compared and freed as a string
//! is, however deep it is.
//!
//! `parse` reads text, `print` writes it, `path` finds values, `edit` makes the changed document,
//! `merge` merges one into another. *Invariant*: bytes that `document` reads were written by
//! `build`; nothing is deeper than `DEPTH`, so what goes down into a document by calling itself
//! is bounded by that.
//!
//! Left out on purpose: numbers beyond 64 bits; they become floats, as in RedisJSON.

pub mod build;
pub mod document;
pub mod edit;
pub mod fuzz;
pub mod merge;
pub mod parse;
pub mod path;
pub mod print;

pub use document::{Kind, Node, Value};
pub use parse::parse;
pub use path::Path;

#[cfg(test)]
mod tests;

/// Containers within containers. RedisJSON: 128.
pub const DEPTH: usize = 128;

/// Bytes of a document as it is kept. A byte makes at most six of text (`false,`), so the text of
/// any document fits one string.
pub const DOCUMENT_BYTES: usize = 80 * 1024 * 1024;

/// Bytes of the text of a document, and of the text that one command answers: as of a string.
pub const TEXT_BYTES: usize = 512 * 1024 * 1024;

/// Why a document, or a change of one, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is no JSON: what is wrong and where.
    #[error("{0}")]
    Text(String),
    /// Containers within containers beyond `DEPTH`.
    #[error("JSON value is nested deeper than {DEPTH} levels")]
    Depth,
    /// A document beyond `DOCUMENT_BYTES`.
    #[error("JSON value exceeds the maximum size of {DOCUMENT_BYTES} bytes")]
    Size,
    /// A text beyond `TEXT_BYTES`.
    #[error("JSON text exceeds the maximum size of {TEXT_BYTES} bytes")]
    TextSize,
    /// A path that does not read: what is wrong, and at which byte.
    #[error("path error: {0} at offset {1}")]
    Path(&'static str, usize),
    /// A path that matches more than the document's size lets be expected.
    #[error("path matches too much")]
    Matches,
}
