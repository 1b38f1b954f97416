//! Another connection hears in place of the one that tracks: what clients of RESP2 use.

use std::time::Duration;

use crate::conversation::same;
use crate::support::reply::Reply;
use crate::support::server::{Program, Server, pause};

const CHANNEL: &str = "SUBSCRIBE __redis__:invalidate";

#[test]
fn over_resp2_a_channel_hears() {
    same(&[
        (1, CHANNEL, &[(1, 1)]),
        (0, "CLIENT TRACKING ON REDIRECT {1}\nCLIENT GETREDIR", &[(0, 2)]),
        (0, "GET a\nMGET b c\nCLIENT TRACKINGINFO", &[(0, 3)]),
        (2, "MSET a 1 c 1", &[(2, 1), (1, 2)]),
        (0, "SET b 1\nPING", &[(0, 2), (1, 1)]),
        (0, "GET b", &[(0, 1)]),
        (2, "FLUSHALL", &[(2, 1), (1, 1)]),
        // The name of the channel is not asked for.
        (1, "UNSUBSCRIBE\nSUBSCRIBE other", &[(1, 2)]),
        (0, "GET a", &[(0, 1)]),
        (2, "SET a 2", &[(2, 1), (1, 1)]),
        // Who listens to nothing hears nothing.
        (1, "UNSUBSCRIBE", &[(1, 1)]),
        (0, "GET a", &[(0, 1)]),
        (2, "SET a 2", &[(2, 1)]),
        (1, "PING", &[(1, 1)]),
    ]);
}

#[test]
fn over_resp3_it_is_a_push() {
    same(&[
        (1, "HELLO 3", &[(1, 1)]),
        (0, "CLIENT TRACKING ON BCAST PREFIX a REDIRECT {1}", &[(0, 1)]),
        (2, "SET a 1", &[(2, 1), (1, 1)]),
        (2, "FLUSHALL", &[(2, 1), (1, 1)]),
        (0, "SET a 1", &[(0, 1), (1, 1)]),
        (1, "PING", &[(1, 1)]),
    ]);
}

#[test]
fn a_client_may_name_itself() {
    same(&[
        (0, "HELLO 3\nCLIENT TRACKING ON REDIRECT {0}", &[(0, 2)]),
        (0, "GET a\nSET a 1\nPING", &[(0, 4)]),
        (0, "CLIENT TRACKINGINFO", &[(0, 1)]),
    ]);
}

#[test]
fn without_anybody_to_hear_resp2_hears_nothing() {
    same(&[
        (0, "CLIENT TRACKING ON\nGET a", &[(0, 2)]),
        (1, "SET a 1", &[(1, 1)]),
        (0, "SET a 2\nPING", &[(0, 2)]),
    ]);
}

#[test]
fn who_hears_is_gone() {
    // How long a server takes to forget a connection is not said.
    for program in [Program::Eave, Program::Redis] {
        let server = Server::start(program, &[]).expect("the server answers");
        let [mut reader, mut hearer, mut writer] =
            [0; 3].map(|_| server.connect().expect("the server answers"));
        let Ok(Reply::Integer(id)) = hearer.call(&["CLIENT", "ID"]) else { panic!("no id") };
        reader.call(&["HELLO", "3"]).expect("the server answers");
        let redirect = ["CLIENT", "TRACKING", "ON", "REDIRECT", &id.to_string()];
        reader.call(&redirect).expect("the server answers");
        reader.call(&["MGET", "a", "b"]).expect("the server answers");
        hearer.call(&["QUIT"]).expect("the server answers");
        let listed = |writer: &mut crate::support::resp::Connection| {
            let reply = writer.call(&["CLIENT", "LIST"]).expect("the server answers");
            reply.text().unwrap_or_default()
        };
        while listed(&mut writer).contains(&format!("id={id} ")) {
            pause(Duration::from_millis(5));
        }
        writer.call(&["SET", "a", "1"]).expect("the server answers");
        let broken =
            Reply::Push(vec![Reply::Bulk(b"tracking-redir-broken".to_vec()), Reply::Integer(id)]);
        assert_eq!(reader.receive(), Ok(broken.clone()), "{program:?}");
        assert!(listed(&mut writer).contains(" flags=tR "), "{program:?}");
        let info = reader.call(&["CLIENT", "TRACKINGINFO"]).expect("the server answers");
        assert!(info.to_string().contains("\"broken_redirect\""), "{program:?}: {info}");
        writer.call(&["FLUSHALL"]).expect("the server answers");
        assert_eq!(reader.receive(), Ok(broken), "{program:?}");
        reader.call(&["CLIENT", "TRACKING", "ON"]).expect("the server answers");
        assert!(listed(&mut writer).contains(" flags=t "), "{program:?}");
    }
}
