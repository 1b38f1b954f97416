//! Fuzz entry: whatever bytes arrive, and however they are cut, the requests are the same.

use smallvec::SmallVec;

use super::request::Decoded;
use super::{ProtocolError, RequestDecoder, RequestLimits};

/// What became of some bytes: the requests, each with its arguments, and the error that ended
/// them, if one did.
type Read = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// Bytes that a decoder may hold beyond what it was sent.
const SPARE: usize = 8 * 1024;

/// Decodes `input` as a client that has authenticated would be decoded, and as one that has
/// not: in one piece, and in pieces of the sizes that `sizes` yields.
///
/// # Panics
///
/// If the pieces make a difference, if the decoder takes more bytes than there are, or holds
/// more than a multiple of them; that is the finding.
pub fn requests(input: &[u8], mut sizes: impl FnMut() -> usize) {
    const AUTHENTICATED: RequestLimits = RequestLimits {
        arguments: 1024,
        argument_bytes: 16 * 1024,
        request_bytes: 64 * 1024,
        before_auth: false,
    };
    for limits in [AUTHENTICATED, RequestLimits::BEFORE_AUTH] {
        let whole = read(input, &limits, || input.len(), Way::Long);
        let short = read(input, &limits, || input.len(), Way::Short);
        assert_eq!(whole, short, "the short way comes to something else");
        let pieces = read(input, &limits, &mut sizes, Way::Short);
        assert!(same(&whole, &pieces), "whole: {whole:?}\nin pieces: {pieces:?}");
    }
}

/// Whether the decoder is asked for whole requests first, as connections do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Short,
    Long,
}

/// Which of several errors of one line is found first depends on how much of it has come;
/// nothing else does.
fn same(a: &Read, b: &Read) -> bool {
    let too_long = |error: &Option<ProtocolError>| {
        use ProtocolError::{ArrayLineTooLong, BulkLineTooLong, InlineTooLong};
        matches!(error, Some(ArrayLineTooLong | BulkLineTooLong | InlineTooLong))
    };
    let errors =
        a.1 == b.1 || (too_long(&a.1) && b.1.is_some()) || (too_long(&b.1) && a.1.is_some());
    a.0 == b.0 && errors
}

fn read(input: &[u8], limits: &RequestLimits, mut size: impl FnMut() -> usize, way: Way) -> Read {
    let mut decoder = RequestDecoder::default();
    let (mut requests, mut buffer, mut rest) = (Vec::new(), Vec::new(), input);
    loop {
        loop {
            match next(&mut decoder, &buffer, limits, way) {
                Ok((Decoded::Request(taken), argv)) => {
                    requests.push(argv);
                    take(&mut buffer, taken);
                }
                Ok((Decoded::Nothing(taken), _)) => take(&mut buffer, taken),
                Ok((Decoded::Incomplete(wanted), _)) => {
                    assert!(wanted > buffer.len(), "waits for what is there");
                    break;
                }
                Err(error) => return (requests, Some(error)),
            }
            decoder.shrink();
        }
        // An argument that is empty takes six bytes, and its place two words.
        let held = decoder.heap_bytes();
        assert!(held <= SPARE + 8 * input.len(), "{held} bytes are held for {}", input.len());
        if rest.is_empty() {
            return (requests, None);
        }
        let (piece, behind) = rest.split_at(size().clamp(1, rest.len()));
        buffer.extend_from_slice(piece);
        rest = behind;
    }
}

fn take(buffer: &mut Vec<u8>, taken: usize) {
    assert!(taken > 0 && taken <= buffer.len(), "took {taken} of {}", buffer.len());
    buffer.drain(..taken);
}

/// One step, with the arguments if it is a request.
fn next(
    decoder: &mut RequestDecoder,
    buffer: &[u8],
    limits: &RequestLimits,
    way: Way,
) -> Result<(Decoded, Vec<Vec<u8>>), ProtocolError> {
    if way == Way::Short {
        let mut argv = SmallVec::new();
        if let Some(taken) = decoder.whole(buffer, limits, &mut argv) {
            let argv = argv.iter().map(|argument| argument.to_vec()).collect();
            return Ok((Decoded::Request(taken), argv));
        }
    }
    let decoded = decoder.decode(buffer, limits)?;
    let argv = match decoded {
        Decoded::Request(_) => decoder.arguments(buffer).map(<[u8]>::to_vec).collect(),
        _ => Vec::new(),
    };
    Ok((decoded, argv))
}
