//! The board, and reports of it.
