//! Broadcast mode: keys below prefixes, whether or not they were read.

use crate::conversation::{messages, same};

#[test]
fn prefixes_are_heard_of() {
    let heard = same(&[
        (0, "HELLO 3\nCLIENT TRACKING ON BCAST PREFIX user: PREFIX item:", &[(0, 2)]),
        (1, "SET user:1 a", &[(1, 1), (0, 1)]),
        (1, "SET user:1 a", &[(1, 1), (0, 1)]),
        (1, "SET other a", &[(1, 1)]),
        (1, "MSET user:2 a item:9 b user:1 a user:2 c item:1 d z z", &[(1, 1), (0, 2)]),
        (1, "MULTI\nSET item:2 a\nSET item:1 a\nDEL item:2\nEXEC", &[(1, 5), (0, 1)]),
        (1, "DEL nothing user:1", &[(1, 1), (0, 1)]),
        (0, "GET read\nSET item: 1", &[(0, 3)]),
        (1, "SET read 1", &[(1, 1)]),
        (0, "PING\nCLIENT TRACKINGINFO", &[(0, 2)]),
    ]);
    assert_eq!(messages(&heard)[2..4], [r#"0: ["item:1" "item:9"]"#, r#"0: ["user:1" "user:2"]"#]);
}

#[test]
fn without_a_prefix_everything_is_heard_of() {
    same(&[
        (0, "HELLO 3\nCLIENT TRACKING ON BCAST NOLOOP", &[(0, 2)]),
        (2, "HELLO 3\nCLIENT TRACKING ON BCAST PREFIX a", &[(2, 2)]),
        (1, "SET a 1", &[(1, 1), (0, 1), (2, 1)]),
        (0, "SET a 2", &[(0, 1), (2, 1)]),
        (2, "SET b 2", &[(2, 1), (0, 1)]),
        (1, "FLUSHALL", &[(1, 1), (0, 1), (2, 1)]),
        (0, "FLUSHDB\nPING", &[(0, 3), (2, 1)]),
        (0, "CLIENT TRACKING OFF", &[(0, 1)]),
        (1, "SET a 1", &[(1, 1), (2, 1)]),
        (0, "PING", &[(0, 1)]),
        (2, "RESET", &[(2, 1)]),
        (1, "SET a 1", &[(1, 1)]),
        (2, "PING", &[(2, 1)]),
    ]);
}

#[test]
fn prefixes_of_one_client_do_not_overlap() {
    same(&[
        (0, "HELLO 3\nCLIENT TRACKING ON BCAST PREFIX ab PREFIX b", &[(0, 2)]),
        (0, "CLIENT TRACKING ON BCAST PREFIX a", &[(0, 1)]),
        (0, "CLIENT TRACKING ON BCAST PREFIX abc", &[(0, 1)]),
        (0, "CLIENT TRACKING ON BCAST PREFIX b", &[(0, 1)]),
        (0, "CLIENT TRACKING ON BCAST PREFIX c PREFIX d PREFIX cc", &[(0, 1)]),
        (0, "CLIENT TRACKING ON BCAST PREFIX d NOLOOP", &[(0, 1)]),
        (0, "CLIENT TRACKING ON BCAST OPTIN", &[(0, 1)]),
        (0, "CLIENT TRACKING ON PREFIX x", &[(0, 1)]),
        (0, "CLIENT TRACKING ON", &[(0, 1)]),
        (0, "CLIENT TRACKINGINFO", &[(0, 1)]),
        (0, "CLIENT TRACKING ON BCAST", &[(0, 1)]),
        (0, "CLIENT TRACKINGINFO", &[(0, 1)]),
        (1, "SET ab1 1", &[(1, 1), (0, 2)]),
        (0, "PING", &[(0, 1)]),
    ]);
}

#[test]
fn what_was_read_before_is_not_told_of() {
    same(&[
        (0, "HELLO 3\nCLIENT TRACKING ON\nGET a\nCLIENT TRACKING OFF", &[(0, 4)]),
        (0, "CLIENT TRACKING ON BCAST PREFIX b", &[(0, 1)]),
        (1, "SET a 1", &[(1, 1)]),
        (1, "SET b 1", &[(1, 1), (0, 1)]),
        (0, "PING", &[(0, 1)]),
    ]);
}
