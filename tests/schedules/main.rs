//! Interleavings of locks, waiters, watches and messages, chosen by shuttle.
//!
//! Clients are threads that ask the engine directly; every lock, every atomic that somebody
//! decides by, and every wake is a place at which shuttle may let another go on. A schedule in
//! which all wait for each other, or in which one is never woken, is found as a deadlock. Each
//! test runs over `EAVE_SCHEDULES` schedules by chance (300 unless told) and as many that change
//! threads only a few times but anywhere (PCT). A failure prints its schedule, and
//! `EAVE_SCHEDULE=...` repeats it.
//!
//! Left out on purpose: sockets and timers; orders of memory weaker than what is written, which
//! shuttle does not model.

#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

mod messages;
mod transactions;
mod waiters;
mod world;
