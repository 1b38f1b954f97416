//! The server, as a library.
//!
//! The modules in reading order; ARCHITECTURE.md has the bird's eye view.

// What a command is, and what it works on.
pub mod command;
pub mod fault;

pub mod keyspace;
pub mod rules;
// Limits that nodes share.
pub mod regions;

pub mod table;

pub mod hashing;
pub mod value;

// How a request gets there.
pub mod engine;
// Lua.
pub mod script;

pub mod access;
pub mod session;

pub mod clients;
pub mod node;
pub mod pause;
pub mod pubsub;
pub mod rare;
pub mod tracking;
pub mod waiter;

pub mod log;

// The doors, and what they speak.
pub mod net;
pub mod patience;
pub mod resp;
pub mod rest;

pub mod envoy;

// Other nodes, and values outside of the keyspace.
pub mod archive;
pub mod rdb;
pub mod replicate;

// Moving in: a client, not the server.
pub mod import;

// The process.
pub mod banner;
pub mod config;
pub mod observe;
pub mod server;
pub mod shutdown;
pub mod upkeep;

// What everything stands on.
pub mod clock;
pub mod file;
pub mod limits;
pub mod sync;
