//! The Redis protocol, pure: bytes in, requests out; replies in, bytes out.
//!
//! `request` decodes what clients send, `reply` is the sink that every command answers into
//! and its RESP form. Neither touches a socket.

pub mod fuzz;
pub mod inline;
pub mod reply;
pub mod request;

pub use reply::{Reply, RespReply};
pub use request::{ProtocolError, RequestDecoder, RequestLimits};
