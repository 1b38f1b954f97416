//! Rate limiting algorithms.
