//! The longest common subsequence.
