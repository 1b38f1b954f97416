//! Hashes.
/// Limits.
#[derive(Clone, Copy, Debug)]
pub struct HashLimits { /// n
 pub entries: usize, /// b
 pub value_bytes: usize }
