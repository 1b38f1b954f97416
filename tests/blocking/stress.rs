//! Producers and consumers by the dozen, who come and go: every element comes once.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{call, connect, hear, send};
use crate::support::reply::Reply;
use crate::support::server::{Program, Server};

const PRODUCERS: usize = 4;
const CONSUMERS: usize = 12;
/// Elements of each producer.
const ELEMENTS: usize = 1500;
const LISTS: usize = 3;

/// A random number, from a seed that is its state.
fn random(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

/// Pushes elements one or a few at a time, sometimes by a transaction or under another name.
fn produce(server: &Server, producer: usize) {
    let mut connection = connect(server);
    let mut seed = producer as u64;
    let mut next = 0;
    while next < ELEMENTS {
        let list = format!("list:{}", random(&mut seed) % LISTS);
        let count = (1 + random(&mut seed) % 3).min(ELEMENTS - next);
        let elements: Vec<String> =
            (next..next + count).map(|n| format!("{producer}:{n}")).collect();
        next += count;
        let elements = elements.join(" ");
        match random(&mut seed) % 4 {
            0 => {
                call(&mut connection, "MULTI");
                call(&mut connection, &format!("RPUSH {list} {elements}"));
                call(&mut connection, &format!("RPUSH other:{producer} nothing"));
                call(&mut connection, &format!("DEL other:{producer}"));
                call(&mut connection, "EXEC");
            }
            // Where the name is taken, the elements come later.
            1 => {
                call(&mut connection, &format!("RPUSH new:{producer} {elements}"));
                while call(&mut connection, &format!("RENAMENX new:{producer} {list}"))
                    == Reply::Integer(0)
                {
                    std::thread::yield_now();
                }
            }
            _ => _ = call(&mut connection, &format!("LPUSH {list} {elements}")),
        }
    }
}

fn note(seen: &mut Vec<String>, reply: &Reply) {
    match reply {
        Reply::Bulk(element) => seen.push(String::from_utf8_lossy(element).into_owned()),
        Reply::Array(parts) => match &parts[..] {
            [_, Reply::Bulk(element)] => seen.push(String::from_utf8_lossy(element).into_owned()),
            [_, Reply::Array(elements)] => elements.iter().for_each(|reply| note(seen, reply)),
            _ => panic!("{reply}"),
        },
        Reply::NilArray => {}
        other => panic!("{other}"),
    }
}

/// Takes elements until all is done. Ever again it stops to ask while it waits, takes what may
/// still come, and comes back as another client.
fn consume(server: &Server, consumer: usize, done: &AtomicBool) -> Vec<String> {
    let mut seed = 1000 + consumer as u64;
    let mut seen = Vec::new();
    while !done.load(Ordering::Acquire) {
        let mut connection = connect(server);
        for _ in 0..random(&mut seed) % 20 {
            let lists = (0..LISTS).map(|n| format!("list:{}", (n + consumer) % LISTS));
            let lists = lists.collect::<Vec<_>>().join(" ");
            let line = match random(&mut seed) % 5 {
                0 => format!("BRPOP {lists} 0.05"),
                1 => format!("BLMPOP 0.05 {LISTS} {lists} LEFT COUNT 2"),
                2 => format!("BLMOVE list:0 own:{consumer} LEFT RIGHT 0.02"),
                3 => "BLMOVE list:1 list:2 LEFT RIGHT 0.02".to_owned(),
                _ => format!("BLPOP {lists} 0.05"),
            };
            let moves = line.starts_with("BLMOVE");
            send(&mut connection, &line);
            let leaves = random(&mut seed).is_multiple_of(8);
            if leaves {
                for _ in 0..random(&mut seed) % 50 {
                    std::thread::yield_now();
                }
                // It listens on, so what it was served in this moment must still come.
                connection.socket().shutdown(Shutdown::Write).expect("the socket is open");
            }
            let reply = hear(&mut connection);
            if reply == Reply::Closed {
                break;
            }
            if !moves {
                note(&mut seen, &reply);
            }
            if leaves {
                assert_eq!(hear(&mut connection), Reply::Closed);
                break;
            }
        }
    }
    seen
}

#[test]
fn every_element_comes_once() {
    let server = Server::start(Program::Eave, &[]).expect("the server answers");
    let done = AtomicBool::new(false);
    let mut seen: Vec<String> = std::thread::scope(|scope| {
        let (server, done) = (&server, &done);
        let consumers: Vec<_> = (0..CONSUMERS)
            .map(|consumer| scope.spawn(move || consume(server, consumer, done)))
            .collect();
        let producers: Vec<_> =
            (0..PRODUCERS).map(|producer| scope.spawn(move || produce(server, producer))).collect();
        producers.into_iter().for_each(|producer| producer.join().expect("it produces"));
        let mut connection = connect(server);
        let empty = |connection: &mut _| {
            (0..LISTS).all(|n| call(connection, &format!("LLEN list:{n}")) == Reply::Integer(0))
        };
        while !empty(&mut connection) {
            std::thread::yield_now();
        }
        done.store(true, Ordering::Release);
        consumers.into_iter().flat_map(|consumer| consumer.join().expect("it consumes")).collect()
    });
    let mut connection = connect(&server);
    // What they moved to lists of their own they have not seen, and what they moved between the
    // others after the last look is still there.
    let own = (0..CONSUMERS).map(|n| format!("own:{n}"));
    for list in own.chain((0..LISTS).map(|n| format!("list:{n}"))) {
        let Reply::Array(elements) = call(&mut connection, &format!("LRANGE {list} 0 -1")) else {
            panic!("LRANGE answers a list");
        };
        elements.iter().for_each(|element| note(&mut seen, element));
    }
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    seen.into_iter().for_each(|element| *times.entry(element).or_default() += 1);
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "came more than once: {twice:?}");
    assert_eq!(times.len(), PRODUCERS * ELEMENTS, "some never came");
    super::until_blocked(&mut connection, 0);
}

/// Clients of every kind wait for the same keys while these change in every way. Nobody who
/// could have been served still waits at the end.
#[test]
fn nobody_is_forgotten() {
    let server = Server::start(Program::Eave, &[]).expect("the server answers");
    let mut connection = connect(&server);
    let mut waiting = Vec::new();
    for n in 0..60 {
        let mut client = connect(&server);
        let line = match n % 3 {
            0 => "BLPOP x y z 0",
            1 => "BZPOPMIN y z x 0",
            _ => "BLMOVE z x LEFT RIGHT 0",
        };
        send(&mut client, line);
        waiting.push(client);
    }
    super::until_blocked(&mut connection, 60);
    std::thread::scope(|scope| {
        for worker in 0..4u64 {
            let server = &server;
            scope.spawn(move || {
                let (mut connection, mut seed) = (connect(server), worker);
                let keys = ["x", "y", "z", "w"];
                for n in 0..300 {
                    let [a, b] = [0, 1].map(|_| keys[random(&mut seed) % 4]);
                    let line = match random(&mut seed) % 8 {
                        0 | 1 => format!("RPUSH {a} {worker}:{n}"),
                        2 | 3 => format!("ZADD {a} 1 {worker}:{n}"),
                        4 => format!("RENAME {a} {b}"),
                        5 => format!("COPY {a} {b} REPLACE"),
                        6 => format!("SET {a} v"),
                        _ => format!("DEL {a}"),
                    };
                    call(&mut connection, &line);
                }
            });
        }
    });
    for key in ["x", "y", "z"] {
        call(&mut connection, &format!("DEL {key}"));
    }
    // Whoever is left takes exactly one of these.
    let left = super::until(&mut connection, "clients", "blocked_clients", |_| true);
    let left: usize = left.parse().expect("a number");
    let mut served = 0;
    while served < left {
        for kind in ["RPUSH z a", "ZADD z 1 a"] {
            call(&mut connection, kind);
        }
        call(&mut connection, "DEL z");
        let now = super::until(&mut connection, "clients", "blocked_clients", |_| true);
        let now: usize = now.parse().expect("a number");
        assert!(left - now > served, "{now} still wait, though there was something for them");
        served = left - now;
    }
    for mut client in waiting {
        match hear(&mut client) {
            // One that moves to where no list is.
            Reply::Error(why) => assert!(why.starts_with("WRONGTYPE"), "{why}"),
            reply => assert_ne!(reply, Reply::Closed),
        }
    }
}
