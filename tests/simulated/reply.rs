//! Replies of RESP2.

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Status(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Nil,
    Array(Vec<Reply>),
}

impl Reply {
    /// The first reply of `bytes` and how long it is, if it is there as a whole.
    pub(crate) fn first(bytes: &[u8]) -> Option<(Reply, usize)> {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let text = String::from_utf8_lossy(&bytes[1..end]).into_owned();
        let next = end + 2;
        let number = || text.parse::<i64>().unwrap();
        match bytes[0] {
            b'+' => Some((Reply::Status(text), next)),
            b'-' => Some((Reply::Error(text), next)),
            b':' => Some((Reply::Integer(number()), next)),
            b'$' | b'*' if number() < 0 => Some((Reply::Nil, next)),
            b'$' => {
                let length = usize::try_from(number()).unwrap();
                let bulk = bytes.get(next..next + length + 2)?;
                Some((Reply::Bulk(bulk[..length].to_vec()), next + length + 2))
            }
            b'*' => {
                let (mut items, mut at) = (Vec::new(), next);
                for _ in 0..number() {
                    let (item, length) = Reply::first(&bytes[at..])?;
                    items.push(item);
                    at += length;
                }
                Some((Reply::Array(items), at))
            }
            other => panic!("no reply begins with {}", other.escape_ascii()),
        }
    }

    /// What it says, of a reply that is one text.
    pub(crate) fn text(&self) -> String {
        match self {
            Reply::Status(text) | Reply::Error(text) => text.clone(),
            Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Reply::Integer(number) => number.to_string(),
            Reply::Nil => "nil".to_owned(),
            Reply::Array(items) => format!("{items:?}"),
        }
    }

    /// The number that it is or says.
    pub(crate) fn number(&self) -> Option<u64> {
        match self {
            Reply::Integer(number) => u64::try_from(*number).ok(),
            Reply::Bulk(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// The items of an array.
    pub(crate) fn items(&self) -> &[Reply] {
        match self {
            Reply::Array(items) => items,
            other => panic!("no array: {other:?}"),
        }
    }

    /// Whether something was refused.
    pub(crate) fn is_error(&self) -> bool {
        matches!(self, Reply::Error(_))
    }
}

/// A field of what INFO says.
pub(crate) fn field<'a>(info: &'a str, name: &str) -> &'a str {
    let line = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    info.lines().find_map(line).unwrap_or("").trim_end()
}
