//! Makes a right command wrong: what clients should not send, and some day do.
//!
//! Left out on purpose: what would cost a server much (offsets of gigabytes, counts of
//! billions that it would honour) let a key run out while the run goes on, or ask a
//! clock (`XADD key *`).

use super::grammar::Row;
use super::random::Random;
use super::template::{Arguments, Template};

/// How many commands in a hundred are spoilt.
pub(super) const PERCENT: usize = 7;

/// Texts that some number, option or bound is not.
const NASTY: [&[u8]; 37] = [
    b"",
    b"-1",
    b"0",
    b"abc",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551615",
    b"18446744073709551616",
    b"1.5",
    b"-0",
    b"+1",
    b" 1",
    b"1 ",
    b"01",
    b"1e5",
    b"1e309",
    b"nan",
    b"-nan",
    b"inf",
    b"-inf",
    b"+inf",
    b"infinity",
    b"0x10",
    b"\xff\x00",
    b"\r\n",
    b"(",
    b"[",
    b"(abc",
    b"-",
    b"+",
    b"NX",
    b"LIMIT",
    b"COUNT",
    b"WITHSCORES",
    b"99999999999999999999999999999999999999999999999999",
];

/// Spoils `arguments`; those with a time in no way that makes it a short one.
pub(super) fn spoil(
    arguments: &mut Arguments,
    template: &Template,
    row: &Row,
    random: &mut Random,
) {
    let timed = row.timed;
    // The name stays: an unknown command is an error of one kind only.
    let first = if row.keyed { 3 } else { 1 };
    let last = arguments.len().saturating_sub(first);
    let at = first + random.below(last);
    match random.below(10) {
        0 => {
            arguments.pop();
        }
        1 if last > 0 => {
            arguments.remove(at);
        }
        2 => arguments.push(nasty(random)),
        3 => arguments.insert(at.min(arguments.len()), nasty(random)),
        4 if last > 0 && !timed => {
            let copy = arguments[at].clone();
            arguments.insert(at, copy);
        }
        5 if last > 1 && !timed => {
            let other = first + random.below(last);
            arguments.swap(at, other);
        }
        6 => {
            if let Some(option) = template.option(random) {
                arguments.insert(at.min(arguments.len()), option.as_bytes().to_vec());
            }
        }
        7 if random.chance(20) => arguments.truncate(1),
        _ if last > 0 => arguments[at] = nasty(random),
        _ => arguments.push(nasty(random)),
    }
    if arguments.is_empty() {
        arguments.push(b"PING".to_vec());
    }
}

fn nasty(random: &mut Random) -> Vec<u8> {
    random.pick(&NASTY).to_vec()
}
