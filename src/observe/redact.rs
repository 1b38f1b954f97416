//! What of a request may be shown to others: passwords and tokens are not.

use std::borrow::Cow;

use crate::command::Argv;
use crate::command::args::is;
use crate::config::Config;

/// What stands in place of a secret.
const HIDDEN: &[u8] = b"(redacted)";

/// The arguments of a request, secrets hidden, for the slow log and for MONITOR.
pub fn shown<'a>(argv: Argv<'a>) -> Vec<Cow<'a, [u8]>> {
    let secret = secrets(argv);
    let show = |(at, argument): (usize, &&'a [u8])| {
        if secret(at) { Cow::Borrowed(HIDDEN) } else { Cow::Borrowed(*argument) }
    };
    argv.iter().enumerate().map(show).collect()
}

/// Which arguments are secret, by the command's name. What is asked in vain is hidden as well:
/// a password is often mistyped.
fn secrets<'a>(argv: Argv<'a>) -> Box<dyn Fn(usize) -> bool + 'a> {
    let [name, rest @ ..] = argv else { return Box::new(|_| false) };
    let sub = rest.first().copied().unwrap_or_default();
    if is(name, "AUTH") {
        Box::new(|at| at > 0)
    } else if is(name, "HELLO") || is(name, "MIGRATE") {
        Box::new(move |at| hides_credentials(argv, at))
    } else if is(name, "ACL") {
        let tells = ["SETUSER", "DELUSER", "GETUSER", "RESTTOKEN", "GENTOKEN", "DRYRUN"];
        let tells = tells.iter().any(|word| is(sub, word));
        Box::new(move |at| tells && at > 1)
    } else if is(name, "RESTTOKEN") || is(name, "GENTOKEN") {
        Box::new(|at| at > 0)
    } else if is(name, "CONFIG") && is(sub, "SET") {
        // Pairs of a directive and its value.
        Box::new(move |at| at > 2 && at % 2 == 1 && Config::is_secret(argv[at - 1]))
    } else {
        Box::new(|_| false)
    }
}

/// `AUTH user password` in HELLO and MIGRATE, and `AUTH password` and `AUTH2` in the latter.
fn hides_credentials(argv: Argv<'_>, at: usize) -> bool {
    let behind = |back: usize, word| at > back && is(argv[at - back], word);
    let hello = is(argv[0], "HELLO");
    behind(1, "AUTH") || behind(1, "AUTH2") || behind(2, "AUTH2") || (hello && behind(2, "AUTH"))
}

/// Bytes as redis-cli and MONITOR write them: in quotes, what cannot be printed escaped.
pub fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend([b'\\', *byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x07 => out.extend(b"\\a"),
            0x08 => out.extend(b"\\b"),
            b' '..=b'~' => out.push(*byte),
            other => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                out.extend(b"\\x");
                out.extend([other >> 4, other & 15].map(|digit| DIGITS[usize::from(digit)]));
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &str) -> String {
        let argv: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        let shown = shown(&argv);
        shown.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn secrets_are_hidden() {
        for (request, seen) in [
            ("auth p", "auth (redacted)"),
            ("AUTH u p x", "AUTH (redacted) (redacted) (redacted)"),
            ("HELLO 3 AUTH u p SETNAME n", "HELLO 3 AUTH (redacted) (redacted) SETNAME n"),
            ("MIGRATE h 1 k 0 5 AUTH p COPY", "MIGRATE h 1 k 0 5 AUTH (redacted) COPY"),
            ("MIGRATE h 1 k 0 5 AUTH2 u p", "MIGRATE h 1 k 0 5 AUTH2 (redacted) (redacted)"),
            ("ACL SETUSER u >p on", "ACL SETUSER (redacted) (redacted) (redacted)"),
            ("ACL WHOAMI", "ACL WHOAMI"),
            (
                "CONFIG SET timeout 1 RequirePass p maxmemory 2",
                "CONFIG SET timeout 1 RequirePass (redacted) maxmemory 2",
            ),
            ("SET requirepass p", "SET requirepass p"),
        ] {
            assert_eq!(line(request), seen);
        }
        assert!(shown(&[]).is_empty());
    }

    #[test]
    fn quotes_are_those_of_redis() {
        let mut out = Vec::new();
        quote(b"a \"\\\n\r\t\x07\x08\x00\xff~", &mut out);
        assert_eq!(out, br#""a \"\\\n\r\t\a\b\x00\xff~""#);
    }
}
