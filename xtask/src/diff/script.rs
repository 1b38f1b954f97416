//! Writes a run as a script, in the notation of tests/README.md.
//!
//! Left out on purpose: reading it back; `tests/commands.rs` does that.

use std::fmt::Write as _;

use anyhow::Result;

use super::grammar::{Line, Step};
use super::pair::Pair;
use super::play::Difference;
use super::reply::{self, Reply};

/// The script of `steps`, with redis-server's replies, and the difference that they end in.
///
/// # Errors
/// When redis-server does not come back.
pub(super) fn script(
    pair: &mut Pair,
    resp3: bool,
    steps: &[Step],
    difference: &Difference,
) -> Result<String> {
    pair.reset(resp3)?;
    let mut text = String::new();
    let lines: Vec<&Line> = steps.iter().flat_map(|step| &step.lines).collect();
    for line in &lines {
        let reply = pair.redis.ask(&line.arguments)?;
        writeln!(text, "> {}\n{}", command(line), cut(shown(&reply)))?;
    }
    Ok(text + &self::difference(difference))
}

/// The command that was answered differently, which is often the last, and both answers.
pub(super) fn difference(difference: &Difference) -> String {
    format!(
        "# differs: > {}\n#   redis: {}\n#   eave:  {}\n",
        command(&difference.line),
        answer(difference.redis.as_deref()),
        answer(difference.eave.as_deref())
    )
}

/// A reply as it came.
fn answer(bytes: Option<&[u8]>) -> String {
    match bytes.map(reply::parse) {
        None => "closed, or nothing in time".to_owned(),
        Some(Ok(reply)) => cut(shown(&reply)),
        Some(Err(error)) => error,
    }
}

/// Not more of a long reply than a terminal can show.
fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(1000) {
        let left = text.len() - end;
        text.truncate(end);
        text.push_str(&format!(" ... and {left} bytes"));
    }
    text
}

/// A command line.
pub(super) fn command(line: &Line) -> String {
    let words = line.arguments.iter().map(|word| {
        let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'{');
        if !word.is_empty() && word.len() < 20 && word.iter().all(plain) {
            String::from_utf8_lossy(word).into_owned()
        } else {
            quoted(word)
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A text in quotes; `{x*65}` for many of the same.
fn quoted(text: &[u8]) -> String {
    let mut out = String::from("\"");
    for run in text.chunk_by(|a, b| a == b) {
        let byte = run[0];
        if run.len() > 8 && byte.is_ascii_alphanumeric() {
            out.push_str(&format!("{{{}*{}}}", char::from(byte), run.len()));
            continue;
        }
        for byte in run {
            match byte {
                b'"' | b'\\' => out.extend(['\\', char::from(*byte)]),
                b'\n' => out.push_str("\\n"),
                b'\r' => out.push_str("\\r"),
                // A brace could be read as the beginning of a run.
                b'{' => out.push_str("\\x7b"),
                b' '..=b'~' => out.push(char::from(*byte)),
                other => out.push_str(&format!("\\x{other:02x}")),
            }
        }
    }
    out + "\""
}

/// A reply in the notation of scripts.
fn shown(reply: &Reply) -> String {
    let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let list = |all: &[Reply]| all.iter().map(shown).collect::<Vec<_>>().join(" ");
    match reply {
        Reply::Status(status) if status.contains(&b' ') => format!("+{}", quoted(status)),
        Reply::Status(status) => text(status),
        Reply::Error(error) if error.iter().any(|byte| !(b' '..=b'~').contains(byte)) => {
            format!("!{}", quoted(error))
        }
        Reply::Error(error) => format!("!{}", text(error)),
        Reply::Integer(number) => number.to_string(),
        Reply::Text(bytes) => quoted(bytes),
        Reply::Verbatim(bytes) => format!("={}", quoted(bytes)),
        Reply::Nil => "nil".to_owned(),
        Reply::NilArray => "nil-array".to_owned(),
        Reply::Double(number) => format!(",{}", text(number)),
        Reply::Boolean(value) => value.to_string(),
        Reply::Array(all) => format!("[{}]", list(all)),
        Reply::Set(all) => format!("<{}>", list(all)),
        Reply::Push(all) => format!("push[{}]", list(all)),
        Reply::Map(all) => {
            let pair = |(name, value): &(Reply, Reply)| format!("{} {}", shown(name), shown(value));
            format!("{{{}}}", all.iter().map(pair).collect::<Vec<_>>().join(" "))
        }
        Reply::Silence(_) => "closed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_the_notation_needs_it() {
        let words: [&[u8]; 6] = [b"SET", b"k", b"", b"a b\n", &[b'x'; 65], b"\xff{\""];
        let line = command(&Line::exact(words));
        assert_eq!(line, r#"SET k "" "a b\n" "{x*65}" "\xff\x7b\"""#);
    }

    #[test]
    fn replies_are_written_with_their_types() {
        let list = Reply::Array(vec![Reply::Integer(1), Reply::Nil, Reply::Text(b"a".to_vec())]);
        let map = Reply::Map(vec![(Reply::Status(b"two words".to_vec()), list)]);
        assert_eq!(shown(&map), "{+\"two words\" [1 nil \"a\"]}");
        assert_eq!(shown(&Reply::Error(b"ERR no".to_vec())), "!ERR no");
    }
}
