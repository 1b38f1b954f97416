//! What COMMAND DOCS tells of the past of commands, held against redis-server: the versions, what
//! is old, and that nothing is told of commands that are not there.

use super::super::{Command, all, full_name, history};
use super::arguments::{fields, list, text};
use super::table::oracle::{Oracle, Reply};

/// What one command's document says: the versions of its history, since when it is old, its flag.
type Told = (Vec<String>, Option<String>, Option<String>);

fn told(name: &str, reply: &Reply, into: &mut Vec<(String, Told)>) {
    let mut told = Told::default();
    for (field, value) in fields(reply) {
        match &*field {
            "history" => told.0 = list(value).iter().map(|pair| text(&list(pair)[0])).collect(),
            "deprecated_since" => told.1 = Some(text(value)),
            "doc_flags" => told.2 = list(value).first().map(text),
            "subcommands" => fields(value).for_each(|(name, reply)| self::told(&name, reply, into)),
            _ => {}
        }
    }
    into.push((name.to_owned(), told));
}

/// The version of the oracle: what came later it does not know.
const ORACLE: [u32; 3] = [7, 0, 15];

fn number(version: &str) -> [u32; 3] {
    let mut parts = version.split('.').map(|part| part.parse().expect("a number"));
    [(); 3].map(|()| parts.next().expect("three parts"))
}

#[test]
fn versions_are_those_that_redis_tells() {
    let mut oracle = Oracle::start("history").expect("could not run: no redis-server");
    let docs = oracle.ask(&[vec![&b"COMMAND"[..], b"DOCS"]]).pop().expect("a reply");
    let mut redis = Vec::new();
    fields(&docs).for_each(|(name, reply)| told(&name, reply, &mut redis));
    let rows = all().flat_map(|command| {
        let subs = command.subcommands.iter().map(move |sub| (Some(command), sub));
        std::iter::once((None::<&Command>, command)).chain(subs)
    });
    let (mut wrong, mut held) = (Vec::new(), 0);
    for (container, command) in rows {
        let name = full_name(container, command);
        let Some((_, theirs)) = redis.iter().find(|(theirs, _)| *theirs == name) else { continue };
        let changes = history::changes(&name).map(|(since, _)| since.to_owned());
        let ours: Told = (
            changes.filter(|since| number(since) <= ORACLE).collect(),
            history::old(&name).map(|(since, _)| since.to_owned()),
            history::flag(&name).map(str::to_owned),
        );
        held += ours.0.len();
        if ours != *theirs {
            wrong.push(format!("{name}\n    ours  {ours:?}\n    redis {theirs:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(held > 80, "only {held} changes are of commands that are there");
}
