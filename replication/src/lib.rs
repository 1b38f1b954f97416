//! Replication core.
