//! A conversation of several connections with one server.

use crate::support::reply::Reply;
use crate::support::resp::{Connection, encode};
use crate::support::server::{Program, Server};

/// A connection, what it sends, and how many replies or messages each connection then gets.
/// Several lines are sent at once. `{2}` in a line is the id of connection 2.
pub(crate) type Step<'a> = (usize, &'a str, &'a [(usize, usize)]);

/// Connections of each conversation.
const CONNECTIONS: usize = 4;

/// Numbers that are no ids.
const SMALL: i64 = 10;

/// Has a conversation with a server of its own; answers who heard what.
pub(crate) fn run(program: Program, steps: &[Step<'_>]) -> Vec<(usize, Reply)> {
    let server = Server::start(program, &[]).expect("the server answers");
    // So that no id can be taken for another number.
    (0..SMALL).for_each(|_| drop(server.connect().expect("the server answers")));
    let mut connections: Vec<Connection> =
        (0..CONNECTIONS).map(|_| server.connect().expect("the server answers")).collect();
    let ids: Vec<String> = connections.iter_mut().map(id).collect();
    let mut heard = Vec::new();
    for (speaker, lines, replies) in steps {
        let mut request = Vec::new();
        for line in lines.lines() {
            let mut line = line.trim().to_owned();
            for (at, id) in ids.iter().enumerate() {
                line = line.replace(&format!("{{{at}}}"), id);
            }
            request.extend(encode(&line.split(' ').collect::<Vec<_>>()));
        }
        connections[*speaker].send_raw(&request).expect("the server answers");
        for (listener, count) in *replies {
            for _ in 0..*count {
                let reply = connections[*listener].receive().unwrap_or_else(|error| {
                    panic!("{program:?}: {lines}: {listener} hears nothing: {error}")
                });
                heard.push((*listener, shown(reply, &ids)));
            }
        }
    }
    heard
}

fn id(connection: &mut Connection) -> String {
    match connection.call(&["CLIENT", "ID"]) {
        Ok(Reply::Integer(id)) => id.to_string(),
        other => panic!("no id: {other:?}"),
    }
}

/// A reply that does not depend on which ids the server gives.
fn shown(reply: Reply, ids: &[String]) -> Reply {
    let all = |parts: Vec<Reply>| parts.into_iter().map(|part| shown(part, ids)).collect();
    match reply {
        Reply::Integer(number) => match ids.iter().position(|id| *id == number.to_string()) {
            Some(at) if number > SMALL => Reply::Bulk(format!("id of {at}").into_bytes()),
            _ => Reply::Integer(number),
        },
        Reply::Array(parts) => Reply::Array(all(parts)),
        Reply::Push(parts) => Reply::Push(all(parts)),
        Reply::Map(parts) => Reply::Map(all(parts)),
        other => other,
    }
}

/// Has it with both servers; both must answer alike. Answers what was heard.
pub(crate) fn same(steps: &[Step<'_>]) -> Vec<(usize, Reply)> {
    let redis = run(Program::Redis, steps);
    let eave = run(Program::Eave, steps);
    for (at, (ours, theirs)) in eave.iter().zip(&redis).enumerate() {
        if ours != theirs {
            let told: Vec<String> =
                eave.iter().map(|(who, what)| format!("{who}: {what}")).collect();
            let (ours, theirs) =
                (format!("{}: {}", ours.0, ours.1), format!("{}: {}", theirs.0, theirs.1));
            panic!("reply {at} is {ours}, of redis-server {theirs}, in {}", told.join(", "));
        }
    }
    eave
}

/// The messages among what was heard, as `listener: keys`.
pub(crate) fn messages(heard: &[(usize, Reply)]) -> Vec<String> {
    heard
        .iter()
        .filter_map(|(listener, reply)| match reply {
            Reply::Push(parts) => {
                let words: Vec<String> = parts[1..].iter().map(Reply::to_string).collect();
                Some(format!("{listener}: {}", words.join(" ")))
            }
            _ => None,
        })
        .collect()
}
