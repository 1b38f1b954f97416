//! Messages: in their order, to those who listen, while others come and go.

use std::sync::Arc;

use shuttle::thread;

use crate::world::{Client, ask_all, asking, explore, joined};

/// One publisher's messages come in their order, and each wakes who sleeps.
#[test]
fn messages_keep_their_order() {
    explore(|node| {
        let mut listener = Client::new(&node);
        listener.ask("SUBSCRIBE c");
        let speakers = vec![
            asking(&node, &["PUBLISH c a1", "PUBLISH c a2"]),
            asking(&node, &["MULTI", "PUBLISH c b1", "PUBLISH c b2", "EXEC"]),
        ];
        let hearing = thread::spawn(move || {
            let mut heard = String::new();
            while ["a1", "a2", "b1", "b2"].iter().any(|message| !heard.contains(message)) {
                heard += &listener.listen();
            }
            heard
        });
        joined(speakers);
        let heard = hearing.join().expect("it ends");
        for speaker in ["a", "b"] {
            let [first, second] = [1, 2].map(|n| heard.find(&format!("{speaker}{n}")));
            assert!(first < second, "{heard}");
        }
    });
}

/// Events of keys are published under the locks of the keys, while listeners come and go.
#[test]
fn events_and_those_who_come_and_go() {
    explore(|node| {
        ask_all(&node, &["CONFIG SET notify-keyspace-events KEA"]);
        let threads = vec![
            asking(&node, &["PSUBSCRIBE *", "UNSUBSCRIBE", "PUNSUBSCRIBE"]),
            asking(&node, &["SUBSCRIBE __keyspace@0__:k", "RESET"]),
            asking(&node, &["SET k 1", "RENAME k l"]),
            asking(&node, &["BLPOP k 1000"]),
        ];
        let giver = {
            let node = Arc::clone(&node);
            thread::spawn(move || ask_all(&node, &["DEL k l", "RPUSH k 1", "PUBLISH c x"]))
        };
        giver.join().expect("it ends");
        // Whatever SET came between, there is something now.
        ask_all(&node, &["DEL k", "RPUSH k 2"]);
        let mut threads = threads;
        let taker = threads.pop().expect("four");
        joined(threads);
        ask_all(&node, &["DEL k", "RPUSH k 3"]);
        taker.join();
        assert_eq!(ask_all(&node, &["PUBSUB NUMPAT", "PUBSUB CHANNELS"]), [":0", "*0"]);
    });
}
