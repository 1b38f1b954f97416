//! The RESP door: listeners and connections.

pub mod connection;
pub mod listener;
