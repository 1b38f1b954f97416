//! Fuzz entry: any bytes are read to an end or refused, however they are cut.

use super::dump;
use super::error::Error;
use super::read::{Item, Reader};
use super::value::Limits;

/// Limits low enough that a fuzzer's inputs reach them.
pub const LIMITS: Limits = Limits { string_bytes: 1 << 16, elements: 1 << 10 };

/// Reads `input` whole, in pieces of `piece` bytes, and as a dump's value without its footer.
///
/// # Panics
///
/// If whole and pieces differ; that is the finding.
pub fn read_any(input: &[u8], piece: usize) {
    let whole = items(input, input.len().max(1));
    let pieces = items(input, piece.max(1));
    assert_eq!(whole, pieces, "the result depends on how the bytes arrive");
    // Both refusals and values are fine; the footer's checksum would keep a fuzzer out.
    let _ = dump::value(input, &LIMITS);
    let _ = dump::read(input, &LIMITS);
}

/// All items of a stream fed in pieces of `piece` bytes, and what follows it or refuses it.
pub fn items(input: &[u8], piece: usize) -> (Vec<Item>, Result<Vec<u8>, Error>) {
    let mut reader = Reader::new(LIMITS);
    let mut items = Vec::new();
    for piece in input.chunks(piece) {
        reader.feed(piece);
        loop {
            match reader.next_item() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Err(error)),
            }
        }
    }
    let rest = reader.finish().map(|()| reader.unread().to_vec());
    (items, rest)
}
