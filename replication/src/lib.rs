//! Replication without sockets: how a leader's history reaches its replicas.
//!
//! # The protocol
//!
//! The leader's effects form one history of bytes, named by a replication id and measured by
//! an offset. It is Redis' own PSYNC protocol, so a redis-server can stand on either side:
//!
//! 1. The replica connects and introduces itself: PING, AUTH, REPLCONF.
//! 2. It asks to go on from its place: `PSYNC <id> <offset + 1>`, or for everything:
//!    `PSYNC ? -1`.
//! 3. If the leader's backlog still holds what is missing, it answers `+CONTINUE` and the
//!    stream goes on at that byte. Otherwise it answers `+FULLRESYNC <id> <offset>` and sends
//!    a snapshot (RDB) that stands for that place; the stream goes on from there.
//! 4. The replica applies the stream, which is commands, and tells every second how far it
//!    got: `REPLCONF ACK <offset>`. The leader logs a PING when it is quiet.
//! 5. Either side that hears nothing for too long hangs up, and the replica starts again at
//!    step 1 from what it has applied.
//!
//! So a replica always holds a prefix of its leader's history: the bytes of a snapshot, or
//! those and the stream after them, in order.
//!
//! # The code
//!
//! Each side is a machine that takes events and the time and returns actions; sockets,
//! clocks, threads and random numbers stay with the server. In reading order: [`id`],
//! [`backlog`], [`wire`], [`payload`], [`leader`], [`replica`], [`failover`],
//! [`greeting`], [`epoch`], [`status`].
//!
//! # Left out on purpose
//!
//! The RDB format and the commands of the stream (the server has readers for both), what Eave
//! nodes negotiate among themselves beyond epochs, `capa eave` and whether they pack (forwarded
//! writes, regional counters), packing itself, and WAIT.

pub mod backlog;
pub mod epoch;
pub mod failover;
mod follower;
pub mod greeting;
mod handshake;
pub mod id;
pub mod leader;
pub mod payload;
pub mod replica;
pub mod status;
pub mod wire;

pub use backlog::{Backlog, BacklogConfig};
pub use id::{Position, ReplicationId};
pub use leader::Leader;
pub use replica::Replica;
