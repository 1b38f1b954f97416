//! Who may ask for what: users, their rules, and the one question that every door asks.
//!
//! In reading order: `catalog` numbers the commands, `selector` and `user` are what rules make
//! and `describe` turns them into rules again, `check` asks a user about a request. `users` is
//! the registry, `identity` what a session keeps of it, `door` lets sessions in and asks on
//! their behalf; `log` remembers what was refused, `throttle` slows down who guesses, `token`
//! has the bearer tokens of REST, `file` reads and writes users.
//!
//! A user is a snapshot that never changes. Every change makes a new one and moves the
//! generation of the registry on; a session compares its own with that once a request, and only
//! who may not do everything, or whose generation is old, is asked anything more.
//!
//! *Invariant*: a right that is taken away is gone for the next request of every session, those
//! of a transaction and of a script that are still to run included.
//!
//! *Invariant*: what a user may do to keys is asked of at least those that the engine locks.
//!
//! Left out on purpose: persistence of users beyond the file, and their replication, as in
//! Redis.

pub mod catalog;
pub mod check;
mod describe;
pub mod door;
pub mod file;
pub mod identity;
pub mod log;
pub mod selector;
#[cfg(test)]
mod tests;
pub mod throttle;
pub mod token;
pub mod user;
pub mod users;

pub use check::Denial;
pub use user::User;
pub use users::Access;
