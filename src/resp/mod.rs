//! The Redis protocol, pure: bytes in, requests out; replies in, bytes out.
//!
//! `request` decodes what clients send, `reply` is the sink that every command answers into
//! and its RESP form, `answer` reads replies of other nodes. None of them touches a socket.

pub mod answer;
pub mod fuzz;
pub mod inline;
pub mod reply;
pub mod request;

pub use reply::{Reply, RespReply};
pub use request::{ProtocolError, RequestDecoder, RequestLimits};
