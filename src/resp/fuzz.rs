//! The entry for fuzzers of the request decoder.

use smallvec::SmallVec;

use super::request::{Decoded, ProtocolError, RequestDecoder, RequestLimits};

/// Small limits, so that short inputs reach them.
const LIMITS: RequestLimits = RequestLimits {
    arguments: 1024,
    argument_bytes: 64 * 1024,
    request_bytes: 128 * 1024,
    before_auth: false,
};

/// What came of some bytes: requests, and the error that ended them, if any.
type Outcome = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// Decodes any bytes, whole and in pieces of `piece` bytes.
///
/// # Panics
/// When the two ways differ, or the fast way of the decoder finds another request than the
/// careful one.
pub fn decode_any(input: &[u8], piece: usize) {
    let whole = decode(std::iter::once(input));
    let pieces = decode(input.chunks(piece.max(1)));
    assert_eq!(whole, pieces, "in pieces of {piece}");
}

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = RequestDecoder::default();
    let mut buffer = Vec::new();
    let mut requests = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut taken = 0;
        loop {
            let rest = &buffer[taken..];
            let fast = fast(&decoder, rest);
            match decoder.decode(rest, &LIMITS) {
                Ok(Decoded::Request(used)) => {
                    let argv: Vec<Vec<u8>> = decoder.arguments(rest).map(<[u8]>::to_vec).collect();
                    assert!(fast.is_none_or(|found| found == (used, argv.clone())));
                    requests.push(argv);
                    taken += used;
                }
                Ok(Decoded::Nothing(used)) => taken += used,
                Ok(Decoded::Incomplete(_)) => break,
                Err(error) => return (requests, Some(error)),
            }
        }
        buffer.drain(..taken);
    }
    (requests, None)
}

fn fast(decoder: &RequestDecoder, rest: &[u8]) -> Option<(usize, Vec<Vec<u8>>)> {
    let mut argv = SmallVec::new();
    let used = decoder.whole(rest, &LIMITS, &mut argv)?;
    Some((used, argv.iter().map(|argument| argument.to_vec()).collect()))
}
