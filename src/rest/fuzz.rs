//! Fuzz entries: any body, path and query is arguments or a refusal.

use super::{json, path};

/// Reads `input` as a body: as a command and as a pipeline.
///
/// # Panics
///
/// If the two disagree about the same command; that is the finding.
pub fn parse_body(input: &[u8]) {
    const MOST: usize = 64;
    let alone = json::command(input);
    let _ = json::commands(input, MOST);
    let mut wrapped = Vec::with_capacity(input.len() + 2);
    wrapped.push(b'[');
    wrapped.extend_from_slice(input);
    wrapped.push(b']');
    let Ok(alone) = alone else { return };
    let in_pipeline = json::commands(&wrapped, MOST);
    let arguments = in_pipeline.as_ref().map(json::Commands::arguments);
    let alone: Vec<&[u8]> = alone.iter().map(AsRef::as_ref).collect();
    assert_eq!(arguments, Ok(alone), "a command is not the same in a pipeline");
}

/// Reads `input` as a path and as a query.
///
/// # Panics
///
/// If decoding makes arguments longer than what was sent; that is the finding.
pub fn parse_path(input: &str) {
    let segments: usize = path::segments(input).map(|argument| argument.len()).sum();
    let arguments: usize = path::arguments(input).map(|argument| argument.len()).sum();
    assert!(segments <= input.len() && arguments <= input.len(), "{input:?} grew");
}
