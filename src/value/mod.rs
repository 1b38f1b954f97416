//! The value types, pure: no locks, no clock, no replies.

pub mod bitfield;
pub mod bitmap;
pub mod blob;
pub mod collection;
pub mod geo;
pub mod glob;
pub mod hash;
pub mod hyperloglog;
pub mod items;
pub mod json;
pub mod lcs;
pub mod limits;
pub mod list;
pub mod long_double;
pub mod number;
pub mod packed;
pub mod partial_sort;
pub mod set;
pub mod sort;
pub mod sorted_set;
pub mod stream;
