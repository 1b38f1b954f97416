//! A client that looks at nodes.

use std::rc::Rc;
use std::time::Duration;

use crate::client::{Connection, command};
use crate::history::{KEYS, Look, Odd};
use crate::random::Random;
use crate::reply::{Reply, field};
use crate::world::Shared;

/// Numbers of the list that are asked for, unless they do not do.
const TAIL: i64 = 40;

/// Looks until it is told to stop.
pub(crate) async fn run(shared: Rc<Shared>, mut random: Random) -> turmoil::Result {
    while !shared.stop.get() {
        tokio::time::sleep(Duration::from_millis(random.of(1..300))).await;
        let node = random.below(shared.hosts.len() as u64) as usize;
        let Ok(mut connection) = Connection::open(shared.address(node)).await else { continue };
        let (turns, mut seen) = (shared.turns[node].get(), 0);
        for _ in 0..random.of(1..40) {
            tokio::time::sleep(Duration::from_millis(random.of(1..300))).await;
            let Some(length) = look(&shared, &mut connection, node).await else { break };
            // Nothing is promised to who follows another that may be behind.
            if shared.turns[node].get() == turns && !shared.may_lose {
                assert!(seen <= length, "node {node} went back from {seen} to {length}");
            }
            seen = length;
        }
    }
    Ok(())
}

/// Looks once; answers how long the list was.
async fn look(shared: &Shared, connection: &mut Connection, node: usize) -> Option<usize> {
    let mut tail = TAIL;
    loop {
        let look = take(connection, tail).await?;
        let seen = shared.histories.borrow_mut().see(&look);
        match seen {
            Ok(()) => return Some(look.len),
            Err(Odd::Gap) => {
                shared.count("look that had to be taken again, at all of the list");
                tail = 1_000_000;
            }
            Err(Odd::Broken(why)) => panic!("node {node}: {why}"),
        }
    }
}

/// What a node has in one instant, if it says so.
async fn take(connection: &mut Connection, tail: i64) -> Option<Look> {
    let mut lines = vec![command(&["MULTI"])];
    lines.extend(questions(tail));
    lines.push(command(&["EXEC"]));
    let replies = connection.call(&lines).await.ok()?;
    let Some(Reply::Array(items)) = replies.last() else { return None };
    (!items.iter().any(Reply::is_error)).then(|| look_of(items))
}

/// What is asked to see what a node has.
pub(crate) fn questions(tail: i64) -> Vec<Vec<String>> {
    let mut lines = vec![
        command(&["INFO", "replication"]),
        command(&["LLEN", "list"]),
        command(&["LRANGE", "list", &format!("-{tail}"), "-1"]),
        command(&["GET", "count"]),
    ];
    lines.extend((0..KEYS).map(|key| command(&["GET", &format!("key{key}")])));
    lines
}

/// What the answers to that say.
pub(crate) fn look_of(items: &[Reply]) -> Look {
    let info = items[0].text();
    let number = |name: &str| field(&info, name).parse::<i64>().unwrap();
    let parent = u64::try_from(number("second_repl_offset")).ok();
    Look {
        id: field(&info, "master_replid").to_owned(),
        offset: number("master_repl_offset") as u64,
        parent: parent.map(|end| (field(&info, "master_replid2").to_owned(), end - 1)),
        len: items[1].number().unwrap() as usize,
        tail: items[2].items().iter().map(|item| item.number().unwrap()).collect(),
        count: items[3].number().unwrap_or(0),
        keys: items[4..].iter().map(Reply::number).collect(),
    }
}
