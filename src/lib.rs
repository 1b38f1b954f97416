//! The server, as a library.
//!
//! The modules in reading order; ARCHITECTURE.md has the bird's eye view.

pub mod clock;
pub mod config;
pub mod fault;
pub mod hashing;
pub mod keyspace;
pub mod limits;
pub mod log;
pub mod resp;
pub mod table;
pub mod value;
