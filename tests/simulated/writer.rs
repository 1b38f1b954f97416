//! A client that writes, to whichever node it is connected to.

use std::rc::Rc;
use std::time::Duration;

use crate::client::{Connection, command};
use crate::history::KEYS;
use crate::random::Random;
use crate::reply::Reply;
use crate::world::Shared;

/// The same as the transaction, in one.
const SCRIPT: &str = "redis.call('RPUSH', KEYS[1], ARGV[1]) \
    redis.call('SET', KEYS[2], ARGV[1]) return redis.call('INCR', KEYS[3])";

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// It has not happened.
    Refused,
    /// Nobody knows.
    Uncertain,
}

/// Writes until it is told to stop.
pub(crate) async fn run(shared: Rc<Shared>, mut random: Random) -> turmoil::Result {
    let mut connection = None;
    while !shared.stop.get() {
        tokio::time::sleep(Duration::from_millis(random.of(1..120))).await;
        let (mut open, node) = match connection.take() {
            Some(open) => open,
            None => {
                let node = random.below(shared.hosts.len() as u64) as usize;
                match Connection::open(shared.address(node)).await {
                    Ok(open) => (open, node),
                    Err(_) => continue,
                }
            }
        };
        let Some(outcome) = write(&shared, &mut random, &mut open, node).await else { continue };
        // Who is refused tries elsewhere, and now and then one who is not.
        if outcome == Outcome::Done && !random.once_in(40) {
            connection = Some((open, node));
        }
    }
    Ok(())
}

/// Writes once; nothing if the connection is lost.
async fn write(
    shared: &Shared,
    random: &mut Random,
    connection: &mut Connection,
    node: usize,
) -> Option<Outcome> {
    if random.once_in(4) {
        let _ = connection.call(&[noise(random)]).await.ok()?;
        return Some(Outcome::Done);
    }
    let number = shared.histories.borrow_mut().ask();
    let (text, key) = (number.to_string(), format!("key{}", number % KEYS));
    let transaction: Vec<Vec<String>> = if random.once_in(3) {
        shared.count("script");
        vec![command(&["EVAL", SCRIPT, "3", "list", &key, "count", &text])]
    } else {
        let lines: [&[&str]; 5] = [
            &["MULTI"],
            &["RPUSH", "list", &text],
            &["SET", &key, &text],
            &["INCR", "count"],
            &["EXEC"],
        ];
        lines.map(command).to_vec()
    };
    let replies = connection.call(&transaction).await;
    let outcome = match replies.as_deref().map(|replies| replies.last().unwrap()) {
        Err(_) => Outcome::Uncertain,
        Ok(Reply::Error(text)) if text.starts_with("UNCERTAIN") => Outcome::Uncertain,
        Ok(Reply::Error(_)) => Outcome::Refused,
        Ok(Reply::Integer(_) | Reply::Array(_)) => Outcome::Done,
        Ok(_) => panic!("node {node}: {transaction:?} was answered {replies:?}"),
    };
    note(shared, number, outcome);
    if replies.is_err() {
        return None;
    }
    if outcome == Outcome::Done && random.once_in(3) {
        read_own(shared, connection, node, &text).await?;
    }
    Some(outcome)
}

/// Notes what has come of a write.
fn note(shared: &Shared, number: u64, outcome: Outcome) {
    let mut histories = shared.histories.borrow_mut();
    match outcome {
        Outcome::Done => histories.answered(number),
        Outcome::Refused => histories.refused(number),
        Outcome::Uncertain => {}
    }
    shared.count(match outcome {
        Outcome::Done => "write acknowledged",
        Outcome::Refused => "write refused",
        Outcome::Uncertain => "write uncertain",
    });
}

/// A client that was answered finds what it has written, on the same connection.
async fn read_own(
    shared: &Shared,
    connection: &mut Connection,
    node: usize,
    number: &str,
) -> Option<()> {
    let reply = connection.one(&["LPOS", "list", number, "RANK", "-1"]).await.ok()?;
    let found = match reply {
        Reply::Integer(_) => true,
        Reply::Nil => false,
        // Whoever cannot say so says that.
        Reply::Error(_) => return Some(()),
        other => panic!("LPOS was answered {other:?}"),
    };
    assert!(found || shared.may_lose, "{number} was written and is not read");
    if found && !shared.hosts[node].borrow().leads() {
        shared.count("own write read on a replica");
    }
    Some(())
}

/// Something of another kind, so that copies and streams have all kinds.
fn noise(random: &mut Random) -> Vec<String> {
    let (key, value) = (random.below(20), random.below(1000));
    let line = match random.below(12) {
        0 => format!("HSET hash{key} field{value} {value}"),
        1 => format!("ZINCRBY zset{key} 1.5 {value}"),
        2 => format!("SADD set{key} {value}"),
        3 => format!("SPOP set{key}"),
        4 => format!("XADD stream{key} * field {value}"),
        5 => format!("SET short{key} {value} PX {}", value + 1),
        6 => format!("RL.TAKE limit{key} 10 60s"),
        7 => format!("SETRANGE blob{key} {} x", value * 40),
        8 => format!("PFADD visitors{key} {value}"),
        9 => format!("EXPIRE hash{key} {}", 1 + value % 5),
        10 => format!("DEL zset{key} blob{key}"),
        _ => format!("INCRBYFLOAT float{key} 0.{value}"),
    };
    line.split(' ').map(str::to_owned).collect()
}
