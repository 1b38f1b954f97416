//! The server, as a library.
//!
//! The modules in reading order; ARCHITECTURE.md has the bird's eye view.

pub mod clients;
pub mod clock;
pub mod command;
pub mod config;
pub mod engine;
pub mod fault;
pub mod hashing;
pub mod keyspace;
pub mod limits;
pub mod log;
pub mod net;
pub mod node;
pub mod observe;
pub mod rdb;
pub mod replicate;
pub mod resp;
pub mod rest;
pub mod server;
pub mod session;
pub mod table;
pub mod upkeep;
pub mod value;
