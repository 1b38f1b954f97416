//! The decoder against every split of its input, and against the other end of the wire.

use super::*;
use crate::resp::reply::encode_command;
use proptest::prelude::*;

const LIMITS: RequestLimits = RequestLimits {
    arguments: 1024 * 1024,
    argument_bytes: 1024 * 1024,
    request_bytes: 16 * 1024 * 1024,
    before_auth: false,
};

type Commands = Vec<Vec<Vec<u8>>>;

/// Feeds `bytes` in the given pieces, as a connection would.
fn decode_all(pieces: &[&[u8]], limits: &RequestLimits) -> Result<Commands, ProtocolError> {
    let mut decoder = RequestDecoder::default();
    let mut buffer = Vec::new();
    let mut commands = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            if let Some((used, command)) = whole_at_once(&decoder, &buffer, limits) {
                commands.push(command);
                buffer.drain(..used);
                continue;
            }
            match decoder.decode(&buffer, limits)? {
                Decoded::Request(used) => {
                    commands.push(decoder.arguments(&buffer).map(<[u8]>::to_vec).collect());
                    buffer.drain(..used);
                }
                Decoded::Nothing(used) => drop(buffer.drain(..used)),
                Decoded::Incomplete(more) => {
                    assert!(more > buffer.len());
                    break;
                }
            }
        }
    }
    Ok(commands)
}

/// The fast way, which has to find what the careful one finds.
fn whole_at_once(
    decoder: &RequestDecoder,
    buffer: &[u8],
    limits: &RequestLimits,
) -> Option<(usize, Vec<Vec<u8>>)> {
    let mut argv = SmallVec::new();
    let used = decoder.whole(buffer, limits, &mut argv)?;
    let mut careful = RequestDecoder::default();
    assert_eq!(careful.decode(buffer, limits), Ok(Decoded::Request(used)));
    assert!(careful.arguments(buffer).eq(argv.iter().copied()));
    Some((used, argv.iter().map(|argument| argument.to_vec()).collect()))
}

fn whole(bytes: &[u8]) -> Result<Commands, ProtocolError> {
    decode_all(&[bytes], &LIMITS)
}

#[test]
fn requests_and_inline_commands() {
    let commands =
        whole(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nSET a \"b c\\n\"\r\n\r\n*0\r\nPING\n").unwrap();
    let text: Vec<Vec<String>> = commands
        .iter()
        .map(|c| c.iter().map(|a| String::from_utf8_lossy(a).into_owned()).collect())
        .collect();
    assert_eq!(text, [vec!["GET", "k"], vec!["SET", "a", "b c\n"], vec!["PING"]]);
}

#[test]
fn errors_name_what_is_wrong() {
    for (bytes, error) in [
        (&b"*a\r\n"[..], ProtocolError::ArrayLength),
        (b"*1048577\r\n", ProtocolError::ArrayLength),
        (b"*99999999999999999999\r\n", ProtocolError::ArrayLength),
        (b"*1\r\n:1\r\n", ProtocolError::ExpectedBulk(b':')),
        (b"*1\r\n*1\r\n*1\r\n", ProtocolError::ExpectedBulk(b'*')),
        (b"*1\r\n$-1\r\n", ProtocolError::BulkLength),
        (b"*1\r\n$+3\r\n", ProtocolError::BulkLength),
        (b"*1\r\n$1048577\r\n", ProtocolError::BulkLength),
        (b"*1\r\n$4\r\nPINGxx", ProtocolError::BulkEnd),
        (b"SET \"a\r\n", ProtocolError::UnbalancedQuotes),
        (b"POST / HTTP/1.1\r\n", ProtocolError::Http),
        (b"host: x\r\n", ProtocolError::Http),
    ] {
        assert_eq!(whole(bytes), Err(error), "{}", bytes.escape_ascii());
    }
    let long = vec![b'a'; limits::LINE_BYTES + 1];
    assert_eq!(whole(&long), Err(ProtocolError::InlineTooLong));
    assert_eq!(whole(&[b"*", &long[..]].concat()), Err(ProtocolError::ArrayLineTooLong));
    assert_eq!(whole(&[b"*1\r\n$", &long[..]].concat()), Err(ProtocolError::BulkLineTooLong));
}

#[test]
fn before_auth_little_is_accepted() {
    let limits = RequestLimits::BEFORE_AUTH;
    let many = decode_all(&[b"*11\r\n"], &limits);
    assert_eq!(many, Err(ProtocolError::ArrayLengthBeforeAuth));
    let long = decode_all(&[b"*1\r\n$16385\r\n"], &limits);
    assert_eq!(long, Err(ProtocolError::BulkLengthBeforeAuth));
}

#[test]
fn a_promise_reserves_little() {
    let mut decoder = RequestDecoder::default();
    let step = decoder.decode(b"*1000000\r\n$1000000\r\n", &LIMITS);
    assert!(matches!(step, Ok(Decoded::Incomplete(_))));
    assert!(decoder.arguments.capacity() <= limits::RESERVED_ARGUMENTS * 2);
}

fn any_command() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6)
}

proptest! {
    #[test]
    fn chunking_does_not_matter(
        commands in prop::collection::vec(any_command(), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut bytes = Vec::new();
        for command in &commands {
            let argv: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            encode_command(&mut bytes, &argv);
        }
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
        prop_assert_eq!(decode_all(&pieces, &LIMITS).unwrap(), commands);
    }

    #[test]
    fn garbage_gives_the_same_whole_or_in_bytes(
        bytes in prop::collection::vec(prop_oneof![
            Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'3'), Just(b'-'),
            Just(b'"'), Just(b' '), any::<u8>(),
        ], 0..200),
    ) {
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(decode_all(&single, &LIMITS), whole(&bytes));
    }
}
