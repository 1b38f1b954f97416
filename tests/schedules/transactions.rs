//! Transactions: nobody sees a part of one, and what is watched decides.

use std::sync::Arc;

use shuttle::thread;

use crate::world::{Client, ask_all, asking, explore, joined};

/// Money goes between accounts; whoever looks sees all of it.
#[test]
fn the_sum_never_moves() {
    explore(|node| {
        ask_all(&node, &["MSET a 5 b 5 c 5"]);
        let threads = vec![
            asking(&node, &["MULTI", "DECR a", "INCR b", "EXEC"]),
            asking(&node, &["MULTI", "DECRBY b 2", "INCRBY c 2", "EXEC"]),
            asking(&node, &["MGET a b c", "MULTI", "GET c", "GET b", "GET a", "EXEC"]),
        ];
        let seen = joined(threads);
        for reply in [&seen[2][0], &seen[2][5]] {
            let sum: i64 =
                reply.split(' ').skip(1).filter_map(|word| word.parse::<i64>().ok()).sum();
            assert_eq!(sum, 15, "{reply}");
        }
    });
}

/// Of those who read, compute and write under WATCH, nobody overwrites another.
#[test]
fn what_is_watched_is_not_overwritten() {
    explore(|node| {
        ask_all(&node, &["SET n 0"]);
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let node = Arc::clone(&node);
                thread::spawn(move || {
                    let mut client = Client::new(&node);
                    loop {
                        client.ask("WATCH n");
                        let now = client.ask("GET n");
                        let now: i64 =
                            now.rsplit(' ').next().expect("a number").parse().expect("one");
                        client.ask("MULTI");
                        client.ask(&format!("SET n {}", now + 1));
                        if client.ask("EXEC") != "*-1" {
                            return;
                        }
                        thread::yield_now();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("it ends"));
        assert_eq!(ask_all(&node, &["GET n"]), ["$1 3"]);
    });
}

/// Who waits is served behind all of a transaction and before anybody else.
#[test]
fn who_waits_takes_from_whole_transactions() {
    explore(|node| {
        let taker = asking(&node, &["BLPOP k 0"]);
        while node.waits.count() == 0 {
            thread::yield_now();
        }
        let threads = vec![
            asking(&node, &["MULTI", "RPUSH k 1", "RPUSH l 1", "LLEN k", "EXEC"]),
            asking(&node, &["MULTI", "LLEN k", "LLEN l", "EXEC"]),
            asking(&node, &["LPOP k"]),
        ];
        let seen = joined(threads);
        assert_eq!(seen[0][4], "*3 :1 :1 :1");
        assert!(["*2 :0 :0", "*2 :0 :1"].contains(&seen[1][3].as_str()), "{:?}", seen[1]);
        // It was promised to the one who waited.
        assert_eq!(seen[2], ["$-1"]);
        assert_eq!(taker.join(), ["*2 $1 k $1 1"]);
    });
}

/// Flushes, swaps and transactions over everything meet watches and waiters.
#[test]
fn the_whole_keyspace_at_once() {
    explore(|node| {
        let taker = asking(&node, &["BLMOVE k l LEFT RIGHT 0"]);
        joined(vec![
            asking(&node, &["WATCH k x", "MULTI", "RPUSH k 1", "FLUSHALL", "EXEC"]),
            asking(&node, &["SWAPDB 0 1", "SET x 1"]),
            asking(&node, &["FLUSHDB", "DBSIZE", "KEYS *"]),
        ]);
        ask_all(&node, &["RPUSH k 2"]);
        taker.join();
    });
}
