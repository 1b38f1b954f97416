//! What is noted is bounded and counted, and keys that go by themselves are told of too.

use crate::support::reply::Reply;
use crate::support::resp::Connection;
use crate::support::server::{Program, Server};

fn tracker(server: &Server) -> Connection {
    let mut connection = server.connect().expect("the server answers");
    connection.call(&["HELLO", "3"]).expect("the server answers");
    connection.call(&["CLIENT", "TRACKING", "ON"]).expect("the server answers");
    connection
}

fn keys_of(message: &Result<Reply, String>) -> Vec<Reply> {
    let Ok(Reply::Push(parts)) = message else { panic!("no message: {message:?}") };
    assert_eq!(parts[0], Reply::Bulk(b"invalidate".to_vec()));
    match &parts[1] {
        Reply::Array(keys) => keys.clone(),
        other => vec![other.clone()],
    }
}

/// A field of INFO.
fn field(connection: &mut Connection, name: &str) -> u64 {
    let info = connection.call(&["INFO", "everything"]).expect("the server answers");
    let info = info.text().unwrap_or_default();
    let value = info.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn what_expires_is_told_of() {
    for program in [Program::Eave, Program::Redis] {
        let server = Server::start(program, &[]).expect("the server answers");
        let (mut reader, mut all) = (tracker(&server), tracker(&server));
        for mode in [&["OFF"][..], &["ON", "BCAST"]] {
            let argv = [&["CLIENT", "TRACKING"], mode].concat();
            all.call(&argv).expect("the server answers");
        }
        let mut writer = server.connect().expect("the server answers");
        writer.call(&["SET", "k", "v", "PX", "50"]).expect("the server answers");
        reader.call(&["GET", "k"]).expect("the server answers");
        let key = [Reply::Bulk(b"k".to_vec())];
        assert_eq!(keys_of(&reader.receive()), key, "{program:?}");
        // Of the write, and of the end.
        assert_eq!(keys_of(&all.receive()), key, "{program:?}");
        assert_eq!(keys_of(&all.receive()), key, "{program:?}");
        assert_eq!(reader.call(&["GET", "k"]), Ok(Reply::Nil), "{program:?}");
    }
}

#[test]
fn a_field_that_expires_is_told_of() {
    let server = Server::start(Program::Eave, &[]).expect("the server answers");
    let mut reader = tracker(&server);
    let mut writer = server.connect().expect("the server answers");
    writer.call(&["HSET", "h", "a", "1", "b", "2"]).expect("the server answers");
    writer.call(&["HPEXPIRE", "h", "30", "FIELDS", "1", "a"]).expect("the server answers");
    reader.call(&["HGETALL", "h"]).expect("the server answers");
    assert_eq!(keys_of(&reader.receive()), [Reply::Bulk(b"h".to_vec())]);
}

#[test]
fn what_is_evicted_is_told_of() {
    for program in [Program::Eave, Program::Redis] {
        let options = ["--maxmemory-policy", "allkeys-random"].map(str::to_owned);
        let server = Server::start(program, &options).expect("the server answers");
        let mut reader = tracker(&server);
        let mut writer = server.connect().expect("the server answers");
        let value = "x".repeat(10_000);
        for n in 0..500 {
            let key = n.to_string();
            writer.call(&["SET", &key, &value]).expect("the server answers");
            reader.call(&["STRLEN", &key]).expect("the server answers");
        }
        let used = field(&mut writer, "used_memory");
        let most = (used - 2_000_000).to_string();
        writer.call(&["CONFIG", "SET", "maxmemory", &most]).expect("the server answers");
        writer.call(&["SET", "one-more", &value]).expect("the server answers");
        let Reply::Integer(left) = writer.call(&["DBSIZE"]).expect("the server answers") else {
            panic!("no size")
        };
        assert!(left < 500, "{program:?}: {left} are left");
        // As many messages as keys have gone, at least; Eave may go on in the background.
        for _ in 0..500 - left {
            assert_eq!(keys_of(&reader.receive()).len(), 1, "{program:?}");
        }
    }
}

#[test]
fn the_table_is_bounded() {
    for program in [Program::Eave, Program::Redis] {
        let options = ["--tracking-table-max-keys", "100"].map(str::to_owned);
        let server = Server::start(program, &options).expect("the server answers");
        let (mut reader, mut other) = (tracker(&server), tracker(&server));
        let mut given_up = 0;
        for n in 0..300 {
            reader.send_raw(format!("GET {n}\r\n").as_bytes()).expect("the server answers");
            while let Ok(Reply::Push(_)) = reader.receive() {
                given_up += 1;
            }
            other.call(&["PING"]).expect("the server answers");
        }
        let noted = field(&mut other, "tracking_total_keys");
        // Redis looks before a command, Eave behind it.
        assert!(noted <= 101, "{program:?}: {noted} keys");
        assert_eq!(field(&mut other, "tracking_total_items"), noted, "{program:?}");
        assert!(given_up >= 199, "{program:?}: {given_up} messages");
    }
}

#[test]
fn figures_are_those_of_redis() {
    let figures = |program: Program| {
        let server = Server::start(program, &[]).expect("the server answers");
        let (mut one, mut two) = (tracker(&server), tracker(&server));
        let mut writer = server.connect().expect("the server answers");
        one.call(&["MGET", "a", "b", "a"]).expect("the server answers");
        two.call(&["GET", "a"]).expect("the server answers");
        let mut seen = Vec::new();
        let mut look = |writer: &mut Connection| {
            let fields = ["clients", "total_keys", "total_items", "total_prefixes"];
            seen.push(fields.map(|name| field(writer, &format!("tracking_{name}"))));
        };
        look(&mut writer);
        writer.call(&["SET", "a", "1"]).expect("the server answers");
        look(&mut writer);
        two.receive().expect("the server answers");
        for mode in [&["OFF"][..], &["ON", "BCAST", "PREFIX", "x", "PREFIX", "y"]] {
            two.call(&[&["CLIENT", "TRACKING"], mode].concat()).expect("the server answers");
        }
        look(&mut writer);
        let list = writer.call(&["CLIENT", "LIST"]).expect("the server answers");
        let list = list.text().unwrap_or_default();
        let flags: Vec<String> = list
            .lines()
            .map(|line| {
                let word = |name: &str| {
                    line.split(' ').find(|word| word.starts_with(name)).unwrap_or_default()
                };
                format!("{} {}", word("flags="), word("redir="))
            })
            .collect();
        two.call(&["CLIENT", "TRACKING", "OFF"]).expect("the server answers");
        writer.call(&["FLUSHALL"]).expect("the server answers");
        look(&mut writer);
        (seen, flags)
    };
    let (redis, eave) = (figures(Program::Redis), figures(Program::Eave));
    assert_eq!(eave, redis);
    assert_eq!(redis.0[0], [2, 2, 3, 0]);
}
