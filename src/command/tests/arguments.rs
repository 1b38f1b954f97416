//! What COMMAND DOCS says of arguments, held against redis-server: which there are, with their
//! kinds, tokens and flags. What differs on purpose is listed with its reason.

use super::super::arguments::{self, Argument, Kind};
use super::super::{Command, all, full_name};
use super::table::oracle::{Oracle, Reply};

/// Commands whose arguments differ from those of redis-server 7.0, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("set", LATER),
    ("hscan", LATER),
    ("zrank", LATER),
    ("zrevrank", LATER),
    ("xadd", LATER),
    ("xtrim", LATER),
    ("client|kill", LATER),
    ("scan", "WITHTYPE is of Upstash"),
    ("bitop", "Redis does not name the operations, and later ones are there"),
    ("pfdebug", "Redis does not name the subcommands"),
    ("geosearch", GROUPED),
    ("geosearchstore", GROUPED),
    ("xinfo|stream", GROUPED),
    ("psubscribe", GROUPED),
    ("client|list", GROUPED),
    ("failover", GROUPED),
    ("config|get", GROUPED),
    ("georadius", "only one of STORE and STOREDIST is taken"),
    ("georadiusbymember", "only one of STORE and STOREDIST is taken"),
    ("pfmerge", "the sources may be left out"),
    ("geopos", "the members may be left out"),
    ("geohash", "the members may be left out"),
    ("lcs", NAMED),
    ("xsetid", NAMED),
    ("acl|cat", NAMED),
    ("command|getkeys", "Redis tells nothing of them"),
    ("command|getkeysandflags", "Redis tells nothing of them"),
];

const LATER: &str = "has options of later versions";
const GROUPED: &str = "the same arguments, put together otherwise";
const NAMED: &str = "another name for the same";

/// The fields of a map, which RESP2 has as a list.
pub(super) fn fields(reply: &Reply) -> impl Iterator<Item = (String, &Reply)> {
    let Reply::Array(all) = reply else { panic!("a map") };
    all.chunks_exact(2).map(|pair| (text(&pair[0]), &pair[1]))
}

pub(super) fn text(reply: &Reply) -> String {
    let Reply::Text(text) = reply else { panic!("a text") };
    String::from_utf8_lossy(text).into_owned()
}

pub(super) fn list(reply: &Reply) -> &[Reply] {
    let Reply::Array(all) = reply else { panic!("a list") };
    all
}

/// Arguments as redis-server tells them.
fn told(reply: &Reply) -> Vec<Argument> {
    list(reply).iter().map(argument).collect()
}

fn argument(reply: &Reply) -> Argument {
    let mut argument = arguments::leaf("", Kind::Text);
    for (name, value) in fields(reply) {
        match &*name {
            "name" => argument.name = text(value),
            "type" => {
                let kinds = [
                    Kind::Key,
                    Kind::Text,
                    Kind::Integer,
                    Kind::Double,
                    Kind::Pattern,
                    Kind::UnixTime,
                    Kind::Token,
                    Kind::OneOf,
                    Kind::Block,
                ];
                let kind = kinds.into_iter().find(|kind| kind.name() == text(value));
                argument.kind = kind.expect("a kind that is known");
            }
            "token" => argument.token = Some(text(value)),
            "arguments" => argument.parts = told(value),
            "flags" => {
                for flag in list(value) {
                    match &*text(flag) {
                        "optional" => argument.optional = true,
                        "multiple" => argument.multiple = true,
                        "multiple_token" => argument.multiple_token = true,
                        other => panic!("flag {other}"),
                    }
                }
            }
            _ => {}
        }
    }
    argument
}

/// The shapes of a command and of its subcommands, by name.
fn shapes(name: &str, reply: &Reply, into: &mut Vec<(String, String)>) {
    let mut shape = String::new();
    for (field, value) in fields(reply) {
        match &*field {
            "arguments" => shape = arguments::shape(&told(value)),
            "subcommands" => fields(value).for_each(|(name, reply)| shapes(&name, reply, into)),
            _ => {}
        }
    }
    into.push((name.to_owned(), shape));
}

#[test]
fn arguments_are_those_that_redis_tells() {
    let mut oracle = Oracle::start("arguments").expect("could not run: no redis-server");
    let docs = oracle.ask(&[vec![&b"COMMAND"[..], b"DOCS"]]).pop().expect("a reply");
    let mut redis = Vec::new();
    fields(&docs).for_each(|(name, reply)| shapes(&name, reply, &mut redis));
    let rows = all().flat_map(|command| {
        let subs = command.subcommands.iter().map(move |sub| (Some(command), sub));
        std::iter::once((None::<&Command>, command)).chain(subs)
    });
    let mut wrong = Vec::new();
    for (container, command) in rows {
        let name = full_name(container, command);
        let ours = arguments::shape(&arguments::of(&name, command.syntax));
        let Some((_, theirs)) = redis.iter().find(|(theirs, _)| *theirs == name) else { continue };
        let differs = DIFFERENT.iter().any(|(known, _)| *known == name);
        if (ours == *theirs) == differs {
            wrong.push(format!("{name}\n    ours  {ours}\n    redis {theirs}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
