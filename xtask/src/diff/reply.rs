//! Replies: where one ends in a stream of bytes, and what it says.
//!
//! Left out on purpose: attributes and streamed types of RESP3; neither server sends them.

/// A reply with its type, as RESP2 or RESP3 gave it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    Status(Vec<u8>),
    Error(Vec<u8>),
    Integer(i64),
    Text(Vec<u8>),
    Verbatim(Vec<u8>),
    Nil,
    NilArray,
    Double(Vec<u8>),
    Boolean(bool),
    Array(Vec<Reply>),
    Set(Vec<Reply>),
    Push(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
    /// The connection ended, or nothing came in time.
    Silence(&'static str),
}

/// The length of the first reply in `bytes`, or nothing while it is not whole.
///
/// # Errors
/// When the bytes are no RESP.
pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>, String> {
    let mut at = 0;
    let mut wanted = 1_usize;
    while wanted > 0 {
        let Some((kind, number, end)) = header(bytes, at)? else { return Ok(None) };
        wanted -= 1;
        at = end;
        match kind {
            b'$' | b'=' | b'!' if number >= 0 => at += size(number)? + 2,
            b'*' | b'~' | b'>' if number >= 0 => wanted += size(number)?,
            b'%' if number >= 0 => wanted += 2 * size(number)?,
            _ => {}
        }
        if at > bytes.len() {
            return Ok(None);
        }
    }
    Ok(Some(at))
}

fn size(number: i64) -> Result<usize, String> {
    usize::try_from(number).map_err(|_| format!("a length of {number}"))
}

/// Type, number and end of the line at `at`; the number only of types that have a length.
fn header(bytes: &[u8], at: usize) -> Result<Option<(u8, i64, usize)>, String> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
    let (kind, line) = (rest[0], &rest[1..end]);
    let number = match kind {
        b'$' | b'=' | b'!' | b'*' | b'~' | b'>' | b'%' => integer(line)?,
        b'+' | b'-' | b':' | b',' | b'#' | b'_' | b'(' => 0,
        other => return Err(format!("a reply that begins with {:?}", char::from(other))),
    };
    Ok(Some((kind, number, at + end + 2)))
}

fn integer(line: &[u8]) -> Result<i64, String> {
    let text = String::from_utf8_lossy(line);
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

/// What a whole reply says.
///
/// # Errors
/// When the bytes are no RESP.
pub(super) fn parse(bytes: &[u8]) -> Result<Reply, String> {
    let mut at = 0;
    let reply = one(bytes, &mut at)?;
    if at == bytes.len() { Ok(reply) } else { Err("bytes behind a reply".to_owned()) }
}

fn one(bytes: &[u8], at: &mut usize) -> Result<Reply, String> {
    let (kind, number, end) = header(bytes, *at)?.ok_or("half a reply")?;
    let line = &bytes[*at + 1..end - 2];
    *at = end;
    Ok(match kind {
        b'+' => Reply::Status(line.to_vec()),
        b'-' => Reply::Error(line.to_vec()),
        b':' => Reply::Integer(integer(line)?),
        b',' => Reply::Double(line.to_vec()),
        b'(' => Reply::Status(line.to_vec()),
        b'#' => Reply::Boolean(line == b"t"),
        b'_' => Reply::Nil,
        b'$' if number < 0 => Reply::Nil,
        b'*' if number < 0 => Reply::NilArray,
        b'$' => Reply::Text(text(bytes, at, number)?),
        b'=' => Reply::Verbatim(text(bytes, at, number)?),
        b'!' => Reply::Error(text(bytes, at, number)?),
        b'*' => Reply::Array(several(bytes, at, number)?),
        b'~' => Reply::Set(several(bytes, at, number)?),
        b'>' => Reply::Push(several(bytes, at, number)?),
        _ => {
            let pair = |_| Ok((one(bytes, at)?, one(bytes, at)?));
            Reply::Map((0..number).map(pair).collect::<Result<_, String>>()?)
        }
    })
}

fn text(bytes: &[u8], at: &mut usize, number: i64) -> Result<Vec<u8>, String> {
    let end = *at + size(number)?;
    let text = bytes.get(*at..end).ok_or("half a text")?;
    *at = end + 2;
    Ok(text.to_vec())
}

fn several(bytes: &[u8], at: &mut usize, number: i64) -> Result<Vec<Reply>, String> {
    (0..number).map(|_| one(bytes, at)).collect()
}

/// A command as a client sends it.
pub(super) fn encode<T: AsRef<[u8]>>(arguments: &[T], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
    for argument in arguments {
        let argument = argument.as_ref();
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_found_only_when_it_is_whole() {
        let bytes = b"%1\r\n$1\r\na\r\n*3\r\n:1\r\n_\r\n*-1\r\n+next\r\n";
        let whole = bytes.len() - b"+next\r\n".len();
        for cut in 0..whole {
            assert_eq!(length(&bytes[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(length(bytes), Ok(Some(whole)));
        let list = Reply::Array(vec![Reply::Integer(1), Reply::Nil, Reply::NilArray]);
        let map = Reply::Map(vec![(Reply::Text(b"a".to_vec()), list)]);
        assert_eq!(parse(&bytes[..whole]), Ok(map));
        assert!(length(b"hello\r\n").is_err());
    }
}
