//! The RESP door: listeners and connections; TLS, which the REST door has too.

pub mod connection;
pub mod listener;
pub mod output;
pub mod socket;
pub mod stream;
pub mod tls;
pub mod unix;
