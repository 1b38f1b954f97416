//! The server, as a library.
//!
//! The modules in reading order; ARCHITECTURE.md has the bird's eye view.

pub mod clock;
pub mod hashing;
pub mod limits;
pub mod resp;
pub mod table;
pub mod value;
