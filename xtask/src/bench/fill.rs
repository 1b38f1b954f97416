//! Filling a server with keys, pipelined, and reading every reply.
//!
//! Left out on purpose: random sizes; equal ones make bytes per key comparable.

use std::io::{BufRead, BufReader, Write};

use anyhow::{Context, Result, bail};

use super::subject::Running;

/// Commands that are sent before their replies are read: little enough for every buffer.
const BATCH: u64 = 256;

/// The sizes that the issue names: `key:` and twelve digits, and 32 bytes of value.
const VALUE: &str = "0123456789abcdef0123456789abcdef";

/// One type of key, and the command that makes the key of a number.
pub(super) struct Fill {
    pub(super) name: &'static str,
    command: fn(u64) -> Vec<String>,
}

/// Every type that `--memory` measures.
pub(super) const ALL: &[Fill] = &[
    Fill { name: "string, 32-byte value", command: string },
    Fill { name: "hash, 10 fields", command: hash },
    Fill { name: "set, 10 members", command: set },
    Fill { name: "sorted set, 10 members", command: sorted_set },
];

/// The type that every run measures, and that GET finds.
pub(super) const STRINGS: &[Fill] = ALL.split_at(1).0;

fn key(number: u64) -> String {
    format!("key:{number:012}")
}

fn string(number: u64) -> Vec<String> {
    vec!["SET".to_owned(), key(number), VALUE.to_owned()]
}

fn hash(number: u64) -> Vec<String> {
    let fields = (0..10).flat_map(|n| [format!("field{n}"), format!("value{n}:{number}")]);
    ["HSET".to_owned(), key(number)].into_iter().chain(fields).collect()
}

fn set(number: u64) -> Vec<String> {
    let members = (0..10).map(|n| format!("member{n}:{number}"));
    ["SADD".to_owned(), key(number)].into_iter().chain(members).collect()
}

fn sorted_set(number: u64) -> Vec<String> {
    let members = (0..10).flat_map(|n| [n.to_string(), format!("member{n}:{number}")]);
    ["ZADD".to_owned(), key(number)].into_iter().chain(members).collect()
}

impl Fill {
    /// Whether the server knows the command.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(super) fn runs_on(&self, server: &Running) -> Result<bool> {
        Ok(reply(server, &(self.command)(0))?.starts_with([':', '+']))
    }

    /// Makes the keys 0 to `count` - 1.
    ///
    /// # Errors
    /// When the connection breaks or the server answers with an error.
    pub(super) fn fill(&self, server: &Running, count: u64) -> Result<()> {
        send(server, count, self.command)
    }
}

/// Sends the commands of the numbers 0 to `count` - 1, pipelined. Each is answered by one
/// line, or by a text of one.
///
/// # Errors
/// When the connection breaks or the server answers with an error.
pub(super) fn send(
    server: &Running,
    count: u64,
    command: impl Fn(u64) -> Vec<String>,
) -> Result<()> {
    let mut replies = BufReader::new(server.connect()?);
    let mut line = String::new();
    let mut first = 0;
    while first < count {
        let last = count.min(first + BATCH);
        let batch: Vec<u8> = (first..last).flat_map(|n| encode(&command(n))).collect();
        replies.get_mut().write_all(&batch)?;
        for _ in first..last {
            line.clear();
            replies.read_line(&mut line).context("a reply")?;
            match line.as_bytes().first() {
                Some(b':' | b'+') => {}
                Some(b'$') => {
                    line.clear();
                    replies.read_line(&mut line).context("a reply")?;
                }
                _ => bail!("{} answered {line:?}", server.name()),
            }
        }
        first = last;
    }
    Ok(())
}

/// The first line of the reply to one command.
///
/// # Errors
/// When the connection breaks.
pub(super) fn reply(server: &Running, words: &[String]) -> Result<String> {
    let mut stream = BufReader::new(server.connect()?);
    stream.get_mut().write_all(&encode(words))?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    Ok(line)
}

fn encode(words: &[String]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    request.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_issue() {
        assert_eq!(key(7).len(), 16);
        assert_eq!(VALUE.len(), 32);
        assert_eq!(encode(&string(1))[..13], *b"*3\r\n$3\r\nSET\r\n");
    }
}
