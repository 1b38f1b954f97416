//! TCP, as nodes reach each other and as clients reach them.
//!
//! Every socket of the server comes from here. They are tokio's; with the feature `simulation`
//! turmoil's stand in for them, and with those a network in one thread that delays, loses and
//! parts as a test wants it.

#[cfg(not(feature = "simulation"))]
mod real;
#[cfg(feature = "simulation")]
mod simulated;

#[cfg(not(feature = "simulation"))]
pub use real::{TcpListener, TcpStream, keep_alive, listen};
#[cfg(feature = "simulation")]
pub use simulated::{TcpListener, TcpStream, keep_alive, listen};
