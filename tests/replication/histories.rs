//! Histories recorded from real processes while they are stopped, cut, killed, and hand over.
//!
//! What clients saw of each key on the leader has to be linearizable, through handovers too; what a
//! client sees on a replica never goes back, is never ahead of what was asked for, and never shows a
//! part of a transaction.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::Outcome;
use crate::pair::{Node, assert_same};
use crate::proxy::Proxy;
use crate::support::linear::{Event, Op, is_linearizable};
use crate::support::reply::Reply;
use crate::support::resp::Connection;
use crate::support::server::pause;
use crate::writer::Random;

const KEYS: usize = 4;
const CLIENTS: u64 = 4;

/// What clients did, by key, and a clock that only counts.
#[derive(Default)]
struct Record {
    clock: AtomicU64,
    values: AtomicU64,
    stop: AtomicBool,
    events: Mutex<[Vec<Event>; KEYS]>,
}

impl Record {
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn note(&self, key: usize, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)[key].push(event);
    }

    fn check(&self) -> Result<usize, String> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, history) in events.iter().enumerate() {
            if !is_linearizable(history, None) {
                return Err(format!("key {key} is not linearizable:\n{history:#?}"));
            }
        }
        Ok(events.iter().map(Vec::len).sum())
    }
}

/// What a register answered: a number or nothing; `Err` for an answer that is none.
fn number(reply: &Reply) -> Result<Option<u64>, String> {
    match reply {
        Reply::Nil => Ok(None),
        Reply::Status(_) => Ok(None),
        Reply::Integer(number) => Ok(u64::try_from(*number).ok()),
        Reply::Bulk(bytes) => Ok(std::str::from_utf8(bytes).ok().and_then(|t| t.parse().ok())),
        other => Err(other.to_string()),
    }
}

/// One client: asks whoever takes its writes, notes what it is told. With `reads` it also asks for
/// the value alone, which only a leader answers truly.
fn client(record: &Record, addresses: &[std::net::SocketAddr], seed: u64, reads: bool) {
    let mut random = Random(seed);
    let mut connections: Vec<Option<Connection>> = addresses.iter().map(|_| None).collect();
    let mut at = 0;
    while !record.stop.load(Ordering::Relaxed) {
        if connections[at].is_none() {
            connections[at] = Connection::open(addresses[at]).ok();
        }
        let Some(connection) = &mut connections[at] else {
            at = (at + 1) % addresses.len();
            pause(Duration::from_millis(5));
            continue;
        };
        let key = random.below(KEYS as u64) as usize;
        let name = format!("register{key}");
        let value = record.values.fetch_add(1, Ordering::Relaxed) + 1_000_000;
        let text = value.to_string();
        let (op, argv) = match random.below(if reads { 4 } else { 2 }) {
            0 => (Op::Swap(value), vec!["SET", &name, &text, "GET"]),
            1 => (Op::Increment, vec!["INCR", &name]),
            2 => (Op::Write(value), vec!["SET", &name, &text]),
            _ => (Op::Read, vec!["GET", &name]),
        };
        let called = record.now();
        let reply = connection.call(&argv);
        let answered = record.now();
        match reply {
            // Refused, so it has not happened.
            Ok(Reply::Error(_)) => {
                at = (at + 1) % addresses.len();
                pause(Duration::from_millis(1));
            }
            Ok(Reply::Closed) | Err(_) => {
                record.note(key, Event { op, answer: None, called, answered: None });
                connections[at] = None;
            }
            Ok(reply) => {
                let Ok(answer) = number(&reply) else { continue };
                record.note(key, Event { op, answer, called, answered: Some(answered) });
            }
        }
    }
}

fn start_clients(
    record: &Arc<Record>,
    nodes: &[&Node],
    reads: bool,
) -> Vec<std::thread::JoinHandle<()>> {
    let addresses: Vec<_> = nodes.iter().map(|node| node.address()).collect();
    let spawn = |seed| {
        let (record, addresses) = (Arc::clone(record), addresses.clone());
        std::thread::spawn(move || client(&record, &addresses, seed, reads))
    };
    (1..=CLIENTS).map(spawn).collect()
}

/// Waits until the clients have done so much more.
fn let_pass(record: &Record, moments: u64) {
    let until = record.clock.load(Ordering::SeqCst) + moments;
    for _ in 0..3000 {
        if record.clock.load(Ordering::SeqCst) >= until {
            return;
        }
        pause(Duration::from_millis(10));
    }
}

#[test]
fn registers_are_linearizable_through_handovers() -> Outcome {
    let mut first = Node::leader()?;
    // Who writes through a replica reads there too, and sees at least its own writes, not the last
    // of others: here only the leader answers.
    first.ask("CONFIG SET replica-writes reject")?;
    let second = Node::rejecting(first.address())?;
    let mut nodes = [first, second];
    nodes[1].wait_for("master_link_status", "up")?;
    let record = Arc::new(Record::default());
    let clients = start_clients(&record, &[&nodes[0], &nodes[1]], false);
    for round in 0..6 {
        let_pass(&record, 400);
        let [first, second] = &mut nodes;
        let (leader, replica) = if round % 2 == 0 { (first, second) } else { (second, first) };
        if round == 2 {
            replica.server.halt()?;
            // There have to be writes that it does not have: else it is handed over to at once.
            let_pass(&record, 40);
            leader.expect("FAILOVER TIMEOUT 100", "OK")?;
            leader.wait_for("master_failover_state", "no-failover")?;
            replica.server.go_on()?;
        }
        leader.expect("FAILOVER", "OK")?;
        replica.wait_for("role", "master")?;
        leader.wait_for("master_link_status", "up")?;
    }
    record.stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| _ = client.join());
    assert!(record.check()? > 500);
    let [first, second] = &mut nodes;
    assert_same(first, second)?;
    Ok(())
}

#[test]
fn registers_are_linearizable_and_replicas_hold_prefixes_through_faults() -> Outcome {
    let mut leader = Node::leader()?;
    let proxy = Proxy::start(leader.address())?;
    let mut replica = Node::following(proxy.address)?;
    replica.wait_for("master_link_status", "up")?;
    let record = Arc::new(Record::default());
    let clients = start_clients(&record, &[&leader], true);
    let asked = Arc::new(AtomicU64::new(0));
    let writer = pairs(&leader, &record, &asked)?;
    let seen = Arc::new(AtomicU64::new(0));
    let reader = watch_pairs(&replica, &record, &asked, &seen)?;
    for round in 0..8 {
        let_pass(&record, 300);
        match round % 4 {
            0 => proxy.cut(),
            1 => proxy.restore(leader.address()),
            2 => leader.server.halt()?,
            _ => replica.server.halt()?,
        }
        pause(Duration::from_millis(50));
        leader.server.go_on()?;
        replica.server.go_on()?;
    }
    proxy.restore(leader.address());
    // A replica that is killed comes back with nothing, and nobody who writes notices.
    let mut third = Node::following(leader.address())?;
    third.wait_for("master_link_status", "up")?;
    drop(third);
    let_pass(&record, 300);
    // A slow machine takes its time for as many as say something.
    for _ in 0..3000 {
        if seen.load(Ordering::Relaxed) > 20 || reader.is_finished() {
            break;
        }
        pause(Duration::from_millis(10));
    }
    record.stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| _ = client.join());
    writer.join().map_err(|_| "the writer has panicked".to_owned())??;
    reader.join().map_err(|_| "the reader has panicked".to_owned())??;
    assert!(seen.load(Ordering::Relaxed) > 20, "{seen:?}");
    assert!(record.check()? > 500);
    assert_same(&mut leader, &mut replica)?;
    Ok(())
}

type Thread<T> = std::thread::JoinHandle<Result<T, String>>;

/// Writes the same number to two keys, again and again, one above the last.
fn pairs(
    leader: &Node,
    record: &Arc<Record>,
    asked: &Arc<AtomicU64>,
) -> Result<Thread<()>, String> {
    let (record, asked) = (Arc::clone(record), Arc::clone(asked));
    let mut connection = leader.connect()?;
    Ok(std::thread::spawn(move || {
        for number in 1.. {
            if record.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            asked.store(number, Ordering::SeqCst);
            let number = number.to_string();
            for argv in [&["MULTI"][..], &["SET", "left", &number], &["SET", "right", &number]] {
                connection.call(argv)?;
            }
            connection.call(&["EXEC"])?;
        }
        Ok(())
    }))
}

/// Reads the two on a replica; counts how many different numbers it has seen.
fn watch_pairs(
    replica: &Node,
    record: &Arc<Record>,
    asked: &Arc<AtomicU64>,
    seen: &Arc<AtomicU64>,
) -> Result<Thread<()>, String> {
    let (record, asked, seen) = (Arc::clone(record), Arc::clone(asked), Arc::clone(seen));
    let mut connection = replica.connect()?;
    Ok(std::thread::spawn(move || {
        let mut last = 0;
        while !record.stop.load(Ordering::Relaxed) {
            let reply = connection.call(&["MGET", "left", "right"])?;
            let most = asked.load(Ordering::SeqCst);
            let Reply::Array(both) = &reply else { return Err(reply.to_string()) };
            let (left, right) = (number(&both[0])?, number(&both[1])?);
            let now = left.unwrap_or(0);
            if left != right || now < last || now > most {
                return Err(format!("{left:?} and {right:?} after {last}, asked for {most}"));
            }
            seen.fetch_add(u64::from(now > last), Ordering::Relaxed);
            last = now;
        }
        Ok(())
    }))
}
