//! The keyspace events of commands, held against redis-server's.

use std::time::Duration;

use crate::support::reply::Reply;
use crate::support::resp::Connection;
use crate::support::server::{Program, Server};

/// Commands in an order in which each has something to say, one line each. Random outcomes and
/// what expires by itself are elsewhere.
const COMMANDS: &str = include_str!("events.txt");

/// What follows a command on the channel `end`, behind its events.
const END: &[u8] = b"end";

struct Heard {
    server: Server,
    speaker: Connection,
    closer: Connection,
    listener: Connection,
}

impl Heard {
    fn start(program: Program, classes: &str) -> Heard {
        let options = ["--notify-keyspace-events", classes].map(str::to_owned);
        let server = Server::start(program, &options).expect("the server answers");
        let mut listener = server.connect().expect("the server answers");
        listener.call(&["PSUBSCRIBE", "*"]).expect("the server answers");
        let [speaker, closer] = [0, 1].map(|_| server.connect().expect("the server answers"));
        Heard { speaker, closer, listener, server }
    }

    /// The reply of a command, and the messages that it caused, as `channel: payload`.
    fn say(&mut self, argv: &[&str]) -> (Reply, Vec<String>) {
        let reply = self.speaker.call(argv).expect("the server answers");
        (reply, self.hear())
    }

    fn hear(&mut self) -> Vec<String> {
        // On a connection of its own, since the speaker may be inside MULTI.
        self.closer.call(&[b"PUBLISH", END, END]).expect("the server answers");
        let mut heard = Vec::new();
        loop {
            let Reply::Array(parts) = self.listener.receive().expect("the server answers") else {
                panic!("no message: {}", self.server.log_tail());
            };
            let [_, _, Reply::Bulk(channel), Reply::Bulk(payload)] = &parts[..] else {
                panic!("no message: {parts:?}");
            };
            if channel == END {
                return heard;
            }
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            heard.push(format!("{}: {}", text(channel), text(payload)));
        }
    }
}

#[test]
fn are_those_of_redis() {
    // Without `n`: 7.0.15 tells of new keys too, but at other moments than after the command.
    let [mut eave, mut redis] =
        [Program::Eave, Program::Redis].map(|program| Heard::start(program, "KEA"));
    let mut wrong = Vec::new();
    for line in COMMANDS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let argv: Vec<&str> = line.split(' ').collect();
        let (ours, theirs) = (eave.say(&argv), redis.say(&argv));
        if ours != theirs {
            wrong.push(format!("{line}\n  eave:  {ours:?}\n  redis: {theirs:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn new_and_missed_keys_are_told_of() {
    let [mut eave, mut redis] =
        [Program::Eave, Program::Redis].map(|program| Heard::start(program, "Enm"));
    for line in ["SET a 1", "SET a 2", "GET a", "GET b", "HGET b f", "HSET h f v", "MGET a b c"] {
        let argv: Vec<&str> = line.split(' ').collect();
        assert_eq!(eave.say(&argv), redis.say(&argv), "{line}");
    }
}

#[test]
fn what_is_due_is_told_of_once() {
    for lazily in [true, false] {
        let mut eave = Heard::start(Program::Eave, "Ex");
        eave.say(&["SET", "k", "v", "PX", "20"]);
        let mut heard = Vec::new();
        let mut attempts = 0;
        while heard.is_empty() {
            // Whoever finds the key first says so: a command that asks, or the sweep.
            heard = if lazily { eave.say(&["SETNX", "k", "w"]).1 } else { eave.hear() };
            std::thread::park_timeout(Duration::from_millis(5));
            attempts += 1;
            assert!(attempts < 2000, "nobody says so");
        }
        assert_eq!(heard, ["__keyevent@0__:expired: k"]);
        eave.say(&["DEL", "k"]);
        assert_eq!(eave.hear(), Vec::<String>::new());
    }
}

#[test]
fn the_class_decides() {
    let mut eave = Heard::start(Program::Eave, "Eg");
    assert_eq!(eave.say(&["SET", "k", "v"]).1, Vec::<String>::new());
    assert_eq!(eave.say(&["DEL", "k"]).1, ["__keyevent@0__:del: k"]);
    eave.say(&["CONFIG", "SET", "notify-keyspace-events", "K$"]);
    assert_eq!(eave.say(&["SET", "k", "v"]).1, ["__keyspace@0__:k: set"]);
    assert_eq!(eave.say(&["DEL", "k"]).1, Vec::<String>::new());
    eave.say(&["CONFIG", "SET", "notify-keyspace-events", "Ed"]);
    assert_eq!(eave.say(&["RL.TAKE", "l", "5/1m"]).1, ["__keyevent@0__:ratelimit: l"]);
}
