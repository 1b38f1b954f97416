//! Tests of the tests: that a wrong reply is found, and how a failure reads.
//!
//! Left out on purpose: every form of the notation; the scripts themselves use them all, and are
//! held against redis-server.

use std::path::Path;

use super::expect::{Dialect, Expect};
use super::reply::Reply;
use super::resp::Protocol;
use super::run::{Door, run};
use super::script::Script;

const RESP2: Dialect = Dialect::Resp(Protocol::Resp2);
const RESP3: Dialect = Dialect::Resp(Protocol::Resp3);

/// A script with a wrong reply fails, and the failure names all that it takes to see why.
pub(crate) fn a_mismatch_names_everything() -> Result<(), String> {
    let text = "== a section\n> SET k v\nOK\n2> GET k\n\"w\"\n";
    let script = Script::parse(Path::new("tests/commands/some.txt"), text)?;
    let Err(report) = run(&script, Door::Redis) else {
        return Err("a wrong reply was not found".to_owned());
    };
    for part in ["tests/commands/some.txt:4", "redis", "a section", "2> GET k", "\"w\"", "\"v\""] {
        if !report.contains(part) {
            return Err(format!("{part} is missing in:\n{report}"));
        }
    }
    Ok(())
}

/// A deliberate difference keeps redis-server's own answer in sight.
pub(crate) fn a_difference_is_held_against_redis() -> Result<(), String> {
    let differing = |redis: &str| {
        let text = format!("> SET k v\nOK\n@differs: a reason\n> GET k\n\"other\"\n{redis}");
        let script = Script::parse(Path::new("some.txt"), &text)?;
        run(&script, Door::Redis)
    };
    differing("")?;
    differing("redis: \"v\"\n")?;
    match differing("redis: \"w\"\n") {
        Err(_) => Ok(()),
        Ok(()) => Err("a wrong redis: line was not found".to_owned()),
    }
}

/// Expectations that fit and that do not, one row each.
pub(crate) fn expectations_tell_replies_apart() -> Result<(), String> {
    let bulk = |text: &str| Reply::Bulk(text.as_bytes().to_vec());
    let pair = || vec![bulk("a"), bulk("1")];
    let rows = [
        ("OK", Reply::Status("OK".to_owned()), RESP2, true),
        ("OK", bulk("OK"), RESP2, false),
        ("OK", bulk("OK"), Dialect::Rest, true),
        ("\"1\"", Reply::Integer(1), RESP2, false),
        ("1", bulk("1"), RESP2, false),
        ("nil", Reply::NilArray, RESP2, false),
        ("nil-array", Reply::Nil, RESP3, true),
        ("nil", Reply::NilArray, RESP3, false),
        ("{\"a\" \"1\"}", Reply::Map(pair()), RESP3, true),
        ("{\"a\" \"1\"}", Reply::Array(pair()), RESP3, false),
        ("{\"a\" \"1\"}", Reply::Array(pair()), RESP2, true),
        ("[\"a\" \"1\"]", Reply::Map(pair()), RESP3, false),
        ("~[\"1\" \"a\"]", Reply::Array(pair()), RESP2, true),
        ("~2[\"1\" \"a\"]", Reply::Array(pair()), RESP2, false),
        ("~[\"a\" \"a\"]", Reply::Array(pair()), RESP2, false),
        ("[\"a\"]", Reply::Array(pair()), RESP2, false),
        ("[\"a\" ...]", Reply::Array(pair()), RESP2, true),
        ("[\"a\" \"1\" \"b\" ...]", Reply::Array(pair()), RESP2, false),
        (",1.5", Reply::Double("1.5".to_owned()), RESP3, true),
        (",1.5", bulk("1.5"), RESP3, false),
        (",1.5", bulk("1.5"), RESP2, true),
        ("true", Reply::Integer(1), RESP2, true),
        ("1..9", Reply::Integer(10), RESP2, false),
        ("/a+/", bulk("aab"), RESP2, false),
        ("/a+b/", bulk("aab"), RESP2, true),
        ("!ERR no", Reply::Error("ERR no".to_owned()), RESP2, true),
        ("!ERR no", bulk("ERR no"), RESP2, false),
        ("!/ERR .*/", Reply::Error("NOAUTH".to_owned()), RESP2, false),
        ("\"a\" | \"b\"", bulk("b"), RESP2, true),
        ("\"a\" | \"b\"", bulk("c"), RESP2, false),
        ("9007199254740993", bulk("9007199254740993"), Dialect::Rest, true),
        ("9007199254740993", bulk("9007199254740993"), RESP2, false),
        ("*", Reply::Closed, RESP2, false),
        ("\"{x*3}\"", bulk("xxx"), RESP2, true),
    ];
    for (text, reply, dialect, fits) in rows {
        if Expect::parse(text)?.matches(&reply, dialect) != fits {
            return Err(format!("{text} and {reply} in {dialect:?}: fits should be {fits}"));
        }
    }
    Ok(())
}

/// A script that says too little or too much is refused with its line.
pub(crate) fn broken_scripts_are_refused() -> Result<(), String> {
    for (text, line) in [
        ("", "no commands"),
        ("OK\n", ":1: "),
        ("> SET k v\nOK\nOK\n", ":3: "),
        ("> SET k \"v\n", ":1: "),
        ("> GET k\n\"v\n", ":2: "),
        ("> GET k\nredis: nil\n", ":2: "),
        ("> SET k \"\\xff\"\n", ":1: "),
        ("> PING\nPONG\n@resp\n", ":3: "),
        ("@nosuch\n", ":1: "),
        ("@differs:\n", ":1: "),
        ("@sleep long\n", ":1: "),
        ("> HGETALL h\n{\"a\"}\n", ":2: "),
    ] {
        match Script::parse(Path::new("some.txt"), text) {
            Err(why) if why.contains(line) => {}
            other => return Err(format!("{text:?} gave {other:?}")),
        }
    }
    Ok(())
}
