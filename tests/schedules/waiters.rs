//! Those who wait: each is woken, each element goes to one of them.

use std::sync::Arc;

use shuttle::thread;

use crate::world::{Client, ask_all, asking, explore, joined, until_done};

/// Everyone who waits is served once there is enough, whoever comes first.
#[test]
fn everyone_is_served() {
    explore(|node| {
        let takers = vec![
            asking(&node, &["BLPOP k 0"]),
            asking(&node, &["BRPOP l k 0"]),
            asking(&node, &["BLMPOP 0 2 k l LEFT COUNT 1"]),
        ];
        let givers = vec![
            asking(&node, &["LPUSH k 1", "RPUSH k 2"]),
            asking(&node, &["MULTI", "RPUSH k 3", "EXEC"]),
        ];
        joined(givers);
        let mut taken: Vec<String> = joined(takers).concat();
        taken.iter_mut().for_each(|reply| {
            *reply = reply.chars().filter(char::is_ascii_digit).last().into_iter().collect()
        });
        taken.sort();
        assert_eq!(taken, ["1", "2", "3"]);
        assert_eq!(ask_all(&node, &["DBSIZE"]), [":0"]);
        assert_eq!(node.waits.count(), 0);
    });
}

/// Elements pass through chains and circles of those who move them, and none is lost.
#[test]
fn moves_meet() {
    explore(|node| {
        let takers = vec![
            asking(&node, &["BLMOVE a b LEFT RIGHT 0"]),
            asking(&node, &["BLMOVE b a LEFT RIGHT 0"]),
            asking(&node, &["BRPOPLPUSH b c 0", "BLPOP c 0"]),
        ];
        let givers = vec![asking(&node, &["RPUSH a 1"]), asking(&node, &["RPUSH b 2"])];
        joined(givers);
        // As many as those may lack who come last.
        ask_all(&node, &["RPUSH b x x", "RPUSH a x x"]);
        joined(takers);
        let lengths = ask_all(&node, &["LLEN a", "LLEN b", "EXISTS c"]);
        let length = |at: usize| lengths[at][1..].parse::<u32>().expect("a number");
        // One element was taken out in the end.
        assert_eq!((length(0) + length(1), length(2)), (5, 0));
    });
}

/// One who leaves takes nothing: what was there for it is there for the next.
#[test]
fn who_leaves_takes_nothing() {
    explore(|node| {
        let leaver = {
            let node = Arc::clone(&node);
            thread::spawn(move || {
                let mut client = Client::new(&node);
                let reply = client.send("BLPOP k l 0");
                let Some(waiting) = &client.session.waiting else { return reply };
                // What the connection does when its socket ends.
                if waiting.0.abandon() { String::new() } else { client.wait() }
            })
        };
        let taker = asking(&node, &["BLPOP k 0"]);
        let giver = asking(&node, &["RPUSH k 1"]);
        let left = leaver.join().expect("it ends");
        giver.join();
        if left.is_empty() {
            assert_eq!(taker.join(), ["*2 $1 k $1 1"]);
        } else {
            assert_eq!(left, "*2 $1 k $1 1");
            ask_all(&node, &["RPUSH k 2"]);
            assert_eq!(taker.join(), ["*2 $1 k $1 2"]);
        }
        assert_eq!(ask_all(&node, &["EXISTS k"]), [":0"]);
    });
}

/// A wait ends in one way: served, let go by another, or its time is over.
#[test]
fn a_wait_ends_once() {
    explore(|node| {
        let mut client = Client::new(&node);
        let unblock = format!("CLIENT UNBLOCK {} ERROR", client.session.client.id);
        let waiter = thread::spawn(move || client.ask("BLPOP k 0"));
        let unblocker = {
            let node = Arc::clone(&node);
            thread::spawn(move || ask_all(&node, &[&unblock]))
        };
        let giver = asking(&node, &["RPUSH k 1"]);
        giver.join();
        let unblocked = unblocker.join().expect("it ends") == [":1"];
        let reply = waiter.join().expect("it ends");
        assert_eq!(reply.starts_with("-UNBLOCKED"), unblocked, "{reply}");
        let left = ask_all(&node, &["EXISTS k"]) == [":1"];
        assert_eq!(left, unblocked, "the element is where the reply says");
    });
}

/// Keys come by other names, from other databases and out of nothing; nobody is forgotten.
#[test]
fn keys_come_in_many_ways() {
    explore(|node| {
        let takers = vec![
            asking(&node, &["BLPOP k 0"]),
            asking(&node, &["BLMOVE k d LEFT LEFT 0"]),
            asking(&node, &["BZPOPMIN k 0"]),
        ];
        let givers = vec![
            asking(&node, &["RPUSH x 1", "RENAME x k"]),
            asking(&node, &["SELECT 1", "RPUSH k 2", "SWAPDB 0 1"]),
            asking(&node, &["ZADD z 1 m", "COPY z k REPLACE", "FLUSHALL"]),
        ];
        joined(givers);
        until_done(&node, takers, &["DEL k", "RPUSH k a b", "DEL k", "ZADD k 1 a"]);
        assert_eq!(node.waits.count(), 0);
    });
}

/// Readers of a stream hear of every entry, a group gives each to one.
#[test]
fn readers_of_streams() {
    explore(|node| {
        ask_all(&node, &["XGROUP CREATE s g $ MKSTREAM"]);
        let readers = vec![
            asking(&node, &["XREAD BLOCK 0 STREAMS s 0"]),
            asking(&node, &["XREADGROUP GROUP g a COUNT 1 BLOCK 0 STREAMS s >"]),
            asking(&node, &["XREADGROUP GROUP g b COUNT 1 BLOCK 0 STREAMS s >"]),
        ];
        joined(vec![asking(&node, &["XADD s * f v"]), asking(&node, &["XADD s * f v"])]);
        let heard = joined(readers).concat();
        assert!(heard.iter().all(|reply| reply.contains("$1 f $1 v")), "{heard:?}");
        assert_ne!(heard[1], heard[2]);
    });
}

/// A group that goes lets its readers go, whatever happens to the key meanwhile.
#[test]
fn a_group_that_goes_keeps_nobody() {
    explore(|node| {
        ask_all(&node, &["XGROUP CREATE s g $ MKSTREAM"]);
        let reader = asking(&node, &["XREADGROUP GROUP g a BLOCK 0 STREAMS s >"]);
        joined(vec![
            asking(&node, &["DEL s"]),
            asking(&node, &["XADD s * f v"]),
            asking(&node, &["RENAME s t"]),
        ]);
        ask_all(&node, &["XADD s * f v", "DEL s"]);
        reader.join();
    });
}
