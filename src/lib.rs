//! The server, as a library.
//!
//! The modules in reading order; ARCHITECTURE.md has the bird's eye view.

pub mod config;
pub mod limits;
pub mod clock;
pub mod server;
pub mod node;
pub mod net;
pub mod resp;
pub mod session;
pub mod clients;
pub mod engine;
pub mod command;
pub mod fault;
pub mod keyspace;
pub mod table;
pub mod hashing;
pub mod value;
pub mod log;
pub mod rdb;
pub mod upkeep;
pub mod observe;
