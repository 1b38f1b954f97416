//! Rules and lists as a text: one command to a line, in the words of RL.RULE SET and RL.LIST ADD, that an
//! operator can read and change while the server does not run.
//!
//! Words are quoted as in redis.conf; empty lines and lines that begin with `#` say nothing. What stands
//! above the first command is kept when the file is written anew, other comments are not. A time should be
//! absolute (EXAT, PXAT): one of EX or PX begins at every start.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Write};
use std::path::Path;

use super::{Rules, carry, list};
use crate::command::args::is;
use crate::command::limiter_rule::replay;
use crate::config::push_word;
use crate::fault::Fault;
use crate::file::{folder, replace};
use crate::limits::{RULES_HEAD_BYTES, RULES_LINE_BYTES};
use crate::resp::inline;

/// What a file begins with that no operator has written.
const HEAD: &[u8] =
    b"# Named rules and lists of rate limits, read by Eave when it starts and written anew\n\
# behind every change. Comments above the first command stay, others do not.\n\n";

/// Adds what the file at `path` says to `rules`, which nobody else sees yet; answers the comments above
/// its first command. A file that is not there says nothing, if there is a folder for it.
///
/// # Errors
/// What is wrong, with the file and the line.
pub fn load(rules: &Rules, path: &Path, now: u64) -> Result<Vec<u8>, String> {
    let at = path.display();
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && folder(path).is_dir() => {
            return Ok(HEAD.to_vec());
        }
        file => file.map_err(|error| format!("rules-file {at}: {error}"))?,
    };
    read(rules, &mut BufReader::new(file), now).map_err(|broken| match broken {
        Broken::Line(number, why) => format!("rules-file {at}, line {number}: {why}"),
        Broken::File(error) => format!("rules-file {at}: {error}"),
    })
}

/// Why a text is not understood.
#[derive(Debug)]
enum Broken {
    /// The line of this number, from 1 on.
    Line(usize, String),
    File(io::Error),
}

fn read(rules: &Rules, text: &mut impl BufRead, now: u64) -> Result<Vec<u8>, Broken> {
    let (mut head, mut in_head) = (Vec::new(), true);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let most = RULES_LINE_BYTES as u64 + 1;
        if text.take(most).read_until(b'\n', &mut line).map_err(Broken::File)? == 0 {
            break;
        }
        if line.len() > RULES_LINE_BYTES {
            let why = format!("a line has at most {RULES_LINE_BYTES} bytes");
            return Err(Broken::Line(number, why));
        }
        let said = line.trim_ascii();
        if !said.is_empty() && !said.starts_with(b"#") {
            in_head = false;
            command(rules, said, now).map_err(|why| Broken::Line(number, why))?;
        } else if in_head && head.len() + line.len() <= RULES_HEAD_BYTES {
            head.extend_from_slice(&line);
        }
    }
    if !head.is_empty() && !head.ends_with(b"\n") {
        head.push(b'\n');
    }
    Ok(head)
}

/// Does what a line says.
fn command(rules: &Rules, line: &[u8], now: u64) -> Result<(), String> {
    let (mut text, mut ranges) = (Vec::new(), Vec::new());
    inline::split(line, &mut text, &mut ranges).map_err(|error| error.to_string())?;
    let words: Vec<&[u8]> = ranges.into_iter().map(|range| &text[range]).collect();
    let known = match words.as_slice() {
        [family, word, ..] if is(family, "RL.RULE") => is(word, "SET"),
        [family, word, ..] if is(family, "RL.LIST") => is(word, "ADD"),
        _ => false,
    };
    if !known {
        return Err("expected RL.RULE SET or RL.LIST ADD".to_owned());
    }
    let told = match words.as_slice() {
        [family, ..] if is(family, "RL.LIST") => list::check_networks(&words),
        _ => Ok(()),
    };
    told.and_then(|()| replay(rules, &words, now)).map_err(|fault| match fault {
        Fault::Text(text) => text.strip_prefix("ERR ").unwrap_or(&text).to_owned(),
        // None of them is of this table.
        Fault::Contended | Fault::Wait(_) | Fault::Elsewhere => "cannot be done".to_owned(),
    })
}

/// Writes all rules and lists into the file at `path`, as a whole or not at all.
///
/// # Errors
/// What the system says.
pub fn save(rules: &Rules, head: &[u8], path: &Path, now: u64) -> io::Result<()> {
    replace(path, |file| write(rules, head, file, now))
}

fn write(rules: &Rules, head: &[u8], text: &mut impl Write, now: u64) -> io::Result<()> {
    text.write_all(head)?;
    let mut line = Vec::new();
    // A value to a line: so that a person finds it, and two files can be compared.
    carry::commands(rules, now, 1, |words| {
        line.clear();
        for word in words {
            push_word(&mut line, word);
            line.push(b' ');
        }
        line.pop();
        line.push(b'\n');
        text.write_all(&line)
    })
}

#[cfg(test)]
mod tests {
    use super::super::list::Side;
    use super::super::tests::{judged, rule};
    use super::super::{FOREVER, Judgement};
    use super::*;

    fn parsed(text: &str) -> Result<(Rules, Vec<u8>), Broken> {
        let rules = Rules::default();
        let head = read(&rules, &mut text.as_bytes(), 1000)?;
        Ok((rules, head))
    }

    fn written(rules: &Rules, head: &[u8]) -> String {
        let mut text = Vec::new();
        write(rules, head, &mut text, 1000).unwrap();
        String::from_utf8(text).unwrap()
    }

    /// All that there is to say, in the words and the order of the file.
    const TEXT: &str = "\
# Limits of the shop.

RL.RULE SET api 1000/10s REGIONS local
RL.RULE SET pro 100/1m:gcra:200 DENY blocked ALLOW partners PXAT 99000
RL.RULE SET pro 9/1s FOR alice PXAT 5000
RL.RULE SET pro 8/1s FOR \"bob \\\"the\\\" \\x00\\xff\\n\"
RL.LIST ADD blocked DENY EX PXAT 70000
RL.LIST ADD blocked DENY 10.0.0.0/8
";

    #[test]
    fn what_was_written_is_read() {
        let (rules, head) = parsed(TEXT).unwrap();
        assert_eq!(head, b"# Limits of the shop.\n\n");
        assert_eq!(written(&rules, &head), TEXT);
        assert_eq!(judged(&rules, "alice", &[], 4999), Ok(Judgement::Rule(rule("9/1s"))));
        let bob = b"bob \"the\" \0\xff\n";
        assert_eq!(judged(&rules, "k", &[bob], 4999), Ok(Judgement::Rule(rule("8/1s"))));
        assert!(matches!(judged(&rules, "10.1.2.3", &[], 4999), Ok(Judgement::Deny(_))));
        assert!(rules.list(b"blocked").unwrap().has(Side::Deny, b"EX", 69_999));
        assert!(!rules.list(b"blocked").unwrap().has(Side::Deny, b"EX", 70_000));
    }

    #[test]
    fn what_a_person_writes_is_understood() {
        let text = "\r\n  # a word\r\n\trl.rule  set @pro '5/1s' ex 3\r\n# lost\n\
                    rl.list add l allow a b 10.1.2.3/8 exat 7";
        let (rules, head) = parsed(text).unwrap();
        let wanted = "\r\n  # a word\r\nRL.RULE SET pro 5/1s PXAT 4000\n\
                      RL.LIST ADD l ALLOW b PXAT 7000\nRL.LIST ADD l ALLOW a PXAT 7000\n\
                      RL.LIST ADD l ALLOW 10.0.0.0/8 PXAT 7000\n";
        let (mut lines, mut wanted): (Vec<_>, Vec<_>) =
            (written(&rules, &head).lines().map(str::to_owned).collect(), wanted.lines().collect());
        lines.sort();
        wanted.sort_unstable();
        assert_eq!(lines, wanted);
    }

    #[test]
    fn what_is_over_is_no_error_and_goes() {
        let text = "RL.RULE SET pro 5/1s PXAT 999\nRL.RULE SET pro 6/1s FOR alice\n\
                    RL.RULE SET api 5/1s\nRL.RULE SET api 6/1s FOR alice PXAT 5\n\
                    RL.LIST ADD l DENY a PXAT 1000\n";
        let (rules, _) = parsed(text).unwrap();
        assert_eq!(written(&rules, b""), "RL.RULE SET api 5/1s\n");
    }

    #[test]
    fn a_broken_line_is_named() {
        for (line, why) in [
            ("RL.RULE SET pro 5/1", "invalid rule '5/1': window: "),
            ("RL.RULE SET pro", "syntax error"),
            ("RL.RULE SET pro 5/1s FOR", "syntax error"),
            ("RL.RULE SET none 5/1s FOR alice", "NORULE no rule named 'none'"),
            ("RL.RULE SET \"a b\" 5/1s", "invalid name 'a b': "),
            ("RL.RULE SET pro \"5/1s", "unbalanced quotes"),
            ("RL.RULE DEL pro", "expected RL.RULE SET or RL.LIST ADD"),
            ("SET k v", "expected RL.RULE SET or RL.LIST ADD"),
            ("pro 5/1s", "expected RL.RULE SET or RL.LIST ADD"),
            ("RL.LIST ADD l BOTH a", "syntax error"),
            ("RL.LIST ADD l DENY a 10.0.0.0/33", "invalid network '10.0.0.0/33'"),
            ("RL.RULE SET @@pro 5/1s", "the name of a rule cannot begin with @"),
            ("RL.LIST ADD l DENY a EX -1", "invalid expire time in 'rl.list|add' command"),
        ] {
            match parsed(&format!("# text\nRL.RULE SET pro 5/1s\n{line}\n")) {
                Err(Broken::Line(3, text)) => assert!(text.starts_with(why), "{line}: {text}"),
                other => panic!("{line}: {other:?}"),
            }
        }
        let long = format!("#{}\n", "x".repeat(RULES_LINE_BYTES));
        assert!(matches!(parsed(&long), Err(Broken::Line(1, _))));
    }

    #[test]
    fn more_than_there_may_be_is_told() {
        let rules: String = (0..=crate::limits::NAMED_RULES)
            .map(|number| format!("RL.RULE SET r{number} 5/1s\n"))
            .collect();
        match parsed(&rules) {
            Err(Broken::Line(4097, why)) => assert_eq!(why, "too many named rules"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_head_is_bounded() {
        let line = format!("#{}\n", "x".repeat(1000));
        let (_, head) = parsed(&line.repeat(100)).unwrap();
        assert!(head.len() <= RULES_HEAD_BYTES);
    }

    #[test]
    fn every_change_is_counted() {
        let rules = Rules::default();
        let changes = rules.changes();
        let count = || *changes.borrow();
        let (change, spec) = (rules.change(), super::super::tests::spec("5/1s"));
        change.set(b"pro", spec, 0).unwrap();
        assert_eq!(count(), 1);
        change.set_for(b"pro", b"alice", (rule("6/1s"), FOREVER), 0).unwrap();
        assert_eq!(count(), 2);
        for _ in 0..2 {
            change.list_add(b"l", Side::Deny, &[b"a"], FOREVER, 0).unwrap();
        }
        assert_eq!(count(), 4, "another time is a change");
        for _ in 0..2 {
            change.remove_for(b"pro", b"alice", 0);
            change.remove(b"pro", 0);
            change.list_remove(b"l", Side::Deny, &[b"a"], 0);
        }
        assert_eq!(count(), 7, "what was not there is none");
        drop(change);
        rules.replace(&Rules::default());
        assert_eq!(count(), 8);
    }
}
