//! The value types, pure: no locks, no clock, no replies.

pub mod glob;
pub mod hash;
pub mod lcs;
pub mod number;
pub mod packed;
