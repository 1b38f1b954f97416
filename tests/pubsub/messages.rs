//! Conversations of a few connections, held against redis-server's.

use crate::support::reply::Reply;
use crate::support::resp::Connection;
use crate::support::server::{Program, Server};

/// A connection, a command, and how many replies each connection then gets.
type Step<'a> = (usize, &'a str, &'a [(usize, usize)]);

fn run(server: &Server, steps: &[Step<'_>]) -> Vec<(usize, Reply)> {
    let mut connections: Vec<Connection> =
        (0..3).map(|_| server.connect().expect("the server answers")).collect();
    let mut heard = Vec::new();
    for (speaker, line, replies) in steps {
        let argv: Vec<&str> = line.split(' ').collect();
        let words: Vec<String> =
            argv.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
        let request = format!("*{}\r\n{}", argv.len(), words.concat());
        connections[*speaker].send_raw(request.as_bytes()).expect("the server answers");
        for (listener, count) in *replies {
            for _ in 0..*count {
                heard.push((
                    *listener,
                    connections[*listener].receive().expect("the server answers"),
                ));
            }
        }
    }
    heard
}

fn same(steps: &[Step<'_>]) -> Vec<(usize, Reply)> {
    let [eave, redis] = [Program::Eave, Program::Redis]
        .map(|program| run(&Server::start(program, &[]).expect("the server answers"), steps));
    for (at, (ours, theirs)) in eave.iter().zip(&redis).enumerate() {
        assert_eq!(ours, theirs, "reply {at}");
    }
    eave
}

#[test]
fn channels_and_patterns() {
    same(&[
        (0, "SUBSCRIBE a b", &[(0, 2)]),
        (0, "SUBSCRIBE a", &[(0, 1)]),
        (0, "PSUBSCRIBE a* *", &[(0, 2)]),
        (1, "SUBSCRIBE a", &[(1, 1)]),
        (2, "PUBLISH b x", &[(2, 1), (0, 2)]),
        (2, "PUBLISH z x", &[(2, 1), (0, 1)]),
        (1, "UNSUBSCRIBE", &[(1, 1)]),
        (1, "UNSUBSCRIBE", &[(1, 1)]),
        (1, "PUNSUBSCRIBE x", &[(1, 1)]),
        (1, "GET k", &[(1, 1)]),
        (0, "UNSUBSCRIBE a c", &[(0, 2)]),
        (0, "PUNSUBSCRIBE * a*", &[(0, 2)]),
        (2, "PUBLISH b x", &[(2, 1), (0, 1)]),
        (2, "PUBLISH a x", &[(2, 1)]),
    ]);
}

#[test]
fn shard_channels() {
    same(&[
        (0, "SSUBSCRIBE a b", &[(0, 2)]),
        (0, "SUBSCRIBE a", &[(0, 1)]),
        (2, "SPUBLISH a x", &[(2, 1), (0, 1)]),
        (2, "PUBLISH a x", &[(2, 1), (0, 1)]),
        (2, "PUBSUB SHARDNUMSUB a b c", &[(2, 1)]),
        (2, "PUBSUB SHARDCHANNELS b*", &[(2, 1)]),
        (0, "SUNSUBSCRIBE a", &[(0, 1)]),
        (0, "SUNSUBSCRIBE", &[(0, 1)]),
        (0, "SUNSUBSCRIBE", &[(0, 1)]),
        (2, "SPUBLISH a x", &[(2, 1)]),
    ]);
}

#[test]
fn what_a_listener_may_ask() {
    same(&[
        (0, "SUBSCRIBE a", &[(0, 1)]),
        (0, "PING", &[(0, 1)]),
        (0, "PING hello", &[(0, 1)]),
        (0, "GET k", &[(0, 1)]),
        (0, "CONFIG GET port", &[(0, 1)]),
        (0, "nonsense", &[(0, 1)]),
        (0, "PUBLISH a x", &[(0, 1)]),
        (0, "SSUBSCRIBE s", &[(0, 1)]),
        (0, "RESET", &[(0, 1)]),
        (0, "GET k", &[(0, 1)]),
        (1, "PUBLISH a x", &[(1, 1)]),
        (0, "SUBSCRIBE", &[(0, 1)]),
        (0, "SUBSCRIBE a", &[(0, 1)]),
        (0, "QUIT", &[(0, 2)]),
    ]);
}

#[test]
fn over_resp3_a_listener_may_ask_anything() {
    let steps: &[Step<'_>] = &[
        (0, "SUBSCRIBE a", &[(0, 1)]),
        (0, "PING", &[(0, 1)]),
        (0, "GET k", &[(0, 1)]),
        (1, "PUBLISH a x", &[(1, 1), (0, 1)]),
        (0, "PSUBSCRIBE a", &[(0, 1)]),
        (1, "PUBLISH a y", &[(1, 1), (0, 2)]),
        (0, "MULTI", &[(0, 1)]),
        (0, "SUBSCRIBE b", &[(0, 1)]),
        (0, "EXEC", &[(0, 1)]),
        (0, "UNSUBSCRIBE", &[(0, 2)]),
    ];
    let [mut eave, mut redis] = [Program::Eave, Program::Redis].map(|program| {
        let server = Server::start(program, &[]).expect("the server answers");
        let mut steps = steps.to_vec();
        steps.insert(0, (0, "HELLO 3", &[(0, 1)]));
        run(&server, &steps).split_off(1)
    });
    // Which of the two channels is left first is not said.
    eave.truncate(eave.len() - 2);
    redis.truncate(redis.len() - 2);
    assert_eq!(eave, redis);
}

#[test]
fn who_listens_can_be_asked() {
    same(&[
        (0, "SUBSCRIBE a b", &[(0, 2)]),
        (1, "PSUBSCRIBE p*", &[(1, 1)]),
        (2, "PUBSUB NUMSUB", &[(2, 1)]),
        (2, "PUBSUB NUMSUB a b p1", &[(2, 1)]),
        (2, "PUBSUB NUMPAT", &[(2, 1)]),
        (2, "PUBSUB CHANNELS b", &[(2, 1)]),
        (2, "PUBSUB CHANNELS x*", &[(2, 1)]),
        (2, "PUBSUB CHANNELS a b", &[(2, 1)]),
        (2, "PUBSUB NUMPAT x", &[(2, 1)]),
        (2, "PUBSUB nonsense", &[(2, 1)]),
        (2, "PUBSUB", &[(2, 1)]),
        (2, "PUBLISH a", &[(2, 1)]),
    ]);
}

#[test]
fn who_is_gone_listens_no_more() {
    let server = Server::start(Program::Eave, &[]).expect("the server answers");
    let mut other = server.connect().expect("the server answers");
    for _ in 0..50 {
        let mut listener = server.connect().expect("the server answers");
        listener.call(&["SUBSCRIBE", "a"]).expect("the server answers");
        drop(listener);
    }
    // Eave learns of a closed socket when it reads from it.
    for _ in 0..1000 {
        if other.call(&["PUBLISH", "a", "x"]).expect("the server answers") == Reply::Integer(0) {
            return;
        }
        std::thread::yield_now();
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
    panic!("they are still counted");
}

/// Messages of one publisher keep their order, none is lost, while the listener asks too.
#[test]
fn many_messages_in_order() {
    let server = Server::start(Program::Eave, &[]).expect("the server answers");
    let (mut speaker, mut listener) =
        (server.connect().expect("the server answers"), server.connect().unwrap());
    listener.call(&["HELLO", "3"]).expect("the server answers");
    listener.call(&["SUBSCRIBE", "a"]).expect("the server answers");
    let count = 20_000;
    let speaking = std::thread::spawn(move || {
        for n in 0..count {
            speaker.call(&["PUBLISH", "a", &n.to_string()]).expect("the server answers");
        }
    });
    let mut next = 0;
    while next < count {
        if next % 1000 == 0 {
            listener.send_raw(b"*1\r\n$4\r\nPING\r\n").expect("the server answers");
        }
        match listener.receive().expect("the server answers") {
            Reply::Push(parts) => {
                assert_eq!(parts[2], Reply::Bulk(next.to_string().into_bytes()));
                next += 1;
            }
            reply => assert_eq!(reply, Reply::Status("PONG".into())),
        }
    }
    speaking.join().expect("the server answers");
}
