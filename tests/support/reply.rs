//! A reply of a server, in RESP3's types, and how scripts write it.
//!
//! Left out on purpose: attributes and big numbers, which no command here answers with.

use std::fmt;

/// One reply. A map is kept flat: key, value, key, value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Status(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    /// A verbatim string without its three-letter format.
    Verbatim(Vec<u8>),
    /// RESP3's null, RESP2's null bulk string, JSON's null.
    Nil,
    /// RESP2's null array; only there is it something else than `Nil`.
    NilArray,
    /// A RESP3 double, in the server's own digits.
    Double(String),
    Bool(bool),
    Array(Vec<Reply>),
    Set(Vec<Reply>),
    Map(Vec<Reply>),
    Push(Vec<Reply>),
    /// The server closed the connection instead of answering.
    Closed,
}

impl Reply {
    /// The reply as RESP2 would have carried it.
    pub(crate) fn lowered(&self) -> Reply {
        let all = |items: &[Reply]| Reply::Array(items.iter().map(Reply::lowered).collect());
        match self {
            Reply::Verbatim(text) => Reply::Bulk(text.clone()),
            Reply::Double(digits) => Reply::Bulk(digits.clone().into_bytes()),
            Reply::Bool(yes) => Reply::Integer(i64::from(*yes)),
            Reply::Array(items) | Reply::Set(items) | Reply::Map(items) | Reply::Push(items) => {
                all(items)
            }
            other => other.clone(),
        }
    }

    /// The text of a reply that has one; patterns are matched against it.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Reply::Status(text) => Some(text.clone()),
            Reply::Bulk(bytes) | Reply::Verbatim(bytes) => {
                Some(String::from_utf8_lossy(bytes).into_owned())
            }
            Reply::Integer(number) => Some(number.to_string()),
            Reply::Double(digits) => Some(digits.clone()),
            _ => None,
        }
    }
}

/// Writes the reply as a script would, so that a mismatch can be pasted into one.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Status(text) if is_bare(text) => f.write_str(text),
            Reply::Status(text) => write!(f, "+{}", quoted(text.as_bytes())),
            Reply::Error(text) if text.ends_with(' ') || text.contains(['\r', '\n']) => {
                write!(f, "!{}", quoted(text.as_bytes()))
            }
            Reply::Error(text) => write!(f, "!{text}"),
            Reply::Integer(number) => write!(f, "{number}"),
            Reply::Bulk(bytes) => f.write_str(&quoted(bytes)),
            Reply::Verbatim(bytes) => write!(f, "={}", quoted(bytes)),
            Reply::Nil => f.write_str("nil"),
            Reply::NilArray => f.write_str("nil-array"),
            Reply::Double(digits) => write!(f, ",{digits}"),
            Reply::Bool(yes) => write!(f, "{yes}"),
            Reply::Array(items) => write_items(f, "[", items, "]"),
            Reply::Set(items) => write_items(f, "<", items, ">"),
            Reply::Map(items) => write_items(f, "{", items, "}"),
            Reply::Push(items) => write_items(f, "push[", items, "]"),
            Reply::Closed => f.write_str("closed"),
        }
    }
}

fn write_items(
    f: &mut fmt::Formatter<'_>,
    open: &str,
    items: &[Reply],
    close: &str,
) -> fmt::Result {
    f.write_str(open)?;
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            f.write_str(" ")?;
        }
        match item {
            // Among others an error is quoted: its text has spaces.
            Reply::Error(text) => write!(f, "!{}", quoted(text.as_bytes()))?,
            Reply::Status(text) if text.contains(' ') => {
                write!(f, "+{}", quoted(text.as_bytes()))?;
            }
            other => write!(f, "{other}")?,
        }
    }
    f.write_str(close)
}

/// Whether a status needs no quotes: a word, or words, that mean nothing else in a script.
fn is_bare(text: &str) -> bool {
    let reserved = ["nil", "nil-array", "true", "false", "closed"];
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_. ".contains(c))
        && !text.ends_with(' ')
        && !reserved.contains(&text)
}

/// The bytes in double quotes, escaped as redis-cli escapes them.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    // Text beyond ASCII stays readable; what is no UTF-8 is escaped byte by byte.
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.push('"');
    out
}
