//! The value types, pure: no locks, no clock, no replies.

pub mod blob;
pub mod collection;
pub mod glob;
pub mod hash;
pub mod items;
pub mod lcs;
pub mod limits;
pub mod long_double;
pub mod number;
pub mod packed;
pub mod stream;
